// How a submission becomes an entry.
import { ENTRY_BYTES_MAX, entryAround, entryLengthAround, formatEntry } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import { LedgerError } from './errors.ts';
import type { Submission } from './submission.ts';

/**
 * The entry of a submission in a batch of that time.
 *
 * @param text the canonical text that its envelope was read from, when it is at hand
 * @throws {LedgerError} `ENTRY_TOO_LARGE`: an envelope may just be within its own bound
 */
export function statementEntry(
  { kind, envelope }: Submission,
  timeSeconds: number,
  text?: Uint8Array,
): Uint8Array {
  const around = text && entryAround(text, kind, timeSeconds);
  if (around !== undefined) {
    if (around.length > ENTRY_BYTES_MAX) throw tooLarge();
    return around;
  }
  try {
    return formatEntry({ kind, time: timeSeconds, envelope });
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause;
    throw tooLarge(cause);
  }
}

/**
 * Requires that a submission fits into an entry, without making it.
 *
 * @param text the canonical text that its envelope was read from
 * @throws {LedgerError} `ENTRY_TOO_LARGE`
 */
export function requireEntryFits(
  { kind }: Submission,
  text: Uint8Array,
  timeSeconds: number,
): void {
  const length = entryLengthAround(text.length, kind, timeSeconds);
  if (length === undefined || length > ENTRY_BYTES_MAX) throw tooLarge();
}

function tooLarge(cause?: unknown): LedgerError {
  return new LedgerError(
    'ENTRY_TOO_LARGE',
    `the statement with its signatures does not fit into an entry of ${ENTRY_BYTES_MAX} bytes`,
    { cause, hint: 'release fewer packages with one statement' },
  );
}
