// What `hook install` and `hook remove` touch in a project that somebody else may have prepared.
import assert from 'node:assert/strict';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { PLUGIN_PATH, RUNNER_PATH } from './edits.ts';
import { plannedChanges, removals, writeChanges, type HookPlan } from './setup.ts';

const PLAN: HookPlan = { managers: ['npm'], version: '1.0.0', requireNpm12: false };

describe('the files of a hook', () => {
  let folder = '';
  let project = '';
  let outside = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-hook-'));
    project = join(folder, 'project');
    outside = join(folder, 'outside');
    await mkdir(project);
    await mkdir(outside);
    await writeFile(join(project, 'package.json'), '{}\n');
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const isRefused = (error: unknown): boolean => {
    return error instanceof CliError && error.diagnostic.code === 'BP9004';
  };

  // [what, where the link lies, what it leads to]
  const links: readonly (readonly [string, string, string])[] = [
    ['the folder', '.bftpkg', '.'],
    ['a folder that is not there', '.bftpkg', 'nowhere'],
    ['settings', '.npmrc', 'npmrc'],
    ['settings that are not there', '.npmrc', 'nothing'],
  ];
  for (const [why, path, target] of links) {
    it(`are not reached through a link: ${why}`, async () => {
      await writeFile(join(outside, 'npmrc'), 'secret=1\n');
      await writeFile(join(outside, 'hook.cjs'), 'theirs');
      const before = await readdir(outside);
      await symlink(join(outside, target), join(project, path));
      await assert.rejects(plannedChanges(project, PLAN), isRefused);
      await assert.rejects(removals(project), isRefused);
      // Also where the link came up after the look.
      const at = path === '.bftpkg' ? RUNNER_PATH : path;
      for (const after of ['ours', undefined]) {
        const change = { path: at, before: undefined, after };
        await assert.rejects(writeChanges(project, [change]), isRefused);
      }
      assert.deepEqual(await readdir(outside), before);
      assert.equal(await readFile(join(outside, 'hook.cjs'), 'utf8'), 'theirs');
      assert.ok((await lstat(join(project, path))).isSymbolicLink(), 'the link stays');
    });
  }

  it('keep the permissions that they have', async () => {
    // Tokens may stand in there.
    await writeFile(join(project, '.npmrc'), 'save-exact=true\n', { mode: 0o600 });
    await writeChanges(project, await plannedChanges(project, PLAN));
    assert.match(await readFile(join(project, '.npmrc'), 'utf8'), /allow-git=none/);
    const { mode } = await lstat(join(project, '.npmrc'));
    assert.equal(mode & 0o077, 0, 'nobody else may read it');
  });

  it('are written and taken out again', async () => {
    await writeChanges(project, await plannedChanges(project, PLAN));
    assert.deepEqual(await plannedChanges(project, PLAN), []);
    await lstat(join(project, RUNNER_PATH));
    await assert.rejects(lstat(join(project, PLUGIN_PATH)), { code: 'ENOENT' });
    await writeChanges(project, await removals(project));
    assert.deepEqual((await readdir(project)).toSorted(), ['package.json']);
  });
});
