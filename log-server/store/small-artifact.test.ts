import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir } from 'node:fs/promises';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';
import * as fc from 'fast-check';

import { HOSTILE_TARBALLS } from '../../fixtures/tarballs/hostile.ts';
import { digestHex } from '../../fixtures/test-ledger.ts';
import {
  artifactOf,
  chunksOf,
  withFolder,
  type TestArtifact,
} from '../../fixtures/test-storage.ts';
import { concat } from '../../verifier/bytes.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { ArtifactGroup, GROUP_BYTES_MAX, GROUP_COUNT_MAX } from './artifact-group.ts';
import { ArtifactTables, artifactRoom, type ArtifactEntry } from './artifact-tables.ts';
import { FolderArtifacts } from './folder-artifacts.ts';
import { SCHEMA } from './schema.ts';
import { SMALL_BYTES_MAX, readHead } from './small-artifact.ts';

const NOW = 1_800_000_000;
const LEFT_PAD = artifactOf({ name: 'left-pad', version: '1.0.0' });
/** Its tarball is larger than what the database takes. */
const LARGE = artifactOf({
  name: 'left-pad',
  version: '2.0.0',
  files: { 'noise.bin': Uint8Array.from(randomBytes(SMALL_BYTES_MAX + 1)) },
});
/** Small on the wire, and half a megabyte of zeros inside. */
const SWELLING = artifactOf({
  name: 'left-pad',
  version: '3.0.0',
  files: { 'zeros.bin': new Uint8Array(512 * 1024) },
});

function roomOf({ sha512, release }: TestArtifact): number {
  const { size, name, version, manifest } = release;
  return artifactRoom({ sha512, size, name, version, manifest });
}

interface Bench {
  readonly database: Sqlite.Database;
  readonly tables: ArtifactTables;
  readonly artifacts: FolderArtifacts;
  /** Transactions so far. */
  readonly transactions: () => number;
  readonly files: () => Promise<readonly string[]>;
}

function inBench(run: (bench: Bench) => Promise<void>): () => Promise<void> {
  return async () =>
    withFolder(async (folder) => {
      const database = new Sqlite(':memory:');
      database.exec(SCHEMA);
      let count = 0;
      const tables = new ArtifactTables(database);
      const putAll = tables.putAll.bind(tables);
      tables.putAll = (entries): void => {
        count += 1;
        putAll(entries);
      };
      const artifacts = await FolderArtifacts.open({
        folder,
        tables,
        gunzip,
        nowSeconds: () => NOW,
      });
      const files = async (): Promise<readonly string[]> => {
        const entries = await readdir(folder, { recursive: true, withFileTypes: true });
        return entries.filter((entry) => entry.isFile()).map(({ name }) => name);
      };
      await run({ database, tables, artifacts, files, transactions: () => count });
      database.close();
    });
}

async function contentOf(artifacts: FolderArtifacts, sha512: string): Promise<Buffer | undefined> {
  const content = await artifacts.read(sha512);
  if (content === undefined) return undefined;
  const parts: Uint8Array[] = [];
  for await (const chunk of content.chunks()) parts.push(chunk);
  return Buffer.concat(parts);
}

function countBytes(database: Sqlite.Database): unknown {
  return database.prepare('SELECT count(*) FROM artifact_bytes').pluck().get();
}

describe('small artifacts', () => {
  it(
    'are kept in the database, and served',
    inBench(async ({ artifacts, files }) => {
      const put = await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      assert.equal(put.kind, 'created');
      assert.equal(put.facts.size, LEFT_PAD.bytes.length);
      assert.deepEqual(await files(), []);
      assert.deepEqual(await contentOf(artifacts, LEFT_PAD.sha512), Buffer.from(LEFT_PAD.bytes));
      assert.deepEqual(artifacts.smallNow(LEFT_PAD.sha512), LEFT_PAD.bytes);
      const again = await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      assert.equal(again.kind, 'present');
    }),
  );

  it(
    'that came at one time share a transaction, and one that came twice is kept once',
    inBench(async ({ artifacts, tables, transactions, database }) => {
      const all = Array.from({ length: 40 }, (_, i) =>
        artifactOf({ name: 'left-pad', version: `1.${i}.0` }),
      );
      await Promise.all(
        [...all, ...all].map(async ({ sha512, bytes }) => artifacts.put(sha512, chunksOf(bytes))),
      );
      assert.ok(transactions() <= 40, `${transactions()} transactions for 80 uploads`);
      assert.equal(countBytes(database), 40);
      const sum = all.reduce((bytes, one) => bytes + roomOf(one), 0);
      assert.equal(tables.unwantedBytes(), sum);
    }),
  );

  const large: readonly (readonly [why: string, artifact: typeof LARGE])[] = [
    ['is larger', LARGE],
    ['inflates to much', SWELLING],
  ];
  for (const [why, { sha512, bytes }] of large) {
    it(
      `become files when one ${why}`,
      inBench(async ({ artifacts, files, database }) => {
        await artifacts.put(sha512, chunksOf(bytes, 10_000));
        assert.equal((await files()).length, 1);
        assert.equal(countBytes(database), 0);
        assert.equal(artifacts.smallNow(sha512), undefined);
        assert.ok(artifacts.hasNow(sha512), 'it is held all the same');
        assert.deepEqual(await contentOf(artifacts, sha512), Buffer.from(bytes));
      }),
    );
  }

  it(
    'that are refused leave nothing',
    inBench(async ({ artifacts, files, database }) => {
      const tarballs = HOSTILE_TARBALLS.filter(({ code }) => code !== 'MANIFEST_MISMATCH');
      for (const { name, bytes, code } of tarballs) {
        const tarball = bytes();
        await assert.rejects(
          artifacts.put(digestHex(tarball), chunksOf(tarball, 65_536)),
          (error) => error instanceof VerifyError && error.code === code,
          name,
        );
      }
      await assert.rejects(
        artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes.subarray(1))),
        (error) => error instanceof VerifyError && error.code === 'ARTIFACT_DIGEST_MISMATCH',
      );
      assert.deepEqual(await files(), []);
      assert.equal(countBytes(database), 0);
    }),
  );

  it(
    'that have rotted are not served, and taken again',
    inBench(async ({ artifacts, tables, database }) => {
      const { sha512, bytes } = LEFT_PAD;
      await artifacts.put(sha512, chunksOf(bytes));
      tables.want(sha512);
      database.prepare('UPDATE artifact_bytes SET bytes = ?').run(bytes.with(50, 1));
      assert.equal(artifacts.smallNow(sha512), undefined);
      assert.ok(!artifacts.hasNow(sha512), 'it is not held any more');
      assert.equal(artifacts.factsNow(sha512), undefined, 'not voted for either');
      assert.equal(countBytes(database), 0);
      assert.deepEqual(await artifacts.missing(10), [sha512]);
      assert.equal((await artifacts.put(sha512, chunksOf(bytes))).kind, 'created');
      assert.deepEqual(await artifacts.missing(10), []);
    }),
  );

  it(
    'are forgotten with their bytes',
    inBench(async ({ artifacts, tables, database }) => {
      await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      tables.drop(LEFT_PAD.sha512);
      assert.equal(countBytes(database), 0);
      assert.equal(tables.unwantedBytes(), 0);
    }),
  );

  it(
    'are unwanted once, whenever they came last',
    inBench(async ({ tables }) => {
      const { sha512, bytes } = LEFT_PAD;
      const facts = { sha512, size: bytes.length, name: 'a', version: '1.0.0', manifest: {} };
      // Files: two uploads of one may end one after the other.
      tables.put(facts, 10);
      tables.put(facts, 20);
      assert.equal(tables.unwantedBytes(), roomOf(LEFT_PAD));
      tables.forget();
      assert.equal(tables.unwantedBytes(), roomOf(LEFT_PAD));
      assert.deepEqual(tables.unwantedBefore(20, 9), []);
      assert.deepEqual(tables.unwantedBefore(21, 9), [sha512]);
      tables.want(sha512);
      tables.put(facts, 30);
      assert.equal(tables.unwantedBytes(), 0, 'a wanted one never is');
      tables.forget();
      assert.equal(tables.unwantedBytes(), 0);
      assert.deepEqual(tables.counts(), { wanted: 1, missing: 0 });
    }),
  );

  it(
    'count with their manifests and rows, which are most of what they take',
    inBench(async ({ artifacts, tables, database }) => {
      // Three scripts of sixteen thousand letters are three hundred bytes of tarball.
      const script = 'a'.repeat(16_000);
      const scripts = { preinstall: script, install: script, postinstall: script };
      const { sha512, bytes } = artifactOf({
        name: 'left-pad',
        version: '1.0.0',
        packageJson: { name: 'left-pad', version: '1.0.0', scripts },
      });
      assert.ok(bytes.length < 1000, `${bytes.length} bytes`);
      await artifacts.put(sha512, chunksOf(bytes));
      assert.ok(tables.unwantedBytes() > 48_000, `${tables.unwantedBytes()} bytes of room`);
      assert.equal(tables.unwantedRoom(sha512), tables.unwantedBytes());
      const stored = database.prepare('SELECT sum(size) FROM unwanted_artifacts').pluck().get();
      assert.equal(stored, tables.unwantedBytes());
    }),
  );

  it(
    'are counted as they are, whatever became of them',
    inBench(async ({ tables, database }) => {
      const step = fc.record({
        what: fc.constantFrom('put', 'want', 'drop', 'rest', 'fail'),
        which: fc.nat(4),
        seconds: fc.nat(3),
        isFile: fc.boolean(),
      });
      fc.assert(
        fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
          for (const table of ['artifacts', 'unwanted_artifacts', 'missing_artifacts']) {
            database.exec(`DELETE FROM ${table}`);
          }
          tables.forget();
          for (const { what, which, seconds, isFile } of steps) {
            tables.counts();
            tables.unwantedBytes();
            const sha512 = `0${which}`.repeat(64);
            const facts = { sha512, size: which, name: 'a', version: '1.0.0', manifest: {} };
            const entry: ArtifactEntry = {
              facts,
              receivedSeconds: seconds,
              bytes: isFile ? undefined : Uint8Array.of(which),
            };
            if (what === 'put') tables.putAll([entry]);
            else if (what === 'want') tables.want(sha512);
            else if (what === 'drop') tables.drop(sha512);
            else if (what === 'rest') tables.rest();
            else {
              const good = { ...entry, facts: { ...facts, sha512: '1a'.repeat(64) } };
              const bad = { ...entry, facts: { ...facts, sha512: '1b'.repeat(64), size: 0.5 } };
              assert.throws(() => tables.putAll([good, bad]));
            }
            const fresh = new ArtifactTables(database);
            assert.deepEqual(tables.counts(), fresh.counts(), what);
            assert.equal(tables.unwantedBytes(), fresh.unwantedBytes(), what);
          }
        }),
      );
    }),
  );

  it(
    'count as unwanted until a release names them',
    inBench(async ({ artifacts, tables }) => {
      await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      assert.equal(tables.unwantedBytes(), roomOf(LEFT_PAD));
      tables.want(LEFT_PAD.sha512);
      tables.want(LEFT_PAD.sha512);
      assert.equal(tables.unwantedBytes(), 0);
      tables.forget();
      assert.equal(tables.unwantedBytes(), 0, 'counted again, it is the same');
    }),
  );
});

function entryOf(i: number, bytes: Uint8Array): ArtifactEntry {
  const facts = {
    sha512: String(i),
    size: bytes.length,
    name: 'a',
    version: '1.0.0',
    manifest: {},
  };
  return { facts, receivedSeconds: NOW, bytes };
}

describe('ArtifactGroup', () => {
  const groups: readonly (readonly [why: string, sizes: readonly number[], expected: string])[] = [
    ['puts what comes at one time into one', [1, 1, 1], '3'],
    ['ends one with its bytes', [GROUP_BYTES_MAX - 1, 2, 1], '1 2'],
    ['takes one that is larger alone', [GROUP_BYTES_MAX + 1, 1], '1 1'],
    ['ends one with its count', Array.from({ length: GROUP_COUNT_MAX + 3 }, () => 1), '256 3'],
  ];
  for (const [why, sizes, expected] of groups) {
    it(why, async () => {
      const sizesOfGroups: number[] = [];
      const group = new ArtifactGroup({
        putAll: (entries) => {
          sizesOfGroups.push(entries.length);
        },
      });
      await Promise.all(sizes.map(async (size, i) => group.put(entryOf(i, new Uint8Array(size)))));
      assert.equal(sizesOfGroups.join(' '), expected);
    });
  }

  it('lets others have their turn between two transactions', async () => {
    const turns: string[] = [];
    const group = new ArtifactGroup({
      putAll: () => {
        turns.push('group');
        // A vote, as the persister writes it: queued while the first transaction runs.
        setImmediate(() => turns.push('vote'));
      },
    });
    const two = [1, 2].map((i) => entryOf(i, new Uint8Array(GROUP_BYTES_MAX)));
    await Promise.all(two.map(async (entry) => group.put(entry)));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(turns.slice(0, 3), ['group', 'vote', 'group']);
  });

  it('tells everybody in a group of its failure, and goes on with the next', async () => {
    let isBroken = true;
    const group = new ArtifactGroup({
      putAll: () => {
        if (isBroken) throw new Error('disk full');
      },
    });
    const first = await Promise.allSettled(
      [1, 2].map(async (i) => group.put(entryOf(i, new Uint8Array(1)))),
    );
    assert.deepEqual(
      first.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
    isBroken = false;
    await group.put(entryOf(3, new Uint8Array(1)));
  });
});

describe('readHead', () => {
  const bytes = Uint8Array.from(randomBytes(100));

  const whole: readonly (readonly [why: string, bytes: Uint8Array, size: number])[] = [
    ['in one piece', bytes, 100],
    ['in many', bytes, 7],
    ['of nothing', new Uint8Array(0), 1],
  ];
  for (const [why, content, size] of whole) {
    it(`reads a source ${why} to its end`, async () => {
      const head = await readHead(chunksOf(content, size), 100);
      assert.ok(head.kind === 'whole', head.kind);
      assert.deepEqual(Buffer.from(head.bytes), Buffer.from(content));
    });
  }

  it('gives back a longer one from its beginning, and lets the sender go', async () => {
    let isOver = false;
    const source = async function* (): AsyncGenerator<Uint8Array> {
      try {
        yield* chunksOf(bytes, 9);
      } finally {
        isOver = true;
      }
    };
    const head = await readHead(source(), 99);
    assert.ok(head.kind === 'more', head.kind);
    const chunks: Uint8Array[] = [];
    for await (const chunk of head.source) chunks.push(chunk);
    assert.deepEqual(concat(...chunks), bytes);
    isOver = false;
    const again = await readHead(source(), 10);
    assert.ok(again.kind === 'more', again.kind);
    for await (const chunk of again.source) {
      assert.ok(chunk.length > 0, 'a chunk');
      break;
    }
    assert.ok(isOver, 'the sender was let go');
  });
});
