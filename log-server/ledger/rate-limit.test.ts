// The limit on one package's entries (DESIGN 5.5), at every place where a statement can be refused: when
// it comes in, when a leader builds, and when a voter checks what another leader has built.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import {
  artifactOf,
  commitAll,
  openTestStorage,
  requestOf,
  upload,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { Author, TEST_BOUNDS, TEST_TIME } from '../../fixtures/test-ledger.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { formatEntry, parseEntry } from '../../verifier/entry.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { RATE_ENTRIES_MAX, RATE_WINDOW_SECONDS } from '../../verifier/ledger/limits.ts';
import { bodyHash } from '../../verifier/replication/encode.ts';
import type { Storage } from '../store/storage.ts';

const LEFT_PAD = artifactOf({ name: 'left-pad', version: '1.0.0' });

/** Yanks and takes back until the package has had `count` entries within the hour. */
async function fill(storage: Storage, count: number): Promise<Author> {
  await upload(storage, LEFT_PAD);
  const author = new Author(storage.view);
  await commitAll(storage, author.set('left-pad'), author.release(LEFT_PAD.release));
  for (let made = 2; made < count;) {
    const batch: Envelope[] = [];
    for (; made < count && batch.length < TEST_BOUNDS.entriesMax; made++) {
      batch.push(turn(author, made));
    }
    await commitAll(storage, ...batch);
  }
  return author;
}

/** The next of an alternating row; each has a text of its own, and so an identity. */
function turn(author: Author, n: number): Envelope {
  const kind = n % 2 === 0 ? 'yanked' : 'unyanked';
  return author.withdrawal('left-pad', '1.0.0', kind, { text: `turn ${n}` });
}

describe('the rate limit of a package', () => {
  it('refuses the entry above it everywhere, for an hour, and nobody else’s', async () => {
    await withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      const { application } = storage;
      const author = await fill(storage, RATE_ENTRIES_MAX);
      const above = turn(author, RATE_ENTRIES_MAX);

      await assert.rejects(
        application.admit(requestOf(above).bytes),
        (error: unknown) =>
          error instanceof LedgerError && error.code === 'RATE_LIMITED' && error.temporary,
      );

      const other = author.set('other');
      const requests = [above, other].map(requestOf);
      const now = await application.build(requests, 1000 * TEST_TIME, TEST_BOUNDS);
      assert.deepEqual(
        now.refused.map(({ id, refusal }) => [id, refusal.code, refusal.temporary]),
        [[requests[0]?.id, 'RATE_LIMITED', true]],
      );
      assert.deepEqual(now.proposal?.ids, [requests[1]?.id]);

      const laterMs = 1000 * (TEST_TIME + RATE_WINDOW_SECONDS);
      const later = await application.build(requests, laterMs, TEST_BOUNDS);
      assert.deepEqual(later.refused, []);
      assert.equal(later.proposal?.ids.length, 2);

      // A leader that pretends it is not above the limit: the same batch, an hour too early.
      assert.ok(later.proposal !== undefined);
      const body = later.proposal.body.map((data) =>
        formatEntry({ ...parseEntry(data), time: TEST_TIME }),
      );
      const header = {
        ...later.proposal.header,
        timestampMs: 1000 * TEST_TIME + 900,
        entriesHash: bodyHash(body, () => createHash('sha256')),
      };
      const verdict = await application.validate(header, body, TEST_BOUNDS);
      assert.ok(!verdict.ok);
      assert.equal(verdict.code, 'RATE_LIMITED');
      await storage.store.close();
    });
  });
});
