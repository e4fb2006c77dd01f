// Several submissions in one request: each is answered for itself, and none gets around what it would meet alone.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createConnection } from 'node:net';
import { after, before, describe, it } from 'node:test';

import {
  type Answer,
  HOST,
  ID,
  call,
  codeOf,
  face,
  held,
  replica,
  until,
  usePublicServer,
} from '../../fixtures/public-face.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import {
  PARCEL_BODY_BYTES_MAX,
  PARCEL_SUBMISSIONS_MAX,
  formatSubmissionParcel,
  type ParcelArtifact,
  type ParcelSubmission,
} from '../../verifier/submission-parcel.ts';
import { silentLog, type Log } from '../log.ts';
import type { PublicFace, SubmissionState } from './face.ts';
import {
  SUBMISSION_PARCELS_PER_ADDRESS_MAX,
  SUBMISSION_PARCEL_HELD_MAX,
  WAITING_PER_NETWORK_MAX,
} from './limits.ts';
import { createPublicApp } from './public.ts';
import { serve, type PublicServer } from './server.ts';

const COMMITTED: SubmissionState = { kind: 'committed', id: ID, index: 7 };
const DAMAGED = 'ARTIFACT_DIGEST_MISMATCH';

const artifact = (text: string): ParcelArtifact => {
  const bytes = new TextEncoder().encode(text);
  return { bytes, sha512: createHash('sha512').update(bytes).digest() };
};
const hexOf = ({ sha512 }: ParcelArtifact): string => Buffer.from(sha512).toString('hex');
/** Told from others by its length, which is what the fake replica keeps of an envelope. */
const submission = (length: number, ...artifacts: ParcelArtifact[]): ParcelSubmission => ({
  artifacts,
  envelope: new Uint8Array(length).fill(0x7b),
});

interface Results {
  readonly results: readonly {
    readonly http: number;
    readonly id?: string;
    readonly status?: string;
    readonly index?: number;
    readonly retryAfter?: number;
    readonly error?: { readonly code: string };
  }[];
  readonly error?: { readonly http: number; readonly error: { readonly code: string } };
}

const resultsOf = ({ body }: Answer): Results => JSON.parse(body) as Results;
/** Status and code of each. */
const said = (answer: Answer): readonly string[] =>
  resultsOf(answer).results.map(({ http, error }) => `${http} ${error?.code ?? ''}`.trim());
const post = (submissions: readonly ParcelSubmission[], query = '?wait=3'): Promise<Answer> =>
  call('POST', `/v1/submissions${query}`, formatSubmissionParcel(submissions));

describe('POST /v1/submissions', () => {
  usePublicServer();

  it('answers each for itself, in order', async () => {
    const states: Readonly<Record<number, () => Promise<SubmissionState>>> = {
      1: async () => COMMITTED,
      2: () => Promise.reject(new LedgerError('RELEASE_CONFLICT', 'taken', { index: 3 })),
      3: async () => ({ kind: 'pending', id: ID }),
      4: () => Promise.reject(new LedgerError('RATE_LIMITED', 'many')),
      5: () => Promise.reject(new Error('a bug')),
    };
    replica.next = () => states[replica.submitted?.length ?? 0]?.() ?? Promise.reject(new Error());
    const [a, b] = [artifact('one'), artifact('two')];
    const answer = await post([submission(1, a, b), ...[2, 3, 4, 5].map((n) => submission(n))]);
    assert.equal(answer.status, 200);
    assert.equal(answer.headers['cache-control'], 'no-store');
    const { results, error } = resultsOf(answer);
    assert.equal(error, undefined);
    const [first, , third, fourth] = results;
    assert.deepEqual(first, { http: 200, id: ID, status: 'committed', index: 7 });
    assert.deepEqual(third, { http: 202, id: ID, status: 'pending' });
    assert.equal(fourth?.retryAfter, 60);
    assert.deepEqual(said(answer), [
      '200',
      '409 RELEASE_CONFLICT',
      '202',
      '429 RATE_LIMITED',
      '500 INTERNAL',
    ]);
    assert.doesNotMatch(answer.body, /a bug/, 'a stranger learns nothing about our bugs');
    assert.equal(replica.submitted?.waitMs, 3000);
    assert.equal(replica.submitted?.network, HOST, 'whose turn it is to have signatures checked');
    assert.ok(held.has(hexOf(a)) && held.has(hexOf(b)), 'both artifacts are stored');
  });

  it('does not submit what an artifact of was refused, and takes the others', async () => {
    const submitted: number[] = [];
    replica.next = async () => {
      submitted.push(replica.submitted?.length ?? 0);
      return COMMITTED;
    };
    const [good, other] = [artifact('good'), artifact('other')];
    const damaged = { sha512: other.sha512, bytes: good.bytes };
    const answer = await post([submission(1, good), submission(2, good, damaged), submission(3)]);
    assert.deepEqual(said(answer), ['200', `422 ${DAMAGED}`, '200']);
    assert.deepEqual(
      submitted.toSorted((a, b) => a - b),
      [1, 3],
    );
    assert.ok(!held.has(hexOf(other)), 'nothing of the damaged one is kept');
  });

  it('answers what came whole before something that cannot be read', async () => {
    replica.next = async () => COMMITTED;
    const parcel = formatSubmissionParcel([submission(1), submission(2)]);
    const answer = await call('POST', '/v1/submissions', parcel.subarray(0, -1));
    assert.equal(answer.status, 200);
    assert.deepEqual(said(answer), ['200']);
    const { error } = resultsOf(answer);
    assert.deepEqual([error?.http, error?.error.code], [400, 'REQUEST_MALFORMED']);
  });

  const refusals: readonly (readonly [string, string, string, number, string])[] = [
    ['nothing', '', '', 400, 'REQUEST_MALFORMED'],
    ['something else', '', '{"a":1}', 400, 'REQUEST_MALFORMED'],
    ['a wait that is too long', '?wait=31', '{}', 400, 'REQUEST_MALFORMED'],
  ];
  for (const [why, query, body, status, code] of refusals) {
    it(`answers ${status} to ${why}`, async () => {
      const answer = await call('POST', `/v1/submissions${query}`, body);
      assert.deepEqual([answer.status, codeOf(answer)], [status, code]);
    });
  }
});

describe('a body without end', () => {
  usePublicServer();

  it('is refused', async () => {
    const body = new Uint8Array(PARCEL_BODY_BYTES_MAX + 1);
    const answer = await call('POST', '/v1/submissions', body).catch(() => undefined);
    // The socket may be cut while the rest is still being sent.
    assert.ok(answer === undefined || answer.status === 413, String(answer?.status));
  });
});

describe('what bounds several submissions in one request', () => {
  let url = '';
  let server: PublicServer | undefined;
  let storing = 0;
  let mostStoring = 0;
  const ends: (() => void)[] = [];
  let isHeld = false;
  let submitted = 0;
  /** While `isHeld`, nothing that is begun comes to its end. */
  const turn = async (): Promise<void> => {
    if (isHeld) await new Promise<void>((resolve) => ends.push(resolve));
  };
  const slow: PublicFace = {
    ...face,
    artifacts: {
      ...face.artifacts,
      put: async (sha512, source) => {
        storing += 1;
        mostStoring = Math.max(mostStoring, storing);
        await turn();
        storing -= 1;
        return face.artifacts.put(sha512, source);
      },
    },
    submit: async (_envelope, _waitMs, gone) => {
      submitted += 1;
      gone.addEventListener('abort', () => undefined);
      await turn();
      return COMMITTED;
    },
  };
  const errors: string[] = [];
  const log: Log = { ...silentLog, error: (event) => void errors.push(event) };
  const release = (): void => {
    isHeld = false;
    for (const end of ends.splice(0)) end();
  };
  const send = async (submissions: readonly ParcelSubmission[]): Promise<Answer> => {
    const answer = await fetch(`${url}/v1/submissions?wait=3`, {
      method: 'POST',
      body: Buffer.from(formatSubmissionParcel(submissions)),
    });
    return { status: answer.status, headers: {}, body: await answer.text() };
  };
  const start = async (writesPerSecond: number): Promise<void> => {
    // The clock stands still: nobody earns another write.
    server = await serve(
      createPublicApp(slow, log, writesPerSecond, () => 0),
      HOST,
      0,
    );
    url = `http://${HOST}:${server.port}`;
  };

  describe('a pace', () => {
    before(() => start(1));
    after(() => server?.close(0));

    it('counts each artifact and each submission, as if they came one by one', async () => {
      // Ten writes at once. The sixth submission's artifact and envelope are the eleventh and twelfth.
      const each = (i: number): ParcelSubmission => submission(1, artifact(`paced ${i}`));
      const answer = await send(Array.from({ length: 6 }, (_, i) => each(i)));
      assert.deepEqual(said(answer), ['200', '200', '200', '200', '200', '429 RATE_LIMITED']);
      assert.ok(!held.has(hexOf(artifact('paced 5'))), 'its artifact was not stored');
      const again = await send([submission(1)]);
      assert.deepEqual([again.status, codeOf(again)], [429, 'RATE_LIMITED']);
    });
  });

  describe('places', () => {
    before(() => start(1000));
    after(() => server?.close(0));

    it('holds a bounded number of artifacts, and few requests of one address', async () => {
      isHeld = true;
      const large = submission(
        1,
        ...Array.from({ length: 60 }, (_, i) => artifact(`held ${i}${'.'.repeat(4000)}`)),
      );
      const sent = Array.from({ length: SUBMISSION_PARCELS_PER_ADDRESS_MAX }, () => send([large]));
      const most = SUBMISSION_PARCELS_PER_ADDRESS_MAX * SUBMISSION_PARCEL_HELD_MAX;
      await until('all are at their bound', () => storing === most);
      const answer = await send([large]);
      assert.deepEqual([answer.status, codeOf(answer)], [503, 'BUSY']);
      // One submission has a place of its own, as its artifact would have alone.
      submitted = 0;
      const small = send([submission(1)]);
      await until('it is submitted', () => submitted === 1);
      release();
      assert.deepEqual(said(await small), ['200']);
      for (const one of await Promise.all(sent)) assert.deepEqual(said(one), ['200']);
      assert.equal(mostStoring, most);
      assert.deepEqual(said(await send([submission(1)])), ['200'], 'the places are free again');
    });

    it('keeps the places of those who hang up until what they brought is stored', async () => {
      isHeld = true;
      const brought = (name: string): ParcelSubmission =>
        submission(
          1,
          ...Array.from({ length: 20 }, (_, i) => artifact(`${name} ${i}${'.'.repeat(12_000)}`)),
        );
      for (let i = 1; i <= SUBMISSION_PARCELS_PER_ADDRESS_MAX; i++) {
        const parcel = formatSubmissionParcel([brought(`cut ${i}`)]);
        const socket = createConnection(server?.port ?? 0, HOST);
        socket.on('error', () => undefined);
        const length = `content-length: ${parcel.length + 1}`;
        socket.write(`POST /v1/submissions HTTP/1.1\r\nhost: a\r\n${length}\r\n\r\n`);
        socket.write(parcel);
        await until('its artifacts are being stored', () => storing === 20 * i);
        socket.resetAndDestroy();
      }
      // Whoever is answered after it on another connection: by then the replica knows that they hung up.
      for (let i = 0; i < 3; i++) await send([]);
      const answer = await send([brought('next')]);
      assert.deepEqual([answer.status, codeOf(answer)], [503, 'BUSY']);
      release();
      await until('all are stored', () => storing === 0);
      assert.deepEqual(said(await send([brought('next')])), ['200'], 'the places are free again');
      assert.deepEqual(errors, [], 'a client that hangs up is no failure of ours');
    });

    it('gives one network no more waiting places than alone', async () => {
      isHeld = true;
      submitted = 0;
      const full = Array.from({ length: PARCEL_SUBMISSIONS_MAX }, () => submission(1));
      const count = Math.ceil(WAITING_PER_NETWORK_MAX / PARCEL_SUBMISSIONS_MAX);
      const sent: Promise<Answer>[] = [];
      for (let i = 1; i <= count; i++) {
        sent.push(send(full));
        const begun = Math.min(i * PARCEL_SUBMISSIONS_MAX, WAITING_PER_NETWORK_MAX);
        await until('they wait', () => submitted === begun);
      }
      // A request of its own, to see that the last one was read to its end.
      const late = await send([submission(1)]);
      assert.deepEqual(said(late), ['503 BUSY']);
      release();
      const all = (await Promise.all(sent)).flatMap(said);
      const over = count * PARCEL_SUBMISSIONS_MAX - WAITING_PER_NETWORK_MAX;
      assert.equal(all.filter((one) => one === '200').length, WAITING_PER_NETWORK_MAX);
      assert.equal(all.filter((one) => one === '503 BUSY').length, over);
      assert.equal(submitted, WAITING_PER_NETWORK_MAX, 'the others never reached the replica');
    });

    it('has the listeners of all submissions in one request, and no warning of a leak', async () => {
      const warnings: string[] = [];
      const note = ({ name }: Error): void => void warnings.push(name);
      process.on('warning', note);
      const full = Array.from({ length: PARCEL_SUBMISSIONS_MAX }, () => submission(1));
      assert.equal(said(await send(full)).length, PARCEL_SUBMISSIONS_MAX);
      // Warnings are told in a later turn, and before the next answer.
      await send([submission(1)]);
      process.off('warning', note);
      assert.deepEqual(warnings, []);
    });

    it('counts artifacts that no release names as if each had been uploaded alone', async () => {
      // As many as one network may have undecided (undecided-shares.ts); the tests above stored some of them.
      const bring = (from: number, count: number): ParcelSubmission =>
        submission(1, ...Array.from({ length: count }, (_, i) => artifact(`more ${from + i}`)));
      let refused = 0;
      for (let i = 0; i < 4096 + 128 && refused === 0; i += 128) {
        const [code = ''] = said(await send([bring(i, 128)]));
        if (code !== '200') {
          assert.equal(code, '503 BUSY');
          refused = i;
        }
      }
      assert.ok(refused > 3600, `refused after ${refused}`);
      const alone = artifact('alone');
      const path = `${url}/v1/artifacts/${hexOf(alone)}`;
      const put = await fetch(path, { method: 'PUT', body: Buffer.from(alone.bytes) });
      assert.equal(put.status, 503, 'one share for both ways');
    });
  });
});
