// The second half of `install` and `ci`: everything was verified by name, now come the bytes. They are
// fetched and checked, npm installs them elsewhere and offline, and the result is moved into the project.
import { dirname, isAbsolute, join } from 'node:path';

import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { Invocation } from '../context.ts';
import { CliError, type ReplicaFailure } from '../errors.ts';
import { asStrings } from '../lockfiles/classify.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { bundledIn, type BundleListing } from '../npm/bundled.ts';
import { fetchArtifacts, withoutBytes, type FetchOutcome } from '../npm/fetch.ts';
import { exists, isNeededHere, type LockEntry, type Lockfile } from '../npm/lockfile.ts';
import type { Npm } from '../npm/npm.ts';
import type { ProvenEntries } from '../npm/staged-lock.ts';
import { isolation } from '../npm/isolation.ts';
import { Staging } from '../npm/staging.ts';
import { describeFailure } from '../output/diagnose.ts';
import {
  verificationReport,
  withDiagnostics,
  type Report,
  type Verification,
} from '../output/report.ts';
import type { LogSession } from '../session/log-session.ts';
import { withFetchOutcome } from '../session/report-fetch.ts';
import { bundleOwners, proveBundles, withBundleProblems } from '../session/verify-bundles.ts';
import type { LockfileVerification } from '../session/verify-lockfile.ts';
import { cacheFolder, stateFolder } from '../trust/folders.ts';
import { fetchAllowed, withRefused } from './install-allowed.ts';
import { runAllowedScripts, type ScriptReport } from './install-scripts.ts';

/** Options of `install` and `ci`. */
export interface InstallOptions {
  /** Whether install scripts run afterwards: all, or none. Left out, those that `allowScripts` allows. */
  readonly scripts?: boolean;
  /** Whether npm and the scripts get no network at all. */
  readonly isolate?: boolean;
}

/** What is to be in the project afterwards. */
export interface Wish {
  readonly packageJson: string;
  readonly lockfile: Lockfile;
  /** Files of the project to write; empty when only node_modules changes. */
  readonly files: ReadonlyMap<string, string>;
}

/** The folder that a lockfile installs into: its own, or the project's when it was just made. */
export function installFolder({ globals }: Invocation, { path }: Lockfile): string {
  return isAbsolute(path) ? dirname(path) : globals.project;
}

/** Fetches what was verified, lets npm install it elsewhere, and moves the result into the project. */
export async function installVerified(
  invocation: Invocation,
  session: LogSession,
  command: 'install' | 'ci',
  wish: Wish,
  checked: LockfileVerification,
  npm: Npm,
  flags: readonly string[],
  options: InstallOptions,
): Promise<Report> {
  const { lockfile } = wish;
  const project = installFolder(invocation, lockfile);
  const through = await startedThrough(invocation, options);
  const staging = await Staging.create(project);
  try {
    const fetched = await fetchAll(invocation, session, lockfile, checked, staging);
    const { verification: judged } = checked;
    const allowed = await fetchAllowed(invocation, session, lockfile, judged, staging);
    const bundles = new Map([...fetched.bundles, ...allowed.bundles]);
    const { bundled, problems } = proveBundles(lockfile, bundles);
    const releases = new Map([...checked.releases, ...allowed.releases]);
    const proven: ProvenEntries = { releases, bundled };
    const needed = [...fetched.needed, ...allowed.needed];
    const known = withRefused(withFetched(judged, fetched, session), lockfile, allowed);
    const verification = withBundleProblems(known, lockfile, problems);
    const report = verificationReport(command, verification);
    if (report.exit.code !== 0) return report;

    await staging.mirrorLocals(project, localFolders(lockfile));
    invocation.progress('installing with npm, offline');
    const { context } = invocation;
    await staging.install(wish.packageJson, lockfile, proven, npm, { context, flags, ...through });
    await requireComplete(staging, needed, flags);
    await staging.commit(project, wish.files, stateFolder(context.env));

    const folder = join(project, 'node_modules');
    const count = { packages: needed.length, allowed: allowed.needed.length };
    const done = (scripts: ScriptReport): Report =>
      verificationReport(command, { ...verification, installed: { ...count, folder, scripts } });
    try {
      const scene = { proven, bundles, scratch: staging.folder, ...through };
      return done(
        await runAllowedScripts(invocation, session, lockfile, project, scene, options.scripts),
      );
    } catch (error) {
      // Installed it is, and the report has to say so.
      if (!(error instanceof CliError) || error.diagnostic.code !== 'BP7007') throw error;
      return withDiagnostics(done({ ran: [], skipped: [], failed: [] }), [error.diagnostic]);
    }
  } finally {
    await staging.remove();
  }
}

async function startedThrough(
  { context }: Invocation,
  { isolate }: InstallOptions,
): Promise<{ readonly through?: readonly string[] }> {
  return isolate === true ? { through: await isolation(context) } : {};
}

function localFolders({ graph }: Lockfile): readonly string[] {
  return graph.projects.map(({ folder }) => folder).filter((folder) => folder !== '');
}

interface Fetched {
  /** By purl. */
  readonly outcomes: ReadonlyMap<string, FetchOutcome>;
  readonly failures: readonly ReplicaFailure[];
  /** Entries that belong on this platform. */
  readonly needed: readonly LockEntry[];
  /** By key of the entry: what is in a tarball that bundles packages. */
  readonly bundles: ReadonlyMap<string, BundleListing>;
}

async function fetchAll(
  invocation: Invocation,
  session: LogSession,
  lockfile: Lockfile,
  checked: LockfileVerification,
  staging: Staging,
): Promise<Fetched> {
  const releases = new Map<string, VerifiedRelease>();
  const needed: LockEntry[] = [];
  for (const entry of lockfile.entries) {
    const release = checked.releases.get(entry.key);
    if (entry.kind !== 'registry' || release === undefined) continue;
    // The platforms of the signed manifest: a lockfile could leave a package out by naming others.
    const { manifest } = release;
    const platforms = { os: asStrings(manifest['os']), cpu: asStrings(manifest['cpu']) };
    if (!isNeededHere({ ...entry, ...platforms }, process.platform, process.arch)) continue;
    needed.push(entry);
    releases.set(release.purl, release);
  }
  const owners = bundleOwners(lockfile);
  const owning = new Set([...owners].map((key) => checked.releases.get(key)?.purl));
  const inside = new Map<string, BundleListing>();
  const outcomes = new Map<string, FetchOutcome>();
  const failures: ReplicaFailure[] = [];
  const total = releases.size;
  invocation.progress('fetching tarballs', { done: 0, total });
  await fetchArtifacts(
    [...releases.values()],
    {
      replicas: await session.readyFirst(),
      missed: new Map(),
      store: new ArtifactStore(join(cacheFolder(invocation.context.env), 'artifacts')),
      signal: invocation.context.signal,
      onFailure: (failure) => failures.push(failure),
    },
    async (outcome) => {
      const { purl } = outcome.release;
      if (outcome.kind === 'checked') {
        await staging.addContent(outcome.release.sha512, outcome.bytes);
        if (owning.has(purl)) inside.set(purl, bundledIn(outcome.listing));
      }
      // The bytes are on disk now; a thousand packages must not stay in memory.
      outcomes.set(purl, withoutBytes(outcome));
      invocation.progress('fetching tarballs', { done: outcomes.size, total });
    },
  );
  const bundles = new Map<string, BundleListing>();
  for (const owner of owners) {
    const found = inside.get(checked.releases.get(owner)?.purl ?? '');
    if (found !== undefined) bundles.set(owner, found);
  }
  return { outcomes, failures, needed, bundles };
}

// What happened to the bytes, added to what was proven about the names.
function withFetched(
  verification: Verification,
  fetched: Fetched,
  session: LogSession,
): Verification {
  const byName = new Map(
    [...fetched.outcomes.values()].map((outcome) => [
      `${outcome.release.name}@${outcome.release.version}`,
      outcome,
    ]),
  );
  const liars = fetched.failures.map(({ url, error }) => ({
    url,
    problem: describeFailure(error),
  }));
  return {
    ...verification,
    subjects: verification.subjects.map((subject) =>
      withFetchOutcome(subject, byName.get(`${subject.name}@${subject.version ?? ''}`)),
    ),
    replicas: [...verification.replicas, ...liars],
    bytesFetched: session.http.bytesReceived,
  };
}

// npm drops an optional package that it can't unpack, and says nothing (tried). Whatever is called
// installed has to be there, unless the project's own settings leave kinds of dependencies out.
async function requireComplete(
  staging: Staging,
  needed: readonly LockEntry[],
  flags: readonly string[],
): Promise<void> {
  if (flags.some((flag) => flag.startsWith('--omit='))) return;
  for (const entry of needed) {
    if (entry.kind === 'registry' && entry.optional) continue;
    if (await exists(join(staging.folder, entry.key, 'package.json'))) continue;
    throw new CliError('BP7004', `npm left ${entry.name} out, without saying why`, {
      details: [['missing', entry.key]],
      hints: ['nothing was changed; please report it'],
    });
  }
}
