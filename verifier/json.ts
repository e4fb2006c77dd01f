// JSON of our own formats: canonical (RFC 8785, numbers restricted to safe integers). Parsing is
// "bound, parse, re-encode, compare": duplicate keys, white space, escapes and numbers in a second
// spelling all re-encode to another text and are refused by that one comparison.
import { decodeBase64, decodeHex } from './encoding.ts';
import { VerifyError, assert, quote } from './errors.ts';
import { decodeUtf8 } from './text.ts';

/** What canonical JSON can hold. */
export type JsonValue =
  | null
  | boolean
  | number
  | string
  | readonly JsonValue[]
  | { readonly [key: string]: JsonValue };

export type JsonObject = { readonly [key: string]: JsonValue };

/** Deeper nesting has no use in our formats and would cost stack in any recursive reader. */
export const JSON_DEPTH_MAX = 32;

const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('JSON_MALFORMED', `malformed JSON: ${detail}`, { cause });
}

/**
 * The one canonical text of a value: keys sorted by UTF-16 code units, no white space, shortest
 * escapes (RFC 8785).
 *
 * @throws {VerifyError} `JSON_MALFORMED` for what has no canonical text here: fractions, unsafe
 *         integers, lone surrogates, the key `__proto__`, depth over 32
 */
export function canonicalJson(value: JsonValue): string {
  return encode(value, 0);
}

function encode(value: JsonValue, depth: number): string {
  if (depth > JSON_DEPTH_MAX) throw malformed(`nested deeper than ${JSON_DEPTH_MAX}`);
  if (value === null || value === true || value === false) return String(value);
  if (typeof value === 'number') {
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw malformed('not a safe integer');
    return String(value);
  }
  if (typeof value === 'string') return encodeString(value);
  if (Array.isArray(value)) {
    return `[${(value as readonly JsonValue[]).map((item) => encode(item, depth + 1)).join(',')}]`;
  }
  const object = value as JsonObject;
  const members = Object.keys(object)
    .sort()
    .map((key) => {
      // An object with this key changes its own prototype in careless readers.
      if (key === '__proto__') throw malformed('key "__proto__"');
      const member = object[key];
      assert(member !== undefined, 'a JSON object has no undefined members');
      return `${encodeString(key)}:${encode(member, depth + 1)}`;
    });
  return `{${members.join(',')}}`;
}

function encodeString(text: string): string {
  if (LONE_SURROGATE.test(text)) throw malformed('lone surrogate');
  return JSON.stringify(text);
}

/**
 * Reads canonical JSON.
 *
 * @param source  the received text or its UTF-8 bytes
 * @param lengthMax the most characters (or bytes) read; checked before anything else
 * @throws {VerifyError} `JSON_MALFORMED`, `ENCODING_MALFORMED`
 */
export function parseCanonicalJson(source: Uint8Array | string, lengthMax: number): JsonValue {
  if (source.length > lengthMax) throw malformed(`longer than ${lengthMax}`);
  const text = typeof source === 'string' ? source : decodeUtf8(source);
  let value: JsonValue;
  try {
    value = JSON.parse(text) as JsonValue;
  } catch (cause) {
    throw malformed('not JSON', cause);
  }
  if (!isCanonical(value, text)) throw malformed('not in canonical form');
  return value;
}

// Whether `canonicalJson(value)` is `text`, without making that text for what is plainly canonical
// already: the engine's own writer is several times as fast. It agrees with RFC 8785 about a value whose
// keys come in order and whose text has no escaped surrogates; everything else goes the long way.
function isCanonical(value: JsonValue, text: string): boolean {
  if (typeof value === 'string' && isPlainLiteral(text)) return true;
  if (isOrdered(value, 0) && !text.includes('\\ud') && JSON.stringify(value) === text) return true;
  return canonicalJson(value) === text;
}

// Whether a text that was read as a string is the one spelling of it: nothing around the quotes, nothing in between but
// what stands for itself and the two escapes that nothing else can spell shorter. `false` decides nothing.
function isPlainLiteral(text: string): boolean {
  return text.startsWith('"') && text.endsWith('"') && !ODD_IN_LITERAL.test(text);
}

// Beyond printable ASCII, and escapes of anything but the quote and the backslash. Two backslashes and what follows
// them look like one, too: that is left to the long way.
const ODD_IN_LITERAL = /[^ -~]|\\[^"\\]/;

// Whether keys are in canonical order throughout, numbers are plain and the depth is bounded (JSON.stringify
// recurses). `false` decides nothing.
function isOrdered(value: JsonValue, depth: number): boolean {
  if (depth > JSON_DEPTH_MAX) return false;
  if (typeof value === 'number') return Number.isSafeInteger(value);
  if (value === null || typeof value !== 'object') return true;
  if (Array.isArray(value)) {
    for (const item of value as readonly JsonValue[]) if (!isOrdered(item, depth + 1)) return false;
    return true;
  }
  const object = value as JsonObject;
  let before: string | undefined;
  // Without a list of the keys. A key that came from a prototype would be one too many for `JSON.stringify`, too.
  for (const key in object) {
    if (key === '__proto__' || (before !== undefined && before >= key)) return false;
    const member = object[key];
    if (member === undefined || !isOrdered(member, depth + 1)) return false;
    before = key;
  }
  return true;
}

/** Longer lists are searched as sets: a table of a stranger's must not cost its square. */
const LIST_LENGTH_MAX = 16;

/**
 * A reader over one parsed object: each field is asked for by name and type, then `end` refuses
 * whatever was not asked for. Paths in messages are like `replicas[2].weight`.
 */
export class ObjectReader {
  readonly #object: JsonObject;
  readonly #path: string;
  // A list: most objects have a handful of fields, and thousands of them are read in a row.
  readonly #seen: string[] = [];

  constructor(value: JsonValue, path: string) {
    if (value === null || typeof value !== 'object' || Array.isArray(value)) {
      throw malformed(`${path} is not an object`);
    }
    this.#object = value as JsonObject;
    this.#path = path;
  }

  /** The field's value; `undefined` when the object does not have it. */
  optional(name: string): JsonValue | undefined {
    this.#seen.push(name);
    return Object.hasOwn(this.#object, name) ? this.#object[name] : undefined;
  }

  /** The field's value; refused when absent. */
  required(name: string): JsonValue {
    const value = this.optional(name);
    if (value === undefined) throw malformed(`${this.pathOf(name)} is missing`);
    return value;
  }

  /** `path.name`, for messages. */
  pathOf(name: string): string {
    return this.#path === '' ? name : `${this.#path}.${name}`;
  }

  /** A string of at most `lengthMax` UTF-16 units. */
  string(name: string, lengthMax: number): string {
    const value = this.required(name);
    // Paths are put together for messages alone.
    if (typeof value === 'string' && value.length <= lengthMax) return value;
    return readString(value, this.pathOf(name), lengthMax);
  }

  /** One of the listed strings. */
  oneOf<T extends string>(name: string, values: readonly T[]): T {
    const found = this.string(name, 256);
    const match = values.find((value) => value === found);
    if (match === undefined) {
      throw malformed(`${this.pathOf(name)} is ${quote(found)}, not one of ${values.join(', ')}`);
    }
    return match;
  }

  /** The exact format name; another one is a version that this program can't read. */
  format(name: string, expected: string): void {
    const found = this.string(name, 256);
    if (found !== expected) {
      throw new VerifyError(
        'FORMAT_UNSUPPORTED',
        `${this.pathOf(name)} is ${quote(found)}, this version of bftpkg reads ${quote(expected)}`,
        { hint: 'upgrade bftpkg, or ask who made this file', found, expected },
      );
    }
  }

  /** An integer from `min` to `max`. */
  integer(name: string, min: number, max: number = Number.MAX_SAFE_INTEGER): number {
    return readInteger(this.required(name), this.pathOf(name), min, max);
  }

  boolean(name: string): boolean {
    const value = this.required(name);
    if (typeof value !== 'boolean') throw malformed(`${this.pathOf(name)} is not true or false`);
    return value;
  }

  /** Bytes spelled in lower-case hexadecimal, of exactly `length` bytes. */
  hex(name: string, length: number): Uint8Array {
    const text = this.string(name, 2 * length);
    try {
      return decodeHex(text, length);
    } catch (cause) {
      throw malformed(`${this.pathOf(name)} is not hexadecimal of ${length} bytes`, cause);
    }
  }

  /** Bytes spelled in canonical base64, at most `lengthMax` of them. */
  base64(name: string, lengthMax: number): Uint8Array {
    const text = this.string(name, 4 * Math.ceil(lengthMax / 3));
    try {
      return decodeBase64(text);
    } catch (cause) {
      throw malformed(`${this.pathOf(name)} is not canonical base64`, cause);
    }
  }

  /** An array of at most `countMax` items, each read by `item`. */
  array<T>(name: string, countMax: number, item: (value: JsonValue, path: string) => T): T[] {
    return readArray(this.required(name), this.pathOf(name), countMax, item);
  }

  /** A nested object. */
  object(name: string): ObjectReader {
    return new ObjectReader(this.required(name), this.pathOf(name));
  }

  /** The names of all fields, for objects that are tables. */
  keys(): readonly string[] {
    return Object.keys(this.#object);
  }

  /** Refuses fields that nobody asked for: in a signed document each one has to mean something. */
  end(): void {
    const names = Object.keys(this.#object);
    const seen = names.length > LIST_LENGTH_MAX ? new Set(this.#seen) : undefined;
    const unknown = names.find((name) => !(seen?.has(name) ?? this.#seen.includes(name)));
    if (unknown !== undefined) throw malformed(`unknown field ${quote(this.pathOf(unknown))}`);
  }
}

/** A string of at most `lengthMax` UTF-16 units. @throws {VerifyError} `JSON_MALFORMED` */
export function readString(value: JsonValue, path: string, lengthMax: number): string {
  if (typeof value !== 'string') throw malformed(`${path} is not a string`);
  if (value.length > lengthMax) throw malformed(`${path} is longer than ${lengthMax}`);
  return value;
}

/** An integer from `min` to `max`. @throws {VerifyError} `JSON_MALFORMED` */
export function readInteger(value: JsonValue, path: string, min: number, max: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min || value > max) {
    throw malformed(`${path} is not an integer from ${min} to ${max}`);
  }
  return value;
}

/** An array of at most `countMax` items. @throws {VerifyError} `JSON_MALFORMED` */
export function readArray<T>(
  value: JsonValue,
  path: string,
  countMax: number,
  item: (value: JsonValue, path: string) => T,
): T[] {
  if (!Array.isArray(value)) throw malformed(`${path} is not an array`);
  if (value.length > countMax) throw malformed(`${path} has more than ${countMax} items`);
  return (value as readonly JsonValue[]).map((element, i) => item(element, `${path}[${i}]`));
}
