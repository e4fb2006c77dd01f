// What replicas that are dead, silent, behind or lying cost: counted in requests and on a simulated clock.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SimulatedClock } from '../../fixtures/simulated-clock.ts';
import { SyntheticLog, type SyntheticNote } from '../../fixtures/synthetic-log.ts';
import { assert as insist } from '../../verifier/errors.ts';
import { formatEvidence, parseEvidence } from '../../verifier/evidence/format.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { verifyEvidence } from '../../verifier/evidence/verify.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseNote } from '../../verifier/note.ts';
import { CliError, UnreachableError } from '../errors.ts';
import { askForView, PATIENCE_MS, type View } from './ask-view.ts';
import type { ReachRule } from './reach.ts';

/**
 * What a replica does: answers; refuses connections; never answers; answers for the checkpoint only; shows
 * the log as it was a batch ago; sends garbage; shows the newest checkpoint, and older evidence; goes on with the
 * log for ever as if its roster had not changed, with the keys of a quorum of before.
 */
type Conduct = 'well' | 'dead' | 'silent' | 'mute' | 'behind' | 'garbage' | 'hiding' | 'astray';

const SUBJECTS: readonly Subject[] = [{ kind: 'release', name: 'one', version: '1.0.0' }];

/** From a question to its answer. */
const TRIP_MS = 40;
/** Making evidence. */
const THINK_MS = 60;
/** What asking takes where everybody is well: a checkpoint, then evidence over the same connection. */
const WELL_MS = TRIP_MS + TRIP_MS + THINK_MS;
/** The hedging delay for one subject: 300 ms, and one for each subject. */
const HEDGE_MS = 301;

/** Who cosigns after a change of the roster: a quorum of seven, and half of the four that were there before. */
const LATER_COSIGNERS = [2, 3, 4, 5, 6];

/**
 * A log of two batches: in the second one the release is revoked.
 *
 * @param isChanged whether there are seven replicas instead, from before the second one on
 */
function makeLog(count: number, isChanged: boolean): SyntheticLog {
  const log = new SyntheticLog({ weights: Array.from({ length: count }, () => 1) });
  log.maintain('one', { maintainers: ['ada', 'ben'], faulty: 1 });
  log.release({ name: 'one', version: '1.0.0' });
  log.commit();
  if (isChanged) log.changeRoster({ weights: [1, 1, 1, 1, 1, 1, 1] });
  log.withdraw('one', '1.0.0', 'revoked', 'stolen laptop');
  log.commit();
  return log;
}

/** What those of the first roster can make of the log with their keys: no change of it, nothing revoked, and more. */
function makeBranch(count: number): SyntheticLog {
  const log = new SyntheticLog({ weights: Array.from({ length: count }, () => 1) });
  log.maintain('one', { maintainers: ['ada', 'ben'], faulty: 1 });
  log.release({ name: 'one', version: '1.0.0' });
  log.commit();
  for (const name of ['two', 'three', 'four']) {
    log.maintain(name, { maintainers: ['ada', 'ben'], faulty: 1 });
    log.commit();
  }
  return log;
}

interface Outcome {
  readonly tookMs: number;
  /** Replicas that were asked for evidence, by their place, in that order. */
  readonly asked: readonly number[];
  /** What was found, or the code of the refusal. */
  readonly found: string;
  /** Replicas that are reported, by their place. */
  readonly reported: readonly number[];
  readonly wasteful: ReadonlySet<string>;
}

async function ask(
  conducts: readonly Conduct[],
  options: {
    readonly rule?: ReachRule;
    readonly wasteful?: Set<string>;
    readonly tripMs?: (place: number) => number;
    readonly isChanged?: boolean;
  } = {},
): Promise<Outcome> {
  const {
    rule = 'current',
    wasteful = new Set<string>(),
    tripMs = () => TRIP_MS,
    isChanged = false,
  } = options;
  const log = makeLog(conducts.length, isChanged);
  const branch = makeBranch(conducts.length);
  const sizes = log.snapshots.map(({ size }) => size);
  const [older, newest] = [sizes[0], sizes.at(-1)];
  insist(older !== undefined && newest !== undefined, 'there are two batches');
  const shown = (size: number): SyntheticNote => ({
    size,
    time: log.time,
    ...(isChanged && size === newest ? { cosigners: LATER_COSIGNERS } : {}),
  });
  const clock = new SimulatedClock();
  // Those that came with the change are well, and the client has not heard of them.
  const urls = log.roster.replicas.map(({ url }) => url);
  const configured = urls.slice(0, conducts.length);
  const asked: number[] = [];
  const sizeOf = (conduct: Conduct, isNote: boolean): number =>
    conduct === 'behind' || (conduct === 'hiding' && !isNote) ? older : newest;
  const travel = async (url: string, signal: AbortSignal, extraMs: number): Promise<Conduct> => {
    const place = urls.indexOf(url);
    const conduct = conducts[place] ?? 'well';
    const isMute = conduct === 'mute' && extraMs > 0;
    if (conduct === 'silent' || isMute) await new Promise(() => undefined);
    await clock.pause(tripMs(place) + extraMs, signal);
    if (conduct === 'dead') throw new Error('ECONNREFUSED');
    return conduct;
  };
  const stop = new AbortController();
  const work = askForView({
    urls: configured,
    note: async (url, signal) => {
      const conduct = await travel(url, signal, 0);
      if (conduct === 'astray') return parseNote(branch.note());
      return parseNote(log.note(shown(sizeOf(conduct, true))));
    },
    rosters: async (url, signal) => {
      const conduct = await travel(url, signal, 0);
      const count = conduct === 'behind' || conduct === 'astray' ? 1 : log.rosters.length;
      return log.rosters.slice(0, count).map(({ envelope }) => envelope);
    },
    evidence: async (url, signal) => {
      asked.push(urls.indexOf(url));
      const conduct = await travel(url, signal, THINK_MS);
      if (conduct === 'garbage') return new Uint8Array(10);
      if (conduct === 'astray') return formatEvidence(branch.evidence(SUBJECTS));
      return formatEvidence(log.evidence(SUBJECTS, shown(sizeOf(conduct, false))));
    },
    check: async (source) => {
      const evidence = parseEvidence(source);
      const request = {
        evidence,
        pin: log.pin,
        subjects: SUBJECTS,
        nowSeconds: log.time,
        checkpointAgeMaxSeconds: 600,
        clockSkewMaxSeconds: 60,
      };
      return { evidence, verified: await verifyEvidence(request, nativeVerifier) };
    },
    subjects: SUBJECTS.length,
    sizeMin: 0,
    rule,
    verifier: nativeVerifier,
    signal: stop.signal,
    wasteful,
    clock,
  });
  const placeOf = ({ url }: { readonly url: string }): number => urls.indexOf(url);
  const place = (view: View): Outcome => ({
    tookMs: clock.nowMs(),
    asked,
    found: foundIn(view),
    reported: view.failures.map(placeOf).toSorted((a, b) => a - b),
    wasteful,
  });
  try {
    return place(await clock.run(work));
  } catch (error) {
    const found = error instanceof CliError ? error.diagnostic.code : String(error);
    const failures = error instanceof UnreachableError ? error.failures : [];
    return { tookMs: clock.nowMs(), asked, found, reported: failures.map(placeOf), wasteful };
  }
}

function foundIn({ verified }: View): string {
  const [result] = verified.subjects;
  return result?.kind === 'refused' ? result.error.code : (result?.kind ?? 'nothing');
}

/** The replicas at some places conduct themselves like this, the others well. */
function among(count: number, places: readonly number[], conduct: Conduct): readonly Conduct[] {
  return Array.from({ length: count }, (_, i) => (places.includes(i) ? conduct : 'well'));
}

/** Every choice of `size` places. */
function choices(count: number, size: number, from = 0): readonly (readonly number[])[] {
  if (size === 0) return [[]];
  const all: (readonly number[])[] = [];
  for (let i = from; i <= count - size; i++) {
    for (const rest of choices(count, size - 1, i + 1)) all.push([i, ...rest]);
  }
  return all;
}

describe('askForView', () => {
  it('takes a checkpoint and one document of evidence where everybody is well', async () => {
    const { tookMs, asked, found, reported } = await ask(among(4, [], 'well'));
    assert.deepEqual([tookMs, asked, found, reported], [WELL_MS, [0], 'RELEASE_REVOKED', []]);
  });

  for (const conduct of ['dead', 'silent'] as const) {
    for (const [count, faulty] of [
      [4, 1],
      [7, 2],
    ] as const) {
      it(`takes exactly as long with any ${faulty} of ${count} ${conduct}, and asks one`, async () => {
        let checked = 0;
        for (const places of choices(count, faulty)) {
          const { tookMs, asked, found } = await ask(among(count, places, conduct));
          const why = `places ${places.join(' ')}`;
          assert.equal(tookMs, WELL_MS, why);
          assert.equal(asked.length, 1, why);
          assert.ok(!places.includes(asked[0] ?? -1), why);
          assert.equal(found, 'RELEASE_REVOKED', why);
          checked += 1;
        }
        assert.equal(checked, count === 4 ? 4 : 21);
      });
    }
  }

  const rows: readonly (readonly [
    why: string,
    conducts: readonly Conduct[],
    tookMs: number,
    asked: readonly number[],
    found: string,
    reported: readonly number[],
  ])[] = [
    [
      'f+1 that agree are enough, and more silent ones than may be faulty cost a moment',
      ['silent', 'well', 'silent', 'well'],
      PATIENCE_MS,
      [1],
      'RELEASE_REVOKED',
      [],
    ],
    [
      'one alone is not, and is told apart from a refusal',
      ['dead', 'well', 'dead', 'dead'],
      WELL_MS,
      [1],
      'BP7001',
      [],
    ],
    [
      'one that is alive and gives no evidence costs one delay',
      ['mute', 'well', 'well', 'well'],
      TRIP_MS + HEDGE_MS + TRIP_MS + THINK_MS,
      [0, 1],
      'RELEASE_REVOKED',
      [],
    ],
    [
      'a bad answer costs its time, and is reported',
      ['garbage', 'well', 'well', 'well'],
      WELL_MS + TRIP_MS + THINK_MS,
      [0, 1],
      'RELEASE_REVOKED',
      [0],
    ],
    [
      'what one hides is asked of those that show it, and the one is reported',
      ['behind', 'well', 'well', 'well'],
      WELL_MS + TRIP_MS + THINK_MS,
      [0, 1],
      'RELEASE_REVOKED',
      [0],
    ],
    [
      'the same when it shows the newest checkpoint beside older evidence',
      ['hiding', 'well', 'well', 'well'],
      WELL_MS + TRIP_MS + THINK_MS,
      [0, 1],
      'RELEASE_REVOKED',
      [0],
    ],
    [
      'a newer checkpoint without any evidence stops nobody',
      ['behind', 'behind', 'behind', 'hiding'],
      // Everybody is asked again, one after the other, and nobody has more.
      WELL_MS + 4 * (TRIP_MS + THINK_MS),
      [0, 3, 1, 2, 0],
      'verified',
      [0, 1, 2, 3],
    ],
  ];
  for (const [why, conducts, tookMs, asked, found, reported] of rows) {
    it(why, async () => {
      const outcome = await ask(conducts);
      assert.deepEqual(outcome.asked, asked);
      assert.deepEqual([outcome.found, outcome.tookMs], [found, tookMs]);
      assert.deepEqual(outcome.reported, reported);
    });
  }

  describe('after a change of the roster', () => {
    for (const [why, conducts, asked, found, reported] of [
      [
        'asks others than one that is from before it, with which no note of today can be judged',
        ['behind', 'well', 'well', 'well'],
        [0, 1],
        'RELEASE_REVOKED',
        [0],
      ],
      [
        'the same when it shows the newest checkpoint',
        ['hiding', 'well', 'well', 'well'],
        [0, 1],
        'RELEASE_REVOKED',
        [0],
      ],
      [
        'the same when f+1 of the time before it agree: of a roster that is over more may be bad than of any',
        ['behind', 'behind', 'well', 'well'],
        [0, 2],
        'RELEASE_REVOKED',
        [0],
      ],
      [
        'the same when a quorum of before goes on as if nothing had changed, and has the larger tree by now',
        ['astray', 'astray', 'well', 'well'],
        [0, 1, 2],
        'RELEASE_REVOKED',
        [0, 1],
      ],
      [
        'believes f that are from before it no more than any that are too few',
        ['behind', 'dead', 'garbage', 'dead'],
        [0],
        'BP7001',
        [],
      ],
    ] as const) {
      it(why, async () => {
        const outcome = await ask(conducts, { isChanged: true });
        assert.deepEqual(outcome.asked, asked);
        assert.deepEqual([outcome.found, outcome.reported], [found, reported]);
      });
    }
  });

  it('hears a quorum before it believes f+1 of a roster that may be over, however fast these are', async () => {
    const { found } = await ask(['behind', 'behind', 'well', 'well'], {
      isChanged: true,
      tripMs: (place) => (place < 2 ? 1 : 300),
    });
    assert.equal(found, 'RELEASE_REVOKED');
  });

  it('asks the nearest', async () => {
    const { asked, tookMs } = await ask(among(4, [], 'well'), { tripMs: (i) => 100 - 20 * i });
    assert.deepEqual(asked, [3]);
    assert.equal(tookMs, 40 + 40 + THINK_MS);
  });

  it('waits for nobody twice that was waited for in vain', async () => {
    const conducts: readonly Conduct[] = ['mute', 'well', 'well', 'well'];
    const { wasteful } = await ask(conducts);
    assert.equal(wasteful.size, 1);
    const again = await ask(conducts, { wasteful: new Set(wasteful) });
    assert.deepEqual([again.tookMs, again.asked], [WELL_MS, [1]]);
  });

  it('waits for a quorum before anything is changed', async () => {
    const two: readonly Conduct[] = ['well', 'well', 'dead', 'dead'];
    assert.equal((await ask(two, { rule: 'quorum' })).found, 'BP7001');
    assert.equal((await ask(two, { rule: 'current' })).found, 'RELEASE_REVOKED');
  });
});
