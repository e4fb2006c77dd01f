// What somebody meets who does it for the first time: a log without an entry, a file that is not there, a
// list with nothing in it. Each answer has to say what to do, and blame nobody.
import assert from 'node:assert/strict';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';

describe('the first steps', () => {
  let fake: FakeLog;
  let empty: FakeLog;
  before(async () => {
    [fake, empty] = await Promise.all([FakeLog.start(), FakeLog.start()]);
    const sha512 = await fake.publish({ name: 'alpha', version: '1.0.0' });
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512 }]);
    const { pin } = fake.log;
    const monitor = (more: object): string =>
      JSON.stringify({ format: 'bftpkg-monitor/v1', pin, packages: ['*'], ...more });
    const urls = fake.replicas.map(({ url }) => url);
    await write('few.json', monitor({ replicas: urls.slice(0, 2) }));
    await write('keys.json', monitor({ replicas: urls, keys: ['alice'] }));
    await write('other.json', monitor({ replicas: urls, format: 'bftpkg-config/v1' }));
  });
  after(async () => {
    await Promise.all([fake.stop(), empty.stop()]);
  });

  async function write(name: string, text: string): Promise<void> {
    await writeFile(join(fake.project, name), text);
  }

  const cases: readonly (readonly [
    why: string,
    argv: readonly string[],
    code: number,
    said: RegExp,
  ])[] = [
    ['no such file', ['bundle', 'verify', 'nope.json'], 2, /nope\.json: no such file or folder/],
    [
      'no hook yet',
      ['hook', 'check'],
      2,
      /this project has no hook\n\s+next\s+bftpkg hook install/,
    ],
    [
      'a monitor that knows too few replicas',
      ['monitor', 'run', '--once', '--config', 'few.json'],
      3,
      /2 of 2 replicas answered; the log has 4: name all of them/,
    ],
    [
      'a key that is none',
      ['monitor', 'check-config', '--config', 'keys.json'],
      2,
      /keys.*\n\s+next\s+bftpkg explain monitor/,
    ],
    [
      'a file of another kind',
      ['monitor', 'check-config', '--config', 'other.json'],
      2,
      /bftpkg-monitor\/v1.*\n\s+next\s+bftpkg explain monitor/,
    ],
    [
      'a bundle that is none',
      ['bundle', 'verify', 'few.json'],
      17,
      /few\.json is no bundle of evidence: .*\n\s+next\s+bftpkg bundle create/,
    ],
    ['a cache with nothing in it', ['cache', 'info'], 0, /0 files, 0 KiB/],
  ];
  for (const [why, argv, code, said] of cases) {
    it(`say what to do: ${why}`, async () => {
      const result = await fake.run(argv);
      assert.match(result.stdout + result.stderr, said);
      assert.equal(result.code, code);
    });
  }

  it('say whose hook it would be in the folder of a workspace', async () => {
    await mkdir(join(fake.project, 'packages/web'), { recursive: true });
    await write('packages/web/package.json', '{"name":"web","version":"1.0.0"}');
    const { code, stderr } = await fake.run(['hook', 'install', '-C', 'packages/web']);
    assert.equal(code, 2, stderr);
    assert.ok(stderr.includes(`bftpkg hook install -C ${fake.project}\n`), stderr);
  });

  it('say that the pin is of another log', async () => {
    const text = await readFile(join(fake.project, 'bftpkg.json'), 'utf8');
    const config = { ...(JSON.parse(text) as object), pin: empty.log.pin };
    await write('other-log.json', JSON.stringify(config));
    const { code, stdout } = await fake.run(['doctor', '--config', 'other-log.json']);
    assert.doesNotMatch(stdout, /the others are enough/);
    assert.match(stdout, /✖ quorum .*\n\s+→ they run another log .* compare its pin/);
    assert.equal(code, 3, stdout);
  });

  it('call a log without an entry neither unreachable nor broken', async () => {
    const { code, stdout } = await empty.run(['doctor']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /! log .*4 of 4 replicas answer; the log has no entry yet/);
    assert.match(stdout, /→ publish something first: bftpkg package register/);
    assert.doesNotMatch(stdout, /try another network/);
  });
});
