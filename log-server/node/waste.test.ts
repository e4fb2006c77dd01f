import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Message } from '../consensus/types.ts';
import { Waste } from './waste.ts';

const MEGABYTE: number = 1024 * 1024;
const BYTES = (length: number): Uint8Array => new Uint8Array(length);
const STATUS: Message = {
  kind: 'status',
  epoch: 0,
  view: 0,
  active: true,
  wish: 0,
  height: 0,
  digest: 'ab'.repeat(32),
  prepares: [],
  commits: [],
  proposed: false,
  cosigners: [],
  proofs: [],
};
const QUESTION: Message = { kind: 'get-batches', fromHeight: 1 };

function forward(count: number): Message {
  const request = { id: 'ef'.repeat(32), bytes: new Uint8Array(0) };
  return { kind: 'forward', epoch: 0, requests: Array.from({ length: count }, () => request) };
}

describe('Waste', () => {
  // [what, the message, whether it is useful, bytes of it, how many a peer may send at one moment]
  const rows: readonly (readonly [string, Message | undefined, boolean, number, number])[] = [
    ['what is no message', undefined, false, 1, 65_472],
    ['what is no message, and large', undefined, false, 8 * MEGABYTE - 1024, 8],
    ['what nobody needs', QUESTION, false, MEGABYTE - 1024, 64],
    ['what is needed', QUESTION, true, 8 * MEGABYTE, Number.POSITIVE_INFINITY],
    ['requests, which may cost more than they say', forward(1023), true, 1024, 64],
    ['requests that are here already', forward(1023), false, MEGABYTE, 32],
    ['what it stands at', STATUS, true, 1000, 65_536],
  ];
  for (const [what, message, isUseful, length, many] of rows) {
    it(`lets a peer rest after so much of it, and nobody else: ${what}`, () => {
      const waste = new Waste(() => 0);
      const bytes = BYTES(length);
      let count = 0;
      while (waste.restMs('a') === 0 && count < 100_000) {
        waste.read('a', bytes, message, isUseful);
        count += 1;
      }
      // The one that is too much is known when it was read.
      assert.equal(count, many === Number.POSITIVE_INFINITY ? 100_000 : many + 1);
      assert.equal(waste.restMs('b'), 0);
    });
  }

  it('lets a peer rest after so many signatures that were checked in vain', () => {
    const waste = new Waste(() => 0);
    for (let i = 0; i < 16; i++) waste.checked('a', 64);
    assert.equal(waste.restMs('a'), 0);
    waste.checked('a', 64);
    assert.ok(waste.restMs('a') > 0, 'it rests');
    assert.equal(waste.restMs('b'), 0);
  });

  it('hears it again when it has rested, for as long as it saved up for', () => {
    let now = 0;
    const waste = new Waste(() => now);
    const read = (): void => waste.read('a', BYTES(8 * MEGABYTE - 1024), undefined, false);
    for (let i = 0; i < 12; i++) read();
    // Thirty-two megabytes too much, at as many a second.
    assert.equal(waste.restMs('a'), 1000);
    now = 500;
    assert.equal(waste.restMs('a'), 500);
    now = 1000;
    assert.equal(waste.restMs('a'), 0);
    read();
    assert.equal(waste.restMs('a'), 250);
    now = 1_000_000;
    for (let i = 0; i < 8; i++) read();
    assert.equal(waste.restMs('a'), 0, 'no more than the first time is saved up');
    read();
    assert.equal(waste.restMs('a'), 250);
  });
});
