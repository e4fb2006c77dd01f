import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { LruMap } from './lru.ts';

describe('LruMap', () => {
  it('remembers the half that was used last, read or written', () => {
    const map = new LruMap<number, string>(100);
    for (let i = 0; i < 1000; i++) {
      map.set(i, `${i}`);
      map.get(7);
      // 7 and the 24 before this one, each use counted.
      for (let back = 0; back < 24 && i - back >= 0; back++) {
        assert.equal(map.get(i - back), `${i - back}`);
      }
      if (i >= 7) assert.equal(map.get(7), '7');
    }
  });

  it('never remembers more than it may', () => {
    for (const countMax of [2, 3, 10, 101]) {
      const map = new LruMap<number, number>(countMax);
      for (let i = 0; i < 10 * countMax; i++) {
        map.set(i, i);
        if (i % 3 === 0) map.get(i - Math.floor(countMax / 2));
      }
      assert.ok(map.size > 0 && map.size <= countMax, `${map.size} of ${countMax}`);
    }
  });

  it('gives the newest value of a key, and none after it was deleted', () => {
    const map = new LruMap<string, number>(4);
    map.set('a', 1);
    map.set('b', 1);
    map.set('a', 2);
    assert.equal(map.get('a'), 2);
    map.set('c', 1);
    assert.equal(map.get('a'), 2, 'the value before is in the older half still');
    map.delete('a');
    assert.equal(map.get('a'), undefined);
    map.set('d', 1);
    map.clear();
    assert.equal(map.get('b') ?? map.get('c') ?? map.get('d'), undefined);
  });
});
