// Inclusion proofs as files of their own (`.tlog-proof`), so that other tools can check an entry of ours.
// See https://c2sp.org/tlog-proof.
import { planCheckpoint, type VerifiedCheckpoint } from './cosignature.ts';
import { decodeBase64, encodeBase64, parseUint } from './encoding.ts';
import { VerifyError, assert } from './errors.ts';
import { type Hash, isHash } from './merkle/hash.ts';
import { checkInclusion, isTreeSize } from './merkle/inclusion.ts';
import { NOTE_LENGTH_MAX, parseNote } from './note.ts';
import type { Roster } from './roster.ts';
import type { SignaturePlan } from './signatures.ts';

/** A claim that some leaf is in some log, as long as nobody has checked it. */
export interface TlogProof {
  /** Position of the leaf, counted from 0. */
  readonly index: number;
  /** Sibling hashes from the leaf up, 0 to 53. */
  readonly hashes: readonly Hash[];
  /** Unauthenticated data for whoever made the proof; empty when there is none. */
  readonly extra: Uint8Array;
  /** The checkpoint's note, verbatim. */
  readonly checkpoint: string;
}

const FIRST_LINE = 'c2sp.org/tlog-proof@v1';
/** Most bytes of extra data: as much as an entry may have, for proofs that bring theirs along. */
export const TLOG_PROOF_EXTRA_BYTES_MAX = 65_535;
// A tree of 2^53 leaves has paths of 53 hashes.
const HASHES_MAX = 53;
const HASH_LINE_LENGTH = 45;
const EXTRA_LINE_LENGTH_MAX = 6 + 4 * Math.ceil(TLOG_PROOF_EXTRA_BYTES_MAX / 3) + 1;
/** Longest proof, in UTF-16 units. */
export const TLOG_PROOF_LENGTH_MAX: number =
  FIRST_LINE.length +
  1 +
  EXTRA_LINE_LENGTH_MAX +
  'index 9007199254740991\n'.length +
  HASHES_MAX * HASH_LINE_LENGTH +
  1 +
  NOTE_LENGTH_MAX;

/** The one text of a proof. */
export function formatTlogProof(proof: TlogProof): string {
  const { index, hashes, extra, checkpoint } = proof;
  assert(isTreeSize(index), 'a leaf has an index');
  assert(hashes.length <= HASHES_MAX && hashes.every(isHash), 'a path has at most 53 hashes');
  assert(extra.length <= TLOG_PROOF_EXTRA_BYTES_MAX, 'extra data has at most 65,535 bytes');
  const lines = [
    FIRST_LINE,
    ...(extra.length === 0 ? [] : [`extra ${encodeBase64(extra)}`]),
    `index ${index}`,
    ...hashes.map(encodeBase64),
    '',
  ];
  return `${lines.join('\n')}\n${checkpoint}`;
}

/**
 * Reads a proof. Its note is well formed; nothing about it or the path is checked.
 *
 * @throws {VerifyError} `PROOF_MALFORMED`, `NOTE_MALFORMED`
 */
export function parseTlogProof(source: string): TlogProof {
  if (source.length > TLOG_PROOF_LENGTH_MAX) throw malformed('too long');
  // The path's lines are not empty, so the first empty line is the one before the checkpoint.
  const divider = source.indexOf('\n\n');
  if (divider < 0) throw malformed('no empty line before the checkpoint');
  const checkpoint = source.slice(divider + 2);
  const [first, ...rest] = source.slice(0, divider).split('\n');
  if (first !== FIRST_LINE) throw malformed(`the first line is not ${FIRST_LINE}`);
  const extra = readExtra(rest[0]);
  const [indexLine = '', ...path] = extra === undefined ? rest : rest.slice(1);
  if (!indexLine.startsWith('index ')) throw malformed('no index line');
  if (path.length > HASHES_MAX) throw malformed(`a path of ${path.length} hashes`);
  const index = reading('index', () => parseUint(indexLine.slice('index '.length)));
  const hashes = path.map((line) => reading('hash', () => decodeBase64(line)));
  if (!hashes.every(isHash)) throw malformed('a hash that is not 32 bytes');
  parseNote(checkpoint);
  const proof = { index, hashes, extra: extra ?? new Uint8Array(0), checkpoint };
  if (formatTlogProof(proof) !== source) throw malformed('not in canonical form');
  return proof;
}

function readExtra(line: string | undefined): Uint8Array | undefined {
  if (line?.startsWith('extra ') !== true) return undefined;
  const extra = reading('extra data', () => decodeBase64(line.slice('extra '.length)));
  // Without extra data there is no such line: an empty one would be a second spelling.
  if (extra.length === 0) throw malformed('an empty line of extra data');
  if (extra.length > TLOG_PROOF_EXTRA_BYTES_MAX) throw malformed('too much extra data');
  return extra;
}

/**
 * Plans the check of a proof: the path leads from the leaf to the checkpoint's root, and a quorum of
 * the roster cosigned that. How old the checkpoint may be is the caller's to say.
 *
 * @param leaf   `leafHash` of the entry that is said to be in the log
 * @param roster the roster whose word is taken
 * @throws {VerifyError} at once what `planCheckpoint` throws; when finishing
 *         `NOTE_SIGNATURE_INVALID`, `QUORUM_NOT_REACHED`, `INCLUSION_PROOF_INVALID`
 */
export function planTlogProof(
  proof: TlogProof,
  leaf: Hash,
  roster: Roster,
): SignaturePlan<VerifiedCheckpoint> {
  const plan = planCheckpoint(parseNote(proof.checkpoint), roster);
  return {
    jobs: plan.jobs,
    finish: (valid) => {
      const verified = plan.finish(valid);
      const { size, root } = verified.checkpoint;
      checkInclusion(leaf, proof.index, size, proof.hashes, root);
      return verified;
    },
  };
}

function reading<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw malformed(`bad ${what}`, cause);
  }
}

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('PROOF_MALFORMED', `malformed proof: ${detail}`, { cause });
}
