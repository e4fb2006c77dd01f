// Damaged storage: how it is told from everything else that can go wrong.
import { isSqliteDamage } from './database.ts';

/** The database contradicts itself: it was damaged, and nothing may be signed on top of it. */
export class DamagedStoreError extends Error {
  override readonly name = 'DamagedStoreError';
}

/** Whether an error means that what is on the disk is not what was written. */
export function isDamage(error: unknown): error is Error {
  return error instanceof DamagedStoreError || isSqliteDamage(error);
}

/**
 * Reads a row's content, which this program wrote and so must be well formed.
 *
 * @param what for the message
 * @throws {DamagedStoreError} whatever the parser finds wrong: must not be taken for a refusal of
 *         something that somebody sent
 */
export function intact<T>(what: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (isDamage(cause)) throw cause;
    throw new DamagedStoreError(`${what} is damaged in the database: ${String(cause)}`, { cause });
  }
}
