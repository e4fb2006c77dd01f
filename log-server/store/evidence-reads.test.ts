import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';
import * as fc from 'fast-check';

import { Author, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import {
  artifactOf,
  commitAll,
  noteFor,
  openTestStorage,
  upload,
  withFolder,
} from '../../fixtures/test-storage.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { KnownEntries } from './evidence-reads.ts';
import { DATABASE_FILE } from './storage.ts';

const { hash: PIN } = parseRoster(rosterEnvelope(4).payload);

describe('EvidenceReads', () => {
  it('says the same of what it remembers as of what it reads, also under a later checkpoint', () =>
    withFolder(async (folder) => {
      const names = Array.from({ length: 40 }, (_, i) => `package-${i}`);
      const subjects: readonly Subject[] = names.flatMap((name) => [
        { kind: 'package', name },
        { kind: 'release', name, version: '1.0.0' },
      ]);
      const storage = await openTestStorage(folder);
      const { store } = storage;
      const ask = async (): Promise<string> =>
        (await store.evidence({ pin: PIN, since: 0, subjects }))?.join('') ?? '';
      const author = new Author(storage.view);
      const first = await commitAll(storage, ...names.map((name) => author.set(name)));
      await store.putCheckpoint(noteFor(first), first.size);
      const read = await ask();
      assert.equal(await ask(), read);
      const released = names.slice(0, 20).map((name) => artifactOf({ name, version: '1.0.0' }));
      for (const artifact of released) await upload(storage, artifact);
      const second = await commitAll(
        storage,
        ...released.map(({ release }) => author.release(release)),
      );
      await store.putCheckpoint(noteFor(second), second.size);
      const grown = await ask();
      assert.ok(grown.length > read.length, 'the releases are shown');
      await storage.rest();
      assert.equal(await ask(), grown, 'with nothing remembered');
      assert.equal(await ask(), grown, 'and again');
      await store.close();
    }));

  it('leaves nothing to be read anew for each checkpoint of a log at rest', () =>
    withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      const { store } = storage;
      const author = new Author(storage.view);
      // As many batches as are brought into their table together.
      for (let i = 0; i < 63; i++) await commitAll(storage, author.set(`package-${i}`));
      const last = await commitAll(storage, author.set('package-63'));
      await store.putCheckpoint(noteFor(last), last.size);
      await store.close();
      const alter = (sql: string): void => {
        const database = new Sqlite(join(folder, DATABASE_FILE));
        database.exec(sql);
        database.close();
      };
      alter(
        "CREATE TRIGGER full BEFORE DELETE ON map_changes BEGIN SELECT raise(ABORT, 'no room'); END",
      );
      const full = await openTestStorage(folder);
      // Nobody is there to hear that it failed: the next write says so.
      await full.rest();
      await assert.rejects(full.store.putCheckpoint(noteFor(last), last.size), /no room/);
      await full.store.close();
      alter('DROP TRIGGER full');
      const whole = await openTestStorage(folder);
      await whole.rest();
      await whole.store.close();
      const database = new Sqlite(join(folder, DATABASE_FILE), { readonly: true });
      assert.equal(database.prepare('SELECT count(*) FROM map_changes').pluck().get(), 0);
      database.close();
    }));
});

describe('KnownEntries', () => {
  it('keeps what was asked for last, within its bound', () => {
    const lengths = fc.array(fc.record({ index: fc.nat(20), length: fc.nat(70) }), {
      maxLength: 200,
    });
    fc.assert(
      fc.property(lengths, (asked) => {
        const known = new KnownEntries(100);
        for (const { index, length } of asked) {
          const text = 'x'.repeat(length);
          const kept = known.get(index) ?? known.keep(index, { text });
          assert.ok(known.length <= 100, `${known.length} characters`);
          // An entry has one text: here what came first is what is known of it.
          if (kept.text.length <= 50) assert.equal(known.get(index), kept);
        }
      }),
    );
  });

  it('does not keep what is larger than half of it, and forgets', () => {
    const known = new KnownEntries(100);
    known.keep(1, { text: 'x'.repeat(51) });
    assert.equal(known.get(1), undefined);
    known.keep(2, { text: 'y'.repeat(50) });
    assert.equal(known.length, 50);
    known.clear();
    assert.equal(known.get(2), undefined);
    assert.equal(known.length, 0);
  });
});
