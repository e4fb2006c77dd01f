// What is going on, on stderr: a bar on a terminal for work that takes longer than half a second, and
// a line each ten seconds elsewhere, so that build servers do not take a long silence for a hang. Logs
// never get anything that moves. The cursor is never hidden, so nothing can leave it so.
import type { ProgressCount, Terminal } from '../context.ts';
import { printable } from './sanitize.ts';
import { formatCount } from './text-layout.ts';

export type ProgressMode = 'bar' | 'lines' | 'none';

/** Shorter work is over before anybody has read a bar. */
const BAR_DELAY_MS = 500;
const BAR_INTERVAL_MS = 100;
/** Build servers give up after minutes of silence; people wonder after seconds. */
const LINE_INTERVAL_MS = 10_000;
const BAR_CELLS = 20;
const COLUMNS_DEFAULT = 80;

// Back to the first column, and erase the line.
const ERASE = '\r\u001b[2K';

/** What the choice of a mode depends on. */
export interface ProgressInput {
  readonly flag: 'auto' | ProgressMode;
  readonly quiet: boolean;
  readonly isTty: boolean;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** How progress is shown. */
export function chooseProgress({ flag, quiet, isTty, env }: ProgressInput): ProgressMode {
  if (flag !== 'auto') return flag;
  if (quiet) return 'none';
  const isCi = !['', '0', 'false'].includes(env['CI'] ?? '');
  return isTty && !isCi && env['TERM'] !== 'dumb' ? 'bar' : 'lines';
}

/** One run's progress. Ends with {@link stop}. */
export class Progress {
  readonly #write: (text: string) => void;
  readonly #columns: () => number | undefined;
  #timer: NodeJS.Timeout | undefined;
  #text = '';
  #count: ProgressCount | undefined;
  #drawn = '';

  constructor(mode: ProgressMode, terminal: Pick<Terminal, 'writeErr' | 'errColumns'>) {
    this.#write = terminal.writeErr;
    this.#columns = () => terminal.errColumns?.();
    if (mode === 'lines') this.#repeat(() => this.#writeLine(), LINE_INTERVAL_MS);
    if (mode === 'bar') {
      this.#timer = setTimeout(() => {
        this.#draw();
        this.#repeat(() => this.#draw(), BAR_INTERVAL_MS);
      }, BAR_DELAY_MS);
      this.#timer.unref();
    }
  }

  // Progress never keeps a process alive.
  #repeat(work: () => void, intervalMs: number): void {
    this.#timer = setInterval(work, intervalMs);
    this.#timer.unref();
  }

  /** Says what is going on now. Strangers' text is made printable. */
  update(text: string, count?: ProgressCount): void {
    this.#text = printable(text);
    this.#count = count;
  }

  /** Takes the bar away so that something else can be written; it comes back by itself. */
  clear(): void {
    if (this.#drawn === '') return;
    this.#drawn = '';
    this.#write(ERASE);
  }

  /** Ends it. Nothing of it is left on a terminal. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.clear();
  }

  #writeLine(): void {
    if (this.#text !== '') this.#write(`bftpkg: ${this.#text}${countText(this.#count)}\n`);
  }

  #draw(): void {
    if (this.#text === '') return;
    const columns = this.#columns() ?? COLUMNS_DEFAULT;
    const line = `${bar(this.#count)}${this.#text}${countText(this.#count)}`;
    // In the last column some terminals wrap, and then the line can't be erased any more.
    const cut = line.slice(0, Math.max(1, columns - 1));
    if (cut === this.#drawn) return;
    this.#drawn = cut;
    this.#write(ERASE + cut);
  }
}

function countText(count: ProgressCount | undefined): string {
  if (count === undefined) return '';
  return ` ${formatCount(count.done)}/${formatCount(count.total)}`;
}

function bar(count: ProgressCount | undefined): string {
  if (count === undefined || count.total <= 0) return '';
  const share = Math.min(1, Math.max(0, count.done / count.total));
  const cells = Math.floor(share * BAR_CELLS);
  return `[${'#'.repeat(cells)}${'-'.repeat(BAR_CELLS - cells)}] `;
}

/** A terminal that takes the bar away before anything is written to it. */
export function behindProgress(terminal: Terminal, progress: Progress): Terminal {
  const quietly = (ask: Terminal['ask']): Terminal['ask'] =>
    ask === undefined
      ? undefined
      : async (question, signal) => {
          progress.update('');
          progress.clear();
          return await ask(question, signal);
        };
  return {
    ...terminal,
    writeOut: (text) => {
      progress.clear();
      terminal.writeOut(text);
    },
    writeErr: (text) => {
      progress.clear();
      terminal.writeErr(text);
    },
    ask: quietly(terminal.ask),
    askSecret: quietly(terminal.askSecret),
  };
}
