import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Liar } from '../../fixtures/transcripts/liar.ts';
import { prePrepareOf } from '../../fixtures/transcripts/samples.ts';
import { ORIGIN, isFakeSignature, makeBatch, request } from '../../fixtures/transcripts/world.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import { MESSAGE_BYTES_MAX } from '../../verifier/replication/encode-message.ts';
import type { PrefetchMessage, Request } from '../../verifier/replication/messages.ts';
import { planMessage } from '../../verifier/replication/verify-message.ts';

/** Entries of the largest kind that fill a batch to its limit of 2 MiB, but for 32 bytes. */
const PREFETCHED = 32;

/** What follower 1 does with a proposal whose first entries it was sent ahead. */
function afterTail(tailRequests: readonly Request[]): { bodies: number; questions: number } {
  const liar = new Liar(0);
  const ahead = Array.from({ length: PREFETCHED }, (_, i) => entryOf(i));
  const batch = makeBatch(genesisHeader(ORIGIN), 0, [...ahead, ...tailRequests], 1_000_000);
  const start = { kind: 'prefetch', epoch: 0, view: 0, height: 1, start: 0 } as const;
  liar.say({ ...start, requests: ahead }, [1]);
  const tail = { prefetched: PREFETCHED, entries: batch.body.slice(PREFETCHED) };
  const proposal = { ...prePrepareOf(liar.roster, batch), body: undefined, tail };
  liar.say(proposal, [1]);
  let questions = 0;
  liar.settle(({ message }) => {
    if (message.kind === 'get-body') questions += 1;
    return message.kind === 'prefetch' || message.kind === 'pre-prepare';
  });
  return { bodies: liar.cluster.node(1).disk.state().bodies.length, questions };
}

/** What follower 1 does with a proposal of three entries that were sent ahead in parts, a burst of messages. */
function afterBurst(starts: readonly number[]): { bodies: number; ignored: number } {
  const liar = new Liar(0);
  const { cluster, roster } = liar;
  const [leader, follower] = [cluster.node(0), cluster.node(1)];
  const requests = ['a', 'b', 'c'].map((name) => request(name));
  const batch = makeBatch(genesisHeader(ORIGIN), 0, requests, 1_000_000);
  const parts = starts.map((start): PrefetchMessage => {
    const part = requests.slice(start, start + 1);
    return { kind: 'prefetch', epoch: 0, view: 0, height: 1, start, requests: part };
  });
  const tail = { prefetched: 3, entries: batch.body.slice(3) };
  const proposal = { ...prePrepareOf(roster, batch), body: undefined, tail };
  const useful = [...parts, proposal].filter(
    (message) => follower.replica.wants(leader.id, message).useful,
  );
  for (const message of useful) {
    const plan = planMessage(leader.id, message, follower.replica.context);
    cluster.step(follower, {
      kind: 'receive',
      message: plan.finish(plan.jobs.map(isFakeSignature)),
    });
  }
  const bodies = follower.disk.state().bodies.length;
  return { bodies, ignored: follower.ignored.get('slot-taken') ?? 0 };
}

const entryOf = (i: number): Request => request(`${i} `.padEnd(65_535, 'x'));

describe('a body that is put together from what was sent ahead', () => {
  it('is held when it is as long as a batch may be', () => {
    assert.deepEqual(afterTail([]), { bodies: 1, questions: 0 });
  });

  it('is not, whatever its hash, when it is longer than a batch or a message', () => {
    assert.deepEqual(afterTail([request('one more, thirty bytes long...')]), {
      bodies: 0,
      questions: 1,
    });
    const many = Array.from({ length: 110 }, (_, i) => entryOf(PREFETCHED + i));
    const bytes = (PREFETCHED + many.length) * 65_535;
    assert.ok(bytes > MESSAGE_BYTES_MAX, 'nobody could be sent it');
    assert.deepEqual(afterTail(many), { bodies: 0, questions: 1 });
  });
});

describe('parts that are sent ahead', () => {
  // A driver asks about all that has come in before it hands the first over.
  it('are all taken when they arrive together, and the proposal with them', () => {
    assert.deepEqual(afterBurst([0, 1, 2]), { bodies: 1, ignored: 0 });
  });

  it('are not when one is missing before them', () => {
    assert.deepEqual(afterBurst([0, 2]), { bodies: 0, ignored: 1 });
    assert.deepEqual(afterBurst([2, 0]), { bodies: 0, ignored: 1 });
  });
});
