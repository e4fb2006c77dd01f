// The second `verify` of a project: what was verified before is not shown again, and nothing else changes.
import assert from 'node:assert/strict';
import { chmod, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import type { RememberedRelease } from '../../verifier/evidence/remembered.ts';
import { EXIT } from '../output/exit-codes.ts';
import { formatReleases, parseReleases } from '../trust/remembered-releases.ts';

describe('verify, again', () => {
  let fake: FakeLog;
  /** What replicas were asked for as evidence since the last look. */
  let asked: { readonly subjects: readonly string[]; readonly known?: readonly number[] }[] = [];

  beforeEach(async () => {
    fake = await FakeLog.start();
    await lock('alpha', 'beta');
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path, body }) => {
        if (path === '/v1/evidence') asked.push(JSON.parse(body) as (typeof asked)[number]);
        return false;
      };
    }
    await verify();
    asked = [];
  });
  afterEach(async () => {
    await fake.stop();
  });

  async function lock(...names: readonly string[]): Promise<void> {
    const packages = [];
    for (const name of names) {
      const sha512 = await fake.publish({ name, version: '1.0.0' });
      packages.push({ name, version: '1.0.0', sha512 });
    }
    await fake.lock(packages);
  }

  async function verify(...argv: readonly string[]): Promise<{
    code: number;
    reason: string | null;
    verified: number;
    replicas: number;
    statuses: readonly string[];
  }> {
    const { code, stdout } = await fake.run(['verify', '--json', ...argv]);
    const report = JSON.parse(stdout) as {
      readonly exit: { readonly reason: string | null };
      readonly summary: { readonly verified: number };
      readonly replicas: readonly unknown[];
      readonly subjects: readonly { readonly diagnostics: readonly { readonly code: string }[] }[];
    };
    return {
      code,
      reason: report.exit.reason,
      verified: report.summary.verified,
      replicas: report.replicas.length,
      statuses: report.subjects.flatMap(({ diagnostics }) => diagnostics.map((each) => each.code)),
    };
  }

  async function rememberedFile(): Promise<string> {
    const state = join(fake.home, '.local', 'state', 'bftpkg');
    const [name, ...others] = (await readdir(state)).filter((each) => each.endsWith('.releases'));
    assert.ok(name !== undefined && others.length === 0, 'one project, one file');
    return join(state, name);
  }

  const WELL = { code: 0, reason: null, verified: 2, replicas: 0, statuses: [] };

  it('asks for proofs without entries, and says the same', async () => {
    assert.deepEqual(await verify(), WELL);
    assert.deepEqual(
      asked.map(({ known }) => known),
      [[fake.log.size, fake.log.size]],
    );
  });

  it('sees what was revoked and yanked since', async () => {
    fake.log.withdraw('alpha', '1.0.0', 'revoked', 'stolen laptop');
    fake.log.withdraw('beta', '1.0.0', 'yanked', 'wrong main');
    fake.log.commit();
    const { code, reason, statuses } = await verify();
    assert.deepEqual([code, reason], [EXIT.withdrawn, 'BP5001']);
    assert.deepEqual(statuses, ['BP5001', 'BP5002']);
    assert.equal(asked.length, 1);
  });

  it('asks again for what has other maintainers since, and blames nobody', async () => {
    const before = fake.log.size;
    fake.log.maintain('alpha', { maintainers: ['alice', 'bob', 'carol'], faulty: 1 });
    fake.log.commit();
    assert.deepEqual(await verify(), WELL);
    assert.deepEqual(
      asked.map(({ known }) => known),
      [
        [before, before],
        [0, before],
      ],
    );
    asked = [];
    assert.deepEqual(await verify(), WELL);
    assert.deepEqual(asked[0]?.known, [fake.log.size, fake.log.size]);
  });

  it('asks for everything when something else has changed once more', async () => {
    await lock('delta', 'epsilon', 'gamma');
    await verify();
    asked = [];
    const before = fake.log.size;
    const change = (name: string): void => {
      fake.log.maintain(name, { maintainers: ['alice', 'bob', 'carol'], faulty: 1 });
      fake.log.commit();
    };
    change('gamma');
    for (const replica of fake.replicas) {
      replica.misbehave = ({ path, body }) => {
        if (path !== '/v1/evidence') return false;
        asked.push(JSON.parse(body) as (typeof asked)[number]);
        if (asked.length === 2) change('delta');
        return false;
      };
    }
    const { code, verified } = await verify();
    assert.deepEqual([code, verified], [0, 3]);
    assert.deepEqual(
      asked.map(({ known }) => known),
      [[before, before, before], [before, before, 0], undefined],
    );
  });

  it('asks for everything after an answer that is bad, of another replica', async () => {
    for (const replica of fake.replicas) {
      let isFirst = true;
      replica.tamper = (evidence) => {
        const isBad = isFirst && asked.length === 1;
        isFirst = false;
        return isBad ? { ...evidence, log: evidence.log.slice(1), entries: [] } : evidence;
      };
    }
    assert.deepEqual(await verify(), { ...WELL, replicas: 1 });
    assert.deepEqual(
      asked.map(({ known }) => known),
      [[fake.log.size, fake.log.size], undefined],
    );
  });

  /** Has the remembered file say something else, with its digest. */
  async function misremember(
    change: (release: RememberedRelease, i: number) => RememberedRelease,
  ): Promise<void> {
    const path = await rememberedFile();
    const releases = parseReleases(new Uint8Array(await readFile(path)));
    await writeFile(path, formatReleases(releases.map(change)));
  }

  const wrong: readonly (readonly [
    why: string,
    change: (release: RememberedRelease) => RememberedRelease,
  ])[] = [
    ['an entry that is elsewhere in the log', (each) => ({ ...each, index: each.index + 1 })],
    ['an entry behind the end of the log', (each) => ({ ...each, index: 1_000_000 })],
    ['another entry', (each) => ({ ...each, leaf: new Uint8Array(32) })],
    [
      'maintainers that are elsewhere in the log',
      (each) => ({
        ...each,
        packages: each.packages.map(({ name, sets }) => ({
          name,
          sets: sets.map((set) => ({ ...set, index: set.index + 2 })),
        })),
      }),
    ],
  ];
  for (const [why, change] of wrong) {
    it(`gets over remembering ${why}, and remembers what is right from then on`, async () => {
      await misremember(change);
      const { code, verified, statuses } = await verify();
      assert.deepEqual({ code, verified, statuses }, { code: 0, verified: 2, statuses: [] });
      assert.deepEqual(
        asked.map(({ known }) => known),
        [[fake.log.size, fake.log.size], undefined],
      );
      asked = [];
      assert.deepEqual(await verify(), WELL);
      assert.deepEqual(asked[0]?.known, [fake.log.size, fake.log.size]);
    });
  }

  it('gets over remembering something wrong when slow replicas were all asked before the first answers', async () => {
    await misremember((each) => ({ ...each, index: each.index + 1 }));
    let release = (): void => undefined;
    const areAsked = new Promise<void>((resolve) => {
      release = resolve;
    });
    for (const replica of fake.replicas) {
      replica.misbehave = async ({ path, body }) => {
        if (path !== '/v1/evidence') return false;
        asked.push(JSON.parse(body) as (typeof asked)[number]);
        if (asked.length === fake.replicas.length) release();
        await areAsked;
        return false;
      };
    }
    const { code, verified } = await verify();
    assert.deepEqual([code, verified], [0, 2]);
    const short = [fake.log.size, fake.log.size];
    assert.deepEqual(
      asked.map(({ known }) => known),
      [short, short, short, short, undefined],
    );
  });

  it('saves a bundle that has everything', async () => {
    const bundle = join(fake.home, 'bundle.json');
    assert.deepEqual(await verify('--save-bundle', bundle), WELL);
    assert.equal(asked[0]?.known, undefined);
    assert.equal((await verify('--offline', '--bundle', bundle)).verified, 2);
  });

  const ignored: readonly (readonly [why: string, change: (path: string) => Promise<void>])[] = [
    ['can be written by others', (path) => chmod(path, 0o622)],
    [
      'was changed',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).replace('"alice"', '"mallo"')),
    ],
    ['was cut off', async (path) => writeFile(path, (await readFile(path)).subarray(0, 500))],
    [
      'is of another version',
      async (path) => writeFile(path, (await readFile(path, 'utf8')).replace('/v2 ', '/v1 ')),
    ],
  ];
  for (const [why, change] of ignored) {
    it(`does not read what is remembered when the file ${why}`, async () => {
      await change(await rememberedFile());
      assert.deepEqual(await verify(), WELL);
      assert.deepEqual(
        asked.map(({ known }) => known),
        [undefined],
      );
    });
  }

  it('remembers for each project by itself', async () => {
    const other = join(fake.home, 'other');
    const { cp } = await import('node:fs/promises');
    await cp(fake.project, other, { recursive: true });
    const { code } = await fake.run(['verify', '--project', other]);
    assert.equal(code, 0);
    assert.equal(asked[0]?.known, undefined);
  });
});
