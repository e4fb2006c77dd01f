// `bftpkg.json`: which log a project believes and where its replicas are. Plain data, never code: a
// verifier must not run what is in the repository that it checks.
import { readFile, stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import { isBaseUrl } from '../../verifier/base-url.ts';
import { quote } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { ObjectReader, readString, type JsonValue } from '../../verifier/json.ts';
import type { Context, Globals } from '../context.ts';
import { configError, systemCode } from '../errors.ts';

/** Name of the project's file. */
export const CONFIG_NAME = 'bftpkg.json';

const CONFIG_FORMAT = 'bftpkg-config/v1';
const CONFIG_LENGTH_MAX = 256 * 1024;
const REPLICAS_MAX = 100;
/** Ten minutes: replicas sign anew every minute, and a revocation should reach users within minutes. */
export const CHECKPOINT_AGE_MAX_SECONDS = 600;
/** A month. Above that an age limit protects from nothing. */
const CHECKPOINT_AGE_LIMIT_SECONDS = 31 * 86_400;

/** A project's configuration. */
export interface Config {
  /** Where it was read from. */
  readonly path: string;
  /** Hash of the roster that is believed, hex. */
  readonly pin: string;
  /** Base addresses of replicas, at least one, distinct. */
  readonly replicas: readonly string[];
  readonly checkpointAgeMaxSeconds: number;
}

/**
 * Finds and reads the configuration: `--config`, else `BFTPKG_CONFIG`, else the nearest
 * `bftpkg.json` in the project's folder or above it, up to the root of its repository.
 *
 * @throws {CliError} BP9004
 */
export async function loadConfig(context: Context, globals: Globals): Promise<Config> {
  const named = globals.config ?? fromEnvironment(context);
  const path = named ?? (await findUpwards(globals.project));
  if (path === undefined) {
    throw configError(
      `no ${CONFIG_NAME} in ${globals.project} or above it`,
      `make one: {"format":"${CONFIG_FORMAT}","pin":"<roster hash>","replicas":["https://…"]}`,
    );
  }
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw configError(`${path}: ${systemCode(error) ?? 'cannot be read'}`, undefined, error);
  }
  return parseConfig(text, path);
}

function fromEnvironment(context: Context): string | undefined {
  const named = context.env['BFTPKG_CONFIG'];
  return named === undefined || named === '' ? undefined : resolve(context.cwd, named);
}

async function findUpwards(start: string): Promise<string | undefined> {
  // As many steps as a path can have parts: ends at the root of the file system at the latest.
  for (let folder = start; ; folder = dirname(folder)) {
    const candidate = join(folder, CONFIG_NAME);
    if (await exists(candidate)) return candidate;
    // Above the repository other people may be able to write.
    if (dirname(folder) === folder || (await exists(join(folder, '.git')))) return undefined;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Reads the text of a configuration.
 *
 * @param path for messages
 * @throws {CliError} BP9004
 */
export function parseConfig(text: string, path: string): Config {
  try {
    const { value } = parseForeignJson(text, { lengthMax: CONFIG_LENGTH_MAX });
    const reader = new ObjectReader(value, '');
    reader.format('format', CONFIG_FORMAT);
    const pin = Buffer.from(reader.hex('pin', 32)).toString('hex');
    const replicas = reader.array('replicas', REPLICAS_MAX, readReplicaUrl);
    const age =
      reader.optional('checkpointAgeMaxSeconds') === undefined
        ? CHECKPOINT_AGE_MAX_SECONDS
        : reader.integer('checkpointAgeMaxSeconds', 1, CHECKPOINT_AGE_LIMIT_SECONDS);
    reader.end();
    if (replicas.length === 0) throw new Error('replicas is empty');
    if (new Set(replicas).size !== replicas.length) throw new Error('replicas has one twice');
    return { path, pin, replicas, checkpointAgeMaxSeconds: age };
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw configError(`${path}: ${detail}`, undefined, error);
  }
}

function readReplicaUrl(value: JsonValue, path: string): string {
  const text = readString(value, path, 300).replace(/\/$/, '');
  if (!isBaseUrl(text)) {
    throw new Error(`${path}: ${quote(text)} is not a plain http(s) address`);
  }
  return text;
}
