import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { PagesInMemory } from '../../fixtures/pages-in-memory.ts';
import { utf8 } from '../bytes.ts';
import { decodeUtf8 } from '../text.ts';
import { PAGE_BYTES, PagePool } from './pages.ts';
import { PagedRows } from './rows.ts';
import { SLOT_UNIT, Slots } from './slots.ts';

const SALT = utf8('salt');

describe('PagedBytes', () => {
  it('is an array of bytes, whatever is in memory', () => {
    const write = fc.record({
      space: fc.integer({ min: 0, max: 2 }),
      at: fc.integer({ min: 0, max: 20 * PAGE_BYTES }),
      bytes: fc.uint8Array({ minLength: 1, maxLength: 3 * PAGE_BYTES }),
      clears: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
    });
    let reads = 0;
    fc.assert(
      fc.property(fc.array(write, { minLength: 10, maxLength: 40 }), (writes) => {
        const file = new PagesInMemory();
        const pool = new PagePool(4, file);
        const spaces = [pool.space(), pool.space(), pool.space()];
        const plain = spaces.map(() => new Uint8Array(24 * PAGE_BYTES));
        for (const { space, at, bytes, clears } of writes) {
          if (clears) {
            spaces[space]?.clear();
            plain[space]?.fill(0);
          }
          spaces[space]?.write(at, bytes);
          plain[space]?.set(bytes, at);
        }
        for (const [i, bytes] of plain.entries()) {
          assert.deepEqual(spaces[i]?.read(0, bytes.length), bytes);
        }
        assert.equal(pool.pagesHeld, 4);
        // Room that was given back is used again: never more than all spaces have pages.
        assert.ok(pool.pagesInFile <= 3 * 24, `${pool.pagesInFile} pages in the file`);
        reads += file.reads;
      }),
      { numRuns: 30 },
    );
    assert.ok(reads > 0, 'something was read from the file');
  });

  it('reads numbers across the end of a page', () => {
    const space = new PagePool(4, new PagesInMemory()).space();
    for (const at of [0, PAGE_BYTES - 7, PAGE_BYTES - 3, PAGE_BYTES - 1, PAGE_BYTES]) {
      space.writeNumber(at, 7, Number.MAX_SAFE_INTEGER);
      assert.equal(space.readNumber(at, 7), Number.MAX_SAFE_INTEGER);
    }
    assert.throws(() => space.writeNumber(0, 2, 65_536), /fits into its bytes/);
  });

  it('keeps what a full file could not take', () => {
    const file = new PagesInMemory();
    let isFull = true;
    const pool = new PagePool(4, {
      read: (slot, target) => file.read(slot, target),
      write: (slot, page) => {
        if (isFull) throw new Error('no room');
        file.write(slot, page);
      },
    });
    const space = pool.space();
    for (let page = 0; page < 4; page++) space.writeNumber(page * PAGE_BYTES, 2, page + 1);
    assert.throws(() => space.writeNumber(4 * PAGE_BYTES, 2, 5), /no room/);
    isFull = false;
    space.writeNumber(4 * PAGE_BYTES, 2, 5);
    const found = [0, 1, 2, 3, 4].map((page) => space.readNumber(page * PAGE_BYTES, 2));
    assert.deepEqual(found, [1, 2, 3, 4, 5]);
  });
});

describe('Slots', () => {
  it('uses again what was given back, of the same length', () => {
    const slots = new Slots(new PagePool(4, new PagesInMemory()).space());
    const taken = [slots.take(3), slots.take(2), slots.take(3)];
    assert.deepEqual(taken, [SLOT_UNIT, 4 * SLOT_UNIT, 6 * SLOT_UNIT]);
    slots.give(taken[0] ?? 0, 3);
    slots.give(taken[2] ?? 0, 3);
    const end = slots.end;
    assert.equal(slots.take(1), end);
    assert.deepEqual([slots.take(3), slots.take(3)], [taken[2], taken[0]]);
    assert.equal(slots.take(3), end + SLOT_UNIT);
  });
});

describe('PagedRows', () => {
  it('is a map, however its rows grow and shrink', () => {
    const row = fc.tuple(fc.integer({ min: 0, max: 300 }), fc.string({ maxLength: 90 }));
    fc.assert(
      fc.property(fc.array(row, { minLength: 200, maxLength: 900 }), (rows) => {
        const table = new PagedRows(new PagePool(4, new PagesInMemory()), SALT);
        const plain = new Map<string, string>();
        for (const [key, value] of rows) {
          table.set(utf8(`key ${key}`), utf8(value));
          plain.set(`key ${key}`, value);
        }
        assert.equal(table.count, plain.size);
        for (let key = 0; key <= 301; key++) {
          const found = table.get(utf8(`key ${key}`));
          assert.equal(found && decodeUtf8(found), plain.get(`key ${key}`));
        }
        const all = [...table.all()].map((one) => [decodeUtf8(one.key), decodeUtf8(one.value)]);
        assert.deepEqual(new Map(all as [string, string][]), plain);
        assert.equal(all.length, plain.size);
      }),
      { numRuns: 10 },
    );
  });
});
