import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster, type Packet } from '../../fixtures/transcripts/cluster.ts';
import { request, testRoster } from '../../fixtures/transcripts/world.ts';

import { ROOMY_BATCHES_MAX } from './exposure.ts';

const FOUR = testRoster([1, 1, 1, 1]);

/** Requests per batch that is kept, in order; the commit entry is not one. */
const batchSizes = (cluster: Cluster): readonly number[] =>
  cluster.node(0).disk.batches.map(({ body }) => body.length - 1);

const wishes = (cluster: Cluster): readonly number[] =>
  cluster.nodes.map(({ replica }) => replica.summary.wish);

const forwardsTo = (index: number, packets: readonly Packet[]): readonly string[] =>
  packets.flatMap(({ to, message }) =>
    to === index && message.kind === 'forward' ? message.requests.map(({ id }) => id) : [],
  );

describe('a batch in which some requests turn out to be invalid', () => {
  // Nothing is admitted here, so the leader finds out when it builds.
  it('is filled up with those that wait, or the leader would be suspected of passing them over', () => {
    const cluster = new Cluster(FOUR, { limits: { batchRequestsMax: 3 } });
    for (const name of ['bad 1', 'a', 'bad 2', 'bad 3', 'b', 'bad 4', 'c', 'd']) {
      cluster.submit(0, name);
    }
    cluster.run(2);
    assert.deepEqual(batchSizes(cluster), [1, 3]);
    assert.equal(cluster.node(0).replica.summary.sizes.requests, 0);
  });

  it('is proposed as it is after some tries: one who owns packages can go on for ever', () => {
    const cluster = new Cluster(FOUR, { limits: { batchRequestsMax: 2 } });
    const builds: number[] = [];
    const step = cluster.step.bind(cluster);
    cluster.step = (node, input) => {
      if (input.kind === 'built' && node.index === 0) builds.push(input.result.refused.length);
      step(node, input);
    };
    // While the first batch is decided the others wait behind it.
    cluster.submit(0, 'first');
    cluster.submit(0, 'a');
    for (let i = 0; i < 40; i++) cluster.submit(0, `bad ${i}`);
    cluster.run(1);
    assert.deepEqual(batchSizes(cluster), [1, 1]);
    // A whole draw of invalid ones has to wait for the next tick.
    assert.ok(builds.length <= 8, `${builds.length} builds for two batches`);
    cluster.run(40);
    assert.equal(cluster.node(0).replica.summary.sizes.requests, 0);
    assert.deepEqual(wishes(cluster), [0, 0, 0, 0]);
  });
});

describe('a request that an honest leader dropped', () => {
  it('is sent again before its batches with room count: the lane was full of what came before', () => {
    const limits = { batchRequestsMax: 4, laneRequestsMax: 4 };
    // Nothing is relayed in this time.
    const cluster = new Cluster(FOUR, { limits, timing: { relayTicks: 1000 } });
    // Nobody is cut off any more.
    cluster.run(12);
    const requests = Array.from({ length: 8 }, (_, i) => request(`old ${i}`));
    cluster.inject(2, 0, { kind: 'forward', epoch: 0, requests });
    const isForward = ({ message }: Packet): boolean => message.kind === 'forward';
    cluster.settle(isForward);
    cluster.submit(2, 'late');
    cluster.settle(isForward);
    assert.equal(cluster.node(0).ignored.get('lane-full'), 1, 'the lane is full');
    for (let i = 0; i < 40; i++) {
      cluster.submit(1, `other ${i}`);
      cluster.run(1);
      assert.deepEqual(wishes(cluster), [0, 0, 0, 0], `after ${i} more`);
    }
    assert.equal(cluster.node(2).replica.summary.sizes.requests, 0);
  });
});

describe('requests on their way to the leader', () => {
  it('are no more bytes than its lane holds: what it drops it would be suspected of hiding', () => {
    const limits = {
      batchRequestsMax: 100,
      laneRequestsMax: 100,
      laneBytesMax: 300,
      // Shares below need no more.
      batchBytesMax: 70_000,
    };
    const cluster = new Cluster(FOUR, { limits });
    const name = (i: number): string => `${i} ${'x'.repeat(80)}`;
    for (let i = 0; i < 12; i++) cluster.submit(1, name(i));
    assert.equal(forwardsTo(0, cluster.packets).length, 3);
    cluster.run(10);
    assert.equal(cluster.node(1).replica.summary.sizes.requests, 0);
    assert.deepEqual(wishes(cluster), [0, 0, 0, 0]);
  });

  it('go to everybody when they wait, but to the leader only as far as its lane has room', () => {
    const cluster = new Cluster(FOUR, { limits: { laneRequestsMax: 2 } });
    for (const id of ['a', 'b', 'c', 'd', 'e']) cluster.submit(2, id);
    const [toLeader, toOther] = [new Set<string>(), new Set<string>()];
    // Nobody gets anything, so all of it waits.
    cluster.run(30, ({ to, message }) => {
      if (message.kind !== 'forward') return true;
      for (const { id } of message.requests) (to === 0 ? toLeader : toOther).add(id);
      return false;
    });
    assert.deepEqual([toLeader.size, toOther.size], [2, 5]);
  });
});

describe('a leader whose lane is full of what it got before', () => {
  /** Eight batches for the lanes by number, one by bytes, one begun, and two. */
  const DRAINED = 8 + 1 + 1 + 2;
  const limits = { batchRequestsMax: 2, laneRequestsMax: 2, laneBytesMax: 1_000 };
  const timing = { relayTicks: 10_000, viewTicks: 10_000 };

  /** The log goes on with full batches, while this many requests of replica 3 find no room. */
  function wishesAfter(dropsMax: number): { readonly cluster: Cluster; readonly wish: number } {
    const cluster = new Cluster(FOUR, { limits, timing });
    let drops = 0;
    cluster.submit(3, 'dropped');
    for (let i = 0; i < 3 * DRAINED; i++) {
      for (const name of ['x', 'y', 'z']) cluster.submit(0, `${name} ${i}`);
      cluster.run(1, ({ from, to, message }) => {
        const isHers = from === 3 && to === 0 && message.kind === 'forward';
        if (isHers) drops += 1;
        return !isHers || drops > dropsMax;
      });
    }
    return { cluster, wish: wishes(cluster)[3] ?? 0 };
  }

  it('gets what it dropped once more when it has room, and is not suspected', () => {
    const { cluster, wish } = wishesAfter(1);
    assert.equal(wish, 0);
    assert.ok(cluster.node(0).ledger.committedIds.has(request('dropped').id), 'it was sent again');
  });

  it('is suspected when it leaves that out, too', () => {
    assert.equal(wishesAfter(1_000).wish, 1);
  });
});

describe('a replica that was away', () => {
  /** Replica 3 is away, a client comes to it as soon as it is back, and the log never rests. */
  function comeBack(cluster: Cluster, away: () => void, back: () => void): void {
    for (let i = 0; i < 5; i++) {
      cluster.submit(1, `early ${i}`);
      cluster.run(1);
    }
    away();
    for (let i = 0; i < 40; i++) {
      cluster.submit(1, `meanwhile ${i}`);
      cluster.run(1);
    }
    back();
    cluster.submit(3, 'for the leader');
    for (let i = 0; i < 60; i++) {
      cluster.submit(1, `later ${i}`);
      cluster.run(1);
    }
  }

  it('does not hold batches against the leader that are older than the request', () => {
    const cluster = new Cluster(FOUR, { timing: { statusTicks: 20 } });
    comeBack(
      cluster,
      () => cluster.crash(3),
      () => cluster.restart(3),
    );
    assert.deepEqual(wishes(cluster), [0, 0, 0, 0]);
    assert.equal(cluster.node(3).replica.summary.sizes.requests, 0, 'its request is in the log');
  });

  it('counts from when it is abreast of the log, and then suspects a leader that hides a request', () => {
    const cluster = new Cluster(FOUR, { timing: { statusTicks: 2, viewTicks: 1_000 } });
    // Too few for it to take itself for cut off by that alone.
    const MISSED = 5;
    const heightOfWish = (): number => {
      for (let i = 0; i < 60; i++) {
        cluster.submit(1, `later ${i}`);
        cluster.run(1, ({ from, message }) => !(from === 3 && message.kind === 'forward'));
        if ((wishes(cluster)[3] ?? 0) > 0) return cluster.heights()[3] ?? 0;
      }
      return assert.fail('the leader is not suspected');
    };
    cluster.crash(3);
    for (let i = 0; i < MISSED; i++) {
      cluster.submit(1, `meanwhile ${i}`);
      cluster.run(1);
    }
    cluster.restart(3);
    cluster.submit(3, 'hidden');
    assert.ok(heightOfWish() >= MISSED + ROOMY_BATCHES_MAX, 'old batches count');
  });

  it('sends again what was lost while its wires were cut, and suspects nobody', () => {
    const cluster = new Cluster(FOUR, { timing: { relayTicks: 1_000, viewTicks: 1_000 } });
    let isCut = false;
    const run = cluster.run.bind(cluster);
    cluster.run = (ticks) => run(ticks, ({ from, to }) => !(isCut && (from === 3 || to === 3)));
    comeBack(
      cluster,
      () => {
        isCut = true;
        cluster.submit(3, 'into the void');
      },
      () => {
        isCut = false;
      },
    );
    assert.deepEqual(wishes(cluster), [0, 0, 0, 0]);
    assert.ok(
      cluster.node(0).ledger.committedIds.has(request('into the void').id),
      'it was sent again',
    );
  });

  it('catches up with a log that moves on between two STATUS messages', () => {
    const cluster = new Cluster(FOUR, { timing: { statusTicks: 200, viewTicks: 1_000 } });
    cluster.crash(3);
    for (let i = 0; i < 10; i++) {
      cluster.submit(1, `meanwhile ${i}`);
      cluster.run(1);
    }
    cluster.restart(3);
    for (let i = 0; i < 30; i++) {
      cluster.submit(1, `later ${i}`);
      cluster.run(1);
    }
    cluster.run(1);
    assert.deepEqual(cluster.heights(), [40, 40, 40, 40]);
  });
});
