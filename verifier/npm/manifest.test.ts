import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { VerifyError } from '../errors.ts';
import { parseForeignJson } from '../foreign-json.ts';
import { canonicalJson } from '../json.ts';
import type { JsonObject, JsonValue } from '../json.ts';
import {
  checkManifest,
  describeManifestDifference,
  manifestOf,
  manifestsEqual,
} from './manifest.ts';
import { parsePackageJson } from './package-json.ts';

const read = (document: unknown): JsonValue =>
  parseForeignJson(JSON.stringify(document), { lengthMax: 1_000_000 }).value;

describe('manifestOf', () => {
  // [why, package.json, manifest]
  const rows: readonly [string, Record<string, unknown>, Record<string, unknown>][] = [
    ['has nothing of a package that needs nothing', { name: 'a', version: '1.0.0' }, {}],
    [
      'ignores what no installer acts on',
      {
        main: 'x.js',
        type: 'module',
        exports: { '.': './x.js' },
        description: 1.5,
        keywords: 'not a list',
        devDependencies: { a: 17 },
        scripts: { test: 'x', build: 5 },
        dist: { integrity: 'sha512-x' },
        _id: 'x',
      },
      {},
    ],
    [
      'keeps dependencies of every kind',
      {
        dependencies: { a: '^1.0.0', '@s/b': 'git+https://x/y#c', JSONStream: '*', c: '' },
        optionalDependencies: { d: '1' },
        peerDependencies: { e: '>=2' },
        peerDependenciesMeta: { e: { optional: true, x: 1 }, f: { optional: false }, g: {} },
        acceptDependencies: { a: '2' },
      },
      {
        dependencies: { a: '^1.0.0', '@s/b': 'git+https://x/y#c', JSONStream: '*', c: '' },
        optionalDependencies: { d: '1' },
        peerDependencies: { e: '>=2' },
        peerDependenciesMeta: { e: { optional: true } },
        acceptDependencies: { a: '2' },
      },
    ],
    [
      'takes a name in both tables for optional',
      { dependencies: { a: '1', b: '2' }, optionalDependencies: { a: '3' } },
      { dependencies: { b: '2' }, optionalDependencies: { a: '3' } },
    ],
    [
      'takes empty stand-ins for missing fields',
      {
        dependencies: [],
        optionalDependencies: null,
        bin: '',
        scripts: false,
        os: [],
        engines: '',
      },
      {},
    ],
    [
      'links a lone program under the name',
      { name: 'a', bin: './cli.js' },
      { bin: { a: 'cli.js' } },
    ],
    ['drops the scope from it', { name: '@s/a', bin: 'cli.js' }, { bin: { a: 'cli.js' } }],
    [
      'reads a list of programs',
      { bin: ['bin/a', './b.js'] },
      { bin: { a: 'bin/a', 'b.js': 'b.js' } },
    ],
    [
      'keeps programs inside the package',
      { bin: { '../../x': '../../etc/y', 'a\\z': '/c/./d//e.js' } },
      { bin: { x: 'etc/y', z: 'c/d/e.js' } },
    ],
    [
      'takes the folder of programs where bin says nothing',
      { directories: { bin: './bin/', lib: 5 } },
      { directories: { bin: 'bin' } },
    ],
    [
      'ignores it where bin says something',
      { name: 'a', bin: 'x', directories: { bin: 'bin' } },
      { bin: { a: 'x' } },
    ],
    [
      'reads bundledDependencies',
      { bundledDependencies: ['b', 'a', 'b'] },
      { bundleDependencies: ['a', 'b'] },
    ],
    [
      'prefers bundleDependencies',
      { bundleDependencies: ['a'], bundledDependencies: ['b'] },
      { bundleDependencies: ['a'] },
    ],
    [
      'takes an explicit no for an answer',
      { bundleDependencies: false, bundledDependencies: ['b'] },
      {},
    ],
    [
      'bundles all when told so',
      { bundleDependencies: true, dependencies: { b: '1', a: '2' } },
      { bundleDependencies: ['a', 'b'], dependencies: { a: '2', b: '1' } },
    ],
    [
      'takes a table of bundled packages',
      { bundleDependencies: { b: '1' } },
      { bundleDependencies: ['b'] },
    ],
    [
      'reads platforms as a text or a list',
      { os: 'linux', cpu: ['x64', '!arm'], libc: ['musl'] },
      { os: ['linux'], cpu: ['x64', '!arm'], libc: ['musl'] },
    ],
    [
      'keeps engines',
      { engines: { node: '>=10', npm: '6' } },
      { engines: { node: '>=10', npm: '6' } },
    ],
    ['skips engines in the old form', { engines: ['node >= 0.4'] }, {}],
    [
      'keeps the scripts that installing runs, as they are',
      { scripts: { preinstall: 'a', postinstall: 'node_modules/.bin/x', test: 'c', install: '' } },
      {
        scripts: { preinstall: 'a', postinstall: 'node_modules/.bin/x' },
        hasInstallScript: true,
      },
    ],
    [
      'does not call prepare an install script',
      { scripts: { prepare: 'x' } },
      { scripts: { prepare: 'x' } },
    ],
  ];
  for (const [why, packageJson, expected] of rows) {
    it(why, () => {
      const manifest = manifestOf(read(packageJson));
      assert.equal(canonicalJson(manifest), canonicalJson(expected as JsonObject));
      assert.deepEqual(checkManifest(manifest), manifest, 'the normal form is stable');
    });
  }

  const gyp: readonly [string, Record<string, unknown>, string | undefined][] = [
    ['adds the implicit build', {}, 'node-gyp rebuild'],
    ['adds it beside a postinstall', { scripts: { postinstall: 'x' } }, 'node-gyp rebuild'],
    ['leaves an install script alone', { scripts: { install: 'x' } }, 'x'],
    ['adds nothing beside a preinstall', { scripts: { preinstall: 'x' } }, undefined],
    ['adds nothing when told not to', { gypfile: false }, undefined],
  ];
  for (const [why, packageJson, install] of gyp) {
    it(`${why} of a package with binding.gyp`, () => {
      const manifest = manifestOf(read(packageJson), true);
      const scripts = (manifest['scripts'] ?? {}) as JsonObject;
      assert.equal(scripts['install'], install);
      assert.equal(manifest['hasInstallScript'] === true, Object.keys(scripts).length > 0);
      assert.deepEqual(checkManifest(manifest), manifest);
    });
  }

  it('says that there is a shrinkwrap', () => {
    const manifest = manifestOf(read({}), false, true);
    assert.deepEqual(manifest, { hasShrinkwrap: true });
    assert.deepEqual(checkManifest(manifest), manifest);
  });

  const refused: readonly [string, unknown][] = [
    ['a list', []],
    ['null', null],
    ['dependencies as a text', { dependencies: 'a' }],
    ['dependencies as a list', { dependencies: ['a'] }],
    ['a range that is a number', { dependencies: { a: 1 } }],
    ['a range that is an object', { optionalDependencies: { a: {} } }],
    ['a range that is null', { peerDependencies: { a: null } }],
    ['a range that is too long', { dependencies: { a: '1'.repeat(5000) } }],
    ['a dependency that leads out', { dependencies: { '../evil': '1' } }],
    ['a dependency that leads out below a scope', { dependencies: { '@a/..': '1' } }],
    ['a hidden dependency', { dependencies: { '.bin': '1' } }],
    ['a dependency with a newline', { dependencies: { 'a\n': '1' } }],
    ['a dependency called node_modules', { optionalDependencies: { Node_Modules: '1' } }],
    ['an empty name', { dependencies: { '': '1' } }],
    ['a bundled path', { bundleDependencies: ['../x'] }],
    ['a bundled number', { bundleDependencies: [1] }],
    ['a bundled object', { bundleDependencies: [{}] }],
    ['bundling by a number', { bundleDependencies: 1 }],
    ['a peer without a table', { peerDependenciesMeta: { a: true } }],
    ['a peer that is optional as a text', { peerDependenciesMeta: { a: { optional: 'yes' } } }],
    ['a program without a name', { bin: 'x' }],
    ['a program without a target', { bin: { a: '' } }],
    ['a program whose target is the package', { bin: { a: '..' } }],
    ['a program whose target is a number', { bin: { a: 1 } }],
    ['a program without a path', { bin: [{}] }],
    ['a program called by nothing', { bin: { '..': 'a' } }],
    ['a program with a control character', { bin: { 'a\u001b[2J': 'a' } }],
    ['two programs with one name', { bin: { 'a/x': '1', 'b/x': '2' } }],
    ['a program called __proto__', { bin: { 'a/__proto__': '1' } }],
    ['programs as a number', { bin: 5 }],
    ['a folder of programs as a number', { directories: { bin: 5 } }],
    ['an install script that is a list', { scripts: { install: ['a'] } }],
    ['an install script that is a number', { scripts: { postinstall: 1 } }],
    ['an install script that is too long', { scripts: { postinstall: 'x'.repeat(20_000) } }],
    ['scripts as a text', { scripts: 'a' }],
    ['a platform that is a number', { os: [1] }],
    ['platforms as a table', { cpu: { x64: true } }],
    ['an engine that is a number', { engines: { node: 20 } }],
  ];
  for (const [why, packageJson] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => manifestOf(read(packageJson)), { code: 'MANIFEST_MALFORMED' });
    });
  }

  it('either refuses or gives a manifest in normal form, whatever the fields hold', () => {
    const value = fc.oneof(
      fc.constantFrom<unknown>(
        null,
        false,
        true,
        '',
        'a',
        '../b',
        0,
        1.5,
        [],
        {},
        ['a', 'b'],
        [['a']],
      ),
      fc.dictionary(
        fc.constantFrom('a', '@s/b', '../c', 'node', 'install', 'bin', 'optional', ''),
        fc.constantFrom<unknown>('x', '', 1, null, {}, { optional: true }, ['a']),
      ),
    );
    const field = fc.constantFrom(
      'name',
      'bin',
      'scripts',
      'dependencies',
      'optionalDependencies',
      'peerDependencies',
      'peerDependenciesMeta',
      'bundleDependencies',
      'bundledDependencies',
      'directories',
      'engines',
      'os',
      'cpu',
      'libc',
      'gypfile',
      'acceptDependencies',
    );
    let accepted = 0;
    fc.assert(
      fc.property(
        fc.dictionary(field, value, { maxKeys: 4 }),
        fc.boolean(),
        fc.boolean(),
        (packageJson, hasGyp, hasShrinkwrap) => {
          let manifest: JsonObject;
          try {
            manifest = manifestOf(read(packageJson), hasGyp, hasShrinkwrap);
          } catch (error) {
            assert.ok(error instanceof VerifyError, String(error));
            assert.equal(error.code, 'MANIFEST_MALFORMED');
            return;
          }
          accepted++;
          assert.equal(canonicalJson(checkManifest(manifest)), canonicalJson(manifest));
        },
      ),
      { numRuns: 3000, seed: 6 },
    );
    assert.ok(accepted > 300, `only ${accepted} manifests: the property looks at nothing`);
  });
});

describe('checkManifest', () => {
  const refused: readonly [string, JsonValue][] = [
    ['a field that no installer acts on', { main: 'x.js' }],
    ['a field for development', { devDependencies: { a: '1' } }],
    ['an empty table', { dependencies: {} }],
    ['a lone program', { name: 'a', bin: 'x' }],
    ['a path in another spelling', { bin: { a: './x' } }],
    ['a text for a list', { os: 'linux' }],
    ['bundled packages out of order', { bundleDependencies: ['b', 'a'] }],
    ['install scripts that are not announced', { scripts: { install: 'x' } }],
    ['announced scripts that are not there', { hasInstallScript: true }],
    ['an explicit no', { hasShrinkwrap: false }],
    ['a script that installing does not run', { scripts: { test: 'x' } }],
    ['a list', []],
  ];
  for (const [why, manifest] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => checkManifest(manifest), { code: 'MANIFEST_MALFORMED' });
    });
  }
});

describe('describeManifestDifference', () => {
  const rows: readonly [string, JsonObject, JsonObject, string | undefined][] = [
    ['nothing', { os: ['a'], bin: { x: 'y' } }, { bin: { x: 'y' }, os: ['a'] }, undefined],
    ['a missing field', { os: ['a'] }, {}, 'os'],
    ['an added field', {}, { os: ['a'] }, 'os'],
    ['another order', { os: ['a', 'b'] }, { os: ['b', 'a'] }, 'os'],
    ['another kind', { os: ['a'] }, { os: { a: 1 } }, 'os'],
    [
      'the first of several',
      { dependencies: { a: '1', b: '1', c: '1' }, os: ['a'] },
      { dependencies: { a: '1', b: '2', c: '2' } },
      'dependencies.b',
    ],
    [
      'a dependency that only one has',
      { dependencies: { a: '1' } },
      { dependencies: { a: '1', evil: '1' } },
      'dependencies.evil',
    ],
    [
      'a field called like a method',
      { engines: { toString: '1' } },
      { engines: {} },
      'engines.toString',
    ],
  ];
  for (const [why, a, b, expected] of rows) {
    it(`finds ${why}`, () => {
      assert.equal(describeManifestDifference(a, b), expected);
      assert.equal(describeManifestDifference(b, a), expected);
      assert.equal(manifestsEqual(a, b), expected === undefined);
    });
  }
});

describe('parsePackageJson', () => {
  it('reads name and version', () => {
    const { name, version } = parsePackageJson('\ufeff{"name":"a","version":"1.0.0"}');
    assert.deepEqual([name, version], ['a', '1.0.0']);
  });
  const refused: readonly [string, string, string][] = [
    ['no name', '{"version":"1.0.0"}', 'MANIFEST_MALFORMED'],
    ['a name that is no text', '{"name":1,"version":"1.0.0"}', 'MANIFEST_MALFORMED'],
    ['no version', '{"name":"a"}', 'MANIFEST_MALFORMED'],
    ['a list', '[]', 'MANIFEST_MALFORMED'],
    ['two names', '{"name":"a","version":"1.0.0","name":"b"}', 'JSON_MALFORMED'],
    ['no JSON', 'module.exports = {}', 'JSON_MALFORMED'],
  ];
  for (const [why, text, code] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parsePackageJson(text), { code });
    });
  }
});
