// A strict reader for JSON that others write: package.json, lockfiles. Such files can't be held to a
// canonical form, so strictness is about meaning: whatever two readers could understand differently
// is refused (duplicate keys, `__proto__`, lone surrogates, numbers out of range), and what could
// exhaust us is bounded. JSON.parse keeps the last of two equal keys, other parsers the first; a
// reviewer and npm would then see two different packages in one signed file.
import { VerifyError, quote } from './errors.ts';
import { JSON_DEPTH_MAX } from './json.ts';
import type { JsonValue } from './json.ts';
import { decodeUtf8 } from './text.ts';

/**
 * Values of any kind in one document. `[[],[],…` costs sixteen times its length in memory, so the
 * length alone is no bound; the lockfile of a monorepo with 50,000 packages has about this many.
 */
export const JSON_VALUES_MAX = 1_000_000;

/** Members of one object, or items of one array. */
export const JSON_MEMBERS_MAX = 200_000;

/** One document, read. */
export interface ForeignJson {
  /**
   * The content. Objects have no prototype, so that `value['constructor']` of a stranger's table is
   * what the table says. Unlike in our own formats, numbers may be fractions.
   */
  readonly value: JsonValue;
  /**
   * The line (from 1) of an object member's key or of an array item, for reports; `undefined` when
   * there is no such path. The first call reads the text a second time, later ones are look-ups.
   */
  readonly lineOf: (path: readonly (string | number)[]) => number | undefined;
}

/** Members of one object or array: where each starts, in UTF-16 units, and what is inside it. */
interface Place {
  readonly at: number;
  readonly inside: Map<string | number, Place> | undefined;
}

const BYTE_ORDER_MARK = '\ufeff';
const LONE_SURROGATE = /\p{Surrogate}/u;
// JSON's own four; `\s` would take Unicode spaces that other readers refuse.
const WHITE_SPACE = /[ \t\n\r]*/y;
// All but the quote, the backslash and control characters (below the space).
const PLAIN_CHARACTERS = /[ !#-[\]-\uffff]*/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LITERAL = /true|false|null/y;

/**
 * Reads a JSON document that somebody else wrote (RFC 8259). One byte order mark at the start is
 * allowed, because npm drops it and editors on Windows write it.
 *
 * @param source    the text, or its UTF-8 bytes
 * @param lengthMax most characters (or bytes) read; checked before anything else
 * @throws {VerifyError} `JSON_MALFORMED` naming the line, `ENCODING_MALFORMED`
 */
export function parseForeignJson(
  source: Uint8Array | string,
  options: { readonly lengthMax: number },
): ForeignJson {
  if (source.length > options.lengthMax) {
    throw new VerifyError('JSON_MALFORMED', `malformed JSON: longer than ${options.lengthMax}`);
  }
  const text = typeof source === 'string' ? source : decodeUtf8(source);
  const value = new Reader(text, undefined).document();

  let places: Map<string | number, Place> | undefined;
  let newlines: readonly number[] | undefined;
  const lineOf = (path: readonly (string | number)[]): number | undefined => {
    if (places === undefined) {
      places = new Map();
      new Reader(text, places).document();
    }
    let inside: Map<string | number, Place> | undefined = places;
    let place: Place | undefined;
    for (const step of path) {
      place = inside?.get(step);
      inside = place?.inside;
    }
    if (place === undefined) return undefined;
    newlines ??= newlineOffsets(text);
    return countBelow(newlines, place.at) + 1;
  };
  return { value, lineOf };
}

/** One pass over a text. Recursive, but never deeper than `JSON_DEPTH_MAX`. */
class Reader {
  readonly #text: string;
  readonly #places: Map<string | number, Place> | undefined;
  #at = 0;
  #values = 0;

  /** @param places filled with the members of the outermost value, when wanted */
  constructor(text: string, places: Map<string | number, Place> | undefined) {
    this.#text = text;
    this.#places = places;
  }

  document(): JsonValue {
    if (LONE_SURROGATE.test(this.#text)) throw this.#malformed('lone surrogate');
    if (this.#text.startsWith(BYTE_ORDER_MARK)) this.#at = 1;
    this.#skip(WHITE_SPACE);
    const value = this.#value(0, this.#places);
    this.#skip(WHITE_SPACE);
    if (this.#at !== this.#text.length) throw this.#malformed('something after the value');
    return value;
  }

  #value(depth: number, places: Map<string | number, Place> | undefined): JsonValue {
    if (depth > JSON_DEPTH_MAX) throw this.#malformed(`nested deeper than ${JSON_DEPTH_MAX}`);
    this.#values++;
    if (this.#values > JSON_VALUES_MAX) {
      throw this.#malformed(`more than ${JSON_VALUES_MAX} values`);
    }
    switch (this.#text[this.#at]) {
      case '{':
        return this.#object(depth, places);
      case '[':
        return this.#array(depth, places);
      case '"':
        return this.#string();
      case 't':
      case 'f':
      case 'n':
        return this.#literal();
      case undefined:
        throw this.#malformed('a value was expected');
      default:
        return this.#number();
    }
  }

  #object(depth: number, places: Map<string | number, Place> | undefined): JsonValue {
    const object = Object.create(null) as Record<string, JsonValue>;
    this.#at++;
    this.#skip(WHITE_SPACE);
    if (this.#take('}')) return object;
    for (let members = 1; ; members++) {
      if (members > JSON_MEMBERS_MAX) {
        throw this.#malformed(`an object with more than ${JSON_MEMBERS_MAX} members`);
      }
      const at = this.#at;
      if (this.#text[at] !== '"') throw this.#malformed('a key was expected');
      const key = this.#string();
      // Compared after unescaping: "a" and "\u0061" are one key.
      if (key in object) throw this.#malformed(`duplicate key ${quote(key)}`, at);
      if (key === '__proto__') throw this.#malformed('key "__proto__"', at);
      this.#skip(WHITE_SPACE);
      if (!this.#take(':')) throw this.#malformed('":" was expected');
      this.#skip(WHITE_SPACE);
      object[key] = this.#member(key, at, depth, places);
      if (this.#take('}')) return object;
      if (!this.#take(',')) throw this.#malformed('"," or "}" was expected');
      this.#skip(WHITE_SPACE);
    }
  }

  #array(depth: number, places: Map<string | number, Place> | undefined): JsonValue {
    const items: JsonValue[] = [];
    this.#at++;
    this.#skip(WHITE_SPACE);
    if (this.#take(']')) return items;
    for (;;) {
      if (items.length === JSON_MEMBERS_MAX) {
        throw this.#malformed(`an array with more than ${JSON_MEMBERS_MAX} items`);
      }
      items.push(this.#member(items.length, this.#at, depth, places));
      if (this.#take(']')) return items;
      if (!this.#take(',')) throw this.#malformed('"," or "]" was expected');
      this.#skip(WHITE_SPACE);
    }
  }

  /** The value of a member, and the white space behind it. */
  #member(
    step: string | number,
    at: number,
    depth: number,
    places: Map<string | number, Place> | undefined,
  ): JsonValue {
    let inside: Map<string | number, Place> | undefined;
    if (places !== undefined) {
      const opening = this.#text[this.#at];
      inside = opening === '{' || opening === '[' ? new Map() : undefined;
      places.set(step, { at, inside });
    }
    const value = this.#value(depth + 1, inside);
    this.#skip(WHITE_SPACE);
    return value;
  }

  #string(): string {
    const start = this.#at;
    this.#at++;
    this.#skip(PLAIN_CHARACTERS);
    // Nearly all strings end here, without an escape.
    if (this.#take('"')) return this.#text.slice(start + 1, this.#at - 1);
    while (this.#text[this.#at] === '\\') {
      if (!this.#skip(ESCAPE)) throw this.#malformed('an escape that JSON does not have');
      this.#skip(PLAIN_CHARACTERS);
    }
    if (!this.#take('"')) {
      const ended = this.#at === this.#text.length;
      throw this.#malformed(ended ? 'a string without an end' : 'a control character in a string');
    }
    const text = JSON.parse(this.#text.slice(start, this.#at)) as string;
    if (LONE_SURROGATE.test(text)) throw this.#malformed('lone surrogate', start);
    return text;
  }

  #literal(): JsonValue {
    const start = this.#at;
    if (!this.#skip(LITERAL)) throw this.#malformed('not a value');
    return JSON.parse(this.#text.slice(start, this.#at)) as boolean | null;
  }

  #number(): number {
    const start = this.#at;
    if (!this.#skip(NUMBER)) throw this.#malformed('a value was expected');
    const value = JSON.parse(this.#text.slice(start, this.#at)) as number;
    // 1e999 is Infinity here, an error or a big number elsewhere.
    if (!Number.isFinite(value)) throw this.#malformed('a number out of range', start);
    return value;
  }

  /** Moves past what a sticky pattern matches here; whether it matched. */
  #skip(pattern: RegExp): boolean {
    pattern.lastIndex = this.#at;
    if (!pattern.test(this.#text)) return false;
    this.#at = pattern.lastIndex;
    return true;
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #malformed(detail: string, at: number = this.#at): VerifyError {
    const line = countBelow(newlineOffsets(this.#text), at) + 1;
    return new VerifyError('JSON_MALFORMED', `malformed JSON: line ${line}: ${detail}`);
  }
}

function newlineOffsets(text: string): readonly number[] {
  const offsets: number[] = [];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) offsets.push(at);
  return offsets;
}

/** How many of the ascending numbers are less than `limit`, by bisection. */
function countBelow(ascending: readonly number[], limit: number): number {
  let low = 0;
  let high = ascending.length;
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if ((ascending[middle] ?? limit) < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}
