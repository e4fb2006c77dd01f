// What anybody may hand in to a replica: submissions and proposals.
import assert from 'node:assert/strict';
import { request } from 'node:http';
import type { ClientRequest } from 'node:http';
import { createConnection } from 'node:net';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import {
  type Answer,
  HOST,
  ID,
  call,
  codeOf,
  port,
  replica,
  until,
  usePublicServer,
} from '../../fixtures/public-face.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import type { LedgerErrorCode } from '../../verifier/ledger/errors.ts';
import { SignaturePoolError } from '../../verifier/node/signature-pool.ts';
import { BusyError } from './face.ts';
import type { SubmissionState } from './face.ts';
import { PROPOSAL_READS_PER_ADDRESS_MAX } from './limits.ts';

describe('/v1/proposals', () => {
  usePublicServer();

  it('hands canonical envelopes out in a canonical array', async () => {
    const answer = await call('GET', '/v1/proposals?package=left-pad');
    assert.equal(answer.body, '[{"a":1},{"b":2}]');
    assert.equal((await call('GET', '/v1/proposals?package=other')).body, '[]');
  });

  it('holds few answers for readers that do not read', async () => {
    const path = '/v1/proposals?package=large';
    const slow = await Promise.all(
      Array.from(
        { length: PROPOSAL_READS_PER_ADDRESS_MAX },
        () =>
          new Promise<ClientRequest>((resolve, reject) => {
            const asked = request({ host: HOST, port: port(), path, agent: false });
            asked.on('response', (response) => {
              // Cut off below.
              response.on('error', () => undefined);
              response.once('data', () => {
                response.pause();
                resolve(asked);
              });
            });
            asked.on('error', reject);
            asked.end();
          }),
      ),
    );
    const list = (): Promise<Answer> => call('GET', '/v1/proposals?package=left-pad');
    const busy = await list();
    const one = await call('GET', `/v1/proposals/${ID}`);
    for (const asked of slow) asked.destroy();
    assert.deepEqual([busy.status, codeOf(busy), one.status], [503, 'BUSY', 503]);
    // They have hung up: as soon as that is noticed there are places again.
    while ((await list()).status !== 200) await sleep(10);
  });

  it('takes a proposal, and says how many have signed it', async () => {
    const answer = await call('POST', '/v1/proposals', 'x'.repeat(100));
    assert.equal(answer.body, `{"id":"${ID}","signatures":2}\n`);
    assert.equal(replica.proposed, 100);
  });

  const refusals: readonly (readonly [string, Error, number, string])[] = [
    [
      'a stranger’s',
      new VerifyError('MAINTAINER_SIGNATURES_MISSING', 'nobody'),
      422,
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    ['a taken version', new LedgerError('RELEASE_CONFLICT', 'taken'), 409, 'RELEASE_CONFLICT'],
    ['a flood', new LedgerError('RATE_LIMITED', 'many'), 429, 'RATE_LIMITED'],
    ['a full mailbox', new BusyError('full'), 503, 'BUSY'],
  ];
  for (const [why, error, status, code] of refusals) {
    it(`answers ${status} for ${why}`, async () => {
      replica.refusedProposal = error;
      const answer = await call('POST', '/v1/proposals', '{}');
      replica.refusedProposal = undefined;
      assert.deepEqual([answer.status, codeOf(answer)], [status, code]);
    });
  }

  it('refuses a body that no envelope can have', async () => {
    const answer = await call('POST', '/v1/proposals', 'x'.repeat(65_537));
    assert.equal(answer.status, 413);
  });
});

describe('POST /v1/entries', () => {
  usePublicServer();

  const outcomes: readonly [string, SubmissionState, number][] = [
    ['committed', { kind: 'committed', id: ID, index: 7 }, 200],
    ['pending', { kind: 'pending', id: ID }, 202],
    [
      'refused late',
      {
        kind: 'refused',
        id: ID,
        refusal: {
          code: 'RELEASE_CONFLICT',
          message: 'taken',
          index: 3,
          artifacts: [],
          temporary: false,
        },
      },
      409,
    ],
  ];
  for (const [why, state, status] of outcomes) {
    it(`answers ${status} when the submission is ${why}`, async () => {
      replica.next = async () => state;
      const answer = await call('POST', '/v1/entries?wait=3', '{}');
      assert.equal(answer.status, status);
      assert.equal(replica.submitted?.waitMs, 3000);
      assert.equal(replica.submitted?.network, HOST, 'whose turn it is to have signatures checked');
      const body = JSON.parse(answer.body) as { id?: string; index?: number };
      if (status < 400) assert.equal(body.id, ID);
      if (status === 200) assert.equal(body.index, 7);
    });
  }

  const refusals: readonly [LedgerErrorCode, number, string | undefined][] = [
    ['RELEASE_CONFLICT', 409, undefined],
    ['SEQUENCE_WRONG', 409, undefined],
    ['PACKAGE_UNCLAIMED', 422, undefined],
    ['ARTIFACT_MISSING', 422, undefined],
    ['RATE_LIMITED', 429, '60'],
    ['OBSERVED_AHEAD', 503, '1'],
  ];
  for (const [code, status, retryAfter] of refusals) {
    it(`answers ${status} for ${code}`, async () => {
      replica.next = () => Promise.reject(new LedgerError(code, 'no', { index: 5 }));
      const answer = await call('POST', '/v1/entries', '{}');
      assert.equal(answer.status, status);
      assert.equal(codeOf(answer), code);
      assert.equal(answer.headers['retry-after'], retryAfter);
      assert.match(answer.body, /"index":5/);
    });
  }

  it('answers 422 for what is malformed or badly signed', async () => {
    replica.next = () => Promise.reject(new VerifyError('ENVELOPE_MALFORMED', 'no'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 422);
    assert.equal(codeOf(answer), 'ENVELOPE_MALFORMED');
  });

  it('answers 503 when there is no room, and says when to come back', async () => {
    replica.next = () => Promise.reject(new BusyError('full'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '1');
  });

  it('answers 503 when too many signatures wait, and takes it for no bug', async () => {
    replica.next = () => Promise.reject(new SignaturePoolError('POOL_OVERLOADED', 'full'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 503);
    assert.equal(codeOf(answer), 'BUSY');
    assert.equal(answer.headers['retry-after'], '1');
  });

  it('tells a stranger nothing about a bug', async () => {
    replica.next = () => Promise.reject(new Error('secret path /srv/keys'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 500);
    assert.doesNotMatch(answer.body, /secret/);
  });

  const waits: readonly [string, number][] = [
    ['wait=31', 400],
    ['wait=-1', 400],
    ['wait=1e1', 400],
    ['wait=', 400],
    ['wait=030', 400],
    ['wait=30', 202],
    ['wait=0', 202],
  ];
  for (const [query, status] of waits) {
    it(`answers ${status} for ${query}`, async () => {
      replica.next = async () => ({ kind: 'pending', id: ID });
      assert.equal((await call('POST', `/v1/entries?${query}`, '{}')).status, status);
    });
  }

  it('refuses a large body by its announced length', async () => {
    replica.submitted = undefined;
    const answer = await call('POST', '/v1/entries', 'x'.repeat(70_000)).catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 413);
    assert.equal(replica.submitted, undefined);
  });

  it('refuses a large body that came without a length', async () => {
    replica.submitted = undefined;
    const status = await new Promise<number>((resolve) => {
      const path = '/v1/entries';
      const sent = request({ host: HOST, port: port(), method: 'POST', path }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', () => resolve(-1));
      for (let i = 0; i < 20; i++) sent.write(Buffer.alloc(8192));
      sent.end();
    });
    assert.ok(status === 413 || status === -1, String(status));
    assert.equal(replica.submitted, undefined);
  });

  it('stops waiting for a client that hung up', async () => {
    replica.next = () => new Promise(() => undefined);
    replica.submitted = undefined;
    const socket = createConnection(port(), HOST);
    socket.write('POST /v1/entries?wait=30 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}');
    await until('it waits', () => replica.submitted !== undefined);
    socket.destroy();
    await until('it waits no more', () => replica.submitted?.gone.aborted === true);
  });
});
