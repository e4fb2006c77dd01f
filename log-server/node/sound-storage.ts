// Opening a replica's storage so that what is opened is whole: what was found damaged, by the process
// before or just now, is rebuilt first, while nobody is served.
import type { DurableState } from '../consensus/types.ts';
import type { Log } from '../log.ts';
import { isDamage } from '../store/damage.ts';
import { finishRebuild, rebuildDatabase, type RebuildOptions } from '../store/rebuild.ts';
import { openStorage, type Storage, type StorageOptions } from '../store/storage.ts';
import { RemoteBatches } from './batch-source.ts';
import { clearMark, isMarked, markDamaged } from './damage-mark.ts';
import type { Source } from './follower.ts';

/** What a storage is opened and, if need be, rebuilt with. */
export interface SoundOptions extends StorageOptions {
  /** The database's name that the keys know. */
  readonly generation: string | null;
  /** Who may be asked for batches. */
  readonly sources: readonly Source[];
  readonly log: Log;
}

/** A storage, and what consensus goes on from. */
export interface SoundStorage {
  readonly storage: Storage;
  readonly durable: DurableState;
}

/**
 * Opens a storage.
 *
 * @throws {DatabaseError} in use, or of another log or replica
 * @throws {DamagedStoreError} damaged, and no replica within reach has what is needed to rebuild it
 */
export async function openSound(options: SoundOptions): Promise<SoundStorage> {
  const { folder } = options;
  await finishRebuild(folder);
  if (isMarked(folder)) return rebuildAndOpen(options);
  try {
    return await openWhole(options);
  } catch (error) {
    if (!isStoreDamage(error)) throw error;
    markDamaged(folder, error);
    options.log.error('halted', { reason: error.message });
    return rebuildAndOpen(options);
  }
}

async function rebuildAndOpen(options: SoundOptions): Promise<SoundStorage> {
  const { folder, log, replica, sources } = options;
  log.warn('rebuild_started', { replicas: sources.map(({ name }) => name) });
  const source = new RemoteBatches(replica, sources, log);
  const progress: RebuildOptions['progress'] = (height, fetched) =>
    log.info('rebuild_progress', { height, fetched });
  try {
    const report = await rebuildDatabase({ ...options, source, progress });
    clearMark(folder);
    log.warn('rebuilt', { ...report });
  } finally {
    await source.close();
  }
  return openWhole(options);
}

async function openWhole(options: StorageOptions): Promise<SoundStorage> {
  const storage = await openStorage(options);
  try {
    return { storage, durable: await storage.store.consensusState() };
  } catch (error) {
    await storage.store.close();
    throw error;
  }
}

// SQLite may notice in the middle of taking the file: then its error is inside ours.
function isStoreDamage(error: unknown): error is Error {
  return isDamage(error) || (error instanceof Error && isDamage(error.cause));
}
