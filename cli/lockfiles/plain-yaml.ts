// The YAML that package managers write: tables, lists of texts and texts, line by line. A reader of its
// own, because the general one can't be bounded (measured: 2 MB of comments take the `yaml` library 2.9 s
// and 2 MB of one list 5.3 s, both growing with the square; 1.2 MB of honest lockfile take 100 MB), and
// because everything that two YAML readers could understand differently is refused here: anchors, aliases,
// tags, merge keys, directives, several documents, duplicate keys, tabs, comments behind a value, texts
// over several lines that are not in a block. One pass, each character looked at a constant number of times.
import { JSON_DEPTH_MAX, type JsonValue } from '../../verifier/json.ts';
import { quote, VerifyError } from '../../verifier/errors.ts';
import { decodeUtf8, isWellFormed } from '../../verifier/text.ts';
import { LOCKFILE_BYTES_MAX, unreadable } from './lockfile.ts';

/** As many as in foreign JSON: keeps memory below a few hundred MiB whatever comes. */
const VALUES_MAX = 1_000_000;

/** A document. Objects have no prototype; all scalars are texts, so `1.10` stays what it is. */
export interface PlainYaml {
  readonly value: JsonValue;
  /** Line (from 1) of a key of one of the objects in `value`. */
  readonly lineOf: (table: object, key: string) => number | undefined;
}

/**
 * Reads a document.
 *
 * @param path for messages
 * @throws {CliError} BP9005 naming the line
 */
export function parsePlainYaml(source: Uint8Array | string, path: string): PlainYaml {
  if (source.length > LOCKFILE_BYTES_MAX) throw unreadable(path, 'too large');
  let text: string;
  try {
    text = typeof source === 'string' ? source : decodeUtf8(source);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw unreadable(path, error.message);
  }
  if (!isWellFormed(text)) throw unreadable(path, 'lone surrogate');
  return new Reader(text, path).document();
}

interface Line {
  /** From 1. */
  readonly number: number;
  /** Spaces in front. */
  readonly indent: number;
  readonly content: string;
}

type Table = { [key: string]: JsonValue };

// What a plain text can't begin with, because YAML gives it a meaning.
const INDICATOR = /^[[\]{}#&*!|>'"%@`,]|^[-?:](?: |$)/;
const BLOCK = /^[|>][+-]?$/;

class Reader {
  readonly #lines: Iterator<string>;
  readonly #path: string;
  readonly #places = new WeakMap<object, Map<string, number>>();
  #number = 0;
  #values = 0;
  #line: Line | undefined;

  constructor(text: string, path: string) {
    this.#path = path;
    this.#lines = linesOf(text);
    this.#next();
  }

  document(): PlainYaml {
    if (this.#line?.content === '---' && this.#line.indent === 0) this.#next();
    const value = this.#line === undefined ? emptyTable() : this.#block(this.#line.indent, 0);
    if (this.#line !== undefined) throw this.#malformed('less indented than what came before');
    return { value, lineOf: (table, key) => this.#places.get(table)?.get(key) };
  }

  /** Moves to the next line that has content. */
  #next(): void {
    for (;;) {
      const raw = this.#raw();
      if (raw === undefined) return void (this.#line = undefined);
      const indent = leadingSpaces(raw);
      const content = raw.slice(indent).trimEnd();
      if (content === '' || content.startsWith('#')) continue;
      this.#line = { number: this.#number, indent, content };
      // oxlint-disable-next-line no-control-regex -- exactly what must not be in a line
      if (/[\u0000-\u001f\u007f\u0085\u2028\u2029]/u.test(content)) {
        throw this.#malformed('a control character');
      }
      return;
    }
  }

  #raw(): string | undefined {
    const { done, value } = this.#lines.next();
    this.#number++;
    return done === true ? undefined : value;
  }

  #block(indent: number, depth: number): JsonValue {
    if (depth > JSON_DEPTH_MAX) throw this.#malformed(`nested deeper than ${JSON_DEPTH_MAX}`);
    return this.#line?.content.startsWith('- ') === true
      ? this.#list(indent)
      : this.#table(indent, depth);
  }

  #list(indent: number): JsonValue {
    const items: JsonValue[] = [];
    while (this.#line?.indent === indent && this.#line.content.startsWith('- ')) {
      items.push(this.#scalar(this.#line.content.slice(2).trimStart()));
      this.#next();
    }
    return items;
  }

  #table(indent: number, depth: number): JsonValue {
    const table = emptyTable();
    const places = new Map<string, number>();
    this.#places.set(table, places);
    while (this.#line !== undefined && this.#line.indent >= indent) {
      const { number, content } = this.#line;
      if (this.#line.indent > indent) throw this.#malformed('more indented than its table');
      const { key, rest } = this.#key(content);
      if (key in table) throw this.#malformed(`duplicate key ${quote(key)}`);
      if (key === '__proto__' || key === '<<') throw this.#malformed(`key ${quote(key)}`);
      places.set(key, number);
      table[key] = this.#member(rest, indent, depth);
    }
    return table;
  }

  /** Reads what stands behind a key, and moves to the line after it. */
  #member(rest: string, indent: number, depth: number): JsonValue {
    if (BLOCK.test(rest)) return this.#text(indent);
    if (rest !== '') {
      const value = this.#inline(rest);
      this.#next();
      return value;
    }
    this.#next();
    const after = this.#line;
    if (after === undefined) return this.#counted('');
    if (after.indent > indent) return this.#block(after.indent, depth + 1);
    // A list may stand right below its key.
    const isList = after.indent === indent && after.content.startsWith('- ');
    return isList ? this.#list(indent) : this.#counted('');
  }

  /** A text over several lines. Only ever a remark (`deprecated`), so how it is folded is all one. */
  #text(indent: number): string {
    const parts: string[] = [];
    for (;;) {
      const raw = this.#raw();
      if (raw === undefined) {
        this.#line = undefined;
        break;
      }
      const spaces = leadingSpaces(raw);
      const content = raw.slice(spaces).trimEnd();
      if (content !== '' && spaces <= indent) {
        this.#line = { number: this.#number, indent: spaces, content };
        break;
      }
      parts.push(content);
    }
    return this.#counted(parts.join('\n'));
  }

  /** A key and what stands behind its colon. A long one may be written as `? key` and `:`. */
  #key(content: string): { readonly key: string; readonly rest: string } {
    if (content.startsWith('? ')) {
      const key = this.#scalar(content.slice(2).trimStart());
      const { indent } = this.#line ?? { indent: 0 };
      this.#next();
      if (this.#line?.content !== ':' || this.#line.indent !== indent) {
        throw this.#malformed('":" was expected');
      }
      return { key, rest: '' };
    }
    const quoted = content.startsWith('"') || content.startsWith("'");
    const end = quoted ? this.#quotedEnd(content, 0) : plainKeyEnd(content);
    const behind = content.slice(end);
    if (end === 0 || (behind !== ':' && !behind.startsWith(': '))) {
      throw this.#malformed('a key with ":" was expected');
    }
    return { key: this.#scalar(content.slice(0, end)), rest: behind.slice(1).trimStart() };
  }

  #inline(text: string): JsonValue {
    if (!text.startsWith('{') && !text.startsWith('[')) return this.#scalar(text);
    const { value, end } = this.#flow(text, 0, 0);
    if (end !== text.length) throw this.#malformed('something after the value');
    return value;
  }

  /** `{a: b}`, `[a, b]` on one line. */
  #flow(text: string, start: number, depth: number): { value: JsonValue; end: number } {
    if (depth > JSON_DEPTH_MAX) throw this.#malformed(`nested deeper than ${JSON_DEPTH_MAX}`);
    const isTable = text[start] === '{';
    const close = isTable ? '}' : ']';
    const table = emptyTable();
    const items: JsonValue[] = [];
    let at = skipSpaces(text, start + 1);
    if (text[at] === close) return { value: isTable ? table : items, end: at + 1 };
    for (;;) {
      let key: string | undefined;
      if (isTable) {
        const end = this.#flowScalarEnd(text, at, ':');
        key = this.#scalar(text.slice(at, end).trimEnd());
        if (text[end] !== ':' || text[end + 1] !== ' ') throw this.#malformed('": " was expected');
        if (key in table || key === '__proto__') throw this.#malformed(`key ${quote(key)}`);
        at = skipSpaces(text, end + 1);
      }
      let value: JsonValue;
      if (text[at] === '{' || text[at] === '[') {
        ({ value, end: at } = this.#flow(text, at, depth + 1));
      } else {
        const end = this.#flowScalarEnd(text, at, '');
        value = this.#scalar(text.slice(at, end).trimEnd());
        at = end;
      }
      if (key === undefined) items.push(value);
      else table[key] = value;
      at = skipSpaces(text, at);
      if (text[at] === close) return { value: isTable ? table : items, end: at + 1 };
      if (text[at] !== ',') throw this.#malformed(`"," or "${close}" was expected`);
      at = skipSpaces(text, at + 1);
    }
  }

  /** Where a scalar of a flow collection ends: at a comma, a bracket, or `: ` after a key. */
  #flowScalarEnd(text: string, start: number, also: string): number {
    const first = text[start];
    if (first === '"' || first === "'") {
      return skipSpaces(text, start + this.#quotedEnd(text.slice(start), 0));
    }
    for (let at = start; at < text.length; at++) {
      const character = text[at] ?? '';
      if (',[]{}'.includes(character)) return at;
      if (character === also && text[at + 1] === ' ') return at;
    }
    return text.length;
  }

  #scalar(text: string): string {
    const first = text[0];
    if (first === "'" || first === '"') {
      if (this.#quotedEnd(text, 0) !== text.length) {
        throw this.#malformed('something after a quoted text');
      }
      return this.#counted(
        first === "'" ? text.slice(1, -1).replaceAll("''", "'") : unescape(text),
      );
    }
    if (text === '' || INDICATOR.test(text)) throw this.#malformed(`unexpected ${quote(text)}`);
    // Behind these, other readers see a comment or another key.
    if (text.includes(' #') || text.includes(': ') || text.endsWith(':')) {
      throw this.#malformed(`ambiguous text ${quote(text)}`);
    }
    return this.#counted(text);
  }

  /** Offset behind the closing quote. */
  #quotedEnd(text: string, start: number): number {
    const mark = text[start];
    for (let at = start + 1; at < text.length; at++) {
      if (mark === '"' && text[at] === '\\') at++;
      else if (text[at] === mark) {
        if (mark === "'" && text[at + 1] === "'") at++;
        else if (mark !== '"' || isJsonString(text.slice(start, at + 1))) return at + 1;
        else throw this.#malformed('an escape that JSON does not have');
      }
    }
    throw this.#malformed('a quoted text without an end on its line');
  }

  #counted(text: string): string {
    if (++this.#values > VALUES_MAX) throw this.#malformed(`more than ${VALUES_MAX} values`);
    return text;
  }

  #malformed(detail: string): Error {
    const number = this.#line?.number ?? this.#number;
    return unreadable(this.#path, `line ${number}: ${detail}`);
  }
}

function* linesOf(text: string): Generator<string, undefined> {
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    yield text.slice(start, text[end - 1] === '\r' && newline >= 0 ? end - 1 : end);
    start = end + 1;
  }
  return undefined;
}

function emptyTable(): Table {
  return Object.create(null) as Table;
}

function leadingSpaces(line: string): number {
  let at = 0;
  while (line[at] === ' ') at++;
  return at;
}

function skipSpaces(text: string, start: number): number {
  let at = start;
  while (text[at] === ' ') at++;
  return at;
}

function plainKeyEnd(content: string): number {
  const colon = content.indexOf(': ');
  if (colon >= 0) return colon;
  return content.endsWith(':') ? content.length - 1 : 0;
}

// Double quotes are written by all of them with JSON's escapes only.
function isJsonString(text: string): boolean {
  try {
    return typeof JSON.parse(text) === 'string';
  } catch {
    return false;
  }
}

function unescape(text: string): string {
  return JSON.parse(text) as string;
}
