// `install` and `ci` with the user's real npm: what ends up in the project, and above all what doesn't.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type FakeReplica, type Outcome } from '../../fixtures/fake-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { exists } from '../npm/lockfile.ts';
import { recordPath } from '../npm/swap.ts';
import { EXIT } from '../output/exit-codes.ts';

const noShell = process.platform === 'win32';

let fake: FakeLog;
let alpha: Uint8Array;
let beta: Uint8Array;
let scripted: Uint8Array;

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
  beta = await fake.publish({
    name: '@acme/beta',
    version: '2.0.0',
    packageJson: { dependencies: { alpha: '^1.0.0' } },
  });
  scripted = await fake.publish({
    name: 'scripted',
    version: '1.0.0',
    packageJson: { scripts: { postinstall: "node -e \"require('fs').writeFileSync('ran','')\"" } },
  });
  await fake.publish({
    name: 'choosy',
    version: '1.0.0',
    packageJson: { optionalDependencies: { alpha: '1.0.0' } },
  });
});
after(async () => {
  await fake.stop();
});

beforeEach(async () => {
  await rm(join(fake.home, '.local'), { recursive: true, force: true });
  await rm(join(fake.home, '.cache'), { recursive: true, force: true });
  await rm(fake.project, { recursive: true, force: true });
  await mkdir(fake.project);
  await fake.configure();
  for (const replica of fake.replicas) replica.misbehave = undefined;
});

async function lockBoth(): Promise<void> {
  await fake.lock([
    { name: 'alpha', version: '1.0.0', sha512: alpha },
    { name: '@acme/beta', version: '2.0.0', sha512: beta },
  ]);
}

/** Every file of the project with its content, to see that nothing changed. */
async function snapshot(): Promise<Record<string, string>> {
  const files: Record<string, string> = {};
  for (const entry of await readdir(fake.project, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    files[path] = entry.isFile() ? await readFile(path, 'utf8') : entry.name;
  }
  return files;
}

async function installedMain(name: string): Promise<string> {
  return await readFile(join(fake.project, 'node_modules', name, 'index.js'), 'utf8');
}

/** Answers requests for a tarball with other bytes. */
function serveInstead(digest: Uint8Array, bytes: Uint8Array): FakeReplica['misbehave'] {
  return ({ method, path }, response) => {
    if (method !== 'GET' || path !== `/v1/artifacts/${encodeHex(digest)}`) return false;
    response.writeHead(200);
    response.end(Buffer.from(bytes));
    return true;
  };
}

const EVIL = makeTarball({ name: 'alpha', version: '1.0.0', files: { 'index.js': 'evil()' } });

function sameLength(bytes: Uint8Array, length: number): Uint8Array {
  const copy = new Uint8Array(length);
  copy.set(bytes.subarray(0, length));
  return copy;
}

describe('ci', () => {
  it('installs exactly the verified bytes and leaves no other trace', async () => {
    await lockBoth();
    const before = await snapshot();
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(stdout, /2 packages installed/);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
    assert.match(await installedMain('@acme/beta'), /beta@2\.0\.0/);
    const after = await snapshot();
    for (const [path, content] of Object.entries(before)) assert.equal(after[path], content, path);
    const others = Object.keys(after).filter(
      (path) => !(path in before) && !path.includes('/node_modules'),
    );
    assert.deepEqual(others, []);
    const everything = Object.values(after).join('\n');
    assert.doesNotMatch(everything, /verified\.invalid|127\.0\.0\.1:\d+\/npm/);
  });

  it('runs no install script unless it is told to', async () => {
    await fake.lock([
      { name: 'scripted', version: '1.0.0', sha512: scripted, fields: { hasInstallScript: true } },
    ]);
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    const ran = join(fake.project, 'node_modules', 'scripted', 'ran');
    assert.equal(await exists(ran), false);
    const { code, stderr } = await fake.run(['ci', '--scripts']);
    assert.equal(code, EXIT.verified, stderr);
    assert.equal(await exists(ran), true);
  });

  it('does not run scripts of the project either', async () => {
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha }]);
    const path = join(fake.project, 'package.json');
    const document = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...document, scripts: { preinstall: 'touch pwned' } }));
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    assert.equal(await exists(join(fake.project, 'pwned')), false);
  });

  it('gets by with one replica that serves other bytes, and names it', async () => {
    await lockBoth();
    for (const replica of fake.replicas.slice(0, 3)) replica.misbehave = serveInstead(alpha, EVIL);
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
    assert.match(stderr, new RegExp(`${fake.replicas[0]?.url ?? ''}: bad answer, BP100[12]`));
  });

  const tampered: readonly (readonly [string, (size: number) => Uint8Array])[] = [
    ['other bytes', () => EVIL],
    ['other bytes of the same size', (size) => sameLength(EVIL, size)],
    ['nothing', () => new Uint8Array()],
    ['more bytes than were logged', (size) => new Uint8Array(size + 1)],
  ];
  for (const [why, bytes] of tampered) {
    it(`exits 10 and changes nothing when every replica serves ${why}`, async () => {
      await lockBoth();
      const size = fake.artifacts.get(encodeHex(alpha))?.length ?? 0;
      for (const replica of fake.replicas) replica.misbehave = serveInstead(alpha, bytes(size));
      const before = await snapshot();
      const { code, stdout } = await fake.run(['ci']);
      assert.equal(code, EXIT.tampered, stdout);
      assert.match(stdout, /BP100[12]/);
      assert.match(stdout, /nothing was installed/);
      assert.deepEqual(await snapshot(), before);
    });
  }

  it('exits 3, not 10, when nobody has the bytes', async () => {
    await lockBoth();
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path }, response) => {
        if (!path.startsWith('/v1/artifacts')) return false;
        response.writeHead(404);
        response.end();
        return true;
      };
    }
    const before = await snapshot();
    const { code, stdout } = await fake.run(['ci']);
    assert.equal(code, EXIT.inconclusive, stdout);
    assert.deepEqual(await snapshot(), before);
  });

  it('keeps what was installed when something is wrong', async () => {
    await lockBoth();
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    const before = await snapshot();
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: beta }]);
    const { code } = await fake.run(['ci']);
    assert.equal(code, EXIT.tampered);
    await lockBoth();
    assert.deepEqual(await snapshot(), before);
  });

  it('restores everything when npm fails', async () => {
    await lockBoth();
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    // package.json and the lockfile disagree: npm ci refuses.
    const path = join(fake.project, 'package.json');
    const dependencies = { alpha: '1.0.0', '@acme/beta': '2.0.0', other: '1.0.0' };
    await writeFile(path, JSON.stringify({ name: 'app', version: '1.0.0', dependencies }));
    const before = await snapshot();
    const { code, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.inconclusive);
    assert.match(stderr, /BP7004/);
    assert.deepEqual(await snapshot(), before);
  });

  it('needs no cache', async () => {
    await lockBoth();
    await writeFile(join(fake.home, 'no-folder'), '');
    const env = { XDG_CACHE_HOME: join(fake.home, 'no-folder') };
    const { code, stderr } = await fake.run(['ci'], { env });
    assert.equal(code, EXIT.verified, stderr);
    assert.match(await installedMain('alpha'), /alpha/);
  });

  it('does not trust its own cache', async () => {
    await lockBoth();
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    const hex = encodeHex(alpha);
    const kept = join(
      fake.home,
      '.cache/bftpkg/artifacts',
      hex.slice(0, 2),
      hex.slice(2, 4),
      hex.slice(4),
    );
    await writeFile(kept, EVIL);
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
  });

  it('keeps what was checked when the rest is refused, and asks for nothing of it again', async () => {
    await lockBoth();
    for (const replica of fake.replicas) replica.misbehave = serveInstead(beta, EVIL);
    const before = await snapshot();
    assert.equal((await fake.run(['ci'])).code, EXIT.tampered);
    assert.deepEqual(await snapshot(), before);
    for (const replica of fake.replicas) {
      replica.misbehave = undefined;
      replica.requests.length = 0;
    }
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    const asked = fake.replicas.flatMap(({ requests }) => requests);
    const tarballs = asked.filter((line) => line.includes('/v1/artifacts/'));
    assert.deepEqual([...new Set(tarballs)], [`GET /v1/artifacts/${encodeHex(beta)}`]);
  });

  it('fetches nothing twice', async () => {
    await lockBoth();
    await fake.run(['ci']);
    for (const replica of fake.replicas) replica.requests.length = 0;
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    const asked = fake.replicas.flatMap(({ requests }) => requests);
    assert.deepEqual(
      asked.filter((line) => line.includes('/v1/artifacts/')),
      [],
    );
  });

  // npm looks upwards for a project that has its folder as a workspace, and would install there instead.
  it('is not drawn out of its private folder by a pattern of workspaces', async () => {
    await lockBoth();
    const path = join(fake.project, 'package.json');
    const root = JSON.parse(await readFile(path, 'utf8')) as object;
    await writeFile(path, JSON.stringify({ ...root, workspaces: ['.bftpkg-*'] }));
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
  });

  // Such a one has no flags against it, and would fetch before anything is judged.
  it('has npm before 11.10 fetch no address of a project', { skip: noShell }, async () => {
    const visits: string[] = [];
    const other = createServer((request, response) => {
      visits.push(request.url ?? '');
      response.end(Buffer.from(makeTarball({ name: 'x', version: '1.0.0' })));
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(other.address() as AddressInfo).port}/x.tgz`;
    try {
      const bin = join(fake.home, 'old-npm');
      await mkdir(bin, { recursive: true });
      const real = process.env['PATH'] ?? '';
      const lines = [
        '#!/bin/sh',
        'if [ "$1" = --version ]; then echo 10.9.9; exit; fi',
        `echo "$*" >> '${bin}/words'`,
        `PATH='${real}' exec npm "$@"`,
      ];
      await writeFile(join(bin, 'npm'), `${lines.join('\n')}\n`, { mode: 0o755 });
      const env = { PATH: `${bin}${delimiter}${real}` };
      const path = join(fake.project, 'package.json');
      await writeFile(path, JSON.stringify({ name: 'app', version: '1.0.0' }));
      const honest = await fake.run(['install', 'alpha'], { env });
      assert.equal(honest.code, EXIT.verified, honest.stdout + honest.stderr);
      const words = await readFile(join(bin, 'words'), 'utf8');
      assert.match(words, /--proxy=http:\/\/127\.0\.0\.1:[0-9]+ --https-proxy=http/);
      assert.match(words, /--noproxy=nobody\.invalid/);

      const before = await readFile(path, 'utf8');
      const { dependencies } = JSON.parse(before) as { readonly dependencies: object };
      const own = { name: 'app', version: '1.0.0', dependencies: { ...dependencies, x: url } };
      await writeFile(path, JSON.stringify(own));
      const { code, stderr } = await fake.run(['install', '@acme/beta'], { env });
      assert.equal(code, EXIT.policy, stderr);
      assert.match(stderr, /BP6006.*package\.json: "x"/);
      assert.deepEqual(visits, []);
    } finally {
      other.closeAllConnections();
      await new Promise((resolve) => other.close(resolve));
    }
  });

  it('is not moved by settings in the environment and in the project', async () => {
    await lockBoth();
    const env = {
      npm_config_registry: 'http://127.0.0.1:1',
      npm_config_ignore_scripts: 'false',
      NODE_OPTIONS: '--require ./pwn.js',
    };
    const { code, stderr } = await fake.run(['ci'], { env });
    assert.equal(code, EXIT.verified, stderr);
    await writeFile(join(fake.project, '.npmrc'), 'git=./pwn.sh\n');
    const refused = await fake.run(['ci']);
    assert.equal(refused.code, EXIT.policy);
    assert.match(refused.stderr, /BP6003.*\.npmrc:1/);
  });
});

describe('install', () => {
  async function emptyProject(): Promise<void> {
    await writeFile(join(fake.project, 'package.json'), '{"name":"app","version":"1.0.0"}\n');
  }

  it('adds a package with what it needs, and makes a lockfile that names no replica', async () => {
    await emptyProject();
    const { code, stdout, stderr } = await fake.run(['install', '@acme/beta']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
    const lock = await readFile(join(fake.project, 'package-lock.json'), 'utf8');
    assert.doesNotMatch(lock, /127\.0\.0\.1|invalid/);
    const document = JSON.parse(await readFile(join(fake.project, 'package.json'), 'utf8')) as {
      readonly dependencies: object;
    };
    assert.deepEqual(document.dependencies, { '@acme/beta': '^2.0.0' });
    assert.equal((await fake.run(['verify'])).code, EXIT.verified);
  });

  it('makes no second lockfile in a project of another package manager', async () => {
    await emptyProject();
    await writeFile(join(fake.project, 'pnpm-lock.yaml'), "lockfileVersion: '9.0'\n");
    for (const args of [['install', '@acme/beta'], ['install'], ['update'], ['ci']]) {
      const { code, stderr } = await fake.run(args);
      assert.equal(code, EXIT.usage, stderr);
      assert.match(stderr, /BP9005.*not npm’s\s+next {2}bftpkg install --with pnpm\n/);
    }
    await assert.rejects(readFile(join(fake.project, 'package-lock.json')), { code: 'ENOENT' });
  });

  // Whoever waits for a writer to such a file waits for ever.
  it('waits for no pipe in the project', { skip: noShell }, async () => {
    for (const path of ['packages/w/package.json', '.npmrc']) {
      const workspaces = ['packages/*'];
      await mkdir(join(fake.project, 'packages', 'w'), { recursive: true });
      await writeFile(join(fake.project, 'package.json'), JSON.stringify({ workspaces }));
      const pipe = join(fake.project, path);
      execFileSync('mkfifo', [pipe]);
      // Lets go of a reader that does wait, so that this ends in red.
      const writer = setTimeout(() => writeFileSync(pipe, '{}', { flag: 'r+' }), 20_000);
      const { code, stderr } = await fake.run(['install', 'alpha']);
      clearTimeout(writer);
      assert.equal(code, EXIT.usage, stderr);
      assert.match(stderr, /not a file/, path);
      await rm(pipe);
    }
  });

  it('changes nothing when what is optional could not be looked up', async () => {
    await emptyProject();
    const before = await snapshot();
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path }, response) => {
        if (!path.startsWith('/npm/alpha')) return false;
        response.writeHead(503);
        response.end();
        return true;
      };
    }
    const { code, stdout, stderr } = await fake.run(['install', 'choosy']);
    assert.equal(code, EXIT.inconclusive, stderr);
    assert.match(stdout, /nothing was installed/);
    assert.deepEqual(await snapshot(), before);
  });

  it('puts right what was interrupted before it looks for a lockfile', async () => {
    await writeFile(
      join(fake.project, 'package.json'),
      '{"name":"app","version":"1.0.0","dependencies":{"alpha":"^1.0.0"}}\n',
    );
    assert.equal((await fake.run(['install'])).code, EXIT.verified);
    // Killed after its last rename: all is in place, and the journal still says how to undo it.
    const lock = join(fake.project, 'package-lock.json');
    const [hash, own] = [
      await readFile(lock),
      await readFile(join(fake.project, 'package.json')),
    ].map((bytes) => createHash('sha256').update(bytes).digest('hex'));
    const folder = join(fake.project, '.bftpkg-abcdef');
    for (const each of ['old', 'new']) await mkdir(join(folder, each), { recursive: true });
    const journal = JSON.stringify({
      format: 'bftpkg-swap/v2',
      pid: 2 ** 22 - 1,
      run: 'another',
      folders: [{ path: 'node_modules', hadOne: false }],
      files: [
        { path: 'package.json', before: own, after: own, mode: 0o644 },
        { path: 'package-lock.json', before: null, after: hash, mode: 0o644 },
      ],
    });
    await writeFile(
      join(folder, 'old', 'file-0'),
      await readFile(join(fake.project, 'package.json')),
    );
    await writeFile(join(folder, 'journal.json'), journal);
    const record = await recordPath(join(fake.home, '.local/state/bftpkg'), folder, journal);
    await mkdir(dirname(record), { recursive: true });
    await writeFile(record, '');
    const { code, stderr } = await fake.run(['install']);
    assert.equal(code, EXIT.verified, stderr);
    assert.match(stderr, /an interrupted install was undone first/);
    assert.ok(await exists(lock), 'the lockfile is made again, not lost');
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
  });

  it('goes to the next replica when one can’t resolve', async () => {
    await emptyProject();
    const [first] = fake.replicas;
    assert.ok(first !== undefined);
    first.misbehave = ({ path }, response) => {
      if (!path.startsWith('/npm/')) return false;
      response.writeHead(500);
      response.end();
      return true;
    };
    const { code, stderr } = await fake.run(['install', 'alpha']);
    assert.equal(code, EXIT.verified, stderr);
  });

  it('makes the lockfile of a project that has none', async () => {
    await writeFile(
      join(fake.project, 'package.json'),
      '{"name":"app","version":"1.0.0","dependencies":{"@acme/beta":"^2.0.0"}}\n',
    );
    const { code, stdout, stderr } = await fake.run(['install']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
    assert.ok(await exists(join(fake.project, 'package-lock.json')));
  });

  it('does not stay on an old version because a replica hides the newest', async () => {
    await fake.publish({ name: 'moving', version: '1.0.0' });
    await fake.publish({ name: 'moving', version: '1.1.0' });
    await emptyProject();
    const [first] = fake.replicas;
    assert.ok(first !== undefined);
    const honest = await fetch(`${fake.replicas[1]?.url ?? ''}/npm/moving`);
    const packument = (await honest.json()) as { versions: Record<string, unknown> };
    delete packument.versions['1.1.0'];
    first.misbehave = ({ path }, response) => {
      if (path !== '/npm/moving') return false;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(JSON.stringify({ ...packument, 'dist-tags': { latest: '1.0.0' } }));
      return true;
    };
    const { code, stdout, stderr } = await fake.run(['install', 'moving']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('moving'), /moving@1\.1\.0/);
    await emptyProject();
    await rm(join(fake.project, 'package-lock.json'));
    // Named by the user, the old version is what is wanted.
    assert.equal((await fake.run(['install', 'moving@1.0.0'])).code, EXIT.verified);
    assert.match(await installedMain('moving'), /moving@1\.0\.0/);
  });

  it('keeps the permissions of the files that it changes', async () => {
    await emptyProject();
    const path = join(fake.project, 'package.json');
    await chmod(path, 0o640);
    assert.equal((await fake.run(['install', 'alpha'])).code, EXIT.verified);
    assert.equal((await stat(path)).mode & 0o777, 0o640);
  });

  // Of what replicas say about a package only the names of versions are used, and these are proven.
  it('is not moved by what all replicas say about a package', async () => {
    await emptyProject();
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path }, response) => {
        if (path !== '/npm/alpha') return false;
        const integrity = `sha512-${'A'.repeat(86)}==`;
        const dist = { integrity, tarball: `${replica.url}/npm/alpha/-/alpha-1.0.0.tgz` };
        const versions = { '1.0.0': { name: 'alpha', version: '1.0.0', dist } };
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify({ name: 'alpha', 'dist-tags': { latest: '1.0.0' }, versions }));
        return true;
      };
    }
    const { code, stdout, stderr } = await fake.run(['install', 'alpha']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('alpha'), /alpha@1\.0\.0/);
  });

  it('never has a version as candidate that is not verified, and says so', async () => {
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
      await fake.publish({ name: 'fickle', version });
    }
    fake.log.withdraw('fickle', '1.2.0', 'revoked');
    fake.log.withdraw('fickle', '1.1.0', 'yanked');
    fake.log.commit();
    await writeFile(
      join(fake.project, 'package.json'),
      '{"name":"app","version":"1.0.0","dependencies":{"fickle":"^1.0.0"}}\n',
    );
    const { code, stdout, stderr } = await fake.run(['install']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await installedMain('fickle'), /fickle@1\.0\.0/);
    assert.match(stdout + stderr, /BP6014.*fickle: 2 versions are not offered/);
    await emptyProject();
    const refused = await fake.run(['install', 'fickle@1.2.0']);
    assert.notEqual(refused.code, EXIT.verified, refused.stdout);
    assert.match(refused.stdout + refused.stderr, /BP6014.*fickle: 2 versions are not offered/);
  });

  it('exits 16 for a package that the log does not have', async () => {
    await emptyProject();
    const before = await snapshot();
    const { code, stdout, stderr } = await fake.run(['install', 'nobody']);
    assert.equal(code, EXIT.notLogged, stderr);
    assert.deepEqual(await snapshot(), before);
    // What npm made of our answer ("install from a tarball, folder, http url, or git url") is no advice of ours.
    assert.match(stdout + stderr, /BP5003.*nobody/);
    assert.doesNotMatch(stdout + stderr, /BP7004|git url/);
  });

  const absent: readonly (readonly [string, string])[] = [
    ['a version that was never released', 'alpha@9.9.9'],
    ['a package that is registered and has no release', 'claimed'],
  ];
  for (const [why, spec] of absent) {
    it(`exits 16 for ${why}`, async () => {
      if (!fake.log.packages.has('claimed')) {
        fake.log.maintain('claimed', { maintainers: ['alice'], faulty: 0 });
        fake.log.commit();
      }
      await emptyProject();
      const { code, stdout, stderr } = await fake.run(['install', spec]);
      assert.equal(code, EXIT.notLogged, stdout + stderr);
      assert.match(stdout + stderr, /BP5003/);
    });
  }

  it('exits 3 and changes nothing below a quorum', async () => {
    const small = await FakeLog.start();
    try {
      await small.publish({ name: 'alpha', version: '1.0.0' });
      await writeFile(join(small.project, 'package.json'), '{"name":"app","version":"1.0.0"}\n');
      await Promise.all(small.replicas.slice(0, 2).map((replica) => replica.kill()));
      const result: Outcome = await small.run(['install', 'alpha']);
      assert.equal(result.code, EXIT.inconclusive);
      assert.match(result.stderr, /could not reach a quorum: 2 of 4 replicas answered, 3 needed/);
      assert.doesNotMatch(result.stderr, /BP7004/, 'said once');
      assert.equal(await exists(join(small.project, 'node_modules')), false);
      assert.equal(await exists(join(small.project, 'package-lock.json')), false);
    } finally {
      await small.stop();
    }
  });
});
