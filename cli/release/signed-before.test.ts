import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { formatRelease, RELEASE_PAYLOAD_TYPE } from '../../verifier/statements/release.ts';
import { makeDraft, type Draft } from './draft.ts';
import { noteSigning } from './signed-before.ts';

function draft(
  versions: readonly string[],
  digest: number,
  options: { readonly origin?: string; readonly size?: number } = {},
): Draft {
  const { origin = 'log.example', size = 1 } = options;
  const payload = formatRelease({
    observed: new Map([[origin, { size, root: new Uint8Array(32) }]]),
    subjects: versions.map((version) => ({
      purl: `pkg:npm/left-pad@${version}`,
      sha512: new Uint8Array(64).fill(digest),
      size: 100,
      maintainers: 0,
      manifest: {},
    })),
  });
  return makeDraft(RELEASE_PAYLOAD_TYPE, payload);
}

async function inFolder(run: (state: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'bftpkg-signed-'));
  try {
    await run(join(folder, 'state'));
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function codeOf(run: Promise<void>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof CliError) return error.diagnostic.code;
    throw error;
  }
}

describe('noteSigning', () => {
  const first = draft(['1.0.0'], 1);
  const rows: readonly (readonly [why: string, second: Draft, code: string | undefined])[] = [
    ['the same again', first, undefined],
    ['the same artifact seen from another head', draft(['1.0.0'], 1, { size: 2 }), undefined],
    ['another artifact', draft(['1.0.0'], 2), 'BP2007'],
    ['another artifact among several releases', draft(['2.0.0', '1.0.0'], 2), 'BP2007'],
    ['another version', draft(['1.0.1'], 2), undefined],
    ['another log', draft(['1.0.0'], 2, { origin: 'test.example' }), undefined],
  ];
  for (const [why, second, code] of rows) {
    it(`${code === undefined ? 'allows' : 'refuses'} ${why}`, () =>
      inFolder(async (state) => {
        await noteSigning(state, first);
        assert.equal(await codeOf(noteSigning(state, second)), code);
        assert.equal(await codeOf(noteSigning(state, first)), undefined, 'and still the first');
      }));
  }

  it('notes nothing of what is refused as a whole', () =>
    inFolder(async (state) => {
      await noteSigning(state, first);
      assert.equal(await codeOf(noteSigning(state, draft(['0.9.0', '1.0.0'], 2))), 'BP2007');
      assert.equal(await codeOf(noteSigning(state, draft(['0.9.0'], 3))), undefined);
    }));

  it('lets one of two win that are signed at the same moment', () =>
    inFolder(async (state) => {
      const codes = await Promise.all(
        Array.from({ length: 8 }, (_, i) => codeOf(noteSigning(state, draft(['1.0.0'], i)))),
      );
      assert.equal(codes.filter((code) => code === undefined).length, 1);
      assert.equal(codes.filter((code) => code === 'BP2007').length, 7);
    }));

  it('does not take a damaged note for none', () =>
    inFolder(async (state) => {
      await noteSigning(state, first);
      const [file] = await readdir(join(state, 'signed'));
      await truncate(join(state, 'signed', file ?? ''), 20);
      assert.equal(await codeOf(noteSigning(state, first)), 'BP9004');
    }));
});
