// The npm registry that the project's npm configuration names, through the user's own npm with all of its
// settings: it knows the registry, the scopes and the tokens, and bftpkg should not.
import { mkdtemp, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { parseForeignJson } from '../../verifier/foreign-json.ts';
import type { JsonObject, JsonValue } from '../../verifier/json.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { runChild, type ChildResult } from './child.ts';
import { findNpm, npmFailed } from './npm.ts';

/** A version as a registry has it. */
export interface RegistryVersion {
  /** `dist.integrity`; a registry may have none. */
  readonly integrity: string | null;
  /** `dist.tarball`: where it is. */
  readonly url: string | null;
}

/** What may be said about publishing. */
export interface PublishFlags {
  readonly tag?: string;
  readonly access?: string;
  readonly otp?: string;
}

/** The registry of one package, as npm sees it from the project's folder. */
export class ProjectRegistry {
  readonly #invocation: Invocation;
  readonly #name: string;
  readonly #workspace: string;
  readonly #flags: readonly string[];
  #checked: Promise<unknown> | undefined;

  /**
   * @param packageJson of the package: its `publishConfig` decides where npm publishes it
   * @param workspace private folder for npm's cache and downloads
   */
  constructor(
    invocation: Invocation,
    name: string,
    packageJson: Uint8Array | undefined,
    workspace: string,
  ) {
    this.#invocation = invocation;
    this.#name = name;
    this.#workspace = workspace;
    this.#flags = registryFlags(name, packageJson);
  }

  /**
   * Asks for a version.
   *
   * @returns `undefined` when the registry has no such version
   * @throws {CliError} BP7004 for any other answer
   */
  async look(version: string): Promise<RegistryVersion | undefined> {
    const result = await this.#npm(['view', `${this.#name}@${version}`, 'dist', '--json']);
    const answer = jsonOf(result.stdout);
    if (codeOf(answer) === 'E404') return undefined;
    if (result.code !== 0) throw npmFailed('npm view', result);
    // The package is there and the version is not.
    if (answer === undefined) return undefined;
    const dist = tableOf(answer);
    const text = (field: string): string | null => {
      const value = dist[field];
      return typeof value === 'string' ? value : null;
    };
    return { integrity: text('integrity'), url: text('tarball') };
  }

  /** The bytes that the registry serves. @throws {CliError} BP7004 */
  async download(version: string, sizeMax: number): Promise<Uint8Array> {
    const folder = await mkdtemp(join(this.#workspace, 'served-'));
    const spec = `${this.#name}@${version}`;
    const result = await this.#npm(['pack', spec, '--pack-destination', folder]);
    if (result.code !== 0) throw npmFailed(`npm pack ${spec}`, result);
    const [file] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
    if (file === undefined) throw new CliError('BP7004', `npm pack ${spec} left no tarball`);
    const path = join(folder, file);
    const { size } = await stat(path);
    // Larger is not it, whatever is in it.
    if (size > sizeMax) return new Uint8Array();
    return new Uint8Array(await readFile(path));
  }

  /** Publishes a tarball as it is. @throws {CliError} BP7004 with npm's own words */
  async publish(tarball: string, flags: PublishFlags): Promise<void> {
    const given = Object.entries(flags).flatMap(([flag, value]) =>
      typeof value === 'string' ? [`--${flag}=${value}`] : [],
    );
    const result = await this.#npm(['publish', tarball, ...given]);
    if (result.code !== 0) throw npmFailed('npm publish', result);
  }

  async #npm([command = '', ...args]: readonly string[]): Promise<ChildResult> {
    const { context } = this.#invocation;
    // Starting npm takes longer than what it is asked to do here: once is enough.
    this.#checked ??= findNpm(context);
    await this.#checked;
    const env = Object.fromEntries(
      Object.entries(context.env).flatMap(([name, value]) =>
        value === undefined ? [] : [[name, value] as const],
      ),
    );
    const flags = [
      // What is published has been packed; nothing of the project is run any more.
      '--ignore-scripts',
      '--prefer-online',
      '--update-notifier=false',
      '--color=false',
      '--progress=false',
      // An old answer of npm's cache is not what the registry serves.
      `--cache=${join(this.#workspace, 'npm-cache')}`,
      ...this.#flags,
    ];
    return await runChild('npm', [command, ...flags, ...args], {
      cwd: this.#invocation.context.cwd,
      context,
      env,
    });
  }
}

/** As npm publishes: `publishConfig` goes before the user's own configuration. */
function registryFlags(name: string, packageJson: Uint8Array | undefined): readonly string[] {
  if (packageJson === undefined) return [];
  const { value } = parseForeignJson(packageJson, { lengthMax: PACKAGE_JSON_BYTES_MAX });
  const config = tableOf(tableOf(value)['publishConfig']);
  const scope = name.startsWith('@') ? name.split('/')[0] : undefined;
  const flags: string[] = [];
  for (const key of ['registry', ...(scope === undefined ? [] : [`${scope}:registry`])]) {
    const url = config[key];
    if (typeof url === 'string' && /^https?:\/\/[!-~]+$/.test(url)) flags.push(`--${key}=${url}`);
  }
  return flags;
}

const PACKAGE_JSON_BYTES_MAX: number = 4 * 1024 * 1024;

function tableOf(value: JsonValue | undefined): JsonObject {
  const isTable = typeof value === 'object' && value !== null && !Array.isArray(value);
  return isTable ? (value as JsonObject) : {};
}

function jsonOf(text: string): JsonValue | undefined {
  if (text.trim() === '') return undefined;
  try {
    return parseForeignJson(text, { lengthMax: PACKAGE_JSON_BYTES_MAX }).value;
  } catch {
    return undefined;
  }
}

function codeOf(answer: JsonValue | undefined): string | undefined {
  const code = tableOf(tableOf(answer)['error'])['code'];
  return typeof code === 'string' ? code : undefined;
}
