// `verify` of projects: what an attacker can write into a lockfile or into node_modules although every
// package in it is genuine, and what a user can leave out. Real verification against a log in memory.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmod, mkdir, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { after, before, beforeEach, describe, it } from 'node:test';

import { extract } from 'tar';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { makeTarball, type TarballSpec } from '../../fixtures/tarballs/generator.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { checkTarball } from '../../verifier/archive/tarball.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { EXIT } from '../output/exit-codes.ts';

let fake: FakeLog;
const digests = new Map<string, Uint8Array>();

async function publish(spec: TarballSpec): Promise<void> {
  digests.set(`${spec.name}@${spec.version}`, await fake.publish(spec));
}

before(async () => {
  fake = await FakeLog.start();
  await publish({
    name: 'app-kit',
    version: '1.0.0',
    files: { 'index.js': 'kit()\n', 'bin/run.js': '#!/usr/bin/env node\r\nrun()\n' },
    packageJson: { dependencies: { helper: '^1.0.0' }, bin: { kit: 'bin/run.js' } },
  });
  await publish({ name: 'helper', version: '1.0.0' });
  await publish({ name: 'helper', version: '2.0.0' });
  await publish({ name: 'evil', version: '1.0.0' });
  await publish({ name: 'tester', version: '1.0.0' });
  await publish({
    name: 'builder',
    version: '1.0.0',
    packageJson: { scripts: { install: 'make' } },
  });
  await publish({
    name: 'wrapped',
    version: '1.0.0',
    files: { 'npm-shrinkwrap.json': '{"lockfileVersion":3,"packages":{}}' },
    packageJson: { dependencies: { evil: '1.0.0' } },
  });
  await publish({
    name: 'bundler',
    version: '1.0.0',
    files: { 'node_modules/inner/package.json': '{"name":"inner","version":"1.0.0"}' },
    packageJson: {
      dependencies: { inner: '1.0.0', helper: '^1.0.0' },
      bundleDependencies: ['inner'],
    },
  });
});
after(async () => {
  await fake.stop();
});
beforeEach(async () => {
  for (const name of await readdir(fake.project)) {
    await rm(join(fake.project, name), { recursive: true, force: true });
  }
  await fake.configure();
});

function digestOf(spec: string): string {
  const digest = digests.get(spec);
  assert.ok(digest, spec);
  return formatSri(digest);
}

function entry(name: string, version: string, fields: object = {}): object {
  return { version, integrity: digestOf(`${name}@${version}`), ...fields };
}

/** An honest project: app-kit with its helper, tester for development. */
const ROOT = {
  name: 'app',
  version: '1.0.0',
  dependencies: { 'app-kit': '^1.0.0' },
  devDependencies: { tester: '1.0.0' },
};

async function write(files: Readonly<Record<string, string | object>>): Promise<void> {
  for (const [name, content] of Object.entries(files)) {
    const path = join(fake.project, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content, null, 1));
  }
}

function honest(): Record<string, object> {
  return {
    'node_modules/app-kit': entry('app-kit', '1.0.0', { dependencies: { helper: '^1.0.0' } }),
    'node_modules/helper': entry('helper', '1.0.0'),
    'node_modules/tester': entry('tester', '1.0.0', { dev: true }),
  };
}

const INNER = { version: '1.0.0', inBundle: true };

/** The entries of bundler, as npm writes them. */
function bundling(fields: object = {}): Record<string, object> {
  const usual = {
    bundleDependencies: ['inner'],
    dependencies: { inner: '1.0.0', helper: '^1.0.0' },
  };
  return {
    'node_modules/bundler': entry('bundler', '1.0.0', { ...usual, ...fields }),
    'node_modules/bundler/node_modules/inner': INNER,
  };
}

async function npmProject(packages: object, root: object = ROOT): Promise<void> {
  const lock = { lockfileVersion: 3, packages: { '': root, ...packages } };
  await write({ 'package.json': root, 'package-lock.json': lock });
}

interface JsonReport {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly summary: Readonly<Record<string, number>>;
  readonly subjects: readonly {
    readonly id: string;
    readonly verdict: string;
    readonly paths: readonly (readonly string[])[];
    readonly origin: { readonly kind: string; readonly notes: readonly string[] } | null;
    readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
  }[];
}

async function verify(...argv: string[]): Promise<JsonReport> {
  const { code, stdout } = await fake.run(['verify', '--json', ...argv]);
  const report = JSON.parse(stdout) as JsonReport;
  assert.equal(report.exit.code, code);
  return report;
}

function row(report: JsonReport, id: string): JsonReport['subjects'][number] {
  const found = report.subjects.find((subject) => subject.id === `npm:${id}`);
  assert.ok(found, `${id} has a row in ${JSON.stringify(report.subjects.map((s) => s.id))}`);
  return found;
}

describe('verify: lock, log and bytes are bound together', () => {
  it('verifies an honest project', async () => {
    await npmProject(honest());
    const report = await verify();
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report.subjects, null, 1));
    assert.equal(report.summary['verified'], 3);
  });

  it('asks about more packages than one document holds in parts', async () => {
    const names = Array.from({ length: 10_020 }, (_, i) => `nobody-${i}`);
    const wanted = Object.fromEntries(names.map((name) => [name, '1.0.0']));
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, ...wanted } };
    const integrity = formatSri(new Uint8Array(64));
    const packages = names.map((name) => [`node_modules/${name}`, { version: '1.0.0', integrity }]);
    // The honest ones are in the second part.
    await npmProject({ ...Object.fromEntries(packages), ...honest() }, root);
    const asked = (): number =>
      fake.replicas.flatMap(({ requests }) => requests).filter((one) => one.startsWith('POST'))
        .length;
    const before = asked();
    const report = await verify('--timeout', '5m');
    assert.equal(report.exit.code, EXIT.notLogged);
    assert.deepEqual([report.summary['rejected'], report.summary['verified']], [10_020, 3]);
    assert.equal(row(report, 'helper@1.0.0').verdict, 'verified');
    assert.equal(row(report, 'nobody-10019@1.0.0').diagnostics[0]?.code, 'BP5003');
    // A slow replica may have been helped out by another one.
    assert.ok(asked() - before >= 2, 'two documents');
  });

  it('says who asks for what, on the shortest way and along the signed manifests', async () => {
    const root = { ...ROOT, dependencies: { 'app-kit': '^1.0.0', bundler: '1.0.0' } };
    // The lockfile's own word on it is another one: that tester asks for helper.
    const tester = entry('tester', '1.0.0', { dev: true, dependencies: { helper: '1.0.0' } });
    await npmProject({ ...honest(), ...bundling(), 'node_modules/tester': tester }, root);
    const report = await verify();
    const ways = ['app-kit@1.0.0', 'helper@1.0.0', 'inner@1.0.0', 'tester@1.0.0'].map(
      (id) => row(report, id).paths,
    );
    assert.deepEqual(ways, [
      [['this project', 'app-kit@1.0.0']],
      [['this project', 'app-kit@1.0.0', 'helper@1.0.0']],
      [['this project', 'bundler@1.0.0', 'inner@1.0.0']],
      [['this project', 'tester@1.0.0']],
    ]);
  });

  it('says who pulled in what is refused, and nothing about what nobody asks for', async () => {
    const integrity = digestOf('evil@1.0.0');
    const helper = { version: '1.0.0', integrity };
    await npmProject({
      ...honest(),
      'node_modules/helper': helper,
      'node_modules/evil': entry('evil', '1.0.0'),
    });
    const { stdout } = await fake.run(['verify']);
    const ways = stdout.split('\n').filter((line) => line.includes('pulled in by'));
    assert.deepEqual(
      ways.map((line) => line.trim().replace(/ {2,}/g, ' ')),
      ['pulled in by this project → app-kit@1.0.0 → helper@1.0.0'],
    );
    assert.deepEqual(row(await verify(), 'evil@1.0.0').paths, []);
  });

  // The headline: other checkers look the name up again and never compare with what will be fetched.
  it('refuses an entry whose source points elsewhere, with the digest of what lies there', async () => {
    const evil = makeTarball({ name: 'helper', version: '1.0.0', files: { 'index.js': 'evil()' } });
    const integrity = `sha512-${createHash('sha512').update(evil).digest('base64')}`;
    const resolved = 'https://cdn.evil.example/helper/-/helper-1.0.0.tgz';
    await npmProject({
      ...honest(),
      'node_modules/helper': { version: '1.0.0', resolved, integrity },
    });
    const report = await verify();
    assert.equal(report.exit.code, EXIT.tampered);
    assert.equal(report.exit.reason, 'BP1003');
    assert.equal(row(report, 'helper@1.0.0').verdict, 'rejected');
    assert.equal(report.summary['verified'], 2);
  });

  it('takes any source with the logged digest: the source is never used', async () => {
    const resolved = 'https://mirror.example/x/-/anything-0.tgz';
    await npmProject({
      ...honest(),
      'node_modules/helper': entry('helper', '1.0.0', { resolved }),
    });
    assert.equal((await verify()).exit.code, EXIT.verified);
  });

  const attacks: readonly (readonly [string, () => object, (object | undefined)?, string?])[] = [
    [
      'adds a genuine package that nobody asks for',
      () => ({ 'node_modules/evil': entry('evil', '1.0.0') }),
    ],
    [
      'adds it as a dependency that the signed manifest does not have',
      () => ({
        'node_modules/app-kit': entry('app-kit', '1.0.0', {
          dependencies: { helper: '^1.0.0', evil: '1.0.0' },
        }),
        'node_modules/evil': entry('evil', '1.0.0'),
      }),
    ],
    [
      'puts another package under the name that is asked for',
      () => ({ 'node_modules/helper': entry('evil', '1.0.0', { name: 'evil' }) }),
    ],
    [
      'adds an alias to the root entry of the lockfile alone',
      () => ({
        '': { ...ROOT, dependencies: { ...ROOT.dependencies, 'left-pad': 'npm:evil@1.0.0' } },
        'node_modules/left-pad': entry('evil', '1.0.0', { name: 'evil' }),
      }),
    ],
    [
      'pins a version that the signed manifest excludes',
      () => ({ 'node_modules/helper': entry('helper', '2.0.0') }),
      undefined,
      'helper@2.0.0',
    ],
    [
      'nests a second copy where nothing asks for it',
      () => ({ 'node_modules/helper/node_modules/evil': entry('evil', '1.0.0') }),
    ],
    [
      'calls a package bundled that its owner does not bundle',
      () => ({ 'node_modules/app-kit/node_modules/evil': { version: '1.0.0', inBundle: true } }),
    ],
    [
      'hides a package among those that its owner bundles',
      () => ({ ...bundling(), 'node_modules/bundler/node_modules/evil': INNER }),
      { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } },
    ],
    [
      'says that an owner bundles more than it does',
      () => ({
        ...bundling({ bundleDependencies: ['inner', 'evil'] }),
        'node_modules/bundler/node_modules/evil': INNER,
      }),
      { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } },
    ],
    [
      'calls a dependency of an owner bundled, because of one that is',
      () => ({
        ...bundling(),
        'node_modules/bundler/node_modules/inner': { ...INNER, dependencies: { helper: '1.0.0' } },
        'node_modules/bundler/node_modules/helper': { ...INNER, version: '1.2.0' },
      }),
      { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } },
      'helper@1.2.0',
    ],
    [
      'hides from npm that a package is bundled, so that it is fetched',
      () => bundling({ bundleDependencies: undefined }),
      { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } },
      'inner@1.0.0',
    ],
    [
      'lets a bundled package ask for more',
      () => ({
        'node_modules/bundler': entry('bundler', '1.0.0'),
        'node_modules/bundler/node_modules/inner': {
          version: '1.0.0',
          inBundle: true,
          dependencies: { evil: '1.0.0' },
        },
        'node_modules/evil': entry('evil', '1.0.0'),
      }),
      { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } },
    ],
  ];
  for (const [why, packages, root, id] of attacks) {
    it(`refuses a lockfile that ${why}`, async () => {
      await npmProject({ ...honest(), ...packages() });
      if (root !== undefined) await write({ 'package.json': root });
      const path = join(fake.project, 'package-lock.json');
      const text = await readFile(path, 'utf8');
      // The second is one line long, so that a line is no place of an entry.
      for (const spelling of [text, JSON.stringify(JSON.parse(text))]) {
        await writeFile(path, spelling);
        const report = await verify();
        assert.equal(report.exit.code, EXIT.policy, JSON.stringify(report, null, 1));
        assert.equal(report.exit.reason, 'BP6007');
        assert.equal(row(report, id ?? 'evil@1.0.0').verdict, 'rejected');
      }
    });
  }

  describe('with a package that only a policy allows', () => {
    // Edits the lockfile and nothing else: npm does not find `evil` in the tarball, and fetches it by name.
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, legacy: '1.0.0' } };
    const legacy = (fields: object): Record<string, object> => ({
      ...honest(),
      'node_modules/legacy': { version: '1.0.0', integrity: digestOf('evil@1.0.0'), ...fields },
    });
    const attack = (): object => ({
      ...legacy({ bundleDependencies: ['smuggled'], dependencies: { smuggled: '*' } }),
      'node_modules/legacy/node_modules/smuggled': { version: '1.0.0', inBundle: true },
    });
    const exception = (name: string, code: string): JsonObject => {
      return { package: name, code, reason: 'old', expires: '2099-12-31' };
    };
    const excepted = exception('legacy', 'BP5003');

    it('refuses what the lockfile calls bundled in it', async () => {
      await npmProject(legacy({}), root);
      await fake.configure({ exceptions: [excepted] });
      assert.equal((await verify()).exit.code, EXIT.verified, 'allowed by itself');
      await npmProject(attack(), root);
      const report = await verify();
      assert.equal(report.exit.reason, 'BP6006', JSON.stringify(report, null, 1));
      assert.equal(row(report, 'smuggled@1.0.0').verdict, 'rejected');
      assert.equal(row(report, 'legacy@1.0.0').verdict, 'excepted');
      const env = { npm_config_user_agent: 'npm/12.0.0 node/v20.20.0 linux x64' };
      const hook = await fake.run(['hook', 'run', '--event', 'preinstall'], { env });
      assert.equal(hook.code, EXIT.policy, hook.stdout + hook.stderr);
      assert.match(hook.stdout + hook.stderr, /BP6006[^]*smuggled@1\.0\.0/);
    });

    it('lets what is bundled in it pass by an exception of its own', async () => {
      await npmProject(attack(), root);
      await fake.configure({ exceptions: [excepted, exception('smuggled', 'BP6006')] });
      const report = await verify();
      assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
      assert.equal(row(report, 'smuggled@1.0.0').verdict, 'excepted');
    });

    it('says of one that nobody allows that it is not in the log', async () => {
      await npmProject(attack(), root);
      const report = await verify();
      assert.equal(report.exit.reason, 'BP5003', JSON.stringify(report, null, 1));
    });

    it('gives what a baseline found bundled lines of its own, and nothing later', async () => {
      await npmProject(attack(), root);
      const made = await fake.run(['policy', 'baseline', 'create']);
      assert.equal(made.code, EXIT.verified, made.stdout + made.stderr);
      assert.equal((await verify()).exit.code, EXIT.verified, 'as it was');
      await npmProject(
        {
          ...attack(),
          'node_modules/legacy/node_modules/smuggled': { ...INNER, version: '1.0.1' },
        },
        root,
      );
      assert.equal((await verify()).exit.reason, 'BP6006');
    });
  });

  it('refuses a package whose own lockfile npm would install instead', async () => {
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, wrapped: '1.0.0' } };
    const wrapped = (fields: object): object => ({
      ...honest(),
      'node_modules/wrapped': entry('wrapped', '1.0.0', fields),
    });
    await npmProject(wrapped({ hasShrinkwrap: true }), root);
    const report = await verify();
    assert.equal(report.exit.reason, 'BP6006', JSON.stringify(report, null, 1));
    assert.equal(row(report, 'wrapped@1.0.0').verdict, 'rejected');
    // npm looks into the tarball only where the lockfile says so.
    await npmProject(wrapped({}), root);
    assert.equal((await verify()).exit.code, EXIT.verified);
  });

  it('accepts what the project itself overrides, and says so', async () => {
    const root = { ...ROOT, overrides: { 'app-kit': { helper: '2.0.0' } } };
    await npmProject({ ...honest(), 'node_modules/helper': entry('helper', '2.0.0') }, root);
    const report = await verify();
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report.subjects, null, 1));
    assert.match(
      row(report, 'helper@2.0.0').origin?.notes.join() ?? '',
      /overridden by the project/,
    );
  });

  it('accepts an alias that package.json asks for, and says so', async () => {
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, pad: 'npm:evil@^1.0.0' } };
    await npmProject(
      { ...honest(), 'node_modules/pad': entry('evil', '1.0.0', { name: 'evil' }) },
      root,
    );
    const report = await verify();
    assert.equal(report.exit.code, EXIT.verified);
    assert.match(row(report, 'evil@1.0.0').origin?.notes.join() ?? '', /alias pad/);
  });

  it('gives every entry a row, whatever it is', async () => {
    await npmProject({
      ...honest(),
      'packages/own': { version: '1.0.0' },
      'node_modules/own': { link: true, resolved: 'packages/own' },
      'node_modules/from-git': { version: '1.0.0', resolved: 'git+ssh://git@example.org/a.git#1' },
      'node_modules/from-url': { ...entry('evil', '1.0.0'), resolved: 'https://example.org/a.tgz' },
      'node_modules/from-file': { ...entry('evil', '1.0.0'), resolved: 'file:a.tgz' },
      'node_modules/no-digest': { version: '1.0.0' },
      'node_modules/sha1': { version: '1.0.0', integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' },
    });
    const report = await verify();
    const rows: readonly (readonly [string, string, string])[] = [
      ['app-kit@1.0.0', 'registry', 'verified'],
      ['helper@1.0.0', 'registry', 'verified'],
      ['tester@1.0.0', 'registry', 'verified'],
      ['packages/own@1.0.0', 'local', 'local'],
      ['own', 'local', 'local'],
      ['from-git@1.0.0', 'git', 'rejected'],
      ['from-url@1.0.0', 'url', 'rejected'],
      ['from-file@1.0.0', 'file', 'rejected'],
      ['no-digest@1.0.0', 'registry', 'rejected'],
      ['sha1@1.0.0', 'registry', 'rejected'],
    ];
    assert.equal(report.subjects.length, rows.length);
    for (const [id, kind, verdict] of rows) {
      assert.deepEqual(
        [row(report, id).origin?.kind, row(report, id).verdict],
        [kind, verdict],
        id,
      );
    }
  });
});

describe('verify: other package managers', () => {
  const lockfiles: readonly (readonly [string, string, () => string])[] = [
    [
      'pnpm 9',
      'pnpm-lock.yaml',
      () =>
        `lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      app-kit:\n` +
        `        specifier: ^1.0.0\n        version: 1.0.0\n    devDependencies:\n      tester:\n` +
        `        specifier: 1.0.0\n        version: 1.0.0\n\npackages:\n\n` +
        ['app-kit', 'helper', 'tester']
          .map((n) => `  ${n}@1.0.0:\n    resolution: {integrity: ${digestOf(`${n}@1.0.0`)}}\n\n`)
          .join('') +
        `snapshots:\n\n  app-kit@1.0.0:\n    dependencies:\n      helper: 1.0.0\n\n` +
        `  helper@1.0.0: {}\n\n  tester@1.0.0: {}\n`,
    ],
    [
      'Yarn classic',
      'yarn.lock',
      () =>
        `# yarn lockfile v1\n\n\napp-kit@^1.0.0:\n  version "1.0.0"\n` +
        `  integrity ${digestOf('app-kit@1.0.0')}\n  dependencies:\n    helper "^1.0.0"\n\n` +
        `helper@^1.0.0:\n  version "1.0.0"\n  integrity ${digestOf('helper@1.0.0')}\n\n` +
        `tester@1.0.0:\n  version "1.0.0"\n  integrity ${digestOf('tester@1.0.0')}\n`,
    ],
    [
      'bun',
      'bun.lock',
      () =>
        `{\n  "lockfileVersion": 1,\n  "workspaces": { "": { "name": "app", }, },\n  "packages": {\n` +
        ['app-kit', 'helper', 'tester']
          .map((n) => `    "${n}": ["${n}@1.0.0", "", {}, "${digestOf(`${n}@1.0.0`)}"],\n`)
          .join('') +
        `  }\n}\n`,
    ],
  ];
  for (const [manager, file, text] of lockfiles) {
    it(`verifies a lockfile of ${manager}`, async () => {
      await write({ 'package.json': ROOT, [file]: text() });
      const report = await verify();
      assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
      assert.equal(report.summary['verified'], 3);
    });

    it(`refuses one of ${manager} with other bytes`, async () => {
      const changed = text().replace(digestOf('helper@1.0.0'), digestOf('evil@1.0.0'));
      await write({ 'package.json': ROOT, [file]: changed });
      assert.equal((await verify()).exit.reason, 'BP1003');
    });

    it(`refuses one of ${manager} that has what nobody asks for`, async () => {
      const root = { ...ROOT, devDependencies: {} };
      await write({ 'package.json': root, [file]: text() });
      const report = await verify();
      assert.equal(report.exit.reason, 'BP6007', JSON.stringify(report, null, 1));
      assert.equal(row(report, 'tester@1.0.0').verdict, 'rejected');
    });
  }

  // The manager would read another file, or choose versions: the green verdict would be about nothing.
  const settings: readonly (readonly [string, string, string, string])[] = [
    ['pnpm 9', 'pnpm-workspace.yaml', 'gitBranchLockfile: true', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'mergeGitBranchLockfiles: true', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'lockfile: false', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'lockfileDir: ./other', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'sharedWorkspaceLockfile: false', 'pnpm/12.21.0'],
    ['pnpm 9', '.npmrc', 'git-branch-lockfile=true', 'pnpm/10.34.9'],
    ['pnpm 9', '.npmrc', 'use-lockfile=false', 'pnpm/10.34.9'],
    ['pnpm 9', '.npmrc', 'lockfile-dir=./other', 'pnpm/10.34.9'],
    ['Yarn classic', '.yarnrc', '--install.no-lockfile true', 'yarn/1.22.22'],
    ['Yarn classic', '.yarnrc', 'a, "\\u002d-no-lockfile" true', 'yarn/1.22.22'],
    ['npm', '.npmrc', 'package-lock=false', 'npm/12.2.0'],
    ['npm', '.npmrc', 'shrinkwrap=false', 'npm/12.2.0'],
  ];
  for (const [manager, file, line, agent] of settings) {
    it(`refuses a lockfile of ${manager} that ${line} in ${file} has not read`, async () => {
      const [, name, text] = lockfiles.find(([each]) => each === manager) ?? [];
      if (name === undefined || text === undefined) await npmProject(honest());
      else await write({ 'package.json': ROOT, [name]: text() });
      assert.equal((await verify()).exit.code, EXIT.verified);
      await write({ [file]: `${line}\n` });
      assert.equal((await verify()).exit.reason, 'BP9005');
      const event = agent.startsWith('pnpm') ? 'pnpm:devPreinstall' : 'preinstall';
      const hook = ['--json', 'hook', 'run', '--event', event, '--', 'install'];
      const { stdout } = await fake.run(hook, { env: { npm_config_user_agent: agent } });
      const { exit } = JSON.parse(stdout) as { readonly exit: { readonly reason: string } };
      assert.equal(exit.reason, 'BP9005', stdout);
    });
  }

  it('says nothing about a lockfile without a word of what is asked for', async () => {
    const [, , classic] = lockfiles[1] ?? assert.fail();
    await write({ 'yarn.lock': classic() });
    const report = await verify();
    assert.equal(report.exit.code, EXIT.usage);
    assert.equal(report.exit.reason, 'BP9004');
  });

  it('never calls a Yarn berry lockfile verified: its checksum is of something else', async () => {
    const lock =
      `__metadata:\n  version: 8\n  cacheKey: 10c0\n\n"app-kit@npm:^1.0.0":\n  version: 1.0.0\n` +
      `  resolution: "app-kit@npm:1.0.0"\n  dependencies:\n    helper: "npm:^1.0.0"\n` +
      `  checksum: 10c0/${'ab'.repeat(64)}\n  languageName: node\n  linkType: hard\n\n` +
      `"app@workspace:.":\n  version: 0.0.0-use.local\n  resolution: "app@workspace:."\n` +
      `  languageName: unknown\n  linkType: soft\n\n"helper@npm:^1.0.0":\n  version: 1.0.0\n` +
      `  resolution: "helper@npm:1.0.0"\n  languageName: node\n  linkType: hard\n\n`;
    await write({ 'package.json': { ...ROOT, devDependencies: {} }, 'yarn.lock': lock });
    const report = await verify();
    assert.equal(report.exit.code, EXIT.inconclusive, JSON.stringify(report, null, 1));
    assert.equal(report.exit.reason, 'BP1007');
    assert.equal(report.summary['verified'], 0);
    // What can be known is known: a release that is not in the log is refused here too.
    const root = { ...ROOT, dependencies: { 'app-kit': '^1.9.0' }, devDependencies: {} };
    await write({ 'package.json': root, 'yarn.lock': lock.replaceAll('1.0.0', '1.9.0') });
    assert.equal((await verify()).exit.reason, 'BP5003');
  });
});

describe('verify: what the user leaves out', () => {
  it('leaves out what only development needs, and says so', async () => {
    await npmProject(honest());
    const report = await verify('--omit', 'dev');
    assert.equal(report.exit.code, EXIT.verified);
    assert.equal(row(report, 'tester@1.0.0').verdict, 'omitted');
    assert.equal(report.summary['verified'], 2);
  });

  it('still hears about what nobody asks for', async () => {
    await npmProject({ ...honest(), 'node_modules/evil': entry('evil', '1.0.0', { dev: true }) });
    const report = await verify('--omit', 'dev');
    assert.equal(report.exit.reason, 'BP6007');
    assert.equal(row(report, 'evil@1.0.0').verdict, 'rejected');
  });

  it('does not believe a dev flag', async () => {
    const packages = honest();
    await npmProject({
      ...packages,
      'node_modules/helper': entry('helper', '1.0.0', {
        dev: true,
        integrity: digestOf('evil@1.0.0'),
      }),
    });
    assert.equal((await verify('--omit', 'dev')).exit.reason, 'BP1003');
  });

  it('refuses what was left out as unneeded when a signed manifest needs it', async () => {
    // The lockfile hides the edge, so that helper seems to be needed by the root's dev dependency only.
    const root = { ...ROOT, devDependencies: { helper: '^1.0.0' } };
    await npmProject(
      {
        'node_modules/app-kit': entry('app-kit', '1.0.0'),
        'node_modules/helper': entry('helper', '1.0.0', { dev: true }),
      },
      root,
    );
    const report = await verify('--omit', 'dev');
    assert.equal(report.exit.reason, 'BP6007');
    assert.equal(row(report, 'helper@1.0.0').verdict, 'rejected');
    assert.equal((await verify()).exit.code, EXIT.verified);
  });

  it('verifies only what matches', async () => {
    await npmProject(honest());
    const report = await verify('--only', 'help*');
    assert.equal(report.summary['verified'], 1);
    assert.equal(report.summary['omitted'], 2);
    assert.equal((await verify('--only', 'nothing*')).exit.code, EXIT.nothing);
    const both = await verify('--only', 'help*', '--omit', 'dev');
    assert.equal(both.exit.code, EXIT.verified);
    assert.equal(row(both, 'app-kit@1.0.0').verdict, 'omitted');
  });

  it('does not leave out the tarball around what it hears about', async () => {
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } };
    const evil = { ...INNER, name: 'evil' };
    const packages = { ...honest(), ...bundling({ bundleDependencies: ['inner', 'evil'] }) };
    await npmProject({ ...packages, 'node_modules/bundler/node_modules/evil': evil }, root);
    const report = await verify('--only', 'evil', '--only', 'helper');
    assert.equal(report.exit.reason, 'BP6007', JSON.stringify(report, null, 1));
  });

  it('verifies only what changed since a commit', async () => {
    const git = (...argv: string[]): void => {
      const env = { PATH: process.env['PATH'], HOME: fake.home, GIT_CONFIG_NOSYSTEM: '1' };
      execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...argv], {
        cwd: fake.project,
        env,
        stdio: 'ignore',
      });
    };
    const { 'node_modules/tester': _later, ...earlier } = honest();
    await npmProject(earlier, { ...ROOT, devDependencies: {} });
    git('init', '-q');
    git('add', '-A');
    git('commit', '-q', '-m', 'x');
    await npmProject(honest());
    const report = await verify('--since', 'HEAD');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
    assert.equal(row(report, 'tester@1.0.0').verdict, 'verified');
    assert.equal(report.summary['omitted'], 2);
    for (const ref of ['no-such', '--output=x', '']) {
      assert.equal((await verify('--since', ref)).exit.code, EXIT.usage, ref);
    }
  });

  const unreadable: readonly (readonly [string, string, string])[] = [
    ['version 1 of npm', 'package-lock.json', '{"lockfileVersion":1,"dependencies":{}}'],
    ['a file that was cut off', 'package-lock.json', '{"lockfileVersion":3,"packages":{'],
    ['version 5 of pnpm', 'pnpm-lock.yaml', 'lockfileVersion: 5.4\n'],
    ['an unknown version of bun', 'bun.lock', '{"lockfileVersion": 7}'],
    ['the binary format of bun', 'bun.lockb', '\0'],
    ['what no Yarn wrote', 'yarn.lock', 'hello\n'],
  ];
  for (const [why, file, text] of unreadable) {
    it(`exits 2 for ${why}, and asks nobody`, async () => {
      await write({ 'package.json': ROOT, [file]: text });
      for (const replica of fake.replicas) replica.requests.length = 0;
      const report = await verify();
      assert.equal(report.exit.code, EXIT.usage);
      assert.equal(report.exit.reason, 'BP9005');
      assert.deepEqual(report.subjects, []);
      const asked = fake.replicas.flatMap(({ requests }) => requests);
      assert.ok(!asked.some((request) => request.includes('evidence')), asked.join());
    });
  }

  // web uses ui, a sibling, which uses builder; tool uses evil.
  async function monorepo(web: object = {}): Promise<void> {
    const root = { name: 'mono', version: '1.0.0', workspaces: ['packages/*'] };
    const own = {
      'packages/web': {
        name: 'web',
        version: '1.0.0',
        dependencies: { '@mono/ui': '1.0.0', ...web },
      },
      'packages/ui': { name: '@mono/ui', version: '1.0.0', dependencies: { builder: '1.0.0' } },
      'packages/tool': { name: 'tool', version: '1.0.0', dependencies: { evil: '1.0.0' } },
    };
    for (const [folder, document] of Object.entries(own)) {
      await write({ [`${folder}/package.json`]: document });
    }
    const link = (folder: string): object => ({ resolved: folder, link: true });
    await npmProject(
      {
        ...own,
        'node_modules/web': link('packages/web'),
        'node_modules/@mono/ui': link('packages/ui'),
        'node_modules/tool': link('packages/tool'),
        'node_modules/builder': entry('builder', '1.0.0', { hasInstallScript: true }),
        'node_modules/evil': entry('evil', '1.0.0'),
        'node_modules/app-kit': entry('app-kit', '1.0.0', { dependencies: { helper: '^1.0.0' } }),
        'node_modules/helper': entry('helper', '1.0.0'),
      },
      { ...root, dependencies: { 'app-kit': '^1.0.0' } },
    );
  }

  const verdicts = (report: JsonReport): Readonly<Record<string, string>> =>
    Object.fromEntries(
      report.subjects
        .filter(({ verdict }) => verdict !== 'local')
        .map(({ id, verdict }) => [id.slice(4), verdict]),
    );

  for (const name of ['web', 'packages/web', './packages/web/']) {
    it(`verifies only what a workspace needs, its siblings' packages included: ${name}`, async () => {
      await monorepo();
      const report = await verify('--workspace', name);
      assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report.subjects, null, 1));
      assert.deepEqual(verdicts(report), {
        'app-kit@1.0.0': 'omitted',
        'builder@1.0.0': 'verified',
        'evil@1.0.0': 'omitted',
        'helper@1.0.0': 'omitted',
      });
      assert.deepEqual(row(report, 'builder@1.0.0').paths, [
        ['packages/web', 'packages/ui', 'builder@1.0.0'],
      ]);
    });
  }

  it('verifies what several workspaces need, or the root', async () => {
    await monorepo();
    const two = await verify('--workspace', 'tool', '--workspace', '@mono/ui');
    assert.deepEqual(two.summary['verified'], 2);
    const root = await verify('--workspace', 'mono');
    assert.deepEqual(verdicts(root)['helper@1.0.0'], 'verified');
    assert.deepEqual(root.summary['verified'], 2);
  });

  it('refuses what a workspace needs by a signed manifest, whatever the lockfile says', async () => {
    await monorepo({ 'app-kit': '^1.0.0' });
    const lock = JSON.parse(await readFile(join(fake.project, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, Record<string, unknown>>;
    };
    // The lockfile hides that app-kit asks for helper.
    const kit = lock.packages['node_modules/app-kit'];
    assert.ok(kit !== undefined, 'there is app-kit');
    delete kit['dependencies'];
    lock.packages['packages/tool'] = {
      name: 'tool',
      version: '1.0.0',
      dependencies: { evil: '1.0.0', helper: '^1.0.0' },
    };
    await write({
      'package-lock.json': lock,
      'packages/tool/package.json': lock.packages['packages/tool'],
    });
    const report = await verify('--workspace', 'web');
    assert.equal(row(report, 'helper@1.0.0').verdict, 'rejected');
    assert.equal(report.exit.reason, 'BP6007');
  });

  it('follows the sibling that is asked for, not the one that the lockfile names', async () => {
    await monorepo();
    const file = join(fake.project, 'package-lock.json');
    const lock = JSON.parse(await readFile(file, 'utf8')) as { packages: Record<string, object> };
    const { packages } = lock;
    packages['node_modules/@mono/ui'] = { resolved: 'packages/tool', link: true, name: 'tool' };
    packages['node_modules/ui'] = { resolved: 'packages/ui', link: true };
    await write({ 'package-lock.json': lock });
    const report = await verify('--workspace', 'web');
    assert.equal(verdicts(report)['builder@1.0.0'], 'verified');
  });

  it('exits 2 for a workspace that there is not, and names those that there are', async () => {
    await monorepo();
    const { code, stderr, stdout } = await fake.run(['verify', '--workspace', 'nope']);
    assert.equal(code, EXIT.usage);
    assert.match(stdout + stderr, /no workspace nope; there are mono, /);
  });

  it('verifies the lockfile of a folder, by the configuration of the project', async () => {
    await npmProject(honest());
    const lock = await readFile(join(fake.project, 'package-lock.json'), 'utf8');
    await write({
      'elsewhere/package.json': ROOT,
      'elsewhere/package-lock.json': lock,
      // Not the word of a folder that came from who knows where.
      'elsewhere/bftpkg.json': { format: 'bftpkg-config/v1', pin: '00'.repeat(32), replicas: [] },
    });
    await rm(join(fake.project, 'package-lock.json'));
    const report = await verify('elsewhere');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report));
    assert.equal(report.summary['verified'], 3);
    assert.equal((await verify('elsewhere', 'app-kit@1.0.0')).exit.code, EXIT.usage);
  });

  it('exits 2 for a kind that does not exist', async () => {
    await npmProject(honest());
    assert.equal((await verify('--omit', 'dev,nope')).exit.code, EXIT.usage);
  });
});

/** Unpacks published tarballs as npm does. */
async function install(places: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, spec] of Object.entries(places)) {
    const digest = digests.get(spec);
    const bytes = digest === undefined ? undefined : fake.artifacts.get(encodeHex(digest));
    assert.ok(bytes, spec);
    const cwd = join(fake.project, path);
    await mkdir(cwd, { recursive: true });
    await pipeline(Readable.from([bytes]), extract({ cwd, strip: 1 }));
  }
  await write({ 'node_modules/.package-lock.json': '{}' });
}

const HONEST_TREE = {
  'node_modules/app-kit': 'app-kit@1.0.0',
  'node_modules/helper': 'helper@1.0.0',
  'node_modules/tester': 'tester@1.0.0',
};

describe('verify --installed', () => {
  beforeEach(async () => {
    await npmProject(honest());
    await install(HONEST_TREE);
  });

  it('verifies an honest tree, with its programs and what npm changes in them', async () => {
    const modules = join(fake.project, 'node_modules');
    await mkdir(join(modules, '.bin'));
    await symlink('../app-kit/bin/run.js', join(modules, '.bin', 'kit'));
    await write({ 'node_modules/app-kit/bin/run.js': '#!/usr/bin/env node\nrun()\n' });
    await chmod(join(modules, 'app-kit/bin/run.js'), 0o755);
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report.subjects, null, 1));
    assert.equal(report.summary['verified'], 3);
  });

  const changes: readonly (readonly [string, () => Promise<void>, RegExp])[] = [
    [
      'a changed file',
      async () => await write({ 'node_modules/helper/index.js': 'evil()' }),
      /helper@1\.0\.0: 1 file/,
    ],
    [
      'a changed file of the same size',
      async () => await write({ 'node_modules/app-kit/index.js': 'kiT()\n' }),
      /app-kit@1\.0\.0: 1 file/,
    ],
    [
      'a missing file',
      async () => await rm(join(fake.project, 'node_modules/helper/index.js')),
      /helper@1\.0\.0: 1 file/,
    ],
    [
      'an added file',
      async () => await write({ 'node_modules/helper/lib/extra.js': 'evil()' }),
      /helper@1\.0\.0: 1 file/,
    ],
    [
      'a file that became a link',
      async () => {
        const path = join(fake.project, 'node_modules/helper/index.js');
        await rm(path);
        await symlink('../app-kit/index.js', path);
      },
      /helper@1\.0\.0: 1 file/,
    ],
    [
      'another package in its place',
      async () => {
        await rm(join(fake.project, 'node_modules/helper'), { recursive: true });
        await install({ 'node_modules/helper': 'evil@1.0.0' });
      },
      /helper@1\.0\.0: 2 files/,
    ],
    [
      'a package that nobody asks for',
      async () => await install({ 'node_modules/evil': 'evil@1.0.0' }),
      /node_modules\/evil: installed, but/,
    ],
    [
      'one below another package',
      async () => await install({ 'node_modules/helper/node_modules/evil': 'evil@1.0.0' }),
      /helper\/node_modules\/evil: installed, but/,
    ],
    [
      'one in a scope',
      async () => await install({ 'node_modules/@x/evil': 'evil@1.0.0' }),
      /node_modules\/@x\/evil: installed, but/,
    ],
    [
      'a file that Node would load as a package',
      async () => await write({ 'node_modules/fs-extra.js': 'evil()' }),
      /fs-extra\.js: belongs to no package/,
    ],
    [
      'a package that is a link out of the project',
      async () => {
        await rm(join(fake.project, 'node_modules/helper'), { recursive: true });
        await symlink(fake.home, join(fake.project, 'node_modules/helper'));
      },
      /helper: a link that leads out of the project/,
    ],
    [
      'a link that leads nowhere',
      async () => await symlink('none', join(fake.project, 'node_modules/x')),
      /leads nowhere/,
    ],
    [
      'a link to a folder of the project that is no package of the lockfile',
      async () => {
        await rm(join(fake.project, 'node_modules/helper'), { recursive: true });
        await write({ 'dist/h/index.js': 'evil()' });
        await symlink('../dist/h', join(fake.project, 'node_modules/helper'));
      },
      /helper: a link that leads to dist\/h, no package of the lockfile/,
    ],
    [
      'a package in a folder that Node looks into',
      async () =>
        await write({ 'node_modules/app-kit/bin/node_modules/helper/index.js': 'evil()' }),
      /app-kit@1\.0\.0: 1 file/,
    ],
    [
      'a program that is a file of the project',
      async () => {
        await write({ 'dist/evil.sh': '#!/bin/sh\nevil\n' });
        await mkdir(join(fake.project, 'node_modules/.bin'));
        await symlink('../../dist/evil.sh', join(fake.project, 'node_modules/.bin/tsc'));
      },
      /\.bin\/tsc: a program that no verified package declares/,
    ],
    [
      'a program that nobody declares',
      async () => {
        await mkdir(join(fake.project, 'node_modules/.bin'));
        await symlink('../helper/index.js', join(fake.project, 'node_modules/.bin/npm'));
      },
      /\.bin\/npm: a program that no verified package declares/,
    ],
    [
      'a program that was written there',
      async () => await write({ 'node_modules/.bin/eslint': '#!/bin/sh\nevil\n' }),
      /\.bin\/eslint: a file, where package managers make links/,
    ],
    [
      'one below a folder, with the files of pnpm beside it',
      async () => {
        await write({ 'node_modules/.modules.yaml': '{}' });
        await write({ 'node_modules/helper/node_modules/.bin/node': '#!/bin/sh\nevil\n' });
      },
      /helper\/node_modules\/\.bin\/node: a file, where/,
    ],
  ];
  for (const [why, change, message] of changes) {
    it(`finds ${why}`, async () => {
      await change();
      const report = await verify('--installed');
      assert.equal(report.exit.code, EXIT.tampered, JSON.stringify(report.subjects, null, 1));
      assert.equal(report.exit.reason, 'BP1008');
      const all = report.subjects.flatMap(({ diagnostics }) => diagnostics);
      assert.ok(
        all.some((found) => message.test(found.message)),
        JSON.stringify(all),
      );
    });
  }

  it('knows the packages of the project itself by their links and programs', async () => {
    const root = { ...ROOT, workspaces: ['packages/*'] };
    const own = { 'packages/own': { name: 'own', version: '1.0.0', bin: { own: 'cli.js' } } };
    const link = { 'node_modules/own': { resolved: 'packages/own', link: true } };
    await npmProject({ ...honest(), ...own, ...link }, root);
    await write({
      'packages/own/package.json': own['packages/own'],
      'packages/own/cli.js': 'own()',
      'packages/other/package.json': { name: 'other', version: '1.0.0' },
    });
    const modules = join(fake.project, 'node_modules');
    await mkdir(join(modules, '.bin'));
    await symlink('../packages/own', join(modules, 'own'));
    await symlink('../own/cli.js', join(modules, '.bin/own'));
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));

    await rm(join(modules, 'own'));
    await symlink('../packages/other', join(modules, 'own'));
    assert.equal((await verify('--installed')).exit.reason, 'BP1008', 'another folder');
    await rm(join(modules, 'own'));
    await rm(join(modules, '.bin/own'));
    await write({ 'node_modules/own/package.json': own['packages/own'] });
    const planted = await verify('--installed');
    assert.equal(planted.exit.reason, 'BP1008', 'a copy');
    assert.match(JSON.stringify(planted.subjects), /package-lock\.json has a link there/);
  });

  it('compares what only a policy allows with the lockfile’s own digest', async () => {
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, unlogged: '1.0.0' } };
    const bytes = makeTarball({ name: 'unlogged', version: '1.0.0', files: { 'index.js': 'x()' } });
    const sha512 = new Uint8Array(createHash('sha512').update(bytes).digest());
    const unlogged = { version: '1.0.0', integrity: formatSri(sha512) };
    await npmProject({ ...honest(), 'node_modules/unlogged': unlogged }, root);
    await fake.configure({
      exceptions: [
        {
          package: 'unlogged',
          code: 'BP5003',
          reason: 'not in the log yet',
          expires: '2027-12-31',
        },
      ],
    });
    const listing = await checkTarball(bytes, gunzip);
    for (const { path, offset, size } of listing.files) {
      const place = join(fake.project, 'node_modules/unlogged', path);
      await mkdir(dirname(place), { recursive: true });
      await writeFile(place, listing.archive.subarray(offset, offset + size));
    }
    const without = await verify('--installed');
    assert.equal(without.exit.code, EXIT.verified, JSON.stringify(without, null, 1));
    assert.match(JSON.stringify(without.subjects), /its tarball is not in the cache/);
    const cache = new ArtifactStore(join(fake.home, '.cache/bftpkg/artifacts'));
    await cache.keep(sha512, bytes);
    const compared = await verify('--installed');
    assert.equal(compared.exit.code, EXIT.verified, JSON.stringify(compared, null, 1));
    assert.doesNotMatch(JSON.stringify(compared.subjects), /not in the cache/);
    await write({ 'node_modules/unlogged/index.js': 'evil()' });
    assert.equal((await verify('--installed')).exit.reason, 'BP1008');
  });

  it('explains what an install script made, and still finds what it must not change', async () => {
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, builder: '1.0.0' } };
    await npmProject({ ...honest(), 'node_modules/builder': entry('builder', '1.0.0') }, root);
    await install({ 'node_modules/builder': 'builder@1.0.0' });
    await write({ 'node_modules/builder/build/out.node': 'x' });
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report.subjects, null, 1));
    assert.match(row(report, 'builder@1.0.0').diagnostics[0]?.message ?? '', /install script/);
    await write({ 'node_modules/builder/index.js': 'evil()' });
    assert.equal((await verify('--installed')).exit.reason, 'BP1008');
  });

  it('knows what is bundled by the tarball around it, and compares it too', async () => {
    const root = { ...ROOT, dependencies: { ...ROOT.dependencies, bundler: '1.0.0' } };
    await npmProject({ ...honest(), ...bundling() }, root);
    await install({ 'node_modules/bundler': 'bundler@1.0.0' });
    assert.equal((await verify('--installed')).exit.code, EXIT.verified);
    await write({ 'node_modules/bundler/node_modules/inner/evil.js': 'evil()' });
    assert.equal((await verify('--installed')).exit.reason, 'BP1008');
  });

  it('warns about what is not there, which nothing can run', async () => {
    await rm(join(fake.project, 'node_modules/tester'), { recursive: true });
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified);
    assert.match(row(report, 'tester@1.0.0').diagnostics[0]?.message ?? '', /not installed/);
  });

  it('verifies the tree of a lockfile without digests of tarballs', async () => {
    const lock =
      `__metadata:\n  version: 8\n\n"app@workspace:.":\n  version: 0.0.0-use.local\n` +
      `  resolution: "app@workspace:."\n\n"helper@npm:^1.0.0":\n  version: 1.0.0\n` +
      `  resolution: "helper@npm:1.0.0"\n  checksum: 10c0/${'ab'.repeat(64)}\n`;
    const root = { name: 'app', version: '1.0.0', dependencies: { helper: '^1.0.0' } };
    await rm(join(fake.project, 'package-lock.json'));
    await rm(join(fake.project, 'node_modules'), { recursive: true });
    await write({ 'package.json': root, 'yarn.lock': lock });
    await install({ 'node_modules/helper': 'helper@1.0.0' });
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
    await write({ 'node_modules/helper/index.js': 'evil()' });
    assert.equal((await verify('--installed')).exit.reason, 'BP1008');
  });

  it('calls a patched package neither verified nor tampered', async () => {
    const lock =
      `lockfileVersion: '9.0'\n\npatchedDependencies:\n  helper@1.0.0: ab\n\nimporters:\n  .:\n` +
      `    dependencies:\n      helper:\n        specifier: ^1.0.0\n` +
      `        version: 1.0.0(patch_hash=ab)\n\npackages:\n  helper@1.0.0:\n` +
      `    resolution: {integrity: ${digestOf('helper@1.0.0')}}\n\nsnapshots:\n` +
      `  helper@1.0.0(patch_hash=ab): {}\n`;
    const root = { name: 'app', version: '1.0.0', dependencies: { helper: '^1.0.0' } };
    await rm(join(fake.project, 'package-lock.json'));
    await rm(join(fake.project, 'node_modules'), { recursive: true });
    await write({ 'package.json': root, 'pnpm-lock.yaml': lock });
    await install({ 'node_modules/helper': 'helper@1.0.0' });
    assert.equal((await verify('--installed')).exit.code, EXIT.verified);
    await write({ 'node_modules/helper/index.js': 'patched()' });
    const report = await verify('--installed');
    assert.equal(report.exit.reason, 'BP1007', JSON.stringify(report, null, 1));
    assert.equal(report.summary['verified'], 0);
  });

  it('verifies a tree of pnpm: real folders below, links above', async () => {
    const lock =
      `lockfileVersion: '9.0'\n\nimporters:\n  .:\n    dependencies:\n      helper:\n` +
      `        specifier: ^1.0.0\n        version: 1.0.0\n\npackages:\n  helper@1.0.0:\n` +
      `    resolution: {integrity: ${digestOf('helper@1.0.0')}}\n\nsnapshots:\n  helper@1.0.0: {}\n`;
    const root = { name: 'app', version: '1.0.0', dependencies: { helper: '^1.0.0' } };
    await rm(join(fake.project, 'package-lock.json'));
    await rm(join(fake.project, 'node_modules'), { recursive: true });
    await write({ 'package.json': root, 'pnpm-lock.yaml': lock });
    const store = 'node_modules/.pnpm/helper@1.0.0/node_modules/helper';
    await install({ [store]: 'helper@1.0.0' });
    await symlink(
      '.pnpm/helper@1.0.0/node_modules/helper',
      join(fake.project, 'node_modules/helper'),
    );
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
    // A start script that pnpm does not write may do anything, whatever it names.
    await write({ 'node_modules/.bin/helper': 'evil; exec node "$basedir/../helper/index.js"\n' });
    const planted = await verify('--installed');
    assert.equal(planted.exit.code, EXIT.inconclusive, JSON.stringify(planted, null, 1));
    assert.match(JSON.stringify(planted.subjects), /1 start scripts could not be checked/);
    await write({ [`${store}/index.js`]: 'evil()' });
    assert.equal((await verify('--installed')).exit.reason, 'BP1008');
  });

  it('exits 2 when nothing is installed', async () => {
    await rm(join(fake.project, 'node_modules'), { recursive: true });
    assert.equal((await verify('--installed')).exit.code, EXIT.usage);
  });
});
