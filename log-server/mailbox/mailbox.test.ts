import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, mock } from 'node:test';

import { testKey } from '../../fixtures/documents.ts';
import { withFolder } from '../../fixtures/test-storage.ts';
import {
  PEOPLE,
  TEST_ORIGIN,
  TEST_TIME,
  TestLedger,
  bytesOf,
  idOf,
} from '../../fixtures/test-ledger.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { parseEnvelope } from '../../verifier/dsse.ts';
import { keyId } from '../../verifier/ed25519.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import type { SigningKey } from '../../verifier/node/signing-key.ts';
import { PROPOSAL_PACKAGES_MAX } from '../../verifier/statements/release.ts';
import { silentLog } from '../log.ts';
import {
  Mailbox,
  MailboxFullError,
  PROPOSALS_PER_PACKAGE,
  PROPOSAL_SECONDS_MAX,
  type MailboxParts,
} from './mailbox.ts';
import { ProposalTables, openMailboxDatabase } from './tables.ts';

const { ada, ben, eve, mal } = PEOPLE;
const SHARE = Math.floor(PROPOSALS_PER_PACKAGE / 3);

interface World {
  readonly test: TestLedger;
  mailbox: Mailbox;
  /** Seconds of both clocks. */
  time: number;
  /** Opens the same file again, as after a crash: nothing was closed. */
  reopen(): void;
}

function inMailbox(
  run: (world: World) => Promise<void>,
  limits: Pick<MailboxParts, 'countMax' | 'bytesMax'> = {},
): () => Promise<void> {
  return async () =>
    withFolder(async (folder) => {
      const test = new TestLedger();
      const claims = new Map<string, number>();
      for (const name of ['old', 'left-pad', 'new']) {
        await test.commit(test.author.set(name));
        claims.set(name, test.ledger.maintainerSet(name)?.index ?? 0);
      }
      const path = join(folder, 'mailbox.sqlite');
      const open = (): Mailbox =>
        new Mailbox({
          tables: new ProposalTables(openMailboxDatabase(path, silentLog)),
          view: test.ledger,
          claimIndex: (name) => claims.get(name),
          verifier: nativeVerifier,
          nowSeconds: () => world.time,
          nowMs: () => 1000 * world.time,
          ...limits,
        });
      const world: World = {
        test,
        time: TEST_TIME,
        mailbox: undefined as unknown as Mailbox,
        reopen: () => {
          world.mailbox.close();
          world.mailbox = open();
        },
      };
      world.mailbox = open();
      try {
        await run(world);
      } finally {
        world.mailbox.close();
      }
    });
}

async function codeOf(run: Promise<unknown>): Promise<string | undefined> {
  try {
    await run;
    return undefined;
  } catch (error) {
    if (error instanceof LedgerError || error instanceof VerifyError) return error.code;
    if (error instanceof MailboxFullError) return 'FULL';
    throw error;
  }
}

function release(
  { test }: World,
  version: string,
  signers: readonly SigningKey[] = [ada],
  name: string = 'left-pad',
): Envelope {
  return test.author.release({ name, version }, { signers });
}

const post = ({ mailbox }: World, envelope: Envelope): ReturnType<Mailbox['post']> =>
  mailbox.post(bytesOf(envelope));
const idsIn = ({ mailbox }: World, name = 'left-pad'): string[] =>
  mailbox.listed(name).map((text) => idOf(parseEnvelope(text)));
const signersIn = ({ mailbox }: World, id: string): string[] =>
  parseEnvelope(mailbox.find(id) ?? '').signatures.map(({ keyid }) => keyid);

describe('Mailbox.post', () => {
  it(
    'keeps a proposal, and what others sign later, also over a restart',
    inMailbox(async (world) => {
      const proposal = release(world, '1.0.0');
      const id = idOf(proposal);
      assert.deepEqual(await post(world, proposal), { id, signatures: 1 });
      world.reopen();
      assert.deepEqual(idsIn(world), [id]);
      assert.deepEqual(await post(world, release(world, '1.0.0', [ben])), { id, signatures: 2 });
      world.reopen();
      assert.deepEqual(signersIn(world, id), [keyId(ada.publicKey), keyId(ben.publicKey)]);
      assert.deepEqual(
        await post(world, proposal),
        { id, signatures: 2 },
        'less takes nothing away',
      );
    }),
  );

  it(
    'keeps both of two proposals for one version',
    inMailbox(async (world) => {
      const { author } = world.test;
      const one = author.release(
        { name: 'left-pad', version: '1.0.0', size: 1 },
        { signers: [ada] },
      );
      const two = author.release(
        { name: 'left-pad', version: '1.0.0', size: 2 },
        { signers: [ben] },
      );
      await post(world, one);
      await post(world, two);
      assert.deepEqual(idsIn(world).toSorted(), [idOf(one), idOf(two)].toSorted());
    }),
  );

  it(
    'refuses what could not be logged or is no maintainer’s',
    inMailbox(async (world) => {
      const { test } = world;
      const { author } = test;
      const logged = author.release({ name: 'left-pad', version: '0.1.0' });
      await test.commit(logged);
      const good = release(world, '1.0.0');
      const [line] = good.signatures;
      assert.ok(line !== undefined, 'it is signed');
      const ahead = new Map([[TEST_ORIGIN, { size: 1000, root: new Uint8Array(32) }]]);
      const other = new Map([[TEST_ORIGIN, { size: 1, root: new Uint8Array(32) }]]);
      const one = { name: 'left-pad', version: '1.0.0' };
      const many = (count: number): Envelope =>
        author.release(
          Array.from({ length: count }, (_, i) => ({ name: `many-${i}`, version: '1.0.0' })),
        );
      const rows: readonly (readonly [why: string, envelope: Envelope, code: string])[] = [
        ['a stranger’s', release(world, '1.0.0', [mal]), 'MAINTAINER_SIGNATURES_MISSING'],
        [
          'a stranger’s under a maintainer’s key id',
          { ...good, signatures: [{ ...line, signature: mal.sign(good.payload) }] },
          'MAINTAINER_SIGNATURES_MISSING',
        ],
        [
          'a signature that was moved from another proposal',
          { ...release(world, '2.0.0'), signatures: good.signatures },
          'MAINTAINER_SIGNATURES_MISSING',
        ],
        ['what is in the log', logged, 'ALREADY_LOGGED'],
        [
          'other bytes of a taken version',
          author.release({ name: 'left-pad', version: '0.1.0', size: 7 }),
          'RELEASE_CONFLICT',
        ],
        ['an unknown package', release(world, '1.0.0', [ada], 'nobody'), 'PACKAGE_UNCLAIMED'],
        ['an old set', author.release({ ...one, maintainers: 7 }), 'SEQUENCE_WRONG'],
        ['a head that is ahead', author.release(one, { observed: ahead }), 'OBSERVED_AHEAD'],
        [
          'a head of another log',
          author.release(one, { observed: other }),
          'OBSERVED_HEAD_UNKNOWN',
        ],
        ['a maintainer set', author.set('other'), 'STATEMENT_UNSUPPORTED'],
        // Each package costs a look at all of its list: with 64 of them one post made a replica deaf.
        ['too many packages', many(PROPOSAL_PACKAGES_MAX + 1), 'STATEMENT_UNSUPPORTED'],
        [
          'as many as may be, which nobody claimed',
          many(PROPOSAL_PACKAGES_MAX),
          'PACKAGE_UNCLAIMED',
        ],
      ];
      for (const [why, envelope, code] of rows) {
        assert.equal(await codeOf(post(world, envelope)), code, why);
      }
      assert.deepEqual(idsIn(world), []);
    }),
  );

  it(
    'keeps only lines that are good, one for each key',
    inMailbox(async (world) => {
      const proposal = release(world, '1.0.0', [ada, mal, ada]);
      const bad = { keyid: keyId(ben.publicKey), signature: new Uint8Array(64) };
      const signatures = [bad, ...proposal.signatures];
      await post(world, { ...proposal, signatures });
      assert.deepEqual(signersIn(world, idOf(proposal)), [keyId(ada.publicKey)]);
      // The place is not taken by the bad one.
      await post(world, release(world, '1.0.0', [ben]));
      assert.equal(signersIn(world, idOf(proposal)).length, 2);
    }),
  );

  it(
    'lists a statement about two packages only where a maintainer has signed it',
    inMailbox(async (world) => {
      const { test } = world;
      const maintainers = [{ name: 'mal', key: mal.publicKey }];
      await test.commit(test.author.set('mine', { maintainers, faulty: 0 }, { signers: [mal] }));
      const both = test.author.release(
        [
          { name: 'mine', version: '1.0.0' },
          { name: 'left-pad', version: '1.0.0' },
        ],
        { signers: [mal] },
      );
      await post(world, both);
      assert.deepEqual([idsIn(world), idsIn(world, 'mine')], [[], [idOf(both)]]);
      await post(world, { ...both, signatures: signed(both, ada) });
      assert.deepEqual(idsIn(world), [idOf(both)]);
    }),
  );
});

describe('what a mailbox shows', () => {
  it(
    'drops a proposal once the log has moved past it',
    inMailbox(async (world) => {
      const { test } = world;
      const winner = test.author.release({ name: 'left-pad', version: '1.0.0' });
      const loser = test.author.release({ name: 'left-pad', version: '1.0.0', size: 9 });
      const next = release(world, '2.0.0');
      for (const each of [winner, loser, next]) await post(world, each);
      await test.commit(winner);
      assert.deepEqual(idsIn(world), [idOf(next)]);
      assert.equal(world.mailbox.find(idOf(loser)), undefined);
      // A new maintainer set: signatures under the old one count for nothing any more.
      await test.commit(test.author.set('left-pad', { faulty: 0 }));
      assert.deepEqual(idsIn(world), []);
    }),
  );

  it(
    'expires',
    inMailbox(async (world) => {
      const proposal = release(world, '1.0.0');
      await post(world, proposal);
      world.time += PROPOSAL_SECONDS_MAX - 1;
      assert.deepEqual(idsIn(world), [idOf(proposal)]);
      world.time += 120;
      assert.deepEqual(idsIn(world), []);
      world.reopen();
      assert.deepEqual(idsIn(world), []);
    }),
  );

  it(
    'starts empty when its file is damaged',
    inMailbox(async (world) => {
      await withFolder(async (folder) => {
        const path = join(folder, 'mailbox.sqlite');
        openMailboxDatabase(path, silentLog).close();
        const bytes = readFileSync(path);
        writeFileSync(path, bytes.fill(7, 20));
        const tables = new ProposalTables(openMailboxDatabase(path, silentLog));
        assert.equal(tables.totals().count, 0);
        tables.close();
      });
      assert.deepEqual(idsIn(world), []);
    }),
  );
});

describe('what a mailbox knows of its proposals', () => {
  it(
    'is not read and judged again for each question',
    inMailbox(async (world) => {
      const { test } = world;
      for (let i = 0; i < SHARE; i++) await post(world, release(world, `1.0.${i}`));
      assert.equal(idsIn(world).length, SHARE);
      const judged = mock.method(test.ledger, 'releaseRecord');
      const read = mock.method(ProposalTables.prototype, 'get');
      try {
        for (let i = 0; i < 10; i++) assert.equal(idsIn(world).length, SHARE);
        assert.equal(judged.mock.callCount(), 0, 'the log has not moved');
        read.mock.resetCalls();
        await post(world, release(world, '2.0.0', [ben]));
        assert.equal(read.mock.callCount(), 2, 'the new one: before it is written, and after');
        assert.equal(
          judged.mock.callCount(),
          4,
          'the new one: when it comes in, and when it lists',
        );
        await test.commit(test.author.release({ name: 'left-pad', version: '1.0.0' }));
        assert.equal(idsIn(world).length, SHARE, 'the log has moved past one');
      } finally {
        judged.mock.restore();
        read.mock.restore();
      }
    }),
  );

  it(
    'says also who signed one later',
    inMailbox(async (world) => {
      const proposal = release(world, '1.0.0');
      await post(world, proposal);
      assert.equal(idsIn(world).length, 1);
      // What was known when ada alone had signed is not what is known now.
      await post(world, release(world, '1.0.0', [ben]));
      for (let i = 0; i < SHARE; i++) {
        await world.test.commit(world.test.author.set(`filler-${i}`));
        world.time += 10;
        await post(world, release(world, `2.0.${i}`));
      }
      assert.ok(idsIn(world).includes(idOf(proposal)), 'it has a place in the share of ben');
    }),
  );
});

describe('room in a mailbox', () => {
  // Each sees a longer log than the one before.
  async function later(
    world: World,
    version: string,
    signers: readonly SigningKey[],
  ): Promise<string> {
    await world.test.commit(world.test.author.set(`filler-${world.test.ledger.tip.size}`));
    world.time += 10;
    const proposal = release(world, version, signers);
    await post(world, proposal);
    return idOf(proposal);
  }

  it(
    'is shared between the maintainers: who floods it loses what is theirs',
    inMailbox(async (world) => {
      const mine = await later(world, '1.0.0', [ben]);
      const floods: string[] = [];
      for (let i = 0; i < SHARE + 3; i++) floods.push(await later(world, `2.0.${i}`, [ada]));
      assert.deepEqual(idsIn(world).toSorted(), [mine, ...floods.slice(3)].toSorted());
    }),
  );

  it(
    'is not taken by old proposals that somebody posts again',
    inMailbox(async (world) => {
      const first = release(world, '0.0.1');
      const kept: string[] = [];
      for (let i = 0; i < SHARE; i++) kept.push(await later(world, `1.0.${i}`, [ada]));
      assert.equal(await codeOf(post(world, first)), 'FULL');
      assert.deepEqual(idsIn(world).toSorted(), kept.toSorted());
    }),
  );

  it(
    'is not taken by keys that are made for it',
    inMailbox(async (world) => {
      // ada, who is bad, claims a package with many keys and signs statements about both with each.
      const keys = Array.from({ length: 12 }, (_, i) => testKey(500 + i));
      const maintainers = keys.map(({ publicKey }, i) => ({ name: `k${i}`, key: publicKey }));
      const { test } = world;
      await test.commit(test.author.set('sybil', { maintainers, faulty: 0 }, { signers: keys }));
      for (const [i, key] of keys.entries()) {
        world.time += 10;
        const both = test.author.release(
          [
            { name: 'sybil', version: `1.0.${i}` },
            { name: 'left-pad', version: `1.0.${i}` },
          ],
          { signers: [ada, key] },
        );
        await codeOf(post(world, both));
      }
      assert.ok(idsIn(world).length <= SHARE, `${idsIn(world).length} are listed`);
    }),
  );

  it(
    'is bounded in its rate for each key, and posting again costs nothing',
    inMailbox(async (world) => {
      const outcomes: (string | undefined)[] = [];
      for (let i = 0; i < 11; i++)
        outcomes.push(await codeOf(post(world, release(world, `1.0.${i}`))));
      assert.equal(outcomes.at(-1), 'RATE_LIMITED');
      assert.equal(await codeOf(post(world, release(world, '2.0.0', [eve]))), undefined);
      const again = release(world, '2.0.0', [eve]);
      for (let i = 0; i < 30; i++) assert.equal(await codeOf(post(world, again)), undefined);
    }),
  );

  it(
    'goes to the packages that were claimed first when all of it is taken',
    inMailbox(
      async (world) => {
        await post(world, release(world, '1.0.0', [ada], 'left-pad'));
        await post(world, release(world, '1.0.0', [ada], 'new'));
        const old = release(world, '1.0.0', [ada], 'old');
        await post(world, old);
        assert.deepEqual(
          ['old', 'left-pad', 'new'].map((name) => idsIn(world, name).length),
          [1, 1, 0],
        );
        assert.equal(await codeOf(post(world, release(world, '2.0.0', [ada], 'new'))), 'FULL');
        assert.deepEqual(idsIn(world, 'new'), []);
      },
      { countMax: 2 },
    ),
  );

  it(
    'is bounded in bytes',
    inMailbox(
      async (world) => {
        for (let i = 0; i < 5; i++) {
          world.time += 10;
          await codeOf(post(world, release(world, `1.0.${i}`, [ada], 'old')));
        }
        const kept = world.mailbox.listed('old');
        assert.ok(kept.length > 0 && kept.join('').length <= 2500, `${kept.length} are kept`);
      },
      { bytesMax: 2500 },
    ),
  );
});

function signed(envelope: Envelope, key: SigningKey): Envelope['signatures'] {
  const { keyid } = { keyid: keyId(key.publicKey) };
  return [...envelope.signatures, { keyid, signature: key.sign(messageOf(envelope)) }];
}

function messageOf({ payloadType, payload }: Envelope): Uint8Array {
  const head = `DSSEv1 ${payloadType.length} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}
