// What a monitor watches: a file of its own, so that it can run where no project is.
import { readFile, stat } from 'node:fs/promises';

import { isBaseUrl } from '../../verifier/base-url.ts';
import type { PublicKey } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { ObjectReader, readString } from '../../verifier/json.ts';
import { readKeys } from '../../verifier/key-fields.ts';
import { configError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { isPattern, matchesPattern } from '../policy/pattern.ts';

const MONITOR_FORMAT = 'bftpkg-monitor/v1';
const CONFIG_BYTES_MAX = 1024 * 1024;
const REPLICAS_MAX = 100;
const SOURCES_MAX = 20;
const PATTERNS_MAX = 10_000;
const KEYS_MAX = 1_000;
const TEXT_LENGTH_MAX = 2_048;
/** Ten minutes, as for verifying. */
const AGE_MAX_SECONDS = 600;

/** A monitor's configuration. */
export interface MonitorConfig {
  readonly path: string;
  /** Hash of the roster that is believed, hex. */
  readonly pin: string;
  readonly replicas: readonly string[];
  /** Other servers with a `/checkpoint` of the same log, like mirrors and other monitors. */
  readonly sources: readonly string[];
  /** Whether a package is watched. */
  readonly watches: (name: string) => boolean;
  /** Public keys of people whose signatures are watched for, on whatever package. */
  readonly keys: readonly PublicKey[];
  readonly checkpointAgeMaxSeconds: number;
}

/** Reads the file. @throws {CliError} BP9004 */
export async function loadMonitorConfig(path: string): Promise<MonitorConfig> {
  try {
    if ((await stat(path)).size > CONFIG_BYTES_MAX) throw new Error('too large');
    return parseMonitorConfig(await readFile(path, 'utf8'), path);
  } catch (error) {
    const detail = systemReason(error);
    throw configError(`${path}: ${detail}`, 'bftpkg explain monitor', error);
  }
}

/** Reads its text. @throws {VerifyError | Error} */
export function parseMonitorConfig(text: string, path: string): MonitorConfig {
  const { value } = parseForeignJson(text, { lengthMax: CONFIG_BYTES_MAX });
  const reader = new ObjectReader(value, '');
  reader.format('format', MONITOR_FORMAT);
  const pin = encodeHex(reader.hex('pin', 32));
  const replicas = readUrls(reader, 'replicas', REPLICAS_MAX);
  if (replicas.length === 0) throw new Error('replicas is empty');
  const sources =
    reader.optional('sources') !== undefined ? readUrls(reader, 'sources', SOURCES_MAX) : [];
  const patterns =
    reader.optional('packages') !== undefined
      ? reader.array('packages', PATTERNS_MAX, (each, at) => {
          const pattern = readString(each, at, TEXT_LENGTH_MAX);
          if (!isPattern(pattern)) throw new Error(`${at} is no pattern of package names`);
          return pattern;
        })
      : [];
  const keys = reader.optional('keys') !== undefined ? readKeys(reader, 'keys', KEYS_MAX) : [];
  const checkpointAgeMaxSeconds =
    reader.optional('checkpointAgeMaxSeconds') !== undefined
      ? reader.integer('checkpointAgeMaxSeconds', 1)
      : AGE_MAX_SECONDS;
  reader.end();
  const watches = (name: string): boolean =>
    patterns.some((pattern) => matchesPattern(pattern, name));
  return { path, pin, replicas, sources, watches, keys, checkpointAgeMaxSeconds };
}

function readUrls(reader: ObjectReader, name: string, countMax: number): readonly string[] {
  const urls = reader.array(name, countMax, (each, at) => {
    const url = readString(each, at, TEXT_LENGTH_MAX).replace(/\/$/, '');
    if (!isBaseUrl(url)) throw new Error(`${at} is not a plain http(s) address`);
    return url;
  });
  if (new Set(urls).size !== urls.length) throw new Error(`${name} has the same address twice`);
  return urls;
}
