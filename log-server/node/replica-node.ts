// One running replica: storage, consensus core, peers, public face, and the wires between them. Each part
// has a file of its own; this one only says what tells what.
import { join } from 'node:path';

import { statementHash } from '../../verifier/dsse.ts';
import { assert } from '../../verifier/errors.ts';
import { type SignaturePool, isOverloaded } from '../../verifier/node/signature-pool.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { Config } from '../config.ts';
import { DEFAULT_LIMITS } from '../consensus/defaults.ts';
import type { CommittedBatch, PeerId } from '../consensus/types.ts';
import { BusyError, type PublicFace } from '../http/face.ts';
import { createPublicApp } from '../http/public.ts';
import { serve, type PublicServer } from '../http/server.ts';
import type { BatchLimits } from '../ledger/application.ts';
import { CachingVerifier } from '../ledger/signature-cache.ts';
import { type Log, describeError } from '../log.ts';
import { type Mailbox, MailboxFullError } from '../mailbox/mailbox.ts';
import { PeerTransport } from '../peer/transport.ts';
import type { Setup } from '../setup.ts';
import { isDamage } from '../store/damage.ts';
import type { Storage } from '../store/storage.ts';
import { adoptNote } from './adopt-note.ts';
import { AMNESIA_HINT, type Suffrage } from './amnesia.ts';
import { ArtifactFetcher } from './artifact-fetcher.ts';
import { ArtifactRepair } from './artifact-repair.ts';
import { CheckpointPublisher } from './checkpoint-publisher.ts';
import { ClockSkew } from './clock-skew.ts';
import { ContradictionKeeper } from './contradiction-keeper.ts';
import type { ConsensusCore } from './core-port.ts';
import { DAMAGE_HINT, markDamaged } from './damage-mark.ts';
import { Driver, type Clocks } from './driver.ts';
import { EvidenceDesk } from './evidence-desk.ts';
import { EvidenceKeeper } from './evidence-keeper.ts';
import { Follower } from './follower.ts';
import { Gateway } from './gateway.ts';
import { healthChecks, readinessChecks } from './health.ts';
import { Intake } from './intake.ts';
import { Lane } from './lane.ts';
import { LedgerWork } from './ledger-work.ts';
import { Life, type LifeFile } from './life.ts';
import { Membership } from './membership.ts';
import { Rest } from './rest.ts';
import { Scrubber } from './scrubber.ts';
import { SelfReport } from './self-report.ts';
import { ServedCheckpoint } from './served-checkpoint.ts';
import { Submissions } from './submissions.ts';

/** What a batch may hold, in the ledger's words. */
export const BATCH_LIMITS: BatchLimits = {
  entriesMax: DEFAULT_LIMITS.batchRequestsMax,
  bytesMax: DEFAULT_LIMITS.batchBytesMax,
};

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

/** Good signatures of peers remembered, about 150 bytes each: of four batches with 64 replicas. */
const HEARD_MAX = 1024;

/** What a replica is made of, beside its options. */
export interface NodeParts extends NodeOptions {
  readonly storage: Storage;
  readonly mailbox: Mailbox;
  readonly suffrage: Suffrage;
  readonly lifeFile: LifeFile;
  /** Events logged so far, by name. */
  readonly events: ReadonlyMap<string, number>;
  readonly core: ConsensusCore;
  /** Below every verifier here; ended with the replica. */
  readonly pool: Pick<SignaturePool, 'rest' | 'close'>;
  readonly verifier: SignatureVerifier;
  /** For heads that strangers report. */
  readonly headVerifier: SignatureVerifier;
  readonly coveredSize: number;
}

/** A running replica. */
export class ReplicaNode {
  readonly #parts: NodeParts;
  readonly #lane: Lane = new Lane();
  readonly #driver: Driver;
  readonly #scrubber: Scrubber;
  readonly #skew: ClockSkew;
  #life: Life | undefined;
  readonly #transport: PeerTransport;
  readonly #fetcher: ArtifactFetcher;
  readonly #work: LedgerWork;
  readonly #submissions: Submissions;
  readonly #follower: Follower;
  readonly #rest: Rest;
  readonly #membership: Membership;
  readonly #gateway: Gateway;
  readonly #served: ServedCheckpoint;
  readonly #publisher: CheckpointPublisher;
  readonly #desk: EvidenceDesk;
  readonly #repair: ArtifactRepair;
  readonly #report: SelfReport;
  readonly #contradictions: ContradictionKeeper;
  #server: PublicServer | undefined;
  #peerPort = 0;
  #isDraining = false;
  #isEnding = false;

  constructor(parts: NodeParts) {
    this.#parts = parts;
    const { core, storage, pool, verifier, clocks, log, setup, suffrage } = parts;
    const failed = (error: unknown): void => this.#failed(error);
    const lane = this.#lane;
    const membership = new Membership({ setup, suffrage, core });
    this.#membership = membership;
    const folder = join(setup.config.dataDir, 'evidence');
    this.#desk = new EvidenceDesk({
      core,
      keeper: new EvidenceKeeper(folder, storage.store, log),
      verifier,
      nameOf: (peer) => this.#transport.nameOf(peer),
      kept: (report) => this.#driver.feed({ kind: 'evidence-kept', report }),
      lost: (report) => this.#driver.feed({ kind: 'evidence-lost', report }),
      log,
    });
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
    // A cosignature comes alone and then in a note, a vote alone and then in a certificate.
    const heard = new CachingVerifier(verifier, HEARD_MAX);
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
    this.#transport = new PeerTransport(membership.peerGroup, log, () => intake.wake());
    this.#work = new LedgerWork({
      application: storage.application,
      store: storage.store,
      lane,
      fetcher: this.#fetcher,
      holders: (first) => membership.holders(first),
      limits: BATCH_LIMITS,
      wallMs: clocks.wallMs,
      height: () => storage.view.tip.height,
      // As long as the first view timer: whoever gave up before it brought the view down on a busy machine,
      // and the next leader's proposal was no easier.
      artifactPatienceMs: setup.config.viewTimeoutMs,
      refused: (id, refusal) => this.#gateway.refused(id, refusal),
      failed,
      log,
    });
    this.#repair = new ArtifactRepair({
      missing: (countMax) => storage.artifacts.missing(countMax),
      fetcher: this.#fetcher,
      holders: () => membership.holders([]),
      patienceMs: setup.config.viewTimeoutMs,
      failed,
    });
    this.#gateway = new Gateway({
      core,
      membership,
      work: this.#work,
      submissions: this.#submissions,
      find: (id) => storage.store.submission(id),
      coveredSize: () => this.#coveredSize,
      isDraining: () => this.#isDraining,
      isObserver: suffrage.kind === 'observer',
      pool: (request) =>
        new Promise((resolve) => this.#driver.feed({ kind: 'submit', request }, resolve)),
      explain: async (envelope, error) => {
        if (isDamage(error)) this.#failed(error);
        return this.#contradictions.explain(envelope, error);
      },
    });
    this.#served = new ServedCheckpoint({
      store: storage.store,
      covered: (size) => this.#submissions.covered(size),
    });
    this.#publisher = new CheckpointPublisher({
      served: this.#served,
      lane,
      verifier: heard,
      rosterOf: (epoch) => (membership.roster.epoch === epoch ? membership.roster : undefined),
      log,
    });
    this.#driver = new Driver({
      core,
      keys: suffrage.keys,
      origin: membership.roster.origin,
      store: storage.store,
      lane,
      work: this.#work,
      transport: { send: (peer, message, replaces) => this.#send(peer, message, replaces) },
      clocks,
      tickMs: setup.config.tickMs,
      log,
      events: {
        committed: (batch) => this.#committed(batch),
        contradicted: (message) => {
          this.#contradictions
            .keepCosignature(message)
            .catch((error: unknown) => this.#failed(error));
        },
        cosigned: (checkpoint) => {
          this.#skew.observe(checkpoint.cosignatures, core.context.members.self);
          this.#publisher.publish(checkpoint);
        },
        misbehaved: (report) => this.#desk.misbehaved(report),
        epochStarted: () => {
          this.#desk.epochStarted();
          this.#transport.setGroup(membership.peerGroup);
          this.#skew.forget();
        },
        failed,
      },
    });
    const intake: Intake = new Intake({
      inbox: this.#transport.inbox,
      core,
      verifier: heard,
      deliver: (message) => this.#driver.receive(message),
      isForeign: (bytes, error) => this.#follower.refused(bytes, error),
      failed,
      log,
    });
    this.#rest = new Rest({
      release: async () => {
        await pool.rest();
        await storage.rest();
      },
      log,
    });
    this.#follower = new Follower({
      isNeeded: () =>
        !membership.isMember ||
        membership.reachableWeight(this.#transport.connectedKeys) <
          membership.roster.thresholds.quorum,
      height: () => core.summary.height,
      epoch: () => membership.roster.epoch,
      peers: () => core.context.members.others,
      sources: () => membership.sources,
      deliver: (peer, message) => {
        this.#transport.inbox.push(peer, [message]);
        intake.wake();
      },
      adopt: (note) => this.#adopt(note),
      log,
    });
    this.#report = new SelfReport({
      ...parts,
      membership,
      driver: this.#driver,
      intake,
      transport: this.#transport,
      submissions: this.#submissions,
      skew: this.#skew,
      checkpoint: () => this.#served.facts,
      coveredSize: () => this.#coveredSize,
      isDraining: () => this.#isDraining,
      counts: async () => ({
        misbehaviour: (await this.#desk.list()).length,
        contradictions: (await this.#contradictions.list()).length,
      }),
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
    this.#desk.tellKept().catch((error: unknown) => this.#failed(error));
    this.#repair.start();
    log.info('listening', { publicUrl: this.publicUrl, peerUrl: this.peerUrl });
  }

  /** A damaged database stops the voting, and only that; anything else unexpected ends the process. */
  #failed(error: unknown): void {
    // Whoever is still at work finds threads and database closed. A peer that floods would make a crash of each stop.
    if (this.#isEnding) return;
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
    const { storage, pool, log } = this.#parts;
    this.#isDraining = true;
    log.info('stopping', { drainSeconds });
    this.#submissions.release();
    await this.#server?.close(drainSeconds * 1000);
    this.#driver.stop();
    this.#publisher.stop();
    this.#repair.stop();
    await this.#scrubber.close();
    await this.#rest.stop();
    await this.#follower.close();
    await this.#fetcher.close();
    await this.#transport.close();
    await this.#lane.idle();
    await this.#life?.end();
    this.#isEnding = true;
    await pool.close();
    this.#parts.mailbox.close();
    await storage.store.close();
    log.info('stopped');
  }

  get #live(): Pick<Config, 'addressWritesPerSecond' | 'drainSeconds'> {
    return this.#parts.live ?? this.#parts.setup.config;
  }

  #send(peer: PeerId, message: Uint8Array, replaces: string | undefined): void {
    if (this.#follower.answers(peer, message)) return;
    // The others would refuse the connection; asking again and again would only cost them handshakes.
    if (this.#membership.isMember) this.#transport.send(peer, message, replaces);
  }

  async #adopt(note: string): Promise<void> {
    const { storage, verifier, log } = this.#parts;
    const contradicted = (text: string): void => {
      this.#contradictions.keepNote(text).catch((error: unknown) => {
        // The note is logged whole besides, and the follower meets it again.
        if (isOverloaded(error)) log.warn('head_unjudged', { error: describeError(error) });
        else this.#failed(error);
      });
    };
    const parts = {
      application: storage.application,
      served: this.#served,
      lane: this.#lane,
      verifier,
      roster: this.#membership.roster,
      contradicted,
      log,
    };
    await adoptNote(note, parts);
  }

  /** Leaves that the newest checkpoint covers, of this process or before it. */
  get #coveredSize(): number {
    return this.#served.facts?.size ?? this.#parts.coveredSize;
  }

  #committed(batch: CommittedBatch): void {
    const { header, ids } = batch;
    this.#submissions.committed(ids, header.prevSize);
    const { height, size } = header;
    this.#parts.log.info('batch_committed', { height, size, entries: ids.length });
    this.#follower.advanced(height);
  }

  #face(): PublicFace {
    const { storage } = this.#parts;
    return {
      store: storage.store,
      artifacts: storage.artifacts,
      isReleased: storage.isReleased,
      url: this.#membership.publishedUrl,
      submit: (envelope, waitMs, gone, network) =>
        this.#gateway.submit(envelope, waitMs, gone, network),
      submission: (id) => this.#gateway.stateOf(id),
      misbehaviour: () => this.#desk.list(),
      proposals: {
        post: (envelope) => this.#post(envelope),
        listed: (name) => this.#parts.mailbox.listed(name),
        find: (id) => this.#parts.mailbox.find(id),
      },
      misbehaviourDocument: (id) => this.#desk.document(id),
      contradictions: () => this.#contradictions.list(),
      contradictionDocument: (id) => this.#contradictions.document(id),
      reportHead: (note) => this.#contradictions.keepNote(note),
      health: () => healthChecks(this.#report.vitals),
      readiness: () => readinessChecks(this.#report.vitals),
      status: () => this.#report.status(),
      metrics: () => this.#report.metrics(),
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
}
