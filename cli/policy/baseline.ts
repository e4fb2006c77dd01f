// The baseline: what an old project had already when it adopted bftpkg. It makes the first day green
// and stays strict for everything new, because each line is tied to the very bytes: to the SHA-512 in the
// lockfile, or, where there is none, to the text of the lockfile's entry. A version that is exchanged
// under the same name is new.
import { createHash } from 'node:crypto';

import { ObjectReader, readString, type JsonValue } from '../../verifier/json.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { parseSri } from '../../verifier/npm/integrity.ts';
import type { Baseline, BaselinePackage, Binding } from './policy.ts';
import { readExceptableCode, requireKnown } from './read-policy.ts';

/** Name of the file that `policy baseline create` writes. */
export const BASELINE_NAME = 'bftpkg-baseline.json';
const BASELINE_FORMAT = 'bftpkg-baseline/v1';
/** 20,000 lines of the usual length, twice. */
export const BASELINE_BYTES_MAX: number = 16 * 1024 * 1024;
const PACKAGES_MAX = 20_000;
const CODES_MAX = 8;
// Names and versions of lockfiles, old ones included.
const TEXT_LENGTH_MAX = 4096;

/**
 * Reads the text of a baseline.
 *
 * @param path for the result
 * @throws {Error} naming what is wrong
 */
export function parseBaseline(text: string, path: string): Baseline {
  const { value } = parseForeignJson(text, { lengthMax: BASELINE_BYTES_MAX });
  const reader = new ObjectReader(value, '');
  requireKnown(reader, ['format', 'packages'], '');
  reader.format('format', BASELINE_FORMAT);
  return { path, packages: reader.array('packages', PACKAGES_MAX, readPackage) };
}

function readPackage(value: JsonValue, path: string): BaselinePackage {
  const reader = new ObjectReader(value, path);
  requireKnown(reader, ['name', 'version', 'integrity', 'entry', 'codes'], path);
  const version = reader.optional('version');
  const codes = reader.array('codes', CODES_MAX, (code, at) =>
    readExceptableCode(readString(code, at, 16), at),
  );
  if (codes.length === 0) throw new Error(`${path}.codes is empty`);
  return {
    name: reader.string('name', TEXT_LENGTH_MAX),
    version:
      version === undefined || version === null ? null : reader.string('version', TEXT_LENGTH_MAX),
    binding: readBinding(reader, path),
    codes,
  };
}

function readBinding(reader: ObjectReader, path: string): Binding {
  const [integrity, entry] = [reader.optional('integrity'), reader.optional('entry')];
  if ((integrity === undefined) === (entry === undefined)) {
    throw new Error(`${path} needs either integrity or entry`);
  }
  if (integrity === undefined) {
    return { kind: 'entry', sha256: Buffer.from(reader.hex('entry', 32)).toString('hex') };
  }
  const sri = readString(integrity, `${path}.integrity`, 128);
  parseSri(sri);
  return { kind: 'integrity', sri };
}

/** The file's text: sorted, a line for each field, so that reviewers see what is added. */
export function formatBaseline(packages: readonly BaselinePackage[]): string {
  const order = ({ name, version, binding }: BaselinePackage): string =>
    JSON.stringify([name, version, binding]);
  const lines = packages
    .toSorted((a, b) => (order(a) < order(b) ? -1 : 1))
    .map(({ name, version, binding, codes }) => ({
      name,
      ...(version === null ? {} : { version }),
      ...(binding.kind === 'integrity' ? { integrity: binding.sri } : { entry: binding.sha256 }),
      codes: codes.toSorted(),
    }));
  return `${JSON.stringify({ format: BASELINE_FORMAT, packages: lines }, null, 2)}\n`;
}

/** What one subject of a lockfile is tied to; `undefined` when there is nothing to tie it to. */
export type BindingOf = (subject: {
  readonly digest: { readonly found: string | null };
  readonly location: { readonly line: number | null } | null;
}) => Binding | undefined;

/**
 * Ties subjects to their digest, or else to the text from the line where the lockfile's entry starts
 * up to the next entry: whatever format the file has, what is said about the entry stands in there.
 *
 * @param text  of the lockfile
 * @param lines where entries start, from 1
 */
export function bindingsOf(text: string | undefined, lines: readonly (number | null)[]): BindingOf {
  const rows = text?.split('\n') ?? [];
  const starts = [...new Set(lines.filter((line) => line !== null))].toSorted((a, b) => a - b);
  const ends = new Map(starts.map((start, i) => [start, (starts[i + 1] ?? rows.length + 1) - 1]));
  return ({ digest, location }) => {
    if (digest.found !== null) return { kind: 'integrity', sri: digest.found };
    const line = location?.line ?? null;
    const end = line === null ? undefined : ends.get(line);
    if (line === null || end === undefined || text === undefined) return undefined;
    const words = rows.slice(line - 1, end).join('\n');
    return { kind: 'entry', sha256: createHash('sha256').update(words).digest('hex') };
  };
}

/** Whether two ties are the same. */
export function sameBinding(a: Binding, b: Binding | undefined): boolean {
  if (b === undefined) return false;
  if (a.kind === 'integrity') return b.kind === 'integrity' && a.sri === b.sri;
  return b.kind === 'entry' && a.sha256 === b.sha256;
}
