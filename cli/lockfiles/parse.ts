// Which format a lockfile is in.
import { parseBunLock } from './bun-lock.ts';
import { fileNameOf, LOCKFILE_BYTES_MAX, unreadable, type Lockfile } from './lockfile.ts';
import { parseNpmLock } from './npm-lock.ts';
import { parsePnpmLock } from './pnpm-lock.ts';
import { parseYarnBerry } from './yarn-berry.ts';
import { parseYarnClassic, YARN_CLASSIC_MARK } from './yarn-classic.ts';

/**
 * Classifies the content of a lockfile. The name decides the format, and for a name that is nobody's the
 * content does.
 *
 * @throws {CliError} BP9005
 */
export function parseLockfile(source: Uint8Array, path: string): Lockfile {
  if (source.length > LOCKFILE_BYTES_MAX) throw unreadable(path, 'too large');
  const name = fileNameOf(path);
  if (name.endsWith('.yaml') || name.endsWith('.yml')) return parsePnpmLock(source, path);
  if (name === 'bun.lock') return parseBunLock(source, path);
  if (name.endsWith('.json')) return parseNpmLock(source, path);
  // Both formats of Yarn have one name. The mark is in the first two lines or so.
  const head = Buffer.from(source.subarray(0, 1024)).toString('utf8');
  const isClassic = head.split('\n').some((line) => line.trimEnd() === YARN_CLASSIC_MARK);
  if (isClassic) return parseYarnClassic(source, path);
  if (head.trimStart().startsWith('{')) return parseNpmLock(source, path);
  return parseYarnBerry(source, path);
}
