import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { notice, type Notice } from './notices.ts';
import { PENDING_MAX, withNotices, type MonitorState } from './state.ts';

const empty: MonitorState = { audit: null, pending: [], seen: [], troubles: new Map(), heads: [] };
const release = (entry: number): Notice => notice('release', `entry ${entry}`, [entry], entry);
const silent = (n: number): Notice => notice('replica', `replica ${n}`, [n]);
const some = <T>(count: number, make: (i: number) => T): readonly T[] =>
  Array.from({ length: count }, (_, i) => make(i));

describe('withNotices', () => {
  it('tells a security notice once, and an availability notice each time', () => {
    const once = withNotices(empty, [release(1), silent(1)]);
    const again = withNotices({ ...once, pending: [] }, [release(1), silent(1)]);
    assert.deepEqual(
      again.pending.map(({ kind }) => kind),
      ['replica'],
    );
  });

  it('says what it has no room for, and does not count it as told', () => {
    const found = [...some(3, silent), ...some(PENDING_MAX + 5, release)];
    const { pending, seen } = withNotices(empty, found);
    assert.equal(pending.length, PENDING_MAX);
    assert.equal(pending.at(-1)?.kind, 'more');
    assert.match(pending.at(-1)?.message ?? '', /^6 more notices from entry 9999 on/);
    assert.ok(seen.includes(release(9998).id), 'the last that is kept');
    assert.ok(!seen.includes(release(9999).id), 'the first that is not');
  });

  it('gives up what is about availability first', () => {
    const found = [...some(PENDING_MAX, silent), release(1)];
    const { pending } = withNotices(empty, found);
    assert.deepEqual([pending.length, pending[0]?.kind], [PENDING_MAX, 'release']);
    assert.ok(!pending.some(({ kind }) => kind === 'more'), 'no security notice is missing');
  });
});
