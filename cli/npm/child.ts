// Other programs as child processes, cut off from every setting that they would otherwise pick up from
// the environment; bounded in output, and ended with the command.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { win32 } from 'node:path';

import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { cannotStart } from '../system-reasons.ts';

/** Enough for any error; a runaway child must not fill our memory. */
const OUTPUT_BYTES_MAX: number = 4 * 1024 * 1024;
const KILL_AFTER_MS = 5_000;

// What a child needs to find programs, temporary space and its language. Everything else could be a
// setting: npm_config_*, NODE_OPTIONS, GIT_*, proxies.
const ENVIRONMENT_KEPT = ['PATH', 'TMPDIR', 'TEMP', 'TMP', 'LANG', 'LC_ALL', 'SystemRoot', 'TERM'];

/** The outcome of a child. */
export interface ChildResult {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a child. */
export interface ChildOptions {
  readonly cwd: string;
  readonly context: Context;
  /** Besides what every child gets. */
  readonly env: Readonly<Record<string, string>>;
  /** Bytes of each output that are kept; what is over is dropped. */
  readonly outputBytesMax?: number;
  /** Program and arguments that start the child in turn, such as `unshare`. */
  readonly through?: readonly string[];
}

/**
 * What to start for a command, without a shell. On Windows npm is a script for cmd.exe, which would take
 * `<`, `|` and `^` in a version range for its own; but all that script does is to give a file to Node.
 *
 * @throws {CliError} BP9004 when npm is not on PATH
 */
export function programOf(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
  platform: NodeJS.Platform = process.platform,
  isThere: (path: string) => boolean = existsSync,
): readonly [string, ...string[]] {
  if (platform !== 'win32' || command !== 'npm') return [command];
  const path = Object.entries(env).find(([name]) => name.toUpperCase() === 'PATH')?.[1] ?? '';
  const script = path
    .split(';')
    .filter((folder) => win32.isAbsolute(folder) && isThere(win32.join(folder, 'npm.cmd')))
    .map((folder) => win32.join(folder, 'node_modules', 'npm', 'bin', 'npm-cli.js'))
    .find(isThere);
  if (script !== undefined) return [process.execPath, script];
  throw new CliError('BP9004', 'npm is not on PATH', { hints: ['install Node.js with npm'] });
}

/**
 * Runs a program to its end.
 *
 * @throws {CliError} BP9004 when it can't be started, BP7003 when the command's time is spent
 */
export async function runChild(
  command: string,
  args: readonly string[],
  options: ChildOptions,
): Promise<ChildResult> {
  const env: Record<string, string> = { ...options.env };
  for (const name of ENVIRONMENT_KEPT) {
    const value = options.context.env[name];
    if (value !== undefined) env[name] = value;
  }
  const [program = command, ...leading] = [
    ...(options.through ?? []),
    ...programOf(command, options.context.env),
  ];
  return await new Promise((resolve, reject) => {
    const child = spawn(program, [...leading, ...args], {
      cwd: options.cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      shell: false,
    });
    const out = new BoundedText(options.outputBytesMax ?? OUTPUT_BYTES_MAX);
    const err = new BoundedText(options.outputBytesMax ?? OUTPUT_BYTES_MAX);
    child.stdout.on('data', (chunk: Buffer) => out.add(chunk));
    child.stderr.on('data', (chunk: Buffer) => err.add(chunk));
    let killer: NodeJS.Timeout | undefined;
    const stop = (): void => {
      child.kill('SIGTERM');
      killer = setTimeout(() => child.kill('SIGKILL'), KILL_AFTER_MS);
    };
    const { signal } = options.context;
    if (signal.aborted) stop();
    signal.addEventListener('abort', stop, { once: true });
    const end = (): void => {
      signal.removeEventListener('abort', stop);
      clearTimeout(killer);
    };
    child.on('error', (error) => {
      end();
      reject(cannotStart(command, error));
    });
    child.on('close', (code) => {
      end();
      if (signal.aborted) {
        reject(new CliError('BP7003', `${command} was stopped before it had ended`));
        return;
      }
      resolve({ code, stdout: out.text, stderr: err.text });
    });
  });
}

class BoundedText {
  readonly #bytesMax: number;
  readonly #chunks: Buffer[] = [];
  #length = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  add(chunk: Buffer): void {
    if (this.#length >= this.#bytesMax) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString('utf8');
  }
}
