// Typed refusals. A refusal is an exception on purpose: a forgotten `try` stops the install, while a
// forgotten `if (!result.ok)` would accept it.

/** What was refused and why. Codes are part of the public interface: add, never rename or reuse. */
export type VerifyErrorCode =
  // shape of untrusted bytes
  | 'ENCODING_MALFORMED'
  | 'JSON_MALFORMED'
  | 'KEY_MALFORMED'
  | 'NOTE_MALFORMED'
  | 'CHECKPOINT_MALFORMED'
  | 'COSIGNATURE_MALFORMED'
  | 'ROSTER_MALFORMED'
  | 'ENVELOPE_MALFORMED'
  | 'STATEMENT_MALFORMED'
  | 'ENTRY_MALFORMED'
  | 'EVIDENCE_MALFORMED'
  | 'MAP_MALFORMED'
  | 'TILE_MALFORMED'
  | 'PROOF_MALFORMED'
  | 'PACKAGE_NAME_INVALID'
  | 'VERSION_INVALID'
  | 'MANIFEST_MALFORMED'
  | 'FORMAT_UNSUPPORTED'
  | 'MESSAGE_MALFORMED'
  // signatures and quorums
  | 'NOTE_SIGNATURE_INVALID'
  | 'ROSTER_CHAIN_BROKEN'
  | 'ROSTER_NOT_PINNED'
  | 'QUORUM_NOT_REACHED'
  | 'MESSAGE_REFUSED'
  | 'MAINTAINER_CHAIN_BROKEN'
  | 'MAINTAINER_SIGNATURES_MISSING'
  // log and map
  | 'INCLUSION_PROOF_INVALID'
  | 'CONSISTENCY_PROOF_INVALID'
  | 'MAP_PROOF_INVALID'
  | 'COMMIT_LEAF_MISSING'
  | 'ORIGIN_MISMATCH'
  | 'CHECKPOINT_ROLLBACK'
  | 'CHECKPOINT_FORK'
  | 'CHECKPOINT_STALE'
  | 'CHECKPOINT_FUTURE'
  // subjects
  | 'NOT_IN_LOG'
  | 'RELEASE_REVOKED'
  | 'RELEASE_YANKED'
  | 'ENTRY_MISMATCH'
  | 'INTEGRITY_MISMATCH'
  // artifacts
  | 'ARTIFACT_DIGEST_MISMATCH'
  | 'ARTIFACT_SIZE_MISMATCH'
  | 'ARCHIVE_UNSAFE'
  | 'MANIFEST_MISMATCH';

/** Where a refusal's two sides stand, for people and for machine reports. */
export interface VerifyErrorOptions {
  /** What to do next, as something that can be typed or done. */
  readonly hint?: string;
  /** What was found, shortened and printable. */
  readonly found?: string;
  /** What was needed instead. */
  readonly expected?: string;
  readonly cause?: unknown;
}

/** Bytes or evidence were refused. Never thrown for a bug or for a failure to reach somebody. */
export class VerifyError extends Error {
  override readonly name = 'VerifyError';
  readonly code: VerifyErrorCode;
  readonly hint: string | undefined;
  readonly found: string | undefined;
  readonly expected: string | undefined;

  constructor(code: VerifyErrorCode, message: string, options: VerifyErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.found = options.found;
    this.expected = options.expected;
  }
}

/** A condition of our own did not hold: a bug, never the fault of an input. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

/**
 * States what must hold by construction.
 *
 * @throws {AssertionError} when it does not: the program has a bug and should stop
 */
export function assert(condition: boolean, whatShouldHaveHeld: string): asserts condition {
  if (!condition) throw new AssertionError(`bug: ${whatShouldHaveHeld}`);
}

const QUOTED_LENGTH_MAX = 80;

/**
 * Quotes untrusted text for a message: escaped, so that no terminal sequence, bidi mark or line
 * break of a stranger reaches a terminal or a log, and cut at 80 characters.
 */
export function quote(text: string): string {
  const cut = text.length > QUOTED_LENGTH_MAX ? `${text.slice(0, QUOTED_LENGTH_MAX)}…` : text;
  return JSON.stringify(cut).replace(
    /[\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb]/gu,
    (c) => `\\u${(c.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}
