import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { envelopeJson } from '../../verifier/dsse.ts';
import { canonicalJson } from '../../verifier/json.ts';
import { EXIT } from '../output/exit-codes.ts';

describe('LogSession.roster', () => {
  it('is sent back to no roster that was replaced', async () => {
    const fake = await FakeLog.start(8);
    try {
      await fake.publish({ name: 'left-pad', version: '1.0.0' });
      const urls = fake.replicas.map(({ url }) => url).slice(4);
      fake.log.changeRoster({ weights: [1, 1, 1, 1], urls });
      await fake.publish({ name: 'left-pad', version: '1.0.1' });
      await fake.configure({ replicas: urls });
      assert.equal((await fake.run(['verify', 'left-pad@1.0.1'])).code, EXIT.verified);
      // The members of before are gone; whoever asks them hears nothing, or a stranger.
      for (const replica of fake.replicas.slice(0, 4)) await replica.kill();
      const pinned = fake.log.rosters[0]?.envelope;
      assert.ok(pinned !== undefined, 'there is a pinned roster');
      const liars = fake.replicas.slice(4, 7);
      for (const [i, liar] of liars.entries()) {
        let lies = 0;
        liar.misbehave = ({ path }, response) => {
          if (path !== '/rosters') return false;
          lies++;
          response.end(canonicalJson([envelopeJson(pinned)]));
          return true;
        };
        const seen = await fake.run(['release', 'status', 'left-pad']);
        assert.equal(seen.code, EXIT.verified, `${i + 1} liars: ${seen.stderr}`);
        assert.match(seen.stdout, /nothing waits for signatures/);
        if (i === 0) assert.notEqual(lies, 0, 'the first one was asked');
      }
      // Nobody tells the truth: that is said, and not taken for an answer.
      const [, , , , , , , last] = fake.replicas;
      assert.ok(last !== undefined, 'there are eight replicas');
      last.misbehave = liars[0]?.misbehave;
      const lost = await fake.run(['release', 'status', 'left-pad']);
      assert.notEqual(lost.code, EXIT.verified, lost.stdout);
      assert.match(lost.stderr, /epoch 0/);
    } finally {
      await fake.stop();
    }
  });
});
