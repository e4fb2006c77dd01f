// Whose artifacts fill the room for those that no release names yet. The store bounds all of them
// together, and makes room after ten minutes; without shares, one sender of 4 GiB would keep everybody
// else from uploading that long, again and again.

/** What one network may have undecided, bytes: an eighth of the room, some large packages at a time. */
export const UNDECIDED_SHARE_BYTES: number = 512 * 1024 * 1024;

/** How long an upload is counted, milliseconds: after it the store itself pushes it out when it must. */
export const UNDECIDED_SHARE_MS = 600_000;

/** Uploads remembered for one network: then it has to wait, however small they are. */
const UPLOADS_MAX = 4096;

/** Networks remembered; the one that uploaded longest ago is forgotten. */
const NETWORKS_MAX = 4096;

/** For tests. */
export interface ShareLimits {
  readonly bytes: number;
  readonly uploads: number;
}

/**
 * How often the log is asked which uploads of a full share were released meanwhile, milliseconds: it costs a
 * look-up for each, and a network with a full share may ask on and on.
 */
const DECIDED_PAUSE_MS = 100;

interface Upload {
  readonly sha512: string;
  readonly size: number;
  readonly atMs: number;
}

/** What one network has uploaded lately, the oldest first. */
interface Share {
  uploads: Upload[];
  bytes: number;
  /** When the log was last asked about them. */
  askedMs: number;
}

/** Counts what each network has uploaded and nobody has released. */
export class UndecidedShares {
  readonly #nowMs: () => number;
  readonly #isDecided: (sha512: string) => boolean;
  readonly #limits: ShareLimits;
  readonly #shares = new Map<string, Share>();

  /**
   * @param nowMs a monotonic clock
   * @param isDecided whether a release in the log names the artifact
   */
  constructor(
    nowMs: () => number,
    isDecided: (sha512: string) => boolean,
    limits: ShareLimits = { bytes: UNDECIDED_SHARE_BYTES, uploads: UPLOADS_MAX },
  ) {
    this.#nowMs = nowMs;
    this.#isDecided = isDecided;
    this.#limits = limits;
  }

  /** Whether the network may upload one more, whatever its size. */
  allows(network: string): boolean {
    const share = this.#shares.get(network);
    if (share === undefined || this.#isBelow(share)) return true;
    const nowMs = this.#nowMs();
    const since = nowMs - UNDECIDED_SHARE_MS;
    const isOpen = nowMs - share.askedMs >= DECIDED_PAUSE_MS;
    if (isOpen) share.askedMs = nowMs;
    // Only now: whoever publishes a lot and gets it into the log is never held up.
    keep(share, ({ atMs, sha512 }) => atMs > since && !(isOpen && this.#isDecided(sha512)));
    if (share.uploads.length === 0) this.#shares.delete(network);
    return this.#isBelow(share);
  }

  /** The network has uploaded an artifact. */
  add(network: string, sha512: string, size: number): void {
    const share = this.#shares.get(network) ?? {
      uploads: [],
      bytes: 0,
      askedMs: Number.NEGATIVE_INFINITY,
    };
    share.uploads.push({ sha512, size, atMs: this.#nowMs() });
    share.bytes += size;
    // Put at the end again: the first network is the one that uploaded longest ago.
    this.#shares.delete(network);
    this.#shares.set(network, share);
    if (this.#shares.size <= NETWORKS_MAX) return;
    const oldest = this.#shares.keys().next();
    if (oldest.done !== true) this.#shares.delete(oldest.value);
  }

  /** Networks that have uploaded something that counts. */
  get networks(): number {
    return this.#shares.size;
  }

  #isBelow({ bytes, uploads }: Share): boolean {
    return bytes < this.#limits.bytes && uploads.length < this.#limits.uploads;
  }
}

function keep(share: Share, isKept: (upload: Upload) => boolean): void {
  share.uploads = share.uploads.filter(isKept);
  share.bytes = share.uploads.reduce((sum, { size }) => sum + size, 0);
}
