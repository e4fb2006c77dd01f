// Where co-maintainers find what there is to sign: `POST /v1/proposals`, `GET /v1/proposals`. Each replica
// has a mailbox of its own; whoever posts does it to all of them, and whoever reads asks a quorum, so no
// faulty replica can hide a proposal. Nothing here is believed by anybody: a reader checks every
// signature against the maintainer set that the log proves.
//
// Bounds: a maintainer's key has a share of its package's mailbox that nobody else can fill, not even
// another maintainer who was robbed of their key; and when the whole is full, the packages that were
// claimed last give way, which whoever claims names by the thousand only does to themselves.
import {
  ENVELOPE_LENGTH_MAX,
  formatEnvelope,
  parseEnvelope,
  type Envelope,
  type EnvelopeSignature,
} from '../../verifier/dsse.ts';
import { keyId } from '../../verifier/ed25519.ts';
import { AddressLimiter, KEY_PROPOSALS_PER_SECOND } from '../http/limits.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { judgeProposal, type MailboxView, type Proposal } from './judge.ts';
import { FactsIndex, type ProposalFacts } from './proposal-facts.ts';
import type { ProposalTables, StoredProposal } from './tables.ts';

/** How long a proposal is kept: who was on holiday for two weeks finds it, and no disk fills for ever. */
export const PROPOSAL_SECONDS_MAX: number = 14 * 24 * 3600;

/** Proposals that a package lists; its maintainers' keys have equal shares, of one at least. */
export const PROPOSALS_PER_PACKAGE = 16;

/** Proposals in all mailboxes of a replica together. */
export const PROPOSALS_MAX = 4096;

/** Bytes of all of them. */
export const PROPOSALS_BYTES_MAX: number = 64 * 1024 * 1024;

/** Keep what is there from growing while nobody posts: expired ones go at the next post or reading. */
const EXPIRY_INTERVAL_SECONDS = 60;

/** The mailbox is full of what comes before this. */
export class MailboxFullError extends Error {
  override readonly name = 'MailboxFullError';
}

/** What a mailbox works with. */
export interface MailboxParts {
  readonly tables: ProposalTables;
  /** The ledger's state now. */
  readonly view: MailboxView;
  /** Leaf index of a package's first maintainer set. */
  readonly claimIndex: (name: string) => number | undefined;
  readonly verifier: SignatureVerifier;
  /** Wall clock, Unix seconds. */
  readonly nowSeconds: () => number;
  /** A monotonic clock, for rate limits. */
  readonly nowMs: () => number;
  /** Limits for tests. */
  readonly countMax?: number;
  readonly bytesMax?: number;
}

/** What became of a post. */
export interface Posted {
  readonly id: string;
  /** Maintainers' signatures that are there now. */
  readonly signatures: number;
}

/** The mailbox of one replica. */
export class Mailbox {
  readonly #parts: MailboxParts;
  readonly #rates: AddressLimiter;
  readonly #facts: FactsIndex;
  #sweptSeconds = 0;

  constructor(parts: MailboxParts) {
    this.#parts = parts;
    this.#rates = new AddressLimiter(KEY_PROPOSALS_PER_SECOND, parts.nowMs);
    this.#facts = new FactsIndex(parts.view, (id) => parts.tables.get(id), PROPOSALS_MAX);
  }

  /**
   * Takes a proposal, or more signatures for one that is here. Durable on return; posting the same again
   * changes nothing.
   *
   * @param bytes canonical envelope as received, at most 65,535 bytes
   * @throws {VerifyError} malformed, or no maintainer has signed it
   * @throws {LedgerError} the log would refuse it
   * @throws {MailboxFullError} no room
   */
  async post(bytes: Uint8Array): Promise<Posted> {
    const { view, verifier, tables } = this.#parts;
    const proposal = await judgeProposal(view, parseEnvelope(bytes), verifier);
    // From here on without a pause: two posts at one time must not undo each other.
    this.#sweep();
    const { id } = proposal;
    const known = tables.get(id);
    const envelope = merged(known, proposal.envelope);
    const text = formatEnvelope(envelope);
    if (text.length > ENVELOPE_LENGTH_MAX) {
      throw new LedgerError(
        'ENTRY_TOO_LARGE',
        'with all its signatures the statement is too large',
      );
    }
    const posted = { id, signatures: envelope.signatures.length };
    if (known !== undefined && known.envelope === text) return posted;
    this.#requireRate(known, envelope);
    const stored: StoredProposal = {
      id,
      envelope: text,
      receivedSeconds: known?.receivedSeconds ?? this.#parts.nowSeconds(),
      claim: this.#claimOf(proposal),
      names: [...new Set([...(known?.names ?? []), ...proposal.signers.keys()])],
    };
    try {
      tables.change(() => {
        tables.put(stored);
        this.#facts.forget(id);
        this.#crowdOut(stored);
        this.#makeRoom(stored);
      });
    } catch (error) {
      // The row is again what it was before.
      this.#facts.forget(id);
      throw error;
    }
    return posted;
  }

  /** What there is to sign for a package: canonical envelopes by id. */
  listed(name: string): readonly string[] {
    this.#sweep();
    return this.#open(name).flatMap((id) => this.#parts.tables.get(id)?.envelope ?? []);
  }

  /** One proposal as a canonical envelope; `undefined` when it is not here, or can't be logged any more. */
  find(id: string): string | undefined {
    this.#sweep();
    return this.#facts.isOpen(id) ? this.#parts.tables.get(id)?.envelope : undefined;
  }

  close(): void {
    this.#parts.tables.close();
  }

  // By the keys that are new to it: nobody uses up the rate of a maintainer by posting what they signed.
  #requireRate(known: StoredProposal | undefined, { signatures }: Envelope): void {
    const before = known === undefined ? 0 : parseEnvelope(known.envelope).signatures.length;
    const added = signatures.slice(before).map(({ keyid }) => keyid);
    if (added.filter((id) => this.#rates.allows(id)).length > 0) return;
    throw new LedgerError('RATE_LIMITED', 'its signers have just posted many proposals');
  }

  #open(name: string): readonly string[] {
    return this.#parts.tables.listed(name).filter((id) => this.#facts.isOpen(id));
  }

  #claimOf({ signers }: Proposal): number {
    const { claimIndex } = this.#parts;
    const claims = [...signers.keys()].map((name) => claimIndex(name) ?? Number.MAX_SAFE_INTEGER);
    return Math.min(...claims);
  }

  /**
   * Drops what is in nobody's share any more. Each key keeps what it signed last, by the size of the log
   * that it had seen: who posts somebody's old proposals again takes no place from the new ones.
   *
   * @throws {MailboxFullError} when the new one is in nobody's share; nothing has changed then
   */
  #crowdOut(added: StoredProposal): void {
    const { tables, view } = this.#parts;
    for (const name of added.names) {
      const all = this.#open(name).flatMap((id) => this.#facts.of(id) ?? []);
      const members = (view.maintainerSet(name)?.set.maintainers ?? []).map(({ key }) =>
        keyId(key),
      );
      const share = Math.max(1, Math.floor(PROPOSALS_PER_PACKAGE / Math.max(1, members.length)));
      const kept = keptOf(all, members, share);
      if (!kept.has(added.id)) {
        throw new MailboxFullError(
          `its signers have ${share} newer proposals for ${name}: they have to be logged or expire first`,
        );
      }
      for (const { id } of all) {
        if (kept.has(id)) continue;
        tables.unlist(name, id);
        this.#facts.forget(id);
      }
    }
  }

  #makeRoom(added: StoredProposal): void {
    const { tables, countMax = PROPOSALS_MAX, bytesMax = PROPOSALS_BYTES_MAX } = this.#parts;
    for (let { count, bytes } = tables.totals(); count > countMax || bytes > bytesMax;) {
      const id = tables.youngest();
      if (id === undefined || id === added.id) {
        throw new MailboxFullError('the mailbox is full of proposals for older packages');
      }
      tables.delete(id);
      this.#facts.forget(id);
      ({ count, bytes } = tables.totals());
    }
  }

  #sweep(): void {
    const { tables, nowSeconds } = this.#parts;
    const now = nowSeconds();
    // A clock that was set back must not stop it.
    if (Math.abs(now - this.#sweptSeconds) < EXPIRY_INTERVAL_SECONDS) return;
    this.#sweptSeconds = now;
    const expired = tables.receivedBefore(now - PROPOSAL_SECONDS_MAX);
    if (expired.length === 0) return;
    tables.change(() => {
      for (const id of expired) tables.delete(id);
    });
    for (const id of expired) this.#facts.forget(id);
  }
}

// All maintainers' signatures that were ever posted, one for each key.
function merged(known: StoredProposal | undefined, envelope: Envelope): Envelope {
  if (known === undefined) return envelope;
  const lines = new Map<string, EnvelopeSignature>();
  for (const line of parseEnvelope(known.envelope).signatures) lines.set(line.keyid, line);
  for (const line of envelope.signatures) {
    if (!lines.has(line.keyid)) lines.set(line.keyid, line);
  }
  return { ...envelope, signatures: [...lines.values()] };
}

// A statement about several packages has signatures by keys that are none of this package's: made at will,
// they would be shares at will.
function keptOf(
  proposals: readonly ProposalFacts[],
  members: readonly string[],
  share: number,
): ReadonlySet<string> {
  const newestFirst = proposals.toSorted(
    (a, b) => b.seen - a.seen || b.receivedSeconds - a.receivedSeconds || (a.id < b.id ? -1 : 1),
  );
  const kept = new Set<string>();
  for (const key of members) {
    const own = newestFirst.filter(({ keys }) => keys.includes(key));
    for (const { id } of own.slice(0, share)) kept.add(id);
  }
  return kept;
}
