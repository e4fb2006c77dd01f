import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';
import semver from 'semver';

import { compareVersions, isPrerelease, isVersion, parseVersion } from './version.ts';

const component = fc.oneof(
  { arbitrary: fc.integer({ min: 0, max: 3 }).map(String), weight: 4 },
  fc.constantFrom('00', '01', '9007199254740991', '9007199254740992', '', '-1', '1e3'),
);
const identifier = fc.oneof(
  fc.string({ unit: fc.constantFrom(...'01aB-'.split('')), maxLength: 3 }),
  fc.constantFrom('alpha', 'beta', 'rc', '9007199254740992', 'ä', '0', '01'),
);
const versionLike = fc
  .tuple(
    fc.constantFrom('', '', '', '', 'v', '=', ' '),
    fc.array(component, { minLength: 3, maxLength: 3 }),
    fc.array(identifier, { maxLength: 3 }),
    fc.constantFrom('', '', '', '+build', ' ', '-', '.', '.4'),
  )
  .map(([front, core, pre, behind]) => {
    const prerelease = pre.length === 0 ? '' : `-${pre.join('.')}`;
    return front + core.join('.') + prerelease + behind;
  });

describe('parseVersion', () => {
  it('takes a version apart', () => {
    assert.deepEqual(parseVersion('1.20.3-rc.1.x-y.0a'), {
      major: 1,
      minor: 20,
      patch: 3,
      prerelease: ['rc', 1, 'x-y', '0a'],
    });
    assert.equal(isPrerelease(parseVersion('1.0.0')), false);
    assert.equal(isPrerelease(parseVersion('1.0.0-0')), true);
  });

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['a partial version', '1.2'],
    ['a fourth number', '1.2.3.4'],
    ['a leading zero', '01.2.3'],
    ['a leading zero in a prerelease', '1.2.3-01'],
    ['an empty prerelease', '1.2.3-'],
    ['an empty identifier', '1.2.3-a..b'],
    ['build metadata, which npm drops', '1.2.3+build'],
    ['a v', 'v1.2.3'],
    ['an equals sign', '=1.2.3'],
    ['a space in front', ' 1.2.3'],
    ['a newline behind', '1.2.3\n'],
    ['a sign', '+1.2.3'],
    ['an exponent', '1e3.0.0'],
    ['a range', '^1.2.3'],
    ['a tag', 'latest'],
    ['digits that are not ASCII', '١.2.3'],
    ['a number above 2^53 - 1', '9007199254740992.0.0'],
    ['such a number in a prerelease', '1.0.0-9007199254740992'],
    ['a version that is too long', `1.0.0-${'a'.repeat(251)}`],
    ['a slash', '1.0.0-a/b'],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseVersion(text), { code: 'VERSION_INVALID' });
    });
  }

  it('accepts exactly what semver takes for its own canonical form, if its numbers are safe', () => {
    let accepted = 0;
    fc.assert(
      fc.property(versionLike, (text) => {
        const dash = text.indexOf('-');
        const core = dash < 0 ? text : text.slice(0, dash);
        const identifiers = [...core.split('.'), ...text.slice(core.length + 1).split('.')];
        const unsafe = identifiers.includes('9007199254740992');
        const expected = !unsafe && semver.valid(text) === text;
        if (expected) accepted++;
        assert.equal(isVersion(text), expected, text);
      }),
      { numRuns: 20_000, seed: 2 },
    );
    assert.ok(
      accepted > 1000,
      `only ${accepted} versions were valid: the property looks at nothing`,
    );
  });

  it('takes time in proportion to the length', () => {
    // 256 characters of every kind that a backtracking pattern could trip over.
    for (const filler of ['0', '1', 'a', '-', '.', '1a', 'a.', '0-']) {
      assert.equal(isVersion(`1.0.0-${filler.repeat(120)}!`), false);
    }
  });
});

describe('compareVersions', () => {
  it('orders the example of the specification', () => {
    const ordered = [
      '1.0.0-alpha',
      '1.0.0-alpha.1',
      '1.0.0-alpha.beta',
      '1.0.0-beta',
      '1.0.0-beta.2',
      '1.0.0-beta.11',
      '1.0.0-rc.1',
      '1.0.0',
      '2.0.0',
      '2.1.0',
      '2.1.1',
      '2.1.10',
    ];
    assert.deepEqual(ordered.toReversed().sort(compareVersions), ordered);
  });

  it('agrees with semver, and calls only equal text equal', () => {
    const valid = versionLike.filter(isVersion);
    fc.assert(
      fc.property(valid, valid, (a, b) => {
        const order = compareVersions(a, b);
        assert.equal(Math.sign(order), semver.compare(a, b), `${a} and ${b}`);
        assert.equal(order === 0, a === b, `${a} and ${b}`);
      }),
      { numRuns: 5000, seed: 3 },
    );
  });
});
