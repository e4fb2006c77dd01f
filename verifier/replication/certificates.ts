// Prepare and commit certificates: putting them together from votes, and finding what is wrong with
// somebody else's (CONSENSUS.md 2.1, R4).
import type { SignatureJob } from '../signatures.ts';
import { voteBytes } from './encode.ts';
import type { Members } from './members.ts';
import type { Certificate, Digest, ReplicaIndex, Vote } from './messages.ts';
import type { MutantName } from './mutants.ts';

/** A signed vote as certificates need it. */
export interface SignedVote {
  readonly vote: Vote;
  readonly signer: ReplicaIndex;
  readonly signature: Uint8Array;
}

/** Whether two votes are the same bytes. */
export function sameVote(a: Vote, b: Vote): boolean {
  return (
    a.epoch === b.epoch &&
    a.view === b.view &&
    a.nv === b.nv &&
    a.height === b.height &&
    a.digest === b.digest
  );
}

/**
 * A certificate, if some vote among these has quorum weight. All its votes go in: that costs bytes,
 * but a slow member's signature is then shown too.
 *
 * @param votes verified; at most one per signer
 */
export function assembleCertificate(
  members: Members,
  phase: Certificate['phase'],
  votes: readonly SignedVote[],
  counts: (a: Vote, b: Vote) => boolean = sameVote,
): Certificate | undefined {
  const tried = new Set<Digest>();
  for (const { vote } of votes) {
    const name = `${vote.view}/${vote.nv}/${vote.digest}`;
    if (tried.has(name)) continue;
    tried.add(name);
    const same = votes.filter((other) => counts(other.vote, vote));
    if (!members.isQuorum(same.map(({ signer }) => signer))) continue;
    const signatures = same
      .map(({ signer, signature }) => ({ signer, signature }))
      .sort((a, b) => a.signer - b.signer);
    return { phase, vote, signatures };
  }
  return undefined;
}

/** What a certificate is expected to be about. */
export interface ExpectedVote {
  readonly epoch: number;
  readonly height: number;
  readonly digest: Digest;
}

/**
 * What is wrong with a certificate apart from its signatures; undefined when nothing is.
 *
 * @param phase which kind is needed
 */
export function certificateProblem(
  members: Members,
  certificate: Certificate,
  phase: Certificate['phase'],
  expected: ExpectedVote,
  mutants: ReadonlySet<MutantName>,
): string | undefined {
  const { vote, signatures } = certificate;
  if (certificate.phase !== phase) return `certificate of ${certificate.phase} votes`;
  if (vote.epoch !== expected.epoch) return 'certificate of another epoch';
  if (vote.height !== expected.height) return 'certificate of another height';
  if (vote.digest !== expected.digest) return 'certificate of another header';
  const signers = signatures.map(({ signer }) => signer);
  let previous = -1;
  for (const signer of signers) {
    if (signer >= members.count) return 'certificate signed by nobody';
    // The decoder refuses this too; certificates also come from our own disk and from tests.
    if (signer <= previous && !mutants.has('duplicate-signers-counted')) {
      return 'certificate counts a signer twice';
    }
    previous = signer;
  }
  if (!members.isQuorum(signers)) return 'certificate without a quorum';
  return undefined;
}

/** The signature checks of a certificate whose structure is right, one per signer. */
export function certificateJobs(members: Members, certificate: Certificate): SignatureJob[] {
  const message = voteBytes(certificate.phase, members.roster.origin, certificate.vote);
  return certificate.signatures.flatMap(({ signer, signature }) => {
    const replica = members.roster.replicas[signer];
    return replica === undefined ? [] : [{ publicKey: replica.voteKey, message, signature }];
  });
}
