// Each attack runs twice: the core withstands it and everybody comes to one log in the end; the planted
// bug that it aims at is found.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { ATTACKS } from './attacks.ts';
import { Violation } from './violation.ts';

describe('ATTACKS', () => {
  for (const [name, attack, mutants] of ATTACKS) {
    it(`withstands ${name}`, async () => {
      const script = await attack([]);
      await script.release(400);
      const correct = script.world.processes.filter(({ isUp }) => isUp);
      assert.equal(correct.length, 3);
      const heights = correct.map(({ disk }) => disk.height);
      assert.ok(
        heights.every((height) => height >= 1 && height === heights[0]),
        `all come to one log: ${heights.join()}`,
      );
    });
    for (const mutant of mutants) {
      it(`finds ${mutant} by ${name}`, async () => {
        await assert.rejects(attack([mutant]), Violation);
      });
    }
  }
});
