import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { LARGE_LOCKFILE_BYTES } from './lockfiles/load.ts';

const ENGINE = new URL('engine.ts', import.meta.url).href;
const LOAD = new URL('lockfiles/load.ts', import.meta.url).href;

// Some tens of MB of objects, fifty thousand of them alive at a time; says how large the young generation is then.
const burst = (first: string): string => `
  import { getHeapSpaceStatistics } from 'node:v8';
  import { tuneForLargeDocuments } from '${ENGINE}';
  ${first}
  let alive = [];
  for (let i = 0; i < 1_000_000; i++) {
    alive.push({ i, list: [i] });
    if (alive.length === 50_000) alive = [];
  }
  const young = getHeapSpaceStatistics().find((one) => one.space_name === 'new_space');
  process.stdout.write(String(young.space_size));
`;

async function youngBytes(first: string): Promise<number> {
  const argv = ['--import', import.meta.resolve('tsx'), '--input-type=module', '-e', burst(first)];
  const { stdout } = await promisify(execFile)(process.execPath, argv);
  return Number(stdout);
}

describe('tuneForLargeDocuments', () => {
  it(
    'keeps the young generation as small as it is',
    { skip: !process.version.startsWith('v20.') },
    async () => {
      const tuned = await youngBytes('tuneForLargeDocuments();');
      const usual = await youngBytes('');
      assert.ok(2 * tuned < usual, `${tuned} bytes of young generation, ${usual} without`);
    },
  );

  it('leaves versions of Node alone that it does not know', async () => {
    const unknown = await youngBytes("tuneForLargeDocuments('99.0.0');");
    const usual = await youngBytes('');
    assert.ok(2 * unknown > usual, `${unknown} bytes of young generation, ${usual} without`);
  });

  it(
    'is done before a lockfile of a thousand packages is read, and not for a small one',
    { skip: !process.version.startsWith('v20.') },
    async () => {
      const [large, small] = [
        await youngBytes(loading(LARGE_LOCKFILE_BYTES)),
        await youngBytes(loading(0)),
      ];
      assert.ok(
        2 * large < small,
        `${large} bytes of young generation, ${small} after a small one`,
      );
    },
  );

  // Blanks at its end: everything else is the same for both.
  function loading(blanks: number): string {
    const folder = mkdtempSync(join(tmpdir(), 'bftpkg-engine-'));
    after(() => rmSync(folder, { recursive: true }));
    const root = { name: 'app', version: '1.0.0' };
    const lock = { ...root, lockfileVersion: 3, packages: { '': root } };
    writeFileSync(join(folder, 'package.json'), JSON.stringify(root));
    writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock) + ' '.repeat(blanks));
    return `
      const { loadLockfile } = await import('${LOAD}');
      await loadLockfile(${JSON.stringify(folder)});
    `;
  }
});
