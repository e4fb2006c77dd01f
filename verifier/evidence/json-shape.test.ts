import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { VerifyError } from '../errors.ts';
import { requireBoundedShape } from './json-shape.ts';

const refused = (error: unknown): boolean =>
  error instanceof VerifyError && error.code === 'JSON_MALFORMED';

// The dumb oracle: parse, then count.
function countValues(value: unknown): number {
  if (value === null || typeof value !== 'object') return 1;
  return Object.values(value).reduce<number>((sum, member) => sum + countValues(member), 1);
}

describe('requireBoundedShape', () => {
  const cases: readonly (readonly [text: string, values: number])[] = [
    ['0', 1],
    ['[1,2,3]', 4],
    ['{"a":[1],"b":{"c":2}}', 5],
    ['"[[[[,,,,{{{{"', 1],
    [String.raw`["a\"[,,,","\\",2]`, 4],
    [String.raw`"\\",1`, 2],
  ];
  for (const [text, values] of cases) {
    it(`counts ${values} in ${text}`, () => {
      requireBoundedShape(text, values);
      assert.throws(() => requireBoundedShape(text, values - 1), refused);
    });
  }

  it('never counts fewer values than there are, and at most one more for each empty bracket', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = JSON.stringify(value);
        const values = countValues(JSON.parse(text));
        const empty = text.match(/\[\]|\{\}/g)?.length ?? 0;
        requireBoundedShape(text, values + empty);
        assert.throws(() => requireBoundedShape(text, values - 1), refused);
      }),
      { seed: 1, numRuns: 500 },
    );
  });

  it('refuses deep nesting of either kind, and takes the allowed one', () => {
    requireBoundedShape('['.repeat(32), 1000);
    requireBoundedShape('[]'.repeat(100), 1000);
    assert.throws(() => requireBoundedShape('['.repeat(33), 1000), refused);
    assert.throws(() => requireBoundedShape('{"a":'.repeat(33), 1000), refused);
  });

  it('comes to an end in text that is not JSON', () => {
    for (const text of ['"', '"\\', '"\\"', ']]]]', '', '\\']) requireBoundedShape(text, 1000);
  });
});
