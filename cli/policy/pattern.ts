// Package patterns of a policy. Deliberately poor: a rule has to be understood at a glance by whoever
// reviews it, and matching must not cost more than reading, whatever a pull request writes.

/** Longer than any name that npm takes, with room for stars. */
export const PATTERN_LENGTH_MAX = 256;

// Characters of package names, old ones included, and the star.
const PATTERN = /^(?:@[A-Za-z0-9._~!'()*-]+\/)?[A-Za-z0-9._~!'()*-]+$/;

/**
 * Whether a text can be a pattern: a package name in which `*` stands for any characters but `/`.
 * `*` alone is every package, scoped ones included.
 */
export function isPattern(text: string): boolean {
  return text.length <= PATTERN_LENGTH_MAX && PATTERN.test(text);
}

/**
 * Whether a pattern covers a name. Time is linear in both for each star.
 *
 * @param pattern one that {@link isPattern} accepts
 */
export function matchesPattern(pattern: string, name: string): boolean {
  if (pattern === '*') return true;
  // Scope and name are matched apart, so that `*` never swallows the slash: `*` of `@*/a` is a scope.
  const [wanted, found] = [pattern.split('/'), name.split('/')];
  return (
    wanted.length === found.length && wanted.every((part, i) => matchesPart(part, found[i] ?? ''))
  );
}

// The pieces between stars have to follow one another: the first at the start, the last at the end,
// each other one at its first place. No regular expression, so no exponential one either.
function matchesPart(pattern: string, text: string): boolean {
  const pieces = pattern.split('*');
  const [first = ''] = pieces;
  if (pieces.length === 1) return text === first;
  const last = pieces.at(-1) ?? '';
  if (!text.startsWith(first) || !text.endsWith(last)) return false;
  let at = first.length;
  const end = text.length - last.length;
  for (const piece of pieces.slice(1, -1)) {
    const found = text.indexOf(piece, at);
    if (found < 0) return false;
    at = found + piece.length;
  }
  return at <= end;
}
