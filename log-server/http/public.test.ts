// What anybody may read of a replica, and where its sockets draw the line.
import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { describe, it } from 'node:test';

import {
  CONTRADICTION_ID,
  HOST,
  ID,
  NOTE,
  REPORT_ID,
  call,
  codeOf,
  committedBatch,
  face,
  port,
  replica,
  usePublicServer,
} from '../../fixtures/public-face.ts';
import { decodeMessage } from '../../verifier/replication/encode-message.ts';
import { silentLog } from '../log.ts';
import { createPublicApp } from './public.ts';
import { serve } from './server.ts';

describe('public reads', () => {
  usePublicServer();

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
    const before = replica.figuresMade;
    const texts = await Promise.all(Array.from({ length: 5 }, ask));
    assert.ok(
      texts.every((text) => text.includes('bftpkg_tree_size 3')),
      texts[0],
    );
    nowMs = 999;
    await ask();
    assert.equal(replica.figuresMade - before, 1);
    nowMs = 1000;
    await ask();
    assert.equal(replica.figuresMade - before, 2);
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
    const answer = await fetch(`http://${HOST}:${port()}/v1/batches/1`);
    const message = decodeMessage(new Uint8Array(await answer.arrayBuffer()));
    assert.deepEqual(message, { kind: 'batches', batches: [committedBatch()] });
  });

  it('says 503 before the first checkpoint', async () => {
    replica.hasCheckpoint = false;
    const answer = await call('GET', '/checkpoint');
    replica.hasCheckpoint = true;
    assert.equal(answer.status, 503);
    assert.equal(codeOf(answer), 'NOT_READY');
    assert.equal(answer.headers['retry-after'], '1');
  });

  it('says 503 with the failing check when clients should go elsewhere', async () => {
    replica.isReady = false;
    const answer = await call('GET', '/readyz');
    replica.isReady = true;
    assert.equal(answer.status, 503);
    assert.match(answer.body, /"peers","ok":false/);
  });

  it('answers audits of npm with an empty object', async () => {
    const answer = await call('POST', '/npm/-/npm/v1/security/advisories/bulk', '{"a":["1.0.0"]}');
    assert.equal(answer.status, 200);
    assert.deepEqual(JSON.parse(answer.body), {});
  });
});

describe('POST /v1/evidence', () => {
  usePublicServer();

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

describe('rate limits', () => {
  usePublicServer();

  it('refuse an address that writes too much, and only its writes', async () => {
    const limited = await serve(
      createPublicApp(face, silentLog, 1, () => 0),
      HOST,
      0,
    );
    try {
      replica.next = async () => ({ kind: 'pending', id: ID });
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
  usePublicServer();

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
      const socket = createConnection(port(), HOST);
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
  usePublicServer();

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
      const socket = createConnection(port(), HOST);
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
