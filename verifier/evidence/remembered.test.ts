// What is remembered saves reading, and changes no verdict: not when the log moved on, and not when what is
// remembered is wrong.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { assert as insist, VerifyError } from '../errors.ts';
import { nativeVerifier } from '../node/ed25519.ts';
import { buildEvidence } from './build.ts';
import { formatEvidence, type Evidence } from './format.ts';
import { rememberRelease, type Remembered, type RememberedRelease } from './remembered.ts';
import type { Subject, SubjectResult } from './subject.ts';
import { verifyEvidence, type VerifiedEvidence } from './verify.ts';

const NAMES = ['one', 'two', 'pair-a', 'pair-b'] as const;
const SUBJECTS: readonly Subject[] = NAMES.map((name) => {
  return { kind: 'release', name, version: '1.0.0' };
});
const ONE = 'pkg:npm/one@1.0.0';

/** Two releases of their own, and two packages under one statement. */
function makeLog(): SyntheticLog {
  const log = new SyntheticLog();
  for (const name of NAMES) {
    log.maintain(name, { maintainers: ['ada', 'ben', 'eve'], faulty: 1 });
  }
  log.maintain('one', { maintainers: ['ada', 'ben', 'dan'], faulty: 1 });
  log.commit();
  log.release({ name: 'one', version: '1.0.0' });
  log.release({ name: 'two', version: '1.0.0' });
  log.release([
    { name: 'pair-a', version: '1.0.0' },
    { name: 'pair-b', version: '1.0.0' },
  ]);
  log.commit();
  return log;
}

async function verify(
  log: SyntheticLog,
  evidence: Evidence,
  remembered: Remembered = new Map(),
  subjects: readonly Subject[] = SUBJECTS,
): Promise<VerifiedEvidence> {
  const request = {
    evidence,
    pin: log.pin,
    subjects,
    nowSeconds: log.time,
    checkpointAgeMaxSeconds: 600,
    clockSkewMaxSeconds: 60,
    remembered,
  };
  return await verifyEvidence(request, nativeVerifier);
}

/** The evidence that leaves out what is remembered. */
function short(
  log: SyntheticLog,
  remembered: Remembered,
  subjects: readonly Subject[] = SUBJECTS,
): Evidence {
  const known = subjects.map((subject) => {
    const purl = subject.kind === 'release' ? `pkg:npm/${subject.name}@${subject.version}` : '';
    return remembered.get(purl)?.size ?? 0;
  });
  return buildEvidence(log.source(), { pin: log.pin, since: 0, subjects, known });
}

async function remember(log: SyntheticLog): Promise<Map<string, RememberedRelease>> {
  const { subjects } = await verify(log, log.evidence(SUBJECTS));
  return new Map(
    subjects.map((result) => {
      insist(result.kind === 'verified', 'the log is honest');
      return [result.release.purl, rememberRelease(result.release)];
    }),
  );
}

function kinds(subjects: readonly SubjectResult[]): readonly string[] {
  return subjects.map((result) => (result.kind === 'refused' ? result.error.code : result.kind));
}

/** The verdict with what is remembered, and after forgetting what turned out to be outdated. */
async function verdicts(log: SyntheticLog, remembered: Remembered): Promise<VerifiedEvidence> {
  const first = await verify(log, short(log, remembered), remembered);
  if (first.outdated.length === 0) return first;
  const rest = new Map([...remembered].filter(([purl]) => !first.outdated.includes(purl)));
  return await verify(log, short(log, rest), rest);
}

describe('remembered releases', () => {
  it('give the same verdicts, field by field, from documents without their entries', async () => {
    const log = makeLog();
    const remembered = await remember(log);
    const whole = log.evidence(SUBJECTS);
    const left = short(log, remembered);
    // The commit entry is always shown.
    assert.equal(left.entries.length, 1);
    assert.ok(
      formatEvidence(left).length * 3 < formatEvidence(whole).length,
      'it is a third at most',
    );
    const [a, b] = [await verify(log, whole), await verify(log, left, remembered)];
    assert.deepEqual(b.subjects, a.subjects);
    assert.deepEqual(b.outdated, []);
  });

  it('are asked no signature of', async () => {
    const log = makeLog();
    const remembered = await remember(log);
    let asked = 0;
    const counting = {
      verifyMany: async (jobs: Parameters<typeof nativeVerifier.verifyMany>[0]) => {
        asked += jobs.length;
        return await nativeVerifier.verifyMany(jobs);
      },
    };
    const request = {
      evidence: short(log, remembered),
      pin: log.pin,
      subjects: SUBJECTS,
      nowSeconds: log.time,
      checkpointAgeMaxSeconds: 600,
      clockSkewMaxSeconds: 60,
      remembered,
    };
    await verifyEvidence(request, nativeVerifier, counting);
    assert.equal(asked, 0);
  });

  it('are not needed where the document shows everything', async () => {
    const log = makeLog();
    const remembered = await remember(log);
    const { subjects } = await verify(log, log.evidence(SUBJECTS), remembered);
    assert.deepEqual(kinds(subjects), ['verified', 'verified', 'verified', 'verified']);
  });

  const later: readonly (readonly [
    why: string,
    change: (log: SyntheticLog) => void,
    expected: readonly string[],
    outdated: readonly string[],
  ])[] = [
    [
      'the log grew',
      (log) => log.maintain('three', { maintainers: ['zoe'], faulty: 0 }),
      ['verified', 'verified', 'verified', 'verified'],
      [],
    ],
    [
      'a package has another release',
      (log) => log.release({ name: 'one', version: '2.0.0' }),
      ['verified', 'verified', 'verified', 'verified'],
      [],
    ],
    [
      'a release was revoked',
      (log) => log.withdraw('one', '1.0.0', 'revoked', 'stolen'),
      ['RELEASE_REVOKED', 'verified', 'verified', 'verified'],
      [],
    ],
    [
      'one of two under a statement was revoked',
      (log) => log.withdraw('pair-a', '1.0.0', 'revoked', 'stolen'),
      ['verified', 'verified', 'RELEASE_REVOKED', 'verified'],
      [],
    ],
    [
      'a release was yanked',
      (log) => log.withdraw('two', '1.0.0', 'yanked', 'broken'),
      ['verified', 'verified', 'verified', 'verified'],
      [],
    ],
    [
      'a package has other maintainers',
      (log) => log.maintain('one', { maintainers: ['dan', 'eve'], faulty: 1 }),
      ['verified', 'verified', 'verified', 'verified'],
      [ONE],
    ],
    [
      'the package beside it under its statement has',
      (log) => log.maintain('pair-b', { maintainers: ['dan', 'eve'], faulty: 1 }),
      ['verified', 'verified', 'verified', 'verified'],
      ['pkg:npm/pair-a@1.0.0', 'pkg:npm/pair-b@1.0.0'],
    ],
    [
      'it has other maintainers whom too few signed for',
      (log) => log.maintain('one', { maintainers: ['mal'], faulty: 0, signers: ['mal'] }),
      ['MAINTAINER_SIGNATURES_MISSING', 'verified', 'verified', 'verified'],
      [ONE],
    ],
  ];
  for (const [why, change, expected, outdated] of later) {
    it(`change no verdict after ${why}`, async () => {
      const log = makeLog();
      const remembered = await remember(log);
      change(log);
      log.commit();
      const first = await verify(log, short(log, remembered), remembered);
      assert.deepEqual(first.outdated, outdated);
      const whole = await verify(log, log.evidence(SUBJECTS));
      assert.deepEqual(kinds(whole.subjects), expected, 'the case is what it says');
      const found = await verdicts(log, remembered);
      const plain = (results: readonly SubjectResult[]): readonly unknown[] =>
        results.map((each) => (each.kind === 'refused' ? each.error.message : each));
      assert.deepEqual(plain(found.subjects), plain(whole.subjects));
    });
  }

  it('show what was not remembered when something else is', async () => {
    const log = makeLog();
    const remembered = await remember(log);
    remembered.delete('pkg:npm/two@1.0.0');
    const { subjects } = await verify(log, short(log, remembered), remembered);
    assert.deepEqual(kinds(subjects), ['verified', 'verified', 'verified', 'verified']);
  });

  // What is remembered, changed by somebody; and what becomes of the verdict about `one`. Nothing of it may
  // make another artifact pass for the logged one.
  const forged: readonly (readonly [
    why: string,
    change: (honest: RememberedRelease, other: RememberedRelease) => RememberedRelease,
    expected: string,
  ])[] = [
    [
      'another statement',
      (it) => ({
        ...it,
        payload: new TextEncoder().encode(
          new TextDecoder().decode(it.payload).replace('"size":1000', '"size":1001'),
        ),
      }),
      'outdated',
    ],
    ['the statement of another release', (it, { payload }) => ({ ...it, payload }), 'outdated'],
    ['another leaf', (it, { leaf }) => ({ ...it, leaf }), 'INCLUSION_PROOF_INVALID'],
    ['another place', (it, { index }) => ({ ...it, index }), 'INCLUSION_PROOF_INVALID'],
    [
      'another set',
      (it, { leaf }) => ({
        ...it,
        packages: it.packages.map(({ name, sets }) => {
          return { name, sets: sets.map((set) => ({ ...set, leaf })) };
        }),
      }),
      'INCLUSION_PROOF_INVALID',
    ],
    [
      'a chain without its last set',
      (it) => ({
        ...it,
        packages: it.packages.map(({ name, sets }) => ({ name, sets: sets.slice(0, 1) })),
      }),
      'INCLUSION_PROOF_INVALID',
    ],
    ['no package', (it) => ({ ...it, packages: [] }), 'INCLUSION_PROOF_INVALID'],
    ['another package', (it, { packages }) => ({ ...it, packages }), 'INCLUSION_PROOF_INVALID'],
  ];
  for (const [why, change, expected] of forged) {
    it(`prove nothing with ${why}`, async () => {
      const log = makeLog();
      const honest = await remember(log);
      const [one, two] = [honest.get(ONE), honest.get('pkg:npm/two@1.0.0')];
      insist(one !== undefined && two !== undefined, 'both are remembered');
      const remembered = new Map([[ONE, change(one, two)]]);
      const subjects = SUBJECTS.slice(0, 1);
      try {
        const found = await verify(log, short(log, remembered, subjects), remembered, subjects);
        assert.equal(found.outdated.length === 1 ? 'outdated' : 'stands', expected);
        assert.deepEqual(kinds(found.subjects), ['INCLUSION_PROOF_INVALID']);
      } catch (error) {
        insist(error instanceof VerifyError, String(error));
        assert.equal(error.code, expected);
      }
    });
  }

  // The same with a replica that plays along: it shows, or leaves out, whatever makes the tree fit.
  const abetted: readonly (readonly [
    why: string,
    name: string,
    change: (honest: RememberedRelease, other: RememberedRelease) => RememberedRelease,
    asked: readonly string[],
  ])[] = [
    [
      'another set, where the real one is shown',
      'pair-a',
      (it, { leaf }) => ({
        ...it,
        packages: it.packages.map(({ name, sets }) => {
          return { name, sets: sets.map((set) => ({ ...set, leaf })) };
        }),
      }),
      ['pair-a', 'pair-b'],
    ],
    [
      'one package of its statement left out',
      'pair-a',
      (it) => ({ ...it, packages: it.packages.filter(({ name }) => name === 'pair-a') }),
      ['pair-b'],
    ],
    [
      'a set left out that was in force once',
      'one',
      (it) => ({
        ...it,
        packages: it.packages.map(({ name, sets }) => ({ name, sets: sets.slice(1) })),
      }),
      [],
    ],
  ];
  for (const [why, name, change, asked] of abetted) {
    it(`prove nothing with ${why}`, async () => {
      const log = makeLog();
      const honest = await remember(log);
      const purl = `pkg:npm/${name}@1.0.0`;
      const [it, two] = [honest.get(purl), honest.get('pkg:npm/two@1.0.0')];
      insist(it !== undefined && two !== undefined, 'both are remembered');
      const remembered = new Map([[purl, change(it, two)]]);
      const subjects: readonly Subject[] = [
        { kind: 'release', name, version: '1.0.0' },
        ...asked.map((each) => ({ kind: 'package', name: each }) as const),
      ];
      const source = log.source();
      const last = (each: string): readonly number[] => source.maintainerChain(each).slice(-1);
      const abetting = name === 'one' ? { ...source, maintainerChain: last } : source;
      const known = subjects.map(({ kind }) => (kind === 'release' ? it.size : 0));
      const evidence = buildEvidence(abetting, { pin: log.pin, since: 0, subjects, known });
      const found = await verify(log, evidence, remembered, subjects);
      assert.deepEqual(found.outdated, [purl]);
      assert.equal(kinds(found.subjects)[0], 'INCLUSION_PROOF_INVALID');
    });
  }

  it('are those of another log in vain', async () => {
    const remembered = await remember(makeLog());
    const other = new SyntheticLog({ seed: 'others' });
    for (const name of NAMES) other.maintain(name, { maintainers: ['mal', 'moe'], faulty: 1 });
    other.commit();
    for (const name of NAMES) other.release({ name, version: '1.0.0' });
    other.commit();
    await assert.rejects(verify(other, short(other, remembered), remembered), (error) => {
      return error instanceof VerifyError && error.code === 'INCLUSION_PROOF_INVALID';
    });
  });

  it('agree with the whole document whatever is known and whatever happens', async () => {
    const steps = fc.array(
      fc.record({
        act: fc.constantFrom('release', 'maintain', 'yank', 'revoke', 'grow'),
        name: fc.constantFrom(...NAMES),
      }),
      { maxLength: 4 },
    );
    await fc.assert(
      fc.asyncProperty(steps, fc.subarray([...NAMES]), async (acts, kept) => {
        const log = makeLog();
        const all = await remember(log);
        const remembered = new Map(
          [...all].filter(([purl]) => kept.some((name) => purl === `pkg:npm/${name}@1.0.0`)),
        );
        for (const [i, { act, name }] of acts.entries()) {
          const people = ['ada', 'ben', 'dan', 'eve'].slice(0, 2 + (i % 3));
          if (act === 'release') log.release({ name, version: `2.0.${i}` });
          else if (act === 'maintain') log.maintain(name, { maintainers: people, faulty: 1 });
          else if (act === 'yank') log.withdraw(name, '1.0.0', 'yanked');
          else if (act === 'revoke') log.withdraw(name, '1.0.0', 'revoked');
          else log.maintain(`new-${i}`, { maintainers: ['zoe'], faulty: 0 });
          log.commit();
        }
        const whole = await verify(log, log.evidence(SUBJECTS));
        const found = await verdicts(log, remembered);
        const plain = (results: readonly SubjectResult[]): readonly unknown[] =>
          results.map((each) => (each.kind === 'refused' ? each.error.message : each));
        assert.deepEqual(plain(found.subjects), plain(whole.subjects));
      }),
      { numRuns: 25 },
    );
  });
});
