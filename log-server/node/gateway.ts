// Where clients hand in statements (CONSENSUS.md Q1): cheap refusals first, then the ledger's rules, then a
// place in the pool; the client waits for a checkpoint that covers its entry.
import type { IgnoreReason, Request } from '../consensus/types.ts';
import { BusyError, type SubmissionState } from '../http/face.ts';
import type { Refusal } from '../ledger/application.ts';
import type { ConsensusCore } from './core-port.ts';
import type { LedgerWork } from './ledger-work.ts';
import type { Membership } from './membership.ts';
import type { Submissions } from './submissions.ts';

/** What a gateway stands before. */
export interface GatewayParts {
  readonly core: Pick<ConsensusCore, 'hasRoomFor'>;
  readonly membership: Membership;
  readonly work: Pick<LedgerWork, 'admitEnvelope'>;
  readonly submissions: Submissions;
  /** Where a statement is in the log. */
  readonly find: (id: string) => Promise<{ readonly index: number } | undefined>;
  /** Leaves that the newest checkpoint covers. */
  readonly coveredSize: () => number;
  readonly isDraining: () => boolean;
  /** Whether this replica only follows the log, whatever the roster says. */
  readonly isObserver: boolean;
  /** Gives the core a request; resolves to why it was of no use, if it was. */
  readonly pool: (request: Request) => Promise<IgnoreReason | undefined>;
  /** What is thrown in place of this refusal. */
  readonly explain: (envelope: Uint8Array, error: unknown) => Promise<unknown>;
}

/** Takes submissions in. */
export class Gateway {
  readonly #parts: GatewayParts;

  constructor(parts: GatewayParts) {
    this.#parts = parts;
  }

  /**
   * Takes a submission and waits for what becomes of it.
   *
   * @param network where the client is; each gets its share of the signatures that are checked
   * @throws {BusyError} not now, or not here
   */
  async submit(
    envelope: Uint8Array,
    waitMs: number,
    gone: AbortSignal,
    network: string,
  ): Promise<SubmissionState> {
    const { work, submissions, find, pool, explain } = this.#parts;
    this.#requireRoom(envelope);
    const asker = { kind: 'client', name: network } as const;
    const admission = await work
      .admitEnvelope(envelope, [], asker)
      .catch(async (error: unknown) => {
        throw await explain(envelope, error);
      });
    if (admission.kind === 'committed') {
      return submissions.wait(admission.id, admission.index, waitMs, gone);
    }
    const { id } = admission.request;
    // One signal that both can end: `AbortSignal.any` costs as much as the rest of a wait.
    const cancel = new AbortController();
    if (gone.aborted) cancel.abort();
    else gone.addEventListener('abort', () => cancel.abort(), { once: true });
    // Waiting starts before the core knows of it, so that no commit can slip through in between.
    const state = submissions.wait(id, undefined, waitMs, cancel.signal);
    const ignored = await pool(admission.request);
    if (ignored !== undefined && ignored !== 'duplicate') {
      cancel.abort();
      throw new BusyError(`the pool does not take it now (${ignored})`);
    }
    submissions.accepted(id);
    // Another gateway may have brought it into the log between admission and here.
    const found = await find(id);
    if (found !== undefined) submissions.committed([id], found.index);
    return state;
  }

  /** Before any signature is checked: a full pool must cost a stranger's submission nothing. */
  #requireRoom(envelope: Uint8Array): void {
    const { core, membership, isDraining, isObserver } = this.#parts;
    if (isDraining()) throw new BusyError('this replica is stopping');
    if (isObserver) throw new BusyError('this replica only follows the log');
    if (!membership.isMember) throw new BusyError('this replica is not in the present roster');
    if (!core.hasRoomFor(envelope.length)) throw new BusyError('the pool is full');
  }

  /** What has become of a submission. */
  async stateOf(id: string): Promise<SubmissionState | undefined> {
    const { submissions, find, coveredSize } = this.#parts;
    const found = await find(id);
    if (found === undefined) return submissions.stateOf(id);
    const { index } = found;
    return coveredSize() > index ? { kind: 'committed', id, index } : { kind: 'pending', id };
  }

  /** A request left the pool because it breaks a rule now, or because it is in the log already. */
  refused(id: string, refusal: Refusal): void {
    const { submissions } = this.#parts;
    const { code, index } = refusal;
    if (code === 'ALREADY_LOGGED' && index !== undefined) submissions.committed([id], index);
    else submissions.refused(id, refusal);
  }
}
