// The same tree gives the same bytes: packed again and again under everything that differs between two
// machines, by the real npm and the real git.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { SILENT } from '../../../fixtures/terminal.ts';
import { makeTarball } from '../../../fixtures/tarballs/generator.ts';
import { checkTarball } from '../../../verifier/archive/tarball.ts';
import { gunzip } from '../../../verifier/node/gunzip.ts';
import type { Invocation } from '../../context.ts';
import { CliError } from '../../errors.ts';
import { prepareArtifact, withWorkspace, type Artifact } from '../artifact.ts';
import { parseListing, withoutCrlf } from './git.ts';
import { repack } from './repack.ts';
import { writeArchive } from './tar.ts';

const LONG = `deep/${'folder-with-a-name/'.repeat(7)}${'x'.repeat(90)}.js`;
// In an order that no directory has and no locale sorts to.
const FILES: readonly (readonly [path: string, content: string, executable?: true])[] = [
  ['zebra.js', 'one\ntwo\n'],
  ['bin/tool.js', '#!/usr/bin/env node\n'],
  ['script.sh', '#!/bin/sh\n', true],
  ['ä.txt', 'umlaut\n'],
  ['Z.txt', 'capital\n'],
  ['a.txt', 'small\n'],
  ['run.bat', 'echo\r\n'],
  [LONG, 'long\n'],
  ['.gitattributes', '*.bat text eol=crlf\n* text=auto\n'],
  [
    'package.json',
    `${JSON.stringify({ name: 'same', version: '1.0.0', bin: { tool: 'bin/tool.js' } }, null, 2)}\n`,
  ],
];

const invocation = (env: NodeJS.ProcessEnv, home: string): Invocation => ({
  context: {
    cwd: home,
    env: { PATH: process.env['PATH'], HOME: home, ...env },
    nowMs: () => 0,
    signal: new AbortController().signal,
    terminal: SILENT,
  },
  globals: {} as Invocation['globals'],
  progress: () => undefined,
  notice: () => undefined,
});

describe('packing the same tree', () => {
  let home = '';
  let origin = '';
  let expected = '';
  before(async () => {
    home = mkdtempSync(join(tmpdir(), 'bftpkg-repack-'));
    origin = join(home, 'origin');
    writeTree(origin, FILES);
    git(origin, 'init', '-q');
    git(origin, 'add', '-A');
    git(origin, 'commit', '-q', '-m', 'tree');
    expected = digestOf(await pack(origin));
  });
  after(() => rmSync(home, { recursive: true, force: true }));

  function git(cwd: string, ...args: readonly string[]): void {
    const who = [
      '-c',
      'user.name=a',
      '-c',
      'user.email=a@example.org',
      '-c',
      'commit.gpgsign=false',
    ];
    const env = { PATH: process.env['PATH'], HOME: home };
    execFileSync('git', [...who, ...args], { cwd, env, stdio: 'pipe' });
  }

  function clone(name: string, ...settings: readonly string[]): string {
    const path = join(home, name);
    git(home, 'clone', '-q', ...settings.flatMap((each) => ['-c', each]), origin, path);
    return path;
  }

  function pack(folder: string, env: NodeJS.ProcessEnv = {}): Promise<Artifact> {
    return withWorkspace((workspace) => prepareArtifact(folder, workspace, invocation(env, home)));
  }

  it('gives these bytes, today and after every upgrade of a library', () => {
    // A change here means that maintainers with different versions of this program can't agree.
    assert.equal(expected, GOLDEN);
  });

  const machines: readonly (readonly [why: string, make: () => string, env?: NodeJS.ProcessEnv])[] =
    [
      ['a clone', () => clone('plain')],
      [
        'a strict umask',
        () => {
          const before = process.umask(0o077);
          try {
            return clone('strict');
          } finally {
            process.umask(before);
          }
        },
      ],
      ['line ends of Windows', () => clone('crlf', 'core.autocrlf=true')],
      [
        'a file system where everything is executable',
        () => {
          const path = clone('all-executable', 'core.fileMode=false');
          for (const [file] of FILES) chmodSync(join(path, file), 0o777);
          return path;
        },
      ],
      [
        'a file system where nothing is executable',
        () => {
          const path = clone('none-executable', 'core.fileMode=false');
          for (const [file] of FILES) chmodSync(join(path, file), 0o600);
          return path;
        },
      ],
      [
        'another clock',
        () => {
          const path = clone('later');
          for (const [file] of FILES) utimesSync(join(path, file), 1, 2_000_000_000);
          return path;
        },
      ],
      [
        'files made in another order',
        () => {
          const path = clone('order');
          for (const [file] of FILES.toReversed()) {
            renameSync(join(path, file), join(path, `${file}.moved`));
            renameSync(join(path, `${file}.moved`), join(path, file));
          }
          return path;
        },
      ],
      [
        'another time zone, locale and epoch',
        () => clone('elsewhere'),
        { TZ: 'Pacific/Kiritimati', LC_ALL: 'tr_TR.UTF-8', LANG: 'de_DE', SOURCE_DATE_EPOCH: '5' },
      ],
      [
        'a script for Windows that was edited on another system',
        () => {
          const path = clone('edited-elsewhere');
          writeFileSync(join(path, 'run.bat'), 'echo\n');
          return path;
        },
      ],
      [
        'settings of npm in the environment',
        () => clone('settings'),
        { npm_config_umask: '077', npm_config_ignore_scripts: 'false' },
      ],
      [
        'drafts and tarballs of earlier releases in the folder',
        () => {
          const path = clone('papers');
          const draft =
            '{"artifacts":[],"format":"bftpkg-draft/v1","payload":"","signatures":[]}\n';
          writeFileSync(join(path, 'release.json'), draft);
          writeFileSync(join(path, 'set.json'), draft);
          writeFileSync(
            join(path, 'same-0.9.0.tgz'),
            makeTarball({ name: 'same', version: '0.9.0' }),
          );
          return path;
        },
      ],
    ];
  for (const [why, make, env] of machines) {
    it(`gives the same bytes with ${why}`, async () => {
      const artifact = await pack(make(), env);
      assert.deepEqual(artifact.notes?.changed, []);
      assert.deepEqual(artifact.notes?.untracked, []);
      assert.equal(digestOf(artifact), expected);
    });
  }

  it('gives other bytes for another tree, and says what git does not have', async () => {
    const path = clone('edited');
    writeFileSync(join(path, 'zebra.js'), 'one\nthree\n');
    writeFileSync(join(path, 'built.js'), 'made\n');
    const artifact = await pack(path);
    assert.notEqual(digestOf(artifact), expected);
    assert.deepEqual(artifact.notes?.changed, ['zebra.js']);
    assert.deepEqual(artifact.notes?.untracked, ['built.js']);
  });

  it('keeps CRLF that is committed or asked for', async () => {
    const path = clone('meant');
    writeFileSync(join(path, '.gitattributes'), '* -text\n');
    writeFileSync(join(path, 'zebra.js'), 'one\r\n');
    git(path, 'add', '-A');
    const { checked } = await pack(path);
    for (const [name, content] of [
      ['zebra.js', 'one\r\n'],
      ['run.bat', 'echo\r\n'],
    ] as const) {
      const file = checked.files.find((each) => each.path === name);
      assert.ok(file !== undefined, name);
      const found = checked.archive.subarray(file.offset, file.offset + file.size);
      assert.equal(Buffer.from(found).toString(), content);
    }
  });

  it('works without git, and says so', async () => {
    const path = join(home, 'exported');
    writeTree(path, FILES);
    const artifact = await pack(path);
    assert.equal(artifact.notes?.hasGit, false);
    assert.equal(digestOf(artifact), expected);
  });

  it('marks as executable what git or package.json says, and nothing else', async () => {
    const { checked } = await pack(clone('modes'));
    const found = checked.files.filter(({ executable }) => executable).map(({ path }) => path);
    assert.deepEqual(found, ['bin/tool.js', 'script.sh']);
  });

  it('leaves nothing behind in the folder', async () => {
    const path = clone('tidy');
    const before = readdirSync(path).toSorted();
    await pack(path);
    assert.deepEqual(readdirSync(path).toSorted(), before);
  });
});

describe('repack', () => {
  const secret = (format: string): Uint8Array =>
    makeTarball({
      name: 'leak',
      version: '1.0.0',
      files: { 'keys/alice.key.json': `{"format":"${format}","seed":"00"}` },
    });
  for (const format of ['bftpkg-key/v1', 'bftpkg-key/v2', 'bftpkg-share/v1']) {
    it(`never packs a ${format}`, async () => {
      await assert.rejects(
        repack(secret(format), undefined),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP8001',
      );
    });
  }

  it('changes nothing when it packs its own tarball', async () => {
    const first = await repack(makeTarball({ name: 'again', version: '1.0.0' }), undefined);
    const second = await repack(first.tarball, undefined);
    assert.deepEqual(second.tarball, first.tarball);
  });
});

describe('writeArchive', () => {
  it('writes paths of every length so that our own strict reader reads them back', async () => {
    const paths = Array.from({ length: 300 }, (_, i) => {
      const name = `${i}-${'p'.repeat(i)}`;
      return i % 3 === 0 ? name.slice(0, 250) : name.replaceAll(/(.{40})/g, '$1/') + 'x';
    }).filter((path) => path.split('/').every((segment) => segment.length <= 255));
    const files = [...paths, 'package.json'].map((path) => ({
      path,
      executable: path.length % 2 === 0,
      content: new TextEncoder().encode(
        path === 'package.json' ? '{"name":"long","version":"1.0.0"}' : path,
      ),
    }));
    const { gzip } = await import('pako');
    const listing = await checkTarball(gzip(writeArchive(files)), gunzip);
    const byPath = new Map(files.map((file) => [file.path, file]));
    assert.equal(listing.files.length, files.length);
    for (const { path, executable, offset, size } of listing.files) {
      const file = byPath.get(path);
      assert.equal(executable, file?.executable, path);
      assert.deepEqual(listing.archive.slice(offset, offset + size), file?.content, path);
    }
  });
});

describe('parseListing', () => {
  const hash = 'ab'.repeat(20);
  const rows: readonly (readonly [why: string, record: string, expected: string])[] = [
    ['a plain file', `100644 ${hash} 0\ti/lf    w/lf    attr/                 \ta.js`, 'a.js - -'],
    ['an executable', `100755 ${hash} 0\ti/lf    w/lf    attr/text=auto       \tx`, 'x x -'],
    ['CRLF of a checkout', `100644 ${hash} 0\ti/lf    w/crlf  attr/text=auto\ta`, 'a - -'],
    ['CRLF that is meant', `100644 ${hash} 0\ti/lf    w/crlf  attr/text eol=crlf\ta`, 'a - crlf'],
    [
      'CRLF that is meant of what is no text',
      `100644 ${hash} 0\ti/-text w/-text attr/eol=crlf\ta`,
      'a - -',
    ],
    ['an unresolved conflict', `100644 ${hash} 2\ti/lf    w/lf    attr/\ta`, ''],
    [
      'a tab and a line end in a name',
      `100644 ${hash} 0\ti/-text w/-text attr/\ta\tb\nc`,
      'a\tb\nc - -',
    ],
    ['an unknown line', 'what is this', ''],
  ];
  for (const [why, record, expected] of rows) {
    it(why, () => {
      const found = [...parseListing(`${record}\0`)].map(
        ([path, { executable, wantsCrlf }]) =>
          `${path} ${executable ? 'x' : '-'} ${wantsCrlf ? 'crlf' : '-'}`,
      );
      assert.equal(found.join(), expected);
    });
  }
});

describe('withoutCrlf', () => {
  for (const [before, after] of [
    ['', ''],
    ['a\r\nb\r\n', 'a\nb\n'],
    ['\r\r\n\r', '\r\n\r'],
    ['a\n', 'a\n'],
  ] as const) {
    it(JSON.stringify(before), () => {
      assert.equal(Buffer.from(withoutCrlf(Buffer.from(before))).toString(), after);
    });
  }
});

function writeTree(
  folder: string,
  files: readonly (readonly [path: string, content: string, executable?: true])[],
): void {
  for (const [path, content, executable] of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content, { mode: executable === true ? 0o755 : 0o644 });
  }
}

function digestOf({ bytes }: Artifact): string {
  return createHash('sha256').update(bytes).digest('hex');
}

// SHA-256 of the tarball of FILES.
const GOLDEN = '9cc5a1bb0b92c2ae8991cc3fb984bfd77702092927456053d0c04cb2a4d6ad36';
