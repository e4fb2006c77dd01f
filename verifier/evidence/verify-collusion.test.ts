// More of them than one: replicas and maintainers who work together, up to f and beyond.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { release, THREE, verify, judge, wordOf, prunedMapFor } from '../../fixtures/evidence.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import type { Evidence } from './format.ts';

describe('verifyEvidence, against colluding replicas and maintainers', () => {
  // Each of these logs breaks a rule of the ledger, but has a quorum of cosignatures.
  const cases: readonly (readonly [
    why: string,
    make: (log: SyntheticLog) => void,
    word: string,
  ])[] = [
    ['nothing wrong', (log) => log.release({ name: 'p', version: '1.0.0' }), 'verified active'],
    [
      'f + 1 of the maintainers',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben', 'eve']),
      'verified active',
    ],
    [
      'f maintainers only',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'one maintainer, twice',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben', 'ben']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'one maintainer and an outsider',
      (log) => log.release({ name: 'p', version: '1.0.0' }, ['ben', 'mallory']),
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'one maintainer and one of another package',
      (log) => {
        log.maintain('q', { maintainers: ['mallory', 'oscar'], faulty: 0 });
        log.release(
          [
            { name: 'p', version: '1.0.0' },
            { name: 'q', version: '1.0.0' },
          ],
          ['ben', 'mallory'],
        );
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a removed maintainer, by the old set',
      (log) => {
        log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
        log.release({ name: 'p', version: '1.0.0', sequence: 0 }, ['ben', 'eve']);
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a removed maintainer, by the new set',
      (log) => {
        log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
        log.release({ name: 'p', version: '1.0.0' }, ['ben', 'eve']);
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'maintainers who came only after it',
      (log) => {
        log.release({ name: 'p', version: '1.0.0', sequence: 1 }, ['dan', 'fay']);
        log.maintain('p', { maintainers: ['dan', 'fay'], faulty: 1 });
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'maintainers who left after it',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' }, ['ben', 'eve']);
        log.maintain('p', { maintainers: ['dan', 'fay'], faulty: 1 });
      },
      'verified active',
    ],
    [
      'a successor set that f maintainers made',
      (log) => {
        log.maintain('p', {
          maintainers: ['eve', 'mallory'],
          faulty: 1,
          signers: ['eve', 'mallory'],
        });
        log.release({ name: 'p', version: '1.0.0' }, ['eve', 'mallory']);
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a successor set whose new maintainer never signed',
      (log) => {
        log.maintain('p', {
          maintainers: ['ada', 'ben', 'dan'],
          faulty: 1,
          signers: ['ada', 'ben'],
        });
        log.release({ name: 'p', version: '1.0.0' }, ['ada', 'ben']);
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a map that hides the set which removed a maintainer',
      (log) => {
        log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
        log.release({ name: 'p', version: '1.0.0', sequence: 0 }, ['ben', 'eve']);
        const first = log.packages.get('p')?.sets[0]?.index ?? 0;
        const record = { maintainers: first, sequence: 0, releases: 1, latest: '1.0.0' };
        log.setPackageRecord('p', record);
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that names another entry as the set in force',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' });
        log.setPackageRecord('p', { maintainers: 1, sequence: 0, releases: 1, latest: '1.0.0' });
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that knows the release but not the package',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' });
        log.forgetPackageRecord('p');
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that counts more sets than the log has',
      (log) => {
        log.release({ name: 'p', version: '1.0.0' });
        log.setPackageRecord('p', { maintainers: 0, sequence: 5, releases: 1, latest: '1.0.0' });
      },
      'MAINTAINER_CHAIN_BROKEN',
    ],
    [
      'a map that binds the version to another statement',
      (log) => {
        const index = log.release({ name: 'p', version: '1.0.0' });
        log.setReleaseRecord('p', '1.0.0', {
          index,
          statement: 'ab'.repeat(32),
          status: 'active',
          withdrawal: null,
        });
      },
      'ENTRY_MISMATCH',
    ],
    [
      'a map that points to the release of another version',
      (log) => {
        log.release({ name: 'p', version: '2.0.0' });
        const other = log.releases.get('p@2.0.0');
        assert.ok(other !== undefined);
        log.setReleaseRecord('p', '1.0.0', other);
      },
      'ENTRY_MISMATCH',
    ],
    [
      'a statement of several packages that lacks signatures for one',
      (log) => {
        log.maintain('q', { maintainers: ['oscar', 'peggy'], faulty: 1 });
        log.release(
          [
            { name: 'p', version: '1.0.0' },
            { name: 'q', version: '1.0.0' },
          ],
          ['ada', 'ben', 'peggy'],
        );
      },
      'MAINTAINER_SIGNATURES_MISSING',
    ],
  ];
  for (const [why, make, word] of cases) {
    it(`${why}: ${word}`, async () => {
      const log = new SyntheticLog();
      log.maintain('p', THREE);
      make(log);
      log.commit();
      assert.equal(await judge(log, release('p', '1.0.0')), word);
    });
  }

  it('refuses a statement that the map takes for a release', async () => {
    const log = new SyntheticLog();
    const index = log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.0' });
    log.commit();
    const good = log.releases.get('p@1.0.0');
    assert.ok(good !== undefined);
    // The evidence is made as if all were well; only then the map lies.
    const honest = log.evidence([release('p', '1.0.0')]);
    log.setReleaseRecord('p', '1.0.0', { ...good, index });
    log.commit();
    const { mapRoot } = log.snapshots.at(-1) ?? { mapRoot: log.root() };
    const lying: Evidence = {
      ...log.evidence([{ kind: 'package', name: 'p' }]),
      map: prunedMapFor(log, mapRoot),
    };
    const now = { pin: log.pin, nowSeconds: log.time, subjects: [release('p', '1.0.0')] };
    assert.equal(wordOf((await verify(honest, now)).subjects[0]), 'verified active');
    assert.equal(wordOf((await verify(lying, now)).subjects[0]), 'ENTRY_MISMATCH');
  });

  it('does not give the reason of another withdrawal', async () => {
    const log = new SyntheticLog();
    log.maintain('p', THREE);
    log.release({ name: 'p', version: '1.0.0' });
    log.release({ name: 'p', version: '2.0.0' });
    const wrong = log.withdraw('p', '2.0.0', 'yanked', 'other reason');
    log.withdraw('p', '1.0.0', 'revoked', 'right reason');
    const record = log.releases.get('p@1.0.0');
    assert.ok(record !== undefined);
    log.setReleaseRecord('p', '1.0.0', { ...record, withdrawal: wrong });
    log.commit();
    const subjects = [release('p', '1.0.0')];
    const now = { pin: log.pin, nowSeconds: log.time, subjects };
    const { subjects: results } = await verify(log.evidence(subjects), now);
    const [result] = results;
    assert.ok(result?.kind === 'refused' && result.error.code === 'RELEASE_REVOKED');
    assert.doesNotMatch(result.error.message, /reason/);
  });

  it('judges the good subjects beside the bad ones', async () => {
    const log = new SyntheticLog();
    log.maintain('p', THREE);
    log.maintain('q', THREE);
    log.release({ name: 'p', version: '1.0.0' }, ['ada']);
    log.release({ name: 'q', version: '1.0.0' });
    log.commit();
    const subjects = [release('p', '1.0.0'), release('q', '1.0.0'), release('r', '1.0.0')];
    const now = { pin: log.pin, nowSeconds: log.time, subjects };
    const result = await verify(log.evidence(subjects), now);
    assert.deepEqual(result.subjects.map(wordOf), [
      'MAINTAINER_SIGNATURES_MISSING',
      'verified active',
      'absent',
    ]);
  });
});
