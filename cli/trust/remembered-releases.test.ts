// The file of remembered releases: whole or not at all, bounded, and of this user alone.
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, stat, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { utf8 } from '../../verifier/bytes.ts';
import type { RememberedRelease } from '../../verifier/evidence/remembered.ts';
import {
  FILE_BYTES_MAX,
  formatReleases,
  parseReleases,
  PROJECTS_MAX,
  RELEASES_MAX,
  RememberedReleases,
} from './remembered-releases.ts';

const PIN = 'ab'.repeat(32);

function release(i: number): RememberedRelease {
  return {
    purl: `pkg:npm/p${i}@1.0.0`,
    size: 1000 + i,
    index: i,
    leaf: new Uint8Array(32).fill(i % 256),
    payload: utf8(`{"näme":"p${i}"}`),
    loggedAt: 1_800_000_000,
    signers: [{ name: 'ada "the" ☂', keyId: 'cd'.repeat(32) }],
    required: 2,
    packages: [{ name: `p${i}`, sets: [{ index: 0, leaf: new Uint8Array(32) }] }],
  };
}

describe('remembered releases of a project', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-remembered-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  it('are read as they were written', async () => {
    const releases = [release(1), release(2)];
    assert.deepEqual(parseReleases(formatReleases(releases)), releases);
    await new RememberedReleases(folder, PIN, '/a').keep(releases);
    const again = await new RememberedReleases(folder, PIN, '/a').read();
    assert.deepEqual([...again.values()], releases);
    assert.equal((await new RememberedReleases(folder, PIN, '/b').read()).size, 0);
    assert.equal((await new RememberedReleases(folder, 'cd'.repeat(32), '/a').read()).size, 0);
  });

  it('are none when any byte of the file differs', () => {
    const bytes = formatReleases([release(1)]);
    for (let at = 0; at < bytes.length; at++) {
      const changed = Uint8Array.from(bytes);
      changed[at] = (changed[at] ?? 0) ^ 1;
      assert.deepEqual(parseReleases(changed), [], `byte ${at}`);
    }
    for (const length of [0, 1, 60, bytes.length - 1]) {
      assert.deepEqual(parseReleases(bytes.subarray(0, length)), []);
    }
    assert.equal(parseReleases(bytes).length, 1);
  });

  it('are as many as fit, what was verified last first', async () => {
    const many = Array.from({ length: RELEASES_MAX }, (_, i) => release(i));
    await new RememberedReleases(folder, PIN, '/a').keep(many);
    await new RememberedReleases(folder, PIN, '/a').keep([release(RELEASES_MAX)]);
    const kept = await new RememberedReleases(folder, PIN, '/a').read();
    assert.equal(kept.size, RELEASES_MAX);
    assert.ok(kept.has(release(RELEASES_MAX).purl), 'the newest is there');
    assert.ok(!kept.has(release(RELEASES_MAX - 1).purl), 'the last of the others went');
  });

  const STATEMENT_BYTES = 48_000;
  /** Releases of large statements, of which as many as told share one. */
  function large(each: number): readonly RememberedRelease[] {
    return Array.from({ length: 640 }, (_, i) => {
      // Quotes take two bytes in the file.
      const payload = utf8(`${Math.floor(i / each)}${'"'.repeat(STATEMENT_BYTES)}`);
      return { ...release(i), payload };
    });
  }

  it('have a statement of many packages once', () => {
    const releases = large(64);
    const bytes = formatReleases(releases);
    assert.ok(bytes.length < 20 * 2 * STATEMENT_BYTES, `${bytes.length} bytes`);
    assert.deepEqual(parseReleases(bytes), releases);
  });

  it('are never more than are read again', async () => {
    const releases = large(1);
    const bytes = formatReleases(releases);
    assert.ok(bytes.length <= FILE_BYTES_MAX, `${bytes.length} bytes`);
    const kept = parseReleases(bytes);
    assert.ok(kept.length > 300, `${kept.length} releases`);
    assert.deepEqual(kept, releases.slice(0, kept.length));

    await new RememberedReleases(folder, PIN, '/a').keep(releases);
    const [name = ''] = await readdir(folder);
    const before = await stat(join(folder, name));
    const again = new RememberedReleases(folder, PIN, '/a');
    assert.equal((await again.read()).size, kept.length);
    await again.keep(releases);
    // A file that is written takes the place of the one before.
    assert.equal((await stat(join(folder, name))).ino, before.ino);
  });

  it('of the projects that were verified longest ago go', async () => {
    for (let i = 0; i <= PROJECTS_MAX; i++) {
      await new RememberedReleases(folder, PIN, `/p${i}`).keep([release(i)]);
      for (const name of await readdir(folder)) {
        // Each of them a second older than the next one.
        if (i < PROJECTS_MAX) await utimes(join(folder, name), 1_000 + i, 1_000 + i);
      }
    }
    assert.equal((await readdir(folder)).length, PROJECTS_MAX);
  });

  it('cost nothing where nothing can be written', async () => {
    const releases = new RememberedReleases('/dev/null/nowhere', PIN, '/a');
    await releases.keep([release(1)]);
    assert.equal((await releases.read()).size, 1);
  });
});
