// The policy's part of a configuration file, read strictly: a rule that is misspelled must not be a
// rule that is missing.
import { quote } from '../../verifier/errors.ts';
import { ObjectReader, readString, type JsonValue } from '../../verifier/json.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import { isDiagnosticCode, type DiagnosticCode } from '../output/codes.ts';
import { isPattern, PATTERN_LENGTH_MAX } from './pattern.ts';
import { EXCEPTABLE, type Exception, type Rule, type ScriptTarget } from './policy.ts';

/** Files that people review have far fewer. */
const RULES_MAX = 1_000;
const EXCEPTIONS_MAX = 10_000;
const PATTERNS_MAX = 1_000;
const ALLOW_SCRIPTS_MAX = 1_000;
const KEYS_MAX = 100;
const REASON_LENGTH_MAX = 1_000;
/** As many as one release statement can have signatures (dsse.ts). */
const SIGNERS_LIMIT = 64;
/** A year: above that nothing would ever be installed. */
const RELEASE_AGE_LIMIT_SECONDS = 366 * 86_400;

/** Members of a rule. */
export const RULE_KEYS = [
  'packages',
  'releaseAgeMinSeconds',
  'signersMin',
  'signersNotFewer',
  'maintainerKeys',
  'installScripts',
  'yanked',
  'unlogged',
] as const;
/** Members of an exception. */
export const EXCEPTION_KEYS = ['package', 'code', 'reason', 'expires'] as const;

/** The rules of a file; none when it has none. @throws {Error} naming the path of what is wrong */
export function readRules(reader: ObjectReader): readonly Rule[] {
  if (reader.optional('rules') === undefined) return [];
  return reader.array('rules', RULES_MAX, readRule);
}

/** The exceptions of a file; none when it has none. @throws {Error} as {@link readRules} */
export function readExceptions(reader: ObjectReader): readonly Exception[] {
  if (reader.optional('exceptions') === undefined) return [];
  return reader.array('exceptions', EXCEPTIONS_MAX, readException);
}

/** Packages whose install scripts may run; `undefined` without a list. @throws {Error} as {@link readRules} */
export function readAllowScripts(reader: ObjectReader): readonly ScriptTarget[] | undefined {
  if (reader.optional('allowScripts') === undefined) return undefined;
  return reader.array('allowScripts', ALLOW_SCRIPTS_MAX, (value, path) => {
    const text = readString(value, path, 2 * PATTERN_LENGTH_MAX);
    const target = parseExceptionTarget(text);
    if (target !== undefined) return target;
    throw new Error(`${path}: ${quote(text)} is no name, pattern like @acme/*, or name@1.2.3`);
  });
}

function readRule(value: JsonValue, path: string): Rule {
  const reader = new ObjectReader(value, path);
  requireKnown(reader, RULE_KEYS, path);
  const packages = reader.array('packages', PATTERNS_MAX, readPattern);
  if (packages.length === 0) throw new Error(`${path}.packages is empty`);
  const has = (name: string): boolean => reader.optional(name) !== undefined;
  const rule: Rule = {
    packages,
    ...(has('releaseAgeMinSeconds') && {
      releaseAgeMinSeconds: reader.integer('releaseAgeMinSeconds', 1, RELEASE_AGE_LIMIT_SECONDS),
    }),
    ...(has('signersMin') && { signersMin: reader.integer('signersMin', 1, SIGNERS_LIMIT) }),
    ...(has('signersNotFewer') && { signersNotFewer: readTrue(reader, 'signersNotFewer') }),
    ...(has('maintainerKeys') && { maintainerKeys: readKeys(reader) }),
    ...(has('installScripts') && {
      installScripts: reader.oneOf('installScripts', ['no-new-in-patch', 'refuse'] as const),
    }),
    ...(has('yanked') && { yanked: reader.oneOf('yanked', ['refuse'] as const) }),
    ...(has('unlogged') && { unlogged: reader.oneOf('unlogged', ['refuse'] as const) }),
  };
  reader.end();
  if (Object.keys(rule).length === 1) throw new Error(`${path} says nothing about its packages`);
  return rule;
}

// `false` would look as if it switched off what another rule demands, which no rule can do.
function readTrue(reader: ObjectReader, name: string): true {
  if (!reader.boolean(name)) throw new Error(`${reader.pathOf(name)} is false: leave it out`);
  return true;
}

function readKeys(reader: ObjectReader): readonly string[] {
  const keys = reader.array('maintainerKeys', KEYS_MAX, (value, path) => {
    const text = readString(value, path, 64);
    if (/^[0-9a-f]{64}$/.test(text)) return text;
    throw new Error(`${path} is not a key id: 64 characters of lower-case hexadecimal`);
  });
  if (keys.length === 0) throw new Error(`${reader.pathOf('maintainerKeys')} is empty`);
  if (new Set(keys).size !== keys.length) {
    throw new Error(`${reader.pathOf('maintainerKeys')} has one twice`);
  }
  return keys;
}

function readPattern(value: JsonValue, path: string): string {
  const text = readString(value, path, PATTERN_LENGTH_MAX);
  if (isPattern(text)) return text;
  throw new Error(`${path}: ${quote(text)} is no package name or pattern like @acme/*`);
}

function readException(value: JsonValue, path: string): Exception {
  const reader = new ObjectReader(value, path);
  requireKnown(reader, EXCEPTION_KEYS, path);
  const target = parseExceptionTarget(reader.string('package', 2 * PATTERN_LENGTH_MAX));
  if (target === undefined) {
    throw new Error(`${path}.package is no name, pattern like @acme/*, or name@1.2.3`);
  }
  const reason = reader.string('reason', REASON_LENGTH_MAX);
  if (reason.trim() === '') throw new Error(`${path}.reason is empty`);
  const exception = {
    ...target,
    code: readExceptableCode(reader.string('code', 16), `${path}.code`),
    reason,
    expires: readDay(reader.string('expires', 16), `${path}.expires`),
  };
  reader.end();
  return exception;
}

/** `name`, a pattern, or either with `@version`; `undefined` for anything else. */
export function parseExceptionTarget(
  text: string,
): Pick<Exception, 'pattern' | 'version'> | undefined {
  const at = text.indexOf('@', 1);
  const pattern = at < 0 ? text : text.slice(0, at);
  const version = at < 0 ? null : text.slice(at + 1);
  if (!isPattern(pattern) || (version !== null && !isVersion(version))) return undefined;
  return { pattern, version };
}

/** @throws {Error} for what is no code, or one that cannot be excepted */
export function readExceptableCode(text: string, path: string): DiagnosticCode {
  if (!isDiagnosticCode(text)) throw new Error(`${path}: ${quote(text)} is not a code`);
  if (EXCEPTABLE.has(text)) return text;
  throw new Error(`${path}: ${text} cannot be excepted, only ${[...EXCEPTABLE].join(', ')}`);
}

/** @throws {Error} for anything but a day that exists, as `YYYY-MM-DD` */
export function readDay(text: string, path: string): string {
  const time = /^20[0-9]{2}-[0-9]{2}-[0-9]{2}$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : NaN;
  // 2027-02-30 would be taken for 2027-03-02.
  if (!Number.isNaN(time) && new Date(time).toISOString().startsWith(text)) return text;
  throw new Error(`${path}: ${quote(text)} is not a day like 2027-01-31`);
}

/**
 * Refuses a key that nobody knows, with the one that was probably meant.
 *
 * @throws {Error}
 */
export function requireKnown(reader: ObjectReader, known: readonly string[], path: string): void {
  const unknown = reader.keys().find((key) => !known.includes(key));
  if (unknown === undefined) return;
  const meant = closest(unknown, known);
  const place = path === '' ? '' : ` in ${path}`;
  throw new Error(
    `unknown key ${quote(unknown)}${place}${meant === undefined ? '' : ` (did you mean ${meant}?)`}`,
  );
}

/** The word that was probably meant: at most a third of the characters differ. */
export function closest(word: string, known: readonly string[]): string | undefined {
  if (word.length > 64) return undefined;
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(word, candidate) }))
    .toSorted((a, b) => a.distance - b.distance);
  const [best] = ranked;
  if (best === undefined || best.distance > Math.ceil(best.candidate.length / 3)) return undefined;
  return best.candidate;
}

// Levenshtein, without regard to case.
function editDistance(a: string, b: string): number {
  const [left, right] = [a.toLowerCase(), b.toLowerCase()];
  let row = Array.from({ length: right.length + 1 }, (_, i) => i);
  for (let i = 1; i <= left.length; i++) {
    const next = [i];
    for (let j = 1; j <= right.length; j++) {
      const swap = (row[j - 1] ?? 0) + (left[i - 1] === right[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[right.length] ?? 0;
}
