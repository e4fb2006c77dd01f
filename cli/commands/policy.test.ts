// Policies as users meet them: files, commands, exit codes, and the lockfile of a project in between.
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { EXIT } from '../output/exit-codes.ts';

let fake: FakeLog;
let alpha: Uint8Array;
let delta: Uint8Array;
let scripted: Uint8Array;
const unlogged = new Uint8Array(64).fill(5);
const exchanged = new Uint8Array(64).fill(6);

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
  // Of a set of three, of whom two are needed.
  const people = { maintainers: ['alice', 'bob', 'carol'], faulty: 1 };
  fake.log.maintain('beta', people);
  await fake.publish({ name: 'beta', version: '1.0.0' });
  await fake.publish({ name: 'beta', version: '1.0.1' }, ['alice', 'bob']);
  await fake.publish({ name: 'gamma', version: '1.0.0' });
  const scripts = { scripts: { postinstall: 'node x.js' } };
  scripted = await fake.publish({ name: 'gamma', version: '1.0.1', packageJson: scripts });
  delta = await fake.publish({ name: 'delta', version: '1.0.0' });
  fake.log.withdraw('delta', '1.0.0', 'yanked', 'wrong main');
  await fake.publish({ name: 'epsilon', version: '1.0.0' });
  fake.log.withdraw('epsilon', '1.0.0', 'revoked', 'stolen laptop');
  fake.log.commit();
});
after(async () => {
  await fake.stop();
});
beforeEach(async () => {
  await rm(join(fake.home, '.local'), { recursive: true, force: true });
  await rm(join(fake.home, '.config'), { recursive: true, force: true });
  await rm(join(fake.project, 'bftpkg-baseline.json'), { force: true });
  await fake.configure();
  await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha }]);
  for (const replica of fake.replicas) {
    replica.misbehave = undefined;
    replica.requests.length = 0;
  }
});

interface Document {
  readonly verdict: string;
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly summary: Readonly<Record<string, number>>;
  readonly diagnostics: readonly { readonly code: string; readonly severity: string }[];
  readonly subjects: readonly {
    readonly name: string;
    readonly verdict: string;
    readonly decision: { readonly kind: string; readonly reason: string } | null;
    readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
  }[];
  readonly result: Readonly<Record<string, unknown>>;
}

async function run(...argv: readonly string[]): Promise<Document> {
  const { code, stdout, stderr } = await fake.run([...argv, '--json']);
  assert.notEqual(stdout, '', stderr);
  const document = JSON.parse(stdout) as Document;
  assert.equal(document.exit.code, code, 'the document and the process agree');
  return document;
}

async function configureUser(fields: object): Promise<void> {
  const folder = join(fake.home, '.config', 'bftpkg');
  await mkdir(folder, { recursive: true });
  const config = { format: 'bftpkg-config/v1', ...fields };
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
}

const COMPARE = { packages: ['*'], signersNotFewer: true, installScripts: 'no-new-in-patch' };
const EXCEPTION = {
  package: 'internal',
  code: 'BP5003',
  reason: 'ours alone',
  expires: '2027-12-31',
};

async function lockWithUnlogged(sha512: Uint8Array = unlogged): Promise<void> {
  await fake.lock([
    { name: 'alpha', version: '1.0.0', sha512: alpha },
    { name: 'internal', version: '1.0.0', sha512 },
  ]);
}

describe('verify under a policy', () => {
  const rules: readonly (readonly [string, object, string, number, string | null])[] = [
    ['a release that is old enough', { releaseAgeMinSeconds: 60 }, 'alpha@1.0.0', 0, null],
    ['one that is too new', { releaseAgeMinSeconds: 86_400 }, 'alpha@1.0.0', 18, 'BP6004'],
    ['enough signers', { signersMin: 2 }, 'alpha@1.0.0', 0, null],
    ['too few signers', { signersMin: 3 }, 'alpha@1.0.0', 18, 'BP6008'],
    [
      'other maintainers than pinned',
      { maintainerKeys: ['ab'.repeat(32)] },
      'alpha@1.0.0',
      18,
      'BP6009',
    ],
    ['a yanked release, as a warning', { signersMin: 1 }, 'delta@1.0.0', 0, null],
    ['a yanked release, where that is refused', { yanked: 'refuse' }, 'delta@1.0.0', 15, 'BP5002'],
    ['any install script', { installScripts: 'refuse' }, 'gamma@1.0.1', 18, 'BP6012'],
    [
      'an install script that is new',
      { installScripts: 'no-new-in-patch' },
      'gamma@1.0.1',
      18,
      'BP6012',
    ],
    ['a first release', { signersNotFewer: true }, 'beta@1.0.0', 0, null],
    ['fewer signers than before', { signersNotFewer: true }, 'beta@1.0.1', 18, 'BP6001'],
  ];
  for (const [why, rule, spec, code, reason] of rules) {
    it(`exits ${code} for ${why}`, async () => {
      await fake.configure({ rules: [{ packages: ['*'], ...rule }] });
      const report = await run('verify', spec);
      assert.deepEqual(report.exit, { code, reason }, JSON.stringify(report.subjects, null, 1));
    });
  }

  it('asks f+1 replicas for lists, and for evidence still once', async () => {
    await fake.configure({ rules: [COMPARE] });
    await run('verify', 'beta@1.0.1');
    const asked = (start: string): readonly number[] =>
      fake.replicas.map(({ requests }) => requests.filter((line) => line.startsWith(start)).length);
    const lists = asked('GET /npm/beta').reduce((sum, count) => sum + count, 0);
    // A slow replica may have been helped out by another one; none is asked twice.
    assert.ok(lists === 2 || lists === 3, `${lists} lists`);
    assert.equal(Math.max(...asked('POST')), 1);
  });

  it('asks for no lists without a rule that compares', async () => {
    await fake.configure({ rules: [{ packages: ['*'], signersMin: 2 }] });
    await run('verify', 'beta@1.0.1');
    const asked = fake.replicas.flatMap(({ requests }) => requests);
    assert.deepEqual(
      asked.filter((line) => line.includes('/npm/')),
      [],
    );
  });

  it('is not fooled by one replica that hides the release before', async () => {
    await fake.configure({ rules: [COMPARE] });
    for (const liar of fake.replicas) {
      for (const replica of fake.replicas) replica.misbehave = undefined;
      liar.misbehave = ({ path }, response) => {
        if (!path.startsWith('/npm/')) return false;
        response.end('{"versions":{"1.0.1":{}}}');
        return true;
      };
      assert.equal((await run('verify', 'beta@1.0.1')).exit.reason, 'BP6001', liar.url);
    }
  });

  it('says "could not check" when nobody lists the releases', async () => {
    await fake.configure({ rules: [COMPARE] });
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path }, response) => {
        if (!path.startsWith('/npm/')) return false;
        response.writeHead(500).end();
        return true;
      };
    }
    const report = await run('verify', 'beta@1.0.1');
    assert.deepEqual(report.exit, { code: EXIT.inconclusive, reason: 'BP7006' });
    assert.equal(report.subjects[0]?.verdict, 'inconclusive');
  });

  it('compares offline with what the bundle has', async () => {
    await fake.configure({ rules: [COMPARE] });
    const bundle = join(fake.home, 'b.json');
    const specs = ['beta@1.0.1', 'beta@1.0.0', 'alpha@1.0.0'];
    const online = await run('verify', ...specs, '--save-bundle', bundle);
    const offline = await run('verify', ...specs, '--offline', '--bundle', bundle);
    const of = ({ exit, subjects }: Document): unknown => [
      exit,
      subjects.map(({ name, verdict, diagnostics }) => [name, verdict, diagnostics[0]?.code]),
    ];
    assert.equal(online.exit.reason, 'BP6001');
    assert.deepEqual(of(offline), of(online));
  });

  it('raises the number of signers from the command line, and never lowers it', async () => {
    const args = ['verify', 'alpha@1.0.0', '--require-maintainers'];
    assert.equal((await run(...args, '3')).exit.reason, 'BP6008');
    await fake.configure({ rules: [{ packages: ['*'], signersMin: 3 }] });
    assert.equal((await run(...args, '1')).exit.reason, 'BP6008');
    assert.equal((await run(...args, '0')).exit.code, EXIT.usage);
  });

  it('allows an exception, prints it, and does not call it verified', async () => {
    await lockWithUnlogged();
    assert.equal((await run('verify')).exit.code, EXIT.notLogged);
    await fake.configure({ exceptions: [EXCEPTION] });
    const report = await run('verify');
    assert.deepEqual(report.exit, { code: 0, reason: null });
    assert.equal(report.verdict, 'allowed');
    assert.equal(report.summary['verified'], 1);
    assert.equal(report.summary['excepted'], 1);
    const internal = report.subjects.find(({ name }) => name === 'internal');
    assert.deepEqual([internal?.verdict, internal?.decision?.reason], ['excepted', 'ours alone']);
    const { stdout } = await fake.run(['verify']);
    assert.match(stdout, /ours alone/);
  });

  it('has exceptions and the baseline lifted from the command line, without calling them unneeded', async () => {
    await lockWithUnlogged();
    await fake.configure({ exceptions: [EXCEPTION] });
    assert.equal((await run('verify', '--allow-unlogged', 'baseline')).exit.code, EXIT.verified);
    const never = ['--allow-unlogged', 'never'];
    const report = await run('verify', ...never);
    assert.equal(report.exit.code, EXIT.notLogged);
    assert.deepEqual(report.diagnostics, []);
    const bundle = join(fake.home, 'never.json');
    await run('verify', '--save-bundle', bundle);
    const offline = await run('verify', '--offline', '--bundle', bundle, ...never);
    assert.equal(offline.verdict, report.verdict);
    assert.equal((await run('verify', '--allow-unlogged', 'warn')).exit.code, EXIT.usage);
    await fake.configure({});
    await run('policy', 'baseline', 'create');
    assert.equal((await run('verify')).verdict, 'allowed');
    const strict = await run('verify', ...never);
    assert.equal(strict.exit.code, EXIT.notLogged);
    assert.deepEqual(strict.diagnostics, []);
  });

  it('refuses when the exception is over, and warns when it is not needed', async () => {
    await lockWithUnlogged();
    await fake.configure({ exceptions: [{ ...EXCEPTION, expires: '2020-01-01' }] });
    assert.deepEqual((await run('verify')).exit, { code: EXIT.policy, reason: 'BP6002' });
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha }]);
    const report = await run('verify');
    assert.equal(report.exit.code, EXIT.verified);
    assert.deepEqual(
      report.diagnostics.map(({ code, severity }) => [code, severity]),
      [['BP6010', 'warning']],
    );
    // A part of the lockfile says nothing about what all of it needs.
    assert.deepEqual((await run('verify', '--only', 'alpha')).diagnostics, []);
  });

  it('has no exception from a revocation or from other bytes', async () => {
    await fake.lock([{ name: 'epsilon', version: '1.0.0', sha512: unlogged }]);
    await fake.configure({ exceptions: [{ ...EXCEPTION, package: '*' }] });
    assert.equal((await run('verify')).exit.code, EXIT.withdrawn);
    for (const code of ['BP5001', 'BP1003']) {
      await fake.configure({ exceptions: [{ ...EXCEPTION, package: '*', code }] });
      assert.equal((await run('verify')).exit.code, EXIT.usage, code);
    }
  });

  it('keeps the user’s rules above the project’s exceptions', async () => {
    await lockWithUnlogged();
    await fake.configure({ exceptions: [EXCEPTION] });
    await configureUser({ rules: [{ packages: ['*'], unlogged: 'refuse' }] });
    assert.equal((await run('verify')).exit.code, EXIT.notLogged);
    await configureUser({
      rules: [{ packages: ['*'], unlogged: 'refuse' }],
      trustedProjects: [fake.project],
    });
    assert.equal((await run('verify')).exit.code, EXIT.verified);
  });

  it('refuses a log that the user does not admit, before asking anybody', async () => {
    await configureUser({ pins: ['ab'.repeat(32)] });
    assert.deepEqual((await run('verify')).exit, { code: EXIT.policy, reason: 'BP6011' });
    assert.deepEqual(
      fake.replicas.flatMap(({ requests }) => requests),
      [],
    );
  });

  it('reads the policy from package.json as well', async () => {
    await rm(join(fake.project, 'bftpkg.json'));
    const manifest = JSON.parse(
      await readFile(join(fake.project, 'package.json'), 'utf8'),
    ) as object;
    const bftpkg = {
      format: 'bftpkg-config/v1',
      pin: fake.log.pin,
      replicas: fake.replicas.map(({ url }) => url),
      rules: [{ packages: ['*'], signersMin: 3 }],
    };
    await writeFile(join(fake.project, 'package.json'), JSON.stringify({ ...manifest, bftpkg }));
    assert.equal((await run('verify')).exit.reason, 'BP6008');
    const target = ['policy', 'except', 'add', 'alpha', '--code', 'BP6008'];
    const added = await run(...target, '--reason', 'small team', '--expires', '30d');
    assert.equal(added.exit.code, 0);
    const report = await run('verify');
    assert.equal(report.exit.code, EXIT.verified);
    assert.equal(report.subjects[0]?.verdict, 'verified', 'the proof is there');
    assert.equal(report.subjects[0]?.decision?.reason, 'small team');
  });
});

describe('policy baseline', () => {
  const file = (): string => join(fake.project, 'bftpkg-baseline.json');

  it('makes an old project green, and stays strict for everything new', async () => {
    await lockWithUnlogged();
    const created = await run('policy', 'baseline', 'create');
    assert.equal(created.exit.code, 0);
    assert.deepEqual([created.result['baseline'], created.result['refused']], [1, []]);
    const report = await run('verify');
    assert.deepEqual([report.exit.code, report.verdict], [EXIT.verified, 'allowed']);
    assert.equal(report.summary['baseline'], 1);
    assert.deepEqual(report.diagnostics, []);

    await lockWithUnlogged(exchanged);
    assert.equal((await run('verify')).exit.code, EXIT.notLogged, 'other bytes are new');
    await fake.lock([
      { name: 'internal', version: '1.0.0', sha512: unlogged },
      { name: 'another', version: '1.0.0', sha512: unlogged },
    ]);
    const next = await run('verify');
    assert.equal(next.exit.code, EXIT.notLogged);
    assert.deepEqual(
      Object.fromEntries(next.subjects.map(({ name, verdict }) => [name, verdict])),
      { another: 'rejected', internal: 'baseline' },
    );
  });

  it('does not take up what can never be allowed', async () => {
    await fake.lock([
      { name: 'alpha', version: '1.0.0', sha512: unlogged },
      { name: 'epsilon', version: '1.0.0', sha512: unlogged },
      { name: 'internal', version: '1.0.0', sha512: unlogged },
    ]);
    const created = await run('policy', 'baseline', 'create');
    assert.equal(created.result['baseline'], 1);
    assert.deepEqual(created.result['refused'], ['alpha@1.0.0', 'epsilon@1.0.0']);
    assert.equal((await run('verify')).exit.code, EXIT.tampered);
  });

  it('ties a package without digest to the words of the lockfile', async () => {
    const fields = { integrity: undefined, resolved: 'git+ssh://git@example.org/a.git#abc' };
    const packages = (resolved: string) => [
      { name: 'alpha', version: '1.0.0', sha512: alpha },
      {
        name: 'forked',
        version: '1.0.0',
        sha512: unlogged,
        fields: { ...fields, resolved } as never,
      },
    ];
    await fake.lock(packages(fields.resolved));
    assert.equal((await run('verify')).exit.code, EXIT.policy);
    await run('policy', 'baseline', 'create');
    assert.equal((await run('verify')).exit.code, EXIT.verified);
    await fake.lock(packages('git+ssh://git@example.org/a.git#abd'));
    assert.equal((await run('verify')).exit.code, EXIT.policy);
  });

  it('does not replace itself, prunes, and shows before it writes', async () => {
    await lockWithUnlogged();
    const dry = await run('policy', 'baseline', 'create', '--dry-run');
    assert.equal(dry.result['written'], false);
    await assert.rejects(readFile(file()));
    await run('policy', 'baseline', 'create');
    assert.equal((await run('policy', 'baseline', 'create')).exit.code, EXIT.usage);
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha }]);
    assert.deepEqual(
      (await run('verify')).diagnostics.map(({ code }) => code),
      ['BP6010'],
    );
    assert.equal((await run('policy', 'baseline', 'prune')).result['baseline'], 0);
    assert.deepEqual((await run('verify')).diagnostics, []);
    // Pruning never takes anything up.
    await lockWithUnlogged();
    await run('policy', 'baseline', 'prune');
    assert.equal((await run('verify')).exit.code, EXIT.notLogged);
  });

  it('need not have what an exception covers', async () => {
    await lockWithUnlogged();
    await run('policy', 'baseline', 'create');
    await fake.configure({ baseline: 'bftpkg-baseline.json', exceptions: [EXCEPTION] });
    assert.deepEqual(
      (await run('verify')).diagnostics.map(({ code }) => code),
      ['BP6010'],
    );
    assert.equal((await run('policy', 'baseline', 'prune')).result['baseline'], 0);
    const report = await run('verify');
    assert.deepEqual([report.exit.code, report.diagnostics], [EXIT.verified, []]);
    await run('policy', 'except', 'prune');
    assert.equal((await run('verify')).exit.code, EXIT.verified, 'the exception is needed');
  });

  it('that is not there permits nothing', async () => {
    await lockWithUnlogged();
    await run('policy', 'baseline', 'create');
    assert.deepEqual((await run('policy', 'baseline', 'list')).result['packages'], [
      { name: 'internal', version: '1.0.0', codes: ['BP5003'] },
    ]);
    await rm(file());
    assert.equal((await run('verify')).exit.code, EXIT.notLogged);
    await run('policy', 'baseline', 'create');
    assert.equal((await run('verify')).exit.code, EXIT.verified);
  });
});

describe('policy except', () => {
  const config = (): Promise<string> => readFile(join(fake.project, 'bftpkg.json'), 'utf8');
  const add = (...more: readonly string[]): Promise<Document> =>
    run('policy', 'except', 'add', 'internal', '--code', 'BP5003', '--reason', 'ours', ...more);

  it('adds, renews and prunes in place', async () => {
    await lockWithUnlogged();
    const text = (await config()).replace('{', '{ // about us\n');
    await writeFile(join(fake.project, 'bftpkg.json'), text);
    const dry = await add('--expires', '30d', '--dry-run');
    assert.match(JSON.stringify(dry.result['diff']), /internal/);
    assert.equal(await config(), text);
    await add('--expires', '30d');
    assert.match(await config(), /\/\/ about us\n/);
    assert.equal((await run('verify')).exit.code, EXIT.verified);
    await add('--expires', '2027-12-31');
    const listed = await run('policy', 'except', 'list');
    const all = listed.result['exceptions'] as readonly { readonly expires: string }[];
    assert.deepEqual(
      all.map(({ expires }) => expires),
      ['2027-12-31'],
    );
    await run('policy', 'except', 'prune');
    assert.match(await config(), /internal/, 'it is needed');
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha }]);
    await run('policy', 'except', 'prune');
    assert.doesNotMatch(await config(), /internal|exceptions/, 'no empty list');
    assert.match(await config(), /\/\/ about us\n/);
    await lockWithUnlogged();
    const gone = { ...EXCEPTION, package: 'gone' };
    const lost = { ...EXCEPTION, package: 'lost' };
    await fake.configure({ exceptions: [gone, EXCEPTION, lost] });
    await run('policy', 'except', 'prune');
    const { exceptions } = JSON.parse(await config()) as { exceptions: unknown };
    assert.deepEqual(exceptions, [EXCEPTION]);
    await fake.configure({ exceptions: [] });
    const before = await config();
    await run('policy', 'except', 'prune');
    assert.equal(await config(), before, 'not ours to remove');
  });

  const wrong: readonly (readonly [string, readonly string[]])[] = [
    [
      'a day that has passed',
      ['a', '--code', 'BP5003', '--reason', 'x', '--expires', '2020-01-01'],
    ],
    ['a day that is none', ['a', '--code', 'BP5003', '--reason', 'x', '--expires', 'soon']],
    ['no reason', ['a', '--code', 'BP5003', '--reason', ' ', '--expires', '30d']],
    ['no end', ['a', '--code', 'BP5003', '--reason', 'x']],
    ['a code that has none', ['a', '--code', 'BP5001', '--reason', 'x', '--expires', '30d']],
    ['a range', ['a@^1', '--code', 'BP5003', '--reason', 'x', '--expires', '30d']],
  ];
  for (const [why, argv] of wrong) {
    it(`exits 2 for ${why}, and writes nothing`, async () => {
      const before = await config();
      assert.equal((await run('policy', 'except', 'add', ...argv)).exit.code, EXIT.usage);
      assert.equal(await config(), before);
    });
  }
});

describe('policy show and check', () => {
  it('say what applies and where it comes from', async () => {
    await fake.configure({
      checkpointAgeMaxSeconds: 300,
      rules: [COMPARE],
      exceptions: [EXCEPTION],
    });
    await configureUser({
      checkpointAgeMaxSeconds: 120,
      rules: [{ packages: ['@a/*'], signersMin: 3 }],
    });
    const { stdout } = await fake.run(['policy', 'show', '--show-origin']);
    assert.match(stdout, /at most 2m old {3}\(.*config\.json\)/);
    assert.match(stdout, /@a\/\*: 3 signers {3}\(.*config\.json\)/);
    assert.match(stdout, /no new install script.*\(.*bftpkg\.json\)/);
    assert.match(stdout, /internal BP5003 until 2027-12-31: ours alone/);
    const { checkpointAgeMaxSeconds: age } = (await run('policy', 'show')).result;
    assert.equal((age as { readonly value: number }).value, 120);
  });

  it('fail for exceptions that are over', async () => {
    await fake.configure({ exceptions: [EXCEPTION] });
    assert.equal((await run('policy', 'check')).exit.code, 0);
    await fake.configure({ exceptions: [{ ...EXCEPTION, expires: '2027-01-20' }] });
    const soon = await run('policy', 'check');
    assert.deepEqual([soon.exit.code, soon.diagnostics[0]?.severity], [0, 'warning']);
    await fake.configure({ exceptions: [{ ...EXCEPTION, expires: '2026-12-31' }] });
    assert.equal((await run('policy', 'check')).exit.reason, 'BP6002');
    await fake.configure({ rulez: [] });
    assert.equal((await run('policy', 'check')).exit.code, EXIT.usage);
  });
});

describe('install under a policy', () => {
  it('refuses before anything is fetched', async () => {
    await fake.configure({ rules: [{ packages: ['*'], installScripts: 'refuse' }] });
    await fake.lock([{ name: 'gamma', version: '1.0.1', sha512: scripted }]);
    const report = await run('ci');
    assert.equal(report.exit.reason, 'BP6012');
    const asked = fake.replicas.flatMap(({ requests }) => requests);
    assert.deepEqual(
      asked.filter((line) => line.includes('/artifacts/')),
      [],
    );
  });

  it('adds no yanked release, but keeps one that is there', async () => {
    const report = await run('install', 'delta@1.0.0');
    assert.deepEqual(report.exit, { code: EXIT.withdrawn, reason: 'BP5002' });
    await fake.lock([{ name: 'delta', version: '1.0.0', sha512: delta }]);
    assert.equal((await run('ci')).exit.code, EXIT.verified);
  });
});
