// Putting an install into place, and undoing it after a process was killed at any of its steps.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { exists } from './lockfile.ts';
import { recoverSwaps, swapIn } from './swap.ts';

const DAY_MS = 24 * 3600 * 1000;

interface World {
  readonly project: string;
  readonly folder: string;
}

/** A project with modules and files, and a private folder with what is to replace them. */
async function withWorld(work: (world: World) => Promise<void>): Promise<void> {
  const project = await mkdtemp(join(tmpdir(), 'bftpkg-swap-'));
  try {
    const folder = join(project, '.bftpkg-abc123');
    await put(project, 'node_modules/a/index.js', 'old a');
    await put(project, 'packages/w/node_modules/b/index.js', 'old b');
    await put(project, 'package.json', 'old package');
    await put(folder, 'node_modules/a/index.js', 'new a');
    await work({ project, folder });
  } finally {
    await rm(project, { recursive: true, force: true });
  }
}

async function put(folder: string, path: string, text: string): Promise<void> {
  await mkdir(join(folder, path, '..'), { recursive: true });
  await writeFile(join(folder, path), text);
}

/** Every file of the project outside of private folders. */
async function filesOf(project: string): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  for (const entry of await readdir(project, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(project.length + 1);
    if (entry.isFile() && !path.startsWith('.bftpkg-')) {
      found[path] = await readFile(join(project, path), 'utf8');
    }
  }
  return found;
}

const PLAN = {
  folders: ['node_modules', 'packages/w/node_modules'],
  files: new Map([
    ['package.json', 'new package'],
    ['package-lock.json', 'new lock'],
  ]),
};
const OLD = {
  'node_modules/a/index.js': 'old a',
  'packages/w/node_modules/b/index.js': 'old b',
  'package.json': 'old package',
};
const NEW = {
  'node_modules/a/index.js': 'new a',
  'package.json': 'new package',
  'package-lock.json': 'new lock',
};

/** The number of a process that has ended. */
function deadPid(): number {
  const { pid } = spawnSync(process.execPath, ['--version']);
  return pid;
}

describe('swapIn', () => {
  it('replaces folders and files, removes what is not to be, and keeps permissions', async () => {
    await withWorld(async ({ project, folder }) => {
      await chmod(join(project, 'package.json'), 0o640);
      await swapIn(project, folder, PLAN);
      assert.deepEqual(await filesOf(project), NEW);
      assert.equal((await stat(join(project, 'package.json'))).mode & 0o777, 0o640);
      assert.equal(await recoverSwaps(project), 0, 'a swap that was completed is not undone');
    });
  });

  it('undoes its steps when one of them fails', async () => {
    await withWorld(async ({ project, folder }) => {
      // A folder in the place of a file: the last rename fails.
      await mkdir(join(project, 'package-lock.json'));
      await assert.rejects(swapIn(project, folder, PLAN), { name: 'CliError' });
      assert.deepEqual(await filesOf(project), OLD);
    });
  });

  it('does not touch what a link leads to', async () => {
    await withWorld(async ({ project, folder }) => {
      const outside = await mkdtemp(join(tmpdir(), 'bftpkg-outside-'));
      await put(outside, 'node_modules/precious', 'precious');
      await symlink(outside, join(project, 'linked'));
      const plan = { folders: ['linked/node_modules'], files: new Map<string, string>() };
      await assert.rejects(swapIn(project, folder, plan), /a link/);
      assert.equal(await readFile(join(outside, 'node_modules/precious'), 'utf8'), 'precious');
      await rm(outside, { recursive: true });
    });
  });
});

describe('recoverSwaps', () => {
  // What a process leaves that was killed after so many of its steps. The plan is durable before the
  // first of them; the steps are those of swapIn, in its order.
  const steps: readonly ((world: World) => Promise<void>)[] = [
    async ({ project, folder }) =>
      await rename(join(project, 'node_modules'), join(folder, 'old/folder-0')),
    async ({ project, folder }) =>
      await rename(join(folder, 'node_modules'), join(project, 'node_modules')),
    async ({ project, folder }) =>
      await rename(join(project, 'packages/w/node_modules'), join(folder, 'old/folder-1')),
    async ({ project, folder }) =>
      await rename(join(folder, 'new/file-0'), join(project, 'package.json')),
    async ({ project, folder }) =>
      await rename(join(folder, 'new/file-1'), join(project, 'package-lock.json')),
  ];

  async function stopAfter(world: World, count: number, pid: number): Promise<void> {
    const { folder } = world;
    const journal = {
      format: 'bftpkg-swap/v1',
      pid,
      folders: PLAN.folders.map((path) => ({ path, hadOne: true })),
      files: [
        { path: 'package.json', hadOne: true, mode: 0o644 },
        { path: 'package-lock.json', hadOne: false, mode: 0o644 },
      ],
    };
    await put(folder, 'old/file-0', 'old package');
    await put(folder, 'new/file-0', 'new package');
    await put(folder, 'new/file-1', 'new lock');
    await put(folder, 'journal.json', JSON.stringify(journal));
    for (const step of steps.slice(0, count)) await step(world);
  }

  for (let count = 0; count <= steps.length; count++) {
    it(`brings everything back after a kill at step ${count}`, async () => {
      await withWorld(async (world) => {
        await stopAfter(world, count, deadPid());
        assert.equal(await recoverSwaps(world.project), 1);
        assert.deepEqual(await filesOf(world.project), OLD);
        assert.equal(await exists(world.folder), false);
      });
    });
  }

  it('leaves a run alone that goes on', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 1, process.ppid);
      assert.equal(await recoverSwaps(world.project), 0);
      assert.equal(await exists(world.folder), true);
      assert.equal(await exists(join(world.project, 'node_modules')), false);
    });
  });

  it('undoes it after a day, when the number belongs to another process', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 3, process.ppid);
      const then = new Date(Date.now() - 2 * DAY_MS);
      await utimes(world.folder, then, then);
      assert.equal(await recoverSwaps(world.project), 1);
      assert.deepEqual(await filesOf(world.project), OLD);
    });
  });

  it('removes old folders without a plan, and leaves new ones', async () => {
    await withWorld(async ({ project, folder }) => {
      assert.equal(await recoverSwaps(project), 0);
      assert.equal(await exists(folder), true);
      const then = new Date(Date.now() - 2 * DAY_MS);
      await utimes(folder, then, then);
      await recoverSwaps(project);
      assert.equal(await exists(folder), false);
    });
  });

  const hostile: readonly (readonly [string, object])[] = [
    [
      'a folder outside',
      { folders: [{ path: '../victim/node_modules', hadOne: true }], files: [] },
    ],
    ['a folder that is no node_modules', { folders: [{ path: '.git', hadOne: false }], files: [] }],
    ['another file', { folders: [], files: [{ path: '.npmrc', hadOne: true, mode: 0o644 }] }],
  ];
  for (const [why, plan] of hostile) {
    // A repository can contain a folder with such a name.
    it(`follows no plan with ${why}`, async () => {
      await withWorld(async ({ project, folder }) => {
        await put(project, '.git/config', 'mine');
        const journal = { format: 'bftpkg-swap/v1', pid: deadPid(), ...plan };
        await put(folder, 'journal.json', JSON.stringify(journal));
        await put(folder, 'old/file-0', 'git=evil');
        await mkdir(join(folder, 'new'));
        const before = await filesOf(project);
        assert.equal(await recoverSwaps(project), 0);
        assert.deepEqual(await filesOf(project), before);
      });
    });
  }

  it('copies no file that a link in such a folder leads to', async () => {
    await withWorld(async ({ project, folder }) => {
      const secret = join(project, '..', `secret-${process.pid}`);
      await writeFile(secret, 'secret');
      const files = [{ path: 'package.json', hadOne: true, mode: 0o644 }];
      const journal = { format: 'bftpkg-swap/v1', pid: deadPid(), folders: [], files };
      await put(folder, 'journal.json', JSON.stringify(journal));
      await mkdir(join(folder, 'old'));
      await symlink(secret, join(folder, 'old/file-0'));
      await recoverSwaps(project);
      await rm(secret);
      assert.equal(await readFile(join(project, 'package.json'), 'utf8'), 'old package');
    });
  });
});
