import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as soon } from 'node:timers/promises';

import { Turns } from './turns.ts';

describe('Turns', () => {
  it('runs one after the other, in order, whatever becomes of them', async () => {
    const turns = new Turns();
    const { signal } = new AbortController();
    const told: string[] = [];
    const work = (name: string, isBad: boolean) => async (): Promise<string> => {
      told.push(`${name} begins`);
      await soon();
      told.push(`${name} ends`);
      if (isBad) throw new Error(name);
      return name;
    };
    const results = await Promise.allSettled([
      turns.take(signal, work('a', true)),
      turns.take(signal, work('b', false)),
      turns.take(signal, work('c', false)),
    ]);
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : 'refused')),
      ['refused', 'b', 'c'],
    );
    assert.deepEqual(
      told,
      ['a', 'b', 'c'].flatMap((name) => [`${name} begins`, `${name} ends`]),
    );
  });

  it('does not begin what was given up while it waited', async () => {
    const turns = new Turns();
    const stop = new AbortController();
    let begun = 0;
    const first = turns.take(stop.signal, async () => {
      begun += 1;
      stop.abort();
      return 'first';
    });
    const second = turns.take(stop.signal, async () => (begun += 1));
    assert.equal(await first, 'first');
    await assert.rejects(second);
    assert.equal(begun, 1);
  });

  it('leaves time to give up when the one before was enough', async () => {
    const turns = new Turns();
    const stop = new AbortController();
    let begun = 0;
    // As a race among promises hears of it: some steps after the work has ended.
    const first = turns
      .take(stop.signal, async () => 'enough')
      .then(async (value) => await Promise.race([Promise.resolve(value), new Promise(() => 0)]))
      .then((value) => {
        stop.abort();
        return value;
      });
    const second = turns.take(stop.signal, async () => (begun += 1));
    await assert.rejects(second);
    assert.deepEqual([await first, begun], ['enough', 0]);
  });
});
