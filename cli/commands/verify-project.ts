// `bftpkg verify` without names: the project's lockfile, and with --installed what lies on disk as well.
import { resolve } from 'node:path';

import type { Invocation } from '../context.ts';
import { usageError } from '../errors.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { parseOmit, unchangedSince, type Selection } from '../lockfiles/select.ts';
import type { Report } from '../output/report.ts';
import type { LogSession } from '../session/log-session.ts';
import type { PolicyRun } from '../session/policy-run.ts';
import { verifyLockfile, type VerifySubjects } from '../session/verify-lockfile.ts';

/** Options of `verify` that say what of the project is verified. */
export interface ProjectOptions {
  readonly lockfile?: string;
  /** `dev,optional,peer`, any number of times. */
  readonly omit?: readonly string[];
  /** Patterns of names. */
  readonly only?: readonly string[];
  /** A commit, branch or tag. */
  readonly since?: string;
  /** Whether to compare node_modules with the verified tarballs. */
  readonly installed?: boolean;
}

/** Verifies the project. */
export async function verifyProject(
  invocation: Invocation,
  session: LogSession,
  options: ProjectOptions,
  ask: VerifySubjects,
  policy: PolicyRun,
): Promise<Report> {
  const { context, globals } = invocation;
  const named = options.lockfile === undefined ? undefined : resolve(context.cwd, options.lockfile);
  const lockfile = await loadLockfile(globals.project, named);
  const selection = await readSelection(invocation, lockfile, options);
  const checked = await verifyLockfile(session, lockfile, ask, selection);
  let { verification } = checked;
  if (options.installed === true) {
    const { verifyInstalled } = await import('../session/verify-installed.ts');
    verification = await verifyInstalled(invocation, session, lockfile, checked);
  }
  return policy.report('verify', verification, {
    lockText: lockfile.text,
    isWhole: isWhole(options),
  });
}

function isWhole({ omit = [], only = [], since }: ProjectOptions): boolean {
  return omit.length === 0 && only.length === 0 && since === undefined;
}

async function readSelection(
  { context }: Invocation,
  lockfile: Lockfile,
  { omit = [], only = [], since }: ProjectOptions,
): Promise<Selection> {
  const kinds = parseOmit(omit);
  if (kinds === undefined) {
    throw usageError(`--omit takes dev, optional and peer, not ${omit.join(',')}`);
  }
  if (since === undefined) return { omit: kinds, only, unchanged: undefined };
  const { readLockfileAt } = await import('../lockfiles/git.ts');
  const earlier = await readLockfileAt(lockfile, since, context);
  const unchanged = earlier === undefined ? new Set<string>() : unchangedSince(lockfile, earlier);
  return { omit: kinds, only, unchanged };
}
