// What a store answers from what was written: batches, places, checkpoints, evidence; and what it keeps of the map.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  LEFT_PAD,
  inFolder,
  session,
  verified,
  populate,
} from '../../fixtures/storage-sessions.ts';
import { Author, TEST_TIME, idOf } from '../../fixtures/test-ledger.ts';
import { commitAll, noteFor, upload } from '../../fixtures/test-storage.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { openDatabase } from './database.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE } from './storage.ts';

describe('SqliteStore', () => {
  it(
    'serves committed batches in order, within bounds',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        await populate(storage);
        const { store } = storage;
        const all = await store.batches(1, 1_000_000);
        assert.deepEqual(
          all.map(({ header }) => header.height),
          [1, 2, 3],
        );
        for (const { header, body } of all) {
          assert.equal(body.length, header.size - header.prevSize);
        }
        assert.equal((await store.batches(2, 1)).length, 1, 'one, however large it is');
        assert.deepEqual(await store.batches(4, 1_000_000), []);
        const size = all
          .slice(0, 2)
          .flatMap(({ body }) => body)
          .reduce((n, e) => n + e.length, 0);
        assert.equal((await store.batches(1, size)).length, 2);
        assert.equal((await store.batches(1, size - 1)).length, 1);
      });
    }),
  );

  it(
    'knows where a submission is',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        const author = new Author(storage.view);
        const set = author.set('left-pad');
        assert.equal(await storage.store.submission(idOf(set)), undefined);
        await commitAll(storage, set);
        assert.deepEqual(await storage.store.submission(idOf(set)), { id: idOf(set), index: 0 });
      });
    }),
  );

  it(
    'makes evidence that a client accepts, under the newest checkpoint, while the log goes on',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        const { store, view } = storage;
        const author = new Author(view);
        await upload(storage, LEFT_PAD);
        await commitAll(storage, author.set('left-pad'));
        const header = await commitAll(storage, author.release(LEFT_PAD.release));
        const subjects: readonly Subject[] = [
          { kind: 'release', name: 'left-pad', version: '1.0.0', sha512: LEFT_PAD.release.sha512 },
          { kind: 'release', name: 'left-pad', version: '9.0.0' },
          { kind: 'package', name: 'left-pad' },
          { kind: 'package', name: 'fresh' },
        ];
        assert.equal(await verified(storage, subjects), undefined, 'no checkpoint yet');
        await store.putCheckpoint(noteFor(header), header.size);
        const kinds = async (): Promise<readonly string[] | undefined> =>
          (await verified(storage, subjects))?.subjects.map(({ kind }) => kind);
        assert.deepEqual(await kinds(), ['verified', 'absent', 'package', 'absent']);
        // The map moves on, and nodes of the checkpoint's map are replaced again and again.
        await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'yanked'));
        await commitAll(storage, author.set('left-pad'), author.set('fresh'));
        const newest = await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'revoked'));
        assert.deepEqual(await kinds(), ['verified', 'absent', 'package', 'absent']);
        await store.putCheckpoint(noteFor(newest), newest.size);
        assert.deepEqual(await kinds(), ['refused', 'absent', 'package', 'package']);
        // An older checkpoint that comes late changes nothing.
        await store.putCheckpoint(noteFor(header), header.size);
        assert.equal((await store.checkpoint())?.size, newest.size);
        // The same one with a newer time does.
        const fresher = noteFor(newest, TEST_TIME + 5);
        await store.putCheckpoint(fresher, newest.size);
        assert.equal((await store.checkpoint())?.note, fresher);
      });
      await session(folder, async (storage) => {
        const checkpoint = await storage.store.checkpoint();
        assert.equal(
          checkpoint?.note,
          noteFor((await storage.store.consensusState()).committed.header, TEST_TIME + 5),
        );
        const found = await verified(storage, [{ kind: 'package', name: 'left-pad' }]);
        assert.equal(found?.subjects[0]?.kind, 'package');
      });
    }),
  );

  it(
    'serves a checkpoint that is behind the log as well as the log itself',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        const { store, view } = storage;
        const author = new Author(view);
        await upload(storage, LEFT_PAD);
        await commitAll(storage, author.set('left-pad'), author.set('other'));
        const header = await commitAll(storage, author.release(LEFT_PAD.release));
        await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'yanked'));
        await commitAll(storage, author.set('other'));
        // Only now: what the last two batches replaced is still needed under this one.
        await store.putCheckpoint(noteFor(header), header.size);
        const subjects: readonly Subject[] = [
          { kind: 'release', name: 'left-pad', version: '1.0.0' },
          { kind: 'package', name: 'other' },
        ];
        const found = await verified(storage, subjects);
        assert.deepEqual(
          found?.subjects.map((result) => [
            result.kind,
            result.kind === 'verified' && result.release.status,
            result.kind === 'package' && result.package.sequence,
          ]),
          [
            ['verified', 'active', false],
            ['package', false, 0],
          ],
        );
      });
    }),
  );

  // A package's record can become again what it was: yanked and taken back, `latest` is the same, and so
  // is the node of the map that had been given up for deletion.
  it(
    'keeps a node of the map that went out of use and came back',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        const { store, view } = storage;
        const author = new Author(view);
        await upload(storage, LEFT_PAD);
        await commitAll(storage, author.set('left-pad'));
        await commitAll(storage, author.release(LEFT_PAD.release));
        const before = view.packageRecord('left-pad');
        await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'yanked'));
        const header = await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'unyanked'));
        assert.deepEqual(view.packageRecord('left-pad'), before);
        await store.putCheckpoint(noteFor(header), header.size);
      });
      // Without what the process remembers.
      await session(folder, async (storage) => {
        const subject: Subject = { kind: 'package', name: 'left-pad' };
        const found = await verified(storage, [subject]);
        assert.equal(found?.subjects[0]?.kind, 'package');
        await commitAll(storage, new Author(storage.view).set('left-pad'));
      });
    }),
  );

  it(
    'keeps of the map what the newest checkpoint needs, and not much more',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        const author = new Author(storage.view);
        await upload(storage, LEFT_PAD);
        await commitAll(storage, author.set('left-pad'));
        await commitAll(storage, author.release(LEFT_PAD.release));
        // More than are kept one by one.
        for (let i = 0; i < 80; i++) {
          const kind = i % 2 === 0 ? 'yanked' : 'unyanked';
          const header = await commitAll(
            storage,
            author.withdrawal('left-pad', '1.0.0', kind, { text: `${i}` }),
          );
          await storage.store.putCheckpoint(noteFor(header), header.size);
        }
      });
      const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
      // Two records under one inner node.
      assert.equal(database.prepare('SELECT count(*) FROM map_nodes').pluck().get(), 3);
      assert.equal(database.prepare('SELECT count(*) FROM obsolete_map_nodes').pluck().get(), 0);
      const changes = database.prepare('SELECT count(*) FROM map_changes').pluck().get();
      assert.ok(Number(changes) < 64, `${String(changes)} changes wait`);
      database.close();
    }),
  );

  it(
    'refuses a checkpoint that is not of its log',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        await populate(storage);
        const { header } = (await storage.store.consensusState()).committed;
        const forged = noteFor({ ...header, root: 'ab'.repeat(32) });
        await assert.rejects(storage.store.putCheckpoint(forged, header.size), /own log/);
        const between = noteFor({ ...header, size: header.size - 1 });
        await assert.rejects(storage.store.putCheckpoint(between, header.size - 1), /own log/);
        assert.equal(await storage.store.checkpoint(), undefined);
        assert.equal(encodeHex((await storage.application.tip()).root), header.root);
      });
    }),
  );

  it(
    'has no evidence for a pin that is none of its rosters',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        await populate(storage);
        const { header } = (await storage.store.consensusState()).committed;
        await storage.store.putCheckpoint(noteFor(header), header.size);
        const request = { pin: 'ab'.repeat(32), since: 0, subjects: [] };
        assert.equal(await storage.store.evidence(request), undefined);
      });
    }),
  );
});
