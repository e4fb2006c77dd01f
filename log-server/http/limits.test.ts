import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  ADDRESSES_MAX,
  AddressLimiter,
  Gate,
  SharedGate,
  TokenBucket,
  networkOf,
} from './limits.ts';

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
  it('follows a rate that changes', () => {
    let rate = 1;
    const limiter = new AddressLimiter(
      () => rate,
      () => 0,
    );
    const allowed = (): number =>
      Array.from({ length: 100 }, () => limiter.allows('a')).filter(Boolean).length;
    assert.equal(allowed(), 10);
    rate = 2;
    assert.equal(allowed(), 20);
    assert.equal(allowed(), 0);
  });

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

describe('SharedGate', () => {
  it('gives each holder its share, all together the limit, and remembers nobody', async () => {
    const gate = new SharedGate(3, 2);
    const ends: (() => void)[] = [];
    const enter = (holder: string): Promise<unknown> =>
      gate.run(holder, () => new Promise<void>((resolve) => ends.push(resolve)));
    const inside = [enter('a'), enter('a')];
    assert.equal(await gate.run('a', async () => 1), undefined);
    inside.push(enter('b'));
    assert.equal(await gate.run('c', async () => 1), undefined);
    assert.equal(gate.holders, 2);
    for (const end of ends) end();
    await Promise.all(inside);
    assert.equal(gate.holders, 0);
    await assert.rejects(gate.run('a', () => Promise.reject(new Error('no'))));
    assert.equal(gate.holders, 0);
    assert.deepEqual(await gate.run('a', async () => 1), { value: 1 });
  });
});

describe('networkOf', () => {
  const rows: readonly (readonly [address: string, network: string])[] = [
    ['192.0.2.7', '192.0.2.7'],
    ['::ffff:192.0.2.7', '192.0.2.7'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::9', '2001:db8:1:2::/64'],
    ['2001:db8::9', '2001:db8:0:0::/64'],
    ['2001:db8:0:0:1::', '2001:db8:0:0::/64'],
    ['::1', '0:0:0:0::/64'],
    ['fe80::1%eth0', 'fe80:0:0:0::/64'],
    ['', ''],
  ];
  for (const [address, network] of rows) {
    it(`takes "${address}" for ${network}`, () => assert.equal(networkOf(address), network));
  }
});
