import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, describe, it } from 'node:test';

import { FakeLog, type FakeReplica, type Outcome } from '../../fixtures/fake-log.ts';
import { equalBytes, utf8 } from '../../verifier/bytes.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { runPlan } from '../../verifier/signatures.ts';
import { parseTlogProof, planTlogProof } from '../../verifier/tlog-proof.ts';

interface Json {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: {
    readonly index?: number;
    readonly size?: number;
    readonly entry?: string;
    readonly file?: string;
    readonly signers?: readonly string[];
    readonly newest?: { readonly size: number };
    readonly replicas?: readonly { readonly url: string; readonly size: number }[];
  } | null;
  readonly diagnostics: readonly { readonly code: string; readonly severity: string }[];
  readonly evidence: readonly string[];
}

function json(outcome: Outcome): Json {
  return JSON.parse(outcome.stdout) as Json;
}

describe('bftpkg log', () => {
  let fake: FakeLog;
  const run = async (...argv: readonly string[]): Promise<Json> =>
    json(await fake.run([...argv, '--json']));
  const replica = (index: number): FakeReplica => {
    const found = fake.replicas[index];
    assert.ok(found);
    return found;
  };

  before(async () => {
    fake = await FakeLog.start(4);
    for (let i = 0; i < 150; i++) {
      fake.log.maintain(`package-${i}`, { maintainers: ['ada', 'ben'], faulty: 1 });
      fake.log.release({ name: `package-${i}`, version: '1.0.0' });
      if (i % 30 === 29) fake.log.commit();
    }
  });
  after(async () => fake.stop());
  afterEach(() => {
    for (const one of fake.replicas) {
      one.misbehave = undefined;
      one.note = {};
    }
  });

  it('head shows the newest checkpoint and its cosigners', async () => {
    const { exit, result } = await run('log', 'head');
    assert.equal(exit.code, 0);
    assert.equal(result?.size, fake.log.size);
    assert.equal(result.signers?.length, 4);
  });

  it('head warns of an old view, and refuses one without a quorum', async () => {
    const late = await fake.run(['log', 'head', '--json'], { nowSeconds: fake.log.time + 7200 });
    assert.equal(late.code, 0);
    assert.deepEqual(
      json(late).diagnostics.map(({ code, severity }) => [code, severity]),
      [['BP4001', 'warning']],
    );
    for (const one of fake.replicas) one.note = { cosigners: [0, 1] };
    const { exit } = await run('log', 'head');
    assert.deepEqual([exit.code, exit.reason], [12, 'BP3001']);
  });

  it('head --all-replicas shows who is behind and who does not answer', async () => {
    const older = fake.log.snapshots.at(-2)?.size ?? 0;
    replica(1).note = { size: older };
    replica(2).misbehave = (_request, response) => {
      response.destroy();
      return true;
    };
    const { exit, result, diagnostics } = await run('log', 'head', '--all-replicas');
    assert.equal(exit.code, 0);
    assert.equal(result?.newest?.size, fake.log.size);
    assert.deepEqual(
      result.replicas?.map(({ size }) => size),
      [fake.log.size, older, fake.log.size],
    );
    assert.deepEqual(
      diagnostics.map(({ code }) => code),
      ['BP7001'],
    );
  });

  it('head --all-replicas keeps the evidence of a fork', async () => {
    replica(3).note = { root: fake.log.root(1) };
    const { exit, evidence } = await run('log', 'head', '--all-replicas');
    assert.deepEqual([exit.code, exit.reason], [14, 'BP4003']);
    assert.match(await readFile(evidence[0] ?? '', 'utf8'), /bftpkg-fork-evidence/);
  });

  it('entry shows any entry, proven', async () => {
    for (const index of [0, 1, 255, 256, fake.log.size - 1]) {
      const { exit, result } = await run('log', 'entry', String(index));
      assert.equal(exit.code, 0);
      assert.ok(equalBytes(utf8(result?.entry ?? ''), fake.log.entries[index] ?? utf8('')));
    }
    assert.match((await fake.run(['log', 'entry', '1'])).stdout, /pkg:npm\/package-0@1\.0\.0/);
  });

  it('entry asks another replica when one shows something else', async () => {
    const lie = (one: FakeReplica): void => {
      one.misbehave = ({ path }, response) => {
        if (!path.startsWith('/tile/entries/')) return false;
        const bytes = Uint8Array.from(fake.tile(path.slice(1)) ?? []);
        bytes[300] = (bytes[300] ?? 0) ^ 1;
        response.writeHead(200).end(Buffer.from(bytes));
        return true;
      };
    };
    lie(replica(0));
    assert.equal((await run('log', 'entry', '0')).exit.code, 0);
    for (const one of fake.replicas) lie(one);
    const { exit } = await run('log', 'entry', '0');
    assert.deepEqual([exit.code, exit.reason], [17, 'BP4004']);
  });

  const refused: readonly (readonly [why: string, argv: readonly string[], code: number])[] = [
    ['an entry beyond the log', ['entry', '100000'], 16],
    ['a negative index', ['entry', '--', '-1'], 2],
    ['a second spelling of an index', ['entry', '01'], 2],
    ['an address that is none', ['head', 'ftp://example.org'], 2],
    ['a pin that is none', ['head', '--pin', 'abc'], 2],
    ['a release that is not logged', ['proof', 'package-1@9.9.9'], 16],
    ['half a spec', ['proof', 'package-1'], 2],
  ];
  for (const [why, argv, code] of refused) {
    it(`refuses ${why} with exit ${code}`, async () => {
      assert.equal((await fake.run(['log', ...argv])).code, code);
    });
  }

  it('proof writes what any C2SP verifier can check', async () => {
    const { exit, result } = await run('log', 'proof', 'package-140@1.0.0');
    assert.equal(exit.code, 0);
    const index = result?.index ?? -1;
    assert.equal(result?.file, join(fake.project, `${index}.tlog-proof`));
    const proof = parseTlogProof(await readFile(result.file, 'utf8'));
    assert.equal(proof.extra.length, 0);
    const leaf = leafHash(fake.log.entries[index] ?? utf8(''));
    const { checkpoint } = await runPlan(
      nativeVerifier,
      planTlogProof(proof, leaf, fake.log.roster),
    );
    assert.equal(checkpoint.size, fake.log.size);
  });

  it('proof finds a release that was revoked, too', async () => {
    fake.log.withdraw('package-3', '1.0.0', 'revoked');
    fake.log.commit();
    const { exit, result } = await run('log', 'proof', 'package-3@1.0.0');
    assert.equal(exit.code, 0);
    assert.equal(result?.index, fake.log.releases.get('package-3@1.0.0')?.index);
  });

  it('proof can bring the entry along', async () => {
    const out = join(fake.home, 'with.tlog-proof');
    assert.equal((await run('log', 'proof', '7', '--with-entry', '--out', out)).exit.code, 0);
    const proof = parseTlogProof(await readFile(out, 'utf8'));
    assert.deepEqual(proof.extra, Uint8Array.from(fake.log.entries[7] ?? []));
    await runPlan(nativeVerifier, planTlogProof(proof, leafHash(proof.extra), fake.log.roster));
  });
});
