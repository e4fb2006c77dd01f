import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import {
  isNeededHere,
  loadLockfile,
  parseLockfile,
  requireNpm,
  type LockEntry,
  type RegistryEntry,
} from './lockfile.ts';

const DIGEST = `sha512-${'A'.repeat(86)}==`;
const OTHER = `sha512-${'B'.repeat(85)}A==`;

function lock(packages: object, version: unknown = 3): Uint8Array {
  return Buffer.from(JSON.stringify({ lockfileVersion: version, packages }));
}

function classify(packages: object): readonly LockEntry[] {
  return parseLockfile(lock({ '': { name: 'app' }, ...packages }), 'package-lock.json').entries;
}

function only(entry: object, key: string = 'node_modules/left-pad'): LockEntry {
  const [found] = classify({ [key]: entry });
  assert.ok(found);
  return found;
}

const GOOD = {
  version: '1.0.0',
  resolved: 'https://r.example/left-pad/-/left-pad-1.0.0.tgz',
  integrity: DIGEST,
};

describe('parseLockfile', () => {
  it('binds a registry entry to its name, version and digest', () => {
    const entry = only(GOOD);
    assert.equal(entry.kind, 'registry');
    assert.equal(entry.name, 'left-pad');
    assert.equal(entry.version, '1.0.0');
    assert.equal(entry.kind === 'registry' && entry.sha512.length, 64);
  });

  const accepted: readonly (readonly [string, object, string, string])[] = [
    ['a scoped package', GOOD, 'node_modules/@acme/x', '@acme/x'],
    ['a nested package', GOOD, 'node_modules/a/node_modules/@acme/b', '@acme/b'],
    ['an alias by its real name', { ...GOOD, name: 'real' }, 'node_modules/alias', 'real'],
    ['an entry without resolved', { version: '1.0.0', integrity: DIGEST }, 'node_modules/x', 'x'],
    ['a package of a workspace', GOOD, 'packages/a/node_modules/b', 'b'],
    [
      'a registry that names tarballs otherwise',
      { ...GOOD, resolved: 'https://npm.pkg.example/download/@acme/x/1.0.0/abc' },
      'node_modules/x',
      'x',
    ],
  ];
  for (const [why, entry, key, name] of accepted) {
    it(`takes ${why}`, () => {
      const found = only(entry, key);
      assert.equal(found.kind, 'registry', JSON.stringify(found));
      assert.equal(found.name, name);
    });
  }

  // What npm itself would install, and nobody vouches for (measured, see the package's threat list).
  const refused: readonly (readonly [string, object, RegExp, string?])[] = [
    ['no integrity', { ...GOOD, integrity: undefined }, /no integrity/],
    ['SHA-1 only', { ...GOOD, integrity: 'sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=' }, /SHA-1/],
    ['several digests', { ...GOOD, integrity: `${DIGEST} ${OTHER}` }, /several/],
    ['an unknown algorithm', { ...GOOD, integrity: `sha513-${'A'.repeat(88)}` }, /not SHA-512/],
    ['a digest with an option', { ...GOOD, integrity: `${DIGEST}?x` }, /malformed/],
    [
      'a digest with spare bits',
      { ...GOOD, integrity: `sha512-${'A'.repeat(85)}B==` },
      /malformed/,
    ],
    ['a short digest', { ...GOOD, integrity: 'sha512-AAAA' }, /malformed/],
    ['a digest in a list', { ...GOOD, integrity: [DIGEST] }, /not a string/],
    ['git over ssh', { ...GOOD, resolved: 'git+ssh://git@github.com/a/b.git#abc' }, /git/],
    ['a GitHub shorthand', { ...GOOD, resolved: 'github:a/b' }, /git/],
    ['a git protocol', { ...GOOD, resolved: 'git://github.com/a/b.git' }, /git/],
    ['a local tarball', { ...GOOD, resolved: 'file:x.tgz' }, /local file/],
    ['a plain URL', { ...GOOD, resolved: 'https://evil.example/x.tgz' }, /URL/],
    ['a URL with a disguise', { ...GOOD, resolved: 'https://evil.example/x#/-/x.tgz' }, /URL/],
    ['an unknown source', { ...GOOD, resolved: 'ftp://x/-/x.tgz' }, /unknown/],
    ['a source that is no text', { ...GOOD, resolved: 5 }, /not a string/],
    ['no version', { ...GOOD, version: undefined }, /version/],
    ['a range as version', { ...GOOD, version: '^1.0.0' }, /version/],
    ['build metadata', { ...GOOD, version: '1.0.0+x' }, /version/],
    ['a name of npm’s past', GOOD, /name/, 'node_modules/JSONStream'],
    ['a link out of the project', { link: true, resolved: '../other' }, /outside/],
    ['a link to an absolute path', { link: true, resolved: '/etc' }, /outside/],
    ['a link to nothing', { link: true, resolved: 'packages/none' }, /no entry/],
    ['a link that is nearly true', { ...GOOD, link: 1 }, /link/],
    ['a link into node_modules', { link: true, resolved: 'node_modules/x' }, /outside/],
    ['a folder that nothing links to', { version: '1.0.0' }, /links/, 'packages/a'],
    ['a path that leaves the project', GOOD, /path/, 'node_modules/../../x'],
    ['an absolute path', GOOD, /path/, '/node_modules/x'],
    ['a path with a backslash', GOOD, /path/, 'node_modules/a\\b'],
    ['an entry bundled in nothing', { ...GOOD, inBundle: true, integrity: undefined }, /integrity/],
  ];
  for (const [why, entry, reason, key] of refused) {
    it(`refuses ${why}, with its reason`, () => {
      const found = only(entry, key);
      assert.equal(found.kind, 'refused', JSON.stringify(found));
      assert.match(found.kind === 'refused' ? found.reason : '', reason);
    });
  }

  it('knows workspaces and links to them as local', () => {
    const entries = classify({
      'packages/a': { version: '1.0.0' },
      'node_modules/a': { link: true, resolved: 'packages/a' },
    });
    assert.deepEqual(
      entries.map(({ kind }) => kind),
      ['local', 'local'],
    );
  });

  it('covers what is bundled by the tarball around it', () => {
    const entries = classify({
      'node_modules/a': GOOD,
      'node_modules/a/node_modules/b': { version: '1.0.0', inBundle: true },
      'node_modules/a/node_modules/b/node_modules/c': { version: '1.0.0', inBundle: true },
    });
    assert.deepEqual(
      entries.map((entry) => (entry.kind === 'bundled' ? entry.owner : entry.kind)),
      ['registry', 'node_modules/a', 'node_modules/a'],
    );
  });

  it('takes nothing for bundled in the user’s own link', () => {
    const entries = classify({
      'packages/a': { version: '1.0.0' },
      'node_modules/a': { link: true, resolved: 'packages/a' },
      'node_modules/a/node_modules/b': { version: '1.0.0', inBundle: true },
    });
    assert.equal(entries[2]?.kind, 'refused');
  });

  const unsupported: readonly (readonly [string, Uint8Array])[] = [
    ['version 1', lock({}, 1)],
    ['version 4', lock({}, 4)],
    ['a version as text', lock({}, '3')],
    ['no version', lock({}, null)],
    ['no version at all', Buffer.from('{"packages":{}}')],
    ['no packages', Buffer.from('{"lockfileVersion":3}')],
    ['packages as a list', lock([])],
    ['no JSON', Buffer.from('{')],
    ['nothing', new Uint8Array()],
    ['not UTF-8', Buffer.from([0xff, 0xfe])],
    [
      'the same package twice',
      Buffer.from('{"lockfileVersion":3,"packages":{"node_modules/a":{},"node_modules/a":{}}}'),
    ],
    ['__proto__', Buffer.from('{"lockfileVersion":3,"packages":{"__proto__":{}}}')],
  ];
  for (const [why, source] of unsupported) {
    it(`does not read ${why}`, () => {
      assert.throws(
        () => parseLockfile(source, 'x'),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP9005',
      );
    });
  }

  it('says where an entry stands', () => {
    const text =
      '{"lockfileVersion":3,\n"packages":{\n"":{},\n"node_modules/a":{"version":"1.0.0"}}}';
    assert.equal(parseLockfile(Buffer.from(text), 'x').entries[0]?.line, 4);
  });

  it('classifies every entry of the lockfile of this project', () => {
    const source = readFileSync(new URL('../../package-lock.json', import.meta.url));
    const { entries } = parseLockfile(source, 'package-lock.json');
    const { packages } = JSON.parse(source.toString('utf8')) as { readonly packages: object };
    assert.equal(entries.length, Object.keys(packages).length - 1);
    assert.ok(entries.length > 20);
    // Among them are names of Node's own modules, which npm gives to nobody any more.
    const named = new Set(entries.map(({ name }) => name));
    assert.ok(named.has('buffer') && named.has('string_decoder'), 'the lockfile has both');
    assert.deepEqual(
      entries.filter(({ kind }) => kind === 'refused'),
      [],
    );
    assert.deepEqual(
      entries.filter(({ kind }) => kind !== 'registry' && kind !== 'refused'),
      [],
    );
  });
});

describe('isNeededHere', () => {
  const base: RegistryEntry = {
    kind: 'registry',
    version: '1.0.0',
    sha512: new Uint8Array(64),
    optional: true,
    os: [],
    cpu: [],
  };
  const cases: readonly (readonly [string, Partial<RegistryEntry>, boolean])[] = [
    ['without limits', {}, true],
    ['for this system', { os: ['linux'] }, true],
    ['for another system', { os: ['darwin'] }, false],
    ['not for this system', { os: ['!linux'] }, false],
    ['not for another system', { os: ['!win32'] }, true],
    ['for another processor', { cpu: ['arm64'] }, false],
    ['required, whatever it says', { optional: false, os: ['darwin'] }, true],
  ];
  for (const [why, fields, expected] of cases) {
    it(`${expected ? 'needs' : 'leaves out'} a package ${why}`, () => {
      assert.equal(isNeededHere({ ...base, ...fields }, 'linux', 'x64'), expected);
    });
  }
});

describe('requireNpm', () => {
  const PNPM = { packageManager: 'pnpm@10.0.0' };
  const rows: readonly (readonly [string, object, readonly string[], string | undefined])[] = [
    ['a new project', {}, [], undefined],
    ['npm’s lockfile', {}, ['package-lock.json'], undefined],
    ['npm’s beside another, which verify sees', {}, ['npm-shrinkwrap.json', 'bun.lock'], undefined],
    ['pnpm’s lockfile', {}, ['pnpm-lock.yaml'], 'pnpm'],
    ['Yarn’s lockfile', {}, ['yarn.lock'], 'yarn'],
    ['bun’s lockfile', {}, ['bun.lock'], 'bun'],
    ['pnpm in package.json', PNPM, [], 'pnpm'],
    ['pnpm in package.json, whatever lies there', PNPM, ['package-lock.json'], 'pnpm'],
    ['npm in package.json', { packageManager: 'npm@11.0.0' }, [], undefined],
    ['an unknown one in package.json', { packageManager: 'other@1.0.0' }, [], undefined],
  ];
  for (const [why, manifest, files, other] of rows) {
    it(`${other === undefined ? 'takes' : 'leaves'} a project with ${why}`, async () => {
      const folder = mkdtempSync(join(tmpdir(), 'bftpkg-require-npm-'));
      try {
        writeFileSync(join(folder, 'package.json'), JSON.stringify(manifest));
        for (const file of files) writeFileSync(join(folder, file), '');
        const refusal = await requireNpm(folder).then(
          () => undefined,
          (error: unknown) => error,
        );
        if (other === undefined) return assert.equal(refusal, undefined);
        assert.ok(refusal instanceof CliError, String(refusal));
        assert.equal(refusal.diagnostic.code, 'BP9005');
        assert.equal(refusal.diagnostic.hints?.[0], `bftpkg install --with ${other}`);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    });
  }

  it('is what ci says of another lockfile too', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'bftpkg-require-npm-'));
    try {
      writeFileSync(join(folder, 'package.json'), '{}');
      writeFileSync(join(folder, 'pnpm-lock.yaml'), "lockfileVersion: '9.0'\n");
      await assert.rejects(loadLockfile(folder), /pnpm-lock\.yaml: pnpm v9 is not npm’s/);
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
