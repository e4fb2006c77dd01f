import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { certificateOf, viewChangeOf } from '../../fixtures/transcripts/samples.ts';
import {
  ORIGIN,
  makeBatch,
  peerOf,
  request,
  testRoster,
} from '../../fixtures/transcripts/world.ts';
import {
  assembleCertificate,
  certificateProblem,
} from '../../verifier/replication/certificates.ts';
import { genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import { Members, NO_MUTANTS } from '../../verifier/replication/members.ts';
import type {
  Certificate,
  CertifiedHeader,
  Header,
  LastCommitted,
  ViewChange,
  ViewChangeContent,
} from '../../verifier/replication/messages.ts';
import {
  type EpochContext,
  batchShapeProblem,
  newViewProblem,
  openingOf,
  successorProblem,
  viewChangeProblem,
} from '../../verifier/replication/validate.ts';

const ROSTER = testRoster([1, 1, 1, 1]);
const MEMBERS = new Members(ROSTER, peerOf('r0'));
const GENESIS = genesisHeader(ORIGIN);
const CONTEXT: EpochContext = { members: MEMBERS, epochStart: GENESIS, mutants: NO_MUTANTS };

const FIRST = makeBatch(GENESIS, 0, [request('a')], 1_000).header;
const OTHER = makeBatch(GENESIS, 0, [request('b')], 1_000).header;
const SECOND = makeBatch(FIRST, 0, [request('c')], 2_000).header;
const SECOND_OTHER = makeBatch(FIRST, 0, [request('d')], 2_000).header;

function decided(header: Header, signers: readonly number[] = [0, 1, 2]): LastCommitted {
  return { header, certificate: certificateOf(ROSTER, 'commit', header, signers) };
}

function prepared(
  header: Header,
  view = 0,
  signers: readonly number[] = [0, 1, 2],
): CertifiedHeader {
  return { header, certificate: certificateOf(ROSTER, 'prepare', header, signers, view) };
}

describe('successorProblem', () => {
  const accept = (header: Header): string | undefined =>
    successorProblem(header, FIRST, headerDigest(FIRST), 0, NO_MUTANTS);

  it('accepts the next header', () => assert.equal(accept(SECOND), undefined));

  const refusals: readonly (readonly [string, Partial<Header>])[] = [
    ['another log', { origin: 'log.test/other' }],
    ['another epoch', { epoch: 1 }],
    ['a gap', { height: 3 }],
    ['the same height', { height: 1 }],
    ['another parent', { parent: headerDigest(OTHER) }],
    ['another size before', { prevSize: FIRST.size + 1 }],
    ['no entries', { size: FIRST.size }],
    ['a smaller size', { size: 0 }],
    ['the same time', { timestampMs: FIRST.timestampMs }],
    ['an earlier time', { timestampMs: 1 }],
  ];
  for (const [why, change] of refusals) {
    it(`refuses ${why}`, () => assert.notEqual(accept({ ...SECOND, ...change }), undefined));
  }
});

describe('batchShapeProblem', () => {
  const { header, body } = makeBatch(GENESIS, 0, [request('a')], 1_000);
  const refusals: readonly (readonly [string, Header, readonly Uint8Array[]])[] = [
    ['no entries', { ...header, size: 0 }, []],
    ['a size that counts one too many', { ...header, size: header.size + 1 }, body],
    ['height 0', { ...header, height: 0 }, body],
  ];
  it('accepts a batch', () => assert.equal(batchShapeProblem({ header, body }), undefined));
  for (const [why, changed, entries] of refusals) {
    it(`refuses ${why}`, () => {
      assert.notEqual(batchShapeProblem({ header: changed, body: entries }), undefined);
    });
  }
});

describe('certificateProblem', () => {
  const good = certificateOf(ROSTER, 'prepare', FIRST, [0, 1, 3]);
  const expected = { epoch: 0, height: 1, digest: headerDigest(FIRST) };
  const check = (certificate: Certificate): string | undefined =>
    certificateProblem(MEMBERS, certificate, 'prepare', expected, NO_MUTANTS);
  const [first, second] = good.signatures;
  assert.ok(first !== undefined && second !== undefined);

  it('accepts a quorum of different signers', () => assert.equal(check(good), undefined));

  const refusals: readonly (readonly [string, Certificate])[] = [
    ['COMMITs instead of PREPAREs', { ...good, phase: 'commit' }],
    ['another epoch', { ...good, vote: { ...good.vote, epoch: 1 } }],
    ['another height', { ...good, vote: { ...good.vote, height: 2 } }],
    ['another header', { ...good, vote: { ...good.vote, digest: headerDigest(OTHER) } }],
    ['too few signers', { ...good, signatures: [first, second] }],
    ['a signer twice', { ...good, signatures: [first, second, second] }],
    ['signers out of order', { ...good, signatures: [...good.signatures].reverse() }],
    ['a signer that is nobody', { ...good, signatures: [first, second, { ...second, signer: 4 }] }],
    ['no signers', { ...good, signatures: [] }],
  ];
  for (const [why, certificate] of refusals) {
    it(`refuses ${why}`, () => assert.notEqual(check(certificate), undefined));
  }

  // N = 6, F = 1: two sets of 2F + 1 = 3 need not meet; Q is 4.
  it('needs more than 2F + 1 of six', () => {
    const six = testRoster([1, 1, 1, 1, 1, 1]);
    const members = new Members(six, peerOf('r0'));
    const at = (signers: readonly number[]): string | undefined =>
      certificateProblem(
        members,
        certificateOf(six, 'prepare', FIRST, signers),
        'prepare',
        expected,
        NO_MUTANTS,
      );
    assert.notEqual(at([0, 1, 2]), undefined);
    assert.equal(at([0, 1, 2, 3]), undefined);
  });

  it('weighs signers instead of counting them', () => {
    const weighted = testRoster([4, 1, 1, 1], { faulty: 2 });
    const members = new Members(weighted, peerOf('r0'));
    const at = (signers: readonly number[]): string | undefined =>
      certificateProblem(
        members,
        certificateOf(weighted, 'prepare', FIRST, signers),
        'prepare',
        expected,
        NO_MUTANTS,
      );
    assert.notEqual(at([1, 2, 3]), undefined, 'three of weight 3 are no quorum of 5');
    assert.equal(at([0, 1]), undefined, 'two of weight 5 are');
  });
});

describe('assembleCertificate', () => {
  const vote = (header: Header, signer: number, view = 0, nv?: string) => {
    const { vote: said, signatures } = certificateOf(ROSTER, 'commit', header, [signer], view, nv);
    return { vote: said, signer, signature: signatures[0]?.signature ?? new Uint8Array(64) };
  };
  const cases: readonly (readonly [
    string,
    readonly ReturnType<typeof vote>[],
    number | undefined,
  ])[] = [
    ['three of four', [vote(FIRST, 3), vote(FIRST, 0), vote(FIRST, 1)], 3],
    ['all that agree', [0, 1, 2, 3].map((signer) => vote(FIRST, signer)), 4],
    ['two of four', [vote(FIRST, 0), vote(FIRST, 1)], undefined],
    [
      'two and two',
      [0, 1].map((s) => vote(FIRST, s)).concat([2, 3].map((s) => vote(OTHER, s))),
      undefined,
    ],
    ['different views', [vote(FIRST, 0), vote(FIRST, 1), vote(FIRST, 2, 1)], undefined],
    [
      'different NEW-VIEWs',
      [vote(FIRST, 0), vote(FIRST, 1), vote(FIRST, 2, 0, 'ab'.repeat(32))],
      undefined,
    ],
    [
      'the majority after a stray vote',
      [vote(OTHER, 0), ...[1, 2, 3].map((s) => vote(FIRST, s))],
      3,
    ],
  ];
  for (const [why, votes, count] of cases) {
    it(`${count === undefined ? 'makes none of' : 'takes'} ${why}`, () => {
      const certificate = assembleCertificate(MEMBERS, 'commit', votes);
      assert.equal(certificate?.signatures.length, count);
      if (certificate === undefined) return;
      const { height, digest } = certificate.vote;
      const problem = certificateProblem(
        MEMBERS,
        certificate,
        'commit',
        { epoch: 0, height, digest },
        NO_MUTANTS,
      );
      assert.equal(problem, undefined, 'what is assembled is accepted');
    });
  }
});

describe('viewChangeProblem', () => {
  const good: ViewChangeContent = {
    epoch: 0,
    view: 2,
    signer: 1,
    last: decided(FIRST),
    prepared: prepared(SECOND, 1),
  };
  const weak = certificateOf(ROSTER, 'commit', FIRST, [0, 1]);
  const cases: readonly (readonly [string, ViewChangeContent, boolean])[] = [
    ['a committed header and a certificate above it', good, true],
    ['nothing prepared', { ...good, prepared: undefined }, true],
    [
      'the start of the epoch, unproven',
      { ...good, last: { header: GENESIS, certificate: undefined }, prepared: undefined },
      true,
    ],
    ['another epoch', { ...good, epoch: 1 }, false],
    ['view 0', { ...good, view: 0, prepared: undefined }, false],
    ['a signer that is nobody', { ...good, signer: 4 }, false],
    [
      'another header than the start, unproven',
      { ...good, last: { header: FIRST, certificate: undefined } },
      false,
    ],
    [
      'a last header with too few COMMITs',
      { ...good, last: { header: FIRST, certificate: weak } },
      false,
    ],
    [
      'a last header with PREPAREs',
      { ...good, last: { header: FIRST, certificate: prepared(FIRST).certificate } },
      false,
    ],
    [
      'a last header with the certificate of another',
      { ...good, last: { header: FIRST, certificate: decided(OTHER).certificate } },
      false,
    ],
    [
      'the start of the epoch with a certificate',
      { ...good, last: { header: GENESIS, certificate: weak }, prepared: undefined },
      false,
    ],
    [
      'a certificate two heights above',
      { ...good, last: { header: GENESIS, certificate: undefined } },
      false,
    ],
    ['a certificate for the last height itself', { ...good, prepared: prepared(FIRST, 1) }, false],
    ['a certificate on another parent', { ...good, last: decided(OTHER) }, false],
    [
      'a certificate from the view to be entered',
      { ...good, prepared: prepared(SECOND, 2) },
      false,
    ],
    ['a certificate from a later view', { ...good, prepared: prepared(SECOND, 3) }, false],
    [
      'a certificate with too few PREPAREs',
      { ...good, prepared: prepared(SECOND, 1, [0, 3]) },
      false,
    ],
    [
      'a certificate for another header',
      { ...good, prepared: { header: SECOND, certificate: prepared(SECOND_OTHER, 1).certificate } },
      false,
    ],
  ];
  for (const [why, content, isValid] of cases) {
    it(`${isValid ? 'accepts' : 'refuses'} ${why}`, () => {
      assert.equal(viewChangeProblem(CONTEXT, content) === undefined, isValid);
    });
  }
});

describe('newViewProblem', () => {
  const three = [0, 1, 3].map((signer) => viewChangeOf(ROSTER, { view: 1, signer }));
  const [first, second] = three;
  assert.ok(first !== undefined && second !== undefined);
  const invalid = viewChangeOf(ROSTER, { view: 1, signer: 2, prepared: prepared(SECOND) });
  const cases: readonly (readonly [string, readonly ViewChange[], boolean])[] = [
    ['a quorum', three, true],
    ['too few', [first, second], false],
    ['none', [], false],
    ['a member twice', [first, second, second], false],
    ['members out of order', [...three].reverse(), false],
    [
      'a view change into another view',
      [first, second, viewChangeOf(ROSTER, { view: 2, signer: 3 })],
      false,
    ],
    [
      'a quorum and an invalid one: the leader vouches for all',
      [first, second, invalid, ...three.slice(2)],
      false,
    ],
  ];
  for (const [why, viewChanges, isValid] of cases) {
    it(`${isValid ? 'accepts' : 'refuses'} ${why}`, () => {
      const content = { epoch: 0, view: 1, viewChanges };
      assert.equal(newViewProblem(CONTEXT, content) === undefined, isValid);
    });
  }

  it('refuses another epoch and view 0', () => {
    assert.notEqual(newViewProblem(CONTEXT, { epoch: 1, view: 1, viewChanges: three }), undefined);
    assert.notEqual(newViewProblem(CONTEXT, { epoch: 0, view: 0, viewChanges: three }), undefined);
  });
});

describe('openingOf', () => {
  const vc = (signer: number, last?: LastCommitted, certified?: CertifiedHeader): ViewChange =>
    viewChangeOf(ROSTER, { view: 5, signer, ...(last && { last }), prepared: certified });
  const digestOf = (header: Header): string => headerDigest(header);
  const cases: readonly (readonly [string, readonly ViewChange[], number, Header | undefined])[] = [
    ['nothing anywhere', [vc(0), vc(1), vc(2)], 0, undefined],
    ['the only certificate', [vc(0), vc(1, undefined, prepared(FIRST)), vc(2)], 0, FIRST],
    [
      'the certificate of the highest view, whoever comes first',
      [vc(0, undefined, prepared(OTHER, 1)), vc(1, undefined, prepared(FIRST, 3)), vc(2)],
      0,
      FIRST,
    ],
    [
      'the certificate of the highest view, in the other order',
      [vc(0, undefined, prepared(FIRST, 3)), vc(1, undefined, prepared(OTHER, 1)), vc(2)],
      0,
      FIRST,
    ],
    ['the highest committed height as base', [vc(0), vc(1, decided(FIRST)), vc(2)], 1, undefined],
    [
      'no certificate at or below the base (V9)',
      [vc(0, undefined, prepared(OTHER, 3)), vc(1, decided(FIRST)), vc(2)],
      1,
      undefined,
    ],
    [
      'the certificate above the base, not an older height in a higher view',
      [vc(0, undefined, prepared(OTHER, 4)), vc(1, decided(FIRST), prepared(SECOND, 1)), vc(2)],
      1,
      SECOND,
    ],
  ];
  for (const [why, viewChanges, base, mandate] of cases) {
    it(`finds ${why}`, () => {
      const opening = openingOf({ epoch: 0, view: 5, viewChanges }, NO_MUTANTS);
      assert.equal(opening?.base, base);
      const found = opening?.mandate?.header;
      assert.equal(found && digestOf(found), mandate && digestOf(mandate));
    });
  }

  it('finds nothing in an empty list', () => {
    assert.equal(openingOf({ epoch: 0, view: 5, viewChanges: [] }, NO_MUTANTS), undefined);
  });
});

describe('Members.reachedBy', () => {
  const cases: readonly (readonly [
    string,
    readonly number[],
    readonly number[],
    number,
    number,
  ])[] = [
    ['nobody moves', [1, 1, 1, 1], [0, 0, 0, 0], 0, 0],
    ['one shouts', [1, 1, 1, 1], [9, 0, 0, 0], 0, 0],
    ['two want it: amplified, not entered', [1, 1, 1, 1], [9, 4, 0, 0], 4, 0],
    ['three want different views', [1, 1, 1, 1], [9, 4, 2, 0], 4, 2],
    ['all want it', [1, 1, 1, 1], [3, 3, 3, 3], 3, 3],
    ['one alone in the world', [1], [7], 7, 7],
    ['weight decides', [4, 1, 1, 1], [5, 0, 0, 0], 5, 0],
    ['weight decides a quorum', [4, 1, 1, 1], [5, 3, 0, 0], 5, 3],
  ];
  for (const [why, weights, wishes, weak, quorum] of cases) {
    it(why, () => {
      const total = weights.reduce((sum, weight) => sum + weight, 0);
      const roster = testRoster(weights, { faulty: Math.floor((total - 1) / 3) });
      const members = new Members(roster, peerOf('r0'));
      assert.equal(members.reachedBy(wishes, 'weak'), weak);
      assert.equal(members.reachedBy(wishes, 'quorum'), quorum);
    });
  }

  it('rotates the leader by index, from another start in each epoch', () => {
    assert.deepEqual(
      [0, 1, 4, 5].map((view) => MEMBERS.leader(view)),
      [0, 1, 0, 1],
    );
    const next = testRoster([1, 1, 1, 1], { epoch: 1, previous: '00'.repeat(32) });
    assert.equal(new Members(next, peerOf('r0')).leader(0), 1);
  });
});
