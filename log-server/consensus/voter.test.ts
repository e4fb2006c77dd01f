import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { certificateOf } from '../../fixtures/transcripts/samples.ts';
import { ORIGIN, makeBatch, request, testRoster } from '../../fixtures/transcripts/world.ts';
import { AssertionError } from '../../verifier/errors.ts';
import { ZERO_DIGEST, genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import type { CertifiedHeader, NewViewContent, Vote } from '../../verifier/replication/messages.ts';
import type { SignedContent } from './types.ts';
import {
  type Grant,
  grantActivation,
  grantCommit,
  grantCosign,
  grantNewView,
  grantPrepare,
  grantViewChange,
  maySign,
} from './voter.ts';
import { type VoterState, commitTo, startEpoch } from './voter-state.ts';

const ROSTER = testRoster([1, 1, 1, 1]);
const NONE = new Set<never>();
const GENESIS = genesisHeader(ORIGIN);
const FIRST = makeBatch(GENESIS, 0, [request('a')], 1_000).header;
const OTHER = makeBatch(GENESIS, 0, [request('b')], 1_000).header;
const SECOND = makeBatch(FIRST, 0, [request('c')], 2_000).header;
const [A, B] = [headerDigest(FIRST), headerDigest(OTHER)];
const NV = '77'.repeat(32);

const START = startEpoch(0, 1, GENESIS, ZERO_DIGEST, undefined);
const OPEN_VIEW_2: VoterState = {
  ...START,
  view: 2,
  active: { nv: NV, base: 0, mandate: undefined },
};

function vote(change: Partial<Vote> = {}): Vote {
  return { epoch: 0, view: 0, nv: ZERO_DIGEST, height: 1, digest: A, ...change };
}

function prepared(header = FIRST, view = 0, nv: string = ZERO_DIGEST): CertifiedHeader {
  return { header, certificate: certificateOf(ROSTER, 'prepare', header, [0, 1, 2], view, nv) };
}

function granted(grant: Grant): VoterState {
  assert.equal(grant.kind, 'granted');
  assert.ok(grant.kind === 'granted');
  return grant.next;
}

describe('grantPrepare', () => {
  const voted: VoterState = { ...START, vote: { view: 0, height: 1, digest: A } };
  const cases: readonly (readonly [string, VoterState, Vote, Grant['kind']])[] = [
    ['the first vote of a view', START, vote(), 'granted'],
    ['the same vote again', voted, vote(), 'repeated'],
    ['another digest in the same view and height', voted, vote({ digest: B }), 'refused'],
    ['an observer', { ...START, signer: undefined }, vote(), 'refused'],
    ['another epoch', START, vote({ epoch: 1 }), 'refused'],
    ['a lower view than promised', OPEN_VIEW_2, vote({ view: 1, nv: NV }), 'refused'],
    ['a higher view than promised', START, vote({ view: 1 }), 'refused'],
    ['a view that is not open', { ...START, active: undefined }, vote(), 'refused'],
    ['another NEW-VIEW of the same view', OPEN_VIEW_2, vote({ view: 2 }), 'refused'],
    ['the promised view', OPEN_VIEW_2, vote({ view: 2, nv: NV }), 'granted'],
    ['a height that is not the next', START, vote({ height: 2 }), 'refused'],
    ['a height that is committed', START, vote({ height: 0 }), 'refused'],
    [
      'the base of the view (V9)',
      { ...START, active: { nv: ZERO_DIGEST, base: 1, mandate: undefined } },
      vote(),
      'refused',
    ],
    [
      'what the mandate demands',
      { ...START, active: { nv: ZERO_DIGEST, base: 0, mandate: A } },
      vote(),
      'granted',
    ],
    [
      'what contradicts the mandate (N3)',
      { ...START, active: { nv: ZERO_DIGEST, base: 0, mandate: B } },
      vote(),
      'refused',
    ],
    [
      'another digest in a later view',
      { ...OPEN_VIEW_2, vote: { view: 1, height: 1, digest: B } },
      vote({ view: 2, nv: NV }),
      'granted',
    ],
  ];
  for (const [why, state, asked, expected] of cases) {
    it(`${expected === 'refused' ? 'refuses' : 'answers'} ${why}: ${expected}`, () => {
      assert.equal(grantPrepare(state, asked, NONE).kind, expected);
    });
  }

  it('records exactly the vote', () => {
    const next = granted(grantPrepare(START, vote(), NONE));
    assert.deepEqual(next, { ...START, vote: { view: 0, height: 1, digest: A } });
  });

  it('stops on a vote record from a view above the promise: a corrupted disk must not vote', () => {
    const state: VoterState = { ...START, vote: { view: 3, height: 1, digest: A } };
    assert.throws(() => grantPrepare(state, vote(), NONE), AssertionError);
  });

  it('applies the mandate at base + 1 only', () => {
    const active = { nv: ZERO_DIGEST, base: 0, mandate: A };
    const state: VoterState = {
      ...START,
      active,
      committed: { header: FIRST, certificate: undefined },
      committedDigest: A,
    };
    const next = vote({ height: 2, digest: headerDigest(SECOND) });
    assert.equal(grantPrepare(state, next, NONE).kind, 'granted');
  });
});

describe('grantCommit', () => {
  const has = (certified: CertifiedHeader): VoterState => ({ ...START, prepared: certified });
  const cases: readonly (readonly [string, VoterState, CertifiedHeader, Grant['kind']])[] = [
    ['the first certificate of the height', START, prepared(), 'granted'],
    ['the same certificate again', has(prepared()), prepared(), 'repeated'],
    ['another certificate of the same view', has(prepared(OTHER)), prepared(), 'refused'],
    ['a certificate of another view', START, prepared(FIRST, 1), 'refused'],
    ['a certificate of another height', START, prepared(SECOND), 'refused'],
    ['an observer', { ...START, signer: undefined }, prepared(), 'refused'],
    [
      'a certificate of a higher view than the one it has',
      { ...OPEN_VIEW_2, prepared: prepared(OTHER, 1) },
      prepared(FIRST, 2, NV),
      'granted',
    ],
    [
      'the base of the view',
      { ...START, active: { nv: ZERO_DIGEST, base: 1, mandate: undefined } },
      prepared(),
      'refused',
    ],
  ];
  for (const [why, state, certified, expected] of cases) {
    it(`${expected === 'refused' ? 'refuses' : 'answers'} ${why}: ${expected}`, () => {
      assert.equal(grantCommit(state, certified, NONE).kind, expected);
    });
  }

  it('does not depend on an own PREPARE', () => {
    const voted: VoterState = { ...START, vote: { view: 0, height: 1, digest: B } };
    assert.equal(grantCommit(voted, prepared(), NONE).kind, 'granted');
  });
});

describe('grantViewChange', () => {
  it('reports the certificate of every COMMIT that was signed at the next height (I8)', () => {
    const state = granted(grantCommit(START, prepared(), NONE));
    const next = granted(grantViewChange(state, 3, NONE));
    assert.deepEqual(next.viewChange?.prepared, prepared());
    assert.deepEqual(next.viewChange?.last, START.committed);
    assert.deepEqual([next.view, next.active, next.newView], [3, undefined, undefined]);
    assert.deepEqual(next.prepared, prepared(), 'it survives the view change (V12)');
  });

  for (const view of [0, 1, 2]) {
    it(`refuses view ${view} after view 2 was promised`, () => {
      assert.equal(grantViewChange(OPEN_VIEW_2, view, NONE).kind, 'refused');
    });
  }

  it('keeps an observer silent but in step', () => {
    const next = granted(grantViewChange({ ...START, signer: undefined }, 1, NONE));
    assert.deepEqual([next.view, next.viewChange], [1, undefined]);
  });

  it('ends every vote in lower views (I7)', () => {
    const next = granted(grantViewChange(START, 1, NONE));
    assert.equal(grantPrepare(next, vote(), NONE).kind, 'refused');
    assert.equal(grantCommit(next, prepared(), NONE).kind, 'refused');
  });

  it('stops on a certificate of another height: reporting it would break V2', () => {
    const state: VoterState = { ...START, prepared: prepared(SECOND) };
    assert.throws(() => grantViewChange(state, 1, NONE), AssertionError);
  });
});

describe('grantNewView', () => {
  const entered = granted(grantViewChange(START, 1, NONE));
  const content: NewViewContent = { epoch: 0, view: 1, viewChanges: [] };
  const active = { nv: NV, base: 0, mandate: undefined };
  const opened = granted(grantNewView(entered, content, active));
  const cases: readonly (readonly [string, VoterState, NewViewContent, Grant['kind']])[] = [
    ['the first one', entered, content, 'granted'],
    ['the same one again', opened, content, 'repeated'],
    ['a second one for the same view', opened, { ...content }, 'refused'],
    ['another view', entered, { ...content, view: 2 }, 'refused'],
    ['another epoch', entered, { ...content, epoch: 1 }, 'refused'],
    ['an observer', { ...entered, signer: undefined }, content, 'refused'],
  ];
  for (const [why, state, asked, expected] of cases) {
    it(`${expected === 'refused' ? 'refuses' : 'answers'} ${why}: ${expected}`, () => {
      assert.equal(grantNewView(state, asked, active).kind, expected);
    });
  }
});

describe('grantActivation', () => {
  const entered = granted(grantViewChange(START, 2, NONE));
  const active = { nv: NV, base: 0, mandate: A };
  const at = (view: number, epoch = 0): NewViewContent => ({ epoch, view, viewChanges: [] });
  const cases: readonly (readonly [string, VoterState, NewViewContent, Grant['kind']])[] = [
    ['the view that was entered', entered, at(2), 'granted'],
    ['a higher view: joining is a promise too', entered, at(5), 'granted'],
    ['a lower view', entered, at(1), 'refused'],
    ['a view that is open already', OPEN_VIEW_2, at(2), 'refused'],
    ['another epoch', entered, at(2, 1), 'refused'],
  ];
  for (const [why, state, asked, expected] of cases) {
    it(`${expected === 'refused' ? 'refuses' : 'answers'} ${why}: ${expected}`, () => {
      assert.equal(grantActivation(state, asked, active, NONE).kind, expected);
    });
  }

  it('keeps the prepare certificate (V12), and its VIEW-CHANGE only for the same view', () => {
    const state = { ...entered, prepared: prepared() };
    assert.deepEqual(granted(grantActivation(state, at(2), active, NONE)).prepared, prepared());
    assert.equal(granted(grantActivation(state, at(5), active, NONE)).viewChange, undefined);
    assert.equal(
      granted(grantActivation(state, at(2), active, NONE)).viewChange,
      entered.viewChange,
    );
  });
});

describe('grantCosign', () => {
  const state = commitTo(START, { header: FIRST, certificate: undefined }, A);
  const cosigned = granted(grantCosign(state, FIRST.size, FIRST.root, NONE));
  const ahead: VoterState = { ...state, cosigned: { size: FIRST.size + 1, root: SECOND.root } };
  const forked: VoterState = { ...state, cosigned: { size: FIRST.size, root: OTHER.root } };
  const cases: readonly (readonly [string, VoterState, number, string, Grant['kind']])[] = [
    ['the committed checkpoint', state, FIRST.size, FIRST.root, 'granted'],
    ['it again, at a later time', cosigned, FIRST.size, FIRST.root, 'granted'],
    ['another size', state, SECOND.size, SECOND.root, 'refused'],
    ['another root', state, FIRST.size, OTHER.root, 'refused'],
    ['a smaller size than before', ahead, FIRST.size, FIRST.root, 'refused'],
    ['a second root for one size', forked, FIRST.size, FIRST.root, 'refused'],
    ['an observer', { ...state, signer: undefined }, FIRST.size, FIRST.root, 'refused'],
  ];
  for (const [why, from, size, root, expected] of cases) {
    it(`${expected === 'refused' ? 'refuses' : 'grants'} ${why}`, () => {
      assert.equal(grantCosign(from, size, root, NONE).kind, expected);
    });
  }
});

describe('commitTo', () => {
  it('forgets what was promised about the height', () => {
    const voted = granted(
      grantCommit(granted(grantPrepare(START, vote(), NONE)), prepared(), NONE),
    );
    const next = commitTo(voted, { header: FIRST, certificate: undefined }, A);
    assert.deepEqual([next.vote, next.prepared, next.committedDigest], [undefined, undefined, A]);
  });

  it('stops on a gap and on another parent', () => {
    const last = { header: SECOND, certificate: undefined };
    assert.throws(() => commitTo(START, last, headerDigest(SECOND)), AssertionError);
    const onOther = commitTo(START, { header: OTHER, certificate: undefined }, B);
    assert.throws(() => commitTo(onOther, last, headerDigest(SECOND)), AssertionError);
  });
});

describe('maySign', () => {
  const voted = granted(grantPrepare(START, vote(), NONE));
  const both = granted(grantCommit(voted, prepared(), NONE));
  const done = commitTo(both, { header: FIRST, certificate: undefined }, A);
  const left = granted(grantViewChange(both, 1, NONE));
  const leftAgain = granted(grantViewChange(left, 2, NONE));
  assert.ok(left.viewChange !== undefined && leftAgain.viewChange !== undefined);
  const opening: NewViewContent = { epoch: 0, view: 1, viewChanges: [] };
  const opened = granted(grantNewView(left, opening, { nv: NV, base: 0, mandate: A }));
  const cases: readonly (readonly [string, VoterState, SignedContent, boolean])[] = [
    ['a PREPARE that is on record', voted, { kind: 'prepare', vote: vote() }, true],
    ['a PRE-PREPARE that is on record', voted, { kind: 'pre-prepare', vote: vote() }, true],
    ['a PREPARE that is not', voted, { kind: 'prepare', vote: vote({ digest: B }) }, false],
    ['a PREPARE of the batch just committed', done, { kind: 'prepare', vote: vote() }, true],
    ['a PREPARE without any record', START, { kind: 'prepare', vote: vote() }, false],
    ['a COMMIT with its certificate', both, { kind: 'commit', vote: vote() }, true],
    ['a COMMIT without one', voted, { kind: 'commit', vote: vote() }, false],
    ['a COMMIT for the batch just committed', done, { kind: 'commit', vote: vote() }, true],
    ['a PREPARE in a view that was left', left, { kind: 'prepare', vote: vote() }, false],
    ['a COMMIT in a view that was left', left, { kind: 'commit', vote: vote() }, false],
    ['the VIEW-CHANGE of the view', left, { kind: 'view-change', content: left.viewChange }, true],
    [
      'the VIEW-CHANGE of an earlier view',
      leftAgain,
      { kind: 'view-change', content: left.viewChange },
      false,
    ],
    ['the NEW-VIEW of the view', opened, { kind: 'new-view', content: opening }, true],
    ['another NEW-VIEW', opened, { kind: 'new-view', content: { ...opening } }, false],
  ];
  for (const [why, state, content, expected] of cases) {
    it(`${expected ? 'lets through' : 'holds back'} ${why}`, () => {
      assert.equal(maySign(state, content, NONE), expected);
    });
  }

  it('holds back a vote of an observer and of another epoch', () => {
    const observer = { ...voted, signer: undefined };
    assert.equal(maySign(observer, { kind: 'prepare', vote: vote() }, NONE), false);
    assert.equal(maySign(voted, { kind: 'prepare', vote: vote({ epoch: 1 }) }, NONE), false);
  });
});
