import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseConfigText } from '../policy/config-file.ts';
import { combineConfig, parseConfig } from './config.ts';

const GOOD = {
  format: 'bftpkg-config/v1',
  pin: 'ab'.repeat(32),
  replicas: ['http://127.0.0.1:8001', 'https://log.example.org/one'],
};

describe('parseConfig', () => {
  it('reads a configuration', () => {
    const config = parseConfig(JSON.stringify({ ...GOOD, checkpointAgeMaxSeconds: 60 }), 'x');
    const { policy, ...rest } = config;
    assert.deepEqual(rest, {
      path: 'x',
      pin: GOOD.pin,
      replicas: GOOD.replicas,
      checkpointAgeMaxSeconds: 60,
    });
    assert.deepEqual(
      policy.layers.map(({ origin, rules, exceptions }) => [origin, rules, exceptions]),
      [['project', [], []]],
    );
  });

  it('reads comments, and what people write around them', () => {
    const text = JSON.stringify(GOOD, null, 2).replace('{', '{ // "pin": "no"\n/* why */');
    assert.equal(parseConfig(text, 'x').pin, GOOD.pin);
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
    ['a key of the user’s file', JSON.stringify({ ...GOOD, pins: [] })],
    ['a baseline elsewhere', JSON.stringify({ ...GOOD, baseline: '../b.json' })],
    ['no pin and no replicas', JSON.stringify({ format: GOOD.format })],
    ['a comment that does not end', `${JSON.stringify(GOOD)}/*`],
    ['a key twice', JSON.stringify(GOOD).replace('{', `{"pin":"${'cd'.repeat(32)}",`)],
    ['a huge file', `${JSON.stringify(GOOD)}${' '.repeat(5_000_000)}`],
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

describe('combineConfig', () => {
  const file = (kind: 'project' | 'user', fields: object): ReturnType<typeof parseConfigText> =>
    parseConfigText(JSON.stringify({ ...GOOD, ...fields }), `/home/dev/${kind}/file.json`, kind);
  const combine = (project: object | undefined, user: object | undefined) =>
    combineConfig({
      project: project === undefined ? undefined : file('project', project),
      user: user === undefined ? undefined : file('user', user),
      baseline: undefined,
    });

  const ages: readonly (readonly [string, object | undefined, object | undefined, number])[] = [
    ['the default without any', {}, {}, 600],
    ['the project’s alone', { checkpointAgeMaxSeconds: 900 }, {}, 900],
    ['the user’s alone', {}, { checkpointAgeMaxSeconds: 900 }, 900],
    ['the smaller one', { checkpointAgeMaxSeconds: 900 }, { checkpointAgeMaxSeconds: 30 }, 30],
    ['the smaller one too', { checkpointAgeMaxSeconds: 30 }, { checkpointAgeMaxSeconds: 900 }, 30],
    ['the user’s without a project', undefined, { checkpointAgeMaxSeconds: 40 }, 40],
  ];
  for (const [why, project, user, expected] of ages) {
    it(`takes ${why} as age`, () => {
      assert.equal(combine(project, user)?.checkpointAgeMaxSeconds, expected);
    });
  }

  const OTHER = 'cd'.repeat(32);
  const THIRD = 'ef'.repeat(32);
  const pins: readonly (readonly [string, object, boolean])[] = [
    ['another pin alone', { pin: OTHER }, false],
    ['another pin, and others', { pin: OTHER, pins: [THIRD] }, false],
    ['no pin at all, and none admitted', { pins: [] }, false],
    ['the same pin', { pin: GOOD.pin }, true],
    ['the same pin, and others admitted', { pin: GOOD.pin, pins: [THIRD] }, true],
    ['another pin, and this one admitted', { pin: OTHER, pins: [GOOD.pin] }, true],
    ['nothing about logs', { pin: undefined, replicas: undefined }, true],
  ];
  for (const [why, user, isAdmitted] of pins) {
    it(`${isAdmitted ? 'admits' : 'refuses'} the project’s log where the user’s file has ${why}`, () => {
      const fields = { pin: undefined, replicas: undefined, ...user };
      if (isAdmitted) assert.equal(combine({}, fields)?.pin, GOOD.pin);
      else {
        assert.throws(
          () => combine({}, fields),
          (error) => error instanceof CliError && error.diagnostic.code === 'BP6011',
        );
      }
    });
  }

  it('has no answer without a file that names a log', () => {
    assert.equal(combine(undefined, undefined), undefined);
    assert.equal(combine(undefined, { pin: undefined, replicas: undefined }), undefined);
  });

  it('lets the user name projects whose exceptions count', () => {
    const trusts = (folders: readonly string[]): boolean | undefined =>
      combine({}, { trustedProjects: folders })?.policy.trustsProject;
    assert.equal(trusts(['/home/dev/project']), true);
    assert.equal(trusts(['/home/dev/project/']), true);
    assert.equal(trusts(['/home/dev']), false);
    assert.equal(trusts([]), false);
  });
});
