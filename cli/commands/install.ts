// `bftpkg install` and `bftpkg ci`: nothing is unpacked or run before all of it is verified, and the
// project is touched only after npm has succeeded elsewhere.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { Invocation } from '../context.ts';
import { CliError, systemCode, type ReplicaFailure } from '../errors.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { fetchArtifacts, type FetchOutcome } from '../npm/fetch.ts';
import { exists, isNeededHere, loadLockfile, type Lockfile } from '../npm/lockfile.ts';
import { findNpm, npmFailed, runNpm, type Npm } from '../npm/npm.ts';
import { readProjectNpmrc } from '../npm/npmrc.ts';
import { Staging } from '../npm/staging.ts';
import { describeFailure } from '../output/diagnose.ts';
import { verificationReport, type Report, type Verification } from '../output/report.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { withFetchOutcome } from '../session/report-fetch.ts';
import { verifyLockfile, type LockfileVerification } from '../session/verify-lockfile.ts';
import { cacheFolder } from '../trust/folders.ts';

/** Options of `install` and `ci`. */
export interface InstallOptions {
  /** Let install scripts of the verified packages run afterwards. */
  readonly scripts?: boolean;
}

/** What is to be in the project afterwards. */
export interface Wish {
  readonly packageJson: string;
  readonly lockfile: Lockfile;
  /** Files of the project to write; empty when only node_modules changes. */
  readonly files: ReadonlyMap<string, string>;
}

/** `ci`, and `install` without names: exactly what the lockfile says. */
export async function installLocked(
  invocation: Invocation,
  command: 'install' | 'ci',
  options: InstallOptions,
): Promise<Report> {
  const { project } = invocation.globals;
  const npm = await findNpm(invocation.context);
  const { flags } = await readSettings(invocation);
  const packageJson = await readText(join(project, 'package.json'));
  const lockfile = await loadLockfile(project);
  const wish: Wish = { packageJson, lockfile, files: new Map() };
  return await withSession(invocation, {}, async (session) => {
    const { report, checked } = await judge(invocation, session, command, lockfile, () => false);
    if (report.exit.code !== 0) return report;
    return await installVerified(invocation, session, command, wish, checked, npm, flags, options);
  });
}

/** What the log proves, and what the policy says to that. */
export async function judge(
  invocation: Invocation,
  session: LogSession,
  command: 'install' | 'ci',
  lockfile: Lockfile,
  isNew: (name: string, version: string) => boolean,
): Promise<{ readonly report: Report; readonly checked: LockfileVerification }> {
  const run = new PolicyRun(invocation, session);
  // What npm is given here says nothing about lockfiles inside of tarballs (staging.ts).
  const graph = { ...lockfile.graph, obeysShrinkwrap: () => false };
  const checked = await verifyLockfile(session, { ...lockfile, graph }, run.ask);
  const scope = { lockText: lockfile.text, isWhole: true, isNew };
  const report = run.report(command, checked.verification, scope);
  const verification = report.verification ?? checked.verification;
  if (report.exit.code === 0) requireProven(verification);
  return { report, checked: { ...checked, verification } };
}

// Of what is only allowed nobody has signed bytes that could be put into place.
function requireProven({ subjects }: Verification): void {
  const allowed = subjects.filter(
    ({ verdict }) => verdict === 'excepted' || verdict === 'baseline',
  );
  if (allowed.length === 0) return;
  const names = allowed.map(({ name, version }) => `${name}@${version ?? '?'}`);
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  const text = `allowed by your policy, but not verified: ${names.slice(0, 3).join(', ')}${more}`;
  throw new CliError('BP9005', text, {
    hints: ['bftpkg verify, then install with npm: bftpkg installs only what is proven'],
  });
}

/** Whether the project has a lockfile, so that there is nothing to resolve. */
export async function isLocked(project: string): Promise<boolean> {
  const names = ['npm-shrinkwrap.json', 'package-lock.json'];
  const found = await Promise.all(names.map((name) => exists(join(project, name))));
  return found.includes(true);
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
  const { project } = invocation.globals;
  requireNoLinks(wish.lockfile);
  const staging = await Staging.create(project);
  try {
    const fetched = await fetchAll(invocation, session, wish.lockfile, checked, staging);
    const verification = withFetched(checked.verification, fetched, session);
    const report = verificationReport(command, verification);
    if (report.exit.code !== 0) return report;
    invocation.progress('installing with npm, offline');
    await staging.install(wish.packageJson, wish.lockfile, npm, {
      context: invocation.context,
      flags,
    });
    await staging.commit(project, wish.files);
    if (options.scripts === true) await runScripts(invocation, staging);
    const installed = { packages: fetched.installed, folder: join(project, 'node_modules') };
    return verificationReport(command, { ...verification, installed });
  } finally {
    await staging.remove();
  }
}

// Links into the project's own folders would point into the private folder.
function requireNoLinks(lockfile: Lockfile): void {
  const link = lockfile.entries.find(({ kind }) => kind === 'local');
  if (link === undefined) return;
  throw new CliError('BP9005', `${lockfile.file}: workspaces can be verified, not yet installed`, {
    hints: ['bftpkg verify, then install with npm from a verified cache'],
  });
}

interface Fetched {
  readonly outcomes: ReadonlyMap<string, FetchOutcome>;
  readonly failures: readonly ReplicaFailure[];
  readonly installed: number;
}

async function fetchAll(
  invocation: Invocation,
  session: LogSession,
  lockfile: Lockfile,
  checked: LockfileVerification,
  staging: Staging,
): Promise<Fetched> {
  const needed = new Map<string, VerifiedRelease>();
  let installed = 0;
  for (const entry of lockfile.entries) {
    const release = checked.releases.get(entry.key);
    if (entry.kind !== 'registry' || release === undefined) continue;
    if (!isNeededHere(entry, process.platform, process.arch)) continue;
    installed++;
    needed.set(release.purl, release);
  }
  const outcomes = new Map<string, FetchOutcome>();
  const failures: ReplicaFailure[] = [];
  const total = needed.size;
  invocation.progress('fetching tarballs', { done: 0, total });
  await fetchArtifacts(
    [...needed.values()],
    {
      replicas: await session.readyFirst(),
      missed: new Map(),
      store: new ArtifactStore(join(cacheFolder(invocation.context.env), 'artifacts')),
      signal: invocation.context.signal,
      onFailure: (failure) => failures.push(failure),
    },
    async (outcome) => {
      if (outcome.kind === 'checked') {
        await staging.addContent(outcome.release.sha512, outcome.bytes);
        outcomes.set(outcome.release.purl, { ...outcome, bytes: new Uint8Array() });
      } else {
        outcomes.set(outcome.release.purl, outcome);
      }
      invocation.progress('fetching tarballs', { done: outcomes.size, total });
    },
  );
  return { outcomes, failures, installed };
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

async function runScripts(invocation: Invocation, staging: Staging): Promise<void> {
  invocation.progress('running install scripts');
  const result = await runNpm({
    cwd: invocation.globals.project,
    context: invocation.context,
    cache: join(staging.folder, '.cache'),
    args: ['rebuild', '--offline'],
    scripts: true,
  });
  if (result.code !== 0) throw npmFailed('npm rebuild', result);
}

/** What of the project's .npmrc is used. */
export async function readSettings(
  invocation: Invocation,
): Promise<{ readonly flags: readonly string[] }> {
  const { flags, ignored } = await readProjectNpmrc(invocation.globals.project);
  if (ignored.length > 0) invocation.notice(`.npmrc: no effect here: ${ignored.join(', ')}`);
  return { flags };
}

/** A file's text, or `undefined` when there is none. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw new CliError('BP9004', `${path}: ${systemCode(error) ?? 'cannot be read'}`);
  }
}

/** A file's text. @throws {CliError} BP9004 when there is none */
export async function readText(path: string): Promise<string> {
  const text = await readIfThere(path);
  if (text === undefined) throw new CliError('BP9004', `${path}: there is none`);
  return text;
}
