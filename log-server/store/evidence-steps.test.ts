// Evidence is made in steps, between which the log goes on: what it shows is one moment all the same.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Author, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import {
  buildAll,
  commitAll,
  commitOf,
  noteFor,
  openTestStorage,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { assert as ensure } from '../../verifier/errors.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';

const { hash: PIN } = parseRoster(rosterEnvelope(4).payload);
const NAMES = Array.from({ length: 200 }, (_, i) => `package-${i}`);
const SUBJECTS = NAMES.map((name) => ({ kind: 'package', name }) as const);

describe('evidence', () => {
  it('leaves others their turn, and shows one moment whatever they change', () =>
    withFolder(async (folder) => {
      const first = await openTestStorage(folder);
      const author = new Author(first.view);
      const header = await commitAll(first, ...NAMES.map((name) => author.set(name)));
      await first.store.putCheckpoint(noteFor(header), header.size);
      await first.store.close();

      const storage = await openTestStorage(folder);
      const { store } = storage;
      // A set for each package takes the place of its record, and so of every node above it.
      const later = new Author(storage.view);
      const next = await buildAll(
        storage,
        NAMES.map((name) => later.set(name)),
      );
      const note = noteFor(next.header);
      await storage.rest();
      let turns = 0;
      let isDone = false;
      let isMade = false;
      const count = (): void => {
        turns += 1;
        if (!isDone) setImmediate(count);
      };
      const made = store.evidence({ pin: PIN, since: 0, subjects: SUBJECTS });
      void made.then(() => {
        isMade = true;
      });
      setImmediate(count);
      await store.write([commitOf(next)]);
      await store.putCheckpoint(note, next.header.size);
      assert.ok(!isMade, 'it was changed in the middle');
      const text = await made;
      isDone = true;
      ensure(text !== undefined, 'there is evidence');
      assert.ok(turns > 3, `${turns} turns`);
      const { checkpoint, subjects } = await verifyEvidence(
        {
          evidence: parseEvidence(text.join('')),
          pin: PIN,
          subjects: SUBJECTS,
          nowSeconds: TEST_TIME,
          checkpointAgeMaxSeconds: 60,
          clockSkewMaxSeconds: 60,
        },
        nativeVerifier,
      );
      assert.equal(checkpoint.checkpoint.size, header.size);
      assert.ok(
        subjects.every((one) => one.kind === 'package' && one.package.sequence === 0),
        'the sets of that moment',
      );
      assert.equal(store.halted, undefined);
      await store.close();
    }));

  it('is refused at once for a pin that is none of this log', () =>
    withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      const author = new Author(storage.view);
      const header = await commitAll(storage, author.set('p'));
      await storage.store.putCheckpoint(noteFor(header), header.size);
      const subjects = [{ kind: 'package', name: 'p' }] as const;
      const request = { pin: 'ab'.repeat(32), since: 0, subjects };
      assert.equal(await storage.store.evidence(request), undefined);
      await storage.store.close();
    }));
});
