import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseNpmrc } from './npmrc.ts';
import { parseInstallSpec } from './resolve.ts';

describe('parseNpmrc', () => {
  const refused: readonly (readonly [string, string])[] = [
    ['a git of its own', 'git=./pwn.sh'],
    ['a git with spaces around', '  git  =  ./pwn.sh'],
    ['a git in quotes', '"git" = "./pwn.sh"'],
    ['a git in capitals', 'GIT=./pwn.sh'],
    ['a git as a list', 'git[]=./pwn.sh'],
    ['a git after a carriage return', 'a=b\rgit=./pwn.sh'],
    ['a shell of its own', 'script-shell=/tmp/x'],
    ['options for Node', 'node-options=--require ./x.js'],
    ['a way round the proxy', 'noproxy=evil.example'],
    ['scripts switched on', 'ignore-scripts=false'],
    ['git dependencies switched on', 'allow-git=all'],
    ['git dependencies of the root switched on', 'allow-git=root'],
    ['another configuration', 'userconfig=./x'],
    ['a git in JSON', '"gi\\u0074"=./pwn.sh'],
    ['a git in two kinds of quotes', `'"git"'=./pwn.sh`],
    ['a git before a comment', 'git;x=./pwn.sh'],
    ['a git before another comment', 'git # x = ./pwn.sh'],
    ['a git with a variable that is not there', 'gi${NOBODY?}t=./pwn.sh'],
    ['scripts switched on before a comment', 'ignore-scripts=false ; really'],
    ['scripts switched on with a number', 'ignore-scripts=0'],
    ['scripts switched on with a variable', 'ignore-scripts=${NOBODY?}false'],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(
        () => parseNpmrc(text, '.npmrc'),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP6003',
      );
    });
  }

  it('names the line', () => {
    assert.throws(() => parseNpmrc('a=b\n; comment\ngit=x', '.npmrc'), /\.npmrc:3/);
  });

  it('passes on what shapes the tree, and says what has no effect', () => {
    const text = 'legacy-peer-deps=true\n# c\nregistry=https://r.example\nsave-exact\n';
    assert.deepEqual(parseNpmrc(text, 'x'), {
      flags: ['--legacy-peer-deps=true', '--save-exact=true'],
      ignored: ['registry'],
    });
  });

  it('passes no value on that could be another flag', () => {
    assert.deepEqual(parseNpmrc('omit=dev --git=x', 'x').flags, []);
    assert.deepEqual(parseNpmrc('omit=${EVIL}', 'x').flags, []);
  });

  it('takes scripts switched off for harmless', () => {
    assert.deepEqual(parseNpmrc('ignore-scripts=true', 'x').ignored, ['ignore-scripts']);
    // So it is here anyway.
    assert.deepEqual(parseNpmrc('allow-git=none', 'x').ignored, []);
  });
});

describe('parseInstallSpec', () => {
  const good: readonly (readonly [string, string, string | undefined])[] = [
    ['left-pad', 'left-pad', undefined],
    ['left-pad@1.0.0', 'left-pad', '1.0.0'],
    ['@acme/x', '@acme/x', undefined],
    ['@acme/x@^2.0.0', '@acme/x', '^2.0.0'],
    ['x@>=1 <2', 'x', '>=1 <2'],
    ['x@latest', 'x', 'latest'],
  ];
  for (const [text, name, range] of good) {
    it(`reads ${text}`, () => assert.deepEqual(parseInstallSpec(text), { name, range }));
  }

  const bad = [
    '',
    '.',
    './x',
    '../x',
    '/x',
    'a/b',
    'github:a/b',
    'git+ssh://a/b',
    'https://e.example/x.tgz',
    'x@https://e.example/x.tgz',
    'x@npm:y@1',
    'x@file:../y',
    'x@git+ssh://a/b',
    'x@github:a/b',
    'x@a/b',
    '-g',
    '--git=x',
    'x@',
    'x\ny',
    'X',
    '.hidden',
  ];
  for (const text of bad) {
    it(`refuses ${JSON.stringify(text)}`, () => {
      assert.throws(
        () => parseInstallSpec(text),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP9003',
      );
    });
  }
});
