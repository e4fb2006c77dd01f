// Audits of logs whose roster has changed, and of signatures that only look like ones.
import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { FakeLog, type FakeReplica } from '../../fixtures/fake-log.ts';
import { envelopeJson, type Envelope } from '../../verifier/dsse.ts';
import { assert as insist } from '../../verifier/errors.ts';
import { canonicalJson, type JsonObject } from '../../verifier/json.ts';
import { packagePurl } from '../../verifier/npm/purl.ts';
import { ROSTER_PAYLOAD_TYPE, formatRoster } from '../../verifier/roster.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  formatMaintainerSet,
} from '../../verifier/statements/maintainers.ts';

const NOTHING = new Uint8Array(64);

let fake: FakeLog;

async function fsck(...argv: readonly string[]): Promise<readonly unknown[]> {
  const outcome = await fake.run(['log', 'fsck', '--json', ...argv]);
  const { exit } = JSON.parse(outcome.stdout) as {
    readonly exit: { readonly code: number; readonly reason: string | null };
  };
  assert.equal(outcome.code, exit.code);
  return [exit.code, exit.reason];
}

function server(): FakeReplica {
  const [replica] = fake.replicas;
  assert.ok(replica);
  return replica;
}

function claim(name: string): void {
  fake.log.maintain(name, { maintainers: ['ada', 'ben'], faulty: 1 });
  fake.log.commit();
}

beforeEach(async () => {
  fake = await FakeLog.start(4);
  claim('alpha');
});
afterEach(async () => fake.stop());

describe('log fsck across rosters', () => {
  // Seven replicas, of which five are a quorum, after four, of which three were one.
  const change = (): void => fake.log.changeRoster({ weights: [1, 1, 1, 1, 1, 1, 1] });

  it('follows the chain, from the first roster or from a later one that is pinned', async () => {
    change();
    assert.deepEqual(await fsck(), [0, null]);
    // The old roster may be gone by now: a quorum of the new one, which is none of the old one.
    server().note = { cosigners: [2, 3, 4, 5, 6] };
    assert.deepEqual(await fsck(), [0, null]);
    claim('beta');
    assert.deepEqual(await fsck(), [0, null]);
    server().note = {};
    assert.deepEqual(await fsck(), [0, null]);
    assert.deepEqual(await fsck('--pin', fake.log.rosterOf(1).hash), [0, null]);
  });

  it('goes on from a state that was saved before the change, and right after it', async () => {
    const state = join(fake.home, 'state.json');
    assert.deepEqual(await fsck('--save', state), [0, null]);
    change();
    server().note = { cosigners: [2, 3, 4, 5, 6] };
    assert.deepEqual(await fsck('--from', state, '--save', state), [0, null]);
    assert.deepEqual(await fsck('--from', state), [0, null]);
    claim('beta');
    assert.deepEqual(await fsck('--from', state, '--save', state), [0, null]);
    assert.deepEqual(await fsck('--from', state), [0, null]);
  });

  it('refuses a quorum of a roster that was replaced', async () => {
    change();
    claim('beta');
    server().note = { epoch: 0 };
    assert.deepEqual(await fsck(), [12, 'BP3001']);
  });

  it('refuses a roster that was pinned before, once a newer one is', async () => {
    change();
    claim('beta');
    server().note = { size: fake.log.snapshots[0]?.size ?? 0 };
    // The first checkpoint is of epoch 0, which this pin does not speak for.
    assert.deepEqual(await fsck('--pin', fake.log.rosterOf(1).hash), [12, 'BP3001']);
  });

  it('needs every roster since the first', async () => {
    change();
    claim('beta');
    server().misbehave = serveRosters((all) => all.slice(1));
    assert.deepEqual(await fsck('--pin', fake.log.rosterOf(1).hash), [12, 'BP3003']);
  });

  it('refuses a first roster that the pinned one does not name', async () => {
    change();
    claim('beta');
    const other = await FakeLog.start(4);
    const [foreign] = other.log.rosters;
    await other.stop();
    insist(foreign !== undefined, 'a log has a roster');
    server().misbehave = serveRosters((all) => [foreign.envelope, ...all.slice(1)]);
    assert.deepEqual(await fsck('--pin', fake.log.rosterOf(1).hash), [12, 'BP3003']);
  });

  it('refuses a chain of rosters that is not the one in the log', async () => {
    change();
    // The old replicas have signed two successors: one is in the log, the other is shown.
    const logged = fake.log.rosterOf(1);
    const payload = formatRoster({
      ...logged,
      admission: { mode: 'registrars', faulty: 0, keys: [fake.log.key('ada').publicKey] },
    });
    const voters = logged.replicas.map((_, i) => `vote of replica ${i}`);
    const other = fake.log.envelope(ROSTER_PAYLOAD_TYPE, payload, voters);
    server().misbehave = serveRosters(([genesis]) =>
      genesis === undefined ? [] : [genesis, other],
    );
    assert.deepEqual(await fsck(), [12, 'BP3003']);
  });

  function serveRosters(
    change: (all: readonly Envelope[]) => readonly Envelope[],
  ): FakeReplica['misbehave'] {
    return ({ path }, response) => {
      if (path !== '/rosters') return false;
      const shown = change(fake.log.rosters.map(({ envelope }) => envelope));
      response.writeHead(200).end(canonicalJson(shown.map(envelopeJson)));
      return true;
    };
  }
});

it('log fsck refuses a checkpoint inside a batch', async () => {
  fake.log.maintain('beta', { maintainers: ['ada'], faulty: 0 });
  const last = fake.log.snapshots.at(-1);
  assert.ok(last);
  fake.log.snapshots.push({ ...last, size: fake.log.size });
  assert.deepEqual(await fsck(), [17, 'BP4010']);
});

describe('log fsck of signatures', () => {
  const forgeries: readonly (readonly [
    why: string,
    forge: (signatures: Envelope['signatures']) => Envelope['signatures'],
    expected: readonly unknown[],
  ])[] = [
    ['that are good', (lines) => lines, [0, null]],
    [
      'of which one is a copy of another',
      (lines) => lines.map(({ keyid }) => ({ keyid, signature: lines[0]?.signature ?? NOTHING })),
      [17, 'BP4010'],
    ],
    [
      'of which one is of another statement',
      (lines) => [...lines.slice(0, 1), ...fake.log.envelope('x', NOTHING, ['ben']).signatures],
      [17, 'BP4010'],
    ],
    ['of which one is missing', (lines) => lines.slice(1), [17, 'BP4010']],
    [
      'with a bad line beside enough good ones',
      (lines) => [...lines, { keyid: 'ab'.repeat(32), signature: NOTHING }],
      [0, null],
    ],
  ];
  for (const [why, forge, expected] of forgeries) {
    it(`judges signatures ${why}`, async () => {
      const index = fake.log.size;
      const payload = formatMaintainerSet({
        package: packagePurl('evil'),
        sequence: 0,
        previous: null,
        faulty: 1,
        maintainers: ['ada', 'ben'].map((name) => ({ name, key: fake.log.key(name).publicKey })),
        observed: fake.log.observed(),
      });
      const envelope = fake.log.envelope(MAINTAINERS_PAYLOAD_TYPE, payload, ['ada', 'ben']);
      const signatures = forge(envelope.signatures);
      assert.equal(fake.log.append('maintainers', { ...envelope, signatures }), index);
      const record = { maintainers: index, sequence: 0, releases: 0, latest: null };
      fake.log.setPackageRecord('evil', record);
      fake.log.commit();
      assert.deepEqual(await fsck(), expected);
    });
  }
});

describe('log fsck from a saved state', () => {
  it('refuses a state whose checkpoint no quorum cosigned', async () => {
    const state = join(fake.home, 'state.json');
    assert.deepEqual(await fsck('--save', state), [0, null]);
    const saved = JSON.parse(await readFile(state, 'utf8')) as Record<string, JsonObject | string>;
    const note = fake.log.note({ cosigners: [0, 1] });
    await writeFile(state, canonicalJson({ ...saved, note }));
    assert.deepEqual(await fsck('--from', state), [12, 'BP3001']);
  });

  it('refuses a tile that changes what came before', async () => {
    const state = join(fake.home, 'state.json');
    assert.deepEqual(await fsck('--save', state), [0, null]);
    claim('beta');
    server().misbehave = ({ path }, response) => {
      if (!path.startsWith('/tile/0/')) return false;
      const bytes = Uint8Array.from(fake.tile(path.slice(1)) ?? []);
      bytes[0] = (bytes[0] ?? 0) ^ 1;
      response.writeHead(200).end(Buffer.from(bytes));
      return true;
    };
    assert.deepEqual(await fsck('--from', state), [17, 'BP4005']);
  });
});
