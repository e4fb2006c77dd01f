import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { verifyNative } from '../../verifier/node/ed25519.ts';
import { CliError } from '../errors.ts';
import { createKey, describeKey, keyPath, listKeys, loadKey } from './key-file.ts';

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-keys-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function refusal(work: Promise<unknown>): Promise<string> {
  let caught: unknown;
  await work.catch((error: unknown) => {
    caught = error;
  });
  assert.ok(caught instanceof CliError, `refused, not ${String(caught)}`);
  assert.equal(caught.diagnostic.code, 'BP8001');
  return JSON.stringify(caught.diagnostic) + String(caught.stack) + String(caught.cause);
}

describe('createKey', () => {
  it('makes a key that signs, in a file and folder for its owner only', async () => {
    const path = keyPath(join(folder, 'a', 'keys'), 'alice');
    const made = await createKey(path, 'alice');
    const loaded = await loadKey(path);
    assert.equal(loaded.keyId, made.keyId);
    const message = new Uint8Array([1, 2, 3]);
    const signature = loaded.signer.sign(message);
    assert.ok(verifyNative({ publicKey: made.publicKey, message, signature }));
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'a', 'keys'))).mode & 0o777, 0o700);
  });

  it('never overwrites a key', async () => {
    const path = keyPath(folder, 'once');
    await createKey(path, 'once');
    const before = await readFile(path, 'utf8');
    await refusal(createKey(path, 'once'));
    assert.equal(await readFile(path, 'utf8'), before);
  });

  it('shows nothing of the seed', async () => {
    const key = await createKey(keyPath(folder, 'shown'), 'shown');
    const seed = Buffer.from(key.signer.seed).toString('hex');
    assert.ok((await readFile(key.path, 'utf8')).includes(seed), 'the file has it');
    assert.ok(!JSON.stringify(describeKey(key)).includes(seed));
    assert.ok(!JSON.stringify(key).includes(seed));
  });
});

describe('keyPath', () => {
  for (const name of ['', '.', '..', '../x', 'a/b', '.hidden', 'x'.repeat(65), 'a\n', 'a b']) {
    it(`refuses ${JSON.stringify(name)} as a name`, () => {
      assert.throws(() => keyPath('/keys', name), CliError);
    });
  }
});

describe('loadKey', () => {
  it('refuses a file that others can read', async () => {
    const { path } = await createKey(keyPath(folder, 'loose'), 'loose');
    for (const mode of [0o640, 0o604, 0o660, 0o644]) {
      await chmod(path, mode);
      await refusal(loadKey(path));
    }
    await chmod(path, 0o400);
    assert.equal((await loadKey(path)).name, 'loose');
  });

  it('refuses a file in a folder where others can replace it', async () => {
    const open = join(folder, 'open');
    const { path } = await createKey(keyPath(open, 'k'), 'k');
    await chmod(open, 0o777);
    await refusal(loadKey(path));
  });

  it('refuses a link', async () => {
    const { path } = await createKey(keyPath(folder, 'target'), 'target');
    await symlink(path, join(folder, 'link.key.json'));
    await refusal(loadKey(join(folder, 'link.key.json')));
    await rm(join(folder, 'link.key.json'));
  });

  it('refuses what is not there', async () => {
    await refusal(loadKey(join(folder, 'none.key.json')));
  });

  const damage: readonly (readonly [string, (text: string) => string])[] = [
    ['an empty file', () => ''],
    ['a cut file', (text) => text.slice(0, 60)],
    ['a public key of another seed', (text) => text.replace(/"publicKey":"../, '"publicKey":"ff')],
    ['a short seed', (text) => text.replace(/"seed":"../, '"seed":"')],
    [
      'a seed in capitals',
      (text) =>
        text.replace(/"seed":"[0-9a-f]+/, (s) => `"seed":"${'AB'.repeat(32)}${s.slice(0, 0)}`),
    ],
    ['another version', (text) => text.replace('key/v1', 'key/v2')],
    ['a field more', (text) => text.replace('{', '{"a":1,')],
    ['a huge file', (text) => text + ' '.repeat(5000)],
  ];
  for (const [why, change] of damage) {
    it(`refuses ${why} without quoting it`, async () => {
      const name = `bad-${why.replaceAll(' ', '-')}`;
      const { path, signer } = await createKey(keyPath(join(folder, 'bad'), name), name);
      const seed = Buffer.from(signer.seed).toString('hex');
      await writeFile(path, change(await readFile(path, 'utf8')));
      const said = await refusal(loadKey(path));
      assert.ok(!said.includes(seed.slice(4, 40)), 'no part of the seed is in the message');
    });
  }
});

describe('listKeys', () => {
  it('lists keys by name and is empty without a folder', async () => {
    const own = join(folder, 'list');
    assert.deepEqual(await listKeys(own), []);
    await createKey(keyPath(own, 'b'), 'b');
    await createKey(keyPath(own, 'a'), 'a');
    assert.deepEqual(
      (await listKeys(own)).map(({ name }) => name),
      ['a', 'b'],
    );
  });
});
