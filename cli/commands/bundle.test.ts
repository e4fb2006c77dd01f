// Bundles: made online, verified where there is no network. A hook on the network watches that nothing is
// asked, and shows with an online run that it would have seen it.
import assert from 'node:assert/strict';
import dgram from 'node:dgram';
import dns from 'node:dns';
import { readFile, rm, writeFile } from 'node:fs/promises';
import net from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it, mock } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { flipBit } from '../../fixtures/synthetic-log.ts';
import { canonicalJson } from '../../verifier/json.ts';
import { EXIT } from '../output/exit-codes.ts';

let fake: FakeLog;
let alpha: Uint8Array;
const file = (name: string): string => join(fake.home, name);

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
  await fake.publish({ name: 'alpha', version: '1.1.0' });
  await fake.publish({ name: '@acme/beta', version: '2.0.0' });
  for (let i = 0; i < 9; i++) await fake.publish({ name: `more-${i}`, version: '1.0.0' });
  await fake.publish({ name: 'gone', version: '1.0.0' });
  fake.log.withdraw('gone', '1.0.0', 'revoked', 'stolen laptop');
  fake.log.commit();
});
after(async () => {
  await fake.stop();
});
beforeEach(async () => {
  await rm(join(fake.home, '.local'), { recursive: true, force: true });
  await fake.configure();
  await fake.lock([{ name: 'alpha', version: '1.0.0', sha512: alpha }]);
});

interface Document {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly subjects: readonly { readonly name: string; readonly verdict: string }[];
  readonly result: Readonly<Record<string, unknown>>;
}

async function run(...argv: readonly string[]): Promise<Document> {
  const { code, stdout, stderr } = await fake.run(['--json', ...argv]);
  assert.notEqual(stdout, '', stderr);
  const document = JSON.parse(stdout) as Document;
  assert.equal(document.exit.code, code);
  return document;
}

/** Everything by which Node goes to the network from JavaScript, counted. */
async function countNetwork(work: () => Promise<unknown>): Promise<number> {
  const watched = [
    mock.method(net.Socket.prototype, 'connect'),
    mock.method(dgram, 'createSocket'),
    mock.method(dns, 'lookup'),
    mock.method(dns.promises, 'lookup'),
    mock.method(globalThis, 'fetch'),
  ];
  try {
    await work();
    const calls = watched.flatMap(({ mock: { calls: all } }) =>
      all.map(({ arguments: given }) => given),
    );
    // Listening on an address "looks up" that address, and nothing is asked for it.
    return calls.filter(([name]) => !(typeof name === 'string' && net.isIP(name) > 0)).length;
  } finally {
    for (const each of watched) each.mock.restore();
  }
}

describe('offline verification', () => {
  it('opens no socket at all', async () => {
    const bundle = file('offline.json');
    const online = await countNetwork(() => run('bundle', 'create', '--out', bundle));
    assert.ok(online > 0, 'the hook sees an online run');
    const rules = [{ packages: ['*'], signersNotFewer: true, installScripts: 'no-new-in-patch' }];
    for (const fields of [{}, { rules }]) {
      await fake.configure(fields);
      const commands = [
        ['verify', '--offline', '--bundle', bundle],
        ['verify', '--bundle', bundle, 'alpha@1.0.0'],
        ['bundle', 'verify', bundle],
        ['bundle', 'inspect', bundle],
        ['verify', '--offline'],
        ['verify', '--offline', '--bundle', bundle, '--installed'],
        ['install', 'alpha', '--offline'],
        ['ci', '--offline'],
        ['proxy', '--offline', '--', process.execPath, '--version'],
        ['doctor', '--offline'],
        ['policy', 'show'],
        ['policy', 'baseline', 'create', '--dry-run', '--offline', '--bundle', bundle],
      ];
      for (const argv of commands) {
        const count = await countNetwork(() => run(...argv));
        assert.equal(count, 0, argv.join(' '));
      }
    }
    await fake.configure();
    assert.equal((await run('verify', '--offline', '--bundle', bundle)).exit.code, 0);
  });

  it('leaves the trust state as it was', async () => {
    const bundle = file('trust.json');
    await run('bundle', 'create', '--out', bundle);
    const trust = join(fake.home, '.local', 'state', 'bftpkg', `${fake.log.pin}.json`);
    const before = await readFile(trust, 'utf8');
    await run('bundle', 'verify', bundle);
    assert.equal(await readFile(trust, 'utf8'), before);
    await rm(trust);
    await run('bundle', 'verify', bundle);
    await assert.rejects(readFile(trust), 'a file is no first contact');
  });

  // Whoever got the keys of a replaced roster can sign any size.
  const rosters: readonly (readonly [string, object, string])[] = [
    ['a roster that was replaced', { epoch: 1, rosterHash: 'ab'.repeat(32) }, 'BP4002'],
    ['another roster of the epoch', { rosterHash: 'ab'.repeat(32) }, 'BP3003'],
  ];
  for (const [why, known, code] of rosters) {
    it(`does not believe ${why} because the file is larger`, async () => {
      const bundle = file('old-keys.json');
      await run('bundle', 'create', '--out', bundle);
      const trust = join(fake.home, '.local', 'state', 'bftpkg', `${fake.log.pin}.json`);
      const state = JSON.parse(await readFile(trust, 'utf8')) as { readonly size: number };
      await writeFile(trust, canonicalJson({ ...state, size: state.size - 1, ...known }));
      assert.equal((await run('bundle', 'verify', bundle)).exit.reason, code);
    });
  }
});

describe('bundle verify', () => {
  it('judges every release that the file shows', async () => {
    const bundle = file('some.json');
    await run('bundle', 'create', 'alpha@1.0.0', '@acme/beta@2.0.0', '--out', bundle);
    const report = await run('bundle', 'verify', bundle);
    assert.equal(report.exit.code, 0);
    assert.deepEqual(
      Object.fromEntries(report.subjects.map(({ name, verdict }) => [name, verdict])),
      { '@acme/beta': 'verified', alpha: 'verified' },
    );
  });

  it('finds a revocation in it', async () => {
    const bundle = file('gone.json');
    await run('bundle', 'create', 'gone@1.0.0', '--out', bundle);
    assert.equal((await run('bundle', 'verify', bundle)).exit.code, EXIT.withdrawn);
  });

  it('accepts no file of which a bit was changed', async () => {
    const bundle = file('good.json');
    await run('bundle', 'create', 'alpha@1.0.0', '--out', bundle);
    const good = new Uint8Array(await readFile(bundle));
    const step = Math.ceil((good.length * 8) / 40);
    const bad = file('bad.json');
    for (let bit = 3; bit < good.length * 8; bit += step) {
      await writeFile(bad, flipBit(good, bit));
      assert.notEqual((await run('bundle', 'verify', bad)).exit.code, 0, `bit ${bit}`);
    }
  });

  const broken: readonly (readonly [string, string | undefined, number])[] = [
    ['nothing there', undefined, EXIT.usage],
    ['an empty file', '', EXIT.proof],
    ['no JSON', '{', EXIT.proof],
    ['another version', '{"format":"bftpkg-evidence/v2"}', EXIT.inconclusive],
  ];
  for (const [why, text, code] of broken) {
    it(`exits ${code} for ${why}`, async () => {
      const path = file('broken.json');
      await rm(path, { force: true });
      if (text !== undefined) await writeFile(path, text);
      assert.equal((await run('bundle', 'verify', path)).exit.code, code);
      assert.equal((await run('bundle', 'inspect', path)).exit.code, code);
    });
  }
});

describe('bundle inspect', () => {
  it('shows what is in a file and says that it is unverified', async () => {
    const bundle = file('shown.json');
    await run('bundle', 'create', '@acme/beta@2.0.0', '--out', bundle);
    const { result } = await run('bundle', 'inspect', bundle);
    assert.equal(result['verified'], false);
    assert.equal(result['size'], fake.log.size);
    assert.equal(result['origin'], fake.log.origin);
    assert.deepEqual(result['subjects'], ['pkg:npm/%40acme/beta', 'pkg:npm/%40acme/beta@2.0.0']);
    assert.match((await fake.run(['bundle', 'inspect', bundle])).stdout, /NOT verified/);
  });
});

describe('bundle merge', () => {
  it('answers for what each file answers for', async () => {
    const specs = ['alpha@1.0.0', '@acme/beta@2.0.0', 'more-3@1.0.0', 'more-8@1.0.0', 'gone@1.0.0'];
    const files: string[] = [];
    for (const [i, spec] of specs.entries()) {
      const path = file(`part-${i}.json`);
      await run('bundle', 'create', spec, '--out', path);
      files.push(path);
    }
    const out = file('all.json');
    assert.equal((await run('bundle', 'merge', ...files, '--out', out)).exit.code, 0);
    const report = await run('verify', '--offline', '--bundle', out, ...specs);
    assert.deepEqual(report.exit, { code: EXIT.withdrawn, reason: 'BP5001' });
    assert.deepEqual(report.subjects.map(({ verdict }) => verdict).toSorted(), [
      'rejected',
      'verified',
      'verified',
      'verified',
      'verified',
    ]);
    // As if it had been asked for at once, but for the consistency proof.
    const once = file('once.json');
    await rm(join(fake.home, '.local'), { recursive: true, force: true });
    await run('bundle', 'create', ...specs, '--out', once);
    assert.equal(await readFile(out, 'utf8'), await readFile(once, 'utf8'));
  });

  it('refuses files of two checkpoints, and a single file', async () => {
    const [older, newer, out] = [file('older.json'), file('newer.json'), file('no.json')];
    await run('bundle', 'create', 'alpha@1.0.0', '--out', older);
    await fake.publish({ name: 'later', version: '1.0.0' });
    await run('bundle', 'create', 'later@1.0.0', '--out', newer);
    await rm(join(fake.home, '.local'), { recursive: true, force: true });
    assert.equal((await run('bundle', 'merge', older, newer, '--out', out)).exit.code, EXIT.usage);
    assert.equal((await run('bundle', 'merge', newer, '--out', out)).exit.code, EXIT.usage);
    await assert.rejects(readFile(out));
  });

  it('refuses a file that does not verify', async () => {
    const [good, bad, out] = [file('m-good.json'), file('m-bad.json'), file('m-no.json')];
    await run('bundle', 'create', 'alpha@1.0.0', '--out', good);
    await run('bundle', 'create', 'later@1.0.0', '--out', bad);
    const text = await readFile(bad, 'utf8');
    await writeFile(bad, text.replace(/"log":"[A-Za-z0-9+/]{8}/, '"log":"AAAAAAAA'));
    const report = await run('bundle', 'merge', good, bad, '--out', out);
    assert.equal(report.exit.code, EXIT.proof);
    await assert.rejects(readFile(out));
  });
});
