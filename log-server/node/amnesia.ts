// The amnesia guard (CONSENSUS C5): a key votes only with the database that it has voted with before.
import { bindKeyFile } from '../key-file.ts';
import type { ReplicaKeys } from '../key-file.ts';

/** What the database says about itself. */
export interface DatabaseState {
  /** Its random name, hex. */
  readonly generation: string;
  /** Whether it has neither batches nor votes in it. */
  readonly isEmpty: boolean;
}

/** Whether this replica may sign votes and checkpoints, and if not, why. */
export type Suffrage =
  | { readonly kind: 'voter'; readonly keys: ReplicaKeys }
  | { readonly kind: 'observer'; readonly keys: ReplicaKeys; readonly reason: string };

/**
 * Decides whether keys and database belong together, and binds new keys to a new database.
 *
 * The binding is durable before this returns, and so before the first vote: a crash in between leaves
 * an empty database without a bound key, which the next start binds.
 */
export async function claimSuffrage(
  keyFile: string,
  keys: ReplicaKeys,
  database: DatabaseState,
): Promise<Suffrage> {
  const { databaseGeneration } = keys;
  if (databaseGeneration === database.generation) return { kind: 'voter', keys };
  if (databaseGeneration === null) {
    if (database.isEmpty) {
      return { kind: 'voter', keys: await bindKeyFile(keyFile, keys, database.generation) };
    }
    return {
      kind: 'observer',
      keys,
      reason:
        'the key file does not know this database, which has been used: an old copy of the keys?',
    };
  }
  const reason = database.isEmpty
    ? 'the database that these keys have voted with is gone; an empty one has been made to follow the log'
    : 'the database is not the one that these keys have voted with';
  return { kind: 'observer', keys, reason };
}

/** What an operator can do about it. */
export const AMNESIA_HINT: string =
  'this replica follows the log and signs nothing; bring the database back, ' +
  'or have it enter the next roster with new keys';
