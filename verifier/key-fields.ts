// Public keys as fields of our JSON documents: lower-case hex of the raw key.
import { PUBLIC_KEY_LENGTH, parsePublicKeyHex, publicKeyHex, type PublicKey } from './ed25519.ts';
import { VerifyError } from './errors.ts';
import { readString, type JsonValue, type ObjectReader } from './json.ts';

/**
 * A public key in hex.
 *
 * @throws {VerifyError} `JSON_MALFORMED`, `ENCODING_MALFORMED`, `KEY_MALFORMED`
 */
export function readPublicKey(value: JsonValue, path: string): PublicKey {
  const text = readString(value, path, 2 * PUBLIC_KEY_LENGTH);
  return parsePublicKeyHex(text);
}

/**
 * An array of at most `countMax` keys, no two of them the same: whoever held a key twice would count
 * twice.
 *
 * @throws {VerifyError} as `readPublicKey`
 */
export function readKeys(reader: ObjectReader, name: string, countMax: number): PublicKey[] {
  const keys = reader.array(name, countMax, readPublicKey);
  if (new Set(keys.map(publicKeyHex)).size !== keys.length) {
    throw new VerifyError('KEY_MALFORMED', `${reader.pathOf(name)} has the same key twice`);
  }
  return keys;
}
