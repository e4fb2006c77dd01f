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

interface Upload {
  readonly sha512: string;
  readonly size: number;
  readonly atMs: number;
}

/** Counts what each network has uploaded and nobody has released. */
export class UndecidedShares {
  readonly #nowMs: () => number;
  readonly #isDecided: (sha512: string) => boolean;
  readonly #limits: ShareLimits;
  readonly #uploads = new Map<string, Upload[]>();

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
    this.#keep(network, this.#recent(network));
    if (this.#isBelow(network)) return true;
    // Only now: whoever publishes a lot and gets it into the log is never held up.
    const left = this.#recent(network).filter(({ sha512 }) => !this.#isDecided(sha512));
    this.#keep(network, left);
    return this.#isBelow(network);
  }

  /** The network has uploaded an artifact. */
  add(network: string, sha512: string, size: number): void {
    this.#keep(network, [...this.#recent(network), { sha512, size, atMs: this.#nowMs() }]);
    if (this.#uploads.size <= NETWORKS_MAX) return;
    const oldest = this.#uploads.keys().next();
    if (oldest.done !== true) this.#uploads.delete(oldest.value);
  }

  /** Networks that have something undecided. */
  get networks(): number {
    return this.#uploads.size;
  }

  #isBelow(network: string): boolean {
    const recent = this.#recent(network);
    const bytes = recent.reduce((sum, { size }) => sum + size, 0);
    return bytes < this.#limits.bytes && recent.length < this.#limits.uploads;
  }

  #recent(network: string): readonly Upload[] {
    const since = this.#nowMs() - UNDECIDED_SHARE_MS;
    return (this.#uploads.get(network) ?? []).filter(({ atMs }) => atMs > since);
  }

  #keep(network: string, uploads: readonly Upload[]): void {
    // Put at the end again: the first network is the one that uploaded longest ago.
    this.#uploads.delete(network);
    if (uploads.length > 0) this.#uploads.set(network, [...uploads]);
  }
}
