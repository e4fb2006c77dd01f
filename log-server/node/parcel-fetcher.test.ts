import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';

import { VerifyError } from '../../verifier/errors.ts';
import { formatParcel, readParcelRequest, type ParcelItem } from '../http/artifact-parcel.ts';
import { createLog } from '../log.ts';
import type { ArtifactPurpose, ArtifactStore } from '../store/artifact-store.ts';
import { ArtifactFetcher, type Holder } from './artifact-fetcher.ts';

const PATIENCE_MS = 60_000;

/** Of those who give parcels too slowly: all of it is waited for. */
const IMPATIENT_MS = 500;

/** Small artifacts by digest; what is in them does not matter here. */
const CONTENTS = new Map(
  Array.from({ length: 300 }, (_, i) => {
    const bytes = Buffer.from(`artifact ${i}`);
    return [createHash('sha512').update(bytes).digest('hex'), bytes] as const;
  }),
);
const DIGESTS = [...CONTENTS.keys()];
const small = (sha512: string): ParcelItem => CONTENTS.get(sha512) ?? 'absent';

interface MemoryStore extends ArtifactStore {
  readonly held: Map<string, ArtifactPurpose | undefined>;
}

function memoryStore(): MemoryStore {
  const held = new Map<string, ArtifactPurpose | undefined>();
  const factsOf = (sha512: string) => ({
    sha512,
    size: 1,
    name: 'a',
    version: '1.0.0',
    manifest: {},
  });
  return {
    held,
    put: async (sha512, source, purpose) => {
      const hash = createHash('sha512');
      for await (const chunk of source) hash.update(chunk);
      if (hash.digest('hex') !== sha512) {
        throw new VerifyError('ARTIFACT_DIGEST_MISMATCH', 'other bytes');
      }
      held.set(sha512, purpose);
      return { kind: 'created' as const, facts: factsOf(sha512) };
    },
    facts: async (sha512) => (held.has(sha512) ? factsOf(sha512) : undefined),
    missing: async () => [],
    read: async () => undefined,
    smallNow: () => undefined,
    hasNow: () => false,
  };
}

interface Asked {
  parcels: number[];
  singles: number;
}

/** Gives what it holds, in parcels and one by one. */
function giver(asked: Asked, smallOf: (sha512: string) => ParcelItem): RequestListener {
  return (incoming, answer) => {
    const chunks: Buffer[] = [];
    incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
    incoming.on('end', () => {
      if (incoming.method === 'POST') {
        const digests = readParcelRequest(Buffer.concat(chunks)) ?? [];
        asked.parcels.push(digests.length);
        answer.end(formatParcel(digests, smallOf));
        return;
      }
      asked.singles += 1;
      const bytes = CONTENTS.get(incoming.url?.split('/').at(-1) ?? '');
      answer.writeHead(bytes === undefined ? 404 : 200).end(bytes);
    });
  };
}

describe('artifacts in parcels', () => {
  const servers: Server[] = [];
  after(() => {
    for (const server of servers) {
      server.close();
      server.closeAllConnections();
    }
  });

  async function holder(name: string, listener: RequestListener): Promise<Holder> {
    const server = createServer(listener).listen(0, '127.0.0.1');
    servers.push(server);
    await once(server, 'listening');
    return { name, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
  }

  async function withFetcher(
    run: (fetcher: ArtifactFetcher, store: MemoryStore) => Promise<void>,
    graceMs = 600_000,
  ): Promise<void> {
    const store = memoryStore();
    const log = createLog('r0', 'error', { write: () => undefined, nowMs: () => 0 });
    const fetcher = new ArtifactFetcher(store, log, {
      pace: { bytesPerSecond: 32 * 1024, graceMs },
    });
    try {
      await run(fetcher, store);
    } finally {
      await fetcher.close();
    }
  }

  it('come with a few requests, for the purpose that they were asked for', async () => {
    const asked: Asked = { parcels: [], singles: 0 };
    const good = await holder('good', giver(asked, small));
    await withFetcher(async (fetcher, store) => {
      assert.ok(await fetcher.fetch(DIGESTS, [good], PATIENCE_MS, 'batch'), 'all are held');
      assert.deepEqual(asked, { parcels: [64, 64, 64, 64, 44], singles: 0 });
      assert.deepEqual(new Set(store.held.values()), new Set(['vote']));
    });
  });

  it('come one by one when they are not in the parcel: large ones, say', async () => {
    const asked: Asked = { parcels: [], singles: 0 };
    const isGiven = (sha512: string): boolean => !DIGESTS.slice(0, 5).includes(sha512);
    const good = await holder(
      'good',
      giver(asked, (sha512) => (isGiven(sha512) ? small(sha512) : 'alone')),
    );
    await withFetcher(async (fetcher) => {
      assert.ok(await fetcher.fetch(DIGESTS.slice(0, 50), [good], PATIENCE_MS), 'all are held');
      assert.deepEqual(asked, { parcels: [50], singles: 5 });
    });
  });

  const bad: readonly (readonly [why: string, listener: RequestListener])[] = [
    ['other bytes', giver({ parcels: [], singles: 0 }, () => Buffer.from('other'))],
    ['no parcel', (_, answer) => answer.end('nonsense')],
    ['an error', (_, answer) => answer.writeHead(503).end()],
    [
      'a parcel that never ends',
      (_, answer) => {
        const more = setInterval(() => answer.write(Buffer.alloc(256 * 1024)), 1);
        answer.on('close', () => clearInterval(more));
      },
    ],
    ['silence', () => undefined],
    ['a drip', (_, answer) => void answer.write('x')],
    ['its word that it has them alone', giver({ parcels: [], singles: 0 }, () => 'alone')],
  ];
  for (const [why, listener] of bad) {
    it(`come from the next replica when the first gives ${why}`, async () => {
      const asked: Asked = { parcels: [], singles: 0 };
      const first = await holder('first', (incoming, answer) => {
        // One by one it has nothing: what counts here is the parcel.
        if (incoming.method === 'GET') answer.writeHead(404).end();
        else listener(incoming, answer);
      });
      const good = await holder('good', giver(asked, small));
      await withFetcher(async (fetcher, store) => {
        const some = DIGESTS.slice(0, 3);
        assert.ok(await fetcher.fetch(some, [first, good], PATIENCE_MS), 'all are held');
        assert.deepEqual([...store.held.keys()].toSorted(), some.toSorted());
      }, IMPATIENT_MS);
    });
  }

  it('come from the next replica beside one that drips', async () => {
    const asked: Asked = { parcels: [], singles: 0 };
    let dripping = 0;
    const first = await holder('first', (_, answer) => {
      dripping += 1;
      const drip = setInterval(() => answer.write('x'), 10);
      answer.on('close', () => clearInterval(drip));
    });
    const good = await holder('good', giver(asked, small));
    await withFetcher(async (fetcher, store) => {
      const some = DIGESTS.slice(0, 100);
      assert.ok(await fetcher.fetch(some, [first, good], PATIENCE_MS), 'all are held');
      assert.equal(store.held.size, 100);
      assert.deepEqual([asked.parcels.reduce((sum, n) => sum + n), asked.singles], [100, 0]);
    });
    assert.equal(dripping, 1, 'what still waited for it was asked for no more');
  });

  it('come from whoever has them, and nobody else is asked one by one', async () => {
    const [none, all]: [Asked, Asked] = [
      { parcels: [], singles: 0 },
      { parcels: [], singles: 0 },
    ];
    const empty = await holder(
      'empty',
      giver(none, () => 'absent'),
    );
    const good = await holder(
      'good',
      giver(all, (sha512) => (sha512 === DIGESTS[0] ? 'alone' : small(sha512))),
    );
    await withFetcher(async (fetcher) => {
      const some = DIGESTS.slice(0, 20);
      assert.ok(await fetcher.fetch(some, [empty, good], PATIENCE_MS), 'all are held');
      assert.deepEqual(none, { parcels: [20], singles: 0 });
      assert.deepEqual(all, { parcels: [20], singles: 1 });
    });
  });

  it('do not make a vote wait behind what is merely missing', () => goesFirst(200, 3));

  it('nor when somebody in no hurry asked for it before', () => goesFirst(197, 6));

  /** Lets a vote need some of `DIGESTS`, of which 200 are being fetched as repairs. */
  async function goesFirst(start: number, count: number): Promise<void> {
    const order: number[] = [];
    let release = (): void => undefined;
    const isReleased = new Promise<void>((resolve) => {
      release = resolve;
    });
    const slow = await holder('slow', (incoming, answer) => {
      const chunks: Buffer[] = [];
      incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
      incoming.on('end', () => {
        const digests = readParcelRequest(Buffer.concat(chunks)) ?? [];
        order.push(digests.length);
        void isReleased.then(() => answer.end(formatParcel(digests, small)));
      });
    });
    await withFetcher(async (fetcher, store) => {
      const repairs = fetcher.fetch(DIGESTS.slice(0, 200), [slow], PATIENCE_MS, 'repair');
      while (order.length === 0) await new Promise((resolve) => setImmediate(resolve));
      const vote = fetcher.fetch(DIGESTS.slice(start, start + count), [slow], PATIENCE_MS);
      release();
      assert.ok(await vote, 'the vote has its artifacts');
      assert.deepEqual(order.slice(0, 2), [64, count]);
      assert.equal(store.held.get(DIGESTS[start] ?? ''), 'vote');
      await repairs;
    });
  }
});
