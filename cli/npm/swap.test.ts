// Putting an install into place, and undoing it after a process was killed at any of its steps.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
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

import { CliError } from '../errors.ts';
import { exists } from './lockfile.ts';
import { isUnderWay, recordPath, recoverSwaps, swapIn } from './swap.ts';

const DAY_MS = 24 * 3600 * 1000;

interface World {
  readonly project: string;
  readonly folder: string;
  /** The user's state folder. */
  readonly state: string;
}

/** A project with modules and files, and a private folder with what is to replace them. */
async function withWorld(work: (world: World) => Promise<void>): Promise<void> {
  const project = await mkdtemp(join(tmpdir(), 'bftpkg-swap-'));
  const state = await mkdtemp(join(tmpdir(), 'bftpkg-state-'));
  try {
    const folder = join(project, '.bftpkg-abc123');
    await put(project, 'node_modules/a/index.js', 'old a');
    await put(project, 'packages/w/node_modules/b/index.js', 'old b');
    await put(project, 'package.json', 'old package');
    await put(folder, 'node_modules/a/index.js', 'new a');
    await work({ project, folder, state });
  } finally {
    await rm(project, { recursive: true, force: true });
    await rm(state, { recursive: true, force: true });
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

const NOTHING = { undone: 0, strange: [] };
const ONE = { undone: 1, strange: [] };

/** A plan that was written by this user, here. */
async function putJournal({ folder, state }: World, journal: object): Promise<void> {
  const text = JSON.stringify({ format: 'bftpkg-swap/v2', run: 'another', ...journal });
  await put(folder, 'journal.json', text);
  const record = await recordPath(state, folder, text);
  await mkdir(join(record, '..'), { recursive: true });
  await writeFile(record, '');
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

function isRefusal(error: unknown): boolean {
  return error instanceof CliError && error.diagnostic.code === 'BP9004';
}

/** The number of a process that has ended. */
function deadPid(): number {
  const { pid } = spawnSync(process.execPath, ['--version']);
  return pid;
}

describe('swapIn', () => {
  it('replaces folders and files, removes what is not to be, and keeps permissions', async () => {
    await withWorld(async ({ project, folder, state }) => {
      await chmod(join(project, 'package.json'), 0o640);
      await swapIn(project, folder, PLAN, state);
      assert.deepEqual(await filesOf(project), NEW);
      assert.equal((await stat(join(project, 'package.json'))).mode & 0o777, 0o640);
      assert.equal(await isUnderWay(folder), false);
      assert.deepEqual(await readdir(join(state, 'swaps')), [], 'the record is gone');
      assert.deepEqual(await recoverSwaps(project, state), NOTHING);
      assert.deepEqual(await filesOf(project), NEW, 'a swap that was completed is not undone');
    });
  });

  it('undoes its steps when one of them fails', async () => {
    await withWorld(async ({ project, folder, state }) => {
      // A folder in the place of a file: the last rename fails.
      await mkdir(join(project, 'package-lock.json'));
      await assert.rejects(swapIn(project, folder, PLAN, state), { name: 'CliError' });
      assert.deepEqual(await filesOf(project), OLD);
    });
  });

  it('does not touch what a link leads to', async () => {
    await withWorld(async ({ project, folder, state }) => {
      const outside = await mkdtemp(join(tmpdir(), 'bftpkg-outside-'));
      await put(outside, 'node_modules/precious', 'precious');
      await symlink(outside, join(project, 'linked'));
      const plan = { folders: ['linked/node_modules'], files: new Map<string, string>() };
      await assert.rejects(swapIn(project, folder, plan, state), /a link/);
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
    const [mode, after] = [0o644, sha256('new package')];
    const journal = {
      pid,
      folders: PLAN.folders.map((path) => ({ path, hadOne: true })),
      files: [
        { path: 'package.json', before: sha256('old package'), after, mode },
        { path: 'package-lock.json', before: null, after: sha256('new lock'), mode },
      ],
    };
    await put(folder, 'old/file-0', 'old package');
    await put(folder, 'new/file-0', 'new package');
    await put(folder, 'new/file-1', 'new lock');
    await putJournal(world, journal);
    for (const step of steps.slice(0, count)) await step(world);
  }

  for (let count = 0; count <= steps.length; count++) {
    it(`brings everything back after a kill at step ${count}`, async () => {
      await withWorld(async (world) => {
        await stopAfter(world, count, deadPid());
        assert.deepEqual(await recoverSwaps(world.project, world.state), ONE);
        assert.deepEqual(await filesOf(world.project), OLD);
        assert.equal(await exists(world.folder), false);
      });
    });
  }

  it('leaves a run alone that goes on', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 1, process.ppid);
      assert.deepEqual(await recoverSwaps(world.project, world.state), NOTHING);
      assert.equal(await exists(world.folder), true);
      assert.equal(await exists(join(world.project, 'node_modules')), false);
    });
  });

  it('undoes it after a day, when the number belongs to another process', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 3, process.ppid);
      const then = new Date(Date.now() - 2 * DAY_MS);
      await utimes(world.folder, then, then);
      assert.deepEqual(await recoverSwaps(world.project, world.state), ONE);
      assert.deepEqual(await filesOf(world.project), OLD);
    });
  });

  it('removes old folders without a plan, and leaves new ones', async () => {
    await withWorld(async ({ project, folder, state }) => {
      assert.deepEqual(await recoverSwaps(project, state), NOTHING);
      assert.equal(await exists(folder), true);
      const then = new Date(Date.now() - 2 * DAY_MS);
      await utimes(folder, then, then);
      await recoverSwaps(project, state);
      assert.equal(await exists(folder), false);
    });
  });

  it('undoes a plan of an earlier process that had the number of this one', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 3, process.pid);
      assert.deepEqual(await recoverSwaps(world.project, world.state), ONE);
      assert.deepEqual(await filesOf(world.project), OLD);
    });
  });

  const later: readonly (readonly [why: string, path: string, steps: number])[] = [
    ['a file that was replaced', 'package.json', 5],
    ['a file that was yet to be replaced', 'package.json', 3],
    ['a file that was not there', 'package-lock.json', 5],
  ];
  for (const [why, path, count] of later) {
    it(`does not overwrite work of later: ${why}`, async () => {
      await withWorld(async (world) => {
        await stopAfter(world, count, deadPid());
        await put(world.project, path, 'work of hours');
        const before = await filesOf(world.project);
        await assert.rejects(recoverSwaps(world.project, world.state), isRefusal);
        assert.deepEqual(await filesOf(world.project), before);
        assert.equal(await readFile(join(world.folder, 'old/file-0'), 'utf8'), 'old package');
      });
    });
  }

  it('keeps the private folder while it is needed', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 5, deadPid());
      assert.equal(await isUnderWay(world.folder), true);
    });
  });

  const sound = { pid: 1, run: 'r', folders: [], files: [] };
  const file = {
    path: 'package.json',
    before: sha256('git=evil'),
    after: sha256('old package'),
    mode: 0o644,
  };
  const hostile: readonly (readonly [string, object])[] = [
    ['a folder outside', { folders: [{ path: '../victim/node_modules', hadOne: true }] }],
    ['a folder that is no node_modules', { folders: [{ path: '.git', hadOne: false }] }],
    ['a text for a boolean', { folders: [{ path: 'node_modules', hadOne: 'no' }] }],
    ['another file', { files: [{ ...file, path: '.npmrc' }] }],
    ['the right to run as its owner', { files: [{ ...file, mode: 0o4755 }] }],
    ['half a permission', { files: [{ ...file, mode: 0.5 }] }],
  ];
  for (const [why, plan] of hostile) {
    it(`follows no plan with ${why}`, async () => {
      await withWorld(async (world) => {
        const { project, folder, state } = world;
        await put(project, '.git/config', 'mine');
        await put(folder, 'old/file-0', 'git=evil');
        await mkdir(join(folder, 'new'));
        await putJournal(world, { ...sound, pid: deadPid(), ...plan });
        const before = await filesOf(project);
        assert.deepEqual(await recoverSwaps(project, state), { undone: 0, strange: [folder] });
        assert.deepEqual(await filesOf(project), before);
      });
    });
  }

  // A repository can contain such a folder, with links that lead out of the project.
  const committed: readonly (readonly [
    why: string,
    make: (world: World, outside: string) => Promise<object>,
  ])[] = [
    [
      'moves a tree where a link leads',
      async ({ project }) => {
        await put(project, 'a/node_modules/x/index.js', 'evil');
        return {
          folders: [{ path: 'a/node_modules', hadOne: false }],
          files: [],
          link: 'a',
        };
      },
    ],
    [
      'writes a file where a link leads',
      async ({ folder }) => {
        await put(folder, 'old/file-0', 'git=evil');
        return { folders: [], files: [file], link: 'new' };
      },
    ],
    [
      'reads a file where a link leads',
      async ({ folder }, outside) => {
        await put(outside, 'file-0', 'git=evil');
        await mkdir(join(folder, 'new'));
        return { folders: [], files: [file], link: 'old' };
      },
    ],
  ];
  for (const [why, make] of committed) {
    for (const isRecorded of [false, true]) {
      const who = isRecorded ? 'even one of this user' : 'one of a stranger';
      it(`follows no plan that ${why}: ${who}`, async () => {
        await withWorld(async (world) => {
          const { project, folder, state } = world;
          const outside = await mkdtemp(join(tmpdir(), 'bftpkg-outside-'));
          const { link, ...plan } = (await make(world, outside)) as { readonly link: string };
          await symlink(outside, join(folder, link));
          const journal = { ...sound, pid: deadPid(), ...plan };
          const [before, beside] = [await filesOf(project), await readdir(outside)];
          if (isRecorded) {
            await putJournal(world, journal);
            await assert.rejects(recoverSwaps(project, state), isRefusal);
          } else {
            const text = JSON.stringify({ format: 'bftpkg-swap/v2', ...journal });
            await put(folder, 'journal.json', text);
            const found = await recoverSwaps(project, state);
            assert.deepEqual(found, { undone: 0, strange: [folder] });
          }
          assert.deepEqual(await filesOf(project), before);
          assert.deepEqual(await readdir(outside), beside);
          await rm(outside, { recursive: true });
        });
      });
    }
  }

  it('follows no plan of this user that came from another place', async () => {
    await withWorld(async (world) => {
      await stopAfter(world, 3, deadPid());
      const elsewhere = join(world.project, '.bftpkg-xyz789');
      await rename(world.folder, elsewhere);
      const found = await recoverSwaps(world.project, world.state);
      assert.deepEqual(found, { undone: 0, strange: [elsewhere] });
    });
  });

  it('copies no file that a link in such a folder leads to', async () => {
    await withWorld(async (world) => {
      const { project, folder, state } = world;
      const secret = join(project, '..', `secret-${process.pid}`);
      await writeFile(secret, 'secret');
      const files = [{ ...file, before: sha256('secret') }];
      await putJournal(world, { ...sound, pid: deadPid(), files });
      await mkdir(join(folder, 'old'));
      await symlink(secret, join(folder, 'old/file-0'));
      await assert.rejects(recoverSwaps(project, state), isRefusal);
      await rm(secret);
      assert.equal(await readFile(join(project, 'package.json'), 'utf8'), 'old package');
    });
  });
});
