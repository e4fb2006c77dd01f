import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { concat, utf8 } from './bytes.ts';
import { type Checkpoint, formatCheckpoint } from './checkpoint.ts';
import {
  type VerifiedCheckpoint,
  cosignatureMessage,
  makeCosignature,
  planCheckpoint,
} from './cosignature.ts';
import { encodeUint64 } from './encoding.ts';
import { VerifyError } from './errors.ts';
import { leafHash } from './merkle/hash.ts';
import { nativeVerifier } from './node/ed25519.ts';
import { SigningKey } from './node/signing-key.ts';
import { type NoteSignature, formatNote, parseNote } from './note.ts';
import { thresholds } from './quorum.ts';
import type { Roster } from './roster.ts';
import { runPlan } from './signatures.ts';
import { makeVerifierKey } from './vkey.ts';

const ORIGIN = 'log.example/npm';
const NOW = 1_800_000_000;
const CHECKPOINT: Checkpoint = { origin: ORIGIN, size: 7, root: leafHash(utf8('x')) };
const TEXT = formatCheckpoint(CHECKPOINT);

const secrets = Array.from({ length: 10 }, (_, i) =>
  SigningKey.fromSeed(new Uint8Array(32).fill(i + 1)),
);
const cosignKeys = secrets.map(({ publicKey }, i) => makeVerifierKey(`r${i}`, 0x04, publicKey));

/** Replicas r0, r1, … with these weights. */
function rosterOf(weights: readonly number[], faultyWeight: number): Roster {
  const replicas = weights.map((weight, i) => {
    const cosignKey = cosignKeys[i];
    assert.ok(cosignKey !== undefined);
    return {
      name: cosignKey.name,
      cosignKey,
      voteKey: cosignKey.publicKey,
      weight,
      url: `https://r${i}.example`,
      peerUrl: `https://r${i}.example:8443`,
    };
  });
  return {
    origin: ORIGIN,
    epoch: 0,
    previous: null,
    faultyWeight,
    replicas,
    admission: { mode: 'open' },
    hash: '00'.repeat(32),
    thresholds: thresholds(weights, faultyWeight),
  };
}

function cosign(replica: number, time: number = NOW, text: string = TEXT): NoteSignature {
  const [secret, key] = [secrets[replica], cosignKeys[replica]];
  assert.ok(secret !== undefined && key !== undefined);
  return makeCosignature(key, time, secret.sign(cosignatureMessage(text, time)));
}

const FOUR = rosterOf([1, 1, 1, 1], 1);

async function open(
  signatures: readonly NoteSignature[],
  roster: Roster = FOUR,
  text: string = TEXT,
): Promise<VerifiedCheckpoint> {
  return runPlan(nativeVerifier, planCheckpoint({ text, signatures }, roster));
}

describe('cosignatureMessage', () => {
  it('is header, time and checkpoint text', () => {
    assert.deepEqual(
      cosignatureMessage('log\n1\nroot\n', 1234),
      utf8('cosignature/v1\ntime 1234\nlog\n1\nroot\n'),
    );
  });

  for (const time of [-1, 1.5, 2 ** 53, Number.NaN]) {
    it(`has no time ${time}`, () => {
      assert.throws(() => cosignatureMessage(TEXT, time), { name: 'AssertionError' });
    });
  }
});

describe('planCheckpoint', () => {
  it('certifies what a quorum cosigned', async () => {
    const verified = await open([cosign(3, NOW + 3), cosign(0, NOW), cosign(2, NOW + 2)]);
    assert.deepEqual(verified.checkpoint, CHECKPOINT);
    assert.equal(verified.text, TEXT);
    assert.equal(verified.weight, 3);
    assert.deepEqual(verified.cosignatures, [
      { replica: 0, time: NOW },
      { replica: 2, time: NOW + 2 },
      { replica: 3, time: NOW + 3 },
    ]);
  });

  it('survives being written and read', async () => {
    const source = formatNote({ text: TEXT, signatures: [0, 1, 2].map((i) => cosign(i)) });
    const verified = await runPlan(nativeVerifier, planCheckpoint(parseNote(source), FOUR));
    assert.equal(verified.weight, 3);
  });

  it('ignores lines of strangers', async () => {
    const stranger = { ...cosign(9), signature: new Uint8Array(3) };
    const logKey = { ...cosign(1), keyHash: 99 };
    const renamed = { ...cosign(3), name: 'r3.example' };
    const signatures = [stranger, cosign(0), logKey, cosign(1), renamed, cosign(2)];
    assert.equal((await open(signatures)).weight, 3);
  });

  // A roster is written "weights/B", then who cosigns, then whether that is a quorum.
  const quorums: readonly [string, string, string, boolean][] = [
    ['one replica of one', '1/0', '0', true],
    ['nobody', '1 1 1 1/1', '', false],
    ['two of four', '1 1 1 1/1', '0 1', false],
    ['three of four', '1 1 1 1/1', '1 2 3', true],
    ['four of seven', '1 1 1 1 1 1 1/2', '0 1 2 3', false],
    ['five of seven', '1 1 1 1 1 1 1/2', '0 1 2 3 4', true],
    ['three of five: two such sets could share a faulty one only', '1 1 1 1 1/1', '0 1 2', false],
    ['four of five', '1 1 1 1 1/1', '0 1 2 3', true],
    ['a heavy one and a light one', '5 1 1 1 1 1/3', '0 1', false],
    ['a heavy one and two light ones', '5 1 1 1 1 1/3', '0 1 2', true],
    ['all light ones', '5 1 1 1 1 1/3', '1 2 3 4 5', false],
  ];
  for (const [why, roster, members, expected] of quorums) {
    it(`${expected ? 'takes' : 'does not take'} ${why} for a quorum`, async () => {
      const [weights = '', faulty = ''] = roster.split('/');
      const built = rosterOf(weights.split(' ').map(Number), Number(faulty));
      const signatures = members === '' ? [] : members.split(' ').map((i) => cosign(Number(i)));
      if (expected) await open(signatures, built);
      else await assert.rejects(open(signatures, built), { code: 'QUORUM_NOT_REACHED' });
    });
  }

  const refused: readonly [string, readonly NoteSignature[], string, string?][] = [
    [
      'a replica that fills the quorum twice',
      [cosign(0), cosign(1), cosign(1)],
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'a replica with two times',
      [cosign(0), cosign(1), cosign(2), cosign(2, NOW + 1)],
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'a bad line of a replica, though the others are a quorum',
      [cosign(0), cosign(1), cosign(2), cosign(3, NOW, `${ORIGIN}\n8\n`)],
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      'a time that was not signed',
      [cosign(0), cosign(1), retimed(cosign(2), NOW + 1)],
      'NOTE_SIGNATURE_INVALID',
    ],
    [
      "a replica's signature in another's line",
      [cosign(0), cosign(1), { ...cosign(1), name: 'r2', keyHash: cosign(2).keyHash }],
      'NOTE_SIGNATURE_INVALID',
    ],
    ['71 bytes', [cut(cosign(0), 71)], 'COSIGNATURE_MALFORMED'],
    ['a plain signature of 64 bytes', [cut(cosign(0), 64)], 'COSIGNATURE_MALFORMED'],
    [
      '73 bytes',
      [{ ...cosign(0), signature: concat(cosign(0).signature, Uint8Array.of(0)) }],
      'COSIGNATURE_MALFORMED',
    ],
    [
      'a time of 2^53',
      [
        {
          ...cosign(0),
          signature: concat(
            Uint8Array.of(0, 32, 0, 0, 0, 0, 0, 0),
            cosign(0).signature.subarray(8),
          ),
        },
      ],
      'COSIGNATURE_MALFORMED',
    ],
    [
      'another log',
      [cosign(0), cosign(1), cosign(2)],
      'ORIGIN_MISMATCH',
      formatCheckpoint({ ...CHECKPOINT, origin: 'log.example/pypi' }),
    ],
    ['an extension line', [cosign(0)], 'CHECKPOINT_MALFORMED', `${TEXT}extra\n`],
  ];
  for (const [why, signatures, code, text] of refused) {
    it(`refuses ${why}`, async () => {
      await assert.rejects(async () => open(signatures, FOUR, text), { code });
    });
  }

  it('opens nothing when a single bit of the note is flipped', async () => {
    const three = rosterOf([1, 1, 1], 0);
    const bytes = utf8(formatNote({ text: TEXT, signatures: [cosign(0), cosign(1)] }));
    let decoded = 0;
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const source = new TextDecoder('utf-8', { ignoreBOM: true }).decode(flipped);
      if (source.includes('\ufffd')) continue;
      decoded += 1;
      await assert.rejects(
        async () => runPlan(nativeVerifier, planCheckpoint(parseNote(source), three)),
        (error) => error instanceof VerifyError,
        `bit ${bit}`,
      );
    }
    assert.ok(decoded > 1000, `${decoded} flips were tried`);
  });
});

describe('VerifiedCheckpoint.certifiedTime', () => {
  // The times of the cosigners by weight: "weight@time". Above B = 1 (or as given) decides.
  const rows: readonly [string, string, number, number][] = [
    ['is the second newest with B = 1: one may lie about the future', '1@9 1@5 1@3', 1, 5],
    ['is not fooled by one replica from the far future', '1@9007199254740991 1@5 1@3', 1, 5],
    ['is not held back by one replica from the past', '1@9 1@8 1@0', 1, 8],
    ['is the newest when none may be faulty', '1@9 1@5', 0, 9],
    ['counts equal times together', '1@5 1@5 1@5', 1, 5],
    ['is the third newest with B = 2', '1@9 1@8 1@7 1@6 1@5', 2, 7],
    ['counts weight, not replicas', '5@2 1@9 1@8 1@7', 3, 2],
    ['takes a heavy replica for enough', '5@9 1@1 1@1', 3, 9],
  ];
  for (const [why, cosigners, faulty, expected] of rows) {
    it(why, async () => {
      const parsed = cosigners.split(' ').map((short) => short.split('@').map(Number));
      const weights = parsed.map(([weight = 0]) => weight);
      // Silent replicas fill the roster up, so that B is admissible and the cosigners are a quorum.
      const roster = rosterOf([...weights, ...Array.from({ length: faulty }, () => 1)], faulty);
      const verified = await open(
        parsed.map(([, time = 0], i) => cosign(i, time)),
        roster,
      );
      assert.equal(verified.certifiedTime, expected);
    });
  }
});

function retimed(line: NoteSignature, time: number): NoteSignature {
  return { ...line, signature: concat(encodeUint64(time), line.signature.subarray(8)) };
}

function cut(line: NoteSignature, length: number): NoteSignature {
  return { ...line, signature: line.signature.subarray(0, length) };
}
