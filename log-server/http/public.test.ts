import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { request } from 'node:http';
import type { ClientRequest, IncomingHttpHeaders } from 'node:http';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';

import { certificateFor } from '../../fixtures/test-storage.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { SignaturePoolError } from '../../verifier/node/signature-pool.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import type { LedgerErrorCode } from '../../verifier/ledger/errors.ts';
import { decodeMessage } from '../../verifier/replication/encode-message.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import type { CommittedRecord } from '../consensus/types.ts';
import { silentLog } from '../log.ts';
import type { ArtifactStore } from '../store/artifact-store.ts';
import { SMALL_BYTES_MAX } from '../store/small-artifact.ts';
import { parseParcel } from './artifact-parcel.ts';
import { BusyError } from './face.ts';
import type { HeadReport, PublicFace, SubmissionState } from './face.ts';
import { PROPOSAL_READS_PER_ADDRESS_MAX } from './limits.ts';
import { gauge } from './metrics.ts';
import { createPublicApp } from './public.ts';
import { serve } from './server.ts';
import type { PublicServer } from './server.ts';

const HOST = '127.0.0.1';
/** Far longer than anything takes on a busy machine: what never happens has to fail, not to hang. */
const PATIENCE_MS = 60_000;
const NOTE = 'log.example\n3\nAAAA\n\n— r0 AAAA\n';
const ID = 'ab'.repeat(32);
/** More than sockets buffer. */
const LARGE = `"${'x'.repeat(16 * 1024 * 1024)}"`;

/** What the fake replica answers to the next submission. */
let next: () => Promise<SubmissionState> = () => Promise.reject(new Error('not set'));
let submitted: { waitMs: number; length: number; gone: AbortSignal; network: string } | undefined;
let proposed: number | undefined;
let refusedProposal: Error | undefined;
let hasCheckpoint = true;
let isReady = true;
const held = new Map<string, Uint8Array>();

/** Uploads that have reached the store, and those that it is done with, whatever came of them. */
const puts = { begun: 0, ended: 0 };

const artifacts: ArtifactStore = {
  async put(sha512, source) {
    puts.begun += 1;
    const chunks: Uint8Array[] = [];
    try {
      for await (const chunk of source) chunks.push(chunk);
    } finally {
      puts.ended += 1;
    }
    const bytes = Uint8Array.from(Buffer.concat(chunks));
    if (createHash('sha512').update(bytes).digest('hex') !== sha512) {
      throw new VerifyError('ARTIFACT_DIGEST_MISMATCH', 'other bytes');
    }
    held.set(sha512, bytes);
    return { kind: 'created', facts: factsOf(sha512, bytes) };
  },
  facts: async (sha512) => {
    const bytes = held.get(sha512);
    return bytes === undefined ? undefined : factsOf(sha512, bytes);
  },
  missing: async () => [],
  smallNow: (sha512) => held.get(sha512),
  hasNow: (sha512) => held.has(sha512),
  read: async (sha512) => {
    const bytes = held.get(sha512);
    if (bytes === undefined) return undefined;
    return {
      size: bytes.length,
      chunks: async function* () {
        yield bytes;
      },
    };
  },
};

function factsOf(
  sha512: string,
  bytes: Uint8Array,
): NonNullable<Awaited<ReturnType<ArtifactStore['facts']>>> {
  return { sha512, size: bytes.length, name: 'a', version: '1.0.0', manifest: {} };
}

function committedBatch(): CommittedRecord {
  const header = { ...genesisHeader('log.example'), height: 1, size: 1 };
  return { header, body: [Uint8Array.of(1)], certificate: certificateFor(header) };
}

const REPORT_ID = `0-X1-${ID}`;

const CONTRADICTION_ID = `n-${ID}-${ID}`;

/** What the fake replica makes of a note: its text says it. */
function headReport(note: string): HeadReport {
  switch (note) {
    case 'kept':
      return { kind: 'kept', id: CONTRADICTION_ID };
    case 'consistent':
    case 'ahead':
    case 'full':
      return { kind: note };
    default:
      throw new VerifyError('NOTE_MALFORMED', 'no note');
  }
}

let figuresMade = 0;

const face: PublicFace = {
  misbehaviour: async () => [{ id: REPORT_ID, epoch: 0, rule: 'X1', replica: 'r1', key: ID }],
  proposals: {
    post: async (envelope) => {
      if (refusedProposal !== undefined) throw refusedProposal;
      proposed = envelope.length;
      return { id: ID, signatures: 2 };
    },
    listed: (name) => {
      if (name === 'large') return [LARGE];
      return name === 'left-pad' ? ['{"a":1}', '{"b":2}'] : [];
    },
    find: (id) => (id === ID ? '{"a":1}' : undefined),
  },
  misbehaviourDocument: async (id) => (id === REPORT_ID ? '{}' : undefined),
  contradictions: async () => [{ id: CONTRADICTION_ID, kind: 'note' }],
  contradictionDocument: async (id) => (id === CONTRADICTION_ID ? '{}' : undefined),
  reportHead: async (note) => headReport(note),
  artifacts,
  isReleased: () => false,
  url: 'http://replica.example',
  store: {
    checkpoint: async () => (hasCheckpoint ? { size: 3, height: 1, note: NOTE } : undefined),
    tile: async (level, index) => (level === 0 && index === 0 ? Uint8Array.of(1, 2) : undefined),
    entryBundle: async () => Uint8Array.of(0, 1, 7),
    entry: async () => undefined,
    rosterEnvelopes: async () => [],
    package: async () => undefined,
    release: async () => undefined,
    batches: async (height) => (height === 1 ? [committedBatch()] : []),
    evidence: async ({ pin }) => (pin === ID && hasCheckpoint ? ['{"evidence":1}'] : undefined),
  },
  submit: (envelope, waitMs, gone, network) => {
    submitted = { waitMs, length: envelope.length, gone, network };
    return next();
  },
  submission: async (id) => (id === ID ? { kind: 'committed', id, index: 7 } : undefined),
  health: () => [{ name: 'store', ok: true, detail: '' }],
  readiness: () => [{ name: 'peers', ok: isReady, detail: '' }],
  status: async () => ({ height: 1 }),
  metrics: async () => {
    figuresMade += 1;
    return [gauge('tree_size', 'Leaves.', 3)];
  },
};

let server: PublicServer;
before(async () => {
  server = await serve(createPublicApp(face, silentLog, 1000), HOST, 0);
});
after(() => server.close(0));

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

function call(
  method: string,
  path: string,
  body?: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const options = { host: HOST, port: server.port, method, path, headers, agent: false };
    const sent = request(options, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () =>
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString(),
        }),
      );
      response.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

const codeOf = (answer: Answer): string =>
  (JSON.parse(answer.body) as { error: { code: string } }).error.code;

describe('public reads', () => {
  const reads: readonly [string, string, number, string | undefined][] = [
    ['the checkpoint', '/checkpoint', 200, 'no-cache'],
    ['the rosters', '/rosters', 200, 'no-cache'],
    ['a full tile', '/tile/0/000', 200, 'public, max-age=31536000, immutable'],
    ['a partial tile', '/tile/0/000.p/2', 200, 'public, max-age=3600, immutable'],
    ['an entry bundle', '/tile/entries/000', 200, 'public, max-age=31536000, immutable'],
    ['a tile beyond the log', '/tile/0/001', 404, undefined],
    ['a tile in a second spelling', '/tile/0/000.p/256', 404, undefined],
    ['a tile outside the tree', '/tile/../checkpoint', 200, 'no-cache'],
    ['an escaped path out of the tiles', '/tile/%2e%2e%2fcheckpoint', 404, undefined],
    ['an unknown route', '/admin', 404, undefined],
    ['a package that is not in the log', '/npm/left-pad', 404, undefined],
    ['a name that no package can have', '/npm/..%2fetc', 404, undefined],
    ['signing keys, which there are none of', '/npm/-/npm/v1/keys', 404, undefined],
    ['a ping', '/npm/-/ping', 200, undefined],
    ['a submission', `/v1/entries/${ID}`, 200, 'no-store'],
    ['an unknown submission', `/v1/entries/${'00'.repeat(32)}`, 404, undefined],
    ['a submission by a name that is no hash', '/v1/entries/x', 404, undefined],
    ['an artifact that is not held', `/v1/artifacts/${'00'.repeat(64)}`, 404, undefined],
    ['an artifact by half a digest', '/v1/artifacts/00', 400, undefined],
    ['committed batches', '/v1/batches/1', 200, 'no-cache'],
    ['batches beyond the log', '/v1/batches/2', 404, undefined],
    ['batches from no height', '/v1/batches/0', 400, undefined],
    ['batches from what is no number', '/v1/batches/01', 400, undefined],
    ['the list of misbehaviour', '/v1/misbehaviour', 200, 'no-store'],
    ['a report of misbehaviour', `/v1/misbehaviour/${REPORT_ID}`, 200, 'no-cache'],
    ['a report that is not kept', '/v1/misbehaviour/0-X2', 404, undefined],
    ['the list of contradicted heads', '/v1/contradictions', 200, 'no-store'],
    ['a contradicted head', `/v1/contradictions/${CONTRADICTION_ID}`, 200, 'no-cache'],
    ['a head that is not kept', '/v1/contradictions/x', 404, undefined],
    ['proposals', '/v1/proposals?package=left-pad', 200, 'no-store'],
    ['proposals of no package', '/v1/proposals', 400, undefined],
    [
      'proposals of a name that is too long',
      `/v1/proposals?package=${'a'.repeat(215)}`,
      400,
      undefined,
    ],
    ['a proposal', `/v1/proposals/${ID}`, 200, 'no-store'],
    ['an unknown proposal', `/v1/proposals/${'00'.repeat(32)}`, 404, undefined],
    ['a proposal by what is no id', '/v1/proposals/x', 404, undefined],
    ['health', '/healthz', 200, 'no-store'],
    ['status', '/v1/status', 200, 'no-store'],
    ['metrics', '/metrics', 200, 'no-store'],
  ];
  for (const [why, path, status, caching] of reads) {
    it(`answers ${status} for ${why}`, async () => {
      const answer = await call('GET', path);
      assert.equal(answer.status, status, answer.body);
      if (caching !== undefined) assert.equal(answer.headers['cache-control'], caching);
      assert.equal(answer.headers['access-control-allow-origin'], '*');
      assert.equal(answer.headers['x-content-type-options'], 'nosniff');
      if (status >= 400) assert.ok(codeOf(answer).length > 0);
    });
  }

  const reported: readonly (readonly [string, number, string])[] = [
    ['kept', 200, '"status":"kept","id":"n-'],
    ['consistent', 200, '"status":"consistent"'],
    ['ahead', 503, 'NOT_READY'],
    ['full', 503, 'BUSY'],
    ['no note', 422, 'NOTE_MALFORMED'],
    ['x'.repeat(65_537), 413, 'BODY_TOO_LARGE'],
  ];
  for (const [note, status, text] of reported) {
    it(`answers ${status} to a reported head: ${note.slice(0, 10)}`, async () => {
      const answer = await call('POST', '/v1/contradictions', note);
      assert.equal(answer.status, status);
      assert.ok(answer.body.includes(text), answer.body);
    });
  }

  it('makes figures once for all who ask within a second', async () => {
    let nowMs = 0;
    const timed = await serve(
      createPublicApp(face, silentLog, 1000, () => nowMs),
      HOST,
      0,
    );
    const ask = async (): Promise<string> =>
      (await fetch(`http://${HOST}:${timed.port}/metrics`)).text();
    const before = figuresMade;
    const texts = await Promise.all(Array.from({ length: 5 }, ask));
    assert.ok(
      texts.every((text) => text.includes('bftpkg_tree_size 3')),
      texts[0],
    );
    nowMs = 999;
    await ask();
    assert.equal(figuresMade - before, 1);
    nowMs = 1000;
    await ask();
    assert.equal(figuresMade - before, 2);
    await timed.close(0);
  });

  it('serves the note byte for byte, and 304 to whoever has it', async () => {
    const first = await call('GET', '/checkpoint');
    assert.equal(first.body, NOTE);
    const etag = first.headers.etag ?? '';
    const second = await call('GET', '/checkpoint', undefined, { 'if-none-match': `W/${etag}` });
    assert.equal(second.status, 304);
    assert.equal(second.body, '');
    const other = await call('GET', '/checkpoint', undefined, { 'if-none-match': '"other"' });
    assert.equal(other.status, 200);
  });

  it('serves batches as replicas send them to each other', async () => {
    const answer = await fetch(`http://${HOST}:${server.port}/v1/batches/1`);
    const message = decodeMessage(new Uint8Array(await answer.arrayBuffer()));
    assert.deepEqual(message, { kind: 'batches', batches: [committedBatch()] });
  });

  it('says 503 before the first checkpoint', async () => {
    hasCheckpoint = false;
    const answer = await call('GET', '/checkpoint');
    hasCheckpoint = true;
    assert.equal(answer.status, 503);
    assert.equal(codeOf(answer), 'NOT_READY');
    assert.equal(answer.headers['retry-after'], '1');
  });

  it('says 503 with the failing check when clients should go elsewhere', async () => {
    isReady = false;
    const answer = await call('GET', '/readyz');
    isReady = true;
    assert.equal(answer.status, 503);
    assert.match(answer.body, /"peers","ok":false/);
  });

  it('answers audits of npm with an empty object', async () => {
    const answer = await call('POST', '/npm/-/npm/v1/security/advisories/bulk', '{"a":["1.0.0"]}');
    assert.equal(answer.status, 200);
    assert.deepEqual(JSON.parse(answer.body), {});
  });
});

describe('/v1/proposals', () => {
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
            const asked = request({ host: HOST, port: server.port, path, agent: false });
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
    assert.equal(proposed, 100);
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
      refusedProposal = error;
      const answer = await call('POST', '/v1/proposals', '{}');
      refusedProposal = undefined;
      assert.deepEqual([answer.status, codeOf(answer)], [status, code]);
    });
  }

  it('refuses a body that no envelope can have', async () => {
    const answer = await call('POST', '/v1/proposals', 'x'.repeat(65_537));
    assert.equal(answer.status, 413);
  });
});

describe('POST /v1/evidence', () => {
  const good = { roster: ID, since: 0, subjects: ['pkg:npm/a'] };
  const requests: readonly [string, unknown, number, string | undefined][] = [
    ['a request', good, 200, undefined],
    ['no subjects', { ...good, subjects: [] }, 400, 'REQUEST_MALFORMED'],
    ['a size up to which it is known', { ...good, known: [7] }, 200, undefined],
    ['no such size for a subject', { ...good, known: [] }, 400, 'REQUEST_MALFORMED'],
    ['more such sizes than subjects', { ...good, known: [1, 2] }, 400, 'REQUEST_MALFORMED'],
    ['such a size as a text', { ...good, known: ['1'] }, 400, 'REQUEST_MALFORMED'],
    ['such a size below nothing', { ...good, known: [-1] }, 400, 'REQUEST_MALFORMED'],
    ['a field more', { ...good, more: 1 }, 400, 'REQUEST_MALFORMED'],
    ['a field less', { roster: ID, since: 0 }, 400, 'REQUEST_MALFORMED'],
    ['a negative size', { ...good, since: -1 }, 400, 'REQUEST_MALFORMED'],
    ['an upper-case pin', { ...good, roster: ID.toUpperCase() }, 400, 'REQUEST_MALFORMED'],
    ['an unknown pin', { ...good, roster: '00'.repeat(32) }, 404, 'PIN_UNKNOWN'],
    [
      'a subject that is no package',
      { ...good, subjects: ['pkg:npm/A b'] },
      422,
      'PACKAGE_NAME_INVALID',
    ],
    [
      'a subject with a bad version',
      { ...good, subjects: ['pkg:npm/a@1'] },
      422,
      'VERSION_INVALID',
    ],
    [
      'too many subjects',
      { ...good, subjects: Array(10_001).fill('pkg:npm/a') },
      400,
      'REQUEST_MALFORMED',
    ],
    ['no object', [], 400, 'REQUEST_MALFORMED'],
  ];
  for (const [why, body, status, code] of requests) {
    it(`answers ${status} for ${why}`, async () => {
      const answer = await call('POST', '/v1/evidence', JSON.stringify(body));
      assert.equal(answer.status, status, answer.body);
      if (code !== undefined) assert.equal(codeOf(answer), code);
    });
  }

  it('refuses a body without end', async () => {
    const answer = await call('POST', '/v1/evidence', '['.repeat(5_000_000)).catch(() => undefined);
    // The socket may be cut while the rest is still being sent.
    assert.ok(answer === undefined || answer.status === 413);
  });
});

describe('POST /v1/entries', () => {
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
      next = async () => state;
      const answer = await call('POST', '/v1/entries?wait=3', '{}');
      assert.equal(answer.status, status);
      assert.equal(submitted?.waitMs, 3000);
      assert.equal(submitted?.network, HOST, 'whose turn it is to have signatures checked');
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
      next = () => Promise.reject(new LedgerError(code, 'no', { index: 5 }));
      const answer = await call('POST', '/v1/entries', '{}');
      assert.equal(answer.status, status);
      assert.equal(codeOf(answer), code);
      assert.equal(answer.headers['retry-after'], retryAfter);
      assert.match(answer.body, /"index":5/);
    });
  }

  it('answers 422 for what is malformed or badly signed', async () => {
    next = () => Promise.reject(new VerifyError('ENVELOPE_MALFORMED', 'no'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 422);
    assert.equal(codeOf(answer), 'ENVELOPE_MALFORMED');
  });

  it('answers 503 when there is no room, and says when to come back', async () => {
    next = () => Promise.reject(new BusyError('full'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 503);
    assert.equal(answer.headers['retry-after'], '1');
  });

  it('answers 503 when too many signatures wait, and takes it for no bug', async () => {
    next = () => Promise.reject(new SignaturePoolError('POOL_OVERLOADED', 'full'));
    const answer = await call('POST', '/v1/entries', '{}');
    assert.equal(answer.status, 503);
    assert.equal(codeOf(answer), 'BUSY');
    assert.equal(answer.headers['retry-after'], '1');
  });

  it('tells a stranger nothing about a bug', async () => {
    next = () => Promise.reject(new Error('secret path /srv/keys'));
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
      next = async () => ({ kind: 'pending', id: ID });
      assert.equal((await call('POST', `/v1/entries?${query}`, '{}')).status, status);
    });
  }

  it('refuses a large body by its announced length', async () => {
    submitted = undefined;
    const answer = await call('POST', '/v1/entries', 'x'.repeat(70_000)).catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 413);
    assert.equal(submitted, undefined);
  });

  it('refuses a large body that came without a length', async () => {
    submitted = undefined;
    const status = await new Promise<number>((resolve) => {
      const path = '/v1/entries';
      const sent = request({ host: HOST, port: server.port, method: 'POST', path }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      sent.on('error', () => resolve(-1));
      for (let i = 0; i < 20; i++) sent.write(Buffer.alloc(8192));
      sent.end();
    });
    assert.ok(status === 413 || status === -1, String(status));
    assert.equal(submitted, undefined);
  });

  it('stops waiting for a client that hung up', async () => {
    next = () => new Promise(() => undefined);
    submitted = undefined;
    const socket = createConnection(server.port, HOST);
    socket.write('POST /v1/entries?wait=30 HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n\r\n{}');
    await until('it waits', () => submitted !== undefined);
    socket.destroy();
    await until('it waits no more', () => submitted?.gone.aborted === true);
  });
});

describe('/v1/artifacts', () => {
  const content = new TextEncoder().encode('a tarball, more or less');
  const digest = createHash('sha512').update(content).digest('hex');

  it('takes bytes that have their digest, once', async () => {
    const path = `/v1/artifacts/${digest}`;
    assert.equal((await call('PUT', path, content)).status, 201);
    assert.equal((await call('PUT', path, content)).status, 200);
    const got = await call('GET', path);
    assert.equal(got.body, 'a tarball, more or less');
    assert.equal(got.headers['content-length'], String(content.length));
    assert.equal(got.headers['cache-control'], 'public, max-age=31536000, immutable');
    const head = await call('HEAD', path);
    assert.equal(head.status, 200);
    assert.equal(head.headers['content-length'], String(content.length));
    assert.equal(head.body, '');
  });

  it('takes a large upload of what it holds to its end before it answers', async () => {
    const large = Buffer.alloc(8 * 1024 * 1024, 1);
    const path = `/v1/artifacts/${createHash('sha512').update(large).digest('hex')}`;
    assert.equal((await call('PUT', path, large)).status, 201);
    assert.equal((await call('PUT', path, large)).status, 200);
  });

  it('refuses other bytes', async () => {
    const answer = await call('PUT', `/v1/artifacts/${'11'.repeat(64)}`, content);
    assert.equal(answer.status, 422);
    assert.equal(codeOf(answer), 'ARTIFACT_DIGEST_MISMATCH');
    assert.ok(!held.has('11'.repeat(64)));
  });

  it('refuses an upload that announces too much before reading it', async () => {
    const answer = await call('PUT', `/v1/artifacts/${'22'.repeat(64)}`, undefined, {
      'content-length': String(300 * 1024 * 1024),
    }).catch(() => undefined);
    assert.ok(answer === undefined || answer.status === 413);
  });

  it('keeps nothing of a small upload that was cut off', async () => {
    const socket = createConnection(server.port, HOST);
    const head = `PUT /v1/artifacts/${'33'.repeat(64)} HTTP/1.1\r\nhost: a\r\ncontent-length: 100`;
    await new Promise<void>((resolve) => {
      socket.write(`${head}\r\n\r\nabc`, () => resolve());
    });
    socket.destroy();
    // Whoever comes later is answered later.
    assert.equal((await call('GET', '/checkpoint')).status, 200);
    assert.ok(!held.has('33'.repeat(64)));
  });

  it('keeps nothing of a large upload that was cut off', async () => {
    const socket = createConnection(server.port, HOST);
    const before = { ...puts };
    const length = SMALL_BYTES_MAX + 1;
    socket.write(
      `PUT /v1/artifacts/${'34'.repeat(64)} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\nabc`,
    );
    await until('the upload has begun', () => puts.begun > before.begun);
    socket.destroy();
    await until('the upload has ended', () => puts.ended > before.ended);
    assert.ok(!held.has('34'.repeat(64)));
  });
});

describe('places for uploads', () => {
  /** More than a small artifact has: those have other places. */
  const LARGE = 'x'.repeat(SMALL_BYTES_MAX + 1);
  const digest = (byte: number): string => Buffer.alloc(64, byte).toString('hex');

  /** An upload that has begun and does not go on. */
  async function begin(byte: number): Promise<Socket> {
    const socket = createConnection(server.port, HOST);
    socket.on('error', () => undefined);
    const { begun } = puts;
    socket.write(
      `PUT /v1/artifacts/${digest(byte)} HTTP/1.1\r\nhost: a\r\ncontent-length: ${LARGE.length}\r\n\r\nabc`,
    );
    await until('the upload has begun', () => puts.begun > begun);
    return socket;
  }

  it('are not all for one address', async () => {
    const begun = [await begin(0x41), await begin(0x42)];
    const third = await call('PUT', `/v1/artifacts/${digest(0x43)}`, LARGE);
    assert.equal(third.status, 503);
    assert.equal(codeOf(third), 'BUSY');
    const small = await call('PUT', `/v1/artifacts/${digest(0x44)}`, 'x');
    assert.equal(small.status, 422, 'small ones do not wait for large ones');
    for (const socket of begun) socket.destroy();
    // Taken in and judged: the places are free again, as soon as it is noticed that they have hung up.
    const again = (): Promise<Answer> => call('PUT', `/v1/artifacts/${digest(0x43)}`, LARGE);
    let answer = await again();
    while (answer.status === 503) answer = await again();
    assert.equal(answer.status, 422);
  });
});

describe('POST /v1/artifacts', () => {
  const [known, unknown] = [Buffer.from('known'), Buffer.from('unknown')];
  const digests = [known, unknown].map((bytes) => createHash('sha512').update(bytes).digest());

  it('gives the small artifacts that are held, and says which are not', async () => {
    held.set(digests[0]?.toString('hex') ?? '', known);
    const url = `http://${HOST}:${server.port}/v1/artifacts`;
    const answer = await fetch(url, { method: 'POST', body: Buffer.concat(digests) });
    assert.equal(answer.status, 200);
    const parcel = new Uint8Array(await answer.arrayBuffer());
    const found = parseParcel(parcel, 2) ?? assert.fail('not an answer');
    assert.deepEqual(
      found.map((item) => (typeof item === 'string' ? item : Buffer.from(item).toString())),
      ['known', 'absent'],
    );
  });

  it('gives parcels of every size, one after the other', async () => {
    const url = `http://${HOST}:${server.port}/v1/artifacts`;
    // The length of one answer must not become that of the next: nothing of a parcel would be read then.
    for (const count of [1, 40, 2, 7]) {
      const bodies = Array.from({ length: count }, (_, i) => Buffer.from(`body ${count} ${i}`));
      const asked = bodies.map((bytes) => createHash('sha512').update(bytes).digest());
      for (const [i, bytes] of bodies.entries()) held.set(asked[i]?.toString('hex') ?? '', bytes);
      const answer = await fetch(url, { method: 'POST', body: Buffer.concat(asked) });
      const found = parseParcel(new Uint8Array(await answer.arrayBuffer()), count);
      assert.deepEqual(
        found?.map((item) => (typeof item === 'string' ? item : Buffer.from(item).toString())),
        bodies.map(String),
      );
    }
  });

  it('refuses what are no digests', async () => {
    const answer = await call('POST', '/v1/artifacts', 'abc');
    assert.equal(answer.status, 400);
    assert.equal(codeOf(answer), 'REQUEST_MALFORMED');
  });
});

describe('rate limits', () => {
  it('refuse an address that writes too much, and only its writes', async () => {
    const limited = await serve(
      createPublicApp(face, silentLog, 1, () => 0),
      HOST,
      0,
    );
    try {
      next = async () => ({ kind: 'pending', id: ID });
      const statuses: number[] = [];
      for (let i = 0; i < 11; i++) {
        const url = `http://${HOST}:${limited.port}/v1/entries`;
        statuses.push((await fetch(url, { method: 'POST', body: '{}' })).status);
      }
      assert.deepEqual(statuses, [...Array<number>(10).fill(202), 429]);
      assert.equal((await fetch(`http://${HOST}:${limited.port}/checkpoint`)).status, 200);
    } finally {
      await limited.close(0);
    }
  });
});

describe('the socket', () => {
  it('refuses headers over 8 KiB', async () => {
    const answer = await call('GET', '/checkpoint', undefined, { x: 'y'.repeat(9000) });
    assert.equal(answer.status, 431);
  });

  it('answers preflights of browsers', async () => {
    const answer = await call('OPTIONS', '/v1/evidence');
    assert.equal(answer.status, 204);
    assert.equal(answer.headers['access-control-allow-origin'], '*');
  });

  const malformed: readonly [string, string][] = [
    [
      'two lengths',
      'POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\n{}',
    ],
    [
      'a length and chunks',
      'POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n',
    ],
    ['no host', 'GET /checkpoint HTTP/1.1\r\n\r\n'],
    ['nonsense', '\u0000\u0001\u0002\r\n\r\n'],
  ];
  for (const [why, text] of malformed) {
    it(`refuses ${why} and goes on`, async () => {
      const socket = createConnection(server.port, HOST);
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => received.push(chunk));
      socket.on('error', () => undefined);
      socket.write(text);
      await new Promise((resolve) => socket.once('close', resolve));
      assert.match(Buffer.concat(received).toString(), /^HTTP\/1\.1 400 /);
      assert.equal((await call('GET', '/checkpoint')).status, 200);
    });
  }
});

describe('a body that is refused before its end', () => {
  // What is left of it would be read as the next request.
  const rest = 'GET /smuggled HTTP/1.1\r\nhost: a\r\n\r\n';
  const rows: readonly (readonly [why: string, head: string, status: string])[] = [
    ['too long', 'POST /v1/entries HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n', '413'],
    ['for no route', 'PUT /nowhere HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n', '404'],
    [
      'under no digest',
      'PUT /v1/artifacts/x HTTP/1.1\r\nhost: a\r\ncontent-length: 70000\r\n\r\n',
      '400',
    ],
  ];
  for (const [why, head, status] of rows) {
    it(`is the last on its connection: ${why}`, async () => {
      const socket = createConnection(server.port, HOST);
      const received: Buffer[] = [];
      socket.on('data', (chunk: Buffer) => {
        received.push(chunk);
        if (received.length === 1) socket.write(rest);
      });
      socket.on('error', () => undefined);
      socket.write(head);
      await new Promise((resolve) => socket.once('close', resolve));
      const text = Buffer.concat(received).toString();
      assert.match(text, new RegExp(`^HTTP/1\\.1 ${status} `));
      assert.match(text, /\r\nconnection: close\r\n/i);
      assert.equal(text.match(/HTTP\/1\.1 /g)?.length, 1, text);
    });
  }
});

async function until(what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!holds()) {
    assert.ok(performance.now() < deadline, `never: ${what}`);
    await sleep(5);
  }
}
