import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { silentLog } from '../log.ts';
import { Scrubber, type ScrubParts } from './scrubber.ts';

const digest = (n: number): string => n.toString(16).padStart(2, '0').repeat(64);
const ALL = Array.from({ length: 150 }, (_, i) => digest(i + 1));

interface Seen {
  readonly read: string[];
  readonly entries: number[];
  readonly pauses: number[];
  readonly rounds: {
    readonly artifacts: number;
    readonly damaged: number;
    readonly entries: number;
  }[];
  readonly failures: unknown[];
}

/** Runs one round. */
async function round(changes: Partial<ScrubParts> = {}): Promise<Seen> {
  const seen: Seen = { read: [], entries: [], pauses: [], rounds: [], failures: [] };
  await new Promise<void>((resolve) => {
    const scrubber = new Scrubber({
      heldAfter: (after, countMax) => ALL.filter((sha512) => sha512 > after).slice(0, countMax),
      read: async (sha512) => {
        seen.read.push(sha512);
        return sha512 === ALL[7] ? undefined : { size: sha512 === ALL[3] ? 4 * 1024 * 1024 : 100 };
      },
      size: () => 70,
      entry: async (index) => void seen.entries.push(index),
      failed: (error) => {
        seen.failures.push(error);
        resolve();
      },
      log: {
        ...silentLog,
        info: (_, fields) => void seen.rounds.push(fields as unknown as Seen['rounds'][number]),
      },
      pause: async (ms) => {
        seen.pauses.push(ms);
        // The pause between rounds is the longest: then it is closed.
        if (ms >= 3_600_000) {
          resolve();
          void scrubber.close();
        }
      },
      ...changes,
    });
    scrubber.start();
  });
  return seen;
}

describe('Scrubber', () => {
  it('reads every artifact and every entry once a round, and says what it found', async () => {
    const seen = await round();
    assert.deepEqual(seen.read, ALL);
    assert.deepEqual(
      seen.entries,
      Array.from({ length: 70 }, (_, i) => i),
    );
    assert.deepEqual(seen.rounds, [{ artifacts: 150, damaged: 1, entries: 70 }]);
    assert.deepEqual(seen.failures, []);
  });

  it('takes its time: as long as the bytes need at its rate, and never none', async () => {
    const { pauses } = await round();
    assert.equal(pauses[0], 60_000);
    assert.equal(pauses[1 + 3], 2000);
    assert.ok(
      pauses.every((ms) => ms > 0),
      'others get their turn after each',
    );
    // At the start, after each artifact, after each 32 entries, and at the end.
    assert.equal(pauses.length, 1 + 150 + 2 + 1);
  });

  it('reports damage of the log', async () => {
    const damage = new Error('entry 40 is damaged');
    const seen = await round({
      entry: async (index) => {
        if (index === 40) throw damage;
      },
    });
    assert.deepEqual(seen.failures, [damage]);
  });

  it('stops in the middle of a pause', async () => {
    const { pause: _, ...parts }: ScrubParts = {
      heldAfter: () => [],
      read: async () => undefined,
      size: () => 0,
      entry: async () => undefined,
      failed: (error) => assert.fail(String(error)),
      log: silentLog,
    };
    const scrubber = new Scrubber(parts);
    scrubber.start();
    await new Promise((resolve) => setTimeout(resolve, 10));
    await scrubber.close();
  });
});
