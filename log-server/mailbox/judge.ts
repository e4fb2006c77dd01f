// Which proposals a mailbox takes: releases that could still be logged, for packages of which a maintainer
// of today has signed them. Whoever is no maintainer of a package can put nothing into its mailbox.
import {
  preAuthenticationEncoding,
  type Envelope,
  type EnvelopeSignature,
} from '../../verifier/dsse.ts';
import { keyId, type PublicKey } from '../../verifier/ed25519.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { requireObserved } from '../../verifier/ledger/observed.ts';
import { requireFree } from '../../verifier/ledger/release.ts';
import { readSubmission } from '../../verifier/ledger/submission.ts';
import type { LedgerView } from '../../verifier/ledger/view.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { maintainerKeys } from '../../verifier/statements/maintainers.ts';
import {
  PROPOSAL_PACKAGES_MAX,
  type Release,
  type ReleaseSubject,
} from '../../verifier/statements/release.ts';

/** What of the ledger's state a mailbox looks at. */
export type MailboxView = Pick<
  LedgerView,
  'tip' | 'roster' | 'maintainerSet' | 'releaseRecord' | 'rootAt'
>;

/** What decides whether a subject can still be logged. */
export type ProposalSubject = Pick<ReleaseSubject, 'name' | 'version' | 'maintainers'>;

/** A proposal that may be kept. */
export interface Proposal {
  /** Hex SHA-256 of the payload. */
  readonly id: string;
  /** With the verified signatures of maintainers and nothing else. */
  readonly envelope: Envelope;
  readonly release: Release;
  /** Size of the log that its signers had seen: a later proposal has a larger one. */
  readonly observedSize: number;
  /** Key ids of the maintainers who signed, for each package that has any. At least one package. */
  readonly signers: ReadonlyMap<string, readonly string[]>;
}

/**
 * Judges a proposal.
 *
 * @throws {LedgerError} what the log would refuse: `RELEASE_CONFLICT`, `SEQUENCE_WRONG`, `OBSERVED_…`;
 *         `ALREADY_LOGGED` for a statement that is in the log; `STATEMENT_UNSUPPORTED` for other kinds, and
 *         for one about more than {@link PROPOSAL_PACKAGES_MAX} packages
 * @throws {VerifyError} malformed; `MAINTAINER_SIGNATURES_MISSING` when no maintainer has signed it
 */
export async function judgeProposal(
  view: MailboxView,
  envelope: Envelope,
  verifier: SignatureVerifier,
): Promise<Proposal> {
  const submission = readSubmission(envelope);
  if (submission.kind !== 'release') {
    throw new LedgerError('STATEMENT_UNSUPPORTED', 'the mailbox takes proposals of releases only', {
      hint: 'hand other statements on as files',
    });
  }
  const { id, release } = submission;
  const names = [...new Set(release.subjects.map(({ name }) => name))];
  if (names.length > PROPOSAL_PACKAGES_MAX) {
    throw new LedgerError(
      'STATEMENT_UNSUPPORTED',
      `the proposal is about ${names.length} packages, the mailbox takes ${PROPOSAL_PACKAGES_MAX} at most`,
      { hint: 'hand it on as a file, or sign several statements' },
    );
  }
  requireOpen(view, id, release.subjects);
  requireObserved(view, release.observed);
  const keysOf = new Map(
    names.map((name) => {
      const set = view.maintainerSet(name)?.set;
      return [name, set === undefined ? [] : maintainerKeys(set)] as const;
    }),
  );
  const lines = await goodLines(envelope, [...keysOf.values()].flat(), verifier);
  const signers = new Map<string, readonly string[]>();
  for (const [name, keys] of keysOf) {
    const signed = keys.map(keyId).filter((id_) => lines.some(({ keyid }) => keyid === id_));
    if (signed.length > 0) signers.set(name, signed);
  }
  if (signers.size === 0) {
    throw new VerifyError(
      'MAINTAINER_SIGNATURES_MISSING',
      'no maintainer of the package has signed the proposal',
    );
  }
  const observedSize = release.observed.get(view.roster.origin)?.size ?? 0;
  return { id, envelope: { ...envelope, signatures: lines }, release, observedSize, signers };
}

/**
 * Requires that a proposal can still be logged.
 *
 * @throws {LedgerError} as {@link judgeProposal}
 */
export function requireOpen(
  view: MailboxView,
  id: string,
  subjects: readonly ProposalSubject[],
): void {
  for (const subject of subjects) {
    const bound = view.releaseRecord(subject.name, subject.version);
    if (bound?.statement === id) {
      throw new LedgerError('ALREADY_LOGGED', 'the release is in the log', { index: bound.index });
    }
    requireFree(view, subject);
  }
}

// One good line for each key. The rest is not kept: it would be room that strangers fill, and a bad line
// of a maintainer's key id would look as if they had signed something else.
async function goodLines(
  envelope: Envelope,
  keys: readonly PublicKey[],
  verifier: SignatureVerifier,
): Promise<readonly EnvelopeSignature[]> {
  const known = new Map(keys.map((key) => [keyId(key), key]));
  const message = preAuthenticationEncoding(envelope.payloadType, envelope.payload);
  const claimed = envelope.signatures.flatMap((line) => {
    const publicKey = known.get(line.keyid);
    return publicKey === undefined ? [] : [{ line, job: { ...line, publicKey, message } }];
  });
  const valid = await verifier.verifyMany(claimed.map(({ job }) => job));
  const good = new Map<string, EnvelopeSignature>();
  for (const [i, { line }] of claimed.entries()) if (valid[i] === true) good.set(line.keyid, line);
  return [...good.values()];
}
