// Whose the sockets of a listener are. Anybody can open sockets, and whoever opened enough of them kept
// replicas from coming back: so strangers have some of them, each network a share of those, and a socket that
// a replica has proven itself on counts as that replica's and is not theirs to push out.
import type { Socket } from 'node:net';

import { networkOf } from '../http/limits.ts';

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
  // As long as the largest frame may take: it proves nothing before its end.
  patienceMs: 20_000,
};

/** The open sockets of a listener. */
export class PeerSockets {
  readonly #limits: SocketLimits;
  /** The oldest first. */
  readonly #strangers = new Map<string, Set<Socket>>();
  readonly #peers = new Map<string, Set<Socket>>();
  /** What ends a stranger's patience, and takes it off the count. */
  readonly #leave = new WeakMap<Socket, () => void>();
  #count = 0;

  /** @param limits smaller ones for tests */
  constructor(limits: SocketLimits = LIMITS) {
    this.#limits = limits;
  }

  /** Somebody has connected. May close this socket or another stranger's. */
  accepted(socket: Socket): void {
    const network = networkOf(socket.remoteAddress ?? '');
    const own = group(this.#strangers, network);
    own.add(socket);
    this.#count += 1;
    const timer = setTimeout(() => socket.destroy(), this.#limits.patienceMs).unref();
    const leave = (): void => {
      clearTimeout(timer);
      if (!drop(this.#strangers, network, socket)) return;
      this.#count -= 1;
    };
    this.#leave.set(socket, leave);
    socket.once('close', leave);
    const { perNetwork, strangersMax } = this.#limits;
    if (own.size > perNetwork) this.#cut(own);
    else if (this.#count > strangersMax) this.#cut(this.#largest());
  }

  /** A replica has proven who it is on this socket. May close its oldest one. */
  proven(socket: Socket, peer: string): void {
    const own = this.#peers.get(peer);
    if (socket.destroyed || own?.has(socket) === true) return;
    this.#leave.get(socket)?.();
    const sockets = group(this.#peers, peer);
    sockets.add(socket);
    socket.once('close', () => drop(this.#peers, peer, socket));
    if (sockets.size > this.#limits.perPeer) this.#cut(sockets);
  }

  /** Sockets on which nobody has proven who they are. */
  get strangers(): number {
    return this.#count;
  }

  #cut(sockets: ReadonlySet<Socket>): void {
    const [oldest] = sockets;
    if (oldest === undefined) return;
    this.#leave.get(oldest)?.();
    oldest.destroy();
  }

  /** Whoever has most gives way to whoever has less. */
  #largest(): ReadonlySet<Socket> {
    let largest: ReadonlySet<Socket> = new Set();
    for (const one of this.#strangers.values()) if (one.size > largest.size) largest = one;
    return largest;
  }
}

function group(groups: Map<string, Set<Socket>>, name: string): Set<Socket> {
  const found = groups.get(name);
  if (found !== undefined) return found;
  const made = new Set<Socket>();
  groups.set(name, made);
  return made;
}

/** @returns whether it was there */
function drop(groups: Map<string, Set<Socket>>, name: string, socket: Socket): boolean {
  const found = groups.get(name);
  if (found?.delete(socket) !== true) return false;
  if (found.size === 0) groups.delete(name);
  return true;
}
