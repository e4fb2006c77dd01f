import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { PLAYS, ROUNDS, play, playAt } from './twins.ts';

/** Every so many-th play; all of them: `npm run sim -- --twins`. A prime, so that all rounds vary. */
const EVERY = 257;

describe('playAt', () => {
  it('names every way of dealing, for every twin, once', () => {
    const seen = new Set<string>();
    for (let number = 0; number < PLAYS; number++) seen.add(JSON.stringify(playAt(number)));
    assert.equal(seen.size, PLAYS);
    assert.equal(playAt(PLAYS - 1).deals.length, ROUNDS);
  });
});

describe('play', () => {
  it(`breaks no invariant in every ${EVERY}th way of dealing twins and others`, async () => {
    let [plays, views, accused] = [0, 0, 0];
    for (let number = 0; number < PLAYS; number += EVERY) {
      const { violation, view, evidence } = await play(playAt(number));
      assert.equal(
        violation,
        undefined,
        `${violation?.message}; see it: npm run sim -- --twins --play ${number}`,
      );
      plays += 1;
      views += view;
      accused += evidence;
    }
    // Twins that never contradict each other would show nothing, nor would a world without view changes.
    assert.ok(views >= plays && accused > 0, `${views} views, ${accused} accusations`);
  });

  it('gives the same result for the same play', async () => {
    assert.deepEqual(await play(playAt(4_711)), await play(playAt(4_711)));
  });

  for (const [mutant, number, invariant] of [
    ['no-mandate', 46, 'I9'],
    ['view-change-forgets-prepared', 0, 'I8'],
    ['commit-in-old-view', 0, 'I7'],
  ] as const) {
    it(`finds ${mutant} in play ${number}`, async () => {
      const { violation } = await play(playAt(number), [mutant]);
      assert.equal(violation?.invariant, invariant);
    });
  }
});
