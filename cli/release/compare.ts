// Two tarballs side by side: which files and which parts of the manifest differ.
import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import { canonicalJson, type JsonObject } from '../../verifier/json.ts';

/** A file that is not the same in both. */
export interface FileChange {
  readonly kind: 'added' | 'removed' | 'changed';
  readonly path: string;
  /** Bytes before and after. */
  readonly from: number;
  readonly to: number;
}

function contentOf({ archive, files }: ArchiveListing): ReadonlyMap<string, Uint8Array> {
  return new Map(
    files.map(({ path, offset, size }) => [path, archive.subarray(offset, offset + size)]),
  );
}

/** Files that differ, by path. */
export function compareFiles(from: ArchiveListing, to: ArchiveListing): readonly FileChange[] {
  const [before, after] = [contentOf(from), contentOf(to)];
  const paths = [...new Set([...before.keys(), ...after.keys()])].toSorted();
  return paths.flatMap((path): FileChange[] => {
    const [a, b] = [before.get(path), after.get(path)];
    const sizes = { path, from: a?.length ?? 0, to: b?.length ?? 0 };
    if (a === undefined) return [{ kind: 'added', ...sizes }];
    if (b === undefined) return [{ kind: 'removed', ...sizes }];
    return equalBytes(a, b) ? [] : [{ kind: 'changed', ...sizes }];
  });
}

/** One such file for people. */
export function fileLine({ kind, path, from, to }: FileChange): string {
  if (kind === 'added') return `added    ${path}  ${to} bytes`;
  if (kind === 'removed') return `removed  ${path}  ${from} bytes`;
  return `changed  ${path}  ${from} → ${to} bytes`;
}

/** A field of the manifest that is not the same in both; `null` where it is not there. */
export interface ManifestChange {
  readonly field: string;
  readonly before: string | null;
  readonly after: string | null;
}

/** Fields that differ: one row for each member of each table, a script, a dependency, a program. */
export function compareManifests(from: JsonObject, to: JsonObject): readonly ManifestChange[] {
  const [before, after] = [flatten(from), flatten(to)];
  const fields = [...new Set([...before.keys(), ...after.keys()])].toSorted();
  return fields.flatMap((field) => {
    const [a, b] = [before.get(field) ?? null, after.get(field) ?? null];
    return a === b ? [] : [{ field, before: a, after: b }];
  });
}

/** One line for each member of each table of a manifest, as `scripts.postinstall: node x.js`. */
export function manifestLines(manifest: JsonObject): readonly string[] {
  return [...flatten(manifest)].map(([field, text]) => `${field}: ${text}`);
}

function flatten(manifest: JsonObject): ReadonlyMap<string, string> {
  const rows = new Map<string, string>();
  for (const [name, value] of Object.entries(manifest)) {
    const isTable = typeof value === 'object' && value !== null && !Array.isArray(value);
    const members = isTable ? Object.entries(value) : [['', value] as const];
    for (const [key, member] of members) {
      const text = typeof member === 'string' ? member : canonicalJson(member);
      rows.set(key === '' ? name : `${name}.${key}`, text);
    }
  }
  return rows;
}
