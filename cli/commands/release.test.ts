// From keys to an entry of the log, with gateways that refuse, ignore, lie and die.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import type { ServerResponse } from 'node:http';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type FakeReplica, type Outcome } from '../../fixtures/fake-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { PROPOSAL_PACKAGES_MAX } from '../../verifier/statements/release.ts';
import { EXIT } from '../output/exit-codes.ts';

let fake: FakeLog;

before(async () => {
  fake = await FakeLog.start();
});
after(async () => {
  await fake.stop();
});
beforeEach(() => {
  for (const replica of fake.replicas) {
    replica.misbehave = undefined;
    replica.requests.length = 0;
  }
});

// Keys, once: alice, bob and carol are made by the first test that needs them.
async function makeKeys(): Promise<void> {
  for (const name of ['alice', 'bob', 'carol']) {
    const { code } = await fake.run(['key', 'generate', name, '--no-passphrase']);
    assert.ok(code === EXIT.verified || code === EXIT.usage);
  }
}

async function publicKey(name: string): Promise<string> {
  const { stdout } = await fake.run(['key', 'show', name, '--json']);
  return (JSON.parse(stdout) as { readonly result: { readonly publicKey: string } }).result
    .publicKey;
}

async function register(name: string, ...more: readonly string[]): Promise<Outcome> {
  await makeKeys();
  return await fake.run([
    'package',
    'register',
    name,
    '--key',
    'alice',
    '--key',
    'bob',
    '--faulty',
    '1',
    ...more,
  ]);
}

/** A folder to release. */
async function folder(name: string, version: string, content: string = 'x'): Promise<string> {
  const path = join(fake.home, 'sources', name.replace('/', '-'));
  await mkdir(path, { recursive: true });
  await writeFile(join(path, 'package.json'), JSON.stringify({ name, version, main: 'index.js' }));
  await writeFile(join(path, 'index.js'), content);
  return path;
}

const isOfSubmission = (request: string): boolean =>
  /\/v1\/(?:artifacts|submissions|entries)/.test(request);

const SIGN = ['--key', 'alice', '--key', 'bob'] as const;

/** `release publish` into the log; the digest is what the first, blind attempt asks to be named. */
async function publish(source: string, ...argv: readonly string[]): Promise<Outcome> {
  const command = ['release', 'publish', source, '--no-npm', ...argv];
  const blind = await fake.run(command);
  if (blind.code !== EXIT.locked) return blind;
  const digest = /--expect-digest (sha512-\S+)/.exec(blind.stderr + blind.stdout)?.[1] ?? '';
  return await fake.run([...command, '--expect-digest', digest]);
}

/** The same answer to a submission, alone or with its artifacts. */
function answerSubmission(
  path: string,
  response: ServerResponse,
  status: number,
  body: object,
): boolean {
  if (path.startsWith('/v1/entries')) {
    response.writeHead(status);
    response.end(JSON.stringify(body));
    return true;
  }
  if (!path.startsWith('/v1/submissions')) return false;
  response.end(JSON.stringify({ results: [{ http: status, ...body }] }));
  return true;
}

function refuse(status: number, code: string): FakeReplica['misbehave'] {
  return ({ method, path }, response) => {
    if (method !== 'POST') return false;
    return answerSubmission(path, response, status, {
      error: { code, message: `because of ${code}` },
    });
  };
}

function claim(status: 'committed' | 'pending'): FakeReplica['misbehave'] {
  return ({ method, path }, response) => {
    if (method !== 'POST') return false;
    const index = status === 'committed' ? { index: 0 } : {};
    const http = status === 'committed' ? 200 : 202;
    return answerSubmission(path, response, http, { id: 'ab'.repeat(32), status, ...index });
  };
}

describe('key', () => {
  it('makes, shows and lists keys without ever showing a secret', async () => {
    await makeKeys();
    const path = join(fake.home, '.config', 'bftpkg', 'keys', 'alice.key.json');
    assert.equal((await stat(path)).mode & 0o777, 0o600);
    const { seed } = JSON.parse(await readFile(path, 'utf8')) as { readonly seed: string };
    for (const argv of [
      ['key', 'show', 'alice'],
      ['key', 'list'],
      ['key', 'list', '--json', '-v'],
    ]) {
      const { code, stdout, stderr } = await fake.run(argv);
      assert.equal(code, EXIT.verified);
      assert.match(stdout, /alice/);
      assert.ok(!(stdout + stderr).includes(seed));
    }
  });

  it('never overwrites a key', async () => {
    await makeKeys();
    const { code, stderr } = await fake.run(['key', 'generate', 'alice', '--no-passphrase']);
    assert.equal(code, EXIT.usage);
    assert.match(stderr, /BP8001/);
  });
});

describe('package register', () => {
  it('claims a name in an empty log, and again without harm', async () => {
    const first = await register('first');
    assert.equal(first.code, EXIT.verified, first.stdout + first.stderr);
    assert.match(first.stdout, /entry 0, verified/);
    const again = await register('first');
    assert.equal(again.code, EXIT.verified, again.stderr);
    assert.match(again.stdout, /already/);
  });

  it('refuses a name that others have', async () => {
    await register('taken');
    const { code, stderr } = await fake.run(['package', 'register', 'taken', '--key', 'carol']);
    assert.equal(code, EXIT.policy);
    assert.match(stderr, /BP5004/);
  });

  it('needs a signature of every listed key', async () => {
    const carol = await publicKey('carol');
    const { code, stderr } = await register(
      'partial',
      '--maintainer',
      'alice',
      '--maintainer',
      `carol=${carol}`,
    );
    assert.equal(code, EXIT.maintainers);
    assert.match(stderr, /missing carol/);
  });

  it('collects signatures by file', async () => {
    await makeKeys();
    const carol = await publicKey('carol');
    const out = ['--maintainer', 'alice', '--maintainer', `carol=${carol}`, '--out', 'set.json'];
    assert.equal((await register('by-file', ...out)).code, EXIT.verified);
    assert.equal((await fake.run(['package', 'submit', 'set.json'])).code, EXIT.maintainers);
    const blind = await fake.run(['package', 'sign', 'set.json', '--key', 'carol']);
    assert.equal(blind.code, EXIT.locked, 'nothing is signed blindly');
    const digest = /--expect-digest ([0-9a-f]{64})/.exec(blind.stderr)?.[1] ?? '';
    const signing = ['package', 'sign', 'set.json', '--key', 'carol', '--expect-digest', digest];
    assert.equal((await fake.run(signing)).code, EXIT.verified);
    const { code, stdout, stderr } = await fake.run(['package', 'submit', 'set.json']);
    assert.equal(code, EXIT.verified, stdout + stderr);
  });

  const usage: readonly (readonly [string, readonly string[]])[] = [
    ['a name that npm gives to nobody', ['package', 'register', 'Upper', '--key', 'alice']],
    ['no maintainers', ['package', 'register', 'x']],
    ['a key that is none', ['package', 'register', 'x', '--maintainer', 'a=zz']],
    [
      'more faulty ones than maintainers',
      ['package', 'register', 'x', '--key', 'alice', '--faulty', '1'],
    ],
    ['a number that is none', ['package', 'register', 'x', '--key', 'alice', '--faulty', '-1']],
    ['a key that is not there', ['package', 'register', 'x', '--key', 'nobody']],
  ];
  for (const [why, argv] of usage) {
    it(`exits 2 for ${why}`, async () => {
      await makeKeys();
      const { code, stderr } = await fake.run(argv);
      assert.equal(code, EXIT.usage, stderr);
    });
  }
});

describe('release', () => {
  before(async () => {
    const { code, stderr } = await register('pkg');
    assert.equal(code, EXIT.verified, stderr);
  });

  it('publishes a folder, and again without harm', async () => {
    const source = await folder('pkg', '1.0.0');
    const first = await publish(source, ...SIGN);
    assert.equal(first.code, EXIT.verified, first.stdout + first.stderr);
    const again = await publish(source, ...SIGN);
    assert.equal(again.code, EXIT.verified, again.stderr);
    assert.match(again.stdout, /already/);
    assert.equal((await fake.run(['verify', 'pkg@1.0.0'])).code, EXIT.verified);
  });

  it('refuses other bytes under a version that is taken', async () => {
    await publish(await folder('pkg', '1.0.1'), ...SIGN);
    const other = await folder('pkg', '1.0.1', 'something else');
    const { code, stderr } = await publish(other, ...SIGN);
    assert.equal(code, EXIT.policy);
    assert.match(stderr, /BP5004/);
  });

  it('submits nothing with too few signatures, and hands it to the others', async () => {
    const source = await folder('pkg', '1.1.0');
    const first = await publish(source, '--key', 'alice');
    assert.equal(first.code, EXIT.maintainers, first.stdout + first.stderr);
    assert.match(first.stderr, /bob +has not signed/);
    for (const { proposals } of fake.replicas) assert.equal(proposals.size, 1);
    const outsider = ['--key', 'alice', '--key', 'carol'];
    assert.equal((await publish(source, ...outsider)).code, EXIT.maintainers);
    const submitted = fake.replicas
      .flatMap(({ requests }) => requests)
      .filter((r) => r.includes('/v1/entries') || r.includes('/v1/submissions'));
    assert.deepEqual(submitted, []);
    // Bob, on another machine, gets the same bytes and finds what alice has proposed.
    const second = await publish(source, '--key', 'bob');
    assert.equal(second.code, EXIT.verified, second.stdout + second.stderr);
    assert.equal(fake.replicas[0]?.proposals.size, 1, 'one statement collects both signatures');
  });

  it('refuses a package that is not registered', async () => {
    const source = await folder('unregistered', '1.0.0');
    const { code } = await publish(source, ...SIGN);
    assert.equal(code, EXIT.notLogged);
  });

  it('goes from prepare over two signatures to submit', async () => {
    const source = await folder('pkg', '1.2.0');
    const prepared = await fake.run(['release', 'prepare', source]);
    assert.equal(prepared.code, EXIT.verified, prepared.stderr);
    const digest = /digest +(sha512-\S+)/.exec(prepared.stdout)?.[1] ?? '';
    assert.equal((await fake.run(['release', 'submit', 'release.json'])).code, EXIT.maintainers);
    for (const name of ['alice', 'bob']) {
      const signing = ['release', 'sign', 'release.json', '--key', name, '--no-input'];
      assert.equal((await fake.run(signing)).code, EXIT.locked);
      assert.equal(
        (await fake.run([...signing, '--expect-digest', 'sha512-x'])).code,
        EXIT.tampered,
      );
      assert.equal((await fake.run([...signing, '--expect-digest', digest])).code, EXIT.verified);
    }
    const { code, stdout, stderr } = await fake.run(['release', 'submit', 'release.json']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.equal((await fake.run(['release', 'submit', 'release.json'])).code, EXIT.verified);
  });

  it('says that a release of many packages goes on as a file', async () => {
    const files: string[] = [];
    for (let i = 0; i <= PROPOSAL_PACKAGES_MAX; i++) {
      const name = `many-${i}`;
      assert.equal((await register(name)).code, EXIT.verified);
      const file = join(fake.home, `${name}.tgz`);
      await writeFile(file, makeTarball({ name, version: '1.0.0' }));
      files.push(file);
    }
    const prepare = async (...more: readonly string[]): Promise<Outcome> => {
      const command = ['release', 'prepare', ...files, '--out', 'many.json', ...more];
      const { stderr } = await fake.run(command);
      const statement = /--expect-digest ([0-9a-f]{64})/.exec(stderr)?.[1] ?? '';
      return await fake.run([...command, '--expect-digest', statement]);
    };
    for (const { requests } of fake.replicas) requests.length = 0;
    const alone = await prepare('--key', 'alice');
    assert.equal(alone.code, EXIT.verified, alone.stderr);
    assert.match(alone.stderr, /9 packages: mailboxes take proposals of 8 at most/);
    const sent = fake.replicas.flatMap(({ requests }) => requests);
    const posted = sent.filter((request) => request.startsWith('POST /v1/proposals'));
    assert.deepEqual(posted, [], 'no mailbox would have taken it');
    // The file goes from hand to hand, and nobody who has all signatures is warned of anything.
    const both = await prepare(...SIGN);
    assert.equal(both.code, EXIT.verified, both.stderr);
    assert.doesNotMatch(both.stderr, /mailboxes take/);
    for (const { requests } of fake.replicas) requests.length = 0;
    const done = await fake.run(['release', 'submit', 'many.json']);
    assert.equal(done.code, EXIT.verified, done.stderr);
    assert.deepEqual(
      fake.replicas.flatMap(({ requests }) => requests.filter(isOfSubmission)),
      ['POST /v1/submissions?wait=5'],
      'nine tarballs and their statement are one request',
    );
  });

  it('submits one by one to replicas that know no other way, and what is large by itself', async () => {
    const rows: readonly (readonly [string, boolean, string | Uint8Array, readonly string[]])[] = [
      ['1.4.0', false, 'x', ['POST /v1/submissions', 'HEAD', 'PUT', 'POST /v1/entries']],
      ['1.4.1', true, 'x', ['POST /v1/submissions']],
      ['1.4.2', true, randomBytes(80_000), ['HEAD', 'PUT', 'POST /v1/entries']],
    ];
    for (const [version, takesParcels, content, expected] of rows) {
      const file = join(fake.home, `pkg-${version}.tgz`);
      await writeFile(file, makeTarball({ name: 'pkg', version, files: { 'index.js': content } }));
      for (const replica of fake.replicas) replica.takesParcels = takesParcels;
      const prepared = await fake.run(['release', 'prepare', file, '--out', `${version}.json`]);
      const digest = /digest +(sha512-\S+)/.exec(prepared.stdout)?.[1] ?? '';
      const signing = ['release', 'sign', `${version}.json`, '--no-post', ...SIGN];
      const signed = await fake.run([...signing, '--expect-digest', digest]);
      assert.equal(signed.code, EXIT.verified, signed.stderr);
      for (const { requests } of fake.replicas) requests.length = 0;
      const { code, stderr } = await fake.run(['release', 'submit', `${version}.json`]);
      assert.equal(code, EXIT.verified, stderr);
      const sent = fake.replicas.flatMap(({ requests }) => requests.filter(isOfSubmission));
      const short = sent.map((request) => request.replace(/ \/v1\/artifacts.*|\?.*/, ''));
      assert.deepEqual(short, expected, version);
    }
    for (const replica of fake.replicas) replica.takesParcels = true;
  });

  it('neither signs nor sends a tarball that is not the one prepared', async () => {
    const source = await folder('pkg', '1.3.0');
    const prepared = await fake.run(['release', 'prepare', source]);
    const digest = /digest +(sha512-\S+)/.exec(prepared.stdout)?.[1] ?? '';
    const signing = ['release', 'sign', 'release.json', ...SIGN, '--expect-digest', digest];
    assert.equal((await fake.run(signing)).code, EXIT.verified);
    const tarball = join(fake.project, 'pkg-1.3.0.tgz');
    await writeFile(tarball, makeTarball({ name: 'pkg', version: '1.3.0' }));
    assert.equal((await fake.run(signing)).code, EXIT.tampered);
    assert.equal((await fake.run(['release', 'submit', 'release.json'])).code, EXIT.tampered);
    await rm(tarball);
  });

  const gateways: readonly (readonly [
    string,
    readonly (FakeReplica['misbehave'] | undefined)[],
    number,
    RegExp,
  ])[] = [
    ['one refuses without reason', [refuse(422, 'NAME_LOOKALIKE')], 0, /is in the log/],
    ['one claims a conflict', [refuse(409, 'RELEASE_CONFLICT')], 0, /is in the log/],
    ['one claims that it is done', [claim('committed')], 0, /is in the log/],
    ['one never commits', [claim('pending')], 0, /is in the log/],
    [
      'two refuse: one of them is honest',
      [refuse(422, 'X'), refuse(422, 'X')],
      18,
      /BP6005.*because of X/,
    ],
    [
      'two claim a conflict',
      [refuse(409, 'RELEASE_CONFLICT'), refuse(409, 'RELEASE_CONFLICT')],
      18,
      /BP5004/,
    ],
    [
      'nobody ever commits',
      [claim('pending'), claim('pending'), claim('pending'), claim('pending')],
      3,
      /BP700[13]/,
    ],
    [
      'all claim that it is done and it is not',
      [claim('committed'), claim('committed'), claim('committed'), claim('committed')],
      3,
      /BP700[13]/,
    ],
  ];
  for (const [at, [why, misbehaviours, code, expected]] of gateways.entries()) {
    it(`exits ${code} when ${why}`, async () => {
      for (const [i, misbehave] of misbehaviours.entries()) {
        const replica = fake.replicas[i];
        if (replica !== undefined) replica.misbehave = misbehave;
      }
      const source = await folder('pkg', `2.${at}.0`);
      // All of it is waited for where nobody commits; elsewhere it must not be what ends the run.
      const time = code === 3 ? '10s' : '5m';
      const result = await publish(source, ...SIGN, '--timeout', time);
      assert.equal(result.code, code, result.stdout + result.stderr);
      assert.match(result.stdout + result.stderr, expected);
    });
  }

  it('exits 3 below a quorum, before anything is signed or sent', async () => {
    for (const replica of fake.replicas.slice(0, 2)) {
      replica.misbehave = (_, response) => {
        response.destroy();
        return true;
      };
    }
    const source = await folder('pkg', '3.0.0');
    const { code, stderr } = await publish(source, ...SIGN);
    assert.equal(code, EXIT.inconclusive);
    assert.match(stderr, /could not reach a quorum: 2 of 4 replicas answered, 3 needed/);
    const sent = fake.replicas.flatMap(({ requests }) => requests);
    assert.deepEqual(
      sent.filter((line) => /PUT|entries/.test(line)),
      [],
    );
  });
});
