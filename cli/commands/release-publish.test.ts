// The way to an npm registry, with the real npm: the same bytes, whatever is cut off on the way, and a
// registry that is believed nothing.
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { startNpmRegistry, type NpmRegistry } from '../../fixtures/npm-registry.ts';
import { integrityOf } from '../../fixtures/tarballs/generator.ts';
import { EXIT } from '../output/exit-codes.ts';

describe('release publish', () => {
  let fake: FakeLog;
  let registry: NpmRegistry;
  let number = 0;
  const folder = (): string => join(fake.home, 'checkout');
  const spec = (): string => `@acme/pkg@1.${number}.0`;
  const run = (...argv: readonly string[]): Promise<Outcome> => fake.run(argv, { cwd: folder() });

  /** `release publish` by alice and bob, who name the digest that they are asked about. */
  async function publish(...argv: readonly string[]): Promise<Outcome> {
    const command = ['release', 'publish', '--key', 'alice', '--key', 'bob', ...argv];
    const blind = await run(...command);
    if (blind.code !== EXIT.locked) return blind;
    const digest = /--expect-digest (sha512-\S+)/.exec(blind.stderr)?.[1] ?? '';
    return await run(...command, '--expect-digest', digest);
  }

  /** The digest that the log has. */
  async function logged(): Promise<string> {
    const { stdout } = await run('verify', spec(), '--json');
    const { subjects } = JSON.parse(stdout) as {
      subjects: readonly { digest: { logged: string } }[];
    };
    return subjects[0]?.digest.logged ?? 'nothing';
  }

  const atRegistry = (): string => {
    const bytes = registry.published.get(spec());
    return bytes === undefined ? 'nothing' : integrityOf(bytes);
  };

  before(async () => {
    [fake, registry] = await Promise.all([FakeLog.start(), startNpmRegistry()]);
    for (const name of ['alice', 'bob']) {
      assert.equal((await fake.run(['key', 'generate', name, '--no-passphrase'])).code, 0);
    }
    const keys = ['--key', 'alice', '--key', 'bob', '--faulty', '1'];
    assert.equal((await fake.run(['package', 'register', '@acme/pkg', ...keys])).code, 0);
    await fake.configure();
  });
  after(async () => {
    await Promise.all([fake.stop(), registry.stop()]);
  });
  beforeEach(async () => {
    number++;
    registry.tamper = undefined;
    registry.cut = undefined;
    registry.requests.length = 0;
    await mkdir(folder(), { recursive: true });
    const { pin } = fake.log;
    const replicas = fake.replicas.map(({ url }) => url);
    const config = { format: 'bftpkg-config/v1', pin, replicas };
    await writeFile(join(folder(), 'bftpkg.json'), JSON.stringify(config));
    await writeFile(join(folder(), '.npmrc'), registry.npmrc);
    await manifest({});
    await writeFile(join(folder(), 'index.js'), `exports.number = ${number};\n`);
  });

  async function manifest(fields: Readonly<Record<string, unknown>>): Promise<void> {
    const all = { name: '@acme/pkg', version: `1.${number}.0`, files: ['index.js'], ...fields };
    await writeFile(join(folder(), 'package.json'), JSON.stringify(all));
  }

  it('brings the very bytes of the log to the registry that npm is configured for', async () => {
    const done = await publish('--access', 'public', '--tag', 'next');
    assert.equal(done.code, EXIT.verified, done.stdout + done.stderr);
    assert.match(done.stdout, /is published, and the registry serves the same bytes/);
    assert.equal(atRegistry(), await logged());
    const verified = await run('release', 'verify', spec());
    assert.equal(verified.code, EXIT.verified, verified.stderr);
    assert.match(verified.stdout, /registry {2}http\S+: the same bytes/);
  });

  it('does nothing twice', async () => {
    await publish();
    registry.requests.length = 0;
    const again = await publish();
    assert.equal(again.code, EXIT.verified, again.stderr);
    assert.match(again.stdout, /in the log already/);
    assert.match(again.stdout, /at the registry already, with the same bytes/);
    assert.deepEqual(
      registry.requests.filter((line) => line.startsWith('PUT')),
      [],
    );
  });

  for (const cut of ['before', 'after'] as const) {
    it(`goes on when the connection was cut ${cut} the registry took it`, async () => {
      registry.cut = cut;
      const first = await publish();
      assert.notEqual(await logged(), 'nothing', 'it is in the log either way');
      const second = await publish();
      assert.equal(second.code, EXIT.verified, first.stderr + second.stderr);
      assert.equal(atRegistry(), await logged());
    });
  }

  it('leaves a release in the log that npm could not publish, and says what npm said', async () => {
    await writeFile(join(folder(), '.npmrc'), `registry=${registry.url}\nfetch-retries=0\n`);
    const failed = await publish();
    assert.equal(failed.code, EXIT.inconclusive, failed.stdout + failed.stderr);
    assert.match(failed.stderr, /BP7004.*npm publish/);
    assert.notEqual(await logged(), 'nothing');
    assert.equal(atRegistry(), 'nothing');
    const verified = await run('release', 'verify', spec());
    assert.equal(verified.code, EXIT.inconclusive);
    assert.match(verified.stderr, /the registry has no such version/);
    await writeFile(join(folder(), '.npmrc'), registry.npmrc);
    assert.equal((await publish()).code, EXIT.verified);
    assert.equal(atRegistry(), await logged());
  });

  it('is not silenced by a registry that serves other bytes and their digest', async () => {
    assert.equal((await publish()).code, EXIT.verified);
    // A whole tarball of another version: npm itself finds nothing wrong with it.
    const other = registry.published.get(`@acme/pkg@1.${number - 1}.0`);
    assert.ok(other !== undefined, 'an earlier test has published it');
    registry.tamper = () => other;
    for (const argv of [
      ['release', 'verify', spec()],
      ['release', 'publish', '--key', 'alice', '--key', 'bob'],
    ]) {
      const refused = await run(...argv);
      assert.equal(refused.code, EXIT.tampered, refused.stderr);
      assert.match(refused.stderr, /BP1004/);
    }
  });

  it('goes where publishConfig says', async () => {
    const second = await startNpmRegistry();
    try {
      await manifest({ publishConfig: { registry: second.url } });
      await writeFile(join(folder(), '.npmrc'), registry.npmrc + second.npmrc.split('\n')[1]);
      const done = await publish();
      assert.equal(done.code, EXIT.verified, done.stderr);
      assert.equal(atRegistry(), 'nothing');
      const bytes = second.published.get(spec());
      assert.equal(bytes === undefined ? 'nothing' : integrityOf(bytes), await logged());
      assert.equal((await run('release', 'verify', spec())).code, EXIT.verified);
    } finally {
      await second.stop();
    }
  });

  it('runs nothing of the project while it publishes', async () => {
    const scripts = Object.fromEntries(
      ['prepublishOnly', 'prepack', 'prepare', 'postpack', 'publish', 'postpublish'].map((name) => [
        name,
        `echo ran >> ${join(fake.home, 'ran')}`,
      ]),
    );
    await manifest({ scripts });
    assert.equal((await publish()).code, EXIT.verified);
    const { existsSync } = await import('node:fs');
    assert.equal(existsSync(join(fake.home, 'ran')), false);
  });
});
