import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { createKeyFile, generateKeys, loadKeyFile } from '../key-file.ts';
import { claimSuffrage } from './amnesia.ts';

const [A, B] = ['aa'.repeat(16), 'bb'.repeat(16)];

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-amnesia-'));
});
after(() => rm(folder, { recursive: true, force: true }));

describe('claimSuffrage', () => {
  const cases: readonly [string, string | null, string, boolean, 'voter' | 'observer'][] = [
    ['lets new keys vote with a new database', null, A, true, 'voter'],
    ['lets keys vote with their database', A, A, false, 'voter'],
    ['lets keys vote with their database though it is still empty', A, A, true, 'voter'],
    ['refuses keys whose database is gone', A, B, true, 'observer'],
    ['refuses keys with another database', A, B, false, 'observer'],
    ['refuses an old copy of the keys with a used database', null, A, false, 'observer'],
  ];
  for (const [why, bound, generation, isEmpty, kind] of cases) {
    it(why, async () => {
      const file = join(folder, `${why.replaceAll(' ', '-')}.json`);
      await createKeyFile(file, { ...generateKeys('r0'), databaseGeneration: bound });
      const keys = await loadKeyFile(file);
      const suffrage = await claimSuffrage(file, keys, { generation, isEmpty });
      assert.equal(suffrage.kind, kind);
      // What it decided holds after a restart, and an observer's keys stay as they are.
      const expected = kind === 'voter' ? generation : bound;
      assert.equal((await loadKeyFile(file)).databaseGeneration, expected);
    });
  }
});
