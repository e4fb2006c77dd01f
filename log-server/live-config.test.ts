import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CONFIG_FORMAT, parseConfig } from './config.ts';
import type { Config } from './config.ts';
import { LiveConfig } from './live-config.ts';

function configOf(fields: Readonly<Record<string, unknown>> = {}): Config {
  const text = JSON.stringify({
    format: CONFIG_FORMAT,
    replica: 'r0',
    pin: 'ab'.repeat(32),
    publicPort: 1,
    peerPort: 2,
    ...fields,
  });
  return parseConfig(text, 'config.json', '/');
}

describe('LiveConfig', () => {
  it('changes what can be changed, and names what can’t', () => {
    const live = new LiveConfig(configOf());
    assert.equal(live.logLevel, 'info');
    assert.deepEqual(live.reload(configOf()), { changed: [], waiting: [] });
    const next = configOf({ logLevel: 'debug', drainSeconds: 1, publicPort: 9, tickMs: 5 });
    assert.deepEqual(live.reload(next), {
      changed: ['logLevel', 'drainSeconds'],
      waiting: ['publicPort', 'tickMs'],
    });
    assert.deepEqual([live.logLevel, live.drainSeconds], ['debug', 1]);
    // Still not in force, and still said.
    assert.deepEqual(live.reload(next), { changed: [], waiting: ['publicPort', 'tickMs'] });
    assert.deepEqual(live.reload(configOf({ addressWritesPerSecond: 7 })), {
      changed: ['logLevel', 'addressWritesPerSecond', 'drainSeconds'],
      waiting: [],
    });
    assert.equal(live.addressWritesPerSecond, 7);
  });
});
