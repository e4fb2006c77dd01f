// The text of one share of a key: canonical JSON with what belongs together and what makes the key checkable. A
// share alone says nothing about the key but whose it is; it is private all the same, since t of them are the key.
import { parsePublicKey, publicKeyHex, type PublicKey } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { utf8 } from '../../verifier/bytes.ts';
import {
  canonicalJson,
  ObjectReader,
  parseCanonicalJson,
  type JsonObject,
} from '../../verifier/json.ts';
import {
  ELEMENT_LENGTH,
  formatElement,
  parseElement,
} from '../../verifier/secret-sharing/field.ts';
import { SHARES_MAX, THRESHOLD_MIN, type Share } from '../../verifier/secret-sharing/shamir.ts';
import { sha256 } from '../../verifier/sha256.ts';

const FORMAT = 'bftpkg-share/v1';
/** A share is about 450 bytes. */
export const SHARE_FILE_BYTES_MAX = 2048;
/** Bytes of a backup's identity: random, so that two backups of one key are never mixed up. */
export const BACKUP_ID_LENGTH = 16;
const NAME_LENGTH_MAX = 64;
const DIGEST_LENGTH = 32;

/** What all shares of one backup say alike. */
export interface BackupHeader {
  /** Lower-case hex. */
  readonly backup: string;
  readonly name: string;
  /** The commitment: a recovered key is this one or it is not written. */
  readonly publicKey: PublicKey;
  readonly shares: number;
  readonly threshold: number;
}

/** One share of a key, and which backup it is of. */
export interface KeyShare {
  readonly header: BackupHeader;
  readonly share: Share;
}

/** What says whether two shares are of one backup: every field of the header counts. */
export function headerText(header: BackupHeader): string {
  return canonicalJson(headerFields(header));
}

/** The text of a share. */
export function formatShare({ header, share }: KeyShare): string {
  const fields = shareFields({ header, share });
  return `${canonicalJson({ ...fields, digest: digestOf(fields) })}\n`;
}

/**
 * Reads the text of a share. Its digest shows damage, not malice: whoever has the share can make another.
 *
 * @throws {VerifyError} for anything else
 * @throws {Error} when the digest is another one; messages may quote the share
 */
export function parseShare(text: string): KeyShare {
  const value = parseCanonicalJson(text.replace(/\n$/, ''), SHARE_FILE_BYTES_MAX);
  const reader = new ObjectReader(value, '');
  reader.format('format', FORMAT);
  const shares = reader.integer('shares', THRESHOLD_MIN, SHARES_MAX);
  const header: BackupHeader = {
    backup: encodeHex(reader.hex('backup', BACKUP_ID_LENGTH)),
    name: reader.string('name', NAME_LENGTH_MAX),
    publicKey: parsePublicKey(reader.hex('publicKey', 32)),
    shares,
    threshold: reader.integer('threshold', THRESHOLD_MIN, shares),
  };
  const share: Share = {
    index: reader.integer('index', 1, shares),
    value: parseElement(reader.string('value', 2 * ELEMENT_LENGTH)),
  };
  const digest = encodeHex(reader.hex('digest', DIGEST_LENGTH));
  reader.end();
  if (digest !== digestOf(shareFields({ header, share }))) throw new Error('damaged');
  return { header, share };
}

function headerFields(header: BackupHeader): JsonObject {
  return { ...header, publicKey: publicKeyHex(header.publicKey) };
}

function shareFields({ header, share }: KeyShare): JsonObject {
  const value = formatElement(share.value);
  return { format: FORMAT, ...headerFields(header), index: share.index, value };
}

function digestOf(fields: JsonObject): string {
  return encodeHex(sha256(utf8(canonicalJson(fields))));
}
