// Sockets of strangers, in shares. A number for all together is no bound for a stranger but for everybody
// else: whoever opens as many has them all, and costs nobody a connection but others.
import type { Socket } from 'node:net';

import { networkOf } from './limits.ts';

/** How many sockets there may be. */
export interface ShareLimits {
  readonly max: number;
  /** Of them, those from one network. */
  readonly perNetwork: number;
  /** Which one of a network's sockets is closed when it has too many. */
  readonly gives: 'oldest' | 'newest';
}

/** Sockets by network. Whoever has most gives way to whoever has less. */
export class SocketShares {
  readonly #limits: ShareLimits;
  /** The oldest first. */
  readonly #networks = new Map<string, Set<Socket>>();
  /** Whose each is: a socket that is closed has no address any more. */
  readonly #owner = new WeakMap<Socket, string>();
  #count = 0;

  constructor(limits: ShareLimits) {
    this.#limits = limits;
  }

  /** Somebody has connected. May close this socket or another one. */
  add(socket: Socket): void {
    const network = networkOf(socket.remoteAddress ?? '');
    const own = this.#networks.get(network) ?? new Set();
    this.#networks.set(network, own);
    own.add(socket);
    this.#owner.set(socket, network);
    this.#count += 1;
    socket.once('close', () => this.remove(socket));
    const { max, perNetwork } = this.#limits;
    if (own.size > perNetwork) this.#cut(own);
    else if (this.#count > max) this.#cut(this.#largest());
  }

  /** The socket is counted no more. */
  remove(socket: Socket): void {
    const network = this.#owner.get(socket) ?? '';
    const own = this.#networks.get(network);
    if (own?.delete(socket) !== true) return;
    this.#count -= 1;
    if (own.size === 0) this.#networks.delete(network);
  }

  get count(): number {
    return this.#count;
  }

  #cut(own: ReadonlySet<Socket>): void {
    const socket = this.#limits.gives === 'oldest' ? [...own][0] : [...own].at(-1);
    if (socket === undefined) return;
    this.remove(socket);
    socket.destroy();
  }

  #largest(): ReadonlySet<Socket> {
    let largest: ReadonlySet<Socket> = new Set();
    for (const own of this.#networks.values()) if (own.size > largest.size) largest = own;
    return largest;
  }
}
