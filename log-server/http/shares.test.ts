// What one stranger with many sockets leaves to everybody else. The stranger is at 127.0.0.2: only on Linux
// is that this machine too.
import assert from 'node:assert/strict';
import { createConnection, type Socket } from 'node:net';
import { Readable } from 'node:stream';
import { after, before, describe, it } from 'node:test';

import type { HttpBindings } from '@hono/node-server';

import { silentLog } from '../log.ts';
import type { PublicFace } from './face.ts';
import {
  ADMISSIONS_PER_NETWORK_MAX,
  ARTIFACT_READS_PER_NETWORK_MAX,
  EVIDENCE_REQUESTS_PER_NETWORK_MAX,
  WAITING_PER_NETWORK_MAX,
} from './limits.ts';
import { createPublicApp } from './public.ts';
import type { PublicApp } from './routes.ts';
import { serve, type PublicServer } from './server.ts';

const HOST = '127.0.0.1';
const STRANGER = '127.0.0.2';
const ID = 'ab'.repeat(32);
/** Far more than the two ends of a connection buffer. */
const LARGE_BYTES: number = 30 * 1024 * 1024;
const PIECE: Uint8Array = new Uint8Array(64 * 1024);

/** Answers when the test says so. */
class Held {
  waiting = 0;
  readonly #ends: (() => void)[] = [];

  async answer<T>(value: T): Promise<T> {
    this.waiting += 1;
    await new Promise<void>((resolve) => this.#ends.push(resolve));
    return value;
  }

  end(): void {
    for (const end of this.#ends.splice(0)) end();
  }
}

/** Artifacts that are read no more. */
let artifactsClosed = 0;
let evidenceText = '{"evidence":1}';
const evidence = new Held();
const heads = new Held();
const submissions = new Held();

const face = {
  artifacts: {
    smallNow: () => undefined,
    read: async () => ({
      size: LARGE_BYTES,
      chunks: async function* () {
        try {
          for (let sent = 0; sent < LARGE_BYTES; sent += PIECE.length) yield PIECE;
        } finally {
          artifactsClosed += 1;
        }
      },
    }),
  },
  store: {
    checkpoint: async () => undefined,
    evidence: () => evidence.answer([evidenceText]),
  },
  misbehaviourDocument: async () => 'x'.repeat(LARGE_BYTES),
  submit: () => submissions.answer({ kind: 'pending', id: ID }),
  reportHead: () => heads.answer({ kind: 'consistent' }),
} as unknown as PublicFace;

interface Asked {
  readonly socket: Socket;
  /** 0 when the connection ended without an answer. */
  readonly status: Promise<number>;
}

describe('shares', { skip: process.platform !== 'linux' }, () => {
  let server: PublicServer;
  const open: Socket[] = [];
  before(async () => {
    // Who does not read is not hung up on while this counts, however busy the machine is.
    const patient = { pace: { bytesPerSecond: 1, graceMs: 600_000 } };
    server = await serve(createPublicApp(face, silentLog, 1_000_000), HOST, 0, patient);
  });
  after(async () => {
    for (const socket of open) socket.destroy();
    await server.close(0);
  });

  /** Asks, reads the status, and nothing more. */
  function ask(from: string, text: string, body = '', to = server): Asked {
    const socket = createConnection({ port: to.port, host: HOST, localAddress: from });
    open.push(socket);
    socket.on('error', () => undefined);
    socket.write(`${text} HTTP/1.1\r\nhost: a\r\ncontent-length: ${body.length}\r\n\r\n${body}`);
    const status = new Promise<number>((resolve) => {
      socket.once('data', (chunk: Buffer) => {
        socket.pause();
        resolve(Number(chunk.toString('latin1', 9, 12)));
      });
      socket.once('close', () => resolve(0));
    });
    return { socket, status };
  }

  async function until(isTrue: () => boolean, what: string): Promise<void> {
    const deadline = Date.now() + 60_000;
    while (!isTrue()) {
      assert.ok(Date.now() < deadline, what);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  const request = JSON.stringify({ roster: ID, since: 0, subjects: ['pkg:npm/a'] });

  it('of evidence: a place for everybody, however much one asks', async () => {
    const asked = Array.from({ length: 12 }, () => ask(STRANGER, 'POST /v1/evidence', request));
    const refused = asked.slice(EVIDENCE_REQUESTS_PER_NETWORK_MAX);
    const statuses = await Promise.race([
      Promise.all(refused.map(({ status }) => status)),
      Promise.any(asked.map(async ({ status }) => [await status])),
    ]);
    assert.equal(statuses[0], 503, 'what exceeds its share');
    await until(() => evidence.waiting >= 1, 'one is made');
    const other = ask(HOST, 'POST /v1/evidence', request);
    await until(() => evidence.waiting >= 2, 'another one’s is made beside it');
    assert.equal(evidence.waiting, 2, 'one at a time for each');
    const timer = setInterval(() => evidence.end(), 5);
    assert.equal(await other.status, 200);
    const all = await Promise.all(asked.map(({ status }) => status));
    clearInterval(timer);
    assert.deepEqual(
      all.toSorted((a, b) => a - b),
      [...Array.from({ length: 8 }, () => 200), ...Array.from({ length: 4 }, () => 503)],
    );
  });

  it('of heads that are judged: one for each network', async () => {
    const first = ask(STRANGER, 'POST /v1/contradictions', 'note');
    await until(() => heads.waiting === 1, 'one is judged');
    const more = Array.from({ length: 5 }, () => ask(STRANGER, 'POST /v1/contradictions', 'note'));
    for (const { status } of more) assert.equal(await status, 503);
    const other = ask(HOST, 'POST /v1/contradictions', 'note');
    await until(() => heads.waiting === 2, 'another one’s is judged');
    heads.end();
    assert.deepEqual([await first.status, await other.status], [200, 200]);
  });

  const submitted: readonly (readonly [string, string, number])[] = [
    ['that wait', 'POST /v1/entries?wait=30', WAITING_PER_NETWORK_MAX],
    ['that are admitted', 'POST /v1/entries', ADMISSIONS_PER_NETWORK_MAX],
  ];
  for (const [which, path, share] of submitted) {
    it(`of submissions ${which}: those of one network leave places to others`, async () => {
      const asked = Array.from({ length: share + 2 }, () => ask(STRANGER, path, '{}'));
      const refused = asked.map(async ({ status }) => status);
      await until(() => submissions.waiting === share, 'its share is taken');
      const other = ask(HOST, path, '{}');
      await until(() => submissions.waiting === share + 1, 'another network has a place');
      submissions.end();
      submissions.waiting = 0;
      const statuses = await Promise.all(refused);
      assert.equal(statuses.filter((status) => status === 503).length, 2);
      assert.equal(await other.status, 202);
      for (const socket of open.splice(0)) socket.destroy();
    });
  }

  it('of answers in memory: who reads none gets no more of them', async () => {
    const answers: number[] = [];
    for (let i = 0; i < 4; i++) {
      answers.push(await ask(STRANGER, `GET /v1/misbehaviour/${ID}`).status);
    }
    assert.deepEqual(answers, [200, 200, 503, 503]);
    assert.equal(await ask(HOST, `GET /v1/misbehaviour/${ID}`).status, 200);
    for (const socket of open.splice(0)) socket.destroy();
    const again = async (): Promise<number> => ask(STRANGER, `GET /v1/misbehaviour/${ID}`).status;
    let status = await again();
    for (let i = 0; i < 200 && status === 503; i++) status = await again();
    assert.equal(status, 200, 'what nobody waits for is not counted');
  });

  it('of large artifacts: who reads none gets no more of them', async () => {
    const path = `GET /v1/artifacts/${'ab'.repeat(64)}`;
    const asked = Array.from({ length: ARTIFACT_READS_PER_NETWORK_MAX + 2 }, () =>
      ask(STRANGER, path),
    );
    const statuses = await Promise.all(asked.map(({ status }) => status));
    assert.equal(
      statuses.filter((status) => status === 200).length,
      ARTIFACT_READS_PER_NETWORK_MAX,
    );
    assert.equal(statuses.filter((status) => status === 503).length, 2);
    assert.equal(await ask(HOST, path).status, 200);
  });

  it('of sockets: who opens many keeps nobody out', async () => {
    const small = await serve(createPublicApp(face, silentLog, 1), HOST, 0, {
      sockets: { max: 20, perNetwork: 12, gives: 'newest' },
    });
    const asked = Array.from({ length: 40 }, () => ask(STRANGER, 'GET /npm/-/ping', '', small));
    const statuses = await Promise.all(asked.map(({ status }) => status));
    assert.ok(statuses.includes(0), 'what exceeds its share is hung up on');
    assert.equal(await ask(HOST, 'GET /npm/-/ping', '', small).status, 200);
    await small.close(0);
  });

  /** A server of its own, and the answers that it has been asked for. */
  async function watched(of: PublicFace = face): Promise<{
    server: PublicServer;
    asked: HttpBindings['outgoing'][];
  }> {
    const app = createPublicApp(of, silentLog, 1_000_000);
    const asked: HttpBindings['outgoing'][] = [];
    const fetch = (request: Request, env: HttpBindings): ReturnType<PublicApp['fetch']> => {
      asked.push(env.outgoing);
      return app.fetch(request, env);
    };
    return { server: await serve({ fetch } as unknown as PublicApp, HOST, 0), asked };
  }

  it('of answers in memory: whoever hangs up while one is made leaves nothing behind', async () => {
    const { server: own, asked } = await watched();
    evidenceText = 'x'.repeat(20 * 1024 * 1024);
    for (let i = 0; i < 5; i++) {
      const begun = evidence.waiting;
      const { socket } = ask(STRANGER, 'POST /v1/evidence', request, own);
      await until(() => evidence.waiting > begun, 'it is made');
      socket.destroy();
      await until(() => asked[i]?.closed === true, 'it is hung up on');
      evidence.end();
    }
    const begun = evidence.waiting;
    const last = ask(STRANGER, 'POST /v1/evidence', request, own);
    await until(() => evidence.waiting > begun, 'the last one is made');
    evidence.end();
    assert.equal(await last.status, 200, 'nothing is counted of what nobody gets');
    evidenceText = '{"evidence":1}';
    last.socket.destroy();
    await own.close(0);
  });

  it('of large artifacts: requests sent ahead hold no places when their connection ends', async () => {
    const { server: own, asked } = await watched();
    const path = `GET /v1/artifacts/${'ab'.repeat(64)}`;
    const ahead = `${path} HTTP/1.1\r\nhost: a\r\n\r\n`.repeat(ARTIFACT_READS_PER_NETWORK_MAX + 2);
    const begun = evidence.waiting;
    const first = ask(STRANGER, 'POST /v1/evidence', request, own);
    await until(() => evidence.waiting > begun, 'the first is answered slowly');
    first.socket.write(ahead);
    await until(() => asked.length > 2, 'more are asked for');
    first.socket.destroy();
    await until(() => asked[0]?.closed === true, 'it is hung up on');
    evidence.end();
    const honest = Array.from({ length: ARTIFACT_READS_PER_NETWORK_MAX }, () =>
      ask(STRANGER, path, '', own),
    );
    const statuses = await Promise.all(honest.map(({ status }) => status));
    assert.deepEqual([...new Set(statuses)], [200], 'all places are free');
    for (const { socket } of honest) socket.destroy();
    await own.close(0);
  });

  it('of patience: who has all bytes may ask again before the answer has ended here', async () => {
    const end = new Held();
    const slowEnd = {
      artifacts: {
        smallNow: () => undefined,
        read: async () => ({
          size: PIECE.length,
          chunks: async function* () {
            yield PIECE;
            await end.answer(undefined);
          },
        }),
      },
    } as unknown as PublicFace;
    const { server: own, asked } = await watched(slowEnd);
    const text = `GET /v1/artifacts/${'ab'.repeat(64)} HTTP/1.1\r\nhost: a\r\n\r\n`;
    const socket = createConnection({ port: own.port, host: HOST });
    open.push(socket);
    let length = 0;
    socket.on('data', (chunk: Buffer) => (length += chunk.length));
    socket.write(text);
    await until(() => length > PIECE.length, 'all of it');
    socket.write(text);
    await until(() => asked.length === 2, 'asked again');
    end.end();
    await until(() => length > 2 * PIECE.length, 'all of it once more');
    assert.ok(!socket.destroyed, 'nobody was hung up on');
    end.end();
    socket.destroy();
    await own.close(0);
  });

  it('of requests that are read: who announces bodies and sends none keeps nobody out', async () => {
    const { server: own, asked } = await watched();
    const announce = (from: string, path: string, length: number): void => {
      const socket = createConnection({ port: own.port, host: HOST, localAddress: from });
      open.push(socket);
      socket.on('error', () => undefined);
      socket.write(`POST ${path} HTTP/1.1\r\nhost: a\r\ncontent-length: ${length}\r\n\r\n`);
    };
    const networks = Array.from({ length: 8 }, (_, i) => `127.0.0.${i + 2}`);
    for (const from of networks) {
      announce(from, '/v1/contradictions', 100);
      for (let i = 0; i < EVIDENCE_REQUESTS_PER_NETWORK_MAX; i++) {
        announce(from, '/v1/evidence', 100);
        announce(from, '/v1/evidence', 1_000_000);
      }
    }
    const count = networks.length * (1 + 2 * EVIDENCE_REQUESTS_PER_NETWORK_MAX);
    await until(() => asked.length === count, 'all are being read');
    const report = ask(HOST, 'POST /v1/contradictions', 'note', own);
    const small = ask(HOST, 'POST /v1/evidence', request, own);
    const timer = setInterval(() => {
      heads.end();
      evidence.end();
    }, 5);
    assert.deepEqual([await report.status, await small.status], [200, 200]);
    clearInterval(timer);
    await own.close(0);
  });

  const quick = { pace: { bytesPerSecond: 32 * 1024, graceMs: 300 }, paceIntervalMs: 50 };
  it('of patience: who reads nothing is hung up on, and who reads gets all', async () => {
    const server2 = await serve(createPublicApp(face, silentLog, 1), HOST, 0, quick);
    const path = `GET /v1/artifacts/${'ab'.repeat(64)}`;
    const reader = ask(HOST, path, '', server2);
    let length = 0;
    reader.socket.on('data', (chunk: Buffer) => (length += chunk.length));
    await reader.status;
    reader.socket.resume();
    await until(() => length > LARGE_BYTES, 'all of it');
    await until(() => artifactsClosed > 0, 'it was read to its end');
    const before = artifactsClosed;
    const sleeper = ask(HOST, path, '', server2);
    assert.equal(await sleeper.status, 200);
    await until(() => artifactsClosed > before, 'it is read no more');
    let got = 0;
    sleeper.socket.on('data', (chunk: Buffer) => (got += chunk.length));
    sleeper.socket.resume();
    await until(() => sleeper.socket.closed, 'the end');
    assert.ok(got < LARGE_BYTES, 'what was buffered, and then the end');
    await server2.close(0);
  });
});

describe('the rate of writes', () => {
  it('counts a /64 once', async () => {
    const app = createPublicApp(face, silentLog, 1, () => 0);
    const post = async (remoteAddress: string): Promise<number> => {
      const incoming = Object.assign(Readable.from([]), { socket: { remoteAddress }, headers: {} });
      const outgoing = { setHeader: () => undefined, once: () => undefined };
      const env = { incoming, outgoing } as unknown as HttpBindings;
      return (await app.request('/v1/entries', { method: 'POST' }, env)).status;
    };
    for (let i = 0; i < 10; i++) assert.notEqual(await post(`2001:db8::${i}`), 429, String(i));
    assert.equal(await post('2001:db8::ffff:ffff'), 429);
    assert.notEqual(await post('2001:db8:0:1::1'), 429);
  });
});
