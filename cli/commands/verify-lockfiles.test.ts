// `verify` of projects: what an attacker can write into a lockfile although every package in it is genuine.
// Real verification against a log in memory.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  INNER,
  ROOT,
  bundling,
  digestOf,
  entry,
  fakeLog,
  honest,
  npmProject,
  row,
  useLockedProject,
  verify,
  write,
} from '../../fixtures/locked-project.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { EXIT } from '../output/exit-codes.ts';

describe('verify: lock, log and bytes are bound together', () => {
  useLockedProject();

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
      fakeLog()
        .replicas.flatMap(({ requests }) => requests)
        .filter((one) => one.startsWith('POST')).length;
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
    const { stdout } = await fakeLog().run(['verify']);
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
      const path = join(fakeLog().project, 'package-lock.json');
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
      await fakeLog().configure({ exceptions: [excepted] });
      assert.equal((await verify()).exit.code, EXIT.verified, 'allowed by itself');
      await npmProject(attack(), root);
      const report = await verify();
      assert.equal(report.exit.reason, 'BP6006', JSON.stringify(report, null, 1));
      assert.equal(row(report, 'smuggled@1.0.0').verdict, 'rejected');
      assert.equal(row(report, 'legacy@1.0.0').verdict, 'excepted');
      const env = { npm_config_user_agent: 'npm/12.0.0 node/v20.20.0 linux x64' };
      const hook = await fakeLog().run(['hook', 'run', '--event', 'preinstall'], { env });
      assert.equal(hook.code, EXIT.policy, hook.stdout + hook.stderr);
      assert.match(hook.stdout + hook.stderr, /BP6006[^]*smuggled@1\.0\.0/);
    });

    it('lets what is bundled in it pass by an exception of its own', async () => {
      await npmProject(attack(), root);
      await fakeLog().configure({ exceptions: [excepted, exception('smuggled', 'BP6006')] });
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
      const made = await fakeLog().run(['policy', 'baseline', 'create']);
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
      'node_modules/evil': entry('evil', '1.0.0'),
    });
    await npmProject(wrapped({ hasShrinkwrap: true }), root);
    const report = await verify();
    assert.equal(report.exit.reason, 'BP6006', JSON.stringify(report, null, 1));
    assert.equal(row(report, 'wrapped@1.0.0').verdict, 'rejected');
    // npm looks into the tarball only where the lockfile says so.
    await npmProject(wrapped({}), root);
    assert.equal((await verify()).exit.code, EXIT.verified);
  });

  const incomplete: readonly (readonly [string, object, RegExp | undefined])[] = [
    ['a dependency', { dependencies: { evil: '1.0.0' } }, /"evil@1\.0\.0", asked for by package/],
    ['one from git', { dependencies: { evil: 'git+https://e.example/x.git' } }, /"evil@git/],
    ['one for development', { devDependencies: { evil: '*' } }, /"evil@\*", asked for by package/],
    ['an optional one', { optionalDependencies: { evil: '1.0.0' } }, /"evil@1\.0\.0", asked for/],
    ['a workspace', { workspaces: ['own/*'] }, /"own\/new", a workspace of yours/],
    ['a workspace, back in', { workspaces: ['own/*', '!own/new', 'own/n*'] }, /"own\/new"/],
    ['no workspace: it is left out', { workspaces: ['own/*', '!own/new'] }, undefined],
    ['no workspace: none is meant', {}, undefined],
  ];
  for (const [why, fields, message] of incomplete) {
    it(`${message === undefined ? 'accepts' : 'refuses'} a lockfile without what package.json has: ${why}`, async () => {
      const { dependencies } = { dependencies: {}, ...fields };
      const root = { ...ROOT, ...fields, dependencies: { ...ROOT.dependencies, ...dependencies } };
      const devDependencies = { ...ROOT.devDependencies, ...root.devDependencies };
      await npmProject(honest(), { ...root, devDependencies });
      await write({ 'own/new/package.json': { name: 'new', dependencies: { evil: '1.0.0' } } });
      const { code, stdout } = await fakeLog().run(['verify']);
      assert.equal(code, message === undefined ? EXIT.verified : EXIT.policy, stdout);
      if (message !== undefined) assert.match(stdout, message);
    });
  }

  it('refuses a lockfile without what a verified package asks for', async () => {
    const { 'node_modules/helper': _helper, ...others } = honest();
    await npmProject(others);
    assert.equal((await verify()).exit.reason, 'BP6007');
  });

  it('misses nothing that comes in the tarball of a verified package', async () => {
    await write({
      'package.json': { name: 'x', dependencies: { bundler: '1.0.0' } },
      'pnpm-lock.yaml': `lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      bundler:
        specifier: 1.0.0
        version: 1.0.0
packages:
  bundler@1.0.0:
    resolution: {integrity: ${digestOf('bundler@1.0.0')}}
    bundledDependencies: [inner]
  helper@1.0.0:
    resolution: {integrity: ${digestOf('helper@1.0.0')}}
snapshots:
  bundler@1.0.0:
    dependencies:
      helper: 1.0.0
  helper@1.0.0: {}
`,
    });
    const report = await verify();
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
  });

  it('refuses an empty lockfile for a project that asks for something', async () => {
    await npmProject({});
    assert.equal((await verify()).exit.reason, 'BP6007');
    assert.equal((await verify('--omit', 'dev')).exit.reason, 'BP6007');
    await npmProject({}, { ...ROOT, dependencies: {} });
    assert.equal((await verify('--omit', 'dev')).exit.reason, 'BP9001');
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

  const standIns: readonly (readonly [
    string,
    object,
    Readonly<Record<string, string>>,
    boolean,
  ])[] = [
    ['nobody means', {}, {}, false],
    ['a workspace means', { workspaces: ['vendor/*'] }, {}, true],
    ['another workspace does not mean', { workspaces: ['packages/*'] }, {}, false],
    [
      'a dependency means',
      { dependencies: { ...ROOT.dependencies, helper: 'file:vendor/h' } },
      {},
      true,
    ],
    [
      'a dependency of a workspace means',
      { workspaces: ['packages/*'] },
      { helper: 'file:../../vendor/h/' },
      true,
    ],
    ['an override means', { overrides: { helper: 'file:./vendor/h' } }, {}, true],
    [
      'a dependency on another folder means',
      { dependencies: { ...ROOT.dependencies, helper: 'file:vendor' } },
      {},
      false,
    ],
  ];
  for (const [who, fields, ofWorkspace, isMeant] of standIns) {
    it(`${isMeant ? 'takes' : 'refuses'} a folder in the place of a package that ${who}`, async () => {
      const root = { ...ROOT, ...fields };
      const web = { name: 'web', version: '1.0.0', dependencies: ofWorkspace };
      const packages = {
        ...honest(),
        'node_modules/helper': { link: true, resolved: 'vendor/h' },
        'vendor/h': { version: '1.0.0' },
        ...('workspaces' in fields && isMeant && Object.keys(ofWorkspace).length > 0
          ? { 'packages/web': web, 'node_modules/web': { link: true, resolved: 'packages/web' } }
          : {}),
      };
      await npmProject(packages, root);
      await write({ 'vendor/h/index.js': 'evil()', 'packages/web/package.json': web });
      const report = await verify();
      assert.equal(report.exit.reason, isMeant ? null : 'BP6007', JSON.stringify(report, null, 1));
      const found = JSON.stringify(report.subjects);
      assert.equal(/means this folder/.test(found), !isMeant, found);
    });
  }

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
