import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { concat, utf8 } from '../bytes.ts';
import { gunzip as gunzipLater, gunzipNow } from './gunzip.ts';

const CONTENT = utf8('package/package.json '.repeat(50));
const FILE = new Uint8Array(gzipSync(CONTENT));
const EMPTY = new Uint8Array(gzipSync(new Uint8Array(0)));

/** The file with these flags and fields between the fixed header and the data. */
function withFields(flags: number, ...fields: readonly Uint8Array[]): Uint8Array {
  const file = Uint8Array.from(FILE);
  file[3] = flags;
  return concat(file.subarray(0, 10), ...fields, file.subarray(10));
}

function withByte(index: number, value: number): Uint8Array {
  const file = Uint8Array.from(FILE);
  file[index < 0 ? file.length + index : index] = value;
  return file;
}

const BOTH: readonly (readonly [name: string, gunzip: typeof gunzipLater])[] = [
  ['gunzip', gunzipLater],
  ['gunzipNow', async (bytes, outputMax) => gunzipNow(bytes, outputMax)],
];

for (const [name, gunzip] of BOTH) {
  describe(name, () => {
    const rows: readonly [string, Uint8Array, Uint8Array][] = [
      ['a file', FILE, CONTENT],
      ['an empty one', EMPTY, new Uint8Array(0)],
      ['one with a name', withFields(0x08, utf8('left-pad.tar\0')), CONTENT],
      ['one with a comment', withFields(0x10, utf8('hello\0')), CONTENT],
      ['one with an extra field', withFields(0x04, Uint8Array.of(3, 0, 1, 2, 3)), CONTENT],
      ['one with a sum over its header', withFields(0x02, Uint8Array.of(0, 0)), CONTENT],
      [
        'one with everything',
        withFields(0x1e, Uint8Array.of(1, 0, 9), utf8('a\0b\0'), Uint8Array.of(0, 0)),
        CONTENT,
      ],
    ];
    for (const [what, file, content] of rows) {
      it(`unpacks ${what}`, async () => assert.deepEqual(await gunzip(file, 10_000), content));
    }

    it('lets exactly the limit out', async () => {
      assert.equal((await gunzip(FILE, CONTENT.length)).length, CONTENT.length);
      await assert.rejects(gunzip(FILE, CONTENT.length - 1), { code: 'ARCHIVE_UNSAFE' });
    });

    it('stops a bomb at its limit', async () => {
      const bomb = new Uint8Array(gzipSync(new Uint8Array(64 * 1024 * 1024), { level: 9 }));
      assert.ok(bomb.length < 100_000);
      await assert.rejects(gunzip(bomb, 1024 * 1024), { code: 'ARCHIVE_UNSAFE' });
    });

    const refused: readonly [string, Uint8Array][] = [
      ['nothing', new Uint8Array(0)],
      ['something else', utf8('PK\u0003\u0004 and more than eighteen bytes')],
      ['another method', withByte(2, 7)],
      ['reserved flags', withByte(3, 0x20)],
      ['a second member, which other readers would skip', concat(FILE, FILE)],
      ['an empty second member, which keeps both sums right', concat(EMPTY, FILE)],
      ['zeros behind it, which Node would skip', concat(FILE, new Uint8Array(512))],
      ['a byte behind it', concat(FILE, Uint8Array.of(1))],
      ['a wrong CRC', withByte(-8, (FILE.at(-8) ?? 0) ^ 1)],
      ['a wrong length', withByte(-4, (FILE.at(-4) ?? 0) ^ 1)],
      [
        'a name without end',
        concat(withByte(3, 0x08).subarray(0, 10), new Uint8Array(20).fill(65)),
      ],
      ['an extra field beyond the end', withFields(0x04, Uint8Array.of(255, 255))],
      ['broken data', withByte(12, (FILE[12] ?? 0) ^ 0xff)],
    ];
    for (const [why, file] of refused) {
      it(`refuses ${why}`, async () => {
        await assert.rejects(gunzip(file, 1_000_000), { code: 'ARCHIVE_UNSAFE' });
      });
    }

    it('refuses it cut off anywhere', async () => {
      for (let end = 0; end < FILE.length; end++) {
        const cut = FILE.subarray(0, end);
        await assert.rejects(gunzip(cut, 10_000), { code: 'ARCHIVE_UNSAFE' }, `${end} bytes`);
      }
    });
  });
}
