// I16: a process is cut off after its first effect, after its second, and so on; it starts again from what
// its disk kept. Whatever the place, no invariant breaks and everything is committed in the end.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CALM } from './network.ts';
import { runWorld } from './run.ts';
import { type WorldOptions, drawWorld } from './swarm.ts';

/** Effects that are tried one by one: some batches and, for the leader, a view change. */
const EFFECTS = 90;

/** Nobody is faulty; only the cut that the test makes happens. */
function quietWorld(seed: number): WorldOptions {
  const drawn = drawWorld({ seed, members: 4, family: 'phases' });
  return {
    ...drawn,
    members: [0, 1, 2, 3].map((node) => ({ node, weight: 1 })),
    faultyWeight: 1,
    treasons: [],
    lostDisks: [],
    spares: 0,
    network: CALM,
    crash: 0,
    faultTicks: 30,
    downTicks: 8,
    load: 0.6,
    loadGoesOn: false,
    artifacts: 0.3,
    rosterChanges: 0,
  };
}

describe('a crash', () => {
  for (const [who, machine] of [
    ['the leader', 0],
    ['a follower', 1],
  ] as const) {
    it(`of ${who} at any effect loses nothing and breaks no promise`, async () => {
      let crashes = 0;
      for (let effects = 1; effects <= EFFECTS; effects++) {
        const result = await runWorld(quietWorld(effects), false, (world) => {
          const process = world.processes[machine];
          assert.ok(process !== undefined);
          process.effectsLeft = effects;
        });
        assert.equal(
          result.violation,
          undefined,
          `after ${effects} effects: ${result.violation?.message}`,
        );
        assert.ok(result.height > 0, `after ${effects} effects nothing is committed`);
        crashes += result.crashes;
      }
      assert.equal(crashes, EFFECTS, 'each run has its crash');
    });
  }
});
