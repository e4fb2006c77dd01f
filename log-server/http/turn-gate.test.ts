import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { TurnGate } from './turn-gate.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

describe('TurnGate', () => {
  /** Work that ends when the test says so; its letter is its holder. */
  function bench(limit: number): {
    readonly gate: TurnGate;
    readonly inside: Set<string>;
    readonly ask: (...names: readonly string[]) => void;
    readonly end: (name: string, error?: Error) => Promise<void>;
    readonly outcomes: Promise<string>[];
  } {
    const gate = new TurnGate(limit);
    const inside = new Set<string>();
    const ends = new Map<string, (error?: Error) => void>();
    const outcomes: Promise<string>[] = [];
    const work = (name: string) => (): Promise<string> =>
      new Promise((resolve, reject) => {
        inside.add(name);
        ends.set(name, (error) => {
          inside.delete(name);
          if (error === undefined) resolve(name);
          else reject(error);
        });
      });
    return {
      gate,
      inside,
      outcomes,
      ask: (...names) => {
        for (const name of names) {
          const done = gate.run(name.slice(0, 1), work(name));
          outcomes.push(done.catch((error: Error) => error.message));
        }
      },
      end: async (name, error) => {
        ends.get(name)?.(error);
        await turn();
      },
    };
  }

  it('lets one piece of each in, and no more than there are places', async () => {
    const { ask, inside } = bench(2);
    ask('a1', 'a2', 'b1', 'c1');
    await turn();
    assert.deepEqual([...inside], ['a1', 'b1']);
  });

  it('gives places in turn, however many one waits for', async () => {
    const { ask, inside, end } = bench(2);
    ask('a1', 'a2', 'a3', 'b1', 'c1', 'd1');
    await turn();
    await end('a1');
    assert.deepEqual([...inside], ['b1', 'c1']);
    await end('c1');
    assert.deepEqual([...inside], ['b1', 'd1']);
    await end('d1');
    assert.deepEqual([...inside], ['b1', 'a2']);
    // Who comes now has its turn before what the other still waits for.
    ask('e1');
    await end('a2');
    assert.deepEqual([...inside], ['b1', 'e1']);
  });

  it('gives a place back when work fails, and remembers nobody', async () => {
    const { ask, end, gate, outcomes } = bench(1);
    ask('a1', 'b1');
    await turn();
    await end('a1', new Error('no'));
    await end('b1');
    assert.deepEqual(await Promise.all(outcomes), ['no', 'b1']);
    assert.equal(gate.holders, 0);
  });
});
