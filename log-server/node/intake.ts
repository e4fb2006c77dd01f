// From bytes of a peer to inputs of the core: decode (bounded), ask whether it is useful, check the
// signatures, hand it over. Cheapest first (CONSENSUS R1-R3), so that a flood of nonsense costs little.
import { createHash } from 'node:crypto';

import { VerifyError } from '../../verifier/errors.ts';
import { runPlans } from '../../verifier/signatures.ts';
import type { SignaturePlan, SignatureVerifier } from '../../verifier/signatures.ts';
import { isOverloaded } from '../../verifier/node/signature-pool.ts';
import { decodeMessage, kindOf } from '../../verifier/replication/encode-message.ts';
import type { Message, PeerId, VerifiedMessage } from '../consensus/types.ts';
import { planMessage } from '../../verifier/replication/verify-message.ts';
import { type Log, describeError } from '../log.ts';
import type { Inbox } from '../peer/inbox.ts';
import type { ConsensusCore } from './core-port.ts';
import { Waste } from './waste.ts';

/** Messages of each peer that are looked at in one go: votes of a whole round, not a whole flood. */
const PER_PEER_MAX = 32;

/**
 * Signatures above which a message is checked beside the others instead of before them: votes must not
 * wait for a NEW-VIEW with hundreds of signatures.
 */
const LIGHT_JOBS_MAX = 4;

interface Planned {
  readonly peer: PeerId;
  readonly bytes: Uint8Array;
  readonly kind: Message['kind'];
  readonly plan: SignaturePlan<VerifiedMessage>;
}

/** Reads the inbox for the core. */
export class Intake {
  readonly #inbox: Inbox;
  readonly #core: ConsensusCore;
  readonly #verifier: SignatureVerifier;
  readonly #deliver: (message: VerifiedMessage) => void;
  readonly #failed: (error: unknown) => void;
  readonly #isForeign: (bytes: Uint8Array, error: VerifyError) => boolean;
  readonly #log: Log;
  /** Peers with a heavy message in verification: at most one each. */
  readonly #heavy = new Set<PeerId>();
  /** Refusals by peer, for the status page and to log only the first of many. */
  readonly refusals: Map<PeerId, number> = new Map<PeerId, number>();
  /**
   * Those who handed on a proof that proves nothing, which no correct replica does: each costs us that
   * one check, and is not listened to about others any more.
   */
  readonly #slanderers = new Set<PeerId>();
  /** Messages that could not be checked for want of room. */
  #dropped = 0;
  readonly #waste: Waste;
  #isRunning = false;
  #isAwake = false;
  /** Runs while everything that waits is of peers that rest. */
  #later: NodeJS.Timeout | undefined;

  constructor(parts: {
    readonly inbox: Inbox;
    readonly core: ConsensusCore;
    readonly verifier: SignatureVerifier;
    readonly deliver: (message: VerifiedMessage) => void;
    readonly failed: (error: unknown) => void;
    /** Told of a refusal first; true when the message was not the peer's own, and is dealt with. */
    readonly isForeign?: (bytes: Uint8Array, error: VerifyError) => boolean;
    readonly log: Log;
    /** What peers may cost; another clock for tests. */
    readonly waste?: Waste;
  }) {
    this.#inbox = parts.inbox;
    this.#core = parts.core;
    this.#verifier = parts.verifier;
    this.#deliver = parts.deliver;
    this.#failed = parts.failed;
    this.#isForeign = parts.isForeign ?? (() => false);
    this.#log = parts.log;
    this.#waste = parts.waste ?? new Waste();
  }

  /** Something has arrived. Cheap to call often. */
  wake(): void {
    this.#isAwake = true;
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#run().catch((error: unknown) => this.#failed(error));
  }

  async #run(): Promise<void> {
    while (this.#isAwake) {
      this.#isAwake = false;
      while (this.#inbox.waiting.some((peer) => !this.#isResting(peer))) {
        await this.#pass();
        // Timers and sockets get their turn, however much there is to read.
        await new Promise((resolve) => setImmediate(resolve));
      }
    }
    this.#isRunning = false;
    this.#wakeLater();
  }

  #isResting(peer: PeerId): boolean {
    return this.#waste.restMs(peer) > 0;
  }

  #wakeLater(): void {
    clearTimeout(this.#later);
    const rests = this.#inbox.waiting.map((peer) => this.#waste.restMs(peer));
    if (rests.length > 0) this.#later = setTimeout(() => this.wake(), Math.min(...rests)).unref();
  }

  async #pass(): Promise<void> {
    const light: Planned[] = [];
    for (const { peer, message } of this.#inbox.take(PER_PEER_MAX, (it) => this.#isResting(it))) {
      const planned = this.#plan(peer, message);
      if (planned === undefined) continue;
      if (planned.plan.jobs.length <= LIGHT_JOBS_MAX) light.push(planned);
      else this.#startHeavy(planned);
    }
    await this.#verify(light);
  }

  #startHeavy(planned: Planned): void {
    // Dropped, not queued: whatever it was will be sent again when it is still needed (T1).
    if (this.#heavy.has(planned.peer)) return;
    this.#heavy.add(planned.peer);
    this.#verify([planned])
      .finally(() => this.#heavy.delete(planned.peer))
      .catch((error: unknown) => this.#failed(error));
  }

  #plan(peer: PeerId, bytes: Uint8Array): Planned | undefined {
    let message: Message | undefined;
    let planned: Planned | undefined;
    try {
      message = this.#isHeard(peer, bytes) ? decodeMessage(bytes) : undefined;
      if (message !== undefined && this.#core.wants(peer, message).useful) {
        planned = this.#planned(peer, bytes, message);
      }
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      if (!this.#refuse(peer, bytes, error)) return undefined;
    }
    this.#waste.read(peer, bytes, message, planned !== undefined);
    return planned;
  }

  /** Before it is read: a proof may be a megabyte, and reading one that nobody checks eight milliseconds. */
  #isHeard(peer: PeerId, bytes: Uint8Array): boolean {
    return !(this.#slanderers.has(peer) && kindOf(bytes) === 'evidence');
  }

  #planned(peer: PeerId, bytes: Uint8Array, message: Message): Planned {
    const { kind } = message;
    try {
      const plan = planMessage(peer, message, this.#core.context, () => createHash('sha256'));
      return { peer, bytes, kind, plan };
    } catch (error) {
      if (kind === 'evidence') this.#slanderers.add(peer);
      throw error;
    }
  }

  async #verify(planned: readonly Planned[]): Promise<void> {
    if (planned.length === 0) return;
    const plans = planned.map(({ plan }) => plan);
    const outcomes = await runPlans(this.#verifier, plans).catch((error: unknown) => {
      if (!isOverloaded(error)) throw error;
      this.#drop(planned.length, error);
      return [];
    });
    for (const [i, outcome] of outcomes.entries()) {
      const one = planned[i];
      if (one === undefined) continue;
      if (outcome.kind === 'ok') {
        this.#deliver(outcome.value);
        continue;
      }
      if (one.kind === 'evidence') this.#slanderers.add(one.peer);
      if (!this.#refuse(one.peer, one.bytes, outcome.error)) continue;
      this.#waste.checked(one.peer, one.plan.jobs.length);
    }
  }

  /** Unchecked they are lost like others on the way: whoever still needs them sent sends them again (T1). */
  #drop(count: number, error: unknown): void {
    const before = this.#dropped;
    this.#dropped += count;
    // One line per power of two: a flood must not become a flood of log lines.
    if (Math.floor(Math.log2(before + 1)) === Math.floor(Math.log2(this.#dropped + 1))) return;
    this.#log.warn('messages_dropped', { count: this.#dropped, reason: describeError(error) });
  }

  /** @returns whether it is its peer's doing */
  #refuse(peer: PeerId, bytes: Uint8Array, error: VerifyError): boolean {
    if (this.#isForeign(bytes, error)) return false;
    const count = (this.refusals.get(peer) ?? 0) + 1;
    this.refusals.set(peer, count);
    // One line per power of two: a flood must not become a flood of log lines.
    if ((count & (count - 1)) === 0) {
      this.#log.warn('message_refused', { peer, count, code: error.code, reason: error.message });
    }
    return true;
  }
}
