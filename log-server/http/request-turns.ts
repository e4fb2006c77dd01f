// Requests of strangers in turn. Node hands over whatever came on all sockets at once, and every request is work on
// the thread that votes are counted in: eight networks with eight questions each under way, a few milliseconds each,
// were half a second between any two votes, and nobody published anything. So a few begin at a time, one of each
// network in turn, and then everything else that has come has its turn.
import type { HttpBindings } from '@hono/node-server';

import { HolderTurns } from './holder-turns.ts';
import { networkOf } from './limits.ts';

/** What a request counts for besides its body: thirty-two of them are a turn, or some milliseconds. */
const REQUEST_COST: number = 8 * 1024;

/** Before the public face. How many wait is bounded by how many sockets there are (socket-shares.ts). */
export class RequestTurns {
  readonly #turns: HolderTurns;

  /** @param turns others for tests */
  constructor(turns: HolderTurns = new HolderTurns()) {
    this.#turns = turns;
  }

  /**
   * Waits for the turn of a request.
   *
   * @returns `false` when its sender has hung up meanwhile: nothing may be done for it
   */
  async wait({ incoming }: Pick<HttpBindings, 'incoming'>): Promise<boolean> {
    const { socket, headers } = incoming;
    // What comes is bounded by each route; what is announced only says how much of a turn that may take.
    const announced = Number(headers['content-length'] ?? 0);
    const length = Number.isSafeInteger(announced) && announced > 0 ? announced : 0;
    const cost = REQUEST_COST + length;
    await this.#turns.run(networkOf(socket.remoteAddress ?? ''), cost, () => Promise.resolve());
    return !socket.destroyed;
  }
}
