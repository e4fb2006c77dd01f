// The ledger in pages against the one in memory: two states that share no code for keeping anything have to
// agree about every statement, good or bad, and about every root, while next to nothing is in memory.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { NAMES, anyStatement, numbersFrom, outcomeOf } from '../../fixtures/any-statements.ts';
import { PagesInMemory } from '../../fixtures/pages-in-memory.ts';
import { Author, TEST_BOUNDS, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import type { Envelope } from '../dsse.ts';
import { VerifyError } from '../errors.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { PagePool } from '../paging/pages.ts';
import { buildBatch } from './batch.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { PagedLedger } from './paged-ledger.ts';
import { LogReplay } from './replay.ts';
import type { ReplayLedger } from './replay-ledger.ts';

const ROUNDS = 60;
const SALT = new Uint8Array(16).fill(7);

/** Everything that a ledger can be asked for, in an order of its own. */
function allOf({ rows, tip, rosterEnvelope: envelope, range }: ReplayLedger): unknown {
  const sorted = <T>(items: Iterable<T>): readonly T[] =>
    [...items].toSorted((a, b) => (JSON.stringify(a) < JSON.stringify(b) ? -1 : 1));
  return {
    tip,
    envelope,
    range: range.toBytes(),
    counts: rows.counts,
    statements: sorted(rows.statements()),
    packages: sorted(rows.packages()),
    releases: sorted(rows.releases()),
  };
}

describe('PagedLedger', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`agrees with the ledger in memory about everything, seed ${seed}`, async () => {
      const next = numbersFrom(seed);
      const memory = new MemoryLedger(rosterEnvelope(4));
      const file = new PagesInMemory();
      const pool = new PagePool(4, file);
      const paged = new PagedLedger(rosterEnvelope(4), pool, SALT);
      const author = new Author(memory);
      let [committed, refused] = [0, 0];
      for (let round = 1; round <= ROUNDS; round++) {
        const envelopes: Envelope[] = [];
        for (let i = next(9); i >= 0; i--) {
          try {
            envelopes.push(anyStatement(next, author, memory));
          } catch (error) {
            // One name@version twice in one statement: that can't even be written.
            if (!(error instanceof VerifyError)) throw error;
          }
        }
        const timeSeconds = TEST_TIME + 600 * round;
        const input = { height: memory.tip.height + 1, timeSeconds, envelopes };
        const expected = await buildBatch(memory, input, TEST_BOUNDS, nativeVerifier);
        const found = await buildBatch(paged, input, TEST_BOUNDS, nativeVerifier);
        assert.deepEqual(outcomeOf(found), outcomeOf(expected), `round ${round}`);
        refused += expected.refused.length;
        if (expected.execution === undefined || found.execution === undefined) continue;
        memory.advance(expected.execution);
        paged.advance(found.execution);
        committed += 1;
        assert.deepEqual(allOf(paged), allOf(memory));
        for (const name of [...NAMES, 'nobody']) {
          assert.deepEqual(paged.maintainerSet(name), memory.maintainerSet(name));
          const versions = new Set(paged.versions(name).map((one) => JSON.stringify(one)));
          const expectedVersions = memory.versions(name).map((one) => JSON.stringify(one));
          assert.deepEqual(versions, new Set(expectedVersions));
          assert.equal(paged.versions(name).length, expectedVersions.length);
        }
        const size = next(memory.tip.size + 3);
        assert.deepEqual(paged.rootAt(size), memory.rootAt(size));
        assert.equal(paged.mapNodeCount, memory.mapNodeCount);
        assert.equal(pool.pagesHeld, 4);
      }
      // A generator that makes only good or only bad statements would compare nothing.
      assert.ok(committed >= ROUNDS / 4 && refused >= ROUNDS, `${committed}, ${refused}`);
      assert.ok(memory.tip.epoch >= 1, 'an epoch has ended');
      // And with as many pages as there are nothing would have been read again.
      assert.ok(file.reads > 400 && pool.pagesInFile > 8, `${file.reads}, ${pool.pagesInFile}`);
    });
  }

  // What is held is what was asked for, however long the log is: the rest is in the file.
  it('holds no more when the log is longer', async () => {
    const log = new SyntheticLog();
    const genesis = log.rosters[0];
    assert.ok(genesis !== undefined, 'a log has a roster');
    const pool = new PagePool(32, new PagesInMemory());
    const ledger = new PagedLedger(genesis.envelope, pool, SALT);
    const replay = new LogReplay(ledger, nativeVerifier);
    const inFile: number[] = [];
    for (let i = 0; i < 400; i++) {
      log.maintain(`package-${i}`, { maintainers: ['ada'], faulty: 0 });
      log.release({ name: `package-${i}`, version: '1.0.0' }, ['ada']);
      if (i % 20 !== 19) continue;
      const from = ledger.tip.size;
      log.commit();
      for (const data of log.entries.slice(from)) await replay.add(data);
      assert.ok(pool.pagesHeld <= 32, `${pool.pagesHeld} pages`);
      inFile.push(pool.pagesInFile);
    }
    assert.deepEqual(ledger.tip.root, log.root());
    const [half = 0, whole = 0] = [inFile[9], inFile[19]];
    assert.ok(half > 32 && whole > 1.8 * half, `${half} and then ${whole} pages in the file`);
  });
});
