// What strangers who open uploads and send nothing, or hang up anywhere, leave to everybody else: all of it. They
// are at 127.0.0.2 and above: only on Linux is that this machine too.
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import { after, describe, it } from 'node:test';

import * as fc from 'fast-check';

import { HOST, call, port, replica, until, usePublicServer } from '../../fixtures/public-face.ts';
import { formatSubmissionParcel } from '../../verifier/submission-parcel.ts';
import {
  SMALL_PARCEL_BYTES_MAX,
  SMALL_UPLOADS_MAX,
  SMALL_UPLOADS_PER_ADDRESS_MAX,
  SUBMISSION_PARCELS_MAX,
  SUBMISSION_PARCELS_PER_ADDRESS_MAX,
  UPLOADS_MAX,
  UPLOADS_PER_ADDRESS_MAX,
} from './limits.ts';

/** Only a hang meets it. */
const PATIENCE_MS = 120_000;

const SMALL_BYTES = 1000;
const LARGE_BYTES = 70_000;

interface Kind {
  readonly what: string;
  readonly places: number;
  readonly perAddress: number;
  /** Of a request. */
  readonly path: string;
  readonly method: string;
  /** A whole body that is taken, and not stored yet. */
  readonly body: (seed: string) => Uint8Array;
}

const bytesOf = (seed: string, length: number): Buffer => Buffer.alloc(length, `${seed} `);
const sha512 = (bytes: Uint8Array): Buffer => createHash('sha512').update(bytes).digest();

function parcelOf(seed: string, count: number): Uint8Array {
  const artifacts = Array.from({ length: count }, (_, i) => {
    const bytes = bytesOf(`${seed} ${i}`, 50_000);
    return { bytes, sha512: sha512(bytes) };
  });
  return formatSubmissionParcel([{ artifacts, envelope: bytesOf(seed, 100) }]);
}

const KINDS: readonly Kind[] = [
  {
    what: 'small artifacts',
    places: SMALL_UPLOADS_MAX,
    perAddress: SMALL_UPLOADS_PER_ADDRESS_MAX,
    method: 'PUT',
    path: '/v1/artifacts/',
    body: (seed) => bytesOf(seed, SMALL_BYTES),
  },
  {
    what: 'submissions with small artifacts',
    places: SMALL_UPLOADS_MAX,
    perAddress: SMALL_UPLOADS_PER_ADDRESS_MAX,
    method: 'POST',
    path: '/v1/submissions',
    body: (seed) => parcelOf(seed, 1),
  },
  {
    what: 'large artifacts',
    places: UPLOADS_MAX,
    perAddress: UPLOADS_PER_ADDRESS_MAX,
    method: 'PUT',
    path: '/v1/artifacts/',
    body: (seed) => bytesOf(seed, LARGE_BYTES),
  },
  {
    what: 'large requests with submissions',
    places: SUBMISSION_PARCELS_MAX,
    perAddress: SUBMISSION_PARCELS_PER_ADDRESS_MAX,
    method: 'POST',
    path: '/v1/submissions',
    body: (seed) => parcelOf(seed, 4),
  },
];

const pathOf = ({ method, path }: Kind, body: Uint8Array): string =>
  method === 'PUT' ? `${path}${sha512(body).toString('hex')}` : path;

/** A request that may stop anywhere. */
class Asked {
  readonly socket: Socket;
  /** 0 until there is an answer. */
  status = 0;

  /** @param sent bytes of the body that are sent */
  constructor(kind: Kind, seed: string, from: string, sent: number) {
    const body = kind.body(seed);
    this.socket = createConnection({ port: port(), host: HOST, localAddress: from });
    this.socket.on('error', () => undefined);
    this.socket.once('data', (chunk: Buffer) => {
      this.status = Number(chunk.toString('latin1', 9, 12));
    });
    const head = `${kind.method} ${pathOf(kind, body)} HTTP/1.1\r\nhost: a\r\n`;
    this.socket.write(`${head}content-length: ${body.length}\r\n\r\n`);
    this.socket.write(body.subarray(0, Math.min(sent, body.length)));
  }
}

describe('places for uploads', { skip: process.platform !== 'linux', timeout: PATIENCE_MS }, () => {
  usePublicServer();
  const open: Asked[] = [];
  after(() => leave());

  function leave(): void {
    for (const { socket } of open.splice(0)) socket.destroy();
  }

  /** More than its share of uploads that say nothing, of one address. @returns how many were refused at once */
  async function crowd(kind: Kind, network: number): Promise<number> {
    const count = kind.perAddress + 2;
    const asked = Array.from(
      { length: count },
      (_, i) => new Asked(kind, `${i}`, `127.0.0.${network}`, 0),
    );
    open.push(...asked);
    const refused = (): number => asked.filter(({ status }) => status === 503).length;
    await until('those above the share are refused', () => refused() >= 2);
    // Whoever else is to be refused is by the time that these are answered.
    for (let i = 0; i < 3; i++) await call('GET', '/checkpoint');
    return refused();
  }

  it('are what they are called', () => {
    const sizes = KINDS.map(({ body }) => body('a').length > SMALL_PARCEL_BYTES_MAX);
    assert.deepEqual(sizes, [false, false, false, true]);
  });

  for (const [i, kind] of KINDS.entries()) {
    it(`are there for others when a few addresses take all for ${kind.what}`, async () => {
      replica.next = async () => ({ kind: 'committed', id: 'a', index: 1 });
      for (let n = 0; n < kind.places / kind.perAddress; n++) await crowd(kind, 2 + n);
      const body = kind.body(`mine ${i}`);
      const answer = await call(kind.method, pathOf(kind, body), body);
      assert.ok([200, 201].includes(answer.status), `${answer.status} ${answer.body}`);
      leave();
    });
  }

  it('are all there again, wherever requests were cut', async () => {
    const step = fc.record({
      kind: fc.constantFrom(...KINDS),
      /** Of the body that is sent, in 256ths; some more than all. */
      sent: fc.nat(300),
      reset: fc.boolean(),
      waits: fc.nat(3),
    });
    replica.next = async () => ({ kind: 'committed', id: 'a', index: 1 });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 10, maxLength: 40 }), async (steps) => {
        run += 1;
        for (const [i, { kind, sent, reset, waits }] of steps.entries()) {
          const seed = `${run} ${i}`;
          const length = Math.floor((sent / 256) * kind.body(seed).length);
          const asked = new Asked(kind, seed, '127.0.0.9', length);
          for (let w = 0; w < waits; w++) await new Promise((resolve) => setTimeout(resolve, 1));
          if (reset) asked.socket.resetAndDestroy();
          else asked.socket.destroy();
        }
      }),
      { numRuns: 8 },
    );
    for (const kind of KINDS) {
      // Until it is noticed that they have hung up: a place that is never given back is missing every time.
      let refused = await crowd(kind, 9);
      for (let again = 0; again < 50 && refused > 2; again++) {
        leave();
        refused = await crowd(kind, 9);
      }
      leave();
      assert.equal(refused, 2, kind.what);
    }
  });
});
