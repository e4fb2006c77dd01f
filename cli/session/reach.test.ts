// Who has to answer before something is said about the present.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { assert as insist } from '../../verifier/errors.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseNote } from '../../verifier/note.ts';
import { CliError } from '../errors.ts';
import { requireReach, type ReachRule } from './reach.ts';

/** What a replica shows: the checkpoint of the evidence, another one, nonsense, or nothing ever. */
type Shown = 'same' | 'older' | 'newer' | 'weak' | 'error' | 'silent' | 'fork';

function makeLog(weights: readonly number[]): SyntheticLog {
  const log = new SyntheticLog({ weights });
  for (const name of ['one', 'two', 'three']) {
    log.maintain(name, { maintainers: ['ada', 'ben'], faulty: 1 });
    log.commit();
  }
  return log;
}

const SILENT_TURNS = 100;

async function turns(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve));
}

async function reach(
  shown: readonly Shown[],
  rule: ReachRule,
  weights: readonly number[] = shown.map(() => 1),
): Promise<string> {
  const log = makeLog(weights);
  const [older, same, newer] = log.snapshots.map(({ size }) => size);
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
    await requireReach(context, ask, rule);
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

  it('counts weights, not replicas', async () => {
    // W = 10, B = 3: weak 4, quorum 7.
    const weights = [4, 3, 2, 1];
    assert.equal(await reach(['same', 'error', 'error', 'error'], 'current', weights), 'at once');
    assert.match(await reach(['error', 'same', 'error', 'error'], 'current', weights), /weight 4/);
    assert.equal(await reach(['same', 'same', 'error', 'error'], 'quorum', weights), 'at once');
    assert.match(await reach(['same', 'error', 'same', 'error'], 'quorum', weights), /weight 7/);
  });
});
