// Keys of one person on one machine: made, locked, handed on, never shown.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import {
  chmod,
  copyFile,
  mkdir,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { after, before, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { KeyHome, type KeyOutcome } from '../../fixtures/key-home.ts';
import { SshAgent } from '../../fixtures/ssh-agent.ts';

const PASSPHRASE = 'correct horse';
const TWICE = [PASSPHRASE, PASSPHRASE];

interface KeyJson {
  readonly name: string;
  readonly publicKey: string;
  readonly protection: string;
}

describe('keys with a passphrase', () => {
  let home: KeyHome;
  before(async () => {
    home = await KeyHome.make();
    assert.equal((await home.run(['key', 'generate', 'alice'], TWICE)).code, 0);
  });
  after(async () => home.remove());

  it('are encrypted unless somebody says otherwise', async () => {
    const text = await readFile(home.keyFile('alice'), 'utf8');
    assert.match(text, /"age":"-----BEGIN AGE ENCRYPTED FILE-----/);
    assert.doesNotMatch(text, /seed/);
    assert.equal((await stat(home.keyFile('alice'))).mode & 0o777, 0o600);
    const plain = await home.run(['key', 'generate', 'bare', '--no-passphrase']);
    assert.equal(plain.code, 0);
    assert.match(plain.stderr, /plain text/);
    assert.match(await readFile(home.keyFile('bare'), 'utf8'), /"seed"/);
  });

  const refused: readonly (readonly [
    why: string,
    flags: readonly string[],
    typed: readonly string[] | undefined,
    expected: readonly [number, string],
  ])[] = [
    ['nobody can be asked', [], undefined, [4, 'BP8003']],
    ['nobody may be asked', ['--no-input'], TWICE, [4, 'BP8003']],
    ['two different ones are typed', [], [PASSPHRASE, 'correct house'], [4, 'BP8003']],
    ['it is too short', [], ['1234567', '1234567'], [2, 'BP9003']],
    ['it is empty', [], ['', ''], [2, 'BP9003']],
  ];
  for (const [why, flags, typed, expected] of refused) {
    it(`are not made when ${why}`, async () => {
      assert.deepEqual(await home.exitOf(['key', 'generate', 'none', ...flags], typed), expected);
      await assert.rejects(stat(home.keyFile('none')), { code: 'ENOENT' });
    });
  }

  it('show their public half to anybody, without a question', async () => {
    const shown = await home.run(['key', 'show', 'alice'], []);
    assert.equal(shown.code, 0);
    assert.deepEqual(shown.asked, []);
    const { keys } = (await home.resultOf(['key', 'list'], [])) as { readonly keys: KeyJson[] };
    assert.deepEqual(
      keys.map(({ name, protection }) => [name, protection]),
      [
        ['alice', 'passphrase'],
        ['bare', 'unprotected'],
      ],
    );
  });

  it('are listed beside one that is damaged, which is named', async () => {
    await writeFile(home.keyFile('damaged'), '{}', { mode: 0o600 });
    const { code, stdout, stderr } = await home.run(['key', 'list']);
    await rm(home.keyFile('damaged'));
    assert.equal(code, 0);
    assert.match(stdout, /alice/);
    assert.match(stderr + stdout, /BP8001[^]*damaged\.key\.json/);
  });

  it('take their passphrase from a file or a pipe', async () => {
    const file = await home.secretFile('pass', `${PASSPHRASE}\n`);
    const argv = ['key', 'export', 'alice', '--passphrase-file'];
    assert.deepEqual(await home.exitOf([...argv, file, '--out', 'a.age']), [0, null]);
    const pipe = home.path('work', 'pipe');
    await promisify(execFile)('mkfifo', ['-m', '600', pipe]);
    const writing = writeFile(pipe, `${PASSPHRASE}\n`);
    assert.deepEqual(await home.exitOf([...argv, pipe, '--out', 'b.age']), [0, null]);
    await writing;
    home.env = { BFTPKG_PASSPHRASE_FILE: file };
    try {
      const byVariable = ['key', 'export', 'alice', '--out', 'c.age'];
      assert.deepEqual(await home.exitOf(byVariable), [0, null]);
    } finally {
      home.env = {};
    }
  });

  const files: readonly (readonly [why: string, content: string, mode: number, code: string])[] = [
    ['that others can read', `${PASSPHRASE}\n`, 0o640, 'BP8001'],
    ['with a second line', `${PASSPHRASE}\nother\n`, 0o600, 'BP8001'],
    ['with nothing in it', '\n', 0o600, 'BP8001'],
    ['that is far too long', 'x'.repeat(1_000_000), 0o600, 'BP8001'],
    ['with another passphrase', 'correct house\n', 0o600, 'BP8003'],
    ['with a space too many', `${PASSPHRASE} \n`, 0o600, 'BP8003'],
  ];
  for (const [why, content, mode, code] of files) {
    it(`are not opened by a file ${why}`, async () => {
      const file = await home.secretFile('bad', content);
      await chmod(file, mode);
      const argv = ['key', 'export', 'alice', '--out', 'never.age', '--passphrase-file', file];
      const { stdout, stderr } = await home.run([...argv, '-v'], [PASSPHRASE]);
      assert.match(stdout + stderr, new RegExp(code));
      assert.doesNotMatch(stdout + stderr, /correct/);
      if (mode === 0o640) assert.match(stderr, /chmod 600/);
      await chmod(file, 0o600);
      await assert.rejects(stat(home.path('work', 'never.age')), { code: 'ENOENT' });
    });
  }

  it('let a person mistype it twice, not three times', async () => {
    const argv = ['key', 'export', 'alice', '--out'];
    const once = await home.run([...argv, 'd.age'], ['wrong one', 'wrong two', PASSPHRASE]);
    assert.equal(once.code, 0, once.stderr);
    assert.equal(once.asked.length, 3);
    const never = ['wrong one', 'wrong two', 'wrong three', PASSPHRASE];
    assert.deepEqual(await home.exitOf([...argv, 'e.age'], never), [4, 'BP8003']);
  });
});

describe('key passwd', () => {
  let home: KeyHome;
  before(async () => {
    home = await KeyHome.make();
  });
  after(async () => home.remove());

  it('locks a key that was in plain text, and keeps it the same key', async () => {
    assert.equal((await home.run(['key', 'generate', 'old', '--no-passphrase'])).code, 0);
    const { publicKey } = (await home.resultOf(['key', 'show', 'old'])) as KeyJson;
    const { seed } = JSON.parse(await readFile(home.keyFile('old'), 'utf8')) as { seed: string };
    const done = await home.run(['key', 'passwd', 'old', '-v'], TWICE);
    assert.equal(done.code, 0, done.stderr);
    assert.equal((done.stdout + done.stderr).includes(seed), false);
    assert.equal((await readFile(home.keyFile('old'), 'utf8')).includes(seed), false);
    const shown = (await home.resultOf(['key', 'show', 'old'])) as KeyJson;
    assert.deepEqual([shown.publicKey, shown.protection], [publicKey, 'passphrase']);
    assert.deepEqual(
      await home.exitOf(['key', 'export', 'old', '--out', 'old.age'], [PASSPHRASE]),
      [0, null],
    );
    assert.deepEqual(await readdir(home.path('.config', 'bftpkg', 'keys')), ['old.key.json']);
  });

  it('changes a passphrase by files, and needs both', async () => {
    const before_ = await readFile(home.keyFile('old'), 'utf8');
    const first = await home.secretFile('first', PASSPHRASE);
    const second = await home.secretFile('second', 'battery staple\n');
    const argv = ['key', 'passwd', 'old'];
    const wrong = [...argv, '--passphrase-file', second, '--new-passphrase-file', first];
    assert.deepEqual(await home.exitOf(wrong), [4, 'BP8003']);
    const half = [...argv, '--passphrase-file', first];
    assert.deepEqual(await home.exitOf(half), [4, 'BP8003']);
    assert.equal(await readFile(home.keyFile('old'), 'utf8'), before_);
    const right = [...argv, '--passphrase-file', first, '--new-passphrase-file', second];
    assert.deepEqual(await home.exitOf(right), [0, null]);
    const exporting = ['key', 'export', 'old', '--out'];
    assert.deepEqual(await home.exitOf([...exporting, 'x.age', '--passphrase-file', first]), [
      4,
      'BP8003',
    ]);
    assert.deepEqual(await home.exitOf([...exporting, 'x.age', '--passphrase-file', second]), [
      0,
      null,
    ]);
  });

  it('follows no link to somewhere else', async () => {
    await rename(home.keyFile('old'), home.path('work', 'moved.key.json'));
    await symlink(home.path('work', 'moved.key.json'), home.keyFile('old'));
    assert.deepEqual(await home.exitOf(['key', 'passwd', 'old'], TWICE), [2, 'BP8001']);
  });
});

describe('key export and import', () => {
  let here: KeyHome;
  let there: KeyHome;
  before(async () => {
    here = await KeyHome.make();
    there = await KeyHome.make();
    assert.equal((await here.run(['key', 'generate', 'alice'], TWICE)).code, 0);
    assert.equal((await here.run(['key', 'generate', 'bare', '--no-passphrase'])).code, 0);
  });
  after(async () => {
    await here.remove();
    await there.remove();
  });

  const importing = async (
    file: string,
    typed: readonly string[],
    ...flags: readonly string[]
  ): Promise<KeyOutcome> => {
    await copyFile(here.path('work', file), there.path('work', file));
    return await there.run(['key', 'import', file, ...flags], typed);
  };

  it('print the public half as others type it', async () => {
    const { publicKey } = (await here.resultOf(['key', 'show', 'alice'])) as KeyJson;
    assert.match(
      (await here.run(['key', 'export', 'alice'])).stdout,
      new RegExp(`alice=${publicKey}`),
    );
  });

  it('carry a key to another machine under its passphrase', async () => {
    assert.equal(
      (await here.run(['key', 'export', 'alice', '--out', 'a.age'], [PASSPHRASE])).code,
      0,
    );
    assert.equal((await stat(here.path('work', 'a.age'))).mode & 0o777, 0o600);
    const wrong = await importing('a.age', ['wrong one', 'wrong two', 'wrong three']);
    assert.equal(wrong.code, 4);
    const done = await importing('a.age', [PASSPHRASE]);
    assert.equal(done.code, 0, done.stderr);
    const mine = (await here.resultOf(['key', 'show', 'alice'])) as KeyJson;
    const theirs = (await there.resultOf(['key', 'show', 'alice'])) as KeyJson;
    assert.equal(theirs.publicKey, mine.publicKey);
    assert.equal(theirs.protection, 'passphrase');
    assert.equal((await importing('a.age', [PASSPHRASE])).code, 2, 'never over a key');
    assert.equal((await importing('a.age', [PASSPHRASE], '--name', 'second')).code, 0);
  });

  it('write a key that was in plain text only encrypted', async () => {
    assert.equal((await here.run(['key', 'export', 'bare', '--out', 'b.age'], TWICE)).code, 0);
    assert.doesNotMatch(await readFile(here.path('work', 'b.age'), 'utf8'), /seed/);
    assert.equal((await importing('b.age', [PASSPHRASE])).code, 0);
  });

  it('take key files of both versions', async () => {
    await copyFile(here.keyFile('bare'), here.path('work', 'v1.json'));
    await copyFile(here.keyFile('alice'), here.path('work', 'v2.json'));
    const plain = await importing('v1.json', TWICE, '--name', 'v1');
    assert.equal(plain.code, 0, plain.stderr);
    assert.equal(
      ((await there.resultOf(['key', 'show', 'v1'])) as KeyJson).protection,
      'passphrase',
    );
    assert.equal((await importing('v2.json', [PASSPHRASE], '--name', 'v2')).code, 0);
  });

  const damage: readonly (readonly [why: string, change: (text: string) => string])[] = [
    ['cut', (text) => text.slice(0, -60)],
    ['changed', (text) => text.replace(/(.{64}\n.{10})./, '$1_')],
    ['empty', () => ''],
    ['another file', () => '-----BEGIN OPENSSH PRIVATE KEY-----\n'],
    [
      'an armored nothing',
      () => '-----BEGIN AGE ENCRYPTED FILE-----\n-----END AGE ENCRYPTED FILE-----',
    ],
  ];
  for (const [why, change] of damage) {
    it(`take nothing from an export that is ${why}`, async () => {
      const text = await readFile(here.path('work', 'a.age'), 'utf8');
      await here.secretFile('damaged', change(text));
      const { code, stderr } = await importing('damaged', [PASSPHRASE], '--name', 'damaged');
      assert.equal(code, 2, stderr);
      assert.match(stderr, /BP8001/);
      await assert.rejects(stat(there.keyFile('damaged')), { code: 'ENOENT' });
    });
  }

  it('want a file or an agent, and a name that is one', async () => {
    for (const argv of [
      ['key', 'import'],
      ['key', 'import', 'a.age', '--agent', 'x'],
      ['key', 'import', 'a.age', '--name', '../up'],
    ]) {
      assert.deepEqual(await there.exitOf(argv, [PASSPHRASE]), [2, 'BP9003']);
    }
  });
});

describe('a key of the ssh-agent', () => {
  let home: KeyHome;
  let agent: SshAgent;
  before(async () => {
    home = await KeyHome.make();
    await mkdir(home.path('a'));
    agent = await SshAgent.start(home.path('a'));
    await agent.add('alice');
    home.env = { SSH_AUTH_SOCK: agent.socket };
  });
  after(async () => {
    await agent.stop();
    await home.remove();
  });

  it('is listed, shown, and kept by name', async () => {
    const { keys } = (await home.resultOf(['key', 'list', '--agent'])) as {
      readonly keys: readonly (KeyJson & {
        readonly fingerprint: string;
        readonly comment: string;
      })[];
    };
    const [only] = keys;
    assert.equal(only?.comment, 'alice');
    const direct = (await home.resultOf(['key', 'show', 'agent:'])) as KeyJson;
    assert.equal(direct.publicKey, only.publicKey);
    const argv = ['key', 'import', '--agent', only.fingerprint, '--name', 'held'];
    assert.equal(((await home.resultOf(argv)) as KeyJson).protection, 'ssh-agent');
    const named = (await home.resultOf(['key', 'show', 'held'])) as KeyJson;
    assert.equal(named.publicKey, only.publicKey);
  });

  it('needs a name of its own where the agent calls it by an address', async () => {
    await agent.add('bob@laptop');
    const { code, stderr } = await home.run(['key', 'import', '--agent', 'bob@laptop']);
    assert.equal(code, 2);
    assert.match(stderr, /--name/);
  });

  it('never leaves it', async () => {
    assert.deepEqual(await home.exitOf(['key', 'export', 'held', '--out', 'x']), [4, 'BP8004']);
    assert.deepEqual(await home.exitOf(['key', 'passwd', 'held'], TWICE), [4, 'BP8004']);
    const shares = ['--shares', '5', '--threshold', '3'];
    assert.deepEqual(await home.exitOf(['key', 'backup', 'held', ...shares]), [4, 'BP8004']);
  });

  it('is not there without the agent', async () => {
    home.env = {};
    assert.deepEqual(await home.exitOf(['key', 'list', '--agent']), [4, 'BP8004']);
    assert.deepEqual(await home.exitOf(['key', 'show', 'agent:alice']), [4, 'BP8004']);
    // Its public half is, by name.
    assert.deepEqual(await home.exitOf(['key', 'show', 'held']), [0, null]);
    home.env = { SSH_AUTH_SOCK: agent.socket };
  });
});
