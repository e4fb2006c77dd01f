import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { envelopeJson, type Envelope } from '../../verifier/dsse.ts';
import { canonicalJson } from '../../verifier/json.ts';
import { runCli } from '../run.ts';
import { EXIT } from '../output/exit-codes.ts';

let fake: FakeLog;
let alpha: Uint8Array;
const unlogged = new Uint8Array(64).fill(5);

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
});
after(async () => {
  await fake.stop();
});
beforeEach(async () => {
  await rm(join(fake.home, '.local'), { recursive: true, force: true });
  for (const name of await readdir(fake.project)) {
    await rm(join(fake.project, name), { recursive: true });
  }
  for (const replica of fake.replicas) replica.misbehave = undefined;
});

interface Document {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly diagnostics: readonly { readonly message: string; readonly hints: readonly string[] }[];
  readonly result: Readonly<Record<string, unknown>>;
}

async function init(...argv: readonly string[]): Promise<Document> {
  const { code, stdout, stderr } = await fake.run(['init', ...argv, '--json']);
  assert.notEqual(stdout, '', stderr);
  const document = JSON.parse(stdout) as Document;
  assert.equal(document.exit.code, code);
  return document;
}

const one = (): readonly string[] => ['--replica', fake.replicas[0]?.url ?? ''];
const pinned = (): readonly string[] => [...one(), '--pin', fake.log.pin];
const config = async (): Promise<Readonly<Record<string, unknown>>> =>
  JSON.parse(await readFile(join(fake.project, 'bftpkg.json'), 'utf8')) as Record<string, unknown>;

async function lock(withUnlogged: boolean): Promise<void> {
  const internal = { name: 'internal', version: '1.0.0', sha512: unlogged };
  const known = { name: 'alpha', version: '1.0.0', sha512: alpha };
  await fake.lock(withUnlogged ? [known, internal] : [known]);
}

describe('init', () => {
  it('sets a project up that verifies, from one address and the pin', async () => {
    await lock(false);
    const { exit, result } = await init(...pinned());
    assert.equal(exit.code, 0);
    assert.deepEqual([result['template'], result['verified'], result['refused']], ['strict', 1, 0]);
    const written = await config();
    assert.equal(written['pin'], fake.log.pin);
    assert.deepEqual(
      written['replicas'],
      fake.replicas.map(({ url }) => url),
    );
    assert.equal(written['baseline'], undefined);
    assert.equal((await fake.run(['verify'])).code, EXIT.verified);
  });

  it('adopts what an old project has, and is strict afterwards', async () => {
    await lock(true);
    const { result } = await init(...pinned());
    assert.deepEqual(
      [result['template'], result['baseline'], result['refused']],
      ['baseline', 1, 0],
    );
    assert.equal((await fake.run(['verify'])).code, EXIT.verified);
    await fake.lock([{ name: 'newcomer', version: '1.0.0', sha512: unlogged }]);
    assert.equal((await fake.run(['verify'])).code, EXIT.notLogged);
  });

  it('adopts nothing with the strict template', async () => {
    await lock(true);
    const { result } = await init(...pinned(), '--template', 'strict');
    assert.deepEqual([result['baseline'], result['refused']], [null, 1]);
    assert.equal((await fake.run(['verify'])).code, EXIT.notLogged);
  });

  it('works before there is a lockfile, and writes a workflow when asked', async () => {
    const { exit } = await init(...pinned(), '--ci', 'github');
    assert.equal(exit.code, 0);
    const workflow = await readFile(join(fake.project, '.github/workflows/bftpkg.yml'), 'utf8');
    assert.match(workflow, /permissions:\n {2}contents: read\n/);
    assert.match(workflow, /bftpkg@0\.0\.0-test .* verify --format github --no-input\n/);
    // `verify` would fail for want of a lockfile: what is said next has to work.
    const again = await fake.run(['init', ...pinned(), '--force', '--yes']);
    assert.match(again.stdout, /^next: bftpkg install/m);
    const { stdout, stderr } = await fake.run(['verify']);
    assert.match(stdout + stderr, /no lockfile .*\n +next +bftpkg install makes one/);
    await lock(false);
    const locked = await fake.run(['init', ...pinned(), '--force', '--yes']);
    assert.match(locked.stdout, /^next: bftpkg verify/m);
  });

  it('writes a job for GitLab, and includes it where there is nothing yet', async () => {
    await lock(false);
    const { exit } = await init(...pinned(), '--ci', 'gitlab');
    assert.equal(exit.code, 0);
    const job = await readFile(join(fake.project, '.gitlab/bftpkg.yml'), 'utf8');
    assert.match(job, /stage: \.pre\n/);
    assert.match(job, /bftpkg@0\.0\.0-test .* verify --no-input --report "junit=.*junit\.xml"\n/);
    const main = await readFile(join(fake.project, '.gitlab-ci.yml'), 'utf8');
    assert.equal(main, 'include:\n  - local: .gitlab/bftpkg.yml\n');
  });

  it('leaves a pipeline of people alone, and says what it needs', async () => {
    await lock(false);
    const main = join(fake.project, '.gitlab-ci.yml');
    await writeFile(main, 'test:\n  script: make\n');
    const { code, stdout } = await fake.run(['init', ...pinned(), '--ci', 'gitlab']);
    assert.equal(code, 0);
    assert.equal(await readFile(main, 'utf8'), 'test:\n  script: make\n');
    assert.match(stdout, /next: add to \.gitlab-ci\.yml: include:/);
    await writeFile(main, 'include: [{ local: .gitlab/bftpkg.yml }]\n');
    const again = await fake.run(['init', ...pinned(), '--ci', 'gitlab', '--force']);
    assert.doesNotMatch(again.stdout, /next: add to/);
  });

  it('shows a diff and writes nothing in a dry run', async () => {
    await lock(true);
    const { code, stdout } = await fake.run(['init', ...pinned(), '--dry-run']);
    assert.equal(code, 0);
    assert.match(stdout, /\+ {3}"pin": "[0-9a-f]{64}"/);
    assert.match(stdout, /\+ {7}"name": "internal"/);
    assert.deepEqual((await readdir(fake.project)).toSorted(), [
      'package-lock.json',
      'package.json',
    ]);
  });

  it('never takes a pin from a server on its own', async () => {
    const { exit, diagnostics } = await init(...one());
    assert.deepEqual(exit, { code: EXIT.locked, reason: 'BP8002' });
    assert.ok(diagnostics[0]?.hints[0]?.includes(fake.log.pin));
    await assert.rejects(config());
  });

  it('asks a person, who has to look at the fingerprint and at the diff', async () => {
    await lock(false);
    const talk = async (answers: readonly string[]): Promise<string> => {
      const said: string[] = [];
      const queue = [...answers];
      const code = await runCli(['init', ...one()], '0.0.0-test', {
        cwd: fake.project,
        env: { PATH: process.env['PATH'], HOME: fake.home, NO_COLOR: '1' },
        nowMs: () => (fake.log.time + 1) * 1000,
        terminal: {
          writeOut: () => undefined,
          writeErr: (text) => said.push(text),
          outIsTty: true,
          errIsTty: true,
          ask: async (question) => {
            said.push(question);
            return queue.shift() ?? '';
          },
        },
      });
      return `${code} ${said.join('')}`;
    };
    assert.match(await talk(['y', 'y']), /^4 /);
    await assert.rejects(config());
    const shown = await talk([fake.log.pin.slice(0, 8), 'n']);
    assert.match(shown, /^0 /);
    assert.ok(shown.includes(fake.log.pin) && shown.includes('+   "format"'));
    await assert.rejects(config());
    await talk([fake.log.pin.slice(0, 8), 'y']);
    assert.equal((await config())['pin'], fake.log.pin);
  });

  it('refuses replicas that name different rosters', async () => {
    const [, liar] = fake.replicas;
    assert.ok(liar !== undefined);
    const other = await FakeLog.start(1);
    try {
      const answer = await fetch(`${other.replicas[0]?.url ?? ''}/rosters`);
      const body = await answer.text();
      liar.misbehave = ({ path }, response) => {
        if (path !== '/rosters') return false;
        response.end(body);
        return true;
      };
      const { exit } = await init(...one(), '--replica', liar.url);
      assert.equal(exit.reason, 'BP3003');
    } finally {
      await other.stop();
    }
  });

  const wrong: readonly (readonly [string, () => readonly string[], number])[] = [
    ['no replica', () => ['--pin', fake.log.pin], EXIT.usage],
    [
      'a replica that is no address',
      () => ['--replica', 'ftp://x', '--pin', fake.log.pin],
      EXIT.usage,
    ],
    ['a pin that is none', () => [...one(), '--pin', 'abc'], EXIT.usage],
    ['an unknown template', () => [...pinned(), '--template', 'lax'], EXIT.usage],
    ['another log’s pin', () => [...one(), '--pin', 'ab'.repeat(32)], EXIT.attestations],
    ['a dead replica', () => ['--replica', 'http://127.0.0.1:9'], EXIT.inconclusive],
  ];
  for (const [why, argv, code] of wrong) {
    it(`exits ${code} for ${why}, and writes nothing`, async () => {
      assert.equal((await init(...argv(), '--timeout', '1m')).exit.code, code);
      assert.deepEqual(await readdir(fake.project), []);
    });
  }

  it('does not replace a configuration unless told to', async () => {
    await writeFile(join(fake.project, 'bftpkg.json'), '{}');
    assert.equal((await init(...pinned())).exit.code, EXIT.usage);
    assert.equal(await readFile(join(fake.project, 'bftpkg.json'), 'utf8'), '{}');
    assert.equal((await init(...pinned(), '--force')).exit.code, 0);
    assert.equal((await config())['pin'], fake.log.pin);
  });
});

describe('init, after a change of the roster', () => {
  let changed: FakeLog;
  let urls: readonly string[];
  let rosters: readonly Envelope[];
  beforeEach(async () => {
    changed = await FakeLog.start();
    await changed.publish({ name: 'alpha', version: '1.0.0' });
    rosters = changed.log.rosters.map(({ envelope }) => envelope);
    // The first one leaves.
    urls = changed.replicas.slice(1).map(({ url }) => url);
  });
  afterEach(async () => changed.stop());

  const named = async (): Promise<unknown> => {
    await rm(join(changed.project, 'bftpkg.json'));
    const argv = changed.replicas.flatMap(({ url }) => ['--replica', url]);
    const { code, stdout } = await changed.run(['init', ...argv, '--pin', changed.log.pin]);
    assert.equal(code, 0, stdout);
    const written = await readFile(join(changed.project, 'bftpkg.json'), 'utf8');
    return (JSON.parse(written) as { readonly replicas: unknown }).replicas;
  };
  const showFirst = (shown: readonly Envelope[]): void => {
    for (const replica of changed.replicas.slice(0, 1)) {
      replica.note = { size: changed.log.snapshots[0]?.size ?? 0, time: changed.log.time };
      replica.misbehave = ({ path }, response) => {
        if (path !== '/rosters') return false;
        response.end(canonicalJson(shown.map(envelopeJson)));
        return true;
      };
    }
  };

  it('names the members of today, whatever one from before it shows', async () => {
    changed.log.changeRoster({ weights: [1, 1, 1], urls });
    showFirst(rosters);
    assert.deepEqual(await named(), urls);
  });

  it('names nobody of a roster that was signed and never came into force', async () => {
    const { seed } = changed.log;
    const draft = new SyntheticLog({
      weights: [1, 1, 1, 1],
      seed,
      urls: changed.replicas.map(({ url }) => url),
    });
    draft.changeRoster({ weights: [1, 1, 1, 1, 1], urls: ['http://127.0.0.1:1'] });
    showFirst(draft.rosters.map(({ envelope }) => envelope));
    assert.deepEqual(
      await named(),
      changed.replicas.map(({ url }) => url),
    );
  });
});
