// `bftpkg install <name>…`: chooses versions, and then installs them like a lockfile's.
import { join } from 'node:path';

import { subjectId, type Subject } from '../../verifier/evidence/subject.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { parseLockfile } from '../lockfiles/load.ts';
import { exists } from '../npm/lockfile.ts';
import { findNpm } from '../npm/npm.ts';
import { parseInstallSpec, resolveWith, type InstallSpec } from '../npm/resolve.ts';
import type { Report } from '../output/report.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import type { LockfileVerification } from '../session/verify-lockfile.ts';
import { installVerified, type InstallOptions } from './install-verified.ts';
import { judge, readIfThere, readSettings, readText, recoverProject } from './install.ts';

/**
 * `install <name>[@range]…`: adds or changes dependencies. Without names: makes the lockfile that a
 * project doesn't have yet.
 */
export async function installNamed(
  invocation: Invocation,
  specs: readonly string[],
  options: InstallOptions,
): Promise<Report> {
  const { project } = invocation.globals;
  const wanted = specs.map(parseInstallSpec);
  const npm = await findNpm(invocation.context);
  await recoverProject(invocation, project);
  const { flags } = await readSettings(invocation);
  const packageJson = await readManifest(project, specs);
  if (await exists(join(project, 'npm-shrinkwrap.json'))) {
    throw new CliError('BP9005', 'packages can be added to package-lock.json only', {
      hints: ['change npm-shrinkwrap.json with npm, then bftpkg ci'],
    });
  }
  const lockText = await readIfThere(join(project, 'package-lock.json'));
  const isNew = newSince(lockText, join(project, 'package-lock.json'));
  return await withSession(invocation, {}, async (session) => {
    let last: unknown;
    // Resolution is a replica's word: an unreachable, lying or lagging one is passed over.
    for (const replica of await session.readyFirst()) {
      if (invocation.context.signal.aborted) break;
      invocation.progress(`resolving with ${replica.url}`);
      try {
        const request = { packageJson, lockText, specs, replicaUrl: replica.url, npm, flags };
        const resolution = await resolveWith({ ...request, context: invocation.context });
        const { report, checked } = await judge(
          invocation,
          session,
          'install',
          resolution.lockfile,
          isNew,
        );
        if (report.exit.code !== 0) return report;
        requireLatest(wanted, checked);
        const files = new Map([
          ['package.json', resolution.packageJson],
          ['package-lock.json', resolution.lockText],
        ]);
        const { lockfile } = resolution;
        const wish = { packageJson: resolution.packageJson, lockfile, files };
        return await installVerified(
          invocation,
          session,
          'install',
          wish,
          checked,
          npm,
          flags,
          options,
        );
      } catch (error) {
        if (!isResolutionFailure(error)) throw error;
        last = error;
      }
    }
    throw await explainUnresolved(session, wanted, last);
  });
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
  return specs.length === 0 ? await readText(path) : ((await readIfThere(path)) ?? '{}\n');
}

/** npm found nothing with one replica; another one may know more. */
function isResolutionFailure(error: unknown): error is CliError {
  return (
    error instanceof CliError &&
    (error.diagnostic.code === 'BP7004' || error.diagnostic.code === 'BP4002')
  );
}

// npm's "404" says nothing that is proven. The log does: whether there is such a package and release.
// Only for a range does nothing prove that no version is in it.
async function explainUnresolved(
  session: LogSession,
  wanted: readonly InstallSpec[],
  last: unknown,
): Promise<unknown> {
  // Without names it is package.json that can't be resolved; npm has said what it misses.
  if (wanted.length === 0) return last ?? new CliError('BP7001', 'no replica could be asked');
  const verified = await session.verify(distinct(wanted.flatMap(subjectsOf)));
  const missing = verified.evidence.subjects.flatMap((result) => {
    const { subject } = result;
    if (result.kind === 'package' && result.package.releases === 0) {
      return [`${subject.name} (it is registered, but has no release)`];
    }
    if (result.kind !== 'absent') return [];
    return [subject.kind === 'release' ? `${subject.name}@${subject.version}` : subject.name];
  });
  if (missing.length === 0) return last ?? new CliError('BP7001', 'no replica could be asked');
  return new CliError('BP5003', `not in the log: ${missing.join(', ')}`, {
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

// A replica that hides the newest version keeps its users on an old, perhaps vulnerable one. The log
// proves which version is the latest.
function requireLatest(wanted: readonly InstallSpec[], { releases }: LockfileVerification): void {
  for (const { name, range } of wanted) {
    if (range !== undefined && range !== 'latest') continue;
    const release = releases.get(`node_modules/${name}`);
    if (release === undefined || release.latest === null) continue;
    if (release.version === release.latest) continue;
    throw new CliError(
      'BP4002',
      `${name}: offered ${release.version}, the log says ${release.latest}`,
      {
        hints: [`bftpkg install ${name}@${release.latest}`],
      },
    );
  }
}
