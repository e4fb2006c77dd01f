import assert from 'node:assert/strict';
import { once } from 'node:events';
import { PassThrough } from 'node:stream';
import { describe, it } from 'node:test';

import { askLine, askSecret, type Asking } from './ask.ts';
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
    const answer = askSecret('passphrase: ', { input, output });
    for (const key of 'corrext\u007f\u007fct horse') input.write(key);
    input.write('\r');
    assert.equal(await answer, 'correct horse', 'with the backspaces applied');
    assert.equal(shown(), 'passphrase: \n');
    assert.deepEqual(modes, [true, false], 'and out of it again');
  });

  it('takes a line that was pasted, and leaves the next one', async () => {
    const { input, output } = terminal();
    const first = askSecret('first: ', { input, output });
    input.write('one\n');
    assert.equal(await first, 'one');
    const second = askSecret('second: ', { input, output });
    input.write('two\n');
    assert.equal(await second, 'two');
  });

  it('refuses when the input ends', async () => {
    const { input, output, modes } = terminal();
    const answer = askSecret('passphrase: ', { input, output });
    input.end();
    await assert.rejects(answer, isCode('BP8003'));
    assert.equal(modes.at(-1), false);
  });

  it('is over when nobody waits for the answer any more', async () => {
    const { input, output, modes } = terminal();
    const patience = new AbortController();
    const answer = askSecret('passphrase: ', { input, output, signal: patience.signal });
    patience.abort();
    await assert.rejects(answer, isCode('BP8003'));
    assert.equal(modes.at(-1), false, 'the input is let go of: it would keep the process alive');
  });

  it('hands Ctrl-C on as the signal that it stands for', async () => {
    await interruptedBy(async (asking, type, shown) => {
      const answer = askSecret('passphrase: ', asking);
      type('secret\u0003');
      await assert.rejects(answer, isCode('BP8003'));
      assert.doesNotMatch(shown(), /secret/);
    });
  });
});

describe('askLine', () => {
  it('shows the question and what is typed', async () => {
    const { input, output, shown } = terminal();
    const answer = askLine('sign? ', { input, output });
    input.write('yes\n');
    assert.equal(await answer, 'yes');
    assert.match(shown(), /^sign\? /);
  });

  // Each of these was an internal error (BP9999), or a process that did not end.
  const unanswered: readonly [string, (input: PassThrough, patience: AbortController) => void][] = [
    ['the input ends', (input) => void input.end()],
    ['the time is spent, or a signal came', (_input, patience) => patience.abort()],
  ];
  for (const [why, end] of unanswered) {
    it(`refuses when ${why}`, async () => {
      const { input, output } = terminal();
      const patience = new AbortController();
      const answer = askLine('sign? ', { input, output, signal: patience.signal });
      end(input, patience);
      await assert.rejects(answer, isCode('BP8002'));
      assert.equal(input.isPaused() || input.readableEnded, true, 'the input is let go of');
    });
  }

  it('hands Ctrl-C on as the signal that it stands for', async () => {
    await interruptedBy(async (asking, type) => {
      const answer = askLine('sign? ', asking);
      type('y\u0003');
      await assert.rejects(answer, isCode('BP8002'));
    });
  });
});

// Runs `test`, which has to raise SIGINT in this process.
async function interruptedBy(
  test: (asking: Asking, type: (keys: string) => void, shown: () => string) => Promise<void>,
): Promise<void> {
  const { input, output, modes, shown } = terminal();
  const patience = new AbortController();
  // Caught here, and only here: without a listener it would end the tests.
  const interrupted = once(process, 'SIGINT', { signal: patience.signal });
  // Waiting for a signal alone keeps no process alive, and must not keep it for ever.
  const alive = setTimeout(() => patience.abort(), 20_000);
  const asTerminal = Object.assign(output, { isTTY: true });
  await test({ input, output: asTerminal }, (keys) => void input.write(keys), shown);
  assert.deepEqual(await interrupted, ['SIGINT', 2]);
  clearTimeout(alive);
  assert.equal(modes.at(-1), false);
}

function isCode(code: string): (error: unknown) => boolean {
  return (error) => error instanceof CliError && error.diagnostic.code === code;
}
