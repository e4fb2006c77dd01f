// The text of a key file. Version 1 holds the seed as it is; version 2 holds it encrypted, or says that an
// agent has it. Both are canonical JSON; what version 2 encrypts is a whole text of version 1, so that
// label and public key are under the passphrase too and nobody can put them beside another secret.
import { parsePublicKey, publicKeyHex, type PublicKey } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { canonicalJson, ObjectReader, parseCanonicalJson } from '../../verifier/json.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';

const FORMAT_PLAIN = 'bftpkg-key/v1';
const FORMAT = 'bftpkg-key/v2';
/** An encrypted key is about 900 bytes. */
export const KEY_FILE_BYTES_MAX = 4096;
const NAME_LENGTH_MAX = 64;

/** Where the secret of a key is. */
export type KeySecret =
  | { readonly kind: 'plain'; readonly key: SigningKey }
  /** `age` is an armored age file with a passphrase. */
  | { readonly kind: 'sealed'; readonly age: string }
  | { readonly kind: 'agent' };

/** What a key file says. */
export interface KeyText {
  readonly name: string;
  readonly publicKey: PublicKey;
  readonly secret: KeySecret;
}

/** The text with the seed in it: what version 1 stores and version 2 encrypts. */
export function formatPlainKey(name: string, key: SigningKey): string {
  const seed = key.seed;
  const text = canonicalJson({
    format: FORMAT_PLAIN,
    name,
    publicKey: publicKeyHex(key.publicKey),
    seed: encodeHex(seed),
  });
  seed.fill(0);
  return `${text}\n`;
}

/** The text of a key whose secret is encrypted. @param age armored */
export function formatSealedKey(name: string, publicKey: PublicKey, age: string): string {
  const fields = { format: FORMAT, held: 'passphrase', name, publicKey: publicKeyHex(publicKey) };
  return `${canonicalJson({ ...fields, age })}\n`;
}

/** The text of a key that an agent holds. */
export function formatAgentKey(name: string, publicKey: PublicKey): string {
  const fields = { format: FORMAT, held: 'agent', name, publicKey: publicKeyHex(publicKey) };
  return `${canonicalJson(fields)}\n`;
}

/**
 * Reads the text of a key file.
 *
 * @throws {Error} of any kind for anything else; the message may quote secrets and must not be shown
 */
export function parseKeyText(text: string): KeyText {
  const value = parseCanonicalJson(text.replace(/\n$/, ''), KEY_FILE_BYTES_MAX);
  const reader = new ObjectReader(value, '');
  const isPlain = reader.string('format', 64) === FORMAT_PLAIN;
  if (!isPlain) reader.format('format', FORMAT);
  const name = reader.string('name', NAME_LENGTH_MAX);
  const publicKey = parsePublicKey(reader.hex('publicKey', 32));
  const secret = isPlain ? readSeed(reader) : readHolder(reader);
  reader.end();
  if (secret.kind === 'plain' && publicKeyHex(secret.key.publicKey) !== publicKeyHex(publicKey)) {
    throw new Error('seed and key do not belong together');
  }
  return { name, publicKey, secret };
}

function readSeed(reader: ObjectReader): KeySecret {
  const seed = reader.hex('seed', 32);
  const key = SigningKey.fromSeed(seed);
  seed.fill(0);
  return { kind: 'plain', key };
}

function readHolder(reader: ObjectReader): KeySecret {
  if (reader.oneOf('held', ['passphrase', 'agent']) === 'agent') return { kind: 'agent' };
  return { kind: 'sealed', age: reader.string('age', KEY_FILE_BYTES_MAX) };
}
