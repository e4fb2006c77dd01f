// The tables against the ledger in memory: two states that share no code for keeping anything have to
// agree about every statement, good or bad, and about every root.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { NAMES, anyStatement, numbersFrom, outcomeOf } from '../../fixtures/any-statements.ts';
import { Author, TEST_BOUNDS, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { commitOf, openTestStorage, withFolder } from '../../fixtures/test-storage.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { buildBatch, type BatchExecution } from '../../verifier/ledger/batch.ts';
import { MemoryLedger } from '../../verifier/ledger/memory-ledger.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import type { Batch, Header } from '../consensus/types.ts';

const ROUNDS = 40;

function batchOf(execution: BatchExecution, parent: Header, timestampMs: number): Batch {
  const header: Header = {
    origin: parent.origin,
    epoch: execution.epoch,
    height: execution.height,
    parent: headerDigest(parent),
    prevSize: execution.prevSize,
    size: execution.range.size,
    root: encodeHex(execution.root),
    entriesHash: bodyHash(execution.entries),
    timestampMs,
    nextRoster: execution.changes.roster?.roster.hash,
  };
  return { header, body: execution.entries };
}

describe('LedgerState', () => {
  for (const seed of [1, 2, 3]) {
    it(`agrees with the ledger in memory about everything, seed ${seed}`, async () =>
      withFolder(async (folder) => {
        const next = numbersFrom(seed);
        const memory = new MemoryLedger(rosterEnvelope(4));
        const author = new Author(memory);
        let storage = await openTestStorage(folder);
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
          const timeSeconds = TEST_TIME + round;
          const input = { height: memory.tip.height + 1, timeSeconds, envelopes };
          const expected = await buildBatch(memory, input, TEST_BOUNDS, nativeVerifier);
          const found = await buildBatch(storage.view, input, TEST_BOUNDS, nativeVerifier);
          assert.deepEqual(outcomeOf(found), outcomeOf(expected), `round ${round}`);
          refused += expected.refused.length;
          if (expected.execution === undefined) continue;
          const { header } = (await storage.store.consensusState()).committed;
          const batch = batchOf(expected.execution, header, 1000 * timeSeconds);
          // The store has not executed this one: it does, and compares.
          await storage.store.write([commitOf({ ...batch, ids: [], nextRoster: undefined })]);
          memory.advance(expected.execution);
          committed += 1;
          if (next(5) === 0) {
            await storage.store.close();
            storage = await openTestStorage(folder);
          }
          assert.deepEqual(storage.view.tip, memory.tip);
          for (const name of NAMES) {
            assert.deepEqual(storage.view.packageRecord(name), memory.packageRecord(name));
            assert.deepEqual(storage.view.activity(name), memory.activity(name));
            assert.deepEqual(storage.view.maintainerSet(name), memory.maintainerSet(name));
          }
          const size = next(memory.tip.size + 1);
          assert.deepEqual(storage.view.rootAt(size), memory.rootAt(size));
        }
        await storage.store.close();
        // A generator that makes only good or only bad statements would compare nothing.
        assert.ok(committed >= ROUNDS / 4 && refused >= ROUNDS, `${committed}, ${refused}`);
        assert.ok(memory.tip.epoch >= 1, 'an epoch has ended');
      }));
  }
});
