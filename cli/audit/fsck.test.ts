import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { FakeLog, type Misbehaviour, type Outcome } from '../../fixtures/fake-log.ts';
import type { SyntheticLog } from '../../fixtures/synthetic-log.ts';
import { TILE_WIDTH } from '../../verifier/merkle/tile.ts';

/** Enough entries for full tiles, a partial one, and a tile of level 1. */
function fill(log: SyntheticLog, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    log.maintain(`package-${i}`, { maintainers: ['ada', 'ben'], faulty: 1 });
    log.release({ name: `package-${i}`, version: '1.0.0' });
    if (i % 20 === 19 || i === to - 1) log.commit();
  }
}

/** Serves something else for one path. */
function damage(
  fake: FakeLog,
  wanted: RegExp,
  change: (bytes: Uint8Array) => Uint8Array | undefined,
): Misbehaviour {
  return ({ path }, response) => {
    if (!wanted.test(path)) return false;
    const bytes = fake.tile(path.slice(1));
    const shown = bytes === undefined ? undefined : change(Uint8Array.from(bytes));
    response.writeHead(shown === undefined ? 404 : 200);
    response.end(shown === undefined ? '' : Buffer.from(shown));
    return true;
  };
}

function flipAt(at: number): (bytes: Uint8Array) => Uint8Array {
  return (bytes) => {
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    return bytes;
  };
}

interface FsckJson {
  readonly verdict: string;
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: {
    readonly from: number;
    readonly checked: { readonly entries: number; readonly batches: number };
    readonly replayed: { readonly size: number; readonly height: number };
    readonly findings: number;
  } | null;
  readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
}

function json(outcome: Outcome): FsckJson {
  return JSON.parse(outcome.stdout) as FsckJson;
}

describe('log fsck', () => {
  let fake: FakeLog;
  const fsck = async (...more: readonly string[]): Promise<Outcome> =>
    fake.run(['log', 'fsck', '--json', ...more]);

  before(async () => {
    fake = await FakeLog.start(4);
    fill(fake.log, 0, 270);
  });
  after(async () => fake.stop());

  it('finds a good log good, and says what it did', async () => {
    const outcome = await fsck();
    const { exit, result, verdict } = json(outcome);
    assert.deepEqual([outcome.code, exit.code, verdict], [0, 0, 'done'], outcome.stdout);
    assert.ok(fake.log.size > 2 * TILE_WIDTH);
    assert.equal(result?.checked.entries, fake.log.size);
    assert.equal(result.checked.batches, fake.log.snapshots.length);
    assert.equal(result.replayed.size, fake.log.size);
    const human = await fake.run(['log', 'fsck']);
    assert.match(human.stdout, /every transition was legal/);
  });

  it('needs no project: an address and a pin are enough', async () => {
    const [replica] = fake.replicas;
    const args = ['log', 'fsck', replica?.url ?? '', '--pin', fake.log.pin, '--config', '/nowhere'];
    assert.equal((await fake.run(args)).code, 0);
    const other = [...args.slice(0, 4), 'ab'.repeat(32), ...args.slice(5)];
    const refused = await fake.run([...other, '--json']);
    assert.deepEqual([refused.code, json(refused).exit.reason], [12, 'BP3003']);
  });

  it('asks for nothing but static files', async () => {
    const [replica] = fake.replicas;
    assert.ok(replica);
    replica.requests.length = 0;
    await fsck();
    const others = replica.requests.filter(
      (request) => !/^GET \/(?:checkpoint|rosters|tile\/[0-9a-z/.]+)$/.test(request),
    );
    assert.ok(replica.requests.length > 6);
    assert.deepEqual(others, []);
  });

  const damages: readonly (readonly [
    why: string,
    path: RegExp,
    change: (bytes: Uint8Array) => Uint8Array | undefined,
    code: number,
    reason: string,
  ])[] = [
    ['a flipped bit in an entry', /tile\/entries\/001$/, flipAt(5000), 17, 'BP4004'],
    ['a flipped bit in an entry’s length', /tile\/entries\/001$/, flipAt(1), 17, 'BP4004'],
    ['a bundle that is cut off', /tile\/entries\/000$/, (b) => b.slice(0, -1), 17, 'BP4004'],
    ['an empty bundle', /tile\/entries\/000$/, () => new Uint8Array(0), 17, 'BP4004'],
    ['a flipped bit in a leaf hash', /tile\/0\/001$/, flipAt(77), 17, 'BP4004'],
    ['a flipped bit in the last, partial tile', /tile\/0\/002\.p/, flipAt(0), 17, 'BP4004'],
    ['a flipped bit in a tile of level 1', /tile\/1\/000\.p/, flipAt(33), 17, 'BP4004'],
    ['a tile of another length', /tile\/0\/001$/, (b) => b.slice(32), 17, 'BP4008'],
    ['a missing bundle', /tile\/entries\/001$/, () => undefined, 3, 'BP7001'],
    ['a missing tile', /tile\/0\/000$/, () => undefined, 3, 'BP7001'],
  ];
  for (const [why, path, change, code, reason] of damages) {
    it(`refuses ${why} with exit ${code}`, async () => {
      const [replica] = fake.replicas;
      assert.ok(replica);
      replica.misbehave = damage(fake, path, change);
      try {
        const outcome = await fsck();
        const { exit } = json(outcome);
        assert.deepEqual([outcome.code, exit.code, exit.reason], [code, code, reason]);
        assert.doesNotMatch(outcome.stdout, /every transition was legal/);
      } finally {
        replica.misbehave = undefined;
      }
    });
  }

  it('asks again when a server is busy for a moment, and gives up when it stays so', async () => {
    const [replica] = fake.replicas;
    assert.ok(replica);
    const answers = (busy: number): Misbehaviour => {
      let left = busy;
      return ({ path }, response) => {
        if (path !== '/tile/entries/000' || left-- <= 0) return false;
        response.writeHead(503).end();
        return true;
      };
    };
    replica.misbehave = answers(2);
    const first = await fsck();
    replica.misbehave = answers(3);
    const second = await fsck();
    replica.misbehave = undefined;
    assert.deepEqual([first.code, second.code], [0, 3]);
  });

  it('names all damaged bundles, not only the first', async () => {
    const [replica] = fake.replicas;
    assert.ok(replica);
    replica.misbehave = damage(fake, /tile\/entries\//, flipAt(700));
    const { diagnostics, result } = json(await fsck());
    replica.misbehave = undefined;
    assert.deepEqual(
      diagnostics.map(({ message }) => /tile\/entries\/\d+/.exec(message)?.[0]),
      ['tile/entries/000', 'tile/entries/001', 'tile/entries/002'],
    );
    assert.equal(result?.findings, 3);
  });

  it('takes the full tile where the partial one is gone', async () => {
    const [replica] = fake.replicas;
    assert.ok(replica);
    // The checkpoint is of a size at which the second tile was partial; only full ones are left.
    const size = fake.log.snapshots.findLast((one) => one.size < 2 * TILE_WIDTH)?.size;
    assert.ok(size !== undefined && size % TILE_WIDTH > 0);
    replica.note = { size };
    replica.misbehave = damage(fake, /(?:entries|\/0)\/.*\.p\//, () => undefined);
    const outcome = await fsck();
    replica.misbehave = undefined;
    replica.note = {};
    assert.deepEqual([outcome.code, json(outcome).result?.replayed.size], [0, size]);
  });

  it('goes on from a saved state, and reads only what is new', async () => {
    const state = join(fake.home, 'audit.json');
    const size = fake.log.snapshots.findLast((one) => one.size < 300)?.size;
    assert.ok(size !== undefined);
    const [replica] = fake.replicas;
    assert.ok(replica);
    replica.note = { size };
    assert.equal((await fsck('--save', state)).code, 0);
    replica.note = {};
    replica.requests.length = 0;
    const { result, exit } = json(await fsck('--from', state, '--save', state));
    assert.equal(exit.code, 0);
    assert.equal(result?.from, size);
    assert.equal(result.checked.entries, fake.log.size - size);
    assert.equal(result.replayed.size, fake.log.size);
    assert.ok(!replica.requests.includes('GET /tile/entries/000'));
    assert.ok(!replica.requests.includes('GET /tile/0/000'));
    // Nothing new: still the same log.
    const again = json(await fsck('--from', state));
    assert.deepEqual([again.exit.code, again.result?.checked.entries], [0, 0]);
    // What came before the state is not read again, but it still counts: the root covers it.
    replica.note = { size };
    assert.equal(json(await fsck('--from', state)).exit.reason, 'BP4002');
    replica.note = {};
  });

  it('refuses a saved state that was damaged or edited', async () => {
    const state = join(fake.home, 'edited.json');
    assert.equal((await fsck('--save', state)).code, 0);
    const text = await readFile(state, 'utf8');
    const edits: readonly (readonly [why: string, edited: string])[] = [
      ['cut off', text.slice(0, -20)],
      ['a status', text.replace('"status":"active"', '"status":"yanked"')],
      [
        'a withdrawal',
        text.replace('"status":"active","withdrawal":null', '"status":"revoked","withdrawal":3'),
      ],
      ['a leaf', text.replace(/"leaves":"..../, '"leaves":"AAAA')],
      ['maintainers', text.replace('\\"faulty\\":1', '\\"faulty\\":0')],
      [
        'the height',
        text.replace(/"commit":"(.*?)\\"height\\":(\d)/, '"commit":"$1\\"height\\":1$2'),
      ],
      ['the pin', text.replace(fake.log.pin, 'ab'.repeat(32))],
      ['a package left out', text.replace(/"packages":\[\{.*?\}\},?/, '"packages":[')],
    ];
    for (const [why, edited] of edits) {
      assert.notEqual(edited, text, why);
      await writeFile(state, edited);
      const outcome = await fsck('--from', state);
      assert.deepEqual([outcome.code, json(outcome).exit.reason], [2, 'BP9004'], why);
    }
  });
});

describe('log fsck of a log that a quorum forged', () => {
  const forgeries: readonly (readonly [
    why: string,
    forge: (log: SyntheticLog) => void,
    code: number,
    reason: string,
  ])[] = [
    [
      'a release that too few signed',
      (log) => {
        log.release({ name: 'package-1', version: '2.0.0' }, ['ada']);
        log.commit();
      },
      17,
      'BP4010',
    ],
    [
      'a map that says something else',
      (log) => {
        log.withdraw('package-1', '1.0.0', 'revoked');
        const record = log.releases.get('package-1@1.0.0');
        assert.ok(record);
        log.setReleaseRecord('package-1', '1.0.0', { ...record, status: 'active' });
        log.commit();
      },
      17,
      'BP4010',
    ],
    [
      'a height that was left out',
      (log) => {
        log.maintain('late', { maintainers: ['ada'], faulty: 0 });
        log.commit({ height: 99 });
      },
      17,
      'BP4010',
    ],
  ];
  for (const [why, forge, code, reason] of forgeries) {
    it(`finds ${why}`, async () => {
      const fake = await FakeLog.start(1);
      try {
        fill(fake.log, 0, 40);
        assert.equal((await fake.run(['log', 'fsck'])).code, 0);
        forge(fake.log);
        const outcome = await fake.run(['log', 'fsck', '--json', '--save', 'state.json']);
        assert.deepEqual([outcome.code, json(outcome).exit.reason], [code, reason]);
        await assert.rejects(readFile(join(fake.project, 'state.json')), { code: 'ENOENT' });
      } finally {
        await fake.stop();
      }
    });
  }

  it('says of an empty log that there is nothing to check yet', async () => {
    const fake = await FakeLog.start(4);
    try {
      const outcome = await fake.run(['log', 'fsck', '--json']);
      assert.deepEqual([outcome.code, json(outcome).exit.reason], [3, 'BP7001']);
      assert.match(outcome.stdout, /no checkpoint yet/);
    } finally {
      await fake.stop();
    }
  });

  it('finds a root that a quorum cosigned and nobody built', async () => {
    const fake = await FakeLog.start(4);
    try {
      fill(fake.log, 0, 40);
      const [replica] = fake.replicas;
      assert.ok(replica);
      replica.note = { root: fake.log.root(1) };
      const outcome = await fake.run(['log', 'fsck', '--json']);
      assert.deepEqual([outcome.code, json(outcome).exit.reason], [17, 'BP4004']);
    } finally {
      await fake.stop();
    }
  });

  it('refuses a checkpoint without a quorum', async () => {
    const fake = await FakeLog.start(4);
    try {
      fill(fake.log, 0, 20);
      const [replica] = fake.replicas;
      assert.ok(replica);
      replica.note = { cosigners: [0, 3] };
      const outcome = await fake.run(['log', 'fsck', '--json']);
      assert.deepEqual([outcome.code, json(outcome).exit.reason], [12, 'BP3001']);
    } finally {
      await fake.stop();
    }
  });

  it('keeps the evidence when this machine has accepted another log', async () => {
    const fake = await FakeLog.start(4);
    try {
      const sha512 = await fake.publish({ name: 'left-pad', version: '1.0.0' });
      await fake.lock([{ name: 'left-pad', version: '1.0.0', sha512 }]);
      assert.equal((await fake.run(['verify'])).code, 0);
      const [replica] = fake.replicas;
      assert.ok(replica);
      // The same size, another root, a quorum of cosignatures: exit 14 before anything is read.
      replica.note = { root: fake.log.root(1) };
      const outcome = await fake.run(['log', 'fsck', '--json']);
      assert.deepEqual([outcome.code, json(outcome).exit.reason], [14, 'BP4003']);
      const { evidence } = JSON.parse(outcome.stdout) as { readonly evidence: readonly string[] };
      const [file] = evidence;
      assert.match(await readFile(file ?? '', 'utf8'), /bftpkg-fork-evidence/);
    } finally {
      await fake.stop();
    }
  });

  it('finds that a longer log is another one than was accepted', async () => {
    const fake = await FakeLog.start(4);
    try {
      const sha512 = await fake.publish({ name: 'left-pad', version: '1.0.0' });
      await fake.lock([{ name: 'left-pad', version: '1.0.0', sha512 }]);
      assert.equal((await fake.run(['verify'])).code, 0);
      // The machine's memory is of another history of the same length as the first batches here.
      const path = join(fake.home, '.local/state/bftpkg', `${fake.log.pin}.json`);
      const state = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>;
      const sorted = Object.fromEntries(
        Object.entries({ ...state, root: 'ab'.repeat(32) }).toSorted(([a], [b]) =>
          a < b ? -1 : 1,
        ),
      );
      await writeFile(path, `${JSON.stringify(sorted)}\n`);
      await fake.publish({ name: 'left-pad', version: '1.0.1' });
      const outcome = await fake.run(['log', 'fsck', '--json']);
      assert.deepEqual([outcome.code, json(outcome).exit.reason], [14, 'BP4003']);
    } finally {
      await fake.stop();
    }
  });
});
