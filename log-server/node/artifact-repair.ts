// Artifacts that the log names and that are not here: missed while this replica was away, or found damaged.
import type { ArtifactFetcher, Holder } from './artifact-fetcher.ts';

/** How often they are looked for. */
const REPAIR_INTERVAL_MS = 5000;
/** How many of them at a time; as long as they come, the next ones follow at once. */
const REPAIRS_MAX = 256;

/** What it repairs, and with what. */
export interface ArtifactRepairParts {
  readonly missing: (countMax: number) => Promise<readonly string[]>;
  readonly fetcher: Pick<ArtifactFetcher, 'fetch'>;
  readonly holders: () => readonly Holder[];
  readonly patienceMs: number;
  readonly failed: (error: unknown) => void;
}

/** Fetches them from the others, behind everything that somebody waits for. */
export class ArtifactRepair {
  readonly #parts: ArtifactRepairParts;
  #timer: NodeJS.Timeout | undefined;
  #isStopped = false;
  #isRunning = false;

  constructor(parts: ArtifactRepairParts) {
    this.#parts = parts;
  }

  start(): void {
    this.#timer = setInterval(() => this.#run(), REPAIR_INTERVAL_MS);
  }

  /** Begins nothing new. */
  stop(): void {
    this.#isStopped = true;
    clearInterval(this.#timer);
  }

  #run(): void {
    if (this.#isRunning) return;
    this.#isRunning = true;
    this.#fetchMissing()
      .catch((error: unknown) => this.#parts.failed(error))
      .finally(() => {
        this.#isRunning = false;
      });
  }

  async #fetchMissing(): Promise<void> {
    const { missing, fetcher, holders, patienceMs } = this.#parts;
    while (!this.#isStopped) {
      const digests = await missing(REPAIRS_MAX);
      if (digests.length === 0) return;
      // A newcomer to a log lacks everything; who lacks what nobody has asks again after a pause.
      const held = await fetcher.fetch(digests, holders(), patienceMs, 'repair');
      if (!held) return;
    }
  }
}
