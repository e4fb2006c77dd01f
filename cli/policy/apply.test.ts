// The judgement of a policy. The property at the end is the promise: whatever a project's file says, it
// can't make acceptable what the user's file refuses.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { VerifyError } from '../../verifier/errors.ts';
import type { SubjectResult, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import type { DiagnosticCode } from '../output/codes.ts';
import { diagnostic, type SubjectReport } from '../output/report.ts';
import { blankSubject } from '../session/report-subject.ts';
import { applyPolicy, type PolicyCase } from './apply.ts';
import { bindingsOf } from './baseline.ts';
import type { Baseline, Exception, Layer, Origin, Policy, Rule } from './policy.ts';
import { NOBODY_ASKED, type KnownVersions } from './predecessor.ts';

const LOGGED = 1_800_000_000;
const NOW = LOGGED + 3600;
const TODAY = '2027-01-15';
const KEYS = ['aa', 'bb', 'cc'].map((each) => each.repeat(32));

function release(fields: Partial<VerifiedRelease> = {}): VerifiedRelease {
  const name = fields.name ?? 'left-pad';
  const version = fields.version ?? '1.2.3';
  return {
    name,
    version,
    purl: `pkg:npm/${name}@${version}`,
    sha512: new Uint8Array(64),
    size: 1,
    manifest: {},
    index: 7,
    statement: '00'.repeat(32),
    loggedAt: LOGGED,
    status: 'active',
    signers: signers(2),
    required: 2,
    latest: version,
    ...fields,
  };
}

function signers(count: number): VerifiedRelease['signers'] {
  return KEYS.slice(0, count).map((keyId, i) => ({ name: `m${i}`, keyId }));
}

function proven(each: VerifiedRelease): SubjectResult {
  const { name, version } = each;
  return { kind: 'verified', subject: { kind: 'release', name, version }, release: each };
}

function absent(version: string): SubjectResult {
  return { kind: 'absent', subject: { kind: 'release', name: 'left-pad', version } };
}

function refusedResult(version: string, code: 'RELEASE_REVOKED' | 'ENTRY_MISMATCH'): SubjectResult {
  const subject = { kind: 'release', name: 'left-pad', version } as const;
  return { kind: 'refused', subject, error: new VerifyError(code, code) };
}

function record(releases: number): SubjectResult {
  const subject = { kind: 'package', name: 'left-pad' } as const;
  return { kind: 'package', subject, package: { releases } } as SubjectResult;
}

function evidence(subjects: readonly SubjectResult[]): VerifiedEvidence {
  return { subjects, checkpoint: { certifiedTime: NOW } } as unknown as VerifiedEvidence;
}

function lists(...all: readonly (readonly string[])[]): KnownVersions {
  return { listsOf: () => all };
}

function layer(
  origin: Origin,
  rules: readonly Rule[],
  exceptions: readonly Exception[] = [],
): Layer {
  return {
    origin,
    source: `${origin}.json`,
    checkpointAgeMaxSeconds: undefined,
    rules,
    exceptions,
  };
}

function policyOf(layers: readonly Layer[], rest: Partial<Policy> = {}): Policy {
  return { layers, baseline: undefined, trustsProject: false, ...rest };
}

function everywhere(rule: Omit<Rule, 'packages'>): Rule {
  return { packages: ['*'], ...rule };
}

function exception(fields: Partial<Exception> = {}): Exception {
  const good = { pattern: '*', version: null, code: 'BP5003' as const, reason: 'ours' };
  return { ...good, expires: '2027-01-31', ...fields };
}

function verified(each: VerifiedRelease = release()): SubjectReport {
  return { ...blankSubject(each.name, each.version, null), verdict: 'verified' };
}

function unlogged(name = 'left-pad', found: string | null = 'sha512-x'): SubjectReport {
  return refusedFor('BP5003', name, found);
}

function refusedFor(code: DiagnosticCode, name = 'left-pad', found: string | null = null) {
  const problem = diagnostic(code, `${name}: ${code}`);
  const subject: SubjectReport = {
    ...blankSubject(name, '1.2.3', { file: 'lock', line: 2 }),
    verdict: problem.severity === 'inconclusive' ? 'inconclusive' : 'rejected',
    digest: { logged: null, found },
    diagnostics: [problem],
  };
  return subject;
}

function apply(policy: Policy, subject: SubjectReport, rest: Partial<PolicyCase> = {}) {
  const outcome = applyPolicy({
    policy,
    subjects: [subject],
    evidence: evidence([proven(release())]),
    known: NOBODY_ASKED,
    lockText: undefined,
    isNew: () => false,
    nowMs: NOW * 1000,
    isWhole: true,
    ...rest,
  });
  const [decided] = outcome.subjects;
  assert.ok(decided !== undefined && outcome.subjects.length === 1);
  return { ...outcome, decided, codes: decided.diagnostics.map(({ code }) => code) };
}

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

describe('the release before', () => {
  const script = { hasInstallScript: true };
  const fewer: Rule = everywhere({ signersNotFewer: true });
  const noNew: Rule = everywhere({ installScripts: 'no-new-in-patch' });
  const one = release({ signers: signers(1) });
  const withScript = release({ manifest: script });
  type Row = readonly [
    string,
    Rule,
    VerifiedRelease,
    readonly SubjectResult[],
    KnownVersions,
    string | null,
  ];
  const cases: readonly Row[] = [
    [
      'had more signers',
      fewer,
      one,
      [proven(release({ version: '1.2.2' }))],
      lists(['1.2.2', '1.2.3']),
      'BP6001',
    ],
    [
      'had as many',
      fewer,
      release(),
      [proven(release({ version: '1.2.2' }))],
      lists(['1.2.2']),
      null,
    ],
    [
      'is the nearest, not any',
      fewer,
      one,
      [
        proven(release({ version: '1.2.1' })),
        proven(release({ version: '1.2.2', signers: signers(1) })),
      ],
      lists(['1.2.1', '1.2.2']),
      null,
    ],
    [
      'is hidden by one list and named by another',
      fewer,
      one,
      [
        proven(release({ version: '1.2.1', signers: signers(1) })),
        proven(release({ version: '1.2.2' })),
      ],
      lists(['1.2.1'], ['1.2.1', '1.2.2']),
      'BP6001',
    ],
    [
      'is not a later one',
      fewer,
      one,
      [proven(release({ version: '1.2.4' }))],
      lists(['1.2.4']),
      null,
    ],
    [
      'is not one that a list invents',
      fewer,
      one,
      [absent('1.2.2'), proven(release({ version: '1.2.1' }))],
      lists(['1.2.1'], ['1.2.2']),
      'BP6001',
    ],
    [
      'is not a revoked one',
      fewer,
      one,
      [
        refusedResult('1.2.2', 'RELEASE_REVOKED'),
        proven(release({ version: '1.2.1', signers: signers(1) })),
      ],
      lists(['1.2.1'], ['1.2.2']),
      null,
    ],
    [
      'is named and not proven',
      fewer,
      one,
      [
        refusedResult('1.2.2', 'ENTRY_MISMATCH'),
        proven(release({ version: '1.2.1', signers: signers(1) })),
      ],
      lists(['1.2.1'], ['1.2.2']),
      'BP7006',
    ],
    [
      'is named, not proven, and the only one',
      fewer,
      one,
      [refusedResult('1.2.2', 'ENTRY_MISMATCH')],
      lists(['1.2.2']),
      'BP7006',
    ],
    ['does not exist', fewer, one, [], lists(['1.2.3'], ['1.2.3']), null],
    ['is unknown without lists', fewer, one, [record(2)], NOBODY_ASKED, 'BP7006'],
    ['is proven not to exist', fewer, one, [record(1)], NOBODY_ASKED, null],
    [
      'is not determined by too few lists',
      fewer,
      one,
      [record(1), proven(release({ version: '1.2.2', signers: signers(1) }))],
      { listsOf: () => 'too-few' },
      'BP7006',
    ],
    [
      'is proven not to exist by all others',
      fewer,
      one,
      [record(3), proven(release({ version: '2.0.0' })), refusedResult('2.0.1', 'RELEASE_REVOKED')],
      NOBODY_ASKED,
      null,
    ],
    [
      'comes from a bundle',
      fewer,
      one,
      [proven(release({ version: '1.2.2' }))],
      NOBODY_ASKED,
      'BP6001',
    ],
    [
      'had no script',
      noNew,
      withScript,
      [proven(release({ version: '1.2.2' }))],
      lists(['1.2.2']),
      'BP6012',
    ],
    [
      'had one as well',
      noNew,
      withScript,
      [proven(release({ version: '1.2.2', manifest: script }))],
      lists(['1.2.2']),
      null,
    ],
    [
      'was of another minor version',
      noNew,
      withScript,
      [proven(release({ version: '1.1.9' }))],
      lists(['1.1.9']),
      null,
    ],
    ['does not matter without a script', noNew, release(), [record(2)], NOBODY_ASKED, null],
  ];
  for (const [why, rule, each, others, known, expected] of cases) {
    it(`${why}: ${expected ?? 'fine'}`, () => {
      const rest = { evidence: evidence([proven(each), ...others]), known };
      const { codes, decided } = apply(policyOf([layer('project', [rule])]), verified(each), rest);
      assert.deepEqual(codes, expected === null ? [] : [expected]);
      const verdict =
        expected === null ? 'verified' : expected === 'BP7006' ? 'inconclusive' : 'rejected';
      assert.equal(decided.verdict, verdict);
    });
  }
});

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
    const { decided, codes } = apply(half, verified());
    assert.equal(decided.verdict, 'rejected');
    assert.deepEqual(codes, ['BP6004', 'BP6008']);
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

function baselineOf(
  subject: SubjectReport,
  codes: readonly DiagnosticCode[] = ['BP5003'],
): Baseline {
  const { name, version, digest } = subject;
  const binding = { kind: 'integrity', sri: digest.found ?? '' } as const;
  return { path: 'baseline.json', packages: [{ name, version, binding, codes }] };
}

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
