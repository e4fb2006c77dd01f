// Choosing versions for `install <name>`: the user's npm resolves among what the verifying proxy offers, in
// a temporary copy of the project, without scripts. What comes out is a wish all the same: it is verified
// like any other lockfile before anything is done with it.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { JsonValue } from '../../verifier/json.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { asTable } from '../lockfiles/classify.ts';
import { findWorkspaces } from '../lockfiles/workspaces.ts';
import { editJson } from '../policy/edit.ts';
import { parseLockfile, type Lockfile } from './lockfile.ts';
import { npmFailed, parsePackageJson, runNpm, type Npm } from './npm.ts';
import { requireRegistryRanges, type OwnManifest } from './registry-ranges.ts';
import { withoutScripts } from './staging.ts';

/** How long npm waits for the proxy, which may have to ask replica after replica. */
const FETCH_TIMEOUT_MS = 120_000;

/** A host that can't exist (RFC 2606): no address goes round the proxy. */
const NOBODY = 'nobody.invalid';

/** A project as npm would like it to be. */
export interface Resolution {
  readonly packageJson: string;
  readonly lockText: string;
  readonly lockfile: Lockfile;
}

/** What to resolve. */
export interface ResolveRequest {
  /** Text of the present package.json. */
  readonly packageJson: string;
  /** Folder of the project: its workspaces are read. */
  readonly project: string;
  /** Text of the present lockfile, if there is one. */
  readonly lockText: string | undefined;
  /** `name`, `name@range`: checked by {@link parseInstallSpec}. */
  readonly specs: readonly string[];
  /** `update` moves to the newest versions that the ranges admit; `install` when it is left out. */
  readonly verb?: 'install' | 'update';
  /** Address of the proxy's registry, with a slash at the end. */
  readonly registry: string;
  /** Address of the proxy for everything else, which refuses it. */
  readonly forward: string;
  readonly context: Context;
  readonly npm: Npm;
  readonly flags: readonly string[];
}

/**
 * Resolves.
 *
 * @throws {CliError} BP7004 when npm can't; BP9005 for a lockfile that can't be checked; BP6006 for what npm would
 *   fetch from elsewhere, where it has no flags against that
 */
export async function resolveWith(request: ResolveRequest): Promise<Resolution> {
  const before = parsed(request.lockText);
  const workspaces = await readWorkspaces(request, before);
  if (request.npm.containment.length === 0) {
    requireRegistryRanges([{ folder: '', text: request.packageJson }, ...workspaces], before);
  }
  const folder = await mkdtemp(join(tmpdir(), 'bftpkg-resolve-'));
  try {
    await writeFile(join(folder, 'package.json'), withoutDevEngines(request.packageJson));
    for (const { folder: place, text } of workspaces) {
      await mkdir(join(folder, place), { recursive: true });
      await writeFile(join(folder, place, 'package.json'), withoutScripts(text));
    }
    if (request.lockText !== undefined) {
      await writeFile(join(folder, 'package-lock.json'), request.lockText);
    }
    const result = await runNpm({
      cwd: folder,
      context: request.context,
      cache: join(folder, '.cache'),
      args: [
        request.verb ?? 'install',
        '--package-lock-only',
        // An address of the proxy is worth nothing tomorrow.
        '--omit-lockfile-registry-resolved',
        '--lockfile-version=3',
        `--registry=${request.registry}`,
        // Whatever else it wants, it asks our proxy, which refuses: npm before 11.10 fetches any address that a
        // package.json names. The registry is asked through it as well.
        `--proxy=${request.forward}`,
        `--https-proxy=${request.forward}`,
        `--noproxy=${NOBODY}`,
        '--fetch-retries=0',
        `--fetch-timeout=${FETCH_TIMEOUT_MS}`,
        ...request.npm.containment,
        ...request.flags,
        '--',
        ...request.specs,
      ],
      scripts: false,
    });
    if (result.code !== 0) throw npmFailed('npm install', result);
    const packageJson = withDependencies(
      request.packageJson,
      await readFile(join(folder, 'package.json'), 'utf8'),
    );
    const written = await readFile(join(folder, 'package-lock.json'), 'utf8');
    const lockText = keepSources(written, request.lockText);
    return {
      packageJson,
      lockText,
      lockfile: parseLockfile(Buffer.from(lockText), 'package-lock.json'),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

type Table = { [key: string]: JsonValue };

function parsed(lockText: string | undefined): Lockfile | undefined {
  return lockText === undefined
    ? undefined
    : parseLockfile(Buffer.from(lockText), 'package-lock.json');
}

// npm takes a workspace that isn't there for one that was removed, and drops what it needed.
async function readWorkspaces(
  { project, packageJson }: ResolveRequest,
  before: Lockfile | undefined,
): Promise<readonly OwnManifest[]> {
  const document = asTable(parsePackageJson(packageJson).value) ?? {};
  const known = before?.graph.projects ?? [];
  const places = new Set([
    ...known.map((each) => each.folder).filter((each) => each !== ''),
    ...(await findWorkspaces(project, document)),
  ]);
  const found: OwnManifest[] = [];
  for (const folder of places) {
    const path = join(project, folder, 'package.json');
    const text = await readTextIfThere(path, PACKAGE_JSON_BYTES_MAX);
    if (text !== undefined) found.push({ folder, text });
  }
  return found;
}

const DEV_ENGINES = 'devEngines';

// What the project says about npm is for people who run npm themselves, and stops versions that we can drive.
function withoutDevEngines(packageJson: string): string {
  const hasSome = (asTable(parsePackageJson(packageJson).value) ?? {})[DEV_ENGINES] !== undefined;
  return hasSome ? editJson(packageJson, [DEV_ENGINES], undefined) : packageJson;
}

const DEPENDENCY_TABLES = [
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'peerDependencies',
] as const;

// The original with what npm has changed in it, where it was not given the original.
function withDependencies(original: string, changed: string): string {
  if (withoutDevEngines(original) === original) return changed;
  const tables = asTable(parsePackageJson(changed).value) ?? {};
  return DEPENDENCY_TABLES.reduce((text, name) => editJson(text, [name], tables[name]), original);
}

// Entries that did not change keep the `resolved` that they had, so that the difference that a
// reviewer sees is the change that was asked for.
function keepSources(written: string, before: string | undefined): string {
  if (before === undefined) return written;
  const after = JSON.parse(written) as Table;
  const packages = after['packages'] as Table;
  const old = ((parsePackageJson(before).value as Table)['packages'] ?? {}) as Table;
  for (const [key, value] of Object.entries(packages)) {
    const [now, then] = [value as Table, old[key] as Table | undefined];
    if (then === undefined) continue;
    const { resolved } = then;
    if (typeof resolved !== 'string' || now['resolved'] !== undefined) continue;
    if (now['version'] !== then['version'] || now['integrity'] !== then['integrity']) continue;
    packages[key] = insertAfterVersion(now, resolved);
  }
  return `${JSON.stringify(after, null, 2)}\n`;
}

function insertAfterVersion(entry: Table, resolved: string): Table {
  const copy: Table = {};
  for (const [key, value] of Object.entries(entry)) {
    copy[key] = value;
    if (key === 'version') copy['resolved'] = resolved;
  }
  return copy;
}

/** A package that the user asked to install. */
export interface InstallSpec {
  readonly name: string;
  /** Range, tag or version; `undefined` for the latest. */
  readonly range: string | undefined;
}

const RANGE = /^[A-Za-z0-9*^~<>=|. _+-]{1,128}$/;

/**
 * Reads `name` or `name@range`. Anything that npm would take for a URL, a path, git or an alias is
 * refused: only names of the log can be verified.
 *
 * @throws {CliError} BP9003
 */
export function parseInstallSpec(text: string): InstallSpec {
  const match = /^(@[a-z0-9._~-]+\/[a-z0-9._~-]+|[a-z0-9._~-]+)(?:@(.*))?$/s.exec(text);
  const name = match?.[1];
  const range = match?.[2];
  if (name === undefined || !isPackageName(name) || (range !== undefined && !RANGE.test(range))) {
    throw new CliError('BP9003', `not a package name with an optional version range: ${text}`, {
      hints: ['bftpkg install <name>[@<range>]'],
    });
  }
  return { name, range };
}
