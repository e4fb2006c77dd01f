// The simulator in small, for every run of the tests: the same seed is the same world; no invariant
// breaks; a world with traitors, crashes and partitions of every kind comes to rest.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { thresholds } from '../../verifier/quorum.ts';
import { ASKED_FOR, BEHAVIOURS } from './behaviours.ts';
import { replayCommand } from './report.ts';
import { runSeed } from './run.ts';
import { type Wishes, drawWorld } from './swarm.ts';

/** How many seeds are tried. All together: about a minute on an idle core. */
const SEEDS_OF_FOUR = 100;
const SEEDS_OF_SEVEN = 20;

async function requireNoViolation(wishes: Wishes): Promise<number> {
  const result = await runSeed(wishes);
  const { violation } = result;
  assert.equal(violation, undefined, `${violation?.message}; see it: ${replayCommand(wishes)}`);
  return result.height;
}

const gateways = (seed: number): Wishes => ({ seed, family: 'restarts' });

describe('runSeed', () => {
  it('gives the same run for the same seed (I15)', async () => {
    for (const seed of [3, 4, 5, 6]) {
      const [one, two] = [
        await runSeed({ seed, members: 4 }),
        await runSeed({ seed, members: 4 }, true),
      ];
      assert.equal(one.fingerprint, two.fingerprint, `seed ${seed}`);
      assert.equal(one.messages, two.messages, `seed ${seed}`);
      assert.ok(one.lines.length === 0 && two.lines.length > 0, 'a transcript only when asked for');
    }
  });

  it('gives another run for another seed', async () => {
    const prints = new Set<string>();
    for (const seed of [11, 12, 13, 14])
      prints.add((await runSeed({ seed, members: 4 })).fingerprint);
    assert.equal(prints.size, 4);
  });

  it(`keeps all invariants with four replicas in ${SEEDS_OF_FOUR} worlds`, async () => {
    let heights = 0;
    for (let seed = 1; seed <= SEEDS_OF_FOUR; seed++) {
      heights += await requireNoViolation({ seed, members: 4 });
    }
    // A simulator in which nothing is ever committed finds nothing either.
    assert.ok(heights > 20 * SEEDS_OF_FOUR, `${heights} heights`);
  });

  it(`keeps all invariants with seven replicas in ${SEEDS_OF_SEVEN} worlds`, async () => {
    for (let seed = 1; seed <= SEEDS_OF_SEVEN; seed++) {
      await requireNoViolation({ seed, members: 7 });
    }
  });

  it('keeps all invariants under each behaviour alone', async () => {
    assert.ok(BEHAVIOURS.length >= 14, 'the catalogue of RELIABILITY R3');
    for (const { name } of [...BEHAVIOURS, ...ASKED_FOR]) {
      for (const seed of [1001, 1002]) {
        await requireNoViolation({ seed, members: 4, behaviours: [name], family: 'chaos' });
      }
    }
  });

  for (const ledger of ['toy', 'real'] as const) {
    it(`leaves out of proposals what followers were sent ahead, with the ${ledger} ledger`, async () => {
      const wishes: Wishes = { seed: 1, members: 4, family: 'crowded', ledger };
      const { violation, prefetched, arrived } = await runSeed(wishes);
      assert.equal(violation, undefined, violation?.message);
      // Three followers; what comes too late or out of order is asked for, which is less than half.
      assert.ok(prefetched > 200, `${prefetched} entries`);
      const [proposals = 0, bodies = 0] = [arrived.get('pre-prepare'), arrived.get('body')];
      assert.ok(2 * bodies < proposals, `${bodies} bodies for ${proposals} proposals`);
      assert.ok(
        (arrived.get('prefetch') ?? 0) <= 2 * proposals,
        'parts, not a message per request',
      );
    });
  }

  // What went wrong once, and by what.
  const red: readonly (readonly [string, Wishes])[] = [
    ['a place that an invalid request took in a batch counted as room', { seed: 20111 }],
    ['a gateway switched on again held old batches against the leader', gateways(2)],
    ['and ran after a log that moved on between two STATUS messages', gateways(6)],
    ['and was a few batches behind only', gateways(12)],
    ['what a gateway had sent before its crash left its lane no room', { seed: 70256 }],
    ['a COMMIT without a PREPARE before it was forgotten in a crash', { seed: 605 }],
    ['a proof that a failing disk did not take was never taken again', { seed: 689 }],
  ];
  for (const [why, wishes] of red) {
    it(`suspects no leader: ${why}`, async () => {
      await requireNoViolation(wishes);
    });
  }

  it('keeps all invariants with twins', async () => {
    for (let seed = 2001; seed <= 2010; seed++) {
      await requireNoViolation({ seed, members: 4, behaviours: ['twins'], family: 'phases' });
    }
  });

  it('keeps all invariants with real Ed25519 signatures', async () => {
    for (const seed of [3001, 3002]) {
      await requireNoViolation({ seed, members: 4, realSignatures: true });
    }
  });

  it('keeps all invariants with the rules of the real ledger', async () => {
    for (const seed of [3, 4]) await requireNoViolation({ seed, members: 4, ledger: 'real' });
  });

  it('changes rosters by the rules of the real ledger, which once refused all of them here', async () => {
    const wishes: Wishes = { seed: 3, members: 4, ledger: 'real' };
    await requireNoViolation(wishes);
    const { epochs } = await runSeed(wishes);
    assert.ok(epochs > 0, 'a roster has taken effect');
  });
});

describe('a world with too many traitors', () => {
  it('stands still, or forks and proves who did it', async () => {
    const rules = new Set<string>();
    let forks = 0;
    for (let seed = 1; seed <= 20; seed++) {
      const wishes: Wishes = { seed, family: 'beyond' };
      const { violation, verdict, options } = await runSeed(wishes);
      assert.equal(violation, undefined, `${violation?.message}; see it: ${replayCommand(wishes)}`);
      if (verdict === undefined) continue;
      forks += 1;
      for (const rule of verdict.rules) rules.add(rule);
      const traitors = options.treasons.map(({ node }) => `r${node}`);
      assert.ok(
        verdict.accused.every((name) => traitors.includes(name)),
        `seed ${seed}`,
      );
    }
    // In one view and over several: both ways of being found out have to have been tried.
    assert.ok(forks >= 5, `${forks} forks`);
    assert.ok(rules.has('X2') && rules.has('X3'), [...rules].join(' '));
  });
});

describe('drawWorld', () => {
  it('never draws traitors and lost disks of more weight than may be faulty', () => {
    let traitors = 0;
    for (let seed = 1; seed <= 500; seed++) {
      const { family, members, faultyWeight, treasons, lostDisks } = drawWorld({ seed });
      if (family === 'beyond') continue;
      const bad = [...treasons.map(({ node }) => node), ...lostDisks];
      const weight = bad.reduce((sum, node) => sum + (members[node]?.weight ?? 0), 0);
      assert.ok(weight <= faultyWeight, `seed ${seed}: ${weight} of ${faultyWeight}`);
      traitors += treasons.length;
    }
    assert.ok(traitors > 200, `${traitors} traitors`);
  });

  it('draws traitors that are too many but no quorum, where they are meant to be', () => {
    let worlds = 0;
    for (let seed = 1; seed <= 200; seed++) {
      const world = drawWorld({ seed, family: 'beyond' });
      const weights = world.members.map(({ weight }) => weight);
      const weight = world.treasons.reduce((sum, { node }) => sum + (weights[node] ?? 0), 0);
      const { quorum } = thresholds(weights, world.faultyWeight);
      assert.ok(weight < quorum, `seed ${seed}: ${weight} of ${quorum}`);
      if (weight > world.faultyWeight) worlds += 1;
    }
    assert.ok(worlds > 190, `${worlds} worlds`);
  });

  it('draws every behaviour and every family', () => {
    const names = new Set<string>();
    const families = new Set<string>();
    for (let seed = 1; seed <= 500; seed++) {
      const { treasons, family } = drawWorld({ seed });
      families.add(family);
      for (const { behaviours, twins } of treasons) {
        for (const name of behaviours) names.add(name);
        if (twins) names.add('twins');
      }
    }
    assert.equal(names.size, BEHAVIOURS.length + 1);
    assert.deepEqual([...families].sort(), [
      'beyond',
      'calm',
      'chaos',
      'crowded',
      'phases',
      'restarts',
      'slow',
    ]);
  });
});
