// `doctor` on machines and logs that are well, and on each that is not.
import assert from 'node:assert/strict';
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';

let fake: FakeLog;

beforeEach(async () => {
  fake = await FakeLog.start();
  const sha512 = await fake.publish({ name: 'alpha', version: '1.0.0' });
  await fake.lock([{ name: 'alpha', version: '1.0.0', sha512 }]);
});
afterEach(async () => fake.stop());

interface JsonReport {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: {
    readonly checks: readonly {
      readonly name: string;
      readonly status: string;
      readonly text: string;
      readonly fix?: string;
    }[];
  };
}

async function examine(
  env: Record<string, string> = {},
  nowSeconds = fake.log.time + 1,
): Promise<JsonReport> {
  const { code, stdout, stderr } = await fake.run(['doctor', '--json'], { env, nowSeconds });
  assert.equal(stderr, '');
  const report = JSON.parse(stdout) as JsonReport;
  assert.equal(report.exit.code, code);
  return report;
}

/** Names of the checks that did not pass, as `name status`. */
function findings({ result }: JsonReport): readonly string[] {
  return result.checks
    .filter(({ name, status }) => status !== 'pass' && name !== 'Node.js')
    .map(({ name, status }) => `${name.replace(/ http.*/, '')} ${status}`);
}

const home = (...parts: readonly string[]): string => join(fake.home, ...parts);

async function makeOpen(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o777);
}

describe('doctor', () => {
  it('finds nothing where all is well', async () => {
    const report = await examine();
    assert.deepEqual(findings(report), []);
    assert.equal(report.exit.code, 0);
    const names = report.result.checks.map(({ name }) => name.replace(/ http.*/, ''));
    assert.equal(names.filter((name) => name === 'replica').length, 4);
    for (const name of ['quorum', 'clock', 'freshness', 'lockfile', 'trust state']) {
      assert.ok(names.includes(name), name);
    }
  });

  const rows: readonly (readonly [
    string,
    () => void | Promise<void>,
    readonly string[],
    number,
    string | null,
  ])[] = [
    ['one dead replica', async () => fake.replicas[0]?.kill(), ['replica warn'], 0, null],
    [
      'a quorum that is dead',
      async () => {
        for (const replica of fake.replicas.slice(0, 2)) await replica.kill();
      },
      ['replica warn', 'replica warn', 'quorum fail', 'clock warn'],
      3,
      'BP7001',
    ],
    [
      'nothing in a configuration that names one of four, as verifying does',
      async () => fake.configure({ replicas: fake.replicas.slice(0, 1).map(({ url }) => url) }),
      [],
      0,
      null,
    ],
    [
      'a replica that has left the log, and is no harm',
      async () => {
        const urls = fake.replicas.slice(1).map(({ url }) => url);
        fake.log.changeRoster({ weights: [1, 1, 1], urls });
        const [gone] = fake.replicas;
        await fake.configure({ replicas: [gone?.url ?? '', urls[0] ?? ''] });
      },
      ['replica warn'],
      0,
      null,
    ],
    [
      'a replica that shows too few cosignatures',
      () => {
        for (const replica of fake.replicas.slice(0, 1)) replica.note = { cosigners: [0, 1] };
      },
      ['replica warn'],
      0,
      null,
    ],
    [
      'a frozen log',
      () => {
        for (const replica of fake.replicas) replica.note = { time: fake.log.time - 7200 };
      },
      ['freshness fail'],
      13,
      'BP4001',
    ],
    [
      'clocks that differ by a minute',
      () => {
        for (const replica of fake.replicas) replica.clockSeconds = -59;
      },
      ['clock warn'],
      0,
      null,
    ],
    [
      'clocks that differ by an hour',
      () => {
        for (const replica of fake.replicas) replica.clockSeconds = 3601;
      },
      ['clock fail'],
      13,
      'BP4007',
    ],
    [
      'a fork',
      () => {
        for (const replica of fake.replicas.slice(0, 1)) {
          replica.note = { root: new Uint8Array(32).fill(7) };
        }
      },
      [],
      14,
      'BP4003',
    ],
    [
      'a cache that everybody can write to',
      async () => makeOpen(home('.cache', 'bftpkg')),
      ['cache folder fail'],
      2,
      'BP9004',
    ],
    [
      'keys that others can read',
      async () => {
        await mkdir(home('.config', 'bftpkg', 'keys'), { recursive: true });
        await writeFile(home('.config', 'bftpkg', 'keys', 'me.key'), 'x', { mode: 0o644 });
      },
      ['signing keys fail'],
      2,
      'BP8001',
    ],
    [
      'a key without a passphrase',
      async () => {
        const { code } = await fake.run(['key', 'generate', 'bare', '--no-passphrase']);
        assert.equal(code, 0);
      },
      ['signing keys warn'],
      0,
      null,
    ],
    [
      'a damaged key',
      async () => {
        await mkdir(home('.config', 'bftpkg', 'keys'), { recursive: true, mode: 0o700 });
        await writeFile(home('.config', 'bftpkg', 'keys', 'me.key.json'), '{}', { mode: 0o600 });
      },
      ['signing keys fail'],
      2,
      'BP8001',
    ],
    [
      'weak settings of npm',
      async () =>
        writeFile(home('project', '.npmrc'), 'strict-ssl = false\nignore-scripts=false\n'),
      ['npm settings warn', 'npm settings warn'],
      0,
      null,
    ],
    [
      'a lockfile that nobody can read',
      async () => writeFile(home('project', 'package-lock.json'), '{'),
      ['lockfile warn'],
      0,
      null,
    ],
    [
      'a damaged trust state',
      async () => {
        await mkdir(home('.local', 'state', 'bftpkg'), { recursive: true });
        await writeFile(home('.local', 'state', 'bftpkg', `${fake.log.pin}.json`), 'x');
      },
      ['trust state fail'],
      2,
      'BP9004',
    ],
    [
      'a configuration that is none',
      async () => writeFile(home('project', 'bftpkg.json'), '{}'),
      ['configuration fail'],
      2,
      'BP9004',
    ],
  ];
  for (const [what, harm, expected, code, reason] of rows) {
    it(`finds ${what}`, async () => {
      await harm();
      const report = await examine();
      assert.deepEqual(report.exit, { code, reason }, JSON.stringify(report, null, 1));
      if (code !== 14) assert.deepEqual(findings(report), expected);
    });
  }

  it('says who left the log, and whom to name instead', async () => {
    const urls = fake.replicas.slice(1).map(({ url }) => url);
    fake.log.changeRoster({ weights: [1, 1, 1], urls });
    const [gone] = fake.replicas;
    await fake.configure({ replicas: [gone?.url ?? ''] });
    const { result } = await examine();
    const check = result.checks.find(({ name }) => name === `replica ${gone?.url}`);
    assert.match(check?.text ?? '', /, not in the roster of epoch 1$/);
    assert.equal(check?.fix, `name replicas that are in it: ${urls.join(' ')}`);
  });

  it('warns of a proxy that is not used', async () => {
    const report = await examine({ HTTPS_PROXY: 'http://127.0.0.1:1' });
    assert.deepEqual(findings(report), ['proxy warn']);
  });

  it('asks nobody with --offline', async () => {
    for (const replica of fake.replicas) replica.requests.length = 0;
    const { code } = await fake.run(['doctor', '--offline']);
    assert.equal(code, 0);
    assert.deepEqual(
      fake.replicas.flatMap(({ requests }) => requests),
      [],
    );
  });
});
