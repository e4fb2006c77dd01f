import assert from 'node:assert/strict';
import { describe, it, mock } from 'node:test';

import { Budget } from './budget.ts';
import type { Terminal } from './context.ts';

const TERMINAL: Terminal = {
  writeOut: () => undefined,
  writeErr: () => undefined,
  outIsTty: false,
  errIsTty: false,
  ask: undefined,
};

/** Runs `work` with a budget of a minute and a clock that is set by hand. */
async function withMinute(
  work: (budget: Budget, pass: (seconds: number) => void) => Promise<void>,
): Promise<void> {
  mock.timers.enable({ apis: ['setTimeout'] });
  let nowMs = 0;
  const budget = new Budget(60_000, () => nowMs);
  try {
    await work(budget, (seconds) => {
      nowMs += seconds * 1000;
      mock.timers.tick(seconds * 1000);
    });
  } finally {
    budget.end();
    mock.timers.reset();
  }
}

describe('Budget', () => {
  it('is spent when its time has passed', async () => {
    await withMinute(async (budget, pass) => {
      pass(59);
      assert.equal(budget.isSpent, false);
      pass(1);
      assert.equal(budget.isSpent, true);
      assert.equal(budget.signal.aborted, true);
      await Promise.resolve();
    });
  });

  for (const kind of ['ask', 'askSecret'] as const) {
    it(`stands still while somebody is asked, and then goes on with what was left: ${kind}`, async () => {
      await withMinute(async (budget, pass) => {
        let answer: (text: string) => void = () => undefined;
        const asked = new Promise<string>((resolve) => {
          answer = resolve;
        });
        const terminal = budget.askingFreely({ ...TERMINAL, [kind]: () => asked });
        pass(50);
        const typed = terminal[kind]?.('sign?');
        pass(3_600);
        assert.equal(budget.isSpent, false, 'reading what one signs takes as long as it takes');
        answer('sign');
        assert.equal(await typed, 'sign');
        pass(9);
        assert.equal(budget.isSpent, false);
        pass(1);
        assert.equal(budget.isSpent, true);
      });
    });
  }

  it('goes on after a question that failed, and waits for the last of two', async () => {
    await withMinute(async (budget, pass) => {
      const answers: (() => void)[] = [];
      const { ask } = budget.askingFreely({
        ...TERMINAL,
        ask: () => new Promise((_resolve, reject) => answers.push(() => reject(new Error('no')))),
      });
      const [first, second] = [ask?.('a'), ask?.('b')];
      answers[0]?.();
      await assert.rejects(async () => await first);
      pass(3_600);
      assert.equal(budget.isSpent, false);
      answers[1]?.();
      await assert.rejects(async () => await second);
      pass(60);
      assert.equal(budget.isSpent, true);
    });
  });

  it('asks nobody where nobody can be asked', async () => {
    await withMinute(async (budget) => {
      const { ask, askSecret } = budget.askingFreely(TERMINAL);
      assert.deepEqual([ask, askSecret], [undefined, undefined]);
      await Promise.resolve();
    });
  });

  it('is stopped by a signal, also during a question, and stays so', async () => {
    await withMinute(async (budget, pass) => {
      let answer: (text: string) => void = () => undefined;
      let told: AbortSignal | undefined;
      const { ask } = budget.askingFreely({
        ...TERMINAL,
        ask: (_question, signal) => {
          told = signal;
          return new Promise((resolve) => {
            answer = resolve;
          });
        },
      });
      const typed = ask?.('a');
      // The budget's own listener: whoever runs the tests has others.
      process.listeners('SIGINT').at(-1)?.('SIGINT');
      assert.equal(budget.signal.aborted, true);
      assert.equal(
        told?.aborted,
        true,
        'the question is over, or kill would leave the process there',
      );
      answer('late');
      await typed;
      pass(3_600);
      assert.equal(budget.isSpent, false, 'it was the signal');
      assert.equal(budget.signalExit, 130);
    });
  });
});
