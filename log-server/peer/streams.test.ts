import assert from 'node:assert/strict';
import { createConnection } from 'node:net';
import { describe, it } from 'node:test';

import { PeerStream } from '../../fixtures/peer-stream.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { silentLog } from '../log.ts';
import { AnswerReader, encodeAcknowledgement } from './answers.ts';
import {
  FRAME_BYTES_MAX,
  FRAME_HEADER_LENGTH,
  FRAME_PREFIX_LENGTH,
  acknowledge,
  encodeFrame,
} from './frames.ts';
import { Initiator } from './handshake.ts';
import type { SessionKeys } from './handshake.ts';
import { PeerListener } from './listener.ts';
import { openingOf } from './upgrade.ts';

/** Only a hang meets it. */
const PATIENCE_MS = 120_000;

const HOST = '127.0.0.1';
const key = (n: number): SigningKey => SigningKey.fromSeed(new Uint8Array(32).fill(n));
const [ALICE, BOB, CAROL] = [key(1), key(2), key(3)];

/** Bob's listener, and who may talk to it. */
class Bob {
  readonly heard: string[] = [];
  readonly peers: Set<string> = new Set(
    [ALICE, CAROL].map(({ publicKey }) => publicKeyHex(publicKey)),
  );
  readonly listener: PeerListener;
  #port = 0;

  constructor() {
    const context = { origin: 'log.example', epoch: 0, signer: BOB };
    this.listener = new PeerListener(
      () => ({ context, peers: this.peers }),
      {
        received: (_, messages) =>
          this.heard.push(...messages.map((message) => Buffer.from(message).toString())),
        room: () => undefined,
        connected: () => undefined,
      },
      silentLog,
    );
  }

  async listen(): Promise<void> {
    this.#port = await this.listener.listen(HOST, 0);
  }

  get port(): number {
    return this.#port;
  }

  get url(): string {
    return `http://${HOST}:${this.#port}`;
  }

  /** A handshake. */
  async greet(signer = ALICE): Promise<SessionKeys> {
    const post = async (path: string, body: string): Promise<string> => {
      const answer = await fetch(`${this.url}${path}`, { method: 'POST', body });
      assert.equal(answer.status, 200);
      return answer.text();
    };
    const challenge = Buffer.from(await post('/peer/challenge', ''), 'hex');
    const context = { origin: 'log.example', epoch: 0, signer };
    const initiator = new Initiator(context, BOB.publicKey, challenge);
    return initiator.finish(await post('/peer/hello', initiator.hello));
  }

  /** @param counter of the frame that opens it */
  async upgrade(keys: SessionKeys, counter?: number): Promise<PeerStream> {
    const { stream, status, text } = await PeerStream.open(this.url, openingOf(keys, counter));
    return stream ?? assert.fail(`status ${status} ${text}`);
  }
}

/** Runs with a listener that is closed at the end, whatever is open then. */
async function withBob(run: (bob: Bob) => Promise<void>): Promise<void> {
  const bob = new Bob();
  await bob.listen();
  try {
    await run(bob);
  } finally {
    await bob.listener.close();
  }
}

const frame = (keys: SessionKeys, counter: number, text = `m${counter}`): Uint8Array =>
  encodeFrame(keys.id, counter, keys.requestKey, [utf8(text)]);

const acknowledged = (keys: SessionKeys, counter: number): unknown => ({
  kind: 'acknowledged',
  mac: Uint8Array.from(acknowledge(keys.id, counter, keys.responseKey)),
});

describe('a stream to a listener', { timeout: PATIENCE_MS }, () => {
  it('carries frames, and answers each', async () => {
    await withBob(async (bob) => {
      const keys = await bob.greet();
      const stream = await bob.upgrade(keys);
      for (const counter of [2, 3, 7]) {
        stream.write(frame(keys, counter));
        assert.deepEqual(await stream.answer(), acknowledged(keys, counter));
      }
      assert.deepEqual(bob.heard, ['m2', 'm3', 'm7']);
    });
  });

  const notOpened: readonly (readonly [string, string | undefined, string, number, RegExp])[] = [
    ['no frame', undefined, 'bftpkg-frames/1', 401, /no opening frame/],
    ['an unknown session', '00'.repeat(56), 'bftpkg-frames/1', 401, /unknown session/],
    ['half a frame', '00'.repeat(28), 'bftpkg-frames/1', 401, /no opening frame/],
    ['what is no frame', 'zz'.repeat(56), 'bftpkg-frames/1', 401, /hex/],
    ['a later version', '00'.repeat(56), 'bftpkg-frames/2', 426, /speaks bftpkg-frames\/1, not/],
    ['another protocol', '00'.repeat(56), 'websocket', 426, /speaks bftpkg-frames\/1, not/],
  ];
  for (const [why, opening, protocol, status, reason] of notOpened) {
    it(`is not opened for ${why}, and says so`, async () => {
      await withBob(async (bob) => {
        await bob.greet();
        const answer = await PeerStream.open(bob.url, opening, protocol);
        assert.equal(answer.status, status);
        assert.match(answer.text, reason);
      });
    });
  }

  // A session's name goes over the wire, and so does every frame: whoever listens has them all.
  const overheard: readonly [string, (keys: SessionKeys) => Uint8Array, RegExp][] = [
    ['its name alone', ({ id }) => padded(id), /MAC does not fit/],
    ['its name and a counter', ({ id }) => forged(id, 9), /MAC does not fit/],
    ['the frame that opened it', (keys) => openingOf(keys), /replayed/],
    ['a frame that was taken', (keys) => openingOf(keys, 2), /replayed/],
    ['a frame with messages', (keys) => frame(keys, 9).subarray(4), /no opening frame/],
  ];
  for (const [why, make, reason] of overheard) {
    it(`is not opened for a stranger who knows of a session ${why}`, async () => {
      await withBob(async (bob) => {
        const keys = await bob.greet();
        const stream = await bob.upgrade(keys);
        stream.write(encodeFrame(keys.id, 2, keys.requestKey, []));
        assert.deepEqual(await stream.answer(), acknowledged(keys, 2));
        const answer = await PeerStream.open(bob.url, make(keys));
        assert.equal(answer.status, 401);
        assert.match(answer.text, reason);
        stream.write(frame(keys, 3));
        assert.deepEqual(await stream.answer(), acknowledged(keys, 3));
      });
    });
  }

  const requests: readonly [string, string][] = [
    ['on another route', 'GET /peer/hello HTTP/1.1\r\n'],
    ['by another method', 'POST /peer/frames HTTP/1.1\r\n'],
    ['with a body', 'GET /peer/frames HTTP/1.1\r\ncontent-length: 9\r\n'],
  ];
  for (const [why, start] of requests) {
    it(`is not opened ${why}`, async () => {
      await withBob(async (bob) => {
        const opening = Buffer.from(openingOf(await bob.greet())).toString('hex');
        const socket = createConnection(bob.port, HOST);
        socket.on('error', () => undefined);
        let answer = '';
        socket.on('data', (chunk: Buffer) => (answer += chunk.toString()));
        socket.write(`${start}host: a\r\nconnection: upgrade\r\nbftpkg-opening: ${opening}\r\n`);
        socket.write('upgrade: bftpkg-frames/1\r\n\r\n');
        await new Promise((resolve) => socket.once('close', resolve));
        assert.match(answer, /^HTTP\/1.1 401 /);
      });
    });
  }

  it('takes frames that come together with the request for it', async () => {
    await withBob(async (bob) => {
      const keys = await bob.greet();
      const answer = await answerTo(bob, keys, frame(keys, 2));
      assert.match(answer.toString('latin1'), /^HTTP\/1.1 101 /);
      const mac = acknowledge(keys.id, 2, keys.responseKey);
      assert.deepEqual(answer.subarray(-33), Buffer.from(encodeAcknowledgement(mac)));
    });
  });

  it('is closed for garbage that comes together with the request for it', async () => {
    await withBob(async (bob) => {
      const keys = await bob.greet();
      const answer = await answerTo(bob, keys, utf8('GET / HTTP/1.1\r\nhost: a\r\n\r\n'));
      assert.match(answer.toString('latin1'), /frame too long$/);
    });
  });

  const bad: readonly [string, (keys: SessionKeys) => Uint8Array, RegExp][] = [
    ['a frame that was there before', (keys) => frame(keys, 5), /replayed/],
    ['an older frame', (keys) => frame(keys, 4), /replayed/],
    ['a wrong MAC', (keys) => flipped(frame(keys, 6)), /MAC does not fit/],
    ['another session', (keys) => frame({ ...keys, id: new Uint8Array(16) }, 6), /unknown session/],
    ['no length', () => new Uint8Array(4), /shorter than its header/],
    ['a length above the largest', () => tooLong(), /too long/],
    ['the start of a frame of another session', () => cutStranger(), /unknown session/],
    ['two frames at once', (keys) => both(frame(keys, 6), frame(keys, 7)), /before the answer/],
    [
      'the start of one behind another',
      (keys) => both(frame(keys, 6), frame(keys, 7).subarray(0, 1)),
      /before the answer/,
    ],
  ];
  for (const [why, make, reason] of bad) {
    it(`is closed for ${why}, with the reason, and the session goes on`, async () => {
      await withBob(async (bob) => {
        const keys = await bob.greet();
        const stream = await bob.upgrade(keys);
        stream.write(frame(keys, 5));
        assert.deepEqual(await stream.answer(), acknowledged(keys, 5));
        stream.write(make(keys));
        const answer = await stream.answer();
        assert.match(answer.kind === 'refused' ? answer.reason : answer.kind, reason);
        assert.deepEqual(await stream.answer(), { kind: 'closed' });
        const second = await bob.upgrade(keys, 7);
        second.write(frame(keys, 8));
        assert.deepEqual(await second.answer(), acknowledged(keys, 8));
        assert.deepEqual(bob.heard, ['m5', 'm8']);
      });
    });
  }

  it('is not cut off by what somebody says on another one', async () => {
    await withBob(async (bob) => {
      const keys = await bob.greet();
      const stream = await bob.upgrade(keys);
      stream.write(frame(keys, 2));
      assert.deepEqual(await stream.answer(), acknowledged(keys, 2));
      const other = await bob.upgrade(keys, 3);
      other.write(frame(keys, 2));
      assert.equal((await other.answer()).kind, 'refused');
      stream.write(frame(keys, 4));
      assert.deepEqual(await stream.answer(), acknowledged(keys, 4));
    });
  });

  it('is closed when a newer session opens one, not before', async () => {
    await withBob(async (bob) => {
      const old = await bob.greet();
      const stream = await bob.upgrade(old);
      const keys = await bob.greet();
      stream.write(frame(old, 2));
      assert.deepEqual(await stream.answer(), acknowledged(old, 2));
      const next = await bob.upgrade(keys);
      assert.deepEqual(await stream.answer(), { kind: 'closed' });
      next.write(frame(keys, 2));
      assert.deepEqual(await next.answer(), acknowledged(keys, 2));
    });
  });

  // Only there the whole of 127.0.0.0/8 is this machine.
  const isLinux = process.platform === 'linux';
  it(
    'is one of few of its replica, whichever addresses they come from',
    { skip: !isLinux },
    async () => {
      await withBob(async (bob) => {
        const keys = await bob.greet();
        const start = frame(keys, 1000).subarray(0, 40);
        const streams: PeerStream[] = [];
        for (let i = 1; i <= 40; i++) {
          const from = `127.0.0.${2 + (i % 4)}`;
          const { stream } = await PeerStream.open(bob.url, openingOf(keys, i), undefined, from);
          stream?.write(start);
          if (stream !== undefined) streams.push(stream);
        }
        assert.equal(streams.length, 40);
        await eventually(() => streams.filter(({ isClosed }) => !isClosed).length <= 4);
        const last = streams.at(-1) ?? assert.fail('no stream');
        last.write(frame(keys, 1000).subarray(40));
        assert.deepEqual(await last.answer(), acknowledged(keys, 1000));
        const other = await bob.greet(CAROL);
        const next = await bob.upgrade(other);
        next.write(frame(other, 2));
        assert.deepEqual(await next.answer(), acknowledged(other, 2));
      });
    },
  );

  it('is closed when its replica leaves the roster', async () => {
    await withBob(async (bob) => {
      const keys = await bob.greet();
      const stream = await bob.upgrade(keys);
      bob.peers.clear();
      bob.listener.directoryChanged();
      assert.deepEqual(await stream.answer(), { kind: 'closed' });
      assert.equal((await PeerStream.open(bob.url, openingOf(keys, 2))).status, 401);
    });
  });

  it('is closed with its listener, in the middle of a frame too', async () => {
    const streams: PeerStream[] = [];
    await withBob(async (bob) => {
      const keys = await bob.greet();
      streams.push(await bob.upgrade(keys), await bob.upgrade(keys, 2));
      streams[0]?.write(frame(keys, 3).subarray(0, 30));
    });
    for (const stream of streams) assert.deepEqual(await stream.answer(), { kind: 'closed' });
  });

  /** What comes back for a request with something behind it, in one packet, until nothing comes any more. */
  async function answerTo(bob: Bob, keys: SessionKeys, behind: Uint8Array): Promise<Buffer> {
    const opening = Buffer.from(openingOf(keys)).toString('hex');
    const head =
      'GET /peer/frames HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\n' +
      `upgrade: bftpkg-frames/1\r\nbftpkg-opening: ${opening}\r\n\r\n`;
    const socket = createConnection(bob.port, HOST);
    socket.on('error', () => undefined);
    const chunks: Buffer[] = [];
    const reader = new AnswerReader();
    await new Promise<void>((resolve) => {
      socket.once('close', () => resolve());
      socket.on('data', (chunk: Buffer) => {
        chunks.push(chunk);
        const all = Buffer.concat(chunks);
        const end = all.indexOf('\r\n\r\n');
        if (end < 0 || all.length <= end + 4) return;
        if (reader.read(all.subarray(end + 4)) !== undefined) resolve();
      });
      socket.write(Buffer.concat([utf8(head), behind]));
    });
    socket.destroy();
    return Buffer.concat(chunks);
  }
});

function both(...parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function flipped(frameBytes: Uint8Array): Uint8Array {
  const last = frameBytes.length - 1;
  return frameBytes.map((byte, i) => (i === last ? byte ^ 1 : byte));
}

function tooLong(): Uint8Array {
  const start = new Uint8Array(FRAME_PREFIX_LENGTH);
  new DataView(start.buffer).setUint32(0, FRAME_BYTES_MAX + 1);
  return start;
}

/** A frame of a session whose key nobody has: all of it but the MAC is right. */
function forged(session: Uint8Array, counter: number): Uint8Array {
  return openingOf({ id: session, requestKey: new Uint8Array(32) }, counter);
}

function padded(session: Uint8Array): Uint8Array {
  const opening = new Uint8Array(FRAME_HEADER_LENGTH);
  opening.set(session);
  return opening;
}

/** As much as says that it is another session's, and not a byte more. */
function cutStranger(): Uint8Array {
  return encodeFrame(new Uint8Array(16).fill(9), 1, new Uint8Array(32), []).subarray(0, 20);
}

async function eventually(isSo: () => boolean): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!isSo()) {
    assert.ok(Date.now() < deadline, 'it never came');
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
