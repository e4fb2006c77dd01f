import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { certificateFor, noteFor } from '../../fixtures/test-storage.ts';
import { TEST_ORIGIN, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { laterRefusalOf } from '../../fixtures/documents.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';
import {
  MESSAGE_BYTES_MAX,
  decodeMessage,
  encodeMessage,
} from '../../verifier/replication/encode-message.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import type { Header, Message } from '../consensus/types.ts';
import type { Tip } from '../ledger/application.ts';
import { silentLog, type Log } from '../log.ts';
import { adoptNote } from './adopt-note.ts';
import { Follower } from './follower.ts';
import { Lane } from './lane.ts';

const PEER = 'ab'.repeat(32);
const POLL_MS = 10;

function headerAt(height: number): Header {
  return { ...genesisHeader(TEST_ORIGIN), height, prevSize: height - 1, size: height };
}

function batchesFrom(first: number, count: number): Uint8Array {
  const batches = Array.from({ length: count }, (_, i) => {
    const header = headerAt(first + i);
    return { header, body: [Uint8Array.of(i)], certificate: certificateFor(header) };
  });
  return encodeMessage({ kind: 'batches', batches });
}

interface World {
  readonly follower: Follower;
  readonly asked: string[];
  readonly delivered: { readonly peer: string; readonly message: Message }[];
  readonly adopted: string[];
  readonly warnings: string[];
  height: number;
  isNeeded: boolean;
}

/** A follower of one public address that answers as `answer` does. */
async function following(
  answer: RequestListener,
  run: (world: World) => Promise<void>,
): Promise<void> {
  const asked: string[] = [];
  const server: Server = createServer((request, response) => {
    asked.push(request.url ?? '');
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const warnings: string[] = [];
  const log: Log = { ...silentLog, warn: (event) => warnings.push(event) };
  const world: World = {
    asked,
    delivered: [],
    adopted: [],
    warnings,
    height: 0,
    isNeeded: true,
    follower: new Follower({
      isNeeded: () => world.isNeeded,
      height: () => world.height,
      epoch: () => 0,
      peers: () => [PEER],
      sources: () => [{ name: 'r0', url }],
      deliver: (peer, bytes) => world.delivered.push({ peer, message: decodeMessage(bytes) }),
      adopt: async (note) => void world.adopted.push(note),
      log,
      pollMs: POLL_MS,
    }),
  };
  world.follower.start();
  try {
    await run(world);
  } finally {
    await world.follower.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
}

async function until(what: string, holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    assert.ok(waited < 60_000, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

describe('Follower', () => {
  it('announces what it has, and hands it over when the core asks for it', async () => {
    const answer = batchesFrom(1, 3);
    await following(
      (request, response) => {
        const isFirst = request.url === '/v1/batches/1';
        response.writeHead(isFirst ? 200 : 404).end(isFirst ? answer : '');
      },
      async (world) => {
        await until('a status', () => world.delivered.length > 0);
        const status = world.delivered[0]?.message;
        assert.ok(status?.kind === 'status' && status.height === 3);
        const ask = (fromHeight: number): Uint8Array =>
          encodeMessage({ kind: 'get-batches', fromHeight });
        assert.equal(world.follower.answers(PEER, ask(2)), false);
        assert.equal(world.follower.answers(PEER, ask(1)), true);
        const { message } = world.delivered.at(-1) ?? {};
        assert.ok(message?.kind === 'batches' && message.batches.length === 3);
        // Half of it taken: the rest is still in hand. All of it: on to the next at once.
        world.height = 3;
        world.follower.advanced(2);
        assert.equal(world.follower.answers(PEER, ask(1)), true);
        world.follower.advanced(3);
        assert.equal(world.follower.answers(PEER, ask(1)), false);
        await until('the next question', () => world.asked.includes('/v1/batches/4'));
      },
    );
  });

  it('takes the checkpoint when there are no more batches', async () => {
    await following(
      (request, response) => {
        const isNote = request.url === '/checkpoint';
        response.writeHead(isNote ? 200 : 404).end(isNote ? 'a note' : '');
      },
      async (world) => {
        await until('a note', () => world.adopted.length > 0);
        assert.equal(world.adopted[0], 'a note');
        assert.deepEqual(world.delivered, []);
      },
    );
  });

  const bad: readonly (readonly [string, Uint8Array])[] = [
    ['nonsense', Uint8Array.of(1, 2, 3)],
    ['nothing', new Uint8Array(0)],
    ['batches from another height', batchesFrom(2, 1)],
    ['another message', encodeMessage({ kind: 'get-batches', fromHeight: 1 })],
    ['more than a message may have', new Uint8Array(MESSAGE_BYTES_MAX + 1)],
  ];
  for (const [why, body] of bad) {
    it(`gives the core nothing of ${why}, and asks again`, async () => {
      await following(
        (_, response) => response.writeHead(200).end(body),
        async (world) => {
          await until('another question', () => world.asked.length >= 3);
          assert.deepEqual(world.delivered, []);
          assert.ok(world.warnings.length > 0);
        },
      );
    });
  }

  it('asks nobody while peers’ connections suffice', async () => {
    await following(
      (_, response) => response.writeHead(404).end(),
      async (world) => {
        world.isNeeded = false;
        const { length } = world.asked;
        await new Promise((resolve) => setTimeout(resolve, 10 * POLL_MS));
        // One question may have been under way.
        assert.ok(world.asked.length <= length + 2);
      },
    );
  });
});

describe('adoptNote', () => {
  const ROSTER = parseRoster(rosterEnvelope(4).payload);
  const header: Header = { ...headerAt(3), root: '07'.repeat(32) };
  const NOTE = noteFor(header);

  // [why, note, tip, known time, expected]
  const cases: readonly (readonly [string, string, Partial<Tip>, number, string])[] = [
    ['a newer note of the same tree', NOTE, {}, TEST_TIME - 1, 'stored'],
    ['the note that is known', NOTE, {}, TEST_TIME, 'left'],
    ['a note of a smaller tree', NOTE, { size: 4 }, 0, 'left'],
    ['a note of a larger tree', NOTE, { size: 2 }, 0, 'left'],
    ['a note of another tree', NOTE, { root: decodeHex('08'.repeat(32)) }, 0, 'reported'],
    [
      'a note without a quorum',
      NOTE.split('\n').slice(0, 6).join('\n') + '\n',
      {},
      0,
      'QUORUM_NOT_REACHED',
    ],
    ['a changed note', NOTE.replace('\n3\n', '\n4\n'), { size: 4 }, 0, 'NOTE_SIGNATURE_INVALID'],
    ['no note', 'hello', {}, 0, 'NOTE_MALFORMED'],
  ];
  for (const [why, note, tip, known, expected] of cases) {
    it(`${expected === 'stored' ? 'takes' : 'does not take'} ${why}`, async () => {
      const stored: number[] = [];
      const reports: string[] = [];
      const kept: string[] = [];
      const parts = {
        application: {
          tip: async (): Promise<Tip> => ({
            epoch: 0,
            height: 3,
            size: 3,
            root: decodeHex(header.root),
            headerDigest: '',
            timeMs: 0,
            map: decodeHex('00'.repeat(32)),
            commitLeaf: null,
            ...tip,
          }),
        },
        store: { putCheckpoint: async (_: string, size: number) => void stored.push(size) },
        lane: new Lane(),
        verifier: nativeVerifier,
        roster: ROSTER,
        contradicted: (text: string) => void kept.push(text),
        log: { ...silentLog, error: (event: string) => void reports.push(event) },
      };
      const code = await laterRefusalOf(async () => adoptNote(note, known, parts));
      const outcome =
        code ?? (stored.length > 0 ? 'stored' : reports.length > 0 ? 'reported' : 'left');
      assert.equal(outcome, expected);
      assert.deepEqual(kept, expected === 'reported' ? [note] : []);
    });
  }
});
