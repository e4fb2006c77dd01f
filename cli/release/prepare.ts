// From folders and tarballs to a release statement that its maintainers can sign.
import { resolve } from 'node:path';

import { equalBytes } from '../../verifier/bytes.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { releasePurl } from '../../verifier/npm/purl.ts';
import {
  formatRelease,
  RELEASE_PAYLOAD_TYPE,
  type ReleaseSubjectFields,
} from '../../verifier/statements/release.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import type { LogSession } from '../session/log-session.ts';
import { lookUpRelease, type SeenHead } from '../session/look-up.ts';
import { prepareArtifact, type Artifact } from './artifact.ts';
import { makeDraft, type Draft } from './draft.ts';
import { requireObserved } from './observed.ts';
import { openProposal, openProposals, type Proposal } from './proposals.ts';
import { sayTheSame } from './stated.ts';

/** A prepared release, or the finding that all of it is in the log already. */
export type Prepared =
  | {
      readonly kind: 'draft';
      readonly proposal: Proposal;
      readonly artifacts: readonly Artifact[];
      /** What else waits for signatures of these packages' maintainers. */
      readonly others: readonly Proposal[];
      /** Whether a co-maintainer has proposed exactly this before. */
      readonly isJoined: boolean;
    }
  | { readonly kind: 'logged'; readonly artifacts: readonly Artifact[] };

/**
 * Prepares a release of some targets. When a co-maintainer has proposed the same already, and says the same
 * about it, theirs is taken: two statements about one artifact would share out the signatures.
 *
 * @param targets folders or tarballs; this folder by default
 * @param workspace private folder for what is packed
 * @throws {CliError} BP5003 for a package that is not registered; BP5004 for a version that is in the log
 *         with other bytes, or when only some are in the log
 */
export async function prepareRelease(
  invocation: Invocation,
  session: LogSession,
  targets: readonly string[],
  workspace: string,
): Promise<Prepared> {
  const artifacts: Artifact[] = [];
  for (const target of targets.length === 0 ? ['.'] : targets) {
    const path = resolve(invocation.context.cwd, target);
    artifacts.push(await prepareArtifact(path, workspace, invocation));
  }
  const subjects: ReleaseSubjectFields[] = [];
  let head: SeenHead | undefined;
  const logged: Artifact[] = [];
  for (const artifact of artifacts) {
    const { name, version, manifest } = artifact.checked;
    const purl = releasePurl(name, version);
    const seen = await lookUpRelease(session, name, version);
    // The oldest head of several is the one that all of them were seen after.
    head ??= seen.head;
    if (seen.release !== undefined) {
      requireSame(artifact, seen.release.sha512, seen.release.index);
      logged.push(artifact);
      continue;
    }
    if (seen.found === undefined) {
      throw new CliError('BP5003', `${name}: not registered in the log`, {
        hints: [`bftpkg package register ${name} --maintainer <name>=<key>`],
      });
    }
    subjects.push({
      purl,
      sha512: artifact.sha512,
      size: artifact.bytes.length,
      maintainers: seen.found.sequence,
      manifest,
    });
  }
  if (subjects.length === 0) return { kind: 'logged', artifacts: logged };
  if (logged.length > 0) {
    throw new CliError('BP5004', 'some of these releases are in the log already, others are not', {
      hints: ['name only those that are new'],
    });
  }
  const observed = new Map(head === undefined ? [] : [[head.origin, head]]);
  const payload = formatRelease({ subjects, observed });
  const draft = makeDraft(RELEASE_PAYLOAD_TYPE, payload, pathsOf(artifacts));
  return await withOthers(invocation, session, draft, artifacts);
}

async function withOthers(
  invocation: Invocation,
  session: LogSession,
  draft: Draft,
  artifacts: readonly Artifact[],
): Promise<Prepared> {
  const own = await openProposal(session, draft);
  const waiting = await allWaiting(invocation, session, own);
  // It may be this very statement: at a log that stands still everybody makes the same one.
  const { signal } = invocation.context;
  let same: Proposal | undefined;
  for (const other of waiting) {
    if (!saysTheSame(other, own)) continue;
    // One that says what this signer cannot say (a head that the log never had) is not joined, and does
    // not keep anybody from an own one.
    if (!(await isSeenHere(session, other, signal))) continue;
    same = other;
    break;
  }
  const others = waiting.filter(({ id }) => id !== own.id);
  if (same === undefined)
    return { kind: 'draft', proposal: own, artifacts, others, isJoined: false };
  const joined = { ...same, draft: { ...same.draft, artifacts: inOrderOf(same, artifacts) } };
  const rest = others.filter((other) => other !== same);
  return { kind: 'draft', proposal: joined, artifacts, others: rest, isJoined: true };
}

async function isSeenHere(
  session: LogSession,
  { release, head }: Proposal,
  signal: AbortSignal,
): Promise<boolean> {
  try {
    await requireObserved(session, release.observed, head, signal);
    return true;
  } catch (error) {
    if (error instanceof CliError) return false;
    throw error;
  }
}

/** What waits for signatures of the maintainers of a proposal's packages, itself left out. */
export async function waitingFor(
  invocation: Invocation,
  session: LogSession,
  proposal: Proposal,
): Promise<readonly Proposal[]> {
  const all = await allWaiting(invocation, session, proposal);
  return all.filter(({ id }) => id !== proposal.id);
}

async function allWaiting(
  invocation: Invocation,
  session: LogSession,
  { packages }: Proposal,
): Promise<readonly Proposal[]> {
  const { signal } = invocation.context;
  return (await openProposals(session, packages.keys(), signal)).proposals;
}

/** Paths of tarballs, as a draft names them. */
export function pathsOf(artifacts: readonly Artifact[]): readonly string[] {
  return artifacts.map(({ path }) => path);
}

function inOrderOf({ release }: Proposal, artifacts: readonly Artifact[]): readonly string[] {
  const byName = new Map(artifacts.map((artifact) => [artifact.checked.name, artifact.path]));
  return release.subjects.map(({ name }) => byName.get(name) ?? '');
}

// Not only about the same bytes: whoever joins signs the other's words about them as well.
function saysTheSame(other: Proposal, own: Proposal): boolean {
  const byPurl = new Map(other.release.subjects.map((subject) => [subject.purl, subject]));
  const { subjects } = own.release;
  return (
    subjects.length === byPurl.size &&
    subjects.every((subject) => {
      const theirs = byPurl.get(subject.purl);
      return theirs !== undefined && sayTheSame(theirs, subject);
    })
  );
}

function requireSame(artifact: Artifact, loggedDigest: Uint8Array, index: number): void {
  if (equalBytes(artifact.sha512, loggedDigest)) return;
  const { name, version } = artifact.checked;
  throw new CliError('BP5004', `${name}@${version}: in the log already, with other bytes`, {
    details: [
      ['logged', `${formatSri(loggedDigest)} (entry ${index})`],
      ['yours', formatSri(artifact.sha512)],
    ],
    hints: ['raise the version: a name and version mean one artifact for ever'],
  });
}
