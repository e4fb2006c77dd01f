import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { parsePublicKey } from './ed25519.ts';
import { VerifyError } from './errors.ts';
import { type SignatureJob, type SignaturePlan, runPlan, runPlans } from './signatures.ts';

const publicKey = parsePublicKey(new Uint8Array(32).fill(5));

/** The stub below takes a signature for valid that begins with a 1. */
const job = (message: number, signature = 1): SignatureJob => ({
  publicKey,
  message: Uint8Array.of(message),
  signature: Uint8Array.of(signature, message, ...new Uint8Array(62)),
});

function stub(): {
  asked: number[];
  verifyMany: (jobs: readonly SignatureJob[]) => Promise<boolean[]>;
} {
  const asked: number[] = [];
  return {
    asked,
    async verifyMany(jobs) {
      assert.ok(jobs.length > 0, 'nobody is asked about nothing');
      asked.push(jobs.length);
      return jobs.map(({ signature }) => signature[0] === 1);
    },
  };
}

/** A plan that needs all its jobs and gives their number. */
function plan(...jobs: readonly SignatureJob[]): SignaturePlan<number> {
  return {
    jobs,
    finish(valid) {
      assert.equal(valid.length, jobs.length);
      if (valid.includes(false)) throw new VerifyError('NOTE_SIGNATURE_INVALID', 'bad');
      return valid.length;
    },
  };
}

describe('runPlan', () => {
  it('gives the value', async () => assert.equal(await runPlan(stub(), plan(job(1), job(2))), 2));
  it('asks nobody about no jobs', async () => {
    const verifier = stub();
    assert.equal(await runPlan(verifier, plan()), 0);
    assert.deepEqual(verifier.asked, []);
  });
  it('throws the refusal', async () => {
    await assert.rejects(runPlan(stub(), plan(job(1, 0))), { code: 'NOTE_SIGNATURE_INVALID' });
  });
  it('takes a verifier that leaves answers out for a bug', async () => {
    const verifier = { verifyMany: async () => [true] };
    await assert.rejects(runPlan(verifier, plan(job(1), job(2))), { name: 'AssertionError' });
  });
});

describe('runPlans', () => {
  it('asks once, and about each distinct job once', async () => {
    const verifier = stub();
    const outcomes = await runPlans(verifier, [
      plan(job(1), job(2)),
      plan(job(2), job(1), job(1)),
      plan(),
    ]);
    assert.deepEqual(verifier.asked, [2]);
    assert.deepEqual(
      outcomes.map((outcome) => outcome.kind === 'ok' && outcome.value),
      [2, 3, 0],
    );
  });

  it('takes jobs for the same only when key, message and signature are', async () => {
    const verifier = stub();
    const other = parsePublicKey(new Uint8Array(32).fill(6));
    const outcomes = await runPlans(verifier, [
      plan(job(1)),
      plan(job(1, 2)),
      plan({ ...job(1), publicKey: other }),
      plan({ ...job(1), message: Uint8Array.of(2) }),
    ]);
    assert.deepEqual(verifier.asked, [4]);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['ok', 'refused', 'ok', 'ok'],
    );
  });

  it("does not let one plan's refusal touch the others", async () => {
    const outcomes = await runPlans(stub(), [plan(job(1)), plan(job(1), job(2, 0)), plan(job(3))]);
    assert.deepEqual(
      outcomes.map(({ kind }) => kind),
      ['ok', 'refused', 'ok'],
    );
    const [, refused] = outcomes;
    assert.equal(refused?.kind === 'refused' && refused.error.code, 'NOTE_SIGNATURE_INVALID');
  });

  it('lets a bug through instead of calling it a refusal', async () => {
    const broken: SignaturePlan<number> = {
      jobs: [job(1)],
      finish() {
        throw new TypeError('bug');
      },
    };
    await assert.rejects(runPlans(stub(), [broken]), TypeError);
  });
});
