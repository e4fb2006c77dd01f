import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { artifactOf, chunksOf, openTestStorage, withFolder } from '../../fixtures/test-storage.ts';
import { Turns } from './turns.ts';

describe('Turns', () => {
  it('has one at a time, votes before offers, each in order, whatever becomes of them', async () => {
    const turns = new Turns(1);
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

describe('small artifacts that are large inside', () => {
  it('wait for their turn, and leave places to votes and to large ones', async () => {
    const large = (i: number) =>
      artifactOf({
        name: 'left-pad',
        version: `1.${i}.0`,
        files: { 'zeros.bin': new Uint8Array(400 * 1024).fill(i) },
      });
    const uploads = Array.from({ length: 60 }, (_, i) => large(i));
    const wanted = large(99);
    const noise = artifactOf({
      name: 'left-pad',
      version: '2.0.0',
      files: { 'noise.bin': Uint8Array.from(randomBytes(400 * 1024)) },
    });
    await withFolder(async (folder) => {
      const { artifacts, store } = await openTestStorage(folder);
      const offered = uploads.map(async ({ sha512, bytes }) =>
        artifacts.put(sha512, chunksOf(bytes, bytes.length)),
      );
      // All of them have reached the store by now, and few are through.
      await new Promise((resolve) => setImmediate(resolve));
      const puts = [
        artifacts.put(wanted.sha512, chunksOf(wanted.bytes, wanted.bytes.length), 'vote'),
        artifacts.put(noise.sha512, chunksOf(noise.bytes, 65_536), 'vote'),
        artifacts.put(noise.sha512, chunksOf(noise.bytes, 65_536)),
      ];
      for (const { kind } of await Promise.all([...puts, ...offered])) {
        assert.equal(kind, 'created');
      }
      await store.close();
    });
  });
});
