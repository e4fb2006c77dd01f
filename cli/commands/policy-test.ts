// `bftpkg policy test`: made-up releases against the policy that applies here. Nobody is asked.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { SubjectResult } from '../../verifier/evidence/subject.ts';
import type { Invocation } from '../context.ts';
import { configError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { diagnostic, doneReport, failureReport, type Report } from '../output/report.ts';
import type { SubjectReport } from '../output/report.ts';
import { applyPolicy } from '../policy/apply.ts';
import { readFixture, type Expectation, type PolicyTestCase } from '../policy/fixture.ts';
import type { Policy } from '../policy/policy.ts';
import { reportRelease } from '../session/report-subject.ts';
import { loadConfig } from '../trust/config.ts';

const OUTCOMES: Readonly<Partial<Record<SubjectReport['verdict'], Expectation>>> = {
  rejected: 'refused',
  inconclusive: 'unclear',
  excepted: 'excepted',
};

/** What the policy says about a case. */
interface Outcome {
  readonly found: Expectation | undefined;
  readonly codes: readonly string[];
}

/** `policy test <file>`. */
export async function policyTest({ context, globals }: Invocation, file: string): Promise<Report> {
  const { policy } = await loadConfig(context, globals);
  const path = resolve(context.cwd, file);
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw configError(`${file}: ${systemReason(error, 'cannot be read')}`);
  }
  const nowMs = context.nowMs();
  const cases = readFixture(text, file, Math.floor(nowMs / 1000));
  const results = cases.map((each) => ({ each, outcome: judge(policy, each, nowMs) }));
  const failed = results.filter(({ each, outcome }) => !isExpected(each, outcome));
  const result = {
    data: {
      cases: results.map(({ each, outcome }) => ({
        why: each.why,
        subject: `${each.name}@${each.version}`,
        expected: each.expect,
        found: outcome.found ?? null,
        codes: outcome.codes,
        passed: isExpected(each, outcome),
      })),
    },
    lines: [
      ...results
        .filter(({ each, outcome }) => isExpected(each, outcome))
        .map(({ each }) => `ok  ${each.why}`),
      `${cases.length - failed.length} of ${cases.length} cases are as expected`,
    ],
  };
  if (failed.length === 0) return doneReport('policy test', result);
  const found = failed.map(({ each, outcome }) =>
    diagnostic('BP9004', `${each.why}: not what the case expects`, {
      details: [
        ['subject', `${each.name}@${each.version}`],
        ['expected', describe(each.expect, each.codes)],
        ['found', describe(outcome.found ?? 'nothing', outcome.codes)],
      ],
      hints: ['bftpkg policy show --show-origin'],
    }),
  );
  return { ...failureReport('policy test', found), result };
}

function judge(policy: Policy, each: PolicyTestCase, nowMs: number): Outcome {
  const { name, version, release, before } = each;
  const subject = { kind: 'release', name, version } as const;
  const result: SubjectResult =
    release === undefined ? { kind: 'absent', subject } : { kind: 'verified', subject, release };
  const earlier = before.map((one): SubjectResult => ({
    kind: 'verified',
    subject: { kind: 'release', name, version: one.version },
    release: one,
  }));
  const report = reportRelease({ name, version, sha512: undefined, location: null }, result);
  const versions = [version, ...before.map((one) => one.version)];
  const { subjects } = applyPolicy({
    policy,
    subjects: [report],
    evidence: {
      subjects: [result, ...earlier],
      checkpoint: { certifiedTime: Math.floor(nowMs / 1000) },
    },
    known: { listsOf: () => [versions] },
    lockText: undefined,
    isNew: () => each.isNew,
    nowMs,
    isWhole: false,
  });
  const [judged] = subjects;
  if (judged === undefined) return { found: undefined, codes: [] };
  const allowed = judged.decision;
  const problems = allowed?.suppressed ?? judged.diagnostics;
  const codes = problems.filter(({ severity }) => severity !== 'warning').map(({ code }) => code);
  // A verified release whose refusal was waived is there by an exception as well.
  if (judged.verdict === 'verified') {
    return { found: allowed === undefined ? 'verified' : 'excepted', codes };
  }
  return { found: OUTCOMES[judged.verdict], codes };
}

function isExpected({ expect, codes }: PolicyTestCase, outcome: Outcome): boolean {
  return outcome.found === expect && codes.every((code) => outcome.codes.includes(code));
}

function describe(outcome: string, codes: readonly string[]): string {
  return codes.length === 0 ? outcome : `${outcome} (${codes.join(', ')})`;
}
