import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { cp, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { smallLedger } from '../../fixtures/pages-in-memory.ts';
import {
  Author,
  TEST_BOUNDS,
  TEST_ORIGIN,
  TEST_TIME,
  replicaKeys,
  rosterEnvelope,
} from '../../fixtures/test-ledger.ts';
import {
  artifactOf,
  buildAll,
  commitOf,
  noteFor,
  openTestStorage,
  upload,
  withFolder,
} from '../../fixtures/test-storage.ts';
import { DEFAULT_LIMITS } from '../consensus/defaults.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { ZERO_DIGEST, headerDigest, voteBytes } from '../../verifier/replication/encode.ts';
import type { Certificate, CommittedRecord, Header, Write } from '../consensus/types.ts';
import { DamagedStoreError } from './damage.ts';
import { openDatabase } from './database.ts';
import { checkDatabase } from './fsck.ts';
import { REBUILD_FOLDER, finishRebuild, rebuildDatabase, type RebuildReport } from './rebuild.ts';
import { SCHEMA } from './schema.ts';
import { DATABASE_FILE, openTables, type Storage } from './storage.ts';

const GENESIS = rosterEnvelope(4);
const SMALL = artifactOf({ name: 'left-pad', version: '1.0.0' });
const PROMISE = Uint8Array.of(1, 2, 3);

/** Bytes that don't compress: hashes, 64 bytes each. */
function noise(hashes: number): Uint8Array {
  return Buffer.concat(
    Array.from({ length: hashes }, (_, i) => createHash('sha512').update(String(i)).digest()),
  );
}

/** A certificate with real signatures of replicas 0 to 2. */
function certificateOf(header: Header): Certificate {
  const { epoch, height } = header;
  const vote = { epoch, view: 0, nv: ZERO_DIGEST, height, digest: headerDigest(header) };
  const bytes = voteBytes('commit', TEST_ORIGIN, vote);
  const signatures = [0, 1, 2].map((signer) => ({
    signer,
    signature: replicaKeys(signer).vote.sign(bytes),
  }));
  return { phase: 'commit', vote, signatures };
}

async function commit(storage: Storage, ...envelopes: readonly Envelope[]): Promise<Header> {
  const proposal = await buildAll(storage, envelopes);
  const certificate = certificateOf(proposal.header);
  await storage.store.write([{ ...commitOf(proposal), certificate }]);
  return proposal.header;
}

interface World {
  readonly folder: string;
  readonly generation: string;
  /** All batches, as another replica has them. */
  readonly batches: readonly CommittedRecord[];
  readonly last: Header;
  readonly large: ReturnType<typeof artifactOf>;
}

/** A stopped replica with some batches, artifacts of both kinds, votes and a checkpoint. */
async function withReplica(run: (world: World) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const storage = await openTestStorage(folder);
    const large = artifactOf({
      name: 'left-pad',
      version: '2.0.0',
      // Nothing that gets smaller: it has to be a file.
      files: { 'noise.bin': noise(2000) },
    });
    await upload(storage, SMALL);
    await upload(storage, large);
    const author = new Author(storage.view);
    await commit(storage, author.set('left-pad'), author.release(SMALL.release));
    await commit(storage, author.release(large.release));
    let last = await commit(storage, author.withdrawal('left-pad', '1.0.0', 'yanked'));
    for (let i = 0; i < 4; i++) last = await commit(storage, author.set(`later-${i}`));
    const promise: Write = { kind: 'record', name: 'promise', value: PROMISE };
    await storage.store.write([promise]);
    await storage.store.putCheckpoint(noteFor(last), last.size);
    const batches = await storage.store.batches(1, DEFAULT_LIMITS.batchBytesMax);
    const { generation } = storage.store.identity;
    await storage.store.close();
    await run({ folder, generation, batches, last, large });
  });
}

/** Answers of replicas, each the same for every height: their batches from there on. */
function sourceOf(...logs: readonly (readonly CommittedRecord[])[]): Source {
  const asked: number[] = [];
  return {
    asked,
    async *answers(height) {
      asked.push(height);
      for (const log of logs) yield log.filter(({ header }) => header.height >= height).slice(0, 2);
    },
  };
}

interface Source {
  readonly asked: number[];
  answers(height: number): AsyncGenerator<readonly CommittedRecord[]>;
}

function rebuild(
  { folder, generation, batches }: World,
  source: Source = sourceOf(batches),
  known: string | null = generation,
): Promise<RebuildReport> {
  return rebuildDatabase({
    folder,
    genesis: GENESIS,
    replica: 'replica-0',
    generation: known,
    limits: TEST_BOUNDS,
    verifier: nativeVerifier,
    gunzip,
    nowMs: () => 1000 * TEST_TIME,
    source,
    progress: () => undefined,
  });
}

function damage(folder: string, ...statements: readonly string[]): void {
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  try {
    database.function('flip', (value: unknown) => {
      const copy = Buffer.from(value as Buffer);
      const at = Math.floor(copy.length / 2);
      copy[at] = (copy[at] ?? 0) ^ 1;
      return copy;
    });
    for (const sql of statements) assert.ok(database.prepare(sql).run().changes > 0, sql);
  } finally {
    database.close();
  }
}

/** The rebuilt replica is whole, and has what it had. */
async function requireWhole(world: World, isVoter: boolean): Promise<void> {
  const { folder, generation, last, large } = world;
  const database = openDatabase(join(folder, DATABASE_FILE), SCHEMA);
  const report = await checkDatabase(
    database,
    openTables(database),
    smallLedger(GENESIS),
    nativeVerifier,
  );
  database.close();
  assert.deepEqual(report.problems, []);
  const storage = await openTestStorage(folder);
  try {
    const state = await storage.store.consensusState();
    assert.equal(storage.store.identity.generation === generation, isVoter);
    assert.deepEqual(state.records.get('promise'), isVoter ? PROMISE : undefined);
    assert.equal(headerDigest(state.committed.header), headerDigest(last));
    const content = await storage.artifacts.read(SMALL.sha512);
    assert.equal(content?.size, SMALL.bytes.length);
    assert.equal((await storage.artifacts.read(large.sha512))?.size, large.bytes.length);
    assert.deepEqual(await storage.artifacts.missing(9), []);
  } finally {
    await storage.store.close();
  }
}

describe('rebuildDatabase', () => {
  // [what, how, batches that others have to give]
  const damages: readonly (readonly [string, readonly string[], number])[] = [
    ['nothing but rows of the state', ["UPDATE releases SET status = 'active'"], 0],
    ['changes of the map', ['UPDATE map_changes SET added = flip(added)'], 0],
    ['tiles', ['DELETE FROM tiles'], 0],
    ['an entry', ['UPDATE entries SET data = flip(data) WHERE leaf_index = 1'], 2],
    ['a header', ['UPDATE batches SET header = flip(header) WHERE height = 3'], 2],
    ['a certificate', ['UPDATE batches SET certificate = flip(certificate) WHERE height = 7'], 1],
    ['the last batches', ['DELETE FROM batches WHERE height > 5'], 2],
    ['all batches', ['DELETE FROM batches', 'DELETE FROM entries'], 7],
    ['the checkpoint note', ["UPDATE meta SET value = 'x' WHERE key = 'checkpoint'"], 0],
  ];
  for (const [what, statements, fetched] of damages) {
    it(`restores ${what}, and goes on voting`, () =>
      withReplica(async (world) => {
        damage(world.folder, ...statements);
        const report = await rebuild(world);
        assert.deepEqual(
          [report.isVoter, report.height, report.fetched, report.missingArtifacts],
          [true, 7, fetched, 0],
        );
        assert.ok(!existsSync(join(world.folder, REBUILD_FOLDER)));
        await requireWhole(world, true);
      }));
  }

  // [what, how]
  const lost: readonly (readonly [string, readonly string[]])[] = [
    ['a damaged vote', ["UPDATE records SET value = flip(value) WHERE name = 'promise'"]],
    ['a lost vote', ["DELETE FROM records WHERE name = 'promise'"]],
    ['a changed end', ["UPDATE records SET value = flip(value) WHERE name = 'tip'"]],
    ['a lost seal', ["DELETE FROM records WHERE name = 'seal'"]],
    ['a lost name', ["UPDATE meta SET value = 'x' WHERE key = 'generation'"]],
  ];
  for (const [what, statements] of lost) {
    it(`makes ${what} the end of voting, and keeps the log`, () =>
      withReplica(async (world) => {
        damage(world.folder, ...statements);
        const source = sourceOf(world.batches);
        const report = await rebuild(world, source);
        assert.deepEqual([report.isVoter, report.height], [false, 7]);
        assert.deepEqual(source.asked, []);
        await requireWhole(world, false);
      }));
  }

  // Its vote says that it holds them: without them a batch could be decided whose bytes nobody has.
  it('keeps the small artifacts of a batch that it has voted for, decided or not', () =>
    withReplica(async (world) => {
      const promised = artifactOf({ name: 'left-pad', version: '3.0.0' });
      const stranger = artifactOf({ name: 'stranger', version: '1.0.0' });
      const storage = await openTestStorage(world.folder);
      await upload(storage, promised);
      await upload(storage, stranger);
      const envelope = new Author(storage.view).release(promised.release);
      const { header, body } = await buildAll(storage, [envelope]);
      await storage.store.write([{ kind: 'body', digest: headerDigest(header), header, body }]);
      await storage.store.close();
      damage(world.folder, 'DELETE FROM tiles');
      assert.equal((await rebuild(world)).isVoter, true);
      await requireWhole(world, true);
      const rebuilt = await openTestStorage(world.folder);
      const read = await rebuilt.artifacts.read(promised.sha512);
      assert.equal(read?.size, promised.bytes.length);
      assert.equal(await rebuilt.artifacts.facts(stranger.sha512), undefined);
      await rebuilt.store.close();
    }));

  it('copies more small artifacts than are copied together, but for those that have rotted', () =>
    withReplica(async (world) => {
      const all = Array.from({ length: 300 }, (_, i) =>
        artifactOf({ name: 'left-pad', version: `4.${i}.0` }),
      );
      const storage = await openTestStorage(world.folder);
      await Promise.all(all.map(async (one) => upload(storage, one)));
      const author = new Author(storage.view);
      await commit(storage, ...all.map(({ release }) => author.release(release)));
      const batches = await storage.store.batches(1, DEFAULT_LIMITS.batchBytesMax);
      await storage.store.close();
      const rotten = [3, 270].map((i) => all[i]?.sha512 ?? '');
      damage(
        world.folder,
        'DELETE FROM tiles',
        ...rotten.map(
          (sha512) =>
            "UPDATE artifact_bytes SET bytes = x'00' WHERE id =" +
            ` (SELECT bytes_id FROM artifacts WHERE sha512 = x'${sha512}')`,
        ),
      );
      assert.equal((await rebuild({ ...world, batches })).missingArtifacts, 2);
      const rebuilt = await openTestStorage(world.folder);
      assert.deepEqual((await rebuilt.artifacts.missing(9)).toSorted(), rotten.toSorted());
      for (const { sha512, bytes } of all) {
        if (rotten.includes(sha512)) continue;
        assert.equal((await rebuilt.artifacts.read(sha512))?.size, bytes.length);
      }
      await rebuilt.store.close();
    }));

  it('takes no votes of a database that the keys do not know', () =>
    withReplica(async (world) => {
      assert.equal((await rebuild(world, sourceOf(), 'ab'.repeat(16))).isVoter, false);
    }));

  it('starts from nothing when SQLite can’t read the file', () =>
    withReplica(async (world) => {
      const file = join(world.folder, DATABASE_FILE);
      const bytes = await readFile(file);
      await writeFile(file, bytes.fill(0, 0, 64));
      const report = await rebuild(world);
      assert.deepEqual([report.isVoter, report.height], [false, 0]);
      // It follows the others from there; what it holds on the disk it need not fetch again.
      const storage = await openTestStorage(world.folder);
      assert.ok((await storage.artifacts.facts(world.large.sha512)) !== undefined);
      await storage.store.close();
    }));

  it('believes no other replica', () =>
    withReplica(async (world) => {
      damage(world.folder, 'UPDATE entries SET data = flip(data) WHERE leaf_index = 1');
      const [first, ...rest] = world.batches;
      assert.ok(first !== undefined);
      const { header, body, certificate } = first;
      const [one, ...others] = certificate.signatures;
      assert.ok(one !== undefined);
      const lies: readonly (readonly CommittedRecord[])[] = [
        [],
        rest,
        [{ ...first, body: body.slice(1) }],
        [{ ...first, header: { ...header, timestampMs: header.timestampMs + 1 } }],
        [{ ...first, certificate: { ...certificate, signatures: others } }],
        [{ ...first, certificate: { ...certificate, signatures: [one, one, one] } }],
        [{ ...first, certificate: { ...certificate, phase: 'prepare' } }],
        [
          {
            ...first,
            certificate: {
              ...certificate,
              signatures: [{ ...one, signature: new Uint8Array(64) }, ...others],
            },
          },
        ],
      ];
      for (const lie of lies) {
        await assert.rejects(rebuild(world, sourceOf(lie)), DamagedStoreError);
        assert.ok(!existsSync(join(world.folder, REBUILD_FOLDER, 'COMPLETE')));
      }
      // All of them first, and then an honest one.
      assert.equal((await rebuild(world, sourceOf(...lies, world.batches))).isVoter, true);
      await requireWhole(world, true);
    }));

  it('leaves the old database until the new one is whole', () =>
    withReplica(async (world) => {
      damage(world.folder, 'UPDATE entries SET data = flip(data) WHERE leaf_index = 1');
      const before = await readFile(join(world.folder, DATABASE_FILE));
      await assert.rejects(rebuild(world, sourceOf()), /batch 1 of 7 is damaged/);
      assert.ok((await readFile(join(world.folder, DATABASE_FILE))).equals(before));
      assert.equal((await rebuild(world)).isVoter, true);
    }));

  it('removes files that no index knows', () =>
    withReplica(async (world) => {
      const place = join(world.folder, 'artifacts', 'ab', 'cd');
      await mkdir(place, { recursive: true });
      await writeFile(join(place, '0'.repeat(124)), 'not what the name says');
      await writeFile(join(place, 'readme'), 'somebody else’s');
      await rebuild(world);
      assert.deepEqual(await readdir(place), ['readme']);
    }));
});

describe('finishRebuild', () => {
  /** A folder in which the new database is complete, and a crash came before it was in its place. */
  const interrupted = async ({ folder }: World): Promise<string> => {
    const place = join(folder, REBUILD_FOLDER);
    await mkdir(place);
    await cp(join(folder, DATABASE_FILE), join(place, DATABASE_FILE));
    await writeFile(join(place, 'COMPLETE'), '');
    return place;
  };

  it('puts a finished database in its place, without the journal of the old one', () =>
    withReplica(async (world) => {
      await interrupted(world);
      const file = join(world.folder, DATABASE_FILE);
      await writeFile(file, 'the damaged one');
      await writeFile(`${file}-wal`, 'its journal');
      await finishRebuild(world.folder);
      assert.ok(!existsSync(`${file}-wal`));
      await requireWhole(world, true);
    }));

  // Otherwise a power failure could leave neither the new database nor the last votes of the old one.
  it('has the new database on the disk before it takes anything of the old one away', (context) =>
    withReplica(async (world) => {
      await interrupted(world);
      const journal = join(world.folder, `${DATABASE_FILE}-wal`);
      await writeFile(journal, 'its journal');
      const handle = await open(world.folder, 'r');
      await handle.close();
      const prototype = Object.getPrototypeOf(handle) as FileHandle;
      const held: boolean[] = [];
      context.mock.method(prototype, 'sync', async function (this: FileHandle) {
        held.push(existsSync(journal));
        await this.datasync();
      });
      await finishRebuild(world.folder);
      assert.deepEqual(held, [true, false, false]);
    }));

  it('leaves the new one’s journal alone when it is in its place already', () =>
    withReplica(async (world) => {
      const place = await interrupted(world);
      await cp(join(place, DATABASE_FILE), join(world.folder, 'x'));
      await rm(join(place, DATABASE_FILE));
      await writeFile(join(world.folder, `${DATABASE_FILE}-wal`), '');
      await finishRebuild(world.folder);
      assert.ok(existsSync(join(world.folder, `${DATABASE_FILE}-wal`)));
      assert.ok(!existsSync(place));
    }));

  it('leaves an unfinished one', () =>
    withReplica(async (world) => {
      const place = await interrupted(world);
      await rm(join(place, 'COMPLETE'));
      await writeFile(join(place, DATABASE_FILE), 'half of it');
      await finishRebuild(world.folder);
      await requireWhole(world, true);
    }));
});
