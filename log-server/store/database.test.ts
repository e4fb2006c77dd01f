import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';

import { withFolder } from '../../fixtures/test-storage.ts';
import { APPLICATION_ID, DatabaseError, assertDurable, openDatabase } from './database.ts';
import { SCHEMA_VERSION } from './upgrades.ts';

const SCHEMA = 'CREATE TABLE t (a INTEGER) STRICT';

function inFolder(run: (path: string) => void): () => Promise<void> {
  return async () => withFolder(async (folder) => run(join(folder, 'x.sqlite')));
}

describe('assertDurable', () => {
  it(
    'accepts WAL with synchronous FULL only',
    inFolder((path) => {
      const database = openDatabase(path, SCHEMA);
      assertDurable(database);
      database.pragma('synchronous = NORMAL');
      assert.throws(() => assertDurable(database), {
        name: 'DatabaseError',
        message: /1, not FULL/,
      });
      database.pragma('synchronous = OFF');
      assert.throws(() => assertDurable(database), DatabaseError);
      database.pragma('synchronous = FULL');
      assertDurable(database);
      database.close();
      const other = new Sqlite(path);
      other.pragma('journal_mode = DELETE');
      other.pragma('synchronous = FULL');
      assert.throws(() => assertDurable(other), { name: 'DatabaseError', message: /not wal/ });
      other.close();
    }),
  );

  // The default that makes the explicit setting necessary: if it changes, the comment there is wrong.
  it(
    'refuses what better-sqlite3 does by default in WAL mode',
    inFolder((path) => {
      const first = new Sqlite(path);
      first.pragma('journal_mode = WAL');
      first.exec(SCHEMA);
      first.close();
      const second = new Sqlite(path);
      second.prepare('SELECT count(*) FROM t').get();
      assert.throws(() => assertDurable(second), { name: 'DatabaseError', message: /1, not FULL/ });
      second.close();
    }),
  );
});

describe('openDatabase', () => {
  it(
    'makes a database once and finds it again',
    inFolder((path) => {
      const first = openDatabase(path, SCHEMA);
      first.exec('INSERT INTO t VALUES (7)');
      first.close();
      const second = openDatabase(path, SCHEMA);
      assert.equal(second.prepare('SELECT a FROM t').pluck().get(), 7);
      assert.equal(second.pragma('application_id', { simple: true }), APPLICATION_ID);
      second.close();
    }),
  );

  it(
    'refuses a second user, in this process and in another',
    inFolder((path) => {
      const first = openDatabase(path, SCHEMA);
      assert.throws(() => openDatabase(path, SCHEMA), {
        name: 'DatabaseError',
        message: /in use by another process/,
      });
      const script = `
        const Sqlite = require('better-sqlite3');
        try { new Sqlite(${JSON.stringify(path)}, { timeout: 0 }).exec('SELECT * FROM t'); }
        catch (error) { console.log(error.code); }`;
      const { stdout } = spawnSync(process.execPath, ['-e', script], { encoding: 'utf8' });
      assert.match(stdout, /^SQLITE_BUSY/);
      first.close();
      openDatabase(path, SCHEMA).close();
    }),
  );

  it(
    "leaves another program's database as it is",
    inFolder((path) => {
      const other = new Sqlite(path);
      other.exec('CREATE TABLE theirs (a)');
      other.close();
      assert.throws(() => openDatabase(path, SCHEMA), {
        name: 'DatabaseError',
        message: /another program/,
      });
      const again = new Sqlite(path);
      assert.equal(again.pragma('journal_mode', { simple: true }), 'delete');
      again.close();
    }),
  );

  it(
    'refuses a schema of another version',
    inFolder((path) => {
      for (const version of [1, 99]) {
        const database = openDatabase(path, SCHEMA);
        database.pragma(`user_version = ${version}`);
        database.close();
        assert.throws(() => openDatabase(path, SCHEMA), {
          name: 'DatabaseError',
          message: new RegExp(`schema version ${version}`),
        });
        const raw = new Sqlite(path);
        assert.equal(raw.pragma('user_version', { simple: true }), version, 'left as it was');
        raw.pragma(`user_version = ${SCHEMA_VERSION}`);
        raw.close();
      }
    }),
  );
});
