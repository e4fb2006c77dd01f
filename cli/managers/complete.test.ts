// What counts as installed. That managers can be led elsewhere is shown with the real ones
// (fixtures/e2e/managers.test.ts).
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import type { JsonObject } from '../../verifier/json.ts';
import { CliError } from '../errors.ts';
import { parseLockfile } from '../lockfiles/parse.ts';
import { requireInstalled } from './complete.ts';

const SHA512 = `sha512-${Buffer.alloc(64).toString('base64')}`;
const PLACES = ['', 'packages/one'];

/** A bun.lock with `a` 1.0.0, `real` 3.0.0, and `far` 1.0.0, which is optional and for another platform. */
const LOCKFILE = parseLockfile(
  Buffer.from(
    JSON.stringify({
      lockfileVersion: 1,
      workspaces: {
        '': { name: 'app', dependencies: { a: '^1.0.0' } },
        'packages/one': { name: 'one' },
      },
      packages: {
        a: ['a@1.0.0', '', { optionalDependencies: { far: '1.0.0' } }, SHA512],
        real: ['real@3.0.0', '', {}, SHA512],
        far: ['far@1.0.0', '', { os: 'none', cpu: 'none' }, SHA512],
      },
    }),
  ),
  'bun.lock',
);

type Manifests = Readonly<Record<string, JsonObject>>;

const ROOT = { name: 'app', dependencies: { a: '^1.0.0' } };
const DEV = { name: 'app', devDependencies: { a: '^1.0.0' } };
const A = { name: 'a', version: '1.0.0' };
const REAL = { name: 'real', version: '3.0.0' };

describe('requireInstalled', () => {
  let folder = '';
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-complete-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function check(manifests: Manifests): Promise<void> {
    for (const [place, manifest] of Object.entries({ 'packages/one': {}, ...manifests })) {
      await mkdir(join(folder, place), { recursive: true });
      await writeFile(join(folder, place, 'package.json'), JSON.stringify(manifest));
    }
    await requireInstalled('bun', folder, PLACES, LOCKFILE);
  }

  const taken: readonly (readonly [string, Manifests])[] = [
    ['what the root needs', { '': ROOT, 'node_modules/a': A }],
    [
      'what a workspace needs, beside the root',
      { '': {}, 'packages/one': ROOT, 'node_modules/a': A },
    ],
    [
      'what a workspace needs, in its own folder',
      { '': {}, 'packages/one': ROOT, 'packages/one/node_modules/a': A },
    ],
    [
      'another name for a package',
      {
        '': { dependencies: { alias: 'npm:real@3' } },
        'node_modules/alias': REAL,
      },
    ],
    [
      'optional ones that are missing',
      { '': { ...ROOT, optionalDependencies: ROOT.dependencies } },
    ],
    ['folders of the user that are elsewhere', { '': { dependencies: { a: 'link:../a' } } }],
    ['what the root is developed with', { '': DEV, 'node_modules/a': A }],
    ['what the lockfile has nothing of', { '': { dependencies: { other: '1' } } }],
  ];
  for (const [why, manifests] of taken) {
    it(`takes ${why}`, async () => await check(manifests));
  }

  it('takes a link to a workspace that has the name of a package', async () => {
    await mkdir(join(folder, 'node_modules'));
    await symlink('../packages/one', join(folder, 'node_modules/a'), 'junction');
    await check({ '': ROOT, 'packages/one': { name: 'a', version: '0.0.0' } });
  });

  // A manager that was drawn away leaves nothing here and ends well.
  const refused: readonly (readonly [string, Manifests])[] = [
    ['nothing at all', { '': ROOT }],
    ['another version', { '': ROOT, 'node_modules/a': { ...A, version: '1.0.1' } }],
    ['another package', { '': ROOT, 'node_modules/a': { name: 'b', version: '1.0.0' } }],
    ['no version', { '': ROOT, 'node_modules/a': { name: 'a' } }],
    ['nothing of what the root is developed with', { '': DEV }],
    ['nothing of what a workspace is developed with', { '': {}, 'packages/one': DEV }],
    ['nothing of what a workspace needs', { '': {}, 'packages/one': ROOT }],
    [
      'what another workspace has',
      { '': ROOT, 'packages/one': ROOT, 'packages/one/node_modules/a': A },
    ],
    [
      'nothing under another name for a package',
      { '': { dependencies: { alias: 'npm:real@^3.0.0' } }, 'node_modules/real': REAL },
    ],
  ];
  for (const [why, manifests] of refused) {
    it(`refuses ${why}`, async () => {
      await assert.rejects(check(manifests), (error) => {
        return error instanceof CliError && error.diagnostic.code === 'BP7004';
      });
    });
  }

  it('refuses a folder without package.json, and what lies above the private folder', async () => {
    await mkdir(join(folder, 'inner/node_modules/a'), { recursive: true });
    await mkdir(join(folder, 'node_modules/a'), { recursive: true });
    await writeFile(join(folder, 'node_modules/a/package.json'), JSON.stringify(A));
    await writeFile(join(folder, 'inner/package.json'), JSON.stringify(ROOT));
    await assert.rejects(requireInstalled('bun', join(folder, 'inner'), [''], LOCKFILE), CliError);
  });
});
