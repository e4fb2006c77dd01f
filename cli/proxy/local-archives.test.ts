import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { CliError } from '../errors.ts';
import { EXIT } from '../output/exit-codes.ts';
import { findLocalArchives } from './local-archives.ts';

type Files = Readonly<Record<string, string>>;

async function found(
  files: Files,
  command: readonly string[] = [],
  inner: string = '.',
): Promise<readonly string[]> {
  const folder = await mkdtemp(join(tmpdir(), 'bftpkg-archives-'));
  try {
    for (const [name, text] of Object.entries(files)) {
      await mkdir(dirname(join(folder, name)), { recursive: true });
      await writeFile(join(folder, name), text);
    }
    return (await findLocalArchives(join(folder, inner), command)).map(
      ({ name, text }) => `${name} ${text}`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const asks = (fields: object): string => JSON.stringify({ name: 'app', ...fields });
const DIGEST = `sha512-${'A'.repeat(86)}==`;

describe('findLocalArchives', () => {
  const rows: readonly (readonly [string, Files, readonly string[], readonly string[]])[] = [
    ['typed', {}, ['bun', 'add', 'file:evil.tgz'], ['file:evil.tgz file:evil.tgz']],
    ['typed with a name', {}, ['yarn', 'add', 'x@file:./a/evil.tgz'], ['x x@file:./a/evil.tgz']],
    [
      'typed, by a program with a path',
      {},
      ['/opt/bin/pnpm', 'add', './e.tar.gz'],
      ['./e.tar.gz ./e.tar.gz'],
    ],
    ['typed for another program', {}, ['tar', 'xf', 'evil.tgz'], []],
    [
      'an address, which has to pass the proxy',
      {},
      ['npm', 'install', 'https://a.example/e.tgz'],
      [],
    ],
    [
      'a dependency',
      { 'package.json': asks({ dependencies: { x: 'file:evil.tgz' } }) },
      [],
      ['x file:evil.tgz'],
    ],
    [
      'without file:',
      { 'package.json': asks({ devDependencies: { x: './e.TGZ' } }) },
      [],
      ['x ./e.TGZ'],
    ],
    [
      'an override',
      { 'package.json': asks({ overrides: { a: { b: 'file:e.tar' } } }) },
      [],
      ['b file:e.tar'],
    ],
    [
      'one of pnpm',
      { 'package.json': asks({ pnpm: { overrides: { a: 'file:e.tgz' } } }) },
      [],
      ['a file:e.tgz'],
    ],
    [
      'a resolution',
      { 'package.json': asks({ resolutions: { '**/a': 'file:e.tgz' } }) },
      [],
      ['**/a file:e.tgz'],
    ],
    [
      'of a workspace',
      {
        'package.json': asks({ workspaces: ['packages/*'] }),
        'packages/a/package.json': asks({ optionalDependencies: { x: 'file:../e.tgz' } }),
      },
      [],
      ['x file:../e.tgz'],
    ],
    [
      'a catalog of pnpm',
      { 'pnpm-workspace.yaml': "catalog:\n  x: 'file:e.tgz'\n" },
      [],
      ['file:e.tgz file:e.tgz'],
    ],
    [
      'bun’s lockfile',
      { 'bun.lock': `{"packages": {"x": ["x@evil.tgz", {}, "${DIGEST}"]}}` },
      [],
      ['x x@evil.tgz'],
    ],
    [
      'pnpm’s',
      { 'pnpm-lock.yaml': '  x@file:evil.tgz:\n    resolution: {tarball: file:evil.tgz}\n' },
      [],
      ['x x@file:evil.tgz', 'file:evil.tgz file:evil.tgz'],
    ],
    [
      'Yarn 1’s',
      { 'yarn.lock': '"x@file:evil.tgz":\n  resolved "file:evil.tgz#abc"\n' },
      [],
      ['x x@file:evil.tgz', 'file:evil.tgz file:evil.tgz'],
    ],
    [
      'Yarn 4’s',
      { 'yarn.lock': '"x@file:./evil.tgz::locator=app%40workspace%3A.":\n' },
      [],
      ['x x@file:./evil.tgz'],
    ],
    [
      'npm’s, by the name that package.json has for it',
      {
        'package.json': asks({ dependencies: { x: 'file:evil.tgz' } }),
        'package-lock.json': '{"node_modules/x": {"resolved": "file:evil.tgz"}}',
      },
      [],
      ['x file:evil.tgz', 'x file:evil.tgz'],
    ],
    [
      'of a member that pnpm-workspace.yaml names',
      {
        'package.json': asks({}),
        'pnpm-workspace.yaml': "packages: ['packages/*']\n",
        'packages/x/package.json': asks({ dependencies: { x: 'file:../../e.tgz' } }),
      },
      [],
      ['x file:../../e.tgz'],
    ],
    [
      'of one without a package.json at the root',
      {
        'pnpm-workspace.yaml': 'packages:\n  - packages/** # all\n',
        'packages/a/b/package.json': asks({ dependencies: { x: 'file:e.tgz' } }),
      },
      [],
      ['x file:e.tgz'],
    ],
    [
      'of a member among alternatives',
      {
        'package.json': asks({ workspaces: ['././packages/{a,b}'] }),
        'packages/b/package.json': asks({ dependencies: { x: 'file:e.tgz' } }),
      },
      [],
      ['x file:e.tgz'],
    ],
    [
      'of a folder that is asked for, and of the next one',
      {
        'package.json': asks({ dependencies: { a: 'file:./a' } }),
        'a/package.json': asks({ dependencies: { x: 'file:../e.tgz', b: 'link:../b' } }),
        'b/package.json': asks({ dependencies: { y: '../e.tar.gz', a: '../a' } }),
      },
      [],
      ['x file:../e.tgz', 'y ../e.tar.gz'],
    ],
    [
      'of a folder that an override of a member means, from the root',
      {
        'package.json': asks({ workspaces: ['m'] }),
        'm/package.json': asks({ resolutions: { a: 'file:./a' } }),
        'a/package.json': asks({ dependencies: { x: 'file:../e.tgz' } }),
      },
      [],
      ['x file:../e.tgz'],
    ],
    [
      'of a folder that is typed',
      { 'a/package.json': asks({ dependencies: { x: 'file:../e.tgz' } }) },
      ['npm', 'install', 'a@file:a'],
      ['x file:../e.tgz'],
    ],
    [
      'with slashes as an address has them',
      { 'package.json': asks({ dependencies: { x: 'file://./e.tgz', y: 'x@https://../e.tgz' } }) },
      [],
      ['x file://./e.tgz', 'y x@https://../e.tgz'],
    ],
    [
      'with something behind it',
      {
        'package.json': asks({
          dependencies: { x: 'file:e.tgz#1', y: './e.tgz ', z: 'e.tgz::a=b' },
        }),
      },
      [],
      ['x file:e.tgz#1', 'y ./e.tgz ', 'z e.tgz::a=b'],
    ],
    [
      'a catalog of bun',
      {
        'package.json': asks({
          workspaces: {
            packages: ['m'],
            catalog: { x: 'file:./e.tgz' },
            catalogs: { a: { y: './e.tgz' } },
          },
          dependencies: { x: 'catalog:' },
        }),
      },
      [],
      ['x file:./e.tgz', 'y ./e.tgz'],
    ],
    [
      'what packages of others are given besides',
      {
        'package.json': asks({
          pnpm: { packageExtensions: { a: { dependencies: { x: 'file:e.tgz' } } } },
        }),
        '.yarnrc.yml': 'packageExtensions:\n  a@*:\n    dependencies:\n      x: file:e.tgz\n',
      },
      [],
      ['x file:e.tgz', 'x file:e.tgz'],
    ],
    [
      'a package.yaml, which pnpm reads',
      { 'package.yaml': 'dependencies: {x: file:e.tgz}\n' },
      [],
      ['file:e.tgz file:e.tgz'],
    ],
    [
      'npm’s lockfile, by what looks like an address and is a path to npm',
      {
        'package-lock.json': '{"resolved": "x@https://../../e.tgz", "b": "file://e.tgz"}',
      },
      [],
      ['x x@https://../../e.tgz', 'file://e.tgz file://e.tgz'],
    ],
    [
      'another one, by a folder that is called like an address',
      {
        'pnpm-lock.yaml': '  x@file:./https://../e.tgz:\n',
        'yarn.lock': 'resolved "file:./ .tgz"\n',
      },
      [],
      ['x x@file:./https://../e.tgz', '.tgz .tgz'],
    ],
    [
      'honest lockfiles',
      {
        'package.json': asks({ dependencies: { tar: '7.5.23', lib: 'file:../lib' } }),
        'package-lock.json':
          '"node_modules/tar": {"resolved": "https://r.example/tar/-/tar-7.5.23.tgz"}',
        'yarn.lock':
          '  resolved "https://r.example/tar/-/tar-7.5.23.tgz#0123"\n  resolution: "tar@npm:7.5.23::__archiveUrl=https%3A%2F%2Fr.example%2Ftar-7.5.23.tgz"\n',
        'pnpm-lock.yaml':
          '  tar@7.5.23:\n    resolution: {integrity: x, tarball: https://r.example/tar-7.5.23.tgz}\n',
      },
      ['npm', 'ci'],
      [],
    ],
  ];
  for (const [why, files, command, expected] of rows) {
    it(why, async () => {
      assert.deepEqual(await found(files, command), expected);
    });
  }
});

describe('findLocalArchives, of what could hide one', () => {
  const bun = (text: string): Files => ({ 'bun.lock': `{"packages": {"x": ["${text}", {}, ""]}}` });
  const rows: readonly (readonly [string, Files])[] = [
    ['an escape of JSON', bun('x@./e\\u002etgz')],
    ['one behind a backslash', bun('x@./\\\\\\u002e/e')],
    ['one of JavaScript', bun('x@./e\\x2Etgz')],
    ['one that nobody needs', bun('x@./e\\.tgz')],
    ['one of YAML', { 'pnpm-lock.yaml': 'a: "e\\U0000002Etgz"\n' }],
    ['a line that goes on', { 'pnpm-workspace.yaml': 'catalog:\n  x: "file:e.t\\\n    gz"\n' }],
    ['workspaces elsewhere', { 'package.json': asks({ workspaces: ['../*'] }) }],
    ['workspaces far below', { 'package.json': asks({ workspaces: ['a/a/a/a/a/a/a/a/a'] }) }],
  ];
  for (const [why, files] of rows) {
    it(`refuses ${why}`, async () => {
      await assert.rejects(found(files), (error) => {
        return error instanceof CliError && error.diagnostic.code === 'BP9005';
      });
    });
  }

  it('is content with the escapes that package managers write', async () => {
    const text = bun('x@1.0.0')['bun.lock'] + '"..\\\\app.tgzx \\"quoted\\" \\n\\t\\u2026\\/"';
    assert.deepEqual(await found({ 'bun.lock': text }), []);
  });

  it('follows a link to a member', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bftpkg-archives-'));
    try {
      await mkdir(join(folder, 'hidden'));
      await mkdir(join(folder, 'packages'));
      await symlink('../hidden', join(folder, 'packages/a'));
      const manifest = asks({ dependencies: { x: 'file:e.tgz' } });
      await writeFile(join(folder, 'hidden/package.json'), manifest);
      await writeFile(join(folder, 'package.json'), asks({ workspaces: ['packages/*'] }));
      assert.equal((await findLocalArchives(folder, []))[0]?.text, 'file:e.tgz');
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it('sees the workspace around the project, and the package around a folder of it', async () => {
    const files = {
      'package.json': asks({ workspaces: ['m'], overrides: { x: 'file:e.tgz' } }),
      'm/package.json': asks({}),
      'm/src/a.js': '',
    };
    for (const inner of ['m', 'm/src']) {
      assert.deepEqual(await found(files, [], inner), ['x file:e.tgz'], inner);
    }
  });
});

describe('proxy', () => {
  it('refuses an archive of the project before it starts anything, unless a policy allows it', async () => {
    const fake = await FakeLog.start();
    try {
      await fake.publish({ name: 'alpha', version: '1.0.0' });
      const manifest = asks({ dependencies: { x: 'file:evil.tgz' } });
      await writeFile(join(fake.project, 'package.json'), manifest);
      // Stands for a manager: it says that it was started.
      const starts = ['proxy', '--', process.execPath, '-e', 'console.log("started")'];
      const refused = await fake.run(starts);
      assert.equal(refused.code, EXIT.policy, refused.stdout + refused.stderr);
      assert.match(refused.stderr, /BP6006[^]*x: "file:evil\.tgz"/);
      assert.doesNotMatch(refused.stderr, /started/);
      const about = { package: 'x', code: 'BP6006', reason: 'built here', expires: '2099-12-31' };
      await fake.configure({ exceptions: [about] });
      const allowed = await fake.run(starts);
      assert.equal(allowed.code, EXIT.verified, allowed.stdout + allowed.stderr);
      assert.match(allowed.stderr, /started/);
    } finally {
      await fake.stop();
    }
  });

  // pnpm and Yarn 1 look for it in the project, whatever package asks.
  it('offers no version that asks for something by a path, and says so', async () => {
    const fake = await FakeLog.start();
    try {
      const asksFor = (range: string): object => ({ packageJson: { dependencies: { x: range } } });
      await fake.publish({ name: 'carrier', version: '1.0.0' });
      for (const [at, range] of ['file:evil.tgz', './evil', 'evil.tar.gz', 'link:../x'].entries()) {
        await fake.publish({ name: 'carrier', version: `1.1.${at}`, ...asksFor(range) });
      }
      await writeFile(join(fake.project, 'package.json'), asks({}));
      const look = `fetch(process.env.npm_config_registry + 'carrier').then(async (answer) => {
        console.log('versions', Object.keys((await answer.json()).versions).join(' '));
      })`;
      const { code, stdout, stderr } = await fake.run([
        'proxy',
        '--',
        process.execPath,
        '-e',
        look,
      ]);
      assert.equal(code, EXIT.verified, stdout + stderr);
      assert.match(stderr, /versions 1\.0\.0\n/);
      assert.match(stdout + stderr, /BP6014[^]*carrier: 4 versions are not offered/);
      assert.match(stdout + stderr, /1\.1\.0 +BP6006[^]*"file:evil\.tgz"/);
    } finally {
      await fake.stop();
    }
  });
});
