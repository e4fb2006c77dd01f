// `evidence verify` and `evidence list`: what proves something and what does not, and who is named.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { formatContradiction } from '../../verifier/evidence/contradiction.ts';
import { formatForkEvidence } from '../../verifier/evidence/fork.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { voteBytes, ZERO_DIGEST } from '../../verifier/replication/encode.ts';
import type { Message, PrePrepareMessage, Vote } from '../../verifier/replication/messages.ts';
import type { Misbehaviour } from '../../verifier/replication/misbehaviour.ts';
import { formatMisbehaviour } from '../../verifier/replication/report.ts';
import { bodyHash, genesisHeader, headerDigest } from '../../verifier/replication/encode.ts';
import { checkDocument } from '../evidence/check-file.ts';

const LIAR = 3;

let fake: FakeLog;
before(async () => {
  fake = await FakeLog.start();
  await fake.publish({ name: 'alpha', version: '1.0.0' });
});
after(() => fake.stop());

beforeEach(async () => {
  await fake.configure();
  for (const replica of fake.replicas) {
    replica.misbehave = undefined;
    replica.note = {};
  }
});

function liarKey(): string {
  return publicKeyHex(fake.log.replicaKey(LIAR, 'vote').publicKey);
}

function prepare(digest: string, signer = LIAR): Message {
  const vote: Vote = { epoch: 0, view: 0, nv: ZERO_DIGEST, height: 1, digest };
  const key = fake.log.replicaKey(LIAR, 'vote');
  const signature = key.sign(voteBytes('prepare', fake.log.origin, vote));
  return { kind: 'prepare', vote, signer, signature };
}

function documentOf(messages: readonly Message[], rule: Misbehaviour['rule'] = 'X1'): string {
  return formatMisbehaviour({
    rosters: fake.log.rosters.map(({ envelope }) => envelope),
    epochStart: null,
    report: { rule, accused: liarKey(), epoch: 0, messages },
  });
}

const A = 'aa'.repeat(32);
const B = 'bb'.repeat(32);

interface JsonReport {
  readonly verdict: string;
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: Readonly<Record<string, unknown>> | null;
  readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
}

async function runJson(argv: readonly string[]): Promise<JsonReport> {
  const { code, stdout } = await fake.run(['--json', ...argv]);
  const report = JSON.parse(stdout) as JsonReport;
  assert.equal(report.exit.code, code);
  return report;
}

async function verifyText(text: string, flags: readonly string[] = []): Promise<JsonReport> {
  await writeFile(join(fake.project, 'proof.json'), text);
  return runJson(['evidence', 'verify', 'proof.json', ...flags]);
}

/** A proposal of the leader of view 3, who is the liar. */
function proposal(): Message {
  const body = [Uint8Array.of(1)];
  const genesis = genesisHeader(fake.log.origin);
  const header = { ...genesis, height: 1, size: 1, entriesHash: bodyHash(body), timestampMs: 1 };
  const vote: Vote = {
    epoch: 0,
    view: LIAR,
    nv: ZERO_DIGEST,
    height: 1,
    digest: headerDigest(header),
  };
  const key = fake.log.replicaKey(LIAR, 'vote');
  const message: PrePrepareMessage = {
    kind: 'pre-prepare',
    epoch: 0,
    view: LIAR,
    nv: ZERO_DIGEST,
    header,
    body,
    signature: key.sign(voteBytes('prepare', fake.log.origin, vote)),
  };
  return message;
}

describe('evidence verify', () => {
  it('names the replica and what it did', async () => {
    const { exit, result, verdict } = await verifyText(documentOf([prepare(A), prepare(B)]));
    assert.deepEqual([exit.code, verdict], [0, 'done']);
    assert.equal(result?.['replica'], fake.log.roster.replicas[LIAR]?.name);
    assert.equal(result?.['key'], liarKey());
    assert.equal(result?.['rule'], 'X1');
  });

  it('needs no server and no project when it is told the pin', async () => {
    await writeFile(join(fake.project, 'proof.json'), documentOf([prepare(A), prepare(B)]));
    await rm(join(fake.project, 'bftpkg.json'));
    for (const replica of fake.replicas) replica.requests.length = 0;
    const flags = ['--offline', 'evidence', 'verify', 'proof.json'];
    assert.equal((await runJson(flags)).exit.code, 2);
    assert.equal((await runJson([...flags, '--pin', fake.log.pin])).exit.code, 0);
    assert.ok(fake.replicas.every(({ requests }) => requests.length === 0));
  });

  it('says that a proposal by itself is not decided', async () => {
    const { exit, result } = await verifyText(documentOf([proposal()], 'X8'));
    assert.deepEqual([exit.code, exit.reason], [3, 'BP7005']);
    assert.equal(result?.['needsExecution'], true);
  });

  const refusals: readonly (readonly [string, () => string, number, string])[] = [
    ['votes that agree', () => documentOf([prepare(A), prepare(A)]), 17, 'BP4008'],
    [
      'a vote put into another’s mouth',
      () => documentOf([prepare(A), prepare(B, 2)]),
      17,
      'BP4008',
    ],
    [
      'one changed character',
      () =>
        documentOf([prepare(A), prepare(B)]).replace(
          /(.{40})"(,"rosters")/,
          `${'A'.repeat(40)}"$2`,
        ),
      17,
      'BP4008',
    ],
    ['no JSON', () => 'x', 3, 'BP9002'],
    ['another kind of document', () => '{"format":"bftpkg-evidence/v1"}', 3, 'BP9002'],
  ];
  for (const [why, text, code, reason] of refusals) {
    it(`refuses ${why}`, async () => {
      const { exit, result } = await verifyText(text());
      assert.deepEqual([exit.code, exit.reason], [code, reason]);
      assert.equal(result, null);
    });
  }

  it('refuses a proof about another log', async () => {
    const { exit } = await verifyText(documentOf([prepare(A), prepare(B)]), ['--pin', A]);
    assert.deepEqual([exit.code, exit.reason], [12, 'BP3003']);
  });

  it('refuses a pin that is none, and a file that is not there', async () => {
    assert.equal((await verifyText('x', ['--pin', 'x'])).exit.reason, 'BP9003');
    assert.equal((await runJson(['evidence', 'verify', 'nowhere.json'])).exit.reason, 'BP9004');
  });
});

describe('evidence verify, forks', () => {
  // Two histories of one log: same replicas and keys, same size.
  const history = (version: string): SyntheticLog => {
    const urls = fake.replicas.map(({ url }) => url);
    const log = new SyntheticLog({ urls, weights: [1, 1, 1, 1], seed: fake.home });
    log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
    log.release({ name: 'p', version });
    log.commit();
    return log;
  };
  const notes = (): { rosters: SyntheticLog['rosters']; first: string; second: string } => {
    const [one, two] = [history('1.0.0'), history('2.0.0')];
    assert.equal(one.pin, fake.log.pin);
    return {
      rosters: one.rosters,
      first: one.note({ cosigners: [0, 1, 2] }),
      second: two.note({ cosigners: [1, 2, 3] }),
    };
  };
  const fork = (first: string, second: string): string =>
    formatForkEvidence({
      origin: fake.log.origin,
      size: history('1.0.0').size,
      rosters: notes().rosters.map(({ envelope }) => envelope),
      first,
      second,
    });
  const namesIn = (result: JsonReport['result']): readonly string[] =>
    ((result?.['signers'] ?? []) as readonly { readonly name: string }[]).map(({ name }) => name);
  const nameOf = (index: number): string => fake.log.roster.replicas[index]?.name ?? '';

  it('names the replicas that signed both sides', async () => {
    const { first, second } = notes();
    // With the newline that the client ends its file with.
    const { exit, result } = await verifyText(`${fork(first, second)}\n`);
    assert.equal(exit.code, 0);
    assert.deepEqual(namesIn(result), [nameOf(1), nameOf(2)]);
  });

  it('is not fooled into naming an honest replica by lines with its name', async () => {
    const { first, second } = notes();
    const framed = `— ${nameOf(0)} ${Buffer.alloc(76, 7).toString('base64')}\n`;
    const { exit, result } = await verifyText(fork(first + framed, second + framed));
    assert.equal(exit.code, 0);
    assert.deepEqual(namesIn(result), [nameOf(1), nameOf(2)]);
  });

  it('refuses one note shown twice', async () => {
    const { first } = notes();
    assert.equal((await verifyText(fork(first, first))).exit.reason, 'BP4008');
  });
});

describe('evidence verify, heads that the log never had', () => {
  // The signers were shown a history of their own, of the same replicas.
  const shown = (): SyntheticLog => {
    const log = new SyntheticLog({
      urls: fake.replicas.map(({ url }) => url),
      weights: [1, 1, 1, 1],
      seed: fake.home,
    });
    log.maintain('p', { maintainers: ['ada', 'ben'], faulty: 1 });
    log.commit();
    return log;
  };
  const byNote = (
    cosigners: readonly number[],
    hash = '$2',
    logged?: readonly number[],
  ): string => {
    const other = shown();
    const note = other.note({ cosigners });
    return formatContradiction({
      claim: { kind: 'note', note: note.replace(/(— \S+ )(.{8})/, `$1${hash}`) },
      root: fake.log.root(other.size),
      evidence: fake.log.evidence([], {
        since: other.size,
        ...(logged === undefined ? {} : { cosigners: logged }),
      }),
    });
  };

  it('names the replicas that signed both sides, and only those as faulty', async () => {
    const others = fake.log.roster.replicas.map((_, i) => i).filter((i) => i !== LIAR);
    const liar = fake.log.roster.replicas[LIAR] ?? assert.fail('it is a replica');
    const { name } = liar;
    const key = publicKeyHex(liar.cosignKey.publicKey);
    for (const [cosigners, faulty, signedOther] of [
      [undefined, [{ name, key }], []],
      [others, [], [{ name, key }]],
    ] as const) {
      const { exit, result } = await verifyText(`${byNote([LIAR], '$2', cosigners)}\n`);
      assert.equal(exit.code, 0);
      assert.equal(result?.['kind'], 'contradiction');
      assert.deepEqual(result['faulty'], faulty);
      assert.deepEqual(result['signedOther'], signedOther);
    }
  });

  it('tells people that nobody is proven faulty when nobody signed both', async () => {
    const others = fake.log.roster.replicas.map((_, i) => i).filter((i) => i !== LIAR);
    const source = new TextEncoder().encode(byNote([LIAR], '$2', others));
    const { lines } = await checkDocument(source, fake.log.pin, nativeVerifier);
    assert.match(lines[0] ?? '', /the log forked, or who signed the claimed one lies$/);
    assert.ok(lines.includes('signed both  nobody: nobody is proven faulty'), lines.join('\n'));
    assert.doesNotMatch(lines.join('\n'), /provably/);
  });

  it('refuses one that nobody signed', async () => {
    assert.equal((await verifyText(byNote([LIAR], 'AAAAAAAA'))).exit.reason, 'BP4008');
  });

  it('is listed with the other proofs', async () => {
    const id = `n-${A}-${B}`;
    const replica = fake.replicas[0] ?? assert.fail('there is a replica');
    replica.misbehave = ({ path }, response) => {
      const answers: Readonly<Record<string, string>> = {
        '/v1/misbehaviour': '{"reports":[]}',
        '/v1/contradictions': JSON.stringify({ contradictions: [{ id, kind: 'note' }] }),
        [`/v1/contradictions/${id}`]: byNote([LIAR]),
      };
      const text = answers[path];
      response.writeHead(text === undefined ? 404 : 200);
      response.end(text);
      return true;
    };
    const { result } = await runJson(['evidence', 'list']);
    const reports = result?.['reports'] as readonly {
      readonly id: string;
      readonly kind: string;
    }[];
    assert.deepEqual(
      reports.map((report) => [report.id, report.kind]),
      [[id, 'contradiction']],
    );
  });
});

describe('evidence list', () => {
  const id = (rule = 'X1'): string => `0-${rule}-${liarKey()}`;

  /** Lets some replicas keep documents under these ids. */
  function keep(indexes: readonly number[], documents: Readonly<Record<string, string>>): void {
    for (const index of indexes) {
      const replica = fake.replicas[index];
      assert.ok(replica !== undefined);
      replica.misbehave = ({ path }, response) => {
        const text =
          path === '/v1/misbehaviour'
            ? JSON.stringify({ reports: Object.keys(documents).map((each) => ({ id: each })) })
            : documents[path.replace('/v1/misbehaviour/', '')];
        response.writeHead(text === undefined ? 404 : 200);
        response.end(text);
        return true;
      };
    }
  }
  const reports = (result: JsonReport['result']): readonly { readonly rule: string }[] =>
    result?.['reports'] as readonly { readonly rule: string }[];

  it('shows each misdeed once, and saves what can be checked again', async () => {
    keep([0, 1, 2, 3], { [id()]: documentOf([prepare(A), prepare(B)]) });
    const { exit, result } = await runJson(['evidence', 'list', '--save', '.']);
    assert.equal(exit.code, 0);
    assert.deepEqual(
      reports(result).map(({ rule }) => rule),
      ['X1'],
    );
    const [file, ...others] = (await readdir(fake.project)).filter((name) =>
      name.startsWith('bftpkg-misbehaviour-'),
    );
    assert.ok(file !== undefined && others.length === 0);
    const text = await readFile(join(fake.project, file), 'utf8');
    assert.equal((await verifyText(text)).exit.code, 0);
  });

  it('believes the proof, not the server: a false one is a warning about who serves it', async () => {
    keep([0], { [id()]: documentOf([prepare(A), prepare(A)]) });
    keep([1, 2, 3], {});
    const { exit, result, diagnostics } = await runJson(['evidence', 'list']);
    assert.equal(exit.code, 0);
    assert.deepEqual(reports(result), []);
    assert.deepEqual(
      diagnostics.map(({ code }) => code),
      ['BP4008'],
    );
    assert.ok(diagnostics[0]?.message.includes(fake.replicas[0]?.url ?? '-'));
  });

  it('takes no ids that could be paths', async () => {
    keep([0, 1, 2, 3], { '../../checkpoint': documentOf([prepare(A), prepare(B)]) });
    assert.equal((await runJson(['evidence', 'list', '--save', '.'])).exit.code, 3);
  });

  it('goes on without replicas that fail, and says so; without any it is inconclusive', async () => {
    keep([0], { [id()]: documentOf([prepare(A), prepare(B)]) });
    const { exit, result, diagnostics } = await runJson(['evidence', 'list']);
    assert.equal(exit.code, 0);
    assert.equal(reports(result).length, 1);
    assert.equal(diagnostics.length, 3);
    for (const replica of fake.replicas) replica.misbehave = undefined;
    assert.deepEqual((await runJson(['evidence', 'list'])).exit, { code: 3, reason: 'BP7001' });
  });
});
