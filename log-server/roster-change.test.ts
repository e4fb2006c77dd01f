import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { testKey } from '../fixtures/documents.ts';
import { replicaKeys, rosterEnvelope } from '../fixtures/test-ledger.ts';
import { publicKeyHex } from '../verifier/ed25519.ts';
import { nativeVerifier } from '../verifier/node/ed25519.ts';
import { formatRoster, parseRoster } from '../verifier/roster.ts';
import { runPlan } from '../verifier/signatures.ts';
import { KEY_TYPE_COSIGNATURE, formatVerifierKey, makeVerifierKey } from '../verifier/vkey.ts';
import { ConfigError } from './config.ts';
import {
  describeChange,
  nextRoster,
  parseAddition,
  parseAdmission,
  parseMove,
  parseWeight,
  planSigningState,
  type RosterChange,
} from './roster-change.ts';

const PRESENT = parseRoster(rosterEnvelope(4).payload);
const NOTHING: RosterChange = { add: [], remove: [], weights: new Map(), moves: new Map() };

function addition(i: number, name = `replica-${i}`): string {
  const { vote, cosign } = replicaKeys(i);
  const vkey = formatVerifierKey(makeVerifierKey(name, KEY_TYPE_COSIGNATURE, cosign.publicKey));
  const urls = `https://replica-${i}.example,https://peer-${i}.example`;
  return `${name}=${vkey},${publicKeyHex(vote.publicKey)},${urls},1`;
}

describe('nextRoster', () => {
  it('follows the present one, adds, removes, weighs and moves', () => {
    const fields = nextRoster(PRESENT, {
      add: [parseAddition(addition(4)), parseAddition(addition(5))],
      remove: ['replica-1'],
      weights: new Map([parseWeight('replica-0=3')]),
      moves: new Map([parseMove('replica-2=https://new.example,https://new-peer.example')]),
      admission: parseAdmission(
        `1:${[7, 8].map((n) => publicKeyHex(testKey(n).publicKey)).join(',')}`,
      ),
    });
    const roster = parseRoster(formatRoster(fields));
    assert.deepEqual([roster.epoch, roster.previous], [1, PRESENT.hash]);
    assert.deepEqual(
      roster.replicas.map(({ name, weight, url }) => [name, weight, url]),
      [
        ['replica-0', 3, 'https://replica-0.example'],
        ['replica-2', 1, 'https://new.example'],
        ['replica-3', 1, 'https://replica-3.example'],
        ['replica-4', 1, 'https://replica-4.example'],
        ['replica-5', 1, 'https://replica-5.example'],
      ],
    );
    // W = 7: B = 2.
    assert.equal(roster.faultyWeight, 2);
    const said = describeChange(PRESENT, fields).join('\n');
    for (const expected of [
      'replica-1 leaves',
      'replica-4 enters: weight 1',
      'replica-0: weight 1 -> 3',
      'address https://replica-2.example -> https://new.example',
      'faulty: 1 -> 2',
      'open to everybody -> 2 of the registrars',
    ]) {
      assert.ok(said.includes(expected), `${expected} in ${said}`);
    }
  });

  const refused: readonly (readonly [string, () => RosterChange])[] = [
    ['a removal of nobody', () => ({ ...NOTHING, remove: ['replica-9'] })],
    ['a weight of nobody', () => ({ ...NOTHING, weights: new Map([['replica-9', 2]]) })],
    [
      'an addition under the name of one that is there',
      () => ({ ...NOTHING, add: [parseAddition(addition(7, 'replica-3'))] }),
    ],
    [
      'new keys under the name of one that leaves',
      () => ({
        ...NOTHING,
        remove: ['replica-3'],
        add: [parseAddition(addition(7, 'replica-3'))],
      }),
    ],
    ['no change', () => NOTHING],
    [
      'a change to what is so already',
      () => ({ ...NOTHING, weights: new Map([['replica-0', 1]]) }),
    ],
    ['an addition without a key', () => ({ ...NOTHING, add: [parseAddition('replica-4=x')] })],
    ['an addition without a name', () => ({ ...NOTHING, add: [parseAddition('=x,y')] })],
    [
      'an addition with one field too many',
      () => ({ ...NOTHING, add: [parseAddition(`${addition(4)},1`)] }),
    ],
    [
      'an addition with a vote key that is none',
      () => ({
        ...NOTHING,
        add: [parseAddition(addition(4).replace(/,[0-9a-f]{64},/, `,${'00'.repeat(32)},`))],
      }),
    ],
    ['a weight that is no number', () => ({ ...NOTHING, weights: new Map([parseWeight('a=b')]) })],
    ['a move to one address', () => ({ ...NOTHING, moves: new Map([parseMove('a=b')]) })],
    ['an unknown admission rule', () => ({ ...NOTHING, admission: parseAdmission('nobody') })],
  ];
  for (const [why, change] of refused) {
    it(`refuses ${why}`, () => assert.throws(() => nextRoster(PRESENT, change()), ConfigError));
  }
});

describe('planSigningState', () => {
  const cases: readonly (readonly [string, readonly number[], boolean, readonly string[]])[] = [
    ['nobody', [], false, ['replica-4']],
    ['a quorum of the present without the new one', [0, 1, 2], false, ['replica-4']],
    ['the new one and too few of the present', [0, 1, 4], false, []],
    ['a quorum and the new one', [1, 2, 3, 4], true, []],
    ['one replica three times', [0, 0, 0, 4], false, []],
    ['strangers', [7, 8, 9, 4], false, []],
  ];
  for (const [why, signers, isComplete, missing] of cases) {
    it(`counts the signatures of ${why}`, async () => {
      const next = rosterEnvelope(5, { epoch: 1, previous: PRESENT.hash }, 10);
      const lines = signers.map((i) => {
        const line = next.signatures[i];
        assert.ok(line !== undefined);
        return line;
      });
      const envelope = { ...next, signatures: lines };
      const plan = planSigningState(envelope, PRESENT, parseRoster(next.payload));
      const state = await runPlan(nativeVerifier, plan);
      assert.deepEqual([state.isComplete, state.missing], [isComplete, missing]);
      assert.equal(state.quorum, 3);
      const old = new Set(signers.filter((i) => i < 4));
      assert.equal(state.weight, old.size);
    });
  }

  it('does not count a signature of another roster', async () => {
    const next = rosterEnvelope(5, { epoch: 1, previous: PRESENT.hash });
    const other = rosterEnvelope(6, { epoch: 1, previous: PRESENT.hash });
    const plan = planSigningState(
      { ...next, signatures: other.signatures },
      PRESENT,
      parseRoster(next.payload),
    );
    assert.deepEqual((await runPlan(nativeVerifier, plan)).signed, []);
  });
});
