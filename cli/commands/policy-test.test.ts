// `policy test`: each rule by a release that it refuses and one that it lets through; nobody is asked.
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { EXIT } from '../output/exit-codes.ts';
import { runCli } from '../run.ts';

const NOW_MS = 1_800_000_000_000;

const CONFIG = {
  format: 'bftpkg-config/v1',
  pin: '00'.repeat(32),
  // Nobody listens there: a request would fail.
  replicas: ['http://127.0.0.1:1'],
  rules: [
    { packages: ['*'], releaseAgeMinSeconds: 2 * 86_400, signersNotFewer: true },
    { packages: ['@acme/*'], signersMin: 3, installScripts: 'refuse' },
    { packages: ['held'], yanked: 'refuse' },
  ],
  exceptions: [
    { package: 'hasty', code: 'BP6004', reason: 'ours', expires: '2027-12-31' },
    { package: 'internal', code: 'BP5003', reason: 'private', expires: '2027-12-31' },
    { package: 'late', code: 'BP5003', reason: 'was private', expires: '2026-12-31' },
  ],
};

const OLD = { ageHours: 72, signers: ['ada', 'ben'] };
const SCRIPT = { scripts: { postinstall: 'node x.js' }, hasInstallScript: true };

describe('policy test', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-policy-test-'));
    await writeFile(join(folder, 'bftpkg.json'), JSON.stringify(CONFIG));
  });
  after(() => rm(folder, { recursive: true }));

  interface Outcome {
    readonly code: number;
    readonly reason: string | null;
    readonly cases: readonly {
      readonly found: string | null;
      readonly codes: readonly string[];
      readonly passed: boolean;
    }[];
  }

  async function run(document: unknown): Promise<Outcome> {
    const text = typeof document === 'string' ? document : JSON.stringify(document);
    await writeFile(join(folder, 'policy-test.json'), text);
    const out: string[] = [];
    const code = await runCli(['policy', 'test', 'policy-test.json', '--json'], '0.0.0-test', {
      cwd: folder,
      env: { PATH: process.env['PATH'], HOME: folder },
      nowMs: () => NOW_MS,
      terminal: {
        writeOut: (line) => out.push(line),
        writeErr: () => undefined,
        outIsTty: false,
        errIsTty: false,
        ask: undefined,
      },
    });
    const report = JSON.parse(out.join('')) as {
      readonly exit: { readonly reason: string | null };
      readonly result: { readonly cases: Outcome['cases'] } | null;
    };
    return { code, reason: report.exit.reason, cases: report.result?.cases ?? [] };
  }

  const fixture = (...cases: readonly object[]): object => ({
    format: 'bftpkg-policy-test/v1',
    cases,
  });

  const rows: readonly (readonly [why: string, fields: object, found: string, codes: string[]])[] =
    [
      ['an old release', { name: 'tar', logged: OLD }, 'verified', []],
      ['a fresh one', { name: 'tar', logged: { ...OLD, ageHours: 47 } }, 'refused', ['BP6004']],
      ['just old enough', { name: 'tar', logged: { ...OLD, ageHours: 48 } }, 'verified', []],
      ['an exception', { name: 'hasty', logged: { ...OLD, ageHours: 1 } }, 'excepted', ['BP6004']],
      ['too few signers', { name: '@acme/x', logged: OLD }, 'refused', ['BP6008']],
      [
        'an install script',
        {
          name: '@acme/x',
          logged: { ...OLD, signers: ['ada', 'ben', 'eve'], manifest: SCRIPT },
        },
        'refused',
        ['BP6012'],
      ],
      [
        'fewer signers than before',
        {
          name: 'tar',
          logged: OLD,
          before: [{ version: '0.9.0', ageHours: 900, signers: ['ada', 'ben', 'eve'] }],
        },
        'refused',
        ['BP6001'],
      ],
      [
        'as many as before',
        { name: 'tar', logged: OLD, before: [{ version: '0.9.0', ...OLD }] },
        'verified',
        [],
      ],
      ['what is not in the log', { name: 'nobody' }, 'refused', ['BP5003']],
      ['what may be missing there', { name: 'internal' }, 'excepted', ['BP5003']],
      ['what might until last year', { name: 'late' }, 'refused', ['BP5003', 'BP6002']],
      ['a yanked one', { name: 'held', logged: { ...OLD, yanked: true } }, 'refused', ['BP5002']],
    ];
  for (const [why, fields, found, codes] of rows) {
    it(`finds ${found} for ${why}`, async () => {
      const each = { why, version: '1.0.0', ...fields, expect: found, codes };
      const outcome = await run(fixture(each));
      assert.deepEqual(outcome.cases[0]?.codes, codes, JSON.stringify(outcome));
      assert.equal(outcome.cases[0]?.found, found);
      assert.equal(outcome.code, EXIT.verified);
      // The same with another expectation is a failure.
      const wrong = found === 'verified' ? 'refused' : 'verified';
      const failed = await run(fixture({ ...each, expect: wrong }));
      assert.deepEqual([failed.code, failed.reason], [EXIT.usage, 'BP9004']);
      assert.equal(failed.cases[0]?.passed, false);
    });
  }

  it('wants the codes that a case names', async () => {
    const each = { why: 'x', name: 'tar', version: '1.0.0', logged: { ...OLD, ageHours: 1 } };
    assert.equal((await run(fixture({ ...each, expect: 'refused' }))).code, EXIT.verified);
    const other = fixture({ ...each, expect: 'refused', codes: ['BP6008'] });
    assert.equal((await run(other)).code, EXIT.usage);
  });

  it('runs all cases, and says which fail', async () => {
    const good = { why: 'a', name: 'tar', version: '1.0.0', logged: OLD, expect: 'verified' };
    const outcome = await run(fixture(good, { ...good, expect: 'refused' }, good));
    assert.deepEqual(
      outcome.cases.map(({ passed }) => passed),
      [true, false, true],
    );
  });

  const good = { why: 'a', name: 'tar', version: '1.0.0', logged: OLD, expect: 'verified' };
  const bad: readonly (readonly [why: string, document: unknown])[] = [
    ['nothing', ''],
    ['no cases', fixture()],
    ['another format', { format: 'x', cases: [good] }],
    ['an unknown field', fixture({ ...good, expected: 'refused' })],
    ['a name that npm does not have', fixture({ ...good, name: 'Not A Name' })],
    ['no version', fixture({ ...good, version: '^1' })],
    ['another outcome', fixture({ ...good, expect: 'fine' })],
    ['a negative age', fixture({ ...good, logged: { ...OLD, ageHours: -1 } })],
    ['a manifest that is a list', fixture({ ...good, logged: { ...OLD, manifest: [] } })],
    ['a field twice', '{"format":"bftpkg-policy-test/v1","cases":[],"cases":[]}'],
  ];
  for (const [why, document] of bad) {
    it(`refuses a file with ${why}`, async () => {
      const { code, reason, cases } = await run(document);
      assert.deepEqual([code, reason, cases], [EXIT.usage, 'BP9004', []]);
    });
  }
});
