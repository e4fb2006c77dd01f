import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { SshAgent } from '../../../fixtures/ssh-agent.ts';
import { concat, utf8 } from '../../../verifier/bytes.ts';
import { preAuthenticationEncoding } from '../../../verifier/dsse.ts';
import { publicKeyHex } from '../../../verifier/ed25519.ts';
import { decodeBase64 } from '../../../verifier/encoding.ts';
import { verifyNative } from '../../../verifier/node/ed25519.ts';
import { SigningKey } from '../../../verifier/node/signing-key.ts';
import { CliError } from '../../errors.ts';
import { agentSigner, findAgentKey, listAgentKeys } from './agent-signer.ts';
import type { AgentAccess } from './client.ts';
import { encodeFrame, fingerprint } from './wire.ts';

const MESSAGE = preAuthenticationEncoding('application/x', utf8('what is signed'));

function access(socket: string | undefined, more: Partial<AgentAccess> = {}): AgentAccess {
  const { signal } = new AbortController();
  return { socket, signal, listMsMax: 30_000, signMsMax: 30_000, ...more };
}

async function refusal(work: Promise<unknown>): Promise<string> {
  let caught: unknown;
  await work.catch((error: unknown) => {
    caught = error;
  });
  assert.ok(caught instanceof CliError, `refused, not ${String(caught)}`);
  assert.equal(caught.diagnostic.code, 'BP8004');
  return caught.message;
}

describe('a real ssh-agent', () => {
  let folder = '';
  let agent: SshAgent;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-agent-'));
    agent = await SshAgent.start(folder);
  });
  after(async () => {
    await agent.stop();
    await rm(folder, { recursive: true });
  });

  it('signs the bytes as they are, with a key that ssh-keygen made', async () => {
    const file = await agent.add('alice@laptop');
    const { publicKey, comment } = await findAgentKey(access(agent.socket), '');
    assert.equal(comment, 'alice@laptop');
    // The line of the .pub file ends in the same 32 bytes.
    const blob = (await readFile(`${file}.pub`, 'utf8')).split(' ')[1] ?? '';
    assert.deepEqual(new Uint8Array(publicKey), decodeBase64(blob).slice(-32));
    const signer = agentSigner(access(agent.socket), 'alice', publicKey);
    const signature = await signer.sign(MESSAGE);
    assert.equal(verifyNative({ publicKey, message: MESSAGE, signature }), true);
    assert.equal(signature.length, 64);
  });

  it('finds keys by what ssh-add shows, and says when it is not one', async () => {
    await agent.add('bob@laptop');
    await agent.add('rsa@laptop', 'ecdsa');
    const { keys, others } = await listAgentKeys(access(agent.socket));
    assert.deepEqual(
      keys.map(({ comment }) => comment),
      ['alice@laptop', 'bob@laptop'],
    );
    assert.equal(others, 1);
    const shown = await agent.control('-l');
    for (const { publicKey, comment } of keys) {
      assert.match(shown, new RegExp(fingerprint(publicKey).replaceAll(/[+/]/g, '\\$&')));
      for (const which of [fingerprint(publicKey), publicKeyHex(publicKey), comment]) {
        assert.equal((await findAgentKey(access(agent.socket), which)).comment, comment);
      }
    }
    assert.match(await refusal(findAgentKey(access(agent.socket), '')), /2 keys like that/);
    assert.match(await refusal(findAgentKey(access(agent.socket), 'rsa@laptop')), /no key rsa/);
  });

  it('signs nothing with a key that it does not hold', async () => {
    const { publicKey } = SigningKey.generate();
    const signer = agentSigner(access(agent.socket), 'nobody', publicKey);
    assert.match(await refusal(signer.sign(MESSAGE)), /holds no key/);
  });

  it('signs nothing that is too large for it', async () => {
    const { publicKey } = await findAgentKey(access(agent.socket), 'alice@laptop');
    const signer = agentSigner(access(agent.socket), 'alice', publicKey);
    assert.match(await refusal(signer.sign(new Uint8Array(256 * 1024))), /too many/);
  });

  it('is not waited for without end', async () => {
    agent.signal('SIGSTOP');
    try {
      const soon = access(agent.socket, { listMsMax: 200 });
      assert.match(await refusal(listAgentKeys(soon)), /no answer within 0.2 s/);
      const stopped = access(agent.socket, { signal: AbortSignal.abort() });
      assert.match(await refusal(listAgentKeys(stopped)), /interrupted/);
    } finally {
      agent.signal('SIGCONT');
    }
  });
});

// Speaks the protocol as somebody might who wants a signature under another's name.
type Answers = (request: Uint8Array) => Uint8Array | 'hang' | 'close';

const KEY = SigningKey.fromSeed(new Uint8Array(32).fill(7));
const OTHER = SigningKey.fromSeed(new Uint8Array(32).fill(8));

function text(value: string | Uint8Array): Uint8Array {
  return encodeFrame(typeof value === 'string' ? utf8(value) : value);
}

function keys(...list: readonly SigningKey[]): Uint8Array {
  const count = Uint8Array.of(0, 0, 0, list.length);
  const each = list.flatMap(({ publicKey }) => [
    text(concat(text('ssh-ed25519'), text(publicKey))),
    text('k'),
  ]);
  return encodeFrame(concat(Uint8Array.of(12), count, ...each));
}

function signed(signature: Uint8Array, kind: string = 'ssh-ed25519'): Uint8Array {
  return encodeFrame(concat(Uint8Array.of(14), text(concat(text(kind), text(signature)))));
}

/** Honest about its keys; what it answers when asked to sign is the case's. */
function whenSigning(answer: ReturnType<Answers>): Answers {
  return (request) => (request[4] === 11 ? keys(KEY) : answer);
}

const HANG_WAITS: Readonly<Record<string, Partial<AgentAccess>>> = {
  hangs: { signMsMax: 200 },
  'hangs when asked for keys': { listMsMax: 200 },
};
const GOOD = KEY.sign(MESSAGE);

describe('an agent that is not what it should be', () => {
  let folder = '';
  let server: Server;
  let answers: Answers = () => 'close';
  const sockets = new Set<Socket>();
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-agent-'));
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (request: Buffer) => {
        const answer = answers(request);
        if (answer === 'close') socket.end();
        else if (answer !== 'hang') socket.write(answer);
      });
    });
    await new Promise<void>((resolve) => server.listen(join(folder, 's'), resolve));
  });
  after(async () => {
    for (const socket of sockets) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
    await rm(folder, { recursive: true });
  });

  const sign = (): Promise<Uint8Array> =>
    agentSigner(access(join(folder, 's')), 'k', KEY.publicKey).sign(MESSAGE);

  it('is believed when it answers as it should', async () => {
    answers = whenSigning(signed(GOOD));
    assert.deepEqual(await sign(), GOOD);
  });

  const cases: readonly (readonly [why: string, answers: Answers, expected: RegExp])[] = [
    ['refuses', whenSigning(encodeFrame(Uint8Array.of(5))), /refused to sign/],
    ['hangs', whenSigning('hang'), /no answer within/],
    ['hangs when asked for keys', () => keys(KEY).subarray(0, 9), /no answer within/],
    ['closes the connection', whenSigning('close'), /closed the connection/],
    ['signs with another key', whenSigning(signed(OTHER.sign(MESSAGE))), /not valid/],
    ['signs something else', whenSigning(signed(KEY.sign(MESSAGE.subarray(1)))), /not valid/],
    ['changes a bit', whenSigning(signed(GOOD.map((b, i) => (i === 9 ? b ^ 1 : b)))), /not valid/],
    ['gives a short signature', whenSigning(signed(GOOD.subarray(1))), /63 bytes/],
    ['gives another kind of one', whenSigning(signed(GOOD, 'ssh-rsa')), /another kind/],
    ['adds bytes to a frame', whenSigning(concat(signed(GOOD), Uint8Array.of(0))), /bytes after/],
    ['claims a huge frame', whenSigning(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 14)), /4294967295/],
    ['claims an empty frame', whenSigning(new Uint8Array(4)), /a frame of 0 bytes/],
    ['answers a question of its own', whenSigning(keys(KEY)), /message 12 instead of 14/],
    [
      'claims a string beyond its frame',
      whenSigning(encodeFrame(Uint8Array.of(14, 0, 0, 1, 0, 1))),
      /ends too early/,
    ],
    [
      'claims more keys than it names',
      () => encodeFrame(Uint8Array.of(12, 0xff, 0xff, 0xff, 0xff)),
      /ends too early/,
    ],
    ['has no such key', () => keys(OTHER), /holds no key/],
    ['has the key twice', () => keys(KEY, KEY), /holds 2 keys/],
    ['has a key of small order', () => keysOf(new Uint8Array(32)), /1 that are not Ed25519/],
  ];
  for (const [why, behaviour, expected] of cases) {
    it(`is not believed when it ${why}`, async () => {
      answers = behaviour;
      // Short only where there is nothing to wait for.
      const waits = why.startsWith('hangs') ? HANG_WAITS[why] : {};
      const hostile = access(join(folder, 's'), waits);
      assert.match(await refusal(agentSigner(hostile, 'k', KEY.publicKey).sign(MESSAGE)), expected);
    });
  }

  it('is not there', async () => {
    assert.match(await refusal(listAgentKeys(access(undefined))), /SSH_AUTH_SOCK/);
    assert.match(await refusal(listAgentKeys(access(''))), /SSH_AUTH_SOCK/);
    assert.match(await refusal(listAgentKeys(access(join(folder, 'none')))), /ENOENT/);
  });
});

function keysOf(publicKey: Uint8Array): Uint8Array {
  const blob = text(concat(text('ssh-ed25519'), text(publicKey)));
  return encodeFrame(concat(Uint8Array.of(12, 0, 0, 0, 1), blob, text('k')));
}
