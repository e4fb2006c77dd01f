import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { artifactOf, chunksOf, openTestStorage, withFolder } from '../../fixtures/test-storage.ts';
import { Turns } from './turns.ts';

describe('Turns', () => {
  it('has one at a time, votes before offers, each in order, whatever becomes of them', async () => {
    const turns = new Turns();
    const log: string[] = [];
    let running = 0;
    const come = (name: string): Promise<void> =>
      turns.run(name.startsWith('v') ? 'vote' : 'offer', async () => {
        running += 1;
        assert.equal(running, 1, name);
        log.push(name);
        await new Promise((resolve) => setImmediate(resolve));
        // Somebody comes in the middle, and one fails.
        if (name === 'o1') late.push(come('v3'));
        running -= 1;
        if (name === 'v1') throw new Error('no archive');
      });
    const late: Promise<void>[] = [];
    const names = ['o1', 'o2', 'v1', 'o3', 'v2'];
    await Promise.allSettled(names.map(come));
    await Promise.all(late);
    assert.deepEqual(log, ['o1', 'v1', 'v2', 'v3', 'o2', 'o3']);
    await turns.run('offer', async () => void log.push('again'));
    assert.equal(log.at(-1), 'again', 'it is free');
  });
});

describe('an artifact that a vote waits for', () => {
  it('has its place however many small ones that are large inside are uploaded', async () => {
    const large = (i: number) =>
      artifactOf({
        name: 'left-pad',
        version: `1.${i}.0`,
        files: { 'zeros.bin': new Uint8Array(400 * 1024).fill(i) },
      });
    const uploads = Array.from({ length: 60 }, (_, i) => large(i));
    const wanted = large(99);
    await withFolder(async (folder) => {
      const { artifacts, store } = await openTestStorage(folder);
      let refused = 0;
      const offered = uploads.map(async ({ sha512, bytes }) =>
        artifacts.put(sha512, chunksOf(bytes, bytes.length)).catch(() => (refused += 1)),
      );
      // All of them have reached the store by now, and few are through.
      await new Promise((resolve) => setImmediate(resolve));
      const source = chunksOf(wanted.bytes, wanted.bytes.length);
      const { kind } = await artifacts.put(wanted.sha512, source, 'vote');
      assert.equal(kind, 'created');
      await Promise.all(offered);
      assert.ok(refused > 0, 'there were more than have a place');
      await store.close();
    });
  });
});
