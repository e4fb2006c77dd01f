// What the mailbox asks of its proposals again and again, read from each once. Anybody may ask what a package
// lists, as often as they like; when each question parsed every envelope, up to 64 of 64 KiB, a few
// strangers who asked without a pause kept a replica from voting.
import { parseEnvelope } from '../../verifier/dsse.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { readSubmission } from '../../verifier/ledger/submission.ts';
import { LruMap } from '../lru.ts';
import { requireOpen, type MailboxView, type ProposalSubject } from './judge.ts';
import type { StoredProposal } from './tables.ts';

/** What is known of a proposal without its envelope. */
export interface ProposalFacts {
  readonly id: string;
  readonly receivedSeconds: number;
  /** Size of the log that its signers had seen. */
  readonly seen: number;
  /** Key ids of its signatures. */
  readonly keys: readonly string[];
  readonly subjects: readonly ProposalSubject[];
}

interface Verdict {
  /** Size of the log at which it was given. */
  readonly size: number;
  readonly isOpen: boolean;
}

/** Facts about stored proposals. A row that changes or goes has to be forgotten. */
export class FactsIndex {
  readonly #view: MailboxView;
  readonly #read: (id: string) => StoredProposal | undefined;
  readonly #facts: LruMap<string, ProposalFacts>;
  readonly #verdicts: LruMap<string, Verdict>;

  /**
   * @param read a stored proposal; asked for once for each
   * @param countMax proposals that are remembered
   */
  constructor(
    view: MailboxView,
    read: (id: string) => StoredProposal | undefined,
    countMax: number,
  ) {
    this.#view = view;
    this.#read = read;
    this.#facts = new LruMap(countMax);
    this.#verdicts = new LruMap(countMax);
  }

  /** `undefined` when it is not stored, or is no release. */
  of(id: string): ProposalFacts | undefined {
    const known = this.#facts.get(id);
    if (known !== undefined) return known;
    const stored = this.#read(id);
    if (stored === undefined) return undefined;
    const facts = factsOf(stored, this.#view.roster.origin);
    if (facts !== undefined) this.#facts.set(id, facts);
    return facts;
  }

  /** Whether it is stored, and can still be logged. Judged once for each state of the log. */
  isOpen(id: string): boolean {
    const facts = this.of(id);
    if (facts === undefined) return false;
    const { size } = this.#view.tip;
    const known = this.#verdicts.get(id);
    if (known?.size === size) return known.isOpen;
    const isOpen = this.#judge(facts);
    this.#verdicts.set(id, { size, isOpen });
    return isOpen;
  }

  forget(id: string): void {
    this.#facts.delete(id);
    this.#verdicts.delete(id);
  }

  // The log moves on: a version was released, the maintainers changed.
  #judge({ id, subjects }: ProposalFacts): boolean {
    try {
      requireOpen(this.#view, id, subjects);
      return true;
    } catch (error) {
      if (error instanceof LedgerError) return false;
      throw error;
    }
  }
}

function factsOf(stored: StoredProposal, origin: string): ProposalFacts | undefined {
  const submission = readSubmission(parseEnvelope(stored.envelope));
  if (submission.kind !== 'release') return undefined;
  const { envelope, release } = submission;
  // A copy: a text that was cut out of the payload would keep all of it in memory.
  return structuredClone({
    id: stored.id,
    receivedSeconds: stored.receivedSeconds,
    seen: release.observed.get(origin)?.size ?? 0,
    keys: envelope.signatures.map(({ keyid }) => keyid),
    subjects: release.subjects.map(({ name, version, maintainers }) => ({
      name,
      version,
      maintainers,
    })),
  });
}
