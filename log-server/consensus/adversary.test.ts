// Schedules of a Byzantine member, each written so that one deliberate bug makes two honest replicas
// disagree (CONSENSUS.md 3.3). Every play runs twice: the real core withstands it, the mutant does not;
// a play that no longer bites fails too.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { contradiction } from '../../fixtures/transcripts/chaos.ts';
import type { Packet } from '../../fixtures/transcripts/cluster.ts';
import { Liar, wishMessage } from '../../fixtures/transcripts/liar.ts';
import {
  certificateOf,
  cosignOf,
  prePrepareOf,
  viewChangeOf,
} from '../../fixtures/transcripts/samples.ts';
import { ORIGIN, makeBatch, peerOf, request, voteOf } from '../../fixtures/transcripts/world.ts';
import { ZERO_DIGEST, genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import { MUTANTS, type MutantName } from '../../verifier/replication/mutants.ts';
import type { Misbehaviour } from './types.ts';

const GENESIS = genesisHeader(ORIGIN);
const X = makeBatch(GENESIS, 0, [request('x')], 1_000_000);
const Y = makeBatch(GENESIS, 0, [request('y')], 1_000_000);
const VIEW_0 = { view: 0, nv: ZERO_DIGEST };

const onlyTo =
  (kind: Packet['message']['kind'], ...receivers: readonly number[]) =>
  ({ message, to }: Packet): boolean =>
    message.kind === kind && receivers.includes(to);
const either =
  (...tests: readonly ((packet: Packet) => boolean)[]) =>
  (packet: Packet): boolean =>
    tests.some((test) => test(packet));
const everyVote = either(onlyTo('prepare', 0, 1, 2, 3), onlyTo('commit', 0, 1, 2, 3));

type Play = (mutants: readonly MutantName[]) => boolean;

/** X is prepared everywhere and committed by replica 3 alone, which then falls silent. Liar: 1. */
function committedByOne(mutants: readonly MutantName[]): Liar {
  const liar = new Liar(1, { mutants });
  liar.cluster.submit(0, 'x');
  liar.settle(
    either(onlyTo('pre-prepare', 0, 2, 3), onlyTo('prepare', 0, 2, 3), onlyTo('commit', 3)),
  );
  assert.deepEqual(liar.cluster.heights().slice(2), [0, 1]);
  liar.cluster.crash(3);
  return liar;
}

/** Proposes Y in an open view and helps it through; whether somebody committed it against X. */
function pushOther(
  liar: Liar,
  where: { view: number; nv: string },
  to: readonly number[],
): boolean {
  const before = liar.outcomes().find((digest) => digest !== undefined);
  liar.propose(Y, where, to, everyVote);
  liar.vote('commit', Y.header, where, to);
  liar.settle(everyVote);
  return liar.isForked && before !== undefined;
}

const againstTheMandate: Play = (mutants) => {
  const liar = committedByOne(mutants);
  liar.enter(1, [0, 2]);
  const where = liar.open(liar.newView(1, [0, liar.ownViewChange(1), 2]), [0, 2]);
  return pushOther(liar, where, [0, 2]);
};

const withTooFewViewChanges: Play = (mutants) => {
  const liar = new Liar(1, { mutants });
  liar.cluster.submit(0, 'x');
  // 0 commits X with the votes of 0, 2 and the liar; 3 has seen nothing.
  liar.settle(either(onlyTo('pre-prepare', 2), onlyTo('prepare', 0, 2)));
  const { header } = committedProposal(liar);
  liar.vote('prepare', header, VIEW_0, [0, 2]);
  liar.settle(either(onlyTo('prepare', 0, 2), onlyTo('commit', 0)));
  liar.vote('commit', header, VIEW_0, [0]);
  liar.settle(onlyTo('commit', 0));
  assert.equal(liar.cluster.heights()[0], 1);
  liar.cluster.crash(0);
  liar.enter(1, [2, 3]);
  const where = liar.open(liar.newView(1, [liar.ownViewChange(1), 3]), [2, 3]);
  return pushOther(liar, where, [2, 3]);
};

/** The header that the honest leader proposed. */
function committedProposal(liar: Liar): { header: (typeof X)['header'] } {
  const vote = liar.cluster.signatures
    .map(({ request: asked }) => (asked.key === 'vote' ? asked.content : undefined))
    .find((content) => content?.kind === 'pre-prepare');
  assert.ok(vote?.kind === 'pre-prepare');
  const { wallMs } = liar.cluster;
  const batch = makeBatch(GENESIS, 0, [request('x')], wallMs);
  assert.equal(headerDigest(batch.header), vote.vote.digest);
  return batch;
}

const belowTheBase: Play = (mutants) => {
  const liar = new Liar(1, { mutants });
  liar.cluster.submit(0, 'x');
  liar.settle(either(onlyTo('pre-prepare', 2), onlyTo('prepare', 0, 2)));
  const { header } = committedProposal(liar);
  liar.vote('prepare', header, VIEW_0, [0, 2]);
  liar.settle(either(onlyTo('prepare', 0, 2), onlyTo('commit', 0)));
  liar.vote('commit', header, VIEW_0, [0]);
  liar.settle(onlyTo('commit', 0));
  assert.equal(liar.cluster.heights()[0], 1);
  liar.enter(1);
  // Base is 1, by 0's own certificate; there is no candidate above it. 2 and 3 are still at 0.
  const where = liar.open(liar.newView(1, [0, liar.ownViewChange(1), 3]), [2, 3]);
  liar.cluster.crash(0);
  return pushOther(liar, where, [2, 3]);
};

const forgedCertificate: Play = (mutants) => {
  const liar = committedByOne(mutants);
  liar.enter(5, [0, 2]);
  const real = certificateOf(liar.roster, 'prepare', Y.header, [0, 1, 2], 4);
  const certificate = {
    ...real,
    signatures: real.signatures.map(({ signer }) => ({ signer, signature: new Uint8Array(64) })),
  };
  const own = liar.ownViewChange(5, { prepared: { header: Y.header, certificate } });
  const where = liar.open(liar.newView(5, [0, own, 2]), [0, 2]);
  return pushOther(liar, where, [0, 2]);
};

/** PC(X, view 0) at 1 alone; Y committed by 0 alone in view 2; the liar is 2. */
const olderCertificate: Play = (mutants) => {
  const liar = new Liar(2, { mutants });
  liar.cluster.submit(0, 'x');
  liar.settle(either(onlyTo('pre-prepare', 1, 3), onlyTo('prepare', 1)));
  const { header } = committedProposal(liar);
  liar.vote('prepare', header, VIEW_0, [1]);
  liar.settle(onlyTo('prepare', 1));
  liar.enter(2);
  const second = liar.open(liar.newView(2, [0, liar.ownViewChange(2), 3]), [0, 3]);
  liar.propose(Y, second, [0, 3], either(onlyTo('prepare', 0, 3), onlyTo('commit', 0)));
  liar.vote('commit', Y.header, second, [0]);
  liar.settle(onlyTo('commit', 0));
  assert.equal(liar.cluster.heights()[0], 1, 'Y is decided');
  liar.cluster.crash(0);
  liar.enter(6, [1, 3]);
  const third = liar.open(liar.newView(6, [1, liar.ownViewChange(6), 3]), [1, 3]);
  const batch = makeBatch(GENESIS, 0, [request('x')], liar.cluster.wallMs);
  liar.propose(batch, third, [1, 3], everyVote);
  liar.vote('commit', batch.header, third, [1, 3]);
  liar.settle(everyVote);
  return liar.isForked;
};

/** Five views, one liar (0), votes of several views; nothing is ever decided twice without the bug. */
const pooledCommits: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  liar.propose(X, VIEW_0, [1, 2, 3], either(onlyTo('prepare', 1), onlyTo('commit', 3)));
  liar.enter(4);
  const fourth = liar.open(liar.newView(4, [liar.ownViewChange(4), 2, 3]));
  liar.propose(Y, fourth, [1, 2, 3], onlyTo('prepare', 2));
  liar.enter(8);
  const eighth = liar.open(liar.newView(8, [liar.ownViewChange(8), 1, 3]));
  liar.propose(X, eighth, [1, 3], onlyTo('prepare', 3));
  liar.vote('commit', X.header, eighth, [3]);
  liar.settle(onlyTo('commit', 3));
  liar.enter(12, [1, 2]);
  liar.cluster.crash(3);
  const twelfth = liar.open(liar.newView(12, [liar.ownViewChange(12), 1, 2]), [1, 2]);
  liar.propose(Y, twelfth, [1, 2], everyVote);
  liar.vote('commit', Y.header, twelfth, [1, 2]);
  liar.settle(everyVote);
  assert.equal(liar.cluster.heights()[1], 1, 'Y is decided in view 12');
  return liar.isForked;
};

/** The leader shows one batch, the replica restarts, and it shows another. */
const equivocationOverRestart: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  liar.propose(X, VIEW_0, [1], () => false);
  liar.cluster.restart(1);
  liar.cluster.run(1, () => false);
  liar.propose(Y, VIEW_0, [1], () => false);
  return contradiction(liar.cluster.signatures) !== undefined;
};

/** A certificate for X comes together, its holder restarts and reports in the next view. */
const certificateOverRestart: Play = (mutants) => {
  const liar = committedByOne(mutants);
  liar.cluster.restart(0);
  liar.cluster.restart(2);
  liar.cluster.run(1, () => false);
  liar.enter(1, [0, 2]);
  const where = liar.open(liar.newView(1, [0, liar.ownViewChange(1), 2]), [0, 2]);
  return pushOther(liar, where, [0, 2]);
};

/** Promises view 1, restarts, and hears the leader of view 0. */
const promiseOverRestart: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  liar.enter(1);
  liar.cluster.restart(1);
  liar.cluster.run(1, () => false);
  liar.propose(X, VIEW_0, [1], () => false);
  return contradiction(liar.cluster.signatures) !== undefined;
};

/** PREPAREs of view 0 arrive after view 1 was promised. */
const lateVotes: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  liar.propose(X, VIEW_0, [1, 2, 3], () => false);
  liar.enter(1);
  for (const signer of [0, 2, 3]) {
    liar.cluster.inject(signer, 1, voteOf(liar.roster, 'prepare', signer, X.header));
  }
  liar.settle(onlyTo('prepare', 1));
  return contradiction(liar.cluster.signatures) !== undefined;
};

/** Two batches with one COMMIT-time cosignature each. */
const earlyCosign: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  liar.propose(X, VIEW_0, [1, 2, 3], onlyTo('prepare', 1));
  liar.enter(4);
  const where = liar.open(liar.newView(4, [liar.ownViewChange(4), 2, 3]));
  liar.propose(Y, where, [1, 2, 3], everyVote);
  liar.vote('commit', Y.header, where, [1, 2, 3]);
  liar.settle(everyVote);
  return contradiction(liar.cluster.signatures) !== undefined;
};

/** A proposal from the next hour. */
const fromTheFuture: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  const future = makeBatch(GENESIS, 0, [request('x')], liar.cluster.wallMs + 3_600_000);
  liar.propose(future, VIEW_0, [1, 2, 3], everyVote);
  return liar.cluster.signatures.length > 0;
};

/** A proposal that skips the parent. */
const wrongParent: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  const header = { ...X.header, parent: headerDigest(Y.header) };
  liar.propose({ ...X, header }, VIEW_0, [1, 2, 3], everyVote);
  return liar.cluster.signatures.some(({ request: { key } }) => key === 'vote');
};

/** A body that breaks the rules of the ledger. */
const invalidBody: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  const bad = makeBatch(GENESIS, 0, [request('bad thing')], 1_000_000);
  liar.propose(bad, VIEW_0, [1, 2, 3], everyVote);
  return liar.cluster.signatures.length > 0;
};

/** A batch whose artifact only the liar has. */
const missingArtifact: Play = (mutants) => {
  const liar = new Liar(0, { mutants });
  for (const index of liar.honest) liar.cluster.node(index).ledger.missing.add('x');
  liar.propose(X, VIEW_0, [1, 2, 3], everyVote);
  return liar.cluster.signatures.length > 0;
};

/** NEW-VIEW and restart: 2 and 3 vote in the view, forget it, and get another one for it. */
const newViewOverRestart: Play = (mutants) => {
  const liar = new Liar(1, { mutants });
  liar.enter(1);
  liar.open(liar.newView(1, [0, liar.ownViewChange(1), 2]), [3]);
  liar.cluster.restart(3);
  return !liar.cluster.node(3).replica.summary.active;
};

const PLAYS: readonly (readonly [string, Play, readonly MutantName[]])[] = [
  [
    'a leader that proposes against the mandate',
    againstTheMandate,
    ['mandate-ignored', 'no-mandate', 'view-change-forgets-prepared'],
  ],
  ['a NEW-VIEW of a weak quorum', withTooFewViewChanges, ['new-view-weak-quorum']],
  ['a re-decision below the base', belowTheBase, ['vote-at-base']],
  ['a forged prepare certificate', forgedCertificate, ['view-change-certificate-unchecked']],
  [
    'an older certificate beside the right one',
    olderCertificate,
    ['lowest-prepared-wins', 'any-prepared-wins'],
  ],
  ['COMMITs of five views', pooledCommits, ['commit-votes-pooled']],
  [
    'two proposals around a restart',
    equivocationOverRestart,
    ['double-vote', 'vote-not-persisted'],
  ],
  [
    'a restart between certificate and VIEW-CHANGE',
    certificateOverRestart,
    ['prepared-not-persisted'],
  ],
  ['a restart after a promise', promiseOverRestart, ['view-not-persisted']],
  ['votes for a view that was left', lateVotes, ['commit-in-old-view']],
  ['two batches of one size', earlyCosign, ['cosign-at-commit-vote']],
  ['a proposal from the future', fromTheFuture, ['clock-unchecked']],
  ['a proposal on another parent', wrongParent, ['parent-unchecked']],
  ['an invalid body', invalidBody, ['body-unchecked']],
  ['an artifact that is nowhere', missingArtifact, ['artifact-check-skipped']],
  ['a restart in an open view', newViewOverRestart, ['new-view-not-persisted']],
];

describe('a Byzantine member', () => {
  for (const [why, play, mutants] of PLAYS) {
    it(`can't do harm with ${why}`, () => assert.equal(play([]), false));
    for (const mutant of mutants) {
      it(`would succeed with ${why} against ${mutant}: ${MUTANTS[mutant]}`, () => {
        assert.equal(play([mutant]), true);
      });
    }
  }
});

describe('evidence', () => {
  function rules(liar: Liar): readonly string[] {
    const found: Misbehaviour[] = liar.honest.flatMap((i) => liar.cluster.node(i).evidence);
    const accused = new Set(found.map((report) => report.accused));
    assert.ok(
      [...accused].every((peer) => peer === peerOf(`r${liar.index}`)),
      'nobody else',
    );
    return [...new Set(found.map(({ rule }) => rule))].sort((a, b) => a.localeCompare(b));
  }

  it('names a leader that proposes two batches (X1), and its view is left', () => {
    const liar = new Liar(0);
    liar.propose(X, VIEW_0, [1, 2], everyVote);
    liar.propose(Y, VIEW_0, [1, 2, 3], everyVote);
    assert.deepEqual(rules(liar), ['X1']);
    liar.cluster.submit(1, 'a');
    liar.cluster.run(200);
    assert.ok(liar.honest.every((i) => liar.cluster.node(i).replica.summary.view > 0));
    assert.ok(liar.honest.every((i) => (liar.cluster.heights()[i] ?? 0) > 0));
    assert.equal(liar.isForked, false);
  });

  it('names a member with two COMMITs (X2)', () => {
    const liar = new Liar(2);
    liar.vote('commit', X.header, VIEW_0, [1]);
    liar.vote('commit', Y.header, VIEW_0, [1]);
    liar.settle();
    assert.deepEqual(rules(liar), ['X2']);
  });

  it('names a member that hides its COMMIT in a VIEW-CHANGE (X3)', () => {
    const liar = new Liar(2);
    liar.vote('commit', X.header, VIEW_0, [1]);
    liar.settle();
    liar.enter(1);
    liar.say({ kind: 'view-change', viewChange: liar.ownViewChange(1) }, [1]);
    liar.settle();
    assert.deepEqual(rules(liar), ['X3']);
  });

  it('names a member with two VIEW-CHANGEs for one view (X4)', () => {
    const liar = new Liar(2);
    const prepared = {
      header: X.header,
      certificate: certificateOf(liar.roster, 'prepare', X.header, [0, 1, 3]),
    };
    liar.say({ kind: 'view-change', viewChange: liar.ownViewChange(5) }, [1]);
    liar.say({ kind: 'view-change', viewChange: liar.ownViewChange(5, { prepared }) }, [1]);
    liar.settle();
    assert.deepEqual(rules(liar), ['X4']);
  });

  it('names a leader with two NEW-VIEWs (X5)', () => {
    const liar = new Liar(1);
    liar.enter(1);
    liar.open(liar.newView(1, [0, liar.ownViewChange(1), 2]));
    liar.open(liar.newView(1, [0, liar.ownViewChange(1), 3]));
    assert.deepEqual(rules(liar), ['X5']);
  });

  it('names a leader that contradicts its own NEW-VIEW (X6)', () => {
    const liar = committedByOne([]);
    liar.enter(1, [0, 2]);
    const where = liar.open(liar.newView(1, [0, liar.ownViewChange(1), 2]), [0, 2]);
    liar.propose(Y, where, [0, 2], everyVote);
    assert.deepEqual(rules(liar), ['X6']);
  });

  it('names a member that cosigns two roots for one size (X7)', () => {
    const liar = new Liar(2);
    const { size, height } = X.header;
    liar.say(cosignOf(liar.roster, 2, { size, height, root: X.header.root }));
    liar.say(cosignOf(liar.roster, 2, { size, height, root: Y.header.root }));
    liar.settle();
    assert.deepEqual(rules(liar), ['X7']);
  });

  it('names a leader that proposes an invalid batch (X8)', () => {
    const liar = new Liar(0);
    const bad = makeBatch(GENESIS, 0, [request('bad thing')], 1_000_000);
    liar.propose(bad, VIEW_0, [1, 2, 3], everyVote);
    assert.deepEqual(rules(liar), ['X8']);
  });
});

describe('what a liar says', () => {
  it('occupies no slot with a bad signature (R3)', () => {
    const liar = new Liar(2);
    const forged = {
      ...voteOf(liar.roster, 'prepare', 2, X.header),
      signature: new Uint8Array(64),
    };
    liar.say(forged, [1]);
    liar.settle();
    assert.equal(liar.cluster.node(1).ignored.get('unverified'), 1);
    liar.say(voteOf(liar.roster, 'prepare', 2, X.header), [1]);
    liar.settle();
    assert.equal(liar.cluster.node(1).ignored.get('duplicate'), undefined);
  });

  it('counts for nobody else', () => {
    const liar = new Liar(2);
    liar.say(voteOf(liar.roster, 'prepare', 3, X.header), [1]);
    liar.say(
      { kind: 'view-change', viewChange: viewChangeOf(liar.roster, { view: 1, signer: 3 }) },
      [1],
    );
    liar.say(prePrepareOf(liar.roster, X), [1]);
    liar.settle();
    const { ignored } = liar.cluster.node(1);
    assert.deepEqual([ignored.get('wrong-signer'), ignored.get('not-leader')], [2, 1]);
  });

  it('moves no view alone, however loudly (W4, W5)', () => {
    const liar = new Liar(2);
    for (const wish of [1, 2, 1_000, Number.MAX_SAFE_INTEGER]) liar.say(wishMessage(wish));
    liar.settle();
    assert.ok(liar.honest.every((i) => liar.cluster.node(i).replica.summary.view === 0));
  });

  it('spoils nobody else by an invalid VIEW-CHANGE among valid ones (V3)', () => {
    const liar = new Liar(2);
    liar.enter(1, [0, 3]);
    const prepared = {
      header: X.header,
      certificate: { ...certificateOf(liar.roster, 'prepare', X.header, [0, 1]) },
    };
    liar.say({ kind: 'view-change', viewChange: liar.ownViewChange(1, { prepared }) }, [1]);
    liar.settle();
    assert.equal(liar.cluster.node(1).ignored.get('unverified'), 1);
    liar.cluster.run(60);
    assert.ok(liar.honest.every((i) => liar.cluster.node(i).replica.summary.view === 1));
    assert.ok(liar.honest.every((i) => liar.cluster.node(i).replica.summary.active));
  });

  it('is not applied as history when nobody asked, or when it does not fit (S2)', () => {
    const liar = new Liar(2);
    const certificate = certificateOf(liar.roster, 'commit', X.header, [0, 1, 2]);
    const batches = [{ header: X.header, body: X.body, certificate }];
    liar.say({ kind: 'batches', batches }, [1]);
    liar.settle();
    assert.equal(liar.cluster.node(1).ignored.get('not-asked'), 1);
    const otherBody = [{ header: X.header, body: Y.body, certificate }];
    liar.say({ ...wishStatus(9) }, [1]);
    liar.settle();
    liar.cluster.run(1);
    liar.say({ kind: 'batches', batches: otherBody }, [1]);
    liar.settle();
    assert.equal(liar.cluster.heights()[1], 0);
  });
});

function wishStatus(height: number): ReturnType<typeof wishMessage> {
  const status = wishMessage(0);
  assert.ok(status.kind === 'status');
  return { ...status, height };
}
