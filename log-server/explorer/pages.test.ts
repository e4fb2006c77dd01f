// Whatever strangers put into a log is text on a page: names of maintainers and the words of a withdrawal
// are free, and signed by nobody but themselves.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import {
  ENTRIES_PER_PAGE,
  VERSIONS_SHOWN_MAX,
  entryPage,
  logPage,
  missingPage,
  overviewPage,
  packagePage,
  type PlacedEntry,
} from './pages.ts';

// Statements take no characters that are not seen; a question may have some.
const HOSTILE = '<script>alert(1)</script>"';

const log = new SyntheticLog();
log.maintain('@scope/p', { maintainers: [HOSTILE, 'ben'], faulty: 1 });
log.release({ name: '@scope/p', version: '1.0.0' });
log.commit();
log.withdraw('@scope/p', '1.0.0', 'revoked', HOSTILE);
log.commit();
log.changeRoster({});

const placed: readonly PlacedEntry[] = log.entries
  .map((data, index) => ({ index, entry: parseEntry(data) }))
  .toReversed();

function entryOf(kind: string): PlacedEntry {
  return placed.find(({ entry }) => entry.kind === kind) ?? assert.fail(`a ${kind}`);
}

function packageOf(versions: number): string {
  const { entry } = entryOf('maintainers');
  assert.ok(entry.kind === 'maintainers', 'it is a set');
  const record = log.releases.get('@scope/p@1.0.0') ?? assert.fail('a release');
  return packagePage({
    name: '@scope/p',
    record: { maintainers: 0, sequence: 0, releases: versions, latest: null },
    versions: Array.from({ length: versions }, (_, i) => ({ version: `1.0.${i}`, record })),
    maintainers: entry,
  });
}

const pages: readonly (readonly [string, () => string, RegExp])[] = [
  ['the front page', () => overviewPage(log.roster, log.note(), placed), /replica-0\.example/],
  ['an empty log', () => overviewPage(log.roster, undefined, []), /none yet/],
  ['the list', () => logPage(placed, log.size), /revoked/],
  [
    'a maintainer set',
    () => entryPage(entryOf('maintainers'), leafHash(Uint8Array.of())),
    /signed by/,
  ],
  ['a release', () => entryPage(entryOf('release'), leafHash(Uint8Array.of())), /sha512-/],
  ['a withdrawal', () => entryPage(entryOf('withdrawal'), leafHash(Uint8Array.of())), /revoked/],
  ['a roster', () => entryPage(entryOf('roster'), leafHash(Uint8Array.of())), /epoch 1/],
  ['a batch', () => entryPage(entryOf('commit'), leafHash(Uint8Array.of())), /map root/],
  ['a package', () => packageOf(1), /2 of 2 have to sign/],
  ['nothing', () => missingPage(`${HOSTILE}\u202E`), /knows nothing/],
];

describe('pages', () => {
  for (const [what, make, expected] of pages) {
    it(`show ${what}, and run nothing`, () => {
      const text = make();
      assert.match(text, expected);
      assert.doesNotMatch(text, /<script/i);
      assert.ok(!text.includes('\u202E'), 'what is not seen is shown');
      assert.ok(text.startsWith('<!doctype html>'), 'it is a page');
      // No address but our own.
      for (const [, address] of text.matchAll(/(?:href|src)="([^"]*)"/g)) {
        assert.match(address ?? '', /^\/(?!\/)/);
      }
    });
  }

  it('say that they are one replica’s word', () => {
    assert.match(packageOf(1), /proves nothing[\s\S]*bftpkg inspect @scope\/p/);
  });

  it('link names with a slash so that they come back whole', () => {
    assert.match(logPage(placed, log.size), /"\/explore\/package\/%40scope%2Fp"/);
  });

  it('list a bounded number of versions, and say so', () => {
    const text = packageOf(VERSIONS_SHOWN_MAX + 1);
    assert.equal(text.split('<td>1.0.').length - 1, VERSIONS_SHOWN_MAX);
    assert.match(text, new RegExp(`the newest\\s+${VERSIONS_SHOWN_MAX}\\s+are shown`));
  });

  it('lead to older and newer entries, as far as there are any', () => {
    const at = (index: number): PlacedEntry => ({ ...entryOf('commit'), index });
    const text = logPage([at(149), at(100)], 1000);
    assert.match(text, new RegExp(`upto=${149 + ENTRIES_PER_PAGE}"`));
    assert.match(text, /upto=99"/);
    assert.doesNotMatch(logPage([at(9), at(0)], 10), /upto=/);
  });
});
