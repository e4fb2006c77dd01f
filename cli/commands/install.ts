// `bftpkg install` and `bftpkg ci`: nothing is unpacked or run before all of it is verified, and the
// project is touched only after npm has succeeded elsewhere.
import { join } from 'node:path';

import type { Invocation } from '../context.ts';
import { readText } from '../read-file.ts';
import { exists, loadLockfile, requireNpm, type Lockfile } from '../npm/lockfile.ts';
import { findNpm } from '../npm/npm.ts';
import { readProjectNpmrc } from '../npm/npmrc.ts';
import { recoverSwaps } from '../npm/swap.ts';
import type { Report } from '../output/report.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { verifyLockfile, type LockfileVerification } from '../session/verify-lockfile.ts';
import { stateFolder } from '../trust/folders.ts';
import { requireBound } from './install-allowed.ts';
import {
  installFolder,
  installVerified,
  type InstallOptions,
  type Wish,
} from './install-verified.ts';

/**
 * `ci`, and `install` without names: exactly what the lockfile says. What was interrupted in the folder has been
 * put right before: whether there is a lockfile depends on it.
 */
export async function installLocked(
  invocation: Invocation,
  command: 'install' | 'ci',
  options: InstallOptions,
): Promise<Report> {
  const npm = await findNpm(invocation.context);
  let lockfile = await loadLockfile(invocation.globals.project);
  const project = installFolder(invocation, lockfile);
  if (project !== invocation.globals.project) {
    // The lockfile of a project around this folder: what was read may be half of an interrupted change.
    await recoverProject(invocation, project);
    lockfile = await loadLockfile(invocation.globals.project);
  }
  await requireNpm(project);
  const { flags } = await readSettings(invocation, project);
  const packageJson = await readText(join(project, 'package.json'));
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
  if (report.exit.code === 0) requireBound(lockfile, verification);
  return { report, checked: { ...checked, verification } };
}

/** Whether the project has a lockfile, so that there is nothing to resolve. */
export async function isLocked(project: string): Promise<boolean> {
  const names = ['npm-shrinkwrap.json', 'package-lock.json'];
  const found = await Promise.all(names.map((name) => exists(join(project, name))));
  return found.includes(true);
}

/** Puts right what a run that was killed has left half done, before anything is read. */
export async function recoverProject(invocation: Invocation, project: string): Promise<void> {
  const { undone, strange } = await recoverSwaps(project, stateFolder(invocation.context.env));
  if (undone > 0) invocation.notice('an interrupted install was undone first');
  for (const folder of strange) {
    invocation.notice(`${folder}: left alone, because this user's installs here did not make it`);
  }
}

/** What of the project's .npmrc is used. */
export async function readSettings(
  invocation: Invocation,
  project: string = invocation.globals.project,
): Promise<{ readonly flags: readonly string[] }> {
  const { flags, ignored } = await readProjectNpmrc(project);
  if (ignored.length > 0) invocation.notice(`.npmrc: no effect here: ${ignored.join(', ')}`);
  return { flags };
}
