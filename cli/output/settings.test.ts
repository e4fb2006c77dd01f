// What is said about the files that people write, held against the parsers that read them.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parseMonitorConfig } from '../monitor/config.ts';
import { parseConfigText, PROJECT_KEYS, USER_KEYS } from '../policy/config-file.ts';
import { EXCEPTION_KEYS, RULE_KEYS } from '../policy/read-policy.ts';
import {
  CONFIG_SETTINGS,
  EXCEPTION_SETTINGS,
  MONITOR_SETTINGS,
  RULE_SETTINGS,
  USER_SETTINGS,
  type FileSetting,
} from './settings.ts';
import { TOPICS } from './topics.ts';

const HEX = 'ab'.repeat(32);

const RULE = {
  packages: ['*'],
  releaseAgeMinSeconds: 31_622_400,
  signersMin: 64,
  signersNotFewer: true,
  maintainerKeys: [HEX],
  installScripts: 'no-new-in-patch',
  yanked: 'refuse',
  unlogged: 'refuse',
};
const EXCEPTION = { package: '@acme/*', code: 'BP5003', reason: 'why', expires: '2027-01-31' };
const SHARED = {
  format: 'bftpkg-config/v1',
  pin: HEX,
  replicas: ['https://r0.example'],
  checkpointAgeMaxSeconds: 2_678_400,
  rules: [RULE],
  exceptions: [EXCEPTION],
  allowScripts: ['tar', '@acme/*', 'name@1.2.3'],
};
const PROJECT = { ...SHARED, baseline: 'bftpkg-baseline.json' };
const USER = { ...SHARED, pins: [HEX], trustedProjects: ['/home/ada/app'] };
const MONITOR = {
  format: 'bftpkg-monitor/v1',
  pin: HEX,
  replicas: ['https://r0.example'],
  sources: ['https://mirror.example'],
  packages: ['*'],
  // Of RFC 8032, section 7.1: not every 32 bytes are a key.
  keys: ['d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a'],
  checkpointAgeMaxSeconds: 600,
};

const names = (settings: readonly FileSetting[]): string[] => settings.map(({ name }) => name);

describe('the settings that are explained', () => {
  const lists: readonly (readonly [string, readonly string[], readonly string[], object])[] = [
    ['bftpkg.json', names(CONFIG_SETTINGS), PROJECT_KEYS, PROJECT],
    [
      'config.json',
      [...names(CONFIG_SETTINGS).filter((name) => name !== 'baseline'), ...names(USER_SETTINGS)],
      USER_KEYS,
      USER,
    ],
    ['a rule', names(RULE_SETTINGS), RULE_KEYS, RULE],
    ['an exception', names(EXCEPTION_SETTINGS), EXCEPTION_KEYS, EXCEPTION],
    ['monitor.json', names(MONITOR_SETTINGS), Object.keys(MONITOR), MONITOR],
  ];
  for (const [what, explained, known, example] of lists) {
    it(`are those of ${what}, all of them`, () => {
      assert.deepEqual(explained.toSorted(), [...known].toSorted());
      assert.deepEqual(Object.keys(example).toSorted(), [...known].toSorted());
    });
  }

  it('are read by their parsers, to the ends of their ranges', () => {
    assert.equal(
      parseConfigText(JSON.stringify(PROJECT), 'bftpkg.json', 'project').rules.length,
      1,
    );
    assert.equal(parseConfigText(JSON.stringify(USER), 'config.json', 'user').pins?.length, 1);
    assert.equal(parseMonitorConfig(JSON.stringify(MONITOR), 'monitor.json').keys.length, 1);
  });

  const beyond: readonly (readonly [string, object])[] = [
    ['checkpointAgeMaxSeconds', { ...SHARED, checkpointAgeMaxSeconds: 2_678_401 }],
    ['releaseAgeMinSeconds', { ...SHARED, rules: [{ ...RULE, releaseAgeMinSeconds: 31_622_401 }] }],
    ['signersMin', { ...SHARED, rules: [{ ...RULE, signersMin: 65 }] }],
  ];
  for (const [name, config] of beyond) {
    it(`end where they say: ${name}`, () => {
      assert.throws(() => parseConfigText(JSON.stringify(config), 'bftpkg.json', 'project'), {
        message: new RegExp(name),
      });
    });
  }

  it('are all in the topics', () => {
    const text = TOPICS.flatMap(({ paragraphs }) => paragraphs).join('\n');
    for (const [, explained] of lists) {
      for (const name of explained) assert.match(text, new RegExp(`^${name} \\(`, 'm'), name);
    }
  });
});
