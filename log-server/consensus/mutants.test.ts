// Each deliberate bug has a schedule that shows it: here those that cost progress or accountability;
// those that cost agreement are in adversary.test.ts.
import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { describe, it } from 'node:test';

import { Cluster, type ClusterOptions, type Packet } from '../../fixtures/transcripts/cluster.ts';
import { Liar } from '../../fixtures/transcripts/liar.ts';
import { prePrepareOf } from '../../fixtures/transcripts/samples.ts';
import {
  ORIGIN,
  makeBatch,
  peerOf,
  request,
  testRoster,
  voteOf,
} from '../../fixtures/transcripts/world.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { DEFAULT_LIMITS } from './defaults.ts';
import { ZERO_DIGEST, genesisHeader } from '../../verifier/replication/encode.ts';
import { Members } from '../../verifier/replication/members.ts';
import { planMessage } from '../../verifier/replication/verify-message.ts';
import { MUTANTS, type MutantName } from '../../verifier/replication/mutants.ts';
import { Pool } from './pool.ts';
import type { Misbehaviour } from './types.ts';
import { grantActivation } from './voter.ts';
import { startEpoch } from './voter-state.ts';

const FOUR = testRoster([1, 1, 1, 1]);
const X = makeBatch(genesisHeader(ORIGIN), 0, [request('x')], 1_000_000);
const Y = makeBatch(genesisHeader(ORIGIN), 0, [request('y')], 1_000_000);

type Mutants = readonly MutantName[];

function cluster(mutants: Mutants, options: ClusterOptions = {}): Cluster {
  const made = new Cluster(FOUR, { ...options, mutants });
  made.run(1);
  return made;
}

/** Whether the log of a node is still empty after this many ticks. */
function isStuck(
  made: Cluster,
  node: number,
  ticks: number,
  passes?: (packet: Packet) => boolean,
): boolean {
  for (let i = 0; i < ticks && made.heights()[node] === 0; i++) made.run(1, passes);
  return made.heights()[node] === 0;
}

/** A member that contradicts itself towards another one, and who keeps a proof of it in the end. */
function keepersOfWhisper(made: Cluster): readonly number[] {
  made.inject(3, 1, voteOf(FOUR, 'prepare', 3, X.header));
  made.inject(3, 1, voteOf(FOUR, 'prepare', 3, Y.header));
  made.run(1);
  return made.nodes.filter(({ evidence }) => evidence.length > 0).map(({ index }) => index);
}

/** Whether somebody is accused after member 3 has handed on this report. */
function isBelieved(mutants: Mutants, report: Misbehaviour): boolean {
  const made = cluster(mutants);
  made.inject(3, 1, { kind: 'evidence', report });
  made.run(1);
  return made.nodes.some(({ evidence }) => evidence.length > 0);
}

const KILLS: readonly (readonly [MutantName, string, (mutants: Mutants) => boolean])[] = [
  [
    'sign-before-durable',
    'signs while the disk is still writing',
    (mutants) => {
      const made = cluster(mutants);
      for (const node of made.nodes) node.autoSync = false;
      made.submit(0, 'a');
      return made.signatures.length > 0;
    },
  ],
  [
    'body-not-persisted',
    'has voted for a body that a crash has lost',
    (mutants) => {
      const made = cluster(mutants);
      made.submit(0, 'a');
      made.settle(({ message }) => message.kind === 'pre-prepare');
      return made.node(1).disk.state().bodies.length === 0;
    },
  ],
  [
    'prefetch-unhashed',
    'takes what was sent ahead for the batch that is proposed',
    (mutants) => {
      const liar = new Liar(0, { mutants });
      const { header, body } = X;
      const proposal = prePrepareOf(FOUR, X);
      const ahead = { kind: 'prefetch', epoch: 0, view: 0, height: 1, start: 0 } as const;
      liar.say({ ...ahead, requests: [request('not x')] }, [1]);
      const tail = { prefetched: 1, entries: body.slice(1) };
      liar.say({ ...proposal, body: undefined, tail }, [1]);
      liar.say(proposal, [2, 3]);
      for (let i = 0; i < 3; i++) liar.cluster.run(5);
      return liar.cluster.node(1).disk.batches[0]?.header.root !== header.root;
    },
  ],
  [
    'evidence-not-told',
    'keeps it to itself that another one has two faces',
    (mutants) => !keepersOfWhisper(cluster(mutants)).includes(2),
  ],
  [
    'evidence-unchecked',
    'believes that somebody signed what it did not sign',
    (mutants) => {
      const [first, second] = [X, Y].map(({ header }) => voteOf(FOUR, 'prepare', 2, header));
      assert.ok(first !== undefined && second !== undefined, 'two votes');
      const forged = { ...second, signature: new Uint8Array(64) };
      const accused = peerOf('r2');
      return isBelieved(mutants, { rule: 'X1', accused, epoch: 0, messages: [first, forged] });
    },
  ],
  [
    'hearsay-believed',
    'takes a proposal for invalid because another one says so',
    (mutants) => {
      const accused = peerOf('r0');
      const messages = [prePrepareOf(FOUR, X)];
      return isBelieved(mutants, { rule: 'X8', accused, epoch: 0, messages });
    },
  ],
  [
    'wish-not-resent',
    'stalls for ever when the first wishes were lost (W3)',
    (mutants) => {
      const made = cluster(mutants);
      made.crash(0);
      made.submit(1, 'a');
      made.run(300, ({ message }) => message.kind !== 'status');
      return isStuck(made, 1, 300);
    },
  ],
  [
    'wishes-not-amplified',
    'stalls when only a weak quorum has a reason to leave (W4)',
    (mutants) => {
      const made = cluster(mutants);
      made.crash(0);
      made.submit(1, 'a');
      return isStuck(made, 1, 400, ({ to, message }) => to !== 3 || message.kind !== 'forward');
    },
  ],
  [
    'timer-not-doubled',
    'changes views faster than a slow network can open one (W6)',
    (mutants) => {
      const made = cluster(mutants);
      made.crash(0);
      made.submit(1, 'a');
      made.run(1_000, ({ message }) => message.kind !== 'new-view');
      return made.node(1).replica.summary.view > 6;
    },
  ],
  [
    'timer-blind-to-pool',
    'waits for a dead leader for ever when nothing was proposed',
    (mutants) => {
      const made = cluster(mutants);
      made.crash(0);
      made.submit(1, 'a');
      return isStuck(made, 1, 400);
    },
  ],
  [
    'relay-missing',
    'leaves a request to the mercy of the leader (Q3)',
    (mutants) => {
      const made = cluster(mutants);
      made.submit(2, 'a');
      const ignoring = ({ from, to, message }: Packet): boolean =>
        !(from === 2 && to === 0 && message.kind === 'forward');
      return isStuck(made, 2, 300, ignoring);
    },
  ],
  [
    'starvation-blind',
    'lets a leader leave one request out for ever while others go through (Q5)',
    (mutants) => {
      const made = cluster(mutants, { limits: { batchRequestsMax: 4, laneRequestsMax: 8 } });
      const { id } = request('censored');
      made.submit(2, 'censored');
      for (let i = 0; i < 300; i++) {
        made.submit(1, `other ${i}`);
        made.run(
          1,
          ({ to, message }) =>
            !(to === 0 && message.kind === 'forward' && message.requests.some((r) => r.id === id)),
        );
      }
      return !made.node(2).ledger.committedIds.has(id);
    },
  ],
  [
    'delays-forgiven',
    'is led for ever by one that holds each proposal for just less than the view timer (Q5)',
    (mutants) => {
      const made = cluster(mutants, { timing: { viewTicks: 10, relayTicks: 1_000 } });
      made.run(12);
      const held: Packet[] = [];
      const passes = (packet: Packet): boolean => {
        const isHeld = packet.from === 0 && packet.message.kind === 'pre-prepare';
        if (isHeld) held.push(packet);
        return !isHeld;
      };
      for (let heights = 0; heights < 20; heights++) {
        for (const gateway of [1, 2, 3]) made.submit(gateway, `${gateway} at ${heights}`);
        for (let ticks = 0; ticks < 9; ticks++) made.run(1, passes);
        for (const packet of held.splice(0)) made.deliver(packet);
        made.settle(passes);
      }
      return made.node(1).replica.summary.view === 0;
    },
  ],
  [
    'old-batches-counted',
    'suspects a leader for batches that are older than the request (Q5)',
    (mutants) => {
      const made = cluster(mutants);
      made.crash(3);
      for (let i = 0; i < 6; i++) {
        made.submit(1, `meanwhile ${i}`);
        made.run(1);
      }
      made.restart(3);
      made.submit(3, 'late');
      for (let i = 0; i < 8; i++) {
        made.submit(1, `later ${i}`);
        made.run(1, ({ from, message }) => !(from === 3 && message.kind === 'forward'));
      }
      return made.node(3).replica.summary.wish > 0;
    },
  ],
  [
    'accused-again',
    'reports a proof of guilt as often as it is shown (R6)',
    (mutants) => {
      const liar = new Liar(1, { mutants });
      const [, , node] = liar.cluster.nodes;
      for (let i = 0; i < 5; i++) {
        for (const { header } of [X, Y]) {
          liar.vote('prepare', header, { view: 0, nv: ZERO_DIGEST }, [2]);
        }
      }
      liar.settle(({ from, to }) => from === 1 && to === 2);
      return node?.evidence.length !== 1;
    },
  ],
  [
    'lanes-ignored',
    'begins with the same lane every time (Q4)',
    (mutants) => {
      const pool = new Pool('me', { ...DEFAULT_LIMITS, batchRequestsMax: 1 }, new Set(mutants));
      for (const id of ['a', 'b', 'c']) pool.add('me', { id, bytes: utf8(id) });
      pool.add('x', { id: 'z', bytes: utf8('z') });
      const [first] = pool.draw();
      pool.remove([first?.id ?? '']);
      return pool.draw()[0]?.id !== 'z';
    },
  ],
  [
    'early-proposal-dropped',
    'forgets the next proposal while it is one batch behind (N10)',
    (mutants) => {
      const made = cluster(mutants);
      made.submit(0, 'a');
      const late: Packet[] = [];
      // Whole batches would repair what is looked for.
      const isLive = ({ message }: Packet): boolean => message.kind !== 'batches';
      const hold = (packet: Packet): boolean => {
        const isHeld = packet.to === 3 && packet.message.kind === 'commit';
        if (isHeld) late.push(packet);
        return !isHeld && isLive(packet);
      };
      made.settle(hold);
      made.submit(0, 'b');
      made.settle(hold);
      for (const packet of late) made.deliver(packet);
      made.settle(isLive);
      return made.heights()[3] !== 2;
    },
  ],
  [
    'bodies-not-fetched',
    'waits for a body that a proposal came without (N11)',
    (mutants) => {
      const liar = new Liar(0, { mutants });
      liar.propose({ ...X }, { view: 0, nv: ZERO_DIGEST }, [], () => false);
      const { header, body } = X;
      const { signature } = voteOf(FOUR, 'prepare', 0, header);
      const nv = ZERO_DIGEST;
      liar.say({ kind: 'pre-prepare', epoch: 0, view: 0, nv, header, body: undefined, signature });
      liar.settle(({ message }) => message.kind === 'pre-prepare');
      liar.say({ kind: 'body', batch: { header, body } });
      liar.settle();
      return liar.cluster.heights()[1] !== 1;
    },
  ],
  [
    'batches-not-fetched',
    'stays behind for ever (S1)',
    (mutants) => {
      const made = cluster(mutants);
      made.crash(3);
      made.submit(0, 'a');
      made.run(20);
      made.restart(3);
      return isStuck(made, 3, 200);
    },
  ],
  [
    'epoch-unchecked',
    'files votes of another epoch (R1, E3)',
    (mutants) => {
      const liar = new Liar(2, { mutants });
      const next = testRoster([1, 1, 1, 1], { epoch: 1, previous: '00'.repeat(32) });
      liar.say(voteOf(next, 'prepare', 2, X.header), [1]);
      liar.settle();
      liar.say(voteOf(FOUR, 'prepare', 2, X.header), [1]);
      liar.settle();
      return liar.cluster.node(1).ignored.has('duplicate');
    },
  ],
  [
    'nv-unchecked',
    'mixes votes under two NEW-VIEWs into one certificate (2.1)',
    (mutants) => {
      const liar = new Liar(1, { mutants });
      liar.enter(1);
      const first = liar.open(liar.newView(1, [0, liar.ownViewChange(1), 2]), [0]);
      const second = liar.open(liar.newView(1, [liar.ownViewChange(1), 2, 3]), [2, 3]);
      liar.propose(X, first, [0], ({ to }) => to === 2);
      liar.propose(X, second, [2], () => false);
      return liar.cluster.signatures.some(
        ({ request: asked }) => asked.key === 'vote' && asked.content.kind === 'commit',
      );
    },
  ],
  [
    'two-f-plus-one',
    'takes 3 of 6, although two such sets need not meet (M2)',
    (mutants) => members([1, 1, 1, 1, 1, 1], mutants).isQuorum([0, 1, 2]),
  ],
  [
    'weights-ignored',
    'takes many light members for a quorum (E6)',
    (mutants) =>
      members([9, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1], mutants, 2).isQuorum([
        1, 2, 3, 4, 5, 6, 7, 8, 9, 10,
      ]),
  ],
  [
    'duplicate-signers-counted',
    'counts one member three times (R4)',
    (mutants) => members([1, 1, 1, 1], mutants).isQuorum([2, 2, 2]),
  ],
  [
    'prepared-cleared-on-new-view',
    'forgets the certificate of a COMMIT that it signed (V12)',
    (mutants) => {
      const prepared = {
        header: X.header,
        certificate: {
          phase: 'prepare',
          vote: voteOf(FOUR, 'prepare', 0, X.header).vote,
          signatures: [],
        },
      } as const;
      const state = {
        ...startEpoch(0, 0, genesisHeader(ORIGIN), ZERO_DIGEST, undefined),
        prepared,
      };
      const active = { nv: ZERO_DIGEST, base: 0, mandate: undefined };
      const content = { epoch: 0, view: 1, viewChanges: [] };
      const grant = grantActivation(state, content, active, new Set(mutants));
      return grant.kind === 'granted' && grant.next.prepared === undefined;
    },
  ],
];

function members(weights: readonly number[], mutants: Mutants, faulty?: number): Members {
  const roster = testRoster(weights, faulty === undefined ? {} : { faulty });
  return new Members(roster, peerOf('r0'), new Set(mutants));
}

describe('a proof that the disk did not take', () => {
  it('is taken from whoever hands it on again', () => {
    const made = cluster([]);
    const node = made.node(1);
    const messages = [X, Y].map(({ header }) => voteOf(FOUR, 'prepare', 3, header));
    const report: Misbehaviour = { rule: 'X1', accused: peerOf('r3'), epoch: 0, messages };
    const proof = { kind: 'evidence', report } as const;
    const isWanted = (): boolean => node.replica.wants(peerOf('r2'), proof).useful;
    const take = (): void => {
      const plan = planMessage(peerOf('r2'), proof, node.replica.context);
      const ready = node.replica.step({
        kind: 'receive',
        message: plan.finish(plan.jobs.map(() => true)),
      });
      assert.deepEqual(ready.evidence, [report]);
    };
    take();
    assert.equal(isWanted(), false, 'it is on its way to the disk');
    node.replica.step({ kind: 'evidence-lost', report });
    assert.equal(isWanted(), true, 'it is not here');
    take();
    node.replica.step({ kind: 'evidence-kept', report });
    node.replica.step({ kind: 'evidence-lost', report });
    assert.equal(isWanted(), false, 'what is kept is not lost by something that failed before');
  });
});

describe('a replica with a bug', () => {
  for (const [mutant, why, play] of KILLS) {
    it(`${why}: ${mutant}`, () => {
      assert.equal(play([]), false, 'without the bug');
      assert.equal(play([mutant]), true, 'with the bug');
    });
  }
});

describe('MUTANTS', () => {
  const sources = ['.', '../../verifier/replication'].flatMap((folder) =>
    readdirSync(`${import.meta.dirname}/${folder}`)
      .filter((file) => file.endsWith('.ts') && file !== 'mutants.ts')
      .map((file) => ({
        isTest: file.endsWith('.test.ts'),
        text: readFileSync(`${import.meta.dirname}/${folder}/${file}`, 'utf8'),
      })),
  );
  const textOf = (isTest: boolean): string =>
    sources
      .filter((source) => source.isTest === isTest)
      .map(({ text }) => text)
      .join('\n');
  const [code, tests] = [textOf(false), textOf(true)];

  it('are at least twenty', () => assert.ok(Object.keys(MUTANTS).length >= 20));

  for (const name of Object.keys(MUTANTS)) {
    it(`has ${name} in the code, and a test that finds it`, () => {
      assert.ok(code.includes(`'${name}'`), 'asked for somewhere');
      assert.ok(tests.includes(`'${name}'`), 'found somewhere');
    });
  }
});
