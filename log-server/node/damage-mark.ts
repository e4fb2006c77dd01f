// A replica that has found its database damaged does not go on with it: it would vote until it meets the
// same page again. The mark makes the next start rebuild the database before anything is read from it.
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** Name of the mark in the data folder. */
export const DAMAGE_MARK = 'DAMAGED';

/** What happens next. */
export const DAMAGE_HINT: string =
  'the database is rebuilt from what is intact and from the other replicas when this replica starts ' +
  'again; look after the disk';

/** Leaves the mark. */
export function markDamaged(dataDir: string, error: Error): void {
  try {
    writeFileSync(join(dataDir, DAMAGE_MARK), `${error.message}\n`, { flag: 'wx' });
  } catch {
    // There is one already, or the disk takes nothing at all: the log line has to do.
  }
}

/** Whether there is a mark. */
export function isMarked(dataDir: string): boolean {
  return existsSync(join(dataDir, DAMAGE_MARK));
}

/** Removes the mark: the database was rebuilt, or everything was checked and found in order. */
export function clearMark(dataDir: string): void {
  rmSync(join(dataDir, DAMAGE_MARK), { force: true });
}
