import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { testKey } from '../../fixtures/documents.ts';
import type { SignatureJob } from '../signatures.ts';
import { jobChunks } from './job-chunks.ts';

const { publicKey } = testKey(1);

function job(length: number): SignatureJob {
  return { publicKey, message: new Uint8Array(length), signature: new Uint8Array(64) };
}

describe('jobChunks', () => {
  const cases: readonly (readonly [count: number, lanes: number, sizes: readonly number[]])[] = [
    [0, 2, []],
    [24, 2, [24]],
    [64, 2, [64]],
    [99, 2, [99]],
    [100, 2, [50, 50]],
    [101, 2, [51, 50]],
    [149, 64, [75, 74]],
    [150, 64, [50, 50, 50]],
    [200, 1, [200]],
    [201, 1, [101, 100]],
    [400, 2, [200, 200]],
    [401, 2, [101, 101, 101, 98]],
    [450, 9, [50, 50, 50, 50, 50, 50, 50, 50, 50]],
  ];
  for (const [count, lanes, sizes] of cases) {
    it(`cuts ${count} jobs for ${lanes} lanes into ${sizes.join(', ') || 'nothing'}`, () => {
      const jobs = Array.from({ length: count }, () => job(10));
      const chunks = jobChunks(jobs, lanes);
      assert.deepEqual(
        chunks.map((chunk) => chunk.length),
        sizes,
      );
      assert.ok(
        chunks.flat().every((one, i) => one === jobs[i]),
        'all of them, in their order',
      );
    });
  }

  it('closes a chunk before it has more than 8 MiB, and takes a longer message alone', () => {
    const MIB = 1024 * 1024;
    const lengths = [3, 3, 3, 9, 1, 1, ...Array.from({ length: 18 }, () => 0)];
    const chunks = jobChunks(
      lengths.map((length) => job(length * MIB)),
      2,
    );
    assert.deepEqual(
      chunks.map((chunk) => chunk.length),
      [2, 1, 1, 20],
    );
  });
});
