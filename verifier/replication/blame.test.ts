import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import {
  certificateOf,
  cosignOf,
  newViewOf,
  viewChangeOf,
} from '../../fixtures/transcripts/samples.ts';
import {
  ORIGIN,
  isFakeSignature,
  makeBatch,
  peerOf,
  request,
  testRoster,
} from '../../fixtures/transcripts/world.ts';
import { blame, type Testimony } from './blame.ts';
import { genesisHeader, newViewDigest } from './encode.ts';
import { planEvidence } from './judge.ts';
import { Members, NO_MUTANTS } from './members.ts';
import type { Certificate, NewView } from './messages.ts';

const ROSTER = testRoster([1, 1, 1, 1]);
const GENESIS = genesisHeader(ORIGIN);
const MEMBERS = new Members(ROSTER, 'an auditor');
const X = makeBatch(GENESIS, 0, [request('x')], 1_000);
const Y = makeBatch(GENESIS, 0, [request('y')], 1_000);
const { size, root, height } = X.header;

const testimony = (kept: Partial<Testimony>): Testimony => ({
  certificates: [],
  newViews: [],
  cosigns: [],
  ...kept,
});
const change = (signer: number, content: object = {}): ReturnType<typeof viewChangeOf> =>
  viewChangeOf(ROSTER, { view: 1, signer, ...content });
const preparedIn = (
  batch: typeof X,
  signers: readonly number[],
  view = 0,
): { header: typeof X.header; certificate: ReturnType<typeof certificateOf> } => ({
  header: batch.header,
  certificate: certificateOf(ROSTER, 'prepare', batch.header, signers, view),
});
const opened = (newView: NewView): string => newViewDigest(ORIGIN, newView.content);

const hiding = newViewOf(
  ROSTER,
  1,
  [0, 1, 3].map((signer) => change(signer)),
);
const demanding = newViewOf(
  ROSTER,
  1,
  [0, 1, 2].map((signer) => change(signer, { prepared: preparedIn(X, [0, 1, 2]) })),
);
const decidedX = certificateOf(ROSTER, 'commit', X.header, [0, 1, 2]);

/** Its signers have other places in the next roster. */
function ofNextEpoch(certificate: Certificate): Certificate {
  return { ...certificate, vote: { ...certificate.vote, epoch: 1 } };
}

const CASES: readonly (readonly [string, readonly Testimony[], string])[] = [
  [
    'two decisions of one view: whoever signed both',
    [
      testimony({ certificates: [decidedX] }),
      testimony({ certificates: [certificateOf(ROSTER, 'commit', Y.header, [0, 1, 3])] }),
    ],
    'X2/r0 X2/r1',
  ],
  [
    'decisions of two views: whoever hid the first',
    [
      testimony({ certificates: [decidedX] }),
      testimony({
        certificates: [certificateOf(ROSTER, 'commit', Y.header, [0, 1, 3], 1, opened(hiding))],
        newViews: [hiding],
      }),
    ],
    'X3/r0 X3/r1',
  ],
  [
    'a vote against what the view demanded, inside a later VIEW-CHANGE',
    [
      testimony({ newViews: [demanding] }),
      testimony({
        newViews: [
          newViewOf(ROSTER, 2, [
            viewChangeOf(ROSTER, {
              view: 2,
              signer: 3,
              prepared: {
                header: Y.header,
                certificate: certificateOf(
                  ROSTER,
                  'prepare',
                  Y.header,
                  [0, 1, 3],
                  1,
                  opened(demanding),
                ),
              },
            }),
          ]),
        ],
      }),
    ],
    'X6/r0 X6/r1 X6/r3',
  ],
  [
    'two NEW-VIEWs of one view, and two VIEW-CHANGEs in them',
    [testimony({ newViews: [hiding] }), testimony({ newViews: [demanding] })],
    'X4/r0 X4/r1 X5/r1',
  ],
  [
    'two prepare certificates of one view inside VIEW-CHANGEs',
    [
      testimony({
        newViews: [
          newViewOf(ROSTER, 1, [
            change(0, { prepared: preparedIn(X, [0, 1, 2]) }),
            change(3, { prepared: preparedIn(Y, [1, 2, 3]) }),
          ]),
        ],
      }),
    ],
    'X1/r1 X1/r2',
  ],
  [
    'two roots of one size',
    [
      testimony({ cosigns: [cosignOf(ROSTER, 2, { size, root, height })] }),
      testimony({ cosigns: [cosignOf(ROSTER, 2, { size, root: Y.header.root, height })] }),
    ],
    'X7/r2',
  ],
  [
    'nobody for what correct members keep',
    [
      testimony({ certificates: [decidedX], newViews: [demanding] }),
      testimony({ certificates: [certificateOf(ROSTER, 'commit', X.header, [0, 2, 3], 1)] }),
      testimony({ newViews: [demanding], cosigns: [cosignOf(ROSTER, 2, { size, root, height })] }),
    ],
    '',
  ],
  [
    'nobody of this epoch for what members of another have done',
    [
      testimony({ certificates: [ofNextEpoch(decidedX)] }),
      testimony({
        certificates: [ofNextEpoch(certificateOf(ROSTER, 'commit', Y.header, [0, 1, 3]))],
      }),
    ],
    '',
  ],
];

describe('blame', () => {
  for (const [why, testimonies, expected] of CASES) {
    it(`finds ${why}`, () => {
      const found = blame(MEMBERS, testimonies);
      const names = found.map(({ rule, accused }) => {
        const index = [0, 1, 2, 3].find((signer) => peerOf(`r${signer}`) === accused);
        return `${rule}/r${index}`;
      });
      assert.equal(names.sort().join(' '), expected);
      for (const report of found) {
        // What is found has to convince somebody who has nothing but the report and the roster.
        const context = { members: MEMBERS, epochStart: GENESIS, mutants: NO_MUTANTS };
        const plan = planEvidence(report, context);
        assert.equal(plan.finish(plan.jobs.map(isFakeSignature)).accused, report.accused);
      }
    });
  }
});
