import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ADDRESSES_MAX, AddressLimiter, Gate, TokenBucket } from './limits.ts';

describe('TokenBucket', () => {
  it('gives its capacity at once, then what time brings, never more', () => {
    let now = 0;
    const bucket = new TokenBucket(2, 10, () => now);
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take()], [true, true, false]);
    now = 99;
    assert.equal(bucket.take(), false);
    now = 100;
    assert.equal(bucket.take(), true);
    now = 1_000_000;
    assert.deepEqual([bucket.take(), bucket.take(), bucket.take()], [true, true, false]);
  });

  it('gives nothing for a clock that goes back', () => {
    let now = 1000;
    const bucket = new TokenBucket(1, 1000, () => now);
    bucket.take();
    now = 0;
    assert.equal(bucket.take(), false);
  });
});

describe('AddressLimiter', () => {
  it('limits each address for itself', () => {
    const limiter = new AddressLimiter(1, () => 0);
    for (let i = 0; i < 10; i++) assert.equal(limiter.allows('a'), true);
    assert.equal(limiter.allows('a'), false);
    assert.equal(limiter.allows('b'), true);
  });

  it('remembers a bounded number of addresses', () => {
    const limiter = new AddressLimiter(1, () => 0);
    for (let i = 0; i < ADDRESSES_MAX + 100; i++) limiter.allows(`10.0.${i >> 8}.${i & 255}`);
    assert.equal(limiter.size, ADDRESSES_MAX);
  });
});

describe('Gate', () => {
  it('starts nothing over its limit and frees room also after a failure', async () => {
    const gate = new Gate(1);
    let release = (): void => undefined;
    const held = gate.run(() => new Promise<void>((resolve) => (release = resolve)));
    assert.equal(await gate.run(async () => 1), undefined);
    release();
    await held;
    await assert.rejects(gate.run(() => Promise.reject(new Error('no'))));
    assert.deepEqual(await gate.run(async () => 1), { value: 1 });
    assert.equal(gate.running, 0);
  });
});
