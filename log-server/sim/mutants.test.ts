// Tests of the test: planted bugs have to be found. Here those that the first few worlds bring out; all of
// them are hunted by `npm run sim -- --mutants`.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { MUTANTS, type MutantName } from '../../verifier/replication/mutants.ts';
import {
  HUNTING_GROUNDS,
  absentGateways,
  censoredWorld,
  huntMutant,
  lateWorld,
} from './mutants.ts';
import { runWorld } from './run.ts';
import { drawWorld } from './swarm.ts';

/** Within how many worlds each has to be found. */
const QUICK: readonly (readonly [MutantName, number])[] = [
  ['vote-not-persisted', 2],
  ['body-not-persisted', 2],
  ['prepared-not-persisted', 2],
  ['view-not-persisted', 2],
  ['new-view-not-persisted', 3],
  ['sign-before-durable', 1],
  ['view-change-forgets-prepared', 10],
  ['prepared-cleared-on-new-view', 10],
  ['commit-in-old-view', 10],
  ['no-mandate', 10],
  ['mandate-ignored', 15],
  ['double-vote', 5],
  ['new-view-weak-quorum', 3],
  ['weights-ignored', 10],
  ['cosign-at-commit-vote', 2],
  ['commit-votes-pooled', 10],
  ['epoch-unchecked', 5],
  ['wish-not-resent', 5],
  ['vote-at-base', 10],
  ['wishes-not-amplified', 1],
  ['relay-missing', 1],
  ['starvation-blind', 5],
  ['delays-forgiven', 1],
  ['old-batches-counted', 3],
  ['evidence-not-told', 3],
  ['evidence-unchecked', 10],
  ['hearsay-believed', 10],
  ['prefetch-unhashed', 15],
  ['accused-again', 10],
  ['lanes-ignored', 3],
];

describe('huntMutant', () => {
  it('knows only bugs that can be planted', () => {
    for (const [name] of QUICK) assert.ok(name in MUTANTS, name);
    for (const name of Object.keys(HUNTING_GROUNDS)) assert.ok(name in MUTANTS, name);
  });

  it('finds nothing in the censored world when nothing is planted', async () => {
    for (const seed of [1, 2, 3]) {
      const drawn = drawWorld({ seed, family: 'chaos', members: 4, weighted: false });
      const { violation } = await runWorld(censoredWorld(drawn));
      assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
    }
  });

  it('sees a leader replaced that is almost too late each time, when nothing is planted', async () => {
    for (const seed of [1, 2, 3]) {
      const drawn = drawWorld({ seed, family: 'chaos', members: 4, weighted: false });
      const { violation, viewChanges } = await runWorld(lateWorld(drawn));
      assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
      assert.equal(viewChanges, 1, `seed ${seed}: its successor is not suspected`);
    }
  });

  it('finds nothing among absent gateways when nothing is planted', async () => {
    for (const seed of [1, 2, 3]) {
      const drawn = drawWorld({ seed, family: 'restarts', members: 4, weighted: false });
      const { violation } = await runWorld(absentGateways(drawn));
      assert.equal(violation, undefined, `seed ${seed}: ${violation?.message}`);
    }
  });

  for (const [name, runsMax] of QUICK) {
    it(`finds ${name} within ${runsMax} worlds`, async () => {
      const { violation, runs } = await huntMutant(name, runsMax);
      assert.ok(runs !== undefined, `${name} lives (${MUTANTS[name]})`);
      assert.notEqual(violation, '');
    });
  }
});
