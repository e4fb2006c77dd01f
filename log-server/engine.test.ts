import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const ENGINE = fileURLToPath(new URL('engine.ts', import.meta.url));

// V8 writes a line for each thread that takes part in a collection of the young generation, then one with
// "Scavenge" in it for the collection itself.
const THREAD = /scavenge\[0x/;
const COLLECTION = /: Scavenge /;

/** The threads of each collection in a program that is tuned as under `nodeVersion`, and what it complained of. */
async function collections(nodeVersion: string): Promise<{ threads: number[]; stderr: string }> {
  const program = `
    const { setFlagsFromString } = require('node:v8');
    require(${JSON.stringify(ENGINE)}).tuneForReplicas(${JSON.stringify(nodeVersion)});
    setFlagsFromString('--trace-gc');
    setFlagsFromString('--trace-parallel-scavenge');
    let alive = [];
    for (let i = 0; i < 3_000_000; i++) {
      alive.push({ i });
      if (alive.length === 300_000) alive = [];
    }`;
  // As a CommonJS program: the loader of the other kind has a thread with a heap of its own, which writes as well.
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '--require',
    'tsx/cjs',
    '--input-type=commonjs',
    '--eval',
    program,
  ]);
  const threads: number[] = [];
  let count = 0;
  for (const line of stdout.split('\n')) {
    if (THREAD.test(line)) count += 1;
    if (!COLLECTION.test(line)) continue;
    threads.push(count);
    count = 0;
  }
  return { threads, stderr };
}

describe('tuneForReplicas', () => {
  it('has the young generation collected by one thread, and V8 knows the flags', async () => {
    const { threads, stderr } = await collections(process.versions.node);
    assert.equal(stderr, '');
    assert.ok(threads.length > 0, 'the program makes enough garbage for a collection');
    assert.deepEqual(
      threads.filter((count) => count !== 1),
      [],
      `threads of each collection: ${threads.join(' ')}`,
    );
  });

  it('leaves a V8 alone that it does not know', async () => {
    const { threads, stderr } = await collections('19.0.0');
    assert.equal(stderr, '');
    assert.ok(threads.length > 0, 'the program makes enough garbage for a collection');
  });
});
