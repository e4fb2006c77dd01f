// The thin shell around the consensus core (CONSENSUS 2.17): feeds inputs one at a time and carries out
// what each step asks for. All protocol decisions are the core's; all the driver adds is order:
//
//   persist -> fsync -> `persisted` -> sign -> `signed` -> send
//
// The core holds signature requests back until the records that they depend on are durable, so a crash
// at any line here leaves no signature in the world that the database does not know of.
import { cosignatureMessage } from '../../verifier/cosignature.ts';
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { encodeMessage } from '../../verifier/replication/encode-message.ts';
import type {
  CosignMessage,
  CosignedCheckpoint,
  CommittedBatch,
  CoreEvent,
  IgnoreReason,
  Input,
  Misbehaviour,
  Outbound,
  Ready,
  SignRequest,
  VerifiedMessage,
} from '../consensus/types.ts';
import type { ReplicaKeys } from '../key-file.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import type { PeerTransport } from '../peer/transport.ts';
import type { ConsensusCore } from './core-port.ts';
import type { Lane } from './lane.ts';
import type { LedgerWork } from './ledger-work.ts';
import { Persister } from './persister.ts';
import type { WriteStore } from './persister.ts';
import { TickClock } from './tick-clock.ts';

/** The clocks of a replica. */
export interface Clocks {
  /** Never goes back; for ticks and timeouts. */
  readonly monotonicMs: () => number;
  /** Unix time; may jump. */
  readonly wallMs: () => number;
}

/** What the driver works with. */
export interface DriverParts {
  readonly core: ConsensusCore;
  readonly keys: ReplicaKeys;
  readonly origin: string;
  readonly store: WriteStore;
  readonly lane: Lane;
  readonly work: LedgerWork;
  readonly transport: Pick<PeerTransport, 'send'>;
  readonly clocks: Clocks;
  readonly tickMs: number;
  readonly log: Log;
  readonly events: DriverEvents;
}

/** News for the rest of the replica. */
export interface DriverEvents {
  /** A batch is durable. */
  committed(batch: CommittedBatch): void;
  /** A member has cosigned another root than the log's, or a size whose root only the store knows. */
  contradicted(message: CosignMessage): void;
  /** A quorum has cosigned the newest checkpoint, or signed it again. */
  cosigned(checkpoint: CosignedCheckpoint): void;
  /** A replica has signed what no correct one signs. */
  misbehaved(report: Misbehaviour): void;
  /** Another roster is in force. */
  epochStarted(): void;
  /** Something that must not happen did: the process has to end. */
  failed(error: unknown): void;
}

interface Queued {
  readonly input: Input;
  readonly done: ((ignored: IgnoreReason | undefined) => void) | undefined;
}

/** Drives one core. */
export class Driver {
  readonly #parts: DriverParts;
  readonly #persister: Persister;
  readonly #ticks: TickClock;
  readonly #inputs: Queued[] = [];
  readonly ignored: Map<IgnoreReason, number> = new Map<IgnoreReason, number>();
  #isStepping = false;
  #isStopped = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(parts: DriverParts) {
    this.#parts = parts;
    this.#ticks = new TickClock(parts.tickMs, parts.clocks.monotonicMs);
    this.#persister = new Persister(
      parts.store,
      parts.lane,
      (token) => this.feed({ kind: 'persisted', token }),
      (error) => {
        parts.log.error('halted', { reason: `a write failed: ${describeError(error)}` });
        // The core signs nothing more; reads go on (C6).
        this.feed({ kind: 'persist-failed' });
      },
    );
  }

  /** Starts the ticks. */
  start(): void {
    const { tickMs, clocks } = this.#parts;
    this.#timer = setInterval(() => {
      const ticks = this.#ticks.due();
      for (let i = 0; i < ticks; i++) this.feed({ kind: 'tick', wallMs: clocks.wallMs() });
    }, tickMs);
  }

  /** Stops ticking and takes no more inputs. Writes under way are finished by the lane's owner. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  /** How long ago the last tick was, milliseconds: a measure of how deaf the process is. */
  get deafMs(): number {
    return this.#ticks.sinceLastMs();
  }

  /** A checked message of a peer. */
  receive(message: VerifiedMessage): void {
    this.feed({ kind: 'receive', message });
  }

  /**
   * Gives the core an input, after those that wait already.
   *
   * @param done told why the input changed nothing, or `undefined` when it did
   */
  feed(input: Input, done?: (ignored: IgnoreReason | undefined) => void): void {
    if (this.#isStopped) {
      done?.('halted');
      return;
    }
    this.#inputs.push({ input, done });
    // Signing answers inside a step's effects: the queue makes that a loop instead of a recursion.
    if (this.#isStepping) return;
    this.#isStepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        const ready = this.#parts.core.step(next.input);
        if (ready.ignored !== undefined) this.#countIgnored(ready.ignored);
        this.#carryOut(ready);
        next.done?.(ready.ignored);
      }
    } catch (error) {
      // An assertion of the core or the driver: the state can't be trusted any more (crash-only).
      this.#isStopped = true;
      this.#parts.events.failed(error);
    } finally {
      this.#isStepping = false;
    }
  }

  #carryOut(ready: Ready): void {
    const { work, events } = this.#parts;
    // First, so that whatever is queued behind it sees these writes.
    if (ready.persist !== undefined) this.#persister.persist(ready.persist);
    for (const request of ready.sign) this.#sign(request);
    for (const outbound of ready.send) this.#send(outbound);
    for (const batch of ready.committed) events.committed(batch);
    for (const message of ready.contradicted) events.contradicted(message);
    for (const event of ready.events) this.#report(event);
    if (ready.cosigned !== undefined) events.cosigned(ready.cosigned);
    for (const report of ready.evidence) events.misbehaved(report);
    const feed = (input: Input): void => this.feed(input);
    if (ready.build !== undefined) work.build(ready.build, feed);
    for (const request of ready.check) work.check(request, feed);
    for (const request of ready.admit) work.admit(request, feed);
    for (const request of ready.serve) {
      work.serve(request, (message) => this.#send({ to: [request.to], message }));
    }
    for (const request of ready.lookAhead) work.lookAhead(request);
  }

  #sign(request: SignRequest): void {
    const { keys, origin, clocks } = this.#parts;
    if (request.key === 'vote') {
      const signature = keys.vote.sign(request.bytes);
      this.feed({ kind: 'signed', request, signature });
      return;
    }
    const { size } = request;
    const time = Math.floor(clocks.wallMs() / 1000);
    const text = formatCheckpoint({ origin, size, root: decodeHex(request.root, 32) });
    const signature = keys.cosign.sign(cosignatureMessage(text, time));
    this.feed({ kind: 'cosigned', request, time, signature });
  }

  #send({ to, message }: Outbound): void {
    // Encoded once, whoever gets it. Of several statuses only the newest means anything.
    const bytes = encodeMessage(message);
    const replaces = message.kind === 'status' ? 'status' : undefined;
    for (const peer of to) this.#parts.transport.send(peer, bytes, replaces);
  }

  #report(event: CoreEvent): void {
    const { log, events } = this.#parts;
    switch (event.event) {
      case 'view-entered':
        return log.info('view_entered', { epoch: event.epoch, view: event.view, active: false });
      case 'view-active':
        return log.info('view_entered', { epoch: event.epoch, view: event.view, active: true });
      case 'wish':
        return log.info('view_wished', { view: event.view, cause: event.cause });
      case 'proposal-refused':
        return log.warn('proposal_refused', { height: event.height, reason: event.reason });
      case 'epoch-started':
        log.info('epoch_entered', { epoch: event.epoch, member: event.member });
        return events.epochStarted();
      case 'halted':
        return log.error('halted', { reason: event.reason });
    }
  }

  #countIgnored(reason: IgnoreReason): void {
    this.ignored.set(reason, (this.ignored.get(reason) ?? 0) + 1);
  }
}
