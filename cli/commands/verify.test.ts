// `verify` against replicas that lie, hang and die. Each row says who misbehaves and which exit follows.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type FakeReplica } from '../../fixtures/fake-log.ts';
import { SYNTHETIC_BATCH_SECONDS } from '../../fixtures/synthetic-log.ts';
import { EXIT } from '../output/exit-codes.ts';

let fake: FakeLog;
let alpha: Uint8Array;
let beta: Uint8Array;
let hiddenSize = 0;

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
  beta = await fake.publish({ name: '@acme/beta', version: '2.0.0' });
  await fake.publish({ name: 'gamma', version: '1.0.0' });
  fake.log.withdraw('gamma', '1.0.0', 'revoked', 'stolen laptop');
  await fake.publish({ name: 'delta', version: '1.0.0' });
  // The batch in which gamma is withdrawn.
  hiddenSize = fake.log.size;
  fake.log.withdraw('delta', '1.0.0', 'yanked', 'wrong main');
  // What only colluding replicas would log: a release that one of two needed maintainers signed.
  await fake.publish({ name: 'lonely', version: '1.0.0' }, ['alice']);
});
after(async () => {
  await fake.stop();
});

beforeEach(async () => {
  await rm(join(fake.home, '.local'), { recursive: true, force: true });
  await fake.configure();
  await fake.lock([
    { name: 'alpha', version: '1.0.0', sha512: alpha },
    { name: '@acme/beta', version: '2.0.0', sha512: beta },
  ]);
  for (const replica of fake.replicas) {
    replica.misbehave = undefined;
    replica.tamper = undefined;
    replica.note = {};
  }
});

/** The first `count` replicas. */
function some(count: number): readonly FakeReplica[] {
  return fake.replicas.slice(0, count);
}

interface JsonReport {
  readonly verdict: string;
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly summary: Readonly<Record<string, number>>;
  readonly replicas: readonly { readonly url: string; readonly problem: string }[];
  readonly evidence: readonly string[];
  readonly checkpoint: { readonly consistentWith: number | null } | null;
  readonly subjects: readonly {
    readonly verdict: string;
    readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
  }[];
}

async function verifyJson(argv: readonly string[] = [], now?: number): Promise<JsonReport> {
  const options = now === undefined ? {} : { nowSeconds: now };
  const { code, stdout } = await fake.run(['verify', '--json', ...argv], options);
  const report = JSON.parse(stdout) as JsonReport;
  assert.equal(report.exit.code, code, 'the document and the process agree');
  return report;
}

describe('verify', () => {
  it('verifies a lockfile and says so on stdout alone', async () => {
    const { code, stdout, stderr } = await fake.run(['verify']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(stdout, /✔ 2 verified, 0 problems/);
    assert.equal(stderr, '');
  });

  it('remembers what it accepted and proves that the next view continues it', async () => {
    assert.equal((await verifyJson()).checkpoint?.consistentWith, null);
    assert.equal((await verifyJson()).checkpoint?.consistentWith, fake.log.size);
  });

  it('asks for the evidence of all subjects once', async () => {
    for (const replica of fake.replicas) replica.requests.length = 0;
    await verifyJson();
    const posts = fake.replicas.map(
      ({ requests }) => requests.filter((line) => line.startsWith('POST')).length,
    );
    // A slow replica may have been helped out by another one; none is asked twice.
    assert.equal(Math.max(...posts), 1, posts.join(' '));
  });

  const lies: readonly (readonly [
    string,
    number,
    (replica: FakeReplica) => void,
    number,
    string | null,
  ])[] = [
    ['one replica says nothing but nonsense', 1, (r) => (r.misbehave = answer(200, '{}')), 0, null],
    ['one replica fails', 1, (r) => (r.misbehave = answer(500, 'x')), 0, null],
    ['one replica redirects', 1, (r) => (r.misbehave = redirect), 0, null],
    ['one replica hangs', 1, (r) => (r.misbehave = hang), 0, null],
    ['one replica leaves an entry out', 1, dropEntry, 0, null],
    ['one replica shows a checkpoint of two', 1, (r) => (r.note = { cosigners: [0, 1] }), 0, null],
    ['two fail, and f+1 agree', 2, (r) => (r.misbehave = answer(500, '')), 0, null],
    ['two hang, and f+1 agree', 2, (r) => (r.misbehave = hang), 0, null],
    ['three replicas fail', 3, (r) => (r.misbehave = answer(500, 'x')), 3, 'BP7001'],
    ['three replicas hang', 3, (r) => (r.misbehave = hang), 3, 'BP7001'],
    [
      'three replicas lie, so nothing is known',
      3,
      (r) => (r.misbehave = answer(200, '{}')),
      3,
      'BP7001',
    ],
    ['all replicas fail', 4, (r) => (r.misbehave = answer(503, 'x')), 3, 'BP7001'],
    ['all show a checkpoint of two', 4, (r) => (r.note = { cosigners: [0, 1] }), 12, 'BP3001'],
    ['all leave an entry out', 4, dropEntry, 17, 'BP4004'],
    ['all show an old time', 4, (r) => (r.note = { time: 1_700_000_000 }), 13, 'BP4001'],
    ['all show a time ahead', 4, (r) => (r.note = { time: 1_900_000_000 }), 13, 'BP4007'],
  ];
  for (const [why, count, misbehave, code, reason] of lies) {
    it(`exits ${code} when ${why}`, async () => {
      for (const replica of some(count)) misbehave(replica);
      // All of it is waited for where too few answer; elsewhere it must not be what ends the run.
      const report = await verifyJson(['--timeout', code === EXIT.inconclusive ? '4s' : '5m']);
      assert.equal(report.exit.code, code, JSON.stringify(report, null, 1));
      assert.equal(report.exit.reason, reason);
      if (code === 0) assert.equal(report.summary['verified'], 2);
    });
  }

  it('reports the replica that lied by its address', async () => {
    const [liar] = fake.replicas;
    assert.ok(liar !== undefined);
    dropEntry(liar);
    const report = await verifyJson();
    assert.equal(report.exit.code, EXIT.verified);
    assert.deepEqual(
      report.replicas.map(({ url }) => url),
      [liar.url],
    );
    assert.match(report.replicas[0]?.problem ?? '', /bad answer/);
  });

  it('is not shown the time before a revocation by one replica that hides it', async () => {
    const [liar] = fake.replicas;
    assert.ok(liar !== undefined);
    // Everything that it shows is genuine, and cosigned a moment ago.
    const before = fake.log.snapshots.findIndex(({ size }) => size === hiddenSize) - 1;
    liar.note = { size: fake.log.snapshots[before]?.size ?? 0, time: fake.log.time };
    for (const replica of fake.replicas.slice(1)) replica.misbehave = lateCheckpoint;
    const report = await verifyJson(['gamma@1.0.0']);
    assert.equal(report.exit.reason, 'BP5001', JSON.stringify(report, null, 1));
    assert.deepEqual(
      report.replicas.map(({ url }) => url),
      [liar.url],
    );
    assert.match(report.replicas[0]?.problem ?? '', /while others have/);
  });

  const subjects: readonly (readonly [string, string, number, string | null, string])[] = [
    ['a release that is in the log', 'alpha@1.0.0', 0, null, 'verified'],
    ['a version that is not in the log', 'alpha@9.9.9', 16, 'BP5003', 'rejected'],
    ['a package that is not in the log', 'nobody@1.0.0', 16, 'BP5003', 'rejected'],
    ['a revoked release', 'gamma@1.0.0', 15, 'BP5001', 'rejected'],
    ['a yanked release, with a warning', 'delta@1.0.0', 0, null, 'verified'],
    ['a release with too few signatures', 'lonely@1.0.0', 11, 'BP2001', 'rejected'],
  ];
  for (const [why, spec, code, reason, verdict] of subjects) {
    it(`exits ${code} for ${why}`, async () => {
      const report = await verifyJson([spec]);
      assert.equal(report.exit.code, code, JSON.stringify(report, null, 1));
      assert.equal(report.exit.reason, reason);
      assert.equal(report.subjects[0]?.verdict, verdict);
    });
  }

  it('reports every bad package, not only the first', async () => {
    const report = await verifyJson(['nobody@1.0.0', 'gamma@1.0.0', 'alpha@1.0.0', 'delta@1.0.0']);
    assert.equal(report.exit.code, EXIT.withdrawn);
    assert.deepEqual(
      report.subjects.map(({ diagnostics }) => diagnostics[0]?.code ?? null),
      [null, 'BP5002', 'BP5001', 'BP5003'],
    );
  });

  it('exits 10 when the lockfile pins other bytes than were logged', async () => {
    await fake.lock([
      { name: 'alpha', version: '1.0.0', sha512: beta },
      { name: '@acme/beta', version: '2.0.0', sha512: beta },
    ]);
    const report = await verifyJson();
    assert.equal(report.exit.code, EXIT.tampered);
    assert.equal(report.exit.reason, 'BP1003');
    assert.equal(report.summary['verified'], 1);
  });

  it('exits 20 for an empty lockfile', async () => {
    await fake.lock([]);
    assert.equal((await verifyJson()).exit.code, EXIT.nothing);
  });

  it('exits 18 for an entry that nobody vouches for, and says which line', async () => {
    const fields = { resolved: 'git+ssh://git@example.org/a.git#abc' };
    await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha, fields }]);
    const { code, stdout } = await fake.run(['verify']);
    assert.equal(code, EXIT.policy);
    assert.match(stdout, /BP6006.*git/);
    assert.match(stdout, /package-lock\.json:\d+ {2}node_modules\/alpha/);
  });

  it('verifies a tarball and refuses one that was changed', async () => {
    const [bytes] = fake.artifacts.values();
    assert.ok(bytes !== undefined);
    await writeFile(join(fake.project, 'alpha-1.0.0.tgz'), bytes);
    assert.equal((await verifyJson(['alpha-1.0.0.tgz'])).exit.code, EXIT.verified);
    const { makeTarball } = await import('../../fixtures/tarballs/generator.ts');
    const other = makeTarball({ name: 'alpha', version: '1.0.0', files: { 'index.js': 'evil()' } });
    await writeFile(join(fake.project, 'alpha-1.0.0.tgz'), other);
    assert.equal((await verifyJson(['./alpha-1.0.0.tgz'])).exit.code, EXIT.tampered);
  });

  it('never goes back to an older view, even if all replicas agree on it', async () => {
    await verifyJson();
    const older = fake.log.snapshots.at(-2);
    assert.ok(older !== undefined);
    for (const replica of fake.replicas) replica.note = { size: older.size, time: fake.log.time };
    const report = await verifyJson();
    assert.equal(report.exit.code, EXIT.stale);
    assert.equal(report.exit.reason, 'BP4002');
  });

  it('keeps evidence of a fork and does not move on', async () => {
    await verifyJson();
    const trust = join(fake.home, '.local', 'state', 'bftpkg', `${fake.log.pin}.json`);
    const before = await readFile(trust, 'utf8');
    const root = new Uint8Array(32).fill(7);
    for (const replica of some(2)) replica.note = { root };
    const report = await verifyJson();
    assert.equal(report.exit.code, EXIT.fork, JSON.stringify(report, null, 1));
    assert.equal(report.exit.reason, 'BP4003');
    assert.equal(await readFile(trust, 'utf8'), before);
    const [file] = report.evidence;
    assert.ok(file !== undefined && /bftpkg-evidence-\d+-/.test(file));
    const kept = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
    assert.notEqual(kept['first'], kept['second']);
    await rm(file);
  });

  it('notices a fork between two replicas at the first contact', async () => {
    const last = fake.replicas.at(-1);
    assert.ok(last !== undefined);
    last.note = { root: new Uint8Array(32).fill(9) };
    // The other three must not be enough before the fourth is heard.
    for (const replica of fake.replicas.slice(1, 3)) replica.misbehave = slowCheckpoint;
    const report = await verifyJson();
    assert.equal(report.exit.code, EXIT.fork, JSON.stringify(report, null, 1));
    for (const name of await readdir(fake.project)) {
      if (name.startsWith('bftpkg-evidence')) await rm(join(fake.project, name));
    }
  });

  it('verifies a saved bundle without any server', async () => {
    const bundle = join(fake.home, 'bundle.json');
    assert.equal((await verifyJson(['--save-bundle', bundle])).exit.code, EXIT.verified);
    for (const replica of fake.replicas) replica.requests.length = 0;
    const offline = ['--offline', '--bundle', bundle];
    assert.equal((await verifyJson(offline)).exit.code, EXIT.verified);
    assert.deepEqual(
      fake.replicas.flatMap(({ requests }) => requests),
      [],
    );
    const later = fake.log.time + 3600;
    const stale = await verifyJson(offline, later);
    assert.equal(stale.exit.reason, 'BP4001');
    assert.match(JSON.stringify(stale), /--max-checkpoint-age 30d/, 'a file is no freeze');
    const patient = [...offline, '--max-checkpoint-age', '2h'];
    assert.equal((await verifyJson(patient, later)).exit.code, EXIT.verified);
    // Not proven there either way, which is no fault of anybody's.
    const report = await verifyJson([...offline, 'alpha@9.9.9', 'alpha@1.0.0']);
    assert.equal(report.exit.reason, 'BP7005');
    assert.deepEqual(
      report.subjects.map(({ verdict }) => verdict),
      ['verified', 'inconclusive'],
      'by name and version, whatever was asked for first',
    );
  });

  it('never calls it verified when no server may be asked', async () => {
    assert.equal((await verifyJson(['--offline'])).exit.code, EXIT.inconclusive);
  });

  it('refuses a log that the project does not pin', async () => {
    await fake.configure({ pin: 'ab'.repeat(32) });
    const report = await verifyJson();
    assert.notEqual(report.exit.code, EXIT.verified);
    assert.equal(report.summary['verified'], 0);
  });

  it('refuses a view that is too old for the project, on this clock', async () => {
    const later = fake.log.time + SYNTHETIC_BATCH_SECONDS;
    await fake.configure({ checkpointAgeMaxSeconds: SYNTHETIC_BATCH_SECONDS - 1 });
    assert.equal((await verifyJson([], later)).exit.reason, 'BP4001');
    await fake.configure({ checkpointAgeMaxSeconds: SYNTHETIC_BATCH_SECONDS });
    assert.equal((await verifyJson([], later)).exit.code, EXIT.verified);
  });

  const usage: readonly (readonly [string, readonly string[]])[] = [
    ['an unknown flag', ['verify', '--nope']],
    ['an unknown command', ['verfy']],
    ['no version', ['verify', 'alpha']],
    ['a bad duration', ['verify', '--timeout', 'soon']],
    ['a format that does not exist', ['verify', '--format', 'xml']],
    ['a missing bundle', ['verify', '--bundle', 'none.json']],
    ['a missing lockfile', ['verify', '--lockfile', 'none.json']],
    ['a missing configuration', ['verify', '--config', 'none.json']],
  ];
  for (const [why, argv] of usage) {
    it(`exits 2 for ${why}, with a document when JSON is wanted`, async () => {
      const human = await fake.run(argv);
      assert.equal(human.code, EXIT.usage, human.stderr);
      assert.equal(human.stdout, '', 'stdout is for results');
      assert.notEqual(human.stderr, '');
      const json = await fake.run(['--json', ...argv]);
      assert.equal(json.code, EXIT.usage);
      assert.equal((JSON.parse(json.stdout) as JsonReport).exit.code, EXIT.usage);
    });
  }
});

function answer(status: number, body: string): FakeReplica['misbehave'] {
  return (_request, response) => {
    response.writeHead(status);
    response.end(body);
    return true;
  };
}

const hang: FakeReplica['misbehave'] = () => true;

const redirect: FakeReplica['misbehave'] = ({ path }, response) => {
  response.writeHead(302, { location: `${fake.replicas[1]?.url ?? ''}${path}` });
  response.end();
  return true;
};

// Late enough not to be asked first.
const lateCheckpoint: FakeReplica['misbehave'] = async ({ path }) => {
  if (path === '/checkpoint') await new Promise((resolve) => setTimeout(resolve, 50));
  return false;
};

const slowCheckpoint: FakeReplica['misbehave'] = async ({ path }) => {
  if (path === '/checkpoint') await new Promise((resolve) => setTimeout(resolve, 300));
  return false;
};

// The same tree, but an entry that the verdict needs is not shown.
function dropEntry(replica: FakeReplica): void {
  replica.tamper = (evidence) => ({ ...evidence, entries: evidence.entries.slice(1) });
}
