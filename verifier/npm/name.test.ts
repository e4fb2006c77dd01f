import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';
import { createRequire } from 'node:module';

import { foldName, isPackageName, parsePackageName } from './name.ts';

// The library has no types of its own and is needed here only.
const validate = createRequire(import.meta.url)('validate-npm-package-name') as (name: string) => {
  readonly errors?: readonly string[];
  readonly warnings?: readonly string[];
};

/** What npm says, but for its rule against the names of Node's own modules. */
function acceptedByNpm(name: string): boolean {
  const { errors = [], warnings = [] } = validate(name);
  return [...errors, ...warnings].every((said) => said.endsWith(' is a core module name'));
}

/** Where we are stricter than npm on purpose; see name.ts. */
function strictHere(name: string): boolean {
  const [scope, base] = name.startsWith('@') ? name.split('/') : [undefined, name];
  return (
    (scope !== undefined && /[~'!()*]/.test(scope)) ||
    (scope !== undefined && (base === 'node_modules' || base === 'favicon.ico'))
  );
}

describe('parsePackageName', () => {
  const accepted: readonly [string, string | undefined, string][] = [
    ['left-pad', undefined, 'left-pad'],
    ['a', undefined, 'a'],
    ['0', undefined, '0'],
    ['lodash.merge', undefined, 'lodash.merge'],
    ['@types/node', 'types', 'node'],
    ['@a/http', 'a', 'http'],
    ['@a/_private', 'a', '_private'],
    ['constructor', undefined, 'constructor'],
    ['punycode', undefined, 'punycode'],
    ['http', undefined, 'http'],
    ['sys', undefined, 'sys'],
    ['x'.repeat(214), undefined, 'x'.repeat(214)],
  ];
  for (const [name, scope, base] of accepted) {
    it(`accepts ${name.slice(0, 40)}`, () => {
      assert.deepEqual(parsePackageName(name), { scope, base });
      assert.equal(acceptedByNpm(name), true);
    });
  }

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['a name that is too long', 'x'.repeat(215)],
    ['a scoped name that is too long', `@a/${'x'.repeat(212)}`],
    ['a capital letter', 'Left-pad'],
    ['a leading dot', '.left'],
    ['a leading hyphen, which is an option to programs', '-left'],
    ['a leading underscore', '_left'],
    ['a space in front', ' left'],
    ['a space behind', 'left '],
    ['a newline behind', 'left\n'],
    ['a prefixed module of Node', 'node:test'],
    ['the folder of installed packages', 'node_modules'],
    ['the same below a scope', '@a/node_modules'],
    ['an icon', 'favicon.ico'],
    ['a slash without a scope', 'a/b'],
    ['two slashes', '@a/b/c'],
    ['a scope alone', '@a'],
    ['an empty scope', '@/b'],
    ['an empty base', '@a/'],
    ['a hidden base', '@a/.b'],
    ['a way up', '@a/..'],
    ['a way up without a scope', '..'],
    ['an escape', '%40a'],
    ['a character that has to be escaped', 'ä'],
    ['a full-width look-alike', 'ｌeft-pad'],
    ['a NUL', 'a\0'],
    ['a special character', "a'b"],
    ['a special character in the scope', '@a!/b'],
    ['a backslash', 'a\\b'],
    ['a lone surrogate', '\ud800'],
    ['a version behind', 'a@1.0.0'],
  ];
  for (const [why, name] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parsePackageName(name), { code: 'PACKAGE_NAME_INVALID' });
    });
  }

  it('agrees with npm on generated names, but for the stated exceptions', () => {
    const character = fc.constantFrom(..."aaabz019-_.@/~!'()*% \n\0AZäｌ".split(''));
    const part = fc.oneof(
      fc.string({ unit: character, maxLength: 8 }),
      fc.constantFrom('http', 'HTTP', 'fs', 'node_modules', 'favicon.ico', 'sea', 'left-pad'),
      fc.constantFrom('x'.repeat(100), 'y'.repeat(111), 'z'.repeat(214)),
    );
    const name = fc.oneof(
      part,
      fc.tuple(part, part).map(([scope, base]) => `@${scope}/${base}`),
      fc.string({ unit: 'binary', maxLength: 12 }),
    );
    let accepted = 0;
    fc.assert(
      fc.property(name, (name) => {
        // The library's own code throws on a lone surrogate (encodeURIComponent).
        const surrogates = /\p{Surrogate}/u.test(name);
        const expected = !surrogates && !strictHere(name) && acceptedByNpm(name);
        if (expected) accepted++;
        assert.equal(isPackageName(name), expected, JSON.stringify(name));
      }),
      { numRuns: 20_000 },
    );
    assert.ok(accepted > 1000, `only ${accepted} names were valid: the property looks at nothing`);
  });
});

describe('foldName', () => {
  const alike: readonly [string, string][] = [
    ['lodash.merge', 'lodash-merge'],
    ['left_pad', 'leftpad'],
    ['JSONStream', 'jsonstream'],
    ['ｌodash', 'lodash'],
    ['@My-Org/x', '@myorg/x'],
  ];
  for (const [a, b] of alike) {
    it(`takes ${a} for ${b}`, () => {
      assert.equal(foldName(a), foldName(b));
    });
  }
  it('keeps the border between scope and name', () => {
    assert.notEqual(foldName('@ab/c'), foldName('@a/bc'));
  });
});
