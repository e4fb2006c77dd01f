import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SigningKey } from '../../verifier/node/signing-key.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import type { PublicKey } from '../../verifier/ed25519.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { canonicalJson } from '../../verifier/json.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { MESSAGE_BYTES_MAX } from '../../verifier/replication/encode-message.ts';
import {
  FRAME_HEADER_LENGTH,
  FRAME_PREFIX_LENGTH,
  acknowledge,
  decodeFrame,
  encodeFrame,
  isAcknowledged,
  splitMessages,
} from './frames.ts';
import {
  CHALLENGE_AGE_MAX_MS,
  ChallengeBook,
  HANDSHAKE_LENGTH_MAX,
  Initiator,
  PeerRefusal,
  respond,
} from './handshake.ts';
import type { HandshakeContext, SessionKeys } from './handshake.ts';
import { SessionTable } from './sessions.ts';

const ALICE = SigningKey.fromSeed(new Uint8Array(32).fill(1));
const BOB = SigningKey.fromSeed(new Uint8Array(32).fill(2));
const MALLORY = SigningKey.fromSeed(new Uint8Array(32).fill(3));

const context = (signer: SigningKey, origin = 'log.example'): HandshakeContext => ({
  origin,
  epoch: 0,
  signer,
});
const only =
  (...keys: readonly SigningKey[]) =>
  (key: PublicKey): boolean =>
    keys.some((known) => equalBytes(known.publicKey, key));

interface Scene {
  readonly challenges: ChallengeBook;
  clockMs: number;
}

function scene(): Scene {
  const made: { clockMs: number; challenges: ChallengeBook } = {
    clockMs: 1000,
    challenges: new ChallengeBook(() => made.clockMs),
  };
  return made;
}

/** A good handshake from Alice to Bob. */
function shake(): { alice: SessionKeys; bob: SessionKeys; challenge: string } {
  const { challenges } = scene();
  const initiator = new Initiator(context(ALICE), BOB.publicKey, challenges.issue());
  const { welcome, keys, challenge } = respond(
    initiator.hello,
    context(BOB),
    challenges,
    only(ALICE),
  );
  return { alice: initiator.finish(welcome), bob: keys, challenge };
}

const isRefused = (error: unknown): boolean =>
  error instanceof PeerRefusal || error instanceof VerifyError;

describe('handshake', () => {
  it('gives both sides the same keys, one per direction', () => {
    const { alice, bob } = shake();
    assert.deepEqual(alice.requestKey, bob.requestKey);
    assert.deepEqual(alice.responseKey, bob.responseKey);
    assert.notDeepEqual(alice.requestKey, alice.responseKey);
    assert.deepEqual(alice.id, bob.id);
    assert.deepEqual(alice.peer, BOB.publicKey);
    assert.deepEqual(bob.peer, ALICE.publicKey);
  });

  it('gives each handshake other keys', () => {
    assert.notDeepEqual(shake().alice.requestKey, shake().alice.requestKey);
  });

  type HelloAttack = readonly [string, (s: Scene) => string];
  const hello = (s: Scene, from: SigningKey, to: SigningKey, origin?: string): string =>
    new Initiator(context(from, origin), to.publicKey, s.challenges.issue()).hello;
  const edited = (text: string, edit: (value: Record<string, unknown>) => void): string => {
    const value = JSON.parse(text) as Record<string, unknown>;
    edit(value);
    return canonicalJson(value as JsonObject);
  };
  const attacks: readonly HelloAttack[] = [
    ['of a key outside the roster', (s) => hello(s, MALLORY, BOB)],
    ['for another replica', (s) => hello(s, ALICE, MALLORY)],
    ['for another log', (s) => hello(s, ALICE, BOB, 'other.example')],
    ['of the replica itself, reflected', (s) => hello(s, BOB, BOB)],
    [
      'that names a member but is signed by another key',
      (s) => {
        const forged: HandshakeContext = {
          ...context(ALICE),
          signer: { publicKey: ALICE.publicKey, sign: (m) => MALLORY.sign(m) },
        };
        return new Initiator(forged, BOB.publicKey, s.challenges.issue()).hello;
      },
    ],
    [
      'whose ephemeral key was replaced on the way',
      (s) => edited(hello(s, ALICE, BOB), (v) => (v['ephemeral'] = '09'.repeat(32))),
    ],
    [
      'whose epoch was changed on the way',
      (s) => edited(hello(s, ALICE, BOB), (v) => (v['epoch'] = 7)),
    ],
    ['with a field more', (s) => edited(hello(s, ALICE, BOB), (v) => (v['more'] = 1))],
    [
      'with a challenge that nobody issued',
      (s) => {
        const made = new ChallengeBook(() => s.clockMs).issue();
        return new Initiator(context(ALICE), BOB.publicKey, made).hello;
      },
    ],
    [
      'with a challenge that is too old',
      (s) => {
        const text = hello(s, ALICE, BOB);
        s.clockMs += CHALLENGE_AGE_MAX_MS + 1;
        return text;
      },
    ],
    ['that is too long', (s) => `${hello(s, ALICE, BOB)}${' '.repeat(HANDSHAKE_LENGTH_MAX)}`],
    ['that is no JSON', () => 'hello'],
  ];
  for (const [why, make] of attacks) {
    it(`refuses a hello ${why}`, () => {
      const s = scene();
      const text = make(s);
      assert.throws(() => respond(text, context(BOB), s.challenges, only(ALICE)), isRefused);
    });
  }

  it('accepts the hello of the table when nothing is wrong with it', () => {
    const s = scene();
    respond(hello(s, ALICE, BOB), context(BOB), s.challenges, only(ALICE));
  });

  it('refuses a hello cut at any character', () => {
    const s = scene();
    const text = hello(s, ALICE, BOB);
    for (let length = 0; length < text.length; length++) {
      const cut = text.slice(0, length);
      assert.throws(
        () => respond(cut, context(BOB), s.challenges, only(ALICE)),
        isRefused,
        `cut at ${length}`,
      );
    }
  });

  it('refuses an ephemeral key of small order even when it is signed', () => {
    const s = scene();
    const initiator = new Initiator(context(ALICE), BOB.publicKey, s.challenges.issue());
    const claims = JSON.parse(initiator.hello) as Record<string, unknown>;
    delete claims['signature'];
    claims['ephemeral'] = '00'.repeat(32);
    const text = canonicalJson(claims as JsonObject);
    const signature = ALICE.sign(new TextEncoder().encode(`bftpkg/v1/PEER-HELLO\n${text}`));
    claims['signature'] = [...signature].map((b) => b.toString(16).padStart(2, '0')).join('');
    const signed = canonicalJson(claims as JsonObject);
    assert.throws(() => respond(signed, context(BOB), s.challenges, only(ALICE)), /unusable/);
  });

  it('refuses a welcome for another hello, by another key, or changed', () => {
    const s = scene();
    const make = (): Initiator =>
      new Initiator(context(ALICE), BOB.publicKey, s.challenges.issue());
    const mine = make();
    const answer = (text: string, signer: SigningKey): string =>
      respond(
        text,
        { ...context(BOB), signer: { publicKey: BOB.publicKey, sign: (m) => signer.sign(m) } },
        s.challenges,
        only(ALICE),
      ).welcome;
    assert.throws(() => mine.finish(answer(make().hello, BOB)), isRefused, 'another hello');
    assert.throws(() => mine.finish(answer(mine.hello, MALLORY)), isRefused, 'another key');
    const good = answer(mine.hello, BOB);
    const changed = edited(good, (v) => (v['session'] = '00'.repeat(16)));
    assert.throws(() => mine.finish(changed), isRefused, 'changed');
    mine.finish(good);
  });
});

describe('frames', () => {
  const messages = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(9)];

  it('carry messages in order, empty ones too', () => {
    const { alice } = shake();
    const wire = encodeFrame(alice.id, 5, alice.requestKey, messages);
    const frame = decodeFrame(wire.subarray(FRAME_PREFIX_LENGTH));
    assert.equal(Buffer.from(wire).readUInt32BE(), wire.length - FRAME_PREFIX_LENGTH);
    assert.equal(frame.counter, 5);
    assert.deepEqual(splitMessages(frame.payload), messages);
  });

  const malformed: readonly [string, Uint8Array][] = [
    ['a cut length', Uint8Array.of(0, 0, 0)],
    ['a cut message', Uint8Array.of(0, 0, 0, 2, 1)],
    ['a length beyond the limit', Uint8Array.of(0xff, 0xff, 0xff, 0xff)],
    ['too many messages', new Uint8Array(4 * 4097)],
  ];
  for (const [why, payload] of malformed) {
    it(`refuse ${why}`, () => assert.throws(() => splitMessages(payload), isRefused));
  }

  it('refuse to be too short or too long', () => {
    assert.throws(() => decodeFrame(new Uint8Array(FRAME_HEADER_LENGTH - 1)), isRefused);
    assert.throws(() => decodeFrame(new Uint8Array(MESSAGE_BYTES_MAX + 70_000)), isRefused);
  });

  it('acknowledge one counter of one session only', () => {
    const { alice, bob } = shake();
    const answer = acknowledge(bob.id, 5, bob.responseKey);
    assert.ok(isAcknowledged(answer, alice.id, 5, alice.responseKey));
    assert.ok(!isAcknowledged(answer, alice.id, 6, alice.responseKey));
    assert.ok(!isAcknowledged(answer.subarray(1), alice.id, 5, alice.responseKey));
    assert.ok(!isAcknowledged(answer, alice.id, 5, alice.requestKey));
  });
});

describe('SessionTable', () => {
  function opened(): { table: SessionTable; alice: SessionKeys; challenge: string } {
    const { alice, bob, challenge } = shake();
    const table = new SessionTable();
    table.open(bob, challenge);
    return { table, alice, challenge };
  }
  const frameOf = (keys: SessionKeys, counter: number, key = keys.requestKey): Uint8Array =>
    encodeFrame(keys.id, counter, key, [Uint8Array.of(counter)]).subarray(FRAME_PREFIX_LENGTH);

  it('accepts frames whose counter grows, gaps included', () => {
    const { table, alice } = opened();
    for (const counter of [1, 2, 9]) {
      assert.deepEqual(table.accept(frameOf(alice, counter)).messages, [Uint8Array.of(counter)]);
    }
  });

  const replays: readonly [string, number][] = [
    ['the last frame again', 5],
    ['an older frame', 4],
    ['counter zero', 0],
  ];
  for (const [why, counter] of replays) {
    it(`refuses ${why}`, () => {
      const { table, alice } = opened();
      table.accept(frameOf(alice, 5));
      assert.throws(() => table.accept(frameOf(alice, counter)), isRefused);
      table.accept(frameOf(alice, 6));
    });
  }

  it('refuses a frame in which any bit was flipped, and loses nothing by it', () => {
    const { table, alice } = opened();
    const good = frameOf(alice, 1);
    for (let bit = 0; bit < good.length * 8; bit++) {
      const bad = Uint8Array.from(good);
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => table.accept(bad), isRefused, `bit ${bit}`);
    }
    table.accept(good);
  });

  it('refuses a frame cut at any byte', () => {
    const { table, alice } = opened();
    const good = frameOf(alice, 1);
    for (let length = 0; length < good.length; length++) {
      assert.throws(() => table.accept(good.subarray(0, length)), isRefused, `cut at ${length}`);
    }
  });

  it('refuses a frame of another session', () => {
    const { table } = opened();
    assert.throws(() => table.accept(frameOf(shake().alice, 1)), isRefused);
  });

  it('refuses a frame made with the key of the other direction', () => {
    const { table, alice } = opened();
    const reflected = frameOf(alice, 1, alice.responseKey);
    assert.throws(() => table.accept(reflected), isRefused);
    table.accept(frameOf(alice, 1));
  });

  it('refuses a hello that was used before', () => {
    const { table, challenge } = opened();
    assert.throws(() => table.open(shake().bob, challenge), isRefused);
  });

  it('keeps the live session until the new one has spoken', () => {
    const { table, alice } = opened();
    table.accept(frameOf(alice, 1));
    const second = shake();
    table.open(second.bob, second.challenge);
    table.accept(frameOf(alice, 2));
    assert.equal(table.accept(frameOf(second.alice, 1)).isFirst, true);
    assert.throws(() => table.accept(frameOf(alice, 3)), isRefused);
    assert.equal(table.size, 1);
  });

  it('holds at most two sessions per peer, however often it is greeted', () => {
    const { table, alice } = opened();
    table.accept(frameOf(alice, 1));
    for (let i = 0; i < 100; i++) {
      const { bob, challenge } = shake();
      table.open(bob, challenge);
    }
    assert.equal(table.size, 2);
  });

  it('forgets replicas that left the roster', () => {
    const { table, alice } = opened();
    table.accept(frameOf(alice, 1));
    table.retain(new Set());
    assert.throws(() => table.accept(frameOf(alice, 2)), isRefused);
  });
});
