// What a replica says of itself: vitals for health checks, figures for Prometheus, a status page. Figures
// that exist anyway, read when somebody asks.
import type { JsonObject } from '../../verifier/json.ts';
import type { Metric } from '../http/metrics.ts';
import type { Setup } from '../setup.ts';
import type { Storage } from '../store/storage.ts';
import type { ClockSkew } from './clock-skew.ts';
import type { ConsensusCore } from './core-port.ts';
import type { Clocks, Driver } from './driver.ts';
import { readinessChecks, type Vitals } from './health.ts';
import type { Intake } from './intake.ts';
import type { Membership } from './membership.ts';
import { replicaMetrics } from './replica-metrics.ts';
import type { Submissions } from './submissions.ts';
import type { PeerTransport } from '../peer/transport.ts';

/** A checkpoint older than this many re-signing intervals means that a quorum is not signing. */
const CHECKPOINT_INTERVALS_MAX = 3;

/** What it is read from. */
export interface SelfReportParts {
  readonly setup: Setup;
  readonly clocks: Clocks;
  readonly core: ConsensusCore;
  readonly storage: Storage;
  readonly membership: Membership;
  readonly driver: Driver;
  readonly intake: Intake;
  readonly transport: PeerTransport;
  readonly submissions: Submissions;
  readonly skew: ClockSkew;
  /** Events logged so far, by name. */
  readonly events: ReadonlyMap<string, number>;
  /** The newest checkpoint of this process. */
  readonly checkpoint: () => { readonly size: number; readonly timeSeconds: number } | undefined;
  /** Leaves that the newest checkpoint covers. */
  readonly coveredSize: () => number;
  readonly isDraining: () => boolean;
  /** How many proofs of misbehaviour, and how many contradicted heads, are kept. */
  readonly counts: () => Promise<{
    readonly misbehaviour: number;
    readonly contradictions: number;
  }>;
}

/** Reads a running replica. */
export class SelfReport {
  readonly #parts: SelfReportParts;

  constructor(parts: SelfReportParts) {
    this.#parts = parts;
  }

  get vitals(): Vitals {
    const { storage, core, setup, clocks, membership, driver, transport, skew } = this.#parts;
    const nowSeconds = Math.floor(clocks.wallMs() / 1000);
    const time = this.#parts.checkpoint()?.timeSeconds;
    return {
      deafMs: driver.deafMs,
      storeHalted: storage.store.halted?.message,
      coreHalted: core.halted,
      observerReason: membership.observerReason,
      isDraining: this.#parts.isDraining(),
      reachableWeight: membership.reachableWeight(transport.connectedKeys),
      quorum: membership.roster.thresholds.quorum,
      checkpointAgeSeconds: time === undefined ? undefined : nowSeconds - time,
      checkpointAgeMaxSeconds: CHECKPOINT_INTERVALS_MAX * setup.config.recosignSeconds + 10,
      clockSkewSeconds: skew.medianSeconds,
    };
  }

  async metrics(): Promise<readonly Metric[]> {
    const { storage, core, setup, events, transport, driver, intake } = this.#parts;
    const { height, size } = await storage.application.tip();
    const { view, prefetched } = core.summary;
    const { members } = core.context;
    const connected = new Set(transport.connected);
    const { vitals } = this;
    const others = members.roster.replicas.filter(({ name }) => name !== setup.config.replica);
    const { misbehaviour, contradictions } = await this.#parts.counts();
    return replicaMetrics({
      epoch: members.epoch,
      view,
      isLeader: members.leader(view) === members.self,
      height,
      size,
      checkpoint: this.#parts.checkpoint(),
      vitals,
      checks: readinessChecks(vitals),
      peers: others.map(({ name }) => ({ name, isConnected: connected.has(name) })),
      refusedMessages: new Map(
        [...intake.refusals].map(([key, count]) => [transport.nameOf(key), count]),
      ),
      ignored: driver.ignored,
      prefetched,
      waitingSubmissions: this.#parts.submissions.waiting,
      misbehaviourReports: misbehaviour,
      contradictions,
      artifacts: storage.artifactCounts(),
      events,
      dataDir: setup.config.dataDir,
    });
  }

  async status(): Promise<JsonObject> {
    const { storage, setup, core, membership, transport, driver } = this.#parts;
    const tip = await storage.application.tip();
    const { origin, epoch, hash } = membership.roster;
    return {
      replica: setup.config.replica,
      origin,
      epoch,
      roster: hash,
      mode: membership.observerReason === undefined ? 'voter' : 'observer',
      ...viewOf(core),
      height: tip.height,
      size: tip.size,
      timeMs: tip.timeMs,
      checkpointSize: this.#parts.coveredSize(),
      connectedPeers: transport.connected.toSorted(),
      waiting: this.#parts.submissions.waiting,
      ignored: Object.fromEntries(driver.ignored),
      ready: readinessChecks(this.vitals).every(({ ok }) => ok),
    };
  }
}

/** Where the core is in the protocol, and who leads. */
function viewOf(core: ConsensusCore): JsonObject {
  const { view, active } = core.summary;
  const { members } = core.context;
  return { view, active, leader: members.roster.replicas[members.leader(view)]?.name ?? null };
}
