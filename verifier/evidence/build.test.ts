import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog, populatedLog } from '../../fixtures/synthetic-log.ts';
import { VerifyError } from '../errors.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { buildEvidence } from './build.ts';
import { formatEvidence, parseEvidence } from './format.ts';
import { parseSubject, subjectId, type Subject } from './subject.ts';
import { verifyEvidence } from './verify.ts';

const THREE = { maintainers: ['ada', 'ben', 'eve'], faulty: 1 };
const release = (name: string, version = '1.0.0'): Subject => ({ kind: 'release', name, version });

describe('buildEvidence', () => {
  const log = populatedLog(250);

  it('makes one document that verifies many subjects, small when they are few', async () => {
    const all = Array.from({ length: 250 }, (_, i) => release(`package-${i}`));
    const large = formatEvidence(log.evidence(all));
    const small = formatEvidence(log.evidence(all.slice(100, 101)));
    // Beside its entries a single subject needs the roster, the note and two paths.
    assert.ok(
      large.length < 250 * 3_500 && small.length < 16_000,
      `${large.length} ${small.length}`,
    );
    for (const [document, subjects] of [
      [large, all],
      [small, all.slice(100, 101)],
    ] as const) {
      const result = await verifyEvidence(
        {
          evidence: parseEvidence(document),
          pin: log.pin,
          subjects,
          nowSeconds: log.time,
          checkpointAgeMaxSeconds: 60,
          clockSkewMaxSeconds: 0,
        },
        nativeVerifier,
      );
      assert.equal(
        result.subjects.filter(({ kind }) => kind === 'verified').length,
        subjects.length,
      );
    }
  });

  it('shows the same document for subjects in any order and number', () => {
    const [a, b] = [release('package-3'), release('package-200')];
    const expected = formatEvidence(log.evidence([a, b]));
    assert.deepEqual(formatEvidence(log.evidence([b, a, b])), expected);
  });

  it('brings the maintainers of all packages of a statement, and the reason of a withdrawal', () => {
    const many = new SyntheticLog();
    const p = many.maintain('p', THREE);
    const q = many.maintain('q', THREE);
    const other = many.maintain('other', THREE);
    const both = many.release([
      { name: 'p', version: '1.0.0' },
      { name: 'q', version: '1.0.0' },
    ]);
    const why = many.withdraw('p', '1.0.0', 'yanked');
    const size = many.commit();
    const { entries } = many.evidence([release('p')]);
    const indexes = entries.map(({ index }) => index);
    assert.deepEqual(indexes, [p, q, both, why, size - 1]);
    assert.ok(!indexes.includes(other));
  });

  it('refuses a pin that is none of its rosters', () => {
    const query = { pin: 'ab'.repeat(32), since: 0, subjects: [release('package-1')] };
    assert.throws(
      () => buildEvidence(log.source(), query),
      (error: unknown) => error instanceof VerifyError && error.code === 'ROSTER_NOT_PINNED',
    );
  });

  it('proves growth only from sizes that it has outgrown', () => {
    const { size } = log;
    const cases: readonly (readonly [since: number, proven: boolean])[] = [
      [0, false],
      [1, true],
      [size - 1, true],
      [size, false],
      [size + 1, false],
    ];
    for (const [since, proven] of cases) {
      const { consistency } = log.evidence([release('package-1')], { since });
      assert.equal(consistency?.size, proven ? since : undefined, `since ${since}`);
    }
  });
});

describe('subjectId', () => {
  const cases: readonly string[] = ['pkg:npm/left', 'pkg:npm/%40a/b', 'pkg:npm/%40a/b@1.0.0-rc.1'];
  for (const purl of cases) {
    it(`is the purl that parseSubject reads: ${purl}`, () =>
      assert.equal(subjectId(parseSubject(purl)), purl));
  }
  it('refuses another spelling', () => {
    for (const purl of ['pkg:npm/@a/b', 'pkg:npm/left@', 'left', 'pkg:npm/left@1.0.0?x=y']) {
      assert.throws(() => parseSubject(purl), VerifyError, purl);
    }
  });
});
