// The judgement of a policy about a release and the one before it.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  release,
  signers,
  proven,
  absent,
  refusedResult,
  record,
  evidence,
  lists,
  layer,
  policyOf,
  everywhere,
  verified,
  apply,
} from '../../fixtures/policy-cases.ts';
import type { SubjectResult, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { Rule } from './policy.ts';
import { NOBODY_ASKED, type KnownVersions } from './predecessor.ts';

describe('the release before', () => {
  const script = { hasInstallScript: true };
  const fewer: Rule = everywhere({ signersNotFewer: true });
  const noNew: Rule = everywhere({ installScripts: 'no-new-in-patch' });
  const one = release({ signers: signers(1) });
  const withScript = release({ manifest: script });
  type Row = readonly [
    string,
    Rule,
    VerifiedRelease,
    readonly SubjectResult[],
    KnownVersions,
    string | null,
  ];
  const cases: readonly Row[] = [
    [
      'had more signers',
      fewer,
      one,
      [proven(release({ version: '1.2.2' }))],
      lists(['1.2.2', '1.2.3']),
      'BP6001',
    ],
    [
      'had as many',
      fewer,
      release(),
      [proven(release({ version: '1.2.2' }))],
      lists(['1.2.2']),
      null,
    ],
    [
      'is the nearest, not any',
      fewer,
      one,
      [
        proven(release({ version: '1.2.1' })),
        proven(release({ version: '1.2.2', signers: signers(1) })),
      ],
      lists(['1.2.1', '1.2.2']),
      null,
    ],
    [
      'is hidden by one list and named by another',
      fewer,
      one,
      [
        proven(release({ version: '1.2.1', signers: signers(1) })),
        proven(release({ version: '1.2.2' })),
      ],
      lists(['1.2.1'], ['1.2.1', '1.2.2']),
      'BP6001',
    ],
    [
      'is not a later one',
      fewer,
      one,
      [proven(release({ version: '1.2.4' }))],
      lists(['1.2.4']),
      null,
    ],
    [
      'is not one that a list invents',
      fewer,
      one,
      [absent('1.2.2'), proven(release({ version: '1.2.1' }))],
      lists(['1.2.1'], ['1.2.2']),
      'BP6001',
    ],
    [
      'is not a revoked one',
      fewer,
      one,
      [
        refusedResult('1.2.2', 'RELEASE_REVOKED'),
        proven(release({ version: '1.2.1', signers: signers(1) })),
      ],
      lists(['1.2.1'], ['1.2.2']),
      null,
    ],
    [
      'is named and not proven',
      fewer,
      one,
      [
        refusedResult('1.2.2', 'ENTRY_MISMATCH'),
        proven(release({ version: '1.2.1', signers: signers(1) })),
      ],
      lists(['1.2.1'], ['1.2.2']),
      'BP7006',
    ],
    [
      'is named, not proven, and the only one',
      fewer,
      one,
      [refusedResult('1.2.2', 'ENTRY_MISMATCH')],
      lists(['1.2.2']),
      'BP7006',
    ],
    ['does not exist', fewer, one, [], lists(['1.2.3'], ['1.2.3']), null],
    ['is unknown without lists', fewer, one, [record(2)], NOBODY_ASKED, 'BP7006'],
    ['is proven not to exist', fewer, one, [record(1)], NOBODY_ASKED, null],
    [
      'is not determined by too few lists',
      fewer,
      one,
      [record(1), proven(release({ version: '1.2.2', signers: signers(1) }))],
      { listsOf: () => 'too-few' },
      'BP7006',
    ],
    [
      'is proven not to exist by all others',
      fewer,
      one,
      [record(3), proven(release({ version: '2.0.0' })), refusedResult('2.0.1', 'RELEASE_REVOKED')],
      NOBODY_ASKED,
      null,
    ],
    [
      'comes from a bundle',
      fewer,
      one,
      [proven(release({ version: '1.2.2' }))],
      NOBODY_ASKED,
      'BP6001',
    ],
    [
      'had no script',
      noNew,
      withScript,
      [proven(release({ version: '1.2.2' }))],
      lists(['1.2.2']),
      'BP6012',
    ],
    [
      'had one as well',
      noNew,
      withScript,
      [proven(release({ version: '1.2.2', manifest: script }))],
      lists(['1.2.2']),
      null,
    ],
    [
      'was of another minor version',
      noNew,
      withScript,
      [proven(release({ version: '1.1.9' }))],
      lists(['1.1.9']),
      null,
    ],
    ['does not matter without a script', noNew, release(), [record(2)], NOBODY_ASKED, null],
  ];
  for (const [why, rule, each, others, known, expected] of cases) {
    it(`${why}: ${expected ?? 'fine'}`, () => {
      const rest = { evidence: evidence([proven(each), ...others]), known };
      const { codes, decided } = apply(policyOf([layer('project', [rule])]), verified(each), rest);
      assert.deepEqual(codes, expected === null ? [] : [expected]);
      const verdict =
        expected === null ? 'verified' : expected === 'BP7006' ? 'inconclusive' : 'rejected';
      assert.equal(decided.verdict, verdict);
    });
  }
});
