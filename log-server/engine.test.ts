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

/** Megabytes of the young generation after a burst while it is held, and after the same burst while it isn't. */
async function youngSizes(nodeVersion: string): Promise<readonly [held: number, free: number]> {
  const program = `
    const { getHeapSpaceStatistics } = require('node:v8');
    const { holdYoungGeneration } = require(${JSON.stringify(ENGINE)});
    const burst = () => {
      let alive = [];
      for (let i = 0; i < 2_000_000; i++) {
        alive.push({ i, list: [i] });
        if (alive.length === 100_000) alive = [];
      }
      const young = getHeapSpaceStatistics().find((one) => one.space_name === 'new_space');
      return young.space_size / 1024 / 1024;
    };
    const version = ${JSON.stringify(nodeVersion)};
    holdYoungGeneration(true, version);
    const held = burst();
    holdYoungGeneration(false, version);
    console.log(JSON.stringify([held, burst()]));`;
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    '--require',
    'tsx/cjs',
    '--input-type=commonjs',
    '--eval',
    program,
  ]);
  assert.equal(stderr, '');
  return JSON.parse(stdout) as readonly [held: number, free: number];
}

describe('holdYoungGeneration', () => {
  it('keeps it from growing until it may', async () => {
    const [held, free] = await youngSizes(process.versions.node);
    // Compiling the program itself made it grow a little before it was held.
    assert.ok(held <= 8, `${held} MB after a burst while it was held`);
    assert.ok(free >= 2 * held, `${held} MB while it was held, ${free} MB when it wasn't`);
  });

  it('leaves a V8 alone that it does not know', async () => {
    const [held] = await youngSizes('19.0.0');
    assert.ok(held > 8, `${held} MB after a burst`);
  });
});
