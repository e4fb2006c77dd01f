// Maintainers' private keys on disk. The seed is in plain text, so the permissions of the file are all
// that protects it: they are set when it is made and checked whenever it is loaded.
import { lstat, open, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { keyId, publicKeyHex, type PublicKey } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { canonicalJson, ObjectReader, parseCanonicalJson } from '../../verifier/json.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { CliError, systemCode } from '../errors.ts';
import { createFile, makePrivateFolder } from '../trust/atomic-file.ts';

const KEY_FORMAT = 'bftpkg-key/v1';
const KEY_FILE_BYTES_MAX = 4096;
const KEY_FILE_MODE = 0o600;
/** A label that is also a file name: no separators, no hidden files, no surprises. */
const KEY_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
const SUFFIX = '.key.json';

/** What may be shown about a key. */
export interface KeyInfo {
  readonly name: string;
  readonly path: string;
  readonly publicKey: PublicKey;
  readonly keyId: string;
}

/** A key that can sign. */
export interface LoadedKey extends KeyInfo {
  readonly signer: SigningKey;
}

/** What `key show` and `key list` give out; the seed is not among it. */
export function describeKey(key: KeyInfo): {
  readonly name: string;
  readonly path: string;
  readonly publicKey: string;
  readonly keyId: string;
} {
  return {
    name: key.name,
    path: key.path,
    publicKey: publicKeyHex(key.publicKey),
    keyId: key.keyId,
  };
}

/** Where the key of that name is kept. @throws {CliError} BP9003 for a name that is no label */
export function keyPath(folder: string, name: string): string {
  if (!KEY_NAME.test(name)) {
    throw new CliError(
      'BP9003',
      'a key name has 1 to 64 letters, digits, dots, dashes, underscores',
    );
  }
  return join(folder, name + SUFFIX);
}

/**
 * Makes a new key and stores it. An existing file is never overwritten: a key that is lost that way
 * could block a package for ever.
 *
 * @throws {CliError} BP8001
 */
export async function createKey(path: string, name: string): Promise<LoadedKey> {
  const signer = SigningKey.generate();
  const text = canonicalJson({
    format: KEY_FORMAT,
    name,
    publicKey: publicKeyHex(signer.publicKey),
    seed: encodeHex(signer.seed),
  });
  await makePrivateFolder(dirname(path));
  try {
    await createFile(path, `${text}\n`, KEY_FILE_MODE);
  } catch (error) {
    const reason = systemCode(error) === 'EEXIST' ? 'exists already' : systemCode(error);
    throw new CliError('BP8001', `${path}: ${reason ?? 'cannot be written'}`, {
      hints: ['choose another name; keys are never overwritten'],
    });
  }
  return { name, path, signer, publicKey: signer.publicKey, keyId: keyId(signer.publicKey) };
}

/**
 * Loads a key, after checking that nobody else can have read or replaced it.
 *
 * @throws {CliError} BP8001; its message never holds anything of the file's content
 */
export async function loadKey(path: string): Promise<LoadedKey> {
  const bytes = await readPrivateFile(path);
  try {
    const text = bytes.toString('utf8').replace(/\n$/, '');
    const reader = new ObjectReader(parseCanonicalJson(text, KEY_FILE_BYTES_MAX), '');
    reader.format('format', KEY_FORMAT);
    const name = reader.string('name', 64);
    const stated = encodeHex(reader.hex('publicKey', 32));
    const signer = SigningKey.fromSeed(reader.hex('seed', 32));
    reader.end();
    if (publicKeyHex(signer.publicKey) !== stated)
      throw new Error('seed and key do not belong together');
    return { name, path, signer, publicKey: signer.publicKey, keyId: keyId(signer.publicKey) };
  } catch {
    // Without the cause: parsers quote what they refuse, and this file holds a secret.
    throw new CliError('BP8001', `${path}: not a key file of this version`);
  } finally {
    bytes.fill(0);
  }
}

async function readPrivateFile(path: string): Promise<Buffer> {
  try {
    const link = await lstat(path);
    if (!link.isFile()) throw new CliError('BP8001', `${path}: not a plain file`);
    const folder = await lstat(dirname(path));
    requireOwn(dirname(path), folder, 0o022, 'others can replace files in it', 'chmod 700');
    const file = await open(path, 'r');
    try {
      // The open file is looked at, not the path: it can't be exchanged in between.
      const facts = await file.stat();
      requireOwn(path, facts, 0o077, 'others can read it', 'chmod 600');
      if (facts.size > KEY_FILE_BYTES_MAX) throw new CliError('BP8001', `${path}: too large`);
      return await file.readFile();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP8001', `${path}: ${systemCode(error) ?? 'cannot be read'}`);
  }
}

interface Facts {
  readonly uid: number;
  readonly mode: number;
}

function requireOwn(
  path: string,
  facts: Facts,
  forbidden: number,
  problem: string,
  fix: string,
): void {
  // On Windows there are no such bits; access lists protect the profile folder there.
  const user = process.getuid?.();
  if (user === undefined) return;
  if (facts.uid !== user && facts.uid !== 0) {
    throw new CliError('BP8001', `${path}: belongs to another user`);
  }
  // A sticky folder like /tmp lets only the owner replace a file.
  const sticky = (facts.mode & 0o1000) !== 0;
  if ((facts.mode & forbidden) !== 0 && !(sticky && forbidden === 0o022)) {
    throw new CliError('BP8001', `${path}: ${problem}`, { hints: [`${fix} ${path}`] });
  }
}

/** Keys in a folder, by name. Files that are no keys are left out. */
export async function listKeys(folder: string): Promise<readonly LoadedKey[]> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw new CliError('BP8001', `${folder}: ${systemCode(error) ?? 'cannot be read'}`);
  }
  const files = names.filter((name) => name.endsWith(SUFFIX)).sort();
  return await Promise.all(files.map((name) => loadKey(join(folder, name))));
}
