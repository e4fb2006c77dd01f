// What a peer may cost that says nothing. Turns (peer/inbox.ts) keep it from holding others up while there is other
// work; they don't keep it from taking the rest of the machine: one faulty peer had every replica that it could reach
// read at full speed, a core each, which on small machines is taken from signatures, from the disk and from
// neighbours. A correct replica says little that nobody needs, and not much of what is rationed here at all: its
// messages never wait for this.
import type { Message } from '../consensus/types.ts';

/**
 * Cost per second of each peer, in bytes that are read: a fifth of a thread for the messages that cost most. A busy
 * log of ten replicas has less on all its connections together.
 */
const COST_PER_SECOND: number = 32 * 1024 * 1024;

/** Cost at one time: more than a pool holds, handed on twice by a replica whose leader has changed. */
const COST_BURST: number = 2 * COST_PER_SECOND;

/** Of a message besides its bytes: to find that it means nothing takes as long as reading as many. */
const MESSAGE_COST = 1024;

/** Of each request that is handed on, besides: it is judged. */
const REQUEST_COST = 1024;

/** Of each signature that was checked in vain: a tenth of a millisecond of another core, and no correct replica sends one. */
const SIGNATURE_COST: number = 64 * 1024;

/** What peers have cost lately that was of no use. */
export class Waste {
  /** What each may cost now, and since when. Below zero it rests. */
  readonly #accounts = new Map<string, { left: number; atMs: number }>();
  readonly #nowMs: () => number;

  /** @param nowMs a monotonic clock */
  constructor(nowMs: () => number = () => performance.now()) {
    this.#nowMs = nowMs;
  }

  /**
   * A message was read.
   *
   * @param message as far as it could be read
   * @param isUseful whether anybody needed it
   */
  read(peer: string, bytes: Uint8Array, message: Message | undefined, isUseful: boolean): void {
    const isRationed = message?.kind === 'forward' || message?.kind === 'status';
    if (isUseful && !isRationed) return;
    const isPassedOn = message?.kind === 'forward' || message?.kind === 'prefetch';
    const requests = isPassedOn ? message.requests.length : 0;
    // The bytes of requests that are judged wait for turns of their own (holder-turns.ts).
    const length = isUseful ? 0 : bytes.length;
    this.#spend(peer, length + MESSAGE_COST + REQUEST_COST * requests);
  }

  /** A message was refused for a bad signature, of so many that were checked. */
  checked(peer: string, signatures: number): void {
    this.#spend(peer, SIGNATURE_COST * signatures);
  }

  /** How long nothing more of a peer is read, milliseconds; 0 when it may go on. */
  restMs(peer: string): number {
    if (!this.#accounts.has(peer)) return 0;
    const { left } = this.#account(peer);
    return left >= 0 ? 0 : Math.ceil((-left / COST_PER_SECOND) * 1000);
  }

  #spend(peer: string, cost: number): void {
    const account = this.#account(peer);
    account.left -= cost;
    this.#accounts.set(peer, account);
  }

  /** The account as it is now. */
  #account(peer: string): { left: number; atMs: number } {
    const now = this.#nowMs();
    const account = this.#accounts.get(peer) ?? { left: COST_BURST, atMs: now };
    const earned = (Math.max(0, now - account.atMs) / 1000) * COST_PER_SECOND;
    account.left = Math.min(COST_BURST, account.left + earned);
    account.atMs = now;
    return account;
  }
}
