// `install <name>@<version> --into <folder>`: what ends up there, and when nothing does.
import assert from 'node:assert/strict';
import {
  lutimes,
  mkdir,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { HOSTILE_TARBALLS } from '../../fixtures/tarballs/hostile.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { exists } from '../npm/lockfile.ts';
import { EXIT } from '../output/exit-codes.ts';
import { sha512 } from '../../verifier/node/sha512.ts';

const MEBIBYTE = 1024 * 1024;

describe('install --into', () => {
  let fake: FakeLog;
  let tool: Uint8Array;

  before(async () => {
    fake = await FakeLog.start();
    await fake.publish({ name: 'tool', version: '1.0.0' });
    tool = await fake.publish({
      name: 'tool',
      version: '1.2.0',
      files: { 'bin/tool.js': '#!/usr/bin/env node\nconsole.log(1)\n', 'lib/deep/er.js': '0' },
      packageJson: {
        bin: { tool: './bin/tool.js' },
        dependencies: { left: '^1.0.0' },
        scripts: { postinstall: 'touch ran' },
      },
    });
    await fake.publish({ name: 'tool', version: '1.3.0' });
    fake.log.withdraw('tool', '1.3.0', 'revoked');
    fake.log.commit();
  });
  after(async () => {
    await fake.stop();
  });
  beforeEach(async () => {
    for (const folder of ['.cache', 'project'])
      await rm(join(fake.home, folder), { recursive: true, force: true });
    await mkdir(fake.project);
    await fake.configure();
    for (const replica of fake.replicas) replica.misbehave = undefined;
  });

  const target = (): string => join(fake.project, 'tools', 'tool');
  const run = async (spec: string, ...more: readonly string[]): Promise<Outcome> =>
    await fake.run(['install', spec, '--into', 'tools/tool', ...more]);

  /** Names of everything below the project but its configuration. */
  async function things(): Promise<readonly string[]> {
    const all = await readdir(fake.project, { recursive: true });
    return all.filter((name) => name !== 'bftpkg.json').toSorted();
  }

  it('removes what a run that was killed has left beside the place, and nothing else', async () => {
    const beside = join(fake.project, 'tools');
    const old = new Date(Date.now() - 25 * 3600 * 1000);
    const make = async (name: string, when: Date, content = 'index.js'): Promise<void> => {
      await mkdir(join(beside, name), { recursive: true });
      await writeFile(join(beside, name, content), '');
      await utimes(join(beside, name), when, when);
    };
    await make('.bftpkg-aB3dE6', old);
    await make('.bftpkg-young1', new Date());
    await make('.bftpkg-withPl', old, 'journal.json');
    await make('.bftpkg-tooLong', old);
    await mkdir(join(fake.project, 'mine'));
    await writeFile(join(fake.project, 'mine/file'), '');
    await symlink('../mine', join(beside, '.bftpkg-linked'));
    await lutimes(join(beside, '.bftpkg-linked'), old, old);
    const { code, stderr } = await run('tool@1.0.0');
    assert.equal(code, EXIT.verified, stderr);
    const kept = ['.bftpkg-linked', '.bftpkg-tooLong', '.bftpkg-withPl', '.bftpkg-young1', 'tool'];
    assert.deepEqual((await readdir(beside)).toSorted(), kept);
    assert.deepEqual(await readdir(join(fake.project, 'mine')), ['file']);
  });

  it('unpacks exactly the files of the verified tarball', async () => {
    const { code, stdout, stderr } = await run('tool@1.2.0');
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.deepEqual(
      (await things()).filter((name) => !name.includes('index.js')),
      [
        'tools',
        'tools/tool',
        'tools/tool/bin',
        'tools/tool/bin/tool.js',
        'tools/tool/lib',
        'tools/tool/lib/deep',
        'tools/tool/lib/deep/er.js',
        'tools/tool/package.json',
      ],
    );
    assert.equal(await readFile(join(target(), 'lib/deep/er.js'), 'utf8'), '0');
    assert.equal((await stat(join(target(), 'bin/tool.js'))).mode & 0o111, 0o111);
    assert.equal((await stat(join(target(), 'lib/deep/er.js'))).mode & 0o111, 0);
    assert.equal((await stat(target())).mode & 0o777, 0o755);
    assert.match(stderr, /without its dependencies: left/);
    assert.match(stdout, /1 verified/);
  });

  it('runs nothing of it', async () => {
    await run('tool@1.2.0', '--scripts');
    assert.equal(await exists(join(target(), 'ran')), false);
  });

  it('takes an empty folder, and no other', async () => {
    await mkdir(target(), { recursive: true });
    assert.equal((await run('tool@1.2.0')).code, EXIT.verified);
    const again = await run('tool@1.2.0');
    assert.equal(again.code, EXIT.usage);
    assert.match(again.stderr, /is not empty/);
    await rm(target(), { recursive: true });
    await writeFile(target(), 'a file');
    assert.equal((await run('tool@1.2.0')).code, EXIT.usage);
  });

  const refused: readonly (readonly [string, string, number])[] = [
    ['a revoked release', 'tool@1.3.0', EXIT.withdrawn],
    ['a release that is not in the log', 'tool@9.0.0', EXIT.notLogged],
    ['a package that is not in the log', 'nobody', EXIT.notLogged],
    ['a range', 'tool@^1.0.0', EXIT.usage],
    ['an address', 'http://evil.example/x.tgz', EXIT.usage],
  ];
  for (const [why, spec, exit] of refused) {
    it(`exits ${exit} and writes nothing for ${why}`, async () => {
      const { code, stdout, stderr } = await run(spec);
      assert.equal(code, exit, stdout + stderr);
      assert.deepEqual(await things(), []);
    });
  }

  it('refuses two packages for one folder', async () => {
    const { code } = await fake.run(['install', 'tool@1.2.0', 'tool@1.0.0', '--into', 'x']);
    assert.equal(code, EXIT.usage);
  });

  it('writes nothing when the bytes are others everywhere', async () => {
    const hex = encodeHex(tool);
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path }, response) => {
        if (path !== `/v1/artifacts/${hex}`) return false;
        response.end('something else');
        return true;
      };
    }
    const { code, stdout } = await run('tool@1.2.0');
    assert.equal(code, EXIT.tampered, stdout);
    assert.deepEqual(await things(), []);
  });

  it('writes nothing of a package that is not what its statement says', async () => {
    const bytes = makeTarball({
      name: 'sly',
      version: '1.0.0',
      packageJson: { scripts: { postinstall: 'touch ran' } },
    });
    fake.log.maintain('sly', { maintainers: ['alice', 'bob'], faulty: 1 });
    const digest = sha512(bytes);
    const statement = { name: 'sly', version: '1.0.0', size: bytes.length, manifest: {} };
    fake.log.release({ ...statement, sha512: digest });
    fake.log.commit();
    fake.artifacts.set(encodeHex(digest), bytes);
    const { code, stdout } = await run('sly@1.0.0');
    assert.equal(code, EXIT.tampered, stdout);
    assert.match(stdout, /BP1006/);
    assert.deepEqual(await things(), []);
  });

  // A quorum would have to be bad for one of these to be in the log: the client looks all the same.
  it('unpacks no hostile archive, although it is logged and its digest is right', async () => {
    fake.log.maintain('victim', { maintainers: ['alice', 'bob'], faulty: 1 });
    let count = 0;
    // All of them are the checker's own test; here each third shows that it is asked.
    const unsafe = HOSTILE_TARBALLS.filter(({ code }) => code === 'ARCHIVE_UNSAFE');
    for (const hostile of unsafe.filter((_, at) => at % 3 === 0)) {
      const bytes = hostile.bytes();
      if (bytes.length === 0 || bytes.length > MEBIBYTE) continue;
      const digest = sha512(bytes);
      const version = `1.0.${++count}`;
      const statement = { name: 'victim', version, size: bytes.length, manifest: {} };
      fake.log.release({ ...statement, sha512: digest });
      fake.log.commit();
      fake.artifacts.set(encodeHex(digest), bytes);
      const { code, stdout } = await run(`victim@${version}`);
      assert.equal(code, EXIT.tampered, `${hostile.name}: ${stdout}`);
      assert.match(stdout, /BP1005/, hostile.name);
      assert.deepEqual(await things(), [], hostile.name);
    }
    assert.ok(count >= 15, `${count} archives`);
  });
});
