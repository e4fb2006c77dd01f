import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { collectGarbage } from '../../verifier/node/garbage.ts';
import { trimCHeap } from './c-heap.ts';

const MB = 1024 * 1024;

/** Bytes in each buffer: too many for V8's own heap, too few for a mapping of its own. */
const BUFFER_BYTES = 1500;

/** 60 MB of buffers. @returns every fiftieth, which lies in the way of all the others */
function burst(): readonly Uint8Array[] {
  const all = Array.from({ length: 40_000 }, (_, i) => new Uint8Array(BUFFER_BYTES).fill(i));
  return all.filter((_, i) => i % 50 === 0);
}

/** Frees what V8 sees is not used: its buffers are freed by another thread, a moment later. */
async function freeBuffers(): Promise<void> {
  for (let i = 0; i < 100; i++) {
    collectGarbage();
    if (process.memoryUsage().arrayBuffers < 10 * MB) return;
    await sleep(20);
  }
  assert.fail('the buffers of a burst are still there');
}

function isGlibc(): boolean {
  const report = process.report?.getReport() as { header?: { glibcVersionRuntime?: string } };
  return report.header?.glibcVersionRuntime !== undefined;
}

describe('trimCHeap', () => {
  it(
    'gives back what lies free between buffers in use',
    { skip: !isGlibc() && 'not glibc' },
    async () => {
      const kept = burst();
      await freeBuffers();
      // The collector and threads of V8 get memory and give it back meanwhile, a few megabytes.
      const before = process.memoryUsage.rss();
      assert.equal(trimCHeap(), true, 'some was given back');
      const after = process.memoryUsage.rss();
      assert.ok(before - after > 25 * MB, `${before} bytes resident before, ${after} after`);
      assert.ok(
        kept.every((bytes, i) => bytes[0] === ((i * 50) & 255) && bytes.length === BUFFER_BYTES),
        'what is in use stays',
      );
    },
  );

  it('loads no C library where it is another one', () => {
    assert.equal(
      trimCHeap(() => false),
      false,
    );
  });
});
