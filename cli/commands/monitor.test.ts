// `monitor` against logs that grow, misbehave and fall silent; rounds are single runs over one state.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { FakeLog, type FakeReplica } from '../../fixtures/fake-log.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { RELEASE_PAYLOAD_TYPE } from '../../verifier/statements/release.ts';

let fake: FakeLog;
let config: string;

beforeEach(async () => {
  fake = await FakeLog.start();
  config = join(fake.home, 'monitor.json');
  await configure();
});
afterEach(async () => fake.stop());

async function configure(fields: object = {}): Promise<void> {
  const replicas = fake.replicas.map(({ url }) => url);
  const packages = ['alpha', '@acme/*'];
  const all = { format: 'bftpkg-monitor/v1', pin: fake.log.pin, replicas, packages, ...fields };
  await writeFile(config, JSON.stringify(all));
}

interface Told {
  readonly id: string;
  readonly category: string;
  readonly kind: string;
  readonly message: string;
}

interface RoundReport {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: { readonly size: number | null; readonly notices: readonly Told[] };
  readonly evidence: readonly string[];
}

async function round(...argv: readonly string[]): Promise<RoundReport> {
  const { code, stdout } = await fake.run([
    'monitor',
    'run',
    '--once',
    '--config',
    config,
    '--json',
    ...argv,
  ]);
  const report = JSON.parse(stdout) as RoundReport;
  assert.equal(report.exit.code, code, stdout);
  return report;
}

const kinds = ({ result }: RoundReport): readonly string[] =>
  result.notices.map(({ kind }) => kind);

function broken(replica: FakeReplica): void {
  replica.misbehave = (_request, response) => {
    response.writeHead(500);
    response.end();
    return true;
  };
}

describe('monitor run', () => {
  it('watches an empty log without complaint', async () => {
    const report = await round();
    assert.deepEqual(report.exit, { code: 0, reason: null });
    assert.deepEqual([report.result.size, kinds(report)], [null, []]);
  });

  it('begins with now, or with the beginning when it is asked to', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const report = await round();
    assert.deepEqual([report.result.size, kinds(report)], [fake.log.size, []]);
    const all = await round('--from-start', '--state', join(fake.home, 'other'));
    assert.deepEqual(kinds(all), ['maintainers', 'release']);
  });

  it('tells about watched packages, once, and about no others', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    await fake.publish({ name: '@acme/tool', version: '1.0.0' });
    await fake.publish({ name: 'beta', version: '1.0.0' });
    fake.log.withdraw('alpha', '1.0.0', 'revoked', 'stolen laptop');
    fake.log.commit();
    const report = await round();
    assert.equal(report.exit.code, 0);
    assert.deepEqual(
      report.result.notices.map(({ category, message }) => `${category} ${message.slice(0, 30)}`),
      [
        'security alpha@1.0.1 was released (entr',
        'security @acme/tool was claimed: added ',
        'security @acme/tool@1.0.0 was released ',
        'security alpha@1.0.0 was revoked: vulne',
      ],
    );
    assert.deepEqual(kinds(await round()), []);
  });

  it('tells about maintainers, thresholds and rosters', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    const maintainers = ['alice', 'bob', 'mallory'];
    fake.log.maintain('alpha', { maintainers, faulty: 0 });
    // A roster has a batch of its own.
    fake.log.commit();
    fake.log.changeRoster({ weights: [1, 1, 1, 1], urls: fake.replicas.map(({ url }) => url) });
    const report = await round();
    assert.deepEqual(kinds(report), ['maintainers', 'threshold', 'roster']);
    assert.match(report.result.notices[0]?.message ?? '', /added mallory \(key [0-9a-f]{64}\)$/);
    assert.match(
      report.result.notices[1]?.message ?? '',
      /needs 1 signatures from now on, 2 before/,
    );
  });

  it('tells when a watched key signs anything at all, and only if it really did', async () => {
    await configure({ packages: [], keys: [publicKeyHex(fake.log.key('alice').publicKey)] });
    await fake.publish({ name: 'beta', version: '1.0.0' });
    await round();
    await fake.publish({ name: 'beta', version: '1.0.1' });
    const report = await round();
    assert.deepEqual(kinds(report), ['key']);
    assert.match(report.result.notices[0]?.message ?? '', /signed the release of beta@1\.0\.1/);
    await configure({ packages: [], keys: [publicKeyHex(fake.log.key('carol').publicKey)] });
    await fake.publish({ name: 'beta', version: '1.0.2' });
    assert.deepEqual(kinds(await round()), []);
  });

  it('finds an illegal batch, stays before it, and tells it once', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const { result } = await round();
    await fake.publish({ name: 'alpha', version: '1.0.1' }, ['alice']);
    const report = await round();
    assert.deepEqual(report.exit, { code: 17, reason: 'BP4010' });
    assert.deepEqual(kinds(report), ['release', 'illegal']);
    const again = await round();
    assert.deepEqual([again.exit.code, kinds(again)], [17, []]);
    const state = await readdir(stateFolder());
    assert.deepEqual(state.toSorted(), [`audit-${result.size}.json`, 'monitor.json']);
  });

  it('is not stopped by an entry that it cannot read', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    fake.log.append('release', fake.log.envelope(RELEASE_PAYLOAD_TYPE, utf8('x'), ['alice']));
    fake.log.commit();
    assert.deepEqual(kinds(await round()), ['unreadable', 'illegal']);
  });

  it('keeps proof of a fork between replicas', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    const last = fake.replicas.at(-1);
    assert.ok(last);
    last.note = { root: new Uint8Array(32).fill(7) };
    const report = await round();
    assert.deepEqual(report.exit, { code: 14, reason: 'BP4003' });
    assert.ok(kinds(report).includes('fork'));
    const kept = (await readdir(fake.project)).filter((name) => name.startsWith('bftpkg-evidence'));
    assert.ok(kept.length >= 1);
    assert.ok(!kinds(await round()).includes('fork'), 'told before');
  });

  it('compares with what other sources were shown', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const [first, ...rest] = fake.replicas;
    assert.ok(first);
    first.note = { root: new Uint8Array(32).fill(7) };
    const [one, two, three] = rest.map(({ url }) => url);
    await configure({ replicas: [one, two, three], sources: [first.url] });
    assert.deepEqual((await round()).exit, { code: 14, reason: 'BP4003' });
    first.note = {};
    await configure({ replicas: [one, two, three], sources: [first.url, 'http://127.0.0.1:1'] });
    assert.equal((await round()).exit.code, 0, 'a source that is down proves nothing');
  });

  it('compares what a source was shown at an earlier or a later size, too', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const earlier = fake.log.size;
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    const [first, ...rest] = fake.replicas;
    assert.ok(first, 'four replicas');
    await configure({ replicas: rest.map(({ url }) => url), sources: [first.url] });
    first.note = { size: earlier };
    assert.deepEqual((await round()).exit, { code: 0, reason: null }, 'the same log, earlier');
    first.note = { size: earlier, root: new Uint8Array(32).fill(7), time: fake.log.time };
    assert.deepEqual((await round()).exit, { code: 14, reason: 'BP4003' }, 'another log, earlier');

    // Shown before the log has come so far, and never again.
    const size = fake.log.size;
    await fake.publish({ name: 'alpha', version: '1.0.2' });
    const later = fake.log.size;
    for (const replica of rest) replica.note = { size };
    first.note = { size: later, root: new Uint8Array(32).fill(8) };
    assert.deepEqual((await round()).exit, { code: 0, reason: null }, 'nothing to compare it with');
    for (const replica of fake.replicas) replica.note = {};
    assert.deepEqual((await round()).exit, { code: 14, reason: 'BP4003' }, 'another log, later');
    assert.deepEqual((await round()).exit, { code: 0, reason: null }, 'told, and settled');
  });

  it('goes as far as it can where the newest tree is kept back, and says so', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    const [ahead, ...others] = fake.replicas;
    assert.ok(ahead, 'four replicas');
    const keepBack: FakeReplica['misbehave'] = ({ path }, response) => {
      if (!path.startsWith('/tile/')) return false;
      response.writeHead(503);
      response.end();
      return true;
    };
    for (const version of ['1.0.1', '1.0.2']) {
      await fake.publish({ name: 'alpha', version });
      const size = fake.log.size;
      await fake.publish({ name: 'beta', version });
      ahead.misbehave = keepBack;
      for (const other of others) other.note = { size };
      const report = await round();
      assert.equal(report.result.size, size, version);
      assert.ok(kinds(report).includes('release'), version);
      assert.equal(report.exit.code, 0, 'one replica alone is no failure');
    }
    for (const other of others) other.misbehave = keepBack;
    await fake.publish({ name: 'alpha', version: '1.0.3' });
    for (const other of others) other.note = {};
    const report = await round();
    assert.deepEqual([report.exit, report.result.size], [{ code: 3, reason: 'BP7001' }, null]);
    assert.ok(kinds(report).includes('unchecked'), 'nobody gave it');
    assert.equal((await round()).exit.code, 3, 'and still');
  });

  it('notices that a quorum has gone back', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    await round();
    const size = fake.log.snapshots.at(-2)?.size ?? 0;
    for (const replica of fake.replicas) replica.note = { size, time: fake.log.time };
    const report = await round();
    assert.deepEqual(report.exit, { code: 13, reason: 'BP4002' });
    assert.deepEqual(kinds(report), ['rollback']);
  });

  it('notices a replica whose older log is not the beginning of the newest', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    const size = fake.log.snapshots.at(-2)?.size ?? 0;
    for (const replica of fake.replicas.slice(0, 1)) {
      replica.note = { size, root: new Uint8Array(32).fill(7), time: fake.log.time };
    }
    assert.deepEqual((await round()).exit, { code: 14, reason: 'BP4003' });
  });

  it('goes on with another replica where one has a bad copy', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    for (const replica of fake.replicas.slice(0, 1)) {
      replica.misbehave = ({ path }, response) => {
        if (!path.startsWith('/tile/entries/')) return false;
        const bytes = Uint8Array.from(fake.tile(path.slice(1)) ?? []);
        bytes[bytes.length - 1] = 0x21;
        response.end(bytes);
        return true;
      };
    }
    const report = await round();
    assert.deepEqual(kinds(report), ['bad-copy', 'release']);
    assert.equal(report.result.size, fake.log.size);
  });

  it('tells when a replica, the quorum or the log falls silent, and when it is back', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    const [first, second] = fake.replicas;
    assert.ok(first && second);
    broken(first);
    const one = await round();
    assert.deepEqual([one.exit.code, kinds(one)], [0, ['replica']]);
    assert.equal(one.result.notices[0]?.category, 'availability');
    assert.deepEqual(kinds(await round()), [], 'still down is no news');
    broken(second);
    const two = await round();
    assert.deepEqual([two.exit.code, kinds(two)], [3, ['replica', 'quorum']]);
    assert.equal((await round()).exit.code, 3, 'but still not in order');
    first.misbehave = undefined;
    second.misbehave = undefined;
    assert.deepEqual(kinds(await round()), ['recovered', 'recovered', 'recovered']);
    for (const replica of fake.replicas) replica.note = { time: fake.log.time - 7200 };
    const stale = await round();
    assert.deepEqual([stale.exit.code, kinds(stale)], [13, ['stale']]);
  });

  it('reads its state again, whatever a replica says of itself', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const [first] = fake.replicas;
    assert.ok(first, 'four replicas');
    const texts = [3_000, 9_000, 60_000, 200_000].map((size) => 'x'.repeat(size));
    // Cut off in the middle of a character of two, wherever that is.
    const wide = ['', 'x'].map((before) => `${before}${'\u{1f642}'.repeat(2_500)}`);
    for (const text of [...texts, ...wide]) {
      first.misbehave = ({ path }, response) => {
        if (path !== '/checkpoint') return false;
        response.writeHead(500);
        response.end(JSON.stringify({ error: { code: 'X', message: text } }));
        return true;
      };
      assert.equal((await round()).exit.code, 0, `${text.length} characters`);
      first.misbehave = undefined;
      assert.equal((await round()).exit.code, 0, `after ${text.length} characters`);
    }
  });

  it('runs until it is stopped, and writes a line for each notice', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const argv = ['monitor', 'run', '--from-start', '--config', config, '--interval', '1s'];
    const first = /^security .*alpha@1\.0\.0 was released/gm;
    // It is stopped by its time-out. A machine that is too busy for two rounds in it gets more.
    let [stdout, second] = ['', first];
    for (const [attempt, time] of ['3s', '15s', '60s'].entries()) {
      await rm(stateFolder(), { recursive: true, force: true });
      const version = `1.0.${attempt + 1}`;
      let published: Promise<unknown> | undefined;
      const done = await fake.run([...argv, '--timeout', time], {
        wrote: (text) => {
          if (text.includes('alpha@1.0.0')) {
            published ??= fake.publish({ name: 'alpha', version });
          }
        },
      });
      await published;
      assert.equal(done.code, 0, done.stdout + done.stderr);
      ({ stdout } = done);
      second = new RegExp(`^security .*alpha@1\\.0\\.${attempt + 1} was released`, 'gm');
      if (second.test(stdout)) break;
    }
    assert.equal(stdout.match(first)?.length, 1);
    assert.equal(stdout.match(second)?.length, 1);
  });
});

function stateFolder(): string {
  return join(fake.home, '.local', 'state', 'bftpkg', `monitor-${fake.log.pin}`);
}

describe('monitor run --webhook', () => {
  let hook: Server;
  let url: string;
  let status: number;
  let bodies: { readonly notices: readonly Told[] }[];

  beforeEach(async () => {
    status = 200;
    bodies = [];
    hook = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        if (status === 200)
          bodies.push(JSON.parse(Buffer.concat(chunks).toString('utf8')) as never);
        response.writeHead(status);
        response.end('ok');
      });
    });
    await new Promise<void>((resolve) => hook.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(hook.address() as AddressInfo).port}/hook`;
  });
  afterEach(() => {
    hook.closeAllConnections();
    hook.close();
  });

  const told = (): readonly string[] =>
    bodies.flatMap(({ notices }) => notices.map(({ message }) => message.split(' ')[0] ?? ''));

  it('posts what there is to tell, once', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round('--webhook', url);
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    await round('--webhook', url);
    await round('--webhook', url);
    assert.deepEqual(told(), ['alpha@1.0.1']);
  });

  it('keeps what the webhook did not take, in order', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round('--webhook', url);
    status = 503;
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    await round('--webhook', url);
    await fake.publish({ name: 'alpha', version: '1.0.2' });
    await round('--webhook', url);
    assert.deepEqual(told(), []);
    status = 200;
    await round('--webhook', url);
    assert.deepEqual(told(), ['alpha@1.0.1', 'alpha@1.0.2']);
  });

  it('tells again, never less, when it was killed before it could note the delivery', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round('--webhook', url);
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    status = 503;
    await round('--webhook', url);
    const state = await readFile(join(stateFolder(), 'monitor.json'));
    status = 200;
    await round('--webhook', url);
    await writeFile(join(stateFolder(), 'monitor.json'), state);
    await round('--webhook', url);
    assert.deepEqual(told(), ['alpha@1.0.1', 'alpha@1.0.1']);
    assert.equal(bodies[0]?.notices[0]?.id, bodies[1]?.notices[0]?.id);
  });

  it('refuses a damaged state instead of skipping what is in it', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round();
    const path = join(stateFolder(), 'monitor.json');
    const text = await readFile(path, 'utf8');
    for (const bad of ['', '{}', text.slice(0, -3), text.replace('audit-', '../audit-')]) {
      await writeFile(path, bad);
      assert.deepEqual((await round()).exit, { code: 2, reason: 'BP9004' }, bad.slice(0, 40));
    }
    await rm(path);
    assert.equal((await round()).exit.code, 0);
  });
});

describe('monitor check-config', () => {
  const check = async (): Promise<number> =>
    (await fake.run(['monitor', 'check-config', '--config', config])).code;

  it('takes what is in order', async () => assert.equal(await check(), 0));

  const rows: readonly (readonly [string, object])[] = [
    ['another format', { format: 'bftpkg-monitor/v2' }],
    ['no replica', { replicas: [] }],
    ['a replica twice', { replicas: ['http://a.example', 'http://a.example/'] }],
    ['a file as replica', { replicas: ['file:///etc/passwd'] }],
    ['a short pin', { pin: 'ab' }],
    ['a pattern that is none', { packages: ['../*'] }],
    ['a key that is none', { keys: ['00'.repeat(32)] }],
    ['a member that nobody knows', { package: ['alpha'] }],
    ['an age of nothing', { checkpointAgeMaxSeconds: 0 }],
  ];
  for (const [what, fields] of rows) {
    it(`refuses ${what}`, async () => {
      await configure(fields);
      assert.equal(await check(), 2);
    });
  }
});

describe('monitor run --metrics', () => {
  // Each line as an exporter reads it: name, labels, value.
  async function metrics(): Promise<ReadonlyMap<string, number>> {
    const text = await readFile(join(fake.home, 'bftpkg.prom'), 'utf8');
    assert.ok(text.endsWith('\n'), 'the last line ends');
    const samples = new Map<string, number>();
    const typed = new Set<string>();
    for (const line of text.trimEnd().split('\n')) {
      if (line.startsWith('# HELP ')) continue;
      const type = /^# TYPE (\w+) gauge$/.exec(line)?.[1];
      if (type !== undefined) {
        assert.ok(!typed.has(type), `${type} is there once`);
        typed.add(type);
        continue;
      }
      const [, name = '', labels = '', value] =
        /^(\w+)(\{(?:\w+="(?:[^"\\]|\\.)*",?)+\})? ([0-9]+)$/.exec(line) ?? [];
      assert.ok(typed.has(name), `${line}: after its type`);
      samples.set(`${name}${labels}`, Number(value));
    }
    return samples;
  }

  const file = (): readonly string[] => ['--metrics', join(fake.home, 'bftpkg.prom')];

  it('says how far it got, who is up, and that nothing is wrong', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    await round(...file());
    const samples = await metrics();
    assert.equal(samples.get('bftpkg_monitor_round_complete'), 1);
    assert.equal(samples.get('bftpkg_monitor_checked_entries'), fake.log.size);
    assert.equal(samples.get('bftpkg_monitor_round_timestamp_seconds'), fake.log.time + 1);
    assert.equal(samples.get('bftpkg_monitor_checkpoint_timestamp_seconds'), fake.log.time);
    assert.equal(samples.get('bftpkg_monitor_notices_pending'), 0);
    const isUp = fake.replicas.map(({ url }) =>
      samples.get(`bftpkg_monitor_replica_up{replica="${url}"}`),
    );
    assert.deepEqual(isUp, [1, 1, 1, 1]);
    const found = [...samples].filter(([name]) => name.startsWith('bftpkg_monitor_found'));
    assert.ok(found.length > 10, 'each kind has a sample');
    assert.deepEqual(
      found.filter(([, value]) => value !== 0),
      [],
    );
  });

  it('counts what is wrong, and names the replica', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const [first, second] = fake.replicas;
    assert.ok(first !== undefined && second !== undefined, 'there are replicas');
    broken(first);
    broken(second);
    await round(...file());
    const samples = await metrics();
    const up = (url: string): number | undefined =>
      samples.get(`bftpkg_monitor_replica_up{replica="${url}"}`);
    assert.deepEqual([up(first.url), up(second.url)], [0, 0]);
    const found = (kind: string): number | undefined =>
      samples.get(`bftpkg_monitor_found{category="availability",kind="${kind}"}`);
    assert.deepEqual([found('replica'), found('quorum'), found('stale')], [2, 1, 0]);
  });

  it('goes on watching when the file cannot be written', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const argv = ['monitor', 'run', '--once', '--config', config];
    const { code, stderr } = await fake.run([
      ...argv,
      '--metrics',
      join(fake.home, 'nowhere', 'x.prom'),
    ]);
    assert.equal(code, 0);
    assert.match(stderr, /metrics cannot be written: no such file or folder \(ENOENT\)/);
  });
});
