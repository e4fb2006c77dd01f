import assert from 'node:assert/strict';
import { getEventListeners } from 'node:events';
import { describe, it } from 'node:test';

import type { SubmissionState } from '../http/face.ts';
import type { Refusal } from '../ledger/application.ts';
import { Submissions } from './submissions.ts';

const refusal: Refusal = {
  code: 'RELEASE_CONFLICT',
  message: 'taken',
  artifacts: [],
  temporary: false,
};
/** A client that never hangs up: each has a signal of its own. */
const never = (): AbortSignal => new AbortController().signal;
const LONG_MS = 60_000;

async function stateWithin(
  promise: Promise<SubmissionState>,
  milliseconds: number,
): Promise<SubmissionState | 'waiting'> {
  const late = new Promise<'waiting'>((resolve) => {
    setTimeout(() => resolve('waiting'), milliseconds);
  });
  return Promise.race([promise, late]);
}

describe('Submissions', () => {
  it('answers when a checkpoint covers the entry, not when it is only committed', async () => {
    const submissions = new Submissions(0);
    const wait = submissions.wait('a', undefined, LONG_MS, never());
    submissions.committed(['x', 'a'], 10);
    submissions.covered(11);
    assert.equal(await stateWithin(wait, 5), 'waiting');
    submissions.covered(12);
    assert.deepEqual(await wait, { kind: 'committed', id: 'a', index: 11 });
    assert.equal(submissions.waiting, 0);
  });

  it('answers at once for what is covered already', async () => {
    const submissions = new Submissions(5);
    const state = await submissions.wait('a', 4, LONG_MS, never());
    assert.deepEqual(state, { kind: 'committed', id: 'a', index: 4 });
  });

  it('answers also when the checkpoint came before the news of the commit', async () => {
    const submissions = new Submissions(0);
    const wait = submissions.wait('a', undefined, LONG_MS, never());
    submissions.covered(2);
    submissions.committed(['a'], 0);
    assert.deepEqual(await wait, { kind: 'committed', id: 'a', index: 0 });
  });

  it('never goes back to an older checkpoint', async () => {
    const submissions = new Submissions(10);
    submissions.covered(3);
    assert.equal((await submissions.wait('a', 9, LONG_MS, never())).kind, 'committed');
  });

  it('answers pending when the time is over or the client is gone', async () => {
    const submissions = new Submissions(0);
    assert.equal((await submissions.wait('a', undefined, 0, never())).kind, 'pending');
    assert.equal((await submissions.wait('a', undefined, 5, never())).kind, 'pending');
    const client = new AbortController();
    const wait = submissions.wait('a', undefined, LONG_MS, client.signal);
    client.abort();
    assert.equal((await wait).kind, 'pending');
    assert.equal(submissions.waiting, 0);
  });

  it('lets go of a client’s signal, however the wait ended', async () => {
    const submissions = new Submissions(0);
    const client = new AbortController();
    const waits = ['a', 'b', 'c'].map((id) =>
      submissions.wait(id, undefined, id === 'c' ? 1 : LONG_MS, client.signal),
    );
    assert.equal(getEventListeners(client.signal, 'abort').length, 3);
    submissions.refused('a', refusal);
    submissions.committed(['b'], 0);
    submissions.covered(1);
    const kinds = (await Promise.all(waits)).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['refused', 'committed', 'pending']);
    assert.equal(getEventListeners(client.signal, 'abort').length, 0);
  });

  it('tells everybody who waits for one submission', async () => {
    const submissions = new Submissions(0);
    const waits = [1, 2, 3].map(() => submissions.wait('a', undefined, LONG_MS, never()));
    submissions.refused('a', refusal);
    for (const state of await Promise.all(waits)) assert.equal(state.kind, 'refused');
    assert.equal(submissions.waiting, 0);
  });

  it('remembers the fate of what it took in from clients only', () => {
    const submissions = new Submissions(0);
    assert.equal(submissions.stateOf('a'), undefined);
    submissions.accepted('a');
    assert.equal(submissions.stateOf('a')?.kind, 'pending');
    submissions.refused('a', refusal);
    submissions.refused('b', refusal);
    assert.equal(submissions.stateOf('a')?.kind, 'refused');
    assert.equal(submissions.stateOf('b'), undefined);
    submissions.committed(['a'], 0);
    assert.equal(submissions.stateOf('a'), undefined);
  });

  it('forgets the oldest fates', () => {
    const submissions = new Submissions(0);
    for (let i = 0; i < 8001; i++) submissions.accepted(String(i));
    assert.equal(submissions.stateOf('0'), undefined);
    assert.equal(submissions.stateOf('1')?.kind, 'pending');
  });

  it('takes a bounded number of waiters', async () => {
    const submissions = new Submissions(0);
    const waits = Array.from({ length: 2000 }, (_, i) =>
      submissions.wait(String(i), undefined, LONG_MS, never()),
    );
    assert.throws(() => submissions.wait('more', undefined, LONG_MS, never()), {
      name: 'BusyError',
    });
    submissions.release();
    assert.ok((await Promise.all(waits)).every(({ kind }) => kind === 'pending'));
    assert.equal(submissions.waiting, 0);
  });
});
