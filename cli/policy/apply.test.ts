// The judgement of a policy: rules, and what a project's file may do. The property at the end is the promise:
// whatever a project's file says, it can't make acceptable what the user's file refuses.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import {
  TODAY,
  KEYS,
  release,
  signers,
  proven,
  evidence,
  layer,
  policyOf,
  everywhere,
  exception,
  verified,
  unlogged,
  apply,
  baselineOf,
} from '../../fixtures/policy-cases.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { diagnostic, type SubjectReport } from '../output/report.ts';
import type { Layer, Origin, Policy, Rule } from './policy.ts';

describe('rules', () => {
  const cases: readonly (readonly [
    string,
    Omit<Rule, 'packages'>,
    VerifiedRelease,
    string | null,
  ])[] = [
    ['an age that is reached', { releaseAgeMinSeconds: 3600 }, release(), null],
    ['an age that is not reached', { releaseAgeMinSeconds: 3601 }, release(), 'BP6004'],
    ['enough signers', { signersMin: 2 }, release(), null],
    ['too few signers', { signersMin: 3 }, release(), 'BP6008'],
    [
      'one key under two labels',
      { signersMin: 2 },
      release({ signers: [...signers(1), { name: 'again', keyId: KEYS[0] ?? '' }] }),
      'BP6008',
    ],
    ['pinned signers', { maintainerKeys: KEYS.slice(0, 2) }, release(), null],
    ['one of two pinned signers', { maintainerKeys: KEYS.slice(1) }, release(), 'BP6009'],
    ['fewer pins than needed, all signed', { maintainerKeys: KEYS.slice(0, 1) }, release(), null],
    ['a pin that did not sign', { maintainerKeys: KEYS.slice(2) }, release(), 'BP6009'],
    ['a yanked one', { yanked: 'refuse' }, release({ status: 'yanked' }), 'BP5002'],
    ['no script', { installScripts: 'refuse' }, release(), null],
    [
      'a script',
      { installScripts: 'refuse' },
      release({ manifest: { hasInstallScript: true } }),
      'BP6012',
    ],
  ];
  for (const [why, rule, each, expected] of cases) {
    it(`${expected === null ? 'take' : `refuse with ${expected}`}: ${why}`, () => {
      const policy = policyOf([layer('project', [everywhere(rule)])]);
      const { decided, codes } = apply(policy, verified(each), {
        evidence: evidence([proven(each)]),
      });
      assert.deepEqual(codes, expected === null ? [] : [expected]);
      assert.equal(decided.verdict, expected === null ? 'verified' : 'rejected');
    });
  }

  it('apply to the packages that they name only', () => {
    const rules = [{ packages: ['@acme/*', 'right-pad'], signersMin: 9 }];
    assert.equal(
      apply(policyOf([layer('project', rules)]), verified()).decided.verdict,
      'verified',
    );
  });

  it('refuse a yanked release for new installs, whatever the files say', () => {
    const each = release({ status: 'yanked' });
    const rest = { evidence: evidence([proven(each)]) };
    const warned = {
      ...verified(each),
      diagnostics: [diagnostic('BP5002', 'yanked', { severity: 'warning' })],
    };
    assert.equal(apply(policyOf([]), warned, rest).decided.verdict, 'verified');
    const { decided, codes } = apply(policyOf([]), warned, { ...rest, isNew: () => true });
    assert.equal(decided.verdict, 'rejected');
    assert.deepEqual(codes, ['BP5002'], 'and say so once');
  });
});

describe('a project’s file', () => {
  const subject = unlogged();
  const lifted = layer('project', [], [exception()]);
  const insists = layer('user', [everywhere({ unlogged: 'refuse' })]);
  const rows: readonly (readonly [string, Policy, SubjectReport['verdict']])[] = [
    ['lifts what bftpkg refuses', policyOf([lifted]), 'excepted'],
    ['does not lift what the user refuses', policyOf([insists, lifted]), 'rejected'],
    [
      'lifts it when the user trusts the project',
      policyOf([insists, lifted], { trustsProject: true }),
      'excepted',
    ],
    [
      'has no baseline against the user either',
      policyOf([insists], { baseline: baselineOf(subject) }),
      'rejected',
    ],
    [
      'stays as strict as it wants, whatever the user excepts',
      policyOf([
        layer('user', [], [exception()]),
        layer('project', [everywhere({ unlogged: 'refuse' })]),
      ]),
      'rejected',
    ],
    [
      'agrees with a user who excepts the same',
      policyOf([
        layer('user', insists.rules, [exception()]),
        layer('project', [everywhere({ unlogged: 'refuse' })], [exception()]),
      ]),
      'excepted',
    ],
  ];
  for (const [why, policy, expected] of rows) {
    it(why, () => assert.equal(apply(policy, subject).decided.verdict, expected));
  }

  const pattern = fc.constantFrom('*', 'left-*', 'left-pad', '@acme/*', 'right-pad');
  const codes = ['BP5003', 'BP5002', 'BP6004', 'BP6008', 'BP6009', 'BP6012'] as const;
  const anyRule = fc.record(
    {
      packages: fc.array(pattern, { minLength: 1, maxLength: 2 }),
      releaseAgeMinSeconds: fc.constantFrom(1, 3600, 3601),
      signersMin: fc.constantFrom(1, 2, 3),
      maintainerKeys: fc.subarray(KEYS, { minLength: 1 }),
      installScripts: fc.constant('refuse' as const),
      yanked: fc.constant('refuse' as const),
      unlogged: fc.constant('refuse' as const),
    },
    { requiredKeys: ['packages'] },
  );
  const anyException = fc.record({
    pattern,
    version: fc.constantFrom(null, '1.2.3', '9.9.9'),
    code: fc.constantFrom(...codes),
    reason: fc.constant('r'),
    expires: fc.constantFrom('2026-01-01', '2028-01-01'),
  });
  const anyLayer = (origin: Origin): fc.Arbitrary<Layer> =>
    fc
      .tuple(fc.array(anyRule, { maxLength: 3 }), fc.array(anyException, { maxLength: 3 }))
      .map(([rules, exceptions]) => layer(origin, rules, exceptions));
  const anyRelease = fc
    .record({
      status: fc.constantFrom('active' as const, 'yanked' as const),
      signers: fc.constantFrom(0, 1, 2, 3).map(signers),
      manifest: fc.constantFrom({}, { hasInstallScript: true }),
    })
    .map(release);

  it('can tighten what the user’s file says of a proven release, never loosen', () => {
    let accepted = 0;
    let tightened = 0;
    fc.assert(
      fc.property(anyLayer('user'), anyLayer('project'), anyRelease, (user, project, each) => {
        const rest = { evidence: evidence([proven(each)]) };
        const verdictOf = (layers: readonly Layer[]): string =>
          apply(policyOf(layers, { baseline: baselineOf(unlogged(), codes) }), verified(each), rest)
            .decided.verdict;
        const [alone, both] = [verdictOf([user]), verdictOf([user, project])];
        if (both === 'verified') assert.equal(alone, 'verified');
        if (alone === 'verified' && both !== 'verified') tightened++;
        if (both === 'verified') accepted++;
      }),
      { numRuns: 2000 },
    );
    assert.ok(accepted > 100 && tightened > 100, `${accepted} accepted, ${tightened} tightened`);
  });

  it('never allows an unlogged package where the user’s rules insist on the log', () => {
    let insisted = 0;
    fc.assert(
      fc.property(anyLayer('user'), anyLayer('project'), (user, project) => {
        const rest = { baseline: baselineOf(subject) };
        const insists = user.rules.some(
          ({ packages, unlogged: log }) =>
            log !== undefined && packages.some((each) => each.startsWith('left') || each === '*'),
        );
        const excepts = user.exceptions.some(
          ({ pattern: each, version, code, expires }) =>
            (each.startsWith('left') || each === '*') &&
            version !== '9.9.9' &&
            code === 'BP5003' &&
            expires > TODAY,
        );
        if (!insists || excepts) return;
        insisted++;
        const { decided } = apply(policyOf([user, project], rest), subject);
        assert.equal(decided.verdict, 'rejected');
      }),
      { numRuns: 1000 },
    );
    assert.ok(insisted > 50, String(insisted));
  });
});
