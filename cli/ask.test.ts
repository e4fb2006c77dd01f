import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import { askSecret } from './ask.ts';
import { CliError } from './errors.ts';

// A terminal, as far as it matters: what arrives is what was typed, and raw mode can be set.
function terminal(): {
  readonly input: PassThrough & { setRawMode: (raw: boolean) => void };
  readonly output: PassThrough;
  readonly modes: boolean[];
  readonly shown: () => string;
} {
  const modes: boolean[] = [];
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    setRawMode: (raw: boolean) => void modes.push(raw),
  });
  const output = new PassThrough();
  let shown = '';
  output.setEncoding('utf8').on('data', (text: string) => (shown += text));
  return { input, output, modes, shown: () => shown };
}

describe('askSecret', () => {
  it('shows the question and nothing of the answer, in raw mode', async () => {
    const { input, output, modes, shown } = terminal();
    const answer = askSecret('passphrase: ', input, output);
    for (const key of 'corrext\u007f\u007fct horse') input.write(key);
    input.write('\r');
    assert.equal(await answer, 'correct horse', 'with the backspaces applied');
    assert.equal(shown(), 'passphrase: \n');
    assert.deepEqual(modes, [true, false], 'and out of it again');
  });

  it('takes a line that was pasted, and leaves the next one', async () => {
    const { input, output } = terminal();
    const first = askSecret('first: ', input, output);
    input.write('one\n');
    assert.equal(await first, 'one');
    const second = askSecret('second: ', input, output);
    input.write('two\n');
    assert.equal(await second, 'two');
  });

  it('refuses when the input ends', async () => {
    const { input, output, modes } = terminal();
    const answer = askSecret('passphrase: ', input, output);
    input.end();
    await assert.rejects(
      answer,
      (error) => error instanceof CliError && codeOf(error) === 'BP8003',
    );
    assert.equal(modes.at(-1), false);
  });

  it('hands Ctrl-C on as the signal that it stands for', async () => {
    const { input, output, modes, shown } = terminal();
    // Caught here, and only here: without a listener it would end the tests.
    const patience = new AbortController();
    const interrupted = once(process, 'SIGINT', { signal: patience.signal });
    // Waiting for a signal alone keeps no process alive, and must not keep it for ever.
    const alive = setTimeout(() => patience.abort(), 20_000);
    const answer = askSecret('passphrase: ', input, output);
    input.write('secret\u0003');
    await assert.rejects(answer, CliError);
    assert.deepEqual(await interrupted, ['SIGINT', 2]);
    clearTimeout(alive);
    assert.equal(modes.at(-1), false);
    assert.doesNotMatch(shown(), /secret/);
  });
});

function codeOf(error: CliError): string {
  return error.diagnostic.code;
}
