import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { parseEntry } from '../entry.ts';
import { VerifyError } from '../errors.ts';
import { openMaintainerSet } from '../statements/maintainers.ts';
import { setInForceAt } from './chain.ts';
import type { ShownSet } from './shown-log.ts';

describe('setInForceAt', () => {
  const log = new SyntheticLog();
  log.maintain('other', { maintainers: ['ada'], faulty: 0 });
  const first = log.maintain('p', { maintainers: ['ada'], faulty: 0 });
  log.commit();
  const second = log.maintain('p', { maintainers: ['ben'], faulty: 0 });
  log.commit();
  const sets = [first, second].map((index): ShownSet => {
    const entry = parseEntry(log.entries[index] ?? new Uint8Array(0));
    assert.ok(entry.kind === 'maintainers');
    return { index, opened: openMaintainerSet(entry.envelope) };
  });

  const cases: readonly (readonly [why: string, index: number, sequence: number | undefined])[] = [
    ['long before', 0, undefined],
    ['the entry of the first set itself', first, undefined],
    ['right after the first set', first + 1, 0],
    ['the entry of the second set itself', second, 0],
    ['right after the second set', second + 1, 1],
    ['long after', 1_000_000, 1],
  ];
  for (const [why, index, sequence] of cases) {
    it(`${why}: ${sequence ?? 'none'}`, () => {
      if (sequence !== undefined) {
        assert.equal(setInForceAt(sets, index).sequence, sequence);
        return;
      }
      assert.throws(
        () => setInForceAt(sets, index),
        (error: unknown) =>
          error instanceof VerifyError && error.code === 'MAINTAINER_CHAIN_BROKEN',
      );
    });
  }
});
