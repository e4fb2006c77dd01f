// The replica's configuration: one JSON file, parsed once at the border into a frozen object. Units
// are in the names. Every problem is reported, not only the first, with the field's name.
import { isAbsolute, join } from 'node:path';

import { VerifyError, quote } from '../verifier/errors.ts';
import type { JsonObject, JsonValue } from '../verifier/json.ts';
import { LOG_LEVELS } from './log.ts';
import type { LogLevel } from './log.ts';

/** The name of the configuration's format. */
export const CONFIG_FORMAT = 'bftpkg-log-config/v1';

/** A configuration is a page of text; anything longer is a wrong file. */
export const CONFIG_LENGTH_MAX: number = 64 * 1024;

/** Environment variables with this prefix override the file: `BFTPKG_SERVER_PUBLIC_PORT=8080`. */
export const CONFIG_ENV_PREFIX = 'BFTPKG_SERVER_';

/** How one replica runs. Paths are absolute. */
export interface Config {
  /** This replica's name in the roster. */
  readonly replica: string;
  /** Hash of the epoch 0 roster: lower-case hex of 32 bytes. */
  readonly pin: string;
  /** File with a JSON array of roster envelopes, epoch 0 first. */
  readonly rostersFile: string;
  readonly keyFile: string;
  readonly dataDir: string;
  readonly publicHost: string;
  /** 0 lets the system choose. */
  readonly publicPort: number;
  readonly peerHost: string;
  readonly peerPort: number;
  readonly logLevel: LogLevel;
  /** Length of one tick of the consensus core. */
  readonly tickMs: number;
  /** How long a leader waits for more entries before it proposes. */
  readonly batchDelayMs: number;
  /** First view timeout; doubles with each view that commits nothing. */
  readonly viewTimeoutMs: number;
  /** How often each replica tells its peers where it stands; repairs every lost message. */
  readonly statusIntervalMs: number;
  /** How often the newest checkpoint is signed again, so that clients see that it is fresh. */
  readonly recosignSeconds: number;
  /** Submissions and uploads per second that one address may make; ten times as many in a burst. */
  readonly addressWritesPerSecond: number;
  /** How long a stopping replica lets running requests finish. */
  readonly drainSeconds: number;
}

/** The configuration can't be used. `problems` lists everything that is wrong with it. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
  readonly problems: readonly string[];

  constructor(file: string, problems: readonly string[]) {
    super(`${file}: ${problems.length} problem(s)\n${problems.map((p) => `  ${p}`).join('\n')}`);
    this.problems = problems;
  }
}

type Field =
  | {
      readonly kind: 'text';
      readonly pattern: RegExp;
      readonly what: string;
      readonly byDefault?: string;
    }
  | { readonly kind: 'path'; readonly byDefault?: string }
  | {
      readonly kind: 'integer';
      readonly min: number;
      readonly max: number;
      readonly byDefault?: number;
    };

const HOST: Field = {
  kind: 'text',
  pattern: /^[A-Za-z0-9.:-]{1,253}$/,
  what: 'a host name or an address',
  byDefault: '127.0.0.1',
};

const FIELDS: Readonly<Record<keyof Config, Field>> = {
  replica: {
    kind: 'text',
    pattern: /^[\x21-\x7e]{1,100}$/,
    what: 'the replica’s name in the roster',
  },
  pin: { kind: 'text', pattern: /^[0-9a-f]{64}$/, what: '64 lower-case hexadecimal digits' },
  rostersFile: { kind: 'path', byDefault: 'rosters.json' },
  keyFile: { kind: 'path', byDefault: 'replica-key.json' },
  dataDir: { kind: 'path', byDefault: 'data' },
  publicHost: HOST,
  publicPort: { kind: 'integer', min: 0, max: 65_535 },
  peerHost: HOST,
  peerPort: { kind: 'integer', min: 0, max: 65_535 },
  logLevel: {
    kind: 'text',
    pattern: new RegExp(`^(?:${LOG_LEVELS.join('|')})$`),
    what: `one of ${LOG_LEVELS.join(', ')}`,
    byDefault: 'info',
  },
  tickMs: { kind: 'integer', min: 1, max: 1000, byDefault: 20 },
  batchDelayMs: { kind: 'integer', min: 0, max: 10_000, byDefault: 20 },
  viewTimeoutMs: { kind: 'integer', min: 100, max: 600_000, byDefault: 2000 },
  statusIntervalMs: { kind: 'integer', min: 10, max: 60_000, byDefault: 500 },
  recosignSeconds: { kind: 'integer', min: 1, max: 3600, byDefault: 60 },
  addressWritesPerSecond: { kind: 'integer', min: 1, max: 1_000_000, byDefault: 1000 },
  drainSeconds: { kind: 'integer', min: 0, max: 600, byDefault: 5 },
};

/** Every setting of a replica: what it may be, and its value where it is left out. */
export function configSettings(): readonly {
  readonly name: string;
  readonly variable: string;
  readonly value: string;
  readonly byDefault: string;
}[] {
  return Object.entries(FIELDS).map(([name, field]) => ({
    name,
    variable: environmentName(name),
    value:
      field.kind === 'integer'
        ? `${field.min} to ${field.max}`
        : field.kind === 'path'
          ? 'a path'
          : field.what,
    byDefault: field.byDefault === undefined ? '' : String(field.byDefault),
  }));
}

/**
 * Reads a configuration.
 *
 * @param text   the file's content
 * @param file   its name, for messages
 * @param folder relative paths start here: the folder of the file
 * @param environment variables that override fields
 * @throws {ConfigError} with every problem
 */
export function parseConfig(
  text: string,
  file: string,
  folder: string,
  environment: Readonly<Record<string, string | undefined>> = {},
): Config {
  const problems: string[] = [];
  const found = readObject(text, file);
  if (found['format'] !== CONFIG_FORMAT) problems.push(`format: must be "${CONFIG_FORMAT}"`);
  for (const name of Object.keys(found)) {
    if (name !== 'format' && !Object.hasOwn(FIELDS, name)) {
      problems.push(`${quote(name)}: no such setting`);
    }
  }
  const overrides = readEnvironment(environment, problems);

  const values: Record<string, string | number> = {};
  for (const [name, field] of Object.entries(FIELDS)) {
    const value = overrides.get(name) ?? (Object.hasOwn(found, name) ? found[name] : undefined);
    const read = readField(field, value, folder);
    if ('problem' in read) problems.push(`${name}: ${read.problem}`);
    else values[name] = read.value;
  }
  if (problems.length === 0) problems.push(...relationProblems(values as unknown as Config));
  if (problems.length > 0) throw new ConfigError(file, problems);
  return Object.freeze(values as unknown as Config);
}

function readObject(text: string, file: string): JsonObject {
  if (text.length > CONFIG_LENGTH_MAX) {
    throw new ConfigError(file, [`longer than ${CONFIG_LENGTH_MAX} characters`]);
  }
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw new ConfigError(file, [
      `not JSON: ${cause instanceof Error ? quote(cause.message) : ''}`,
    ]);
  }
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw new ConfigError(file, ['not a JSON object']);
  }
  return value as JsonObject;
}

/** `publicPort` is `PUBLIC_PORT` in the environment. */
function environmentName(field: string): string {
  return CONFIG_ENV_PREFIX + field.replaceAll(/[A-Z]/g, (c) => `_${c}`).toUpperCase();
}

function readEnvironment(
  environment: Readonly<Record<string, string | undefined>>,
  problems: string[],
): ReadonlyMap<string, string | number> {
  const byVariable = new Map(Object.keys(FIELDS).map((name) => [environmentName(name), name]));
  const overrides = new Map<string, string | number>();
  for (const [variable, text] of Object.entries(environment)) {
    if (!variable.startsWith(CONFIG_ENV_PREFIX) || text === undefined) continue;
    const name = byVariable.get(variable);
    if (name === undefined) {
      // A mistyped override that is silently ignored leaves the operator with the wrong belief.
      problems.push(`${quote(variable)}: no such setting`);
      continue;
    }
    const field = FIELDS[name as keyof Config];
    const isNumber = field.kind === 'integer' && /^(?:0|[1-9][0-9]{0,9})$/.test(text);
    overrides.set(name, isNumber ? Number(text) : text);
  }
  return overrides;
}

type FieldResult = { readonly value: string | number } | { readonly problem: string };

function readField(field: Field, value: JsonValue | undefined, folder: string): FieldResult {
  const given = value ?? field.byDefault;
  if (given === undefined) return { problem: 'is missing' };
  if (field.kind === 'integer') {
    return Number.isSafeInteger(given) && Number(given) >= field.min && Number(given) <= field.max
      ? { value: Number(given) }
      : { problem: `must be an integer from ${field.min} to ${field.max}` };
  }
  if (field.kind === 'text') {
    return typeof given === 'string' && field.pattern.test(given)
      ? { value: given }
      : { problem: `must be ${field.what}` };
  }
  if (typeof given !== 'string' || given === '' || given.includes('\0')) {
    return { problem: 'must be a path' };
  }
  return { value: isAbsolute(given) ? given : join(folder, given) };
}

function relationProblems(config: Config): string[] {
  const problems: string[] = [];
  if (config.viewTimeoutMs < 10 * config.tickMs) {
    problems.push('viewTimeoutMs: must be at least 10 × tickMs, or it means nothing');
  }
  if (config.statusIntervalMs < config.tickMs) {
    problems.push('statusIntervalMs: must be at least tickMs');
  }
  if (config.viewTimeoutMs < 2 * config.batchDelayMs) {
    problems.push('viewTimeoutMs: must be at least 2 × batchDelayMs, or idle leaders are replaced');
  }
  if (config.publicPort !== 0 && config.publicPort === config.peerPort) {
    problems.push('peerPort: must differ from publicPort');
  }
  return problems;
}

/** Whether an error is a refusal with a reason (as opposed to a bug). */
export function isRefusal(error: unknown): error is ConfigError | VerifyError {
  return error instanceof ConfigError || error instanceof VerifyError;
}
