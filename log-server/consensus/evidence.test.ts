import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster } from '../../fixtures/transcripts/cluster.ts';
import {
  certificateOf,
  cosignOf,
  newViewOf,
  prePrepareOf,
  viewChangeOf,
} from '../../fixtures/transcripts/samples.ts';
import {
  ORIGIN,
  isFakeSignature,
  makeBatch,
  peerOf,
  request,
  testRoster,
  voteOf,
} from '../../fixtures/transcripts/world.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { nodeHash, leafHash } from '../../verifier/merkle/hash.ts';
import { decodeEvidence, encodeEvidence } from '../../verifier/replication/encode-message.ts';
import { planEvidence } from '../../verifier/replication/judge.ts';
import { genesisHeader, newViewDigest } from '../../verifier/replication/encode.ts';
import { Members, NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { CosignMessage, Message } from '../../verifier/replication/messages.ts';
import type { Misbehaviour } from './types.ts';
import type { EpochContext } from '../../verifier/replication/validate.ts';

const ROSTER = testRoster([1, 1, 1, 1]);
const GENESIS = genesisHeader(ORIGIN);
const CONTEXT: EpochContext = {
  members: new Members(ROSTER, 'an auditor'),
  epochStart: GENESIS,
  mutants: NO_MUTANTS,
};
const X = makeBatch(GENESIS, 0, [request('x')], 1_000);
const Y = makeBatch(GENESIS, 0, [request('y')], 1_000);
const NEXT = makeBatch(X.header, 0, [request('z')], 2_000);

function judge(report: Misbehaviour): string {
  try {
    const plan = planEvidence(report, CONTEXT);
    const { accused, rule } = plan.finish(plan.jobs.map(isFakeSignature));
    assert.deepEqual([accused, rule], [report.accused, report.rule]);
    return 'guilty';
  } catch (error) {
    assert.ok(error instanceof VerifyError && error.code === 'MESSAGE_REFUSED', String(error));
    return 'nothing proven';
  }
}

function report(rule: Misbehaviour['rule'], accused: number, ...messages: Message[]): Misbehaviour {
  return { rule, accused: peerOf(`r${accused}`), epoch: 0, messages };
}

const prepare = (signer: number, batch: typeof X, view = 0): Message =>
  voteOf(ROSTER, 'prepare', signer, batch.header, { view, nv: '00'.repeat(32) });
const commit = (signer: number, batch: typeof X, view = 0): Message =>
  voteOf(ROSTER, 'commit', signer, batch.header, { view, nv: '00'.repeat(32) });
const changing = (...args: Parameters<typeof viewChangeOf>): Message => ({
  kind: 'view-change',
  viewChange: viewChangeOf(...args),
});

const preparedX = {
  header: X.header,
  certificate: certificateOf(ROSTER, 'prepare', X.header, [0, 1, 2]),
};
const preparedY = {
  header: Y.header,
  certificate: certificateOf(ROSTER, 'prepare', Y.header, [0, 1, 3], 1),
};
const lastX = {
  header: X.header,
  certificate: certificateOf(ROSTER, 'commit', X.header, [0, 1, 2]),
};
const changes = [0, 2, 3].map((signer) =>
  viewChangeOf(ROSTER, { view: 1, signer, prepared: preparedX }),
);
const opening = newViewOf(ROSTER, 1, changes);
const opened = { view: 1, nv: newViewDigest(ORIGIN, opening.content) };
const otherOpening = newViewOf(
  ROSTER,
  1,
  [0, 1, 2].map((signer) => viewChangeOf(ROSTER, { view: 1, signer })),
);
const newView: Message = { kind: 'new-view', newView: opening };
const { size, root, height } = X.header;
/** A proposal with what no signature covers: as its leader sends it, and as anybody can make it longer. */
const padded = (batch: typeof X): Message => {
  const entries = Array.from({ length: 63 }, () => new Uint8Array(65_535));
  return { ...prePrepareOf(ROSTER, batch), body: undefined, tail: { prefetched: 1, entries } };
};
const cosign = (signer: number, change: Partial<CosignMessage> = {}): CosignMessage =>
  cosignOf(ROSTER, signer, { size, root, height, ...change });

const GUILTY: readonly (readonly [string, Misbehaviour])[] = [
  ['two PREPAREs', report('X1', 2, prepare(2, X), prepare(2, Y))],
  ['a proposal and a PREPARE', report('X1', 0, prePrepareOf(ROSTER, X), prepare(0, Y))],
  ['two COMMITs', report('X2', 2, commit(2, X), commit(2, Y))],
  ['a COMMIT left out', report('X3', 2, commit(2, X), changing(ROSTER, { view: 1, signer: 2 }))],
  [
    'a COMMIT of a later view than the certificate shown',
    report('X3', 2, commit(2, X, 1), changing(ROSTER, { view: 2, signer: 2, prepared: preparedX })),
  ],
  [
    'two VIEW-CHANGEs',
    report(
      'X4',
      2,
      changing(ROSTER, { view: 2, signer: 2 }),
      changing(ROSTER, { view: 2, signer: 2, prepared: preparedX }),
    ),
  ],
  ['two NEW-VIEWs', report('X5', 1, newView, { kind: 'new-view', newView: otherOpening })],
  [
    'a vote against the mandate',
    report('X6', 3, newView, voteOf(ROSTER, 'prepare', 3, Y.header, opened)),
  ],
  [
    'a vote at the base',
    report(
      'X6',
      3,
      { kind: 'new-view', newView: withBase() },
      voteOf(ROSTER, 'prepare', 3, Y.header, {
        view: 1,
        nv: newViewDigest(ORIGIN, withBase().content),
      }),
    ),
  ],
  ['two roots of one size', report('X7', 2, cosign(2), cosign(2, { root: Y.header.root }))],
  ['a proposal to be executed', report('X8', 0, prePrepareOf(ROSTER, X))],
];

function withBase(): ReturnType<typeof newViewOf> {
  const proven = [0, 1, 2].map((signer) => viewChangeOf(ROSTER, { view: 1, signer, last: lastX }));
  return newViewOf(ROSTER, 1, proven);
}

const INNOCENT: readonly (readonly [string, Misbehaviour])[] = [
  ['the same vote twice', report('X1', 2, prepare(2, X), prepare(2, X))],
  ['PREPAREs of two views', report('X1', 2, prepare(2, X), prepare(2, Y, 1))],
  ['PREPAREs of two heights', report('X1', 2, prepare(2, X), prepare(2, NEXT))],
  ['PREPAREs of two members', report('X1', 2, prepare(3, X), prepare(2, Y))],
  ['somebody else than the signer', report('X1', 3, prepare(2, X), prepare(2, Y))],
  ['COMMITs of two views', report('X2', 2, commit(2, X), commit(2, Y, 1))],
  ['COMMITs passed off as PREPAREs', report('X1', 2, commit(2, X), commit(2, Y))],
  ['one message', report('X1', 2, prepare(2, X))],
  ['no message', report('X1', 2)],
  [
    'a COMMIT with its certificate shown',
    report('X3', 2, commit(2, X), changing(ROSTER, { view: 1, signer: 2, prepared: preparedX })),
  ],
  [
    'a COMMIT that a later certificate has overtaken',
    report('X3', 2, commit(2, X), changing(ROSTER, { view: 2, signer: 2, prepared: preparedY })),
  ],
  [
    'a COMMIT whose batch is reported as committed',
    report('X3', 2, commit(2, X), changing(ROSTER, { view: 1, signer: 2, last: lastX })),
  ],
  [
    'a COMMIT of a view that is not left',
    report('X3', 2, commit(2, X, 1), changing(ROSTER, { view: 1, signer: 2 })),
  ],
  [
    'the VIEW-CHANGE of another',
    report('X3', 3, commit(2, X), changing(ROSTER, { view: 1, signer: 3 })),
  ],
  [
    'VIEW-CHANGEs into two views',
    report(
      'X4',
      2,
      changing(ROSTER, { view: 2, signer: 2 }),
      changing(ROSTER, { view: 3, signer: 2 }),
    ),
  ],
  [
    'one VIEW-CHANGE signed twice',
    report(
      'X4',
      2,
      changing(ROSTER, { view: 2, signer: 2 }),
      changing(ROSTER, { view: 2, signer: 2 }),
    ),
  ],
  ['one NEW-VIEW twice', report('X5', 1, newView, newView)],
  [
    'a vote for the mandate',
    report('X6', 3, newView, voteOf(ROSTER, 'prepare', 3, X.header, opened)),
  ],
  ['a vote under another NEW-VIEW', report('X6', 3, newView, prepare(3, Y, 1))],
  ['one root at two times', report('X7', 2, cosign(2), cosignOf(ROSTER, 2, X.header, 2_000))],
  ['two sizes without a proof', report('X7', 2, cosign(2), cosignOf(ROSTER, 2, NEXT.header))],
  ['a proposal without its body', report('X8', 0, { ...prePrepareOf(ROSTER, X), body: undefined })],
  ['proposals that say how their bodies end', report('X1', 0, padded(X), padded(Y))],
  ['a stranger', { ...report('X1', 2, prepare(2, X), prepare(2, Y)), accused: peerOf('r9') }],
  ['another epoch', { ...report('X1', 2, prepare(2, X), prepare(2, Y)), epoch: 1 }],
  [
    'a forged signature',
    report('X1', 2, prepare(2, X), { ...prepare(2, Y), signature: new Uint8Array(64) } as Message),
  ],
];

describe('planEvidence', () => {
  for (const [why, evidence] of GUILTY) {
    it(`finds ${evidence.rule} in ${why}`, () => assert.equal(judge(evidence), 'guilty'));

    it(`reads ${evidence.rule} of ${why} back from bytes, and no cut of them`, () => {
      const bytes = encodeEvidence(evidence);
      assert.deepEqual(decodeEvidence(bytes), evidence);
      for (let length = 0; length < bytes.length; length += 7) {
        assert.throws(() => decodeEvidence(bytes.subarray(0, length)), VerifyError);
      }
    });
  }
  for (const [why, evidence] of INNOCENT) {
    it(`finds no ${evidence.rule} in ${why}`, () => {
      assert.equal(judge(evidence), 'nothing proven');
    });
  }

  it('finds two cosigned sizes that no one log can have, with the proof (X7)', () => {
    const [a, b, c] = ['a', 'b', 'c'].map((text) => leafHash(new TextEncoder().encode(text)));
    assert.ok(a && b && c);
    const grown = encodeHex(nodeHash(a, b));
    const small = cosignOf(ROSTER, 2, { size: 1, height: 1, root: encodeHex(c) });
    const large = cosignOf(ROSTER, 2, { size: 2, height: 2, root: grown });
    const consistency = { root: encodeHex(a), hashes: [encodeHex(b)] };
    const evidence = report('X7', 2, small, large);
    assert.equal(judge({ ...evidence, consistency }), 'guilty');
    assert.deepEqual(decodeEvidence(encodeEvidence({ ...evidence, consistency })), {
      ...evidence,
      consistency,
    });
    const wrongProof = { root: encodeHex(b), hashes: [encodeHex(a)] };
    assert.equal(judge({ ...evidence, consistency: wrongProof }), 'nothing proven');
    const honest = cosignOf(ROSTER, 2, { size: 1, height: 1, root: encodeHex(a) });
    assert.equal(judge({ ...report('X7', 2, honest, large), consistency }), 'nothing proven');
  });
});

describe('a proof that a peer hands on', () => {
  /** What member 1 keeps of it; its signatures are believed, so that nothing else cuts it short. */
  function keptOf(evidence: Misbehaviour): number {
    const cluster = new Cluster(ROSTER, { mutants: ['evidence-unchecked'] });
    cluster.run(1);
    cluster.inject(3, 1, { kind: 'evidence', report: evidence });
    cluster.settle(({ to }) => to === 1);
    const [kept, ...others] = cluster.node(1).evidence;
    assert.ok(kept !== undefined && others.length === 0, 'one proof is kept');
    return encodeEvidence(kept).length;
  }
  const bare = (batch: typeof X): Message => ({ ...prePrepareOf(ROSTER, batch), body: undefined });

  it('is kept without what no signature covers: neither bodies nor their ends', () => {
    const short = encodeEvidence(report('X1', 0, bare(X), bare(Y))).length;
    assert.equal(keptOf(report('X1', 0, prePrepareOf(ROSTER, X), prePrepareOf(ROSTER, Y))), short);
    const long = report('X1', 0, padded(X), padded(Y));
    assert.ok(encodeEvidence(long).length > 8_000_000, 'it fills a message');
    assert.equal(keptOf(long), short);
  });
});

describe('I11', () => {
  it('finds nothing in everything that honest replicas have said over a view change', () => {
    const cluster = new Cluster(ROSTER);
    const said = new Map<string, Message>();
    const keep = ({ bytes, message }: { bytes: Uint8Array; message: Message }): boolean => {
      said.set(encodeHex(bytes), message);
      return true;
    };
    cluster.submit(0, 'a');
    cluster.run(2, keep);
    cluster.submit(0, 'b');
    cluster.settle((packet) => keep(packet) && packet.message.kind !== 'commit');
    cluster.crash(0);
    cluster.submit(1, 'c');
    for (let i = 0; i < 120; i++) cluster.run(1, keep);
    const messages = [...said.values()].filter(({ kind }) => kind !== 'status');
    const kinds = new Set(messages.map(({ kind }) => kind));
    for (const kind of ['prepare', 'commit', 'view-change', 'new-view', 'cosign'] as const) {
      assert.ok(kinds.has(kind), kind);
    }
    let judged = 0;
    for (const rule of ['X1', 'X2', 'X3', 'X4', 'X5', 'X6', 'X7'] as const) {
      for (const first of messages) {
        for (const second of messages) {
          for (const accused of [0, 1, 2, 3]) {
            judged += 1;
            assert.equal(judge(report(rule, accused, first, second)), 'nothing proven', rule);
          }
        }
      }
    }
    assert.ok(judged > 10_000);
  });
});
