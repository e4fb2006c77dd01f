// Envelopes with several signatures: DSSE v1 (github.com/secure-systems-lab/dsse, protocol.md and
// envelope.md). The set of signatures is malleable (anyone may add, drop or repeat lines), so nothing
// is ever identified by its envelope: identity is the hash of the payload.
import { utf8 } from './bytes.ts';
import { SIGNATURE_LENGTH, keyId, type PublicKey } from './ed25519.ts';
import { decodeBase64, encodeBase64 } from './encoding.ts';
import { splitEnvelope, type EnvelopeTexts } from './envelope-text.ts';
import { VerifyError, assert } from './errors.ts';
import {
  ObjectReader,
  canonicalJson,
  parseCanonicalJson,
  type JsonObject,
  type JsonValue,
} from './json.ts';
import { readingAs } from './refusals.ts';
import { sha256Hex } from './sha256.ts';
import type { SignatureJob, SignaturePlan } from './signatures.ts';
import { decodeUtf8 } from './text.ts';

/**
 * The most characters (and bytes: all of it is ASCII) of an envelope as JSON. An entry of the log holds an envelope and is at most
 * 65,535 bytes (tlog-tiles), so a larger one could never be logged.
 */
export const ENVELOPE_LENGTH_MAX = 65_535;

/**
 * The most signatures in an envelope: each costs whoever checks it an Ed25519 verification. As many
 * as a maintainer set or a roster may have members.
 */
export const ENVELOPE_SIGNATURES_MAX = 64;

/** Digits of base64 in an envelope's payload at most, and in a signature exactly. */
const PAYLOAD_DIGITS_MAX: number = 4 * Math.ceil(ENVELOPE_LENGTH_MAX / 3);
const SIGNATURE_DIGITS: number = 4 * Math.ceil(SIGNATURE_LENGTH / 3);

/** Longest `payloadType` and `keyid`, in UTF-16 units. Ours are at most 45 and exactly 64. */
const PAYLOAD_TYPE_LENGTH_MAX = 128;
const KEY_ID_LENGTH_MAX = 128;

// Media types (RFC 6838) and URIs; no space, which separates the fields of the signed text.
const PAYLOAD_TYPE_PATTERN = /^[!-~]+$/;

// ASCII like everything else in an envelope, so that its characters are its bytes.
const KEY_ID_PATTERN = /^[!-~]*$/;

/** A line of an envelope: somebody's claim to have signed the payload. */
export interface EnvelopeSignature {
  /** Which key, as a hint: hex SHA-256 of the raw public key. Says nothing about trust. */
  readonly keyid: string;
  /** 64 bytes. */
  readonly signature: Uint8Array;
}

/** A payload with claims of signatures, none of them checked yet. */
export interface Envelope {
  readonly payloadType: string;
  readonly payload: Uint8Array;
  /** 1 to `ENVELOPE_SIGNATURES_MAX` lines. */
  readonly signatures: readonly EnvelopeSignature[];
}

/**
 * Reads an envelope out of a parsed canonical document.
 *
 * @param path where in the document it stands, for messages
 * @throws {VerifyError} `ENVELOPE_MALFORMED`
 */
export function readEnvelope(value: JsonValue, path: string): Envelope {
  return readingAs('ENVELOPE_MALFORMED', 'envelope', () => {
    const reader = new ObjectReader(value, path);
    const payloadType = reader.string('payloadType', PAYLOAD_TYPE_LENGTH_MAX);
    if (!PAYLOAD_TYPE_PATTERN.test(payloadType)) {
      throw malformed(`${reader.pathOf('payloadType')} is not printable ASCII without spaces`);
    }
    const payload = reader.base64('payload', ENVELOPE_LENGTH_MAX);
    const signatures = reader.array('signatures', ENVELOPE_SIGNATURES_MAX, readSignature);
    if (signatures.length === 0) throw malformed(`${reader.pathOf('signatures')} is empty`);
    reader.end();
    return { payloadType, payload, signatures };
  });
}

/**
 * Reads an envelope out of its canonical text inside of a document, by the one form that it has.
 *
 * @returns undefined for what is no such text or no such envelope: `readEnvelope` of what the text is as JSON says
 *          which, and why
 */
export function readEnvelopeText(text: string): Envelope | undefined {
  const split = splitEnvelope(text, ENVELOPE_SIGNATURES_MAX);
  return split === undefined ? undefined : envelopeOf(split);
}

// What `readEnvelope` makes of these texts, without a reader for each field; undefined where it refuses.
function envelopeOf({ payload, payloadType, signatures }: EnvelopeTexts): Envelope | undefined {
  const isTyped =
    payloadType.length <= PAYLOAD_TYPE_LENGTH_MAX && PAYLOAD_TYPE_PATTERN.test(payloadType);
  if (!isTyped || payload.length > PAYLOAD_DIGITS_MAX) return undefined;
  const isBounded = signatures.length > 0 && signatures.length <= ENVELOPE_SIGNATURES_MAX;
  if (!isBounded || !signatures.every(isSignatureText)) return undefined;
  try {
    return {
      payloadType,
      payload: decodeBase64(payload),
      signatures: signatures.map(({ keyid, sig }) => ({ keyid, signature: decodeBase64(sig) })),
    };
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return undefined;
  }
}

// 64 bytes end in two padded digits: 88 digits with less padding would be 65 or 66.
function isSignatureText({ keyid, sig }: EnvelopeTexts['signatures'][number]): boolean {
  const isKeyId = keyid.length <= KEY_ID_LENGTH_MAX && KEY_ID_PATTERN.test(keyid);
  return isKeyId && sig.length === SIGNATURE_DIGITS && sig.endsWith('==');
}

function readSignature(value: JsonValue, path: string): EnvelopeSignature {
  const reader = new ObjectReader(value, path);
  const keyid = reader.string('keyid', KEY_ID_LENGTH_MAX);
  if (!KEY_ID_PATTERN.test(keyid)) {
    throw malformed(`${reader.pathOf('keyid')} is not printable ASCII without spaces`);
  }
  const signature = reader.base64('sig', SIGNATURE_LENGTH);
  if (signature.length !== SIGNATURE_LENGTH) {
    throw malformed(`${reader.pathOf('sig')} is not ${SIGNATURE_LENGTH} bytes`);
  }
  reader.end();
  return { keyid, signature };
}

/**
 * Reads an envelope from its canonical JSON.
 *
 * @throws {VerifyError} `ENVELOPE_MALFORMED`
 */
export function parseEnvelope(source: string | Uint8Array): Envelope {
  return readingAs('ENVELOPE_MALFORMED', 'envelope', () => {
    const isBounded = source.length <= ENVELOPE_LENGTH_MAX;
    const text = typeof source === 'string' || !isBounded ? source : decodeUtf8(source);
    // Its reader refuses whatever is not printable ASCII.
    const split =
      typeof text === 'string' && isBounded
        ? splitEnvelope(text, ENVELOPE_SIGNATURES_MAX)
        : undefined;
    const envelope =
      (split === undefined ? undefined : envelopeOf(split)) ??
      readEnvelope(split ?? parseCanonicalJson(text, ENVELOPE_LENGTH_MAX), '');
    if (typeof text === 'string') texts.set(envelope, text);
    return envelope;
  });
}

// Canonical texts of envelopes that were read from them. Nobody changes an envelope; a log repeats its
// text in the entry, and making and reading it again is a good part of what taking a release costs.
const texts = new WeakMap<Envelope, string>();

/** The canonical text that an envelope was read from; `undefined` when it was made otherwise. */
export function textOfEnvelope(envelope: Envelope): string | undefined {
  return texts.get(envelope);
}

/** The envelope as a JSON value, to be written with `canonicalJson` alone or inside a document. */
export function envelopeJson(envelope: Envelope): JsonObject {
  return {
    payload: encodeBase64(envelope.payload),
    payloadType: envelope.payloadType,
    signatures: envelope.signatures.map(({ keyid, signature }) => ({
      keyid,
      sig: encodeBase64(signature),
    })),
  };
}

/** The envelope's canonical JSON text. */
export function formatEnvelope(envelope: Envelope): string {
  return texts.get(envelope) ?? canonicalJson(envelopeJson(envelope));
}

/**
 * The exact bytes that a signer signs: `DSSEv1 SP len(type) SP type SP len(payload) SP payload`,
 * lengths in bytes. The lengths make it impossible to move bytes between type and payload.
 */
export function preAuthenticationEncoding(payloadType: string, payload: Uint8Array): Uint8Array {
  const type = utf8(payloadType);
  // The type has been made text of bytes and back only to be measured: lengths are in bytes.
  const head = utf8(`DSSEv1 ${type.length} ${payloadType} ${payload.length} `);
  const bytes = new Uint8Array(head.length + payload.length);
  bytes.set(head);
  bytes.set(payload, head.length);
  return bytes;
}

/** A statement's identity: hex SHA-256 of its payload. The signatures are not part of it. */
export function statementHash(payload: Uint8Array): string {
  return sha256Hex(payload);
}

/**
 * Plans the question which of some trusted keys signed the envelope.
 *
 * A line is looked at only if its keyid is that of a key in `keys`: the envelope can't bring keys of
 * its own. All lines of a known key are tried, so that a bad line that somebody added never hides a
 * good one; any number of good ones count once.
 *
 * @param keys the keys that count; one that is listed twice counts once
 * @returns a plan whose result is the distinct keys with a valid signature, in the order of `keys`
 */
export function planSigners(
  envelope: Envelope,
  keys: readonly PublicKey[],
): SignaturePlan<readonly PublicKey[]> {
  const trusted = new Map<string, PublicKey>();
  for (const key of keys) trusted.set(keyId(key), key);
  const message = preAuthenticationEncoding(envelope.payloadType, envelope.payload);
  const jobs: SignatureJob[] = [];
  const keyIds: string[] = [];
  for (const { keyid, signature } of envelope.signatures) {
    const publicKey = trusted.get(keyid);
    if (publicKey === undefined) continue;
    jobs.push({ publicKey, message, signature });
    keyIds.push(keyid);
  }
  return {
    jobs,
    finish: (valid) => {
      assert(valid.length === jobs.length, 'every signature was checked');
      const signers = new Set<string>();
      for (const [i, id] of keyIds.entries()) if (valid[i] === true) signers.add(id);
      const signed: PublicKey[] = [];
      for (const [id, key] of trusted) if (signers.has(id)) signed.push(key);
      return signed;
    },
  };
}

function malformed(detail: string): VerifyError {
  return new VerifyError('ENVELOPE_MALFORMED', `malformed envelope: ${detail}`);
}
