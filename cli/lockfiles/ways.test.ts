import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseLockfile } from './parse.ts';
import { Ways, WAY_STEPS_MAX } from './ways.ts';

// p0 asks for p1, which asks for p2, and so on.
function chain(length: number): Ways {
  const names = Array.from({ length }, (_, i) => `p${i}`);
  const integrity = `sha512-${Buffer.alloc(64).toString('base64')}`;
  const packages = Object.fromEntries(
    names.map((name) => [`node_modules/${name}`, { version: '1.0.0', integrity }]),
  );
  const text = JSON.stringify({ lockfileVersion: 3, packages: { '': {}, ...packages } });
  const lockfile = parseLockfile(Buffer.from(text), 'package-lock.json');
  const nodes = new Map(names.map((name) => [`node_modules/${name}`, `node_modules/${name}`]));
  const askers = new Map(
    names.map((name, i) => [`node_modules/${name}`, i === 0 ? '' : `node_modules/p${i - 1}`]),
  );
  return new Ways(lockfile, { askers, nodes });
}

describe('Ways', () => {
  it('goes from the project to the package', () => {
    const ways = chain(3);
    assert.deepEqual(ways.to('node_modules/p2'), [
      'this project',
      'p0@1.0.0',
      'p1@1.0.0',
      'p2@1.0.0',
    ]);
    assert.equal(ways.to('node_modules/other'), undefined);
  });

  it('shows both ends of a long way', () => {
    const whole = chain(WAY_STEPS_MAX).to(`node_modules/p${WAY_STEPS_MAX - 2}`);
    assert.equal(whole?.length, WAY_STEPS_MAX);
    assert.ok(!whole.includes('…'), 'a way of just that length is whole');
    const cut = chain(5_000).to('node_modules/p4999');
    assert.equal(cut?.length, WAY_STEPS_MAX);
    assert.deepEqual(cut.slice(0, 2), ['this project', 'p0@1.0.0']);
    assert.deepEqual(cut.slice(7, 10), ['p6@1.0.0', '…', 'p4993@1.0.0']);
    assert.equal(cut.at(-1), 'p4999@1.0.0');
  });
});
