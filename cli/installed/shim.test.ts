// The scripts here are made up, in the two ways of quoting that pnpm has; the known ones are pnpm's own, which
// fixtures/e2e lets it write.
import assert from 'node:assert/strict';
import { mkdtemp, mkdir, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { dissectShim, readShim } from './shim.ts';

describe('readShim', () => {
  let project = '';
  before(async () => {
    project = await realpath(await mkdtemp(join(tmpdir(), 'bftpkg-shim-')));
    await mkdir(join(project, 'node_modules/.bin'), { recursive: true });
    await mkdir(join(project, 'node_modules/.pnpm/tool@1/node_modules/tool'), { recursive: true });
    await writeFile(join(project, 'node_modules/.pnpm/tool@1/node_modules/tool/cli.js'), '');
    await symlink('.pnpm/tool@1/node_modules/tool', join(project, 'node_modules/tool'));
  });
  after(() => rm(project, { recursive: true, force: true }));

  const joined = (): string =>
    `#!/bin/sh\nexport NODE_PATH="${project}/node_modules/.pnpm/tool@1/node_modules:$NODE_PATH"\n` +
    `exec node  "$basedir/../tool/cli.js" "$@"\n`;
  const apart = (): string =>
    `#!/bin/sh\nexport NODE_PATH="$basedir_abs"/'../.pnpm/tool@1/node_modules':"$NODE_PATH"\n` +
    `exec node  "$basedir_abs"/'../tool/cli.js' "$@"\n# cmd-shim-target=../tool/cli.js\n`;
  const REAL = 'node_modules/.pnpm/tool@1/node_modules/tool/cli.js';

  /** Reads a script, where the two above are the known ones. */
  async function read(text: string): ReturnType<typeof readShim> {
    const path = 'node_modules/.bin/tool';
    await writeFile(join(project, path), text);
    const known = new Set([joined(), apart()].map((each) => dissectShim(each).skeleton));
    return await readShim(project, path, known);
  }

  it('says where a known script leads, by links', async () => {
    for (const text of [joined(), apart()]) {
      assert.deepEqual(await read(text), { kind: 'leads', target: REAL }, text);
    }
    const other = joined().replace('../tool/cli.js', '../.pnpm/tool@1/node_modules/tool/cli.js');
    assert.deepEqual(await read(other), { kind: 'leads', target: REAL });
    const gone = joined().replace('tool/cli.js', 'tool/gone.js');
    assert.deepEqual(await read(gone), { kind: 'leads', target: undefined });
  });

  const hostile: readonly (readonly [string, () => string])[] = [
    ['a command before', () => joined().replace('exec', 'evil; exec')],
    ['a command after', () => `${joined()}evil\n`],
    ['another program for the target', () => joined().replace('exec node', 'exec evil')],
    ['a target with a command', () => joined().replace('tool/cli.js', 'tool/$(evil)/cli.js')],
    ['a target with a quote', () => joined().replace('tool/cli.js', 'tool/"evil"/cli.js')],
    ['a target in quotes that it leaves', () => apart().replace('cli.js', "cli.js'evil'")],
    [
      'a target by way of a link',
      () => joined().replace('../tool/', '../../docs/../node_modules/tool/'),
    ],
    ['a target by way of a file', () => apart().replaceAll('tool/cli.js', 'tool/cli.js/.')],
    [
      'a target that is no more than a folder up',
      () => apart().replaceAll('../tool/cli.js', '../..'),
    ],
    [
      'a folder by way of a link',
      () => apart().replace('../.pnpm/', '../../docs/../node_modules/.pnpm/'),
    ],
    ['two targets', () => apart().replace('=../tool/cli.js', '=../other/cli.js')],
    [
      'the other kind of quotes',
      () => joined().replace('"$basedir/../tool/cli.js"', `"$basedir_abs"/'../tool/cli.js'`),
    ],
    ['folders without quotes', () => joined().replace(/NODE_PATH="(.*)"/, 'NODE_PATH=$1;evil')],
    ['a folder with a command', () => joined().replace('/.pnpm', '/`evil`/.pnpm')],
    ['a relative folder', () => joined().replace(`${project}/`, '')],
    ['a folder out of the project', () => joined().replace(project, '/opt')],
    ['a folder up from the project', () => joined().replace('/.pnpm/', '/../../x/')],
    ['a folder up from the script', () => apart().replace('/.pnpm/', '/../../x/')],
    [
      'a folder that is no node_modules',
      () => apart().replace("tool@1/node_modules'", "tool@1/src'"),
    ],
    ['a nameless folder', () => joined().replace(':$NODE_PATH', '::$NODE_PATH')],
    ['no text at all', () => ''],
    ['too much text', () => `${joined()}${'#\n'.repeat(40_000)}`],
  ];
  for (const [why, text] of hostile) {
    it(`says nothing of a script with ${why}`, async () => {
      assert.notEqual(text(), joined());
      assert.deepEqual(await read(text()), { kind: 'unknown' });
    });
  }

  it('knows no made-up script', async () => {
    await writeFile(join(project, 'node_modules/.bin/tool'), joined());
    assert.deepEqual(await readShim(project, 'node_modules/.bin/tool'), { kind: 'unknown' });
  });
});
