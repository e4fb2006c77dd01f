import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Request } from '../../verifier/replication/messages.ts';
import { DEFAULT_LIMITS } from './defaults.ts';
import {
  Exposures,
  REMINDED_AFTER,
  ROOMY_BATCHES_MAX,
  fairBatches,
  isFullBatch,
} from './exposure.ts';

const LIMITS = {
  ...DEFAULT_LIMITS,
  batchRequestsMax: 10,
  batchBytesMax: 100_000,
  laneRequestsMax: 5,
  laneBytesMax: 1_000,
};
/** Four lanes of five and a batch more in batches of ten; four lanes of 1,000 bytes; one begun; and two. */
const PATIENCE = 6 + 1 + 1 + 2;

const sized = (id: string, bytes: number): Request => ({ id, bytes: new Uint8Array(bytes) });

/** Of a drained lane every batch counts; those with room besides, once it was sent again. */
const least = (patience: number): number =>
  Math.min(patience * PATIENCE, REMINDED_AFTER + patience * ROOMY_BATCHES_MAX);

const PATIENCE_WITH_ROOM = REMINDED_AFTER + ROOMY_BATCHES_MAX;

/** With a leader that has emptied its lane of whatever it got before, by this height. */
function drained(height = PATIENCE): Exposures {
  const exposures = new Exposures(LIMITS);
  exposures.pass({ height: height - PATIENCE, isFull: true });
  exposures.drain(height, 4);
  return exposures;
}

describe('Exposures.hasRoomFor', () => {
  const cases: readonly (readonly [string, readonly number[], number, boolean])[] = [
    ['an empty lane', [], 1_000, true],
    ['a single one of any size', [], 1_000_000, true],
    ['the last place', [10, 10, 10, 10], 10, true],
    ['one too many', [10, 10, 10, 10, 10], 10, false],
    ['bytes to the last', [600, 300], 100, true],
    ['a byte too many', [600, 300], 101, false],
  ];
  for (const [why, given, bytes, expected] of cases) {
    it(why, () => {
      const exposures = drained();
      for (const [i, size] of given.entries()) exposures.add(sized(`r${i}`, size), 0, 0, false);
      assert.equal(exposures.hasRoomFor(sized('next', bytes), false), expected);
    });
  }

  it('begins with a batch, which fits into a lane that is full of what came before', () => {
    const limits = { ...LIMITS, laneRequestsMax: 20, laneBytesMax: 200_000 };
    const exposures = new Exposures(limits);
    exposures.add(sized('r0', 1), 0, 0, false);
    assert.equal(exposures.hasRoomFor(sized('a', 99_999), false), true);
    assert.equal(exposures.hasRoomFor(sized('a', 100_000), false), false);
    for (let i = 1; i < 10; i++) exposures.add(sized(`r${i}`, 1), 0, 0, false);
    assert.equal(exposures.hasRoomFor(sized('a', 1), false), false);
    // That one is committed proves nothing: another lane may have had it too.
    exposures.delete('r0');
    assert.equal(exposures.hasRoomFor(sized('a', 100_001), false), false);
    exposures.drain(fairBatches(limits, 4), 4);
    assert.equal(exposures.hasRoomFor(sized('a', 100_001), false), true);
  });

  it('is half of it, by number and by bytes, for what others hand in; one is always let in', () => {
    const few = new Exposures({ ...LIMITS, laneRequestsMax: 5, batchRequestsMax: 5 });
    for (let i = 0; i < 3; i++) {
      assert.equal(few.hasRoomFor(sized(`r${i}`, 1), true), true, `place ${i}`);
      few.add(sized(`r${i}`, 1), 0, 0, true);
    }
    assert.equal(few.hasRoomFor(sized('r3', 1), true), false);
    assert.equal(few.hasRoomFor(sized('own', 1), false), true);
    few.delete('r1');
    assert.equal(few.hasRoomFor(sized('r3', 1), true), true, 'places come back');

    const large = new Exposures(LIMITS);
    large.add(sized('own', 100), 0, 0, false);
    assert.equal(large.hasRoomFor(sized('r0', 900), true), true, 'whatever its size');
    large.add(sized('r0', 400), 0, 0, true);
    assert.equal(large.hasRoomFor(sized('r1', 100), true), true);
    assert.equal(large.hasRoomFor(sized('r1', 101), true), false);
    large.clear();
    large.add(sized('own', 1), 0, 0, false);
    assert.equal(
      large.hasRoomFor(sized('r1', 999), true),
      true,
      'nothing is left of the leader before',
    );
  });

  it('gives room and bytes back, once', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 900), 0, 0, false);
    exposures.add(sized('b', 1), 0, 0, false);
    exposures.delete('a');
    exposures.delete('a');
    assert.equal(exposures.size, 1);
    assert.equal(exposures.hasRoomFor(sized('c', 999), false), true);
    assert.equal(exposures.hasRoomFor(sized('c', 1_000), false), false);
  });
});

describe('Exposures.starved', () => {
  /** Batches after which a request that was given away at height 10 is starved, full ones or not. */
  function batchesUntilStarved(isFull: (height: number) => boolean, patience = 1): number {
    const exposures = drained();
    exposures.add(sized('a', 1), 10, 0, false);
    exposures.add(sized('b', 1), 12, 0, false);
    for (let height = 11; height < 100; height++) {
      exposures.pass({ height, isFull: isFull(height) });
      exposures.remind();
      const found = exposures.starved(height, 4, patience, 9)[0];
      if (found !== undefined) {
        assert.equal(found, 'a', 'the one that waits for longest');
        return height - 10;
      }
    }
    return assert.fail('never starved');
  }

  const cases: readonly (readonly [string, (height: number) => boolean, number, number])[] = [
    ['full batches: as many as honest lanes may hold', () => true, 1, PATIENCE],
    ['with patience twice that', () => true, 2, 2 * PATIENCE],
    ['some that had room, before it is sent again and after', () => false, 1, least(1)],
    ['with patience more', () => false, 2, least(2)],
  ];
  for (const [why, isFull, patience, expected] of cases) {
    it(why, () => assert.equal(batchesUntilStarved(isFull, patience), expected));
  }

  it('counts full batches from when the lane is drained of what the leader got before', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 10, 0, false);
    exposures.add(sized('b', 1), 10, 0, false);
    exposures.delete('b');
    for (let height = 11; height < 10 + 2 * PATIENCE; height++) {
      exposures.pass({ height, isFull: true });
      exposures.drain(height, 4);
      assert.equal(exposures.starved(height, 4, 1, 9)[0], undefined, `height ${height}`);
    }
    assert.equal(exposures.starved(10 + 2 * PATIENCE, 4, 1, 9)[0], 'a');
  });

  it('does not wait for that when batches have room', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 10, 0, false);
    for (let i = 1; i <= PATIENCE_WITH_ROOM; i++) {
      assert.equal(exposures.starved(10 + i - 1, 4, 1, 9)[0], undefined);
      exposures.pass({ height: 10 + i, isFull: false });
      exposures.remind();
    }
    assert.equal(exposures.starved(10 + PATIENCE_WITH_ROOM, 4, 1, 9)[0], 'a');
  });

  it('knows nothing of the next leader', () => {
    const exposures = drained();
    exposures.clear();
    exposures.add(sized('a', 1), 10, 0, false);
    exposures.drain(10 + PATIENCE - 1, 4);
    assert.equal(exposures.starved(10 + 2 * PATIENCE, 4, 1, 9)[0], undefined);
  });

  it('counts batches that had room, not how long ago the first of them was', () => {
    const wide = new Exposures({ ...LIMITS, laneRequestsMax: 1_000 });
    wide.add(sized('a', 1), 10, 0, false);
    for (let height = 11; height < 200; height++) {
      const isFull = height % 10 !== 0;
      wide.pass({ height, isFull });
      wide.remind();
      if (wide.starved(height, 4, 1, 9)[0] === undefined) continue;
      assert.equal(height, PATIENCE_WITH_ROOM * 10 + 10);
      return;
    }
    assert.fail('a leader with room is never suspected');
  });

  it('does not count batches up to the height that the log had reached', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 50, 0, false);
    for (let height = 11; height <= 50; height++) exposures.pass({ height, isFull: false });
    assert.equal(exposures.starved(50, 4, 1, 9)[0], undefined);
  });

  it('counts anew after a restart, and never back', () => {
    const exposures = drained();
    exposures.add(sized('a', 1), 10, 0, false);
    for (let height = 11; height <= 14; height++) exposures.pass({ height, isFull: false });
    exposures.restart(14);
    exposures.restart(3);
    assert.deepEqual(exposures.drain(14 + PATIENCE - 1, 4), []);
    assert.deepEqual(exposures.drain(14 + PATIENCE, 4), ['a']);
    assert.equal(exposures.starved(14 + 2 * PATIENCE - 1, 4, 1, 9)[0], undefined);
    assert.equal(exposures.starved(14 + 2 * PATIENCE, 4, 1, 9)[0], 'a');
  });

  it('suspects nobody when nothing is with the leader', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 0, 0, false);
    exposures.clear();
    assert.equal(exposures.starved(1_000, 4, 1, 9)[0], undefined);
  });
});

describe('Exposures.remind', () => {
  it('names what batches with room have passed by, once, and counts anew from there', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 10, 0, false);
    exposures.add(sized('b', 1), 11, 0, false);
    for (let i = 1; i < REMINDED_AFTER; i++) exposures.pass({ height: 10 + i, isFull: false });
    assert.deepEqual(exposures.remind(), []);
    exposures.pass({ height: 10 + REMINDED_AFTER, isFull: true });
    assert.deepEqual(exposures.remind(), [], 'a full one had no room');
    exposures.pass({ height: 11 + REMINDED_AFTER, isFull: false });
    assert.deepEqual(exposures.remind(), ['a']);
    assert.deepEqual(exposures.remind(), []);
    exposures.pass({ height: 12 + REMINDED_AFTER, isFull: false });
    assert.deepEqual(exposures.remind(), ['b']);
  });

  it('suspects nobody of passing by what was not sent again', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 10, 0, false);
    for (let i = 1; i <= 50; i++) exposures.pass({ height: 10 + i, isFull: false });
    assert.equal(exposures.starved(60, 4, 1, 9)[0], undefined);
  });
});

describe('Exposures.drain', () => {
  it('names everything with the leader, once, when the lane must be drained', () => {
    const exposures = new Exposures(LIMITS);
    exposures.pass({ height: 10, isFull: true });
    for (const id of ['a', 'b', 'c']) exposures.add(sized(id, 1), 14, 0, false);
    exposures.delete('b');
    assert.deepEqual(exposures.drain(10 + PATIENCE - 1, 4), []);
    assert.deepEqual(exposures.drain(10 + PATIENCE, 4), ['a', 'c']);
    assert.deepEqual(exposures.drain(10 + PATIENCE + 1, 4), []);
  });

  it('forgives no batch that had room', () => {
    const exposures = new Exposures(LIMITS);
    exposures.add(sized('a', 1), 10, 0, false);
    for (let i = 1; i < PATIENCE_WITH_ROOM; i++) {
      exposures.pass({ height: 10 + i, isFull: false });
      exposures.remind();
    }
    exposures.drain(10 + PATIENCE, 4);
    assert.equal(exposures.starved(10 + PATIENCE, 4, 1, 9)[0], undefined);
    exposures.pass({ height: 10 + PATIENCE + 1, isFull: false });
    assert.equal(exposures.starved(10 + PATIENCE + 1, 4, 1, 9)[0], 'a');
  });

  it('begins again with the next leader', () => {
    const exposures = drained(30);
    exposures.clear();
    assert.deepEqual(exposures.drain(100, 4), [], 'nobody has begun');
    exposures.add(sized('a', 1), 100, 0, false);
    assert.deepEqual(exposures.drain(100 + PATIENCE - 1, 4), []);
    assert.deepEqual(exposures.drain(100 + PATIENCE, 4), ['a']);
  });
});

describe('fairBatches', () => {
  const cases: readonly (readonly [string, number, object, number])[] = [
    ['counts lanes by number', 4, { laneBytesMax: 1 }, 6 + 1 + 1 + 2],
    ['and by bytes, twice: a lane may miss half of its share', 4, { laneBytesMax: 100_000 }, 17],
    ['grows with the members', 10, { laneBytesMax: 1 }, 15 + 1 + 1 + 2],
  ];
  for (const [why, members, change, expected] of cases) {
    it(why, () => assert.equal(fairBatches({ ...LIMITS, ...change }, members), expected));
  }
});

describe('isFullBatch', () => {
  const cases: readonly (readonly [string, number, number, boolean])[] = [
    ['one request less than the most', 9, 100, false],
    ['the most requests', 10, 100, true],
    ['room for the largest entry', 1, 100_000 - 0xffff, false],
    ['a byte less than that', 1, 100_000 - 0xffff + 1, true],
  ];
  for (const [why, count, bytes, expected] of cases) {
    it(why, () => assert.equal(isFullBatch(LIMITS, count, bytes), expected));
  }
});
