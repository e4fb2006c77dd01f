import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readdir, rm, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import Sqlite from 'better-sqlite3';

import { HOSTILE_TARBALLS } from '../../fixtures/tarballs/hostile.ts';
import { digestHex } from '../../fixtures/test-ledger.ts';
import {
  artifactOf,
  chunksOf,
  withFolder,
  type TestArtifact,
} from '../../fixtures/test-storage.ts';
import { hasThreadTime, longestTurnMs } from '../../fixtures/thread-time.ts';
import { TARBALL_BYTES_MAX } from '../../verifier/archive/limits.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { StorageBusyError } from './artifact-store.ts';
import { ArtifactTables, artifactRoom } from './artifact-tables.ts';
import {
  FolderArtifacts,
  UNWANTED_SECONDS_MAX,
  UNWANTED_SECONDS_MIN,
  type FolderArtifactsParts,
} from './folder-artifacts.ts';
import { SCHEMA } from './schema.ts';

const LEFT_PAD = artifactOf({ name: 'left-pad', version: '1.0.0' });
const NOW = 1_800_000_000;

function roomOf({ sha512, release }: TestArtifact): number {
  const { size, name, version, manifest } = release;
  return artifactRoom({ sha512, size, name, version, manifest });
}

interface Bench {
  readonly folder: string;
  readonly tables: ArtifactTables;
  readonly artifacts: FolderArtifacts;
  readonly clock: { now: number };
  /** Paths of all files below the folder, sorted. */
  readonly files: () => Promise<readonly string[]>;
  readonly open: () => Promise<FolderArtifacts>;
}

function inBench(
  run: (bench: Bench) => Promise<void>,
  options: Partial<FolderArtifactsParts> = {},
): () => Promise<void> {
  return async () =>
    withFolder(async (folder) => {
      const database = new Sqlite(':memory:');
      database.exec(SCHEMA);
      const tables = new ArtifactTables(database);
      const clock = { now: NOW };
      const open = async (): Promise<FolderArtifacts> =>
        FolderArtifacts.open({
          folder,
          tables,
          gunzip,
          nowSeconds: () => clock.now,
          // What is kept in the database has tests of its own (small-artifact.test.ts).
          smallBytesMax: 0,
          ...options,
        });
      const files = async (): Promise<readonly string[]> => {
        const entries = await readdir(folder, { recursive: true, withFileTypes: true });
        return entries
          .filter((entry) => entry.isFile())
          .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
          .toSorted();
      };
      await run({ folder, tables, clock, files, open, artifacts: await open() });
      database.close();
    });
}

function pathOf(sha512: string): string {
  return join(sha512.slice(0, 2), sha512.slice(2, 4), sha512.slice(4));
}

async function contentOf(artifacts: FolderArtifacts, sha512: string): Promise<Buffer | undefined> {
  const content = await artifacts.read(sha512);
  if (content === undefined) return undefined;
  const parts: Uint8Array[] = [];
  for await (const chunk of content.chunks()) parts.push(chunk);
  return Buffer.concat(parts);
}

function refusedWith(code: string): (error: unknown) => boolean {
  return (error) => error instanceof VerifyError && error.code === code;
}

/** An upload that ends with an error after some bytes: the client went away. */
async function* brokenOff(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes.subarray(0, bytes.length / 2);
  throw new Error('connection lost');
}

/** More bytes than an artifact may have, without having them. */
async function* endless(): AsyncGenerator<Uint8Array> {
  const chunk = new Uint8Array(16 * 1024 * 1024);
  for (let sent = 0; sent <= TARBALL_BYTES_MAX; sent += chunk.length) yield chunk;
  assert.fail('read on above the limit');
}

describe('FolderArtifacts.put', () => {
  it(
    'keeps an artifact under its digest with what its package.json says',
    inBench(async ({ artifacts, files }) => {
      const put = await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      const facts = {
        sha512: LEFT_PAD.sha512,
        size: LEFT_PAD.bytes.length,
        name: 'left-pad',
        version: '1.0.0',
        manifest: {},
      };
      assert.deepEqual(put, { kind: 'created', facts });
      assert.deepEqual(await artifacts.facts(LEFT_PAD.sha512), facts);
      assert.deepEqual(artifacts.factsNow(LEFT_PAD.sha512), facts);
      assert.deepEqual(await files(), [pathOf(LEFT_PAD.sha512)]);
      assert.deepEqual(await contentOf(artifacts, LEFT_PAD.sha512), Buffer.from(LEFT_PAD.bytes));
    }),
  );

  it(
    'does not make the process deaf while it checks what a stranger has uploaded',
    { skip: !hasThreadTime },
    inBench(async ({ artifacts }) => {
      // Half a megabyte that inflates to 60,000 files: about a second of work.
      const files = Object.fromEntries(
        Array.from({ length: 60_000 }, (_, i) => [`f${i}.js`, ''] as const),
      );
      const many = artifactOf({ name: 'many', version: '1.0.0', files });
      const longest = await longestTurnMs(async () => {
        const { kind } = await artifacts.put(many.sha512, chunksOf(many.bytes));
        assert.equal(kind, 'created');
      });
      assert.ok(longest < 300, `${longest} ms`);
    }),
  );

  it(
    'takes the same artifact again without reading it',
    inBench(async ({ artifacts }) => {
      await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      // eslint-disable-next-line require-yield
      const unread = async function* (): AsyncGenerator<Uint8Array> {
        assert.fail('read');
      };
      const put = await artifacts.put(LEFT_PAD.sha512, unread());
      assert.equal(put.kind, 'present');
    }),
  );

  it(
    'takes two uploads of one artifact at the same time',
    inBench(async ({ artifacts, files }) => {
      await Promise.all(
        [1, 7].map(async (size) => artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes, size))),
      );
      assert.deepEqual(await files(), [pathOf(LEFT_PAD.sha512)]);
    }),
  );

  const refusals: readonly (readonly [
    why: string,
    digest: string,
    source: () => AsyncIterable<Uint8Array>,
    code: string,
  ])[] = [
    [
      'other bytes',
      digestHex(new Uint8Array(1)),
      () => chunksOf(LEFT_PAD.bytes),
      'ARTIFACT_DIGEST_MISMATCH',
    ],
    [
      'bytes that are cut off',
      LEFT_PAD.sha512,
      () => chunksOf(LEFT_PAD.bytes.subarray(1)),
      'ARTIFACT_DIGEST_MISMATCH',
    ],
    ['nothing', LEFT_PAD.sha512, () => chunksOf(new Uint8Array(0)), 'ARTIFACT_DIGEST_MISMATCH'],
    ['more than an artifact may have', LEFT_PAD.sha512, endless, 'ARTIFACT_SIZE_MISMATCH'],
    ['a digest that is none', 'xyz', () => chunksOf(LEFT_PAD.bytes), 'ENCODING_MALFORMED'],
    [
      'a digest that leads elsewhere',
      `../${LEFT_PAD.sha512.slice(3)}`,
      () => chunksOf(LEFT_PAD.bytes),
      'ENCODING_MALFORMED',
    ],
    [
      'a digest in capitals',
      LEFT_PAD.sha512.toUpperCase(),
      () => chunksOf(LEFT_PAD.bytes),
      'ENCODING_MALFORMED',
    ],
  ];
  for (const [why, digest, source, code] of refusals) {
    it(
      `refuses ${why} and leaves no file`,
      inBench(async ({ artifacts, files }) => {
        await assert.rejects(artifacts.put(digest, source()), refusedWith(code));
        assert.deepEqual(await files(), []);
      }),
    );
  }

  it(
    'leaves no file of an upload that is broken off',
    inBench(async ({ artifacts, files }) => {
      await assert.rejects(artifacts.put(LEFT_PAD.sha512, brokenOff(LEFT_PAD.bytes)), /lost/);
      assert.deepEqual(await files(), []);
      // Nor does it take a place among the uploads.
      for (let i = 0; i < 30; i++) {
        await assert.rejects(artifacts.put(LEFT_PAD.sha512, brokenOff(LEFT_PAD.bytes)), /lost/);
      }
      await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
    }),
  );

  it(
    'holds no hostile tarball and leaves no file of one',
    inBench(async ({ artifacts, files }) => {
      const tarballs = HOSTILE_TARBALLS.filter(({ code }) => code !== 'MANIFEST_MISMATCH');
      assert.ok(tarballs.length >= 20);
      for (const { name, bytes, code } of tarballs) {
        const tarball = bytes();
        const digest = digestHex(tarball);
        await assert.rejects(
          artifacts.put(digest, chunksOf(tarball, 65_536)),
          refusedWith(code),
          name,
        );
        assert.equal(artifacts.factsNow(digest), undefined, name);
      }
      assert.deepEqual(await files(), []);
    }),
  );

  it(
    'holds no package whose name can never be released',
    inBench(async ({ artifacts, files }) => {
      const { bytes, sha512 } = artifactOf({ name: 'Left Pad', version: '1.0.0' });
      await assert.rejects(
        artifacts.put(sha512, chunksOf(bytes)),
        refusedWith('PACKAGE_NAME_INVALID'),
      );
      assert.deepEqual(await files(), []);
    }),
  );

  it(
    'takes a limited number of uploads at once',
    inBench(async ({ artifacts, files }) => {
      const waiting: (() => void)[] = [];
      const slow = async function* (): AsyncGenerator<Uint8Array> {
        await new Promise<void>((resolve) => waiting.push(resolve));
        yield* chunksOf(LEFT_PAD.bytes);
      };
      const uploads = Array.from({ length: 36 }, async () =>
        artifacts.put(LEFT_PAD.sha512, slow()),
      );
      while (waiting.length < 36) await new Promise((resolve) => setImmediate(resolve));
      await assert.rejects(
        artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes)),
        StorageBusyError,
      );
      for (const go of waiting) go();
      await Promise.all(uploads);
      assert.deepEqual(await files(), [pathOf(LEFT_PAD.sha512)]);
    }),
  );

  it(
    'has room for some artifacts that no release names, and for all that one does',
    inBench(
      async ({ artifacts, tables, clock, files }) => {
        const [a, b, c] = ['1.0.0', '1.1.0', '1.2.0'].map((version) =>
          artifactOf({ name: 'left-pad', version }),
        );
        assert.ok(a && b && c);
        await artifacts.put(a.sha512, chunksOf(a.bytes));
        await assert.rejects(artifacts.put(b.sha512, chunksOf(b.bytes)), StorageBusyError);
        tables.want(b.sha512);
        await artifacts.put(b.sha512, chunksOf(b.bytes));
        // The first one is old enough to make room; the wanted one stays whatever its age.
        clock.now += UNWANTED_SECONDS_MAX + 1;
        await artifacts.put(c.sha512, chunksOf(c.bytes));
        assert.deepEqual(await files(), [pathOf(b.sha512), pathOf(c.sha512)].toSorted());
        assert.equal(artifacts.factsNow(a.sha512), undefined);
        // Once named, it takes no room among those that are not.
        tables.want(c.sha512);
        assert.equal(tables.unwantedBytes(), 0);
      },
      { unwantedBytesMax: 100 },
    ),
  );
});

describe('room among artifacts that no release names', () => {
  const rows: readonly (readonly [why: string, ageSeconds: number, isGone: boolean])[] = [
    ['keeps one that came a moment ago, for who signs at once', UNWANTED_SECONDS_MIN - 1, false],
    ['gives up an older one: nobody fills the room for a day', UNWANTED_SECONDS_MIN + 1, true],
  ];
  for (const [why, age, isGone] of rows) {
    it(
      why,
      inBench(
        async ({ artifacts, clock }) => {
          const other = artifactOf({ name: 'left-pad', version: '1.1.0' });
          await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
          clock.now += age;
          const put = artifacts.put(other.sha512, chunksOf(other.bytes));
          if (isGone) await put;
          else await assert.rejects(put, StorageBusyError);
          assert.equal(artifacts.factsNow(LEFT_PAD.sha512) === undefined, isGone);
        },
        { unwantedBytesMax: 100 },
      ),
    );
  }

  it(
    'takes no more than it needs of those that have not had their day',
    inBench(
      async ({ artifacts, clock }) => {
        const [a, b, c] = ['1.0.0', '1.1.0', '1.2.0'].map((version) =>
          artifactOf({ name: 'left-pad', version }),
        );
        assert.ok(a && b && c);
        await artifacts.put(a.sha512, chunksOf(a.bytes));
        clock.now += 1;
        await artifacts.put(b.sha512, chunksOf(b.bytes));
        clock.now += UNWANTED_SECONDS_MIN + 1;
        await artifacts.put(c.sha512, chunksOf(c.bytes));
        assert.equal(artifacts.factsNow(a.sha512), undefined);
        assert.ok(artifacts.factsNow(b.sha512) !== undefined, 'the younger one stays');
      },
      { unwantedBytesMax: roomOf(LEFT_PAD) + 50 },
    ),
  );
});

describe('a full room', () => {
  // Rows that go took a transaction each, and an fsync, in which no vote is heard.
  it(
    'is cleared of what has had its day in one transaction',
    inBench(
      async ({ artifacts, tables, clock, files }) => {
        const all = Array.from({ length: 21 }, (_, i) =>
          artifactOf({ name: 'left-pad', version: `1.${i}.0` }),
        );
        const [last, ...olds] = all;
        assert.ok(last !== undefined, 'there is a last one');
        await Promise.all(olds.map(async (one) => artifacts.put(one.sha512, chunksOf(one.bytes))));
        clock.now += UNWANTED_SECONDS_MAX + 1;
        const dropped: number[] = [];
        const dropAll = tables.dropAll.bind(tables);
        tables.dropAll = (sha512s): void => {
          dropped.push(sha512s.length);
          dropAll(sha512s);
        };
        await artifacts.put(last.sha512, chunksOf(last.bytes));
        assert.deepEqual(dropped, [20]);
        assert.deepEqual(await files(), [pathOf(last.sha512)]);
        assert.equal(tables.unwantedBytes(), roomOf(last));
      },
      { unwantedBytesMax: 19 * roomOf(LEFT_PAD) },
    ),
  );
});

describe('room for what a vote waits for', () => {
  const versions = ['1.0.0', '1.1.0', '1.2.0', '1.3.0'].map((version) =>
    artifactOf({ name: 'left-pad', version }),
  );
  const [a, b, c, d] = versions;
  assert.ok(a && b && c && d);
  const limits = { unwantedBytesMax: roomOf(a), voteBytesMax: roomOf(a) };

  it(
    'is there when strangers have filled theirs, and not for them',
    inBench(async ({ artifacts }) => {
      await artifacts.put(a.sha512, chunksOf(a.bytes));
      await assert.rejects(artifacts.put(b.sha512, chunksOf(b.bytes)), StorageBusyError);
      assert.equal((await artifacts.put(b.sha512, chunksOf(b.bytes), 'vote')).kind, 'created');
      await assert.rejects(artifacts.put(c.sha512, chunksOf(c.bytes)), StorageBusyError);
    }, limits),
  );

  it(
    'is bounded: what is oldest goes, however young, as batches of a faulty leader may never commit',
    inBench(async ({ artifacts, tables, clock }) => {
      for (const { sha512, bytes } of versions) {
        await artifacts.put(sha512, chunksOf(bytes), 'vote');
        clock.now += 1;
      }
      assert.ok(tables.unwantedBytes() <= 2 * roomOf(a) + 50);
      assert.equal(artifacts.factsNow(a.sha512), undefined);
      assert.equal(artifacts.factsNow(b.sha512), undefined);
      assert.ok(artifacts.factsNow(d.sha512) !== undefined);
    }, limits),
  );
});

describe('an artifact of a batch under vote', () => {
  const [a, b, c] = ['1.0.0', '1.1.0', '1.2.0'].map((version) =>
    artifactOf({ name: 'left-pad', version }),
  );
  assert.ok(a && b && c, 'three artifacts');
  const limits = { unwantedBytesMax: roomOf(a), voteBytesMax: roomOf(a) };
  const promised = (): ReadonlySet<string> => new Set([a.sha512]);

  // A faulty leader has it voted for, and a stranger's upload would take it from the only replicas that
  // have it: then the batch is mandated for ever, and nobody can check it.
  for (const purpose of ['offer', 'vote'] as const) {
    it(
      `is never pushed out by an ${purpose}, however old it is`,
      inBench(
        async ({ artifacts, clock }) => {
          await artifacts.put(a.sha512, chunksOf(a.bytes));
          for (const { sha512, bytes } of [b, c]) {
            clock.now += UNWANTED_SECONDS_MAX + 1;
            await artifacts.put(sha512, chunksOf(bytes), purpose);
          }
          assert.ok(artifacts.factsNow(a.sha512) !== undefined, 'promised: it stays');
          assert.ok(artifacts.factsNow(c.sha512) !== undefined, 'and takes no room from others');
          assert.equal(artifacts.factsNow(b.sha512), undefined, 'what nobody promised goes');
        },
        { ...limits, voteBytesMax: 0, promised },
      ),
    );
  }

  it(
    'takes room up to a bound only: a faulty leader may name as much as it likes',
    inBench(
      async ({ artifacts }) => {
        for (const { sha512, bytes } of [a, b])
          await artifacts.put(sha512, chunksOf(bytes), 'vote');
        await assert.rejects(artifacts.put(c.sha512, chunksOf(c.bytes), 'vote'), StorageBusyError);
        assert.ok(artifacts.factsNow(a.sha512) !== undefined, 'what is promised stays');
        assert.ok(artifacts.factsNow(b.sha512) !== undefined, 'what is promised stays');
      },
      {
        unwantedBytesMax: 1,
        voteBytesMax: 0,
        promisedBytesMax: roomOf(a),
        promised: () => new Set([a.sha512, b.sha512, c.sha512]),
      },
    ),
  );

  it(
    'is fetched again when it was found damaged',
    inBench(
      async ({ artifacts, folder }) => {
        await artifacts.put(a.sha512, chunksOf(a.bytes));
        assert.deepEqual(await artifacts.missing(10), []);
        await rm(join(folder, pathOf(a.sha512)));
        assert.equal(await artifacts.read(a.sha512), undefined);
        assert.deepEqual(await artifacts.missing(10), [a.sha512]);
      },
      { ...limits, promised },
    ),
  );
});

describe('FolderArtifacts.read', () => {
  const damages: readonly (readonly [why: string, damage: (path: string) => Promise<void>])[] = [
    ['a flipped bit', async (path) => writeFile(path, LEFT_PAD.bytes.with(50, 1))],
    ['a lost end', async (path) => truncate(path, LEFT_PAD.bytes.length - 1)],
    [
      'bytes too many',
      async (path) => writeFile(path, Buffer.concat([LEFT_PAD.bytes, LEFT_PAD.bytes])),
    ],
    ['a lost file', async (path) => rm(path)],
  ];
  for (const [why, damage] of damages) {
    it(
      `serves nothing after ${why}, and takes the artifact again`,
      inBench(async ({ artifacts, folder, tables }) => {
        const { sha512, bytes } = LEFT_PAD;
        await artifacts.put(sha512, chunksOf(bytes));
        tables.want(sha512);
        assert.deepEqual(await artifacts.missing(10), []);
        await damage(join(folder, pathOf(sha512)));
        assert.equal(await artifacts.read(sha512), undefined);
        assert.equal(artifacts.factsNow(sha512), undefined, 'not voted for either');
        assert.deepEqual(await artifacts.missing(10), [sha512]);
        assert.equal((await artifacts.put(sha512, chunksOf(bytes))).kind, 'created');
        assert.deepEqual(await contentOf(artifacts, sha512), Buffer.from(bytes));
        assert.deepEqual(await artifacts.missing(10), []);
      }),
    );
  }

  it(
    'knows nothing of what was never put',
    inBench(async ({ artifacts }) => {
      const digest = digestHex(randomBytes(10));
      assert.equal(await artifacts.read(digest), undefined);
      assert.equal(await artifacts.facts(digest), undefined);
    }),
  );
});

describe('FolderArtifacts.missing', () => {
  it(
    'lists what releases name and is not here',
    inBench(async ({ artifacts, tables }) => {
      const held = artifactOf({ name: 'left-pad', version: '1.0.0' });
      const wanted = artifactOf({ name: 'left-pad', version: '1.1.0' });
      await artifacts.put(held.sha512, chunksOf(held.bytes));
      for (const { sha512 } of [held, wanted]) tables.want(sha512);
      assert.deepEqual(await artifacts.missing(10), [wanted.sha512]);
      assert.deepEqual(await artifacts.missing(0), []);
      await artifacts.put(wanted.sha512, chunksOf(wanted.bytes));
      assert.deepEqual(await artifacts.missing(10), []);
    }),
  );
});

describe('FolderArtifacts.open', () => {
  it(
    'removes what a crash left unfinished, and nothing else',
    inBench(async ({ artifacts, folder, files, open }) => {
      await artifacts.put(LEFT_PAD.sha512, chunksOf(LEFT_PAD.bytes));
      await writeFile(join(folder, 'incoming', 'abc'), 'half');
      const again = await open();
      assert.deepEqual(await files(), [pathOf(LEFT_PAD.sha512)]);
      assert.deepEqual(await contentOf(again, LEFT_PAD.sha512), Buffer.from(LEFT_PAD.bytes));
    }),
  );
});
