// A key in shares for five people: some lost, some damaged, some of somebody who lies.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';

import { KeyHome } from '../../fixtures/key-home.ts';
import { PRIME } from '../../verifier/secret-sharing/field.ts';
import { formatShare, parseShare } from '../keys/share-file.ts';

interface Backup {
  readonly backup: string;
  readonly publicKey: string;
  readonly faulty: number;
  readonly files: readonly string[];
}

interface Recovered {
  readonly publicKey: string;
  readonly protection: string;
  readonly wrong: readonly { readonly file: string; readonly reason: string }[];
}

let home: KeyHome;

async function backUp(name: string, ...flags: readonly string[]): Promise<Backup> {
  const argv = ['key', 'backup', name, '--shares', '5', '--threshold', '3', ...flags];
  return (await home.resultOf(argv)) as Backup;
}

/** A copy of a share with another content. @returns its path */
async function altered(
  file: string,
  name: string,
  change: (text: string) => string,
): Promise<string> {
  return await home.secretFile(name, change(await readFile(file, 'utf8')));
}

// What a holder writes who knows the format: everything fits, but for the value.
function lie(text: string): string {
  const { header, share } = parseShare(text);
  // Far from the right one: small differences of two liars can cancel each other out (search.test.ts).
  const value = (share.value + BigInt(`0x1${randomBytes(16).toString('hex')}`)) % PRIME;
  return formatShare({ header, share: { ...share, value } });
}

async function recover(
  files: readonly string[],
  ...flags: readonly string[]
): Promise<Recovered & { readonly code: number; readonly stderr: string }> {
  await rm(home.keyFile('back'), { force: true });
  const argv = ['key', 'recover', ...files, '--name', 'back', '--no-passphrase', ...flags];
  const { code, stdout, stderr } = await home.run([...argv, '--json']);
  const { result } = JSON.parse(stdout) as { readonly result: Recovered };
  return { ...result, code, stderr: stdout + stderr };
}

describe('key backup', () => {
  before(async () => {
    home = await KeyHome.make();
    assert.equal((await home.run(['key', 'generate', 'alice', '--no-passphrase'])).code, 0);
    assert.equal((await home.run(['key', 'generate', 'bob', '--no-passphrase'])).code, 0);
  });
  after(async () => home.remove());

  it('writes a file for each holder, that nobody else can read and that has no seed in it', async () => {
    const { files, faulty } = await backUp('alice', '--out', 'first');
    assert.equal(faulty, 1);
    assert.equal(files.length, 5);
    assert.deepEqual(
      (await readdir(home.path('work'))).filter((name) => /tmp/.test(name)),
      [],
    );
    const { seed } = JSON.parse(await readFile(home.keyFile('alice'), 'utf8')) as { seed: string };
    for (const file of files) {
      assert.equal((await stat(file)).mode & 0o777, 0o600);
      assert.equal((await readFile(file, 'utf8')).includes(seed), false);
    }
    assert.equal((await stat(home.path('work', 'first'))).mode & 0o777, 0o700);
  });

  it('writes over nothing', async () => {
    await mkdir(home.path('work', 'taken'));
    await writeFile(home.path('work', 'taken', 'x'), '');
    const argv = ['key', 'backup', 'alice', '--shares', '5', '--threshold', '3', '--out', 'taken'];
    assert.deepEqual(await home.exitOf(argv), [2, 'BP8001']);
    assert.deepEqual(await readdir(home.path('work', 'taken')), ['x']);
  });

  it('says what the numbers mean', async () => {
    const argv = ['key', 'backup', 'alice', '--shares', '7', '--threshold', '3', '--out', 'seven'];
    const { stdout } = await home.run(argv);
    assert.match(stdout, /any 3 of them make the key; fewer say nothing about it; 4 may be lost/);
    assert.match(stdout, /with all 7 given, 2 may be wrong/);
    assert.match(stdout, /so 2 of the holders may be bad in any way/);
    const two = ['key', 'backup', 'alice', '--shares', '4', '--threshold', '3', '--out', 'four'];
    assert.match((await home.run(two)).stdout, /no wrong share can be found out: .* 5 shares/);
  });

  const numbers: readonly (readonly [why: string, flags: readonly string[]])[] = [
    ['a threshold above n - 2f', ['--shares', '5', '--threshold', '3', '--faulty', '2']],
    ['as many bad holders as make the key', ['--shares', '9', '--threshold', '3', '--faulty', '3']],
    ['a threshold of one', ['--shares', '3', '--threshold', '1']],
    ['a threshold above the shares', ['--shares', '3', '--threshold', '4']],
    ['too many shares', ['--shares', '65', '--threshold', '3']],
    ['no number', ['--shares', 'five', '--threshold', '3']],
    ['a fraction', ['--shares', '5.5', '--threshold', '3']],
  ];
  for (const [why, flags] of numbers) {
    it(`refuses ${why}`, async () => {
      const argv = ['key', 'backup', 'alice', ...flags, '--out', 'never'];
      assert.deepEqual(await home.exitOf(argv), [2, 'BP9003']);
      await assert.rejects(stat(home.path('work', 'never')), { code: 'ENOENT' });
    });
  }
});

describe('key recover', () => {
  let alice: Backup;
  let again: Backup;
  let bob: Backup;
  before(async () => {
    home = await KeyHome.make();
    assert.equal((await home.run(['key', 'generate', 'alice', '--no-passphrase'])).code, 0);
    assert.equal((await home.run(['key', 'generate', 'bob', '--no-passphrase'])).code, 0);
    alice = await backUp('alice', '--out', 'alice');
    again = await backUp('alice', '--out', 'again');
    bob = await backUp('bob', '--out', 'bob');
  });
  after(async () => home.remove());

  const share = (backup: Backup, index: number): string => backup.files[index - 1] ?? '';
  const shares = (backup: Backup, ...indexes: readonly number[]): string[] =>
    indexes.map((index) => share(backup, index));

  it('makes the key of any three, and the key signs', async () => {
    for (const [a, b, c] of [
      [1, 2, 3],
      [5, 3, 1],
      [2, 4, 5],
    ] as const) {
      const { code, publicKey, wrong, stderr } = await recover(shares(alice, a, b, c));
      assert.equal(code, 0, stderr);
      assert.equal(publicKey, alice.publicKey);
      assert.deepEqual(wrong, []);
    }
    const original = await readFile(home.keyFile('alice'), 'utf8');
    const back = await readFile(home.keyFile('back'), 'utf8');
    assert.equal(back.replace('"back"', '"alice"'), original);
  });

  it('stores the key under a passphrase unless somebody says otherwise', async () => {
    const argv = ['key', 'recover', ...shares(alice, 1, 2, 3), '--name', 'sealed'];
    assert.deepEqual(await home.exitOf(argv), [4, 'BP8003']);
    const typed = ['correct horse', 'correct horse'];
    assert.equal(((await home.resultOf(argv, typed)) as Recovered).protection, 'passphrase');
    assert.deepEqual(await home.exitOf(argv, typed), [2, 'BP8001'], 'never over a key');
  });

  it('names the one share of five that lies', async () => {
    const liar = await altered(share(alice, 4), 'liar', lie);
    const { code, publicKey, wrong } = await recover([...shares(alice, 1, 2, 3, 5), liar]);
    assert.equal(code, 0);
    assert.equal(publicKey, alice.publicKey);
    assert.deepEqual(
      wrong.map(({ file }) => file),
      [liar],
    );
    assert.match(wrong[0]?.reason ?? '', /not the value that belongs/);
  });

  it('finds three right ones among more liars than can be corrected: the shares name the key', async () => {
    const liars = [
      await altered(share(alice, 1), 'two-liars-1', lie),
      await altered(share(alice, 4), 'two-liars-4', lie),
    ];
    const { code, publicKey, wrong } = await recover([...liars, ...shares(alice, 2, 3, 5)]);
    assert.equal(code, 0);
    assert.equal(publicKey, alice.publicKey);
    assert.deepEqual(
      wrong.map(({ file }) => file),
      liars,
    );
  });

  it('is not stopped by files that are no shares, and names them', async () => {
    const bad = [
      await altered(share(alice, 4), 'cut', (text) => text.slice(0, 200)),
      await altered(share(alice, 5), 'typo', (text) =>
        text.replace(/.(?="})/, (digit) => (digit === '0' ? '1' : '0')),
      ),
      await home.secretFile('huge', 'x'.repeat(1_000_000)),
      await home.secretFile('nothing', ''),
      home.keyFile('bob'),
    ];
    const { code, publicKey, wrong } = await recover([...bad, ...shares(alice, 1, 2, 3)]);
    assert.equal(code, 0);
    assert.equal(publicKey, alice.publicKey);
    assert.deepEqual(
      wrong.map(({ file }) => file),
      bad,
    );
  });

  it('does not mix shares of different backups, and says which are of another', async () => {
    const mixed = [...shares(again, 1, 2), ...shares(alice, 3, 4, 5), share(bob, 1)];
    const { publicKey, wrong } = await recover(mixed);
    assert.equal(publicKey, alice.publicKey);
    assert.deepEqual(
      wrong.map(({ file }) => file),
      [...shares(again, 1, 2), share(bob, 1)],
    );
    assert.match(wrong[0]?.reason ?? '', new RegExp(again.backup));
  });

  it('asks which backup is meant where there are as many of one as of another', async () => {
    const both = [...shares(alice, 1, 2, 3), ...shares(bob, 1, 2, 3)];
    const refused = await recover(both);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, new RegExp(`${alice.backup}[^]*${bob.backup}`));
    const byId = await recover(both, '--backup', bob.backup.slice(0, 6));
    assert.equal(byId.publicKey, bob.publicKey);
    const byKey = await recover(both, '--expect-key', alice.publicKey);
    assert.equal(byKey.publicKey, alice.publicKey);
    // The same share twice is no majority.
    const twice = await recover([...both, share(bob, 1), share(bob, 2)]);
    assert.equal(twice.code, 1);
  });

  it('is not led to another key by a minority that agrees on it', async () => {
    // Two of five who made a backup of a key of theirs and gave it the real one's name and numbers.
    const forged = await Promise.all(
      [4, 5].map(async (index) =>
        altered(share(bob, index), `forged-${index}`, (text) => {
          const { header, share: value } = parseShare(text);
          return formatShare({ header: { ...header, backup: alice.backup }, share: value });
        }),
      ),
    );
    const { publicKey, wrong } = await recover([...forged, ...shares(alice, 1, 2, 3)]);
    assert.equal(publicKey, alice.publicKey);
    assert.deepEqual(
      wrong.map(({ file }) => file),
      forged,
    );
  });

  it('writes nothing with too many wrong shares, too few, or none', async () => {
    const liars = [
      await altered(share(alice, 3), 'liar-3', lie),
      await altered(share(alice, 4), 'liar-4', lie),
      await altered(share(alice, 5), 'liar-5', lie),
    ];
    const cases: readonly (readonly [why: string, files: readonly string[], expected: RegExp])[] = [
      ['three of five lie', [...shares(alice, 1, 2), ...liars], /no 3 of the 5 shares/],
      ['one of three lies', [...shares(alice, 1, 2), ...liars.slice(2)], /no 3 of the 3 shares/],
      ['two are given', shares(alice, 1, 2), /2 shares are given, 3 are needed/],
      ['one is given three times', Array(3).fill(share(alice, 1)), /1 shares are given/],
      ['there are none', [home.keyFile('alice')], /none of the files/],
    ];
    for (const [why, files, expected] of cases) {
      const { code, stderr } = await recover(files);
      assert.equal(code, 1, why);
      assert.match(stderr, /BP8005/);
      assert.match(stderr, expected);
      await assert.rejects(stat(home.keyFile('back')), { code: 'ENOENT' });
    }
  });

  it('reads no share that others can read', async () => {
    const open = await altered(share(alice, 1), 'open', (text) => text);
    await chmod(open, 0o644);
    const { code, stderr } = await recover([open, ...shares(alice, 2, 3)]);
    assert.equal(code, 2);
    assert.match(stderr, /chmod 600/);
  });

  it('shows no share and no seed', async () => {
    const { seed } = JSON.parse(await readFile(home.keyFile('alice'), 'utf8')) as { seed: string };
    const { value } = JSON.parse(await readFile(share(alice, 1), 'utf8')) as { value: string };
    const liar = await altered(share(alice, 1), 'liar-1', lie);
    for (const files of [shares(alice, 1, 2, 3), [liar, ...shares(alice, 2, 3)]]) {
      const argv = ['key', 'recover', ...files, '--name', 'quiet', '--no-passphrase', '-v'];
      const { stdout, stderr } = await home.run(argv);
      for (const secret of [seed, value, value.slice(4, 60)]) {
        assert.equal((stdout + stderr).includes(secret), false);
      }
    }
  });
});
