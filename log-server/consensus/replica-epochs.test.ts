// Members that were away, and members that come and go.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster } from '../../fixtures/transcripts/cluster.ts';
import { FOUR, runUntil, assertSound } from '../../fixtures/transcripts/replicas.ts';
import { peerOf, testRoster } from '../../fixtures/transcripts/world.ts';
import type { Roster } from '../../verifier/roster.ts';

describe('catching up', () => {
  it('brings a replica back that was away for many batches', () => {
    const cluster = new Cluster(FOUR, { limits: { batchRequestsMax: 1 } });
    cluster.crash(3);
    for (let i = 0; i < 150; i++) cluster.submit(0, `r${i}`);
    runUntil(cluster, 150);
    cluster.restart(3);
    const ticks = runUntil(cluster, 150, 200);
    assert.ok(ticks < 100, `${ticks} ticks`);
    cluster.submit(3, 'again');
    runUntil(cluster, 151);
    assertSound(cluster);
    const votedAgain = cluster.signatures.some(
      ({ signer, request: asked }) =>
        signer === 3 &&
        asked.key === 'vote' &&
        asked.content.kind === 'prepare' &&
        asked.content.vote.height === 151,
    );
    assert.ok(votedAgain, 'it takes part again');
  });

  it('brings back a replica with an empty disk and the same history', () => {
    const cluster = new Cluster(FOUR, { limits: { batchRequestsMax: 2 } });
    cluster.crash(2);
    for (let i = 0; i < 20; i++) cluster.submit(0, `r${i}`);
    runUntil(cluster, 10);
    cluster.restart(2);
    runUntil(cluster, 10);
    assert.equal(cluster.node(2).replica.summary.digest, cluster.node(0).replica.summary.digest);
  });

  it('asks somebody else when the one who claims to be ahead has nothing to show', () => {
    const cluster = new Cluster(FOUR);
    cluster.crash(3);
    cluster.submit(0, 'a');
    runUntil(cluster, 1);
    cluster.restart(3);
    // Replica 1 claims the sky and answers nothing; 0 and 2 are honest.
    for (let i = 0; i < 20; i++) {
      const status = {
        kind: 'status',
        epoch: 0,
        view: 0,
        active: true,
        wish: 0,
        height: 1_000_000,
        digest: 'ab'.repeat(32),
        prepares: [],
        commits: [],
        proposed: false,
        cosigners: [],
        proofs: [],
      } as const;
      cluster.inject(1, 3, status);
      cluster.run(5, ({ from, message }) => !(from === 1 && message.kind === 'batches'));
    }
    assert.equal(cluster.heights()[3], 1);
    assertSound(cluster);
  });
});

describe('roster changes', () => {
  function nextRoster(from: Roster, names: readonly string[]): Roster {
    return testRoster(
      names.map(() => 1),
      { epoch: from.epoch + 1, previous: from.hash, names },
    );
  }

  it('replaces a member: the new one signs, the old one does not, views start anew (E2, E3)', () => {
    const next = nextRoster(FOUR, ['r1', 'r2', 'r3', 'r4']);
    const cluster = new Cluster(FOUR, {
      rosters: new Map([['second', next]]),
      extra: [{ name: 'r4', id: peerOf('r4') }],
    });
    cluster.submit(1, 'a');
    cluster.submit(2, 'roster second');
    runUntil(cluster, 2);
    cluster.run(30);
    assert.ok(cluster.nodes.every(({ replica }) => replica.summary.epoch === 1));
    assert.equal(cluster.node(0).replica.summary.self, undefined);
    assert.equal(cluster.node(4).replica.summary.self, 3);
    const before = cluster.signatures.length;
    cluster.submit(4, 'b');
    runUntil(cluster, 3, 600);
    cluster.run(10);
    const signers = new Set(cluster.signatures.slice(before).map(({ signer }) => signer));
    assert.deepEqual(
      [...signers].sort((a, b) => a - b),
      [1, 2, 3, 4],
    );
    assert.equal(cluster.node(4).cosigned?.height, 3);
    assertSound(cluster);
  });

  it('brings a member that slept through the change into the new epoch', () => {
    const next = nextRoster(FOUR, ['r0', 'r1', 'r2', 'r3']);
    const cluster = new Cluster(FOUR, { rosters: new Map([['second', next]]) });
    cluster.crash(3);
    cluster.submit(0, 'roster second');
    runUntil(cluster, 1);
    cluster.submit(1, 'b');
    runUntil(cluster, 2, 600);
    cluster.restart(3);
    runUntil(cluster, 2);
    assert.equal(cluster.node(3).replica.summary.epoch, 1);
    assertSound(cluster);
  });

  it('survives a restart right after the change', () => {
    const next = nextRoster(FOUR, ['r0', 'r1', 'r2', 'r3']);
    const cluster = new Cluster(FOUR, { rosters: new Map([['second', next]]) });
    cluster.submit(0, 'roster second');
    runUntil(cluster, 1);
    for (const index of [0, 1, 2, 3]) {
      cluster.crash(index);
      cluster.restart(index);
    }
    assert.ok(cluster.nodes.every(({ replica }) => replica.summary.epoch === 1));
    cluster.submit(0, 'b');
    runUntil(cluster, 2, 600);
    assertSound(cluster);
  });
});
