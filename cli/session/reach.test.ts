// Who has to answer before something is said about the present.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { assert as insist } from '../../verifier/errors.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseNote } from '../../verifier/note.ts';
import { CliError } from '../errors.ts';
import { requireReach, type ReachRule } from './reach.ts';

/**
 * What a replica shows: the checkpoint of the evidence, another one, nonsense, or nothing ever. After a change of the
 * roster: one from before it, and what those of before can sign still: the same size or more.
 */
type Shown =
  | 'same'
  | 'older'
  | 'newer'
  | 'weak'
  | 'error'
  | 'silent'
  | 'fork'
  | 'late'
  | 'leaked'
  | 'leaked more';

/** Of the roster before: a quorum of four, and less than that of seven. */
const FORMER = [0, 1, 2];

function makeLog(weights: readonly number[]): SyntheticLog {
  const isChanged = weights.length === 7;
  const log = new SyntheticLog(isChanged ? {} : { weights });
  if (isChanged) {
    log.maintain('zero', { maintainers: ['ada', 'ben'], faulty: 1 });
    log.commit();
    log.changeRoster({ weights });
  }
  for (const name of ['one', 'two', 'three']) {
    log.maintain(name, { maintainers: ['ada', 'ben'], faulty: 1 });
    log.commit();
  }
  return log;
}

const SILENT_TURNS = 100;
const PATIENT_TURNS = 50;

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function reach(
  shown: readonly Shown[],
  rule: ReachRule,
  weights: readonly number[] = shown.map(() => 1),
): Promise<string> {
  const log = makeLog(weights);
  const [older, same, newer] = log.snapshots.slice(-3).map(({ size }) => size);
  insist(older !== undefined && same !== undefined && newer !== undefined, 'three batches');
  const subjects = [{ kind: 'package', name: 'one' }] as const;
  const document = log.evidence(subjects, { size: same });
  const evidence = await verifyEvidence(
    {
      evidence: document,
      pin: log.pin,
      subjects,
      nowSeconds: log.time,
      checkpointAgeMaxSeconds: 600,
      clockSkewMaxSeconds: 60,
    },
    nativeVerifier,
  );
  const notes = {
    same: log.note({ size: same }),
    older: log.note({ size: older }),
    newer: log.note({ size: newer }),
    weak: log.note({ size: same, cosigners: [0] }),
    fork: log.note({ size: same, root: new Uint8Array(32).fill(7) }),
    late: log.note({ size: log.snapshots[0]?.size ?? 0, epoch: 0 }),
    leaked: log.note({ size: same, root: new Uint8Array(32), epoch: 0, cosigners: FORMER }),
    'leaked more': log.note({ size: newer, epoch: 0, cosigners: FORMER }),
  };
  // Silence ends when the time is spent: here after more turns of the event loop than anything else takes.
  let isOver = false;
  const silence = turns(SILENT_TURNS).then(() => (isOver = true));
  const ask = async (url: string): Promise<ReturnType<typeof parseNote>> => {
    const what = shown[log.roster.replicas.findIndex((replica) => replica.url === url)] ?? 'error';
    if (what === 'error') throw new Error('down');
    if (what === 'silent') {
      await silence;
      throw new Error('silent');
    }
    return parseNote(notes[what]);
  };
  const { checkpoint: note, rosters } = document;
  const context = { evidence, note, rosters, verifier: nativeVerifier };
  try {
    const rosters = async (): Promise<readonly Envelope[]> =>
      log.rosters.map((each) => each.envelope);
    await requireReach(context, { note: ask, rosters, patience: turns(PATIENT_TURNS) }, rule);
    return isOver ? 'late' : 'at once';
  } catch (error) {
    if (error instanceof ForkError) return 'fork';
    assert.ok(error instanceof CliError, String(error));
    return `${error.diagnostic.code} ${/[0-9]+ needed|weight .* needed/.exec(error.message)?.[0] ?? ''}`;
  }
}

describe('requireReach', () => {
  const rows: readonly (readonly [readonly Shown[], current: string, quorum: string])[] = [
    [['same', 'same', 'same', 'same'], 'at once', 'at once'],
    [['same', 'same', 'same', 'silent'], 'at once', 'at once'],
    [['same', 'same', 'silent', 'silent'], 'at once', 'BP7001 3 needed'],
    [['same', 'older', 'silent', 'error'], 'at once', 'BP7001 3 needed'],
    [['same', 'silent', 'silent', 'silent'], 'BP7001 2 needed', 'BP7001 3 needed'],
    [['error', 'error', 'error', 'error'], 'BP7001 2 needed', 'BP7001 3 needed'],
    // One that shows nothing newer may be the bad one; those that show more are no confirmation.
    [['same', 'newer', 'silent', 'silent'], 'BP7001 3 needed', 'BP7001 3 needed'],
    [['newer', 'newer', 'silent', 'error'], 'BP7001 3 needed', 'BP7001 3 needed'],
    // The log moves, and a quorum of it is there.
    [['newer', 'newer', 'newer', 'silent'], 'at once', 'at once'],
    [['same', 'newer', 'older', 'error'], 'at once', 'at once'],
    // What no quorum cosigned is no answer.
    [['same', 'weak', 'weak', 'weak'], 'BP7001 2 needed', 'BP7001 3 needed'],
    [['fork', 'same', 'silent', 'silent'], 'fork', 'fork'],
  ];
  for (const [shown, current, quorum] of rows) {
    it(`is ${current} to look and ${quorum} to change, where replicas are ${shown.join(', ')}`, async () => {
      assert.equal(await reach(shown, 'current'), current);
      assert.equal(await reach(shown, 'quorum'), quorum);
    });
  }

  describe('after a change of the roster', () => {
    const live = ['same', 'same', 'same', 'same'] as const;
    for (const [why, shown, current, quorum] of [
      [
        'takes one that is late by it as alive',
        [...live, 'late', 'error', 'error'],
        'at once',
        'at once',
      ],
      [
        'takes it as no confirmation: it knows less',
        ['same', 'same', 'late', 'late', 'error', 'error', 'error'],
        'BP7001 5 needed',
        'BP7001 5 needed',
      ],
      [
        'hears nothing else of those that were there before',
        [...live, 'leaked', 'leaked more', 'error'],
        'at once',
        'BP7001 5 needed',
      ],
    ] as const) {
      it(why, async () => {
        assert.equal(await reach(shown, 'current'), current);
        assert.equal(await reach(shown, 'quorum'), quorum);
      });
    }
  });

  it('counts weights, not replicas', async () => {
    // W = 10, B = 3: weak 4, quorum 7.
    const weights = [4, 3, 2, 1];
    assert.equal(await reach(['same', 'error', 'error', 'error'], 'current', weights), 'at once');
    assert.match(await reach(['error', 'same', 'error', 'error'], 'current', weights), /weight 4/);
    assert.equal(await reach(['same', 'same', 'error', 'error'], 'quorum', weights), 'at once');
    assert.match(await reach(['same', 'error', 'same', 'error'], 'quorum', weights), /weight 7/);
  });
});
