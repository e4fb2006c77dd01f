// Whose the sockets of a listener are. Anybody can open sockets, and whoever opened enough of them kept
// replicas from coming back: so strangers have some of them, each network a share of those, and a socket that
// a replica has proven itself on counts as that replica's and is not theirs to push out.
import type { Socket } from 'node:net';

import { SocketShares } from '../http/socket-shares.ts';

/** How many sockets there may be, and how long nobody has to prove anything. */
export interface SocketLimits {
  /** On which nobody has proven who they are. */
  readonly strangersMax: number;
  /** Of them, those from one network. */
  readonly perNetwork: number;
  /** Of one replica. */
  readonly perPeer: number;
  /** After which a stranger's is closed, milliseconds. */
  readonly patienceMs: number;
}

const LIMITS: SocketLimits = {
  // A few kilobytes each, and far from the 1,024 descriptors that a process has on some systems.
  strangersMax: 384,
  // More than a log's replicas that come back at one moment from behind one address.
  perNetwork: 32,
  // A replica uses one. After a loss it may open the next before this end knows.
  perPeer: 4,
  // As long as a request may take.
  patienceMs: 20_000,
};

/** The open sockets of a listener. */
export class PeerSockets {
  readonly #limits: SocketLimits;
  readonly #strangers: SocketShares;
  readonly #patience = new WeakMap<Socket, NodeJS.Timeout>();
  /** The oldest first. */
  readonly #peers = new Map<string, Set<Socket>>();

  /** @param limits smaller ones for tests */
  constructor(limits: SocketLimits = LIMITS) {
    const { strangersMax, perNetwork } = limits;
    this.#limits = limits;
    // The oldest one rests: who means well has proven itself by now.
    this.#strangers = new SocketShares({ max: strangersMax, perNetwork, gives: 'oldest' });
  }

  /** Somebody has connected. May close this socket or another stranger's. */
  accepted(socket: Socket): void {
    const timer = setTimeout(() => socket.destroy(), this.#limits.patienceMs).unref();
    this.#patience.set(socket, timer);
    socket.once('close', () => clearTimeout(timer));
    this.#strangers.add(socket);
  }

  /** A replica has proven who it is on this socket. May close its oldest one. */
  proven(socket: Socket, peer: string): void {
    const own = this.#peers.get(peer) ?? new Set();
    if (socket.destroyed || own.has(socket)) return;
    clearTimeout(this.#patience.get(socket));
    this.#strangers.remove(socket);
    this.#peers.set(peer, own);
    own.add(socket);
    socket.once('close', () => {
      own.delete(socket);
      if (own.size === 0 && this.#peers.get(peer) === own) this.#peers.delete(peer);
    });
    const [oldest] = own;
    if (own.size > this.#limits.perPeer) oldest?.destroy();
  }

  /** Sockets on which nobody has proven who they are. */
  get strangers(): number {
    return this.#strangers.count;
  }
}
