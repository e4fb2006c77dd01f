import assert from 'node:assert/strict';
import { request } from 'node:http';
import { createConnection } from 'node:net';
import type { Socket } from 'node:net';
import { after, before, describe, it } from 'node:test';

import { CuttingRelay } from '../../fixtures/cutting-relay.ts';
import { freePorts } from '../../fixtures/free-ports.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { silentLog } from '../log.ts';
import { Initiator } from './handshake.ts';
import { PeerListener } from './listener.ts';
import { PeerTransport } from './transport.ts';
import type { PeerAddress, PeerGroup } from './transport.ts';

const HOST = '127.0.0.1';
/** Far longer than anything takes on a busy machine: what never happens has to fail, not to hang. */
const PATIENCE_MS = 60_000;
const open: PeerTransport[] = [];
after(() => Promise.all(open.map((transport) => transport.close())));

const key = (n: number): SigningKey => SigningKey.fromSeed(new Uint8Array(32).fill(n));

interface Side {
  readonly transport: PeerTransport;
  readonly id: string;
  /** Waits until `count` messages have arrived in all. */
  readonly messages: (count: number) => Promise<string[]>;
}

function side(
  signer: SigningKey,
  others: readonly PeerAddress[],
  origin = 'log.example',
  log = silentLog,
): Side {
  const group: PeerGroup = { context: { origin, epoch: 0, signer }, peers: others };
  const arrived: string[] = [];
  const transport = new PeerTransport(group, log, () => {
    for (const { message } of transport.inbox.take(100)) {
      arrived.push(Buffer.from(message).toString());
    }
  });
  open.push(transport);
  return {
    transport,
    id: publicKeyHex(signer.publicKey),
    messages: async (count) => {
      const deadline = Date.now() + PATIENCE_MS;
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
  const [portOfAlice = 0, portOfBob = 0] = await freePorts(2);
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
    const deadline = Date.now() + PATIENCE_MS;
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
    const deadline = Date.now() + PATIENCE_MS;
    while ((await Promise.race([again.messages(1), pause(50)])) === undefined) {
      assert.ok(Date.now() < deadline, 'no message after the restart');
      alice.transport.send(again.id, bytes('two'));
    }
    assert.equal((await again.messages(1))[0], 'two');
  });

  it('loses nothing when a connection ends under a frame, and greets again for it', async () => {
    const { bob, portOfBob } = await pair();
    const relay = new CuttingRelay(portOfBob);
    const log: string[] = [];
    const heard = { ...silentLog, warn: (event: string) => log.push(event) };
    const alice = side(key(1), [address('bob', key(2), await relay.listen())], undefined, heard);
    try {
      alice.transport.send(bob.id, bytes('one'));
      await bob.messages(1);
      const deadline = Date.now() + PATIENCE_MS;
      while (alice.transport.connected.length === 0 && Date.now() < deadline) await pause(5);
      relay.cutsNext = true;
      alice.transport.send(bob.id, bytes('two'));
      assert.deepEqual(await bob.messages(2), ['one', 'two']);
      assert.equal(relay.cutsNext, false);
      assert.deepEqual(log, []);
    } finally {
      relay.close();
    }
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
    const impostor = side(key(9), [address('alice', key(1), 1)]);
    const port = await impostor.transport.listen(HOST, 0);
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
    ['frames without an upgrade', '/peer/frames', new Uint8Array(100)],
  ];
  for (const [why, path, body] of requests) {
    it(`refuses ${why} and goes on`, async () => {
      const { portOfBob } = await pair();
      assert.ok([401, -1].includes(await post(portOfBob, path, body)), why);
      assert.equal(await post(portOfBob, '/peer/challenge', new Uint8Array(0)), 200);
    });
  }

  describe('whose clock stands still', () => {
    const bob = key(2);
    const context = { origin: 'log.example', epoch: 0, signer: bob };
    const peers = new Set([publicKeyHex(key(1).publicKey)]);
    const listener = new PeerListener(
      () => ({ context, peers }),
      { received: () => undefined, room: () => undefined, connected: () => undefined },
      silentLog,
      () => 0,
    );
    let port = 0;
    before(async () => {
      port = await listener.listen(HOST, 0);
    });
    after(() => listener.close());

    const send = (path: string, body: string, from: string): Promise<readonly [number, string]> =>
      new Promise((resolve, reject) => {
        const options = { host: HOST, port, path, method: 'POST', localAddress: from };
        const call = request(options, (response) => {
          let answer = '';
          response.on('data', (chunk: Buffer) => (answer += chunk.toString()));
          response.on('end', () => resolve([response.statusCode ?? 0, answer]));
        });
        call.on('error', reject);
        call.end(body);
      });

    /** Greets bob as alice does, or with another one's signature. */
    async function greet(signer = key(1), from = HOST): Promise<readonly [number, string]> {
      const [, challenge] = await send('/peer/challenge', '', from);
      const named = { publicKey: key(1).publicKey, sign: (text: Uint8Array) => signer.sign(text) };
      const hello = new Initiator(
        { origin: 'log.example', epoch: 0, signer: named },
        bob.publicKey,
        Buffer.from(challenge, 'hex'),
      ).hello;
      return send('/peer/hello', hello, from);
    }

    it('lets nobody use up handshakes with hellos that are none', async () => {
      for (let i = 0; i < 300; i++) {
        const [status, why] = await send('/peer/hello', '{}', HOST);
        assert.equal(status, 401);
        assert.doesNotMatch(why, /too many/);
      }
      assert.equal((await greet())[0], 200);
    });

    // Only there the whole of 127.0.0.0/8 is this machine.
    const isLinux = process.platform === 'linux';
    it('checks a bounded number of signatures for one network', { skip: !isLinux }, async () => {
      let checked = 0;
      for (; checked < 1000; checked++) {
        const [status, why] = await greet(key(9), '127.0.0.2');
        assert.equal(status, 401);
        if (why.includes('too many handshakes')) break;
        assert.match(why, /the signature is not by the key/);
      }
      assert.equal(checked, 200);
      assert.equal((await greet(key(1), '127.0.0.2'))[0], 401, 'its own affair');
      assert.equal((await greet())[0], 200, 'and nobody else’s');
    });
  });

  const isLinux = process.platform === 'linux';
  it('lets replicas in, however many sockets a stranger opens', { skip: !isLinux }, async () => {
    const { alice, bob, portOfBob } = await pair();
    const strangers = Array.from({ length: 600 }, () => {
      const socket = createConnection({ port: portOfBob, host: HOST, localAddress: '127.0.0.2' });
      socket.on('error', () => undefined);
      socket.resume();
      // They have asked something before they rest.
      socket.write('POST /peer/challenge HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n');
      return socket;
    });
    try {
      // So many at least are too many for any listener here: those that are left have settled down.
      while (strangers.filter(({ closed }) => closed).length < 88) await pause(5);
      alice.transport.send(bob.id, bytes('hello'));
      assert.deepEqual(await bob.messages(1), ['hello']);
    } finally {
      for (const socket of strangers) socket.destroy();
    }
  });

  it('cuts off headers that never end', async () => {
    const { portOfBob } = await pair();
    const socket: Socket = createConnection(portOfBob, HOST);
    socket.on('error', () => undefined);
    socket.write('POST /peer/hello HTTP/1.1\r\nx: ');
    const filler = setInterval(() => socket.write('y'.repeat(1024)), 5);
    await new Promise((resolve) => socket.on('close', resolve));
    clearInterval(filler);
  });
});

async function pause(milliseconds: number): Promise<undefined> {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  return undefined;
}
