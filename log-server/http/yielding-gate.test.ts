import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { YieldingGate, type YieldingLimits } from './yielding-gate.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Who is inside, and what became of whoever wanted to be. */
class Visitors {
  readonly gate: YieldingGate;
  readonly log: string[] = [];
  readonly #ends = new Map<string, () => void>();
  readonly #all: Promise<void>[] = [];
  /** Whether those that are sent away go at once. */
  readonly #areQuick: boolean;

  constructor(limits: YieldingLimits, areQuick = true) {
    this.gate = new YieldingGate(limits);
    this.#areQuick = areQuick;
  }

  /** @param name its first letter is the holder */
  come(name: string): void {
    const visit = this.gate.run(name.slice(0, 1), async (taken) => {
      this.log.push(`+${name}`);
      try {
        await new Promise<void>((resolve, reject) => {
          this.#ends.set(name, resolve);
          taken.addEventListener('abort', () => {
            this.log.push(`!${name}`);
            if (this.#areQuick) reject(new Error('gave way'));
          });
        });
      } finally {
        this.log.push(`-${name}`);
      }
    });
    this.#all.push(
      visit.then(
        (done) => (done === undefined ? void this.log.push(`x${name}`) : undefined),
        () => undefined,
      ),
    );
  }

  end(name: string): void {
    this.#ends.get(name)?.();
  }

  /** Everybody leaves, those who waited as well. */
  async endAll(): Promise<void> {
    for (let i = 0; i < 1000 && this.gate.holders + this.gate.taken > 0; i++) {
      for (const end of this.#ends.values()) end();
      await turn();
    }
    assert.deepEqual([this.gate.taken, this.gate.holders], [0, 0]);
    await Promise.all(this.#all);
  }
}

describe('YieldingGate', () => {
  const LIMITS: YieldingLimits = { max: 4, perHolder: 3, takesOnly: false };
  const rows: readonly (readonly [why: string, names: string, takesOnly: boolean, log: string])[] =
    [
      ['lets in', 'a1 b1 a2', false, '+a1 +b1 +a2'],
      ['gives nobody more than a share', 'a1 a2 a3 a4', false, '+a1 +a2 +a3 xa4'],
      [
        'takes the oldest place of whoever has most',
        'b1 a1 a2 a3 c1',
        false,
        '+b1 +a1 +a2 +a3 !a1 -a1 +c1',
      ],
      [
        'goes on until nobody has more than one above',
        'a1 a2 a3 b1 b2 b3',
        false,
        '+a1 +a2 +a3 +b1 !a1 -a1 xb3 +b2',
      ],
      ['leaves everybody their only one', 'a1 b1 c1 d1 e1', false, '+a1 +b1 +c1 +d1 xe1'],
      [
        'or takes the oldest one for whoever has none',
        'a1 b1 c1 d1 e1',
        true,
        '+a1 +b1 +c1 +d1 !a1 -a1 +e1',
      ],
      ['but not for whoever has one', 'a1 b1 c1 d1 a2', true, '+a1 +b1 +c1 +d1 xa2'],
      [
        'takes no place twice',
        'a1 a2 b1 b2 c1 d1',
        false,
        '+a1 +a2 +b1 +b2 !a1 !b1 -a1 -b1 +c1 +d1',
      ],
    ];
  for (const [why, names, takesOnly, log] of rows) {
    it(why, async () => {
      const visitors = new Visitors({ ...LIMITS, takesOnly });
      for (const name of names.split(' ')) visitors.come(name);
      for (let i = 0; i < 5; i++) await turn();
      assert.equal(visitors.log.join(' '), log);
      await visitors.endAll();
    });
  }

  it('waits until a place is really free', async () => {
    const visitors = new Visitors(LIMITS, false);
    for (const name of ['a1', 'a2', 'a3', 'b1', 'c1']) visitors.come(name);
    for (let i = 0; i < 5; i++) await turn();
    assert.deepEqual(visitors.log, ['+a1', '+a2', '+a3', '+b1', '!a1']);
    visitors.end('a1');
    for (let i = 0; i < 5; i++) await turn();
    assert.deepEqual(visitors.log.slice(5), ['-a1', '+c1']);
    await visitors.endAll();
  });

  it('never has more inside than its limits, and in the end nobody', async () => {
    const step = fc.record({ holder: fc.constantFrom('a', 'b', 'c', 'd', 'e'), end: fc.nat(30) });
    const script = fc.array(step, { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(script, fc.boolean(), fc.boolean(), async (steps, takesOnly, areQuick) => {
        const visitors = new Visitors({ ...LIMITS, takesOnly }, areQuick);
        for (const [i, { holder, end }] of steps.entries()) {
          visitors.come(`${holder}${i}`);
          if (end < i) for (const each of 'abcde') visitors.end(`${each}${end}`);
          if (i % 3 === 0) await turn();
          const inside = insideOf(visitors.log);
          assert.ok(inside.length <= LIMITS.max, `${inside.length} at one time`);
          for (const each of 'abcde') {
            const own = inside.filter(
              (name) => name.startsWith(each) && !visitors.log.includes(`!${name}`),
            ).length;
            assert.ok(own <= LIMITS.perHolder, `${own} of one`);
          }
        }
        await visitors.endAll();
        assert.deepEqual(insideOf(visitors.log), []);
      }),
      { numRuns: 200 },
    );
  });
});

function insideOf(log: readonly string[]): readonly string[] {
  const gone = new Set(log.filter((line) => line.startsWith('-')).map((line) => line.slice(1)));
  return log.filter((line) => line.startsWith('+') && !gone.has(line.slice(1)));
}
