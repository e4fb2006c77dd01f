// Signed notes: text with signature lines below it. See https://c2sp.org/signed-note.
import { concat, utf8 } from './bytes.ts';
import { SIGNATURE_LENGTH, publicKeyHex } from './ed25519.ts';
import { decodeBase64, encodeBase64 } from './encoding.ts';
import { VerifyError, assert, quote } from './errors.ts';
import type { SignatureJob, SignaturePlan } from './signatures.ts';
import { isWellFormed } from './text.ts';
import { KEY_TYPE_ED25519, type VerifierKey, isKeyName, keyHashBytes } from './vkey.ts';

/** One line below a note, nothing about it verified. */
export interface NoteSignature {
  readonly name: string;
  /** u32, which key of that name is meant. */
  readonly keyHash: number;
  /** What follows the four hash bytes; its form depends on the key's type. 1 to 512 bytes. */
  readonly signature: Uint8Array;
}

/** A note as it was received. Whatever it says, nobody has vouched for it yet. */
export interface SignedNote {
  /** The signed text, ending in a newline. */
  readonly text: string;
  /** 1 to 64 lines, in the order received. */
  readonly signatures: readonly NoteSignature[];
}

/** A note's text and who of the asked keys signed it. */
export interface VerifiedNote {
  readonly text: string;
  /** At least one; a public key appears once, under whatever names it signed. */
  readonly signers: readonly VerifierKey[];
}

/** Longest note in UTF-16 units: a checkpoint with 64 lines has 30 KB, other notes of ours less. */
export const NOTE_LENGTH_MAX = 65_536;
/** Most signature lines of a note: each line of a known key costs a verification. */
export const NOTE_SIGNATURES_MAX = 64;
// The largest signature that another type of key may bring along; ours have 64 or 72 bytes. Lines of
// unknown keys are kept, so that a note can be passed on as it came.
const SIGNATURE_BYTES_MAX = 512;
const LINE_START = '\u2014 ';

/**
 * Splits a note into text and signature lines. The text may hold empty lines: the last one of the
 * whole note is the divider.
 *
 * @throws {VerifyError} `NOTE_MALFORMED`
 */
export function parseNote(source: string): SignedNote {
  if (source.length > NOTE_LENGTH_MAX) throw malformed(`longer than ${NOTE_LENGTH_MAX} characters`);
  if (!isNoteText(source)) throw malformed('control character or lone surrogate');
  const divider = source.lastIndexOf('\n\n');
  if (divider < 0) throw malformed('no empty line before the signatures');
  const text = source.slice(0, divider + 1);
  const block = source.slice(divider + 2);
  if (!block.endsWith('\n')) throw malformed('no newline at the end of the signatures');
  const lines = block.slice(0, -1).split('\n');
  if (lines.length > NOTE_SIGNATURES_MAX) {
    throw malformed(`${lines.length} signature lines, at most ${NOTE_SIGNATURES_MAX} are read`);
  }
  const note = { text, signatures: lines.map(parseLine) };
  if (formatNote(note) !== source) throw malformed('not in canonical form');
  return note;
}

function parseLine(line: string): NoteSignature {
  if (!line.startsWith(LINE_START)) throw malformed('a signature line does not start with a dash');
  const [name, encoded, ...rest] = line.slice(LINE_START.length).split(' ');
  if (name === undefined || encoded === undefined || rest.length > 0 || !isKeyName(name)) {
    throw malformed('a signature line is not dash, name, signature');
  }
  const blob = readBlob(encoded);
  if (blob.length < 5 || blob.length > 4 + SIGNATURE_BYTES_MAX) {
    throw malformed(`a signature of ${blob.length} bytes`);
  }
  const keyHash = new DataView(blob.buffer, blob.byteOffset, 4).getUint32(0);
  return { name, keyHash, signature: blob.subarray(4) };
}

function readBlob(encoded: string): Uint8Array {
  try {
    return decodeBase64(encoded);
  } catch (cause) {
    throw malformed('a signature is not canonical base64', cause);
  }
}

/** The one text of a note. */
export function formatNote(note: SignedNote): string {
  assert(note.text.endsWith('\n') && isNoteText(note.text), 'a note signs lines of text');
  const count = note.signatures.length;
  assert(count >= 1 && count <= NOTE_SIGNATURES_MAX, 'a note has 1 to 64 signatures');
  const lines = note.signatures.map(({ name, keyHash, signature }) => {
    assert(isKeyName(name), 'a signature line has a key name');
    return `${LINE_START}${name} ${encodeBase64(concat(keyHashBytes(keyHash), signature))}\n`;
  });
  return `${note.text}\n${lines.join('')}`;
}

// C2SP forbids control characters below U+0020, because a terminal would act on them.
// eslint-disable-next-line no-control-regex -- they are what is looked for
const CONTROL = /[\0-\u0009\u000b-\u001f]/;

function isNoteText(text: string): boolean {
  return !CONTROL.test(text) && isWellFormed(text);
}

/** A signature line and the trusted key that it names. */
export interface KnownLine<K> {
  readonly line: NoteSignature;
  readonly key: K;
}

/**
 * Picks the lines that name a known key, by name and hash. All others are ignored, as C2SP says:
 * a log may have witnesses that the reader has never heard of.
 *
 * @param keys what is known, each with the verifier key under which its lines are found
 * @throws {VerifyError} `NOTE_SIGNATURE_INVALID` when two lines name one key: one of them is at best
 *         padding, and counting lines instead of keys is how quorums get forged
 */
export function knownLines<K>(
  note: SignedNote,
  keys: readonly K[],
  verifierKey: (key: K) => VerifierKey,
): readonly KnownLine<K>[] {
  const byId = new Map<string, K>();
  for (const key of keys) {
    const id = lineId(verifierKey(key));
    if (byId.has(id)) {
      throw new VerifyError('KEY_MALFORMED', 'two trusted keys have one name and one key hash');
    }
    byId.set(id, key);
  }
  const seen = new Set<string>();
  return note.signatures.flatMap((line) => {
    const id = lineId(line);
    const key = byId.get(id);
    if (key === undefined) return [];
    if (seen.has(id)) throw signatureInvalid(`two lines of ${quote(line.name)}`);
    seen.add(id);
    return [{ line, key }];
  });
}

function lineId(key: { readonly name: string; readonly keyHash: number }): string {
  return `${key.keyHash} ${key.name}`;
}

/**
 * Plans the check of a note by plain Ed25519 keys. One bad line of a known key refuses the note, as
 * C2SP advises: it was tampered with, or that signer is broken.
 *
 * @param keys the keys that are trusted to sign such notes, all of type 1
 * @throws {VerifyError} `NOTE_SIGNATURE_INVALID` at once for duplicate lines, in `finish` for a bad
 *         signature or when no known key signed; `KEY_MALFORMED` when `keys` is ambiguous
 */
export function planNote(
  note: SignedNote,
  keys: readonly VerifierKey[],
): SignaturePlan<VerifiedNote> {
  assert(
    keys.every((key) => key.type === KEY_TYPE_ED25519),
    'plain notes are signed by keys of type 1',
  );
  const known = knownLines(note, keys, (key) => key);
  const message = utf8(note.text);
  const jobs = known.map(({ line, key }): SignatureJob => {
    // Another length could be no signature of this key; saying so here keeps the message exact.
    if (line.signature.length !== SIGNATURE_LENGTH) throw badLine(line);
    return { publicKey: key.publicKey, message, signature: line.signature };
  });
  return {
    jobs,
    finish(valid) {
      requireValid(known, valid);
      const signers = new Map<string, VerifierKey>();
      for (const { key } of known) {
        const id = publicKeyHex(key.publicKey);
        if (!signers.has(id)) signers.set(id, key);
      }
      if (signers.size === 0) throw signatureInvalid('no line of a known key');
      return { text: note.text, signers: [...signers.values()] };
    },
  };
}

/**
 * Refuses a note of which any known line is bad.
 *
 * @throws {VerifyError} `NOTE_SIGNATURE_INVALID`
 */
export function requireValid<K>(known: readonly KnownLine<K>[], valid: readonly boolean[]): void {
  assert(known.length === valid.length, 'each known line was verified');
  const bad = known.find((_, i) => valid[i] !== true);
  if (bad !== undefined) throw badLine(bad.line);
}

function badLine(line: NoteSignature): VerifyError {
  return signatureInvalid(`the line of ${quote(line.name)} is not a signature of the text`);
}

function signatureInvalid(detail: string): VerifyError {
  return new VerifyError('NOTE_SIGNATURE_INVALID', `signed note: ${detail}`);
}

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('NOTE_MALFORMED', `malformed note: ${detail}`, { cause });
}
