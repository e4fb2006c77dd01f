import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { CliError } from '../errors.ts';
import { parseConfigText, type ConfigFile } from './config-file.ts';

const HEAD = { format: 'bftpkg-config/v1', pin: 'ab'.repeat(32), replicas: ['http://a'] };
const KEY = 'cd'.repeat(32);

function read(fields: object): ConfigFile {
  return parseConfigText(JSON.stringify({ ...HEAD, ...fields }), 'x', 'project');
}

function rule(fields: object): object {
  return { rules: [{ packages: ['*'], ...fields }] };
}

function exception(fields: object): object {
  const good = { package: 'a', code: 'BP5003', reason: 'ours', expires: '2027-01-31' };
  return { exceptions: [{ ...good, ...fields }] };
}

describe('rules and exceptions', () => {
  it('are read with all that they can say', () => {
    const all = {
      packages: ['@acme/*', 'left-pad'],
      releaseAgeMinSeconds: 86_400,
      signersMin: 2,
      signersNotFewer: true,
      maintainerKeys: [KEY],
      installScripts: 'no-new-in-patch',
      yanked: 'refuse',
      unlogged: 'refuse',
    };
    assert.deepEqual(read({ rules: [all] }).rules, [all]);
    assert.deepEqual(read(exception({ package: '@acme/a@1.0.0-rc.1' })).exceptions, [
      {
        pattern: '@acme/a',
        version: '1.0.0-rc.1',
        code: 'BP5003',
        reason: 'ours',
        expires: '2027-01-31',
      },
    ]);
    assert.equal(read(exception({ package: '@acme/*' })).exceptions[0]?.version, null);
  });

  const refused: readonly (readonly [string, object, RegExp])[] = [
    [
      'a rule for nothing',
      rule({ packages: [], yanked: 'refuse' }),
      /rules\[0\]\.packages is empty/,
    ],
    ['a rule that says nothing', rule({}), /says nothing/],
    ['a misspelled rule', rule({ signersMinimum: 2 }), /did you mean signersMin\?/],
    ['a misspelled rule in capitals', rule({ SIGNERSMIN: 2 }), /did you mean signersMin\?/],
    ['a rule that nobody can have meant', rule({ zzz: 2 }), /unknown key "zzz" in rules\[0\]$/],
    ['a misspelled key', { rulez: [] }, /did you mean rules\?/],
    ['a rule that takes a demand back', rule({ signersNotFewer: false }), /leave it out/],
    ['a demand of nobody', rule({ signersMin: 0 }), /signersMin/],
    ['a fraction', rule({ signersMin: 1.5 }), /signersMin/],
    ['an age below zero', rule({ releaseAgeMinSeconds: -1 }), /releaseAgeMinSeconds/],
    ['an age of years', rule({ releaseAgeMinSeconds: 1e9 }), /releaseAgeMinSeconds/],
    ['a value that permits', rule({ installScripts: 'allow' }), /installScripts/],
    ['yanked releases allowed', rule({ yanked: 'warn' }), /yanked/],
    ['no pinned keys', rule({ maintainerKeys: [] }), /is empty/],
    ['a pinned key twice', rule({ maintainerKeys: [KEY, KEY] }), /one twice/],
    ['a key in capitals', rule({ maintainerKeys: [KEY.toUpperCase()] }), /not a key id/],
    ['a pattern that is none', rule({ packages: ['a/b/c'], yanked: 'refuse' }), /no package name/],
    ['an exception without reason', exception({ reason: ' ' }), /reason is empty/],
    ['an exception without end', exception({ expires: undefined }), /expires is missing/],
    ['an exception for ever', exception({ expires: 'never' }), /not a day/],
    ['a day that does not exist', exception({ expires: '2027-02-30' }), /not a day/],
    ['a time instead of a day', exception({ expires: '2027-02-01T0' }), /not a day/],
    ['an unknown code', exception({ code: 'BP0000' }), /not a code/],
    ['an exception from tampering', exception({ code: 'BP1001' }), /cannot be excepted/],
    ['an exception from the lockfile check', exception({ code: 'BP1003' }), /cannot be excepted/],
    ['an exception from signatures', exception({ code: 'BP2001' }), /cannot be excepted/],
    ['an exception from a fork', exception({ code: 'BP4003' }), /cannot be excepted/],
    ['an exception from a revocation', exception({ code: 'BP5001' }), /cannot be excepted/],
    ['an exception from "could not check"', exception({ code: 'BP7001' }), /cannot be excepted/],
    ['an exception for a range', exception({ package: 'a@^1.0.0' }), /no name/],
    ['an exception for nothing', exception({ package: '' }), /no name/],
    ['a misspelled exception', exception({ expire: 'x' }), /did you mean expires\?/],
    ['a list as rules', { rules: {} }, /not an array/],
  ];
  for (const [why, fields, message] of refused) {
    it(`refuse ${why}`, () => {
      assert.throws(
        () => read(fields),
        (error) =>
          error instanceof CliError &&
          error.diagnostic.code === 'BP9004' &&
          message.test(error.diagnostic.message),
      );
    });
  }

  it('refuse every truncation of a file', () => {
    const text = JSON.stringify({ ...HEAD, ...rule({ signersMin: 2 }), ...exception({}) });
    for (let length = 0; length < text.length; length++) {
      assert.throws(
        () => parseConfigText(text.slice(0, length), 'x', 'project'),
        CliError,
        `cut at ${length}`,
      );
    }
  });
});
