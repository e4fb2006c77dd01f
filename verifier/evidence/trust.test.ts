import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog, flipBit } from '../../fixtures/synthetic-log.ts';
import { planCheckpoint } from '../cosignature.ts';
import { VerifyError, type VerifyErrorCode } from '../errors.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { parseNote } from '../note.ts';
import { planRosterChain } from '../roster.ts';
import { runPlan } from '../signatures.ts';
import type { Evidence } from './format.ts';
import type { Subject } from './subject.ts';
import { ForkError, type TrustState } from './trust.ts';
import { verifyEvidence, type VerifiedEvidence } from './verify.ts';

const SUBJECTS: readonly Subject[] = [{ kind: 'package', name: 'p' }];
const THREE = { maintainers: ['ada', 'ben', 'eve'], faulty: 1 };

// The same first batch always, under the same keys; then as many batches with releases as asked for.
// `branch` makes histories that part after the first batch: a fork.
function makeLog(batches: number, branch = '0'): SyntheticLog {
  const log = new SyntheticLog();
  log.maintain('p', THREE);
  log.commit();
  for (let i = 1; i < batches; i++) {
    log.release({ name: 'p', version: `1.${branch}.${i}` });
    log.commit();
  }
  return log;
}

function verify(
  log: SyntheticLog,
  evidence: Evidence,
  trusted: TrustState | undefined,
  more: { readonly nowSeconds?: number; readonly pin?: string } = {},
): Promise<VerifiedEvidence> {
  const request = {
    evidence,
    pin: log.pin,
    subjects: SUBJECTS,
    nowSeconds: log.time,
    checkpointAgeMaxSeconds: 3600,
    clockSkewMaxSeconds: 10,
    ...more,
  };
  return verifyEvidence(trusted === undefined ? request : { ...request, trusted }, nativeVerifier);
}

async function trustAt(log: SyntheticLog, batch: number): Promise<TrustState> {
  const { size } = log.snapshots[batch - 1] ?? { size: 0 };
  const { trust } = await verify(log, log.evidence(SUBJECTS, { size }), undefined);
  return trust;
}

const refusedAs =
  (code: VerifyErrorCode) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof VerifyError, `a refusal, not ${String(error)}`);
    assert.equal(error.code, code, error.message);
    return true;
  };

describe('advanceTrust', () => {
  const log = makeLog(6);

  it('remembers what it accepted', async () => {
    const trust = await trustAt(log, 6);
    assert.deepEqual(trust, {
      pin: log.pin,
      rosterHash: log.pin,
      epoch: 0,
      origin: log.origin,
      size: log.size,
      root: log.root(),
      note: log.note(),
      certifiedTime: log.time,
    });
  });

  it('goes on from every earlier size to every later one', async () => {
    for (let from = 1; from <= 6; from++) {
      const trusted = await trustAt(log, from);
      for (let to = from; to <= 6; to++) {
        const { size } = log.snapshots[to - 1] ?? { size: 0 };
        const evidence = log.evidence(SUBJECTS, { size, since: trusted.size });
        const { trust } = await verify(log, evidence, trusted);
        assert.equal(trust.size, size, `from batch ${from} to ${to}`);
      }
    }
  });

  it('refuses to go back, from every later size to every earlier one', async () => {
    const trusted = await trustAt(log, 6);
    for (const { size } of log.snapshots.slice(0, -1)) {
      const evidence = log.evidence(SUBJECTS, { size, since: trusted.size });
      await assert.rejects(
        verify(log, evidence, trusted),
        refusedAs('CHECKPOINT_ROLLBACK'),
        `back to ${size}`,
      );
    }
  });

  it('needs the proof that the log only grew', async () => {
    const trusted = await trustAt(log, 3);
    const good = log.evidence(SUBJECTS, { since: trusted.size });
    const proof = good.consistency;
    assert.ok(proof !== null && proof.hashes.length >= 2);
    const [first, ...rest] = proof.hashes;
    assert.ok(first !== undefined);
    const wrong: readonly (readonly [why: string, consistency: Evidence['consistency']])[] = [
      ['no proof', null],
      [
        'a proof from another size',
        log.evidence(SUBJECTS, { since: trusted.size - 2 }).consistency,
      ],
      ['a proof that says another size', { ...proof, size: trusted.size - 1 }],
      ['a hash missing', { ...proof, hashes: rest }],
      ['a hash twice', { ...proof, hashes: [first, ...proof.hashes] }],
      ['no hashes', { ...proof, hashes: [] }],
      ['a flipped bit', { ...proof, hashes: [flipBit(first, 0), ...rest] }],
    ];
    for (const [why, consistency] of wrong) {
      await assert.rejects(
        verify(log, { ...good, consistency }, trusted),
        refusedAs('CONSISTENCY_PROOF_INVALID'),
        why,
      );
    }
    await verify(log, good, trusted);
  });

  it('refuses a longer log that is not a continuation, whatever proof comes with it', async () => {
    const trusted = await trustAt(makeLog(3, '7'), 3);
    const evidence = log.evidence(SUBJECTS, { since: trusted.size });
    await assert.rejects(verify(log, evidence, trusted), refusedAs('CONSISTENCY_PROOF_INVALID'));
  });

  it('keeps the later time of one tree, and does not refuse the earlier one', async () => {
    const trusted = await trustAt(log, 6);
    const later = log.evidence(SUBJECTS, { time: log.time + 100 });
    const now = { nowSeconds: log.time + 100 };
    const { trust: advanced } = await verify(log, later, trusted, now);
    assert.equal(advanced.certifiedTime, log.time + 100);
    const { trust: kept } = await verify(log, log.evidence(SUBJECTS), advanced, now);
    assert.deepEqual(kept, advanced);
  });

  it('does not forget a later time when the log grows', async () => {
    const { size } = log.snapshots[2] ?? { size: 0 };
    const time = log.time + 1000;
    const early = log.evidence(SUBJECTS, { size, time });
    const { trust: trusted } = await verify(log, early, undefined, { nowSeconds: time });
    const { trust } = await verify(log, log.evidence(SUBJECTS, { since: size }), trusted);
    assert.equal(trust.size, log.size);
    assert.equal(trust.certifiedTime, time);
  });

  it('refuses a log of another origin', async () => {
    const trusted = { ...(await trustAt(log, 6)), origin: 'log.example/other' };
    await assert.rejects(
      verify(log, log.evidence(SUBJECTS), trusted),
      refusedAs('ORIGIN_MISMATCH'),
    );
  });
});

describe('advanceTrust, forks', () => {
  const log = makeLog(4);
  const fork = makeLog(4, '9');

  async function forkOf(run: Promise<unknown>): Promise<ForkError> {
    const error: unknown = await run.then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    assert.ok(error instanceof ForkError, `a fork, not ${String(error)}`);
    assert.equal(error.code, 'CHECKPOINT_FORK');
    return error;
  }

  it('keeps both notes, which anybody can check', async () => {
    const trusted = await trustAt(log, 4);
    const { fork: found } = await forkOf(verify(fork, fork.evidence(SUBJECTS), trusted));
    assert.equal(found.first, log.note());
    assert.equal(found.second, fork.note());
    const rosters = await runPlan(nativeVerifier, planRosterChain(log.pin, found.rosters));
    const roster = rosters.at(-1);
    assert.ok(roster !== undefined);
    const [first, second] = await Promise.all(
      [found.first, found.second].map((note) =>
        runPlan(nativeVerifier, planCheckpoint(parseNote(note), roster)),
      ),
    );
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.checkpoint.size, second.checkpoint.size);
    assert.notDeepEqual(first.checkpoint.root, second.checkpoint.root);
  });

  it('is a fork even when the view is too old', async () => {
    const trusted = await trustAt(log, 4);
    const nowSeconds = fork.time + 1_000_000;
    await forkOf(verify(fork, fork.evidence(SUBJECTS), trusted, { nowSeconds }));
  });

  it('is a fork even when the rest of the document is broken', async () => {
    const trusted = await trustAt(log, 4);
    const evidence = { ...fork.evidence(SUBJECTS), entries: [], map: new Uint8Array(0) };
    await forkOf(verify(fork, evidence, trusted));
  });

  it('is no fork without a quorum: anybody can make up a root', async () => {
    const trusted = await trustAt(log, 4);
    const evidence = fork.evidence(SUBJECTS, { cosigners: [0, 1] });
    await assert.rejects(verify(fork, evidence, trusted), refusedAs('QUORUM_NOT_REACHED'));
  });
});

describe('advanceTrust, epochs', () => {
  const log = makeLog(2);
  log.changeRoster({ weights: [1, 1, 1, 1, 1] });
  log.release({ name: 'p', version: '3.0.0' });
  log.commit();
  log.release({ name: 'p', version: '3.0.1' });
  log.commit();

  it('goes on into a new epoch', async () => {
    const trusted = await trustAt(log, 2);
    assert.equal(trusted.epoch, 0);
    const { trust } = await verify(log, log.evidence(SUBJECTS, { since: trusted.size }), trusted);
    assert.equal(trust.epoch, 1);
    assert.equal(trust.rosterHash, log.rosterOf(1).hash);
  });

  it('refuses to go back to an old roster', async () => {
    const trusted = await trustAt(log, 5);
    const { size } = log.snapshots[1] ?? { size: 0 };
    await assert.rejects(
      verify(log, log.evidence(SUBJECTS, { size }), trusted),
      refusedAs('CHECKPOINT_ROLLBACK'),
    );
  });

  it('refuses a longer log that a replaced roster cosigned', async () => {
    const tip = await trustAt(log, 5);
    const longer = makeLog(2);
    longer.changeRoster({ weights: [1, 1, 1, 1, 1] });
    longer.release({ name: 'p', version: '3.0.0' });
    longer.commit();
    longer.release({ name: 'p', version: '3.0.1' });
    longer.commit();
    longer.commit({ epoch: 0 });
    const evidence = longer.evidence(SUBJECTS, { since: tip.size, epoch: 0 });
    // All of it fits together: only the epoch tells.
    await verify(longer, evidence, { ...tip, epoch: 0, rosterHash: longer.pin });
    await assert.rejects(verify(longer, evidence, tip), refusedAs('CHECKPOINT_ROLLBACK'));
  });

  it('refuses another roster of a known epoch', async () => {
    const trusted = await trustAt(log, 4);
    const twin = makeLog(2);
    twin.changeRoster({ weights: [1, 1, 1, 1] });
    twin.release({ name: 'p', version: '3.0.0' });
    twin.commit();
    twin.release({ name: 'p', version: '3.0.1' });
    twin.commit();
    await assert.rejects(
      verify(twin, twin.evidence(SUBJECTS, { since: trusted.size }), trusted),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
  });

  it('goes on with a pin that was renewed', async () => {
    const trusted = await trustAt(log, 2);
    const pin = log.rosterOf(1).hash;
    const evidence = log.evidence(SUBJECTS, { since: trusted.size, pin });
    const { trust } = await verify(log, evidence, trusted, { pin });
    assert.equal(trust.pin, pin);
  });
});
