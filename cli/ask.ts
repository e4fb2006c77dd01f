// Questions to a person at the terminal.
import { createInterface, type Interface } from 'node:readline';
import { Writable, type Readable } from 'node:stream';

import { CliError } from './errors.ts';

/** Where a question goes, and what ends it. */
export interface Asking {
  /** Aborted by signals and when there is no time left: nobody waits for an answer any more. */
  readonly signal?: AbortSignal | undefined;
  readonly input?: Readable;
  readonly output?: Writable;
}

/**
 * Asks for a line, which is shown while it is typed.
 *
 * @throws {CliError} BP8002 when the input ends, on Ctrl-C, and when `signal` is aborted
 */
export async function askLine(question: string, asking: Asking = {}): Promise<string> {
  const { signal, input = process.stdin, output = process.stderr } = asking;
  const lines = createInterface({ input, output, historySize: 0, ...(signal && { signal }) });
  lines.setPrompt(question);
  lines.prompt();
  const isTerminal = lines.terminal;
  try {
    return await answerOf(lines, new CliError('BP8002', 'no answer was typed'));
  } catch (error) {
    if (isTerminal) output.write('\n');
    throw error;
  }
}

/**
 * Asks for a line that is not shown while it is typed.
 *
 * @param asking `input` is a terminal; it is in raw mode meanwhile, so that the system does not show what is typed
 * @throws {CliError} BP8003 when the input ends, on Ctrl-C, and when `signal` is aborted
 */
export async function askSecret(question: string, asking: Asking = {}): Promise<string> {
  const { signal, input = process.stdin, output = process.stderr } = asking;
  // What readline would show goes nowhere, and it remembers no line.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({
    input,
    output: nowhere,
    terminal: true,
    historySize: 0,
    ...(signal && { signal }),
  });
  output.write(question);
  try {
    return await answerOf(lines, new CliError('BP8003', 'no passphrase was typed'));
  } finally {
    output.write('\n');
  }
}

// The first line. A question that nobody answers has to let go of the input, which would keep the process alive.
async function answerOf(lines: Interface, unanswered: CliError): Promise<string> {
  try {
    return await new Promise<string>((resolve, reject) => {
      const ended = (): void => reject(unanswered);
      lines.once('line', resolve);
      lines.once('close', ended);
      lines.once('SIGINT', () => {
        // Raw mode turns Ctrl-C into a character: who waits for the signal still has to get it.
        process.kill(process.pid, 'SIGINT');
        ended();
      });
    });
  } finally {
    lines.close();
  }
}
