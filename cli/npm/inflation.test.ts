import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { gzipSync } from 'node:zlib';

import { inflateInTurn } from './inflation.ts';
import { WeightedGate } from './weighted-gate.ts';

const ANY = 1024 * 1024;

function zeros(length: number): Uint8Array {
  return new Uint8Array(gzipSync(Buffer.alloc(length)));
}

/** With another length at its end. */
function claiming(tarball: Uint8Array, length: number): Uint8Array {
  const copy = Uint8Array.from(tarball);
  new DataView(copy.buffer).setUint32(copy.length - 4, length, true);
  return copy;
}

describe('inflateInTurn', () => {
  it('never has more unpacked than there is room for', async () => {
    const room = new WeightedGate(1000);
    const tarball = zeros(400);
    let held = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 16 }, async () => {
        await inflateInTurn(
          tarball,
          async (inflate) => {
            const archive = await inflate(tarball, ANY);
            held += archive.length;
            most = Math.max(most, held);
            await new Promise((resolve) => setImmediate(resolve));
            held -= archive.length;
          },
          room,
        );
      }),
    );
    assert.equal(most, 800);
  });

  it('lets one that is larger than all of the room in alone', async () => {
    const room = new WeightedGate(1000);
    const large = zeros(5000);
    let inside = 0;
    await Promise.all(
      [large, zeros(10), large].map(async (tarball) => {
        await inflateInTurn(
          tarball,
          async (inflate) => {
            assert.equal(inside++, 0, 'alone');
            assert.ok((await inflate(tarball, ANY)).length > 0, 'it is unpacked');
            inside--;
          },
          room,
        );
      }),
    );
  });

  // Without having unpacked the rest first.
  for (const [why, claimed, message] of [
    ['less', 10, /over 10 bytes/],
    ['nothing', 0, /over 1 bytes/],
    ['more', 900, /wrong length/],
  ] as const) {
    it(`gives no more than the length that is stated, and refuses ${why} than there is`, async () => {
      const tarball = claiming(zeros(500), claimed);
      await assert.rejects(
        inflateInTurn(tarball, async (inflate) => await inflate(tarball, ANY)),
        { code: 'ARCHIVE_UNSAFE', message },
      );
    });
  }

  it('gives no more than the caller takes', async () => {
    const tarball = zeros(500);
    await assert.rejects(
      inflateInTurn(tarball, async (inflate) => await inflate(tarball, 499)),
      { code: 'ARCHIVE_UNSAFE' },
    );
  });
});
