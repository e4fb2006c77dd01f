import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  PEOPLE,
  TEST_ORIGIN,
  TestLedger,
  idOf,
  rosterEnvelope,
} from '../../fixtures/test-ledger.ts';
import { signedBy } from '../../fixtures/documents.ts';
import { utf8 } from '../bytes.ts';
import type { Envelope } from '../dsse.ts';
import { VerifyError } from '../errors.ts';
import { packagePurl } from '../npm/purl.ts';
import type { SignaturePlan } from '../signatures.ts';
import type { Observed } from '../statements/observed.ts';
import { LedgerError } from './errors.ts';
import { RATE_ENTRIES_MAX } from './limits.ts';
import { checkSubmission, loggedIndex } from './judge.ts';
import { Scratch } from './scratch.ts';
import { readSubmission, type Submission } from './submission.ts';
import type { LedgerView } from './view.ts';

const { ada, ben, eve, mal } = PEOPLE;

/** The code with which a statement is refused as the only one of a batch. */
async function codeOf(
  t: TestLedger,
  ...envelopes: readonly Envelope[]
): Promise<string | undefined> {
  try {
    await t.execute(envelopes);
    return undefined;
  } catch (error) {
    if (error instanceof LedgerError || error instanceof VerifyError) return error.code;
    throw error;
  }
}

function headOf(size: number, root: Uint8Array, origin: string = TEST_ORIGIN): Observed {
  return new Map([[origin, { size, root }]]);
}

/** left-pad with 1.0.0 (active), 1.1.0 (yanked), 1.2.0 (revoked). */
async function populated(): Promise<TestLedger> {
  const t = new TestLedger();
  const { author } = t;
  await t.commit(author.set('left-pad'));
  const versions = ['1.0.0', '1.1.0', '1.2.0'];
  await t.commit(...versions.map((version) => author.release({ name: 'left-pad', version })));
  await t.commit(
    author.withdrawal('left-pad', '1.1.0', 'yanked'),
    author.withdrawal('left-pad', '1.2.0', 'revoked'),
  );
  return t;
}

const isMissing = (error: unknown): boolean =>
  error instanceof VerifyError && error.code === 'MAINTAINER_SIGNATURES_MISSING';

type Row = readonly [why: string, make: (t: TestLedger) => Envelope, code: string | undefined];

const SETS: readonly Row[] = [
  ['a first set', ({ author }) => author.set('fresh'), undefined],
  ['a scoped first set', ({ author }) => author.set('@scope/fresh'), undefined],
  ['a next set', ({ author }) => author.set('left-pad'), undefined],
  [
    'a second first set',
    ({ author }) => author.set('left-pad', { sequence: 0, previous: null }),
    'SEQUENCE_WRONG',
  ],
  [
    'a set that skips one',
    ({ author }) => author.set('left-pad', { sequence: 2 }),
    'SEQUENCE_WRONG',
  ],
  [
    'a later set of nothing',
    ({ author }) => author.set('fresh', { sequence: 1, previous: 'ab'.repeat(32) }),
    'SEQUENCE_WRONG',
  ],
  [
    'a set after another one',
    ({ author }) => author.set('left-pad', { previous: 'ab'.repeat(32) }),
    'SEQUENCE_WRONG',
  ],
  ['a look-alike: no hyphen', ({ author }) => author.set('leftpad'), 'NAME_LOOKALIKE'],
  ['a look-alike: a dot', ({ author }) => author.set('left.pad'), 'NAME_LOOKALIKE'],
  ['a look-alike: an underscore', ({ author }) => author.set('left_pad'), 'NAME_LOOKALIKE'],
  ['the same words in a scope', ({ author }) => author.set('@scope/left-pad'), undefined],
  [
    'a first set that one member did not sign',
    ({ author }) => author.set('fresh', {}, { signers: [ada, ben] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'a next set by one of the last',
    ({ author }) => author.set('left-pad', {}, { signers: [ada] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'a next set by one of the last, twice',
    ({ author }) => author.set('left-pad', {}, { signers: [ada, ada] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'a next set whose new member did not sign',
    ({ author }) =>
      author.set('left-pad', { maintainers: [{ name: 'mal', key: mal.publicKey }], faulty: 0 }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'a take-over by a new member alone',
    ({ author }) =>
      author.set(
        'left-pad',
        { maintainers: [{ name: 'mal', key: mal.publicKey }], faulty: 0 },
        { signers: [mal] },
      ),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'a hand-over',
    ({ author }) =>
      author.set(
        'left-pad',
        { maintainers: [{ name: 'mal', key: mal.publicKey }], faulty: 0 },
        { signers: [mal, ben, eve] },
      ),
    undefined,
  ],
];

const RELEASES: readonly Row[] = [
  [
    'a new version',
    ({ author }) => author.release({ name: 'left-pad', version: '2.0.0' }),
    undefined,
  ],
  [
    'an older version',
    ({ author }) => author.release({ name: 'left-pad', version: '0.9.0' }),
    undefined,
  ],
  [
    'a package without a set',
    ({ author }) => author.release({ name: 'fresh', version: '1.0.0' }),
    'PACKAGE_UNCLAIMED',
  ],
  [
    'one of two without a set',
    ({ author }) =>
      author.release([
        { name: 'left-pad', version: '2.0.0' },
        { name: 'fresh', version: '1.0.0' },
      ]),
    'PACKAGE_UNCLAIMED',
  ],
  [
    'other bytes for an active version',
    ({ author }) => author.release({ name: 'left-pad', version: '1.0.0', size: 7 }),
    'RELEASE_CONFLICT',
  ],
  [
    'other bytes for a yanked version',
    ({ author }) => author.release({ name: 'left-pad', version: '1.1.0', size: 7 }),
    'RELEASE_CONFLICT',
  ],
  [
    'other bytes for a revoked version',
    ({ author }) => author.release({ name: 'left-pad', version: '1.2.0', size: 7 }),
    'RELEASE_CONFLICT',
  ],
  [
    'one bound version among new ones',
    ({ author }) =>
      author.release([
        { name: 'left-pad', version: '2.0.0' },
        { name: 'left-pad', version: '1.0.0' },
      ]),
    'RELEASE_CONFLICT',
  ],
  [
    'an older set',
    ({ author }) => author.release({ name: 'left-pad', version: '2.0.0', maintainers: 1 }),
    'SEQUENCE_WRONG',
  ],
  [
    'one signature of two',
    ({ author }) => author.release({ name: 'left-pad', version: '2.0.0' }, { signers: [ada] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'one signature twice',
    ({ author }) => author.release({ name: 'left-pad', version: '2.0.0' }, { signers: [ada, ada] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
  [
    'a maintainer and an outsider',
    ({ author }) => author.release({ name: 'left-pad', version: '2.0.0' }, { signers: [ada, mal] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
];

const WITHDRAWALS: readonly Row[] = [
  [
    'yanking an active release',
    ({ author }) => author.withdrawal('left-pad', '1.0.0', 'yanked'),
    undefined,
  ],
  [
    'revoking an active release',
    ({ author }) => author.withdrawal('left-pad', '1.0.0', 'revoked'),
    undefined,
  ],
  [
    'taking back nothing',
    ({ author }) => author.withdrawal('left-pad', '1.0.0', 'unyanked'),
    'STATUS_UNCHANGED',
  ],
  [
    'yanking again',
    ({ author }) => author.withdrawal('left-pad', '1.1.0', 'yanked', { text: 'x' }),
    'STATUS_UNCHANGED',
  ],
  [
    'taking a yank back',
    ({ author }) => author.withdrawal('left-pad', '1.1.0', 'unyanked'),
    undefined,
  ],
  [
    'revoking what is yanked',
    ({ author }) => author.withdrawal('left-pad', '1.1.0', 'revoked'),
    undefined,
  ],
  [
    'yanking what is revoked',
    ({ author }) => author.withdrawal('left-pad', '1.2.0', 'yanked'),
    'RELEASE_REVOKED',
  ],
  [
    'taking back what is revoked',
    ({ author }) => author.withdrawal('left-pad', '1.2.0', 'unyanked'),
    'RELEASE_REVOKED',
  ],
  [
    'revoking again',
    ({ author }) => author.withdrawal('left-pad', '1.2.0', 'revoked', { text: 'x' }),
    'RELEASE_REVOKED',
  ],
  [
    'an unknown version',
    ({ author }) => author.withdrawal('left-pad', '9.0.0', 'yanked'),
    'RELEASE_UNKNOWN',
  ],
  [
    'an unknown package',
    ({ author }) => author.withdrawal('fresh', '1.0.0', 'yanked'),
    'RELEASE_UNKNOWN',
  ],
  [
    'another statement',
    ({ author }) => author.withdrawal('left-pad', '1.0.0', 'yanked', { release: 'ab'.repeat(32) }),
    'RELEASE_CONFLICT',
  ],
  [
    'one signature of two',
    ({ author }) => author.withdrawal('left-pad', '1.0.0', 'yanked', {}, { signers: [ben] }),
    'MAINTAINER_SIGNATURES_MISSING',
  ],
];

const OBSERVATIONS: readonly Row[] = [
  ['the newest head', ({ author }) => author.set('fresh'), undefined],
  [
    'the empty log',
    ({ author, ledger }) =>
      author.set('fresh', {}, { observed: headOf(0, ledger.rootAt(0) ?? ada.publicKey) }),
    undefined,
  ],
  [
    'an older head',
    ({ author, ledger }) =>
      author.set('fresh', {}, { observed: headOf(2, ledger.rootAt(2) ?? ada.publicKey) }),
    undefined,
  ],
  [
    'a head of another log only',
    ({ author, ledger }) =>
      author.set(
        'fresh',
        {},
        { observed: headOf(2, ledger.rootAt(2) ?? ada.publicKey, 'other.example') },
      ),
    'OBSERVED_MISSING',
  ],
  [
    'another root at that size',
    ({ author }) => author.set('fresh', {}, { observed: headOf(2, new Uint8Array(32)) }),
    'OBSERVED_HEAD_UNKNOWN',
  ],
  [
    'another empty log',
    ({ author }) => author.set('fresh', {}, { observed: headOf(0, new Uint8Array(32)) }),
    'OBSERVED_HEAD_UNKNOWN',
  ],
  [
    'the newest root at an older size',
    ({ author, ledger }) => author.set('fresh', {}, { observed: headOf(2, ledger.tip.root) }),
    'OBSERVED_HEAD_UNKNOWN',
  ],
  [
    'a head to come',
    ({ author, ledger }) =>
      author.set('fresh', {}, { observed: headOf(ledger.tip.size + 1, new Uint8Array(32)) }),
    'OBSERVED_AHEAD',
  ],
  [
    'a release that saw another log',
    ({ author }) =>
      author.release(
        { name: 'left-pad', version: '2.0.0' },
        { observed: headOf(2, new Uint8Array(32)) },
      ),
    'OBSERVED_HEAD_UNKNOWN',
  ],
  [
    'a withdrawal that saw another log',
    ({ author }) =>
      author.withdrawal(
        'left-pad',
        '1.0.0',
        'yanked',
        {},
        { observed: headOf(2, new Uint8Array(32)) },
      ),
    'OBSERVED_HEAD_UNKNOWN',
  ],
];

const ROSTERS: readonly Row[] = [
  ['the next roster', ({ author }) => author.nextRoster(5), undefined],
  ['the present roster again', () => rosterEnvelope(4, { faultyWeight: 0 }), 'ROSTER_NOT_NEXT'],
  [
    'a roster that skips an epoch',
    ({ author }) => author.nextRoster(4, { epoch: 2 }),
    'ROSTER_NOT_NEXT',
  ],
  [
    'a roster after another one',
    ({ author }) => author.nextRoster(4, { previous: 'ab'.repeat(32) }),
    'ROSTER_NOT_NEXT',
  ],
  [
    'a roster of another log',
    ({ author }) => author.nextRoster(4, { origin: 'other.example' }),
    'ROSTER_NOT_NEXT',
  ],
  [
    'a roster by less than a quorum',
    ({ author }) => author.nextRoster(4, {}, 2),
    'QUORUM_NOT_REACHED',
  ],
  ['a roster by a quorum', ({ author }) => author.nextRoster(4, { faultyWeight: 0 }, 3), undefined],
  [
    'a roster that a new replica did not sign',
    ({ author }) => author.nextRoster(5, {}, 4),
    'ROSTER_CHAIN_BROKEN',
  ],
];

const TABLES: readonly (readonly [string, readonly Row[]])[] = [
  ['checkMaintainers', SETS],
  ['checkRelease', RELEASES],
  ['checkWithdrawal', WITHDRAWALS],
  ['requireObserved', OBSERVATIONS],
  ['checkRoster', ROSTERS],
];

for (const [name, rows] of TABLES) {
  describe(name, () => {
    for (const [why, make, code] of rows) {
      it(`${code === undefined ? 'admits' : `refuses (${code})`} ${why}`, async () => {
        const t = await populated();
        assert.equal(await codeOf(t, make(t)), code);
      });
    }
  });
}

describe('loggedIndex', () => {
  it('is what the index of all statements says, also of what was withdrawn and within a batch', async () => {
    const t = new TestLedger();
    const { author } = t;
    const sets = ['left-pad', 'right-pad'].map((name) => author.set(name));
    await t.commit(...sets);
    const [one, two] = ['1.0.0', '1.1.0'].map((version) =>
      ['right-pad', 'left-pad'].map((name) => ({ name, version })),
    );
    assert.ok(one && two, 'two versions of both');
    const releases = [author.release(one), author.release({ name: 'left-pad', version: '3.0.0' })];
    await t.commit(...releases);
    const withdrawals = (['yanked', 'revoked'] as const).map((kind, i) =>
      author.withdrawal('right-pad', `1.${i}.0`, kind),
    );
    const next = author.release(two);
    const others = [...releases.keys()].map((i) =>
      author.release(i === 0 ? one.toReversed() : { name: 'left-pad', version: '3.0.0', size: 7 }),
    );
    const open = [...withdrawals, ...others, author.release({ name: 'x', version: '1.0.0' })];
    const compare = (view: LedgerView, expected: number): void => {
      const found = [...sets, ...releases, next, ...open].map((envelope) => {
        const submission = readSubmission(envelope);
        const index = loggedIndex(view, submission);
        assert.equal(index, view.statementIndex(submission.id));
        return index;
      });
      assert.equal(found.filter((index) => index !== undefined).length, expected);
    };
    compare(t.ledger, 4);
    const scratch = new Scratch(t.ledger, t.time);
    const apply = (envelope: Envelope, index: number): void => {
      const { effect } = checkSubmission(scratch, readSubmission(envelope), t.time);
      scratch.apply(effect, idOf(envelope), index);
      compare(scratch, index === 7 ? 5 : 6);
    };
    apply(next, 7);
    const [yank] = withdrawals;
    assert.ok(yank, 'a withdrawal');
    apply(yank, 8);
  });
});

describe('checkSubmission', () => {
  it('knows the same payload again, whoever signed it, and says where it is', async () => {
    const t = new TestLedger();
    const signed = t.author.set('left-pad');
    await t.commit(signed);
    const again = { ...signed, signatures: signed.signatures.slice(1) };
    assert.throws(
      () => checkSubmission(t.ledger, readSubmission(again), t.time),
      (error) =>
        error instanceof LedgerError && error.code === 'ALREADY_LOGGED' && error.index === 0,
    );
    assert.equal(await codeOf(t, again), 'ALREADY_LOGGED');
  });

  it('judges the same release under the sets and the answers of the moment, whatever it said before', async () => {
    const t = new TestLedger();
    const claim = t.author.set('left-pad');
    await t.commit(claim, t.author.set('right-pad'));
    const both = ['left-pad', 'right-pad'].map((name) => ({ name, version: '1.0.0' }));
    const submission = readSubmission(t.author.release(both));
    const judge = (view: LedgerView): SignaturePlan<unknown> =>
      checkSubmission(view, submission, t.time).plan;
    const good = judge(t.ledger);
    const all = good.jobs.map(() => true);
    assert.equal(good.jobs.length, 2);
    good.finish(all);
    assert.equal(judge(t.ledger), good, 'known');
    for (const i of all.keys()) {
      const valid = all.map((_, other) => other !== i);
      assert.throws(() => good.finish(valid), isMissing, `without signature ${i}`);
    }
    good.finish(all);

    // The same sequence of another chain: only its keys count.
    const { set } = readSubmission(claim) as Extract<Submission, { kind: 'maintainers' }>;
    const maintainers = [eve, mal].map(({ publicKey }, i) => ({ name: `${i}`, key: publicKey }));
    const others = new Scratch(t.ledger, t.time);
    const changed = { ...set, package: packagePurl('right-pad'), maintainers };
    others.apply({ kind: 'maintainers', name: 'right-pad', set: changed, hash: 'x' }, 'y', 9);
    assert.throws(() => {
      const plan = judge(others);
      plan.finish(plan.jobs.map(() => true));
    }, isMissing);
    judge(t.ledger).finish(all);
  });

  it('asks registrars for new names only', async () => {
    const registrar = mal;
    const t = new TestLedger({
      admission: { mode: 'registrars', faulty: 0, keys: [registrar.publicKey] },
    });
    assert.equal(await codeOf(t, t.author.set('left-pad')), 'MAINTAINER_SIGNATURES_MISSING');
    await t.commit(t.author.set('left-pad', {}, { signers: [ada, ben, eve, registrar] }));
    assert.equal(await codeOf(t, t.author.set('left-pad')), undefined);
  });

  it('limits the entries of one package within an hour, and no longer', async () => {
    const t = new TestLedger();
    const others = [t.author.set('left-pad'), t.author.set('other')];
    await t.commit(...others);
    const count = RATE_ENTRIES_MAX - 1;
    const releases = Array.from({ length: count }, (_, i) =>
      t.author.release({ name: 'left-pad', version: `1.0.${i}` }),
    );
    for (let at = 0; at < count; at += 500) await t.commit(...releases.slice(at, at + 500));
    const next = t.author.release({ name: 'left-pad', version: '2.0.0' });
    assert.equal(await codeOf(t, next), 'RATE_LIMITED');
    assert.equal(await codeOf(t, t.author.release({ name: 'other', version: '1.0.0' })), undefined);
    t.time += 3600;
    assert.equal(await codeOf(t, next), undefined);
  });

  it('counts a statement with many versions of a package once', async () => {
    const t = new TestLedger();
    await t.commit(t.author.set('left-pad'));
    const versions = Array.from({ length: 60 }, (_, i) => ({
      name: 'left-pad',
      version: `1.0.${i}`,
    }));
    await t.commit(t.author.release(versions));
    assert.equal(t.ledger.activity('left-pad')?.entries, 2);
    assert.equal(t.ledger.packageRecord('left-pad')?.releases, 60);
  });
});

describe('readSubmission', () => {
  it('refuses payload types that the log does not take', () => {
    const envelope = signedBy('text/plain', utf8('{}'), [ada]);
    assert.throws(
      () => readSubmission(envelope),
      (error) => error instanceof LedgerError && error.code === 'STATEMENT_UNSUPPORTED',
    );
  });

  it('names a statement by its payload', () => {
    const { author } = new TestLedger();
    const envelope = author.set('left-pad');
    assert.equal(readSubmission(envelope).id, idOf(envelope));
  });
});

describe('LedgerError', () => {
  it('tells what may pass later from what never will', () => {
    assert.equal(new LedgerError('OBSERVED_AHEAD', '').temporary, true);
    assert.equal(new LedgerError('ARTIFACT_MISSING', '').temporary, true);
    assert.equal(new LedgerError('RATE_LIMITED', '').temporary, true);
    assert.equal(new LedgerError('RELEASE_CONFLICT', '').temporary, false);
    assert.equal(new LedgerError('OBSERVED_HEAD_UNKNOWN', '').temporary, false);
  });
});
