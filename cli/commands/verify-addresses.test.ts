// What a lockfile has of a registry although the project asks for an address: `npm install` and `bun install` leave
// the lockfile aside then and fetch from there, so a pull request that changes package.json alone was verified.
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { describe, it } from 'node:test';

import {
  digestOf,
  fakeLog,
  honest,
  npmProject,
  ROOT,
  useLockedProject,
  verify,
  write,
} from '../../fixtures/locked-project.ts';
import { EXIT } from '../output/exit-codes.ts';

type Manager = 'npm' | 'pnpm' | 'bun';

/** A project that asks for `helper` in some way, with the genuine release in its lockfile. */
async function project(manager: Manager, range: string, fields: object = {}): Promise<void> {
  const root = { name: 'app', version: '1.0.0', dependencies: { helper: range }, ...fields };
  const integrity = digestOf('helper@1.0.0');
  const locks: Readonly<Record<Manager, readonly [string, string | object]>> = {
    npm: [
      'package-lock.json',
      {
        lockfileVersion: 3,
        packages: { '': root, 'node_modules/helper': { version: '1.0.0', integrity } },
      },
    ],
    pnpm: [
      'pnpm-lock.yaml',
      `lockfileVersion: '9.0'
importers:
  .:
    dependencies:
      helper:
        specifier: '${range}'
        version: 1.0.0
packages:
  helper@1.0.0:
    resolution: {integrity: ${integrity}}
snapshots:
  helper@1.0.0: {}
`,
    ],
    bun: [
      'bun.lock',
      {
        lockfileVersion: 1,
        workspaces: { '': { name: 'app', dependencies: { helper: range } } },
        packages: { helper: ['helper@1.0.0', '', {}, integrity] },
      },
    ],
  };
  const [file, text] = locks[manager];
  await write({ 'package.json': root, [file]: text });
}

describe('verify of a project that asks for an address', () => {
  useLockedProject();

  const asked: readonly (readonly [Manager, string, number])[] = [
    ['npm', '^1.0.0', EXIT.verified],
    ['npm', 'latest', EXIT.verified],
    ['npm', 'npm:helper@1.0.0', EXIT.verified],
    ['npm', 'git+file:///tmp/x', EXIT.policy],
    ['npm', 'git+ssh://git@example.org/x.git', EXIT.policy],
    ['npm', 'someone/helper', EXIT.policy],
    ['npm', 'https://example.org/helper/-/helper-1.0.0.tgz', EXIT.policy],
    ['npm', 'file:../helper', EXIT.policy],
    ['npm', 'helper.tgz', EXIT.policy],
    ['npm', '~/helper', EXIT.policy],
    ['pnpm', '^1.0.0', EXIT.verified],
    ['pnpm', 'git+file:///tmp/x', EXIT.policy],
    ['pnpm', 'link:../helper', EXIT.policy],
    ['pnpm', 'jsr:^1', EXIT.policy],
    ['bun', '^1.0.0', EXIT.verified],
    ['bun', 'github:someone/helper', EXIT.policy],
    ['bun', 'file:../helper', EXIT.policy],
  ];
  for (const [manager, range, code] of asked) {
    it(`ends with ${code} for ${range} with ${manager}`, async () => {
      await project(manager, range);
      const { exit, subjects } = await verify();
      assert.equal(exit.code, code, JSON.stringify(subjects));
      if (code !== EXIT.verified) assert.equal(exit.reason, 'BP6007');
    });
  }

  it('is not left out as unchanged: package.json alone was changed since', async () => {
    const git = (...argv: readonly string[]): void => {
      const env = { PATH: process.env['PATH'], HOME: fakeLog().home, GIT_CONFIG_NOSYSTEM: '1' };
      const who = ['-c', 'user.name=t', '-c', 'user.email=t@example.org'];
      execFileSync('git', [...who, ...argv], { cwd: fakeLog().project, env, stdio: 'ignore' });
    };
    await project('npm', '^1.0.0');
    git('init', '-q');
    git('add', '-A');
    git('commit', '-q', '-m', 'x');
    assert.equal((await verify('--since', 'HEAD')).exit.code, EXIT.nothing);
    for (const range of ['git+file:///tmp/x', '^2.0.0']) {
      await project('npm', range);
      const { exit, subjects } = await verify('--since', 'HEAD');
      assert.equal(exit.code, EXIT.policy, JSON.stringify(subjects));
      assert.equal(subjects[0]?.verdict, 'rejected');
    }
    // Of a package that another one asks for.
    await npmProject(honest());
    git('add', '-A');
    git('commit', '-q', '-m', 'y');
    await npmProject(honest(), { ...ROOT, overrides: { helper: 'git+file:///tmp/x' } });
    assert.equal((await verify('--since', 'HEAD')).exit.code, EXIT.policy);
  });

  const replaced: readonly (readonly [why: string, fields: object, code: number])[] = [
    ['nothing', { overrides: { other: 'git+file:///tmp/x' } }, EXIT.verified],
    ['a version', { overrides: { helper: '1.0.0' } }, EXIT.verified],
    ['a repository', { overrides: { helper: 'git+file:///tmp/x' } }, EXIT.policy],
    ['an archive', { resolutions: { helper: 'file:../x.tgz' } }, EXIT.policy],
    ['a URL, for pnpm', { pnpm: { overrides: { helper: 'https://example.org/x' } } }, EXIT.policy],
  ];
  for (const [why, fields, code] of replaced) {
    it(`ends with ${code} where package.json replaces by ${why}`, async () => {
      await project('npm', '^1.0.0', fields);
      const { exit, subjects } = await verify();
      assert.equal(exit.code, code, JSON.stringify(subjects));
    });
  }
});
