import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog, populatedLog } from '../../fixtures/synthetic-log.ts';
import { PEOPLE, TEST_BOUNDS, TestLedger, idOf } from '../../fixtures/test-ledger.ts';
import type { Envelope } from '../dsse.ts';
import { encodeHex } from '../encoding.ts';
import { parseEntry, type StatementEntry } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import { packageKey, releaseKey } from '../map/keys.ts';
import { formatPackageRecord, formatReleaseRecord } from '../map/records.ts';
import { lookupMap } from '../map/trie.ts';
import { leafHash } from '../merkle/hash.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { COMMIT_ENTRY_BYTES_MAX, buildBatch, executeBatch, type BatchBounds } from './batch.ts';
import { LedgerError } from './errors.ts';
import { MemoryLedger } from './memory-ledger.ts';

const { ada, mal } = PEOPLE;

async function codeOf(run: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof LedgerError || error instanceof VerifyError) return error.code;
    throw error;
  }
}

/** Builds the next batch and throws it away. */
async function build(
  t: TestLedger,
  envelopes: readonly Envelope[],
  bounds: BatchBounds = TEST_BOUNDS,
  mayTake?: () => LedgerError | undefined,
): Promise<{ included: readonly number[]; refused: readonly (readonly [number, string])[] }> {
  const input = { height: t.ledger.tip.height + 1, timeSeconds: t.time + 1, envelopes };
  const built = await buildBatch(t.ledger, input, bounds, nativeVerifier, mayTake);
  return {
    included: built.execution?.included ?? [],
    refused: built.refused.map(({ position, error }) => [position, error.code] as const),
  };
}

function forged(envelope: Envelope): Envelope {
  const signatures = envelope.signatures.map(({ keyid }) => ({
    keyid,
    signature: new Uint8Array(64).fill(1),
  }));
  return { ...envelope, signatures };
}

/** Replays a log entry by entry with the rules, as an auditor does. */
async function replay(log: SyntheticLog): Promise<MemoryLedger> {
  const genesis = log.rosters[0];
  assert.ok(genesis);
  const ledger = new MemoryLedger(genesis.envelope);
  let from = 0;
  for (const { size } of log.snapshots) {
    const entries = log.entries.slice(from, size).map((data) => parseEntry(data));
    const commit = entries.pop();
    assert.equal(commit?.kind, 'commit');
    const envelopes = entries.map((entry) => (entry as StatementEntry).envelope);
    const input = { height: ledger.tip.height + 1, timeSeconds: commit.time, envelopes };
    const execution = await executeBatch(ledger, input, TEST_BOUNDS, nativeVerifier);
    for (const [i, data] of execution.entries.entries()) {
      assert.deepEqual(data, log.entries[from + i], `entry ${from + i}`);
    }
    ledger.advance(execution);
    assert.equal(encodeHex(ledger.tip.root), encodeHex(log.root(size)), `root at ${size}`);
    from = size;
  }
  return ledger;
}

describe('executeBatch', () => {
  it('makes the same log as one that was written by other code', async () => {
    const log = populatedLog(230);
    log.maintain('package-7', { maintainers: ['ada', 'dan'], faulty: 0 });
    log.release([
      { name: 'package-7', version: '1.0.1' },
      { name: 'package-8', version: '2.0.0' },
    ]);
    log.commit();
    log.withdraw('package-7', '1.0.0', 'yanked');
    log.commit();
    log.withdraw('package-7', '1.0.0', 'unyanked');
    log.commit();
    log.changeRoster({ weights: [2, 1, 1, 1, 2] });
    log.maintain('later', { maintainers: ['ada'], faulty: 0 });
    log.commit();
    const ledger = await replay(log);
    assert.equal(ledger.tip.size, log.size);
    assert.equal(ledger.tip.epoch, 1);
    assert.deepEqual(ledger.rootAt(203), log.root(203));
  });

  it('lets a later statement see an earlier one, in that order only', async () => {
    const t = new TestLedger();
    const set = t.author.set('left-pad');
    const release = t.author.release({ name: 'left-pad', version: '1.0.0' });
    assert.equal(await codeOf(async () => t.execute([release, set])), 'PACKAGE_UNCLAIMED');
    assert.equal(await codeOf(async () => t.execute([set, release])), undefined);
    assert.equal(await codeOf(async () => t.execute([set, set])), 'ALREADY_LOGGED');
    const lookalike = t.author.set('leftpad');
    assert.equal(await codeOf(async () => t.execute([set, lookalike])), 'NAME_LOOKALIKE');
    const other = t.author.release({ name: 'left-pad', version: '1.0.0', size: 7 });
    assert.equal(await codeOf(async () => t.execute([set, release, other])), 'RELEASE_CONFLICT');
  });

  it('names the first invalid statement, whatever is wrong with later ones', async () => {
    const t = new TestLedger();
    const good = t.author.set('left-pad');
    const bad = forged(t.author.set('other'));
    const early = t.author.release({ name: 'fresh', version: '1.0.0' });
    assert.equal(
      await codeOf(async () => t.execute([good, bad, early])),
      'MAINTAINER_SIGNATURES_MISSING',
    );
    assert.equal(await codeOf(async () => t.execute([good, early, bad])), 'PACKAGE_UNCLAIMED');
  });

  it('ends with a commit entry that binds map, height and the commit before', async () => {
    const t = new TestLedger();
    const first = await t.commit(t.author.set('left-pad'));
    const second = await t.commit(t.author.release({ name: 'left-pad', version: '1.0.0' }));
    const [data] = second.entries.slice(-1);
    assert.ok(data);
    const commit = parseEntry(data);
    assert.equal(commit.kind, 'commit');
    assert.deepEqual(commit, {
      kind: 'commit',
      time: t.time,
      epoch: 0,
      height: 2,
      entries: 1,
      map: t.ledger.tip.map,
      previous: first.commitLeaf,
    });
    assert.deepEqual(second.commitLeaf, leafHash(data));
    assert.ok(data.length <= COMMIT_ENTRY_BYTES_MAX);
  });

  it('writes every changed record into the map', async () => {
    const t = new TestLedger();
    await t.commit(t.author.set('left-pad'));
    await t.commit(t.author.release({ name: 'left-pad', version: '1.0.0' }));
    const { map } = t.ledger.tip;
    const package_ = t.ledger.packageRecord('left-pad');
    const release = t.ledger.releaseRecord('left-pad', '1.0.0');
    assert.ok(package_ && release);
    assert.deepEqual(package_, { maintainers: 0, sequence: 0, releases: 1, latest: '1.0.0' });
    assert.deepEqual(
      lookupMap(t.ledger.mapNodes, map, packageKey('left-pad')),
      formatPackageRecord(package_),
    );
    assert.deepEqual(
      lookupMap(t.ledger.mapNodes, map, releaseKey('left-pad', '1.0.0')),
      formatReleaseRecord(release),
    );
  });

  it('refuses a batch without statements, and one above the bounds', async () => {
    const t = new TestLedger();
    const envelopes = [t.author.set('one'), t.author.set('two')];
    const run = async (list: readonly Envelope[], bounds: BatchBounds): Promise<unknown> =>
      executeBatch(
        t.ledger,
        { height: 1, timeSeconds: t.time, envelopes: list },
        bounds,
        nativeVerifier,
      );
    assert.equal(await codeOf(async () => run([], TEST_BOUNDS)), 'BATCH_MALFORMED');
    const one = { ...TEST_BOUNDS, entriesMax: 1 };
    assert.equal(await codeOf(async () => run(envelopes, one)), 'BATCH_MALFORMED');
    const small = { ...TEST_BOUNDS, bytesMax: 3000 };
    assert.equal(await codeOf(async () => run(envelopes, small)), 'BATCH_MALFORMED');
    assert.equal(await codeOf(async () => run(envelopes, TEST_BOUNDS)), undefined);
  });

  it('refuses a roster that is not alone', async () => {
    const t = new TestLedger();
    const [roster, set] = [t.author.nextRoster(4), t.author.set('left-pad')];
    assert.equal(await codeOf(async () => t.execute([roster, set])), 'ROSTER_NOT_ALONE');
    assert.equal(await codeOf(async () => t.execute([set, roster])), 'ROSTER_NOT_ALONE');
    assert.equal(await codeOf(async () => t.execute([roster])), undefined);
  });

  it('puts a roster in force after its batch', async () => {
    const t = new TestLedger();
    const execution = await t.commit(t.author.nextRoster(5));
    assert.equal(execution.epoch, 0);
    assert.equal(t.ledger.tip.epoch, 1);
    assert.equal(t.ledger.roster.replicas.length, 5);
    assert.equal(await codeOf(async () => t.execute([t.author.nextRoster(6)])), undefined);
  });

  it('refuses a time before the last one, and takes the same', async () => {
    const t = new TestLedger();
    await t.commit(t.author.set('left-pad'));
    const run = async (timeSeconds: number): Promise<unknown> =>
      executeBatch(
        t.ledger,
        { height: 2, timeSeconds, envelopes: [t.author.set('other')] },
        TEST_BOUNDS,
        nativeVerifier,
      );
    assert.equal(await codeOf(async () => run(t.time - 1)), 'TIME_WRONG');
    assert.equal(await codeOf(async () => run(t.time)), undefined);
  });

  it('gives up when the log moves on while signatures are verified', async () => {
    const t = new TestLedger();
    const late: SignatureVerifier = {
      verifyMany: async (jobs) => {
        await t.commit(t.author.set('first'));
        return nativeVerifier.verifyMany(jobs);
      },
    };
    const input = { height: 1, timeSeconds: t.time, envelopes: [t.author.set('second')] };
    assert.equal(
      await codeOf(async () => executeBatch(t.ledger, input, TEST_BOUNDS, late)),
      'STATE_MOVED',
    );
  });
});

describe('latest', () => {
  const rows: readonly (readonly [why: string, versions: readonly string[], latest: string])[] = [
    ['the greatest, in whatever order', ['1.10.0', '1.2.0', '1.9.9'], '1.10.0'],
    ['a stable one before any prerelease', ['1.0.0', '2.0.0-rc.1'], '1.0.0'],
    ['the greatest prerelease when there is nothing else', ['1.0.0-b', '1.0.0-a.9'], '1.0.0-b'],
  ];
  for (const [why, versions, latest] of rows) {
    it(`is ${why}`, async () => {
      const t = new TestLedger();
      await t.commit(t.author.set('left-pad'));
      await t.commit(...versions.map((version) => t.author.release({ name: 'left-pad', version })));
      assert.equal(t.ledger.packageRecord('left-pad')?.latest, latest);
    });
  }

  it('goes back when it is withdrawn, and on when that is taken back', async () => {
    const t = new TestLedger();
    const { author } = t;
    const latest = (): string | null | undefined => t.ledger.packageRecord('left-pad')?.latest;
    await t.commit(author.set('left-pad'));
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
      await t.commit(author.release({ name: 'left-pad', version }));
    }
    await t.commit(author.withdrawal('left-pad', '1.1.0', 'yanked'));
    assert.equal(latest(), '1.2.0');
    await t.commit(author.withdrawal('left-pad', '1.2.0', 'revoked'));
    assert.equal(latest(), '1.0.0');
    await t.commit(author.withdrawal('left-pad', '1.1.0', 'unyanked'));
    assert.equal(latest(), '1.1.0');
    await t.commit(
      author.withdrawal('left-pad', '1.1.0', 'revoked'),
      author.withdrawal('left-pad', '1.0.0', 'revoked'),
    );
    assert.equal(latest(), null);
  });
});

describe('buildBatch', () => {
  it('takes valid statements in order and reports the others', async () => {
    const t = new TestLedger();
    const set = t.author.set('left-pad');
    const envelopes = [
      t.author.release({ name: 'fresh', version: '1.0.0' }),
      set,
      set,
      t.author.release({ name: 'left-pad', version: '1.0.0' }, { signers: [ada, mal] }),
      t.author.release({ name: 'left-pad', version: '1.0.0' }),
    ];
    assert.deepEqual(await build(t, envelopes), {
      included: [1, 4],
      refused: [
        [0, 'PACKAGE_UNCLAIMED'],
        [2, 'ALREADY_LOGGED'],
        [3, 'MAINTAINER_SIGNATURES_MISSING'],
      ],
    });
  });

  // Otherwise anybody could have a good submission dropped by sending a forged one before it.
  it('does not hold a forged statement against those that come after it', async () => {
    const t = new TestLedger();
    await t.commit(t.author.set('left-pad'));
    const takeOver = t.author.set(
      'left-pad',
      { maintainers: [{ name: 'mal', key: mal.publicKey }], faulty: 0 },
      { signers: [mal] },
    );
    const good = t.author.set('left-pad');
    const claim = forged(t.author.set('fresh', { faulty: 0 }));
    const envelopes = [takeOver, good, claim, t.author.set('fresh')];
    assert.deepEqual(await build(t, envelopes), {
      included: [1, 3],
      refused: [
        [0, 'MAINTAINER_SIGNATURES_MISSING'],
        [2, 'MAINTAINER_SIGNATURES_MISSING'],
      ],
    });
  });

  it('stops at the bounds and leaves the rest alone', async () => {
    const t = new TestLedger();
    const envelopes = ['one', 'two', 'three'].map((name) => t.author.set(name));
    const two = { ...TEST_BOUNDS, entriesMax: 2 };
    assert.deepEqual(await build(t, envelopes, two), { included: [0, 1], refused: [] });
    const small = { ...TEST_BOUNDS, bytesMax: 3000 };
    assert.deepEqual(await build(t, envelopes, small), { included: [0], refused: [] });
  });

  it('builds nothing of nothing', async () => {
    const t = new TestLedger();
    assert.deepEqual(await build(t, []), { included: [], refused: [] });
    const bad = forged(t.author.set('left-pad'));
    assert.deepEqual(await build(t, [bad]), {
      included: [],
      refused: [[0, 'MAINTAINER_SIGNATURES_MISSING']],
    });
  });

  it('puts a roster alone in a batch and keeps the others for the next', async () => {
    const t = new TestLedger();
    const [roster, set] = [t.author.nextRoster(4), t.author.set('left-pad')];
    assert.deepEqual(await build(t, [roster, set]), {
      included: [0],
      refused: [[1, 'ROSTER_NOT_ALONE']],
    });
    assert.deepEqual(await build(t, [set, roster]), {
      included: [0],
      refused: [[1, 'ROSTER_NOT_ALONE']],
    });
  });

  it('asks whether a statement may be taken', async () => {
    const t = new TestLedger();
    const missing = new LedgerError('ARTIFACT_MISSING', 'not here');
    const envelopes = [t.author.set('left-pad')];
    assert.deepEqual(await build(t, envelopes, TEST_BOUNDS, () => missing), {
      included: [],
      refused: [[0, 'ARTIFACT_MISSING']],
    });
  });

  it('builds what executes to the same', async () => {
    const t = new TestLedger();
    const envelopes = [
      t.author.set('left-pad'),
      forged(t.author.set('other')),
      t.author.release({ name: 'left-pad', version: '1.0.0' }),
    ];
    const input = { height: 1, timeSeconds: t.time, envelopes };
    const built = await buildBatch(t.ledger, input, TEST_BOUNDS, nativeVerifier);
    assert.ok(built.execution);
    const valid = built.execution.included.flatMap((i) => envelopes[i] ?? []);
    const again = await executeBatch(
      t.ledger,
      { ...input, envelopes: valid },
      TEST_BOUNDS,
      nativeVerifier,
    );
    assert.deepEqual(again.entries, built.execution.entries);
    assert.deepEqual(again.root, built.execution.root);
    assert.deepEqual(
      again.changes.statements.map(({ id }) => id),
      valid.map(idOf),
    );
  });
});
