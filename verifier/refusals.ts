// Gives refusals of the low layers (JSON, base64, keys) the code of the document they were found in.
import { VerifyError, type VerifyErrorCode } from './errors.ts';

// Codes that only say "these bytes have the wrong shape". Others (an unsupported format, a name that
// npm forbids) are already what the reader of a report needs, and stay.
const SHAPE_CODES: ReadonlySet<VerifyErrorCode> = new Set([
  'ENCODING_MALFORMED',
  'JSON_MALFORMED',
  'KEY_MALFORMED',
  'ENVELOPE_MALFORMED',
]);

/**
 * Runs a parser of `what`; a refusal by the layers below becomes one with `code`, with the original
 * as its cause.
 *
 * @throws {VerifyError} `code`, and what `read` throws otherwise
 */
export function readingAs<T>(code: VerifyErrorCode, what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof VerifyError) || cause.code === code || !SHAPE_CODES.has(cause.code)) {
      throw cause;
    }
    throw new VerifyError(code, `malformed ${what}: ${cause.message}`, { cause });
  }
}
