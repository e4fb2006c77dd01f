import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, describe, it } from 'node:test';

import { VerifyError } from '../../verifier/errors.ts';
import { silentLog } from '../log.ts';
import {
  StorageBusyError,
  type ArtifactFacts,
  type ArtifactPurpose,
  type ArtifactStore,
} from '../store/artifact-store.ts';
import { ArtifactFetcher } from './artifact-fetcher.ts';
import type { Holder } from './artifact-fetcher.ts';
import type { Urgency } from './fetch-slots.ts';

/** Far longer than anything takes on a busy machine. */
const PATIENCE_MS = 60_000;

const CONTENT = Buffer.from('a tarball, more or less');
const DIGEST = createHash('sha512').update(CONTENT).digest('hex');

const servers: Server[] = [];
after(() => {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
});

/**
 * A replica that answers every request for an artifact in its own way, and gives no parcels (they have
 * tests of their own).
 */
async function holder(name: string, listener: RequestListener): Promise<Holder> {
  const server = createServer((incoming, answer) => {
    if (incoming.method === 'GET') listener(incoming, answer);
    else answer.writeHead(404).end();
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { name, url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` };
}

interface MemoryStore extends ArtifactStore {
  readonly held: Set<string>;
  puts: number;
  readonly purposes: (ArtifactPurpose | undefined)[];
  /** Strangers have filled the room: it takes only what a vote waits for. */
  isFull: boolean;
}

function memoryStore(): MemoryStore {
  const held = new Set<string>();
  const store: MemoryStore = {
    held,
    puts: 0,
    purposes: [],
    isFull: false,
    put: async (sha512, source, purpose) => {
      store.puts++;
      store.purposes.push(purpose);
      if (store.isFull && purpose !== 'vote') throw new StorageBusyError('no room');
      const hash = createHash('sha512');
      for await (const chunk of source) hash.update(chunk);
      if (hash.digest('hex') !== sha512) {
        throw new VerifyError('ARTIFACT_DIGEST_MISMATCH', 'other bytes');
      }
      held.add(sha512);
      return { kind: 'created' as const, facts: factsOf(sha512) };
    },
    facts: async (sha512: string) => (held.has(sha512) ? factsOf(sha512) : undefined),
    missing: async () => [],
    read: async () => undefined,
    smallNow: () => undefined,
    hasNow: () => false,
  };
  return store;
}

const factsOf = (sha512: string): ArtifactFacts => ({
  sha512,
  size: CONTENT.length,
  name: 'a',
  version: '1.0.0',
  manifest: {},
});

const honest: RequestListener = (request, response) => {
  assert.equal(request.url, `/v1/artifacts/${DIGEST}`);
  response.end(CONTENT);
};
const liar: RequestListener = (_, response) => response.end('other bytes');
const poor: RequestListener = (_, response) => {
  response.statusCode = 404;
  response.end('{}');
};
const cutting: RequestListener = (_, response) => {
  response.writeHead(200, { 'content-length': '1000' });
  response.write('half');
  setImmediate(() => response.destroy());
};
const redirecting: RequestListener = (_, response) => {
  response.writeHead(302, { location: 'http://127.0.0.1:1/' });
  response.end();
};
const mute: RequestListener = () => undefined;

describe('ArtifactFetcher', () => {
  const before: readonly [string, RequestListener][] = [
    ['lies', liar],
    ['has not got it', poor],
    ['cuts the answer off', cutting],
    ['sends it elsewhere', redirecting],
  ];
  for (const [why, listener] of before) {
    it(`asks the next replica when one ${why}`, async () => {
      const store = memoryStore();
      const fetcher = new ArtifactFetcher(store, silentLog);
      const holders = [await holder('bad', listener), await holder('good', honest)];
      assert.equal(await fetcher.fetch([DIGEST], holders, PATIENCE_MS), true);
      assert.ok(store.held.has(DIGEST));
      await fetcher.close();
    });
  }

  it('says no when nobody has it, or nobody is there', async () => {
    const fetcher = new ArtifactFetcher(memoryStore(), silentLog);
    const holders = [await holder('bad', liar), { name: 'gone', url: 'http://127.0.0.1:1' }];
    assert.equal(await fetcher.fetch([DIGEST], holders, PATIENCE_MS), false);
    assert.equal(await fetcher.fetch([DIGEST], [], PATIENCE_MS), false);
    await fetcher.close();
  });

  it('answers when its time is over and a replica has not, and can be closed', async () => {
    const fetcher = new ArtifactFetcher(memoryStore(), silentLog);
    const isOver = new Promise((resolve) =>
      setTimeout(() => resolve('hangs'), PATIENCE_MS).unref(),
    );
    const answer = fetcher.fetch([DIGEST], [await holder('mute', mute)], 100);
    assert.equal(await Promise.race([answer, isOver]), false);
    await fetcher.close();
  });

  it('fetches any number, a few at a time', async () => {
    const contents = Array.from({ length: 40 }, (_, i) => `content ${i}`);
    const digestOf = (text: string): string => createHash('sha512').update(text).digest('hex');
    const byDigest = new Map(contents.map((text) => [digestOf(text), text]));
    let [running, most] = [0, 0];
    const waiting: (() => void)[] = [];
    const counting = await holder('good', (request, response) => {
      running++;
      most = Math.max(most, running);
      const answer = (): void => {
        running--;
        response.end(byDigest.get(request.url?.split('/').at(-1) ?? ''));
      };
      // None is answered before there are two.
      waiting.push(answer);
      if (most >= 2) setTimeout(() => waiting.splice(0).forEach((each) => each()), 2);
    });
    const store = memoryStore();
    const fetcher = new ArtifactFetcher(store, silentLog);
    assert.equal(await fetcher.fetch([...byDigest.keys()], [counting], PATIENCE_MS), true);
    assert.equal(store.held.size, 40);
    assert.ok(most >= 2 && most <= 12, `${most} at a time`);
    await fetcher.close();
  });

  it('fetches what a batch waits for before what is merely missing', async () => {
    const contents = Array.from({ length: 24 }, (_, i) => `content ${i}`);
    const digestOf = (text: string): string => createHash('sha512').update(text).digest('hex');
    const byDigest = new Map(contents.map((text) => [digestOf(text), text]));
    const digests = [...byDigest.keys()];
    const [missing, urgent, hurried] = [
      digests.slice(0, 23),
      digests.slice(23),
      digests.slice(20, 21),
    ];
    const asked: string[] = [];
    // What is merely missing is answered when the batch has what it waits for.
    const [first, late] = [new Set([...urgent, ...hurried]), [] as (() => void)[]];
    let isLate = false;
    const slow = await holder('slow', (request, response) => {
      const digest = request.url?.split('/').at(-1) ?? '';
      asked.push(digest);
      const answer = (): void => void response.end(byDigest.get(digest));
      if (isLate || first.has(digest)) answer();
      else late.push(answer);
    });
    const fetcher = new ArtifactFetcher(memoryStore(), silentLog);
    const repairs = fetcher.fetch(missing, [slow], PATIENCE_MS, 'repair');
    while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    assert.equal(await fetcher.fetch([...urgent, ...hurried], [slow], PATIENCE_MS), true);
    assert.ok(asked.length < 12, `${asked.length} were asked for before it`);
    isLate = true;
    for (const answer of late) answer();
    assert.equal(await repairs, true);
    assert.equal(new Set(asked).size, 24);
    assert.equal(asked.length, 24);
    await fetcher.close();
  });

  const purposes: readonly (readonly [Urgency, ArtifactPurpose])[] = [
    ['batch', 'vote'],
    ['submission', 'offer'],
    ['repair', 'offer'],
  ];
  for (const [urgency, purpose] of purposes) {
    it(`tells the store what a ${urgency} is for`, async () => {
      const store = memoryStore();
      const fetcher = new ArtifactFetcher(store, silentLog);
      const holders = [await holder('good', honest)];
      assert.equal(await fetcher.fetch([DIGEST], holders, PATIENCE_MS, urgency), true);
      assert.deepEqual(store.purposes, [purpose]);
      await fetcher.close();
    });
  }

  it('gets for a vote what a submission that came first finds no room for', async () => {
    const store = memoryStore();
    store.isFull = true;
    const fetcher = new ArtifactFetcher(store, silentLog);
    const asked: (string | undefined)[] = [];
    let answerFirst = (): void => undefined;
    const later = await holder('good', (request, response) => {
      asked.push(request.url);
      if (asked.length > 1) response.end(CONTENT);
      else answerFirst = () => void response.end(CONTENT);
    });
    const submitted = fetcher.fetch([DIGEST], [later], PATIENCE_MS, 'submission');
    while (asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 1));
    const votes = [1, 2].map(() => fetcher.fetch([DIGEST], [later], PATIENCE_MS));
    answerFirst();
    assert.deepEqual(await Promise.all(votes), [true, true]);
    assert.equal(await submitted, false);
    assert.deepEqual(store.purposes, ['offer', 'vote']);
    await fetcher.close();
  });

  const whileFilled: readonly (readonly [Urgency, boolean])[] = [
    ['batch', true],
    ['repair', true],
    ['submission', false],
  ];
  for (const [urgency, isFetched] of whileFilled) {
    it(`${isFetched ? 'takes' : 'refuses'} a ${urgency} while stalled submissions fill what waits`, async () => {
      const fetcher = new ArtifactFetcher(memoryStore(), silentLog);
      const [stalling, good] = [await holder('mute', mute), await holder('good', honest)];
      const named = Array.from({ length: 4096 }, (_, i) => i.toString(16).padStart(128, '0'));
      const submitted = fetcher.fetch(named, [stalling], 60_000, 'submission');
      assert.equal(await fetcher.fetch([DIGEST], [good], 20_000, urgency), isFetched);
      await fetcher.close();
      assert.equal(await submitted, false);
    });
  }

  describe('with a replica that drips', () => {
    const contents = Array.from({ length: 20 }, (_, i) => `content ${i}`);
    const byDigest = new Map(
      contents.map((text) => [createHash('sha512').update(text).digest('hex'), text]),
    );
    const digests = [...byDigest.keys()];
    const good: RequestListener = (request, response) =>
      response.end(byDigest.get(request.url?.split('/').at(-1) ?? ''));
    const dripping =
      (status: number, asked: unknown[], length = 1000): RequestListener =>
      (request, response) => {
        asked.push(request.url);
        response.writeHead(status, { 'content-length': String(length) });
        const drip = setInterval(() => response.write('x'), 10);
        response.on('close', () => clearInterval(drip));
      };
    const quick = { pace: { bytesPerSecond: 10_000, graceMs: 100 } };

    for (const status of [200, 404]) {
      it(`gives it up, asks the next, and asks it last from then on (${status})`, async () => {
        const asked: unknown[] = [];
        const store = memoryStore();
        const fetcher = new ArtifactFetcher(store, silentLog, quick);
        const holders = [await holder('slow', dripping(status, asked)), await holder('good', good)];
        assert.equal(await fetcher.fetch(digests, holders, PATIENCE_MS), true);
        assert.equal(store.held.size, 20);
        assert.equal(asked.length, 12, 'its places, once');
        await fetcher.close();
      });
    }

    // As slow as it may be for ever: nothing here ever refuses it.
    const patient = { pace: { bytesPerSecond: 1, graceMs: 600_000 }, besideMs: 600 };

    for (const [why, urgency] of [
      ['waits for it from the start', 'batch'],
      ['needs what a submission waits for', 'submission'],
    ] as const) {
      it(`asks the next replica beside it when a vote ${why}`, async () => {
        const asked: unknown[] = [];
        const fetcher = new ArtifactFetcher(memoryStore(), silentLog, patient);
        const slow = await holder('slow', dripping(200, asked, 1_000_000));
        const all = [slow, await holder('empty', poor), await holder('good', good)];
        const some = digests.slice(0, 5);
        const first = fetcher.fetch(some, urgency === 'batch' ? all : [slow], PATIENCE_MS, urgency);
        while (asked.length < 5) await new Promise((resolve) => setTimeout(resolve, 1));
        assert.equal(await fetcher.fetch(some, all, PATIENCE_MS), true);
        assert.equal(await first, true);
        const more = digests.slice(5, 10);
        assert.equal(await fetcher.fetch(more, all, PATIENCE_MS), true);
        assert.equal(asked.length, 5, 'it is asked last from then on');
        await fetcher.close();
      });
    }

    it('gets from others meanwhile: it has half of the places at most', async () => {
      const asked: unknown[] = [];
      const fetcher = new ArtifactFetcher(memoryStore(), silentLog);
      const slow = await holder('slow', dripping(200, asked));
      const held = fetcher.fetch(digests.slice(1), [slow], PATIENCE_MS);
      while (asked.length < 12) await new Promise((resolve) => setTimeout(resolve, 1));
      const others = [await holder('good', good)];
      assert.equal(await fetcher.fetch(digests.slice(0, 1), others, PATIENCE_MS), true);
      assert.equal(asked.length, 12);
      await fetcher.close();
      assert.equal(await held, false);
    });
  });

  it('fetches once what is asked for many times, and nothing that is here', async () => {
    const store = memoryStore();
    const fetcher = new ArtifactFetcher(store, silentLog);
    const holders = [await holder('good', honest)];
    const results = await Promise.all(
      Array.from({ length: 20 }, () => fetcher.fetch([DIGEST], holders, PATIENCE_MS)),
    );
    assert.ok(results.every((held) => held));
    assert.equal(store.puts, 1);
    assert.equal(await fetcher.fetch([DIGEST], [], PATIENCE_MS), true);
    await fetcher.close();
  });
});
