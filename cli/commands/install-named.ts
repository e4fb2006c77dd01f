// `bftpkg install <name>…`: chooses versions, and then installs them like a lockfile's.
import { dirname, join, relative, sep } from 'node:path';

import { subjectId, type Subject } from '../../verifier/evidence/subject.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { readText, readTextIfThere } from '../read-file.ts';
import { parseLockfile } from '../lockfiles/parse.ts';
import { exists, loadLockfile, requireNpm, type Lockfile } from '../npm/lockfile.ts';
import { findNpm } from '../npm/npm.ts';
import {
  parseInstallSpec,
  resolveWith,
  type InstallSpec,
  type Resolution,
  type ResolveRequest,
} from '../npm/resolve.ts';
import {
  diagnostic,
  failureReport,
  verificationReport,
  withDiagnostics,
  type Diagnostic,
  type Report,
} from '../output/report.ts';
import { isSaidAlready } from '../proxy/ledger.ts';
import { openProxy } from '../proxy/proxy.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { reportVerification } from '../session/report-subject.ts';
import { installVerified, type InstallOptions } from './install-verified.ts';
import { judge, readSettings } from './install.ts';

/**
 * `install <name>[@range]…`: adds or changes dependencies. Without names: makes the lockfile that a
 * project doesn't have yet.
 */
export async function installNamed(
  invocation: Invocation,
  specs: readonly string[],
  options: InstallOptions,
): Promise<Report> {
  return await installChosen(invocation, specs, options, 'install');
}

/** `update [name]…`: moves dependencies, or all of them, to the newest versions that the ranges admit. */
export async function updateNamed(
  invocation: Invocation,
  names: readonly string[],
  options: InstallOptions,
): Promise<Report> {
  const ranged = names.find((name) => parseInstallSpec(name).range !== undefined);
  if (ranged !== undefined) {
    throw new CliError('BP9003', `update takes names without a version: ${ranged}`, {
      hints: [`bftpkg install ${ranged}`],
    });
  }
  return await installChosen(invocation, names, options, 'update');
}

async function installChosen(
  invocation: Invocation,
  specs: readonly string[],
  options: InstallOptions,
  verb: 'install' | 'update',
): Promise<Report> {
  const { project } = invocation.globals;
  const wanted = specs.map(parseInstallSpec);
  const npm = await findNpm(invocation.context);
  await requireNpm(project);
  const { flags } = await readSettings(invocation);
  const packageJson = await readManifest(project, verb === 'update' ? [] : specs);
  if (await exists(join(project, 'npm-shrinkwrap.json'))) {
    throw new CliError('BP9005', 'packages can be added to package-lock.json only', {
      hints: ['change npm-shrinkwrap.json with npm, then bftpkg ci'],
    });
  }
  const lockText = await readTextIfThere(join(project, 'package-lock.json'));
  if (lockText === undefined) await requireNoWorkspace(project);
  const isNew = newSince(lockText, join(project, 'package-lock.json'));
  return await withSession(invocation, {}, async (session) => {
    invocation.progress('choosing among verified versions');
    const { context } = invocation;
    const request = { packageJson, project, lockText, specs, verb, npm, flags, context };
    const chosen = await choose(invocation, session, request, wanted);
    if (chosen.kind === 'failed') return chosen.report;
    const { resolution, notes } = chosen;
    const { lockfile } = resolution;
    const { report, checked } = await judge(invocation, session, 'install', lockfile, isNew);
    // What was noted decides as well, and before anything is changed.
    const noted = withDiagnostics(report, notes);
    if (noted.exit.code !== 0) return noted;
    const files = new Map([
      ['package.json', resolution.packageJson],
      ['package-lock.json', resolution.lockText],
    ]);
    const wish = { packageJson: resolution.packageJson, lockfile, files };
    const installed = await installVerified(
      invocation,
      session,
      'install',
      wish,
      checked,
      npm,
      flags,
      options,
    );
    return withDiagnostics(installed, notes);
  });
}

// A lockfile of its own would hide the folder from the one of the project around it.
async function requireNoWorkspace(project: string): Promise<void> {
  let around: Lockfile;
  try {
    around = await loadLockfile(project);
  } catch (error) {
    // None above, or one of another package manager: then it is no workspace of npm's.
    if (error instanceof CliError) return;
    throw error;
  }
  const root = dirname(around.path);
  const place = relative(root, project).split(sep).join('/');
  if (!around.graph.projects.some(({ folder }) => folder === place)) return;
  throw new CliError('BP9005', `${place} is a workspace of the project in ${root}`, {
    hints: ['change its package.json, then bftpkg install in the project’s own folder'],
  });
}

type Choice =
  /** `notes` tell which versions were not offered. */
  | {
      readonly kind: 'chosen';
      readonly resolution: Resolution;
      readonly notes: readonly Diagnostic[];
    }
  | { readonly kind: 'failed'; readonly report: Report };

// npm chooses, but only among what was proven before it was offered: a replica's word counts for nothing.
async function choose(
  invocation: Invocation,
  session: LogSession,
  request: Omit<ResolveRequest, 'registry' | 'forward'>,
  wanted: readonly InstallSpec[],
): Promise<Choice> {
  const proxy = await openProxy(invocation, session, { tell: () => undefined });
  const { ledger, registry, server } = proxy;
  try {
    const resolution = await resolveWith({
      ...request,
      registry: server.registry,
      forward: server.forward,
    });
    return { kind: 'chosen', resolution, notes: ledger.diagnostics(true) };
  } catch (error) {
    if (!(error instanceof CliError) || error.diagnostic.code !== 'BP7004') throw error;
    const { latest } = registry.verdicts;
    const refused = ledger.subjects(false).filter(({ verdict }) => verdict !== 'verified');
    const own = ledger.diagnostics(false);
    const failure = error.diagnostic;
    const problemsBeside = (said: readonly Diagnostic[]): readonly Diagnostic[] =>
      isSaidAlready(failure, [...own, ...said]) ? own : [...own, failure];
    if (latest !== undefined && refused.length > 0) {
      const verification = reportVerification(session, latest, 'package.json', refused);
      const report = verificationReport('install', verification);
      const problems = problemsBeside(refused.flatMap(({ diagnostics }) => diagnostics));
      return { kind: 'failed', report: withDiagnostics(report, problems) };
    }
    const missing = latest === undefined ? undefined : await explainMissing(session, wanted);
    const explained = missing === undefined ? [] : [missing];
    const found = [...explained, ...problemsBeside(explained)];
    return { kind: 'failed', report: failureReport('install', found) };
  } finally {
    await server.close();
  }
}

// A yanked release may stay where it is; it is not to be added.
function newSince(
  lockText: string | undefined,
  path: string,
): (name: string, version: string) => boolean {
  const before = lockText === undefined ? [] : parseLockfile(Buffer.from(lockText), path).entries;
  const known = new Set(before.map(({ name, version }) => `${name}@${version ?? ''}`));
  return (name, version) => !known.has(`${name}@${version}`);
}

// A new project may start with nothing; without names there has to be something to resolve.
async function readManifest(project: string, specs: readonly string[]): Promise<string> {
  const path = join(project, 'package.json');
  return specs.length === 0 ? await readText(path) : ((await readTextIfThere(path)) ?? '{}\n');
}

// npm's "no matching version" says nothing that is proven. The log does: whether there is such a package
// and release. Only for a range does nothing prove that no version is in it.
async function explainMissing(
  session: LogSession,
  wanted: readonly InstallSpec[],
): Promise<Diagnostic | undefined> {
  const subjects = distinct(wanted.flatMap(subjectsOf));
  if (subjects.length === 0) return undefined;
  const verified = await session.verify(subjects);
  const missing = verified.evidence.subjects.flatMap(({ kind, subject }) => {
    if (kind !== 'absent') return [];
    return [subject.kind === 'release' ? `${subject.name}@${subject.version}` : subject.name];
  });
  if (missing.length === 0) return undefined;
  return diagnostic('BP5003', `not in the log: ${missing.join(', ')}`, {
    hints: ['check the spelling; nothing was installed'],
  });
}

function subjectsOf({ name, range }: InstallSpec): readonly Subject[] {
  const named: Subject = { kind: 'package', name };
  if (range === undefined || !isVersion(range)) return [named];
  return [named, { kind: 'release', name, version: range }];
}

function distinct(subjects: readonly Subject[]): readonly Subject[] {
  return [...new Map(subjects.map((subject) => [subjectId(subject), subject])).values()];
}
