// Limits on what strangers may ask of a replica. Each is a named number with its reason; what is over
// is refused at once with a hint when to come back, never queued without bound.
import { OFFERED_AT_ONCE } from '../store/artifact-store.ts';

/** Largest small document that anyone may send us: an envelope (65,535 bytes) with air. */
export const DOCUMENT_BYTES_MAX: number = 64 * 1024;

/** Largest evidence request: 10,000 subjects of up to 400 characters. */
export const EVIDENCE_REQUEST_BYTES_MAX: number = 4 * 1024 * 1024;

/** Most subjects in one evidence request (the contract of the evidence format). */
export const EVIDENCE_SUBJECTS_MAX = 10_000;

/** Largest artifact: no package of npm's thousand most used is larger than 160 MB unpacked. */
export const ARTIFACT_BYTES_MAX: number = 256 * 1024 * 1024;

/** How long a small body may take to arrive: a slow sender is cut, not waited for. */
export const DOCUMENT_TIMEOUT_MS = 10_000;

/** How long an artifact's body may pause between two chunks; its pace is bounded besides (pace.ts). */
export const ARTIFACT_IDLE_TIMEOUT_MS = 10_000;

/** How long an artifact may take altogether: 256 MiB at 1 MB/s. */
export const ARTIFACT_TIMEOUT_MS = 300_000;

/** Longest `?wait=` of a submission, seconds: below the idle timeouts of common proxies. */
export const WAIT_SECONDS_MAX = 30;

/** Submissions that wait for their commit at one time; each holds a socket and a timer. */
export const WAITING_MAX = 2000;

/** Of them, those from one network: who has many releases to publish; eight such have a place each. */
export const WAITING_PER_NETWORK_MAX = 250;

/** Submissions in admission at one time: twice what one batch holds, so overload shows up as 503. */
export const ADMISSIONS_MAX = 1000;

/** Of them, those from one network: half of what one batch holds. */
export const ADMISSIONS_PER_NETWORK_MAX = 250;

/** Artifacts that arrive at one time: each holds a file and, at the end, its bytes in memory. */
export const UPLOADS_MAX: number = OFFERED_AT_ONCE;

/** Of them, those from one address: nobody takes all places, and a slow one of its own blocks nobody. */
export const UPLOADS_PER_ADDRESS_MAX = 2;

/** Small artifacts (64 KiB, announced as such) that arrive at one time, alone or with their envelope: 40 MiB of memory at most. */
export const SMALL_UPLOADS_MAX = 256;

/** Of them, those from one address: a publisher of many packages shares one transaction among them. */
export const SMALL_UPLOADS_PER_ADDRESS_MAX = 64;

/** Parcels of small artifacts on their way at one time: each holds 2 MiB until it is sent. */
export const PARCELS_MAX = 16;

/** Of them, those to one address: the other replicas of a small log, on one machine. */
export const PARCELS_PER_ADDRESS_MAX = 12;

/** How long a parcel may take to be sent, milliseconds: 2 MiB at 200 kB/s. */
export const PARCEL_SEND_MS = 10_000;

/**
 * Up to this size a request with submissions takes a place of a small upload, as the artifact alone would: an
 * envelope with its small artifact.
 */
export const SMALL_PARCEL_BYTES_MAX: number = 160 * 1024;

/** Larger ones that are read at one time: each holds two megabytes of artifacts at most. */
export const SUBMISSION_PARCELS_MAX = 8;

/** Of them, those from one address: a release of a monorepo, or a mirror, sends a few. */
export const SUBMISSION_PARCELS_PER_ADDRESS_MAX = 4;

/**
 * Frames of such a larger one that are held: artifacts that are being stored, and envelopes that wait for theirs.
 * Enough for one transaction of artifacts, and with all others that may arrive fewer than the store takes.
 */
export const SUBMISSION_PARCEL_HELD_MAX = 32;

/** How long a request with submissions may take altogether, milliseconds: its pace is bounded besides. */
export const SUBMISSION_PARCEL_TIMEOUT_MS = 270_000;

/** Large artifacts sent at one time: each reads its file twice and holds it open, and some hundred kilobytes. */
export const ARTIFACT_READS_MAX = 1024;

/** Of them, those to one network: a building full of machines that install; eight such have a place each. */
export const ARTIFACT_READS_PER_NETWORK_MAX = 128;

/** Large requests for evidence that are read or wait, up to 4 MiB each, and as many small ones that wait. */
export const EVIDENCE_REQUESTS_MAX = 64;

/** Of them, those from one network, of which one at a time is answered. */
export const EVIDENCE_REQUESTS_PER_NETWORK_MAX = 8;

/** Evidence documents made at one time: each may hold tens of megabytes. */
export const EVIDENCE_BUILDS_MAX = 4;

/** Answers with committed batches made at one time: each may hold 4 MiB, twice. */
export const BATCH_READS_MAX = 4;

/** Proposals that are checked at one time: each costs up to 64 signatures. */
export const PROPOSAL_POSTS_MAX = 8;

/** Answers with proposals on their way at one time: each holds up to 4 MiB until it is sent, 64 MiB together. */
export const PROPOSAL_READS_MAX = 16;

/** Of them, those to one address: maintainers of a team behind one, and nobody takes all places. */
export const PROPOSAL_READS_PER_ADDRESS_MAX = 4;

/** How long an answer with proposals may take to be sent, milliseconds: 4 MiB at 400 kB/s. */
export const PROPOSAL_SEND_MS = 10_000;

/** Proposals that one maintainer's key may sign per second, ten times as many at once: each costs an fsync. */
export const KEY_PROPOSALS_PER_SECOND = 1;

/** Reports of misbehaviour read at one time, one for each network: each may hold tens of megabytes. */
export const REPORT_READS_MAX = 4;

/** Heads that strangers report, read and judged at one time, one of each network: each costs up to 64 signatures. */
export const HEAD_REPORTS_MAX = 4;

/** Pages of the explorer made at one time: a package's may list thousands of versions. */
export const PAGES_MAX = 2;

/** Addresses remembered for rate limits; the least recently seen is forgotten. */
export const ADDRESSES_MAX = 10_000;

/** A bucket of tokens that fills with time. */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perSecond: number;
  readonly #nowMs: () => number;
  #tokens: number;
  #filledMs: number;

  /** @param nowMs a monotonic clock */
  constructor(capacity: number, perSecond: number, nowMs: () => number) {
    this.#capacity = capacity;
    this.#perSecond = perSecond;
    this.#nowMs = nowMs;
    this.#tokens = capacity;
    this.#filledMs = nowMs();
  }

  /** Takes one token; `false` when there is none. */
  take(): boolean {
    const now = this.#nowMs();
    const earned = ((now - this.#filledMs) / 1000) * this.#perSecond;
    this.#tokens = Math.min(this.#capacity, this.#tokens + Math.max(0, earned));
    this.#filledMs = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** One bucket per address, for a bounded number of addresses. */
export class AddressLimiter {
  readonly #buckets = new Map<string, TokenBucket>();
  readonly #perSecond: () => number;
  readonly #nowMs: () => number;
  #rate: number;

  /** @param perSecond asked for each time, so that it can change; then everybody starts anew */
  constructor(perSecond: number | (() => number), nowMs: () => number) {
    this.#perSecond = typeof perSecond === 'number' ? (): number => perSecond : perSecond;
    this.#nowMs = nowMs;
    this.#rate = this.#perSecond();
  }

  /** Whether this address may do one more thing now. */
  allows(address: string): boolean {
    const rate = this.#perSecond();
    if (rate !== this.#rate) this.#buckets.clear();
    this.#rate = rate;
    const bucket = this.#buckets.get(address) ?? new TokenBucket(10 * rate, rate, this.#nowMs);
    // Put at the end again: a Map keeps its order, so the first is the least recently seen.
    this.#buckets.delete(address);
    this.#buckets.set(address, bucket);
    if (this.#buckets.size > ADDRESSES_MAX) {
      const oldest = this.#buckets.keys().next();
      if (oldest.done !== true) this.#buckets.delete(oldest.value);
    }
    return bucket.take();
  }

  get size(): number {
    return this.#buckets.size;
  }
}

/** Counts how many of something run at one time, up to a limit. */
export class Gate {
  readonly #limit: number;
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * Runs `work` unless the gate is full.
   *
   * @returns its result, or `undefined` when there was no room and nothing was started
   */
  async run<T>(work: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    if (this.#running >= this.#limit) return undefined;
    this.#running++;
    try {
      return { value: await work() };
    } finally {
      this.#running--;
    }
  }

  get running(): number {
    return this.#running;
  }
}

/** A gate of which each holder gets a share only. Remembers holders that are inside, nobody else. */
export class SharedGate {
  readonly #gate: Gate;
  readonly #share: number;
  readonly #inside = new Map<string, number>();

  /**
   * @param limit of all together
   * @param share of one holder
   */
  constructor(limit: number, share: number) {
    this.#gate = new Gate(limit);
    this.#share = share;
  }

  /**
   * Runs `work` unless the gate is full, or this holder has its share.
   *
   * @returns its result, or `undefined` when there was no room and nothing was started
   */
  async run<T>(holder: string, work: () => Promise<T>): Promise<{ readonly value: T } | undefined> {
    const own = this.#inside.get(holder) ?? 0;
    if (own >= this.#share) return undefined;
    return this.#gate.run(async () => {
      this.#inside.set(holder, own + 1);
      try {
        return await work();
      } finally {
        const left = (this.#inside.get(holder) ?? 0) - 1;
        if (left > 0) this.#inside.set(holder, left);
        else this.#inside.delete(holder);
      }
    });
  }

  /** Holders that are inside. */
  get holders(): number {
    return this.#inside.size;
  }
}

/**
 * Whom an address stands for: an IPv6 address for the /64 that one customer gets, of which it can use
 * any address; an IPv4 address for itself, however it is written.
 */
export function networkOf(address: string): string {
  if (!address.includes(':')) return address;
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  if (mapped !== undefined) return mapped;
  const [head = '', tail = ''] = (address.split('%')[0] ?? '').split('::');
  const groupsOf = (part: string): readonly string[] => (part === '' ? [] : part.split(':'));
  const [first, last] = [groupsOf(head), groupsOf(tail)];
  // The gap of a `::`, which may reach into the first four groups.
  const gap = Array<string>(Math.max(0, 8 - first.length - last.length)).fill('0');
  const groups = [...first, ...gap, ...last];
  const network = groups.slice(0, 4).map((group) => group.toLowerCase().replace(/^0+(?=.)/, ''));
  return `${network.join(':')}::/64`;
}
