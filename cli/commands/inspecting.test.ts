// The commands that look: trust, inspect, why, and what a refusal for age says about clocks.
import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import { decodeBase64 } from '../../verifier/encoding.ts';
import { leafHash } from '../../verifier/merkle/hash.ts';
import { checkInclusion } from '../../verifier/merkle/inclusion.ts';
import { parseNote } from '../../verifier/note.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';

let fake: FakeLog;
let alpha: Uint8Array;

before(async () => {
  fake = await FakeLog.start();
  alpha = await fake.publish({
    name: 'alpha',
    version: '1.0.0',
    packageJson: { scripts: { postinstall: 'node x.js' }, dependencies: { beta: '^1.0.0' } },
  });
  await fake.publish({ name: 'beta', version: '1.0.0' });
  fake.log.withdraw('beta', '1.0.0', 'revoked', 'stolen');
  fake.log.commit();
});
after(async () => fake.stop());
afterEach(async () => {
  for (const replica of fake.replicas) {
    replica.note = {};
    replica.misbehave = undefined;
    replica.clockSeconds = 1;
  }
  await fake.configure();
});

interface JsonReport {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: Readonly<Record<string, unknown>>;
  readonly diagnostics: readonly {
    readonly message: string;
    readonly details: readonly { readonly label: string; readonly text: string }[];
  }[];
}

async function json(...argv: readonly string[]): Promise<JsonReport> {
  const { code, stdout, stderr } = await fake.run([...argv, '--json']);
  assert.equal(stderr, '');
  const report = JSON.parse(stdout) as JsonReport;
  assert.equal(report.exit.code, code);
  return report;
}

describe('inspect', () => {
  it('shows who signed a release, what it runs, and what it needs', async () => {
    const { code, stdout } = await fake.run(['inspect', 'alpha@1.0.0']);
    assert.equal(code, 0, stdout);
    assert.match(stdout, /alpha@1\.0\.0 {3}active/);
    assert.ok(stdout.includes(formatSri(alpha)));
    assert.match(stdout, /signed by 2 maintainers, 2 needed\n.*alice.*\n.*bob/);
    assert.match(stdout, /on install postinstall: node x\.js/);
    assert.match(stdout, /dependency beta \^1\.0\.0/);
    assert.match(stdout, /maintainer set 0 .*: 2 of 2 sign/);
  });

  const rows: readonly (readonly [string, string, number, string | null])[] = [
    ['a package', 'alpha', 0, null],
    ['a release', 'alpha@1.0.0', 0, null],
    ['a revoked release', 'beta@1.0.0', 15, 'BP5001'],
    ['a version that is not there', 'alpha@2.0.0', 16, 'BP5003'],
    ['a package that is not there', 'nobody', 16, 'BP5003'],
    ['something else', 'alpha@^1', 2, 'BP9003'],
  ];
  for (const [what, target, code, reason] of rows) {
    it(`exits ${code} for ${what}`, async () => {
      assert.deepEqual((await json('inspect', target)).exit, { code, reason });
    });
  }

  it('shows what it rests on, so that others can follow it', async () => {
    const { result: data } = await json('inspect', 'alpha@1.0.0', '--proof', '--raw');
    const proof = data['proof'] as {
      readonly pin: string;
      readonly checkpoint: string;
      readonly cosignatures: readonly { readonly replica: string; readonly time: number }[];
      readonly entries: readonly {
        readonly index: number;
        readonly leafHash: string;
        readonly path: readonly string[];
      }[];
    };
    assert.equal(proof.pin, fake.log.pin);
    assert.equal(proof.cosignatures.length, 4);
    const { size, root } = parseCheckpoint(parseNote(proof.checkpoint).text);
    const raw = data['entries'] as readonly { readonly index: number; readonly data: string }[];
    assert.deepEqual(
      proof.entries.map(({ index }) => index),
      raw.map(({ index }) => index),
    );
    for (const [i, { index, leafHash: shown, path }] of proof.entries.entries()) {
      const leaf = leafHash(utf8(raw[i]?.data ?? ''));
      assert.deepEqual(decodeBase64(shown), leaf);
      checkInclusion(leaf, index, size, path.map(decodeBase64), root);
    }
    const { stdout } = await fake.run(['inspect', 'alpha@1.0.0', '--proof']);
    assert.match(stdout, /\n {2}quorum {6}4 of 4, 3 needed\n/);
  });

  it('shows the entries as they are in the log', async () => {
    const { result: data } = await json('inspect', 'alpha@1.0.0', '--raw');
    const entries = data['entries'] as readonly { readonly index: number; readonly data: string }[];
    assert.ok(entries.length >= 3);
    for (const { index, data: text } of entries) {
      assert.equal(text, new TextDecoder().decode(fake.log.entries[index]));
    }
  });
});

describe('why', () => {
  const lock = async (): Promise<void> => {
    await fake.lock([
      { name: 'alpha', version: '1.0.0', sha512: alpha, fields: { dependencies: { beta: '1' } } },
      { name: 'gamma', version: '1.0.0', sha512: alpha, fields: { dependencies: { beta: '1' } } },
    ]);
    const path = join(fake.project, 'package-lock.json');
    const document = JSON.parse(await readFile(path, 'utf8')) as {
      packages: Record<string, object>;
    };
    const integrity = formatSri(alpha);
    // It asks for itself in a circle, too.
    const dependencies = { alpha: '1' };
    document.packages['node_modules/beta'] = { version: '1.0.0', integrity, dependencies };
    document.packages['node_modules/orphan'] = { version: '1.0.0', integrity };
    await writeFile(path, JSON.stringify(document, null, 1));
  };

  it('shows all ways, asking nobody', async () => {
    await lock();
    for (const replica of fake.replicas) replica.requests.length = 0;
    const { code, stdout } = await fake.run(['why', 'beta']);
    assert.equal(code, 0);
    assert.match(stdout, /beta@1\.0\.0 {3}package-lock\.json:\d+ {2}node_modules\/beta/);
    assert.match(stdout, /this project → alpha@1\.0\.0 → beta@1\.0\.0/);
    assert.match(stdout, /this project → gamma@1\.0\.0 → beta@1\.0\.0/);
    assert.equal(stdout.match(/→ beta@/g)?.length, 2, 'no way goes in circles');
    assert.deepEqual(
      fake.replicas.flatMap(({ requests }) => requests),
      [],
    );
  });

  it('says when nobody asks for a package', async () => {
    await lock();
    assert.match((await fake.run(['why', 'orphan'])).stdout, /nobody asks for it/);
  });

  it('exits 20 for what is not in the lockfile, and names the versions that are', async () => {
    await lock();
    assert.deepEqual((await json('why', 'nobody')).exit, { code: 20, reason: 'BP9001' });
    const { stderr, stdout } = await fake.run(['why', 'beta@2.0.0']);
    assert.match(stdout + stderr, /it has beta in version 1\.0\.0/);
  });
});

describe('trust', () => {
  beforeEach(async () => rm(join(fake.home, '.local'), { recursive: true, force: true }));

  it('shows nothing before the first contact, and then what was accepted', async () => {
    assert.equal((await json('trust', 'show')).result['accepted'], null);
    const first = await json('trust', 'update');
    assert.equal(first.result['before'], null);
    const { result: data } = await json('trust', 'show');
    assert.equal((data['accepted'] as { readonly size: number }).size, fake.log.size);
    assert.equal((await json('trust', 'update')).result['before'], fake.log.size);
  });

  it('never moves back', async () => {
    await json('trust', 'update');
    const size = fake.log.snapshots.at(-2)?.size ?? 0;
    for (const replica of fake.replicas) replica.note = { size, time: fake.log.time };
    assert.deepEqual((await json('trust', 'update')).exit, { code: 13, reason: 'BP4002' });
    const { result: data } = await json('trust', 'show');
    assert.equal((data['accepted'] as { readonly size: number }).size, fake.log.size);
  });

  it('moves the pin to a roster that the old one leads to, and forgets nothing', async () => {
    const own = await FakeLog.start();
    try {
      await own.publish({ name: 'alpha', version: '1.0.0' });
      own.log.changeRoster({ weights: [1, 1, 1, 1], urls: own.replicas.map(({ url }) => url) });
      await own.publish({ name: 'beta', version: '1.0.0' });
      const later = own.log.rosterOf(1).hash;
      const path = join(own.project, 'bftpkg.json');
      const before = await readFile(path, 'utf8');
      assert.equal((await own.run(['trust', 'update'])).code, 0);
      const stranger = await own.run(['trust', 'pin', 'ab'.repeat(32)]);
      assert.equal(stranger.code, 12, stranger.stdout);
      assert.equal(await readFile(path, 'utf8'), before);
      const { code, stdout, stderr } = await own.run(['trust', 'pin', later]);
      assert.equal(code, 0, stdout + stderr);
      assert.equal(await readFile(path, 'utf8'), before.replace(own.log.pin, later));
      // An older view is still refused under the new pin.
      const old = own.log.snapshots.at(-2);
      for (const replica of own.replicas)
        replica.note = { size: old?.size ?? 0, time: own.log.time };
      assert.equal((await own.run(['trust', 'update'])).code, 13);
      for (const replica of own.replicas) replica.note = {};
      assert.equal((await own.run(['trust', 'update'])).code, 0);
    } finally {
      await own.stop();
    }
  });

  it('shows the rosters', async () => {
    const { result: data } = await json('trust', 'history');
    const rosters = data['rosters'] as readonly { readonly hash: string }[];
    assert.deepEqual(
      rosters.map(({ hash }) => hash),
      [fake.log.pin],
    );
  });
});

describe('a view that is too old', () => {
  const HOUR = 3600;
  // Whose clock is how far from the log's last sign, and what the refusal says.
  const rows: readonly (readonly [string, number, readonly number[], RegExp])[] = [
    ['a frozen log', HOUR, [HOUR, HOUR, HOUR, HOUR], /not your clock: the log stands still/],
    ['this clock when it is ahead', HOUR, [1, 1, 1, 1], /your clock is 59m ahead of 4 replicas/],
    ['this clock, whatever one replica says', HOUR, [HOUR, 1, 1, 1], /59m ahead of 4 replicas/],
    ['a frozen log, whatever one replica says', HOUR, [1, HOUR, HOUR, HOUR], /not your clock/],
    ['this clock when it is behind', -HOUR, [1, 1, 1, 1], /your clock is 60m behind 4 replicas/],
  ];
  for (const [what, seconds, clocks, expected] of rows) {
    it(`is told apart: ${what}`, async () => {
      for (const [i, replica] of fake.replicas.entries()) replica.clockSeconds = clocks[i] ?? 0;
      const nowSeconds = fake.log.time + seconds;
      const { code, stdout, stderr } = await fake.run(['verify', 'alpha@1.0.0'], { nowSeconds });
      assert.equal(code, 13, stdout + stderr);
      assert.match(stdout + stderr, expected);
    });
  }
});

describe('diff', () => {
  before(async () => {
    await fake.publish({
      name: 'alpha',
      version: '1.0.1',
      packageJson: { scripts: { postinstall: 'node steal.js' } },
      files: { 'steal.js': 'x', 'index.js': 'changed' },
    });
  });

  it('shows what changed between two releases', async () => {
    const { code, stdout } = await fake.run(['diff', 'alpha@1.0.0', 'alpha@1.0.1']);
    assert.equal(code, 0, stdout);
    assert.match(
      stdout,
      /- scripts\.postinstall: node x\.js\n.*\+ scripts\.postinstall: node steal/,
    );
    assert.match(stdout, /- dependencies\.beta: \^1\.0\.0/);
    assert.match(stdout, /added {4}steal\.js {2}1 bytes/);
    assert.match(stdout, /changed {2}index\.js/);
    assert.match(stdout, /signed by: alice/);
  });

  it('compares a release with a tarball at hand, which it does not call verified', async () => {
    const file = join(fake.project, 'other.tgz');
    const bytes = [...fake.artifacts.values()].at(-1);
    assert.ok(bytes);
    await writeFile(file, bytes);
    const { result } = await json('diff', 'alpha@1.0.0', 'other.tgz');
    assert.deepEqual(
      [result['equal'], (result['to'] as { verified: boolean }).verified],
      [false, false],
    );
    const same = await json('diff', 'alpha@1.0.1', 'other.tgz');
    assert.deepEqual([same.result['equal'], same.result['files']], [true, []]);
  });

  const rows: readonly (readonly [string, string, string, number])[] = [
    ['a release that is not there', 'alpha@1.0.0', 'alpha@9.0.0', 16],
    ['a revoked one', 'beta@1.0.0', 'alpha@1.0.0', 15],
    ['a range', 'alpha@^1', 'alpha@1.0.0', 2],
    ['a tarball that is not there', 'alpha@1.0.0', 'none.tgz', 2],
  ];
  for (const [what, from, to, code] of rows) {
    it(`exits ${code} for ${what}`, async () => {
      assert.equal((await json('diff', from, to)).exit.code, code);
    });
  }
});

describe('cache', () => {
  it('counts, hashes and removes what installing keeps', async () => {
    const folder = join(fake.home, '.cache', 'bftpkg', 'artifacts');
    await rm(folder, { recursive: true, force: true });
    assert.equal((await json('cache', 'info')).result['files'], 0, 'no folder is no error');
    await json('diff', 'alpha@1.0.0', 'alpha@1.0.1');
    assert.equal((await json('cache', 'info')).result['files'], 2);
    assert.equal((await json('cache', 'verify')).result['removed'], 0);
    const [kept] = await readdir(folder, { recursive: true, withFileTypes: true }).then((all) =>
      all.filter((each) => each.isFile()),
    );
    assert.ok(kept);
    await writeFile(join(kept.parentPath, kept.name), 'damaged');
    await writeFile(join(folder, 'stray'), 'x');
    assert.equal((await json('cache', 'verify')).result['removed'], 2);
    assert.equal((await json('cache', 'info')).result['files'], 1);
    // Its clock is a year ahead of the file's.
    assert.equal((await json('cache', 'prune', '--older', '3650d')).result['removed'], 0);
    assert.equal((await json('cache', 'prune', '--older', '1s')).result['removed'], 1);
    await json('diff', 'alpha@1.0.0', 'alpha@1.0.1');
    assert.equal((await json('cache', 'clear')).result['removed'], 2);
    assert.equal((await json('cache', 'info')).result['files'], 0);
  });
});
