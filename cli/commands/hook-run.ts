// `bftpkg hook run`: what the files of `bftpkg hook install` call from inside of a package manager. Says
// yes only in time, about everything that is going to be installed, and only after verifying it.
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import {
  HOOK_EVENTS,
  intentOf,
  MANAGERS,
  parseUserAgent,
  timingOf,
  type Caller,
  type HookEvent,
  type Manager,
} from '../hook/timing.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { readProjectNpmrc } from '../npm/npmrc.ts';
import { diagnostic, withDiagnostics, type Diagnostic, type Report } from '../output/report.ts';
import { withSession } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { verifyBundles } from '../session/verify-bundles.ts';
import { verifyLockfile } from '../session/verify-lockfile.ts';

/** Flags of `hook run`. */
export interface HookRunOptions {
  readonly event?: string;
  readonly manager?: string;
  /** Version of bftpkg that the project was set up with. */
  readonly needed?: string;
}

const REPORT_COMMAND = 'hook run';

/**
 * `hook run`.
 *
 * @param version of this program
 * @param words   what was typed behind the package manager's name, as far as it tells
 */
export async function hookRun(
  invocation: Invocation,
  words: readonly string[],
  options: HookRunOptions,
  version: string,
): Promise<Report> {
  requireVersion(options.needed, version);
  const event = readEvent(options.event);
  const caller = readCaller(invocation, options.manager);
  const timing = timingOf(caller, event);
  // Before anything else: whatever the log would say now, it would say it after the fact.
  if (timing.kind === 'late') {
    throw new CliError('BP6013', `too late: ${timing.reason}`, {
      details: [['verified', 'nothing, and nothing that was installed may be used on our word']],
      hints: [timing.instead],
    });
  }
  const intent = intentOf(words);
  if (intent.kind === 'choosing') {
    const shown = intent.words.slice(0, 80);
    throw new CliError('BP6013', `${caller.label} ${shown}: chooses versions after this hook`, {
      hints: [`bftpkg install ${withFlag(caller)}<name>`],
    });
  }
  const lockfile = await loadLockfile(invocation.globals.project);
  requireSameManager(caller, lockfile);
  if (caller.manager === 'npm') await readProjectNpmrc(invocation.globals.project);
  invocation.progress('verifying against the log');
  return await withSession(invocation, {}, async (session) => {
    const policy = new PolicyRun(invocation, session);
    const checked = await verifyLockfile(session, lockfile, policy.ask);
    const verification = await verifyBundles(invocation, session, lockfile, checked);
    const bundles = { lockfile, releases: checked.releases };
    const scope = { lockText: lockfile.text, bundles, isWhole: true };
    const report = policy.report(REPORT_COMMAND, verification, scope);
    const missing = [...checked.missing, ...chosenBeside(invocation, lockfile)];
    return withDiagnostics(
      report,
      missing.map((what) => incomplete(lockfile, what, caller)),
    );
  });
}

function incomplete({ file }: Lockfile, what: string, caller: Caller): Diagnostic {
  const message = `${file} does not have ${what}: ${caller.label} would choose a version`;
  return diagnostic('BP6007', message, {
    hints: [`bftpkg install ${withFlag(caller)}`.trim(), 'then commit the lockfile'],
  });
}

function withFlag({ manager }: Caller): string {
  return manager === 'npm' ? '' : `--with ${manager.replace(/-.*$/, '')} `;
}

// An older bftpkg may know less than the project relies on.
function requireVersion(needed: string | undefined, version: string): void {
  if (needed === undefined || !isOlder(version, needed)) return;
  throw new CliError('BP9004', `bftpkg ${version}: this project needs ${needed} or later`, {
    hints: [`npm install --global --ignore-scripts --omit=optional bftpkg@${needed}`],
  });
}

function isOlder(version: string, needed: string): boolean {
  const [have, want] = [version, needed].map((text) =>
    (/^(\d{1,6})\.(\d{1,6})\.(\d{1,6})/.exec(text) ?? []).slice(1).map(Number),
  );
  if (have === undefined || want === undefined) return true;
  const at = want.findIndex((number, i) => number !== have[i]);
  return at >= 0 && (have[at] ?? 0) < (want[at] ?? 0);
}

function readEvent(text: string | undefined): HookEvent {
  const event = HOOK_EVENTS.find((each) => each === text);
  if (event !== undefined) return event;
  throw usageError(`--event takes ${HOOK_EVENTS.join(', ')}`);
}

function readCaller({ context }: Invocation, named: string | undefined): Caller {
  const told = parseUserAgent(context.env['npm_config_user_agent']);
  if (named !== undefined) {
    const manager: Manager | undefined = MANAGERS.find((each) => each === named);
    if (manager === undefined) throw usageError(`--manager takes ${MANAGERS.join(', ')}`);
    return told?.manager === manager ? told : { manager, major: 0, label: manager };
  }
  if (told !== undefined) return told;
  throw new CliError('BP6013', 'called by no package manager that is known', {
    hints: ['bftpkg verify, or bftpkg ci'],
  });
}

const FORMATS: Readonly<Record<Manager, Lockfile['format']>> = {
  npm: 'npm',
  pnpm: 'pnpm',
  'yarn-classic': 'yarn-classic',
  'yarn-berry': 'yarn-berry',
  bun: 'bun',
};

// pnpm takes no notice of a package-lock.json: verifying that one says nothing about what it installs.
function requireSameManager({ manager, label }: Caller, { path, format }: Lockfile): void {
  if (FORMATS[manager] === format) return;
  throw new CliError('BP6013', `${label} does not install what ${path} says`, {
    hints: ['install with the package manager of the lockfile'],
  });
}

const PACKAGES_MAX = 100_000;

// What bun says that it is going to install, beside what the lockfile has.
function chosenBeside({ context }: Invocation, { entries }: Lockfile): readonly string[] {
  const text = context.env['BFTPKG_HOOK_PACKAGES'];
  if (text === undefined) return [];
  const chosen: unknown = JSON.parse(text);
  if (!Array.isArray(chosen) || chosen.length > PACKAGES_MAX) {
    throw usageError('BFTPKG_HOOK_PACKAGES is not a list of name@version');
  }
  const known = new Set(entries.map(({ name, version }) => `${name}@${version ?? ''}`));
  return chosen
    .filter((each: unknown) => typeof each !== 'string' || !known.has(each))
    .map((each: unknown) => `${JSON.stringify(each).slice(0, 80)}, which bun is about to install`);
}
