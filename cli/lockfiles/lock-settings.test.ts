// Which settings leave a lockfile to be the one that is read. All spellings here were tried with the real managers.
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import type { LockFormat } from './lockfile.ts';
import { requirePlainLockfile } from './lock-settings.ts';

describe('requirePlainLockfile', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-locks-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function check(format: LockFormat, file: string, text: string): Promise<void> {
    const path = join(folder, file);
    await mkdir(join(folder, 'repo/app'), { recursive: true });
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
    await requirePlainLockfile(format, join(folder, 'repo'), join(folder, 'repo/app'));
  }

  const taken: readonly (readonly [LockFormat, string, string])[] = [
    ['npm', 'repo/.npmrc', 'package-lock=true\nsave-exact=true\n'],
    // npm reads that of the root only.
    ['npm', 'repo/app/.npmrc', 'package-lock=false\n'],
    ['npm', 'repo/.npmrc', 'lockfile=false\n'],
    ['pnpm', 'repo/.npmrc', 'shared-workspace-lockfile=true\nlockfile=true\n'],
    ['pnpm', '.npmrc', 'lockfile=false\n'],
    [
      'pnpm',
      'repo/pnpm-workspace.yaml',
      '# x\n---\npackages: # ours\n- a\n  # b\nlockfile: true # yes\nnodeLinker: hoisted\n',
    ],
    ['pnpm', 'repo/pnpm-workspace.yaml', 'overrides:\n  lockfile: 1.0.0\n  dir: 1.0.0\n'],
    ['yarn-classic', 'repo/.yarnrc', '# --no-lockfile true\nregistry "https://x.example/--a"\n'],
    ['yarn-classic', '.yarnrc', '--install.ignore-engines true\n--add.exact true\n'],
    ['yarn-berry', 'repo/.yarnrc.yml', 'nodeLinker: node-modules\n'],
    ['bun', 'repo/bunfig.toml', '[install]\nexact = true\n'],
  ];
  for (const [format, file, text] of taken) {
    it(`takes for ${format} ${file}: ${JSON.stringify(text)}`, async () => {
      await check(format, file, text);
    });
  }

  const refused: readonly (readonly [LockFormat, string, string, string?])[] = [
    ['npm', 'repo/.npmrc', 'package-lock=false'],
    ['npm', 'repo/.npmrc', '"package\\u002dlock" = false'],
    ['npm', 'repo/.npmrc', 'shrinkwrap=${X}'],
    ['npm', 'repo/.npmrc', '${X}=false'],
    ['pnpm', 'repo/.npmrc', 'use-lockfile=false'],
    ['pnpm', 'repo/.npmrc', 'gitBranchLockfile=true'],
    ['pnpm', 'repo/app/.npmrc', 'ignore-workspace=true'],
    ['pnpm', 'repo/.npmrc', '${X-git-branch-lockfile}=true'],
    ['pnpm', 'repo/pnpm-workspace.yaml', 'packageLock: false'],
    ['pnpm', 'repo/pnpm-workspace.yaml', 'git-branch-lockfile: true'],
    ['pnpm', 'repo/pnpm-workspace.yaml', `'lockfile' : False`],
    ['pnpm', 'repo/pnpm-workspace.yaml', 'lockfile:\n  false'],
    ['pnpm', 'repo/pnpm-workspace.yaml', 'lockfile: &a false'],
    [
      'pnpm',
      'repo/pnpm-workspace.yaml',
      'mergeGitBranchLockfilesBranchPattern:\n  - main\nlockfile: true',
    ],
    // As a whole further in, or in braces there: pnpm reads it the same.
    ['pnpm', 'repo/pnpm-workspace.yaml', ' packages: []\n lockfile: false', 'BP6003'],
    ['pnpm', 'repo/pnpm-workspace.yaml', '# x\n\n {"packages": [], "lockfile": false}', 'BP6003'],
    ['pnpm', 'repo/pnpm-workspace.yaml', '--- {lockfile: false}', 'BP6003'],
    ['pnpm', 'repo/pnpm-workspace.yaml', 'packages: []\n---\nlockfile: false', 'BP6003'],
    ['pnpm', 'repo/pnpm-workspace.yaml', '"lock\\x66ile": false', 'BP6003'],
    ['yarn-classic', 'repo/.yarnrc', '--no-lockfile true'],
    ['yarn-classic', 'repo/app/.yarnrc', '  "--install.no-lockfile": true'],
    ['yarn-classic', '.yarnrc', '--update-checksums true'],
    ['yarn-classic', 'repo/.yarnrc', 'a, --no-lockfile true'],
    ['yarn-classic', 'repo/.yarnrc', 'a#, --no-lockfile true'],
    ['yarn-classic', 'repo/.yarnrc', 'a"b, --no-lockfile true"'],
    ['yarn-classic', 'repo/.yarnrc', '"\\u002d-no-lockfile" true # x'],
    ['yarn-classic', 'repo/.yarnrc', '\uFEFF--no-lockfile true'],
    ['yarn-berry', 'repo/.yarnrc.yml', 'lockfileFilename: other.lock'],
  ];
  for (const [format, file, text, code = 'BP9005'] of refused) {
    it(`refuses for ${format} ${file}: ${JSON.stringify(text)}`, async () => {
      await assert.rejects(check(format, file, `${text}\n`), (error) => {
        assert.ok(error instanceof CliError, String(error));
        assert.equal(error.diagnostic.code, code, error.message);
        return true;
      });
    });
  }

  it('takes a folder that has left the workspace around it, with its lockfile', async () => {
    await writeFile(join(folder, '.npmrc'), 'ignore-workspace=true\n');
    await requirePlainLockfile('pnpm', folder);
    await assert.rejects(requirePlainLockfile('pnpm', folder, join(folder, 'app')), CliError);
  });

  it('reads the settings of a lockfile that is not above the project', async () => {
    await mkdir(join(folder, 'other'));
    await writeFile(join(folder, 'other/.npmrc'), 'lockfile=false\n');
    const project = join(folder, 'project');
    await assert.rejects(requirePlainLockfile('pnpm', join(folder, 'other'), project), CliError);
  });
});
