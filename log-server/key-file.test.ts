import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { VerifyError } from '../verifier/errors.ts';
import { ConfigError } from './config.ts';
import {
  bindKeyFile,
  createKeyFile,
  formatKeyFile,
  generateKeys,
  loadKeyFile,
  parseKeyFile,
} from './key-file.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-keys-'));
});
after(() => rm(folder, { recursive: true, force: true }));

const GENERATION = 'ab'.repeat(16);

describe('key file', () => {
  it('keeps keys, readable by their owner only', async () => {
    const path = join(folder, 'good.json');
    const keys = generateKeys('r0');
    await createKeyFile(path, keys);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const loaded = await loadKeyFile(path);
    assert.deepEqual(loaded.vote.publicKey, keys.vote.publicKey);
    assert.deepEqual(loaded.cosignKey, keys.cosignKey);
    assert.equal(loaded.databaseGeneration, null);
  });

  it('never overwrites keys', async () => {
    const path = join(folder, 'once.json');
    await createKeyFile(path, generateKeys('r0'));
    const before = await readFile(path, 'utf8');
    await assert.rejects(createKeyFile(path, generateKeys('r0')), { code: 'EEXIST' });
    assert.equal(await readFile(path, 'utf8'), before);
  });

  it('binds keys to one database for good', async () => {
    const path = join(folder, 'bound.json');
    const keys = generateKeys('r0');
    await createKeyFile(path, keys);
    await writeFile(`${path}.new`, 'left behind by a crash');
    await bindKeyFile(path, keys, GENERATION);
    const bound = await loadKeyFile(path);
    assert.equal(bound.databaseGeneration, GENERATION);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    await bindKeyFile(path, bound, GENERATION);
    await assert.rejects(bindKeyFile(path, bound, 'cd'.repeat(16)), ConfigError);
    assert.deepEqual(
      (await readdir(folder)).filter((name) => name.endsWith('.new')),
      [],
    );
  });

  const edits: readonly [string, (text: string) => string][] = [
    ['another format', (t) => t.replace('/v1', '/v2')],
    ['an unknown field', (t) => t.replace('{', '{"a":1,')],
    ['a missing field', (t) => t.replace(/"name":"[^"]*",/, '')],
    [
      'a public key of another seed',
      (t) => t.replace(/"votePublicKey":"../, '"votePublicKey":"00'),
    ],
    ['a cosign key under another name', (t) => t.replace('"name":"r0"', '"name":"r1"')],
    [
      'initialised without a database',
      (t) => t.replace('"initialised":false', '"initialised":true'),
    ],
    ['white space', (t) => t.replace(',', ', ')],
    ['nothing', () => ''],
  ];
  for (const [why, edit] of edits) {
    it(`refuses ${why}`, () => {
      const text = formatKeyFile(generateKeys('r0'));
      const edited = edit(text);
      assert.notEqual(edited, text);
      assert.throws(() => parseKeyFile(edited), VerifyError);
    });
  }

  it('refuses a file that others can read, and a link', async () => {
    const path = join(folder, 'open.json');
    await createKeyFile(path, generateKeys('r0'));
    await symlink(path, join(folder, 'link.json'));
    await assert.rejects(loadKeyFile(join(folder, 'link.json')), ConfigError);
    await chmod(path, 0o640);
    await assert.rejects(loadKeyFile(path), ConfigError);
    await assert.rejects(loadKeyFile(join(folder, 'none.json')), ConfigError);
  });

  it('says nothing secret when it refuses', async () => {
    const path = join(folder, 'broken.json');
    const text = formatKeyFile(generateKeys('r0')).replace('"name":"r0"', '"name":7');
    await writeFile(path, text, { mode: 0o600 });
    const seed = /"voteSeed":"([0-9a-f]{64})"/.exec(text)?.[1] ?? 'no seed';
    await assert.rejects(loadKeyFile(path), (error: Error) => !String(error.stack).includes(seed));
  });
});
