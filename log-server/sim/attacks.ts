// Attacks by the book, message by message (CONSENSUS.md 3.3, lesson 4): schedules that chance finds too
// rarely, each for a planted bug that it brings out.
import { assert } from '../../verifier/errors.ts';
import {
  ZERO_DIGEST,
  genesisHeader,
  headerDigest,
  newViewDigest,
} from '../../verifier/replication/encode.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';
import type { Digest, NewViewContent, ViewChange, Vote } from '../consensus/types.ts';
import { ORIGIN, simNode } from './nodes.ts';
import { Script } from './script.ts';

/** Plays an attack to the point where a planted bug has done its harm. @throws {Violation} */
export type Attack = (mutants: readonly MutantName[]) => Promise<Script>;

/** What the batch at height 1 is that a machine was asked to vote for. */
function digestOf(script: Script, machine: number): Digest {
  const vote = script.machine(machine).replica?.summary.vote;
  assert(vote !== undefined, `machine ${machine} has voted`);
  return vote.digest;
}

/** The traitor signs a PREPARE or COMMIT and shows it to one machine. */
async function voteFor(
  script: Script,
  traitor: number,
  phase: 'prepare' | 'commit',
  vote: Vote,
  to: number,
): Promise<void> {
  await script.say(to, script.world.adversary.voteMessage(simNode(traitor), traitor, phase, vote));
}

function voteIn(script: Script, machine: number, view: number, digest: Digest): Vote {
  const { height = 0 } = script.machine(machine).replica?.summary ?? {};
  const newView = script.world.adversary.newestNewView;
  const nv = newView?.content.view === view ? newViewDigest(ORIGIN, newView.content) : ZERO_DIGEST;
  return { epoch: 0, view, nv, height: height + 1, digest };
}

/** A VIEW-CHANGE of the traitor that knows of nothing. */
function emptyViewChange(script: Script, traitor: number, view: number): ViewChange {
  return script.world.adversary.viewChange(simNode(traitor), {
    epoch: 0,
    view,
    signer: traitor,
    last: { header: genesisHeader(ORIGIN), certificate: undefined },
    prepared: undefined,
  });
}

/**
 * Five views in which X and Y take turns, so that each has the COMMITs of a quorum in the end, but
 * never in one view. Machines A = 0, B = 1, C = 2.
 */
const pooledCommits: Attack = async (mutants) => {
  const Z = 3;
  const script = await Script.start({ traitor: Z, mutants });
  // View 0: only A gets to know that X is prepared, and commits to it; C hears that.
  await script.submit(0);
  await script.ticks(1);
  await script.deliver({ kind: 'pre-prepare', to: 1 });
  await script.deliver({ kind: 'prepare', from: 1, to: 0 });
  const x = digestOf(script, 0);
  await voteFor(script, Z, 'prepare', voteIn(script, 0, 0, x), 0);
  await script.deliver({ kind: 'commit', from: 0, to: 2 });
  script.lose({ kind: 'commit' }, { kind: 'prepare' }, { kind: 'pre-prepare' });
  // View 1: opened without A's VIEW-CHANGE. Only B gets to know that Y is prepared; A hears its COMMIT.
  await script.reachView(1);
  script.lose({ kind: 'view-change', from: 0 }, { kind: 'prepare' }, { kind: 'commit' });
  await script.deliver({ kind: 'view-change', from: 2, to: 1 });
  await script.say(1, { kind: 'view-change', viewChange: emptyViewChange(script, Z, 1) });
  await script.deliver({ kind: 'new-view', from: 1 });
  script.lose({ kind: 'forward' });
  await script.submit(1);
  await script.ticks(1);
  await script.deliver({ kind: 'pre-prepare', from: 1, to: 2 });
  await script.deliver({ kind: 'prepare', from: 2, to: 1 });
  const y = digestOf(script, 1);
  assert(x !== y, 'X and Y are two batches');
  await voteFor(script, Z, 'prepare', voteIn(script, 1, 1, y), 1);
  await script.deliver({ kind: 'commit', from: 1, to: 0 });
  script.lose({ kind: 'commit' }, { kind: 'prepare' }, { kind: 'pre-prepare' });
  // View 2: opened without B's VIEW-CHANGE, so X has to be proposed. C commits to it.
  await script.reachView(2);
  script.lose({ kind: 'view-change', from: 1 }, { kind: 'prepare' }, { kind: 'commit' });
  await script.deliver({ kind: 'view-change', from: 0, to: 2 });
  await script.say(2, { kind: 'view-change', viewChange: emptyViewChange(script, Z, 2) });
  await script.deliver({ kind: 'new-view', from: 2 });
  await script.deliver({ kind: 'get-body' }, { kind: 'body' });
  await script.ticks(1);
  await script.deliver(
    { kind: 'get-body' },
    { kind: 'body' },
    { kind: 'pre-prepare', from: 2, to: 0 },
  );
  await script.deliver({ kind: 'prepare', from: 0, to: 2 });
  await voteFor(script, Z, 'prepare', voteIn(script, 2, 2, x), 2);
  await voteFor(script, Z, 'commit', voteIn(script, 2, 2, x), 2);
  script.lose({ kind: 'commit' }, { kind: 'prepare' }, { kind: 'pre-prepare' });
  // View 3, led by the traitor, who leaves C's VIEW-CHANGE out: Y has to be proposed. A commits to it.
  await script.reachView(3);
  script.lose({ kind: 'prepare' }, { kind: 'commit' });
  script.lose({ kind: 'view-change', from: 2 });
  const { adversary } = script.world;
  const known = adversary.viewChanges.get('0/3');
  const viewChanges = [known?.get(0), known?.get(1), emptyViewChange(script, Z, 3)].filter(
    (viewChange) => viewChange !== undefined,
  );
  assert(viewChanges.length === 3, 'a quorum of VIEW-CHANGEs is known');
  const content: NewViewContent = { epoch: 0, view: 3, viewChanges };
  const newView = adversary.newView(simNode(Z), content);
  adversary.newestNewView = newView;
  for (const to of [0, 1]) await script.say(to, { kind: 'new-view', newView });
  const batch = adversary.batches.get(y);
  assert(batch !== undefined, 'the play goes as written');
  const where = { epoch: 0, view: 3, nv: newViewDigest(ORIGIN, content) };
  const proposal = adversary.proposal(simNode(Z), where, batch);
  for (const to of [0, 1]) await script.say(to, proposal);
  await script.deliver({ kind: 'prepare', from: 1, to: 0 });
  await voteFor(script, Z, 'commit', voteIn(script, 0, 3, headerDigest(batch.header)), 0);
  return script;
};

/**
 * V9: machine 0 alone has committed X. The traitor opens the next view, rightly, with 0's VIEW-CHANGE,
 * and proposes Y at the height of X to the two that are not there yet.
 */
const belowTheBase: Attack = async (mutants) => {
  const leader = 1;
  const script = await Script.start({ traitor: leader, mutants });
  const { adversary, register } = script.world;
  await script.submit(0);
  await script.ticks(1);
  await script.deliver({ kind: 'pre-prepare', to: 2 });
  await script.deliver({ kind: 'prepare', from: 2, to: 0 }, { kind: 'prepare', from: 0, to: 2 });
  const vote = voteIn(script, 0, 0, digestOf(script, 0));
  for (const to of [0, 2]) await voteFor(script, leader, 'prepare', vote, to);
  await script.deliver({ kind: 'commit', from: 2, to: 0 });
  await voteFor(script, leader, 'commit', vote, 0);
  const heights = [0, 2, 3].map((machine) => script.machine(machine).disk.height);
  assert(heights.join() === '1,0,0', 'X is committed in one place');
  // Everybody has something to wait for, so that all leave view 0.
  for (const machine of [0, 2, 3]) await script.submit(machine);
  await script.reachView(1);
  script.lose({ kind: 'get-batches' }, { kind: 'commit' }, { kind: 'prepare' });
  const known = adversary.viewChanges.get('0/1');
  const own = emptyViewChange(script, leader, 1);
  const viewChanges = [known?.get(0), own, known?.get(3)].filter((one) => one !== undefined);
  const content: NewViewContent = { epoch: 0, view: 1, viewChanges };
  const newView = adversary.newView(simNode(leader), content);
  const y = script.machine(leader).ledger.build(
    {
      token: 0,
      epoch: 0,
      height: 1,
      parent: ZERO_DIGEST,
      parentTimestampMs: 0,
      requests: [register.issue()],
    },
    script.machine(0).wallMs,
    script.world.limits,
  );
  assert(!(y instanceof Promise) && y.proposal !== undefined, 'the play goes as written');
  const nv = newViewDigest(ORIGIN, content);
  const proposal = adversary.proposal(simNode(leader), { epoch: 0, view: 1, nv }, y.proposal);
  for (const to of [2, 3]) {
    await script.say(to, { kind: 'new-view', newView });
    await script.say(to, proposal);
  }
  return script;
};

/**
 * W4: the leader is silent; two machines have a request and want another leader; the third has nothing
 * to do and no reason of its own. Two are a weak quorum, so one of them is right.
 */
const twoWishes: Attack = async (mutants) => {
  const script = await Script.start({ traitor: 0, mutants });
  for (const machine of [1, 2]) await script.submit(machine);
  await script.reachView(1);
  return script;
};

/**
 * Q3: the leader is silent and one machine alone has a request. Its FORWARDs get through, so that in the
 * end all of them wait for an answer of the leader.
 */
const oneRequest: Attack = async (mutants) => {
  const script = await Script.start({ traitor: 0, mutants });
  await script.submit(1);
  for (let ticks = 0; ticks < 60; ticks++) {
    await script.ticks(1);
    await script.deliver({ kind: 'forward' });
  }
  await script.reachView(1);
  return script;
};

/** What each attack is for, and the planted bugs that it finds. */
export const ATTACKS: readonly (readonly [string, Attack, readonly MutantName[]])[] = [
  ['commits pooled over five views', pooledCommits, ['commit-votes-pooled']],
  ['a vote at the base of a view', belowTheBase, ['vote-at-base']],
  ['wishes of a weak quorum', twoWishes, ['wishes-not-amplified']],
  ['a request of one alone', oneRequest, ['relay-missing']],
];
