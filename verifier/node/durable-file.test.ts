import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

import { createWholeFile, makePrivateFolder, replaceFile } from './durable-file.ts';

describe('files that are written whole', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-durable-'));
  });
  after(async () => rm(folder, { recursive: true }));

  const codeOf = async (work: Promise<unknown>): Promise<string | undefined> =>
    await work.then(
      () => 'done',
      (error: unknown) => (error as NodeJS.ErrnoException).code,
    );

  it('are created once, with their mode, and leave nothing beside them', async () => {
    const own = join(folder, 'once');
    await mkdir(own);
    await createWholeFile(join(own, 'a'), 'first', 0o600);
    assert.equal((await stat(join(own, 'a'))).mode & 0o777, 0o600);
    assert.equal(await codeOf(createWholeFile(join(own, 'a'), 'second', 0o600)), 'EEXIST');
    assert.equal(await readFile(join(own, 'a'), 'utf8'), 'first');
    assert.deepEqual(await readdir(own), ['a']);
  });

  it('are created by one of many who try at once', async () => {
    const own = join(folder, 'many');
    await mkdir(own);
    const texts = Array.from({ length: 20 }, (_, i) => `${i} `.repeat(10_000));
    const outcomes = await Promise.all(
      texts.map((text) => codeOf(createWholeFile(join(own, 'a'), text, 0o600))),
    );
    assert.equal(outcomes.filter((outcome) => outcome === 'done').length, 1);
    assert.equal(outcomes.filter((outcome) => outcome === 'EEXIST').length, 19);
    assert.equal(await readFile(join(own, 'a'), 'utf8'), texts[outcomes.indexOf('done')]);
    assert.deepEqual(await readdir(own), ['a']);
  });

  it('are not created through a link, nor where there is no folder', async () => {
    await symlink(join(folder, 'target'), join(folder, 'link'));
    assert.equal(await codeOf(createWholeFile(join(folder, 'link'), 'x', 0o600)), 'EEXIST');
    assert.equal(await codeOf(stat(join(folder, 'target'))), 'ENOENT');
    assert.equal(await codeOf(createWholeFile(join(folder, 'no', 'a'), 'x', 0o600)), 'ENOENT');
  });

  it('are replaced whole: a reader sees one text or another', async () => {
    const path = join(folder, 'replaced');
    const texts = Array.from({ length: 10 }, (_, i) => `${i}`.repeat(100_000));
    await writeFile(path, texts[0] ?? '');
    const writing = new AbortController();
    const reading = (async () => {
      const seen = new Set<string>();
      do seen.add(await readFile(path, 'utf8'));
      while (!writing.signal.aborted);
      return seen;
    })();
    for (const text of texts) await replaceFile(path, text);
    writing.abort();
    for (const text of await reading) assert.equal(texts.includes(text), true);
    assert.equal(await readFile(path, 'utf8'), texts.at(-1));
  });
});

describe('makePrivateFolder', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-folders-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  it('makes a folder with its parents, for its owner alone, and again', async () => {
    const path = join(folder, 'a', 'b', 'c');
    await Promise.all([makePrivateFolder(path), makePrivateFolder(path)]);
    await makePrivateFolder(path);
    assert.equal((await stat(join(folder, 'a', 'b'))).mode & 0o777, 0o700);
    assert.ok((await stat(path)).isDirectory(), 'it is there');
  });

  it('goes through a link to a folder', async () => {
    await mkdir(join(folder, 'real'));
    await symlink(join(folder, 'real'), join(folder, 'link'));
    await makePrivateFolder(join(folder, 'link', 'a'));
    assert.ok((await stat(join(folder, 'real', 'a'))).isDirectory(), 'it is there');
    await makePrivateFolder(join(folder, 'link'));
  });

  const refused: readonly (readonly [why: string, path: () => string])[] = [
    ['a file', () => join(folder, 'file')],
    ['a file in its way', () => join(folder, 'file', 'a', 'b')],
    // Here the system says that the parent is missing, which it is not.
    ['a place where no folder can be', () => '/proc/sys/bftpkg/state'],
  ];
  for (const [why, path] of refused) {
    it(`ends with an error for ${why}`, async () => {
      await writeFile(join(folder, 'file'), '');
      await assert.rejects(makePrivateFolder(path()));
    });
  }
});
