import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { PAGE_BYTES } from '../paging/pages.ts';
import { TemporaryFileError, TemporaryPages } from './temporary-pages.ts';

describe('TemporaryPages', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'bftpkg-pages-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const fill = (pages: TemporaryPages, count: number): ReturnType<typeof pages.pool.space> => {
    const space = pages.pool.space();
    for (let page = 0; page < count; page++) space.writeNumber(page * PAGE_BYTES + 9, 4, page);
    return space;
  };

  it('makes no file for what fits into memory', () => {
    // A folder that is none: whatever wanted a file there would fail.
    const pages = new TemporaryPages(join(folder, 'nowhere'), 8 * PAGE_BYTES);
    const space = fill(pages, 8);
    assert.equal(space.readNumber(3 * PAGE_BYTES + 9, 4), 3);
    pages.close();
  });

  it('gives back what it was given, from a file that has no name', () => {
    const pages = new TemporaryPages(folder, 8 * PAGE_BYTES);
    const space = fill(pages, 3000);
    for (let page = 0; page < 3000; page++) {
      assert.equal(space.readNumber(page * PAGE_BYTES + 9, 4), page);
    }
    assert.deepEqual(readdirSync(folder), []);
    pages.close();
    assert.throws(() => fill(pages, 100), TemporaryFileError);
  });

  it('says which folder it is, and why, when there is no file to be had', () => {
    const nowhere = join(folder, 'nowhere');
    const pages = new TemporaryPages(nowhere, 8 * PAGE_BYTES);
    assert.throws(
      () => fill(pages, 9),
      (error) => {
        assert.ok(error instanceof TemporaryFileError, String(error));
        assert.deepEqual([error.code, error.path], ['ENOENT', nowhere]);
        return true;
      },
    );
  });

  it('takes nothing that the disk changed', { skip: process.platform !== 'linux' }, () => {
    const pages = new TemporaryPages(folder, 8 * PAGE_BYTES);
    const before = new Set(openFiles());
    const space = fill(pages, 100);
    const [file] = openFiles().filter((one) => !before.has(one));
    assert.ok(file !== undefined, 'the file is open');
    assert.equal(statSync(file).mode & 0o777, 0o600);
    writeFileSync(file, new Uint8Array(100 * PAGE_BYTES));
    assert.throws(
      () => {
        for (let page = 0; page < 100; page++) space.readNumber(page * PAGE_BYTES + 9, 4);
      },
      (error) => {
        assert.ok(error instanceof TemporaryFileError, String(error));
        assert.equal(error.code, 'EIO');
        return true;
      },
    );
    pages.close();
  });
});

/** Files of this process that have lost their name. */
function openFiles(): readonly string[] {
  return readdirSync('/proc/self/fd')
    .map((one) => `/proc/self/fd/${one}`)
    .filter((path) => isDeleted(path));
}

function isDeleted(path: string): boolean {
  try {
    return readlinkSync(path).endsWith('.pages (deleted)');
  } catch {
    // The one that the listing itself had open.
    return false;
  }
}
