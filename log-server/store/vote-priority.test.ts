// A vote's write does not stand in line behind what strangers upload: at most behind the one group of
// artifacts whose transaction is under way.
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';

import { artifactOf, chunksOf, openTestStorage, withFolder } from '../../fixtures/test-storage.ts';
import { Lane } from '../node/lane.ts';
import { Persister } from '../node/persister.ts';

/** Each about 48 KiB: twenty of them fill a group. */
const UPLOADS = 120;

describe('the write of a vote', () => {
  it('comes before most of what was uploaded at the same time', async () => {
    const artifacts = Array.from({ length: UPLOADS }, (_, i) =>
      artifactOf({
        name: 'left-pad',
        version: `1.${i}.0`,
        files: { 'noise.bin': Uint8Array.from(randomBytes(48 * 1024)) },
      }),
    );
    await withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      let stored = 0;
      let storedAtVote: number | undefined;
      const lane = new Lane();
      const persister = new Persister(
        storage.store,
        lane,
        () => {
          storedAtVote = artifacts.filter(({ sha512 }) => storage.artifacts.hasNow(sha512)).length;
        },
        (error) => assert.fail(String(error)),
      );
      const vote = { kind: 'record', name: 'promise', value: Uint8Array.of(1) } as const;
      const uploads = artifacts.map(async ({ sha512, bytes }) => {
        await storage.artifacts.put(sha512, chunksOf(bytes, bytes.length));
        // The first group is on the disk, and the others wait.
        if (stored === 0) persister.persist({ token: 1, writes: [vote] });
        stored += 1;
      });
      await Promise.all(uploads);
      await lane.idle();
      assert.equal(stored, UPLOADS);
      assert.ok(storedAtVote !== undefined, 'the vote is on the disk');
      assert.ok(
        storedAtVote <= UPLOADS / 2,
        `${storedAtVote} of ${UPLOADS} uploads were stored before the vote`,
      );
      await storage.store.close();
    });
  });
});
