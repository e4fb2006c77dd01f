// The time that a command may take, and signals, as one AbortSignal. Time in which a person reads and types is
// not the command's: a minute is enough for the network, and too little to read what one signs.
import type { Terminal } from './context.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';

/** The longest that a timer of Node can be set to: 24 days. */
const TIMER_MS_MAX = 2 ** 31 - 1;

/** What is left for a command to clean up after its time is spent. */
const GRACE_MS = 3_000;

/** The time of one run. It runs from the start, and stands still while somebody is asked. */
export class Budget {
  readonly #abort = new AbortController();
  readonly #clockMs: () => number;
  #leftMs: number;
  #timer: NodeJS.Timeout | undefined;
  #runsSinceMs = 0;
  /** Questions that wait for an answer. */
  #questions = 0;
  #isOver = false;
  readonly #onInterrupt = (): void => this.#stop(EXIT.interrupted);
  readonly #onTerminate = (): void => this.#stop(EXIT.terminated);
  isSpent = false;
  signalExit: ExitCode | undefined;

  /** @param clockMs milliseconds that nobody can set back */
  constructor(timeoutMs: number, clockMs: () => number = () => performance.now()) {
    this.#leftMs = timeoutMs;
    this.#clockMs = clockMs;
    this.#run();
    process.once('SIGINT', this.#onInterrupt);
    process.once('SIGTERM', this.#onTerminate);
  }

  /** Aborted when the time is spent, and by signals. */
  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  /** The terminal, where time stands still during questions. */
  askingFreely(terminal: Terminal): Terminal {
    const freely = (ask: Terminal['ask']): Terminal['ask'] =>
      ask === undefined
        ? undefined
        : (question) => this.#whileAsked(() => ask(question, this.signal));
    return { ...terminal, ask: freely(terminal.ask), askSecret: freely(terminal.askSecret) };
  }

  async #whileAsked<T>(ask: () => Promise<T>): Promise<T> {
    if (this.#questions++ === 0) this.#rest();
    try {
      return await ask();
    } finally {
      if (--this.#questions === 0) this.#run();
    }
  }

  #run(): void {
    if (this.signal.aborted || this.#isOver) return;
    this.#runsSinceMs = this.#clockMs();
    // A longer timer would ring at once, and nobody waits that long for a command that ends.
    if (this.#leftMs > TIMER_MS_MAX) return;
    this.#timer = setTimeout(() => {
      this.isSpent = true;
      this.#abort.abort();
    }, this.#leftMs);
  }

  #rest(): void {
    clearTimeout(this.#timer);
    this.#leftMs = Math.max(0, this.#leftMs - (this.#clockMs() - this.#runsSinceMs));
  }

  #stop(code: ExitCode): void {
    this.signalExit = code;
    this.#abort.abort();
  }

  /** The result of `work`, or an error shortly after the time is spent even if it hangs. */
  async bound<T>(work: Promise<T>): Promise<T> {
    let grace: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      this.signal.addEventListener('abort', () => {
        grace = setTimeout(() => void this.#late().then(reject, reject), GRACE_MS);
      });
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(grace);
    }
  }

  async #late(): Promise<Error> {
    // Not at the top: what a run that ends well does not need is not loaded.
    const { CliError } = await import('./errors.ts');
    const why = this.isSpent ? 'the time for the command is spent' : 'it was told to stop';
    return new CliError('BP7003', `ended before it was done: ${why}`);
  }

  /** Lets go of the timer and the signals. */
  end(): void {
    this.#isOver = true;
    clearTimeout(this.#timer);
    process.removeListener('SIGINT', this.#onInterrupt);
    process.removeListener('SIGTERM', this.#onTerminate);
  }
}
