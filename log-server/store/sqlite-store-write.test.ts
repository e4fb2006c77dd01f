// What a write has to be to be written, and that it is written whole.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { LEFT_PAD, inFolder, session, edit, populate } from '../../fixtures/storage-sessions.ts';
import { Author, TEST_TIME } from '../../fixtures/test-ledger.ts';
import {
  artifactOf,
  buildAll,
  certificateFor,
  commitAll,
  commitOf,
  noteFor,
  upload,
} from '../../fixtures/test-storage.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import type { Write } from '../consensus/types.ts';
import { DamagedStoreError } from './damage.ts';
import { openDatabase } from './database.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE } from './storage.ts';

describe('SqliteStore.write', () => {
  it(
    'keeps records, bodies and transcripts as they are',
    inFolder(async (folder) => {
      const value = new Uint8Array([1, 2, 3]);
      const { header, body } = await session(folder, async (storage) => {
        const batch = await buildAll(storage, [new Author(storage.view).set('left-pad')]);
        const digest = headerDigest(batch.header);
        await storage.store.write([
          { kind: 'record', name: 'promise', value },
          { kind: 'record', name: 'prepared', value: new Uint8Array(0) },
          { kind: 'record', name: 'new-view', value },
          { kind: 'body', digest, header: batch.header, body: batch.body },
          { kind: 'body', digest: 'ab'.repeat(32), header: batch.header, body: batch.body },
          { kind: 'transcript', epoch: 0, view: 1, newView: value },
        ]);
        await storage.store.write([
          { kind: 'record', name: 'new-view', value: undefined },
          { kind: 'drop-body', digest: 'ab'.repeat(32) },
        ]);
        return batch;
      });
      await session(folder, async ({ store }) => {
        const { records, bodies } = await store.consensusState();
        assert.deepEqual(
          [...records].sort(([a], [b]) => a.localeCompare(b)),
          [
            ['prepared', new Uint8Array(0)],
            ['promise', value],
          ],
        );
        assert.deepEqual(bodies, [{ header, body }]);
      });
    }),
  );

  it(
    'commits a kept body after a restart, though nothing of its execution is left',
    inFolder(async (folder) => {
      const write = await session(folder, async (storage) => {
        const batch = await buildAll(storage, [new Author(storage.view).set('left-pad')]);
        const digest = headerDigest(batch.header);
        await storage.store.write([{ kind: 'body', digest, ...batch }]);
        return commitOf(batch);
      });
      await session(folder, async ({ store, application }) => {
        await store.write([write]);
        assert.equal((await application.tip()).headerDigest, write.digest);
        assert.deepEqual((await store.consensusState()).bodies, []);
      });
    }),
  );

  // Each place where a process can die inside a commit: the trigger fails the statement that reaches
  // that table. Nothing of the batch may be there, and after a restart it can be committed as if for
  // the first time.
  for (const [table, change] of [
    ['entries', 'INSERT'],
    ['tiles', 'INSERT'],
    ['map_changes', 'INSERT'],
    ['packages', 'INSERT'],
    ['maintainer_sets', 'INSERT'],
    ['releases', 'INSERT'],
    ['statements', 'INSERT'],
    ['unwanted_artifacts', 'DELETE'],
    ['batches', 'INSERT'],
    ['records', 'INSERT'],
  ]) {
    it(
      `leaves nothing behind when it fails at ${table}`,
      inFolder(async (folder) => {
        const before = await session(folder, async (storage) => {
          await populate(storage);
          return storage.application.tip();
        });
        const trigger = `CREATE TRIGGER crash BEFORE ${change} ON ${table} BEGIN SELECT raise(ABORT, 'crash'); END`;
        edit(folder, trigger);
        const writes = await session(folder, async (storage) => {
          const author = new Author(storage.view);
          const right = artifactOf({ name: 'left-pad', version: '1.1.0' });
          // The row of the artifact itself is not what this test is about.
          await upload(storage, right);
          const batch = await buildAll(storage, [
            author.set('left-pad'),
            author.release({ ...right.release, maintainers: 1 }),
          ]);
          const all: Write[] = [
            commitOf(batch),
            { kind: 'record', name: 'promise', value: new Uint8Array([9]) },
          ];
          await assert.rejects(storage.store.write(all), /crash/);
          assert.match(storage.store.halted?.message ?? '', /crash/);
          // Sticky (C6): a write that would succeed is refused too; reads go on.
          const harmless: Write = { kind: 'drop-body', digest: 'ab'.repeat(32) };
          await assert.rejects(storage.store.write([harmless]), /crash/);
          await assert.rejects(storage.store.putCheckpoint(noteFor(batch.header), 3), /crash/);
          assert.deepEqual(await storage.application.tip(), before);
          assert.equal(await storage.store.entry(before.size), undefined);
          const [id = ''] = batch.ids;
          assert.equal(await storage.store.submission(id), undefined);
          assert.ok(await storage.store.entry(before.size - 1));
          assert.deepEqual(await storage.store.rootAt(before.size), before.root);
          return all;
        });
        edit(folder, 'DROP TRIGGER crash');
        await session(folder, async ({ store, application, view }) => {
          assert.deepEqual(await application.tip(), before);
          assert.equal((await store.consensusState()).records.size, 0);
          assert.equal(view.releaseRecord('left-pad', '1.1.0'), undefined);
          assert.equal(view.maintainerSet('left-pad')?.set.sequence, 0);
          await store.write(writes);
          assert.equal((await application.tip()).height, before.height + 1);
          assert.equal((await store.consensusState()).records.size, 1);
          assert.equal(view.maintainerSet('left-pad')?.set.sequence, 1);
        });
      }),
    );
  }

  it(
    'stops for good on a certified batch that is invalid here',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        const batch = await buildAll(storage, [new Author(storage.view).set('left-pad')]);
        const header = { ...batch.header, root: 'ab'.repeat(32) };
        await assert.rejects(storage.store.write([commitOf({ ...batch, header })]), /invalid here/);
        assert.ok(storage.store.halted);
        assert.equal((await storage.application.tip()).height, 0);
      });
    }),
  );

  it(
    'promises the artifacts of a batch with the vote for it, also after a restart, until it is decided',
    inFolder(async (folder) => {
      const batch = await session(folder, async (storage) => {
        const author = new Author(storage.view);
        await upload(storage, LEFT_PAD);
        await commitAll(storage, author.set('left-pad'));
        const built = await buildAll(storage, [author.release(LEFT_PAD.release)]);
        assert.ok(built, 'a batch');
        const { header, body } = built;
        await storage.store.write([{ kind: 'body', digest: headerDigest(header), header, body }]);
        return built;
      });
      edit(folder, 'DELETE FROM artifacts');
      await session(folder, async (storage) => {
        assert.deepEqual(await storage.artifacts.missing(10), [LEFT_PAD.sha512], 'still promised');
        await upload(storage, LEFT_PAD);
        await storage.store.write([commitOf(batch)]);
      });
      edit(folder, 'DELETE FROM artifacts');
      await session(folder, async (storage) => {
        assert.deepEqual(
          await storage.artifacts.missing(10),
          [],
          'a damaged index, and no promise',
        );
      });
    }),
  );

  it(
    'ends an epoch with the batch of the next roster',
    inFolder(async (folder) => {
      const closing = await session(folder, async (storage) => {
        const author = await populate(storage);
        return commitAll(storage, author.nextRoster(5));
      });
      await session(folder, async (storage) => {
        const { store, application } = storage;
        assert.equal((await application.tip()).epoch, 1);
        const state = await store.consensusState();
        assert.deepEqual(state.epochStart, closing);
        assert.deepEqual(state.committed, { header: closing, certificate: undefined });
        assert.equal(state.roster.epoch, 1);
        assert.equal(closing.nextRoster, state.roster.hash);
        assert.equal((await store.rosterEnvelopes()).length, 2);
        const author = new Author(storage.view);
        const header = await commitAll(storage, author.set('left-pad'));
        assert.equal(header.epoch, 1);
        const next = await store.consensusState();
        assert.deepEqual(next.epochStart, closing);
        assert.deepEqual(next.committed.certificate, certificateFor(header));
      });
    }),
  );

  it(
    'keeps a thousand transcripts, the newest ones',
    inFolder(async (folder) => {
      await session(folder, async ({ store }) => {
        const newView = new Uint8Array([1]);
        const all = Array.from({ length: 1003 }, (_, view): Write => ({
          kind: 'transcript',
          epoch: 0,
          view,
          newView,
        }));
        await store.write(all);
      });
      const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
      assert.deepEqual(
        database.prepare('SELECT count(*) AS count, min(view) AS first FROM transcripts').get(),
        { count: 1000, first: 3 },
      );
      database.close();
    }),
  );

  // Behind a replica that catches up lie maps that it never kept. Evidence under a checkpoint of theirs would find
  // nodes missing, which is what a damaged database looks like: the replica would stop, and make it anew.
  it(
    'takes no checkpoint whose map is gone, and goes on with the one that it has',
    inFolder(async (folder) => {
      const { first, second, third } = await session(folder, async (storage) => {
        const author = new Author(storage.view);
        const headers = {
          first: await commitAll(storage, author.set('a')),
          second: await commitAll(storage, author.set('b')),
          third: await commitAll(storage, author.set('c')),
        };
        await storage.store.putCheckpoint(noteFor(headers.first), headers.first.size);
        return headers;
      });
      edit(folder, "INSERT INTO meta (key, value) VALUES ('map_whole_from', 3)");
      await session(folder, async ({ store }) => {
        const later = noteFor(first, TEST_TIME + 1);
        await store.putCheckpoint(later, first.size);
        await assert.rejects(store.putCheckpoint(noteFor(second), second.size), /has its map/);
        assert.equal((await store.checkpoint())?.note, later);
        assert.equal(store.halted, undefined);
        await store.putCheckpoint(noteFor(third), third.size);
        assert.equal((await store.checkpoint())?.size, third.size);
      });
    }),
  );

  it(
    'takes a height for damaged from which on maps are whole, when the log ends before it',
    inFolder(async (folder) => {
      await session(folder, async (storage) => {
        await commitAll(storage, new Author(storage.view).set('a'));
      });
      edit(folder, "INSERT INTO meta (key, value) VALUES ('map_whole_from', 2)");
      await assert.rejects(
        session(folder, async () => undefined),
        DamagedStoreError,
      );
    }),
  );
});
