// A database that the program of version 2 of the schema wrote: releases with their artifacts, one of them
// lost, a checkpoint three batches behind the log's end, and a vote for one more batch.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';

import { smallLedger } from '../../fixtures/pages-in-memory.ts';
import { Author, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import {
  certificateFor,
  commitAll,
  commitOf,
  noteFor,
  openTestStorage,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { projectRoot } from '../../fixtures/tree.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { openDatabase } from './database.ts';
import { checkDatabase } from './fsck.ts';
import { MapTables } from './map-tables.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE, openTables, type Storage } from './storage.ts';
import { SCHEMA_VERSION } from './upgrades.ts';

const GENESIS = rosterEnvelope(4);
const { hash: PIN } = parseRoster(GENESIS.payload);
const OLD = readFileSync(join(projectRoot, 'fixtures/databases/version-2.sql'), 'utf8');

/** Puts the old database into a folder. @returns its artifacts' digests by version of left-pad */
async function withOld(
  run: (folder: string, digests: ReadonlyMap<string, string>) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const database = new Sqlite(join(folder, DATABASE_FILE));
    database.exec(OLD);
    const rows = database.prepare('SELECT sha512, version FROM artifacts').all() as readonly {
      readonly sha512: Buffer;
      readonly version: string;
    }[];
    const [lost] = database.prepare('SELECT sha512 FROM missing_artifacts').pluck().all();
    database.close();
    const digests = new Map(rows.map(({ sha512, version }) => [version, encodeHex(sha512)]));
    assert.ok(Buffer.isBuffer(lost), 'one is lost');
    await run(folder, digests.set('1.1.0', encodeHex(lost)));
  });
}

async function statusOf(storage: Storage): Promise<string> {
  const subjects = [{ kind: 'release', name: 'left-pad', version: '1.0.0' }] as const;
  const text = await storage.store.evidence({ pin: PIN, since: 0, subjects });
  assert.ok(text !== undefined, 'there is a checkpoint');
  const request = {
    evidence: parseEvidence([text].flat().join('')),
    pin: PIN,
    subjects,
    nowSeconds: TEST_TIME,
    checkpointAgeMaxSeconds: 60,
    clockSkewMaxSeconds: 60,
  };
  const { subjects: results } = await verifyEvidence(request, nativeVerifier);
  return results[0]?.kind === 'verified' ? results[0].release.status : 'not verified';
}

describe('a database of schema version 2', () => {
  it('is read as it was written', () =>
    withOld(async (folder, digests) => {
      const storage = await openTestStorage(folder);
      const { store, artifacts } = storage;
      try {
        // The map of the checkpoint, of which later batches have replaced nodes.
        assert.equal(await statusOf(storage), 'yanked');
        assert.equal(storage.view.releaseRecord('left-pad', '1.0.0')?.status, 'active');
        const { records, bodies } = await store.consensusState();
        assert.deepEqual(records.get('promise'), Uint8Array.of(1, 2, 3));
        assert.equal(bodies.length, 1);
        const [held, lost, promised, unwanted] = ['1.0.0', '1.1.0', '2.0.0', '3.0.0'].map(
          (version) => digests.get(version) ?? '',
        );
        assert.equal((await artifacts.facts(held ?? ''))?.version, '1.0.0');
        assert.ok((await artifacts.read(held ?? '')) !== undefined, 'with its bytes');
        assert.deepEqual(await artifacts.missing(9), [lost]);
        assert.deepEqual(
          [held, lost, promised, unwanted].map((one) => storage.isReleased(one ?? '')),
          [true, true, false, false],
        );
        assert.deepEqual(storage.artifactCounts(), { wanted: 2, missing: 1 });
        assert.equal((await artifacts.facts(unwanted ?? ''))?.version, '3.0.0');
      } finally {
        await store.close();
      }
      const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
      assert.equal(database.pragma('user_version', { simple: true }), SCHEMA_VERSION);
      const { problems } = await checkDatabase(
        database,
        openTables(database),
        smallLedger(GENESIS),
        nativeVerifier,
      );
      // Those of the test are filled in.
      assert.deepEqual(
        problems.filter((line) => !line.includes('certificate')),
        [],
      );
      assert.ok(openTables(database).artifacts.unwantedBytes() > 0, 'of two artifacts');
      const schemaOf = (one: Sqlite.Database): unknown =>
        one
          .prepare("SELECT name, replace(sql, '\"', '') AS sql FROM sqlite_schema ORDER BY name")
          .all();
      const fresh = new Sqlite(':memory:');
      fresh.exec(SCHEMA);
      assert.deepEqual(schemaOf(database), schemaOf(fresh), 'no other tables than a new one has');
      database.close();
    }));

  it('goes on: commits what was voted for, and drops what no checkpoint needs any more', () =>
    withOld(async (folder) => {
      const storage = await openTestStorage(folder);
      const [batch] = (await storage.store.consensusState()).bodies;
      assert.ok(batch !== undefined, 'what was voted for');
      const certificate = certificateFor(batch.header);
      await storage.store.write([commitOf({ ...batch, certificate })]);
      const author = new Author(storage.view);
      const last = await commitAll(storage, author.withdrawal('left-pad', '2.0.0', 'yanked'));
      assert.equal(await statusOf(storage), 'yanked');
      await storage.store.putCheckpoint(noteFor(last), last.size);
      assert.equal(await statusOf(storage), 'active');
      await storage.store.close();
      const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
      const map = new MapTables(database, {
        bytes: 0,
        count: 0,
        bytesMax: Number.MAX_SAFE_INTEGER,
      });
      map.prune(last.height);
      assert.equal(map.waiting(), 0);
      assert.equal(database.prepare('SELECT count(*) FROM obsolete_map_nodes').pluck().get(), 0);
      // Two packages and three releases.
      assert.equal(map.count(), 2 * 5 - 1);
      database.close();
      const again = await openTestStorage(folder);
      assert.equal(await statusOf(again), 'active');
      await again.store.close();
    }));

  it('stays what it is when it can’t be upgraded, and is upgraded when it can', () =>
    withOld(async (folder) => {
      const path = join(folder, DATABASE_FILE);
      const all = (): unknown => {
        const raw = new Sqlite(path);
        const found = raw.prepare('SELECT type, name, sql FROM sqlite_schema ORDER BY name').all();
        const version = raw.pragma('user_version', { simple: true });
        const count = raw.prepare('SELECT count(*) FROM artifacts WHERE wanted = 0').pluck().get();
        raw.close();
        return { found, version, count };
      };
      const run = (sql: string): void => {
        const raw = new Sqlite(path);
        raw.exec(sql);
        raw.close();
      };
      // The last statement of the upgrade finds no table.
      run('ALTER TABLE wanted_artifacts RENAME TO elsewhere');
      const before = all();
      assert.throws(() => openDatabase(path, SCHEMA), /no such table: wanted_artifacts/);
      assert.deepEqual(all(), before);
      run('ALTER TABLE elsewhere RENAME TO wanted_artifacts');
      openDatabase(path, SCHEMA).close();
    }));
});
