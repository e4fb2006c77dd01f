import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog, populatedLog } from '../../fixtures/synthetic-log.ts';
import { utf8 } from '../bytes.ts';
import { encodeHex } from '../encoding.ts';
import { EMPTY_MAP_ROOT } from '../map/node.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { IllegalBatchError, LogReplay } from './replay.ts';

function ledgerOf(log: SyntheticLog): MemoryLedger {
  const genesis = log.rosters[0];
  assert.ok(genesis);
  return new MemoryLedger(genesis.envelope);
}

async function replay(
  log: SyntheticLog,
  verifier: SignatureVerifier = nativeVerifier,
): Promise<MemoryLedger> {
  const ledger = ledgerOf(log);
  const run = new LogReplay(ledger, verifier);
  for (const data of log.entries) await run.add(data);
  run.finish();
  return ledger;
}

async function refusalOf(log: SyntheticLog): Promise<IllegalBatchError> {
  try {
    await replay(log);
  } catch (error) {
    if (error instanceof IllegalBatchError) return error;
    throw error;
  }
  return assert.fail('the log was legal');
}

/** A short legal history: a claim, a release, a second set, a yank. */
function history(): SyntheticLog {
  const log = new SyntheticLog();
  log.maintain('alpha', { maintainers: ['ada', 'ben'], faulty: 1 });
  log.commit();
  log.release({ name: 'alpha', version: '1.0.0' });
  log.maintain('beta', { maintainers: ['eve'], faulty: 0 });
  log.commit();
  return log;
}

describe('LogReplay', () => {
  it('replays every kind of entry, across a change of roster', async () => {
    const log = populatedLog(120);
    log.maintain('package-7', { maintainers: ['ada', 'dan'], faulty: 1 });
    log.commit();
    log.release({ name: 'package-7', version: '1.1.0' }, ['ada', 'dan']);
    log.commit();
    log.changeRoster({ weights: [1, 1, 1, 1, 1] });
    log.maintain('late', { maintainers: ['eve'], faulty: 0 });
    log.commit();
    const ledger = await replay(log);
    assert.equal(ledger.tip.size, log.size);
    assert.equal(encodeHex(ledger.tip.root), encodeHex(log.root()));
    assert.equal(ledger.tip.epoch, 1);
    for (const { size } of log.snapshots) assert.deepEqual(ledger.rootAt(size), log.root(size));
  });

  it('keeps the nodes of the present map only', async () => {
    const log = new SyntheticLog();
    for (let i = 0; i < 40; i++) {
      log.maintain(`package-${i}`, { maintainers: ['ada'], faulty: 0 });
      log.commit();
    }
    const ledger = await replay(log);
    // A trie of n keys has n leaves and n - 1 inner nodes.
    assert.equal(ledger.mapNodeCount, 2 * 40 - 1);
  });

  const illegal: readonly (readonly [
    why: string,
    make: (log: SyntheticLog) => void,
    code: string,
  ])[] = [
    [
      'a release with one signature of two',
      (log) => log.release({ name: 'alpha', version: '1.0.1' }, ['ada']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a release signed by a stranger',
      (log) => log.release({ name: 'alpha', version: '1.0.1' }, ['ada', 'mallory']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a second statement for a version',
      (log) => log.release({ name: 'alpha', version: '1.0.0', size: 7 }),
      'RELEASE_CONFLICT',
    ],
    [
      'a release under a set that is not in force',
      (log) => {
        log.maintain('alpha', { maintainers: ['ada', 'eve'], faulty: 1 });
        log.release({ name: 'alpha', version: '1.0.1', sequence: 0 }, ['ada', 'eve']);
      },
      'SEQUENCE_WRONG',
    ],
    [
      'a next set that the new maintainer did not sign',
      (log) =>
        log.maintain('alpha', {
          maintainers: ['ada', 'ben', 'eve'],
          faulty: 1,
          signers: ['ada', 'ben'],
        }),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'an unyank of what is not yanked',
      (log) => log.withdraw('alpha', '1.0.0', 'unyanked'),
      'STATUS_UNCHANGED',
    ],
  ];
  for (const [why, make, code] of illegal) {
    it(`refuses ${why}`, async () => {
      const log = history();
      const start = log.size;
      make(log);
      log.commit();
      const { refusal, height, start: from } = await refusalOf(log);
      assert.deepEqual([refusal.code, height, from], [code, 3, start]);
    });
  }

  const commits: readonly (readonly [
    why: string,
    fields: Parameters<SyntheticLog['commit']>[0],
    code: string,
  ])[] = [
    ['another height', { height: 4 }, 'BATCH_MALFORMED'],
    ['the height before', { height: 2 }, 'BATCH_MALFORMED'],
    ['another epoch', { epoch: 1 }, 'BATCH_MALFORMED'],
    ['too many entries', { entries: 2 }, 'BATCH_MALFORMED'],
    ['too few entries', { entries: 0 }, 'BATCH_MALFORMED'],
    ['another map', { map: EMPTY_MAP_ROOT }, 'BATCH_MALFORMED'],
    ['another commit before it', { previous: EMPTY_MAP_ROOT }, 'BATCH_MALFORMED'],
    ['a later time than its entries', { time: 1_900_000_000 }, 'BATCH_MALFORMED'],
    ['a time before the last batch', { time: 1_800_000_000 }, 'TIME_WRONG'],
  ];
  for (const [why, fields, code] of commits) {
    it(`refuses a commit entry that says ${why}`, async () => {
      const log = history();
      log.maintain('gamma', { maintainers: ['ada'], faulty: 0 });
      log.commit(fields);
      assert.equal((await refusalOf(log)).refusal.code, code);
    });
  }

  it('refuses a record in the map that no entry made', async () => {
    const log = history();
    log.maintain('gamma', { maintainers: ['ada'], faulty: 0 });
    log.setReleaseRecord('gamma', '1.0.0', {
      index: 0,
      statement: '0'.repeat(64),
      status: 'active',
      withdrawal: null,
    });
    log.commit();
    const { refusal, message } = await refusalOf(log);
    assert.equal(refusal.code, 'BATCH_MALFORMED');
    assert.match(message, /map root/);
  });

  it('refuses a withdrawal that the map does not show', async () => {
    const log = history();
    const before = log.releases.get('alpha@1.0.0');
    assert.ok(before);
    log.withdraw('alpha', '1.0.0', 'revoked');
    log.setReleaseRecord('alpha', '1.0.0', before);
    log.commit();
    assert.match((await refusalOf(log)).message, /map root/);
  });

  it('refuses an empty batch, and a log that ends inside one', async () => {
    const empty = history();
    empty.commit();
    assert.equal((await refusalOf(empty)).refusal.code, 'BATCH_MALFORMED');
    const open = history();
    open.maintain('gamma', { maintainers: ['ada'], faulty: 0 });
    const { refusal, start, message } = await refusalOf(open);
    assert.deepEqual([refusal.code, start], ['BATCH_MALFORMED', open.size - 1]);
    assert.match(message, /ends 1 entries into it/);
  });

  it('refuses bytes that are no entry', async () => {
    const run = new LogReplay(ledgerOf(history()), nativeVerifier);
    await assert.rejects(run.add(utf8('{}')), (error) => {
      assert.ok(error instanceof IllegalBatchError);
      assert.equal(error.refusal.code, 'ENTRY_MALFORMED');
      return true;
    });
  });

  it('does not blame the log for a verifier that fails', async () => {
    const broken: SignatureVerifier = {
      verifyMany: async () => {
        throw new Error('no threads left');
      },
    };
    await assert.rejects(replay(history(), broken), { message: 'no threads left' });
  });
});

describe('MemoryLedger.restore', () => {
  it('goes on where the other one was', async () => {
    const log = history();
    const early = await replay(log);
    const leaves = log.entries.map((_, i) => log.hash(0, i));
    const { ledger, mapRoot } = MemoryLedger.restore(early.contents(), leaves);
    assert.deepEqual(mapRoot, early.tip.map);
    assert.deepEqual(ledger.tip, early.tip);
    const from = log.size;
    log.release({ name: 'alpha', version: '1.0.1' });
    log.maintain('beta', { maintainers: ['eve', 'ada'], faulty: 0 });
    log.commit();
    const run = new LogReplay(ledger, nativeVerifier);
    for (const data of log.entries.slice(from)) await run.add(data);
    run.finish();
    assert.deepEqual(ledger.tip, (await replay(log)).tip);
  });
});
