// Whose database it is. Written when it is made, and
// again when it must never be voted with any more; a replica's key file remembers the generation, so
// that a key is never used with another, older or empty database (CONSENSUS C5).
import { randomBytes } from 'node:crypto';

import type { Envelope } from '../../verifier/dsse.ts';
import { statementHash } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { type Database, DatabaseError } from './database.ts';
import type { StoreIdentity } from './store.ts';

const FIELDS = ['origin', 'replica', 'genesis', 'generation'] as const;

/**
 * Reads the identity of a database, or gives one to an empty database.
 *
 * @param genesis the signed roster of epoch 0
 * @param replica name of this replica
 * @param putRoster writes the roster of epoch 0, in the same transaction
 * @param generation of the database that this one takes the place of; a new one unless given
 * @throws {DatabaseError} when the database is of another log or replica
 */
export function openIdentity(
  database: Database,
  genesis: Envelope,
  replica: string,
  putRoster: () => void,
  generation: string = newGeneration(),
): StoreIdentity {
  const { origin } = parseRoster(genesis.payload);
  const expected = { origin, replica, genesis: statementHash(genesis.payload) };
  const select = database.prepare<[string], string>('SELECT value FROM meta WHERE key = ?').pluck();
  if (select.get('generation') === undefined) {
    const identity = { ...expected, generation };
    const insert = database.prepare('INSERT INTO meta (key, value) VALUES (?, ?)');
    database
      .transaction(() => {
        for (const field of FIELDS) insert.run(field, identity[field]);
        putRoster();
      })
      .immediate();
    return identity;
  }
  for (const field of ['origin', 'replica', 'genesis'] as const) {
    const found = select.get(field);
    if (found === expected[field]) continue;
    throw new DatabaseError(
      `the database has ${field} ${String(found)}, this replica has ${expected[field]}`,
    );
  }
  return { ...expected, generation: select.get('generation') ?? '' };
}

/** Gives a database another name, inside the caller's transaction: no keys belong to it any more. */
export function renameDatabase(database: Database): void {
  database
    .prepare<[string]>("UPDATE meta SET value = ? WHERE key = 'generation'")
    .run(newGeneration());
}

function newGeneration(): string {
  return encodeHex(Uint8Array.from(randomBytes(16)));
}
