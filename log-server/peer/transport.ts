// All connections of one replica to the others: a listener, a dialer per peer, and the inbox between
// the network and the driver. Peers are named by their vote keys, which outlive rosters.
import type { PublicKey } from '../../verifier/ed25519.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import type { Log } from '../log.ts';
import { Dialer } from './dialer.ts';
import type { HandshakeContext } from './handshake.ts';
import { Inbox } from './inbox.ts';
import { PeerListener } from './listener.ts';

/** One other replica. */
export interface PeerAddress {
  readonly name: string;
  readonly voteKey: PublicKey;
  readonly peerUrl: string;
}

/** Who the others are at present. */
export interface PeerGroup {
  readonly context: HandshakeContext;
  /** Without this replica itself. */
  readonly peers: readonly PeerAddress[];
}

interface Link {
  readonly address: PeerAddress;
  readonly dialer: Dialer;
}

/** Sends to and receives from the other replicas. */
export class PeerTransport {
  /** Messages that have arrived and wait for the driver. */
  readonly inbox: Inbox = new Inbox();
  readonly #listener: PeerListener;
  readonly #links = new Map<string, Link>();
  readonly #log: Log;
  #group: PeerGroup;
  #overflowed = 0;

  /** @param arrived called when the inbox has something new */
  constructor(group: PeerGroup, log: Log, arrived: () => void) {
    this.#group = group;
    this.#log = log;
    this.#listener = new PeerListener(
      () => ({ context: this.#group.context, peers: new Set(this.#links.keys()) }),
      {
        received: (peer, messages) => {
          const dropped = this.inbox.push(peer, messages);
          if (dropped > 0) this.#overflow(peer, dropped);
          arrived();
        },
        room: (peer) => this.inbox.room(peer),
        connected: (peer) =>
          this.#log.debug('peer_connected', { peer: this.nameOf(peer), side: 'in' }),
      },
      log,
    );
    this.setGroup(group);
  }

  /** Starts listening; port 0 lets the system choose. @returns the port */
  listen(host: string, port: number): Promise<number> {
    return this.#listener.listen(host, port);
  }

  /** Takes a new roster into account: dials new peers, drops those that have left or moved. */
  setGroup(group: PeerGroup): void {
    this.#group = group;
    const wanted = new Map(group.peers.map((peer) => [publicKeyHex(peer.voteKey), peer]));
    for (const [key, link] of this.#links) {
      if (wanted.get(key)?.peerUrl === link.address.peerUrl) continue;
      this.#links.delete(key);
      link.dialer.close().catch(() => undefined);
    }
    for (const [key, address] of wanted) {
      if (!this.#links.has(key)) this.#links.set(key, { address, dialer: this.#dial(address) });
    }
    this.inbox.retain(new Set(this.#links.keys()));
    this.#listener.directoryChanged();
  }

  /**
   * Queues a message for one peer. Losing it is harmless: the status exchange repairs it.
   *
   * @param peer its vote key, hex; unknown ones are ignored
   * @param replaces see `Outbox.push`
   */
  send(peer: string, message: Uint8Array, replaces?: string): void {
    this.#links.get(peer)?.dialer.send(message, replaces);
  }

  /** Names of the peers whose connection works at present. */
  get connected(): readonly string[] {
    return [...this.#links.values()]
      .filter(({ dialer }) => dialer.isConnected)
      .map(({ address }) => address.name);
  }

  /** Vote keys of the peers whose connection works at present, hex. */
  get connectedKeys(): readonly string[] {
    return [...this.#links].filter(([, { dialer }]) => dialer.isConnected).map(([key]) => key);
  }

  /** The name of a peer, for people. */
  nameOf(peer: string): string {
    return this.#links.get(peer)?.address.name ?? peer.slice(0, 8);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#links.values()].map(({ dialer }) => dialer.close()));
    await this.#listener.close();
  }

  #dial(address: PeerAddress): Dialer {
    return new Dialer(address.peerUrl, address.voteKey, () => this.#group.context, {
      connected: () => this.#log.info('peer_connected', { peer: address.name, side: 'out' }),
      lost: (reason, dropped) =>
        this.#log.warn('peer_lost', { peer: address.name, reason, dropped }),
    });
  }

  #overflow(peer: string, dropped: number): void {
    // One line per power of two: a flood must not become a flood of log lines.
    const before = this.#overflowed;
    this.#overflowed += dropped;
    if (Math.floor(Math.log2(before + 1)) !== Math.floor(Math.log2(this.#overflowed + 1))) {
      this.#log.warn('peer_overflow', { peer: this.nameOf(peer), dropped: this.#overflowed });
    }
  }
}
