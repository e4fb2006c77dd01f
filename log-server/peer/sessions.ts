// The responder's table of sessions: at most one in use and one on trial per peer. A new session takes
// the old one's place only when its first authentic frame arrives, the one that opens a stream, so that half
// a handshake, whoever started it, never cuts off a live connection.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { decodeFrame, frameIsAuthentic, splitMessages } from './frames.ts';
import { PeerRefusal } from './handshake.ts';
import type { SessionKeys } from './handshake.ts';

/** Hellos remembered per peer, so that none is taken twice while its challenge lives. */
const USED_CHALLENGES_MAX = 64;

interface Session {
  readonly keys: SessionKeys;
  /** Counter of the last accepted frame; 0 before the first, whose counter is at least 1. */
  counter: number;
}

interface PeerSessions {
  current: Session | undefined;
  trial: Session | undefined;
  readonly usedChallenges: string[];
}

/** Messages of an accepted frame. */
export interface AcceptedFrame {
  /** Vote key of the sender, hex. */
  readonly peer: string;
  readonly session: SessionKeys;
  readonly counter: number;
  readonly messages: readonly Uint8Array[];
  /** Whether this was the first frame of its session. */
  readonly isFirst: boolean;
}

/** All sessions that peers have opened to this replica. */
export class SessionTable {
  readonly #peers = new Map<string, PeerSessions>();

  /**
   * Takes in a session after a good handshake.
   *
   * @throws {PeerRefusal} when the challenge has been used before: a replayed hello
   */
  open(keys: SessionKeys, challenge: string): void {
    const sessions = this.#of(encodeHex(keys.peer));
    if (sessions.usedChallenges.includes(challenge)) {
      throw new PeerRefusal('the hello has been used before');
    }
    sessions.usedChallenges.push(challenge);
    if (sessions.usedChallenges.length > USED_CHALLENGES_MAX) sessions.usedChallenges.shift();
    sessions.trial = { keys, counter: 0 };
  }

  /** Whether a session exists: asked before anything is held that comes in its name. */
  knows(sessionId: Uint8Array): boolean {
    return this.#find(sessionId) !== undefined;
  }

  /**
   * Checks a frame and moves its session's counter on.
   *
   * @throws {PeerRefusal} unknown session, bad MAC, counter not above the last, malformed messages
   */
  accept(bytes: Uint8Array): AcceptedFrame {
    const frame = decodeFrame(bytes);
    const found = this.#find(frame.session);
    if (found === undefined) throw new PeerRefusal('unknown session');
    const { session, peer, sessions } = found;
    // The MAC before the counter: an unauthentic frame must not learn or change anything.
    if (!frameIsAuthentic(bytes, frame, session.keys.requestKey)) {
      throw new PeerRefusal('the MAC does not fit');
    }
    if (frame.counter <= session.counter) throw new PeerRefusal('replayed frame');
    const isFirst = session.counter === 0;
    session.counter = frame.counter;
    if (sessions.trial === session) {
      sessions.current = session;
      sessions.trial = undefined;
    }
    const messages = splitMessages(frame.payload);
    return { peer, session: session.keys, counter: frame.counter, messages, isFirst };
  }

  /** Forgets the sessions of all peers but these (vote keys, hex): the roster has changed. */
  retain(peers: ReadonlySet<string>): void {
    for (const peer of this.#peers.keys()) if (!peers.has(peer)) this.#peers.delete(peer);
  }

  /** How many sessions exist, those on trial included. */
  get size(): number {
    let count = 0;
    for (const { current, trial } of this.#peers.values()) {
      count += (current === undefined ? 0 : 1) + (trial === undefined ? 0 : 1);
    }
    return count;
  }

  #of(peer: string): PeerSessions {
    const found = this.#peers.get(peer);
    if (found !== undefined) return found;
    const sessions = { current: undefined, trial: undefined, usedChallenges: [] };
    this.#peers.set(peer, sessions);
    return sessions;
  }

  // At most 100 replicas with two sessions each: a walk is cheaper than a second index to keep right.
  #find(id: Uint8Array): { peer: string; session: Session; sessions: PeerSessions } | undefined {
    for (const [peer, sessions] of this.#peers) {
      for (const session of [sessions.current, sessions.trial]) {
        if (session !== undefined && equalBytes(session.keys.id, id)) {
          return { peer, session, sessions };
        }
      }
    }
    return undefined;
  }
}
