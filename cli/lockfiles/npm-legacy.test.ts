// What npm 6 would install from a lockfile in which npm 7 and later find what was verified.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseNpmLock } from './npm-lock.ts';

interface Legacy {
  version?: unknown;
  integrity?: unknown;
  resolved?: string;
  from?: string;
  bundled?: boolean;
  requires?: Record<string, string>;
  dependencies?: Record<string, Legacy>;
}

interface Lock {
  lockfileVersion: number;
  packages: Record<string, Record<string, unknown>>;
  dependencies?: Record<string, Legacy>;
}

const DIGEST = `sha512-${'A'.repeat(86)}==`;
const OTHER = `sha512-${'B'.repeat(85)}A==`;

/** As npm 11 wrote it, with a workspace, an alias, an override and a platform's own package. */
function genuine(): Lock {
  const url = new URL('../../fixtures/lockfiles/npm-2/package-lock.json', import.meta.url);
  return JSON.parse(readFileSync(url, 'utf8')) as Lock;
}

/** What npm writes of things that the other one lacks: nested, bundled, from git, linked with packages of its own. */
function small(): Lock {
  const git = 'git+ssh://git@github.com/a/b.git#0123456789abcdef0123456789abcdef01234567';
  return {
    lockfileVersion: 2,
    packages: {
      '': { name: 'app', dependencies: { a: '1.0.0', b: 'a/b', w: 'file:w' } },
      'node_modules/a': { version: '1.0.0', integrity: DIGEST, dependencies: { c: '^1.0.0' } },
      'node_modules/a/node_modules/c': { version: '1.0.0', inBundle: true },
      'node_modules/b': { version: '2.0.0', resolved: git },
      'node_modules/w': { resolved: 'w', link: true },
      w: { version: '1.0.0', dependencies: { d: '^1.0.0', x: 'file:../x' } },
      'w/node_modules/d': { version: '1.1.0', integrity: DIGEST },
    },
    dependencies: {
      a: {
        version: '1.0.0',
        integrity: DIGEST,
        requires: { c: '^1.0.0' },
        dependencies: { c: { version: '1.0.0', bundled: true } },
      },
      b: { version: git, from: 'b@a/b' },
      w: {
        version: 'file:w',
        requires: { d: '^1.0.0', x: 'file:x' },
        dependencies: { d: { version: '1.1.0', integrity: DIGEST } },
      },
    },
  };
}

function parse(lock: Lock): void {
  parseNpmLock(Buffer.from(JSON.stringify(lock)), 'package-lock.json');
}

function at(lock: Lock, ...names: readonly string[]): Legacy {
  let found: Legacy = lock;
  for (const name of names) found = (found.dependencies ??= {})[name] ??= {};
  return found;
}

describe('a lockfile with a part for npm 6', () => {
  const honest: readonly (readonly [string, () => Lock])[] = [
    ['as npm wrote it', genuine],
    ['with nested, bundled and linked packages', small],
    [
      'without that part, as in version 3',
      () => ({ ...small(), dependencies: undefined as never }),
    ],
    [
      'with another address for the same bytes',
      () => {
        const lock = small();
        at(lock, 'a').resolved = 'https://mirror.example/a/-/a-1.0.0.tgz';
        return lock;
      },
    ],
  ];
  for (const [why, make] of honest) {
    it(`is read ${why}`, () => {
      parse(make());
    });
  }

  const EVIL = 'https://evil.example/evil.tgz';
  const attacks: readonly (readonly [
    why: string,
    change: (lock: Lock) => unknown,
    make?: () => Lock,
  ])[] = [
    ['another version', (lock) => (at(lock, 'is-odd').version = '2.0.0'), genuine],
    ['an address as the version', (lock) => (at(lock, 'is-odd').version = EVIL), genuine],
    ['another alias', (lock) => (at(lock, 'padder').version = 'npm:evil@1.3.0'), genuine],
    ['no alias', (lock) => (at(lock, 'padder').version = '1.3.0'), genuine],
    ['another digest', (lock) => (at(lock, 'is-odd').integrity = OTHER), genuine],
    ['no digest, and an address', (lock) => delete at(lock, 'is-odd').integrity, genuine],
    ['a package more', (lock) => (at(lock, 'evil').version = '1.0.0'), genuine],
    ['a nested one more', (lock) => (at(lock, 'is-odd', 'is-number').version = '6.0.0'), genuine],
    ['a package less', (lock) => delete at(lock).dependencies?.['is-odd'], genuine],
    [
      'an entry that is none',
      (lock) => Object.assign(at(lock).dependencies ?? {}, { ms: 5 }),
      genuine,
    ],
    ['a list', (lock) => (lock.dependencies = [] as never), genuine],
    ['a workspace from elsewhere', (lock) => (at(lock, 'a').version = 'file:../evil'), genuine],
    ['a workspace from a registry', (lock) => (at(lock, 'a').version = '1.0.0'), genuine],
    ['a workspace with an address', (lock) => (at(lock, 'a').resolved = EVIL), genuine],
    ['something asked for', (lock) => (at(lock, 'is-odd').requires = { evil: '1.0.0' }), genuine],
    ['another range', (lock) => (at(lock, 'is-odd').requires = { 'is-number': '6' }), genuine],
    ['a tag', (lock) => (at(lock, 'is-odd').requires = { 'is-number': 'next' }), genuine],
    [
      'an address for a range',
      (lock) => (at(lock, 'is-odd').requires = { 'is-number': EVIL }),
      genuine,
    ],
    [
      'a folder for a range',
      (lock) => (at(lock, 'is-odd').requires = { 'is-number': 'file:evil' }),
      genuine,
    ],
    ['a bundled one that is fetched', (lock) => delete at(lock, 'a', 'c').bundled],
    ['a bundled one that is not', (lock) => (at(lock, 'a', 'c').bundled = false)],
    ['a fetched one that is bundled', (lock) => (at(lock, 'a').bundled = true)],
    ['an address for what is bundled', (lock) => (at(lock, 'a', 'c').resolved = EVIL)],
    ['a source for what is bundled', (lock) => (at(lock, 'a', 'c').from = EVIL)],
    ['another commit', (lock) => (at(lock, 'b').version = 'git+ssh://git@github.com/e/b.git#01')],
    ['another one in a workspace', (lock) => (at(lock, 'w', 'd').version = '1.2.0')],
    ['one less in a workspace', (lock) => delete at(lock, 'w').dependencies],
    [
      'the same, in a file of version 3',
      (lock) => {
        lock.lockfileVersion = 3;
        at(lock, 'a').version = '1.0.1';
      },
    ],
  ];
  for (const [why, change, make = small] of attacks) {
    it(`is refused where it has ${why}`, () => {
      const lock = make();
      change(lock);
      assert.throws(
        () => parse(lock),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP9005',
      );
    });
  }

  it('is told where, at most five times', () => {
    const lock = genuine();
    for (const each of Object.values(lock.dependencies ?? {})) each.version = '0.0.1';
    try {
      parse(lock);
      assert.fail('it was read');
    } catch (error) {
      assert.ok(error instanceof CliError, String(error));
      const { details } = error.diagnostic;
      assert.equal(details.length, 6);
      assert.deepEqual(details[0], [
        'node_modules/@sindresorhus/is',
        'has another version there: "0.0.1"',
      ]);
    }
  });
});
