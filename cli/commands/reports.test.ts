// How reports leave the program: streams, files, exit codes, the files of a runner of GitHub Actions.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { consume, consumeGitHub, consumeJUnit } from '../../fixtures/reports/consumers.ts';
import { projectRoot } from '../../fixtures/tree.ts';
import { EXIT } from '../output/exit-codes.ts';
import { FORMATS, type Format } from '../output/formats.ts';
import { VERIFY_JSON_SCHEMA } from '../output/schema.ts';
import { runCli } from '../run.ts';

let fake: FakeLog;
let alpha: Uint8Array;
let beta: Uint8Array;

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
  beta = await fake.publish({ name: 'beta', version: '2.0.0' });
});
after(async () => {
  await fake.stop();
});
beforeEach(async () => {
  await rm(join(fake.home, '.local'), { recursive: true, force: true });
  await fake.configure();
  await lock(alpha);
});

/** A lockfile whose `alpha` has this digest. */
async function lock(sha512: Uint8Array): Promise<void> {
  await fake.lock([
    { name: 'alpha', version: '1.0.0', sha512 },
    { name: 'beta', version: '2.0.0', sha512: beta },
  ]);
}

async function run(
  argv: readonly string[],
  options: Parameters<FakeLog['run']>[1] = {},
): Promise<Outcome> {
  return await fake.run(argv, options);
}

describe('--verbose', () => {
  it('shows where an error comes from, and nothing of its text as it is', async () => {
    const hostile = 'a\u001b[2J\n::stop-commands::x\n##vso[task.prependpath]x';
    const { code, stderr } = await run(['verify', '--verbose', hostile]);
    assert.equal(code, EXIT.usage);
    assert.match(stderr, /^CliError\n {4}at /, 'the frames');
    // oxlint-disable-next-line no-control-regex -- looking for control characters
    assert.doesNotMatch(stderr, /\u001b|^\s*::|##vso\[/m, 'the text');
  });
});

describe('--format', () => {
  for (const format of FORMATS) {
    it(`has nothing but ${format} on stdout, and nothing on stderr, for every verdict`, async () => {
      for (const [digest, expected] of [
        [alpha, EXIT.verified],
        [beta, EXIT.tampered],
      ] as const) {
        await lock(digest);
        const { code, stdout, stderr } = await run(['verify', '--format', format]);
        assert.equal(code, expected);
        assert.equal(stderr, '');
        consume(format, stdout);
      }
    });
  }

  const documents = FORMATS.filter((format) => format !== 'human' && format !== 'concise');
  const wrong: readonly (readonly [string, readonly string[]])[] = [
    ['an unknown flag', ['verify', '--lokfile', 'x']],
    ['an unknown command', ['verfy']],
    ['a missing configuration', ['verify', '--config', '/nonexistent/bftpkg.json']],
    ['a report that makes no sense', ['verify', '--report', 'pdf=x']],
  ];
  for (const [why, argv] of wrong) {
    it(`is a document for ${why} too`, async () => {
      for (const format of documents) {
        const { code, stdout } = await run([...argv, `--format=${format}`]);
        assert.equal(code, EXIT.usage, format);
        consume(format, stdout);
      }
    });
  }
});

describe('--report', () => {
  it('writes any number of reports in the same run, whatever is shown', async () => {
    await lock(beta);
    const flags = FORMATS.flatMap((format) => ['--report', `${format}=${format}.out`]);
    const { code, stdout } = await run(['verify', '--quiet', ...flags]);
    assert.equal(code, EXIT.tampered);
    assert.match(stdout, /BP1003/);
    for (const format of FORMATS) {
      const text = await readFile(join(fake.project, `${format}.out`), 'utf8');
      consume(format, text);
      assert.match(text, /BP1003/, format);
    }
    const left = (await readdir(fake.project)).filter((name) => name.endsWith('.tmp'));
    assert.deepEqual(left, []);
  });

  const refused: readonly (readonly [string, readonly string[]])[] = [
    ['an unknown format', ['--report', 'pdf=x.pdf']],
    ['no format', ['--report', 'x.json']],
    ['no file', ['--report', 'json=']],
    ['stdout, which has --format', ['--report', 'json=-']],
    ['one file twice', ['--report', 'json=x', '--report', 'sarif=x']],
    ['a folder that is not there', ['--report', 'json=nowhere/x.json']],
  ];
  for (const [why, flags] of refused) {
    it(`refuses ${why} before anybody is asked`, async () => {
      for (const replica of fake.replicas) replica.requests.length = 0;
      const { code, stderr } = await run(['verify', ...flags]);
      assert.equal(code, EXIT.usage);
      assert.match(stderr, /BP900[34]/);
      assert.deepEqual(
        fake.replicas.flatMap(({ requests }) => requests),
        [],
      );
    });
  }

  it('is no success when the report could not be written, and no excuse for what was found', async () => {
    await mkdir(join(fake.project, 'taken', 'x'), { recursive: true });
    const flags = ['--report', 'json=taken'];
    const fine = await run(['verify', ...flags]);
    assert.equal(fine.code, EXIT.usage);
    assert.match(fine.stdout, /BP9004/);
    await lock(beta);
    assert.equal((await run(['verify', ...flags])).code, EXIT.tampered);
  });
});

describe('--exit-code', () => {
  it('maps refusals to 1 in the process and in the document, and nothing else', async () => {
    const simple = ['--exit-code', 'simple', '--json'];
    assert.equal((await run(['verify', ...simple])).code, EXIT.verified);
    await lock(beta);
    const { code, stdout } = await run(['verify', ...simple]);
    assert.equal(code, EXIT.rejected);
    const { exit } = JSON.parse(stdout) as { readonly exit: object };
    assert.deepEqual(exit, { code: EXIT.rejected, reason: 'BP1003' });
    await fake.lock([]);
    assert.equal((await run(['verify', ...simple])).code, EXIT.nothing);
    assert.equal((await run(['verify', '--offline', ...simple, 'alpha@1.0.0'])).code, 3);
  });
});

describe('--json-schema', () => {
  it('prints the schema itself in every format, and asks nobody', async () => {
    for (const replica of fake.replicas) replica.requests.length = 0;
    for (const format of ['human', 'json', 'sarif'] satisfies readonly Format[]) {
      const { code, stdout } = await run(['verify', '--json-schema', '--format', format]);
      assert.equal(code, EXIT.verified);
      assert.deepEqual(JSON.parse(stdout), VERIFY_JSON_SCHEMA);
    }
    assert.deepEqual(
      fake.replicas.flatMap(({ requests }) => requests),
      [],
    );
  });
});

describe('--format github', () => {
  it('annotates from the root of the checkout, and fills the summary and the outputs', async () => {
    await lock(beta);
    const [summary, outputs] = [join(fake.home, 'summary.md'), join(fake.home, 'outputs')];
    await writeFile(summary, 'before\n');
    await writeFile(outputs, 'other=1\n');
    const env = {
      GITHUB_STEP_SUMMARY: summary,
      GITHUB_OUTPUT: outputs,
      GITHUB_WORKSPACE: fake.home,
    };
    const flags = ['--format', 'github', '--report', 'junit=junit.xml'];
    const { code, stdout } = await run(['verify', ...flags], { env });
    assert.equal(code, EXIT.tampered);
    const [first] = consumeGitHub(stdout);
    const folder = fake.project.slice(fake.home.length + 1);
    assert.equal(first?.properties['file'], `${folder}/package-lock.json`);
    assert.ok(Number(first.properties['line']) > 1);
    const text = await readFile(summary, 'utf8');
    assert.ok(text.startsWith('before\n'), 'what other tools wrote stays');
    consume('markdown', text.slice('before\n'.length));
    assert.equal(
      await readFile(outputs, 'utf8'),
      `other=1\nverdict=rejected\nexit-code=10\nreport-path=${join(fake.project, 'junit.xml')}\n`,
    );
    consumeJUnit(await readFile(join(fake.project, 'junit.xml'), 'utf8'));
  });
});

describe('paths in reports', () => {
  it('lead to the lockfile that was found further up', async () => {
    await lock(beta);
    const app = join(fake.project, 'packages', 'app');
    await mkdir(app, { recursive: true });
    const env = { GITHUB_WORKSPACE: fake.home };
    const { stdout } = await run(['-C', app, 'verify', '--format', 'sarif'], { env });
    const [uri] = /"uri": "[^"]*"/.exec(stdout) ?? [];
    const folder = fake.project.slice(fake.home.length + 1);
    assert.equal(uri, `"uri": "${folder}/package-lock.json"`);
  });
});

describe('--ascii', () => {
  it('writes no character outside ASCII of its own, and leaves documents alone', async () => {
    await lock(beta);
    const { stdout, stderr } = await run(['verify', '--ascii']);
    // oxlint-disable-next-line no-control-regex -- ASCII, as it is
    assert.match(stdout + stderr, /^[\u0000-\u007f]*$/);
    assert.match(stdout, /^FAIL error\[BP1003\]/m);
    // A folder without a configuration: the hint has an ellipsis.
    const elsewhere = ['-C', fake.home, 'verify', '--json', '--reproducible'];
    const plain = await run(elsewhere);
    assert.match(plain.stdout, /…/);
    assert.equal((await run([...elsewhere, '--ascii'])).stdout, plain.stdout);
  });
});

describe('--format ndjson', () => {
  async function stream(flags: readonly string[]): Promise<string> {
    let stdout = '';
    let nowMs = (fake.log.time + 1) * 1000;
    await runCli(['verify', '--format', 'ndjson', ...flags], '1.2.3', {
      cwd: fake.project,
      env: { HOME: fake.home },
      // A machine on which everything takes a second.
      nowMs: () => (nowMs += 1000),
      terminal: {
        writeOut: (text) => void (stdout += text),
        writeErr: () => undefined,
        outIsTty: false,
        errIsTty: false,
        ask: undefined,
      },
    });
    return stdout;
  }

  it('says how far it is while it works', async () => {
    const lines = (await stream([])).trim().split('\n');
    assert.match(lines[0] ?? '', /^\{"type":"start"/);
    assert.match(lines[1] ?? '', /^\{"type":"progress","text":"verifying against the log"/);
    consume('ndjson', `${lines.join('\n')}\n`);
  });

  it('leaves that out where it would differ from run to run', async () => {
    const first = await stream(['--reproducible']);
    assert.doesNotMatch(first, /"type":"progress"/);
    await rm(join(fake.home, '.local'), { recursive: true, force: true });
    assert.equal(await stream(['--reproducible']), first);
  });
});

describe('progress', () => {
  // A terminal that nobody has: the real program, with a replica that hangs, and a bar that is forced.
  it('ends with a clean line when it is interrupted', { timeout: 300_000 }, async () => {
    for (const replica of fake.replicas) {
      replica.misbehave = () => new Promise<boolean>(() => undefined);
    }
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        join(projectRoot, 'cli/main.ts'),
        '-C',
        fake.project,
        '--progress',
        'bar',
        'verify',
      ],
      { cwd: projectRoot, env: { PATH: process.env['PATH'] ?? '', HOME: fake.home } },
    );
    let stderr = '';
    await new Promise<void>((resolve) => {
      child.stderr.setEncoding('utf8').on('data', (text: string) => {
        stderr += text;
        if (stderr.includes('verifying against the log')) resolve();
      });
    });
    child.kill('SIGINT');
    const code = await new Promise<number | null>((resolve) => child.once('exit', resolve));
    for (const replica of fake.replicas) replica.misbehave = undefined;
    assert.equal(code, EXIT.interrupted);
    const erase = '\r\u001b[2K';
    const bar = stderr.lastIndexOf(`${erase}verifying`);
    assert.ok(stderr.indexOf(erase, bar + 1) > bar, 'erased after it was drawn last');
    assert.ok(!stderr.includes('\u001b[?25l'), 'the cursor was never hidden');
  });
});
