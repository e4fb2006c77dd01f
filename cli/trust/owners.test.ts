import assert from 'node:assert/strict';
import promises, { mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, describe, it, type TestContext } from 'node:test';

import { runCli } from '../run.ts';
import { isForeign } from './owners.ts';

describe('isForeign', () => {
  const cases: readonly (readonly [string, number, number, number, boolean])[] = [
    ['one’s own file', 1000, 1000, 1000, false],
    ['one’s own file above a project of somebody else', 1000, 1001, 1000, false],
    ['a file of the system', 0, 1000, 1000, false],
    ['for root in a container, a file of whoever has the project', 1000, 1000, 0, false],
    ['a file of somebody else', 1001, 1000, 1000, true],
    ['for root, a file of somebody else', 1001, 1000, 0, true],
  ];
  for (const [why, file, project, own, isOthers] of cases) {
    it(`${isOthers ? 'refuses' : 'takes'} ${why}`, () => {
      assert.equal(isForeign(file, project, own), isOthers);
    });
  }
});

describe('a file above a project', { skip: process.getuid === undefined }, () => {
  let folder = '';
  let project = '';
  before(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'bftpkg-owners-')));
    project = join(folder, 'project');
    await mkdir(project);
  });
  after(async () => {
    await rm(folder, { recursive: true });
  });

  /** Everything in the upper folder belongs to somebody else. */
  function giveAway(context: TestContext): void {
    const real = promises.stat;
    const someone = (process.getuid?.() ?? 0) + 1000;
    context.mock.method(promises, 'stat', async (path: string) => {
      const facts = await real(path);
      if (dirname(path) === folder && path !== project) facts.uid = someone;
      return facts;
    });
    syncBuiltinESMExports();
    context.after(() => {
      context.mock.restoreAll();
      syncBuiltinESMExports();
    });
  }

  async function run(argv: readonly string[]): Promise<string> {
    let text = '';
    const write = (piece: string): void => void (text += piece);
    const terminal = { writeOut: write, writeErr: write, outIsTty: false, errIsTty: false };
    await runCli(argv, '1.2.3', {
      env: { HOME: folder, BFTPKG_TIMEOUT: '1s' },
      cwd: project,
      terminal: { ...terminal, ask: undefined },
    });
    return text;
  }

  const CONFIG = JSON.stringify({
    format: 'bftpkg-config/v1',
    pin: 'ab'.repeat(32),
    replicas: ['http://127.0.0.1:9'],
  });
  const files: readonly (readonly [string, string, readonly string[]])[] = [
    ['bftpkg.json', CONFIG, ['policy', 'show']],
    ['package.json', `{"bftpkg":${CONFIG}}`, ['policy', 'show']],
    ['package-lock.json', '{}', ['verify']],
  ];
  for (const [name, content, argv] of files) {
    it(`is not believed where somebody else has put it there: ${name}`, async (context) => {
      await writeFile(join(folder, name), content);
      if (name === 'package-lock.json') await writeFile(join(project, 'bftpkg.json'), CONFIG);
      assert.doesNotMatch(await run(argv), /another user/, 'one’s own');
      giveAway(context);
      assert.match(await run(argv), /: belongs to another user, and lies above the project/);
      await rm(join(folder, name));
    });
  }
});
