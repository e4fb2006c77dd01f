import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import type { LockFormat } from './lockfile.ts';
import { requireNoWorkspaceAbove } from './workspace-above.ts';

const FOLDER = 'packages/a';

// [lockfile in packages/a, another file, its text, is it refused]
const rows: readonly (readonly [LockFormat, string, string, boolean])[] = [
  ['npm', 'package.json', '{"workspaces":["packages/*"]}', true],
  ['npm', 'package.json', '{"workspaces":["./packages/a/"]}', true],
  ['npm', 'package.json', '{"workspaces":["**"]}', true],
  ['npm', 'package.json', '{"workspaces":["**/a"]}', true],
  ['npm', 'package.json', '{"workspaces":["packages/**"]}', true],
  ['npm', 'package.json', '{"workspaces":["x","p*/?"]}', true],
  ['npm', 'package.json', '{"workspaces":["{x,packages}/a"]}', true],
  ['npm', 'package.json', '{"workspaces":"packages/a"}', true],
  ['npm', 'packages/package.json', '{"workspaces":["a"]}', true],
  ['yarn-classic', 'package.json', '{"workspaces":{"packages":["packages/*"]}}', true],
  ['bun', 'package.json', '{"workspaces":["packages/*"]}', true],
  ['pnpm', 'pnpm-workspace.yaml', 'packages: [packages/*]', true],
  ['pnpm', 'pnpm-workspace.yaml', 'nodeLinker: hoisted', true],
  ['npm', 'package.json', '{"workspaces":["packages/b","a","packages"]}', false],
  ['npm', 'package.json', '{"workspaces":["packages/a/*","*","**/b"]}', false],
  ['npm', 'package.json', '{"workspaces":["!packages/a"]}', false],
  ['npm', 'package.json', '{"name":"root"}', false],
  ['npm', 'package.json', 'not json', false],
  ['npm', 'packages/a/package.json', '{"workspaces":["*"]}', false],
  ['npm', 'pnpm-workspace.yaml', 'packages: [packages/*]', false],
  ['pnpm', 'package.json', '{"workspaces":["packages/*"]}', false],
  ['pnpm', 'packages/a/pnpm-workspace.yaml', 'packages: []', false],
  ['yarn-berry', 'package.json', '{"workspaces":["packages/*"]}', false],
];

describe('requireNoWorkspaceAbove', () => {
  let root = '';
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'bftpkg-above-'));
    await mkdir(join(root, FOLDER), { recursive: true });
  });
  afterEach(async () => {
    await rm(root, { recursive: true, force: true });
  });

  for (const [format, file, text, isRefused] of rows) {
    it(`${isRefused ? 'refuses' : 'takes'} for ${format} beside ${file}: ${text}`, async () => {
      const path = join(root, file);
      await mkdir(dirname(path), { recursive: true });
      await writeFile(path, text);
      const checked = requireNoWorkspaceAbove(format, join(root, FOLDER));
      if (!isRefused) return await checked;
      await assert.rejects(checked, (error) => {
        return (
          error instanceof CliError &&
          error.diagnostic.code === 'BP9005' &&
          error.message.includes(path)
        );
      });
    });
  }
});
