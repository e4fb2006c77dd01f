import assert from 'node:assert/strict';
import { request } from 'node:http';
import { createConnection, createServer } from 'node:net';
import type { AddressInfo, Socket } from 'node:net';
import { after, describe, it } from 'node:test';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { silentLog } from '../log.ts';
import { FRAME_BYTES_MAX } from './frames.ts';
import { PeerTransport } from './transport.ts';
import type { PeerAddress, PeerGroup } from './transport.ts';

const HOST = '127.0.0.1';
const open: PeerTransport[] = [];
after(() => Promise.all(open.map((transport) => transport.close())));

const key = (n: number): SigningKey => SigningKey.fromSeed(new Uint8Array(32).fill(n));

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

interface Side {
  readonly transport: PeerTransport;
  readonly id: string;
  /** Waits until `count` messages have arrived in all. */
  readonly messages: (count: number) => Promise<string[]>;
}

function side(signer: SigningKey, others: readonly PeerAddress[], origin = 'log.example'): Side {
  const group: PeerGroup = { context: { origin, epoch: 0, signer }, peers: others };
  const arrived: string[] = [];
  const transport = new PeerTransport(group, silentLog, () => {
    for (const { message } of transport.inbox.take(100)) {
      arrived.push(Buffer.from(message).toString());
    }
  });
  open.push(transport);
  return {
    transport,
    id: publicKeyHex(signer.publicKey),
    messages: async (count) => {
      const deadline = Date.now() + 5000;
      while (arrived.length < count && Date.now() < deadline) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      return arrived;
    },
  };
}

const address = (name: string, signer: SigningKey, port: number): PeerAddress => ({
  name,
  voteKey: signer.publicKey,
  peerUrl: `http://${HOST}:${port}`,
});
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

async function pair(): Promise<{ alice: Side; bob: Side; portOfBob: number }> {
  const [portOfAlice, portOfBob] = [await freePort(), await freePort()];
  const alice = side(key(1), [address('bob', key(2), portOfBob)]);
  const bob = side(key(2), [address('alice', key(1), portOfAlice)]);
  await alice.transport.listen(HOST, portOfAlice);
  await bob.transport.listen(HOST, portOfBob);
  return { alice, bob, portOfBob };
}

describe('PeerTransport', () => {
  it('carries messages both ways, in order', async () => {
    const { alice, bob } = await pair();
    for (let i = 0; i < 50; i++) alice.transport.send(bob.id, bytes(`a${i}`));
    bob.transport.send(alice.id, bytes('b'));
    assert.deepEqual(
      await bob.messages(50),
      Array.from({ length: 50 }, (_, i) => `a${i}`),
    );
    assert.deepEqual(await alice.messages(1), ['b']);
    // The acknowledgement comes a moment after the messages.
    const deadline = Date.now() + 5000;
    while (alice.transport.connected.length === 0 && Date.now() < deadline) await pause(5);
    assert.deepEqual(alice.transport.connected, ['bob']);
  });

  it('carries the largest message', async () => {
    const { alice, bob } = await pair();
    alice.transport.send(bob.id, new Uint8Array(8 * 1024 * 1024).fill(65));
    const [message] = await bob.messages(1);
    assert.equal(message?.length, 8 * 1024 * 1024);
  });

  it('greets a restarted peer again', async () => {
    const { alice, bob, portOfBob } = await pair();
    alice.transport.send(bob.id, bytes('one'));
    await bob.messages(1);
    await bob.transport.close();
    const again = side(key(2), [address('alice', key(1), 1)]);
    await again.transport.listen(HOST, portOfBob);
    const deadline = Date.now() + 5000;
    while ((await Promise.race([again.messages(1), pause(50)])) === undefined) {
      assert.ok(Date.now() < deadline, 'no message after the restart');
      alice.transport.send(again.id, bytes('two'));
    }
    assert.equal((await again.messages(1))[0], 'two');
  });

  const strangers: readonly [string, SigningKey, string][] = [
    ['a key outside the roster', key(9), 'log.example'],
    ['a member of another log', key(1), 'other.example'],
  ];
  for (const [why, signer, origin] of strangers) {
    it(`takes nothing from ${why}`, async () => {
      const { bob, portOfBob } = await pair();
      const stranger = side(signer, [address('bob', key(2), portOfBob)], origin);
      stranger.transport.send(bob.id, bytes('let me in'));
      await pause(300);
      assert.deepEqual(await bob.messages(0), []);
      assert.deepEqual(stranger.transport.connected, []);
    });
  }

  it('does not talk to somebody who sits at a peer’s address', async () => {
    const port = await freePort();
    const impostor = side(key(9), [address('alice', key(1), 1)]);
    await impostor.transport.listen(HOST, port);
    const alice = side(key(1), [address('bob', key(2), port)]);
    alice.transport.send(publicKeyHex(key(2).publicKey), bytes('secret? no, but for bob'));
    await pause(300);
    assert.deepEqual(await impostor.messages(0), []);
    assert.deepEqual(alice.transport.connected, []);
  });

  it('stops talking to a replica that left the roster, both ways', async () => {
    const { alice, bob } = await pair();
    alice.transport.send(bob.id, bytes('one'));
    await bob.messages(1);
    bob.transport.setGroup({
      context: { origin: 'log.example', epoch: 1, signer: key(2) },
      peers: [],
    });
    alice.transport.send(bob.id, bytes('two'));
    await pause(300);
    assert.deepEqual(await bob.messages(0), ['one']);
  });
});

describe('PeerListener', () => {
  const post = (port: number, path: string, body: Uint8Array): Promise<number> =>
    new Promise((resolve) => {
      const call = request({ host: HOST, port, path, method: 'POST' }, (response) => {
        response.resume();
        resolve(response.statusCode ?? 0);
      });
      // A refused body may be cut off while we are still sending it.
      call.on('error', () => resolve(-1));
      call.end(body);
    });

  const requests: readonly [string, string, Uint8Array][] = [
    ['an unknown route', '/peer/shutdown', new Uint8Array(0)],
    ['a hello that is none', '/peer/hello', bytes('{}')],
    ['a hello without end', '/peer/hello', new Uint8Array(1_000_000)],
    ['a frame of no session', '/peer/frames', new Uint8Array(100)],
    ['a large frame of no session', '/peer/frames', new Uint8Array(FRAME_BYTES_MAX + 1)],
    ['an empty frame', '/peer/frames', new Uint8Array(0)],
  ];
  for (const [why, path, body] of requests) {
    it(`refuses ${why} and goes on`, async () => {
      const { portOfBob } = await pair();
      assert.ok([401, -1].includes(await post(portOfBob, path, body)), why);
      assert.equal(await post(portOfBob, '/peer/challenge', new Uint8Array(0)), 200);
    });
  }

  it('refuses a frame of no session by its first bytes, without waiting for the rest', async () => {
    const { portOfBob } = await pair();
    const socket: Socket = createConnection(portOfBob, HOST);
    socket.on('error', () => undefined);
    const received: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => received.push(chunk));
    socket.write('POST /peer/frames HTTP/1.1\r\nhost: a\r\ncontent-length: 8000000\r\n\r\n');
    socket.write(Buffer.alloc(100));
    const start = Date.now();
    await new Promise((resolve) => socket.once('close', resolve));
    assert.match(Buffer.concat(received).toString(), /^HTTP\/1.1 401 /);
    assert.ok(Date.now() - start < 5000);
  });

  it('answers a bounded number of handshakes per second', async () => {
    const { portOfBob } = await pair();
    const statuses = await Promise.all(
      Array.from({ length: 200 }, () => post(portOfBob, '/peer/hello', bytes('{}'))),
    );
    assert.ok(statuses.every((status) => status === 401));
    assert.equal(await post(portOfBob, '/peer/challenge', new Uint8Array(0)), 200);
  });

  it('cuts off headers that never end', async () => {
    const { portOfBob } = await pair();
    const socket: Socket = createConnection(portOfBob, HOST);
    socket.on('error', () => undefined);
    socket.write('POST /peer/frames HTTP/1.1\r\nx: ');
    const filler = setInterval(() => socket.write('y'.repeat(1024)), 5);
    await new Promise((resolve) => socket.on('close', resolve));
    clearInterval(filler);
  });
});

async function pause(milliseconds: number): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return undefined;
}
