import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { BusyError } from './face.ts';
import { PackumentCache } from './packument-cache.ts';
import type { PackumentBounds } from './packument-cache.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** A cache whose documents the test makes; `begun` has the keys in order. */
function kitchen(bounds: PackumentBounds) {
  const cache = new PackumentCache(bounds);
  const begun: string[] = [];
  const ends = new Map<string, (document: string | undefined) => void>();
  const ask = (key: string): Promise<string | undefined> =>
    cache.get(key, () => {
      begun.push(key);
      return new Promise((resolve) => ends.set(key, resolve));
    });
  const end = async (key: string, document: string | undefined = key): Promise<void> => {
    ends.get(key)?.(document);
    await turn();
  };
  return { cache, begun, ask, end };
}

describe('PackumentCache', () => {
  it('makes a document once, for all who ask meanwhile and later', async () => {
    const { begun, ask, end } = kitchen({});
    const all = [ask('a'), ask('a')];
    await end('a', 'text');
    assert.deepEqual(await Promise.all([...all, ask('a')]), ['text', 'text', 'text']);
    assert.deepEqual(begun, ['a']);
  });

  it('makes a few at a time, lets some wait in order, and says no to more', async () => {
    const { begun, ask, end } = kitchen({ builds: 2, waiting: 2 });
    const all = ['a', 'b', 'c', 'd'].map((key) => ask(key));
    await assert.rejects(ask('e'), BusyError);
    assert.deepEqual(begun, ['a', 'b']);
    await end('b');
    assert.deepEqual(begun, ['a', 'b', 'c']);
    for (const key of ['a', 'c', 'd']) await end(key);
    assert.deepEqual(await Promise.all(all), ['a', 'b', 'c', 'd']);
    const late = ask('e');
    await end('e');
    assert.equal(await late, 'e');
  });

  it('frees the place of one that fails, and keeps neither that nor an absence', async () => {
    const cache = new PackumentCache({ builds: 1, waiting: 0 });
    await assert.rejects(
      cache.get('a', () => Promise.reject(new Error('no'))),
      /no/,
    );
    assert.equal(await cache.get('a', async () => undefined), undefined);
    assert.equal(await cache.get('a', async () => 'text'), 'text');
  });

  it('keeps a bounded length, of what was asked for last', async () => {
    const cache = new PackumentCache({ keptLength: 10 });
    let made = 0;
    const get = (key: string, length: number): Promise<string | undefined> =>
      cache.get(key, async () => {
        made++;
        return 'x'.repeat(length);
      });
    await get('a', 5);
    await get('b', 5);
    await get('a', 5);
    assert.equal(made, 2);
    await get('c', 5);
    await get('a', 5);
    assert.equal(made, 3, 'a was asked for after b');
    await get('b', 5);
    assert.equal(made, 4);
    await get('large', 11);
    await get('large', 11);
    assert.equal(made, 6, 'never kept, and nothing is thrown out for it');
    await get('b', 5);
    assert.equal(made, 6);
  });
});
