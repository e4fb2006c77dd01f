import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseConfig } from './config.ts';

const GOOD = {
  format: 'bftpkg-config/v1',
  pin: 'ab'.repeat(32),
  replicas: ['http://127.0.0.1:8001', 'https://log.example.org/one'],
};

describe('parseConfig', () => {
  it('reads a configuration', () => {
    const config = parseConfig(JSON.stringify({ ...GOOD, checkpointAgeMaxSeconds: 60 }), 'x');
    assert.deepEqual(config, {
      path: 'x',
      pin: GOOD.pin,
      replicas: GOOD.replicas,
      checkpointAgeMaxSeconds: 60,
    });
  });

  it('limits the age to ten minutes unless told otherwise', () => {
    assert.equal(parseConfig(JSON.stringify(GOOD), 'x').checkpointAgeMaxSeconds, 600);
  });

  it('drops a final slash', () => {
    const text = JSON.stringify({ ...GOOD, replicas: ['http://127.0.0.1:8001/'] });
    assert.deepEqual(parseConfig(text, 'x').replicas, ['http://127.0.0.1:8001']);
  });

  const refused: readonly (readonly [string, string])[] = [
    ['no JSON', '{'],
    ['nothing', ''],
    ['a list', '[]'],
    ['another format', JSON.stringify({ ...GOOD, format: 'bftpkg-config/v2' })],
    ['no pin', JSON.stringify({ ...GOOD, pin: undefined })],
    ['a short pin', JSON.stringify({ ...GOOD, pin: 'ab' })],
    ['a pin that leaves its folder', JSON.stringify({ ...GOOD, pin: `../${'a'.repeat(61)}` })],
    ['a pin in capitals', JSON.stringify({ ...GOOD, pin: 'AB'.repeat(32) })],
    ['no replicas', JSON.stringify({ ...GOOD, replicas: [] })],
    ['a replica twice', JSON.stringify({ ...GOOD, replicas: ['http://a', 'http://a'] })],
    [
      'a replica twice, with a slash',
      JSON.stringify({ ...GOOD, replicas: ['http://a', 'http://a/'] }),
    ],
    ['a replica with a password', JSON.stringify({ ...GOOD, replicas: ['http://u:p@a'] })],
    ['a file as replica', JSON.stringify({ ...GOOD, replicas: ['file:///etc'] })],
    ['a replica with a query', JSON.stringify({ ...GOOD, replicas: ['http://a/?x'] })],
    ['an age of 0', JSON.stringify({ ...GOOD, checkpointAgeMaxSeconds: 0 })],
    ['an age of years', JSON.stringify({ ...GOOD, checkpointAgeMaxSeconds: 99_999_999 })],
    ['an unknown key', JSON.stringify({ ...GOOD, replica: 'x' })],
    ['a key twice', JSON.stringify(GOOD).replace('{', `{"pin":"${'cd'.repeat(32)}",`)],
    ['a huge file', `${JSON.stringify(GOOD)}${' '.repeat(300_000)}`],
  ];
  for (const [why, text] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(
        () => parseConfig(text, 'x'),
        (error) => error instanceof CliError && error.diagnostic.code === 'BP9004',
      );
    });
  }
});
