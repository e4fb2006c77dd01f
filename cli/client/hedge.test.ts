import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { UnreachableError } from '../errors.ts';
import { askUntilGood } from './hedge.ts';

const SERVERS = ['a', 'b', 'c', 'd'].map((url) => ({ url }));

/** What each server does: a good answer, a failure, or nothing until it is stopped. */
type Script = Readonly<Record<string, 'good' | 'bad' | 'hang' | 'final'>>;

type Life = 'well' | 'unwell' | 'silent';

async function showLife(life: Life): Promise<void> {
  if (life === 'unwell') throw new Error('unwell');
  if (life === 'silent') await new Promise(() => undefined);
}

async function play(script: Script): Promise<{ asked: string; outcome: string; failed: string }> {
  const asked: string[] = [];
  const patience = new AbortController();
  try {
    const { value, failures } = await askUntilGood(
      SERVERS,
      async ({ url }, signal) => {
        asked.push(url);
        const act = script[url] ?? 'hang';
        if (act === 'hang') {
          // When there is nobody left to ask, the time is spent.
          if (asked.length === SERVERS.length) setImmediate(() => patience.abort());
          await sleep(60_000, undefined, { signal });
        }
        if (act !== 'good') throw new Error(`${act} ${url}`);
        return url;
      },
      {
        signal: patience.signal,
        delayMs: 30,
        isFinal: (error) => error instanceof Error && error.message.startsWith('final'),
      },
    );
    return {
      asked: asked.join(''),
      outcome: value,
      failed: failures.map(({ url }) => url).join(''),
    };
  } catch (error) {
    const failed =
      error instanceof UnreachableError ? error.failures.map(({ url }) => url).join('') : '';
    return { asked: asked.join(''), outcome: (error as Error).name, failed };
  }
}

describe('askUntilGood', () => {
  const cases: readonly (readonly [string, Script, string, string, string])[] = [
    ['asks one when it is good', { a: 'good' }, 'a', 'a', ''],
    ['goes on after a bad answer', { a: 'bad', b: 'good' }, 'ab', 'b', 'a'],
    ['asks the next while one hangs', { b: 'good' }, 'ab', 'b', ''],
    ['gets by with one good one of four', { a: 'bad', b: 'bad', d: 'good' }, 'abcd', 'd', 'ab'],
    [
      'lists everybody when all fail',
      { a: 'bad', b: 'bad', c: 'bad', d: 'bad' },
      'abcd',
      'UnreachableError',
      'abcd',
    ],
    ['ends when all hang, and lists everybody', {}, 'abcd', 'UnreachableError', 'abcd'],
    ['asks nobody else after proof', { a: 'bad', b: 'final', c: 'good' }, 'ab', 'Error', ''],
  ];
  for (const [why, script, asked, outcome, failed] of cases) {
    it(why, async () => {
      const result = await play(script);
      assert.equal(result.outcome, outcome);
      assert.equal(result.asked, asked);
      assert.equal(result.failed, failed);
    });
  }

  // Who shows a sign of life, who does not, and who is then asked without waiting for the delay.
  const lives: readonly (readonly [string, Script, Readonly<Record<string, Life>>, string])[] = [
    [
      'asks only the first when it is alive',
      { a: 'good', b: 'good' },
      { a: 'well', b: 'well' },
      'a',
    ],
    [
      'passes a silent one over, for the first that is alive',
      { c: 'good' },
      { c: 'well', d: 'well' },
      'c',
    ],
    [
      'leaves those for last that are known to be unwell',
      { a: 'bad', d: 'good' },
      { a: 'well', b: 'unwell', d: 'well' },
      'ad',
    ],
    [
      'asks the unwell too when nobody else is left',
      { a: 'bad', b: 'good', c: 'bad', d: 'bad' },
      { a: 'unwell', b: 'unwell', c: 'unwell', d: 'well' },
      'dab',
    ],
    [
      'passes over as many as are silent, one after the other',
      { a: 'hang', b: 'bad', d: 'good' },
      { b: 'well', d: 'well' },
      'bd',
    ],
  ];
  for (const [why, script, life, asked] of lives) {
    it(why, async () => {
      const order: string[] = [];
      const { url } = await askUntilGood(
        SERVERS,
        async (server, signal) => {
          order.push(server.url);
          // Long enough for the signs of life to be in.
          await sleep(10);
          const act = script[server.url] ?? 'hang';
          if (act === 'hang') await sleep(60_000, undefined, { signal });
          if (act === 'bad') throw new Error('bad');
          return server.url;
        },
        {
          signal: new AbortController().signal,
          // Never: only signs of life decide.
          delayMs: 60_000,
          signOfLife: (each) => showLife(life[each] ?? 'silent'),
        },
      );
      assert.equal(order.join(''), asked);
      assert.equal(url, asked.at(-1));
    });
  }

  it('fails at once without servers', async () => {
    await assert.rejects(
      askUntilGood([], async () => 1, { signal: new AbortController().signal }),
      UnreachableError,
    );
  });

  it('asks nobody else while an answer is being judged, and goes on when it is bad', async () => {
    for (const isGood of [true, false]) {
      const asked: string[] = [];
      const { url } = await askUntilGood(
        SERVERS,
        async (server, signal, arrived) => {
          asked.push(server.url);
          if (server.url !== 'a') return;
          arrived();
          // Several times as long as it takes until the next one is asked otherwise.
          await sleep(150, undefined, { signal });
          if (!isGood) throw new Error('bad');
        },
        { signal: new AbortController().signal, delayMs: 5 },
      );
      assert.deepEqual([asked, url], isGood ? [['a'], 'a'] : [['a', 'b'], 'b']);
    }
  });
});
