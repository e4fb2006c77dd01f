import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Publisher } from '../../fixtures/publisher.ts';
import { formatEntry } from '../../verifier/entry.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import type { ReleaseRecord } from '../../verifier/map/records.ts';
import { readPackage } from './registry.ts';

describe('readPackage', () => {
  it('lets votes pass while it reads a package of many versions', async () => {
    const observed = new Map([['log.example', { size: 0, root: EMPTY_ROOT }]]);
    const { envelope } = new Publisher('log.example').release('a', '1.0.0', observed);
    const entry = formatEntry({ kind: 'release', time: 1, envelope });
    const statement = '00'.repeat(32);
    const record: ReleaseRecord = { index: 1, statement, status: 'active', withdrawal: null };
    const row = {
      name: 'a',
      record: { maintainers: 0, sequence: 0, releases: 500, latest: '1.0.0' },
      versions: Array.from({ length: 500 }, () => ({ version: '1.0.0', record })),
    };
    let [turns, isDone] = [0, false];
    const count = (): void => {
      turns++;
      if (!isDone) setImmediate(count);
    };
    setImmediate(count);
    // Like the real store: the answer is there at once, and awaiting it gives nobody else a turn.
    const source = await readPackage({ entry: async () => entry }, row);
    isDone = true;
    assert.equal(source?.releases.length, 500);
    assert.ok(turns >= 10, `${turns} turns`);
  });
});
