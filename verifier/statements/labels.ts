// Text that people read: names of maintainers, reasons. It reaches terminals and reports.
import { VerifyError } from '../errors.ts';

// Control, invisible and direction-changing characters, unusual spaces, private use, lone surrogates.
// Spelled as ranges: `\p{…}` follows the Unicode version of the runtime, and replicas must not
// disagree about a statement.
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u00a0\u00ad\u034f\u061c\u115f\u1160\u1680\u17b4\u17b5\u180b-\u180f\u2000-\u200f\u2028-\u202f\u205f-\u206f\u2800\u3000\u3164\ud800-\udfff\ue000-\uf8ff\ufe00-\ufe0f\ufeff\uffa0\ufff0-\uffff\u{13430}-\u{1345f}\u{1bca0}-\u{1bca3}\u{1d173}-\u{1d17a}\u{e0000}-\u{10ffff}]/u;

/**
 * Refuses text that would not look like what it is: with control, invisible or direction-changing
 * characters, or with spaces at an end. U+0020 is the only space.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`
 */
export function requirePrintable(text: string, path: string): void {
  if (UNPRINTABLE.test(text) || text.startsWith(' ') || text.endsWith(' ')) {
    throw new VerifyError('STATEMENT_MALFORMED', `malformed statement: ${path} is not plain text`);
  }
}
