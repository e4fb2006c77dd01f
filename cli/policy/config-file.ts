// One configuration file, read: a project's bftpkg.json or the user's config.json. JSON with comments,
// because people should be able to say why a rule is there; otherwise as strict as everything else.
import { createRequire } from 'node:module';

import type { ParseError } from 'jsonc-parser';

import { isBaseUrl } from '../../verifier/base-url.ts';
import { quote } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { ObjectReader, readString, type JsonValue } from '../../verifier/json.ts';
import { configError } from '../errors.ts';
import type { Exception, Rule, ScriptTarget } from './policy.ts';
import { readAllowScripts, readExceptions, readRules, requireKnown } from './read-policy.ts';

export const CONFIG_FORMAT = 'bftpkg-config/v1';
/** A file with thousands of exceptions. */
const CONFIG_LENGTH_MAX = 4 * 1024 * 1024;
const REPLICAS_MAX = 100;
const PINS_MAX = 100;
const PROJECTS_MAX = 10_000;
const PATH_LENGTH_MAX = 4096;
/** A month. Above that an age limit protects from nothing. */
const CHECKPOINT_AGE_LIMIT_SECONDS = 31 * 86_400;

const SHARED_KEYS = [
  'format',
  'pin',
  'replicas',
  'checkpointAgeMaxSeconds',
  'rules',
  'exceptions',
  'allowScripts',
] as const;
/** Members of a project's file. */
export const PROJECT_KEYS: readonly string[] = [...SHARED_KEYS, 'baseline'];
/** Members of the user's own file. */
export const USER_KEYS: readonly string[] = [...SHARED_KEYS, 'pins', 'trustedProjects'];

/** What a file says. Both kinds have the same keys but for the last ones. */
export interface ConfigFile {
  readonly path: string;
  /** Hash of the roster that is believed, hex. */
  readonly pin: string | undefined;
  readonly replicas: readonly string[] | undefined;
  readonly checkpointAgeMaxSeconds: number | undefined;
  readonly rules: readonly Rule[];
  readonly exceptions: readonly Exception[];
  /** Packages whose install scripts may run; `undefined` when the file has no list. */
  readonly allowScripts: readonly ScriptTarget[] | undefined;
  /** Project: name of the baseline, in the same folder. */
  readonly baseline: string | undefined;
  /** User: the logs that any project may pin; without the key, any. */
  readonly pins: readonly string[] | undefined;
  /** User: folders of projects whose exceptions count against the user's own rules. */
  readonly trustedProjects: readonly string[];
}

/** Which file it is. */
export type ConfigKind = 'project' | 'user';

/**
 * Reads the text of a file.
 *
 * @throws {CliError} BP9004
 */
export function parseConfigText(text: string, path: string, kind: ConfigKind): ConfigFile {
  return reading(path, () => {
    if (text.length > CONFIG_LENGTH_MAX) throw new Error('too large');
    const { plain, isWhole } = isJson(text)
      ? { plain: text, isWhole: true }
      : withoutComments(text);
    const { value } = parseForeignJson(plain, { lengthMax: CONFIG_LENGTH_MAX });
    // What swallows the rest of the file is not a comment.
    if (!isWhole) throw new Error('a comment that does not end');
    return readConfig(value, path, kind);
  });
}

// JSON as it is has no comments to look for.
function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}

// Eleven files, which most runs need not load.
function withoutComments(text: string): { readonly plain: string; readonly isWhole: boolean } {
  const require = createRequire(import.meta.url);
  const { parse, stripComments } = require('jsonc-parser') as typeof import('jsonc-parser');
  const errors: ParseError[] = [];
  parse(text, errors);
  // Blanked in place, so that the lines in messages stay right.
  return { plain: stripComments(text, ' '), isWhole: errors.length === 0 };
}

/**
 * Reads the `bftpkg` member of a package.json; `undefined` when it has none.
 *
 * @throws {CliError} BP9004
 */
export function parsePackageJsonConfig(text: string, path: string): ConfigFile | undefined {
  return reading(path, () => {
    const { value } = parseForeignJson(text, { lengthMax: CONFIG_LENGTH_MAX });
    const member = new ObjectReader(value, '').optional('bftpkg');
    return member === undefined ? undefined : readConfig(member, path, 'project');
  });
}

function reading<T>(path: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw configError(`${path}: ${detail}`, undefined, error);
  }
}

function readConfig(value: JsonValue, path: string, kind: ConfigKind): ConfigFile {
  const reader = new ObjectReader(value, '');
  // Before anything else, so that `pins` in a project's file says that it is of no effect there.
  requireKnown(reader, kind === 'project' ? PROJECT_KEYS : USER_KEYS, '');
  reader.format('format', CONFIG_FORMAT);
  const has = (name: string): boolean => reader.optional(name) !== undefined;
  const file: ConfigFile = {
    path,
    pin: has('pin') ? Buffer.from(reader.hex('pin', 32)).toString('hex') : undefined,
    replicas: has('replicas') ? readReplicas(reader) : undefined,
    checkpointAgeMaxSeconds: has('checkpointAgeMaxSeconds')
      ? reader.integer('checkpointAgeMaxSeconds', 1, CHECKPOINT_AGE_LIMIT_SECONDS)
      : undefined,
    rules: readRules(reader),
    exceptions: readExceptions(reader),
    allowScripts: readAllowScripts(reader),
    baseline: has('baseline') ? readFileName(reader, 'baseline') : undefined,
    pins: has('pins') ? reader.array('pins', PINS_MAX, readPin) : undefined,
    trustedProjects: has('trustedProjects')
      ? reader.array('trustedProjects', PROJECTS_MAX, readFolder)
      : [],
  };
  reader.end();
  return file;
}

function readReplicas(reader: ObjectReader): readonly string[] {
  const replicas = reader.array('replicas', REPLICAS_MAX, readReplicaUrl);
  if (replicas.length === 0) throw new Error('replicas is empty');
  if (new Set(replicas).size !== replicas.length) throw new Error('replicas has one twice');
  return replicas;
}

/** A replica's address without a final slash. @throws {Error} */
export function readReplicaUrl(value: JsonValue, path: string): string {
  const text = readString(value, path, 300).replace(/\/$/, '');
  if (!isBaseUrl(text)) throw new Error(`${path}: ${quote(text)} is not a plain http(s) address`);
  return text;
}

function readPin(value: JsonValue, path: string): string {
  const text = readString(value, path, 64);
  if (/^[0-9a-f]{64}$/.test(text)) return text;
  throw new Error(`${path} is not the hash of a roster: 64 characters of lower-case hexadecimal`);
}

// A plain name: a project's file must not make us read, or write, anything elsewhere.
function readFileName(reader: ObjectReader, name: string): string {
  const text = reader.string(name, 255);
  if (/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(text)) return text;
  throw new Error(`${name}: ${quote(text)} is not the plain name of a file beside this one`);
}

function readFolder(value: JsonValue, path: string): string {
  const text = readString(value, path, PATH_LENGTH_MAX);
  if (text.startsWith('/') || /^[A-Za-z]:[\\/]/.test(text)) return text;
  throw new Error(`${path}: ${quote(text)} is not an absolute path`);
}
