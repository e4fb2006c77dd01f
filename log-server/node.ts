// One replica in one process: storage, consensus core, peers, public face, and the wires between them.
import { type Hash, createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { gunzipNow } from '../verifier/node/gunzip.ts';
import { SignaturePool, isOverloaded } from '../verifier/node/signature-pool.ts';
import { publicKeyHex } from '../verifier/ed25519.ts';
import { VerifyError, assert } from '../verifier/errors.ts';
import { planEvidence } from '../verifier/replication/judge.ts';
import { runPlan, type SignatureVerifier } from '../verifier/signatures.ts';
import { statementHash } from '../verifier/dsse.ts';
import type { JsonObject } from '../verifier/json.ts';
import { rosterWeights } from '../verifier/roster.ts';
import type { Roster } from '../verifier/roster.ts';
import { weightOf } from '../verifier/quorum.ts';
import { DEFAULT_LIMITS } from './consensus/defaults.ts';
import { NO_MUTANTS } from '../verifier/replication/members.ts';
import type {
  CommittedBatch,
  Header,
  IgnoreReason,
  Misbehaviour,
  PeerId,
} from './consensus/types.ts';
import { ConfigError, type Config } from './config.ts';
import { BusyError } from './http/face.ts';
import type { MisbehaviourSummary, PublicFace, SubmissionState } from './http/face.ts';
import type { Metric } from './http/metrics.ts';
import { createPublicApp } from './http/public.ts';
import { serve } from './http/server.ts';
import type { PublicServer } from './http/server.ts';
import { loadKeyFile, type ReplicaKeys } from './key-file.ts';
import type { BatchLimits, Refusal } from './ledger/application.ts';
import { type Log, describeError } from './log.ts';
import { AMNESIA_HINT, claimSuffrage } from './node/amnesia.ts';
import type { Suffrage } from './node/amnesia.ts';
import { ArtifactFetcher } from './node/artifact-fetcher.ts';
import type { Holder } from './node/artifact-fetcher.ts';
import { adoptNote } from './node/adopt-note.ts';
import { CheckpointPublisher } from './node/checkpoint-publisher.ts';
import { ClockSkew } from './node/clock-skew.ts';
import { CoalescingVerifier } from './node/coalescing-verifier.ts';
import type { ConsensusCore } from './node/core-port.ts';
import { makeCore } from './node/core.ts';
import { DAMAGE_HINT, markDamaged } from './node/damage-mark.ts';
import { ContradictionKeeper } from './node/contradiction-keeper.ts';
import { Driver } from './node/driver.ts';
import { FairVerifier, fairLimits } from './node/fair-verifier.ts';
import { Follower } from './node/follower.ts';
import { othersOf, type Source } from './node/follower.ts';
import type { Clocks } from './node/driver.ts';
import { entryOf } from './node/entry-of.ts';
import { EvidenceKeeper } from './node/evidence-keeper.ts';
import { healthChecks, readinessChecks } from './node/health.ts';
import type { Vitals } from './node/health.ts';
import { Intake } from './node/intake.ts';
import { Lane } from './node/lane.ts';
import { Life, LifeFile, goOnLiving } from './node/life.ts';
import { countEvents, replicaMetrics } from './node/replica-metrics.ts';
import { LedgerWork } from './node/ledger-work.ts';
import { Rest } from './node/rest.ts';
import { openSound } from './node/sound-storage.ts';
import { timingOf } from './node/timing.ts';
import { Scrubber } from './node/scrubber.ts';
import { Submissions } from './node/submissions.ts';
import { Mailbox, MailboxFullError } from './mailbox/mailbox.ts';
import { MAILBOX_FILE, ProposalTables, openMailboxDatabase } from './mailbox/tables.ts';
import { PeerTransport } from './peer/transport.ts';
import type { PeerGroup } from './peer/transport.ts';
import type { Setup } from './setup.ts';
import { isDamage } from './store/damage.ts';
import type { Storage } from './store/storage.ts';

/** What a batch may hold, in the ledger's words. */
const BATCH_LIMITS: BatchLimits = {
  entriesMax: DEFAULT_LIMITS.batchRequestsMax,
  bytesMax: DEFAULT_LIMITS.batchBytesMax,
};

/** How often artifacts that the log names and that are not here are looked for. */
const REPAIR_INTERVAL_MS = 5000;
/** How many of them at a time; as long as they come, the next ones follow at once. */
const REPAIRS_MAX = 256;

/** A checkpoint older than this many re-signing intervals means that a quorum is not signing. */
const CHECKPOINT_INTERVALS_MAX = 3;

/** What a replica runs with beside its setup. */
export interface NodeOptions {
  readonly setup: Setup;
  /** What may have changed since; the setup's configuration unless given. */
  readonly live?: Pick<Config, 'addressWritesPerSecond' | 'drainSeconds'>;
  readonly log: Log;
  readonly clocks: Clocks;
  /** Something that must not happen did: end the process with code 70. */
  readonly failed: (error: unknown) => void;
  /** The database was found damaged: close this replica and start it again, which rebuilds it. */
  readonly damaged?: () => void;
}

/** Starts a replica. */
export async function startNode(options: NodeOptions): Promise<ReplicaNode> {
  const { setup, clocks } = options;
  const { log, counts } = countEvents(options.log);
  const [genesis] = setup.rosterEnvelopes;
  assert(genesis !== undefined, 'a checked setup has a roster');
  // As they are now: a replica's first start binds them to its database, and this may be its second one
  // in this process.
  const keys = await loadKeyFile(setup.config.keyFile);
  requireSameKeys(setup, keys);
  const verifier = new SignaturePool();
  const limits = fairLimits(availableParallelism());
  // Two queues: a flood of clients leaves those of other replicas alone, who hand on what is needed.
  const askers = {
    client: new FairVerifier(verifier, limits),
    peer: new FairVerifier(verifier, limits),
  };
  try {
    const { storage, durable } = await openSound({
      folder: setup.config.dataDir,
      genesis,
      replica: setup.config.replica,
      limits: BATCH_LIMITS,
      verifier: new CoalescingVerifier(verifier),
      verifierOf: ({ kind, name }) => askers[kind].of(name),
      gunzip: gunzipNow,
      nowMs: clocks.wallMs,
      generation: keys.databaseGeneration,
      sources: othersOf(setup.config.replica, setup.rosters.at(-1)?.replicas ?? []),
      log,
    });
    const { keyFile } = setup.config;
    const { generation } = storage.store.identity;
    const isEmpty = durable.committed.header.height === 0 && durable.records.size === 0;
    const claimed = await claimSuffrage(keyFile, keys, { generation, isEmpty });
    const lifeFile = new LifeFile(keyFile, generation);
    const suffrage = await goOnLiving(claimed, lifeFile, durable, isEmpty, () =>
      storage.store.disown(),
    );
    const core = makeCore(
      {
        // An observer is a member of no roster: the core then follows the log and signs nothing.
        self: suffrage.kind === 'voter' ? publicKeyHex(suffrage.keys.vote.publicKey) : 'observer',
        limits: DEFAULT_LIMITS,
        timing: timingOf(setup.config),
        entryOf,
        createHash: () => createHash('sha256'),
        mutants: NO_MUTANTS,
      },
      durable,
    );
    const checkpoint = await storage.store.checkpoint();
    const mailbox = new Mailbox({
      tables: new ProposalTables(
        openMailboxDatabase(join(setup.config.dataDir, MAILBOX_FILE), options.log),
      ),
      view: storage.view,
      claimIndex: storage.claimIndex,
      verifier: askers.client.of('proposals'),
      nowSeconds: () => Math.floor(clocks.wallMs() / 1000),
      nowMs: clocks.monotonicMs,
    });
    const node = new ReplicaNode({
      ...options,
      log,
      events: counts,
      storage,
      mailbox,
      suffrage,
      lifeFile,
      core,
      verifier,
      headVerifier: askers.client.of('heads'),
      coveredSize: checkpoint?.size ?? 0,
    });
    try {
      await node.start();
    } catch (error) {
      // A port that is taken, say. Whatever does listen or run already would keep the process alive,
      // deaf, and no supervisor would start it again.
      await node.close();
      throw error;
    }
    return node;
  } catch (error) {
    await verifier.close();
    throw error;
  }
}

function requireSameKeys({ config, keys: before }: Setup, keys: ReplicaKeys): void {
  const publicKeys = ({ vote, cosign }: ReplicaKeys): string =>
    publicKeyHex(vote.publicKey) + publicKeyHex(cosign.publicKey);
  if (publicKeys(keys) === publicKeys(before)) return;
  throw new ConfigError(config.keyFile, [
    'other keys than those that the process was started with',
  ]);
}

interface NodeParts extends NodeOptions {
  readonly storage: Storage;
  readonly mailbox: Mailbox;
  readonly suffrage: Suffrage;
  readonly lifeFile: LifeFile;
  /** Events logged so far, by name. */
  readonly events: ReadonlyMap<string, number>;
  readonly core: ConsensusCore;
  readonly verifier: SignaturePool;
  /** For heads that strangers report. */
  readonly headVerifier: SignatureVerifier;
  readonly coveredSize: number;
}

/** A running replica. */
export class ReplicaNode {
  readonly #parts: NodeParts;
  readonly #lane: Lane = new Lane();
  readonly #driver: Driver;
  readonly #intake: Intake;
  readonly #scrubber: Scrubber;
  readonly #skew: ClockSkew;
  #life: Life | undefined;
  readonly #transport: PeerTransport;
  readonly #fetcher: ArtifactFetcher;
  readonly #work: LedgerWork;
  readonly #submissions: Submissions;
  readonly #follower: Follower;
  readonly #rest: Rest;
  readonly #keeper: EvidenceKeeper;
  readonly #contradictions: ContradictionKeeper;
  /** Headers that the present epoch and the one before it started from. */
  #epochStarts: readonly Header[];
  #server: PublicServer | undefined;
  #repairs: NodeJS.Timeout | undefined;
  #peerPort = 0;
  #isDraining = false;
  #isRepairing = false;
  #checkpoint: { readonly size: number; readonly timeSeconds: number } | undefined;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    const { core, storage, verifier, clocks, log, setup, suffrage } = parts;
    const failed = (error: unknown): void => this.#failed(error);
    const lane = this.#lane;
    this.#epochStarts = [core.context.epochStart];
    this.#keeper = new EvidenceKeeper(join(setup.config.dataDir, 'evidence'), storage.store, log);
    const [genesis] = setup.rosterEnvelopes;
    assert(genesis !== undefined, 'a checked setup has a roster');
    this.#contradictions = new ContradictionKeeper({
      folder: join(setup.config.dataDir, 'contradictions'),
      store: storage.store,
      view: storage.view,
      claimIndex: storage.claimIndex,
      genesis: statementHash(genesis.payload),
      verifier: parts.headVerifier,
      log,
    });
    this.#skew = new ClockSkew(clocks.wallMs);
    this.#scrubber = new Scrubber({
      heldAfter: storage.heldAfter,
      read: (sha512) => storage.artifacts.read(sha512),
      size: () => storage.view.tip.size,
      entry: (index) => storage.store.entry(index),
      failed,
      log,
    });
    this.#submissions = new Submissions(parts.coveredSize);
    this.#fetcher = new ArtifactFetcher(storage.artifacts, log);
    this.#transport = new PeerTransport(this.#peerGroup(), log, () => intake.wake());
    this.#work = new LedgerWork({
      application: storage.application,
      store: storage.store,
      lane,
      fetcher: this.#fetcher,
      holders: (first) => this.#holders(first),
      limits: BATCH_LIMITS,
      wallMs: clocks.wallMs,
      height: () => storage.view.tip.height,
      // As long as the first view timer: whoever gave up before it brought the view down on a busy machine,
      // and the next leader's proposal was no easier.
      artifactPatienceMs: setup.config.viewTimeoutMs,
      refused: (id, refusal) => this.#refused(id, refusal),
      failed,
      log,
    });
    const publisher = new CheckpointPublisher({
      store: storage.store,
      lane,
      verifier,
      rosterOf: (epoch) => (this.#roster.epoch === epoch ? this.#roster : undefined),
      published: (size, timeSeconds) => this.#published(size, timeSeconds),
      log,
    });
    this.#driver = new Driver({
      core,
      keys: suffrage.keys,
      origin: this.#roster.origin,
      store: storage.store,
      lane,
      work: this.#work,
      transport: { send: (peer, message, replaces) => this.#send(peer, message, replaces) },
      clocks,
      tickMs: setup.config.tickMs,
      log,
      events: {
        committed: (batch) => this.#committed(batch),
        cosigned: (checkpoint) => {
          this.#skew.observe(checkpoint.cosignatures, core.context.members.self);
          publisher.publish(checkpoint);
        },
        misbehaved: (report) => this.#misbehaved(report),
        epochStarted: () => {
          this.#epochStarts = [core.context.epochStart, ...this.#epochStarts.slice(0, 1)];
          this.#transport.setGroup(this.#peerGroup());
          this.#skew.forget();
        },
        failed,
      },
    });
    const intake: Intake = new Intake({
      inbox: this.#transport.inbox,
      core,
      verifier,
      deliver: (message) => this.#driver.receive(message),
      failed,
      log,
    });
    this.#intake = intake;
    this.#rest = new Rest({
      release: async () => {
        await verifier.rest();
        await storage.rest();
      },
      log,
    });
    this.#follower = new Follower({
      isNeeded: () => !this.#isMember || this.#reachableWeight() < this.#roster.thresholds.quorum,
      height: () => core.summary.height,
      epoch: () => this.#roster.epoch,
      peers: () => core.context.members.others,
      sources: () => this.#sources(),
      deliver: (peer, message) => {
        this.#transport.inbox.push(peer, [message]);
        intake.wake();
      },
      adopt: (note) => this.#adopt(note),
      log,
    });
  }

  /** Public address that it really listens on. */
  get publicUrl(): string {
    return `http://${this.#parts.setup.config.publicHost}:${this.#server?.port ?? 0}`;
  }

  /** Address of its listener for peers. */
  get peerUrl(): string {
    return `http://${this.#parts.setup.config.peerHost}:${this.#peerPort}`;
  }

  /** Starts listening, ticking and repairing. */
  async start(): Promise<void> {
    const { setup, log, suffrage } = this.#parts;
    const { config } = setup;
    if (suffrage.kind === 'observer') {
      log.error('amnesia_guard', { reason: suffrage.reason, hint: AMNESIA_HINT });
    }
    this.#peerPort = await this.#transport.listen(config.peerHost, config.peerPort);
    const app = createPublicApp(this.#face(), log, () => this.#live.addressWritesPerSecond);
    this.#server = await serve(app, config.publicHost, config.publicPort);
    if (suffrage.kind === 'voter') {
      const { lifeFile: file, storage } = this.#parts;
      this.#life = new Life({ file, store: storage.store, log });
    }
    this.#driver.start();
    this.#rest.start();
    this.#parts.storage.store.onHalted((error) => this.#halted(error));
    this.#follower.start();
    this.#scrubber.start();
    this.#tellKept().catch((error: unknown) => this.#failed(error));
    this.#repairs = setInterval(() => this.#repairArtifacts(), REPAIR_INTERVAL_MS);
    log.info('listening', { publicUrl: this.publicUrl, peerUrl: this.peerUrl });
  }

  /** A damaged database stops the voting, and only that; anything else unexpected ends the process. */
  #failed(error: unknown): void {
    if (isDamage(error)) this.#parts.storage.store.halt(error);
    else this.#parts.failed(error);
  }

  #halted(error: Error): void {
    const { log, setup } = this.#parts;
    if (isDamage(error)) {
      markDamaged(setup.config.dataDir, error);
      log.error('halted', { reason: error.message, hint: DAMAGE_HINT });
      this.#parts.damaged?.();
    }
    this.#driver.feed({ kind: 'persist-failed' });
  }

  /** Stops: clients first, then peers, then the disk. What was promised is durable already. */
  async close(): Promise<void> {
    const { drainSeconds } = this.#live;
    const { storage, verifier, log } = this.#parts;
    this.#isDraining = true;
    log.info('stopping', { drainSeconds });
    this.#submissions.release();
    await this.#server?.close(drainSeconds * 1000);
    this.#driver.stop();
    clearInterval(this.#repairs);
    await this.#scrubber.close();
    this.#rest.stop();
    await this.#follower.close();
    await this.#fetcher.close();
    await this.#transport.close();
    await this.#lane.idle();
    await this.#life?.end();
    await verifier.close();
    this.#parts.mailbox.close();
    await storage.store.close();
    log.info('stopped');
  }

  get #live(): Pick<Config, 'addressWritesPerSecond' | 'drainSeconds'> {
    return this.#parts.live ?? this.#parts.setup.config;
  }

  get #roster(): Roster {
    return this.#parts.core.context.members.roster;
  }

  /** Whether the present roster has this replica's key: others talk to no one else. */
  get #isMember(): boolean {
    const own = publicKeyHex(this.#parts.suffrage.keys.vote.publicKey);
    return this.#roster.replicas.some(({ voteKey }) => publicKeyHex(voteKey) === own);
  }

  #send(peer: PeerId, message: Uint8Array, replaces: string | undefined): void {
    if (this.#follower.answers(peer, message)) return;
    // The others would refuse the connection; asking again and again would only cost them handshakes.
    if (this.#isMember) this.#transport.send(peer, message, replaces);
  }

  /** Where to ask for batches: the present roster and, after a long sleep, the newest one on file. */
  #sources(): readonly Source[] {
    const { config, rosters } = this.#parts.setup;
    return othersOf(config.replica, [
      ...(rosters.at(-1)?.replicas ?? []),
      ...this.#roster.replicas,
    ]);
  }

  async #adopt(note: string): Promise<void> {
    const { storage, verifier, log } = this.#parts;
    const { application, store } = storage;
    const known = this.#checkpoint?.timeSeconds ?? 0;
    const contradicted = (text: string): void => {
      this.#contradictions.keepNote(text).catch((error: unknown) => {
        // The note is logged whole besides, and the follower meets it again.
        if (isOverloaded(error)) log.warn('head_unjudged', { error: describeError(error) });
        else this.#failed(error);
      });
    };
    const parts = {
      application,
      store,
      lane: this.#lane,
      verifier,
      roster: this.#roster,
      contradicted,
      log,
    };
    const adopted = await adoptNote(note, known, parts);
    if (adopted !== undefined) this.#published(adopted.size, adopted.certifiedTime);
  }

  #published(size: number, timeSeconds: number): void {
    this.#checkpoint = { size, timeSeconds };
    this.#submissions.covered(size);
  }

  #peerGroup(): PeerGroup {
    const { keys } = this.#parts.suffrage;
    const own = publicKeyHex(keys.vote.publicKey);
    const { origin, epoch, replicas } = this.#roster;
    return {
      context: { origin, epoch, signer: keys.vote },
      peers: replicas.filter(({ voteKey }) => publicKeyHex(voteKey) !== own),
    };
  }

  /** The other replicas' public addresses, the given peers first. */
  #holders(first: readonly PeerId[]): readonly Holder[] {
    const own = this.#parts.setup.config.replica;
    const rank = (key: string): number => {
      const place = first.indexOf(key);
      return place === -1 ? first.length : place;
    };
    return this.#roster.replicas
      .filter(({ name }) => name !== own)
      .map(({ name, url, voteKey }) => ({ name, url, rank: rank(publicKeyHex(voteKey)) }))
      .sort((a, b) => a.rank - b.rank);
  }

  #committed(batch: CommittedBatch): void {
    const { header, ids } = batch;
    this.#submissions.committed(ids, header.prevSize);
    const { height, size } = header;
    this.#parts.log.info('batch_committed', { height, size, entries: ids.length });
    this.#follower.advanced(height);
  }

  #repairArtifacts(): void {
    if (this.#isRepairing) return;
    this.#isRepairing = true;
    this.#fetchMissing()
      .catch((error: unknown) => this.#failed(error))
      .finally(() => {
        this.#isRepairing = false;
      });
  }

  async #fetchMissing(): Promise<void> {
    const { storage, setup } = this.#parts;
    while (!this.#isDraining) {
      const missing = await storage.artifacts.missing(REPAIRS_MAX);
      if (missing.length === 0) return;
      const { viewTimeoutMs } = setup.config;
      // A newcomer to a log lacks everything; who lacks what nobody has asks again after a pause.
      const held = await this.#fetcher.fetch(missing, this.#holders([]), viewTimeoutMs, 'repair');
      if (!held) return;
    }
  }

  #misbehaved(report: Misbehaviour): void {
    // The last step may have ended the epoch that its report is about.
    const { epoch } = this.#roster;
    const start = this.#epochStarts[epoch - report.epoch];
    const name = this.#transport.nameOf(report.accused);
    void this.#keeper.keep(report, name, start?.height).then((isKept) => {
      if (isKept) this.#driver.feed({ kind: 'evidence-kept', report });
    });
  }

  /** Proofs of the present epoch from before this start: the others may lack them. */
  async #tellKept(): Promise<void> {
    const { core, verifier, log } = this.#parts;
    for (const report of await this.#keeper.reports(this.#roster.epoch)) {
      try {
        const hash = (): Hash => createHash('sha256');
        await runPlan(verifier, planEvidence(report, core.context, hash));
        this.#driver.feed({ kind: 'evidence-kept', report });
      } catch (error) {
        // Unchecked it is kept all the same, and told after the next start.
        if (!(error instanceof VerifyError || isOverloaded(error))) throw error;
        log.warn('misbehaviour', { rule: report.rule, error: describeError(error) });
      }
    }
  }

  async #misbehaviour(): Promise<readonly MisbehaviourSummary[]> {
    const names = new Map(this.#roster.replicas.map((r) => [publicKeyHex(r.voteKey), r.name]));
    const kept = await this.#keeper.list();
    return kept.map((report) => ({ ...report, replica: names.get(report.key) ?? null }));
  }

  #face(): PublicFace {
    const { storage, setup } = this.#parts;
    return {
      store: storage.store,
      artifacts: storage.artifacts,
      isReleased: storage.isReleased,
      url: this.#publishedUrl(),
      submit: (envelope, waitMs, gone, network) => this.#submit(envelope, waitMs, gone, network),
      submission: async (id) => {
        const found = await storage.store.submission(id);
        if (found === undefined) return this.#submissions.stateOf(id);
        const covered = (this.#checkpoint?.size ?? this.#parts.coveredSize) > found.index;
        return covered ? { kind: 'committed', id, index: found.index } : { kind: 'pending', id };
      },
      misbehaviour: () => this.#misbehaviour(),
      proposals: {
        post: (envelope) => this.#post(envelope),
        listed: (name) => this.#parts.mailbox.listed(name),
        find: (id) => this.#parts.mailbox.find(id),
      },
      misbehaviourDocument: (id) => this.#keeper.document(id),
      contradictions: () => this.#contradictions.list(),
      contradictionDocument: (id) => this.#contradictions.document(id),
      reportHead: (note) => this.#contradictions.keepNote(note),
      health: () => healthChecks(this.#vitals()),
      readiness: () => readinessChecks(this.#vitals()),
      status: () => this.#status(setup.config.replica),
      metrics: () => this.#metrics(),
    };
  }

  async #post(envelope: Uint8Array): ReturnType<Mailbox['post']> {
    if (this.#isDraining) throw new BusyError('this replica is stopping');
    try {
      return await this.#parts.mailbox.post(envelope);
    } catch (error) {
      if (error instanceof MailboxFullError) throw new BusyError(error.message);
      throw error;
    }
  }

  /** Where the roster says that this replica is: behind a proxy that is not where it listens. */
  #publishedUrl(): string {
    const { setup } = this.#parts;
    const entry = this.#roster.replicas.find(({ name }) => name === setup.config.replica);
    return entry?.url ?? `http://${setup.config.publicHost}:${setup.config.publicPort}`;
  }

  async #submit(
    envelope: Uint8Array,
    waitMs: number,
    gone: AbortSignal,
    network: string,
  ): Promise<SubmissionState> {
    if (this.#isDraining) throw new BusyError('this replica is stopping');
    if (this.#parts.suffrage.kind === 'observer') {
      throw new BusyError('this replica only follows the log');
    }
    if (!this.#isMember) throw new BusyError('this replica is not in the present roster');
    // Before any signature is checked: a full pool must cost a stranger's submission nothing (Q1).
    if (!this.#parts.core.hasRoomFor(envelope.length)) throw new BusyError('the pool is full');
    const asker = { kind: 'client', name: network } as const;
    const admission = await this.#work
      .admitEnvelope(envelope, [], asker)
      .catch(async (error: unknown) => {
        if (isDamage(error)) this.#failed(error);
        throw await this.#contradictions.explain(envelope, error);
      });
    if (admission.kind === 'committed') {
      return this.#submissions.wait(admission.id, admission.index, waitMs, gone);
    }
    const { id } = admission.request;
    // One signal that both can end: `AbortSignal.any` costs as much as the rest of a wait.
    const cancel = new AbortController();
    if (gone.aborted) cancel.abort();
    else gone.addEventListener('abort', () => cancel.abort(), { once: true });
    // Waiting starts before the core knows of it, so that no commit can slip through in between.
    const state = this.#submissions.wait(id, undefined, waitMs, cancel.signal);
    const ignored = await new Promise<IgnoreReason | undefined>((resolve) => {
      this.#driver.feed({ kind: 'submit', request: admission.request }, resolve);
    });
    if (ignored !== undefined && ignored !== 'duplicate') {
      cancel.abort();
      throw new BusyError(`the pool does not take it now (${ignored})`);
    }
    this.#submissions.accepted(id);
    // Another gateway may have brought it into the log between admission and here.
    const found = await this.#parts.storage.store.submission(id);
    if (found !== undefined) this.#submissions.committed([id], found.index);
    return state;
  }

  /** A request left the pool because it breaks a rule now, or because it is in the log already. */
  #refused(id: string, refusal: Refusal): void {
    const { code, index } = refusal;
    if (code === 'ALREADY_LOGGED' && index !== undefined) {
      this.#submissions.committed([id], index);
    } else {
      this.#submissions.refused(id, refusal);
    }
  }

  #vitals(): Vitals {
    const { storage, core, setup, clocks } = this.#parts;
    const roster = this.#roster;
    const nowSeconds = Math.floor(clocks.wallMs() / 1000);
    const time = this.#checkpoint?.timeSeconds;
    return {
      deafMs: this.#driver.deafMs,
      storeHalted: storage.store.halted?.message,
      coreHalted: core.halted,
      observerReason: this.#observerReason(),
      isDraining: this.#isDraining,
      reachableWeight: this.#reachableWeight(),
      quorum: roster.thresholds.quorum,
      checkpointAgeSeconds: time === undefined ? undefined : nowSeconds - time,
      checkpointAgeMaxSeconds: CHECKPOINT_INTERVALS_MAX * setup.config.recosignSeconds + 10,
      clockSkewSeconds: this.#skew.medianSeconds,
    };
  }

  #observerReason(): string | undefined {
    const { suffrage } = this.#parts;
    if (suffrage.kind === 'observer') return suffrage.reason;
    return this.#isMember ? undefined : `not in the roster of epoch ${this.#roster.epoch}`;
  }

  #reachableWeight(): number {
    const { suffrage } = this.#parts;
    const roster = this.#roster;
    const reachable = new Set(this.#transport.connectedKeys);
    if (suffrage.kind === 'voter') reachable.add(publicKeyHex(suffrage.keys.vote.publicKey));
    const members = roster.replicas.flatMap(({ voteKey }, i) =>
      reachable.has(publicKeyHex(voteKey)) ? [i] : [],
    );
    return weightOf(members, rosterWeights(roster));
  }

  async #metrics(): Promise<readonly Metric[]> {
    const { storage, core, setup, events } = this.#parts;
    const { height, size } = await storage.application.tip();
    const { view } = core.summary;
    const { members } = core.context;
    const connected = new Set(this.#transport.connected);
    const vitals = this.#vitals();
    const others = members.roster.replicas.filter(({ name }) => name !== setup.config.replica);
    return replicaMetrics({
      epoch: members.epoch,
      view,
      isLeader: members.leader(view) === members.self,
      height,
      size,
      checkpoint: this.#checkpoint,
      vitals,
      checks: readinessChecks(vitals),
      peers: others.map(({ name }) => ({ name, isConnected: connected.has(name) })),
      refusedMessages: new Map(
        [...this.#intake.refusals].map(([key, count]) => [this.#transport.nameOf(key), count]),
      ),
      ignored: this.#driver.ignored,
      prefetched: core.summary.prefetched,
      waitingSubmissions: this.#submissions.waiting,
      misbehaviourReports: (await this.#keeper.list()).length,
      contradictions: (await this.#contradictions.list()).length,
      artifacts: storage.artifactCounts(),
      events,
      dataDir: setup.config.dataDir,
    });
  }

  async #status(replica: string): Promise<JsonObject> {
    const { storage } = this.#parts;
    const tip = await storage.application.tip();
    const { origin, epoch, hash } = this.#roster;
    return {
      replica,
      origin,
      epoch,
      roster: hash,
      mode: this.#observerReason() === undefined ? 'voter' : 'observer',
      ...viewOf(this.#parts.core),
      height: tip.height,
      size: tip.size,
      timeMs: tip.timeMs,
      checkpointSize: this.#checkpoint?.size ?? this.#parts.coveredSize,
      connectedPeers: this.#transport.connected.toSorted(),
      waiting: this.#submissions.waiting,
      ignored: Object.fromEntries(this.#driver.ignored),
      ready: readinessChecks(this.#vitals()).every(({ ok }) => ok),
    };
  }
}

/** Where the core is in the protocol, and who leads. */
function viewOf(core: ConsensusCore): JsonObject {
  const { view, active } = core.summary;
  const { members } = core.context;
  return { view, active, leader: members.roster.replicas[members.leader(view)]?.name ?? null };
}
