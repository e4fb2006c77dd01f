import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ArtifactGroup, GATHER_MS_MAX, GATHER_MS_MIN, GROUP_COUNT_MAX } from './artifact-group.ts';
import type { ArtifactEntry } from './artifact-tables.ts';

const ENTRY: ArtifactEntry = {
  facts: { sha512: 'ab'.repeat(64), size: 1, name: 'a', version: '1.0.0', manifest: {} },
  receivedSeconds: 0,
  bytes: Uint8Array.of(1),
};

/** A group on a disk whose transactions take as long as the test says. */
class World {
  /** Sizes of the transactions so far. */
  readonly groups: number[] = [];
  /** How long each group was waited for, milliseconds. */
  readonly waits: number[] = [];
  readonly group: ArtifactGroup;
  #tasks: (() => void)[] = [];
  #nowMs = 0;

  constructor(transactionMs: number, fails = false) {
    const putAll = (entries: readonly ArtifactEntry[]): void => {
      this.groups.push(entries.length);
      this.#nowMs += transactionMs;
      if (fails) throw new Error('disk full');
    };
    this.group = new ArtifactGroup(
      { putAll },
      {
        nowMs: () => this.#nowMs,
        after: (milliseconds, task) => {
          this.waits.push(milliseconds);
          this.#tasks.push(task);
        },
      },
    );
  }

  put(count: number): Promise<unknown> {
    return Promise.allSettled(Array.from({ length: count }, () => this.group.put(ENTRY)));
  }

  runTimers(): void {
    while (this.#tasks.length > 0) this.#tasks.shift()?.();
  }
}

describe('ArtifactGroup', () => {
  const rows: readonly (readonly [why: string, transactionMs: number, waitMs: number])[] = [
    ['hardly on a fast disk', 0.5, GATHER_MS_MIN],
    ['twice as long as the last transaction took', 7, 14],
    ['never for long', 5000, GATHER_MS_MAX],
  ];
  for (const [why, transactionMs, waitMs] of rows) {
    it(`gathers ${why}`, async () => {
      const world = new World(transactionMs);
      for (const count of [1, 3]) {
        const done = world.put(count);
        world.runTimers();
        await done;
      }
      assert.deepEqual(world.waits, [GATHER_MS_MIN, waitMs]);
      assert.deepEqual(world.groups, [1, 3], 'what comes meanwhile is one transaction');
    });
  }

  it('lets others have their turn between the transactions of many', async () => {
    const world = new World(5);
    const done = world.put(2 * GROUP_COUNT_MAX + 1);
    world.runTimers();
    await done;
    assert.deepEqual(world.groups, [GROUP_COUNT_MAX, GROUP_COUNT_MAX, 1]);
    assert.deepEqual(world.waits, [GATHER_MS_MIN, 10, 10]);
  });

  it('tells all of a group whose transaction failed, and goes on', async () => {
    const world = new World(1, true);
    for (let i = 0; i < 2; i++) {
      const done = Promise.allSettled([world.group.put(ENTRY), world.group.put(ENTRY)]);
      world.runTimers();
      for (const { status } of await done) assert.equal(status, 'rejected');
    }
    assert.deepEqual(world.groups, [2, 2]);
  });
});
