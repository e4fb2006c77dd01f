// `bftpkg verify` without names: the project's lockfile, and with --installed what lies on disk as well.
import { resolve } from 'node:path';

import type { Invocation } from '../context.ts';
import { usageError } from '../errors.ts';
import { requireDeclaredManager } from '../lockfiles/declared-manager.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { parseOmit, unchangedSince, type Selection } from '../lockfiles/select.ts';
import { diagnostic, withDiagnostics, type Report } from '../output/report.ts';
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
  /** Names or folders of workspaces. */
  readonly workspace?: readonly string[];
  /** A commit, branch or tag. */
  readonly since?: string;
  /** `never`: exceptions and the baseline are of no effect for what is not proven. */
  readonly allowUnlogged?: 'never' | 'baseline';
  /** Whether to compare node_modules with the verified tarballs. */
  readonly installed?: boolean;
}

/**
 * Verifies the project.
 *
 * @param folder another folder whose lockfile is meant, by the configuration of the project
 */
export async function verifyProject(
  invocation: Invocation,
  session: LogSession,
  options: ProjectOptions,
  ask: VerifySubjects,
  policy: PolicyRun,
  folder?: string,
): Promise<Report> {
  const { context, globals } = invocation;
  const named = options.lockfile === undefined ? undefined : resolve(context.cwd, options.lockfile);
  const lockfile = await loadLockfile(folder ?? globals.project, named);
  if (named === undefined) await requireDeclaredManager(lockfile);
  const selection = await readSelection(invocation, lockfile, options);
  const checked = await verifyLockfile(session, lockfile, ask, selection);
  let { verification } = checked;
  // From a saved document, and offline, there are no tarballs to look into.
  const isOnline = !globals.offline && checked.verified?.isBundle === false;
  if (isOnline && lockfile.entries.some(({ kind }) => kind === 'bundled')) {
    const { verifyBundles } = await import('../session/verify-bundles.ts');
    verification = await verifyBundles(invocation, session, lockfile, checked);
  }
  if (options.installed === true) {
    const { verifyInstalled } = await import('../session/verify-installed.ts');
    verification = await verifyInstalled(invocation, session, lockfile, {
      ...checked,
      verification,
    });
  }
  const report = policy.report('verify', verification, {
    lockText: lockfile.text,
    bundles: { lockfile, releases: checked.releases },
    isWhole: folder === undefined && isWhole(options),
  });
  return withDiagnostics(
    report,
    checked.missing.map((what) =>
      diagnostic(
        'BP6007',
        `${lockfile.file} does not have ${what}: an install may choose any version`,
        {
          hints: ['make the lockfile again from package.json, and verify that'],
        },
      ),
    ),
  );
}

// Only then it can be said which exceptions and lines of the baseline are not needed any more.
function isWhole(options: ProjectOptions): boolean {
  const { omit = [], only = [], workspace = [], since, allowUnlogged } = options;
  const isSelected = omit.length + only.length + workspace.length > 0 || since !== undefined;
  return !isSelected && allowUnlogged !== 'never';
}

async function readSelection(
  { context }: Invocation,
  lockfile: Lockfile,
  { omit = [], only = [], workspace: workspaces = [], since }: ProjectOptions,
): Promise<Selection> {
  const kinds = parseOmit(omit);
  if (kinds === undefined) {
    throw usageError(`--omit takes dev, optional and peer, not ${omit.join(',')}`);
  }
  const selected = { omit: kinds, only, workspaces };
  if (since === undefined) return { ...selected, unchanged: undefined };
  const { readLockfileAt } = await import('../lockfiles/git.ts');
  const earlier = await readLockfileAt(lockfile, since, context);
  const unchanged = earlier === undefined ? new Set<string>() : unchangedSince(lockfile, earlier);
  return { ...selected, unchanged };
}
