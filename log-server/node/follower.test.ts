import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { Cluster } from '../../fixtures/transcripts/cluster.ts';
import { testRoster } from '../../fixtures/transcripts/world.ts';
import { certificateFor, noteFor } from '../../fixtures/test-storage.ts';
import { TEST_ORIGIN, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { laterRefusalOf } from '../../fixtures/documents.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parseRoster } from '../../verifier/roster.ts';
import {
  MESSAGE_BYTES_MAX,
  decodeMessage,
  encodeMessage,
} from '../../verifier/replication/encode-message.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import type { Header, Message } from '../consensus/types.ts';
import { ARTIFACT_PACE, type PaceLimits } from '../http/pace.ts';
import type { Tip } from '../ledger/application.ts';
import { silentLog, type Log } from '../log.ts';
import { adoptNote } from './adopt-note.ts';
import { Follower, type Source } from './follower.ts';
import { Lane } from './lane.ts';
import type { CheckpointFacts } from './served-checkpoint.ts';

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
  /** What was warned of: the event, whom it names, and why. */
  readonly warnings: string[];
  /** Messages as they were delivered. */
  readonly bytes: Uint8Array[];
  height: number;
  isNeeded: boolean;
}

/** A follower of public addresses that answer so; `r1` is the second one. */
async function following(
  answer: RequestListener | readonly RequestListener[],
  run: (world: World) => Promise<void>,
  pace: PaceLimits = ARTIFACT_PACE,
): Promise<void> {
  const asked: string[] = [];
  const servers: Server[] = [];
  const sources: Source[] = [];
  for (const [i, listener] of (typeof answer === 'function' ? [answer] : answer).entries()) {
    const server = createServer((request, response) => {
      asked.push(i === 0 ? (request.url ?? '') : `r${i} ${request.url ?? ''}`);
      listener(request, response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    sources.push({
      name: `r${i}`,
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    });
  }
  const warnings: string[] = [];
  const log: Log = {
    ...silentLog,
    warn: (event, fields) =>
      warnings.push(`${event} ${String(fields?.['peer'])} ${String(fields?.['error'])}`),
  };
  const bytes: Uint8Array[] = [];
  const world: World = {
    asked,
    bytes,
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
      sources: () => sources,
      deliver: (peer, message) => {
        bytes.push(message);
        world.delivered.push({ peer, message: decodeMessage(message) });
      },
      adopt: async (note) => void world.adopted.push(note),
      log,
      pollMs: POLL_MS,
      firstTurn: 0,
      pace,
    }),
  };
  world.follower.start();
  try {
    await run(world);
  } finally {
    await world.follower.close();
    for (const server of servers) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }
}

const ask = (fromHeight: number): Uint8Array => encodeMessage({ kind: 'get-batches', fromHeight });

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
        assert.equal(world.follower.answers(PEER, ask(2)), false);
        assert.equal(world.follower.answers(PEER, ask(1)), true);
        const { message } = world.delivered.at(-1) ?? {};
        assert.ok(message?.kind === 'batches' && message.batches.length === 3);
        // All of it taken: on to the next at once.
        world.height = 3;
        world.follower.advanced(3);
        await until('the next question', () => world.asked.includes('/v1/batches/4'));
      },
    );
  });

  /** Gives batches 1 to 3, and says of everything else that there is no such thing. */
  const three: RequestListener = (request, response) => {
    const isFirst = request.url === '/v1/batches/1';
    response.writeHead(isFirst ? 200 : 404).end(isFirst ? batchesFrom(1, 3) : '');
  };

  // What a liar gave is refused: for as long as it stood in for the answers of peers, nobody was asked.
  it('does not give a chunk once peers suffice', async () => {
    await following(three, async (world) => {
      await until('a status', () => world.delivered.length > 0);
      world.isNeeded = false;
      assert.equal(world.follower.answers(PEER, ask(1)), false, 'the peer is asked');
      world.isNeeded = true;
      assert.equal(
        world.delivered.some(({ message }) => message.kind === 'batches'),
        false,
        'nothing was given',
      );
    });
  });

  it('lets the same question go to the peer the second time', async () => {
    let given = 0;
    const once: RequestListener = (request, response) => {
      given += 1;
      if (given === 1) three(request, response);
      else response.writeHead(404).end();
    };
    await following(once, async (world) => {
      await until('a status', () => world.delivered.length > 0);
      assert.equal(world.follower.answers(PEER, ask(1)), true, 'once');
      assert.equal(world.follower.answers(PEER, ask(1)), false, 'not twice');
      assert.equal(world.follower.answers(PEER, ask(1)), false, 'not later either');
    });
  });

  it('asks who gave refused batches after all others, and names it', async () => {
    const absent: RequestListener = (_, response) => response.writeHead(404).end();
    await following([three, absent], async (world) => {
      await until('a status', () => world.delivered.length > 0);
      assert.equal(world.follower.answers(PEER, ask(1)), true, 'given');
      const chunk = world.bytes.at(-1);
      assert.ok(chunk !== undefined, 'there is a chunk');
      const refusal = new VerifyError('MESSAGE_REFUSED', 'no quorum signed it');
      assert.equal(world.follower.refused(ask(1), refusal), false, 'a message of the peer itself');
      assert.equal(world.follower.refused(chunk, refusal), true, 'what r0 gave');
      assert.deepEqual(world.warnings, ['follow_failed r0 MESSAGE_REFUSED: no quorum signed it']);
      const before = world.asked.length;
      await until('more questions', () => world.asked.length >= before + 6);
      // One may have been under way.
      const others = world.asked.slice(before + 1).filter((path) => !path.startsWith('r1 '));
      assert.deepEqual(others, []);
    });
  });

  it('waits for nobody who drips', async () => {
    const drip: RequestListener = (_, response) => {
      response.writeHead(200);
      response.write('x');
    };
    await following(
      [drip, three],
      async (world) => {
        await until('a status', () => world.delivered.length > 0);
        assert.match(world.warnings[0] ?? '', /^follow_failed r0 .*too slowly/);
      },
      { bytesPerSecond: 1000, graceMs: 50 },
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

describe('a replica that a liar gave a chunk', () => {
  it('catches up from its peers once they are connected', async () => {
    const cluster = new Cluster(testRoster([1, 1, 1, 1]));
    cluster.run(2);
    const late = cluster.node(2);
    late.isDown = true;
    for (const id of ['a', 'b', 'c']) {
      cluster.submit(1, id);
      cluster.run(5);
    }
    const [batch] = cluster.node(1).disk.batches;
    assert.ok(batch !== undefined, 'there is a batch to lie about');
    const signatures = batch.certificate.signatures.map(({ signer }) => ({
      signer,
      signature: new Uint8Array(64),
    }));
    const forged = { ...batch, certificate: { ...batch.certificate, signatures } };
    const answer = encodeMessage({ kind: 'batches', batches: [forged] });
    await following(
      (_, response) => response.writeHead(200).end(answer),
      async (world) => {
        late.restart();
        await until('the lie', () => world.delivered.length > 0);
        world.isNeeded = false;
        const { length } = world.bytes;
        cluster.run(200, ({ from, to, bytes }) => {
          if (from !== 2 || !world.follower.answers(cluster.node(to).id, bytes)) return true;
          const message = world.bytes.at(-1) ?? assert.fail('what was given');
          cluster.packets.push({
            from: to,
            to: 2,
            message: decodeMessage(message),
            bytes: message,
          });
          return false;
        });
        assert.deepEqual(cluster.heights(), [3, 3, 3, 3]);
        assert.equal(world.bytes.length, length, 'nothing more of the liar');
      },
    );
  });
});

describe('adoptNote', () => {
  const ROSTER = parseRoster(rosterEnvelope(4).payload);
  const header: Header = { ...headerAt(3), root: '07'.repeat(32) };
  const NOTE = noteFor(header);

  const [older, known] = [TEST_TIME - 1, TEST_TIME].map((timeSeconds) => ({
    epoch: 0,
    size: 3,
    timeSeconds,
  }));
  assert.ok(older && known, 'two notes that may be served');
  // [why, note, tip, what is served, expected]
  const cases: readonly (readonly [
    string,
    string,
    Partial<Tip>,
    CheckpointFacts | undefined,
    string,
  ])[] = [
    ['the first note', NOTE, {}, undefined, 'stored'],
    ['a newer note of the same tree', NOTE, {}, older, 'stored'],
    ['a note of more leaves and the same second', NOTE, {}, { ...known, size: 2 }, 'stored'],
    ['the note that is known', NOTE, {}, known, 'left'],
    ['a note of a smaller tree', NOTE, { size: 4 }, undefined, 'left'],
    ['a note of a larger tree', NOTE, { size: 2 }, undefined, 'left'],
    ['a note of another tree', NOTE, { root: decodeHex('08'.repeat(32)) }, undefined, 'reported'],
    [
      'a note without a quorum',
      NOTE.split('\n').slice(0, 6).join('\n') + '\n',
      {},
      undefined,
      'QUORUM_NOT_REACHED',
    ],
    [
      'a changed note',
      NOTE.replace('\n3\n', '\n4\n'),
      { size: 4 },
      undefined,
      'NOTE_SIGNATURE_INVALID',
    ],
    ['no note', 'hello', {}, undefined, 'NOTE_MALFORMED'],
  ];
  for (const [why, note, tip, facts, expected] of cases) {
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
        served: {
          facts,
          put: async (_: string, { size }: CheckpointFacts) => stored.push(size) > 0,
        },
        lane: new Lane(),
        verifier: nativeVerifier,
        roster: ROSTER,
        contradicted: (text: string) => void kept.push(text),
        log: { ...silentLog, error: (event: string) => void reports.push(event) },
      };
      const code = await laterRefusalOf(async () => adoptNote(note, parts));
      const outcome =
        code ?? (stored.length > 0 ? 'stored' : reports.length > 0 ? 'reported' : 'left');
      assert.equal(outcome, expected);
      assert.deepEqual(kept, expected === 'reported' ? [note] : []);
    });
  }
});
