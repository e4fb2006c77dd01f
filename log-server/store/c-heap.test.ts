import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { trimCHeap } from './c-heap.ts';

const C_HEAP = fileURLToPath(new URL('c-heap.ts', import.meta.url));
const GARBAGE = fileURLToPath(new URL('../../verifier/node/garbage.ts', import.meta.url));

const MB = 1024 * 1024;

/** What a process saw that has nothing else in its heap. */
interface Seen {
  /** What `trimCHeap` said. */
  readonly isGiven: boolean;
  /** Resident bytes. */
  readonly before: number;
  readonly after: number;
  /** Whether the buffers in use are as they were. */
  readonly isWhole: boolean;
}

/**
 * Makes 60 MB of buffers, too large for V8's own heap and too small for mappings of their own; drops all but
 * every fiftieth, which lie in the way of the others; and gives back.
 */
async function seenBehindBurst(): Promise<Seen> {
  const program = `
    const { trimCHeap } = require(${JSON.stringify(C_HEAP)});
    const { collectGarbage } = require(${JSON.stringify(GARBAGE)});
    const burst = () => {
      const all = Array.from({ length: 40_000 }, (_, i) => new Uint8Array(1500).fill(i));
      return all.filter((_, i) => i % 50 === 0);
    };
    const kept = burst();
    const show = () => {
      const before = process.memoryUsage.rss();
      const isGiven = trimCHeap();
      const after = process.memoryUsage.rss();
      const isWhole = kept.every((bytes, i) => bytes.every((byte) => byte === ((i * 50) & 255)));
      console.log(JSON.stringify({ isGiven, before, after, isWhole }));
    };
    // What the collector drops, another thread frees a moment later.
    const wait = (turns) => {
      collectGarbage();
      if (process.memoryUsage().arrayBuffers < ${10 * MB}) return show();
      if (turns === 0) throw new Error('the buffers of a burst are still there');
      setTimeout(() => wait(turns - 1), 20);
    };
    setTimeout(() => wait(500), 0);`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    '--require',
    'tsx/cjs',
    '--input-type=commonjs',
    '--eval',
    program,
  ]);
  return JSON.parse(stdout) as Seen;
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
      const { isGiven, before, after, isWhole } = await seenBehindBurst();
      assert.equal(isGiven, true, 'some was given back');
      assert.ok(before - after > 25 * MB, `${before} bytes resident before, ${after} after`);
      assert.equal(isWhole, true, 'what is in use stays');
    },
  );

  it('loads no C library where it is another one', () => {
    assert.equal(
      trimCHeap(() => false),
      false,
    );
  });
});
