import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CONFIG_LENGTH_MAX, ConfigError, parseConfig } from './config.ts';

const GOOD = {
  format: 'bftpkg-log-config/v1',
  replica: 'r0',
  pin: 'ab'.repeat(32),
  publicPort: 8000,
  peerPort: 9000,
};

function parse(
  change: Record<string, unknown>,
  environment: Record<string, string> = {},
): ReturnType<typeof parseConfig> {
  const text = JSON.stringify({ ...GOOD, ...change });
  return parseConfig(text, 'config.json', '/etc/bftpkg', environment);
}

function problemsOf(run: () => unknown): readonly string[] {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.problems;
  }
  return [];
}

describe('parseConfig', () => {
  it('reads a small file, fills in the rest, and freezes it', () => {
    const config = parse({});
    assert.equal(config.dataDir, '/etc/bftpkg/data');
    assert.equal(config.recosignSeconds, 60);
    assert.ok(Object.isFrozen(config));
  });

  const refused: readonly [string, Record<string, unknown>, string][] = [
    ['another format', { format: 'bftpkg-log-config/v2' }, 'format'],
    ['an unknown setting', { publicport: 1 }, '"publicport"'],
    ['a missing name', { replica: undefined }, 'replica'],
    ['a name with a space', { replica: 'r 0' }, 'replica'],
    ['an upper-case pin', { pin: 'AB'.repeat(32) }, 'pin'],
    ['a short pin', { pin: 'ab' }, 'pin'],
    ['a port above the range', { publicPort: 65_536 }, 'publicPort'],
    ['a port as text', { publicPort: '8000' }, 'publicPort'],
    ['a fraction', { tickMs: 1.5 }, 'tickMs'],
    ['zero ticks', { tickMs: 0 }, 'tickMs'],
    ['an empty path', { dataDir: '' }, 'dataDir'],
    ['a path with NUL', { keyFile: 'a\0b' }, 'keyFile'],
    ['a host with a slash', { publicHost: 'a/b' }, 'publicHost'],
    ['an unknown level', { logLevel: 'loud' }, 'logLevel'],
    ['equal ports', { peerPort: 8000 }, 'peerPort'],
    ['a view timeout below its ticks', { tickMs: 100, viewTimeoutMs: 900 }, 'viewTimeoutMs'],
    ['a view timeout below the batch delay', { batchDelayMs: 1500 }, 'viewTimeoutMs'],
  ];
  for (const [why, change, field] of refused) {
    it(`refuses ${why}`, () => {
      const problems = problemsOf(() => parse(change));
      assert.equal(problems.length, 1, problems.join('; '));
      assert.ok(problems[0]?.startsWith(`${field}:`), problems[0]);
    });
  }

  it('reports every problem at once', () => {
    const problems = problemsOf(() => parse({ pin: 'x', publicPort: -1, colour: 'red' }));
    assert.equal(problems.length, 3, problems.join('; '));
  });

  const notObjects: readonly [string, string][] = [
    ['no JSON', '{'],
    ['an array', '[]'],
    ['null', 'null'],
    ['a book', ' '.repeat(CONFIG_LENGTH_MAX + 1)],
  ];
  for (const [why, text] of notObjects) {
    it(`refuses ${why}`, () => {
      assert.equal(problemsOf(() => parseConfig(text, 'c', '/')).length, 1);
    });
  }

  it('lets the environment win', () => {
    const config = parse({}, { BFTPKG_SERVER_PUBLIC_PORT: '0', BFTPKG_SERVER_DATA_DIR: '/srv' });
    assert.equal(config.publicPort, 0);
    assert.equal(config.dataDir, '/srv');
  });

  const environments: readonly [string, Record<string, string>, string][] = [
    [
      'a variable it does not know',
      { BFTPKG_SERVER_PUBLICPORT: '1' },
      '"BFTPKG_SERVER_PUBLICPORT"',
    ],
    ['a port in hexadecimal', { BFTPKG_SERVER_PUBLIC_PORT: '0x1' }, 'publicPort'],
    ['a number with a leading zero', { BFTPKG_SERVER_PUBLIC_PORT: '01' }, 'publicPort'],
  ];
  for (const [why, environment, field] of environments) {
    it(`refuses ${why}`, () => {
      const problems = problemsOf(() => parse({}, environment));
      assert.ok(problems[0]?.startsWith(`${field}:`), problems[0]);
    });
  }
});
