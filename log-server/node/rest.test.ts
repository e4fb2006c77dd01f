import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { silentLog } from '../log.ts';
import { Rest } from './rest.ts';

const MB = 1024 * 1024;

/** For tests of other things: what V8 is told counts for the whole process, and other tests are in it. */
const hold = (): void => undefined;

/** Looks once for each row: time that the loop was busy since the last look (of 10 s), and memory now. */
async function restsOf(looks: readonly (readonly [busyMs: number, mb: number])[]): Promise<string> {
  let busyMs = 0;
  let mb = 0;
  let rests = 0;
  const rest = new Rest({
    release: async () => {
      rests += 1;
    },
    collect: () => {
      mb = Math.min(mb, 100);
    },
    busyMs: () => busyMs,
    residentBytes: () => mb * MB,
    hold,
    log: silentLog,
  });
  const found: string[] = [];
  for (const [used, megabytes] of looks) {
    busyMs += used;
    mb = megabytes;
    const before = rests;
    await rest.look(10_000);
    found.push(rests > before ? 'rest' : '-');
  }
  return found.join(' ');
}

describe('Rest', () => {
  const rows: readonly (readonly [
    why: string,
    looks: readonly (readonly [busyMs: number, mb: number])[],
    expected: string,
  ])[] = [
    ['rests when there is nothing to do', [[200, 200]], 'rest'],
    [
      'goes on while there is',
      [
        [5000, 200],
        [1000, 200],
      ],
      '- -',
    ],
    [
      'rests three times, and no more as long as it does not grow',
      [
        [200, 200],
        [200, 110],
        [200, 100],
        [200, 100],
        [200, 110],
      ],
      'rest rest rest - -',
    ],
    [
      'puts the second rest off while there is something to do',
      [
        [200, 200],
        [9000, 100],
        [200, 100],
        [200, 100],
        [200, 100],
      ],
      'rest - rest rest -',
    ],
    [
      'rests again when it has grown',
      [
        [200, 200],
        [200, 200],
        [200, 200],
        [9000, 300],
        [200, 300],
      ],
      'rest rest rest - rest',
    ],
  ];
  for (const [why, looks, expected] of rows) {
    it(why, async () => assert.equal(await restsOf(looks), expected));
  }

  it('drops, then collects, then gives back', async () => {
    const done: string[] = [];
    const rest = new Rest({
      release: async () => {
        done.push('release');
      },
      collect: async () => {
        await Promise.resolve();
        done.push('collect');
      },
      trim: () => {
        done.push('trim');
      },
      hold,
      busyMs: () => 0,
      log: silentLog,
    });
    await rest.look(10_000);
    assert.deepEqual(done, ['release', 'collect', 'trim']);
  });

  it('keeps the young generation small from a quiet look on until there is something to do', async () => {
    let busyMs = 0;
    const held: boolean[] = [];
    const rest = new Rest({
      release: async () => undefined,
      // Takes half a second, which is no work.
      collect: () => {
        busyMs += 250;
        rest.watch(1000);
        busyMs += 250;
      },
      trim: () => undefined,
      hold: (isHeld) => held.push(isHeld),
      busyMs: () => busyMs,
      residentBytes: () => 200 * MB,
      log: silentLog,
    });
    busyMs += 5000;
    await rest.look(10_000);
    assert.deepEqual(held, [], 'busy');
    rest.watch(1000);
    await rest.look(10_000);
    assert.deepEqual(held, [true], 'a quiet look');
    busyMs += 20;
    rest.watch(1000);
    assert.deepEqual(held, [true], 'still quiet');
    busyMs += 200;
    rest.watch(1000);
    assert.deepEqual(held, [true, false], 'something to do');
    await rest.look(10_000);
    assert.deepEqual(held, [true, false, true], 'quiet again');
    await rest.stop();
    assert.deepEqual(held, [true, false, true, false], 'another replica may start in this process');
  });

  // A replica that is told to stop in the middle of one: the database was closed under it, and what should have been an
  // orderly end was a crash.
  it('is over when it has been stopped', async () => {
    let end: () => void = () => undefined;
    const steps: string[] = [];
    const rest = new Rest({
      release: async () => new Promise<void>((resolve) => (end = resolve)),
      collect: () => void steps.push('collected'),
      trim: () => undefined,
      hold,
      log: silentLog,
      busyMs: () => 0,
      residentBytes: () => 200 * MB,
    });
    const look = rest.look(10_000);
    const stopped = rest.stop().then(() => steps.push('stopped'));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(steps, []);
    end();
    await Promise.all([look, stopped]);
    assert.deepEqual(steps, ['collected', 'stopped']);
  });

  it('takes work that gets no core for work', async () => {
    let rests = 0;
    const release = async (): Promise<void> => {
      rests += 1;
    };
    // The loop counts from its first turn on.
    await new Promise((resolve) => setImmediate(resolve));
    const rest = new Rest({ release, hold, log: silentLog, residentBytes: () => 200 * MB });
    // As under a load of thirty: busy all the time, and hardly any of it on a core.
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
    await rest.look(1000);
    assert.equal(rests, 0);
  });

  it('gives the memory of a burst back', async () => {
    let burst: readonly object[] | undefined = Array.from({ length: 200_000 }, (_, i) => ({
      i,
      text: `${i}`,
    }));
    const release = async (): Promise<void> => undefined;
    const rest = new Rest({ release, hold, log: silentLog, busyMs: () => 0 });
    // Held until here: the collector must not have been there before.
    const before = process.memoryUsage().heapTotal;
    assert.equal(burst.length, 200_000);
    burst = undefined;
    await rest.look(10_000);
    const after = process.memoryUsage().heapTotal;
    assert.ok(after < before, `${before} bytes of heap before, ${after} after`);
  });
});
