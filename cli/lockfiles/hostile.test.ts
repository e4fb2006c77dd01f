// Lockfiles made to hurt whoever reads them. Each ends soon, with the one error for unreadable files or
// with entries that are all refused; nothing hangs, overflows or takes a prototype's names for its own.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { threadTimeMs } from '../../fixtures/thread-time.ts';
import { CliError } from '../errors.ts';
import { walkEdges } from './edges.ts';
import { findLockfile, loadLockfile } from './load.ts';
import { LOCKFILE_BYTES_MAX, type Lockfile } from './lockfile.ts';
import { readProjectWishes } from './project.ts';
import { globMatcher } from './glob.ts';

// Computed, not by the clock; what is quadratic takes minutes at these sizes.
const TIME_MAX_MS = 10_000;
const MEMORY_MAX_BYTES = 700 * 1024 * 1024;

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-hostile-'));
});
after(async () => {
  await rm(folder, { recursive: true, force: true });
});

const NPM = 'package-lock.json';
const PNPM = 'pnpm-lock.yaml';
const YARN = 'yarn.lock';
const BUN = 'bun.lock';
const LONG = 'a'.repeat(10_000_000);
const DIGEST = `sha512-${'A'.repeat(86)}==`;

function npm(packages: string): string {
  return `{"lockfileVersion":3,"packages":{${packages}}}`;
}

function pnpm(rest: string): string {
  return `lockfileVersion: '9.0'\n${rest}`;
}

function many(count: number, line: (i: number) => string, between: string = ''): string {
  return Array.from({ length: count }, (_, i) => line(i)).join(between);
}

type Hostile = readonly [why: string, file: string, text: () => string | Uint8Array];

const UNREADABLE: readonly Hostile[] = [
  ['nothing', NPM, () => ''],
  ['half of it', NPM, () => npm(`"node_modules/a":{"version":"1.0.0"}`).slice(0, 40)],
  ['no end of brackets', NPM, () => '['.repeat(5_000_000)],
  ['no end of objects', NPM, () => '{"a":'.repeat(1_000_000)],
  ['a deep entry', NPM, () => npm(`"node_modules/a":${'['.repeat(100)}${']'.repeat(100)}`)],
  ['a key twice', NPM, () => npm('"node_modules/a":{},"node_modules/a":{}')],
  ['a key twice by escape', NPM, () => npm('"node_modules/a":{},"node_modules/\\u0061":{}')],
  ['__proto__', NPM, () => npm('"__proto__":{"version":"1.0.0"}')],
  ['__proto__ in an entry', NPM, () => npm('"node_modules/a":{"__proto__":{"link":true}}')],
  ['a key of 10 MB', NPM, () => npm(`"node_modules/${LONG}":{}`)],
  ['a name of 10 MB', NPM, () => npm(`"node_modules/a":{"name":"${LONG}"}`)],
  ['a version of 10 MB', NPM, () => npm(`"node_modules/a":{"version":"${LONG}"}`)],
  [
    'too many values',
    NPM,
    () => npm(`"a":[${many(30, () => `[${many(50_000, () => '0', ',')}]`, ',')}]`),
  ],
  ['too many packages', NPM, () => npm(many(250_000, (i) => `"node_modules/a${i}":{}`, ','))],
  ['infinity', NPM, () => npm('"node_modules/a":{"version":1e999}')],
  ['UTF-16', NPM, () => Buffer.from(npm(''), 'utf16le')],
  ['a lone surrogate', NPM, () => npm('"node_modules/\\ud800":{}')],
  ['a compressed file', NPM, () => Buffer.from('1f8b0800000000000003', 'hex')],
  ['version 1', NPM, () => '{"lockfileVersion":1,"dependencies":{}}'],
  ['a bomb of aliases', PNPM, () => pnpm(`a: &a [x]\nb: &b [*a, *a]\n`)],
  ['no end of lists inline', PNPM, () => pnpm(`a: ${'['.repeat(1_000_000)}\n`)],
  ['no end of tables inline', PNPM, () => pnpm(`a: ${'{a: '.repeat(1_000_000)}\n`)],
  ['a staircase', PNPM, () => pnpm(many(3000, (i) => `${' '.repeat(i)}a:\n`))],
  ['no end of keys on a line', PNPM, () => pnpm('a: '.repeat(1_000_000))],
  ['no end of list marks', PNPM, () => pnpm(`a:\n  ${'- '.repeat(1_000_000)}\n`)],
  ['no end of long keys', PNPM, () => pnpm('? '.repeat(1_000_000))],
  ['a quote without an end', PNPM, () => pnpm(`a: "${LONG}`)],
  ['a key of 10 MB in YAML', PNPM, () => pnpm(`packages:\n  ${LONG}:\n    resolution: {}\n`)],
  ['a key twice in YAML', PNPM, () => pnpm('packages:\n  a@1.0.0: {}\n  a@1.0.0: {}\n')],
  ['__proto__ in YAML', PNPM, () => pnpm('packages:\n  __proto__: {}\n')],
  ['too many texts', PNPM, () => pnpm(`a: [${many(1_100_000, () => 'a', ', ')}]\n`)],
  ['two million documents', PNPM, () => pnpm('---\n'.repeat(2_000_000))],
  ['a pattern of 10 MB', YARN, () => `# yarn lockfile v1\n\n"${LONG}@1":\n  version "1.0.0"\n`],
  ['a value of 10 MB', YARN, () => `# yarn lockfile v1\n\na@1:\n  version "${LONG}"\n`],
  ['too many entries', YARN, () => `# yarn lockfile v1\n${many(250_000, (i) => `a@${i}:\n`)}`],
  ['an entry twice', YARN, () => '# yarn lockfile v1\na@1:\n  version "1"\na@1:\n  version "2"\n'],
  ['neither format of Yarn', YARN, () => 'hello\n'],
  ['no end of commas', BUN, () => `{"lockfileVersion":1${','.repeat(10_000_000)}}`],
  ['no end of brackets for bun', BUN, () => '['.repeat(5_000_000)],
  ['no end of a text', BUN, () => `{"${LONG}`],
  [
    'an identity of 10 MB',
    BUN,
    () => `{"lockfileVersion":1,"workspaces":{},"packages":{"a":["${LONG}@1"]}}`,
  ],
  [
    '__proto__ for bun',
    BUN,
    () => '{"lockfileVersion":1,"workspaces":{},"packages":{"__proto__":[]}}',
  ],
];

// Read in full, and found wanting entry by entry: none of these has anything that could be verified.
const REFUSED: readonly Hostile[] = [
  [
    'names of prototypes',
    NPM,
    () => npm('"constructor":{},"toString":{},"node_modules/valueOf":{}'),
  ],
  [
    'links in a circle',
    NPM,
    () =>
      npm(
        '"node_modules/a":{"link":true,"resolved":"node_modules/b"},"node_modules/b":{"link":true,"resolved":"node_modules/a"}',
      ),
  ],
  ['a link to itself', NPM, () => npm('"a":{"link":true,"resolved":"a/../a"}')],
  [
    'packages bundled in each other',
    NPM,
    () =>
      npm('"node_modules/a":{"inBundle":true},"node_modules/a/node_modules/b":{"inBundle":true}'),
  ],
  [
    'no end of folders',
    NPM,
    () => npm(many(50_000, (i) => `"packages/p${i}":{"version":"1.0.0"}`, ',')),
  ],
  [
    'an integrity of 10 MB',
    NPM,
    () => npm(`"node_modules/a":{"version":"1.0.0","integrity":"sha512-${LONG}"}`),
  ],
  [
    'an integrity of 5 million parts',
    NPM,
    () => npm(`"node_modules/a":{"version":"1.0.0","integrity":"${'a '.repeat(5_000_000)}"}`),
  ],
  [
    'an address of 10 MB',
    NPM,
    () => npm(`"node_modules/a":{"version":"1.0.0","resolved":"https://x.example/${LONG}"}`),
  ],
  [
    'entries that are no objects',
    NPM,
    () => npm('"node_modules/a":[],"node_modules/b":null,"node_modules/c":"x"'),
  ],
  [
    'names of prototypes in YAML',
    PNPM,
    () => pnpm('packages:\n  constructor: {}\n  toString:\n    resolution: {}\n'),
  ],
  [
    'names of prototypes for bun',
    BUN,
    () =>
      '{"lockfileVersion":1,"workspaces":{},"packages":{"constructor":[],"toString":["valueOf"]}}',
  ],
];

// Graphs that never end for whoever follows them without remembering.
const CYCLIC: readonly Hostile[] = [
  [
    'packages that need each other',
    NPM,
    () =>
      npm(
        `"":{"dependencies":{"a":"*"}},"node_modules/a":{"version":"1.0.0","integrity":"${DIGEST}","dependencies":{"b":"*"}},` +
          `"node_modules/b":{"version":"1.0.0","integrity":"${DIGEST}","dependencies":{"a":"*","b":"*"}}`,
      ),
  ],
  [
    'the same in pnpm',
    PNPM,
    () =>
      pnpm(
        `importers:\n  .:\n    dependencies:\n      a:\n        specifier: '*'\n        version: 1.0.0\n` +
          `packages:\n  a@1.0.0:\n    resolution: {integrity: ${DIGEST}}\n  b@1.0.0:\n    resolution: {integrity: ${DIGEST}}\n` +
          `snapshots:\n  a@1.0.0:\n    dependencies:\n      b: 1.0.0\n  b@1.0.0:\n    dependencies:\n      a: 1.0.0\n`,
      ),
  ],
  [
    'a ladder of three thousand, each needing all below',
    BUN,
    () =>
      `{"lockfileVersion":1,"workspaces":{"":{"dependencies":{"p0":"*"}}},"packages":{${many(
        3000,
        (i) =>
          `"p${i}":["p${i}@1.0.0","",{"dependencies":{"p${i + 1}":"*","p${i + 2}":"*"}},"${DIGEST}"]`,
        ',',
      )}}}`,
  ],
];

async function load(file: string, text: string | Uint8Array): Promise<Lockfile> {
  const project = await mkdtemp(join(folder, 'x-'));
  await writeFile(join(project, file), text);
  return await loadLockfile(project);
}

async function within(work: () => Promise<void>): Promise<void> {
  const started = threadTimeMs();
  const before = process.memoryUsage().rss;
  await work();
  assert.ok(threadTimeMs() - started < TIME_MAX_MS, 'took too long');
  assert.ok(process.memoryUsage().rss - before < MEMORY_MAX_BYTES, 'took too much memory');
}

function isUnreadable(error: unknown): boolean {
  assert.ok(error instanceof CliError, String(error));
  assert.equal(error.diagnostic.code, 'BP9005');
  assert.ok(error.message.length < 1000, 'the message does not repeat the file');
  return true;
}

describe('hostile lockfiles', () => {
  for (const [why, file, text] of UNREADABLE) {
    it(`does not read ${why} (${file})`, async () => {
      const source = text();
      await within(async () => {
        await assert.rejects(load(file, source), isUnreadable);
      });
    });
  }

  for (const [why, file, text] of REFUSED) {
    it(`refuses all of ${why} (${file})`, async () => {
      const source = text();
      await within(async () => {
        const { entries } = await load(file, source);
        assert.ok(entries.length > 0, 'there are entries');
        for (const entry of entries) {
          assert.equal(entry.kind, 'refused', entry.key);
          if (entry.kind === 'refused')
            assert.ok(entry.reason.length < 1000, entry.key.slice(0, 80));
        }
      });
    });
  }

  for (const [why, file, text] of CYCLIC) {
    it(`walks ${why} once (${file})`, async () => {
      await within(async () => {
        const lockfile = await load(file, text());
        const wishes = await readProjectWishes(lockfile);
        const { reached, problems } = walkEdges(lockfile, wishes, () => undefined);
        assert.equal(reached.size, lockfile.entries.length);
        assert.equal(problems.size, 0);
      });
    });
  }

  it('does not read what is too large, without reading it', async () => {
    const project = await mkdtemp(join(folder, 'x-'));
    await writeFile(join(project, NPM), '');
    await truncate(join(project, NPM), LOCKFILE_BYTES_MAX + 1);
    await within(async () => {
      await assert.rejects(loadLockfile(project), isUnreadable);
    });
  });

  it('does not wait for pipes, or read devices and folders', async () => {
    const project = await mkdtemp(join(folder, 'x-'));
    execFileSync('mkfifo', [join(project, NPM)]);
    await symlink('/dev/zero', join(project, 'zero'));
    await mkdir(join(project, 'folder'));
    await assert.rejects(loadLockfile(project), isUnreadable);
    await assert.rejects(loadLockfile(project, join(project, 'zero')), isUnreadable);
    await assert.rejects(loadLockfile(project, join(project, 'folder')), isUnreadable);
  });

  it('matches patterns in bounded time', () => {
    assert.equal(globMatcher(`${'*a'.repeat(200)}b`)('a'.repeat(4000)), false);
  });
});

describe('findLockfile', () => {
  async function project(...files: readonly string[]): Promise<string> {
    const root = await mkdtemp(join(folder, 'p-'));
    await mkdir(join(root, '.git'));
    await mkdir(join(root, 'packages/a'), { recursive: true });
    for (const file of files) await writeFile(join(root, file), '{}');
    return root;
  }

  const rows: readonly (readonly [string, readonly string[], string])[] = [
    ['the one in the folder', ['packages/a/yarn.lock', PNPM], 'packages/a/yarn.lock'],
    ['the nearest above', [PNPM], PNPM],
    [
      'the shrinkwrap before the lockfile, as npm',
      [NPM, 'npm-shrinkwrap.json'],
      'npm-shrinkwrap.json',
    ],
    ['that of bun', [BUN], BUN],
  ];
  for (const [why, files, expected] of rows) {
    it(`finds ${why}`, async () => {
      const root = await project(...files);
      assert.equal(await findLockfile(join(root, 'packages/a')), join(root, expected));
    });
  }

  const refused: readonly (readonly [string, readonly string[], string])[] = [
    ['none', [], 'BP9004'],
    ['two of different package managers', [NPM, YARN], 'BP9005'],
    ['three', [NPM, 'npm-shrinkwrap.json', PNPM], 'BP9005'],
    ['the binary one of bun', ['bun.lockb'], 'BP9005'],
    // A bun before 1.2 reads that one, of which nothing would have been said.
    ['both of bun', [BUN, 'bun.lockb'], 'BP9005'],
    ['that of npm beside the binary one of bun', [NPM, 'bun.lockb'], 'BP9005'],
  ];
  for (const [why, files, code] of refused) {
    it(`refuses ${why}`, async () => {
      const root = await project(...files);
      await assert.rejects(findLockfile(root), (error) => {
        return error instanceof CliError && error.diagnostic.code === code;
      });
    });
  }

  it('says what to do with the binary one of bun, under any name', async () => {
    const root = await project();
    for (const [name, text] of [
      ['bun.lockb', '# yarn lockfile v1\n'],
      [YARN, '#!/usr/bin/env bun\nbun-lockfile-format-v0\n\u0000'],
    ] as const) {
      await writeFile(join(root, name), text);
      await assert.rejects(loadLockfile(root, join(root, name)), (error) => {
        assert.ok(error instanceof CliError, String(error));
        assert.match(error.diagnostic.hints?.join() ?? '', /--save-text-lockfile/);
        return error.diagnostic.code === 'BP9005';
      });
    }
  });

  it('does not look above the repository', async () => {
    const root = await project();
    await writeFile(join(folder, NPM), '{}');
    await assert.rejects(findLockfile(root));
    await rm(join(folder, NPM));
  });
});

describe('globMatcher', () => {
  const rows: readonly (readonly [string, string, boolean])[] = [
    ['a', 'a', true],
    ['a', 'ab', false],
    ['*', 'a', true],
    ['*', '@s/a', false],
    ['**', '@s/a', true],
    ['@s/*', '@s/a', true],
    ['@s/*', '@t/a', false],
    ['a*c', 'abbc', true],
    ['a*c', 'abbd', false],
    ['*-*', 'a-b', true],
    ['a.c', 'abc', false],
    ['', '', true],
  ];
  for (const [pattern, name, expected] of rows) {
    it(`${pattern} ${expected ? 'matches' : 'does not match'} ${name}`, () => {
      assert.equal(globMatcher(pattern)(name), expected);
    });
  }
});
