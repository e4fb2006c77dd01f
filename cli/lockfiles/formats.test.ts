// Lockfiles as real package managers wrote them (pnpm 8.15 and 10.34, Yarn 1.22 and 4, bun 1.4, from one
// project with a workspace, an alias, an override, a platform's own package), and what each reader refuses.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseBunLock } from './bun-lock.ts';
import { walkEdges } from './edges.ts';
import { parseLockfile } from './parse.ts';
import type { LockEntry, Lockfile } from './lockfile.ts';
import { parsePnpmLock } from './pnpm-lock.ts';
import { readProjectWishes } from './project.ts';
import { entryContent, leftOut, SELECT_ALL } from './select.ts';
import { parseYarnBerry } from './yarn-berry.ts';
import { parseYarnClassic } from './yarn-classic.ts';

const DIGEST = `sha512-${'A'.repeat(86)}==`;

function load(name: string): Lockfile {
  const url = new URL(`../../fixtures/lockfiles/${name}`, import.meta.url);
  return parseLockfile(readFileSync(url), fileURLToPath(url));
}

function isUnreadable(error: unknown): boolean {
  return error instanceof CliError && error.diagnostic.code === 'BP9005';
}

const SAMPLES: readonly (readonly [string, string, Readonly<Record<string, number>>])[] = [
  ['pnpm-6/pnpm-lock.yaml', 'pnpm v6', { registry: 25, local: 1 }],
  ['pnpm-9/pnpm-lock.yaml', 'pnpm v9', { registry: 25, local: 1 }],
  ['yarn-classic/yarn.lock', 'yarn classic', { registry: 25 }],
  ['yarn-berry/yarn.lock', 'yarn berry v10', { unbound: 45, local: 4 }],
  ['bun/bun.lock', 'bun v2', { registry: 25, local: 1 }],
];

describe('lockfiles of real package managers', () => {
  for (const [name, label, kinds] of SAMPLES) {
    it(`classifies every entry of ${name}`, () => {
      const lockfile = load(name);
      assert.equal(lockfile.label, label);
      const found: Record<string, number> = {};
      for (const { kind } of lockfile.entries) found[kind] = (found[kind] ?? 0) + 1;
      assert.deepEqual(found, kinds);
      assert.equal(new Set(lockfile.entries.map(({ key }) => key)).size, lockfile.entries.length);
      const lines = lockfile.entries.filter(({ line }) => line === null || line < 1);
      assert.deepEqual(lines, []);
    });

    it(`finds everything asked for in ${name}, by its real name`, async () => {
      const lockfile = load(name);
      const wishes = await readProjectWishes(lockfile);
      assert.equal(wishes.isIncomplete, false);
      const { problems, reached, overridden } = walkEdges(lockfile, wishes, () => undefined);
      assert.deepEqual([...problems], []);
      const expected = lockfile.entries.filter(({ kind }) => kind !== 'local');
      assert.deepEqual(
        expected.filter(({ key }) => !reached.has(key)),
        [],
      );
      assert.ok(
        lockfile.entries.some((entry) => entry.name === 'left-pad'),
        'not as padder',
      );
      // pnpm writes what it replaced into the lockfile's edges, so only the manifests can tell.
      if (!name.startsWith('pnpm')) assert.equal(overridden.size, 1);
    });

    it(`knows what only development needs in ${name}`, async () => {
      const lockfile = load(name);
      const wishes = await readProjectWishes(lockfile);
      const omitted = await leftOut(lockfile, wishes, { ...SELECT_ALL, omit: new Set(['dev']) });
      const names = lockfile.entries.filter(({ key }) => omitted.has(key)).map((e) => e.name);
      for (const dev of ['debug', 'ms', 'resolve', 'hasown']) assert.ok(names.includes(dev), dev);
      for (const needed of ['is-odd', 'left-pad', 'chalk', 'react-dom']) {
        assert.ok(!names.includes(needed), needed);
      }
    });

    it(`notices a package of ${name} that its project does not ask for`, async () => {
      const lockfile = load(name);
      const wishes = await readProjectWishes(lockfile);
      const edges = new Map(
        [...wishes.edges].map(([node, each]) => [node, each.filter((e) => e.name !== 'padder')]),
      );
      const { problems } = walkEdges(lockfile, { ...wishes, edges }, () => undefined);
      const [key] = [...problems.keys()];
      assert.equal(lockfile.entries.find((entry) => entry.key === key)?.name, 'left-pad');
      assert.equal(problems.size, 1);
    });

    it(`reads or refuses ${name} cut anywhere, and never drops an entry in silence`, () => {
      const { text, path, entries } = load(name);
      const whole = new Map(entries.map((entry) => [entry.key, entryContent(entry)]));
      // A cut in the last entry can leave it out; one before must be noticed or leave less, never other.
      for (let length = 0; length < text.length; length += 37) {
        let part: Lockfile;
        try {
          part = parseLockfile(Buffer.from(text.slice(0, length)), path);
        } catch (error) {
          assert.ok(isUnreadable(error), `${length}: ${String(error)}`);
          continue;
        }
        const good = part.entries.filter(({ kind }) => kind === 'registry');
        for (const entry of good)
          assert.equal(entryContent(entry), whole.get(entry.key), entry.key);
      }
    });
  }
});

type Row = readonly [why: string, text: string, kind: LockEntry['kind'], reason: RegExp];

function check(rows: readonly Row[], parse: (text: string) => Lockfile): void {
  for (const [why, text, kind, reason] of rows) {
    it(`knows ${why} as ${kind}`, () => {
      const [entry] = parse(text).entries;
      assert.ok(entry, 'there is an entry');
      assert.equal(entry.kind, kind, JSON.stringify(entry));
      if (entry.kind === 'refused') assert.match(entry.reason, reason);
      if (entry.kind === 'registry') assert.match(`${entry.name}@${entry.version}`, reason);
    });
  }
}

describe('parsePnpmLock', () => {
  const nine = (key: string, resolution: string, more = ''): string =>
    `lockfileVersion: '9.0'\npackages:\n  ${key}:\n    resolution: ${resolution}\n${more}`;
  const six = (key: string, resolution: string): string =>
    nine(key, resolution).replace('9.0', '6.0');
  check(
    [
      ['a package', nine('a@1.0.0', `{integrity: ${DIGEST}}`), 'registry', /^a@1\.0\.0$/],
      [
        'a scoped one',
        nine("'@s/a@1.0.0'", `{integrity: ${DIGEST}}`),
        'registry',
        /^@s\/a@1\.0\.0$/,
      ],
      [
        'one of version 6',
        six('/@s/a@1.0.0(b@1.0.0)', `{integrity: ${DIGEST}}`),
        'registry',
        /^@s\/a@1\.0\.0$/,
      ],
      ['no integrity', nine('a@1.0.0', '{}'), 'refused', /no integrity/],
      ['an empty resolution', nine('a@1.0.0', ''), 'refused', /where it comes from/],
      [
        'SHA-1',
        nine('a@1.0.0', '{integrity: sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=}'),
        'refused',
        /SHA-1/,
      ],
      [
        'several digests',
        nine('a@1.0.0', `{integrity: ${DIGEST} ${DIGEST}}`),
        'refused',
        /several/,
      ],
      [
        'git',
        nine('a@git+https://x.example/a#1', '{type: git, repo: x, commit: abc}'),
        'refused',
        /git/,
      ],
      [
        'git hosted elsewhere',
        nine('a@1.0.0', `{gitHosted: true, tarball: https://x.example/a, integrity: ${DIGEST}}`),
        'refused',
        /git/,
      ],
      [
        'a codeload tarball',
        nine(
          'a@1.0.0',
          `{tarball: https://codeload.github.com/o/a/tar.gz/1, integrity: ${DIGEST}}`,
        ),
        'refused',
        /git/,
      ],
      [
        'a URL',
        nine(
          'a@https://x.example/a.tgz',
          `{tarball: https://x.example/a.tgz, integrity: ${DIGEST}}`,
        ),
        'refused',
        /URL/,
      ],
      [
        'a version from a URL',
        nine('a@1.0.0', `{tarball: https://x.example/a.tgz, integrity: ${DIGEST}}`),
        'refused',
        /URL/,
      ],
      [
        'a file',
        nine("'a@file:a.tgz'", `{tarball: file:a.tgz, integrity: ${DIGEST}}`),
        'refused',
        /file/,
      ],
      ['a folder', nine("'a@file:lib'", '{directory: lib, type: directory}'), 'local', /./],
      [
        'a folder outside',
        nine("'a@file:../lib'", '{directory: ../lib, type: directory}'),
        'refused',
        /outside/,
      ],
      [
        'an unknown kind',
        nine('a@1.0.0', `{type: binary, integrity: ${DIGEST}}`),
        'refused',
        /unknown/,
      ],
      ['a range as version', nine('a@^1.0.0', `{integrity: ${DIGEST}}`), 'refused', /./],
      ['an old name', nine('JSONStream@1.0.0', `{integrity: ${DIGEST}}`), 'refused', /name/],
    ],
    (text) => parsePnpmLock(Buffer.from(text), 'pnpm-lock.yaml'),
  );

  it('gives a row to a link that leaves the project', () => {
    const text =
      "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      a:\n        specifier: link:../a\n        version: link:../a\n";
    const [entry] = parsePnpmLock(Buffer.from(text), 'x').entries;
    assert.equal(entry?.kind, 'refused');
    assert.equal(entry?.name, 'a');
  });

  const unreadable: readonly (readonly [string, string])[] = [
    ['version 5', 'lockfileVersion: 5.4\n'],
    ['version 10', "lockfileVersion: '10.0'\n"],
    ['no version', 'packages: {}\n'],
    ['packages as a text', "lockfileVersion: '9.0'\npackages: x\n"],
    ['a snapshot without a package', "lockfileVersion: '9.0'\nsnapshots:\n  a@1.0.0: {}\n"],
    ['two documents', "lockfileVersion: '9.0'\n---\nlockfileVersion: '9.0'\n"],
  ];
  for (const [why, text] of unreadable) {
    it(`does not read ${why}`, () => {
      assert.throws(() => parsePnpmLock(Buffer.from(text), 'x'), isUnreadable);
    });
  }
});

describe('parseYarnClassic', () => {
  const one = (patterns: string, fields: string): string =>
    `# yarn lockfile v1\n\n${patterns}:\n  version "1.0.0"\n${fields}`;
  const good = `  integrity ${DIGEST}\n`;
  check(
    [
      ['a package', one('a@^1.0.0', good), 'registry', /^a@1\.0\.0$/],
      ['several patterns', one('"@s/a@^1.0.0 || 2", "@s/a@1.x"', good), 'registry', /^@s\/a@/],
      ['an alias by its real name', one('"b@npm:a@^1.0.0"', good), 'registry', /^a@1\.0\.0$/],
      ['no integrity', one('a@^1.0.0', ''), 'refused', /no integrity/],
      ['two packages in one', one('a@^1.0.0, b@^1.0.0', good), 'refused', /different/],
      ['an alias of another', one('"a@^1.0.0", "b@npm:c@1"', good), 'refused', /different/],
      [
        'git',
        one('a@^1.0.0', `  resolved "git+https://x.example/a.git#1"\n${good}`),
        'refused',
        /git/,
      ],
      ['a repository', one('"a@https://x.example/a.git"', good), 'refused', /git/],
      ['a shorthand', one('a@owner/repo', good), 'refused', /git/],
      ['a URL', one('"a@https://x.example/a.tgz"', good), 'refused', /URL/],
      [
        'a source elsewhere',
        one('a@^1.0.0', `  resolved "https://x.example/a.tgz#1"\n${good}`),
        'refused',
        /URL/,
      ],
      ['a file', one('"a@file:./a"', good), 'refused', /file/],
      ['no range', one('a', good), 'refused', /range/],
    ],
    (text) => parseYarnClassic(Buffer.from(text), 'yarn.lock'),
  );

  const unreadable: readonly (readonly [string, string])[] = [
    ['the same pattern twice', `${one('a@1', good)}\n${one('a@1', good)}`],
    ['the same field twice', one('a@1', good + good)],
    ['an unknown table', one('a@1', '  scripts:\n    install x\n')],
    ['a field without an entry', '  version "1.0.0"\n'],
    ['an edge without a table', one('a@1', '    b "1"\n')],
    ['a field with three words', one('a@1', '  integrity a b\n')],
    ['an entry without a colon', 'a@1\n'],
    ['a quote without an end', '"a@1:\n'],
    ['a tab', one('a@1', '\tintegrity x\n')],
    ['a conflict mark', `<<<<<<< HEAD\n${one('a@1', good)}`],
    ['a very long line', `${'a'.repeat(100_000)}:\n`],
  ];
  for (const [why, text] of unreadable) {
    it(`does not read ${why}`, () => {
      assert.throws(() => parseYarnClassic(Buffer.from(text), 'yarn.lock'), isUnreadable);
    });
  }
});

describe('parseYarnBerry', () => {
  const one = (key: string, resolution: string, more = ''): string =>
    `__metadata:\n  version: 8\n\n"${key}":\n  version: 1.0.0\n  resolution: "${resolution}"\n${more}`;
  check(
    [
      ['a package', one('a@npm:^1', 'a@npm:1.0.0'), 'unbound', /./],
      ['one with an address', one('a@npm:^1', 'a@npm:1.0.0::__archiveUrl=x'), 'unbound', /./],
      ['a workspace', one('a@workspace:p', 'a@workspace:p'), 'local', /./],
      ['a workspace outside', one('a@workspace:../p', 'a@workspace:../p'), 'refused', /outside/],
      ['another package than asked for', one('a@npm:^1', 'evil@npm:1.0.0'), 'refused', /nobody/],
      ['two versions', one('a@npm:^1', 'a@npm:2.0.0'), 'refused', /two versions/],
      [
        'git',
        one('a@https://x.example/a.git', 'a@https://x.example/a.git#commit=1'),
        'refused',
        /git/,
      ],
      ['a URL', one('a@https://x.example/a.tgz', 'a@https://x.example/a.tgz'), 'refused', /URL/],
      ['a file', one('a@file:./a', 'a@file:./a'), 'refused', /file/],
      ['a portal', one('a@portal:../a', 'a@portal:../a'), 'refused', /links/],
      [
        'a built-in patch',
        one(
          'a@patch:a@npm%3A1#optional!builtin<compat/a>',
          'a@patch:a@npm%3A1.0.0#optional!builtin<compat/a>',
        ),
        'local',
        /./,
      ],
      [
        'a patch from elsewhere',
        one('a@patch:a@npm%3A1#https://x.example/p', 'a@patch:a@npm%3A1.0.0#https://x.example/p'),
        'refused',
        /patch/,
      ],
    ],
    (text) => parseYarnBerry(Buffer.from(text), 'yarn.lock'),
  );

  it('does not read an unknown version', () => {
    for (const text of ['a: b\n', '__metadata:\n  version: 99\n', '']) {
      assert.throws(() => parseYarnBerry(Buffer.from(text), 'yarn.lock'), isUnreadable);
    }
  });
});

describe('parseBunLock', () => {
  const one = (key: string, items: string): string =>
    `{"lockfileVersion": 1, "workspaces": {"": {}, "p": {"name": "w"},}, "packages": {"${key}": [${items}],},}`;
  check(
    [
      ['a package', one('a', `"a@1.0.0", "", {}, "${DIGEST}"`), 'registry', /^a@1\.0\.0$/],
      ['a nested one', one('x/@s/a', `"@s/a@1.0.0", "", {}, "${DIGEST}"`), 'registry', /^@s\/a@/],
      ['an alias by its real name', one('b', `"a@1.0.0", "", {}, "${DIGEST}"`), 'registry', /^a@/],
      [
        'another registry',
        one('a', `"a@1.0.0", "https://r.example/", {}, "${DIGEST}"`),
        'registry',
        /^a@/,
      ],
      ['no integrity', one('a', '"a@1.0.0", "", {}'), 'refused', /no integrity/],
      [
        'a tarball elsewhere',
        one('a', `"a@1.0.0", "https://x.example/a.tgz", {}, "${DIGEST}"`),
        'refused',
        /URL/,
      ],
      ['git', one('a', '"a@git+ssh://git@x.example/a.git#1", {}, "x"'), 'refused', /git/],
      ['GitHub', one('a', '"a@github:o/a#1", {}, "o-a-1"'), 'refused', /git/],
      ['a URL', one('a', '"a@https://x.example/a.tgz", {}'), 'refused', /URL/],
      ['a file', one('a', '"a@file:a.tgz", {}'), 'refused', /file/],
      ['a path', one('a', '"a@./a.tgz", {}'), 'refused', /file/],
      ['a link', one('a', '"a@link:a", {}'), 'refused', /links/],
      ['a workspace', one('w', '"w@workspace:p"'), 'local', /./],
      ['a workspace that is none', one('w', '"w@workspace:q"'), 'refused', /workspace/],
      ['a workspace outside', one('w', '"w@workspace:../q"'), 'refused', /workspace/],
      ['an empty list', one('a', ''), 'refused', /what it is/],
      ['a fifth item', one('a', `"a@1.0.0", "", {}, "${DIGEST}", "x"`), 'refused', /list/],
      ['a path out', one('../a', `"a@1.0.0", "", {}, "${DIGEST}"`), 'refused', /path/],
    ],
    (text) => parseBunLock(Buffer.from(text), 'bun.lock'),
  );

  const unreadable: readonly (readonly [string, string])[] = [
    ['an unknown version', '{"lockfileVersion": 9, "workspaces": {}, "packages": {}}'],
    ['two commas', '{"lockfileVersion": 1, "workspaces": {},, "packages": {}}'],
    ['two commas at the end', '{"lockfileVersion": 1, "workspaces": {}, "packages": {},,}'],
    ['a comma alone', '{,}'],
    ['a comment', '{"lockfileVersion": 1, /* x */ "workspaces": {}, "packages": {}}'],
    ['a key twice', '{"lockfileVersion": 1, "workspaces": {}, "packages": {"a": [], "a": []}}'],
    ['no workspaces', '{"lockfileVersion": 1, "packages": {}}'],
  ];
  for (const [why, text] of unreadable) {
    it(`does not read ${why}`, () => {
      assert.throws(() => parseBunLock(Buffer.from(text), 'bun.lock'), isUnreadable);
    });
  }

  it('keeps commas in texts', () => {
    const text = one('a', `"a@1.0.0", "", {"os": ",]"}, "${DIGEST}"`);
    const [entry] = parseBunLock(Buffer.from(text), 'bun.lock').entries;
    assert.deepEqual(entry?.kind === 'registry' ? entry.os : [], [',]']);
  });
});
