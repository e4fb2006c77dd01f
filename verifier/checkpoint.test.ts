import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
import { encodeBase64 } from './encoding.ts';
import { VerifyError } from './errors.ts';

const ROOT = 'vt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=';
const REAL = `go.sum database tree\n35225469\n${ROOT}\n`;
const EMPTY = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';

describe('parseCheckpoint', () => {
  it('reads the checkpoint of a real log', () => {
    const checkpoint = parseCheckpoint(REAL);
    assert.equal(checkpoint.origin, 'go.sum database tree');
    assert.equal(checkpoint.size, 35_225_469);
    assert.equal(encodeBase64(checkpoint.root), ROOT);
    assert.equal(formatCheckpoint(checkpoint), REAL);
  });

  it('reads the empty tree', () => {
    assert.equal(parseCheckpoint(`log\n0\n${EMPTY}\n`).size, 0);
  });

  it('reads the largest size', () => {
    assert.equal(parseCheckpoint(`log\n9007199254740991\n${ROOT}\n`).size, 2 ** 53 - 1);
  });

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['no final newline', REAL.slice(0, -1)],
    ['an extension line, which nobody here would understand', `${REAL}extension\n`],
    ['an empty line at the end', `${REAL}\n`],
    ['an empty origin', `\n1\n${ROOT}\n`],
    ['an origin with a carriage return', `log\r\n1\n${ROOT}\n`],
    ['an origin with a tab', `log\tA\n1\n${ROOT}\n`],
    ['an origin with a lone surrogate', `log\udc00\n1\n${ROOT}\n`],
    ['an origin of 256 characters', `${'a'.repeat(256)}\n1\n${ROOT}\n`],
    ['a leading zero', `log\n01\n${ROOT}\n`],
    ['a sign', `log\n+1\n${ROOT}\n`],
    ['a negative size', `log\n-1\n${ROOT}\n`],
    ['a space before the size', `log\n 1\n${ROOT}\n`],
    ['a hexadecimal size', `log\n0x10\n${ROOT}\n`],
    ['an exponent', `log\n1e3\n${ROOT}\n`],
    ['an empty size', `log\n\n${ROOT}\n`],
    ['a size of 2^53', `log\n9007199254740992\n${ROOT}\n`],
    ['a root of 31 bytes', `log\n1\n${encodeBase64(new Uint8Array(31))}\n`],
    ['a root of 33 bytes', `log\n1\n${encodeBase64(new Uint8Array(33))}\n`],
    ['no root', `log\n1\n\n`],
    ['a root without padding', `log\n1\n${ROOT.slice(0, -1)}\n`],
    ['a root with spare bits', `log\n1\n${ROOT.replace('CQ=', 'CR=')}\n`],
    ['a root in the URL alphabet', `log\n0\n${EMPTY.replace('+', '-')}\n`],
    ['another root for the empty tree', `log\n0\n${ROOT}\n`],
    ['far too much', REAL.repeat(10_000)],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseCheckpoint(text), { code: 'CHECKPOINT_MALFORMED' });
    });
  }

  it('refuses it cut off anywhere', () => {
    for (let end = 0; end < REAL.length; end++) {
      const cut = REAL.slice(0, end);
      assert.throws(() => parseCheckpoint(cut), { code: 'CHECKPOINT_MALFORMED' }, `${end}`);
    }
  });

  it('has one spelling per checkpoint, and refuses all else with its own code', () => {
    const line = fc.oneof(fc.constantFrom('log', '1', '007', '', EMPTY, ROOT, '\r'), fc.string());
    fc.assert(
      fc.property(fc.array(line, { maxLength: 5 }), (lines) => {
        const text = lines.join('\n');
        let checkpoint;
        try {
          checkpoint = parseCheckpoint(text);
        } catch (error) {
          assert.ok(error instanceof VerifyError && error.code === 'CHECKPOINT_MALFORMED');
          return;
        }
        assert.equal(formatCheckpoint(checkpoint), text);
      }),
    );
  });
});
