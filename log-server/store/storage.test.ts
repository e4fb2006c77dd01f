import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  artifactOf,
  buildAll,
  certificateFor,
  commitAll,
  commitOf,
  noteFor,
  openTestStorage,
  upload,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { Author, TEST_TIME, idOf, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { verifyEvidence, type VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import type { Write } from '../consensus/types.ts';
import { openDatabase } from './database.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE, type Storage } from './storage.ts';

const GENESIS = rosterEnvelope(4);
const LEFT_PAD = artifactOf({ name: 'left-pad', version: '1.0.0' });

function inFolder(run: (folder: string) => Promise<void>): () => Promise<void> {
  return async () => withFolder(run);
}

/** Opens, runs and closes. */
async function session<T>(folder: string, run: (storage: Storage) => Promise<T>): Promise<T> {
  const storage = await openTestStorage(folder);
  try {
    return await run(storage);
  } finally {
    await storage.store.close();
  }
}

/** Runs SQL in a database that nobody else has open. */
function edit(folder: string, sql: string): void {
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  database.exec(sql);
  database.close();
}

async function verified(
  storage: Storage,
  subjects: readonly Subject[],
): Promise<VerifiedEvidence | undefined> {
  const { hash: pin } = parseRoster(GENESIS.payload);
  const text = await storage.store.evidence({ pin, since: 0, subjects });
  if (text === undefined) return undefined;
  const request = {
    evidence: parseEvidence(text.join('')),
    pin,
    subjects,
    nowSeconds: TEST_TIME,
    checkpointAgeMaxSeconds: 60,
    clockSkewMaxSeconds: 60,
  };
  return verifyEvidence(request, nativeVerifier);
}

/** A log with left-pad claimed, then released, then withdrawn. */
async function populate(storage: Storage): Promise<Author> {
  const author = new Author(storage.view);
  await upload(storage, LEFT_PAD);
  await commitAll(storage, author.set('left-pad'));
  await commitAll(storage, author.release(LEFT_PAD.release));
  await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'yanked'));
  return author;
}

describe('openStorage', () => {
  it(
    'begins with an empty log',
    inFolder(async (folder) => {
      await session(folder, async ({ store, application }) => {
        const tip = await application.tip();
        assert.equal(tip.height, 0);
        assert.deepEqual(tip.root, EMPTY_ROOT);
        assert.equal(tip.headerDigest, headerDigest(genesisHeader('log.example/test')));
        const state = await store.consensusState();
        assert.deepEqual(state.committed, {
          header: genesisHeader('log.example/test'),
          certificate: undefined,
        });
        assert.equal(state.roster.hash, parseRoster(GENESIS.payload).hash);
        assert.equal(await store.checkpoint(), undefined);
        assert.deepEqual(await store.batches(1, 1000), []);
      });
    }),
  );

  it(
    'finds everything again after a restart',
    inFolder(async (folder) => {
      const before = await session(folder, async (storage) => {
        await populate(storage);
        return { tip: await storage.application.tip(), identity: storage.store.identity };
      });
      await session(folder, async ({ store, application, view }) => {
        assert.deepEqual(await application.tip(), before.tip);
        assert.deepEqual(store.identity, before.identity);
        assert.match(before.identity.generation, /^[0-9a-f]{32}$/);
        assert.equal(view.releaseRecord('left-pad', '1.0.0')?.status, 'yanked');
        assert.equal(view.maintainerSet('left-pad')?.set.maintainers.length, 3);
        assert.deepEqual(view.activity('left-pad')?.entries, 3);
        const { committed } = await store.consensusState();
        assert.equal(headerDigest(committed.header), before.tip.headerDigest);
        assert.deepEqual(committed.certificate, certificateFor(committed.header));
      });
    }),
  );

  it(
    'has another name for good once it was disowned',
    inFolder(async (folder) => {
      const before = await session(folder, async ({ store }) => {
        await store.disown();
        return store.identity.generation;
      });
      await session(folder, async ({ store }) => {
        assert.match(store.identity.generation, /^[0-9a-f]{32}$/);
        assert.notEqual(store.identity.generation, before);
      });
    }),
  );

  it(
    'goes on after a restart as if there had been none',
    inFolder(async (folder) =>
      withFolder(async (other) => {
        await session(folder, populate);
        const [restarted, steady] = await Promise.all([
          session(folder, async (storage) => {
            const author = new Author(storage.view);
            await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'unyanked'));
            return storage.application.tip();
          }),
          session(other, async (storage) => {
            const author = await populate(storage);
            await commitAll(storage, author.withdrawal('left-pad', '1.0.0', 'unyanked'));
            return storage.application.tip();
          }),
        ]);
        assert.deepEqual(restarted, steady);
      }),
    ),
  );

  it(
    'refuses the database of another log or of another replica',
    inFolder(async (folder) => {
      await session(folder, populate);
      const genesis = rosterEnvelope(5);
      await assert.rejects(openTestStorage(folder, { genesis }), {
        name: 'DatabaseError',
        message: /has genesis/,
      });
      await assert.rejects(openTestStorage(folder, { replica: 'replica-1' }), {
        name: 'DatabaseError',
        message: /has replica/,
      });
      // A refusal leaves no lock behind.
      await session(folder, async ({ application }) => application.tip());
    }),
  );

  const damages: readonly (readonly [why: string, sql: string])[] = [
    ['a lost tile', 'DELETE FROM tiles'],
    ['an older tile', 'UPDATE tiles SET hashes = substr(hashes, 1, 128)'],
    ['a changed hash', 'UPDATE tiles SET hashes = zeroblob(length(hashes))'],
    ['a lost batch', 'DELETE FROM batches WHERE height = 3'],
    ['a lost last entry', 'DELETE FROM entries WHERE leaf_index = 5'],
    ['a changed last entry', "UPDATE entries SET data = x'7b7d' WHERE leaf_index = 5"],
    ['lost rosters', 'DELETE FROM rosters'],
  ];
  for (const [why, sql] of damages) {
    it(
      `refuses to start on ${why}`,
      inFolder(async (folder) => {
        await session(folder, populate);
        edit(folder, sql);
        await assert.rejects(openTestStorage(folder));
      }),
    );
  }
});

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
});

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
