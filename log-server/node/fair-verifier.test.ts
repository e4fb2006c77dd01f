import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { testKey } from '../../fixtures/documents.ts';
import { isOverloaded } from '../../verifier/node/signature-pool.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { FairVerifier } from './fair-verifier.ts';

/** Answers by the signature's first byte, when the test says so. */
class Slow implements SignatureVerifier {
  /** Who asked, one letter a signature, by question. */
  readonly asked: string[] = [];
  inside = 0;
  insideMax = 0;
  error: Error | undefined;
  readonly #ends: (() => void)[] = [];

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    this.asked.push(jobs.map(({ message }) => String.fromCharCode(message[0] ?? 0)).join(''));
    this.inside += jobs.length;
    this.insideMax = Math.max(this.inside, this.insideMax);
    await new Promise<void>((resolve) => this.#ends.push(resolve));
    this.inside -= jobs.length;
    if (this.error !== undefined) throw this.error;
    return jobs.map(({ signature }) => signature[0] === 1);
  }

  /** Lets everything end that was asked, and whatever is asked then. */
  async drain(): Promise<void> {
    for (let quiet = 0; quiet < 3; quiet++) {
      await turn();
      for (const end of this.#ends.splice(0)) {
        end();
        quiet = 0;
      }
    }
  }
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
const { publicKey } = testKey(1);

function jobs(holder: string, count: number, good: readonly number[] = []): SignatureJob[] {
  return Array.from({ length: count }, (_, i) => ({
    publicKey,
    message: Uint8Array.of(holder.charCodeAt(0)),
    signature: Uint8Array.of(good.includes(i) ? 1 : 0),
  }));
}

interface Bench {
  readonly pool: Slow;
  readonly fair: FairVerifier;
  readonly ask: (holder: string, count: number, good?: readonly number[]) => void;
  /** What became of the questions: `a:2` answered with so many, `a-` refused; in the order of asking. */
  readonly outcomes: () => Promise<string>;
}

function bench(waitingMax: number, inPoolMax: number): Bench {
  const pool = new Slow();
  const fair = new FairVerifier(pool, { waitingMax, inPoolMax });
  const asked: Promise<string>[] = [];
  return {
    pool,
    fair,
    ask: (holder, count, good = []) => {
      const answer = fair.of(holder).verifyMany(jobs(holder, count, good));
      asked.push(
        answer.then(
          (answers) => `${holder}:${answers.filter(Boolean).length}/${answers.length}`,
          (error: unknown) => {
            assert.ok(isOverloaded(error), String(error));
            return `${holder}-`;
          },
        ),
      );
    },
    outcomes: async () => {
      await pool.drain();
      return (await Promise.all(asked)).join(' ');
    },
  };
}

describe('FairVerifier', () => {
  it('asks together what comes in one turn, and gives each its own answers', async () => {
    const { ask, pool, outcomes } = bench(100, 100);
    ask('a', 2, [0]);
    ask('b', 0);
    ask('c', 3, [0, 1, 2]);
    assert.equal(await outcomes(), 'a:1/2 b:0/0 c:3/3');
    assert.deepEqual(pool.asked, ['aaccc']);
  });

  it('has little in the pool at any time: votes stand in line there', async () => {
    const { ask, pool, fair, outcomes } = bench(1000, 20);
    for (let i = 0; i < 100; i++) ask('a', 4);
    const answered = await outcomes();
    assert.equal(answered.split(' ').length, 100);
    assert.doesNotMatch(answered, /-/);
    // The limit, and at most one question that crosses it.
    assert.ok(pool.insideMax <= 20 + 4, `${pool.insideMax} at one time`);
    assert.equal(fair.waiting, 0);
    assert.equal(fair.holders, 0);
  });

  it('gives each holder a turn, however much another one asks', async () => {
    const { ask, pool, outcomes } = bench(1000, 8);
    for (let i = 0; i < 50; i++) ask('a', 4);
    ask('b', 2);
    ask('c', 2);
    await outcomes();
    assert.match(pool.asked.slice(0, 2).join(''), /^aaaabbcc/);
  });

  it('counts turns in signatures: whoever asks about 64 at a time waits for as many turns', async () => {
    const { ask, pool, outcomes } = bench(8192, 64);
    for (let i = 0; i < 20; i++) ask('m', 64);
    for (let i = 0; i < 30; i++) ask('a', 2);
    await outcomes();
    const order = pool.asked.join('');
    const before = order.slice(0, order.lastIndexOf('a')).replaceAll('a', '').length;
    // As many as were asked for, and at most a question that was to begin and one that was to end.
    assert.ok(before <= 60 + 2 * 64, `${before} of the flood's before 60 of somebody else's`);
    assert.equal(order.length, 20 * 64 + 60, 'the flood is asked about, too');
  });

  const rows: readonly (readonly [
    why: string,
    questions: readonly (readonly [string, number])[],
    outcomes: string,
  ])[] = [
    ['refuses what exceeds it alone', [['a', 11]], 'a-'],
    [
      'refuses more of whoever has most',
      [
        ['a', 6],
        ['a', 5],
      ],
      'a:0/6 a-',
    ],
    [
      'drops the newest of a flood for whoever has less',
      [
        ['a', 5],
        ['a', 5],
        ['b', 2],
      ],
      'a:0/5 a- b:0/2',
    ],
    [
      'drops as many as it takes',
      [
        ['a', 2],
        ['a', 2],
        ['a', 2],
        ['a', 2],
        ['a', 2],
        ['b', 3],
      ],
      'a:0/2 a:0/2 a:0/2 a- a- b:0/3',
    ],
    [
      'takes nothing of others for a flood',
      [
        ['b', 2],
        ['a', 5],
        ['a', 5],
      ],
      'b:0/2 a:0/5 a-',
    ],
    [
      'refuses the last of equals',
      [
        ['a', 5],
        ['b', 5],
        ['c', 5],
      ],
      'a:0/5 b:0/5 c-',
    ],
  ];
  for (const [why, questions, expected] of rows) {
    it(`when ten may wait, ${why}`, async () => {
      const { ask, outcomes, fair } = bench(10, 4);
      for (const [holder, count] of questions) ask(holder, count);
      assert.equal(await outcomes(), expected);
      assert.equal(fair.waiting, 0);
    });
  }

  it('passes a failure on to those who asked, and goes on', async () => {
    const { pool, fair } = bench(100, 100);
    pool.error = new Error('closed');
    const failed = Promise.allSettled([
      fair.of('a').verifyMany(jobs('a', 1)),
      fair.of('b').verifyMany(jobs('b', 1)),
    ]);
    await pool.drain();
    assert.deepEqual(
      (await failed).map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    pool.error = undefined;
    const answered = fair.of('a').verifyMany(jobs('a', 1, [0]));
    await pool.drain();
    assert.deepEqual(await answered, [true]);
  });
});
