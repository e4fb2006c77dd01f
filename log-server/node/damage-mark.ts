// A replica that has found its database damaged does not come back by itself: a supervisor would start
// it again and again, and each time it would vote until it meets the same page. The mark stays until
// `bftpkg-log fsck` has found everything in order.
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { DatabaseError } from '../store/database.ts';

/** Name of the mark in the data folder. */
export const DAMAGE_MARK = 'DAMAGED';

/** What an operator can do about it. */
export const DAMAGE_HINT: string =
  'run `bftpkg-log fsck` on it; if the database is beyond help, have this replica enter the next ' +
  'roster under a new name with new keys and an empty folder';

/** Leaves the mark. */
export function markDamaged(dataDir: string, error: Error): void {
  try {
    writeFileSync(join(dataDir, DAMAGE_MARK), `${error.message}\n`, { flag: 'wx' });
  } catch {
    // There is one already, or the disk takes nothing at all: the log line has to do.
  }
}

/** @throws {DatabaseError} when there is a mark */
export function requireUnmarked(dataDir: string): void {
  const path = join(dataDir, DAMAGE_MARK);
  if (!existsSync(path)) return;
  throw new DatabaseError(
    `this replica found its database damaged (${readFileSync(path, 'utf8').trim()}): ${DAMAGE_HINT}`,
  );
}

/** Removes the mark: everything was checked and found in order. */
export function clearMark(dataDir: string): void {
  rmSync(join(dataDir, DAMAGE_MARK), { force: true });
}
