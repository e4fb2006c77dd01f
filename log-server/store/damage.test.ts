// One byte of each kind of stored thing is changed behind the replica's back. Nothing of it may be
// served as right, voting stops, and the full check names it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  artifactOf,
  commitAll,
  noteFor,
  openTestStorage,
  upload,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { smallLedger } from '../../fixtures/pages-in-memory.ts';
import { Author, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';
import type { Write } from '../consensus/types.ts';
import { DamagedStoreError, isDamage } from './damage.ts';
import { openDatabase } from './database.ts';
import { checkDatabase } from './fsck.ts';
import { MapTables } from './map-tables.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE, openTables, type Storage } from './storage.ts';
import { TAIL_BATCHES_MAX } from './tail-check.ts';

const GENESIS = rosterEnvelope(4);
const { hash: PIN } = parseRoster(GENESIS.payload);
const LEFT_PAD = artifactOf({ name: 'left-pad', version: '1.0.0' });
/** Batches behind the ones of interest: further than the check at start looks back. */
const LATER_BATCHES: number = TAIL_BATCHES_MAX + 2;

/** A claim, a release and a yank, then batches of other packages until the tail is far away. */
async function fill(storage: Storage, later: number): Promise<void> {
  await upload(storage, LEFT_PAD);
  const author = new Author(storage.view);
  await commitAll(storage, author.set('left-pad'), author.release(LEFT_PAD.release));
  await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'yanked'));
  let header = await commitAll(storage, author.set('other'));
  for (let i = 0; i < later; i++) header = await commitAll(storage, author.set(`later-${i}`));
  await storage.store.putCheckpoint(noteFor(header), header.size);
}

async function evidence(storage: Storage): Promise<string> {
  const subjects = [{ kind: 'release', name: 'left-pad', version: '1.0.0' }] as const;
  const text = await storage.store.evidence({ pin: PIN, since: 0, subjects });
  assert.ok(text !== undefined);
  const { subjects: results } = await verifyEvidence(
    {
      evidence: parseEvidence(text.join('')),
      pin: PIN,
      subjects,
      nowSeconds: TEST_TIME,
      checkpointAgeMaxSeconds: 60,
      clockSkewMaxSeconds: 60,
    },
    nativeVerifier,
  );
  return results[0]?.kind === 'verified' ? results[0].release.status : 'not verified';
}

/** Everything that a stranger can read. */
async function readAll(storage: Storage): Promise<void> {
  const { store } = storage;
  const { size } = await storage.application.tip();
  await store.tile(0, 0, Math.min(size, 256));
  await store.entryBundle(0, Math.min(size, 256));
  await store.batches(1, 4 * 1024 * 1024);
  await store.package('left-pad');
  await store.release('left-pad', '1.0.0');
  assert.equal(await evidence(storage), 'yanked');
}

/** Changes stored bytes. @returns how many rows were changed */
function damage(folder: string, sql: string): number {
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  try {
    // SQLite has no exclusive or: one byte in the middle is replaced by its neighbour plus one.
    database.function('flip', (value: unknown) => {
      assert.ok(Buffer.isBuffer(value));
      const copy = Buffer.from(value);
      const at = Math.floor(copy.length / 2);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    });
    return database.prepare(sql).run().changes;
  } finally {
    database.close();
  }
}

/** Brings what waits to be brought into the table of the map's nodes there. */
function settleMap(folder: string): void {
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  try {
    const map = new MapTables(database, { bytes: 0, count: 0, bytesMax: Number.MAX_SAFE_INTEGER });
    // Some batches with each checkpoint.
    for (let i = 0; i < 100 && map.waiting() > 0; i++) map.prune(Number.MAX_SAFE_INTEGER);
    assert.equal(map.waiting(), 0, 'it is all there');
  } finally {
    database.close();
  }
}

async function check(folder: string): Promise<readonly string[]> {
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  try {
    const tables = openTables(database);
    return (await checkDatabase(database, tables, smallLedger(GENESIS), nativeVerifier)).problems;
  } finally {
    database.close();
  }
}

describe('a log without damage', () => {
  it('reads and checks as it was written', async () => {
    await withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      await fill(storage, 3);
      await readAll(storage);
      await storage.store.close();
      // The test certificates are filled in, so they are all that a full check finds.
      const problems = await check(folder);
      assert.deepEqual(
        problems.filter((line) => !line.includes('certificate')),
        [],
      );
      assert.equal(problems.length, 6);
    });
  });
});

// [what, how, found already when the storage is opened]
const DAMAGES: readonly (readonly [string, string, 'early' | 'late'])[] = [
  ['an entry', 'UPDATE entries SET data = flip(data) WHERE leaf_index = 1', 'late'],
  ['a missing entry', 'DELETE FROM entries WHERE leaf_index = 1', 'late'],
  ['an entry at the end', 'UPDATE entries SET data = flip(data) WHERE leaf_index > 60', 'early'],
  [
    'the last commit entry',
    'UPDATE entries SET data = flip(data) WHERE leaf_index = (SELECT max(leaf_index) FROM entries)',
    'early',
  ],
  [
    'the last statement',
    'UPDATE entries SET data = flip(data) WHERE leaf_index = (SELECT max(leaf_index) - 1 FROM entries)',
    'early',
  ],
  ['the hash of a commit entry', 'UPDATE batches SET commit_leaf = flip(commit_leaf)', 'early'],
  ['a tile', 'UPDATE tiles SET hashes = flip(hashes) WHERE level = 0', 'early'],
  ['a cut tile', 'UPDATE tiles SET hashes = substr(hashes, 33) WHERE level = 0', 'early'],
  ['a missing tile', 'DELETE FROM tiles WHERE level = 0', 'early'],
  ['all nodes of the map', 'UPDATE map_nodes SET node = flip(node)', 'early'],
  [
    'a leaf of the map',
    "UPDATE map_nodes SET node = flip(node) WHERE instr(node, CAST('yanked' AS BLOB)) > 0",
    'late',
  ],
  [
    'a lost leaf of the map',
    "DELETE FROM map_nodes WHERE instr(node, CAST('yanked' AS BLOB)) > 0",
    'late',
  ],
  ['the changes of the map', 'UPDATE map_changes SET added = substr(added, 2)', 'early'],
  [
    'the last change of the map',
    'DELETE FROM map_changes WHERE height = (SELECT max(height) FROM map_changes)',
    'early',
  ],
  [
    'a leaf among the changes of the map',
    "UPDATE map_changes SET added = unhex(replace(hex(added), hex('yanked'), hex('yankee')))" +
      " WHERE instr(added, CAST('yanked' AS BLOB)) > 0",
    'late',
  ],
  [
    'the status of a release',
    "UPDATE releases SET status = 'active' WHERE name = 'left-pad'",
    'late',
  ],
  ['a lost release', "DELETE FROM releases WHERE name = 'left-pad'", 'late'],
  ['the latest version', "UPDATE packages SET latest = '9.9.9' WHERE name = 'left-pad'", 'late'],
  ['a lost package', "DELETE FROM packages WHERE name = 'left-pad'", 'late'],
  ['the header of the last batch', 'UPDATE batches SET header = flip(header)', 'early'],
  ['the root of the last map', 'UPDATE batches SET map_root = flip(map_root)', 'early'],
  ['a roster', "UPDATE rosters SET envelope = replace(envelope, 'a', 'b')", 'early'],
];

describe('damage', () => {
  for (const [what, sql, when] of DAMAGES) {
    it(`of ${what} is found ${when === 'early' ? 'at start' : 'when it is read'}, and by the full check`, async () => {
      await withFolder(async (folder) => {
        const storage = await openTestStorage(folder);
        await fill(storage, LATER_BATCHES);
        await storage.store.close();
        const before = (await check(folder)).length;
        if (sql.includes('map_nodes')) settleMap(folder);
        assert.ok(damage(folder, sql) > 0, 'something was changed');
        if (when === 'early') {
          await assert.rejects(openTestStorage(folder), DamagedStoreError);
        } else {
          const damaged = await openTestStorage(folder);
          const halts: Error[] = [];
          damaged.store.onHalted((error) => halts.push(error));
          try {
            await assert.rejects(readAll(damaged), isDamage);
            assert.ok(isDamage(damaged.store.halted));
            assert.equal(halts.length, 1);
            await assert.rejects(damaged.store.write([]), isDamage);
          } finally {
            await damaged.store.close();
          }
        }
        const found = await check(folder);
        assert.ok(found.length !== before || found.some((line) => !line.includes('certificate')));
      });
    });
  }

  it('of rows that only the ledger reads is found by the full check', async () => {
    const rows: readonly string[] = [
      'UPDATE statements SET leaf_index = leaf_index + 1 WHERE leaf_index = 1',
      "UPDATE maintainer_sets SET hash = flip(hash) WHERE name = 'other'",
      "UPDATE packages SET rate_entries = 0 WHERE name = 'other'",
      "UPDATE packages SET folded = 'x' WHERE name = 'other'",
      "INSERT INTO releases SELECT 'made-up', version, leaf_index, statement, status, withdrawal FROM releases",
    ];
    for (const sql of rows) {
      await withFolder(async (folder) => {
        const storage = await openTestStorage(folder);
        await fill(storage, 0);
        await storage.store.close();
        assert.ok(damage(folder, sql) > 0);
        const found = (await check(folder)).filter((line) => !line.includes('certificate'));
        assert.notDeepEqual(found, [], sql);
      });
    }
  });

  it('of what was promised and voted for is found before anything is signed', async () => {
    const damages: readonly string[] = [
      "UPDATE records SET value = flip(value) WHERE name = 'promise'",
      "UPDATE records SET name = 'view-change' WHERE name = 'promise'",
      "DELETE FROM records WHERE name = 'prepared'",
      "DELETE FROM records WHERE name <> 'seal'",
      "DELETE FROM records WHERE name = 'seal'",
      "UPDATE records SET value = flip(value) WHERE name = 'seal'",
    ];
    for (const sql of damages) {
      await withFolder(async (folder) => {
        const storage = await openTestStorage(folder);
        await fill(storage, 0);
        const record = (name: 'promise' | 'prepared' | 'new-view', value?: Uint8Array): Write => ({
          kind: 'record',
          name,
          value,
        });
        await storage.store.write([record('promise', Uint8Array.of(1, 2, 3)), record('new-view')]);
        await storage.store.write([record('prepared', Uint8Array.of(4, 5))]);
        await storage.store.close();
        const whole = await openTestStorage(folder);
        const { records } = await whole.store.consensusState();
        assert.deepEqual([...records.keys()].toSorted(), ['prepared', 'promise']);
        await whole.store.write([record('promise', Uint8Array.of(9))]);
        await whole.store.close();
        assert.ok(damage(folder, sql) > 0, sql);
        const damaged = await openTestStorage(folder);
        await assert.rejects(damaged.store.consensusState(), DamagedStoreError, sql);
        await damaged.store.close();
        const found = await check(folder);
        assert.ok(
          found.some((line) => line.includes('promised')),
          sql,
        );
      });
    }
  });

  it('of a maintainer set’s row stops the ledger instead of misleading it', async () => {
    await withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      await fill(storage, 0);
      await storage.store.close();
      damage(folder, "UPDATE maintainer_sets SET leaf_index = 0 WHERE name = 'other'");
      const damaged = await openTestStorage(folder);
      // Entry 0 is a good maintainer set, of another package.
      assert.throws(() => damaged.view.maintainerSet('other'), DamagedStoreError);
      await damaged.store.close();
    });
  });

  it('of the checkpoint note leaves none to serve', async () => {
    const changes: readonly string[] = [
      'substr(value, 2)',
      'substr(value, 1, 200)',
      // The first byte of a signature's time.
      "replace(value, 'BrSdIA', 'BrSdIB')",
    ];
    for (const changed of changes) {
      await withFolder(async (folder) => {
        const storage = await openTestStorage(folder);
        await fill(storage, 0);
        assert.ok((await storage.store.checkpoint()) !== undefined);
        await storage.store.close();
        damage(folder, `UPDATE meta SET value = ${changed} WHERE key = 'checkpoint'`);
        const damaged = await openTestStorage(folder);
        assert.equal(await damaged.store.checkpoint(), undefined, changed);
        await damaged.store.close();
      });
    }
  });
});
