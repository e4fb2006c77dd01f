// `verify --installed`: what an attacker can write into node_modules although every package is genuine.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmod, mkdir, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { beforeEach, describe, it } from 'node:test';

import { extract } from 'tar';

import {
  ROOT,
  bundling,
  digestOf,
  digests,
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
import { checkTarball } from '../../verifier/archive/tarball.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { EXIT } from '../output/exit-codes.ts';

/** Unpacks published tarballs as npm does. */
async function install(places: Readonly<Record<string, string>>): Promise<void> {
  for (const [path, spec] of Object.entries(places)) {
    const digest = digests.get(spec);
    const bytes = digest === undefined ? undefined : fakeLog().artifacts.get(encodeHex(digest));
    assert.ok(bytes, spec);
    const cwd = join(fakeLog().project, path);
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
  useLockedProject();

  beforeEach(async () => {
    await npmProject(honest());
    await install(HONEST_TREE);
  });

  it('verifies an honest tree, with its programs and what npm changes in them', async () => {
    const modules = join(fakeLog().project, 'node_modules');
    await mkdir(join(modules, '.bin'));
    await symlink('../app-kit/bin/run.js', join(modules, '.bin', 'kit'));
    await write({ 'node_modules/app-kit/bin/run.js': '#!/usr/bin/env node\nrun()\n' });
    await chmod(join(modules, 'app-kit/bin/run.js'), 0o755);
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report.subjects, null, 1));
    assert.equal(report.summary['verified'], 3);
  });

  const elsewhere: readonly (readonly [string, () => Promise<void>, number])[] = [
    ['the packages are in archives (.pnp.cjs)', () => write({ '.pnp.cjs': '' }), EXIT.usage],
    ['the packages are in archives (.pnp.js)', () => write({ '.pnp.js': '' }), EXIT.usage],
    [
      'node_modules has nothing but a cache',
      async () => {
        await rm(join(fakeLog().project, 'node_modules'), { recursive: true });
        await write({ 'node_modules/.cache/x': '' });
      },
      EXIT.usage,
    ],
    [
      'nothing is expected on this platform',
      async () => {
        await rm(join(fakeLog().project, 'node_modules'), { recursive: true });
        const root = { name: 'app', dependencies: { helper: '^1.0.0' } };
        const other = entry('helper', '1.0.0', { optional: true, os: ['no-such-os'] });
        await npmProject({ 'node_modules/helper': other }, root);
        await write({ 'node_modules/.package-lock.json': '{}' });
      },
      EXIT.verified,
    ],
  ];
  for (const [why, prepare, code] of elsewhere) {
    it(`exits ${code} where ${why}`, async () => {
      await prepare();
      const report = await verify('--installed');
      assert.equal(report.exit.code, code, JSON.stringify(report, null, 1));
    });
  }

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
      async () => await rm(join(fakeLog().project, 'node_modules/helper/index.js')),
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
        const path = join(fakeLog().project, 'node_modules/helper/index.js');
        await rm(path);
        await symlink('../app-kit/index.js', path);
      },
      /helper@1\.0\.0: 1 file/,
    ],
    [
      'another package in its place',
      async () => {
        await rm(join(fakeLog().project, 'node_modules/helper'), { recursive: true });
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
        await rm(join(fakeLog().project, 'node_modules/helper'), { recursive: true });
        await symlink(fakeLog().home, join(fakeLog().project, 'node_modules/helper'));
      },
      /helper: a link that leads out of the project/,
    ],
    [
      'a link that leads nowhere',
      async () => await symlink('none', join(fakeLog().project, 'node_modules/x')),
      /leads nowhere/,
    ],
    [
      'a link to a folder of the project that is no package of the lockfile',
      async () => {
        await rm(join(fakeLog().project, 'node_modules/helper'), { recursive: true });
        await write({ 'dist/h/index.js': 'evil()' });
        await symlink('../dist/h', join(fakeLog().project, 'node_modules/helper'));
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
        await mkdir(join(fakeLog().project, 'node_modules/.bin'));
        await symlink('../../dist/evil.sh', join(fakeLog().project, 'node_modules/.bin/tsc'));
      },
      /\.bin\/tsc: a program that no verified package declares/,
    ],
    [
      'a program that nobody declares',
      async () => {
        await mkdir(join(fakeLog().project, 'node_modules/.bin'));
        await symlink('../helper/index.js', join(fakeLog().project, 'node_modules/.bin/npm'));
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
      'elsewhere/other/package.json': { name: 'other', version: '1.0.0' },
    });
    const modules = join(fakeLog().project, 'node_modules');
    await mkdir(join(modules, '.bin'));
    await symlink('../packages/own', join(modules, 'own'));
    await symlink('../own/cli.js', join(modules, '.bin/own'));
    const report = await verify('--installed');
    assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));

    await rm(join(modules, 'own'));
    await symlink('../elsewhere/other', join(modules, 'own'));
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
    await fakeLog().configure({
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
      const place = join(fakeLog().project, 'node_modules/unlogged', path);
      await mkdir(dirname(place), { recursive: true });
      await writeFile(place, listing.archive.subarray(offset, offset + size));
    }
    const without = await verify('--installed');
    assert.equal(without.exit.code, EXIT.verified, JSON.stringify(without, null, 1));
    assert.match(JSON.stringify(without.subjects), /its tarball is not in the cache/);
    const cache = new ArtifactStore(join(fakeLog().home, '.cache/bftpkg/artifacts'));
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
    await rm(join(fakeLog().project, 'node_modules/tester'), { recursive: true });
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
    await rm(join(fakeLog().project, 'package-lock.json'));
    await rm(join(fakeLog().project, 'node_modules'), { recursive: true });
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
    await rm(join(fakeLog().project, 'package-lock.json'));
    await rm(join(fakeLog().project, 'node_modules'), { recursive: true });
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
    await rm(join(fakeLog().project, 'package-lock.json'));
    await rm(join(fakeLog().project, 'node_modules'), { recursive: true });
    await write({ 'package.json': root, 'pnpm-lock.yaml': lock });
    const store = 'node_modules/.pnpm/helper@1.0.0/node_modules/helper';
    await install({ [store]: 'helper@1.0.0' });
    await symlink(
      '.pnpm/helper@1.0.0/node_modules/helper',
      join(fakeLog().project, 'node_modules/helper'),
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
    await rm(join(fakeLog().project, 'node_modules'), { recursive: true });
    assert.equal((await verify('--installed')).exit.code, EXIT.usage);
  });
});
