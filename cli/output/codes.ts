// Diagnostic codes: the names under which people search for a message and machines filter reports.
// Append-only: a code is never renamed, reused or removed (exit-codes.test.ts pins the ones given out).
import { BYTES_CODES } from './codes/bytes.ts';
import { KEYS_CODES } from './codes/keys.ts';
import { LOG_CODES } from './codes/log.ts';
import { POLICY_CODES } from './codes/policy.ts';
import { REACH_CODES } from './codes/reach.ts';
import { RELEASES_CODES } from './codes/releases.ts';
import { REPLICAS_CODES } from './codes/replicas.ts';
import { SIGNERS_CODES } from './codes/signers.ts';
import { USAGE_CODES } from './codes/usage.ts';
import type { CodeEntry } from './codes/entry.ts';

export type { CodeEntry } from './codes/entry.ts';

/** Every code that was ever given out. */
export type DiagnosticCode =
  | keyof typeof BYTES_CODES
  | keyof typeof SIGNERS_CODES
  | keyof typeof REPLICAS_CODES
  | keyof typeof LOG_CODES
  | keyof typeof RELEASES_CODES
  | keyof typeof POLICY_CODES
  | keyof typeof REACH_CODES
  | keyof typeof KEYS_CODES
  | keyof typeof USAGE_CODES;

/** The table, in the order of the codes. */
export const CODES: Readonly<Record<DiagnosticCode, CodeEntry>> = {
  ...BYTES_CODES,
  ...SIGNERS_CODES,
  ...REPLICAS_CODES,
  ...LOG_CODES,
  ...RELEASES_CODES,
  ...POLICY_CODES,
  ...REACH_CODES,
  ...KEYS_CODES,
  ...USAGE_CODES,
};

/** Whether a text is one of our codes. */
export function isDiagnosticCode(text: string): text is DiagnosticCode {
  return Object.hasOwn(CODES, text);
}

/** The entry of a code. */
export function codeEntry(code: DiagnosticCode): CodeEntry {
  return CODES[code];
}
