import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';

import { hasThreadTime, threadTimeMs } from '../../fixtures/thread-time.ts';
import { utf8 } from '../bytes.ts';
import type { SignatureJob } from '../signatures.ts';
import { packJobs, unpackJobs } from './packed-jobs.ts';
import { SignaturePool } from './signature-pool.ts';
import { SigningKey } from './signing-key.ts';

const keys = Array.from({ length: 5 }, (_, i) => {
  return SigningKey.fromSeed(new Uint8Array(32).fill(i + 1));
});

/** Every seventh job is bad, each in another way. */
function jobsAndAnswers(count: number): [SignatureJob[], boolean[]] {
  const jobs = Array.from({ length: count }, (_, i): SignatureJob => {
    const key = keys[i % keys.length];
    assert.ok(key !== undefined);
    const message = utf8(`message ${i} `.repeat(i % 13));
    const good = { publicKey: key.publicKey, message, signature: key.sign(message) };
    if (i % 7 !== 3) return good;
    if (i % 3 === 0) return { ...good, message: utf8('other') };
    if (i % 3 === 1) return { ...good, signature: new Uint8Array(0) };
    return { ...good, signature: Uint8Array.of(...good.signature, 0) };
  });
  return [jobs, jobs.map((_, i) => i % 7 !== 3)];
}

describe('SignaturePool', () => {
  it('answers in order', async () => {
    const pool = new SignaturePool({ workers: 2 });
    for (const count of [0, 1, 23, 24, 49, 51, 450]) {
      const [jobs, answers] = jobsAndAnswers(count);
      assert.deepEqual(await pool.verifyMany(jobs), answers, `${count} jobs`);
    }
    await pool.close();
  });

  it(
    'leaves the event loop to others while its threads work',
    { skip: !hasThreadTime },
    async () => {
      const pool = new SignaturePool({ workers: 1 });
      const [jobs] = jobsAndAnswers(2000);
      await pool.verifyMany(jobs.slice(0, 100));
      const [before, here] = [process.cpuUsage(), threadTimeMs()];
      await pool.verifyMany(jobs);
      const { user, system } = process.cpuUsage(before);
      const share = (threadTimeMs() - here) / ((user + system) / 1000);
      // Verifying here, as the pool does when its threads can't start, would make this 1.
      assert.ok(share < 0.6, `${share} of it was computed by this thread`);
      await pool.close();
    },
  );

  it('serves several callers at once', async () => {
    const pool = new SignaturePool({ workers: 2 });
    const calls = [300, 30, 5, 120].map((count) => jobsAndAnswers(count));
    const results = await Promise.all(calls.map(async ([jobs]) => pool.verifyMany(jobs)));
    assert.deepEqual(
      results,
      calls.map(([, answers]) => answers),
    );
    await pool.close();
  });

  it('ends threads that have nothing to do, as often as it likes, and starts them again', async () => {
    const pool = new SignaturePool({ workers: 1 });
    const [jobs, expected] = jobsAndAnswers(40);
    try {
      // More often than threads that failed are replaced.
      for (let i = 0; i < 10; i++) {
        assert.deepEqual(await pool.verifyMany(jobs), expected);
        await pool.rest();
      }
      // One that works goes on.
      const answers = pool.verifyMany(jobs);
      await pool.rest();
      assert.deepEqual(await answers, expected);
    } finally {
      await pool.close();
    }
  });

  it('leaves the callers their jobs', async () => {
    const pool = new SignaturePool({ workers: 1 });
    const [jobs, answers] = jobsAndAnswers(60);
    await pool.verifyMany(jobs);
    assert.deepEqual(await pool.verifyMany(jobs), answers);
    await pool.close();
  });

  it('tells waiting and later callers that it is closed, and calls nothing invalid', async () => {
    const pool = new SignaturePool({ workers: 1 });
    const [jobs] = jobsAndAnswers(50);
    await pool.verifyMany(jobs);
    // One chunk each: the first is with the thread, the second still in the queue.
    const waiting = [pool.verifyMany(jobs), pool.verifyMany(jobs)].map(async (call) =>
      assert.rejects(call, { code: 'POOL_CLOSED' }),
    );
    await pool.close();
    await Promise.all(waiting);
    await assert.rejects(pool.verifyMany(jobs), { code: 'POOL_CLOSED' });
  });

  it('refuses more than it can queue, and works on afterwards', async () => {
    const pool = new SignaturePool({ workers: 1 });
    const [jobs] = jobsAndAnswers(50);
    const [first] = jobs;
    assert.ok(first !== undefined);
    // The queue counts before anything is verified, so the flood need not be waited for.
    const flood = pool.verifyMany(Array.from({ length: 140_000 }, () => first));
    const settled = assert.rejects(flood, { code: 'POOL_CLOSED' });
    await assert.rejects(pool.verifyMany(jobs), { code: 'POOL_OVERLOADED' });
    assert.equal((await pool.verifyMany([first])).length, 1);
    await pool.close();
    await settled;
  });

  for (const workers of [0, -1, 1.5, 65]) {
    it(`has no ${workers} workers`, () => {
      assert.throws(() => new SignaturePool({ workers }), { name: 'AssertionError' });
    });
  }

  it('waits for answers, but does not keep an idle process alive', () => {
    const script = `
      import { SignaturePool, SigningKey } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
      const key = SigningKey.generate();
      const message = new Uint8Array(9);
      const job = { publicKey: key.publicKey, message, signature: key.sign(message) };
      const answers = await new SignaturePool({ workers: 2 }).verifyMany(Array(300).fill(job));
      console.log(answers.filter(Boolean).length);`;
    const child = spawnSync(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', script],
      { encoding: 'utf8', timeout: 120_000 },
    );
    assert.equal(child.stdout, '300\n', child.stderr);
    assert.equal(child.status, 0);
  });
});

describe('packJobs', () => {
  it('comes back as it was', () => {
    const jobs = jobsAndAnswers(40)[0].filter(({ signature }) => signature.length === 64);
    assert.ok(jobs.length > 30);
    assert.deepEqual(unpackJobs(packJobs(jobs)), jobs);
  });
});
