import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { VerifyError } from '../../verifier/errors.ts';
import { blankSubject } from '../session/report-subject.ts';
import { CliError, TransportError, UnreachableError } from '../errors.ts';
import { makeStyle } from './color.ts';
import { diagnoseFailures, diagnoseThrown } from './diagnose.ts';
import { EXIT } from './exit-codes.ts';
import { renderHuman } from './human.ts';
import { renderJson } from './json.ts';
import {
  diagnostic,
  failureReport,
  verificationReport,
  type SubjectReport,
  type Verification,
} from './report.ts';

const FACTS = { version: '1.2.3', startedAtMs: 0, durationMs: 1500 };

function subject(
  verdict: SubjectReport['verdict'],
  diagnostics: SubjectReport['diagnostics'] = [],
): SubjectReport {
  return { ...blankSubject('left-pad', '1.0.0', null), verdict, diagnostics };
}

function verification(...subjects: readonly SubjectReport[]): Verification {
  return {
    source: 'package-lock.json',
    policy: null,
    checkpoint: null,
    subjects,
    replicas: [],
    bytesFetched: 0,
    installed: null,
  };
}

describe('verificationReport', () => {
  const yanked = diagnostic('BP5002', 'yanked', { severity: 'warning' });
  const cases: readonly (readonly [string, readonly SubjectReport[], number, string])[] = [
    ['one verified subject is success', [subject('verified')], 0, 'verified'],
    ['a warning stays a success', [subject('verified', [yanked])], 0, 'verified'],
    [
      'local and bundled subjects may stand beside',
      [subject('verified'), subject('local')],
      0,
      'verified',
    ],
    ['no subject at all is not success', [], EXIT.nothing, 'rejected'],
    ['only local subjects are not success', [subject('local')], EXIT.nothing, 'rejected'],
    ['only bundled subjects are not success', [subject('bundled')], EXIT.nothing, 'rejected'],
    [
      'what a policy allows is not called verified',
      [subject('verified'), subject('excepted')],
      0,
      'allowed',
    ],
    ['an old project may begin with nothing proven', [subject('baseline')], 0, 'allowed'],
    [
      'a policy that allows one thing allows no other',
      [subject('excepted'), subject('rejected')],
      5,
      'error',
    ],
    [
      'a refusal without a recorded reason is a bug',
      [subject('verified'), subject('rejected')],
      5,
      'error',
    ],
    ['an unchecked subject without a reason is a bug', [subject('inconclusive')], 5, 'error'],
    [
      'the most severe kind decides',
      [
        subject('rejected', [diagnostic('BP5003', 'absent')]),
        subject('rejected', [diagnostic('BP1003', 'differs')]),
        subject('verified'),
      ],
      10,
      'rejected',
    ],
    [
      'unreachable alone is inconclusive',
      [subject('verified'), subject('inconclusive', [diagnostic('BP7001', 'silent')])],
      3,
      'inconclusive',
    ],
  ];
  for (const [why, subjects, code, verdict] of cases) {
    it(why, () => {
      const report = verificationReport('verify', verification(...subjects));
      assert.equal(report.exit.code, code);
      assert.equal(report.verdict, verdict);
      const json = JSON.parse(renderJson(report, FACTS)) as {
        readonly verdict: string;
        readonly exit: { readonly code: number };
      };
      assert.equal(json.exit.code, code);
      assert.equal(json.verdict, verdict);
      const { stdout } = renderHuman(report, FACTS, makeStyle(false, true), {
        verbose: false,
        quiet: false,
      });
      assert.equal(/^✔ .* 0 problems/m.test(stdout), code === 0, stdout);
    });
  }
});

describe('failureReport', () => {
  it('is never success, not even without a diagnostic', () => {
    assert.equal(failureReport('verify', []).exit.code, EXIT.internal);
    const warning = diagnostic('BP5002', 'yanked', { severity: 'warning' });
    assert.equal(failureReport('verify', [warning]).exit.code, EXIT.internal);
  });
});

describe('diagnoseThrown', () => {
  const stale = new VerifyError('CHECKPOINT_STALE', 'old');
  const cases: readonly (readonly [string, unknown, string])[] = [
    ['a refusal has its public code', stale, 'BP4001'],
    ['our own error keeps its code', new CliError('BP9003', 'x'), 'BP9003'],
    ['silence is unreachable', new TransportError('UNREACHABLE', 'ECONNREFUSED'), 'BP7001'],
    ['slowness is a timeout', new TransportError('TIMEOUT', 'slow'), 'BP7003'],
    ['a flood is too large', new TransportError('TOO_LARGE', 'flood'), 'BP7002'],
    ['all failed is unreachable', new UnreachableError('none', []), 'BP7001'],
    ['anything else is a bug', new TypeError('x is undefined'), 'BP9999'],
    ['a thrown string is a bug', 'oops', 'BP9999'],
    ['a thrown undefined is a bug', undefined, 'BP9999'],
  ];
  for (const [why, thrown, code] of cases) {
    it(why, () => assert.equal(diagnoseThrown(thrown)[0]?.code, code));
  }
});

describe('diagnoseFailures', () => {
  const url = 'http://r0';
  const dead = { url, error: new TransportError('UNREACHABLE', 'ECONNREFUSED') };
  const forged = { url, error: new VerifyError('INCLUSION_PROOF_INVALID', 'no') };
  const stale = { url, error: new VerifyError('CHECKPOINT_STALE', 'old') };

  it('does not report tampering when too few took part', () => {
    assert.equal(diagnoseFailures('x', [forged, dead, dead], false).code, 'BP7001');
  });

  it('reports the most severe refusal when enough took part', () => {
    assert.equal(diagnoseFailures('x', [stale, forged, stale], true).code, 'BP4004');
  });

  it('reports silence as silence however many are silent', () => {
    assert.equal(diagnoseFailures('x', [dead, dead, dead, dead], true).code, 'BP7001');
  });

  const said = (code: string): { readonly url: string; readonly error: TransportError } => {
    const remote = { code, message: 'as it says' };
    return { url, error: new TransportError('STATUS', 'answered 404', { status: 404, remote }) };
  };
  const other = said('PIN_UNKNOWN');
  const hints: readonly (readonly [string, readonly (typeof dead)[], RegExp])[] = [
    ['all run another log', [other, other, other, other], /^they run another log.*its pin/],
    // One server must not send people after their pin.
    ['one says that it runs another log', [other, dead, dead, dead], /^try again/],
    ['all have nothing yet', [said('NOT_READY'), said('NOT_READY')], /^publish something first/],
    ['nobody answers', [dead, dead, dead, dead], /^try again/],
    ['nobody was asked', [], /^try again/],
  ];
  for (const [why, failures, expected] of hints) {
    it(`says what to do when ${why}`, () => {
      assert.match(diagnoseFailures('x', failures, false).hints[0] ?? '', expected);
    });
  }
});

describe('renderHuman', () => {
  it('lets no escape sequence of a stranger through', () => {
    const evil = `evil\u001b]0;x\u0007\u202e`;
    const bad = diagnostic('BP1003', evil, { details: [[evil, evil]], hints: [evil] });
    const report = verificationReport('verify', {
      ...verification({ ...subject('rejected', [bad]), name: evil, version: evil }),
      source: evil,
      replicas: [{ url: evil, problem: evil }],
    });
    const { stdout, stderr } = renderHuman(report, FACTS, makeStyle(false, true), {
      verbose: true,
      quiet: false,
    });
    // oxlint-disable-next-line no-control-regex -- looking for control characters
    assert.doesNotMatch(stdout + stderr, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
    assert.match(stdout, /BP1003/);
  });
});
