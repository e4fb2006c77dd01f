import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { concat, utf8 } from '../../verifier/bytes.ts';
import { describeEntry, entryText } from './describe-entry.ts';

function entry(log: SyntheticLog, index: number): Uint8Array {
  const data = log.entries[index];
  assert.ok(data !== undefined);
  return data;
}

describe('describeEntry', () => {
  const log = new SyntheticLog();
  log.maintain('alpha', { maintainers: ['ada', 'ben'], faulty: 1 });
  log.release({ name: 'alpha', version: '1.0.0' });
  log.commit();
  log.withdraw('alpha', '1.0.0', 'yanked', 'wrong main field');
  log.commit();
  log.changeRoster({});

  const rows: readonly (readonly [why: string, index: number, shown: RegExp])[] = [
    ['a maintainer set', 0, /pkg:npm\/alpha, sequence 0: 2 maintainers, 2 have to sign/],
    ['a release', 1, /pkg:npm\/alpha@1\.0\.0/],
    ['a commit entry', 2, /commit of height 1, epoch 0, 2 entries/],
    ['a withdrawal', 3, /alpha@1\.0\.0 yanked: vulnerability wrong main field/],
    ['a roster', 5, /epoch 1: 4 replicas/],
  ];
  for (const [why, index, shown] of rows) {
    it(`shows ${why}`, () => {
      assert.match(describeEntry(entry(log, index)).join('\n'), shown);
    });
  }

  const unreadable: readonly (readonly [why: string, data: Uint8Array])[] = [
    ['nothing', new Uint8Array(0)],
    ['another format', utf8('{"format":"bftpkg-entry/v9"}')],
    ['an entry that is cut off', entry(log, 1).subarray(0, -1)],
    ['an entry with a byte too much', concat(entry(log, 1), utf8(' '))],
    ['bytes that are no text', Uint8Array.of(0xff, 0xfe)],
  ];
  for (const [why, data] of unreadable) {
    it(`says that it can't read ${why}`, () => {
      const lines = describeEntry(data);
      assert.equal(lines.length, 1);
      assert.match(lines[0] ?? '', /can't be read by this version/);
    });
  }

  it('gives the text of an entry, when it is one', () => {
    assert.equal(entryText(utf8('{}')), '{}');
    assert.equal(entryText(Uint8Array.of(0xff)), null);
  });
});
