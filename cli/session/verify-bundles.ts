// Packages inside of other packages' tarballs: what a lockfile says about them, against the verified bytes
// around them. A lockfile that calls something bundled which is not makes npm fetch it by name, unverified.
import { join } from 'node:path';

import { assert } from '../../verifier/errors.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { JsonObject } from '../../verifier/json.ts';
import type { Invocation } from '../context.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { bundledIn, judgeBundle, type BundleListing } from '../npm/bundled.ts';
import { fetchArtifacts, type FetchOutcome } from '../npm/fetch.ts';
import { diagnostic, type SubjectReport, type Verification } from '../output/report.ts';
import { cacheFolder } from '../trust/folders.ts';
import type { LogSession } from './log-session.ts';
import { withFetchOutcome } from './report-fetch.ts';
import type { LockfileVerification } from './verify-lockfile.ts';

/** Keys of the packages that bundle others, by the lockfile. Only npm's lockfiles list what is bundled. */
export function bundleOwners({ entries, format }: Lockfile): ReadonlySet<string> {
  const owners = entries.flatMap((entry) => (entry.kind === 'bundled' ? [entry.owner] : []));
  return new Set(format === 'npm' ? owners : []);
}

/** What all bundles say: package.json by key of the entry, and why entries are not what they are called. */
export interface BundleProofs {
  readonly bundled: ReadonlyMap<string, JsonObject>;
  readonly problems: ReadonlyMap<string, string>;
}

/** Compares a lockfile with what is in the tarballs, by key of the package around. */
export function proveBundles(
  { entries }: Lockfile,
  bundles: ReadonlyMap<string, BundleListing>,
): BundleProofs {
  const bundled = new Map<string, JsonObject>();
  const problems = new Map<string, string>();
  for (const [owner, bundle] of bundles) {
    const judged = judgeBundle(owner, entries, bundle);
    for (const [key, manifest] of judged.manifests) bundled.set(key, manifest);
    for (const [key, problem] of judged.problems) problems.set(key, problem);
  }
  return { bundled, problems };
}

/**
 * The verification with the entries refused that are not what they are called.
 *
 * @param verification its rows stand in the order of the entries; more may follow
 */
export function withBundleProblems(
  verification: Verification,
  { entries, file }: Lockfile,
  problems: ReadonlyMap<string, string>,
): Verification {
  if (problems.size === 0) return verification;
  let rejected = 0;
  // By their order alone: a lockfile on one line gives all entries of one name the same place.
  const subjects = verification.subjects.map((subject, i): SubjectReport => {
    const entry = entries[i];
    const problem = entry === undefined ? undefined : problems.get(entry.key);
    if (entry === undefined || problem === undefined) return subject;
    assert(subject.name === entry.name, 'rows stand in the order of the entries');
    rejected++;
    const place = `${file}${entry.line === null ? '' : `:${entry.line}`}  ${entry.key}`;
    const found = diagnostic('BP6006', `${entry.name}@${entry.version ?? '?'}: ${problem}`, {
      details: [['in', place]],
      hints: ['look at who added it; then make the lockfile again'],
    });
    return { ...subject, verdict: 'rejected', diagnostics: [...subject.diagnostics, found] };
  });
  assert(rejected === problems.size, 'every entry of a lockfile has its row');
  return { ...verification, subjects };
}

/**
 * Verifies what a lockfile calls bundled, for whoever verifies without installing: fetches the few tarballs
 * that bundle something.
 */
export async function verifyBundles(
  invocation: Invocation,
  session: LogSession,
  lockfile: Lockfile,
  { verification, releases }: LockfileVerification,
): Promise<Verification> {
  const wanted = new Map<string, VerifiedRelease>();
  for (const key of bundleOwners(lockfile)) {
    const release = releases.get(key);
    if (release !== undefined) wanted.set(key, release);
  }
  if (wanted.size === 0) return verification;
  invocation.progress('fetching tarballs that bundle others');
  const bundles = new Map<string, BundleListing>();
  const failed = new Map<string, FetchOutcome>();
  const distinct = new Map([...wanted.values()].map((release) => [release.purl, release]));
  await fetchArtifacts(
    [...distinct.values()],
    {
      replicas: await session.readyFirst(),
      missed: new Map(),
      store: new ArtifactStore(join(cacheFolder(invocation.context.env), 'artifacts')),
      signal: invocation.context.signal,
      onFailure: () => undefined,
    },
    async (outcome) => {
      await Promise.resolve();
      const { name, version, purl } = outcome.release;
      if (outcome.kind !== 'checked') return void failed.set(`${name}@${version}`, outcome);
      const inside = bundledIn(outcome.listing);
      for (const [key, release] of wanted) if (release.purl === purl) bundles.set(key, inside);
    },
  );
  const subjects = verification.subjects.map((subject) =>
    withFetchOutcome(subject, failed.get(`${subject.name}@${subject.version ?? ''}`)),
  );
  const { problems } = proveBundles(lockfile, bundles);
  return withBundleProblems({ ...verification, subjects }, lockfile, problems);
}
