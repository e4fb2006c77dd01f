import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { HolderTurns } from './holder-turns.ts';

/** A fourth of what is done in one turn. */
const PIECE: number = 64 * 1024;

/** An event loop by hand. */
class Thread {
  readonly done: string[] = [];
  readonly turns: HolderTurns;
  #then: (() => void) | undefined;

  constructor() {
    this.turns = new HolderTurns((then) => {
      assert.equal(this.#then, undefined, 'one turn at a time is asked for');
      this.#then = then;
    });
  }

  ask(holder: string, bytes: number): Promise<string> {
    return this.turns.run(holder, bytes, async () => {
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
    for (let i = 0; i < 10; i++) void thread.ask('a', PIECE);
    assert.equal(thread.done.length, 0, 'nothing before its turn');
    assert.deepEqual([thread.turn(), thread.turn(), thread.turn()], ['aaaa', 'aaaa', 'aa']);
    assert.equal(thread.turn(), '', 'and nothing is left');
  });

  it('does a batch of ordinary ones in one turn, however long that takes', () => {
    const thread = new Thread();
    for (let i = 0; i < 200; i++) void thread.ask('a', 1200);
    assert.equal(thread.turn().length, 200);
  });

  it('does few at once of those that are nothing, which cost as much to refuse', () => {
    const thread = new Thread();
    for (let i = 0; i < 1000; i++) void thread.ask('a', 0);
    assert.equal(thread.turn().length, 256);
  });

  it('gives each holder a turn, however much another one asks', () => {
    const thread = new Thread();
    for (let i = 0; i < 100; i++) void thread.ask('a', PIECE);
    void thread.ask('b', PIECE);
    void thread.ask('c', PIECE);
    assert.deepEqual([thread.turn(), thread.turn()], ['abca', 'aaaa']);
  });

  it('passes on what comes of it, and goes on after a failure', async () => {
    const turns = new HolderTurns();
    const failed = turns.run('a', 1, () => Promise.reject(new Error('no')));
    const fine = turns.run('a', 1, async () => 'yes');
    await assert.rejects(failed, /no/);
    assert.equal(await fine, 'yes');
  });
});
