// Questions to a person at the terminal.
import { createInterface } from 'node:readline';
import { createInterface as createPromiseInterface } from 'node:readline/promises';
import { Writable, type Readable } from 'node:stream';

import { CliError } from './errors.ts';

/** Asks for a line, which is shown while it is typed. */
export async function askLine(question: string): Promise<string> {
  const lines = createPromiseInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}

/**
 * Asks for a line that is not shown while it is typed.
 *
 * @param input  a terminal; it is in raw mode meanwhile, so that the system does not show what is typed
 * @param output where the question goes
 * @throws {CliError} BP8003 when the input ends, or on Ctrl-C
 */
export async function askSecret(
  question: string,
  input: Readable = process.stdin,
  output: Writable = process.stderr,
): Promise<string> {
  // What readline would show goes nowhere, and it remembers no line.
  const nowhere = new Writable({ write: (_chunk, _encoding, done) => done() });
  const lines = createInterface({ input, output: nowhere, terminal: true, historySize: 0 });
  output.write(question);
  try {
    return await new Promise<string>((resolve, reject) => {
      const ended = (): void => reject(new CliError('BP8003', 'no passphrase was typed'));
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
    output.write('\n');
  }
}
