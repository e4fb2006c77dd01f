// What npm would fetch before anything is judged. All refused forms were fetched, or read, by npm 10.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { JsonValue } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { parseLockfile } from './lockfile.ts';
import { requireRegistryRanges } from './registry-ranges.ts';

const EVIL = 'https://evil.example/x.tgz';

function check(document: JsonValue, folder: string = ''): void {
  requireRegistryRanges([{ folder, text: JSON.stringify(document) }], undefined);
}

function isRefusal(error: unknown): boolean {
  return error instanceof CliError && error.diagnostic.code === 'BP6006';
}

describe('requireRegistryRanges', () => {
  for (const range of [
    '^1.0.0',
    '',
    '*',
    '>=1.0.0 <2 || 3.x',
    'latest',
    'npm:other@^1',
    'npm:@acme/other@1.0.0',
    'file:./lib',
    'file:lib/one',
    './lib',
  ]) {
    it(`takes ${JSON.stringify(range)}`, () => check({ dependencies: { x: range } }));
  }

  it('takes a folder beside that of a workspace, and overrides by name', () => {
    check({ devDependencies: { x: 'file:../two' } }, 'packages/one');
    check({ overrides: { a: { '.': '1.0.0', b: '$b' } }, scripts: { x: EVIL }, homepage: EVIL });
  });

  for (const range of [
    EVIL,
    'http://evil.example/x',
    'git+https://evil.example/x.git',
    'git://evil.example/x',
    'git@evil.example:x/y.git',
    'github:x/y',
    'gist:0123',
    'x/y',
    'x/y#semver:^1',
    'x.tgz',
    'file:x.tgz',
    'file:./x.tar.gz',
    './x.tar',
    'file:../lib',
    '..',
    'file:/etc',
    'file:///etc',
    '/etc/x',
    '~/x',
    'file:~/x',
    'C:\\x',
    '.\\..\\x',
    'file:%2e%2e/x',
    'npm:https://evil.example/x.tgz',
    'npm:@a/b@github:x/y',
    ` ${EVIL}`,
  ]) {
    it(`refuses ${JSON.stringify(range)}`, () => {
      assert.throws(() => check({ dependencies: { x: range } }), isRefusal);
    });
  }

  it('refuses them wherever npm looks', () => {
    for (const field of ['devDependencies', 'optionalDependencies', 'peerDependencies']) {
      assert.throws(() => check({ [field]: { x: EVIL } }), isRefusal, field);
    }
    assert.throws(() => check({ overrides: { a: { 'b@1': { '.': EVIL } } } }), isRefusal);
    assert.throws(() => check({ dependencies: { x: EVIL } }, 'packages/one'), isRefusal);
  });

  it('refuses an entry of the lockfile that has no digest of a release', () => {
    const packages = { '': {}, 'node_modules/x': { version: '1.0.0', resolved: EVIL } };
    const text = JSON.stringify({ lockfileVersion: 3, packages });
    const lockfile = parseLockfile(Buffer.from(text), 'package-lock.json');
    assert.throws(() => requireRegistryRanges([], lockfile), isRefusal);
  });
});
