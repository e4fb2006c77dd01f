import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster, type Packet } from '../../fixtures/transcripts/cluster.ts';
import { request, testRoster } from '../../fixtures/transcripts/world.ts';
import type { Input } from './types.ts';

const FOUR = testRoster([1, 1, 1, 1]);

const views = (cluster: Cluster): readonly number[] =>
  cluster.nodes.map(({ replica }) => replica.summary.view);

const waitingAt = (cluster: Cluster, index: number): number =>
  cluster.node(index).replica.summary.sizes.requests;

const namesOf = (count: number): readonly string[] =>
  Array.from({ length: count }, (_, i) => `overtaken ${i}`);

/** A rival of each of these was committed: they were valid when they came, and are not any more. */
function invalidate(cluster: Cluster, names: readonly string[]): void {
  for (const { ledger } of cluster.nodes) {
    for (const name of names) ledger.committedIds.add(request(name).id);
  }
}

/** Clients of a replica whose requests a rival makes invalid before anybody else has seen them. */
function overtake(cluster: Cluster, index: number, names: readonly string[]): void {
  for (const name of names) cluster.submit(index, name);
  invalidate(cluster, names);
}

/** Ids that went from somebody to somebody other than the first leader. */
const relayed = (packets: readonly Packet[], from: number): readonly string[] =>
  packets.flatMap((packet) =>
    packet.from === from && packet.to !== 0 && packet.message.kind === 'forward'
      ? packet.message.requests.map(({ id }) => id)
      : [],
  );

describe('requests that a rival made invalid', () => {
  it('are gone after 20 batches, though there are 500 of them', () => {
    const cluster = new Cluster(FOUR, { timing: { relayTicks: 10_000, viewTicks: 10_000 } });
    cluster.run(12);
    overtake(cluster, 1, namesOf(500));
    for (let i = 0; i < 20; i++) {
      cluster.submit(2, `other ${i}`);
      cluster.run(1);
    }
    assert.equal(cluster.heights()[1], 20);
    assert.equal(waitingAt(cluster, 1), 0);
    assert.deepEqual(views(cluster), [0, 0, 0, 0]);
  });

  it('are relayed to nobody when they are overdue', () => {
    const cluster = new Cluster(FOUR, { timing: { relayTicks: 20, viewTicks: 10_000 } });
    cluster.run(12);
    overtake(cluster, 2, namesOf(3));
    const packets: Packet[] = [];
    cluster.run(40, (packet) => {
      packets.push(packet);
      return true;
    });
    assert.deepEqual(relayed(packets, 2), []);
    assert.equal(waitingAt(cluster, 2), 0);
  });

  it('are all found once one is, also those for which the leader had no room', () => {
    const limits = { laneRequestsMax: 10, batchRequestsMax: 10 };
    const cluster = new Cluster(FOUR, { limits, timing: { relayTicks: 20, viewTicks: 10_000 } });
    cluster.run(12);
    overtake(cluster, 1, namesOf(300));
    // The log moves on, so that only what it has passed by has a reason to be looked at.
    for (let i = 0; i < 30; i++) {
      cluster.submit(2, `other ${i}`);
      cluster.run(1);
    }
    assert.equal(waitingAt(cluster, 1), 0);
  });

  it('leave room with the leader when a faulty member hands them in, and clients do not wait', () => {
    const cluster = new Cluster(FOUR, { timing: { relayTicks: 10_000, viewTicks: 10_000 } });
    cluster.run(12);
    const names = namesOf(1_000);
    for (let start = 0; start < names.length; start += 250) {
      const requests = names.slice(start, start + 250).map((name) => request(name));
      cluster.inject(3, 1, { kind: 'forward', epoch: 0, requests });
    }
    cluster.settle(({ from, to }) => from === 3 && to === 1);
    invalidate(cluster, names);
    assert.ok(waitingAt(cluster, 1) >= 500, 'they wait there');
    for (let i = 0; i < 3; i++) {
      cluster.submit(1, `release ${i}`);
      cluster.run(2);
      const { id } = request(`release ${i}`);
      assert.ok(cluster.node(0).ledger.committedIds.has(id), `release ${i} is in the log`);
    }
  });
});

describe('the view timer', () => {
  it('asks in the next tick when what waits was just being looked at for another reason', () => {
    const cluster = new Cluster(FOUR, { timing: { relayTicks: 20, viewTicks: 30 } });
    cluster.run(12);
    cluster.crash(0);
    const answers: { readonly index: number; readonly input: Input }[] = [];
    const step = cluster.step.bind(cluster);
    cluster.step = (node, input) => {
      const isHeld = input.kind === 'admitted' && input.answer.recheck;
      if (isHeld) answers.push({ index: node.index, input });
      else step(node, input);
    };
    cluster.submit(1, 'a');
    // Overdue after 20 ticks; the timer expires while the application is still looking.
    cluster.run(35);
    assert.equal(answers.length, 1, 'one question at a time');
    for (let i = 0; i < 2; i++) {
      for (const { index, input } of answers.splice(0)) step(cluster.node(index), input);
      cluster.run(1);
    }
    assert.equal(cluster.node(1).replica.summary.wish, 1);
  });
});
