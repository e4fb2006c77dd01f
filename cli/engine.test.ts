import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { describe, it } from 'node:test';
import { promisify } from 'node:util';

const ENGINE = new URL('engine.ts', import.meta.url).href;

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
});
