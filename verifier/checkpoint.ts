// The text of a checkpoint: which log, how many leaves, which root. See https://c2sp.org/tlog-checkpoint.
import { equalBytes } from './bytes.ts';
import { decodeBase64, encodeBase64, parseUint } from './encoding.ts';
import { VerifyError, assert } from './errors.ts';
import { EMPTY_ROOT, type Hash, isHash } from './merkle/hash.ts';
import { isWellFormed } from './text.ts';

/** A claim about a log, as long as nobody has checked who made it. */
export interface Checkpoint {
  /** The log's identity, a line of text such as `log.example.org/npm`. */
  readonly origin: string;
  /** Number of leaves, 0 to 2^53 - 1. */
  readonly size: number;
  /** RFC 6962 root of the first `size` leaves. */
  readonly root: Hash;
}

// As long as a key name, which it often is in the C2SP world. A roster of ours allows less (origin.ts);
// here any line that can be one is read, so that a foreign log is named and not merely malformed.
const ORIGIN_LENGTH_MAX = 255;
// Origin, 16 digits, base64 of 32 bytes, three newlines.
const TEXT_LENGTH_MAX = ORIGIN_LENGTH_MAX + 16 + 44 + 3;

/** No control character (a newline would add a line), and a UTF-8 form. */
function isOriginLine(text: string): boolean {
  return (
    text.length >= 1 &&
    text.length <= ORIGIN_LENGTH_MAX &&
    !/\p{Cc}/u.test(text) &&
    isWellFormed(text)
  );
}

/** The one text of a checkpoint, ending in a newline: what a note of it signs. */
export function formatCheckpoint(checkpoint: Checkpoint): string {
  assert(isOriginLine(checkpoint.origin), 'a checkpoint has a one-line origin');
  assert(Number.isSafeInteger(checkpoint.size) && checkpoint.size >= 0, 'a tree has a size');
  assert(isHash(checkpoint.root), 'a root has 32 bytes');
  return `${checkpoint.origin}\n${checkpoint.size}\n${encodeBase64(checkpoint.root)}\n`;
}

/**
 * Reads the text of a checkpoint note. Extension lines are refused: nothing may be signed here that
 * this program does not understand.
 *
 * @param text note text, ending in a newline, without the signature block
 * @throws {VerifyError} `CHECKPOINT_MALFORMED`
 */
export function parseCheckpoint(text: string): Checkpoint {
  if (text.length > TEXT_LENGTH_MAX) throw malformed(`longer than ${TEXT_LENGTH_MAX} characters`);
  const lines = text.split('\n');
  const [origin, sizeLine, rootLine, end] = lines;
  if (lines.length !== 4 || end !== '') {
    throw malformed('not exactly three lines, each with its newline');
  }
  if (origin === undefined || !isOriginLine(origin)) throw malformed('bad origin line');
  const size = readLine('tree size', () => parseUint(sizeLine ?? ''));
  const root = readLine('root hash', () => decodeBase64(rootLine ?? ''));
  if (!isHash(root)) throw malformed('root hash is not 32 bytes');
  // There is only one empty tree; another root would be a second checkpoint of the same thing.
  if (size === 0 && !equalBytes(root, EMPTY_ROOT)) throw malformed('wrong root for an empty tree');
  const checkpoint = { origin, size, root };
  if (formatCheckpoint(checkpoint) !== text) throw malformed('not in canonical form');
  return checkpoint;
}

function readLine<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    throw malformed(`bad ${what} line`, cause);
  }
}

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('CHECKPOINT_MALFORMED', `malformed checkpoint: ${detail}`, { cause });
}
