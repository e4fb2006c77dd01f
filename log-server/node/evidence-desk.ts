// From a proof of misbehaviour to everybody who should have it (CONSENSUS.md 2.13, message 12): kept on the
// disk first, then told to the other replicas by the core, and shown to whoever asks.
import { type Hash, createHash } from 'node:crypto';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { isOverloaded } from '../../verifier/node/signature-pool.ts';
import { planEvidence } from '../../verifier/replication/judge.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import type { Header, Misbehaviour, PeerId } from '../consensus/types.ts';
import type { MisbehaviourSummary } from '../http/face.ts';
import { type Log, describeError } from '../log.ts';
import type { ConsensusCore } from './core-port.ts';
import type { EvidenceKeeper } from './evidence-keeper.ts';

/** How long after a disk that failed a proof is taken in again. */
const LOST_PAUSE_MS = 10_000;

/** What it works with. */
export interface EvidenceDeskParts {
  readonly core: Pick<ConsensusCore, 'context'>;
  readonly keeper: EvidenceKeeper;
  readonly verifier: SignatureVerifier;
  /** A peer's name in the roster. */
  readonly nameOf: (peer: PeerId) => string;
  /** A proof is durable, or is not going to be: the others may hand it on again. */
  readonly kept: (report: Misbehaviour) => void;
  readonly lost: (report: Misbehaviour) => void;
  readonly log: Log;
}

/** Takes proofs in and hands them on. */
export class EvidenceDesk {
  readonly #parts: EvidenceDeskParts;
  /** Headers that the present epoch and the one before it started from. */
  #epochStarts: readonly Header[];

  constructor(parts: EvidenceDeskParts) {
    this.#parts = parts;
    this.#epochStarts = [parts.core.context.epochStart];
  }

  /** Another roster is in force. */
  epochStarted(): void {
    const { epochStart } = this.#parts.core.context;
    this.#epochStarts = [epochStart, ...this.#epochStarts.slice(0, 1)];
  }

  /** The core has noticed one, or was told of it. */
  misbehaved(report: Misbehaviour): void {
    const { core, keeper, nameOf, kept, lost } = this.#parts;
    // The last step may have ended the epoch that its report is about.
    const start = this.#epochStarts[core.context.members.epoch - report.epoch];
    void keeper.keep(report, nameOf(report.accused), start?.height).then((outcome) => {
      if (outcome === 'kept') kept(report);
      // Not at once: what comes in again and again would be written down again and again.
      if (outcome === 'failed') setTimeout(() => lost(report), LOST_PAUSE_MS).unref();
    });
  }

  /** Proofs of the present epoch from before this start: the others may lack them. */
  async tellKept(): Promise<void> {
    const { core, keeper, verifier, kept, log } = this.#parts;
    for (const report of await keeper.reports(core.context.members.epoch)) {
      try {
        const hash = (): Hash => createHash('sha256');
        await runPlan(verifier, planEvidence(report, core.context, hash));
        kept(report);
      } catch (error) {
        // Unchecked it is kept all the same, and told after the next start.
        if (!(error instanceof VerifyError || isOverloaded(error))) throw error;
        log.warn('misbehaviour', { rule: report.rule, error: describeError(error) });
      }
    }
  }

  /** What is kept, with the names that the accused have now. */
  async list(): Promise<readonly MisbehaviourSummary[]> {
    const { core, keeper } = this.#parts;
    const { replicas } = core.context.members.roster;
    const names = new Map(replicas.map((one) => [publicKeyHex(one.voteKey), one.name]));
    const kept = await keeper.list();
    return kept.map((report) => ({ ...report, replica: names.get(report.key) ?? null }));
  }

  /** A proof as a document; `undefined` when there is none of that name. */
  document(id: string): Promise<string | undefined> {
    return this.#parts.keeper.document(id);
  }
}
