// Artifacts that are handed in and given out, one by one and in parcels.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { describe, it } from 'node:test';

import {
  type Answer,
  HOST,
  call,
  codeOf,
  held,
  port,
  puts,
  until,
  usePublicServer,
} from '../../fixtures/public-face.ts';
import { SMALL_BYTES_MAX } from '../store/small-artifact.ts';
import { parseParcel } from './artifact-parcel.ts';

describe('/v1/artifacts', () => {
  usePublicServer();

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
    const socket = createConnection(port(), HOST);
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
    const socket = createConnection(port(), HOST);
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
  usePublicServer();

  /** More than a small artifact has: those have other places. */
  const LARGE = 'x'.repeat(SMALL_BYTES_MAX + 1);
  const digest = (byte: number): string => Buffer.alloc(64, byte).toString('hex');

  /** An upload that has begun and does not go on. */
  async function begin(byte: number): Promise<Socket> {
    const socket = createConnection(port(), HOST);
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
  usePublicServer();

  const [known, unknown] = [Buffer.from('known'), Buffer.from('unknown')];
  const digests = [known, unknown].map((bytes) => createHash('sha512').update(bytes).digest());

  it('gives the small artifacts that are held, and says which are not', async () => {
    held.set(digests[0]?.toString('hex') ?? '', known);
    const url = `http://${HOST}:${port()}/v1/artifacts`;
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
    const url = `http://${HOST}:${port()}/v1/artifacts`;
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
