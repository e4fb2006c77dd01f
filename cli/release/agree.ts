// Signing a proposal and handing it to the others, in the order that is safe at any point: first it is
// noted what is signed, then it is signed, then it is kept where it will be found again.
import { stat } from 'node:fs/promises';

import { checkTarball } from '../../verifier/archive/tarball.ts';
import { sha512 } from '../../verifier/node/sha512.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { asError } from '../client/hedge.ts';
import type { Invocation } from '../context.ts';
import { PROPOSAL_PACKAGES_MAX } from '../../verifier/statements/release.ts';
import { CliError } from '../errors.ts';
import { openKey } from '../keys/open-key.ts';
import { describeFailure } from '../output/diagnose.ts';
import { diagnostic, type Diagnostic } from '../output/report.ts';
import type { LogSession } from '../session/log-session.ts';
import { readArtifact, type Artifact } from './artifact.ts';
import { mergeDrafts, signersAmong } from './draft.ts';
import { fetchProposed } from './fetch.ts';
import { fetchProposal, postProposal } from './mailbox.ts';
import { isComplete, openProposal, type Proposal } from './proposals.ts';
import { requireStated } from './stated.ts';

/** Replicas that get the tarball, so that co-maintainers can compare; others fetch it when they vote. */
const UPLOADS_WANTED = 2;

/**
 * The tarballs of a proposal as they are at hand: the draft's own files, or what a replica has. One that
 * nobody has is `undefined`.
 *
 * @throws {CliError} BP1001 for a file that is not the tarball that the statement is about; BP1009 for a
 *         statement that says of it what it is not
 */
export async function artifactsAtHand(
  { context }: Invocation,
  session: LogSession,
  { draft, release }: Proposal,
): Promise<readonly (Artifact | undefined)[]> {
  const artifacts: (Artifact | undefined)[] = [];
  for (const [i, subject] of release.subjects.entries()) {
    const file = draft.artifacts[i];
    if (file !== undefined && (await exists(file))) {
      const artifact = await readArtifact(file);
      if (formatSri(artifact.sha512) !== formatSri(subject.sha512)) {
        throw new CliError('BP1001', `${file}: not the tarball that the statement is about`);
      }
      requireStated(subject, artifact);
      artifacts.push(artifact);
      continue;
    }
    const bytes = await fetchProposed(session, subject, context.signal);
    if (bytes === undefined) {
      artifacts.push(undefined);
      continue;
    }
    const path = `${subject.name}@${subject.version} (from a replica)`;
    const checked = await checkTarball(bytes, gunzip);
    const artifact = { path, bytes, sha512: sha512(bytes), checked };
    requireStated(subject, artifact);
    artifacts.push(artifact);
  }
  return artifacts;
}

async function exists(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}

/**
 * Those of some keys that have not signed yet: a retry asks for nothing twice.
 *
 * @throws {CliError} BP2001 for a key that is no maintainer's: its signature would count for nothing
 */
export async function keysToSign(
  invocation: Invocation,
  { draft, packages }: Pick<Proposal, 'draft' | 'packages'>,
  keys: readonly string[],
): Promise<readonly string[]> {
  const maintainers = [...packages.values()].flatMap(({ set }) => set.maintainers);
  const known = new Set(maintainers.map(({ key }) => publicKeyHex(key)));
  const open: string[] = [];
  for (const what of keys) {
    const { name, publicKey } = await openKey(invocation, what);
    if (!known.has(publicKeyHex(publicKey))) {
      const of = [...packages.keys()].join(', ');
      throw new CliError('BP2001', `${name} is no maintainer of ${of}: nothing was signed`, {
        details: maintainers.map(({ name: label, key }) => [label, publicKeyHex(key)] as const),
        hints: [`bftpkg package history ${[...packages.keys()][0] ?? ''}`],
      });
    }
    if (signersAmong(draft, [publicKey]).length === 0) open.push(what);
  }
  return open;
}

/** What came of handing a proposal to the others. */
export interface Shared {
  /** With the signatures that the mailboxes had. */
  readonly proposal: Proposal;
  /** Replicas that keep it. */
  readonly kept: number;
  readonly warnings: readonly Diagnostic[];
}

/**
 * Puts a signed proposal into the mailboxes, and its tarballs where co-maintainers can get them. One about
 * more packages than a mailbox takes is kept here, with a warning.
 *
 * @throws {CliError} as `postProposal`
 */
export async function share(
  invocation: Invocation,
  session: LogSession,
  proposal: Proposal,
  artifacts: readonly (Artifact | undefined)[],
): Promise<Shared> {
  const { signal } = invocation.context;
  const tooMany = tooManyPackages(proposal);
  if (tooMany !== undefined) {
    return { proposal, kept: 0, warnings: isComplete(proposal) ? [] : [tooMany] };
  }
  const warnings: Diagnostic[] = [];
  for (const artifact of artifacts) {
    if (artifact === undefined) continue;
    warnings.push(...(await upload(invocation, session, artifact)));
  }
  const { kept } = await postProposal(session, proposal.draft, signal);
  const now = await refreshed(session, proposal, signal);
  return { proposal: now, kept: kept.length, warnings };
}

// Every mailbox would refuse it, after the person has signed: what is left is to say how it goes on.
function tooManyPackages({ packages }: Proposal): Diagnostic | undefined {
  if (packages.size <= PROPOSAL_PACKAGES_MAX) return undefined;
  const message = `a release of ${packages.size} packages: mailboxes take proposals of ${PROPOSAL_PACKAGES_MAX} at most, so nobody was handed this one`;
  return diagnostic('BP6005', message, {
    severity: 'warning',
    hints: [
      'bftpkg release prepare --no-post',
      'hand the draft on as a file, with its tarballs; or release fewer packages at once',
    ],
  });
}

/** The proposal with the signatures that have come in since. */
export async function refreshed(
  session: LogSession,
  { draft, id, file }: Proposal,
  signal: AbortSignal,
): Promise<Proposal> {
  const posted = await fetchProposal(session, id, signal);
  return await openProposal(
    session,
    posted === undefined ? draft : mergeDrafts(draft, posted),
    file,
  );
}

async function upload(
  { context, progress }: Invocation,
  session: LogSession,
  { bytes, sha512: digest, checked }: Artifact,
): Promise<readonly Diagnostic[]> {
  const hex = encodeHex(digest);
  const failures: string[] = [];
  let held = 0;
  for (const replica of await session.readyFirst()) {
    if (held >= UPLOADS_WANTED) break;
    try {
      if (!(await replica.hasArtifact(hex, context.signal))) {
        progress(`uploading ${bytes.length} bytes to ${replica.url}`);
        await replica.putArtifact(hex, bytes, context.signal);
      }
      held++;
    } catch (error) {
      failures.push(`${replica.url}: ${describeFailure(asError(error))}`);
    }
  }
  if (held > 0) return [];
  // Not needed for signing: whoever submits brings it again.
  const { name, version } = checked;
  const message = `no replica took the tarball of ${name}@${version}: others can’t compare its files`;
  return [
    diagnostic('BP7001', message, {
      severity: 'warning',
      details: failures.map((text) => ['replica', text] as const),
    }),
  ];
}
