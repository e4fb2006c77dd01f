// A package folder against its tarball, where the command's own tests can't reach.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, before, beforeEach, describe, it } from 'node:test';

import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { checkTarball, type ArchiveListing } from '../../verifier/archive/tarball.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { comparePackage } from './compare.ts';
import { isInside, scanInstalled } from './tree.ts';

let folder: string;
let tarball: ArchiveListing;

const FILES = {
  'package.json': '{"name":"a","version":"1.0.0"}',
  'lib/.gitignore': 'x\n',
  'run.js': '#!/bin/sh\r\nrun\r\n',
};

before(async () => {
  const spec = { name: 'a', version: '1.0.0', packageJson: { bin: 'run.js' } };
  const { 'package.json': _made, ...files } = FILES;
  tarball = await checkTarball(
    makeTarball({ ...spec, files: { ...files, 'index.js': '' } }),
    gunzip,
  );
});

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-compare-'));
  for (const { path, offset, size } of tarball.files) {
    await write(path, tarball.archive.subarray(offset, offset + size));
  }
});
afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

async function write(path: string, content: string | Uint8Array): Promise<void> {
  await mkdir(dirname(join(folder, path)), { recursive: true });
  await writeFile(join(folder, path), content);
}

async function differences(): Promise<readonly string[]> {
  const compared = await comparePackage(folder, tarball);
  return compared.differences.map(({ kind, path }) => `${kind} ${path}`);
}

describe('comparePackage', () => {
  const rows: readonly (readonly [string, () => Promise<void>, readonly string[]])[] = [
    ['nothing', async () => {}, []],
    [
      'a program’s first line made one of Unix',
      async () => await write('run.js', '#!/bin/sh\nrun\r\n'),
      [],
    ],
    [
      'more of a program than that',
      async () => await write('run.js', '#!/bin/sh\nrun\n'),
      ['changed run.js'],
    ],
    [
      '.gitignore as .npmignore',
      async () => {
        await rm(join(folder, 'lib/.gitignore'));
        await write('lib/.npmignore', 'x\n');
      },
      [],
    ],
    [
      '.gitignore as another .npmignore',
      async () => {
        await rm(join(folder, 'lib/.gitignore'));
        await write('lib/.npmignore', 'y\n');
      },
      ['changed lib/.npmignore'],
    ],
    ['a file in an empty one', async () => await write('index.js', 'x'), ['changed index.js']],
    [
      'a package below, which is compared by itself',
      async () => await write('node_modules/b/x.js', ''),
      [],
    ],
    [
      'a package where no package manager puts one',
      async () => await write('lib/node_modules/b/index.js', 'x'),
      ['extra lib/node_modules/b/index.js'],
    ],
    [
      'none of the packages below it, which are compared by themselves',
      async () => await write('node_modules/@s/b/node_modules/c/index.js', 'x'),
      [],
    ],
    ['a hidden file', async () => await write('.x', ''), ['extra .x']],
    [
      'a folder in place of a file',
      async () => {
        await rm(join(folder, 'index.js'));
        await mkdir(join(folder, 'index.js'));
      },
      ['missing index.js'],
    ],
  ];
  for (const [why, change, expected] of rows) {
    it(`sees ${why}`, async () => {
      await change();
      assert.deepEqual(await differences(), expected);
    });
  }

  it('sees a link to the same bytes whose name is as long as they are', async () => {
    const target = join(tmpdir(), 'bftpkg-same-bytes.txt');
    const content = 'x'.repeat(target.length);
    const files = { 'index.js': content };
    const long = await checkTarball(makeTarball({ name: 'a', version: '1.0.0', files }), gunzip);
    const root = await mkdtemp(join(tmpdir(), 'bftpkg-compare-'));
    await writeFile(target, content);
    for (const { path, offset, size } of long.files) {
      await writeFile(join(root, path), long.archive.subarray(offset, offset + size));
    }
    assert.deepEqual((await comparePackage(root, long)).differences, []);
    await rm(join(root, 'index.js'));
    await symlink(target, join(root, 'index.js'));
    assert.deepEqual((await comparePackage(root, long)).differences, [
      { kind: 'changed', path: 'index.js' },
    ]);
    await rm(target);
    await rm(root, { recursive: true });
  });
});

describe('scanInstalled', () => {
  it('lists packages, links, programs and strays in every layout', async () => {
    for (const path of [
      'a',
      '@s/b',
      'a/node_modules/c',
      '.pnpm/d@1/node_modules/d',
      '.bun/e@1/node_modules/e',
    ]) {
      await write(`node_modules/${path}/package.json`, '{}');
    }
    await write('node_modules/.bin/shim', '');
    await write('node_modules/.hidden/x', '');
    await write('node_modules/stray.js', '');
    await write('node_modules/.modules.yaml', '');
    await symlink('.pnpm/d@1/node_modules/d', join(folder, 'node_modules/d'));
    await symlink('circle', join(folder, 'node_modules/circle'));
    const found = await scanInstalled(folder, ['']);
    assert.deepEqual(
      found.map((thing) => `${thing.kind} ${thing.path.slice('node_modules/'.length)}`).toSorted(),
      [
        'link circle',
        'link d',
        'package .bun/e@1/node_modules/e',
        'package .pnpm/d@1/node_modules/d',
        'package @s/b',
        'package a',
        'package a/node_modules/c',
        'program .bin/shim',
        'stray .hidden',
        'stray .modules.yaml',
        'stray stray.js',
      ],
    );
    const target = found.find((thing) => thing.kind === 'link' && thing.folder === 'd');
    assert.equal(target?.kind === 'link' && target.target, 'node_modules/.pnpm/d@1/node_modules/d');
  });

  it('does not follow a node_modules that is a link', async () => {
    await symlink(tmpdir(), join(folder, 'node_modules'));
    const found = await scanInstalled(folder, ['']);
    assert.deepEqual(found, [{ kind: 'stray', path: 'node_modules', isKnown: false }]);
  });

  const inside: readonly (readonly [string, boolean])[] = [
    ['a', true],
    ['..a', true],
    ['..', false],
    ['../a', false],
    ['/a', false],
    ['C:/a', false],
  ];
  for (const [target, expected] of inside) {
    it(`${target} is ${expected ? 'inside' : 'outside'}`, () => {
      assert.equal(isInside(target), expected);
    });
  }
});
