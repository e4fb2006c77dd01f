// Maintainers' keys on disk: encrypted with a passphrase, or in plain text (then the permissions of the file
// are all that protects them), or only named here and held by an agent. Permissions are set when a file is
// made and checked whenever it is loaded.
import { readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { keyId, publicKeyHex, type PublicKey } from '../../verifier/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import {
  createWholeFile,
  makePrivateFolder,
  replaceFile,
} from '../../verifier/node/durable-file.ts';
import { seal, unseal } from './age.ts';
import {
  formatAgentKey,
  formatPlainKey,
  formatSealedKey,
  KEY_FILE_BYTES_MAX,
  parseKeyText,
  type KeySecret,
} from './key-format.ts';
import { readPrivateFile } from './private-file.ts';

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

/** A key file that was read. */
export interface KeyFile extends KeyInfo {
  readonly secret: KeySecret;
}

/** How a key is written: encrypted, or in plain text if the passphrase is `undefined`. */
export interface Lock {
  readonly passphrase: string | undefined;
  /** scrypt's work factor; only tests choose another one. */
  readonly workFactorLog2?: number | undefined;
}

const HELD: Readonly<Record<KeySecret['kind'], string>> = {
  plain: 'unprotected',
  sealed: 'passphrase',
  agent: 'ssh-agent',
};

/** What protects the secret, in a word: `passphrase`, `ssh-agent`, `unprotected`. */
export function protectionOf({ secret }: KeyFile): string {
  return HELD[secret.kind];
}

/** What `key show` and `key list` give out; the seed is not among it. */
export function describeKey(key: KeyFile): {
  readonly name: string;
  readonly path: string;
  readonly publicKey: string;
  readonly keyId: string;
  readonly protection: string;
} {
  return {
    name: key.name,
    path: key.path,
    publicKey: publicKeyHex(key.publicKey),
    keyId: key.keyId,
    protection: protectionOf(key),
  };
}

/** Whether a text can be the name of a key. */
export function isKeyName(text: string): boolean {
  return KEY_NAME.test(text);
}

/** Where the key of that name is kept. @throws {CliError} BP9003 for a name that is no label */
export function keyPath(folder: string, name: string): string {
  if (!isKeyName(name)) {
    throw new CliError(
      'BP9003',
      'a key name has 1 to 64 letters, digits, dots, dashes, underscores',
    );
  }
  return join(folder, name + SUFFIX);
}

/** Makes a new key and stores it. @throws {CliError} BP8001 */
export async function createKey(path: string, name: string, lock: Lock): Promise<KeyFile> {
  return await storeKey(path, name, SigningKey.generate(), lock);
}

/**
 * Stores a key in a new file. An existing file is never overwritten: a key that is lost that way could
 * block a package for ever.
 *
 * @throws {CliError} BP8001
 */
export async function storeKey(
  path: string,
  name: string,
  key: SigningKey,
  lock: Lock,
): Promise<KeyFile> {
  const { text, secret } = await lockedText(name, key, lock);
  await createKeyFile(path, text);
  return keyFile(path, { name, publicKey: key.publicKey, secret });
}

/** Stores the name and public key of a key that an agent holds, in a new file. @throws {CliError} BP8001 */
export async function storeAgentKey(
  path: string,
  name: string,
  publicKey: PublicKey,
): Promise<KeyFile> {
  await createKeyFile(path, formatAgentKey(name, publicKey));
  return keyFile(path, { name, publicKey, secret: { kind: 'agent' } });
}

/** Writes the same key under another lock: the old file or the new one is there at any time. */
export async function relockKey(file: KeyFile, key: SigningKey, lock: Lock): Promise<KeyFile> {
  const { text, secret } = await lockedText(file.name, key, lock);
  await replaceFile(file.path, text, KEY_FILE_MODE);
  return { ...file, secret };
}

async function lockedText(
  name: string,
  key: SigningKey,
  { passphrase, workFactorLog2 }: Lock,
): Promise<{ readonly text: string; readonly secret: KeySecret }> {
  const plain = formatPlainKey(name, key);
  if (passphrase === undefined) return { text: plain, secret: { kind: 'plain', key } };
  const age = await seal(plain, passphrase, workFactorLog2);
  return { text: formatSealedKey(name, key.publicKey, age), secret: { kind: 'sealed', age } };
}

async function createKeyFile(path: string, text: string): Promise<void> {
  try {
    await makePrivateFolder(dirname(path));
    await createWholeFile(path, text, KEY_FILE_MODE);
  } catch (error) {
    const isThere = systemCode(error) === 'EEXIST';
    const reason = isThere ? 'exists already' : systemReason(error, 'cannot be written');
    throw new CliError('BP8001', `${path}: ${reason}`, {
      hints: isThere ? ['choose another name; keys are never overwritten'] : [],
    });
  }
}

/**
 * Loads a key file, after checking that nobody else can have read or replaced it.
 *
 * @throws {CliError} BP8001; its message never holds anything of the file's content
 */
export async function loadKey(path: string): Promise<KeyFile> {
  const bytes = await readPrivateFile(path, KEY_FILE_BYTES_MAX);
  try {
    return keyFile(path, parseKeyText(bytes.toString('utf8')));
  } catch {
    // Without the cause: parsers quote what they refuse, and this file holds a secret.
    throw new CliError('BP8001', `${path}: not a key file of this version`);
  } finally {
    bytes.fill(0);
  }
}

/**
 * The key of a name in a folder. The file has to say the same name: of two files that were swapped, or a
 * copy under another name, the wrong person would sign.
 *
 * @throws {CliError} BP8001, BP9003
 */
export async function loadNamedKey(folder: string, name: string): Promise<KeyFile> {
  const path = keyPath(folder, name);
  const key = await loadKey(path);
  if (key.name === name) return key;
  throw new CliError('BP8001', `${path}: holds the key of another name`, {
    details: [
      ['expected', name],
      ['found', key.name],
    ],
    hints: ['give the file its own name back, or name it by its path'],
  });
}

function keyFile(
  path: string,
  { name, publicKey, secret }: Pick<KeyFile, 'name' | 'publicKey' | 'secret'>,
): KeyFile {
  return { name, path, publicKey, keyId: keyId(publicKey), secret };
}

/**
 * Decrypts the secret of a key.
 *
 * @throws {CliError} BP8003 for another passphrase; BP8001 when what was encrypted is not this key
 */
export async function unlockKey(file: KeyFile, passphrase: string): Promise<SigningKey> {
  if (file.secret.kind !== 'sealed') throw new CliError('BP8001', `${file.path}: not encrypted`);
  return unsealKey(file, await unseal(file.secret.age, passphrase, file.path));
}

// The outer label and key are not protected by anything: they have to be those that were encrypted.
function unsealKey(file: KeyFile, plaintext: string): SigningKey {
  let inner: ReturnType<typeof parseKeyText> | undefined;
  try {
    inner = parseKeyText(plaintext);
  } catch {
    inner = undefined;
  }
  const isSame =
    inner?.name === file.name && publicKeyHex(inner.publicKey) === publicKeyHex(file.publicKey);
  if (inner?.secret.kind === 'plain' && isSame) return inner.secret.key;
  throw new CliError('BP8001', `${file.path}: what is encrypted is not the key that it names`);
}

/** The names of the keys in a folder. Files that are no keys are left out. @throws {CliError} BP8001 */
export async function listKeyNames(folder: string): Promise<readonly string[]> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw new CliError('BP8001', `${folder}: ${systemReason(error, 'cannot be read')}`);
  }
  return names
    .filter((name) => name.endsWith(SUFFIX))
    .map((name) => name.slice(0, -SUFFIX.length))
    .filter(isKeyName)
    .sort();
}

/** Keys in a folder, by name. @throws {CliError} BP8001 for the first that is unusable */
export async function listKeys(folder: string): Promise<readonly KeyFile[]> {
  const names = await listKeyNames(folder);
  return await Promise.all(names.map((name) => loadNamedKey(folder, name)));
}
