import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  assertFlipsAreCanonical,
  assertNoPrefixParses,
  changesOf,
  laterRefusalOf,
  refusalOf,
  refusesTexts,
  signedBy,
  testKey,
} from '../fixtures/documents.ts';
import { utf8 } from './bytes.ts';
import { statementHash, type Envelope } from './dsse.ts';
import { VerifyError } from './errors.ts';
import { parseCanonicalJson } from './json.ts';
import { nativeVerifier } from './node/ed25519.ts';
import type { SigningKey } from './node/signing-key.ts';
import {
  REPLICA_COUNT_MAX,
  ROSTER_BYTES_MAX,
  ROSTER_CHAIN_MAX,
  ROSTER_PAYLOAD_TYPE,
  formatRoster,
  parseRoster,
  planRosterChain,
  rosterWeights,
  type Replica,
  type Roster,
  type RosterFields,
} from './roster.ts';
import { runPlan } from './signatures.ts';
import { decodeUtf8 } from './text.ts';
import { KEY_TYPE_COSIGNATURE, KEY_TYPE_ED25519, makeVerifierKey } from './vkey.ts';

const voteKey = (i: number): SigningKey => testKey(1000 + i);
const cosignKey = (i: number): SigningKey => testKey(2000 + i);

function replica(i: number, changes: Partial<Replica> = {}): Replica {
  const name = changes.name ?? `r${i}.example.org`;
  return {
    name,
    cosignKey: makeVerifierKey(name, KEY_TYPE_COSIGNATURE, cosignKey(i).publicKey),
    voteKey: voteKey(i).publicKey,
    weight: 1,
    url: `https://r${i}.example.org`,
    peerUrl: `https://r${i}.example.org:8443`,
    ...changes,
  };
}

function fields(changes: Partial<RosterFields> = {}): RosterFields {
  return {
    origin: 'log.example.org',
    epoch: 0,
    previous: null,
    faultyWeight: 1,
    replicas: [0, 1, 2, 3].map((i) => replica(i)),
    admission: {
      mode: 'registrars',
      faulty: 1,
      keys: [testKey(1).publicKey, testKey(2).publicKey],
    },
    ...changes,
  };
}

const withReplica = (i: number, changes: Partial<Replica>): RosterFields =>
  fields({ replicas: fields().replicas.with(i, replica(i, changes)) });

describe('parseRoster', () => {
  const payload = formatRoster(fields());

  it('gives back what was written, with hash and thresholds', () => {
    assert.deepEqual(parseRoster(payload), {
      ...fields(),
      hash: statementHash(payload),
      thresholds: { total: 4, faulty: 1, quorum: 3, weak: 2 },
    });
  });

  const accepted: readonly [string, RosterFields][] = [
    ['one replica for experiments', fields({ faultyWeight: 0, replicas: [replica(0)] })],
    ['an open log', fields({ admission: { mode: 'open' } })],
    ['a later epoch', fields({ epoch: 3, previous: 'ab'.repeat(32) })],
    ['different weights', withReplica(2, { weight: 5 })],
    [
      'one faulty registrar of none: any one of them decides',
      fields({ admission: { mode: 'registrars', faulty: 0, keys: [testKey(1).publicKey] } }),
    ],
    [
      'as many replicas as a checkpoint note has lines',
      fields({
        faultyWeight: 21,
        replicas: Array.from({ length: REPLICA_COUNT_MAX }, (_, i) => replica(i)),
      }),
    ],
  ];
  for (const [why, roster] of accepted) {
    it(`reads ${why}`, () => {
      const read = parseRoster(formatRoster(roster));
      assert.deepEqual(formatRoster(read), formatRoster(roster));
      assert.deepEqual(
        rosterWeights(read),
        roster.replicas.map(({ weight }) => weight),
      );
    });
  }

  it('refuses every prefix', () => assertNoPrefixParses(payload, parseRoster));

  it('gives a flipped bit no second spelling', () => {
    const small = formatRoster(
      fields({ faultyWeight: 0, replicas: [replica(0)], admission: { mode: 'open' } }),
    );
    assertFlipsAreCanonical(small, parseRoster, formatRoster);
  });

  const json = parseCanonicalJson(payload, ROSTER_BYTES_MAX);
  // `x` is a legal origin.
  const changes = changesOf(json).filter(([what]) => what !== 'origin is "x"');
  for (const [what, changed] of changes) {
    it(`refuses one whose ${what}`, () => {
      const expected = what === 'format is "x"' ? 'FORMAT_UNSUPPORTED' : 'ROSTER_MALFORMED';
      if (what === 'origin is "x"') assert.equal(parseRoster(utf8(changed)).origin, 'x');
      else
        assert.equal(
          refusalOf(() => parseRoster(utf8(changed))),
          expected,
        );
    });
  }

  const one = replica(1);
  const refused: readonly [string, RosterFields, string?][] = [
    ['no replicas', fields({ replicas: [], faultyWeight: 0 })],
    [
      'more replicas than a checkpoint note has lines',
      fields({ replicas: Array.from({ length: 65 }, (_, i) => replica(i)) }),
    ],
    ['total weight 3B', fields({ replicas: [0, 1, 2].map((i) => replica(i)) })],
    ['weight 0', withReplica(1, { weight: 0 })],
    ['weights that add up to too much', withReplica(1, { weight: 1_000_000_000 })],
    // One authority in two places.
    ['a name twice', withReplica(2, { name: one.name })],
    [
      'a cosigning key twice, under two names',
      withReplica(2, {
        cosignKey: makeVerifierKey('r2.example.org', KEY_TYPE_COSIGNATURE, one.cosignKey.publicKey),
      }),
    ],
    ['a vote key twice', withReplica(2, { voteKey: one.voteKey })],
    [
      'a vote key that is another’s cosigning key',
      withReplica(2, { voteKey: one.cosignKey.publicKey }),
    ],
    [
      'a vote key that is its own cosigning key',
      withReplica(1, { voteKey: one.cosignKey.publicKey }),
    ],
    ['a url twice', withReplica(2, { url: one.url })],
    ['a peer url twice', withReplica(2, { peerUrl: one.peerUrl })],
    [
      'a cosigning key with another name',
      withReplica(2, { cosignKey: replica(2, { name: 'x' }).cosignKey }),
    ],
    [
      'a cosigning key for plain notes',
      withReplica(2, {
        cosignKey: makeVerifierKey('r2.example.org', KEY_TYPE_ED25519, cosignKey(2).publicKey),
      }),
    ],
    ['a url with a final slash', withReplica(1, { url: 'https://x.org/' })],
    ['a url with a password', withReplica(1, { url: 'https://u:p@x.org' })],
    ['a peer url with a query', withReplica(1, { peerUrl: 'https://x.org?y' })],
    ['a name with an invisible character', withReplica(1, { name: 'r\u034f' })],
    ['a name that is not ASCII', withReplica(1, { name: 'ré' })],
    ['a name of 101 characters', withReplica(1, { name: 'n'.repeat(101) })],
    ['an empty origin', fields({ origin: '' })],
    ['an origin with a space', fields({ origin: 'a b' })],
    ['an origin with a plus', fields({ origin: 'a+b' })],
    ['an origin with a line break', fields({ origin: 'a\nb' })],
    ['an origin that is not ASCII', fields({ origin: 'exämple' })],
    ['an origin of 201 characters', fields({ origin: 'o'.repeat(201) })],
    ['a predecessor of epoch 0', fields({ previous: 'ab'.repeat(32) })],
    ['no predecessor of epoch 1', fields({ epoch: 1 })],
    ['a predecessor in capitals', fields({ epoch: 1, previous: 'AB'.repeat(32) })],
    ['a predecessor of 31 bytes', fields({ epoch: 1, previous: 'ab'.repeat(31) })],
    ['a negative epoch', fields({ epoch: -1, previous: 'ab'.repeat(32) })],
    ['a negative faulty weight', fields({ faultyWeight: -1 })],
    ['no registrars', fields({ admission: { mode: 'registrars', faulty: 0, keys: [] } })],
    [
      'as many registrars as may be faulty',
      fields({ admission: { mode: 'registrars', faulty: 1, keys: [testKey(1).publicKey] } }),
    ],
    [
      'one registrar twice',
      fields({
        admission: {
          mode: 'registrars',
          faulty: 1,
          keys: [testKey(1).publicKey, testKey(1).publicKey],
        },
      }),
    ],
    [
      'a threshold of no registrars',
      fields({ admission: { mode: 'registrars', faulty: -1, keys: [testKey(1).publicKey] } }),
    ],
  ];
  for (const [why, roster, code = 'ROSTER_MALFORMED'] of refused) {
    it(`refuses ${why}, reading and writing`, () => {
      assert.equal(
        refusalOf(() => formatRoster(roster)),
        code,
      );
    });
  }

  const text = decodeUtf8(payload);
  const identity = `01${'0'.repeat(62)}`;
  const voteKeyHex = /"voteKey":"([0-9a-f]{64})"/.exec(text)?.[1] ?? '';
  const texts: readonly [string, string, string][] = [
    ['another format', text.replace('roster/v1', 'roster/v2'), 'FORMAT_UNSUPPORTED'],
    ['a vote key of small order', text.replace(voteKeyHex, identity), 'ROSTER_MALFORMED'],
    [
      'a vote key in capitals',
      text.replace(voteKeyHex, voteKeyHex.toUpperCase()),
      'ROSTER_MALFORMED',
    ],
    ['an unknown way of admission', text.replace('"registrars"', '"anyone"'), 'ROSTER_MALFORMED'],
    ['an open log with registrars', text.replace('"registrars"', '"open"'), 'ROSTER_MALFORMED'],
    ['a field twice', text.replace('{"admission"', '{"epoch":0,"admission"'), 'ROSTER_MALFORMED'],
    ['a number with an exponent', text.replace('"epoch":0', '"epoch":0e0'), 'ROSTER_MALFORMED'],
    ['negative zero', text.replace('"epoch":0', '"epoch":-0'), 'ROSTER_MALFORMED'],
    ['white space', `${text} `, 'ROSTER_MALFORMED'],
    ['more bytes than are ever read', text + ' '.repeat(ROSTER_BYTES_MAX), 'ROSTER_MALFORMED'],
  ];
  refusesTexts(text, parseRoster, texts);

  it('keeps what was refused underneath as the cause', () => {
    assert.throws(
      () => parseRoster(utf8('{}')),
      (error) => error instanceof VerifyError && error.cause instanceof VerifyError,
    );
  });
});

describe('planRosterChain', () => {
  const votersOf = (...indexes: readonly number[]): SigningKey[] => indexes.map(voteKey);
  const sealed = (roster: RosterFields, signers: readonly SigningKey[]): Envelope =>
    signedBy(ROSTER_PAYLOAD_TYPE, formatRoster(roster), signers);
  const check = (pin: string, envelopes: readonly Envelope[]): Promise<readonly Roster[]> =>
    runPlan(nativeVerifier, planRosterChain(pin, envelopes));

  const first = sealed(fields(), votersOf(0, 1, 2, 3));
  const pin = statementHash(first.payload);
  // Replica 4 takes the place of replica 3.
  const second = fields({
    epoch: 1,
    previous: pin,
    replicas: [0, 1, 2, 4].map((i) => replica(i)),
  });
  const secondSealed = sealed(second, votersOf(0, 1, 2, 4));
  const secondHash = statementHash(secondSealed.payload);
  const third = fields({ ...second, epoch: 2, previous: secondHash });

  it('walks from the pin to the present', async () => {
    const rosters = await check(pin, [first, secondSealed, sealed(third, votersOf(4, 1, 0))]);
    assert.deepEqual(
      rosters.map(({ epoch, hash }) => [epoch, hash]),
      [
        [0, pin],
        [1, secondHash],
        [2, statementHash(formatRoster(third))],
      ],
    );
  });

  const heavy = fields({
    faultyWeight: 2,
    replicas: [4, 1, 1, 1].map((weight, i) => replica(i, { weight })),
  });
  const heavySealed = sealed(heavy, votersOf(0, 1, 2, 3));
  const heavyPin = statementHash(heavySealed.payload);
  const heavyNext = { ...heavy, epoch: 1, previous: heavyPin };

  const A = voteKey(0);
  const accepted: readonly [string, string, Envelope[]][] = [
    ['the pinned roster alone', pin, [first]],
    [
      'a pin in the middle, without its predecessor’s signatures',
      secondHash,
      [sealed(second, [A])],
    ],
    ['a successor signed by a quorum and the new one', pin, [first, secondSealed]],
    [
      'a successor with the old one that leaves among its signers',
      pin,
      [first, sealed(second, votersOf(3, 0, 1, 4))],
    ],
    [
      'bad and foreign lines beside a quorum',
      pin,
      [
        first,
        {
          ...secondSealed,
          signatures: [
            ...secondSealed.signatures.map((line) => ({ ...line, signature: new Uint8Array(64) })),
            ...secondSealed.signatures,
            ...sealed(second, [testKey(99)]).signatures,
          ],
        },
      ],
    ],
    ['a quorum by weight: 4 + 1 of 7', heavyPin, [heavySealed, sealed(heavyNext, votersOf(0, 3))]],
  ];
  for (const [why, from, envelopes] of accepted) {
    it(`accepts ${why}`, async () => {
      const rosters = await check(from, envelopes);
      assert.equal(rosters.length, envelopes.length);
    });
  }

  const twice = sealed(second, votersOf(0, 1, 4));
  const refused: readonly [string, string, Envelope[], string][] = [
    ['no roster at all', pin, [], 'ROSTER_NOT_PINNED'],
    ['another roster than the pinned one', secondHash, [first], 'ROSTER_NOT_PINNED'],
    ['a pin in capitals', pin.toUpperCase(), [first], 'ROSTER_NOT_PINNED'],
    ['an empty pin', '', [first], 'ROSTER_NOT_PINNED'],
    [
      'a first roster that one replica did not sign',
      pin,
      [sealed(fields(), votersOf(0, 1, 2))],
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'a gap in the chain',
      pin,
      [first, sealed(third, votersOf(0, 1, 2, 4))],
      'ROSTER_CHAIN_BROKEN',
    ],
    ['a roster after itself', pin, [first, first], 'ROSTER_CHAIN_BROKEN'],
    [
      'the right predecessor with a wrong epoch',
      pin,
      [first, sealed({ ...second, epoch: 2 }, votersOf(0, 1, 2, 4))],
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'the right epoch with another predecessor',
      pin,
      [first, sealed({ ...second, previous: 'ab'.repeat(32) }, votersOf(0, 1, 2, 4))],
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'another log’s roster',
      pin,
      [first, sealed({ ...second, origin: 'other.example.org' }, votersOf(0, 1, 2, 4))],
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'a successor below quorum',
      pin,
      [first, sealed(second, votersOf(0, 1, 4))],
      'QUORUM_NOT_REACHED',
    ],
    [
      'a successor signed below quorum, one signer twice',
      pin,
      [first, { ...twice, signatures: [...twice.signatures, ...twice.signatures] }],
      'QUORUM_NOT_REACHED',
    ],
    [
      'a successor signed by its own members only',
      pin,
      [
        first,
        sealed({ ...second, replicas: [5, 6, 7, 8].map((i) => replica(i)) }, votersOf(5, 6, 7, 8)),
      ],
      'QUORUM_NOT_REACHED',
    ],
    [
      'cosigning keys in the place of vote keys',
      pin,
      [first, sealed(second, [cosignKey(0), cosignKey(1), cosignKey(2), voteKey(4)])],
      'QUORUM_NOT_REACHED',
    ],
    [
      'a successor without its new member’s signature',
      pin,
      [first, sealed(second, votersOf(0, 1, 2, 3))],
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'a replica’s new vote key that did not sign',
      pin,
      [
        first,
        sealed(
          fields({
            epoch: 1,
            previous: pin,
            replicas: fields().replicas.with(0, replica(0, { voteKey: testKey(50).publicKey })),
          }),
          votersOf(0, 1, 2, 3),
        ),
      ],
      'ROSTER_CHAIN_BROKEN',
    ],
    [
      'a quorum of heads that is none by weight',
      heavyPin,
      [heavySealed, sealed(heavyNext, votersOf(1, 2, 3))],
      'QUORUM_NOT_REACHED',
    ],
    [
      'signatures that were made for another statement type',
      pin,
      [
        first,
        {
          ...secondSealed,
          signatures: signedBy('text/plain', secondSealed.payload, votersOf(0, 1, 2, 4)).signatures,
        },
      ],
      'QUORUM_NOT_REACHED',
    ],
    [
      'another payload type',
      pin,
      [signedBy('application/json', first.payload, votersOf(0, 1, 2, 3))],
      'ROSTER_MALFORMED',
    ],
    [
      'a successor that is no roster',
      pin,
      [first, signedBy(ROSTER_PAYLOAD_TYPE, utf8('{}'), votersOf(0, 1, 2, 3))],
      'ROSTER_MALFORMED',
    ],
  ];
  for (const [why, from, envelopes, code] of refused) {
    it(`refuses ${why}`, async () => {
      assert.equal(await laterRefusalOf(() => check(from, envelopes)), code);
    });
  }

  it('refuses a chain in which any one signature of the quorum has a flipped bit', async () => {
    const minimal = sealed(third, votersOf(0, 1, 2));
    for (const [i, line] of minimal.signatures.entries()) {
      const signature = Uint8Array.from(line.signature);
      signature[40] = (signature[40] ?? 0) ^ 1;
      const signatures = minimal.signatures.with(i, { ...line, signature });
      assert.equal(
        await laterRefusalOf(() => check(secondHash, [secondSealed, { ...minimal, signatures }])),
        'QUORUM_NOT_REACHED',
        `line ${i}`,
      );
    }
  });

  it(`walks ${ROSTER_CHAIN_MAX} rosters and no more`, async () => {
    const lonely = fields({ faultyWeight: 0, replicas: [replica(0)] });
    const chain: Envelope[] = [];
    let previous: string | null = null;
    for (let epoch = 0; epoch <= ROSTER_CHAIN_MAX; epoch++) {
      const envelope = sealed({ ...lonely, epoch, previous }, [A]);
      chain.push(envelope);
      previous = statementHash(envelope.payload);
    }
    const from = statementHash(chain[0]?.payload ?? new Uint8Array(0));
    assert.equal((await check(from, chain.slice(0, -1))).at(-1)?.epoch, ROSTER_CHAIN_MAX - 1);
    assert.equal(await laterRefusalOf(() => check(from, chain)), 'ROSTER_CHAIN_BROKEN');
  });

  it('does not read a roster that is not pinned', () => {
    const junk = signedBy(ROSTER_PAYLOAD_TYPE, utf8('not JSON'), [A]);
    assert.equal(
      refusalOf(() => planRosterChain(pin, [junk])),
      'ROSTER_NOT_PINNED',
    );
  });
});
