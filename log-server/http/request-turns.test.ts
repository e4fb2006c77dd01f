import assert from 'node:assert/strict';
import type { IncomingMessage } from 'node:http';
import { describe, it } from 'node:test';

import { silentLog } from '../log.ts';
import { HolderTurns } from './holder-turns.ts';
import type { PublicFace } from './face.ts';
import { createPublicApp } from './public.ts';
import { RequestTurns } from './request-turns.ts';

/** An event loop by hand, and requests that come in it. */
class Thread {
  readonly #begun: string[] = [];
  #then: (() => void) | undefined;
  readonly #turns = new RequestTurns(new HolderTurns((then) => (this.#then = then)));

  /** @param length what the request says that its body has */
  ask(address: string, length?: string): { socket: { remoteAddress: string; destroyed: boolean } } {
    const socket = { remoteAddress: address, destroyed: false };
    const headers = length === undefined ? {} : { 'content-length': length };
    const incoming = { socket, headers } as unknown as IncomingMessage;
    void this.#turns.wait({ incoming }).then((mayBegin) => {
      if (mayBegin) this.#begun.push(address.at(-1) ?? '');
    });
    return { socket };
  }

  /** One turn of the event loop. @returns whose requests began in it */
  async turn(): Promise<string> {
    const then = this.#then;
    this.#then = undefined;
    then?.();
    await new Promise((resolve) => setImmediate(resolve));
    return this.#begun.splice(0).join('');
  }
}

describe('RequestTurns', () => {
  // [why, the announced length, how many of forty begin in a turn]
  const rows: readonly (readonly [string, string | undefined, number])[] = [
    ['without a body', undefined, 32],
    ['with a small one', '1024', 29],
    ['with a statement', '16384', 11],
    ['with the largest question for evidence', '4194304', 1],
    ['with an artifact', '268435456', 1],
    ['with a length that is none', '-5', 32],
    ['with a length that is no number', 'many', 32],
    ['with a length beyond numbers', '1e400', 32],
  ];
  for (const [why, length, count] of rows) {
    it(`lets few requests begin at once, however many came: those ${why}`, async () => {
      const thread = new Thread();
      for (let i = 0; i < 40; i++) thread.ask('127.0.0.1', length);
      assert.equal((await thread.turn()).length, count);
      assert.notEqual(await thread.turn(), '', 'and the others in their turn');
    });
  }

  it('lets one of each network begin in turn', async () => {
    const thread = new Thread();
    for (let i = 0; i < 40; i++) thread.ask('127.0.0.1', '65536');
    // All of one network: they share a turn.
    for (let i = 0; i < 9; i++) thread.ask(`2001:db8::${i}`, '65536');
    thread.ask('127.0.0.3');
    assert.match(await thread.turn(), /^1031/);
    assert.match(await thread.turn(), /^1/);
  });

  it('does nothing for whoever has hung up', async () => {
    const thread = new Thread();
    const { socket } = thread.ask('127.0.0.1');
    thread.ask('127.0.0.2');
    socket.destroyed = true;
    assert.equal(await thread.turn(), '2');
  });

  it('stands before every route of the public face', async () => {
    const asked: string[] = [];
    const face = {
      submission: async (id: string) => {
        asked.push(id);
        return undefined;
      },
    } as unknown as PublicFace;
    const app = createPublicApp(face, silentLog, 10);
    const env = {
      incoming: { socket: { remoteAddress: '127.0.0.1', destroyed: false }, headers: {} },
      outgoing: { socket: {}, setHeader: () => undefined },
    };
    const path = `/v1/entries/${'ab'.repeat(32)}`;
    const answers = Array.from({ length: 40 }, async () => app.request(path, {}, env));
    const counts: number[] = [];
    while (asked.length < 40) {
      await new Promise((resolve) => setImmediate(resolve));
      counts.push(asked.length);
    }
    assert.deepEqual(
      counts.filter((count, i) => count !== counts[i - 1] && count > 0),
      [32, 40],
    );
    for (const answer of await Promise.all(answers)) assert.equal(answer.status, 404);
  });
});
