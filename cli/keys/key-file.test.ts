import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { verifyNative } from '../../verifier/node/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { CliError } from '../errors.ts';
import { seal } from './age.ts';
import {
  createKey,
  describeKey,
  keyPath,
  listKeys,
  loadKey,
  loadNamedKey,
  relockKey,
  storeAgentKey,
  unlockKey,
  type Lock,
} from './key-file.ts';

const PLAIN: Lock = { passphrase: undefined };
// A work factor of 4 instead of 262,144: what is tested here is not how long a guess takes.
const LOCKED: Lock = { passphrase: 'correct horse', workFactorLog2: 2 };

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-keys-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function refusal(work: Promise<unknown>, code: string = 'BP8001'): Promise<string> {
  let caught: unknown;
  await work.catch((error: unknown) => {
    caught = error;
  });
  assert.ok(caught instanceof CliError, `refused, not ${String(caught)}`);
  assert.equal(caught.diagnostic.code, code);
  return JSON.stringify(caught.diagnostic) + String(caught.stack) + String(caught.cause);
}

async function makePlain(path: string, name: string): Promise<{ path: string; key: SigningKey }> {
  const { secret } = await createKey(path, name, PLAIN);
  assert.equal(secret.kind, 'plain');
  return { path, key: secret.key };
}

describe('createKey', () => {
  it('makes a key that signs, in a file and folder for its owner only', async () => {
    const path = keyPath(join(folder, 'a', 'keys'), 'alice');
    const made = await createKey(path, 'alice', PLAIN);
    const loaded = await loadKey(path);
    assert.equal(loaded.keyId, made.keyId);
    assert.equal(loaded.secret.kind, 'plain');
    const message = new Uint8Array([1, 2, 3]);
    const signature = loaded.secret.key.sign(message);
    assert.equal(verifyNative({ publicKey: made.publicKey, message, signature }), true);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.equal((await stat(join(folder, 'a', 'keys'))).mode & 0o777, 0o700);
  });

  it('never overwrites a key', async () => {
    const path = keyPath(folder, 'once');
    await createKey(path, 'once', PLAIN);
    const first = await readFile(path, 'utf8');
    await refusal(createKey(path, 'once', LOCKED));
    assert.equal(await readFile(path, 'utf8'), first);
  });

  it('shows nothing of the seed', async () => {
    const key = await createKey(keyPath(folder, 'shown'), 'shown', PLAIN);
    assert.equal(key.secret.kind, 'plain');
    const seed = Buffer.from(key.secret.key.seed).toString('hex');
    assert.equal((await readFile(key.path, 'utf8')).includes(seed), true, 'the file has it');
    assert.equal(JSON.stringify(describeKey(key)).includes(seed), false);
    assert.equal(JSON.stringify(key).includes(seed), false);
  });
});

describe('a key with a passphrase', () => {
  it('has nothing of the seed in its file, and opens with the passphrase alone', async () => {
    const path = keyPath(folder, 'locked');
    const { publicKey } = await createKey(path, 'locked', LOCKED);
    const file = await loadKey(path);
    assert.equal(file.secret.kind, 'sealed');
    const key = await unlockKey(file, 'correct horse');
    assert.deepEqual(key.publicKey, publicKey);
    const seed = Buffer.from(key.seed);
    const text = await readFile(path, 'utf8');
    assert.equal(text.includes(seed.toString('hex')), false);
    assert.equal(text.includes(seed.toString('base64').slice(0, 20)), false);
    for (const wrong of ['', 'correct hors', 'correct horse ', 'Correct horse']) {
      await refusal(unlockKey(file, wrong), 'BP8003');
    }
  });

  it('gets another passphrase, and stays the same key', async () => {
    const { path, key } = await makePlain(keyPath(folder, 'relocked'), 'relocked');
    const sealed = await relockKey(await loadKey(path), key, LOCKED);
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    assert.deepEqual(await loadKey(path), sealed);
    await relockKey(sealed, key, { ...LOCKED, passphrase: 'battery staple' });
    const file = await loadKey(path);
    await refusal(unlockKey(file, 'correct horse'), 'BP8003');
    assert.deepEqual((await unlockKey(file, 'battery staple')).seed, key.seed);
  });

  const damage: readonly (readonly [string, (text: string) => string])[] = [
    ['a changed character', (text) => text.replace(/(AGE ENCRYPTED FILE-----\\n.{90})./, '$1_')],
    ['a cut one', (text) => text.replace(/.{64}\\n-----END/, '-----END')],
    ['another envelope', (text) => text.replaceAll('AGE ENCRYPTED FILE', 'PRIVATE KEY')],
  ];
  for (const [why, change] of damage) {
    it(`refuses ${why} in the encrypted part`, async () => {
      const path = keyPath(join(folder, 'torn'), why.replaceAll(' ', '-'));
      await createKey(path, 'torn', LOCKED);
      const text = await readFile(path, 'utf8');
      assert.notEqual(change(text), text);
      await writeFile(path, change(text));
      await refusal(unlockKey(await loadKey(path), 'correct horse'));
    });
  }

  it('refuses a name and a public key that are not those under the passphrase', async () => {
    const path = keyPath(folder, 'mine');
    const other = await createKey(keyPath(folder, 'theirs'), 'theirs', LOCKED);
    const mine = await createKey(path, 'mine', LOCKED);
    await refusal(unlockKey({ ...mine, secret: other.secret }, 'correct horse'));
    await refusal(unlockKey({ ...mine, name: 'theirs' }, 'correct horse'));
    await refusal(unlockKey({ ...mine, publicKey: other.publicKey }, 'correct horse'));
  });

  it('refuses an age file that holds something else', async () => {
    const mine = await createKey(keyPath(folder, 'else'), 'else', LOCKED);
    const secret = {
      kind: 'sealed',
      age: await seal('{"seed":"no"}', 'correct horse', 2),
    } as const;
    const said = await refusal(unlockKey({ ...mine, secret }, 'correct horse'));
    assert.doesNotMatch(said, /"no"/);
  });
});

describe('a key of an agent', () => {
  it('is stored by name and public key', async () => {
    const { publicKey } = SigningKey.generate();
    const made = await storeAgentKey(keyPath(folder, 'held'), 'held', publicKey);
    assert.deepEqual(await loadKey(made.path), made);
    assert.equal(describeKey(made).protection, 'ssh-agent');
    await refusal(unlockKey(made, 'correct horse'));
  });
});

describe('loadNamedKey', () => {
  it('refuses files that were swapped', async () => {
    const own = join(folder, 'swapped');
    await createKey(keyPath(own, 'alice'), 'alice', PLAIN);
    await createKey(keyPath(own, 'bob'), 'bob', LOCKED);
    assert.equal((await loadNamedKey(own, 'alice')).name, 'alice');
    await rename(keyPath(own, 'alice'), join(own, 'x'));
    await rename(keyPath(own, 'bob'), keyPath(own, 'alice'));
    await rename(join(own, 'x'), keyPath(own, 'bob'));
    assert.match(await refusal(loadNamedKey(own, 'alice')), /another name/);
    await refusal(listKeys(own));
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
    const { path } = await makePlain(keyPath(folder, 'loose'), 'loose');
    for (const mode of [0o640, 0o604, 0o660, 0o644]) {
      await chmod(path, mode);
      await refusal(loadKey(path));
    }
    await chmod(path, 0o400);
    assert.equal((await loadKey(path)).name, 'loose');
  });

  it('refuses a file in a folder where others can replace it', async () => {
    const open = join(folder, 'open');
    const { path } = await makePlain(keyPath(open, 'k'), 'k');
    await chmod(open, 0o777);
    await refusal(loadKey(path));
  });

  it('refuses a link', async () => {
    const { path } = await makePlain(keyPath(folder, 'target'), 'target');
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
    ['another version', (text) => text.replace('key/v1', 'key/v3')],
    ['a field more', (text) => text.replace('{', '{"a":1,')],
    ['a huge file', (text) => text + ' '.repeat(5000)],
  ];
  for (const [why, change] of damage) {
    it(`refuses ${why} without quoting it`, async () => {
      const name = `bad-${why.replaceAll(' ', '-')}`;
      const { path, key } = await makePlain(keyPath(join(folder, 'bad'), name), name);
      const seed = Buffer.from(key.seed).toString('hex');
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
    await createKey(keyPath(own, 'b'), 'b', LOCKED);
    await createKey(keyPath(own, 'a'), 'a', PLAIN);
    assert.deepEqual(
      (await listKeys(own)).map(({ name }) => name),
      ['a', 'b'],
    );
  });
});
