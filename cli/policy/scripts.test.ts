import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseConfigText } from './config-file.ts';
import type { Layer, Origin } from './policy.ts';
import { mayRunScripts, scriptTargetText, type ScriptsMode } from './scripts.ts';

const HEAD = { format: 'bftpkg-config/v1', pin: 'ab'.repeat(32), replicas: ['http://a'] };

function read(allowScripts: unknown): ReturnType<typeof parseConfigText>['allowScripts'] {
  return parseConfigText(JSON.stringify({ ...HEAD, allowScripts }), 'x', 'project').allowScripts;
}

function layer(origin: Origin, list: readonly string[] | undefined): readonly Layer[] {
  if (list === undefined) return [];
  const rest = { source: origin, checkpointAgeMaxSeconds: undefined, rules: [], exceptions: [] };
  return [{ origin, ...rest, allowScripts: read(list) ?? [] }];
}

describe('allowScripts', () => {
  it('is read with names, patterns and versions', () => {
    const list = ['esbuild', '@acme/*', 'better-sqlite3@12.11.1', '*'];
    assert.deepEqual(read(list)?.map(scriptTargetText), list);
    assert.deepEqual(read([]), []);
    assert.equal(parseConfigText(JSON.stringify(HEAD), 'x', 'project').allowScripts, undefined);
  });

  for (const bad of ['esbuild', [1], ['a b'], ['a@^1'], [''], { esbuild: true }, true]) {
    it(`refuses ${JSON.stringify(bad)}`, () => {
      assert.throws(() => read(bad), CliError);
    });
  }
});

describe('mayRunScripts', () => {
  type Lists = readonly string[] | undefined;
  const rows: readonly (readonly [string, Lists, Lists, ScriptsMode, boolean])[] = [
    ['no list', undefined, undefined, 'listed', false],
    ['no list, all', undefined, undefined, 'all', true],
    ['a list, none', ['a'], undefined, 'none', false],
    ['the project’s list', ['a'], undefined, 'listed', true],
    ['the project’s list with this version', ['a@1.0.0'], undefined, 'listed', true],
    ['the project’s list with another version', ['a@1.0.1'], undefined, 'listed', false],
    ['the project’s list without it, all', ['b'], undefined, 'all', true],
    ['the user’s list alone', undefined, ['a'], 'listed', true],
    ['the user’s list, which is empty', ['a'], [], 'listed', false],
    ['the user’s list, which is empty, all', undefined, [], 'all', false],
    ['the user’s list without it', ['*'], ['b'], 'listed', false],
    ['both lists', ['a'], ['*'], 'listed', true],
    ['the user’s list, not the project’s', ['b'], ['*'], 'listed', false],
  ];
  for (const [why, project, user, mode, expected] of rows) {
    it(`${expected ? 'allows' : 'forbids'} with ${why}`, () => {
      const layers = [...layer('user', user), ...layer('project', project)];
      assert.equal(mayRunScripts(layers, mode, { name: 'a', version: '1.0.0' }), expected);
    });
  }
});
