// `ci` of trees that are more than a list: workspaces, bundles, aliases, other platforms, and lockfiles
// that lie about what they can't change.
import assert from 'node:assert/strict';
import { mkdir, readFile, readlink, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import type { TarballSpec } from '../../fixtures/tarballs/generator.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { exists } from '../npm/lockfile.ts';
import { EXIT } from '../output/exit-codes.ts';

const BUNDLED_FILES = {
  'node_modules/inner/package.json': JSON.stringify({
    name: 'inner',
    version: '1.0.0',
    scripts: { postinstall: 'touch ran' },
  }),
  'node_modules/inner/index.js': 'module.exports = "inner, bundled"',
};

const PACKAGES: readonly TarballSpec[] = [
  { name: 'alpha', version: '1.0.0' },
  { name: 'alpha', version: '2.0.0' },
  {
    name: 'tool',
    version: '1.0.0',
    packageJson: { bin: { tool: 'tool.js' } },
    files: { 'tool.js': '#!/usr/bin/env node\n', 'evil.js': '#!/usr/bin/env node\n' },
  },
  {
    name: 'scripted',
    version: '1.0.0',
    packageJson: {
      scripts: { preinstall: 'touch ran', postpreinstall: 'touch more' },
      devEngines: { packageManager: { name: 'other', onFail: 'error' } },
    },
  },
  { name: 'failing', version: '1.0.0', packageJson: { scripts: { install: 'exit 3' } } },
  { name: 'gyp', version: '1.0.0', files: { 'binding.gyp': '{}' } },
  {
    name: 'node-gyp',
    version: '1.0.0',
    packageJson: { bin: 'gyp.js' },
    files: {
      'gyp.js':
        '#!/usr/bin/env node\nconst [, , what, where] = process.argv;\n' +
        "require('fs').writeFileSync(where.split('=')[1] + '/built', what);\n",
    },
    executable: ['gyp.js'],
  },
  { name: 'elsewhere', version: '1.0.0', packageJson: { os: ['aix'] } },
  {
    name: 'bundler',
    version: '1.0.0',
    packageJson: { dependencies: { inner: '*' }, bundleDependencies: ['inner'] },
    files: BUNDLED_FILES,
  },
  {
    name: 'needy',
    version: '1.0.0',
    packageJson: { dependencies: { inner: '1.0.0' }, bundleDependencies: ['inner'] },
    files: {
      'node_modules/inner/package.json': JSON.stringify({
        name: 'inner',
        version: '1.0.0',
        dependencies: { nowhere: '^1.0.0' },
      }),
    },
  },
  {
    name: 'wrapped',
    version: '1.0.0',
    packageJson: { dependencies: { alpha: '^1.0.0' } },
    files: {
      'npm-shrinkwrap.json': JSON.stringify({
        name: 'wrapped',
        version: '1.0.0',
        lockfileVersion: 3,
        packages: {
          '': { name: 'wrapped', version: '1.0.0', dependencies: { alpha: '^1.0.0' } },
          'node_modules/alpha': {
            version: '2.0.0',
            resolved: 'https://evil.example/-/a-2.0.0.tgz',
          },
        },
      }),
    },
  },
];

describe('ci of a tree', () => {
  let fake: FakeLog;
  const digests = new Map<string, string>();

  before(async () => {
    fake = await FakeLog.start();
    for (const spec of PACKAGES) {
      digests.set(`${spec.name}@${spec.version}`, formatSri(await fake.publish(spec)));
    }
  });
  after(async () => {
    await fake.stop();
  });
  beforeEach(async () => {
    await rm(join(fake.home, '.config'), { recursive: true, force: true });
    await rm(fake.project, { recursive: true, force: true });
    await mkdir(fake.project);
    await fake.configure();
  });

  /** An entry of a published release; `fields` is what a lockfile adds. */
  function release(spec: string, fields: JsonObject = {}): JsonObject {
    const [name = '', version = ''] = spec.split(/(?<=.)@/);
    const integrity = digests.get(spec);
    assert.ok(integrity !== undefined, `${spec} was published`);
    return { version, resolved: `https://r.example/${name}/-/x.tgz`, integrity, ...fields };
  }

  async function project(root: JsonObject, packages: JsonObject): Promise<void> {
    const own = { name: 'app', version: '1.0.0', ...root };
    const lock = { name: 'app', version: '1.0.0', lockfileVersion: 3, requires: true };
    await put('package.json', JSON.stringify(own));
    const text = JSON.stringify({ ...lock, packages: { '': own, ...packages } }, null, 2);
    await put('package-lock.json', text);
  }

  async function put(path: string, text: string): Promise<void> {
    await mkdir(join(fake.project, path, '..'), { recursive: true });
    await writeFile(join(fake.project, path), text);
  }

  async function text(path: string): Promise<string> {
    return await readFile(join(fake.project, path), 'utf8');
  }

  async function isThere(path: string): Promise<boolean> {
    return await exists(join(fake.project, path));
  }

  async function ci(...flags: string[]): Promise<Outcome> {
    return await fake.run(['ci', ...flags]);
  }

  function verified({ code, stdout, stderr }: Outcome): void {
    assert.equal(code, EXIT.verified, stdout + stderr);
  }

  async function workspaces(): Promise<void> {
    const a = { name: '@acme/a', version: '1.0.0', bin: { 'a-tool': 'cli.js' } };
    const b = { name: 'b', version: '1.0.0', dependencies: { '@acme/a': '1.0.0', alpha: '2.0.0' } };
    await put('packages/a/package.json', JSON.stringify({ ...a, scripts: { prepare: 'exit 9' } }));
    await put('packages/a/cli.js', '#!/usr/bin/env node\nconsole.log("a-tool");\n');
    await put('packages/b/package.json', JSON.stringify(b));
    await project(
      { workspaces: ['packages/*'], dependencies: { alpha: '1.0.0' } },
      {
        'node_modules/@acme/a': { resolved: 'packages/a', link: true },
        'node_modules/b': { resolved: 'packages/b', link: true },
        'node_modules/alpha': release('alpha@1.0.0'),
        'packages/a': a,
        'packages/b': b,
        'packages/b/node_modules/alpha': release('alpha@2.0.0'),
      },
    );
  }

  it('installs workspaces: links to them, their programs, and what only one of them needs', async () => {
    await workspaces();
    verified(await ci());
    assert.match(await text('node_modules/alpha/index.js'), /alpha@1\.0\.0/);
    assert.match(await text('packages/b/node_modules/alpha/index.js'), /alpha@2\.0\.0/);
    assert.equal(await readlink(join(fake.project, 'node_modules/b')), '../packages/b');
    assert.match(await text('node_modules/@acme/a/cli.js'), /a-tool/);
    assert.match(await text('node_modules/.bin/a-tool'), /a-tool/);
    const { mode } = await stat(join(fake.project, 'packages/a/cli.js'));
    assert.equal(mode & 0o111, 0o111, 'npm makes programs executable');
    assert.match(await text('packages/a/package.json'), /prepare/, 'sources are left alone');
    verified(await fake.run(['verify', '--installed']));
  });

  it('installs the whole project from the folder of a workspace', async () => {
    await workspaces();
    verified(await fake.run(['-C', join(fake.project, 'packages/a'), 'ci']));
    assert.match(await text('packages/b/node_modules/alpha/index.js'), /alpha@2\.0\.0/);
    assert.equal(await isThere('packages/a/node_modules'), false);
  });

  it('adds to a project with workspaces, keeps them, and keeps what it says about npm', async () => {
    await workspaces();
    const before = await text('package.json');
    const engines = { packageManager: { name: 'npm', version: '>=999.0.0', onFail: 'error' } };
    const document = JSON.parse(before) as object;
    await put('package.json', `${JSON.stringify({ ...document, devEngines: engines }, null, 2)}\n`);
    verified(await fake.run(['install', 'tool']));
    assert.equal(await isThere('node_modules/tool/tool.js'), true);
    assert.match(await text('packages/b/node_modules/alpha/index.js'), /alpha@2\.0\.0/);
    assert.match(await text('package-lock.json'), /"packages\/b"/);
    const after = JSON.parse(await text('package.json')) as {
      readonly devEngines: unknown;
      readonly dependencies: unknown;
    };
    assert.deepEqual(after.devEngines, engines);
    assert.deepEqual(after.dependencies, { alpha: '1.0.0', tool: '^1.0.0' });
    verified(await ci());
  });

  it('makes no lockfile of its own for a workspace', async () => {
    await workspaces();
    const { code, stderr } = await fake.run([
      '-C',
      join(fake.project, 'packages/a'),
      'add',
      'tool',
    ]);
    assert.equal(code, EXIT.usage, stderr);
    assert.match(stderr, /packages\/a is a workspace/);
    assert.equal(await isThere('packages/a/package-lock.json'), false);
  });

  it('removes what a workspace had before, and keeps it when something is wrong', async () => {
    await workspaces();
    await put('packages/a/node_modules/old/index.js', 'old');
    await put('packages/b/node_modules/old/index.js', 'old');
    const lock = await text('package-lock.json');
    await put('package-lock.json', lock.replaceAll('sha512-', 'sha512-A'));
    assert.notEqual((await ci()).code, EXIT.verified);
    assert.equal(await isThere('packages/a/node_modules/old'), true);
    assert.equal(await isThere('packages/b/node_modules/old'), true);
    await put('package-lock.json', lock);
    verified(await ci());
    assert.equal(await isThere('packages/a/node_modules'), false);
    assert.equal(await isThere('packages/b/node_modules/old'), false);
  });

  // Replacing node_modules in a folder that a link leads to would delete somebody else's.
  it('does not follow a link out of the project to a workspace', async () => {
    await workspaces();
    const outside = join(fake.home, 'outside');
    await rm(outside, { recursive: true, force: true });
    await mkdir(join(outside, 'node_modules/precious'), { recursive: true });
    await writeFile(join(outside, 'package.json'), '{"name":"@acme/a","version":"1.0.0"}');
    await rm(join(fake.project, 'packages/a'), { recursive: true });
    await symlink(outside, join(fake.project, 'packages/a'));
    const { code, stderr } = await ci();
    assert.equal(code, EXIT.usage, stderr);
    assert.match(stderr, /BP9005.*packages\/a/);
    assert.equal(await exists(join(outside, 'node_modules/precious')), true);
    assert.equal(await isThere('node_modules'), false);
  });

  it('installs aliases and overrides', async () => {
    await project(
      { dependencies: { other: 'npm:alpha@2.0.0', alpha: '1.0.0' }, overrides: { alpha: '1.0.0' } },
      {
        'node_modules/alpha': release('alpha@1.0.0'),
        'node_modules/other': release('alpha@2.0.0', { name: 'alpha' }),
      },
    );
    // An override of one's own direct dependency must not change its range, so npm takes this.
    verified(await ci());
    assert.match(await text('node_modules/other/index.js'), /alpha@2\.0\.0/);
  });

  it('leaves out what is for another platform', async () => {
    await project(
      { optionalDependencies: { elsewhere: '1.0.0' }, dependencies: { alpha: '1.0.0' } },
      {
        'node_modules/alpha': release('alpha@1.0.0'),
        'node_modules/elsewhere': release('elsewhere@1.0.0', { optional: true, os: ['aix'] }),
      },
    );
    verified(await ci());
    assert.equal(await isThere('node_modules/elsewhere'), false);
  });

  it('does without optional packages that the lockfile leaves out', async () => {
    await fake.publish({
      name: 'choosy',
      version: '1.0.0',
      packageJson: { optionalDependencies: { nowhere: '^1.0.0' } },
    });
    const outcome = await (async () => {
      await put('package.json', '{"name":"app","version":"1.0.0"}');
      return await fake.run(['add', 'choosy']);
    })();
    verified(outcome);
    verified(await ci());
    assert.equal(await isThere('node_modules/choosy/index.js'), true);
  });

  it('updates to what the ranges admit, and no further', async () => {
    for (const version of ['1.0.0', '2.0.0']) await fake.publish({ name: 'mover', version });
    await put('package.json', '{"name":"app","version":"1.0.0"}');
    verified(await fake.run(['install', 'mover@^1.0.0']));
    await fake.publish({ name: 'mover', version: '1.1.0' });
    verified(await ci());
    assert.match(await text('node_modules/mover/index.js'), /mover@1\.0\.0/);
    verified(await fake.run(['update', 'mover']));
    assert.match(await text('node_modules/mover/index.js'), /mover@1\.1\.0/);
    assert.match(await text('package-lock.json'), /"version": "1\.1\.0"/);
    assert.equal((await fake.run(['update', 'mover@2'])).code, EXIT.usage);
  });

  describe('takes from a lockfile nothing but places', () => {
    it('and leaves no package out because it names another platform', async () => {
      const fields = { optional: true, os: ['aix'], cpu: ['none'] };
      await project(
        { dependencies: { alpha: '1.0.0' } },
        { 'node_modules/alpha': release('alpha@1.0.0', fields) },
      );
      verified(await ci());
      assert.equal(await isThere('node_modules/alpha/index.js'), true);
    });

    it('nor links a program that the package does not have', async () => {
      const bin = { tool: 'evil.js', git: 'evil.js' };
      await project(
        { dependencies: { tool: '1.0.0' } },
        { 'node_modules/tool': release('tool@1.0.0', { bin }) },
      );
      verified(await ci());
      assert.equal(await isThere('node_modules/.bin/git'), false);
      const target = await readlink(join(fake.project, 'node_modules/.bin/tool'));
      assert.equal(target, '../tool/tool.js');
    });

    it('nor refuses for engines that the package does not ask for', async () => {
      await put('.npmrc', 'engine-strict=true\n');
      await project(
        { dependencies: { alpha: '1.0.0' } },
        { 'node_modules/alpha': release('alpha@1.0.0', { engines: { node: '>=999' } }) },
      );
      verified(await ci());
    });

    it('nor obeys a lockfile inside of a package', async () => {
      await project(
        { dependencies: { wrapped: '1.0.0' } },
        {
          'node_modules/alpha': release('alpha@1.0.0'),
          'node_modules/wrapped': release('wrapped@1.0.0', { hasShrinkwrap: true }),
        },
      );
      verified(await ci());
      assert.match(await text('node_modules/alpha/index.js'), /alpha@1\.0\.0/);
      assert.equal(await isThere('node_modules/wrapped/node_modules'), false);
    });
  });

  describe('with bundled packages', () => {
    const bundled = (owner: string, key: string, fields: JsonObject): JsonObject => ({
      [`node_modules/${owner}`]: release(`${owner}@1.0.0`, { bundleDependencies: ['inner'] }),
      [`node_modules/${owner}/node_modules/${key}`]: { inBundle: true, ...fields },
    });

    it('installs them from the tarball around them', async () => {
      await project(
        { dependencies: { bundler: '1.0.0' } },
        bundled('bundler', 'inner', { version: '1.0.0' }),
      );
      verified(await ci());
      assert.match(await text('node_modules/bundler/node_modules/inner/index.js'), /bundled/);
    });

    it('refuses one that the tarball has in another version', async () => {
      await project(
        { dependencies: { bundler: '1.0.0' } },
        bundled('bundler', 'inner', { version: '6.6.6' }),
      );
      const { code, stdout } = await ci();
      assert.equal(code, EXIT.policy, stdout);
      assert.match(stdout, /BP6006.*the tarball has "inner@1\.0\.0" in this place/);
    });

    // npm fetches by name what it doesn't find in the tarball, whatever that is today.
    it('refuses one that the tarball does not have', async () => {
      const more = {
        'node_modules/bundler/node_modules/inner/node_modules/ghost': {
          version: '1.0.0',
          inBundle: true,
        },
      };
      const inner = { version: '1.0.0', dependencies: { ghost: '*' } };
      await project(
        { dependencies: { bundler: '1.0.0' } },
        { ...bundled('bundler', 'inner', inner), ...more },
      );
      const { code, stdout } = await ci();
      assert.equal(code, EXIT.policy, stdout);
      assert.match(stdout, /BP6006.*the tarball has no such folder/);
      assert.equal(await isThere('node_modules'), false);
      // Who verifies and then installs with npm would have it fetched.
      const checked = await fake.run(['verify']);
      assert.equal(checked.code, EXIT.policy, checked.stdout);
      assert.match(checked.stdout, /BP6006.*the tarball has no such folder/);
    });

    it('refuses one that needs what nobody has', async () => {
      await project(
        { dependencies: { needy: '1.0.0' } },
        bundled('needy', 'inner', { version: '1.0.0' }),
      );
      const { code, stdout } = await ci();
      assert.equal(code, EXIT.policy, stdout);
      assert.match(stdout, /BP6006.*it needs "nowhere"/);
    });
  });

  describe('and install scripts', () => {
    const one = async (name: string, fields: JsonObject = {}): Promise<void> =>
      await project(
        { dependencies: { [name]: '1.0.0' } },
        { [`node_modules/${name}`]: release(`${name}@1.0.0`, fields) },
      );

    it('runs none by default, and says whose', async () => {
      await one('scripted', { hasInstallScript: true });
      const outcome = await ci('--json');
      verified(outcome);
      assert.equal(await isThere('node_modules/scripted/ran'), false);
      assert.match(outcome.stderr, /install scripts not run: scripted@1\.0\.0/);
      const { installed } = JSON.parse(outcome.stdout) as { installed: { scripts: unknown } };
      assert.deepEqual(installed.scripts, { ran: [], skipped: ['scripted@1.0.0'], failed: [] });
    });

    const lists: readonly (readonly [
      string,
      readonly string[],
      readonly string[] | undefined,
      readonly string[],
      boolean,
    ])[] = [
      ['the project lists it', ['scripted'], undefined, [], true],
      ['the project lists this version', ['scripted@1.0.0'], undefined, [], true],
      ['the project lists another version', ['scripted@1.0.1'], undefined, [], false],
      ['the project lists all', ['*'], undefined, [], true],
      ['the project lists another', ['other'], undefined, [], false],
      ['the command line says all', [], undefined, ['--scripts'], true],
      ['the command line says none', ['scripted'], undefined, ['--no-scripts'], false],
      ['the user’s own list does not have it', ['scripted'], [], [], false],
      [
        'the user’s own list does not have it, --scripts',
        ['scripted'],
        ['x'],
        ['--scripts'],
        false,
      ],
      ['both list it', ['scripted'], ['scripted'], [], true],
    ];
    for (const [why, allowScripts, user, flags, expected] of lists) {
      it(`${expected ? 'runs' : 'does not run'} them when ${why}`, async () => {
        await fake.configure({ allowScripts: [...allowScripts] });
        if (user !== undefined) {
          const folder = join(fake.home, '.config/bftpkg');
          await mkdir(folder, { recursive: true });
          const config = { format: 'bftpkg-config/v1', allowScripts: user };
          await writeFile(join(folder, 'config.json'), JSON.stringify(config));
        }
        // A lockfile can't hide them: it is the signed manifest that counts.
        await one('scripted');
        verified(await ci(...flags));
        assert.equal(await isThere('node_modules/scripted/ran'), expected);
        assert.equal(await isThere('node_modules/scripted/more'), false, 'postpreinstall is none');
      });
    }

    it('counts the build that npm starts for a binding.gyp', async () => {
      await project(
        { dependencies: { gyp: '1.0.0', 'node-gyp': '1.0.0' } },
        {
          'node_modules/gyp': release('gyp@1.0.0'),
          'node_modules/node-gyp': release('node-gyp@1.0.0', { bin: { 'node-gyp': 'gyp.js' } }),
        },
      );
      const outcome = await ci();
      verified(outcome);
      assert.match(outcome.stderr, /not run: gyp@1\.0\.0/);
      assert.equal(await isThere('node_modules/gyp/built'), false);
      verified(await ci('--scripts'));
      assert.equal(await text('node_modules/gyp/built'), 'rebuild');
    });

    // It carries a name that the list has, but nobody signed it under that name.
    it('takes no bundled package for the one that a list names', async () => {
      await project(
        { dependencies: { bundler: '1.0.0' } },
        {
          'node_modules/bundler': release('bundler@1.0.0', { bundleDependencies: ['inner'] }),
          'node_modules/bundler/node_modules/inner': { version: '1.0.0', inBundle: true },
        },
      );
      await fake.configure({ allowScripts: ['inner', 'bundler'] });
      const outcome = await ci();
      verified(outcome);
      const ran = 'node_modules/bundler/node_modules/inner/ran';
      assert.equal(await isThere(ran), false);
      assert.match(outcome.stderr, /not run: inner@1\.0\.0 \(bundled\)/);
      verified(await ci('--scripts'));
      assert.equal(await isThere(ran), true);
    });

    // A script that fetches the rest of a program is how unsigned code gets past every signature.
    it('gives them no network with --isolate, or says that it can’t', async () => {
      const port = Number(new URL(fake.replicas[0]?.url ?? '').port);
      const connect = `require('net').connect(${port}, '127.0.0.1', () => { require('fs').writeFileSync('reached', ''); process.exit(); }).on('error', () => process.exit())`;
      const sha512 = await fake.publish({
        name: 'caller',
        version: `1.0.${port}`,
        packageJson: { scripts: { install: 'node call.js' } },
        files: { 'call.js': connect },
      });
      const spec = `caller@1.0.${port}`;
      digests.set(spec, formatSri(sha512));
      await project(
        { dependencies: { caller: `1.0.${port}` } },
        { 'node_modules/caller': release(spec) },
      );
      verified(await ci('--scripts'));
      assert.equal(await isThere('node_modules/caller/reached'), true, 'the control');
      const outcome = await ci('--scripts', '--isolate');
      if (outcome.code === EXIT.verified) {
        assert.equal(await isThere('node_modules/caller/reached'), false);
      } else {
        assert.equal(outcome.code, EXIT.usage, outcome.stderr);
        assert.match(outcome.stderr, /--isolate is not possible here/);
        assert.equal(await isThere('node_modules/caller/reached'), true, 'nothing was changed');
      }
    });

    it('fails with a required package and does without an optional one', async () => {
      await one('failing');
      const { code, stdout, stderr } = await ci('--scripts');
      assert.equal(code, EXIT.inconclusive, stderr);
      assert.match(stdout, /BP7007.*install of failing@1\.0\.0/);
      assert.match(stdout, /1 verified, 1 package installed \(exit 3\)/);
      assert.equal(await isThere('node_modules/failing'), true, 'as the report says');
      await project(
        { dependencies: { alpha: '1.0.0' }, optionalDependencies: { failing: '1.0.0' } },
        {
          'node_modules/alpha': release('alpha@1.0.0'),
          'node_modules/failing': release('failing@1.0.0', { optional: true }),
        },
      );
      const outcome = await ci('--scripts');
      verified(outcome);
      assert.match(outcome.stderr, /left out, since their install scripts failed: failing@1\.0\.0/);
      assert.equal(await isThere('node_modules/failing'), false);
    });
  });
});
