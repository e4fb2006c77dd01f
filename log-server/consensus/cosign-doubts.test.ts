import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster, type ClusterOptions } from '../../fixtures/transcripts/cluster.ts';
import { cosignOf } from '../../fixtures/transcripts/samples.ts';
import { testRoster } from '../../fixtures/transcripts/world.ts';

const FOUR = testRoster([1, 1, 1, 1]);
const FALSE_ROOT = 'aa'.repeat(32);

/** What replica 3 says to replica 1 alone. */
function whisper(cluster: Cluster, size: number, root: string, time?: number): void {
  cluster.inject(3, 1, cosignOf(FOUR, 3, { height: size, size, root }, time));
  cluster.settle();
}

/** Sizes of the doubtful cosignatures that replica 1 handed over. */
function handed(cluster: Cluster): readonly number[] {
  return cluster.node(1).contradicted.map(({ signer, size }) => {
    assert.equal(signer, 3);
    return size;
  });
}

function started(options: ClusterOptions = {}): Cluster {
  const cluster = new Cluster(FOUR, options);
  cluster.run(2);
  return cluster;
}

function submit(cluster: Cluster, ...names: readonly string[]): void {
  for (const name of names) {
    cluster.submit(0, name);
    cluster.run(3);
  }
}

/** Size and root after so many batches of one request. */
function headOf(
  cluster: Cluster,
  height: number,
): { readonly size: number; readonly root: string } {
  const header = cluster.node(1).disk.batches[height - 1]?.header;
  return header ?? assert.fail(`no batch ${height}`);
}

describe('a cosignature of another tree than the log’s', () => {
  it('is handed over once the log has come so far, and once in all', () => {
    const trial = started();
    submit(trial, 'one', 'two');
    const sizes = [1, 2].map((height) => headOf(trial, height).size);

    const cluster = started();
    for (const size of sizes) whisper(cluster, size, FALSE_ROOT);
    assert.deepEqual(handed(cluster), []);
    // It signs the true one of the first size to all, which makes no pair of one size (X7) of the second.
    submit(cluster, 'one', 'two', 'three');
    assert.deepEqual(cluster.heights(), [3, 3, 3, 3]);
    assert.deepEqual(handed(cluster), [sizes[0]]);
  });

  it('waits until the log is durable so far', () => {
    const trial = started();
    submit(trial, 'one');
    const { size } = headOf(trial, 1);

    const cluster = started();
    whisper(cluster, size, FALSE_ROOT);
    cluster.node(1).autoSync = false;
    submit(cluster, 'one');
    assert.deepEqual(handed(cluster), []);
    const node = cluster.node(1);
    while (node.unsynced.length > 0) cluster.sync(node);
    assert.deepEqual(handed(cluster), [size]);
  });

  it('is handed over when the log is there already, or has gone on', () => {
    for (const behind of [0, 1, 5]) {
      const cluster = started();
      submit(cluster, 'one', 'two', 'three', 'four', 'five', 'six');
      const { size } = headOf(cluster, 6 - behind);
      whisper(cluster, size, FALSE_ROOT, 1);
      whisper(cluster, size, FALSE_ROOT, 2);
      // The present size has the true one of it already: two of one size are a proof by themselves.
      const isPair = behind === 0;
      assert.deepEqual(
        cluster.node(1).evidence.map(({ rule }) => rule),
        isPair ? ['X7'] : [],
      );
      assert.deepEqual(handed(cluster), [size]);
    }
  });

  it('is told from a late one of the log', () => {
    const cluster = started();
    submit(cluster, 'one', 'two', 'three');
    const { size, root } = headOf(cluster, 2);
    const late = (): number => cluster.node(1).ignored.get('old-height') ?? 0;
    const before = late();
    whisper(cluster, size, root);
    assert.deepEqual(handed(cluster), []);
    assert.equal(late(), before + 1);
  });

  it('is handed over now and then when its size ends no batch that is remembered', () => {
    const cluster = started({ timing: { cosignTicks: 50 } });
    submit(cluster, 'one', 'two', 'three');
    cluster.node(1).restart();
    const { size } = headOf(cluster, 1);
    for (let time = 1; time < 5; time++) whisper(cluster, size, FALSE_ROOT, time);
    assert.deepEqual(handed(cluster), [size]);
    cluster.run(60);
    whisper(cluster, size, FALSE_ROOT, 9);
    assert.deepEqual(handed(cluster), [size, size]);
  });
});
