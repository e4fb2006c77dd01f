import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { readIfThere, readText, readTextIfThere } from './read-file.ts';

describe('a file that may be there or not', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-read-'));
    await writeFile(join(folder, 'text'), 'grün');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('is read whole', async () => {
    assert.equal(await readTextIfThere(join(folder, 'text')), 'grün');
    assert.equal((await readIfThere(join(folder, 'text'), 5))?.length, 5);
  });

  it('is nothing where there is none, nor a folder on the way', async () => {
    assert.equal(await readTextIfThere(join(folder, 'none')), undefined);
    assert.equal(await readTextIfThere(join(folder, 'text', 'below')), undefined);
    await assert.rejects(readText(join(folder, 'none')), /none: there is none$/);
  });

  it('is refused when it is longer than it may be', async () => {
    await assert.rejects(readIfThere(join(folder, 'text'), 4), /text: too large$/);
  });

  it('is refused when it is a folder', async () => {
    await assert.rejects(readTextIfThere(folder), /it is a folder \(EISDIR\)$/);
  });
});
