// yarn.lock version 1 (Yarn 1.x). A format of its own, with a small strict reader: the parser that Yarn
// ships takes the last of two entries with one key, which hides one of them from a reviewer.
import { decodeUtf8 } from '../../verifier/text.ts';
import { quote, VerifyError } from '../../verifier/errors.ts';
import { classifyRegistry, refuse, sourceOf } from './classify.ts';
import {
  bounded,
  fileNameOf,
  LOCKFILE_BYTES_MAX,
  unreadable,
  type Edge,
  type LockEntry,
  type Lockfile,
  type LockGraph,
  type LockPlace,
} from './lockfile.ts';

/** The second line of every such file; by it Yarn itself tells the formats apart. */
export const YARN_CLASSIC_MARK = '# yarn lockfile v1';

const ENTRIES_MAX = 200_000;
// A package that is asked for in five hundred ways. Keeps every pattern match short.
const LINE_LENGTH_MAX = 64 * 1024;

/** @throws {CliError} BP9005 */
export function parseYarnClassic(source: Uint8Array, path: string): Lockfile {
  if (source.length > LOCKFILE_BYTES_MAX) throw unreadable(path, 'too large');
  let text: string;
  try {
    text = decodeUtf8(source);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw unreadable(path, error.message);
  }
  const blocks = readBlocks(text, path);
  return {
    path,
    file: fileNameOf(path),
    format: 'yarn-classic',
    version: 1,
    label: 'yarn classic',
    text,
    entries: blocks.map((block) => classify(block, path)),
    graph: graphOf(blocks),
  };
}

interface Block {
  readonly line: number;
  /** What asks for it, `name@range`, at least one. */
  readonly patterns: readonly string[];
  readonly fields: ReadonlyMap<string, string>;
  readonly edges: readonly Edge[];
}

// An entry: patterns at the margin, fields two spaces in, edges four.
function readBlocks(text: string, path: string): readonly Block[] {
  const blocks: Block[] = [];
  const seen = new Set<string>();
  let fields = new Map<string, string>();
  let edges: Edge[] = [];
  let table: Edge['kind'] | undefined;
  let number = 0;
  const fail = (detail: string): Error => unreadable(path, `line ${number}: ${detail}`);
  for (let start = 0; start < text.length;) {
    const newline = text.indexOf('\n', start);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(start, text[end - 1] === '\r' ? end - 1 : end);
    start = end + 1;
    number++;
    if (line.length > LINE_LENGTH_MAX) throw fail('too long');
    if (line.trim() === '' || line.startsWith('#')) continue;
    const indent = /^ */.exec(line)?.[0].length ?? 0;
    const words = readWords(line.slice(indent), fail);
    if (indent === 0) {
      if (blocks.length === ENTRIES_MAX) throw fail(`more than ${ENTRIES_MAX} entries`);
      const patterns = words.patterns.map((pattern) => bounded(pattern, path));
      if (!words.colon || patterns.length === 0) throw fail('an entry was expected');
      for (const pattern of patterns) {
        if (seen.has(pattern)) throw fail(`duplicate entry ${quote(pattern)}`);
        seen.add(pattern);
      }
      fields = new Map();
      edges = [];
      table = undefined;
      blocks.push({ line: number, patterns, fields, edges });
      continue;
    }
    const [key = '', value] = words.patterns;
    const isField = indent === 2 && blocks.length > 0;
    if (isField && words.colon && value === undefined) {
      table = key === 'optionalDependencies' ? 'optional' : 'required';
      if (table === 'required' && key !== 'dependencies') throw fail(`unknown ${quote(key)}`);
    } else if (isField && !words.colon && value !== undefined && words.patterns.length === 2) {
      if (fields.has(key)) throw fail(`duplicate ${quote(key)}`);
      fields.set(key, bounded(value, path));
      table = undefined;
    } else if (indent === 4 && table !== undefined && value !== undefined && !words.colon) {
      edges.push({ name: bounded(key, path), range: bounded(value, path), kind: table });
    } else throw fail('not a line of an entry');
  }
  return blocks;
}

/** `"a b", c d:`: texts, with quotes or without, between spaces and commas. */
function readWords(
  line: string,
  fail: (detail: string) => Error,
): { readonly patterns: readonly string[]; readonly colon: boolean } {
  const patterns: string[] = [];
  const word = /"((?:[^"\\]|\\["\\/bfnrt]|\\u[0-9a-fA-F]{4})*)"|([^\s",]+)/y;
  for (let at = 0; ;) {
    word.lastIndex = at;
    const match = word.exec(line);
    if (match === null) throw fail('a text was expected');
    at = word.lastIndex;
    const plain = match[2];
    if (plain?.endsWith(':') === true && at === line.length) {
      patterns.push(plain.slice(0, -1));
      return { patterns, colon: true };
    }
    patterns.push(plain ?? (JSON.parse(match[0]) as string));
    if (at === line.length) return { patterns, colon: false };
    if (line[at] === ':' && at + 1 === line.length) return { patterns, colon: true };
    if (line.startsWith(', ', at)) at += 2;
    else if (line[at] === ' ') at += 1;
    else throw fail('a space was expected');
  }
}

interface Pattern {
  /** The name under which it is asked for. */
  readonly folder: string;
  readonly range: string;
  /** The package's real name, if the pattern says it: an alias. */
  readonly real: string | undefined;
}

function parsePattern(pattern: string): Pattern | undefined {
  const at = pattern.indexOf('@', 1);
  if (at < 1) return undefined;
  const range = pattern.slice(at + 1);
  const alias = /^npm:(@?[^@]+)(?:@|$)/.exec(range)?.[1];
  return { folder: pattern.slice(0, at), range, real: alias };
}

function classify({ patterns, fields, line }: Block, path: string): LockEntry {
  const parsed = patterns.map(parsePattern);
  const [first] = parsed;
  const key = patterns[0] ?? '';
  const names = new Set(parsed.map((pattern) => pattern?.real ?? pattern?.folder));
  const name = first?.real ?? first?.folder ?? key;
  const aliases = parsed.flatMap((each) => (each?.real === undefined ? [] : [each.folder]));
  const place: LockPlace = {
    key,
    name: bounded(name, path),
    version: fields.get('version') ?? null,
    line,
    notes: [...new Set(aliases)].map((alias) => `alias ${alias}`),
  };
  if (parsed.includes(undefined)) return refuse(place, 'a pattern without a range asks for it');
  if (names.size > 1) return refuse(place, 'patterns of different packages ask for it');
  // What the patterns say about the source counts as much as where it was found.
  for (const pattern of parsed) {
    const range = pattern?.range ?? '';
    const isAddress = /^(?:git|https?:|file:|link:|github:|gitlab:|bitbucket:|gist:|ssh:)/i;
    if (!isAddress.test(range) && !/^[^@\s]+\/[^@\s]+$/.test(range)) continue;
    const { source, problem } = sourceOf(/^[a-z+]+:/i.test(range) ? range : `github:${range}`);
    if (problem !== undefined) return refuse(place, problem, source);
  }
  return classifyRegistry(place, {
    resolved: fields.get('resolved'),
    integrity: fields.get('integrity'),
    optional: false,
    os: undefined,
    cpu: undefined,
  });
}

// A node is the first pattern of an entry, or '' for the project.
function graphOf(blocks: readonly Block[]): LockGraph {
  const byPattern = new Map<string, Block>();
  for (const block of blocks) {
    for (const pattern of block.patterns) byPattern.set(pattern, block);
  }
  return {
    projects: [{ node: '', folder: '' }],
    stated: (node) => byPattern.get(node)?.edges ?? [],
    resolve: (_node, { name, range }) => byPattern.get(`${name}@${range ?? ''}`)?.patterns[0],
    entryOf: (node) => (node === '' ? undefined : node),
  };
}
