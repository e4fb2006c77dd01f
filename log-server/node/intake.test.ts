import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { SignaturePoolError } from '../../verifier/node/signature-pool.ts';
import { parseRoster } from '../../verifier/roster.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { signedRoster } from '../cluster.ts';
import { encodeMessage } from '../../verifier/replication/encode-message.ts';
import { ZERO_DIGEST, genesisHeader, voteBytes } from '../../verifier/replication/encode.ts';
import { Members, NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { Message, PrepareMessage, Usefulness, Vote } from '../consensus/types.ts';
import { generateKeys } from '../key-file.ts';
import { silentLog } from '../log.ts';
import { Inbox } from '../peer/inbox.ts';
import { CoalescingVerifier } from './coalescing-verifier.ts';
import type { ConsensusCore } from './core-port.ts';
import { Intake } from './intake.ts';
import { Waste } from './waste.ts';

const ORIGIN = 'log.example';
const KEYS = [0, 1, 2, 3].map((i) => generateKeys(`r${i}`));
const PEERS = KEYS.map(({ vote }) => publicKeyHex(vote.publicKey));
const ROSTER = parseRoster(
  signedRoster(
    ORIGIN,
    KEYS.map(({ name, cosignKey, vote }, i) => ({
      name,
      cosignKey,
      voteKey: vote.publicKey,
      weight: 1,
      url: `http://127.0.0.1:${8000 + i}`,
      peerUrl: `http://127.0.0.1:${9000 + i}`,
    })),
    KEYS,
  ).payload,
);
const VOTE: Vote = { epoch: 0, view: 0, nv: ZERO_DIGEST, height: 1, digest: 'ab'.repeat(32) };

function prepare(signer: number, key = signer): PrepareMessage {
  const signature = KEYS[key]?.vote.sign(voteBytes('prepare', ORIGIN, VOTE)) ?? new Uint8Array(64);
  return { kind: 'prepare', vote: VOTE, signer, signature };
}

interface Scene {
  readonly inbox: Inbox;
  readonly intake: Intake;
  readonly delivered: string[];
  readonly pool: { isFull: boolean };
  /** Signatures that were really checked. */
  readonly checked: () => number;
}

function scene(
  wants: (message: Message) => boolean = () => true,
  isForeign: (bytes: Uint8Array) => boolean = () => false,
  waste: Waste = new Waste(),
): Scene {
  const inbox = new Inbox();
  const delivered: string[] = [];
  let checked = 0;
  const pool = { isFull: false };
  const verifier: SignatureVerifier = {
    verifyMany: (jobs: readonly SignatureJob[]) => {
      if (pool.isFull) return Promise.reject(new SignaturePoolError('POOL_OVERLOADED', 'full'));
      checked += jobs.length;
      return nativeVerifier.verifyMany(jobs);
    },
  };
  const core: ConsensusCore = {
    step: () => assert.fail('the intake never steps the core itself'),
    wants: (_from, message): Usefulness =>
      wants(message) ? { useful: true } : { useful: false, reason: 'duplicate' },
    context: {
      members: new Members(ROSTER, PEERS[0] ?? '', NO_MUTANTS),
      epochStart: genesisHeader(ORIGIN),
      mutants: NO_MUTANTS,
    },
    halted: undefined,
    get summary(): never {
      return assert.fail('not asked here');
    },
    hasRoomFor: () => true,
  };
  const intake = new Intake({
    inbox,
    core,
    verifier,
    deliver: ({ from, message }) => delivered.push(`${PEERS.indexOf(from)} ${message.kind}`),
    isForeign,
    waste,
    failed: (error) => assert.fail(String(error)),
    log: silentLog,
  });
  return { inbox, intake, delivered, pool, checked: () => checked };
}

async function settle(): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
}

/** What replica 2 is said to have signed; the second vote was signed by another key. */
function evidence(key: number): Uint8Array {
  const other: Vote = { ...VOTE, digest: 'cd'.repeat(32) };
  const signature = KEYS[key]?.vote.sign(voteBytes('prepare', ORIGIN, other)) ?? new Uint8Array(64);
  const messages: readonly Message[] = [
    prepare(2),
    { kind: 'prepare', vote: other, signer: 2, signature },
  ];
  const accused = PEERS[2] ?? '';
  return encodeMessage({ kind: 'evidence', report: { rule: 'X1', accused, epoch: 0, messages } });
}

describe('Intake', () => {
  const peer = (i: number): string => PEERS[i] ?? '';

  it('checks no second proof of a peer that has handed on a false one', async () => {
    const { inbox, intake, delivered, checked } = scene();
    inbox.push(peer(1), [evidence(3)]);
    intake.wake();
    await settle();
    assert.deepEqual(delivered, []);
    assert.equal(intake.refusals.get(peer(1)), 1);
    const before = checked();
    inbox.push(peer(1), [evidence(2), evidence(3)]);
    inbox.push(peer(3), [evidence(2)]);
    intake.wake();
    await settle();
    assert.deepEqual(delivered, ['3 evidence']);
    assert.equal(checked() - before, 2, 'two signatures, of the one that was looked at');
  });

  it('delivers what is well signed', async () => {
    const { inbox, intake, delivered } = scene();
    inbox.push(peer(1), [encodeMessage(prepare(1))]);
    inbox.push(peer(2), [encodeMessage(prepare(2))]);
    intake.wake();
    await settle();
    assert.deepEqual(delivered, ['1 prepare', '2 prepare']);
  });

  const refused: readonly [string, () => Uint8Array][] = [
    ['bytes that are no message', () => Uint8Array.of(1, 2, 3)],
    ['nothing', () => new Uint8Array(0)],
    ['a message with a byte more', () => Uint8Array.of(...encodeMessage(prepare(1)), 0)],
    ['a vote signed by another key', () => encodeMessage(prepare(1, 2))],
    ['a vote of a replica that does not exist', () => encodeMessage(prepare(9, 1))],
  ];
  for (const [why, make] of refused) {
    it(`refuses ${why}, counts it, and goes on`, async () => {
      const { inbox, intake, delivered } = scene();
      inbox.push(peer(1), [make(), encodeMessage(prepare(1))]);
      intake.wake();
      await settle();
      assert.deepEqual(delivered, ['1 prepare']);
      assert.equal(intake.refusals.get(peer(1)), 1);
    });
  }

  it('checks no signature of a message that the core has no use for', async () => {
    const { inbox, intake, delivered, checked } = scene(() => false);
    inbox.push(peer(1), [encodeMessage(prepare(1))]);
    intake.wake();
    await settle();
    assert.deepEqual(delivered, []);
    assert.equal(checked(), 0);
  });

  it('blames no peer for what was read elsewhere and handed over in its name', async () => {
    const forged = encodeMessage(prepare(1, 2));
    const nonsense = Uint8Array.of(255);
    const foreign = new Set([forged, nonsense]);
    const { inbox, intake } = scene(undefined, (bytes) => foreign.has(bytes));
    inbox.push(peer(1), [
      forged,
      nonsense,
      encodeMessage(prepare(1, 3)),
      encodeMessage(prepare(1)),
    ]);
    intake.wake();
    await settle();
    assert.deepEqual([...intake.refusals], [[peer(1), 1]]);
  });

  it('reads no second proof of such a peer at all', async () => {
    const wanted: string[] = [];
    const { inbox, intake } = scene((message) => {
      wanted.push(message.kind);
      return true;
    });
    for (let i = 0; i < 2; i++) {
      inbox.push(peer(1), [evidence(3), Uint8Array.of(12)]);
      intake.wake();
      await settle();
    }
    assert.deepEqual(wanted, ['evidence']);
    // The first half of a proof came before it was known for what it hands on.
    assert.equal(intake.refusals.get(peer(1)), 2);
  });

  it('rests from a peer that says too much that nobody needs, and hears it again', async (t) => {
    t.mock.timers.enable({ apis: ['setTimeout'] });
    const clock = { ms: 0 };
    const { inbox, intake, delivered } = scene(
      (message) => message.kind === 'prepare',
      undefined,
      new Waste(() => clock.ms),
    );
    // Eighty times nearly a megabyte of what is no message.
    const nothing = new Uint8Array(1024 * 1024 - 1024).fill(0xff);
    for (let i = 0; i < 80; i++) {
      inbox.push(peer(1), [nothing]);
      intake.wake();
      await settle();
    }
    inbox.push(peer(1), [encodeMessage(prepare(1))]);
    inbox.push(peer(2), [encodeMessage(prepare(2))]);
    intake.wake();
    await settle();
    const read = intake.refusals.get(peer(1)) ?? 0;
    assert.ok(read > 60 && read < 70, `${read} were read`);
    assert.deepEqual(delivered, ['2 prepare'], 'others are heard as ever');
    assert.equal(inbox.isEmpty, false);
    // It rests until it has made good for it, and is then heard without anything that wakes.
    for (let i = 0; i < 20; i++) {
      clock.ms += 100;
      t.mock.timers.tick(100);
      await settle();
    }
    assert.equal(intake.refusals.get(peer(1)), 80);
    assert.deepEqual(delivered, ['2 prepare', '1 prepare']);
  });

  it('rests from a peer whose signatures are checked in vain, and checks no more of them', async () => {
    const { inbox, intake, checked } = scene(undefined, undefined, new Waste(() => 0));
    const forged = encodeMessage(prepare(1, 3));
    for (let i = 0; i < 3; i++) {
      inbox.push(peer(1), Array<Uint8Array>(2000).fill(forged));
      intake.wake();
      const before = inbox.waiting.length;
      for (let turns = 0; !inbox.isEmpty && turns < 1000; turns++) await settle();
      assert.equal(before, 1, 'they wait');
    }
    assert.equal(inbox.isEmpty, false, 'some of them for ever');
    const refused = intake.refusals.get(peer(1)) ?? 0;
    assert.ok(refused > 1000 && refused < 1100, `${refused} were checked`);
    const vain = checked();
    inbox.push(peer(2), [encodeMessage(prepare(2))]);
    intake.wake();
    await settle();
    assert.equal(checked() - vain, 1, 'the vote of another one');
  });

  // [of what, one message of it]
  const floods: readonly (readonly [string, () => Uint8Array])[] = [
    ['bytes that are no message', () => Uint8Array.of(0xff)],
    ['empty messages', () => new Uint8Array(0)],
    ['votes that it signed', () => encodeMessage(prepare(1))],
    ['votes that it forged', () => encodeMessage(prepare(1, 3))],
    ['proofs of nothing', () => evidence(3)],
    ['questions', () => encodeMessage({ kind: 'get-batches', fromHeight: 1 })],
    ['messages as large as there are', () => new Uint8Array(1024 * 1024).fill(0xff)],
    [
      'large messages',
      () =>
        encodeMessage({
          kind: 'forward',
          epoch: 0,
          requests: Array.from({ length: 50 }, () => ({
            id: 'ef'.repeat(32),
            bytes: new Uint8Array(200),
          })),
        }),
    ],
  ];
  for (const [what, make] of floods) {
    it(`hears the others as soon as ever, whatever floods: ${what}`, async () => {
      const message = make();
      const turns: number[] = [];
      for (const count of [0, 4000]) {
        const { inbox, intake, delivered } = scene();
        // The flood is there first.
        inbox.push(peer(1), Array<Uint8Array>(count).fill(message));
        inbox.push(peer(2), [encodeMessage(prepare(2))]);
        inbox.push(peer(3), Array<Uint8Array>(5).fill(encodeMessage(prepare(3))));
        intake.wake();
        const heard = (from: string): number => delivered.filter((one) => one === from).length;
        let passed = 0;
        while (heard('2 prepare') < 1 || heard('3 prepare') < 5) {
          assert.ok(passed < 50, `never heard: ${delivered.join()}`);
          await new Promise((resolve) => setImmediate(resolve));
          passed += 1;
        }
        assert.equal(inbox.isEmpty, count === 0, 'the flood is still there');
        turns.push(passed);
      }
      assert.equal(turns[1], turns[0]);
    });
  }
});

describe('Intake when more signatures wait than can be checked', () => {
  it('loses messages, and goes on', async () => {
    const { inbox, intake, delivered, pool } = scene();
    pool.isFull = true;
    inbox.push(PEERS[1] ?? '', [encodeMessage(prepare(1)), evidence(2)]);
    intake.wake();
    await settle();
    assert.deepEqual(delivered, []);
    assert.equal(intake.refusals.size, 0, 'nobody is called a liar for it');
    pool.isFull = false;
    inbox.push(PEERS[1] ?? '', [encodeMessage(prepare(1)), evidence(2)]);
    intake.wake();
    await settle();
    assert.deepEqual(delivered, ['1 prepare', '1 evidence']);
  });
});

describe('CoalescingVerifier', () => {
  it('asks once for what is asked in one turn and gives each its own answers', async () => {
    const questions: number[] = [];
    const verifier = new CoalescingVerifier({
      verifyMany: async (jobs) => {
        questions.push(jobs.length);
        return nativeVerifier.verifyMany(jobs);
      },
    });
    const job = (key: number, signer: number): SignatureJob => {
      const message = Uint8Array.of(key);
      const publicKey = KEYS[key]?.vote.publicKey;
      assert.ok(publicKey !== undefined);
      return { publicKey, message, signature: KEYS[signer]?.vote.sign(message) ?? message };
    };
    const answers = await Promise.all([
      verifier.verifyMany([job(0, 0), job(1, 2)]),
      verifier.verifyMany([]),
      verifier.verifyMany([job(3, 3)]),
    ]);
    assert.deepEqual(answers, [[true, false], [], [true]]);
    assert.deepEqual(questions, [3]);
  });

  it('passes a failure on to everybody who asked', async () => {
    const verifier = new CoalescingVerifier({
      verifyMany: () => Promise.reject(new Error('overloaded')),
    });
    const results = await Promise.allSettled([verifier.verifyMany([]), verifier.verifyMany([])]);
    assert.deepEqual(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    );
  });
});
