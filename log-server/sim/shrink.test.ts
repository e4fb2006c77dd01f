import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { has, removable, without } from './faults.ts';
import { huntMutant } from './mutants.ts';
import { replayCommand } from './report.ts';
import { runSeed } from './run.ts';
import { shrink } from './shrink.ts';
import { type Wishes, drawWorld } from './swarm.ts';

describe('without', () => {
  it('leaves out each fault that it names, and only that', () => {
    const seen = new Set<string>();
    for (let seed = 1; seed <= 60; seed++) {
      const world = drawWorld({ seed });
      for (const name of removable(world)) {
        if (!has(world, name)) continue;
        const smaller = without(world, [name]);
        assert.equal(has(smaller, name), false, name);
        seen.add(name.split(':')[0] ?? '');
        const rest = removable(world).filter((other) => other !== name && has(smaller, other));
        assert.ok(rest.every((other) => has(world, other)));
      }
    }
    // Every kind has occurred at least once.
    assert.equal(seen.size, removable(without(drawWorld({ seed: 1 }), ['traitors'])).length + 2);
  });

  it('refuses names that mean nothing', () => {
    const world = drawWorld({ seed: 1 });
    for (const name of ['', 'gravity', 'ticks:', 'ticks:-1', 'ticks:x']) {
      assert.throws(() => without(world, [name]), RangeError, name);
    }
    assert.equal(without(world, ['ticks:7']).faultTicks, 7);
  });
});

describe('shrink', () => {
  it('has nothing to do where nothing goes wrong', async () => {
    assert.equal(await shrink({ seed: 3, members: 4 }), undefined);
  });

  it('keeps of a failing world what it takes, and a command that fails the same way', async () => {
    const mutant = 'view-change-forgets-prepared';
    const { seed } = await huntMutant(mutant, 20);
    assert.ok(seed !== undefined, 'the planted bug is found');
    const wishes: Wishes = { seed, mutants: new Set([mutant]) };
    const shrunk = await shrink(wishes);
    assert.ok(shrunk !== undefined, 'the planted bug shows');
    const world = drawWorld(wishes);
    const left = without(world, shrunk.without);
    const count = (options: typeof world): number =>
      removable(options).filter((name) => has(options, name)).length;
    assert.ok(2 * count(left) <= count(world), `${count(left)} of ${count(world)} faults are left`);
    const again = { ...wishes, without: shrunk.without };
    assert.equal((await runSeed(again)).violation?.invariant, shrunk.invariant);
    assert.ok(
      replayCommand(again).includes(`--without ${shrunk.without.join(',')}`),
      'the command',
    );
  });
});
