import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { cosignatureMessage, planCheckpoint } from '../../verifier/cosignature.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseNote } from '../../verifier/note.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import { signedRoster } from '../cluster.ts';
import type { CosignedCheckpoint } from '../consensus/types.ts';
import { generateKeys } from '../key-file.ts';
import { silentLog } from '../log.ts';
import { makeCheckpointNote } from './checkpoint-note.ts';
import { CheckpointPublisher } from './checkpoint-publisher.ts';
import { healthChecks, readinessChecks } from './health.ts';
import type { Vitals } from './health.ts';
import { Lane } from './lane.ts';
import { TickClock } from './tick-clock.ts';

const KEYS = [0, 1, 2, 3].map((i) => generateKeys(`r${i}`));
const ROSTER = parseRoster(
  signedRoster(
    'log.example',
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
const ROOT = new Uint8Array(32).fill(7);

function cosigned(
  signers: readonly number[],
  badSigner?: number,
  times: readonly number[] = [1000, 1001, 1002, 1003],
): CosignedCheckpoint {
  const text = formatCheckpoint({ origin: 'log.example', size: 5, root: ROOT });
  return {
    epoch: 0,
    height: 2,
    size: 5,
    root: encodeHex(ROOT),
    cosignatures: signers.map((signer) => {
      const time = times[signer] ?? 0;
      const key = KEYS[signer === badSigner ? (signer + 1) % 4 : signer]?.cosign;
      const signature = key?.sign(cosignatureMessage(text, time)) ?? new Uint8Array(64);
      return { signer, time, signature };
    }),
  };
}

describe('makeCheckpointNote', () => {
  it('makes a note that a client accepts', async () => {
    const { note } = await makeCheckpointNote(cosigned([2, 0, 3]), ROSTER, nativeVerifier);
    const verified = await runPlan(nativeVerifier, planCheckpoint(parseNote(note), ROSTER));
    assert.equal(verified.weight, 3);
    assert.deepEqual(
      verified.cosignatures.map(({ replica }) => replica),
      [0, 2, 3],
    );
  });

  const times: readonly [string, readonly number[], number][] = [
    ['the second newest when one is faulty', [1000, 1001, 1002, 1003], 1002],
    ['no older one because a replica wrote the beginning of time', [1000, 0, 1001, 1001], 1001],
    ['no newer one because a replica wrote its end', [1000, 2 ** 53 - 1, 1001, 1001], 1001],
  ];
  for (const [why, written, expected] of times) {
    it(`certifies ${why}`, async () => {
      const checkpoint = cosigned([0, 1, 2, 3], undefined, written);
      const { certifiedTime } = await makeCheckpointNote(checkpoint, ROSTER, nativeVerifier);
      assert.equal(certifiedTime, expected);
    });
  }

  it('is published with the time that it certifies', async () => {
    const published: (readonly [number, number])[] = [];
    const publisher = new CheckpointPublisher({
      store: { putCheckpoint: async () => undefined },
      lane: new Lane(),
      verifier: nativeVerifier,
      rosterOf: () => ROSTER,
      published: (size, time) => published.push([size, time]),
      log: silentLog,
    });
    publisher.publish(cosigned([0, 1, 2, 3], undefined, [1000, 0, 1001, 1001]));
    while (published.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(published, [[5, 1001]]);
  });

  const refused: readonly [string, CosignedCheckpoint][] = [
    ['too few cosignatures', cosigned([0, 1])],
    ['one bad cosignature among enough good ones', cosigned([0, 1, 2, 3], 2)],
    ['one replica counted twice', cosigned([0, 1, 1])],
  ];
  for (const [why, checkpoint] of refused) {
    it(`never serves a note with ${why}`, async () => {
      await assert.rejects(makeCheckpointNote(checkpoint, ROSTER, nativeVerifier), VerifyError);
    });
  }
});

describe('TickClock', () => {
  it('counts whole ticks and carries the rest over', () => {
    let now = 0;
    const clock = new TickClock(10, () => now);
    const dueAt = (time: number): number => {
      now = time;
      return clock.due();
    };
    assert.deepEqual([5, 9, 10, 19, 25, 30].map(dueAt), [0, 0, 1, 0, 1, 1]);
  });

  it('does not make up for a long stall', () => {
    let now = 0;
    const clock = new TickClock(10, () => now);
    now = 3_600_000;
    assert.equal(clock.due(), 5);
    assert.equal(clock.due(), 0);
  });
});

describe('health', () => {
  const well: Vitals = {
    deafMs: 10,
    storeHalted: undefined,
    coreHalted: undefined,
    observerReason: undefined,
    isDraining: false,
    reachableWeight: 3,
    quorum: 3,
    checkpointAgeSeconds: 5,
    checkpointAgeMaxSeconds: 60,
    clockSkewSeconds: undefined,
  };
  const cases: readonly [string, Partial<Vitals>, readonly string[]][] = [
    ['nothing when all is well', {}, []],
    ['nothing before the first checkpoint', { checkpointAgeSeconds: undefined }, []],
    ['a deaf process', { deafMs: 2001 }, ['event-loop']],
    ['a store that takes no writes', { storeHalted: 'disk full' }, ['store']],
    ['a halted core', { coreHalted: 'root differs' }, ['consensus']],
    ['an observer', { observerReason: 'lost database' }, ['voting']],
    ['a replica that is stopping', { isDraining: true }, ['not-draining']],
    ['too few peers', { reachableWeight: 2 }, ['peers']],
    ['an old checkpoint', { checkpointAgeSeconds: 61 }, ['checkpoint']],
    ['clocks as close as can be measured', { clockSkewSeconds: -5 }, []],
    ['a clock that is behind the others', { clockSkewSeconds: 5.1 }, ['clock']],
    ['a clock that is ahead of the others', { clockSkewSeconds: -60 }, ['clock']],
  ];
  for (const [why, change, failing] of cases) {
    it(`reports ${why}`, () => {
      const checks = readinessChecks({ ...well, ...change });
      assert.deepEqual(
        checks.filter(({ ok }) => !ok).map(({ name }) => name),
        failing,
      );
      assert.ok(checks.length >= 7);
    });
  }

  it('is alive as long as it turns and can write', () => {
    const dead = healthChecks({ ...well, reachableWeight: 0, isDraining: true });
    assert.ok(dead.every(({ ok }) => ok));
  });
});
