// Three maintainers who hold their keys in three ways (a locked file, an agent, a file in plain text), and
// change them one after the other.
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { takeSubmissions } from '../../fixtures/fake-gateway.ts';
import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { SshAgent } from '../../fixtures/ssh-agent.ts';
import { integrityOf, makeTarball } from '../../fixtures/tarballs/generator.ts';

const OLD = 'correct horse';
const NEW = 'battery staple';

interface Json {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: {
    readonly to?: string;
    readonly drafts?: readonly string[];
    readonly missing?: readonly string[];
    readonly statement?: string;
    readonly sets?: readonly {
      readonly maintainers: readonly { readonly name: string; readonly key: string }[];
    }[];
    readonly publicKey?: string;
  } | null;
}

describe('key rotate', () => {
  let fake: FakeLog;
  let agent: SshAgent;
  let agentFolder = '';
  before(async () => {
    fake = await FakeLog.start(4);
    takeSubmissions(fake);
    agentFolder = await mkdtemp(join(tmpdir(), 'bftpkg-agent-'));
    agent = await SshAgent.start(agentFolder);
    await agent.add('bob@laptop');
    await exits([0, null], ['key', 'generate', 'alice'], OLD, OLD);
    await exits([0, null], ['key', 'import', '--agent', 'bob@laptop', '--name', 'bob']);
    await exits([0, null], ['key', 'generate', 'carol', '--no-passphrase']);
    await exits([0, null], ['key', 'generate', 'mallory', '--no-passphrase']);
    const keys = ['alice', 'bob', 'carol'].flatMap((name) => ['--key', name]);
    for (const name of ['left-pad', '@our/pad']) {
      await exits([0, null], ['package', 'register', name, '--faulty', '1', ...keys], OLD);
    }
  });
  after(async () => {
    await agent.stop();
    await fake.stop();
    await rm(agentFolder, { recursive: true });
  });

  const run = async (argv: readonly string[], ...secrets: readonly string[]): Promise<Outcome> =>
    await fake.run(argv, { secrets, env: { SSH_AUTH_SOCK: agent.socket } });
  const json = async (argv: readonly string[], ...secrets: readonly string[]): Promise<Json> =>
    JSON.parse((await run([...argv, '--json'], ...secrets)).stdout) as Json;
  const exits = async (
    expected: readonly [number, string | null],
    argv: readonly string[],
    ...secrets: readonly string[]
  ): Promise<void> => {
    const { code, stdout, stderr } = await run([...argv, '--json'], ...secrets);
    const { exit } = JSON.parse(stdout) as Json;
    assert.deepEqual([code, exit.reason], expected, stdout + stderr);
  };
  const publish = async (
    expected: readonly [number, string | null],
    version: string,
    keys: readonly string[],
    ...secrets: readonly string[]
  ): Promise<void> => {
    const file = join(fake.home, `left-pad-${version}.tgz`);
    const bytes = makeTarball({ name: 'left-pad', version });
    await writeFile(file, bytes);
    const flags = [...keys.flatMap((key) => ['--key', key]), '--no-npm'];
    const digest = ['--expect-digest', integrityOf(bytes)];
    await exits(expected, ['release', 'publish', file, ...flags, ...digest], ...secrets);
  };
  const labels = async (name: string): Promise<readonly string[]> => {
    const { result } = await json(['package', 'history', name]);
    return (result?.sets?.at(-1)?.maintainers ?? []).map((each) => each.name).toSorted();
  };
  const keyFile = (name: string): string =>
    join(fake.home, '.config', 'bftpkg', 'keys', `${name}.key.json`);

  it('signs releases with keys of all three kinds', async () => {
    await publish([0, null], '1.0.0', ['alice', 'bob'], OLD);
    await publish([0, null], '1.0.1', ['agent:bob@laptop', 'carol']);
    await publish([4, 'BP8003'], '1.0.2', ['alice', 'bob'], 'wrong one');
    await publish([4, 'BP8004'], '1.0.2', ['agent:nobody', 'carol']);
  });

  it('puts a new key in the place of the old one, for every package that is named', async () => {
    const packages = ['--package', 'left-pad', '--package', '@our/pad'];
    // The passphrase of the new key twice, that of the old one once, though there are two drafts.
    const { exit, result } = await json(['key', 'rotate', 'alice', ...packages], NEW, NEW, OLD);
    assert.deepEqual([exit.code, exit.reason], [0, null]);
    assert.equal(result?.to, 'alice-2');
    const drafts = result.drafts ?? [];
    assert.deepEqual(
      drafts.map((file) => file.split('/').at(-1)),
      ['rotate-left-pad.json', 'rotate-our-pad.json'],
    );
    assert.equal((await stat(keyFile('alice'))).isFile(), true, 'the old key stays');
    for (const draft of drafts) {
      await exits([11, 'BP2001'], ['package', 'submit', draft]);
      const refused = await json(['package', 'approve', draft, '--key', 'bob', '--no-input']);
      assert.equal(refused.exit.reason, 'BP8002');
      const { stderr } = await run(['package', 'approve', draft, '--key', 'bob', '--no-input']);
      const digest = /--expect-digest ([0-9a-f]{64})/.exec(stderr)?.[1] ?? '';
      const approving = ['package', 'approve', draft, '--key', 'bob', '--expect-digest', digest];
      assert.deepEqual((await json(approving)).result?.missing, []);
      await exits([0, null], ['package', 'submit', draft]);
    }
    await publish([11, 'BP2001'], '1.1.0', ['alice', 'carol'], OLD);
    await publish([0, null], '1.1.0', ['alice-2', 'carol'], NEW);
    assert.deepEqual(await labels('@our/pad'), ['alice', 'bob', 'carol']);
  });

  it('takes a key of the agent as the new one', async () => {
    await agent.add('carol@laptop');
    const argv = ['key', 'rotate', 'carol', '--package', 'left-pad', '--to', 'agent:carol@laptop'];
    const { exit, result } = await json(argv);
    assert.deepEqual([exit.code, exit.reason], [0, null]);
    const [draft = ''] = result?.drafts ?? [];
    const { stderr } = await run(['package', 'approve', draft, '--key', 'bob', '--no-input']);
    const digest = /--expect-digest ([0-9a-f]{64})/.exec(stderr)?.[1] ?? '';
    await exits(
      [0, null],
      ['package', 'approve', draft, '--key', 'bob', '--expect-digest', digest],
    );
    await exits([0, null], ['package', 'submit', draft]);
    await publish([11, 'BP2001'], '1.2.0', ['bob', 'carol']);
    await publish([0, null], '1.2.0', ['bob', 'agent:carol@laptop']);
  });

  it('makes no key where there is nothing to rotate', async () => {
    const cases: readonly (readonly [readonly string[], readonly [number, string]])[] = [
      [['alice-2'], [2, 'BP9003']],
      [
        ['mallory', '--package', 'left-pad'],
        [2, 'BP9003'],
      ],
      [
        ['alice-2', '--package', 'never-registered'],
        [16, 'BP5003'],
      ],
      [
        ['alice-2', '--package', 'left-pad', '--to', 'alice-2'],
        [2, 'BP9003'],
      ],
      [
        ['alice-2', '--package', 'left-pad', '--name', '../up'],
        [2, 'BP9003'],
      ],
    ];
    for (const [argv, expected] of cases) await exits(expected, ['key', 'rotate', ...argv], NEW);
    for (const name of ['alice-3', 'mallory-2']) {
      await assert.rejects(stat(keyFile(name)), { code: 'ENOENT' });
    }
  });

  it('can be tried again with the key that a first try has made', async () => {
    await exits([0, null], ['key', 'generate', 'bob-2', '--no-passphrase']);
    const argv = ['key', 'rotate', 'bob', '--package', 'left-pad'];
    const { code, stderr } = await run([...argv, '--no-passphrase']);
    assert.equal(code, 2);
    assert.match(stderr, /--to bob-2/);
    await exits([0, null], [...argv, '--to', 'bob-2']);
  });
});
