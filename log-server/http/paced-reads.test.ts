import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BusyError } from './face.ts';
import { PacedReads } from './paced-reads.ts';

/** Reads that take what their name says, milliseconds of a clock that only they move. */
function timed(): {
  readonly reads: PacedReads<string>;
  readonly done: string[];
  readonly pauses: number[];
} {
  let nowMs = 0;
  const done: string[] = [];
  const pauses: number[] = [];
  const reads = new PacedReads<string>(
    async (name) => {
      await new Promise((resolve) => setImmediate(resolve));
      nowMs += name === 'one more' ? 1 : Number(name.replace('!', ''));
      if (name.endsWith('!')) throw new Error(name);
      done.push(name);
      return name;
    },
    { nowMs: () => nowMs, pause: async (ms) => void pauses.push(ms) },
  );
  return { reads, done, pauses };
}

describe('PacedReads', () => {
  it('reads one after the other, and leaves others their turn after a long one', async () => {
    const { reads, done, pauses } = timed();
    const all = ['5', '200', '10', '30'];
    assert.deepEqual(await Promise.all(all.map((name) => reads.get(name))), all);
    assert.deepEqual(done, all);
    await reads.get('1');
    assert.deepEqual(pauses, [600, 90]);
  });

  it('reads once for all who ask for the same at one time, and again later', async () => {
    const { reads, done } = timed();
    await Promise.all(Array.from({ length: 50 }, () => reads.get('1')));
    assert.deepEqual(done, ['1']);
    await reads.get('1');
    assert.deepEqual(done, ['1', '1']);
  });

  it('goes on after one that failed', async () => {
    const { reads } = timed();
    const failing = reads.get('1!');
    const next = reads.get('2');
    await assert.rejects(failing, /1!/);
    assert.equal(await next, '2');
  });

  it('turns away who would have to wait for a thousand others', async () => {
    const { reads } = timed();
    const waiting = Array.from({ length: 1024 }, (_, i) => reads.get(`${i}`));
    await assert.rejects(reads.get('one more'), BusyError);
    // Whoever asks for what is waited for already is not one more.
    assert.equal(await reads.get('3'), '3');
    await Promise.all(waiting);
    assert.equal(await reads.get('one more'), 'one more');
  });
});
