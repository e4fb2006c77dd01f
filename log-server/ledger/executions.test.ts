import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import { Executions } from './executions.ts';

/** Of what an execution says, only this matters here. */
function execution(height: number, ...artifacts: readonly string[]): BatchExecution {
  return {
    height,
    artifacts: artifacts.map((sha512) => ({ sha512 })),
  } as unknown as BatchExecution;
}

describe('Executions', () => {
  it('keeps a handful, the newest', () => {
    const executions = new Executions();
    for (let i = 0; i < 20; i++) executions.put(`d${i}`, execution(1, `a${i}`));
    assert.equal(executions.get('d0'), undefined);
    assert.ok(executions.get('d19') !== undefined, 'the newest');
    assert.equal(executions.promised().size, 8);
  });

  it('lets none go whose body is on the disk, however many a faulty leader proposes', () => {
    const executions = new Executions();
    executions.put('voted', execution(1, 'promised'));
    executions.keep('voted');
    for (let i = 0; i < 100; i++) executions.put(`d${i}`, execution(1, `a${i}`));
    assert.ok(executions.get('voted') !== undefined, 'kept');
    assert.ok(executions.promised().has('promised'), 'promised');
    assert.ok(executions.promised().size <= 9, 'bounded');
    executions.release('voted');
    for (let i = 0; i < 10; i++) executions.put(`e${i}`, execution(1));
    assert.ok(!executions.promised().has('promised'), 'its body is gone');
  });

  it('promises what a batch names from its execution until its height is decided', () => {
    const executions = new Executions();
    executions.put('a', execution(1, 'x', 'y'));
    executions.put('b', execution(2, 'z'));
    executions.keep('a');
    assert.deepEqual([...executions.promised()].sort(), ['x', 'y', 'z']);
    executions.dropUpTo(1);
    assert.deepEqual([...executions.promised()], ['z']);
  });
});
