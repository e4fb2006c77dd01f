// A replica's two secret keys on disk, and its memory of the database that belongs to them.
//
// The amnesia guard (CONSENSUS C5): a replica that lost its database no longer knows what it has voted
// for, and if it went on it could vote twice. So the key file remembers the name of the database
// (`databaseGeneration`) from before the first vote on; with another database, or none, it refuses.
import { lstat } from 'node:fs/promises';

import { encodeHex } from '../verifier/encoding.ts';
import { VerifyError } from '../verifier/errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../verifier/json.ts';
import { SigningKey } from '../verifier/node/signing-key.ts';
import { KEY_TYPE_COSIGNATURE, formatVerifierKey, makeVerifierKey } from '../verifier/vkey.ts';
import type { VerifierKey } from '../verifier/vkey.ts';
import { ConfigError } from './config.ts';
import { createFile, replaceOwnFile } from '../verifier/node/durable-file.ts';
import { readSmallFile } from './files.ts';

const FORMAT = 'bftpkg-replica-key/v1';
const LENGTH_MAX = 4096;
const MODE = 0o600;
const GENERATION_LENGTH = 16;

/** A replica's keys and what they remember. */
export interface ReplicaKeys {
  /** Name of the replica, which is also the name of its cosigning key. */
  readonly name: string;
  /** Signs consensus messages, handshakes and rosters. */
  readonly vote: SigningKey;
  /** Signs checkpoints, nothing else. */
  readonly cosign: SigningKey;
  readonly cosignKey: VerifierKey;
  /** Name of the database that these keys may vote with, hex; `null` before the first start. */
  readonly databaseGeneration: string | null;
}

/** Makes new keys. Two, so that no cosignature can ever be read as a vote or the other way round. */
export function generateKeys(name: string): ReplicaKeys {
  return withCosignKey(name, SigningKey.generate(), SigningKey.generate(), null);
}

/** Writes new keys; an existing file is never touched. @throws {Error} `EEXIST` */
export async function createKeyFile(path: string, keys: ReplicaKeys): Promise<void> {
  await createFile(path, formatKeyFile(keys), MODE);
}

/**
 * Binds the keys to a database, durably. Done once, before the first vote.
 *
 * @returns the keys as they are now
 * @throws {ConfigError} when they are bound to another database already
 */
export async function bindKeyFile(
  path: string,
  keys: ReplicaKeys,
  generation: string,
): Promise<ReplicaKeys> {
  if (keys.databaseGeneration === generation) return keys;
  if (keys.databaseGeneration !== null) {
    throw new ConfigError(path, [`bound to the database ${keys.databaseGeneration} already`]);
  }
  const bound = { ...keys, databaseGeneration: generation };
  await replaceOwnFile(path, formatKeyFile(bound), MODE);
  return bound;
}

/**
 * Loads keys.
 *
 * @throws {ConfigError} missing, malformed, readable by others, owned by somebody else, a link
 */
export async function loadKeyFile(path: string): Promise<ReplicaKeys> {
  const text = await readSmallFile(path, LENGTH_MAX, 'bftpkg-log genkey makes it');
  const info = await lstat(path);
  const problems: string[] = [];
  if ((info.mode & 0o077) !== 0) problems.push('others can read it: run `chmod 600` on it');
  const user = process.getuid?.();
  if (user !== undefined && info.uid !== user) problems.push('it belongs to another user');
  if (problems.length > 0) throw new ConfigError(path, problems);
  try {
    return parseKeyFile(text);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    // The message names fields only, never their content.
    throw new ConfigError(path, [`not a key file of a replica (${error.code})`]);
  }
}

/** @throws {VerifyError} `JSON_MALFORMED`, `FORMAT_UNSUPPORTED`, `KEY_MALFORMED` */
export function parseKeyFile(text: string): ReplicaKeys {
  const reader = new ObjectReader(parseCanonicalJson(text.replace(/\n$/, ''), LENGTH_MAX), '');
  reader.format('format', FORMAT);
  const name = reader.string('name', 100);
  const vote = SigningKey.fromSeed(reader.hex('voteSeed', 32));
  const cosign = SigningKey.fromSeed(reader.hex('cosignSeed', 32));
  const votePublicKey = reader.string('votePublicKey', 64);
  const cosignKey = reader.string('cosignKey', 300);
  const isBound = reader.required('databaseGeneration') !== null;
  const generation = isBound
    ? encodeHex(reader.hex('databaseGeneration', GENERATION_LENGTH))
    : null;
  const initialised = reader.boolean('initialised');
  reader.end();
  const keys = withCosignKey(name, vote, cosign, generation);
  // Redundant on purpose: a half-edited file is found out before it signs anything.
  const isWhole =
    votePublicKey === encodeHex(vote.publicKey) &&
    cosignKey === formatVerifierKey(keys.cosignKey) &&
    initialised === isBound;
  if (!isWhole) throw new VerifyError('KEY_MALFORMED', 'the fields contradict each other');
  return keys;
}

/** The file's text. Secret. */
export function formatKeyFile(keys: ReplicaKeys): string {
  const text = canonicalJson({
    format: FORMAT,
    name: keys.name,
    voteSeed: encodeHex(keys.vote.seed),
    votePublicKey: encodeHex(keys.vote.publicKey),
    cosignSeed: encodeHex(keys.cosign.seed),
    cosignKey: formatVerifierKey(keys.cosignKey),
    databaseGeneration: keys.databaseGeneration,
    initialised: keys.databaseGeneration !== null,
  });
  return `${text}\n`;
}

function withCosignKey(
  name: string,
  vote: SigningKey,
  cosign: SigningKey,
  databaseGeneration: string | null,
): ReplicaKeys {
  const cosignKey = makeVerifierKey(name, KEY_TYPE_COSIGNATURE, cosign.publicKey);
  return { name, vote, cosign, cosignKey, databaseGeneration };
}
