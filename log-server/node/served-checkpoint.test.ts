import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { TEST_ORIGIN, TEST_TIME, replicaKeys, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { noteFor } from '../../fixtures/test-storage.ts';
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { cosignatureMessage, planCheckpoint } from '../../verifier/cosignature.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseNote } from '../../verifier/note.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import type { CosignedCheckpoint, Header } from '../consensus/types.ts';
import { silentLog } from '../log.ts';
import type { Tip } from '../ledger/application.ts';
import { adoptNote } from './adopt-note.ts';
import { CheckpointPublisher } from './checkpoint-publisher.ts';
import { Lane } from './lane.ts';
import { ServedCheckpoint, type CheckpointFacts } from './served-checkpoint.ts';

const ROSTER = parseRoster(rosterEnvelope(4).payload);
const ROOT = '07'.repeat(32);
const HEADER: Header = { ...genesisHeader(TEST_ORIGIN), height: 3, size: 3, root: ROOT };

describe('ServedCheckpoint', () => {
  const served: CheckpointFacts = { epoch: 1, size: 7, timeSeconds: 1000 };
  const rows: readonly (readonly [why: string, note: CheckpointFacts, isServed: boolean])[] = [
    ['a newer time', { ...served, timeSeconds: 1001 }, true],
    ['the same time, with other signers', served, true],
    ['an older time', { ...served, timeSeconds: 999 }, false],
    ['more leaves, whatever its time', { ...served, size: 8, timeSeconds: 900 }, true],
    ['fewer leaves, whatever its time', { ...served, size: 6, timeSeconds: 2000 }, false],
    ['another roster, whatever its time', { ...served, epoch: 2, timeSeconds: 999 }, true],
  ];
  for (const [why, facts, expected] of rows) {
    it(`${expected ? 'goes on to' : 'does not go back to'} ${why}`, async () => {
      const [stored, covered]: [string[], number[]] = [[], []];
      const one = new ServedCheckpoint({
        store: { putCheckpoint: async (note, size) => void stored.push(`${note} ${size}`) },
        covered: (size) => covered.push(size),
      });
      assert.equal(await one.put('first', served), true);
      assert.equal(await one.put('second', facts), expected);
      assert.deepEqual(one.facts, expected ? facts : served);
      assert.deepEqual(stored, ['first 7', ...(expected ? [`second ${facts.size}`] : [])]);
      assert.deepEqual(covered, [7, ...(expected ? [facts.size] : [])]);
    });
  }

  it('is as before when the note could not be stored', async () => {
    const one = new ServedCheckpoint({
      store: { putCheckpoint: async () => Promise.reject(new Error('full')) },
      covered: () => assert.fail('nothing is covered'),
    });
    await assert.rejects(one.put('first', served), /full/);
    assert.equal(one.facts, undefined);
  });

  /** What the core of replica 3 has: others' cosignatures of then, and its own of now. */
  function cosignedAt(times: readonly number[]): CosignedCheckpoint {
    const text = formatCheckpoint({ origin: TEST_ORIGIN, size: 3, root: decodeHex(ROOT) });
    return {
      epoch: 0,
      height: 3,
      size: 3,
      root: ROOT,
      cosignatures: times.map((time, signer) => {
        const signature = replicaKeys(signer).cosign.sign(cosignatureMessage(text, time));
        return { signer, time, signature };
      }),
    };
  }

  it('keeps a fresh note that was taken over while its own replica, cut off, signs beside old ones', async () => {
    let note = '';
    const served = new ServedCheckpoint({
      store: { putCheckpoint: async (text) => void (note = text) },
      covered: () => undefined,
    });
    const lane = new Lane();
    const publisher = new CheckpointPublisher({
      served,
      lane,
      verifier: nativeVerifier,
      rosterOf: () => ROSTER,
      log: silentLog,
      later: (_, then) => {
        setImmediate(then);
        return () => undefined;
      },
    });
    const certified = async (): Promise<number> => {
      for (let i = 0; i < 50; i++) await new Promise((resolve) => setImmediate(resolve));
      const plan = planCheckpoint(parseNote(note), ROSTER);
      return (await runPlan(nativeVerifier, plan)).certifiedTime - TEST_TIME;
    };
    const adopt = (time: number): Promise<void> =>
      adoptNote(noteFor(HEADER, TEST_TIME + time), {
        application: { tip: async () => ({ size: 3, root: decodeHex(ROOT) }) as Tip },
        served,
        lane,
        verifier: nativeVerifier,
        roster: ROSTER,
        contradicted: () => assert.fail('it is the same tree'),
        log: silentLog,
      });
    const publish = (...times: readonly number[]): void =>
      publisher.publish(cosignedAt(times.map((time) => TEST_TIME + time)));
    publish(0, 0, 0, 0);
    assert.equal(await certified(), 0);
    await adopt(600);
    assert.equal(await certified(), 600);
    publish(0, 0, 0, 660);
    assert.equal(await certified(), 600, 'ten minutes old for one fresh line');
    publish(0, 0, 661, 660);
    assert.equal(await certified(), 660, 'a weak quorum of fresh ones');
    await adopt(600);
    assert.equal(await certified(), 660);
    publisher.stop();
  });
});
