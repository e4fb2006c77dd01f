import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { REPORT_CASES, verificationOf, verifiedSubject } from '../../fixtures/reports/cases.ts';
import {
  consume,
  consumeGitHub,
  consumeJUnit,
  type WorkflowCommand,
} from '../../fixtures/reports/consumers.ts';
import { makeStyle } from './color.ts';
import { FORMATS, type Format } from './formats.ts';
import type { RunFacts } from './json.ts';
import { FILE_OPTIONS, render } from './render.ts';
import { diagnostic, verificationReport, type Report, type SubjectReport } from './report.ts';
import { RESULTS_MAX } from './sarif.ts';

const FACTS: RunFacts = {
  version: '1.2.3',
  startedAtMs: Date.UTC(2026, 10, 21, 12, 10, 4, 120),
  durationMs: 4211,
  folder: 'apps/web',
};

async function text(format: Format, report: Report, facts: RunFacts = FACTS): Promise<string> {
  const options = { ...FILE_OPTIONS, verbose: false };
  const { stdout, stderr } = await render(format, report, facts, options);
  return stderr === '' ? stdout : `${stdout}=== stderr\n${stderr}`;
}

const GOLDEN = new URL('../../fixtures/reports/golden/', import.meta.url);

// `UPDATE=1` rewrites the files; they are reviewed as diffs.
describe('golden reports', () => {
  for (const { name, exit, report } of REPORT_CASES) {
    it(`shows ${name} in every format`, async () => {
      assert.equal(report.exit.code, exit);
      const parts: string[] = [];
      for (const format of FORMATS) {
        const shown = await text(format, report);
        parts.push(`##### ${format}\n${shown}`);
        consume(format, (await render(format, report, FACTS, FILE_OPTIONS)).stdout || '#\n');
      }
      const actual = parts.join('\n');
      const file = new URL(`${name}.txt`, GOLDEN);
      if (process.env['UPDATE'] === '1') {
        mkdirSync(GOLDEN, { recursive: true });
        writeFileSync(file, actual);
      }
      assert.ok(existsSync(file), `${name}.txt: UPDATE=1 writes it`);
      assert.equal(actual, readFileSync(file, 'utf8'));
    });
  }

  it('has a file for each case and no other', () => {
    assert.deepEqual(
      readdirSync(GOLDEN).toSorted(),
      REPORT_CASES.map(({ name }) => `${name}.txt`).toSorted(),
    );
  });

  it('shows every kind of exit but interruption', () => {
    const shown = new Set<number>(REPORT_CASES.map(({ exit }) => exit));
    for (const code of [0, 2, 3, 5, 10, 11, 12, 13, 14, 15, 16, 17, 18, 20]) {
      assert.ok(shown.has(code), `exit ${code}`);
    }
  });
});

const evil = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc
    .array(
      fc.constantFrom(
        '\u001b[2K',
        '\u001b]0;t\u0007',
        '\u009b31m',
        '\r',
        '\n',
        '\n::error::x',
        '%0A::warning::x',
        '::set-env name=A::b',
        '\n  ::stop-commands::x',
        '##vso[task.prependpath]x',
        '##[add-path]x',
        '\nFORGED',
        '\u202e',
        '\u2066',
        '\ud800',
        '\u{e0041}',
        '|',
        '`',
        '``',
        '[a](http://b.c)',
        '![i](http://b.c)',
        '<img src=x>',
        '<!--',
        '&lt;',
        ']]>',
        '<![CDATA[',
        '"',
        "'",
        '{0}',
        '@user',
        'www.evil.example',
        'https://evil.example',
        'a@b.example',
        '# x',
        '\\',
        '%',
        ',',
        '=',
        '\ufeff',
        '\u2028',
        '\uffff',
        '$x$',
        '~~a~~',
      ),
      { maxLength: 8 },
    )
    .map((parts) => parts.join('')),
);

function hostileReport(texts: readonly string[], line: number): Report {
  const next = (i: number): string => texts[i % texts.length] ?? '';
  const found = diagnostic('BP1003', next(0), { details: [[next(1), next(2)]], hints: [next(3)] });
  const subject: SubjectReport = {
    ...verifiedSubject('x', '1.0.0', line),
    name: next(4),
    version: next(5),
    location: { file: next(6), line },
    verdict: 'rejected',
    diagnostics: [found, diagnostic('BP5002', next(7), { severity: 'warning' })],
    decision: {
      kind: 'excepted',
      reason: next(8),
      expires: next(9),
      source: next(0),
      suppressed: [diagnostic('BP5003', next(1))],
    },
    maintainers: { required: 1, signers: [{ keyId: 'ab', label: next(2) }] },
    origin: { kind: next(3), notes: [next(4)] },
  };
  const others: readonly SubjectReport['verdict'][] = ['verified', 'excepted', 'local'];
  const verification = verificationOf(
    [subject, ...others.map((verdict) => ({ ...subject, verdict }))],
    {
      source: next(5),
      checkpoint: {
        origin: next(6),
        size: 1,
        root: next(7),
        certifiedTime: 1,
        ageSeconds: 1,
        epoch: 0,
        signers: [next(8)],
        consistentWith: null,
      },
      replicas: [{ url: next(9), problem: next(0) }],
    },
  );
  return verificationReport('verify', verification, {
    diagnostics: [diagnostic('BP7001', next(1), { details: [[next(2), next(3)]] })],
    evidence: [next(4)],
  });
}

describe('render', () => {
  for (const format of FORMATS) {
    it(`keeps strangers' text text in ${format}`, async () => {
      await fc.assert(
        fc.asyncProperty(
          fc.array(evil, { minLength: 1, maxLength: 10 }),
          fc.integer({ min: 1, max: 1e6 }),
          async (texts, line) => {
            const report = hostileReport(texts, line);
            const { stdout, stderr } = await render(format, report, FACTS, FILE_OPTIONS);
            consume(format, stdout);
            if (stderr !== '') consume('human', stderr);
            const lines = `${stdout}\n${stderr}`.split('\n');
            // Of GitHub's format some lines are ours, which its consumer reads.
            const told = format === 'github' ? /##[a-z]*\[/i : /^\s*::|##[a-z]*\[/i;
            for (const each of lines) {
              assert.doesNotMatch(each, told, `${format} tells a build server what to do`);
              assert.doesNotMatch(each, /^\s*FORGED/, `${format} has a line that is not ours`);
            }
          },
        ),
        { numRuns: 60 },
      );
    });

    it(`keeps text text in ${format} that ends a cell of a table and makes a link`, async () => {
      for (const text of [
        '\\|[a](http://b.c)',
        '\\\\|[a](http://b.c)',
        '`|`[a](http://b.c)',
        '\\',
      ]) {
        const { stdout } = await render(format, hostileReport([text], 1), FACTS, FILE_OPTIONS);
        consume(format, stdout);
      }
    });

    it(`gives equal bytes for equal outcomes in ${format} with --reproducible`, async () => {
      if (format === 'human' || format === 'concise') return;
      const subjects = ['b', 'a', 'c'].map((name, i) => verifiedSubject(name, '1.0.0', i + 1));
      const first = verificationReport('verify', verificationOf(subjects));
      const second = verificationReport(
        'verify',
        verificationOf(subjects.toReversed(), {
          bytesFetched: 7,
          checkpoint: first.verification?.checkpoint
            ? { ...first.verification.checkpoint, certifiedTime: 9, ageSeconds: 99 }
            : null,
        }),
      );
      const later = { ...FACTS, startedAtMs: 1, durationMs: 1, reproducible: true };
      const facts = { ...FACTS, reproducible: true };
      assert.equal(await text(format, first, facts), await text(format, second, later));
      consume(format, await text(format, first, facts));
    });
  }
});

describe('a location', () => {
  for (const file of ['\\', '/', '.', '..', '']) {
    for (const format of ['github', 'sarif'] as const) {
      it(`that is ${JSON.stringify(file)}, no file, names none in ${format}`, async () => {
        const subject: SubjectReport = {
          ...verifiedSubject('x', '1.0.0', 1),
          location: { file, line: 1 },
          verdict: 'rejected',
          diagnostics: [diagnostic('BP1003', 'x')],
        };
        const report = verificationReport('verify', verificationOf([subject]));
        const facts = { ...FACTS, folder: '' };
        const { stdout } = await render(format, report, facts, FILE_OPTIONS);
        consume(format, stdout);
        assert.doesNotMatch(stdout, /"uri": ?""|file=[,:]/);
      });
    }
  }
});

function manyRefused(count: number, severity: 'error' | 'warning' = 'error'): Report {
  const subjects = Array.from({ length: count }, (_, i): SubjectReport => ({
    ...verifiedSubject(`p${i}`, '1.0.0', i + 1),
    verdict: severity === 'error' ? 'rejected' : 'verified',
    diagnostics: [diagnostic('BP1003', `p${i}`, { severity })],
  }));
  return verificationReport('verify', verificationOf(subjects));
}

interface SarifRun {
  readonly invocations: readonly { readonly executionSuccessful: boolean }[];
  readonly results: readonly {
    readonly ruleId: string;
    readonly level: string;
    readonly partialFingerprints?: Readonly<Record<string, string>>;
    readonly suppressions?: readonly object[];
    readonly locations: readonly {
      readonly physicalLocation: {
        readonly artifactLocation: { readonly uri: string };
        readonly region: { readonly startLine: number };
      };
    }[];
  }[];
}

async function sarif(report: Report): Promise<SarifRun> {
  const document = JSON.parse(await text('sarif', report)) as {
    readonly runs: readonly SarifRun[];
  };
  const [run] = document.runs;
  assert.ok(run !== undefined);
  return run;
}

function caseOf(name: string): Report {
  const found = REPORT_CASES.find((each) => each.name === name);
  assert.ok(found !== undefined, name);
  return found.report;
}

describe('renderSarif', () => {
  it('keeps as many results as GitHub, the last one a note about the others', async () => {
    const exact = await sarif(manyRefused(RESULTS_MAX));
    assert.equal(exact.results.length, RESULTS_MAX);
    assert.equal(exact.results.at(-1)?.level, 'error');
    const over = await sarif(manyRefused(RESULTS_MAX + 1));
    assert.equal(over.results.length, RESULTS_MAX);
    assert.equal(over.results.at(-1)?.level, 'note');
  });

  it('points to the line of the lockfile, from the root of the repository', async () => {
    const { results } = await sarif(caseOf('policy'));
    const place = results[0]?.locations[0]?.physicalLocation;
    assert.equal(place?.artifactLocation.uri, 'apps/web/package-lock.json');
    assert.equal(place.region.startLine, 300);
  });

  const closing: readonly (readonly [string, string, boolean, number])[] = [
    ['a run that could not check says so and closes no alert', 'unreachable', false, 0],
    ['an internal error closes no alert', 'internal', false, 0],
    ['a usage error closes no alert', 'usage', false, 0],
    ['a refusal is a result of a run that worked', 'not-logged', true, 1],
    ['a stale view is a result', 'stale', true, 1],
    ['success has no results', 'verified', true, 0],
  ];
  for (const [why, name, success, results] of closing) {
    it(why, async () => {
      const run = await sarif(caseOf(name));
      assert.equal(run.invocations[0]?.executionSuccessful, success);
      assert.equal(run.results.length, results);
    });
  }

  it('has what a policy allows as suppressed results', async () => {
    const { results } = await sarif(caseOf('allowed'));
    const suppressed = results.filter(({ suppressions }) => suppressions !== undefined);
    assert.deepEqual(
      suppressed.map(({ ruleId }) => ruleId),
      ['BP5003', 'BP5003'],
    );
  });

  it('gives a finding the same fingerprint wherever it stands, and another to another', async () => {
    const at = async (name: string, line: number): Promise<string | undefined> => {
      const subject: SubjectReport = {
        ...verifiedSubject(name, '1.0.0', line),
        verdict: 'rejected',
        diagnostics: [diagnostic('BP1003', `seen at ${line}`)],
      };
      const { results } = await sarif(verificationReport('verify', verificationOf([subject])));
      return results[0]?.partialFingerprints?.['bftpkg/v1'];
    };
    assert.equal(await at('a', 1), await at('a', 2));
    assert.notEqual(await at('a', 1), await at('b', 1));
  });
});

describe('renderJUnit', () => {
  const cases: readonly (readonly [string, string, readonly [number, number, number]])[] = [
    ['a refusal is a failure', 'not-logged', [1, 0, 0]],
    ['what could not be checked is an error', 'not-fetched', [0, 1, 0]],
    ['what nobody checked is skipped', 'allowed', [0, 0, 5]],
    ['an empty lockfile is not a green suite', 'nothing', [1, 0, 0]],
    ['silence is an error', 'unreachable', [0, 1, 0]],
    ['success is success', 'verified', [0, 0, 0]],
  ];
  for (const [why, name, expected] of cases) {
    it(why, async () => {
      const { failure, error, skipped } = consumeJUnit(await text('junit', caseOf(name)));
      assert.deepEqual([failure, error, skipped], expected);
    });
  }
});

describe('renderGitHub', () => {
  const commands = async (report: Report): Promise<readonly WorkflowCommand[]> =>
    consumeGitHub(await text('github', report));

  it('annotates the line of the lockfile from the root of the repository', async () => {
    const [first] = await commands(caseOf('policy'));
    assert.deepEqual(first?.properties, {
      file: 'apps/web/package-lock.json',
      line: '300',
      title: 'BP6006 source that cannot be verified',
    });
  });

  it('says how many annotations GitHub would drop', async () => {
    assert.equal((await commands(manyRefused(10))).length, 10);
    const cut = await commands(manyRefused(30));
    assert.equal(cut.length, 10);
    assert.equal(cut.at(-1)?.message, 'and 21 more');
    assert.equal((await commands(manyRefused(30, 'warning'))).length, 10);
  });
});

describe('renderHuman', () => {
  const human = async (report: Report, width?: number): Promise<string> =>
    (await render('human', report, FACTS, { ...FILE_OPTIONS, verbose: false, width })).stdout;

  it('puts the most severe finding first and counts what is like it', async () => {
    const shown = await human(caseOf('mixed'));
    const order = ['BP1003', 'BP6006', 'BP5003', 'BP5002'].map((code) => shown.indexOf(code));
    assert.deepEqual(
      order,
      order.toSorted((a, b) => a - b),
    );
    assert.match(shown, /BP5003\] and 57 more like these/);
    assert.equal(shown.match(/error\[BP5003\]/g)?.length, 4);
  });

  it('names a replica once, however often it lied', async () => {
    const { stderr } = await render('human', caseOf('installed'), FACTS, FILE_OPTIONS);
    assert.equal(stderr.match(/r1\.example/g)?.length, 1);
    assert.match(stderr, /\(and 2 more\)/);
  });

  it('fits a narrow terminal and breaks no word', async () => {
    const wide = await human(caseOf('lockfile-differs'));
    const narrow = await human(caseOf('lockfile-differs'), 60);
    const words = (shown: string): readonly string[] => shown.split(/\s+/);
    assert.deepEqual(words(narrow), words(wide));
    const found = narrow.slice(narrow.indexOf('✖ error'), narrow.indexOf('✖ 1 problem'));
    for (const line of found.split('\n')) assert.ok(line.length <= 60, line);
  });

  it('says the same without marks outside ASCII', async () => {
    const style = makeStyle(false, false);
    const { stdout } = await render('human', caseOf('policy'), FACTS, { ...FILE_OPTIONS, style });
    assert.match(stdout, /^FAIL error\[BP6006\]/m);
  });
});
