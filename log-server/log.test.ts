import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { LOG_FIELD_LENGTH_MAX, createLog, describeError, formatLogLine } from './log.ts';

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5);

describe('createLog', () => {
  const cases: readonly [string, 'debug' | 'info' | 'warn' | 'error', readonly string[]][] = [
    ['writes everything at debug', 'debug', ['debug', 'info', 'warn', 'error']],
    ['drops debug at info', 'info', ['info', 'warn', 'error']],
    ['keeps only errors at error', 'error', ['error']],
  ];
  for (const [why, level, expected] of cases) {
    it(why, () => {
      const lines: string[] = [];
      const log = createLog('r0', level, { write: (l) => lines.push(l), nowMs: () => NOW });
      log.debug('starting');
      log.info('starting');
      log.warn('starting');
      log.error('starting');
      const levels = lines.map((line) => (JSON.parse(line) as { level: string }).level);
      assert.deepEqual(levels, expected);
    });
  }

  it('writes one line per event, whatever the fields hold', () => {
    const line = formatLogLine(
      'info',
      'r0',
      'peer_refused',
      { reason: 'a\nb\u001b[31m\u202e' },
      NOW,
    );
    assert.ok(!line.includes('\n') && !line.includes('\u001b') && !line.includes('\u202e'));
    const parsed = JSON.parse(line) as Record<string, unknown>;
    assert.equal(parsed['reason'], 'a\\u000ab\\u001b[31m\\u202e');
    assert.equal(parsed['time'], '2026-01-02T03:04:05.000Z');
  });

  it('does not let a field replace a fixed one', () => {
    const line = formatLogLine('info', 'r0', 'starting', { replica: 'r9', event: 'x' }, NOW);
    const parsed = JSON.parse(line) as Record<string, unknown>;
    assert.equal(parsed['replica'], 'r0');
    assert.equal(parsed['event'], 'starting');
  });

  it('cuts long text', () => {
    const line = formatLogLine('info', 'r0', 'starting', { text: 'x'.repeat(10_000) }, NOW);
    assert.ok(line.length < LOG_FIELD_LENGTH_MAX + 200);
  });
});

describe('describeError', () => {
  it('names the code of a typed refusal', () => {
    const error = Object.assign(new Error('too old'), { code: 'CHECKPOINT_STALE' });
    assert.equal(describeError(error), 'CHECKPOINT_STALE: too old');
    const taken = Object.assign(new Error('EEXIST: file already exists'), { code: 'EEXIST' });
    assert.equal(describeError(taken), 'EEXIST: file already exists');
    assert.equal(describeError('text\u0000'), '"text\\u0000"');
  });
});
