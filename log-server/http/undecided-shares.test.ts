import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { UNDECIDED_SHARE_MS, UndecidedShares } from './undecided-shares.ts';

const LIMITS = { bytes: 100, uploads: 3 };

describe('UndecidedShares', () => {
  const decided = new Set<string>();
  let nowMs = 0;
  const make = (): UndecidedShares =>
    new UndecidedShares(
      () => nowMs,
      (sha512) => decided.has(sha512),
      LIMITS,
    );

  it('holds up whoever has filled its share, and nobody else', () => {
    const shares = make();
    shares.add('a', '1', 60);
    assert.ok(shares.allows('a'), 'below');
    shares.add('a', '2', 60);
    assert.ok(!shares.allows('a'), 'above');
    assert.ok(shares.allows('b'), 'another one');
  });

  it('counts uploads as well as bytes: rows and files cost something too', () => {
    const shares = make();
    for (const sha512 of ['1', '2', '3']) shares.add('a', sha512, 1);
    assert.ok(!shares.allows('a'), 'three is all');
  });

  it('gives room back for what was released', () => {
    const shares = make();
    shares.add('a', 'released', 60);
    shares.add('a', 'not yet', 60);
    decided.add('released');
    assert.ok(shares.allows('a'), 'only one of them is undecided');
    shares.add('a', 'next', 60);
    assert.ok(!shares.allows('a'), 'two again');
  });

  it('asks about a full share now and then, however often somebody tries', () => {
    let asked = 0;
    const shares = new UndecidedShares(
      () => nowMs,
      () => {
        asked++;
        return false;
      },
      LIMITS,
    );
    for (const sha512 of ['1', '2', '3']) shares.add('a', sha512, 1);
    for (let i = 0; i < 1000; i++) assert.ok(!shares.allows('a'), 'it is full');
    assert.equal(asked, 3, 'each once');
    nowMs += 100;
    assert.ok(!shares.allows('a'), 'and stays full');
    assert.equal(asked, 6, 'and again after a tenth of a second');
  });

  it('gives room back after a while', () => {
    const shares = make();
    shares.add('a', '1', 100);
    nowMs += UNDECIDED_SHARE_MS - 1;
    assert.ok(!shares.allows('a'), 'not yet');
    nowMs += 1;
    assert.ok(shares.allows('a'), 'now');
    assert.equal(shares.networks, 0);
  });

  it('remembers a bounded number of networks', () => {
    const shares = make();
    for (let i = 0; i < 5000; i++) shares.add(String(i), 'x', 1);
    assert.equal(shares.networks, 4096);
  });
});
