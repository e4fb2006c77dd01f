// Watches everything that happens in a world and throws a `Violation` when an invariant of
// CONSENSUS.md 2.15 does not hold. Correct replicas are watched; traitors may do as they please.
import { publicKeyHex } from '../../verifier/ed25519.ts';
import type { Roster } from '../../verifier/roster.ts';
import type {
  Input,
  Limits,
  PeerId,
  PersistRequest,
  Ready,
  SignRequest,
  VoteSignRequest,
} from '../consensus/types.ts';
import type { StateSummary } from '../consensus/summary.ts';
import { CanonicalLog, type EntryReader } from './canonical-log.ts';
import { CertificateChecker } from './certificate-checker.ts';
import { keptPrepared, requireDurable, requireDurableBatch } from './durability-checker.ts';
import { NODES_MAX, simNode } from './nodes.ts';
import type { Process, ProcessMonitor } from './process.ts';
import { type EpochOracle, epochOracle } from './quorum-oracle.ts';
import { SignatureLedger } from './signature-ledger.ts';
import type { Signatures } from './signatures.ts';
import { Violation } from './violation.ts';
import { type VoteContext, requireOpening, requireValidBatch } from './vote-checker.ts';

/** What has happened in a run, for its summary line. */
export interface Counters {
  commits: number;
  viewChanges: number;
  epochs: number;
  crashes: number;
  evidence: number;
  signatures: number;
}

/** How often the sizes of a replica's memory are looked at, in steps (I12). */
const BOUNDS_EVERY = 64;

/** What each byte string may keep alive beside twice itself, bytes (`ownBytes`). */
const PINNED_BYTES_MAX = 256;

/** The invariants. */
export class Monitor implements ProcessMonitor {
  readonly log: CanonicalLog;
  readonly ledger: SignatureLedger;
  readonly counters: Counters = {
    commits: 0,
    viewChanges: 0,
    epochs: 0,
    crashes: 0,
    evidence: 0,
    signatures: 0,
  };
  /** Heights whose checkpoint has a quorum of cosignatures. */
  cosignedHeight = 0;
  /** Why correct replicas wished for another view. */
  readonly wishes: Map<string, number> = new Map();
  readonly #epochs = new Map<number, EpochOracle>();
  readonly #certificates: CertificateChecker;
  readonly #isTraitor: (peer: PeerId) => boolean;
  readonly #limits: Limits;
  readonly #mayFork: boolean;
  readonly #rosters = new Map<number, Roster>();
  #steps = 0;
  readonly #note: (process: Process, text: () => string) => void;

  constructor(options: {
    readonly signatures: Signatures;
    readonly isTraitor: (peer: PeerId) => boolean;
    readonly limits: Limits;
    readonly roster: Roster;
    readonly read: EntryReader;
    /** More members are faulty than may be: the log may fork, and correct replicas may halt. */
    readonly mayFork: boolean;
    /** Writes a line of the transcript. */
    readonly note: (process: Process, text: () => string) => void;
  }) {
    this.log = new CanonicalLog(options.read);
    this.ledger = new SignatureLedger(this.#epochs, options.mayFork);
    this.#mayFork = options.mayFork;
    const nodeOf = new Map<string, number>();
    for (let i = 0; i < NODES_MAX; i++) nodeOf.set(simNode(i).peer, i);
    this.#certificates = new CertificateChecker(options.signatures, nodeOf);
    this.#isTraitor = options.isTraitor;
    this.#limits = options.limits;
    this.#note = options.note;
    this.#startEpoch(options.roster);
  }

  #startEpoch(roster: Roster): void {
    if (this.#rosters.has(roster.epoch)) return;
    this.#rosters.set(roster.epoch, roster);
    this.#epochs.set(roster.epoch, epochOracle(roster, this.#isTraitor));
    this.counters.epochs = Math.max(this.counters.epochs, roster.epoch);
  }

  /** The newest roster in force. */
  get roster(): Roster {
    const roster = this.#rosters.get(this.counters.epochs);
    if (roster === undefined) throw new Violation('I3', 'an epoch without a roster');
    return roster;
  }

  oracle(epoch: number): EpochOracle {
    const oracle = this.#epochs.get(epoch);
    if (oracle === undefined) throw new Violation('I5', `epoch ${epoch} has not begun`);
    return oracle;
  }

  isTraitor(process: Process): boolean {
    return this.#isTraitor(process.node.peer);
  }

  // ---- processes

  started(process: Process): void {
    this.#note(process, () => `starts at height ${process.disk.height}`);
  }

  crashed(process: Process): void {
    this.counters.crashes += 1;
    this.#note(process, () => 'crashes');
  }

  /** A transaction has become durable. */
  durable(process: Process, { writes }: PersistRequest): void {
    if (this.isTraitor(process)) return;
    for (const write of writes) {
      if (write.kind !== 'commit') continue;
      const { digest, header, body, certificate, nextRoster } = write;
      // The certificate first: a batch without one is the cause, a fork only its consequence.
      const oracle = this.oracle(header.epoch);
      this.#certificates.certificate(oracle, certificate, 'commit', digest, header.height);
      this.log.commit(digest, header, body);
      this.counters.commits += 1;
      if (nextRoster !== undefined) this.#startEpoch(nextRoster);
      this.#note(process, () => `has committed height ${header.height} ${digest.slice(0, 6)}`);
    }
  }

  // ---- steps

  stepped(process: Process, input: Input, ready: Ready): void {
    this.#steps += 1;
    this.#transcribe(process, input, ready);
    if (this.isTraitor(process)) return;
    for (const event of ready.events) {
      if (event.event === 'halted' && !process.hasFailed && !this.#mayFork) {
        throw new Violation('halted', `${process.node.name}: ${event.reason}`);
      }
      if (event.event === 'view-entered' || event.event === 'view-active') {
        this.counters.viewChanges = Math.max(this.counters.viewChanges, event.view);
      }
      if (event.event === 'wish') {
        this.wishes.set(event.cause, (this.wishes.get(event.cause) ?? 0) + 1);
      }
    }
    for (const { header, digest } of ready.committed) {
      if (process.disk.digestAt(header.height) !== digest) {
        throw new Violation('I10', `P6: height ${header.height} announced before it was durable`);
      }
    }
    const { cosigned } = ready;
    if (cosigned !== undefined) {
      this.#certificates.cosignedCheckpoint(this.oracle(cosigned.epoch), cosigned);
      const header = this.log.headerAt(cosigned.height);
      if (header?.root !== cosigned.root || header.size !== cosigned.size) {
        throw new Violation(
          'I2',
          `a checkpoint of height ${cosigned.height} that is not the log's`,
        );
      }
      this.cosignedHeight = Math.max(this.cosignedHeight, cosigned.height);
    }
    for (const { message } of ready.send) {
      if (message.kind === 'evidence' && !process.disk.hasProof(message.report)) {
        throw new Violation('I10', `${message.report.rule} is handed on before it is durable`);
      }
    }
    for (const { rule, accused } of ready.evidence) {
      this.counters.evidence += 1;
      if (!this.#isTraitor(accused)) {
        throw new Violation('I11', `${rule} accuses a correct replica: ${nameOf(accused)}`);
      }
    }
    if (this.#steps % BOUNDS_EVERY === 0) this.#checkBounds(process);
  }

  #checkBounds(process: Process): void {
    const summary = process.replica?.summary;
    if (summary === undefined) return;
    // A core is in its next epoch a moment before that is durable and known here.
    const members = this.#rosters.get(summary.epoch)?.replicas.length;
    if (members === undefined) return;
    const { bodiesMax, poolRequestsMax, laneRequestsMax, batchRequestsMax } = this.#limits;
    const bounds: { readonly [name in keyof StateSummary['sizes']]: number } = {
      bodies: bodiesMax + 1,
      // Two phases, four slots each.
      votes: 8 * members,
      checks: bodiesMax + 1,
      fetches: bodiesMax,
      peers: NODES_MAX + 64,
      viewChanges: members,
      cosigns: 2 * members,
      requests: poolRequestsMax + members * (laneRequestsMax + batchRequestsMax),
      exposed: laneRequestsMax,
      // Everything that waits, and until it is due what replicas had handed in that are members no more.
      relayDue: 2 * (poolRequestsMax + members * laneRequestsMax),
      queued: 64,
      accused: 8 * members,
      // X8 is not handed on.
      proofs: 7 * members,
      ahead: 2 * batchRequestsMax,
    };
    for (const [name, bound] of Object.entries(bounds)) {
      const size = summary.sizes[name as keyof StateSummary['sizes']];
      if (size > bound) throw new Violation('I12', `${size} ${name} in memory, at most ${bound}`);
    }
    this.#checkMemory(process);
  }

  /** What is counted as some bytes must not keep megabytes alive: a view does, of what it is a view into. */
  #checkMemory(process: Process): void {
    let length = 0;
    let bound = 0;
    const buffers = new Set<ArrayBufferLike>();
    for (const bytes of process.replica?.keptBytes() ?? []) {
      length += bytes.length;
      bound += 2 * bytes.length + PINNED_BYTES_MAX;
      buffers.add(bytes.buffer);
    }
    let held = 0;
    for (const { byteLength } of buffers) held += byteLength;
    if (held > bound) throw new Violation('I12', `${held} bytes held in memory for ${length}`);
  }

  /** I14: the same message once more. */
  replayed(process: Process, input: Input, before: string, ready: Ready, after: string): void {
    if (this.isTraitor(process)) return;
    const effects = [
      ready.persist === undefined ? '' : 'persist',
      ready.build === undefined ? '' : 'build',
      ready.sign.length > 0 ? 'sign' : '',
      ready.check.length > 0 ? 'check' : '',
      ready.committed.length > 0 ? 'committed' : '',
      ready.evidence.length > 0 ? 'evidence' : '',
      before === after ? '' : 'state',
    ].filter((effect) => effect !== '');
    if (effects.length === 0) return;
    const what = input.kind === 'receive' ? input.message.message.kind : input.kind;
    throw new Violation('I14', `${what} received again has effects: ${effects.join(', ')}`);
  }

  // ---- signatures

  signing(process: Process, request: SignRequest, time: number): void {
    this.counters.signatures += 1;
    if (this.isTraitor(process)) return;
    const { peer } = process.node;
    this.#note(process, () => describeSignature(request, time));
    if (process.identity !== peer) throw new Violation('I10', 'C5: signed after losing its disk');
    if (request.key === 'cosign') {
      requireDurableBatch(process.disk, request);
      this.ledger.cosign(peer, request);
      return;
    }
    requireDurable(process.disk, request);
    this.#checkContent(process, peer, request);
  }

  #checkContent(process: Process, peer: PeerId, { content, bytes }: VoteSignRequest): void {
    switch (content.kind) {
      case 'pre-prepare':
      case 'prepare': {
        const context = this.#voteContext(content.vote.epoch);
        this.ledger.vote(peer, 'prepare', content.vote);
        requireOpening(process, content.vote, context);
        requireValidBatch(process, content.vote, context);
        return;
      }
      case 'commit': {
        const { vote } = content;
        const context = this.#voteContext(vote.epoch);
        this.ledger.vote(peer, 'commit', vote);
        requireOpening(process, vote, context);
        const prepared = keptPrepared(process.disk);
        if (prepared?.certificate.vote.digest === vote.digest) {
          const { certificate, header } = prepared;
          const { oracle } = context;
          this.#certificates.certificate(
            oracle,
            certificate,
            'prepare',
            vote.digest,
            header.height,
          );
        }
        return;
      }
      case 'view-change':
        this.#certificates.viewChange(this.oracle(content.content.epoch), content.content);
        this.ledger.viewChange(peer, content.content, bytes);
        return;
      case 'new-view':
        this.#certificates.newView(this.oracle(content.content.epoch), content.content);
        this.ledger.newView(peer, content.content, bytes);
    }
  }

  #voteContext(epoch: number): VoteContext {
    const { clockSkewMaxMs, batchRequestsMax, batchBytesMax } = this.#limits;
    return {
      oracle: this.oracle(epoch),
      log: this.log,
      certificates: this.#certificates,
      clockSkewMaxMs,
      batchRequestsMax,
      batchBytesMax,
    };
  }

  // ---- transcript

  #transcribe(process: Process, input: Input, ready: Ready): void {
    for (const event of ready.events) {
      this.#note(process, () => {
        const { event: name, ...fields } = event;
        return `${name} ${JSON.stringify(fields)}`;
      });
    }
    for (const { rule, accused } of ready.evidence) {
      this.#note(process, () => `accuses ${nameOf(accused)} by ${rule}`);
    }
    if (input.kind === 'persist-failed') this.#note(process, () => 'its disk has failed');
  }
}

/** A short name for a key. */
export function nameOf(peer: PeerId): string {
  for (let i = 0; i < NODES_MAX; i++) {
    const { name, peer: known, learner } = simNode(i);
    if (known === peer) return name;
    if (learner === peer) return `${name}/learner`;
  }
  return peer.slice(0, 8);
}

function describeSignature(request: SignRequest, time: number): string {
  if (request.key === 'cosign') return `signs COSIGN size ${request.size} at ${time}`;
  const { content } = request;
  if (content.kind === 'view-change' || content.kind === 'new-view') {
    return `signs ${content.kind.toUpperCase()} into view ${content.content.view}`;
  }
  const { view, height, digest } = content.vote;
  return `signs ${content.kind.toUpperCase()} view ${view} height ${height} ${digest.slice(0, 6)}`;
}

/** Peers of a roster. */
export function peersOf(roster: Roster): readonly PeerId[] {
  return roster.replicas.map(({ voteKey }) => publicKeyHex(voteKey));
}
