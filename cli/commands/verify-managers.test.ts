// `verify` of lockfiles that other package managers wrote.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import {
  ROOT,
  digestOf,
  fakeLog,
  honest,
  npmProject,
  row,
  useLockedProject,
  verify,
  write,
} from '../../fixtures/locked-project.ts';
import { EXIT } from '../output/exit-codes.ts';

describe('verify: other package managers', () => {
  useLockedProject();

  const declared: readonly (readonly [string, object, boolean])[] = [
    ['npm itself', { packageManager: 'npm@11.0.0' }, true],
    ['nobody', {}, true],
    ['who is not known', { packageManager: 'other@1.0.0' }, true],
    ['nothing that can be read', { packageManager: 7, devEngines: { packageManager: [7] } }, true],
    ['pnpm', { packageManager: 'pnpm@9.0.0+sha512.00' }, false],
    ['Yarn', { packageManager: 'yarn@4.0.0' }, false],
    ['bun', { packageManager: 'bun@1.2.0' }, false],
    ['pnpm, in its newer form', { devEngines: { packageManager: { name: 'pnpm' } } }, false],
    [
      'npm or pnpm',
      { devEngines: { packageManager: [{ name: 'pnpm' }, { name: 'npm', onFail: 'warn' }] } },
      true,
    ],
    [
      'npm in one place, and pnpm in the other',
      { packageManager: 'pnpm@9.0.0', devEngines: { packageManager: { name: 'npm' } } },
      false,
    ],
  ];
  for (const [who, fields, isRead] of declared) {
    it(`${isRead ? 'verifies' : 'refuses'} a lockfile of npm where package.json names ${who}`, async () => {
      await npmProject(honest(), { ...ROOT, ...fields });
      const report = await verify();
      assert.equal(report.exit.reason, isRead ? null : 'BP9005', JSON.stringify(report, null, 1));
      // Asked for by name, it is.
      const named = await verify('--lockfile', join(fakeLog().project, 'package-lock.json'));
      assert.equal(named.exit.code, EXIT.verified, JSON.stringify(named, null, 1));
    });
  }

  const lockfiles: readonly (readonly [string, string, () => string])[] = [
    [
      'pnpm 9',
      'pnpm-lock.yaml',
      () =>
        `lockfileVersion: '9.0'\n\nimporters:\n\n  .:\n    dependencies:\n      app-kit:\n` +
        `        specifier: ^1.0.0\n        version: 1.0.0\n    devDependencies:\n      tester:\n` +
        `        specifier: 1.0.0\n        version: 1.0.0\n\npackages:\n\n` +
        ['app-kit', 'helper', 'tester']
          .map((n) => `  ${n}@1.0.0:\n    resolution: {integrity: ${digestOf(`${n}@1.0.0`)}}\n\n`)
          .join('') +
        `snapshots:\n\n  app-kit@1.0.0:\n    dependencies:\n      helper: 1.0.0\n\n` +
        `  helper@1.0.0: {}\n\n  tester@1.0.0: {}\n`,
    ],
    [
      'Yarn classic',
      'yarn.lock',
      () =>
        `# yarn lockfile v1\n\n\napp-kit@^1.0.0:\n  version "1.0.0"\n` +
        `  integrity ${digestOf('app-kit@1.0.0')}\n  dependencies:\n    helper "^1.0.0"\n\n` +
        `helper@^1.0.0:\n  version "1.0.0"\n  integrity ${digestOf('helper@1.0.0')}\n\n` +
        `tester@1.0.0:\n  version "1.0.0"\n  integrity ${digestOf('tester@1.0.0')}\n`,
    ],
    [
      'bun',
      'bun.lock',
      () =>
        `{\n  "lockfileVersion": 1,\n  "workspaces": { "": { "name": "app", }, },\n  "packages": {\n` +
        ['app-kit', 'helper', 'tester']
          .map((n) => `    "${n}": ["${n}@1.0.0", "", {}, "${digestOf(`${n}@1.0.0`)}"],\n`)
          .join('') +
        `  }\n}\n`,
    ],
  ];
  for (const [manager, file, text] of lockfiles) {
    it(`verifies a lockfile of ${manager}`, async () => {
      await write({ 'package.json': ROOT, [file]: text() });
      const report = await verify();
      assert.equal(report.exit.code, EXIT.verified, JSON.stringify(report, null, 1));
      assert.equal(report.summary['verified'], 3);
    });

    it(`refuses one of ${manager} with other bytes`, async () => {
      const changed = text().replace(digestOf('helper@1.0.0'), digestOf('evil@1.0.0'));
      await write({ 'package.json': ROOT, [file]: changed });
      assert.equal((await verify()).exit.reason, 'BP1003');
    });

    it(`refuses one of ${manager} that has what nobody asks for`, async () => {
      const root = { ...ROOT, devDependencies: {} };
      await write({ 'package.json': root, [file]: text() });
      const report = await verify();
      assert.equal(report.exit.reason, 'BP6007', JSON.stringify(report, null, 1));
      assert.equal(row(report, 'tester@1.0.0').verdict, 'rejected');
    });
  }

  // The manager would read another file, or choose versions: the green verdict would be about nothing.
  const settings: readonly (readonly [string, string, string, string])[] = [
    ['pnpm 9', 'pnpm-workspace.yaml', 'gitBranchLockfile: true', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'mergeGitBranchLockfiles: true', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'lockfile: false', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'lockfileDir: ./other', 'pnpm/12.21.0'],
    ['pnpm 9', 'pnpm-workspace.yaml', 'sharedWorkspaceLockfile: false', 'pnpm/12.21.0'],
    ['pnpm 9', '.npmrc', 'git-branch-lockfile=true', 'pnpm/10.34.9'],
    ['pnpm 9', '.npmrc', 'use-lockfile=false', 'pnpm/10.34.9'],
    ['pnpm 9', '.npmrc', 'lockfile-dir=./other', 'pnpm/10.34.9'],
    ['Yarn classic', '.yarnrc', '--install.no-lockfile true', 'yarn/1.22.22'],
    ['Yarn classic', '.yarnrc', 'a, "\\u002d-no-lockfile" true', 'yarn/1.22.22'],
    ['npm', '.npmrc', 'package-lock=false', 'npm/12.2.0'],
    ['npm', '.npmrc', 'shrinkwrap=false', 'npm/12.2.0'],
  ];
  for (const [manager, file, line, agent] of settings) {
    it(`refuses a lockfile of ${manager} that ${line} in ${file} has not read`, async () => {
      const [, name, text] = lockfiles.find(([each]) => each === manager) ?? [];
      if (name === undefined || text === undefined) await npmProject(honest());
      else await write({ 'package.json': ROOT, [name]: text() });
      assert.equal((await verify()).exit.code, EXIT.verified);
      await write({ [file]: `${line}\n` });
      assert.equal((await verify()).exit.reason, 'BP9005');
      const event = agent.startsWith('pnpm') ? 'pnpm:devPreinstall' : 'preinstall';
      const hook = ['--json', 'hook', 'run', '--event', event, '--', 'install'];
      const { stdout } = await fakeLog().run(hook, { env: { npm_config_user_agent: agent } });
      const { exit } = JSON.parse(stdout) as { readonly exit: { readonly reason: string } };
      assert.equal(exit.reason, 'BP9005', stdout);
    });
  }

  it('says nothing about a lockfile without a word of what is asked for', async () => {
    const [, , classic] = lockfiles[1] ?? assert.fail();
    await write({ 'yarn.lock': classic() });
    const report = await verify();
    assert.equal(report.exit.code, EXIT.usage);
    assert.equal(report.exit.reason, 'BP9004');
  });

  it('never calls a Yarn berry lockfile verified: its checksum is of something else', async () => {
    const lock =
      `__metadata:\n  version: 8\n  cacheKey: 10c0\n\n"app-kit@npm:^1.0.0":\n  version: 1.0.0\n` +
      `  resolution: "app-kit@npm:1.0.0"\n  dependencies:\n    helper: "npm:^1.0.0"\n` +
      `  checksum: 10c0/${'ab'.repeat(64)}\n  languageName: node\n  linkType: hard\n\n` +
      `"app@workspace:.":\n  version: 0.0.0-use.local\n  resolution: "app@workspace:."\n` +
      `  languageName: unknown\n  linkType: soft\n\n"helper@npm:^1.0.0":\n  version: 1.0.0\n` +
      `  resolution: "helper@npm:1.0.0"\n  languageName: node\n  linkType: hard\n\n`;
    await write({ 'package.json': { ...ROOT, devDependencies: {} }, 'yarn.lock': lock });
    const report = await verify();
    assert.equal(report.exit.code, EXIT.inconclusive, JSON.stringify(report, null, 1));
    assert.equal(report.exit.reason, 'BP1007');
    assert.equal(report.summary['verified'], 0);
    // What can be known is known: a release that is not in the log is refused here too.
    const root = { ...ROOT, dependencies: { 'app-kit': '^1.9.0' }, devDependencies: {} };
    await write({ 'package.json': root, 'yarn.lock': lock.replaceAll('1.0.0', '1.9.0') });
    assert.equal((await verify()).exit.reason, 'BP5003');
  });
});
