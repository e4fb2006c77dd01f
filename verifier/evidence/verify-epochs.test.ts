// Rosters that change, and who is believed when.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { release, THREE, verify, judge, refusedAs } from '../../fixtures/evidence.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import type { Subject } from './subject.ts';
import type { EvidenceRequest } from './verify.ts';

describe('verifyEvidence, epochs', () => {
  function grown(): SyntheticLog {
    const log = new SyntheticLog({ weights: [1, 1, 1, 1] });
    log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.0' });
    log.commit();
    log.changeRoster({ weights: [2, 1, 1, 1, 1, 1] });
    log.release({ name: 'p', version: '1.0.1' });
    log.commit();
    return log;
  }
  const subject = release('p', '1.0.1');
  const with_ = (log: SyntheticLog): Partial<EvidenceRequest> => ({
    pin: log.pin,
    nowSeconds: log.time,
    subjects: [subject],
  });

  it('follows the chain of rosters, from any pin on it', async () => {
    const log = grown();
    assert.equal(await judge(log, subject), 'verified active');
    const pin = log.rosterOf(1).hash;
    const evidence = log.evidence([subject], { pin });
    assert.equal(evidence.rosters.length, 1);
    const { roster } = await verify(evidence, { ...with_(log), pin });
    assert.equal(roster.epoch, 1);
  });

  it('leaves out rosters that came into force after the checkpoint', async () => {
    const log = grown();
    const size = log.snapshots[0]?.size ?? 0;
    const subjects = [release('p', '1.0.0')];
    const evidence = log.evidence(subjects, { size });
    assert.equal(evidence.rosters.length, 1);
    const { roster } = await verify(evidence, { ...with_(log), subjects });
    assert.equal(roster.epoch, 0);
  });

  // Four replicas are replaced by four others at once: nobody is left to sign for the old roster.
  it('has the checkpoint of the batch that ends an epoch signed by the next roster', async () => {
    const log = grown();
    const { size } = log.snapshots[1] ?? { size: 0 };
    const subjects = [release('p', '1.0.0')];
    const evidence = log.evidence(subjects, { size, cosigners: [0, 4, 5, 1, 2] });
    assert.equal(evidence.rosters.length, 2);
    const { roster, commit } = await verify(evidence, { ...with_(log), subjects });
    assert.deepEqual([roster.epoch, commit.epoch], [1, 0]);
    // Of the same batch, the old roster's quorum counts for nothing under the new one.
    await assert.rejects(
      verify(log.evidence(subjects, { size, cosigners: [1, 2, 3] }), { ...with_(log), subjects }),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('refuses a next roster over a batch that did not log it', async () => {
    const log = grown();
    const [before, end] = log.snapshots;
    assert.ok(before !== undefined && end !== undefined);
    const subjects = [release('p', '1.0.0')];
    const { rosters } = log.evidence(subjects);
    // The new roster's keys over the tree before it was logged.
    const early = log.evidence(subjects, { size: before.size, epoch: 1 });
    await assert.rejects(
      verify({ ...early, rosters }, { ...with_(log), subjects }),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
    // Neither when the place where it would be logged is not shown.
    const hidden = new SyntheticLog();
    hidden.maintain('p', THREE);
    hidden.release({ name: 'p', version: '1.0.0' });
    hidden.maintain('q', THREE);
    const size = hidden.commit();
    hidden.changeRoster({ weights: [1, 1, 1, 1, 1] });
    const { rosters: chain } = hidden.evidence(subjects);
    assert.equal(chain.length, 2);
    await assert.rejects(
      verify(
        { ...hidden.evidence(subjects, { size, epoch: 1 }), rosters: chain },
        { pin: hidden.pin, nowSeconds: hidden.time, subjects },
      ),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
  });

  it('refuses a log that the replaced roster goes on with', async () => {
    const log = grown();
    const evidence = log.evidence([subject], { epoch: 0 });
    const { rosters } = evidence;
    await assert.rejects(
      verify({ ...evidence, rosters: rosters.slice(0, 1) }, with_(log)),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
    // Four of the seven votes of the new one: a quorum of the old, not of the new.
    await assert.rejects(
      verify(log.evidence([subject], { cosigners: [1, 2, 3] }), with_(log)),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('refuses a next roster that no quorum signed', async () => {
    const log = grown();
    const evidence = log.evidence([subject]);
    const [first, second] = evidence.rosters;
    assert.ok(first !== undefined && second !== undefined);
    const signatures = second.signatures.slice(2);
    await assert.rejects(
      verify({ ...evidence, rosters: [first, { ...second, signatures }] }, with_(log)),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });

  it('refuses a batch that claims another epoch', async () => {
    const log = new SyntheticLog();
    log.maintain('p', THREE);
    log.commit({ epoch: 1 });
    const subjects: readonly Subject[] = [{ kind: 'package', name: 'p' }];
    await assert.rejects(
      verify(log.evidence(subjects, { epoch: 0 }), {
        pin: log.pin,
        nowSeconds: log.time,
        subjects,
      }),
      refusedAs('ROSTER_CHAIN_BROKEN'),
    );
  });

  it('counts weights, not replicas', async () => {
    const log = new SyntheticLog({ weights: [4, 1, 1, 1] });
    log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.1' });
    log.commit();
    // W = 7, B = 2: a quorum is 5.
    await verify(log.evidence([subject], { cosigners: [0, 1] }), with_(log));
    await assert.rejects(
      verify(log.evidence([subject], { cosigners: [1, 2, 3] }), with_(log)),
      refusedAs('QUORUM_NOT_REACHED'),
    );
  });
});
