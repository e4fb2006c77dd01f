// The name of a log. It is the first line of every checkpoint and part of the key names of C2SP.

/** Longest origin, in characters; it is repeated in every checkpoint and statement. */
export const ORIGIN_LENGTH_MAX = 200;

// Printable ASCII without the space and without '+', which both separate fields in C2SP's formats
// (signed-note, "Verifier keys"). ASCII only: two origins that look alike would be two logs to
// programs and one log to people.
const ORIGIN_PATTERN = /^[!-*,-~]+$/;

/** Whether a text can be a log's origin. */
export function isOrigin(text: string): boolean {
  return text.length <= ORIGIN_LENGTH_MAX && ORIGIN_PATTERN.test(text);
}
