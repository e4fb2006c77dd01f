// Timestamped cosignatures of the replicas on a checkpoint, and what a quorum of them proves.
// See https://c2sp.org/tlog-cosignature.
import { concat, utf8 } from './bytes.ts';
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts';
import { SIGNATURE_LENGTH } from './ed25519.ts';
import { decodeUint64, encodeUint64 } from './encoding.ts';
import { VerifyError, assert, quote } from './errors.ts';
import { type NoteSignature, type SignedNote, knownLines, requireValid } from './note.ts';
import { hasQuorum, hasWeakQuorum, weightOf } from './quorum.ts';
import type { Roster } from './roster.ts';
import type { SignatureJob, SignaturePlan } from './signatures.ts';
import { KEY_TYPE_COSIGNATURE, type VerifierKey } from './vkey.ts';

/** One replica's word that it knew the checkpoint at that time. */
export interface Cosignature {
  /** Index in the roster. */
  readonly replica: number;
  /** Unix seconds, 0 to 2^53 - 1. */
  readonly time: number;
}

/** A checkpoint that a quorum of the roster cosigned. */
export interface VerifiedCheckpoint {
  readonly checkpoint: Checkpoint;
  /** The note's text, byte for byte what was signed. */
  readonly text: string;
  /** One per replica, by roster index. */
  readonly cosignatures: readonly Cosignature[];
  /** Their weight together: at least the roster's quorum. */
  readonly weight: number;
  /**
   * Unix seconds: the greatest t such that replicas of weight > B cosigned at or after t. At least
   * one correct replica says that the checkpoint was current then.
   */
  readonly certifiedTime: number;
}

const TIME_LENGTH = 8;

/**
 * The bytes that a cosignature signs.
 *
 * @param checkpointText text of the checkpoint, ending in a newline
 * @param timeSeconds Unix seconds, a safe integer >= 0
 */
export function cosignatureMessage(checkpointText: string, timeSeconds: number): Uint8Array {
  assert(Number.isSafeInteger(timeSeconds) && timeSeconds >= 0, 'a cosignature has a Unix time');
  return utf8(`cosignature/v1\ntime ${timeSeconds}\n${checkpointText}`);
}

/**
 * The note line of a cosignature.
 *
 * @param signature 64 bytes by `key` over `cosignatureMessage(text, timeSeconds)`
 */
export function makeCosignature(
  key: VerifierKey,
  timeSeconds: number,
  signature: Uint8Array,
): NoteSignature {
  assert(key.type === KEY_TYPE_COSIGNATURE, 'cosignatures are made with keys of type 4');
  assert(signature.length === SIGNATURE_LENGTH, 'an Ed25519 signature has 64 bytes');
  return {
    name: key.name,
    keyHash: key.keyHash,
    signature: concat(encodeUint64(timeSeconds), signature),
  };
}

/**
 * Plans the check that a quorum of `roster` cosigned the checkpoint in `note`.
 *
 * Lines are matched by name and key hash; replicas are counted, never lines. A duplicate or a bad line
 * of a replica refuses the whole note. So that a single Byzantine replica can't block clients that
 * way, whoever assembles a note for others puts only lines into it that it has verified itself; a
 * client that gets a note with a bad line blames the sender and asks another one.
 *
 * @throws {VerifyError} at once `CHECKPOINT_MALFORMED`, `ORIGIN_MISMATCH`, `COSIGNATURE_MALFORMED`,
 *         `NOTE_SIGNATURE_INVALID` (duplicate lines); in `finish` `NOTE_SIGNATURE_INVALID`,
 *         `QUORUM_NOT_REACHED`
 */
export function planCheckpoint(
  note: SignedNote,
  roster: Roster,
): SignaturePlan<VerifiedCheckpoint> {
  const checkpoint = parseCheckpoint(note.text);
  if (checkpoint.origin !== roster.origin) throw originMismatch(checkpoint, roster);
  const indexed = roster.replicas.map((replica, index) => ({ key: replica.cosignKey, index }));
  const known = knownLines(note, indexed, ({ key }) => key);
  const parsed = known.map(({ line, key: { key, index } }) => {
    const { time, signature } = splitCosignature(line);
    const message = cosignatureMessage(note.text, time);
    const job: SignatureJob = { publicKey: key.publicKey, message, signature };
    return { cosignature: { replica: index, time }, job };
  });
  return {
    jobs: parsed.map(({ job }) => job),
    finish(valid) {
      requireValid(known, valid);
      const cosignatures = parsed
        .map(({ cosignature }) => cosignature)
        .sort((a, b) => a.replica - b.replica);
      return certify(checkpoint, note.text, cosignatures, roster);
    },
  };
}

/**
 * Plans the question which of some keys cosigned the note's text, at whatever time. For proving what
 * somebody signed: unlike `planCheckpoint` it passes over lines that are bad or repeated, which anybody
 * can add, because they would otherwise hide the good ones of the guilty.
 *
 * @param keys one that is listed twice counts once
 * @returns a plan whose result is the distinct keys with a valid line, in the order of `keys`
 */
export function planCosigners(
  note: SignedNote,
  keys: readonly VerifierKey[],
): SignaturePlan<readonly VerifierKey[]> {
  const jobs: SignatureJob[] = [];
  const owners: VerifierKey[] = [];
  for (const line of note.signatures) {
    if (line.signature.length !== TIME_LENGTH + SIGNATURE_LENGTH) continue;
    const key = keys.find((one) => one.name === line.name && one.keyHash === line.keyHash);
    const time = readTime(line);
    if (key === undefined || time === undefined) continue;
    const message = cosignatureMessage(note.text, time);
    jobs.push({
      publicKey: key.publicKey,
      message,
      signature: line.signature.subarray(TIME_LENGTH),
    });
    owners.push(key);
  }
  return {
    jobs,
    finish(valid) {
      assert(valid.length === jobs.length, 'every signature was checked');
      const signers = new Set(owners.filter((_, i) => valid[i] === true));
      return [...new Set(keys)].filter((key) => signers.has(key));
    },
  };
}

function readTime(line: NoteSignature): number | undefined {
  try {
    return decodeUint64(line.signature.subarray(0, TIME_LENGTH));
  } catch {
    return undefined;
  }
}

function splitCosignature(line: NoteSignature): { time: number; signature: Uint8Array } {
  if (line.signature.length !== TIME_LENGTH + SIGNATURE_LENGTH) {
    throw malformed(line, `${line.signature.length} bytes instead of 72`);
  }
  try {
    const time = decodeUint64(line.signature.subarray(0, TIME_LENGTH));
    return { time, signature: line.signature.subarray(TIME_LENGTH) };
  } catch (cause) {
    throw malformed(line, 'time above 2^53 - 1', cause);
  }
}

function certify(
  checkpoint: Checkpoint,
  text: string,
  cosignatures: readonly Cosignature[],
  roster: Roster,
): VerifiedCheckpoint {
  const weights = roster.replicas.map((replica) => replica.weight);
  const members = cosignatures.map(({ replica }) => replica);
  const weight = weightOf(members, weights);
  if (!hasQuorum(members, weights, roster.thresholds)) {
    throw new VerifyError(
      'QUORUM_NOT_REACHED',
      `checkpoint of size ${checkpoint.size}: cosigned by weight ${weight}, ` +
        `a quorum is ${roster.thresholds.quorum} of ${roster.thresholds.total}`,
      { found: String(weight), expected: String(roster.thresholds.quorum) },
    );
  }
  const certifiedTime = certifiedTimeOf(cosignatures, weights, roster);
  return { checkpoint, text, cosignatures, weight, certifiedTime };
}

function certifiedTimeOf(
  cosignatures: readonly Cosignature[],
  weights: readonly number[],
  roster: Roster,
): number {
  const newestFirst = [...cosignatures].sort((a, b) => b.time - a.time);
  const decisive = newestFirst.find((_, i) => {
    const members = newestFirst.slice(0, i + 1).map(({ replica }) => replica);
    return hasWeakQuorum(members, weights, roster.thresholds);
  });
  assert(decisive !== undefined, 'a quorum contains a weak quorum');
  return decisive.time;
}

function originMismatch(checkpoint: Checkpoint, roster: Roster): VerifyError {
  return new VerifyError(
    'ORIGIN_MISMATCH',
    `the checkpoint is of the log ${quote(checkpoint.origin)}, the roster of ${quote(roster.origin)}`,
    { found: quote(checkpoint.origin), expected: quote(roster.origin) },
  );
}

function malformed(line: NoteSignature, detail: string, cause?: unknown): VerifyError {
  return new VerifyError(
    'COSIGNATURE_MALFORMED',
    `malformed cosignature of ${quote(line.name)}: ${detail}`,
    { cause },
  );
}
