// `verify` of a part of a project: what a user can leave out, and what is verified all the same.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { appendFile, mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  INNER,
  type JsonReport,
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
import { EXIT } from '../output/exit-codes.ts';

/** Has a repository fetch what it lacks with a program of its choice, which leaves a mark. */
async function promise(folder: string, mark: string): Promise<void> {
  const text = `[core]
repositoryformatversion = 1
[extensions]
partialClone = origin
[remote "origin"]
url = .
promisor = true
uploadpack = "touch '${mark}'; false"
`;
  await appendFile(join(fakeLog().project, folder, '.git/config'), text);
}

describe('verify: what the user leaves out', () => {
  useLockedProject();

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

  const git = (...argv: string[]): string => {
    const env = { PATH: process.env['PATH'], HOME: fakeLog().home, GIT_CONFIG_NOSYSTEM: '1' };
    return execFileSync('git', ['-c', 'user.name=t', '-c', 'user.email=t@example.org', ...argv], {
      cwd: fakeLog().project,
      env,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    }).trim();
  };

  it('verifies only what changed since a commit', async () => {
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

  it('runs nothing that the repository names where a partial clone lacks an object', async () => {
    await npmProject(honest());
    git('init', '-q');
    git('add', '-A');
    git('commit', '-q', '-m', 'x');
    const blob = git('rev-parse', 'HEAD:package-lock.json');
    await rm(join(fakeLog().project, '.git/objects', blob.slice(0, 2), blob.slice(2)));
    const mark = join(fakeLog().home, 'was-run');
    await promise('.', mark);
    // Nothing to compare with, so nothing is left out.
    const report = await verify('--since', 'HEAD');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
    assert.equal(report.summary['verified'], 3);
    assert.equal(existsSync(mark), false, 'the program that uploadpack names was run');
  });

  it('believes no repository that a checkout brings along in a folder', async () => {
    git('init', '-q');
    const { 'node_modules/tester': tester, ...others } = honest();
    const earlier = {
      ...others,
      'node_modules/helper': { version: '1.0.0', integrity: digestOf('evil@1.0.0') },
    };
    const bad = { ...earlier, 'node_modules/tester': tester };
    const lock = (packages: object): object => ({ lockfileVersion: 3, packages });
    await write({
      'sub/package.json': ROOT,
      'sub/package-lock.json': lock({ '': ROOT, ...bad }),
      'earlier.json': lock({ '': ROOT, ...earlier }),
      'sub/HEAD': 'ref: refs/heads/main\n',
      'sub/config': '[core]\nrepositoryformatversion = 0\nbare = false\nworktree = .\n',
    });
    // A history in which the bad package has always been there: it seems unchanged.
    for (const folder of ['sub/objects', 'sub/refs/heads']) {
      await mkdir(join(fakeLog().project, folder), { recursive: true });
    }
    const there = ['--git-dir', 'sub', '--work-tree', 'sub'];
    const blob = git(...there, 'hash-object', '-w', 'earlier.json');
    git(...there, 'update-index', '--add', '--cacheinfo', `100644,${blob},package-lock.json`);
    const commit = git(...there, 'commit-tree', '-m', 'x', git(...there, 'write-tree'));
    git(...there, 'update-ref', 'refs/heads/main', commit);
    assert.equal((await verify('-C', 'sub')).exit.reason, 'BP1003');
    const report = await verify('-C', 'sub', '--since', 'main');
    assert.equal(report.exit.code, EXIT.usage, JSON.stringify(report, null, 1));
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
      for (const replica of fakeLog().replicas) replica.requests.length = 0;
      const report = await verify();
      assert.equal(report.exit.code, EXIT.usage);
      assert.equal(report.exit.reason, 'BP9005');
      assert.deepEqual(report.subjects, []);
      const asked = fakeLog().replicas.flatMap(({ requests }) => requests);
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
    const lock = JSON.parse(
      await readFile(join(fakeLog().project, 'package-lock.json'), 'utf8'),
    ) as {
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
    const file = join(fakeLog().project, 'package-lock.json');
    const lock = JSON.parse(await readFile(file, 'utf8')) as { packages: Record<string, object> };
    const { packages } = lock;
    packages['node_modules/@mono/ui'] = { resolved: 'packages/tool', link: true, name: 'tool' };
    packages['node_modules/ui'] = { resolved: 'packages/ui', link: true };
    await write({ 'package-lock.json': lock });
    const report = await verify('--workspace', 'web');
    assert.equal(verdicts(report)['builder@1.0.0'], 'verified');
  });

  it('verifies what the siblings of a workspace need in a lockfile of pnpm, where they have no entry', async () => {
    const web = { name: 'web', dependencies: { ui: 'workspace:*' } };
    const ui = { name: 'ui', dependencies: { helper: '1.0.0' } };
    const tool = { name: 'tool', dependencies: { tester: '1.0.0' } };
    const lock = (helper: string): string => `lockfileVersion: '9.0'
importers:
  .: {}
  web:
    dependencies:
      ui:
        specifier: workspace:*
        version: link:../ui
  ui:
    dependencies:
      helper:
        specifier: 1.0.0
        version: 1.0.0
  tool:
    dependencies:
      tester:
        specifier: 1.0.0
        version: 1.0.0
packages:
  helper@1.0.0:
    resolution: {integrity: ${digestOf(helper)}}
  tester@1.0.0:
    resolution: {integrity: ${digestOf('tester@1.0.0')}}
snapshots:
  helper@1.0.0: {}
  tester@1.0.0: {}
`;
    await write({
      'package.json': { name: 'mono' },
      'web/package.json': web,
      'ui/package.json': ui,
      'tool/package.json': tool,
      'pnpm-workspace.yaml': 'packages: [web, ui, tool]\n',
      'pnpm-lock.yaml': lock('helper@1.0.0'),
    });
    const report = await verify('--workspace', 'web');
    assert.deepEqual(verdicts(report), { 'helper@1.0.0': 'verified', 'tester@1.0.0': 'omitted' });
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
    assert.equal((await verify()).exit.code, EXIT.verified, 'all of it');
    await write({ 'pnpm-lock.yaml': lock('evil@1.0.0') });
    assert.equal((await verify('--workspace', 'web')).exit.reason, 'BP1003');
    assert.equal((await verify('--workspace', 'tool')).exit.code, EXIT.verified, 'asked for so');
  });

  it('verifies what the siblings of a workspace need in a lockfile of Yarn Classic, which has none of them', async () => {
    const lock = (helper: string): string => `# yarn lockfile v1


helper@1.0.0:
  version "1.0.0"
  resolved "https://registry.example/helper/-/helper-1.0.0.tgz#x"
  integrity ${digestOf(helper)}

tester@1.0.0:
  version "1.0.0"
  resolved "https://registry.example/tester/-/tester-1.0.0.tgz#x"
  integrity ${digestOf('tester@1.0.0')}
`;
    await write({
      'package.json': { name: 'mono', private: true, workspaces: ['web', 'ui', 'tool'] },
      'web/package.json': { name: 'web', version: '1.0.0', dependencies: { ui: '^1.0.0' } },
      'ui/package.json': { name: 'ui', version: '1.0.0', dependencies: { helper: '1.0.0' } },
      'tool/package.json': { name: 'tool', version: '1.0.0', dependencies: { tester: '1.0.0' } },
      'yarn.lock': lock('helper@1.0.0'),
    });
    const report = await verify('--workspace', 'web');
    assert.deepEqual(verdicts(report), { 'helper@1.0.0': 'verified', 'tester@1.0.0': 'omitted' });
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
    await write({ 'yarn.lock': lock('evil@1.0.0') });
    assert.equal((await verify('--workspace', 'web')).exit.reason, 'BP1003');
    // Yarn fetches what the workspace of that name is not.
    await write({
      'web/package.json': { name: 'web', version: '1.0.0', dependencies: { ui: '^2.0.0' } },
      'yarn.lock': lock('helper@1.0.0'),
    });
    assert.equal((await verify()).exit.reason, 'BP6007');
  });

  it('exits 2 for a workspace that there is not, and names those that there are', async () => {
    await monorepo();
    const { code, stderr, stdout } = await fakeLog().run(['verify', '--workspace', 'nope']);
    assert.equal(code, EXIT.usage);
    assert.match(stdout + stderr, /no workspace nope; there are mono, /);
  });

  it('verifies the lockfile of a folder, by the configuration of the project', async () => {
    await npmProject(honest());
    const lock = await readFile(join(fakeLog().project, 'package-lock.json'), 'utf8');
    await write({
      'elsewhere/package.json': ROOT,
      'elsewhere/package-lock.json': lock,
      // Not the word of a folder that came from who knows where.
      'elsewhere/bftpkg.json': { format: 'bftpkg-config/v1', pin: '00'.repeat(32), replicas: [] },
    });
    await rm(join(fakeLog().project, 'package-lock.json'));
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
