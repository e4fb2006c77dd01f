import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { laterRefusalOf, refusalOf } from '../../fixtures/documents.ts';
import {
  certificateOf,
  cosignOf,
  newViewOf,
  prePrepareOf,
  viewChangeOf,
} from '../../fixtures/transcripts/samples.ts';
import {
  fakeSignature,
  isFakeSignature,
  makeBatch,
  ORIGIN,
  request,
  testRoster,
  voteOf,
} from '../../fixtures/transcripts/world.ts';
import { preAuthenticationEncoding, type Envelope } from '../dsse.ts';
import { keyId, publicKeyHex } from '../ed25519.ts';
import { formatRoster, ROSTER_PAYLOAD_TYPE, type Roster } from '../roster.ts';
import type { SignatureVerifier } from '../signatures.ts';
import { genesisHeader, newViewDigest, ZERO_DIGEST } from './encode.ts';
import type { Message } from './messages.ts';
import type { Misbehaviour } from './misbehaviour.ts';
import {
  formatMisbehaviour,
  parseMisbehaviour,
  verifyMisbehaviour,
  type MisbehaviourDocument,
} from './report.ts';

const verifier: SignatureVerifier = {
  verifyMany: (jobs) => Promise.resolve(jobs.map(isFakeSignature)),
};

const roster = testRoster([1, 1, 1, 1]);
const ACCUSED = 3;

function rosterEnvelope(of: Roster): Envelope {
  const payload = formatRoster(of);
  const message = preAuthenticationEncoding(ROSTER_PAYLOAD_TYPE, payload);
  return {
    payloadType: ROSTER_PAYLOAD_TYPE,
    payload,
    signatures: of.replicas.map(({ voteKey }) => ({
      keyid: keyId(voteKey),
      signature: fakeSignature(voteKey, message),
    })),
  };
}

function keyOf(index: number): string {
  const replica = roster.replicas[index];
  assert.ok(replica !== undefined);
  return publicKeyHex(replica.voteKey);
}

function documentOf(
  rule: Misbehaviour['rule'],
  messages: readonly Message[],
  more: Partial<Misbehaviour> = {},
): MisbehaviourDocument {
  const report = { rule, accused: keyOf(ACCUSED), epoch: 0, messages, ...more };
  return { rosters: [rosterEnvelope(roster)], epochStart: null, report };
}

const genesis = genesisHeader(ORIGIN);
const a = makeBatch(genesis, 0, [request('a')], 1_000);
const b = makeBatch(genesis, 0, [request('b')], 1_000);
const c = makeBatch(a.header, 0, [request('c')], 2_000);
const lastA = {
  header: a.header,
  certificate: certificateOf(roster, 'commit', a.header, [0, 1, 3]),
};
const preparedIn = (header: typeof a.header, view: number) => ({
  header,
  certificate: certificateOf(roster, 'prepare', header, [0, 1, 2], view),
});

const change = (signer: number, view: number, more: object = {}) =>
  viewChangeOf(roster, { signer, view, ...more });
const changeMessage = (signer: number, view: number, more: object = {}): Message => ({
  kind: 'view-change',
  viewChange: change(signer, view, more),
});

// View 3 is led by r3, view 1 by r1. In both, b was prepared before and must be proposed.
const opening = newViewOf(
  roster,
  1,
  [0, 1, 2].map((i) => change(i, 1, { prepared: preparedIn(b.header, 0) })),
);
const nvOf = (newView: typeof opening) => ({
  view: newView.content.view,
  nv: newViewDigest(ORIGIN, newView.content),
});
const freely = newViewOf(
  roster,
  1,
  [0, 1, 2].map((i) => change(i, 1)),
);
const atBase = newViewOf(
  roster,
  1,
  [0, 1, 2].map((i) => change(i, 1, { last: lastA })),
);
const ownView = (changers: readonly number[]): Message => ({
  kind: 'new-view',
  newView: newViewOf(
    roster,
    3,
    changers.map((i) => change(i, 3)),
  ),
});
const size = a.header.size;
const cosign = (root: string, at = size, time = 1_000, signer = ACCUSED): Message =>
  cosignOf(roster, signer, { size: at, root, height: 1 }, time);

const vote = (
  phase: 'prepare' | 'commit',
  header: typeof a.header,
  view = { view: 0, nv: ZERO_DIGEST },
  signer = ACCUSED,
): Message => voteOf(roster, phase, signer, header, view);

// [why, report, what it proves: the rule, or the code of its refusal]
const CASES: readonly (readonly [string, MisbehaviourDocument, string])[] = [
  ['two PREPAREs', documentOf('X1', [vote('prepare', a.header), vote('prepare', b.header)]), 'X1'],
  [
    'two proposals of a leader',
    documentOf('X1', [prePrepareOf(roster, a, 3), prePrepareOf(roster, b, 3)]),
    'X1',
  ],
  [
    'a proposal and another PREPARE',
    documentOf('X1', [
      prePrepareOf(roster, a, 3),
      vote('prepare', b.header, { view: 3, nv: ZERO_DIGEST }),
    ]),
    'X1',
  ],
  ['two COMMITs', documentOf('X2', [vote('commit', a.header), vote('commit', b.header)]), 'X2'],
  [
    'a COMMIT that the view change hides',
    documentOf('X3', [vote('commit', a.header), changeMessage(ACCUSED, 1)]),
    'X3',
  ],
  [
    'a COMMIT, and an older certificate for something else',
    documentOf('X3', [
      vote('commit', a.header, { view: 1, nv: nvOf(freely).nv }),
      changeMessage(ACCUSED, 2, { prepared: preparedIn(b.header, 0) }),
    ]),
    'X3',
  ],
  [
    'two VIEW-CHANGEs into one view',
    documentOf('X4', [changeMessage(ACCUSED, 1), changeMessage(ACCUSED, 1, { last: lastA })]),
    'X4',
  ],
  ['two NEW-VIEWs', documentOf('X5', [ownView([0, 1, 2]), ownView([0, 1, 3])]), 'X5'],
  [
    'a PREPARE against the mandate',
    documentOf('X6', [
      { kind: 'new-view', newView: opening },
      vote('prepare', a.header, nvOf(opening)),
    ]),
    'X6',
  ],
  [
    'a PREPARE at the base',
    documentOf('X6', [
      { kind: 'new-view', newView: atBase },
      vote('prepare', b.header, nvOf(atBase)),
    ]),
    'X6',
  ],
  ['two roots of one size', documentOf('X7', [cosign(a.header.root), cosign(b.header.root)]), 'X7'],
  ['a proposal whose body breaks a rule', documentOf('X8', [prePrepareOf(roster, a, 3)]), 'X8'],

  // what honest members do
  [
    'the same PREPARE twice',
    documentOf('X1', [vote('prepare', a.header), vote('prepare', a.header)]),
    'MESSAGE_REFUSED',
  ],
  [
    'PREPAREs of two views',
    documentOf('X1', [vote('prepare', a.header), vote('prepare', b.header, nvOf(freely))]),
    'MESSAGE_REFUSED',
  ],
  [
    'PREPAREs at two heights',
    documentOf('X1', [vote('prepare', a.header), vote('prepare', c.header)]),
    'MESSAGE_REFUSED',
  ],
  [
    'a PREPARE and a COMMIT',
    documentOf('X1', [vote('prepare', a.header), vote('commit', b.header)]),
    'MESSAGE_REFUSED',
  ],
  [
    'COMMITs of two views',
    documentOf('X2', [vote('commit', a.header), vote('commit', b.header, nvOf(freely))]),
    'MESSAGE_REFUSED',
  ],
  [
    'a COMMIT that the view change reports as committed',
    documentOf('X3', [vote('commit', a.header), changeMessage(ACCUSED, 1, { last: lastA })]),
    'MESSAGE_REFUSED',
  ],
  [
    'a COMMIT that the view change reports as prepared',
    documentOf('X3', [
      vote('commit', a.header),
      changeMessage(ACCUSED, 1, { prepared: preparedIn(a.header, 0) }),
    ]),
    'MESSAGE_REFUSED',
  ],
  [
    'a COMMIT after the view change, in its view',
    documentOf('X3', [vote('commit', a.header, nvOf(freely)), changeMessage(ACCUSED, 1)]),
    'MESSAGE_REFUSED',
  ],
  [
    'the same VIEW-CHANGE twice',
    documentOf('X4', [changeMessage(ACCUSED, 1), changeMessage(ACCUSED, 1)]),
    'MESSAGE_REFUSED',
  ],
  [
    'VIEW-CHANGEs into two views',
    documentOf('X4', [changeMessage(ACCUSED, 1), changeMessage(ACCUSED, 2)]),
    'MESSAGE_REFUSED',
  ],
  [
    'the same NEW-VIEW twice',
    documentOf('X5', [ownView([0, 1, 2]), ownView([0, 1, 2])]),
    'MESSAGE_REFUSED',
  ],
  [
    'a PREPARE for the mandate',
    documentOf('X6', [
      { kind: 'new-view', newView: opening },
      vote('prepare', b.header, nvOf(opening)),
    ]),
    'MESSAGE_REFUSED',
  ],
  [
    'a PREPARE under another NEW-VIEW of that view',
    documentOf('X6', [
      { kind: 'new-view', newView: opening },
      vote('prepare', a.header, nvOf(freely)),
    ]),
    'MESSAGE_REFUSED',
  ],
  [
    'a checkpoint signed again later',
    documentOf('X7', [cosign(a.header.root), cosign(a.header.root, size, 2_000)]),
    'MESSAGE_REFUSED',
  ],
  [
    'two sizes without a proof that they contradict each other',
    documentOf('X7', [cosign(a.header.root), cosign(b.header.root, size + 1)]),
    'MESSAGE_REFUSED',
  ],

  [
    'a COMMIT, and a later certificate for something else',
    documentOf('X3', [
      vote('commit', a.header),
      changeMessage(ACCUSED, 2, { prepared: preparedIn(b.header, 1) }),
    ]),
    'MESSAGE_REFUSED',
  ],

  // what liars make
  [
    'a vote of another member, then one of the accused',
    documentOf('X1', [vote('prepare', a.header, undefined, 2), vote('prepare', b.header)]),
    'MESSAGE_REFUSED',
  ],
  [
    'a COMMIT of another member',
    documentOf('X3', [vote('commit', a.header, undefined, 2), changeMessage(ACCUSED, 1)]),
    'MESSAGE_REFUSED',
  ],
  [
    'votes of two members',
    documentOf('X1', [vote('prepare', a.header), vote('prepare', b.header, undefined, 2)]),
    'MESSAGE_REFUSED',
  ],
  [
    'votes of somebody else',
    documentOf('X1', [
      vote('prepare', a.header, undefined, 2),
      vote('prepare', b.header, undefined, 2),
    ]),
    'MESSAGE_REFUSED',
  ],
  [
    'a forged vote',
    documentOf('X1', [
      vote('prepare', a.header),
      { ...voteOf(roster, 'prepare', ACCUSED, b.header), signature: new Uint8Array(64) },
    ]),
    'MESSAGE_REFUSED',
  ],
  [
    'a forged cosignature',
    documentOf('X7', [
      cosign(a.header.root),
      {
        ...cosignOf(roster, ACCUSED, { size, root: b.header.root, height: 1 }),
        signature: new Uint8Array(64),
      },
    ]),
    'MESSAGE_REFUSED',
  ],
  [
    'a NEW-VIEW without a quorum, made to fit a vote',
    documentOf('X6', [
      { kind: 'new-view', newView: newViewOf(roster, 1, [change(1, 1)]) },
      vote('prepare', genesis, nvOf(newViewOf(roster, 1, [change(1, 1)]))),
    ]),
    'MESSAGE_REFUSED',
  ],
  ['one message of two', documentOf('X1', [vote('prepare', a.header)]), 'MESSAGE_REFUSED'],
  ['no message', documentOf('X8', []), 'MESSAGE_REFUSED'],
  [
    'a proposal without its body',
    documentOf('X8', [{ ...prePrepareOf(roster, a, 3), body: undefined }]),
    'MESSAGE_REFUSED',
  ],
  [
    'an accused who is no member',
    documentOf('X1', [vote('prepare', a.header), vote('prepare', b.header)], {
      accused: 'ab'.repeat(32),
    }),
    'MESSAGE_REFUSED',
  ],
  [
    'an epoch without a roster',
    documentOf('X1', [vote('prepare', a.header), vote('prepare', b.header)], { epoch: 1 }),
    'MESSAGE_REFUSED',
  ],
];

async function outcomeOf(document: MisbehaviourDocument, pin = roster.hash): Promise<string> {
  let rule = '';
  const code = await laterRefusalOf(async () => {
    // Through its bytes, as everybody but its author gets it.
    const read = parseMisbehaviour(formatMisbehaviour(document));
    const guilt = await verifyMisbehaviour(read, pin, verifier);
    assert.equal(guilt.name, 'r3');
    assert.equal(guilt.origin, ORIGIN);
    assert.equal(guilt.needsExecution, guilt.rule === 'X8');
    ({ rule } = guilt);
  });
  return code ?? rule;
}

describe('verifyMisbehaviour', () => {
  for (const [why, document, expected] of CASES) {
    it(`${document.report.rule}, ${why}: ${expected}`, async () => {
      assert.equal(await outcomeOf(document), expected);
    });
  }

  const [, good] = CASES[0] ?? [];
  assert.ok(good !== undefined);

  it('refuses a pin that is not in the chain', async () => {
    assert.equal(await outcomeOf(good, 'cd'.repeat(32)), 'ROSTER_NOT_PINNED');
    assert.equal(await outcomeOf({ ...good, rosters: [] }), 'ROSTER_NOT_PINNED');
  });

  it('refuses a roster that its members did not sign', async () => {
    const [envelope] = good.rosters;
    assert.ok(envelope !== undefined);
    const unsigned = { ...envelope, signatures: envelope.signatures.slice(1) };
    assert.equal(await outcomeOf({ ...good, rosters: [unsigned] }), 'ROSTER_CHAIN_BROKEN');
  });

  it('refuses a start of epoch 0: a made-up one could make an honest message look like a lie', async () => {
    assert.equal(await outcomeOf({ ...good, epochStart: lastA }), 'MESSAGE_REFUSED');
  });
});

describe('verifyMisbehaviour in a later epoch', () => {
  const later = testRoster([1, 1, 1, 1], { epoch: 1, previous: roster.hash });
  const closing = makeBatch(
    a.header,
    0,
    [request('roster next')],
    3_000,
    new Map([['next', later]]),
  );
  const start = {
    header: closing.header,
    certificate: certificateOf(roster, 'commit', closing.header, [0, 1, 2]),
  };
  const next = makeBatch(closing.header, 1, [request('x')], 4_000);
  const lastStart = { header: closing.header, certificate: undefined };
  // Hides its COMMIT, naming the epoch's start, which needs no certificate among members.
  const messages: Message[] = [
    voteOf(later, 'commit', ACCUSED, next.header),
    {
      kind: 'view-change',
      viewChange: viewChangeOf(later, { signer: ACCUSED, view: 1, last: lastStart }),
    },
  ];
  const document: MisbehaviourDocument = {
    rosters: [rosterEnvelope(roster), rosterEnvelope(later)],
    epochStart: start,
    report: { rule: 'X3', accused: keyOf(ACCUSED), epoch: 1, messages },
  };

  for (const pin of [roster, later]) {
    it(`is checked from a pin of epoch ${pin.epoch}`, async () => {
      assert.equal(await outcomeOf(document, pin.hash), 'X3');
    });
  }

  const weak = certificateOf(roster, 'commit', closing.header, [0, 1]);
  const prepared = certificateOf(roster, 'prepare', closing.header, [0, 1, 2]);
  const other = makeBatch(a.header, 0, [request('c')], 3_000);
  const forged = {
    ...start.certificate,
    signatures: start.certificate.signatures.map(({ signer }) => ({
      signer,
      signature: new Uint8Array(64),
    })),
  };
  const starts: readonly (readonly [string, MisbehaviourDocument['epochStart']])[] = [
    ['none', null],
    ['one without a quorum', { ...start, certificate: weak }],
    ['one that was only prepared', { ...start, certificate: prepared }],
    ['one with forged signatures', { ...start, certificate: forged }],
    [
      'one that put no roster in force',
      {
        header: other.header,
        certificate: certificateOf(roster, 'commit', other.header, [0, 1, 2]),
      },
    ],
  ];
  for (const [why, epochStart] of starts) {
    it(`refuses ${why} as the start of the epoch`, async () => {
      // Two votes prove their rule whatever the epoch started from; the document is refused all the same.
      const messages = [a, b].map(({ header }) => voteOf(later, 'prepare', ACCUSED, header));
      const report: Misbehaviour = { ...document.report, rule: 'X1', messages };
      assert.equal(await outcomeOf({ ...document, report }), 'X1');
      assert.equal(await outcomeOf({ ...document, report, epochStart }), 'MESSAGE_REFUSED');
    });
  }
});

describe('parseMisbehaviour', () => {
  const [, document] = CASES.find(([, each]) => each.report.rule === 'X6') ?? [];
  assert.ok(document !== undefined);
  const text = formatMisbehaviour(document);

  it('has one spelling, and no part of it is a document', () => {
    assert.equal(formatMisbehaviour(parseMisbehaviour(text)), text);
    for (let length = 0; length < text.length; length++) {
      assert.notEqual(
        refusalOf(() => parseMisbehaviour(text.slice(0, length))),
        undefined,
      );
    }
    assert.equal(
      refusalOf(() => parseMisbehaviour(`${text} `)),
      'EVIDENCE_MALFORMED',
    );
  });

  const changes: readonly (readonly [string, (text: string) => string, string])[] = [
    [
      'another format',
      (t) => t.replace('misbehaviour/v1', 'misbehaviour/v2'),
      'FORMAT_UNSUPPORTED',
    ],
    [
      'a field too many',
      (t) => t.replace('{"epochStart"', '{"a":1,"epochStart"'),
      'EVIDENCE_MALFORMED',
    ],
    [
      'a report that is no report',
      (t) => t.replace(/"report":"[^"]*"/, '"report":"AAAA"'),
      'MESSAGE_MALFORMED',
    ],
    ['an unknown rule', (t) => t.replace(/"report":"B/, '"report":"/'), 'MESSAGE_MALFORMED'],
  ];
  for (const [why, edit, code] of changes) {
    it(`refuses ${why}`, () => {
      assert.notEqual(edit(text), text);
      assert.equal(
        refusalOf(() => parseMisbehaviour(edit(text))),
        code,
      );
    });
  }
});
