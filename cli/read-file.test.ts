import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { readProjectNpmrc } from './npm/npmrc.ts';
import { readIfThere, readText, readTextIfThere } from './read-file.ts';

const isProc = existsSync('/proc/self/status');

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

  const isPosix = process.platform !== 'win32';
  it('is refused when it never ends, or waits for a writer', { skip: !isPosix }, async () => {
    for (const name of ['.npmrc', 'package.json']) {
      await symlink('/dev/zero', join(folder, name));
      await assert.rejects(readIfThere(join(folder, name), 4), /not a file$/, name);
      await rm(join(folder, name));
      execFileSync('mkfifo', [join(folder, name)]);
      await assert.rejects(readIfThere(join(folder, name), 4), /not a file$/, name);
      await assert.rejects(readProjectNpmrc(folder), /\.npmrc: not a file$/);
    }
  });

  it(
    'is read up to its end and no further where it states no size',
    { skip: !isProc },
    async () => {
      assert.match((await readTextIfThere('/proc/self/status')) ?? '', /Pid:[^]*\n$/);
      await assert.rejects(readIfThere('/proc/self/status', 16), /too large$/);
    },
  );

  it('is refused when it is a folder', async () => {
    await assert.rejects(readTextIfThere(folder), /it is a folder \(EISDIR\)$/);
  });
});
