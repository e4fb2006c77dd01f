// `monitor` beside rosters that change, and those that part. Rounds are single runs over one state.
import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { FakeLog, type FakeReplica } from '../../fixtures/fake-log.ts';
import { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { envelopeJson, type Envelope } from '../../verifier/dsse.ts';
import { canonicalJson } from '../../verifier/json.ts';

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

describe('monitor run, after a change of the roster', () => {
  const change = async (): Promise<void> => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const urls = fake.replicas.map(({ url }) => url);
    fake.log.changeRoster({ weights: [1, 1, 1, 1, 1, 1], urls });
    await fake.publish({ name: 'alpha', version: '1.0.1' });
    // A quorum of six, and none of the four of before.
    for (const replica of fake.replicas) replica.note = { cosigners: [0, 1, 4, 5] };
  };
  const showRosters = (replica: FakeReplica, envelopes: readonly Envelope[]): void => {
    replica.misbehave = ({ path }, response) => {
      if (path !== '/rosters') return false;
      response.end(canonicalJson(envelopes.map(envelopeJson)));
      return true;
    };
  };

  it('says whom to name where those that it knows have left', async () => {
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    const [one, ...others] = fake.replicas.map(({ url }) => url);
    await configure({ replicas: [one, others[0]] });
    fake.log.changeRoster({ weights: [1, 1], urls: others.slice(1) });
    const report = await round();
    assert.deepEqual(report.exit, { code: 3, reason: 'BP7001' });
    const text = report.result.notices.find(({ kind }) => kind === 'quorum')?.message ?? '';
    assert.ok(text.endsWith(`, also ${others.slice(1).join(' ')}`), text);
  });

  it('proves a fork with what it verified itself, whatever else those show that made it', async () => {
    await change();
    await configure({ pin: fake.log.rosterOf(1).hash });
    const last = fake.replicas.at(-1);
    const [first, second] = fake.log.rosters.map(({ envelope }) => envelope);
    assert.ok(last && first && second, 'four replicas and two rosters');
    last.note = { root: new Uint8Array(32).fill(7) };
    // Before the pinned one nothing is verified.
    showRosters(last, [{ ...first, signatures: first.signatures.slice(1) }, second]);
    const report = await round();
    assert.deepEqual(report.exit, { code: 14, reason: 'BP4003' });
    assert.ok(kinds(report).includes('fork'), 'told');
  });

  it('tells of two rosters of one epoch, and goes on watching', async () => {
    const urls = fake.replicas.map(({ url }) => url);
    const other = new SyntheticLog({ weights: [1, 1, 1, 1], urls, seed: fake.log.seed });
    await change();
    const last = fake.replicas.at(-1);
    assert.ok(last, 'four replicas');
    other.maintain('alpha', { maintainers: ['alice', 'bob'], faulty: 1 });
    other.commit();
    other.changeRoster({ weights: [1, 1, 1, 1, 1], urls });
    last.misbehave = ({ path }, response) => {
      if (path !== '/rosters' && path !== '/checkpoint') return false;
      const shown = other.rosters.map(({ envelope }) => envelopeJson(envelope));
      response.end(path === '/rosters' ? canonicalJson(shown) : other.note());
      return true;
    };
    for (const packages of [0, 2, 1]) {
      for (let i = 0; i < packages; i++) {
        other.maintain(`at-${other.size}`, { maintainers: ['alice', 'bob'], faulty: 1 });
      }
      if (packages > 0) other.commit();
      const report = await round();
      const sizes = `size ${other.size} beside ${fake.log.size}`;
      assert.deepEqual(report.exit, { code: 14, reason: 'BP4003' }, sizes);
      assert.equal(report.result.size, fake.log.size, sizes);
    }
  });
});
