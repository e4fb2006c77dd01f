// What npm would fetch while it chooses versions, before anything is judged: dependencies by address, by git, and
// archives. npm before 11.10 has no flags against them.
import { isAbsolute, posix } from 'node:path';

import { quote } from '../../verifier/errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { asTable } from '../lockfiles/classify.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { isRegistryRange } from '../lockfiles/range.ts';
import { parsePackageJson } from './npm.ts';

/** A package.json of the project. */
export interface OwnManifest {
  /** Its folder, relative to the project with `/`; `''` for the root. */
  readonly folder: string;
  readonly text: string;
}

const FIELDS = [
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'peerDependencies',
  'overrides',
] as const;
/** Overrides nest; nobody's go deeper. */
const DEPTH_MAX = 32;

/**
 * Refuses what does not come from the registry, but for folders of the project.
 *
 * @param lockfile the present one
 * @throws {CliError} BP6006 naming file, dependency and range, or the entry of the lockfile
 */
export function requireRegistryRanges(
  manifests: readonly OwnManifest[],
  lockfile: Lockfile | undefined,
): void {
  for (const { folder, text } of manifests) {
    const document = asTable(parsePackageJson(text).value) ?? {};
    const place = posix.join(folder, 'package.json');
    for (const field of FIELDS) checkRanges(document[field], folder, place, 0);
  }
  for (const entry of lockfile?.entries ?? []) {
    if (entry.kind === 'refused') throw refused('package-lock.json', entry.key, entry.reason);
  }
}

function checkRanges(
  value: JsonValue | undefined,
  folder: string,
  place: string,
  depth: number,
): void {
  if (depth > DEPTH_MAX) throw new CliError('BP9005', `${place}: overrides are nested too deeply`);
  for (const [name, range] of Object.entries(asTable(value) ?? {})) {
    if (typeof range !== 'string') checkRanges(range, folder, place, depth + 1);
    else if (!isRegistryRange(range) && !isFolderInside(range, folder)) {
      throw refused(place, name, range);
    }
  }
}

/** A folder of the user's own, which npm links: it is copied, and has nothing in it that npm could unpack. */
function isFolderInside(range: string, folder: string): boolean {
  const [, path] = /^(?:file:(?!\/\/))?(\.{0,2}[^:\\%?#]*)$/i.exec(range.trim()) ?? [];
  const isNamed = /^file:/i.test(range.trim()) || /^\.{1,2}(?:\/|$)/.test(path ?? '');
  if (path === undefined || !isNamed || isAbsolute(path)) return false;
  if (/^~|\.(?:tgz|tar|tar\.gz)\/*$/i.test(path)) return false;
  const inside = posix.join(folder, path);
  return inside !== '..' && !inside.startsWith('../');
}

function refused(place: string, name: string, what: string): CliError {
  const message = `${place}: ${quote(name)} does not come from the registry: ${quote(what)}`;
  return new CliError('BP6006', message, {
    hints: ['depend on a released version', 'npm 11.10 or later can be told to fetch nothing else'],
  });
}
