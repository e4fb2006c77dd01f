import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { SigningKey } from '../verifier/node/signing-key.ts';
import { KEY_TYPE_COSIGNATURE, makeVerifierKey } from '../verifier/vkey.ts';
import { createCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { choosePorts } from './commands/cluster-init.ts';
import { ConfigError } from './config.ts';
import { formatKeyFile, loadKeyFile } from './key-file.ts';
import { loadSetup } from './setup.ts';

const PORTS = [1, 2, 3, 4].map((i) => ({ publicPort: 8000 + i, peerPort: 9000 + i }));

let root = '';
before(async () => {
  root = await mkdtemp(join(tmpdir(), 'bftpkg-setup-'));
});
after(() => rm(root, { recursive: true, force: true }));

async function cluster(name: string): Promise<Cluster & { readonly folder: string }> {
  const folder = join(root, name);
  const made = await createCluster({
    origin: 'log.example',
    folder,
    host: '127.0.0.1',
    ports: PORTS,
  });
  return { ...made, folder };
}

describe('createCluster', () => {
  it('makes replicas that load, agree on the roster, and bear one fault of four', async () => {
    const { pin, replicas } = await cluster('good');
    assert.equal(replicas.length, 4);
    for (const { configFile, name } of replicas) {
      const setup = await loadSetup(configFile, {});
      assert.equal(setup.rosters[0]?.hash, pin);
      assert.equal(setup.keys.name, name);
      assert.deepEqual(
        [setup.rosters[0]?.thresholds.faulty, setup.rosters[0]?.thresholds.quorum],
        [1, 3],
      );
    }
  });

  it('overwrites nothing', async () => {
    const { folder } = await cluster('twice');
    const before = await readFile(join(folder, 'r0', 'replica-key.json'), 'utf8');
    await assert.rejects(cluster('twice'), { code: 'EEXIST' });
    assert.equal(await readFile(join(folder, 'r0', 'replica-key.json'), 'utf8'), before);
  });
});

describe('loadSetup', () => {
  type Damage = (folder: string) => Promise<void>;
  const edit =
    (file: string, change: (text: string) => string): Damage =>
    async (folder) => {
      const path = join(folder, file);
      const before = await readFile(path, 'utf8');
      const after = change(before);
      assert.notEqual(after, before);
      await writeFile(path, after);
    };
  const otherKey =
    (which: 'vote' | 'cosign'): Damage =>
    async (folder) => {
      const path = join(folder, 'r0/replica-key.json');
      const keys = { ...(await loadKeyFile(path)), [which]: SigningKey.generate() };
      const cosignKey = makeVerifierKey('r0', KEY_TYPE_COSIGNATURE, keys.cosign.publicKey);
      await writeFile(path, formatKeyFile({ ...keys, cosignKey }));
    };
  const damages: readonly [string, Damage][] = [
    ['another vote key', otherKey('vote')],
    ['another cosign key', otherKey('cosign')],
    ['another pin', edit('r0/config.json', (t) => t.replace(/"pin": "[0-9a-f]{2}/, '"pin": "00'))],
    [
      'the keys of another replica',
      async (folder) => {
        const other = await readFile(join(folder, 'r1/replica-key.json'), 'utf8');
        await writeFile(join(folder, 'r0/replica-key.json'), other);
      },
    ],
    ['a replica under another name', edit('r0/config.json', (t) => t.replace('"r0"', '"r1"'))],
    [
      'a roster with a broken signature',
      edit('r0/rosters.json', (t) =>
        t.replace(/"sig":"./, (m) => (m.endsWith('A') ? '"sig":"B' : '"sig":"A')),
      ),
    ],
    [
      'a roster that is not signed by all',
      edit('r0/rosters.json', (t) => t.replace(/,\{"keyid":"[0-9a-f]{64}","sig":"[^"]*"\}\]/, ']')),
    ],
    ['no rosters', edit('r0/rosters.json', () => '[]\n')],
    ['rosters that are no JSON', edit('r0/rosters.json', () => '[')],
    ['rosters in another spelling', edit('r0/rosters.json', (t) => t.replace('[{', '[ {'))],
  ];
  for (const [why, damage] of damages) {
    it(`refuses ${why}`, async () => {
      const { folder, replicas } = await cluster(why.replaceAll(' ', '-'));
      await damage(folder);
      await assert.rejects(loadSetup(replicas[0]?.configFile ?? '', {}), ConfigError);
    });
  }
});

describe('choosePorts', () => {
  it('gives each replica two ports of its own', () => {
    assert.deepEqual(choosePorts({ n: 2, basePort: 100 }), [
      { publicPort: 100, peerPort: 101 },
      { publicPort: 102, peerPort: 103 },
    ]);
    assert.deepEqual(choosePorts({ n: 2, ports: [1, 2, 3, 4] }), [
      { publicPort: 1, peerPort: 3 },
      { publicPort: 2, peerPort: 4 },
    ]);
  });

  const refused: readonly [string, Parameters<typeof choosePorts>[0]][] = [
    ['too few', { n: 2, ports: [1, 2, 3] }],
    ['repetitions', { n: 2, ports: [1, 2, 3, 1] }],
    ['ports beyond the last', { n: 2, basePort: 65_534 }],
  ];
  for (const [why, options] of refused) {
    it(`refuses ${why}`, () => assert.throws(() => choosePorts(options), ConfigError));
  }
});
