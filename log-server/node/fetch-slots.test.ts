import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FetchSlots, type Urgency } from './fetch-slots.ts';

/** Fetches whose ends the test decides; `log` has what was started, in order. */
function hall(slots: number, repairSlots: number, submissionSlots = slots) {
  const slow = new Set<string>();
  const places = new FetchSlots<{ readonly name: string }>(
    slots,
    submissionSlots,
    repairSlots,
    (name) => slow.has(name),
  );
  const log: string[] = [];
  const ends = new Map<string, (ok: boolean) => void>();
  const ask = (
    digest: string,
    urgency: Urgency,
    names: readonly string[] = [digest],
  ): Promise<void> =>
    places.run(
      { digest, urgency, holders: names.map((name) => ({ name })) },
      ({ name }) =>
        new Promise<void>((resolve, reject) => {
          log.push(name === digest ? digest : `${digest} of ${name}`);
          ends.set(digest, (ok) => (ok ? resolve() : reject(new Error(digest))));
        }),
    );
  const end = async (digest: string, ok = true): Promise<void> => {
    ends.get(digest)?.(ok);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { places, slow, log, ask, end };
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('FetchSlots', () => {
  it('never does more at a time than it has places, and repairs in fewer', async () => {
    const { log, ask, end } = hall(3, 2);
    const all = ['r1', 'r2', 'r3'].map((digest) => ask(digest, 'repair'));
    await turn();
    assert.deepEqual(log, ['r1', 'r2']);
    const more = ['b1', 'b2'].map((digest) => ask(digest, 'batch'));
    await turn();
    assert.deepEqual(log, ['r1', 'r2', 'b1']);
    await end('r1');
    assert.deepEqual(log, ['r1', 'r2', 'b1', 'b2']);
    for (const digest of ['b1', 'b2', 'r2', 'r3']) await end(digest);
    assert.deepEqual(log, ['r1', 'r2', 'b1', 'b2', 'r3']);
    await Promise.all([...all, ...more]);
  });

  it('lets a repair that a batch turns out to need go first', async () => {
    const { places, log, ask, end } = hall(2, 1);
    const all = ['r1', 'r2', 'r3'].map((digest) => ask(digest, 'repair'));
    places.hurry('r3');
    await turn();
    assert.deepEqual(log, ['r1', 'r3']);
    await end('r3');
    assert.deepEqual(log, ['r1', 'r3']);
    await end('r1');
    assert.deepEqual(log, ['r1', 'r3', 'r2']);
    await end('r2');
    await Promise.all(all);
  });

  it('keeps places for batches, however much is submitted', async () => {
    const { log, ask, end } = hall(3, 1, 1);
    const digests = ['s1', 's2', 'r1', 'b1'];
    const urgencies = ['submission', 'submission', 'repair', 'batch'] as const;
    const all = digests.map((digest, i) => ask(digest, urgencies[i] ?? 'batch'));
    await turn();
    assert.deepEqual(log, ['s1', 'r1', 'b1']);
    await end('b1');
    assert.deepEqual(log, ['s1', 'r1', 'b1']);
    await end('s1');
    assert.deepEqual(log, ['s1', 'r1', 'b1', 's2']);
    for (const digest of ['r1', 's2']) await end(digest);
    await Promise.all(all);
  });

  it('gives one replica half of the places, and asks others meanwhile', async () => {
    const { log, ask, end } = hall(4, 1);
    const all = ['b1', 'b2', 'b3'].map((digest) => ask(digest, 'batch', ['x', 'y']));
    all.push(ask('b4', 'batch', ['y']));
    await turn();
    assert.deepEqual(log, ['b1 of x', 'b2 of x', 'b4 of y']);
    await end('b1', true);
    assert.deepEqual(log.slice(3), ['b3 of x']);
    for (const digest of ['b2', 'b3', 'b4']) await end(digest);
    await Promise.all(all);
  });

  it('asks a slow replica last, also for what waited for it', async () => {
    const { slow, log, ask, end } = hall(2, 1);
    const all = ['b1', 'b2'].map((digest) => ask(digest, 'batch', ['x', 'y']));
    await turn();
    slow.add('x');
    await end('b1');
    assert.deepEqual(log, ['b1 of x', 'b2 of y']);
    await end('b2');
    all.push(ask('b3', 'batch', ['x']));
    await turn();
    assert.deepEqual(log.slice(2), ['b3 of x']);
    await end('b3');
    await Promise.all(all);
  });

  it('gives the place of a fetch that failed to the next one', async () => {
    const { log, ask, end } = hall(1, 1);
    const failing = ask('b1', 'batch');
    const next = ask('r1', 'repair');
    await turn();
    await Promise.all([assert.rejects(failing), end('b1', false)]);
    await turn();
    assert.deepEqual(log, ['b1', 'r1']);
    await end('r1');
    await next;
  });
});
