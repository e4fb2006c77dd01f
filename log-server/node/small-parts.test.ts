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
import { ServedCheckpoint } from './served-checkpoint.ts';
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
  size: number = 5,
): CosignedCheckpoint {
  const text = formatCheckpoint({ origin: 'log.example', size, root: ROOT });
  return {
    epoch: 0,
    height: 2,
    size,
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
    const covered: number[] = [];
    const served = new ServedCheckpoint({
      store: { putCheckpoint: async () => undefined },
      covered: (size) => covered.push(size),
    });
    const publisher = new CheckpointPublisher({
      served,
      lane: new Lane(),
      verifier: nativeVerifier,
      rosterOf: () => ROSTER,
      log: silentLog,
    });
    publisher.publish(cosigned([0, 1, 2, 3], undefined, [1000, 0, 1001, 1001]));
    while (covered.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(covered, [5]);
    assert.deepEqual(served.facts, { epoch: 0, size: 5, timeSeconds: 1001 });
    publisher.stop();
  });

  it('is published at once for another checkpoint; for the same one further cosignatures wait for each other', async () => {
    const written: string[] = [];
    const waiting = new Set<() => void>();
    const publisher = new CheckpointPublisher({
      served: {
        put: async (note, { size }) =>
          written.push(`${size}/${parseNote(note).signatures.length}`) > 0,
      },
      lane: new Lane(),
      verifier: nativeVerifier,
      rosterOf: () => ROSTER,
      log: silentLog,
      later: (ms, then) => {
        assert.ok(ms > 0, 'a moment');
        waiting.add(then);
        return () => waiting.delete(then);
      },
    });
    const afterAll = async (...checkpoints: readonly CosignedCheckpoint[]): Promise<string> => {
      for (const one of checkpoints) publisher.publish(one);
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
      return written.splice(0).join(' ');
    };
    const timeIsUp = (): void => {
      const due = [...waiting];
      waiting.clear();
      for (const then of due) then();
    };
    const [three, four] = [cosigned([0, 1, 2]), cosigned([0, 1, 2, 3])];
    const sevenLeaves = cosigned([0, 1, 2], undefined, undefined, 7);
    assert.equal(await afterAll(three), '5/3');
    assert.equal(await afterAll(four), '', 'waits');
    assert.equal(await afterAll(sevenLeaves), '7/3', 'what waited is of no use any more');
    assert.equal(waiting.size, 1);
    timeIsUp();
    assert.equal(await afterAll(), '', 'nothing had come');
    assert.equal(await afterAll(three), '5/3');
    assert.equal(await afterAll(three, four), '');
    timeIsUp();
    assert.equal(await afterAll(), '5/4', 'the newest of all that came');
    assert.equal(await afterAll({ ...three, epoch: 1 }), '5/3', 'another roster');
    assert.equal(await afterAll({ ...four, epoch: 1 }), '');
    publisher.stop();
    assert.equal(waiting.size, 0, 'called off');
    assert.equal(await afterAll(sevenLeaves), '', 'stopped');
  });

  it('tries again with the next cosignature when one note could not be written', async () => {
    let isFull = true;
    let count = 0;
    const publisher = new CheckpointPublisher({
      served: {
        put: async () => {
          if (isFull) throw new Error('full');
          count++;
          return true;
        },
      },
      lane: new Lane(),
      verifier: nativeVerifier,
      rosterOf: () => ROSTER,
      log: silentLog,
    });
    publisher.publish(cosigned([0, 1, 2]));
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    isFull = false;
    publisher.publish(cosigned([0, 1, 2, 3]));
    for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(count, 1);
    publisher.stop();
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
