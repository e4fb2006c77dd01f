// The user's own npm as a child process, cut off from every setting that it would otherwise pick up:
// environment, user and global configuration are replaced, and what matters is said as flags.
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { parseForeignJson } from '../../verifier/foreign-json.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { runChild, type ChildResult } from './child.ts';
import { inPrivateFolder } from './private-folder.ts';

// Before version 10 npm has other defaults in the places that matter here, and nobody tests them.
const NPM_MAJOR_MIN = 10;
// --allow-git, --allow-file and --allow-remote exist since 11.10.
const ALLOW_FLAGS_SINCE = [11, 10] as const;

/** npm, found and of a version that is known. */
export interface Npm {
  readonly version: string;
  /** Flags that shut the ways round the registry, as far as this version has them. */
  readonly containment: readonly string[];
}

/**
 * Finds npm.
 *
 * @throws {CliError} BP9004 when there is none or it is too old
 */
export async function findNpm(context: Context): Promise<Npm> {
  const { stdout } = await inPrivateFolder(async (cwd) => {
    return await runChild('npm', ['--version', '--no-workspaces'], {
      cwd,
      context,
      env: { HOME: cwd },
    });
  });
  const version = stdout.trim();
  const match = /^([0-9]{1,4})\.([0-9]{1,4})\.[0-9]{1,4}/.exec(version);
  const [major, minor] = [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
  if (major < NPM_MAJOR_MIN) {
    throw new CliError('BP9004', `npm ${version || '(none found)'}: version 10 or later is needed`);
  }
  const [sinceMajor, sinceMinor] = ALLOW_FLAGS_SINCE;
  const hasFlags = major > sinceMajor || (major === sinceMajor && minor >= sinceMinor);
  // Without the flags git, files and URLs are kept out by what is refused before npm is started: entries of
  // lockfiles, and what a package.json asks for (registry-ranges.ts).
  const containment = hasFlags
    ? ['--allow-git=none', '--allow-file=none', '--allow-remote=none']
    : [];
  return { version, containment };
}

/** How to run npm. */
export interface NpmRun {
  readonly cwd: string;
  readonly context: Context;
  /** Private npm cache. */
  readonly cache: string;
  readonly args: readonly string[];
  /** Whether install scripts run, and with the user's real home. */
  readonly scripts: boolean;
  /** How to start it, where it is to have no network (isolation.ts). */
  readonly through?: readonly string[];
}

/**
 * Runs npm with nothing of its usual configuration.
 *
 * @throws {CliError} BP9004 when npm cannot be started
 */
export async function runNpm(run: NpmRun): Promise<ChildResult> {
  const home = await mkdtemp(join(tmpdir(), 'bftpkg-home-'));
  // Two files, because npm refuses to load one twice.
  const [user, global] = [join(home, 'user.npmrc'), join(home, 'global.npmrc')];
  await Promise.all([writeFile(user, ''), writeFile(global, '')]);
  const flags = [
    // Said outright: npm would look upwards for a project that has this folder as a workspace.
    `--prefix=${run.cwd}`,
    `--userconfig=${user}`,
    `--globalconfig=${global}`,
    `--cache=${run.cache}`,
    `--ignore-scripts=${String(!run.scripts)}`,
    '--audit=false',
    '--fund=false',
    '--update-notifier=false',
    '--color=false',
    '--progress=false',
    '--git=/bin/false',
  ];
  const { HOME } = run.context.env;
  // In front of operands: behind a `--` they would be operands themselves.
  const [command = 'help', ...rest] = run.args;
  try {
    return await runChild('npm', [command, ...flags, ...rest], {
      cwd: run.cwd,
      context: run.context,
      ...(run.through === undefined ? {} : { through: run.through }),
      env: { HOME: run.scripts && HOME !== undefined ? HOME : home },
    });
  } finally {
    await rm(home, { recursive: true, force: true });
  }
}

/**
 * Packs a folder into `destination` with `npm pack`.
 *
 * @returns path of the tarball
 * @throws {CliError} BP7004
 */
export async function packWithNpm(
  folder: string,
  destination: string,
  context: Context,
): Promise<string> {
  await findNpm(context);
  const result = await runNpm({
    cwd: folder,
    context,
    cache: join(destination, 'npm-cache'),
    args: ['pack', '--pack-destination', destination],
    scripts: false,
  });
  if (result.code !== 0) throw npmFailed('npm pack', result);
  const made = (await readdir(destination)).filter((name) => name.endsWith('.tgz'));
  const [name] = made;
  if (name === undefined || made.length !== 1) {
    throw new CliError('BP7004', `npm pack made ${made.length} tarballs, one was expected`);
  }
  return join(destination, name);
}

/** The refusal for an npm that ended badly, with the lines that npm itself calls errors. */
export function npmFailed(
  what: string,
  result: ChildResult,
  as: 'BP7004' | 'BP7007' = 'BP7004',
): CliError {
  const all = `${result.stderr}\n${result.stdout}`.split('\n').filter((line) => line !== '');
  const errors = all.filter(
    (line) => /^npm (?:error|ERR!)/.test(line) && !line.includes('A complete log of this'),
  );
  const lines = (errors.length > 0 ? errors : all).slice(0, 12);
  const code = result.code === null ? 'was killed' : `ended with ${result.code}`;
  return new CliError(as, `${what} ${code}`, {
    details: lines.map((line) => ['npm', line.replace(/^npm (?:error|ERR!) ?/, '')] as const),
  });
}

/** A package.json's text as a value. @throws {VerifyError} `JSON_MALFORMED` */
export function parsePackageJson(text: string | Uint8Array): ReturnType<typeof parseForeignJson> {
  return parseForeignJson(text, { lengthMax: 4 * 1024 * 1024 });
}
