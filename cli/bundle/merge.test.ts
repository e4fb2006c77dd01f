import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { populatedLog } from '../../fixtures/synthetic-log.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { buildEvidence } from '../../verifier/evidence/build.ts';
import { formatEvidence, type Evidence } from '../../verifier/evidence/format.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { shownSubjects } from './contents.ts';
import { mergeEvidence, type MergePoint } from './merge.ts';

const COUNT = 40;
const log = populatedLog(COUNT);
const last = log.entries.at(-1);
assert.ok(last !== undefined);
const commit = parseEntry(last);
assert.ok(commit.kind === 'commit');
const point: MergePoint = { size: log.size, mapRoot: commit.map };

function evidenceOf(wanted: readonly number[]): Evidence {
  const subjects = wanted.map((i): Subject => {
    return { kind: 'release', name: `package-${i}`, version: '1.0.0' };
  });
  return buildEvidence(log.source({}), { pin: log.pin, since: 0, subjects });
}

describe('mergeEvidence', () => {
  // Also of packages that are not in the log: their absence is part of the map.
  const wanted = fc.array(fc.nat(COUNT + 5), { minLength: 1, maxLength: 6 });

  it('gives the document that one question for everything would have given', () => {
    fc.assert(
      fc.property(wanted, wanted, (a, b) => {
        const merged = mergeEvidence(evidenceOf(a), evidenceOf(b), point);
        const asked = evidenceOf([...a, ...b]);
        assert.deepEqual(formatEvidence(merged), formatEvidence(asked));
        assert.deepEqual(shownSubjects(merged), shownSubjects(asked));
      }),
      { numRuns: 60 },
    );
  });

  const good = evidenceOf([3, 9]);
  const zero = new Uint8Array(32);
  const bad: readonly (readonly [string, Evidence])[] = [
    [
      'an entry that differs',
      { ...good, entries: good.entries.map((e) => ({ ...e, data: '{}' })) },
    ],
    ['a tree with a hash too few', { ...good, log: good.log.slice(1) }],
    ['a tree with a hash too many', { ...good, log: [...good.log, zero] }],
    ['a tree that differs', { ...good, log: good.log.map(() => zero) }],
    ['a map of another root', { ...good, map: evidenceOf([3]).map.slice(1) }],
  ];
  for (const [why, other] of bad) {
    it(`refuses ${why}, in either place`, () => {
      const refused = (error: unknown): boolean => error instanceof VerifyError;
      assert.throws(() => mergeEvidence(good, other, point), refused);
      assert.throws(() => mergeEvidence(other, good, point), refused);
    });
  }
});
