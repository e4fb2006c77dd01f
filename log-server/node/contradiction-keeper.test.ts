import assert from 'node:assert/strict';
import { readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { laterRefusalOf, testKey } from '../../fixtures/documents.ts';
import {
  Author,
  PEOPLE,
  TEST_ORIGIN,
  TEST_TIME,
  bytesOf,
  idOf,
  replicaKeys,
  rosterEnvelope,
} from '../../fixtures/test-ledger.ts';
import { commitAll, noteFor, openTestStorage, withFolder } from '../../fixtures/test-storage.ts';
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { cosignatureMessage } from '../../verifier/cosignature.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { SignaturePoolError } from '../../verifier/node/signature-pool.ts';
import { statementHash } from '../../verifier/dsse.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { assert as ensure } from '../../verifier/errors.ts';
import { parseContradiction, verifyContradiction } from '../../verifier/evidence/contradiction.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import type { Observed } from '../../verifier/statements/observed.ts';
import type { CosignMessage, Header } from '../consensus/types.ts';
import { silentLog, type Log } from '../log.ts';
import type { Storage } from '../store/storage.ts';
import { ContradictionKeeper, type ContradictionParts } from './contradiction-keeper.ts';

const GENESIS = rosterEnvelope(4);
const PIN = statementHash(GENESIS.payload);

interface World {
  readonly folder: string;
  readonly storage: Storage;
  readonly author: Author;
  readonly keeper: ContradictionKeeper;
  /** Of the first batch. */
  readonly header: Header;
}

/** A log of two batches with a checkpoint; `mal` has a package of his own. */
async function withLog(run: (world: World) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const storage = await openTestStorage(folder);
    try {
      const author = new Author(storage.view);
      const header = await commitAll(storage, author.set('left-pad'));
      const mal = [{ name: 'mal', key: PEOPLE.mal.publicKey }];
      const own = author.set('mine', { maintainers: mal, faulty: 0 }, { signers: [PEOPLE.mal] });
      const last = await commitAll(storage, own);
      await storage.store.putCheckpoint(noteFor(last), last.size);
      await run({ folder, storage, author, header, keeper: keeperOf(folder, storage) });
    } finally {
      await storage.store.close();
    }
  });
}

function partsOf(folder: string, storage: Storage): ContradictionParts {
  return {
    folder: join(folder, 'contradictions'),
    store: storage.store,
    view: storage.view,
    claimIndex: storage.claimIndex,
    genesis: PIN,
    verifier: nativeVerifier,
    log: silentLog,
  };
}

function keeperOf(folder: string, storage: Storage, log = silentLog): ContradictionKeeper {
  return new ContradictionKeeper({ ...partsOf(folder, storage), log });
}

/** What a member sends to another one as its vote for a checkpoint. */
function cosignature(signer: number, { size, root, height }: Header): CosignMessage {
  const text = formatCheckpoint({ origin: TEST_ORIGIN, size, root: decodeHex(root) });
  const time = TEST_TIME;
  const signature = replicaKeys(signer).cosign.sign(cosignatureMessage(text, time));
  return { kind: 'cosign', epoch: 0, height, size, root, time, signer, signature };
}

/** A head of the first batch's size that never was. */
function otherHead(header: Header, byte = 7): Observed {
  return new Map([[TEST_ORIGIN, { size: header.size, root: new Uint8Array(32).fill(byte) }]]);
}

function forgedNote(header: Header, byte = 7): string {
  return noteFor({ ...header, root: Buffer.alloc(32, byte).toString('hex') });
}

function release(
  world: World,
  name = 'left-pad',
  byte = 7,
  signers = [PEOPLE.ada, PEOPLE.ben],
): Envelope {
  const observed = otherHead(world.header, byte);
  return world.author.release({ name, version: '1.0.0' }, { observed, signers });
}

async function proven(
  keeper: ContradictionKeeper,
  id: string | undefined,
): ReturnType<typeof verifyContradiction> {
  ensure(id !== undefined, 'it was kept');
  const text = await keeper.document(id);
  ensure(text !== undefined, 'it is served');
  return verifyContradiction(parseContradiction(text), PIN, nativeVerifier);
}

describe('ContradictionKeeper', () => {
  it('keeps what maintainers signed, and proves it to whoever has a pin, also after a restart', () =>
    withLog(async (world) => {
      const statement = release(world);
      const id = await world.keeper.keepStatement(bytesOf(statement));
      assert.equal(id, `s-0-${idOf(statement)}`);
      const again = keeperOf(world.folder, world.storage);
      assert.equal(await again.keepStatement(bytesOf(statement)), id);
      assert.deepEqual(await again.list(), [{ id, kind: 'statement' }]);
      const proof = await proven(again, id);
      assert.equal(proof.size, world.header.size);
      assert.equal(proof.logged, world.header.root);
      assert.equal(proof.witness?.package, 'left-pad');
    }));

  it('keeps every kind of statement that names a head', () =>
    withLog(async ({ author, keeper, header }) => {
      const observed = otherHead(header);
      const next = author.set('left-pad', {}, { observed });
      assert.ok((await proven(keeper, await keeper.keepStatement(bytesOf(next)))).witness);
      const gone = author.withdrawal('left-pad', '1.0.0', 'yanked', {}, { observed });
      assert.ok((await proven(keeper, await keeper.keepStatement(bytesOf(gone)))).witness);
    }));

  const strangers: readonly (readonly [string, (world: World) => Envelope])[] = [
    ['a head of this log', ({ author }) => author.release({ name: 'left-pad', version: '1.0.0' })],
    ['too few signatures', (world) => release(world, 'left-pad', 7, [PEOPLE.ada])],
    [
      'somebody else’s signatures',
      (world) => release(world, 'left-pad', 7, [PEOPLE.mal, testKey(9)]),
    ],
    ['a package that is not claimed', (world) => release(world, 'nobodys')],
    [
      'a head beyond the log’s end',
      ({ author }) =>
        author.release(
          { name: 'left-pad', version: '1.0.0' },
          { observed: new Map([[TEST_ORIGIN, { size: 99, root: new Uint8Array(32) }]]) },
        ),
    ],
  ];
  for (const [why, make] of strangers) {
    it(`keeps nothing of ${why}`, () =>
      withLog(async (world) => {
        assert.equal(await world.keeper.keepStatement(bytesOf(make(world))), undefined);
        assert.deepEqual(await world.keeper.list(), []);
      }));
  }

  it('keeps a few of one package: its maintainers could sign any number', () =>
    withLog(async (world) => {
      const ids = [];
      for (let byte = 1; byte <= 6; byte++) {
        const bytes = bytesOf(release(world, 'mine', byte, [PEOPLE.mal]));
        ids.push(await world.keeper.keepStatement(bytes));
      }
      assert.equal(ids.filter((id) => id !== undefined).length, 4);
      // And they take no room of others.
      assert.notEqual(await world.keeper.keepStatement(bytesOf(release(world))), undefined);
    }));

  it('gives room to an older package when all of it is taken', () =>
    withLog(async (world) => {
      const { keeper, folder } = world;
      await keeper.keepStatement(bytesOf(release(world, 'mine', 1, [PEOPLE.mal])));
      const place = join(folder, 'contradictions');
      for (let i = 0; i < 255; i++) {
        await writeFile(join(place, `s-${1000 + i}-${'0'.repeat(64)}.json`), '{}');
      }
      const id = await keeper.keepStatement(bytesOf(release(world)));
      const names = await readdir(place);
      assert.equal(names.length, 256);
      assert.ok(names.includes(`${id}.json`), 'the older one is kept');
      assert.ok(!names.includes(`s-1254-${'0'.repeat(64)}.json`), 'the youngest one went');
      assert.equal((await keeper.list())[0]?.id, id);
    }));

  it('tells the submitter where the proof is, and leaves other refusals alone', () =>
    withLog(async (world) => {
      const bytes = bytesOf(release(world));
      const refusal = new LedgerError('OBSERVED_HEAD_UNKNOWN', 'no such head');
      const told = await world.keeper.explain(bytes, refusal);
      ensure(told instanceof LedgerError, 'it is still a refusal');
      assert.equal(told.code, refusal.code);
      assert.match(told.hint ?? '', /\/v1\/contradictions\/s-0-[0-9a-f]{64};/);
      const other = new LedgerError('RATE_LIMITED', 'later');
      assert.equal(await world.keeper.explain(bytes, other), other);
    }));

  it('keeps a note of another log, and names the replicas that signed it', () =>
    withLog(async ({ keeper, header }) => {
      const report = await keeper.keepNote(forgedNote(header));
      ensure(report.kind === 'kept', 'it is kept');
      assert.deepEqual(await keeper.keepNote(forgedNote(header)), report);
      assert.deepEqual(await keeper.list(), [{ id: report.id, kind: 'note' }]);
      const proof = await proven(keeper, report.id);
      assert.equal(proof.faulty.length, 4);
      assert.equal(proof.witness, null);
    }));

  it('adds the lines of later postings: who posts a note first does not choose whom it names', () =>
    withLog(async ({ folder, storage, keeper, header }) => {
      const whole = forgedNote(header);
      const [text = '', block = ''] = whole.split(/(?<=\n)\n/);
      const lines = block.split(/(?<=\n)/);
      assert.equal(lines.length, 4);
      const stripped = (...kept: string[]): string => `${text}\n${kept.join('')}`;
      // 60 lines of nobody, which would leave no room for others if they were kept.
      const padding = Array.from({ length: 60 }, (_, i) =>
        (lines[1] ?? '').replace(/ \S{8}/, ` ${String(i).padStart(8, 'A')}`),
      );
      const report = await keeper.keepNote(stripped(lines[2] ?? '', ...padding));
      ensure(report.kind === 'kept', 'it is kept');
      assert.equal((await proven(keeper, report.id)).faulty.length, 1);
      for (const [posted, count] of [
        [stripped(lines[0] ?? '', lines[2] ?? ''), 2],
        [stripped(lines[2] ?? ''), 2],
        [whole, 4],
      ] as const) {
        assert.deepEqual(await keeper.keepNote(posted), report);
        const proof = await proven(keeperOf(folder, storage), report.id);
        assert.equal(proof.faulty.length, count);
      }
      assert.equal((await keeper.list()).length, 1);
    }));

  it('keeps a replica’s cosignature of another tree, and proves that it signed this one too', () =>
    withLog(async ({ folder, storage, header }) => {
      const told: string[] = [];
      const full = new SignaturePoolError('POOL_OVERLOADED', 'full');
      const keeper = new ContradictionKeeper({
        ...partsOf(folder, storage),
        // Strangers have all of what they get: what a member signed is not in line behind them.
        verifier: { verifyMany: () => Promise.reject(full) },
        log: { ...silentLog, error: (event) => told.push(event) },
      });
      const report = await keeper.keepCosignature(
        cosignature(3, { ...header, root: 'aa'.repeat(32) }),
      );
      ensure(report.kind === 'kept', 'it is kept');
      assert.deepEqual(told, ['head_contradicted']);
      const { faulty, logged } = await proven(keeper, report.id);
      assert.deepEqual(
        faulty.map(({ name }) => name),
        ['replica-3'],
      );
      assert.equal(logged, header.root);
      assert.deepEqual(await keeper.keepCosignature(cosignature(3, header)), {
        kind: 'consistent',
      });
      assert.equal((await keeper.list()).length, 1);
    }));

  it('keeps no note that is of this log, or beyond its end', () =>
    withLog(async ({ keeper, header }) => {
      assert.deepEqual(await keeper.keepNote(noteFor(header)), { kind: 'consistent' });
      const later = noteFor({ ...header, size: 99 });
      assert.deepEqual(await keeper.keepNote(later), { kind: 'ahead' });
      assert.deepEqual(await keeper.list(), []);
    }));

  it('refuses notes that no replica signed, of other logs, and what is no note', () =>
    withLog(async ({ keeper, header }) => {
      const unsigned = forgedNote(header).replace(/\n— (\S+) \S+/g, '\n— $1 AAAAAAAA');
      const cases: readonly (readonly [string, string])[] = [
        [unsigned, 'NOTE_SIGNATURE_INVALID'],
        [noteFor({ ...header, origin: 'other.example' }), 'ORIGIN_MISMATCH'],
        ['x', 'NOTE_MALFORMED'],
      ];
      for (const [note, code] of cases) {
        assert.equal(await laterRefusalOf(() => keeper.keepNote(note)), code);
      }
      assert.deepEqual(await keeper.list(), []);
    }));

  it('keeps a few notes against one replica', () =>
    withLog(async ({ keeper, header }) => {
      const kinds = [];
      for (let byte = 1; byte <= 18; byte++) {
        kinds.push((await keeper.keepNote(forgedNote(header, byte))).kind);
      }
      // Four replicas signed all of them: four each.
      assert.deepEqual(kinds, [...Array<string>(16).fill('kept'), 'full', 'full']);
    }));

  it('says how many claims it passed over because too many came at one time', () =>
    withLog(async (world) => {
      const told: unknown[] = [];
      const warn: Log['warn'] = (event, fields) => told.push([event, fields?.['count']]);
      const keeper = keeperOf(world.folder, world.storage, { ...silentLog, warn });
      const bytes = bytesOf(release(world));
      const ids = await Promise.all(Array.from({ length: 7 }, () => keeper.keepStatement(bytes)));
      assert.equal(ids.filter((id) => id === undefined).length, 3);
      assert.deepEqual(told, [['head_unjudged', 3]]);
      assert.notEqual(await keeper.keepStatement(bytes), undefined);
      assert.equal(told.length, 1);
    }));

  it('serves no file but its own, and none that was damaged', () =>
    withLog(async (world) => {
      const { keeper, folder } = world;
      const id = await keeper.keepStatement(bytesOf(release(world)));
      for (const name of ['', '../../log.sqlite', 's-0-x', `${id}x`, `s-00-${'0'.repeat(64)}`]) {
        assert.equal(await keeper.document(name), undefined, name);
      }
      await writeFile(join(folder, 'contradictions', `${id}.json`), '{"package":"left-pad"');
      assert.equal(await keeper.document(id ?? ''), undefined);
    }));
});
