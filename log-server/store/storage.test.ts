import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { GENESIS, inFolder, session, edit, populate } from '../../fixtures/storage-sessions.ts';
import { Author, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import {
  certificateFor,
  commitAll,
  openTestStorage,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import { genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import { parseRoster } from '../../verifier/roster.ts';

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
