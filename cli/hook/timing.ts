// When a package manager runs our hook: before anything of the dependencies was fetched and run, or after.
// Measured, version by version. A hook that comes too late must not say anything good: whoever reads
// "verified" above the output of a script that has run already is worse off than without it.
import { quote } from '../../verifier/errors.ts';

/** Package managers that a project can be set up for. Yarn before and after version 2 are two. */
export const MANAGERS = ['npm', 'pnpm', 'yarn-classic', 'yarn-berry', 'bun'] as const;
export type Manager = (typeof MANAGERS)[number];

/** Places from which the hook is called. */
export const HOOK_EVENTS = ['preinstall', 'pnpm:devPreinstall', 'validateProject', 'scan'] as const;
export type HookEvent = (typeof HOOK_EVENTS)[number];

/** Who called, as far as it says. */
export interface Caller {
  readonly manager: Manager;
  /** Major version; 0 when it is not known. */
  readonly major: number;
  /** For people, like `npm 11.19.1`. */
  readonly label: string;
}

const AGENT_LENGTH_MAX = 1024;

/**
 * Reads `npm_config_user_agent`, which every package manager sets for its scripts, like
 * `npm/11.19.1 node/v20.20.2 linux x64 workspaces/false`.
 *
 * @returns `undefined` for none that is known
 */
export function parseUserAgent(agent: string | undefined): Caller | undefined {
  if (agent === undefined || agent.length > AGENT_LENGTH_MAX) return undefined;
  const match = /^(npm|pnpm|yarn|bun)\/(([0-9]{1,4})\.[0-9A-Za-z.+-]{1,64})(?: |$)/.exec(agent);
  const [, name, version, digits] = match ?? [];
  if (name === undefined || version === undefined) return undefined;
  const major = Number(digits);
  return { manager: managerOf(name, major), major, label: `${name} ${version}` };
}

function managerOf(name: string, major: number): Manager {
  if (name === 'yarn') return major === 1 ? 'yarn-classic' : 'yarn-berry';
  return name === 'npm' || name === 'pnpm' ? name : 'bun';
}

/** Whether a hook is in time. */
export type Timing =
  | { readonly kind: 'early' }
  /** `instead` is what to type. */
  | { readonly kind: 'late'; readonly reason: string; readonly instead: string };

const EARLY: Timing = { kind: 'early' };

/** First major versions of npm and pnpm that run the project's preinstall before anything else. */
const NPM_EARLY_SINCE = 12;
const PNPM_EARLY_SINCE = 11;

/** Judges a call. What is not known to be early counts as late. */
export function timingOf({ manager, major, label }: Caller, event: HookEvent): Timing {
  const late = (reason: string, instead: string): Timing => ({ kind: 'late', reason, instead });
  switch (manager) {
    case 'npm':
      if (event === 'preinstall' && major >= NPM_EARLY_SINCE) return EARLY;
      return late(
        `${label} runs this hook after it has installed all dependencies and run their scripts`,
        'bftpkg ci',
      );
    case 'pnpm':
      if (event === 'pnpm:devPreinstall') return EARLY;
      if (event === 'preinstall' && major >= PNPM_EARLY_SINCE) return EARLY;
      return late(
        `${label} runs this hook after it has unpacked all dependencies`,
        'bftpkg install --with pnpm',
      );
    case 'yarn-classic':
      if (event === 'preinstall') return EARLY;
      return late(`${label} does not call ${quote(event)}`, 'bftpkg install --with yarn');
    case 'yarn-berry':
      if (event === 'validateProject') return EARLY;
      return late(
        `${label} runs this hook as a build step, after it has unpacked all dependencies`,
        'bftpkg install --with yarn',
      );
    case 'bun':
      if (event === 'scan') return EARLY;
      return late(
        `${label} runs this hook after it has installed all dependencies`,
        'bftpkg install --with bun',
      );
  }
}

/** What a command line of a package manager does with the lockfile. */
export type Intent =
  /** Installs what it says, as far as it says everything. */
  | { readonly kind: 'locked' }
  /** Chooses versions that no lockfile has yet. */
  | { readonly kind: 'choosing'; readonly words: string };

const CHOOSING: ReadonlySet<string> = new Set([
  'add',
  'create',
  'dedupe',
  'dlx',
  'exec',
  'up',
  'update',
  'upgrade',
  'upgrade-interactive',
]);
const INSTALLING: ReadonlySet<string> = new Set(['i', 'in', 'ins', 'install']);
const WORDS_MAX = 1000;

/**
 * Judges the words after a package manager's name. A word behind a flag may be the flag's value, so
 * only `install` followed at once by a name is taken for adding it.
 */
export function intentOf(words: readonly string[]): Intent {
  const at = words.slice(0, WORDS_MAX).findIndex((word) => !word.startsWith('-'));
  const command = words[at];
  const next = words[at + 1];
  if (command === undefined) return { kind: 'locked' };
  const isNamed = INSTALLING.has(command) && next !== undefined && !next.startsWith('-');
  return CHOOSING.has(command) || isNamed
    ? { kind: 'choosing', words: isNamed ? `${command} ${next}` : command }
    : { kind: 'locked' };
}
