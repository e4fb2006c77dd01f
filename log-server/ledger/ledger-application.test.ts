import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  artifactOf,
  buildAll,
  certificateFor,
  commitAll,
  commitOf,
  openTestStorage,
  requestOf,
  upload,
  withFolder,
} from '../../fixtures/test-storage.ts';
import {
  Author,
  PEOPLE,
  TEST_BOUNDS,
  TEST_TIME,
  bytesOf,
  idOf,
} from '../../fixtures/test-ledger.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { formatEntry, parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { executeBatch } from '../../verifier/ledger/batch.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import type { CompactRange } from '../../verifier/merkle/compact-range.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { Body, Header } from '../consensus/types.ts';
import type { Asker } from './application.ts';
import type { Storage } from '../store/storage.ts';

const LEFT_PAD = artifactOf({ name: 'left-pad', version: '1.0.0' });
const { ada, mal } = PEOPLE;

function inStorage(run: (storage: Storage, author: Author) => Promise<void>): () => Promise<void> {
  return async () =>
    withFolder(async (folder) => {
      const storage = await openTestStorage(folder);
      try {
        await run(storage, new Author(storage.view));
      } finally {
        await storage.store.close();
      }
    });
}

async function codeOf(run: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await run();
    return undefined;
  } catch (error) {
    if (error instanceof LedgerError || error instanceof VerifyError) return error.code;
    throw error;
  }
}

describe('LedgerApplication.admit', () => {
  it(
    'keeps of what a submission came in its bytes alone',
    inStorage(async ({ application }, author) => {
      const bytes = bytesOf(author.set('left-pad'));
      const packet = Buffer.alloc(64 * 1024);
      packet.set(bytes, 100);
      const admission = await application.admit(packet.subarray(100, 100 + bytes.length));
      assert.ok(admission.kind === 'accepted', admission.kind);
      const kept = admission.request.bytes;
      assert.deepEqual(Uint8Array.from(kept), bytes);
      const held = kept.buffer.byteLength;
      assert.ok(held <= 2 * bytes.length + 256, `${held} bytes held for ${bytes.length}`);
    }),
  );

  it(
    'accepts a good submission, and knows it again when it is committed',
    inStorage(async ({ application, store }, author) => {
      const set = author.set('left-pad');
      const bytes = bytesOf(set);
      const admission = await application.admit(bytes);
      assert.deepEqual(admission, { kind: 'accepted', request: { id: idOf(set), bytes } });
      assert.deepEqual(await application.admit(bytes), admission, 'nothing changes by asking');
      const { proposal } = await application.build([requestOf(set)], 1000 * TEST_TIME, TEST_BOUNDS);
      assert.ok(proposal);
      await store.write([commitOf(proposal)]);
      const committed = { kind: 'committed', id: idOf(set), index: 0 };
      assert.deepEqual(await application.admit(bytes), committed);
      // The same payload with other signatures, even with none that is good, is the same submission.
      const [line] = set.signatures;
      assert.ok(line);
      const other = { ...set, signatures: [{ ...line, signature: new Uint8Array(64) }] };
      assert.deepEqual(await application.admit(bytesOf(other)), committed);
    }),
  );

  it('has the signatures checked in the turn of whoever hands it in', async () =>
    withFolder(async (folder) => {
      const asked: string[] = [];
      const verifierOf = ({ kind, name }: Asker): SignatureVerifier => ({
        verifyMany: (jobs) => {
          asked.push(`${kind} ${name}: ${jobs.length}`);
          return nativeVerifier.verifyMany(jobs);
        },
      });
      const { application, store, view } = await openTestStorage(folder, { verifierOf });
      const author = new Author(view);
      await application.admit(bytesOf(author.set('a')), { kind: 'client', name: '192.0.2.1' });
      await application.admit(bytesOf(author.set('b')), { kind: 'peer', name: 'r1' });
      await application.admit(bytesOf(author.set('c')));
      await application.admit(bytesOf(author.set('a')));
      assert.deepEqual(asked, ['client 192.0.2.1: 3', 'peer r1: 3']);
      await store.close();
    }));

  it(
    'refuses what breaks a rule or is badly signed',
    inStorage(async ({ application }, author) => {
      const rows: readonly (readonly [string, Uint8Array, string])[] = [
        ['bytes that are no envelope', utf8('{}'), 'ENVELOPE_MALFORMED'],
        [
          'a second spelling',
          utf8(` ${new TextDecoder().decode(bytesOf(author.set('a')))}`),
          'ENVELOPE_MALFORMED',
        ],
        [
          'a missing signature',
          bytesOf(author.set('a', {}, { signers: [ada] })),
          'MAINTAINER_SIGNATURES_MISSING',
        ],
        ['a release of nothing', bytesOf(author.release(LEFT_PAD.release)), 'PACKAGE_UNCLAIMED'],
      ];
      for (const [why, bytes, code] of rows) {
        assert.equal(await codeOf(async () => application.admit(bytes)), code, why);
      }
    }),
  );

  it(
    'asks for the artifacts, of the right signers only, and compares them',
    inStorage(async (storage, author) => {
      const { application } = storage;
      await commitAll(storage, author.set('left-pad'));
      const release = author.release(LEFT_PAD.release);
      await assert.rejects(
        application.admit(bytesOf(release)),
        (error) =>
          error instanceof LedgerError &&
          error.code === 'ARTIFACT_MISSING' &&
          error.temporary &&
          error.artifacts.join() === LEFT_PAD.sha512,
      );
      const unsigned = author.release(LEFT_PAD.release, { signers: [ada, mal] });
      assert.equal(
        await codeOf(async () => application.admit(bytesOf(unsigned))),
        'MAINTAINER_SIGNATURES_MISSING',
      );
      await upload(storage, LEFT_PAD);
      assert.equal(await codeOf(async () => application.admit(bytesOf(release))), undefined);
      const lies: readonly (readonly [string, Parameters<Author['release']>[0]])[] = [
        ['another version', { ...LEFT_PAD.release, version: '1.0.1' }],
        ['another size', { ...LEFT_PAD.release, size: 7 }],
        ['hidden scripts', { ...LEFT_PAD.release, manifest: { scripts: { install: 'x' } } }],
      ];
      for (const [why, lie] of lies) {
        const bytes = bytesOf(author.release(lie));
        assert.equal(await codeOf(async () => application.admit(bytes)), 'ARTIFACT_MISMATCH', why);
      }
    }),
  );

  it(
    'refuses a statement that fits into an envelope and not into an entry',
    inStorage(async (storage, author) => {
      await commitAll(storage, author.set('left-pad'));
      const admit = async (length: number): Promise<string | undefined> => {
        const manifest = { os: ['x'.repeat(length)] };
        const bytes = bytesOf(author.release({ name: 'left-pad', version: '1.0.0', manifest }));
        assert.ok(bytes.length <= 65_535, `${bytes.length} bytes`);
        return codeOf(async () => storage.application.admit(bytes));
      };
      assert.equal(await admit(48_300), 'ENTRY_TOO_LARGE');
      assert.equal(await admit(48_200), 'ARTIFACT_MISSING');
    }),
  );
});

describe('LedgerApplication.build', () => {
  it(
    'makes a header that says what the body does',
    inStorage(async (storage, author) => {
      await commitAll(storage, author.set('first'));
      const before = await storage.application.tip();
      const [set, other] = [author.set('left-pad'), author.set('right-pad')];
      const { header, body, ids, nextRoster } = await buildAll(storage, [set, other]);
      assert.deepEqual(ids, [idOf(set), idOf(other)]);
      assert.equal(nextRoster, undefined);
      assert.equal(body.length, 3);
      assert.equal(header.height, 2);
      assert.equal(header.parent, before.headerDigest);
      assert.equal(header.prevSize, 2);
      assert.equal(header.size, 5);
      assert.equal(header.entriesHash, bodyHash(body));
      // Not later than the last one's: raised to the next millisecond.
      assert.equal(header.timestampMs, before.timeMs + 1);
      assert.deepEqual(await storage.application.tip(), before, 'building commits nothing');
      await storage.store.write([commitOf({ header, body, certificate: certificateFor(header) })]);
      const after = await storage.application.tip();
      assert.equal(encodeHex(after.root), header.root);
      const [commit] = body.slice(-1);
      assert.ok(commit);
      assert.deepEqual(after.commitLeaf, leafHash(commit));
    }),
  );

  it(
    'reports what it leaves out, and whether that may change',
    inStorage(async (storage, author) => {
      await commitAll(storage, author.set('left-pad'));
      const size = storage.view.tip.size + 1;
      const observed = new Map([['log.example/test', { size, root: new Uint8Array(32) }]]);
      const requests = [
        { id: 'ab'.repeat(32), bytes: utf8('{}') },
        requestOf(author.release(LEFT_PAD.release)),
        requestOf(author.set('ahead', {}, { observed })),
        requestOf(author.set('leftpad')),
        requestOf(author.set('fine')),
      ];
      const built = await storage.application.build(requests, 1000 * TEST_TIME, TEST_BOUNDS);
      assert.deepEqual(built.proposal?.ids, [requests[4]?.id]);
      assert.deepEqual(
        built.refused.map(({ id, refusal }) => [id, refusal.code, refusal.temporary]),
        [
          [requests[0]?.id, 'ENVELOPE_MALFORMED', false],
          [requests[1]?.id, 'ARTIFACT_MISSING', true],
          [requests[2]?.id, 'OBSERVED_AHEAD', true],
          [requests[3]?.id, 'NAME_LOOKALIKE', false],
        ],
      );
    }),
  );

  it(
    'lets a roster pass in front of others',
    inStorage(async (storage, author) => {
      const [set, roster] = [author.set('left-pad'), author.nextRoster(4)];
      const requests = [set, roster].map(requestOf);
      const built = await storage.application.build(requests, 1000 * TEST_TIME, TEST_BOUNDS);
      assert.deepEqual(built.proposal?.ids, [idOf(roster)]);
      assert.equal(built.proposal?.nextRoster?.epoch, 1);
      assert.equal(built.proposal?.header.nextRoster, built.proposal?.nextRoster?.hash);
      assert.deepEqual(
        built.refused.map(({ refusal }) => [refusal.code, refusal.temporary]),
        [['ROSTER_NOT_ALONE', true]],
      );
    }),
  );

  it(
    'proposes nothing when nothing is valid',
    inStorage(async ({ application }) => {
      const built = await application.build([], 1000 * TEST_TIME, TEST_BOUNDS);
      assert.deepEqual(built, { proposal: undefined, refused: [] });
    }),
  );
});

describe('LedgerApplication.validate', () => {
  /** Asks a second replica about a batch that a first one built. */
  function onTwo(
    run: (proposer: Storage, voter: Storage, author: Author) => Promise<void>,
  ): () => Promise<void> {
    return async () =>
      withFolder(async (folder) => {
        const proposer = await openTestStorage(`${folder}/0`);
        const voter = await openTestStorage(`${folder}/1`, { replica: 'replica-1' });
        try {
          await run(proposer, voter, new Author(proposer.view));
        } finally {
          await proposer.store.close();
          await voter.store.close();
        }
      });
  }

  it(
    'agrees with the replica that built the batch',
    onTwo(async (proposer, voter, author) => {
      const set = author.set('left-pad');
      const { header, body, ids } = await buildAll(proposer, [set]);
      const validation = await voter.application.validate(header, body, TEST_BOUNDS);
      assert.deepEqual(validation, { ok: true, ids, nextRoster: undefined });
      for (const { store } of [proposer, voter]) {
        await store.write([commitOf({ header, body, certificate: certificateFor(header) })]);
      }
      assert.deepEqual(await proposer.application.tip(), await voter.application.tip());
    }),
  );

  it(
    'votes for a release only with its artifact, and goes on without it once it is decided',
    onTwo(async (proposer, voter, author) => {
      await upload(proposer, LEFT_PAD);
      const set = author.set('left-pad');
      const claim = await buildAll(proposer, [set]);
      for (const { store } of [proposer, voter]) await store.write([commitOf(claim)]);
      const { header, body } = await buildAll(proposer, [author.release(LEFT_PAD.release)]);
      const validation = await voter.application.validate(header, body, TEST_BOUNDS);
      assert.equal(validation.ok, false);
      assert.equal(!validation.ok && validation.code, 'ARTIFACT_MISSING');
      assert.deepEqual(!validation.ok && validation.missingArtifacts, [LEFT_PAD.sha512]);
      const decided = { artifacts: 'skip' } as const;
      assert.equal((await voter.application.validate(header, body, TEST_BOUNDS, decided)).ok, true);
      const again = await voter.application.validate(header, body, TEST_BOUNDS);
      assert.equal(again.ok, false, 'that it is decided is not remembered as held');
      await upload(voter, LEFT_PAD);
      assert.equal((await voter.application.validate(header, body, TEST_BOUNDS)).ok, true);
      assert.deepEqual(await voter.artifacts.missing(1), []);
    }),
  );

  it(
    'lists artifacts of committed releases that are still to be fetched',
    onTwo(async (proposer, voter, author) => {
      await upload(proposer, LEFT_PAD);
      const claim = await buildAll(proposer, [author.set('left-pad')]);
      for (const { store } of [proposer, voter]) await store.write([commitOf(claim)]);
      const release = await buildAll(proposer, [author.release(LEFT_PAD.release)]);
      await voter.store.write([commitOf(release)]);
      assert.deepEqual(await voter.artifacts.missing(10), [LEFT_PAD.sha512]);
      await upload(voter, LEFT_PAD);
      assert.deepEqual(await voter.artifacts.missing(10), []);
    }),
  );

  it(
    'finds a lie about an artifact that it holds',
    onTwo(async (proposer, voter, author) => {
      const claim = await buildAll(proposer, [author.set('left-pad')]);
      for (const { store } of [proposer, voter]) await store.write([commitOf(claim)]);
      await upload(voter, LEFT_PAD);
      const lie = author.release({ ...LEFT_PAD.release, manifest: { scripts: { install: 'x' } } });
      const { header, body } = await lyingBatch(voter, lie);
      const validation = await voter.application.validate(header, body, TEST_BOUNDS);
      assert.equal(!validation.ok && validation.code, 'ARTIFACT_MISMATCH');
      assert.deepEqual(!validation.ok && validation.missingArtifacts, []);
    }),
  );

  interface Proposal {
    readonly header: Header;
    readonly body: Body;
  }
  /** @param range the log's right edge before the batch */
  type Change = (batch: Proposal, range: CompactRange) => Proposal;

  /** Changes the header, whose digest nobody has seen. */
  const headerWith =
    (changes: Partial<Header>): Change =>
    ({ header, body }) => ({ header: { ...header, ...changes }, body });

  /** Changes the body, and the header so that it describes the new one, root and all. */
  const bodyWith =
    (change: (body: Body) => Body): Change =>
    ({ header, body: old }, before) => {
      const body = change(old);
      let range = before;
      for (const entry of body) range = range.append(leafHash(entry));
      const root = encodeHex(range.root());
      const entriesHash = bodyHash(body);
      return { header: { ...header, size: range.size, root, entriesHash }, body };
    };

  /** Changes the fields of an entry. */
  const entryWith = (at: number, fields: object): Change =>
    bodyWith((body) =>
      body.map((data, i) => (i === at ? formatEntry({ ...parseEntry(data), ...fields }) : data)),
    );

  /** As another change, under the root that the untouched batch leads to. */
  const underRightRoot =
    (change: Change): Change =>
    (batch, range) => {
      const { header, body } = change(batch, range);
      return { header: { ...header, root: batch.header.root }, body };
    };

  const tampered: readonly (readonly [why: string, change: Change, code: string])[] = [
    ['another log', headerWith({ origin: 'other.example' }), 'BATCH_MALFORMED'],
    ['another epoch', headerWith({ epoch: 1 }), 'BATCH_MALFORMED'],
    ['a height too many', headerWith({ height: 3 }), 'STATE_MOVED'],
    ['the height before', headerWith({ height: 1 }), 'STATE_MOVED'],
    ['another parent', headerWith({ parent: 'ab'.repeat(32) }), 'BATCH_MALFORMED'],
    ['another size before', headerWith({ prevSize: 1, size: 4 }), 'BATCH_MALFORMED'],
    ['another size after', headerWith({ size: 6 }), 'BATCH_MALFORMED'],
    ['another root', headerWith({ root: 'ab'.repeat(32) }), 'BATCH_MALFORMED'],
    ['another body hash', headerWith({ entriesHash: 'ab'.repeat(32) }), 'BATCH_MALFORMED'],
    ['a roster that is not there', headerWith({ nextRoster: 'ab'.repeat(32) }), 'BATCH_MALFORMED'],
    ['the time before', headerWith({ timestampMs: 1000 * TEST_TIME }), 'TIME_WRONG'],
    ['another second', headerWith({ timestampMs: 1000 * TEST_TIME + 1000 }), 'BATCH_MALFORMED'],
    ['no entries', bodyWith(() => []), 'BATCH_MALFORMED'],
    ['the commit entry alone', bodyWith((body) => body.slice(-1)), 'BATCH_MALFORMED'],
    ['no commit entry', bodyWith((body) => body.slice(0, -1)), 'BATCH_MALFORMED'],
    [
      'two commit entries',
      bodyWith((body) => [...body.slice(1), ...body.slice(-1)]),
      'BATCH_MALFORMED',
    ],
    ['an entry less', bodyWith((body) => body.slice(1)), 'BATCH_MALFORMED'],
    ['an entry twice', bodyWith((body) => [...body.slice(0, 1), ...body]), 'ALREADY_LOGGED'],
    [
      'another order',
      bodyWith(([a, b, c]) => [b, a, c].flatMap((e) => e ?? [])),
      'BATCH_MALFORMED',
    ],
    [
      'an entry that is none',
      bodyWith((body) => [utf8('{}'), ...body.slice(1)]),
      'ENTRY_MALFORMED',
    ],
    ['an entry of another time', entryWith(0, { time: 5 }), 'BATCH_MALFORMED'],
    [
      'an entry of another kind than its statement',
      bodyWith(([first, ...others]) => [
        utf8(decodeUtf8(first ?? utf8('')).replace('"kind":"maintainers"', '"kind":"release"')),
        ...others,
      ]),
      'ENTRY_MALFORMED',
    ],
    [
      'an entry with white space around what was read before',
      bodyWith(([first, ...others]) => [
        utf8(decodeUtf8(first ?? utf8('')).replace('{"envelope":', '{"envelope": ')),
        ...others,
      ]),
      'ENTRY_MALFORMED',
    ],
    ['a commit of another map', entryWith(2, { map: new Uint8Array(32) }), 'BATCH_MALFORMED'],
    ['a commit of another height', entryWith(2, { height: 7 }), 'BATCH_MALFORMED'],
    [
      'a commit after another one',
      entryWith(2, { previous: new Uint8Array(32) }),
      'BATCH_MALFORMED',
    ],
    ['a commit of other entries', entryWith(2, { entries: 3 }), 'BATCH_MALFORMED'],
    ['a commit of another epoch', entryWith(2, { epoch: 3 }), 'BATCH_MALFORMED'],
    [
      'a commit of another map, not in the root',
      underRightRoot(entryWith(2, { map: new Uint8Array(32) })),
      'BATCH_MALFORMED',
    ],
    [
      'a commit of other entries, not in the root',
      underRightRoot(entryWith(2, { entries: 3 })),
      'BATCH_MALFORMED',
    ],
  ];
  for (const [why, change, code] of tampered) {
    it(
      `refuses (${code}) ${why}`,
      onTwo(async (proposer, voter, author) => {
        const first = await buildAll(proposer, [author.set('first')]);
        for (const { store } of [proposer, voter]) await store.write([commitOf(first)]);
        const built = await buildAll(proposer, [author.set('a'), author.set('b')]);
        const { header, body } = change(built, proposer.view.range);
        // Also by the replica that has the execution of the untouched batch.
        for (const { application } of [voter, proposer]) {
          const validation = await application.validate(header, body, TEST_BOUNDS);
          assert.equal(!validation.ok && validation.code, code);
        }
        const good = await voter.application.validate(built.header, built.body, TEST_BOUNDS);
        assert.equal(good.ok, true);
      }),
    );
  }

  it(
    'keeps to the limits of the log',
    onTwo(async (proposer, voter, author) => {
      const { header, body } = await buildAll(proposer, [author.set('a'), author.set('b')]);
      const limits = { ...TEST_BOUNDS, entriesMax: 1 };
      const validation = await voter.application.validate(header, body, limits);
      assert.equal(!validation.ok && validation.code, 'BATCH_MALFORMED');
    }),
  );
});

/** The batch that a leader would make who does not compare artifacts. */
async function lyingBatch(
  { view, store }: Storage,
  envelope: Envelope,
): Promise<{ header: Header; body: Body }> {
  const parent = (await store.consensusState()).committed.header;
  const timestampMs = parent.timestampMs + 1;
  const input = {
    height: parent.height + 1,
    timeSeconds: Math.floor(timestampMs / 1000),
    envelopes: [envelope],
  };
  const execution = await executeBatch(view, input, TEST_BOUNDS, nativeVerifier);
  const header = {
    ...parent,
    height: input.height,
    parent: headerDigest(parent),
    prevSize: parent.size,
    size: execution.range.size,
    root: encodeHex(execution.root),
    entriesHash: bodyHash(execution.entries),
    timestampMs,
  };
  return { header, body: execution.entries };
}
