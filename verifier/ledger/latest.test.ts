import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import type { PackageRecord, ReleaseRecord } from '../map/records.ts';
import { rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { RankedVersions, latestWith } from './latest.ts';
import { MemoryLedger } from './memory-ledger.ts';
import { Scratch } from './scratch.ts';

const version = fc
  .record({ major: fc.nat(2), minor: fc.nat(11), tag: fc.constantFrom('', '-a', '-a.1', '-b') })
  .map(({ major, minor, tag }) => `${major}.${minor}.0${tag}`);

/** As anybody would look for it. */
function naiveLatest(versions: Iterable<string>): string | null {
  let latest: string | null = null;
  for (const one of versions) latest = latestWith(latest, one);
  return latest;
}

describe('RankedVersions', () => {
  it('finds the latest as a look at all of them does', () => {
    const step = fc.oneof(
      fc.record({ add: version }),
      fc.record({ drop: fc.constantFrom('best', 'any'), which: fc.nat() }),
    );
    fc.assert(
      fc.property(fc.array(version), fc.array(step), (first, steps) => {
        const active = new Set(first);
        const ranked = new RankedVersions(active);
        for (const one of steps) {
          if ('add' in one) {
            active.add(one.add);
            ranked.add(one.add);
          } else if (one.drop === 'best') active.delete(naiveLatest(active) ?? '');
          else active.delete([...active][one.which % Math.max(1, active.size)] ?? '');
          const isActive = (text: string): boolean => active.has(text);
          assert.equal(ranked.latest(isActive), naiveLatest(active));
        }
      }),
    );
  });
});

/** One package of many versions, and how often all of them were looked at. */
class LargePackage extends MemoryLedger {
  looks = 0;
  readonly #rows: ReadonlyMap<string, ReleaseRecord>;
  readonly #latest: string | null;

  constructor(versions: readonly string[]) {
    super(rosterEnvelope(4));
    const record: ReleaseRecord = {
      index: 0,
      statement: '00'.repeat(32),
      status: 'active',
      withdrawal: null,
    };
    this.#rows = new Map(versions.map((one) => [one, record]));
    this.#latest = naiveLatest(versions);
  }

  override packageRecord(): PackageRecord {
    return { maintainers: 0, sequence: 0, releases: this.#rows.size, latest: this.#latest };
  }

  override releaseRecord(_: string, text: string): ReleaseRecord | undefined {
    return this.#rows.get(text);
  }

  override versions(): ReturnType<MemoryLedger['versions']> {
    this.looks += 1;
    return [...this.#rows].map(([text, { status }]) => ({ version: text, status }));
  }
}

describe('Scratch', () => {
  it('looks at all versions of a package once, however often a batch takes back the latest', () => {
    const all = Array.from({ length: 300 }, (_, i) => `1.${i}.0`);
    const base = new LargePackage(all);
    const scratch = new Scratch(base, 1);
    const expected = new Set(all);
    const put = (text: string, status: 'yanked' | 'active', i: number): void => {
      if (status === 'active') expected.add(text);
      else expected.delete(text);
      scratch.apply({ kind: 'withdrawal', name: 'p', version: text, status }, `${i}`, i);
      assert.equal(scratch.packageRecord('p')?.latest, naiveLatest(expected), `after ${i}`);
    };
    for (let i = 0; i < 200; i++) {
      put(scratch.packageRecord('p')?.latest ?? '', 'yanked', i);
      // Others of it, one that comes back, and a new one between them.
      if (i % 7 === 0) put(`1.${i}.0`, 'yanked', i);
      if (i % 11 === 0) put(`1.${299 - i}.0`, 'active', i);
      if (i % 13 !== 0) continue;
      const text = `1.${290 - i}.5`;
      expected.add(text);
      const releases = [{ name: 'p', version: text }];
      scratch.apply({ kind: 'release', statement: '11'.repeat(32), releases }, `r${i}`, i);
      assert.equal(scratch.packageRecord('p')?.latest, naiveLatest(expected), `released ${i}`);
    }
    assert.equal(base.looks, 1);
  });
});
