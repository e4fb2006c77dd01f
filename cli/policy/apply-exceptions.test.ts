// What a policy allows although it is refused: exceptions, and the baseline of an old project.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  NOW,
  TODAY,
  layer,
  policyOf,
  everywhere,
  exception,
  verified,
  unlogged,
  refusedFor,
  apply,
  baselineOf,
} from '../../fixtures/policy-cases.ts';
import { diagnostic, type SubjectReport } from '../output/report.ts';
import { applyPolicy } from './apply.ts';
import { bindingsOf } from './baseline.ts';
import type { Exception } from './policy.ts';
import { NOBODY_ASKED } from './predecessor.ts';

describe('exceptions', () => {
  it('allow until their last day, with their reason, and never call it verified', () => {
    const policy = policyOf([layer('project', [], [exception({ expires: TODAY })])]);
    const { decided, codes, warnings } = apply(policy, unlogged());
    assert.equal(decided.verdict, 'excepted');
    assert.deepEqual([codes, warnings], [[], []]);
    const { decision } = decided;
    assert.deepEqual(
      [decision?.kind, decision?.reason, decision?.expires, decision?.source],
      ['excepted', 'ours', TODAY, 'project.json'],
    );
    assert.deepEqual(
      decision?.suppressed.map(({ code }) => code),
      ['BP5003'],
    );
  });

  it('refuse after it, and say that they did expire', () => {
    const policy = policyOf([layer('project', [], [exception({ expires: '2027-01-14' })])]);
    const { decided, codes, warnings } = apply(policy, unlogged());
    assert.equal(decided.verdict, 'rejected');
    assert.deepEqual(codes, ['BP5003', 'BP6002']);
    assert.deepEqual(warnings, []);
  });

  it('of a proven release leave it verified, with the decision', () => {
    const rules = [everywhere({ signersMin: 9 })];
    const policy = policyOf([layer('project', rules, [exception({ code: 'BP6008' })])]);
    const { decided, codes } = apply(policy, verified());
    assert.equal(decided.verdict, 'verified');
    assert.deepEqual(codes, []);
    assert.equal(decided.decision?.kind, 'excepted');
  });

  const others: readonly (readonly [string, Partial<Exception>])[] = [
    ['another code', { code: 'BP6004' }],
    ['another package', { pattern: 'right-pad' }],
    ['another version', { version: '1.2.4' }],
  ];
  for (const [why, fields] of others) {
    it(`of ${why} allow nothing, and are reported as unused`, () => {
      const policy = policyOf([layer('project', [], [exception(fields)])]);
      const { decided, warnings } = apply(policy, unlogged());
      assert.equal(decided.verdict, 'rejected');
      assert.deepEqual(
        warnings.map(({ code, severity }) => [code, severity]),
        [['BP6010', 'warning']],
      );
      assert.deepEqual(apply(policy, unlogged(), { isWhole: false }).warnings, []);
    });
  }

  it('have to cover every reason', () => {
    const rules = [everywhere({ signersMin: 9, releaseAgeMinSeconds: 9999 })];
    const half = policyOf([layer('project', rules, [exception({ code: 'BP6008' })])]);
    const { decided, codes, warnings } = apply(half, verified());
    assert.equal(decided.verdict, 'rejected');
    assert.deepEqual(codes, ['BP6004', 'BP6008']);
    assert.deepEqual(warnings, [], 'it is needed all the same');
  });

  const proofs = ['BP1001', 'BP1003', 'BP1007', 'BP2001', 'BP4004', 'BP5001', 'BP7005'] as const;
  for (const code of proofs) {
    it(`never allow ${code}, whoever wrote them`, () => {
      const lies = [exception({ code }), exception({ code, pattern: 'left-pad' })];
      const baseline = baselineOf(unlogged(), [code]);
      const layers = [layer('user', [], lies), layer('project', [], lies)];
      const subject = { ...refusedFor(code), digest: { logged: null, found: 'sha512-x' } };
      const { decided } = apply(policyOf(layers, { baseline, trustsProject: true }), subject);
      assert.deepEqual(decided.diagnostics, subject.diagnostics);
      assert.equal(decided.verdict, subject.verdict);
    });
  }
});

describe('the baseline', () => {
  it('allows what was there, and nothing else', () => {
    const policy = policyOf([layer('project', [])], { baseline: baselineOf(unlogged()) });
    assert.equal(apply(policy, unlogged()).decided.verdict, 'baseline');
    assert.deepEqual(apply(policy, unlogged()).warnings, []);
    const others: readonly (readonly [string, SubjectReport])[] = [
      ['other bytes', unlogged('left-pad', 'sha512-y')],
      ['no digest any more', unlogged('left-pad', null)],
      ['another package', unlogged('right-pad')],
      ['another version', { ...unlogged(), version: '1.2.4' }],
      ['another reason', refusedFor('BP6006', 'left-pad', 'sha512-x')],
    ];
    for (const [why, subject] of others) {
      const { decided, warnings } = apply(policy, subject);
      assert.equal(decided.verdict, 'rejected', why);
      assert.deepEqual(
        warnings.map(({ code }) => code),
        ['BP6010'],
        why,
      );
    }
  });

  it('is needed, and no problem, where something else is wrong as well', () => {
    // As `verify --installed` has it: not in the log, as ever, and now with other files.
    const policy = policyOf([layer('project', [])], { baseline: baselineOf(unlogged()) });
    const changed = diagnostic('BP1008', 'left-pad: 1 file not as in the tarball');
    const subject = { ...unlogged(), diagnostics: [...unlogged().diagnostics, changed] };
    const { decided, codes, warnings } = apply(policy, subject);
    assert.equal(decided.verdict, 'rejected');
    assert.deepEqual(codes, ['BP1008']);
    assert.deepEqual(warnings, [], 'pruned, it would have one problem more');
    // What is only unclear proves nothing: the reason to refuse it stays in sight.
    const unclear = diagnostic('BP7005', 'left-pad: not covered');
    const both = { ...unlogged(), diagnostics: [...unlogged().diagnostics, unclear] };
    assert.deepEqual(apply(policy, both).codes, ['BP5003', 'BP7005']);
  });

  it('ties what has no digest to the words of the lockfile', () => {
    const git = refusedFor('BP6006');
    const text = 'a:\nleft-pad:\n  git+ssh://x#abc\nright-pad:\n';
    const lines = [2, 4];
    const binding = bindingsOf(text, lines)(git);
    assert.ok(binding?.kind === 'entry');
    const packages = [{ name: 'left-pad', version: '1.2.3', binding, codes: ['BP6006' as const] }];
    const policy = policyOf([], { baseline: { path: 'baseline.json', packages } });
    const after = (line: number): SubjectReport => {
      return { ...git, location: { file: 'lock', line }, name: 'right-pad' };
    };
    const decide = (lockText: string): readonly string[] =>
      applyPolicy({
        policy,
        subjects: [git, after(lockText.split('\n').indexOf('right-pad:') + 1)],
        evidence: undefined,
        known: NOBODY_ASKED,
        lockText,
        isNew: () => false,
        nowMs: NOW * 1000,
        isWhole: true,
      }).subjects.map(({ verdict }) => verdict);
    assert.deepEqual(decide(text), ['baseline', 'rejected']);
    assert.deepEqual(decide(text.replace('#abc', '#abd')), ['rejected', 'rejected']);
    // Indentation means nothing to JSON: what stands before the next entry belongs to this one.
    assert.deepEqual(decide(text.replace('#abc\n', '#abc\nresolved: evil\n')).at(0), 'rejected');
    assert.deepEqual(decide(`${text}  more\n`), ['baseline', 'rejected']);
  });
});
