// The core among replicas that are up: the normal case, fairness, and what it keeps at most.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { contradiction, runChaos } from '../../fixtures/transcripts/chaos.ts';
import { Cluster, type Packet } from '../../fixtures/transcripts/cluster.ts';
import { Liar, wishMessage } from '../../fixtures/transcripts/liar.ts';
import { FOUR, runUntil, assertSound } from '../../fixtures/transcripts/replicas.ts';
import { cosignOf, prePrepareOf } from '../../fixtures/transcripts/samples.ts';
import { ORIGIN, makeBatch, request, testRoster } from '../../fixtures/transcripts/world.ts';
import { ZERO_DIGEST, genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';

describe('normal case', () => {
  for (const weights of [
    [1],
    [1, 1],
    [1, 1, 1],
    [1, 1, 1, 1],
    [1, 1, 1, 1, 1, 1, 1],
    [5, 2, 1, 1, 1],
  ]) {
    it(`commits and cosigns with weights ${weights.join(' ')}`, () => {
      const cluster = new Cluster(testRoster(weights));
      cluster.submit(0, 'a');
      runUntil(cluster, 1);
      cluster.submit(weights.length - 1, 'b');
      runUntil(cluster, 2);
      cluster.run(1);
      assertSound(cluster);
      for (const { cosigned, replica } of cluster.nodes) {
        assert.equal(cosigned?.size, replica.summary.size);
        assert.equal(cosigned?.root, replica.summary.root);
      }
    });
  }

  it('needs two durable writes per batch and replica (N13)', () => {
    const cluster = new Cluster(FOUR);
    const counts = cluster.nodes.map(() => 0);
    const step = cluster.step.bind(cluster);
    cluster.step = (node, input) => {
      if (input.kind === 'persisted') counts[node.index] = (counts[node.index] ?? 0) + 1;
      step(node, input);
    };
    for (let i = 0; i < 20; i++) cluster.submit(0, `r${i}`);
    runUntil(cluster, 2);
    const before = [...counts];
    const heights = cluster.heights();
    for (let i = 0; i < 10; i++) {
      cluster.submit(0, `more ${i}`);
      cluster.run(1);
    }
    for (const [i, count] of counts.entries()) {
      const batches = (cluster.heights()[i] ?? 0) - (heights[i] ?? 0);
      assert.ok(batches >= 9);
      // vote, prepared, commit; a driver joins the commit with the next vote.
      assert.ok(count - (before[i] ?? 0) <= 3 * batches, `r${i}: ${count} for ${batches}`);
    }
  });

  it('sends every message to everybody once when nothing is lost', () => {
    const cluster = new Cluster(FOUR);
    cluster.run(1);
    const kinds = new Map<string, number>();
    cluster.submit(0, 'a');
    cluster.settle((packet) => {
      kinds.set(packet.message.kind, (kinds.get(packet.message.kind) ?? 0) + 1);
      return true;
    });
    assert.deepEqual(Object.fromEntries(kinds), {
      'pre-prepare': 3,
      prepare: 9,
      commit: 12,
      cosign: 12,
    });
  });

  it('cosigns the newest checkpoint again, with a newer time (N9)', () => {
    const cluster = new Cluster(FOUR, { timing: { cosignTicks: 50 } });
    cluster.submit(0, 'a');
    runUntil(cluster, 1);
    cluster.run(1);
    const before = cluster.node(0).cosigned;
    cluster.run(200);
    const after = cluster.node(0).cosigned;
    assert.equal(after?.size, before?.size);
    assert.ok(
      after?.cosignatures.every(({ time }, i) => time > (before?.cosignatures[i]?.time ?? 0)),
    );
    assertSound(cluster);
  });

  it('answers a request once, however often it is submitted', () => {
    const cluster = new Cluster(FOUR);
    for (const gateway of [0, 1, 2, 3]) cluster.submit(gateway, 'a');
    cluster.submit(1, 'a');
    runUntil(cluster, 1);
    cluster.run(60);
    assert.deepEqual(cluster.heights(), [1, 1, 1, 1]);
    assert.deepEqual(
      cluster.nodes.map(({ replica }) => replica.summary.sizes.requests),
      [0, 0, 0, 0],
    );
  });

  it('drops an invalid request without suspecting anybody', () => {
    const cluster = new Cluster(FOUR);
    cluster.submit(2, 'bad one');
    cluster.run(300);
    assert.deepEqual(cluster.heights(), [0, 0, 0, 0]);
    assert.ok(cluster.nodes.every(({ replica }) => replica.summary.view === 0));
    assert.equal(cluster.node(2).replica.summary.sizes.requests, 0);
  });

  it('does nothing at all while nobody wants anything', () => {
    const cluster = new Cluster(FOUR);
    cluster.run(500);
    assert.ok(cluster.nodes.every(({ replica }) => replica.summary.view === 0));
    assert.equal(cluster.signatures.length, 0);
  });
});

describe('fairness', () => {
  // Leader 0 serves everybody but the requests of replica 2.
  it('replaces a leader that leaves one request out while others go through (Q5)', () => {
    const cluster = new Cluster(FOUR, { limits: { batchRequestsMax: 4, laneRequestsMax: 8 } });
    const censored = request('censored').id;
    const isCensored = ({ to, message }: Packet): boolean =>
      to === 0 && message.kind === 'forward' && message.requests.some(({ id }) => id === censored);
    cluster.submit(2, 'censored');
    const [before] = [cluster.heights()[2] ?? 0];
    let view = 0;
    for (let i = 0; i < 400 && view === 0; i++) {
      cluster.submit(1, `other ${i}`);
      cluster.run(1, (packet) => !isCensored(packet));
      view = cluster.node(2).replica.summary.view;
    }
    assert.ok(view > 0, 'the censoring leader keeps its view');
    assert.ok((cluster.heights()[2] ?? 0) > before + 5, 'others went through meanwhile');
    for (let i = 0; i < 40; i++) cluster.run(1, (packet) => !isCensored(packet));
    assert.ok(cluster.nodes.every(({ ledger }) => ledger.committedIds.has(censored)));
    assertSound(cluster);
  });

  it('does not accuse a leader that is merely busy', () => {
    const cluster = new Cluster(FOUR, { limits: { batchRequestsMax: 4, laneRequestsMax: 8 } });
    for (let i = 0; i < 200; i++)
      for (const node of [0, 1, 2, 3]) cluster.submit(node, `${node}-${i}`);
    for (let i = 0; i < 300; i++) cluster.run(1);
    assert.ok(cluster.nodes.every(({ replica }) => replica.summary.view === 0));
    assert.ok(cluster.nodes.every(({ replica }) => replica.summary.sizes.requests === 0));
  });
});

describe('bounds', () => {
  it('keeps nothing of what a member sends for views and heights that may never come (I12)', () => {
    const liar = new Liar(1);
    const limits = liar.cluster.node(2).config.limits;
    let parent = genesisHeader(ORIGIN);
    for (let i = 0; i < 200; i++) {
      const batch = makeBatch(parent, 0, [request(`spam ${i}`)], 1_000_000 + i);
      parent = batch.header;
      for (const view of [0, 1, 4 * i + 1]) {
        const where = { view, nv: ZERO_DIGEST };
        liar.vote('prepare', batch.header, where, [2]);
        liar.vote('commit', batch.header, where, [2]);
        if (view % 4 === 1) liar.say(prePrepareOf(liar.roster, batch, view), [2]);
      }
      liar.say({ kind: 'view-change', viewChange: liar.ownViewChange(4 * i + 2) }, [2]);
      liar.say(cosignOf(liar.roster, 1, batch.header), [2]);
      liar.say({ kind: 'body', batch }, [2]);
      liar.say({ kind: 'get-body', digest: headerDigest(batch.header) }, [2]);
      liar.say({ kind: 'forward', epoch: 0, requests: [request(`spam ${i}`)] }, [2]);
      liar.say(wishMessage(i), [2]);
    }
    liar.settle(({ from, to }) => from === 1 && to === 2);
    const { sizes } = liar.cluster.node(2).replica.summary;
    assert.ok(sizes.requests > 0 && sizes.requests <= limits.laneRequestsMax);
    assert.ok(sizes.votes > 0 && sizes.votes <= 6, `${sizes.votes} votes of one member`);
    assert.deepEqual([sizes.bodies, sizes.checks, sizes.fetches, sizes.queued], [0, 0, 0, 0]);
    assert.ok(sizes.viewChanges <= 1 && sizes.cosigns <= 2);
    assert.ok(sizes.peers <= 4 && sizes.accused <= 8);
  });

  it('publishes a checkpoint anew a few times at most, however often one member signs it anew', () => {
    const liar = new Liar(1);
    liar.cluster.submit(0, 'a');
    runUntil(liar.cluster, 1);
    liar.cluster.run(1);
    const [, , node] = liar.cluster.nodes;
    assert.ok(node !== undefined);
    const { height, size, root } = node.replica.summary;
    let published = node.cosigned;
    let count = 0;
    const sameSize = { height, size, root };
    const checkpoints = Array.from({ length: 400 }, (_, i) =>
      i < 200 ? sameSize : { height: height + 1, size: size + i, root },
    );
    for (const [i, checkpoint] of checkpoints.entries()) {
      liar.say(cosignOf(liar.roster, 1, checkpoint, 2_000_000 + i), [2]);
      liar.settle(({ from, to }) => from === 1 && to === 2);
      if (node.cosigned !== published) count += 1;
      published = node.cosigned;
    }
    assert.ok(count <= 1, `${count} times`);
  });

  it('answers a GET once a tick, and never with what it has not got (S5)', () => {
    const liar = new Liar(1);
    liar.cluster.submit(0, 'a');
    liar.cluster.settle(({ message }) => message.kind === 'pre-prepare');
    const { vote } = liar.cluster.node(2).replica.summary;
    assert.ok(vote !== undefined);
    const answers = (): number => {
      let count = 0;
      liar.cluster.settle(({ message, to }) => {
        if (to === 1 && (message.kind === 'body' || message.kind === 'batches')) count += 1;
        return true;
      });
      return count;
    };
    for (let i = 0; i < 50; i++) liar.say({ kind: 'get-body', digest: vote.digest }, [2]);
    for (let i = 0; i < 50; i++) liar.say({ kind: 'get-batches', fromHeight: i }, [2]);
    assert.equal(answers(), 1);
    for (const index of [0, 2, 3]) {
      liar.cluster.step(liar.cluster.node(index), { kind: 'tick', wallMs: liar.cluster.wallMs });
    }
    liar.say({ kind: 'get-body', digest: vote.digest }, [2]);
    liar.say({ kind: 'get-body', digest: 'ab'.repeat(32) }, [2]);
    assert.equal(answers(), 1);
  });
});

describe('random schedules', () => {
  // 494: requests of a crashed gateway, held only by two light members in a view that nobody joins.
  for (const seed of [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 494]) {
    it(`keeps every invariant with seed ${seed}`, () => {
      assert.equal(runChaos({ seed }).failure, undefined);
    });
  }

  it('finds a vote that was not persisted', () => {
    const found = [1, 2, 3, 4].some(
      (seed) => runChaos({ seed, mutants: ['vote-not-persisted'] }).failure !== undefined,
    );
    assert.ok(found);
  });
});

describe('contradiction', () => {
  it('is blind to nothing: it sees signatures at all', () => {
    const cluster = new Cluster(FOUR);
    cluster.submit(0, 'a');
    runUntil(cluster, 1);
    assert.ok(cluster.signatures.length >= 12);
    assert.equal(contradiction(cluster.signatures), undefined);
  });
});
