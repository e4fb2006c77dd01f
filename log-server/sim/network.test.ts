import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { runWorld } from './run.ts';
import { drawWorld } from './swarm.ts';

describe('Network', () => {
  // [what is planted, what is found]
  const rows: readonly (readonly [string, { readonly framesKept?: true }, RegExp | undefined])[] = [
    ['nothing', {}, undefined],
    [
      'messages that stay views into frames',
      { framesKept: true },
      /^I12: \d+ bytes held in memory/,
    ],
  ];
  for (const [why, planted, found] of rows) {
    it(`encodes messages into frames; planted: ${why}`, async () => {
      const drawn = drawWorld({ seed: 1, family: 'calm', members: 4 });
      const { violation } = await runWorld({
        ...drawn,
        network: { ...drawn.network, encoded: true, ...planted },
        healed: { ...drawn.healed, encoded: true, ...planted },
      });
      if (found === undefined) assert.equal(violation?.message, undefined);
      else assert.match(violation?.message ?? '', found);
    });
  }
});
