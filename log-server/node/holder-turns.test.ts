import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HolderTurns } from './holder-turns.ts';

/** A thread in which time passes only by work. */
class Thread {
  nowMs = 0;
  readonly done: string[] = [];
  readonly turns: HolderTurns;
  #then: (() => void) | undefined;

  constructor() {
    this.turns = new HolderTurns({
      nowMs: () => this.nowMs,
      afterOthers: (then) => {
        assert.equal(this.#then, undefined, 'one turn at a time is asked for');
        this.#then = then;
      },
    });
  }

  ask(holder: string, costMs: number): Promise<string> {
    return this.turns.run(holder, async () => {
      this.nowMs += costMs;
      this.done.push(holder);
      return holder;
    });
  }

  /** One turn of the event loop. @returns what was done in it */
  turn(): string {
    const then = this.#then;
    this.#then = undefined;
    const before = this.done.length;
    then?.();
    return this.done.slice(before).join('');
  }
}

describe('HolderTurns', () => {
  it('does little of it at once, however much is asked for', () => {
    const thread = new Thread();
    for (let i = 0; i < 10; i++) void thread.ask('a', 1);
    assert.equal(thread.done.length, 0, 'nothing before its turn');
    assert.deepEqual([thread.turn(), thread.turn(), thread.turn()], ['aaaa', 'aaaa', 'aa']);
    assert.equal(thread.turn(), '', 'and nothing is left');
  });

  it('gives each holder a turn, however much another one asks', () => {
    const thread = new Thread();
    for (let i = 0; i < 100; i++) void thread.ask('a', 1);
    void thread.ask('b', 1);
    void thread.ask('c', 1);
    assert.deepEqual([thread.turn(), thread.turn()], ['abca', 'aaaa']);
  });

  it('passes on what comes of it, and goes on after a failure', async () => {
    const turns = new HolderTurns();
    const failed = turns.run('a', () => Promise.reject(new Error('no')));
    const fine = turns.run('a', async () => 'yes');
    await assert.rejects(failed, /no/);
    assert.equal(await fine, 'yes');
  });
});
