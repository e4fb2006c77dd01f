import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import type { TrustState } from '../../verifier/evidence/trust.ts';
import { CliError } from '../errors.ts';
import { withFileLock } from './file-lock.ts';
import { formatTrustState, parseTrustState, TrustStore } from './trust-store.ts';

const PIN = 'ab'.repeat(32);

function state(size: number, certifiedTime: number = 1000 + size): TrustState {
  return {
    pin: PIN,
    rosterHash: PIN,
    epoch: 0,
    origin: 'log.example/npm',
    size,
    root: new Uint8Array(32).fill(size),
    note: `log.example/npm\n${size}\n`,
    certifiedTime,
  };
}

let folder = '';
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-trust-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

function freshStore(name: string): TrustStore {
  return new TrustStore(join(folder, name), PIN);
}

describe('TrustStore', () => {
  it('knows nothing at the first contact and what was stored afterwards', async () => {
    const store = freshStore('first');
    assert.equal(await store.read(), undefined);
    assert.deepEqual(await store.advance(undefined, state(5)), { kind: 'stored' });
    assert.deepEqual(await store.read(), state(5));
  });

  it('refuses to advance from a state that is no longer the current one', async () => {
    const store = freshStore('swap');
    await store.advance(undefined, state(5));
    assert.deepEqual(await store.advance(undefined, state(9)), {
      kind: 'moved',
      current: state(5),
    });
    assert.deepEqual(await store.advance(state(4), state(9)), { kind: 'moved', current: state(5) });
    assert.deepEqual(await store.read(), state(5));
  });

  const backwards: readonly (readonly [string, TrustState, TrustState])[] = [
    ['a smaller tree', state(5), state(4, 9999)],
    ['an earlier time of the same tree', state(5, 2000), state(5, 1999)],
  ];
  for (const [why, from, to] of backwards) {
    it(`never goes back to ${why}`, async () => {
      const store = freshStore(`back ${why}`);
      await store.advance(undefined, from);
      await store.advance(from, to);
      assert.deepEqual(await store.read(), from);
    });
  }

  it('lets exactly one of many at once through', async () => {
    const store = freshStore('race');
    await store.advance(undefined, state(1));
    const outcomes = await Promise.all(
      Array.from({ length: 12 }, (_, i) => store.advance(state(1), state(2 + i))),
    );
    assert.equal(outcomes.filter(({ kind }) => kind === 'stored').length, 1);
  });

  it('keeps the file to its owner and leaves nothing else behind', async () => {
    const store = freshStore('mode');
    await store.advance(undefined, state(5));
    assert.equal((await stat(store.path)).mode & 0o777, 0o600);
    assert.deepEqual(await readdir(join(folder, 'mode')), [`${PIN}.json`]);
  });

  const damage: readonly (readonly [string, (text: string) => string])[] = [
    ['cut off', (text) => text.slice(0, 40)],
    ['empty', () => ''],
    ['of another log', (text) => text.replaceAll(PIN, 'cd'.repeat(32))],
    ['of another version', (text) => text.replace('/v1', '/v2')],
    ['with a field more', (text) => text.replace('{', '{"a":1,')],
    [
      'with a smaller size spelled in another way',
      (text) => text.replace('"size":5', '"size":5.0'),
    ],
  ];
  for (const [why, change] of damage) {
    it(`stops at a file that is ${why} instead of forgetting`, async () => {
      const store = freshStore(`damage ${why}`);
      await store.advance(undefined, state(5));
      await writeFile(store.path, change(await readFile(store.path, 'utf8')));
      await assert.rejects(
        store.read(),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP9004',
      );
    });
  }
});

describe('parseTrustState', () => {
  it('reads what was written, and no beginning of it', () => {
    const text = formatTrustState(state(7));
    assert.deepEqual(parseTrustState(text), state(7));
    for (let i = 0; i < text.length - 1; i++) {
      assert.throws(() => parseTrustState(text.slice(0, i)), `cut at ${i}`);
    }
  });
});

describe('withFileLock', () => {
  it('lets one in at a time', async () => {
    const path = join(folder, 'exclusive.lock');
    let inside = 0;
    await Promise.all(
      Array.from({ length: 6 }, () =>
        withFileLock(path, async () => {
          assert.equal(++inside, 1);
          await new Promise((resolve) => setTimeout(resolve, 5));
          inside--;
        }),
      ),
    );
  });

  it('takes over the lock of a process that is gone', async () => {
    const path = join(folder, 'dead.lock');
    const { hostname } = await import('node:os');
    // 2^22 is the highest process number of Linux; this one can't be alive.
    await writeFile(path, `${hostname()} 4194399 x\n`);
    assert.equal(await withFileLock(path, async () => 'in'), 'in');
  });

  it('takes over a lock that is far older than any holder', async () => {
    const path = join(folder, 'old.lock');
    await writeFile(path, 'elsewhere 1 x\n');
    const past = new Date(Date.now() - 120_000);
    await utimes(path, past, past);
    assert.equal(await withFileLock(path, async () => 'in'), 'in');
  });

  it('is free again after a failure', async () => {
    const path = join(folder, 'failed.lock');
    await assert.rejects(
      withFileLock(path, async () => {
        throw new Error('x');
      }),
    );
    assert.equal(await withFileLock(path, async () => 'in'), 'in');
  });
});
