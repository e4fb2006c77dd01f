// What can be changed while a replica runs: SIGHUP reads the configuration again (OPERATIONS). Fields that
// the rest of the process was built with stay as they were, and are named, so that nobody believes that
// they have changed.
import type { Config } from './config.ts';

/** Fields that take effect at once. */
export const LIVE_FIELDS = ['logLevel', 'addressWritesPerSecond', 'drainSeconds'] as const;

type LiveField = (typeof LIVE_FIELDS)[number];

/** What became of a new configuration. */
export interface Reloaded {
  /** Fields that are in force now. */
  readonly changed: readonly string[];
  /** Fields that differ and need a new start. */
  readonly waiting: readonly string[];
}

/** The configuration in force. */
export class LiveConfig {
  readonly #started: Config;
  #live: Pick<Config, LiveField>;

  /** @param started what the process was started with */
  constructor(started: Config) {
    this.#started = started;
    this.#live = started;
  }

  get logLevel(): Config['logLevel'] {
    return this.#live.logLevel;
  }

  get addressWritesPerSecond(): number {
    return this.#live.addressWritesPerSecond;
  }

  get drainSeconds(): number {
    return this.#live.drainSeconds;
  }

  /** Puts into force what can be. */
  reload(next: Config): Reloaded {
    const isLive = (name: string): name is LiveField =>
      (LIVE_FIELDS as readonly string[]).includes(name);
    const names = Object.keys(next) as (keyof Config)[];
    const changed = LIVE_FIELDS.filter((name) => next[name] !== this.#live[name]);
    const waiting = names.filter((name) => !isLive(name) && next[name] !== this.#started[name]);
    this.#live = next;
    return { changed, waiting };
  }
}
