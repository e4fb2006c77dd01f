// The proxy as package managers see it: over HTTP, in front of replicas that may lie.
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';

import { SILENT } from '../../fixtures/terminal.ts';
import { FakeLog } from '../../fixtures/fake-log.ts';
import { SYNTHETIC_BATCH_SECONDS } from '../../fixtures/synthetic-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { Invocation } from '../context.ts';
import { fallbackGlobals } from '../globals.ts';
import { LogSession } from '../session/log-session.ts';
import { openProxy, type Proxy } from './proxy.ts';

const ABBREVIATED = 'application/vnd.npm.install-v1+json';
const EVIL = makeTarball({ name: 'alpha', version: '1.1.0', files: { 'index.js': 'evil()' } });

let fake: FakeLog;
let alpha: Uint8Array;

interface World extends Proxy {
  readonly told: string[];
  close(): Promise<void>;
}

async function open(): Promise<World> {
  const told: string[] = [];
  const invocation: Invocation = {
    context: {
      cwd: fake.project,
      env: { HOME: fake.home },
      terminal: SILENT,
      nowMs: () => (fake.log.time + 1) * 1000,
      signal: new AbortController().signal,
    },
    globals: fallbackGlobals(fake.project, 'human'),
    progress: () => undefined,
    notice: (text) => told.push(text),
  };
  const session = await LogSession.open(invocation);
  const proxy = await openProxy(invocation, session);
  return {
    ...proxy,
    told,
    close: async () => {
      await proxy.server.close();
      await session.close();
    },
  };
}

/** Runs a test with a proxy of its own. */
async function withProxy(work: (world: World) => Promise<void>): Promise<void> {
  const world = await open();
  try {
    await work(world);
  } finally {
    await world.close();
  }
}

interface Packument {
  readonly 'dist-tags': { readonly latest: string };
  readonly versions: Readonly<
    Record<string, { readonly dependencies?: object; readonly dist: { readonly tarball: string } }>
  >;
}

async function packumentOf({ server }: World, name: string): Promise<Packument> {
  const response = await fetch(`${server.registry}${name.replace('/', '%2f')}`);
  assert.equal(response.status, 200, await response.clone().text());
  return (await response.json()) as Packument;
}

/** Sends raw bytes and reads until the other side has ended, or has said enough. */
function talk(port: number, ...parts: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1');
    let answer = '';
    const waiting = [...parts];
    const sendNext = (): void => {
      const next = waiting.shift();
      if (next === undefined) socket.end();
      else socket.write(next);
    };
    socket.setEncoding('utf8').on('data', (text: string) => {
      answer += text;
      sendNext();
    });
    socket.on('connect', sendNext).on('error', reject);
    socket.on('close', () => resolve(answer));
  });
}

describe('the verifying proxy', () => {
  before(async () => {
    fake = await FakeLog.start();
    await fake.publish({ name: 'alpha', version: '1.0.0' });
    alpha = await fake.publish({
      name: 'alpha',
      version: '1.1.0',
      packageJson: { dependencies: { '@acme/beta': '^2.0.0' } },
    });
    await fake.publish({ name: '@acme/beta', version: '2.0.0' });
    for (const version of ['1.0.0', '1.1.0', '1.2.0']) {
      await fake.publish({ name: 'moody', version });
    }
    fake.log.withdraw('moody', '1.2.0', 'yanked');
    fake.log.withdraw('moody', '1.0.0', 'revoked');
    fake.log.commit();
  });
  after(async () => {
    await fake.stop();
  });
  beforeEach(async () => {
    await fake.configure();
    for (const replica of fake.replicas) {
      replica.misbehave = undefined;
      replica.requests.length = 0;
    }
  });

  /** Makes replicas answer a path with a document of their own. */
  function lie(count: number, path: string, document: unknown): void {
    for (const replica of fake.replicas.slice(0, count)) {
      replica.misbehave = (request, response) => {
        if (request.path !== path) return false;
        response.writeHead(200, { 'content-type': 'application/json' });
        response.end(JSON.stringify(document));
        return true;
      };
    }
  }

  describe('packuments', () => {
    it('say what maintainers signed, with tarballs at the proxy', async () => {
      await withProxy(async (world) => {
        const { versions, 'dist-tags': tags } = await packumentOf(world, 'alpha');
        assert.deepEqual(Object.keys(versions), ['1.0.0', '1.1.0']);
        assert.equal(tags.latest, '1.1.0');
        assert.deepEqual(versions['1.1.0']?.dependencies, { '@acme/beta': '^2.0.0' });
        const address = `${world.server.registry}alpha/-/alpha-1.1.0.tgz`;
        assert.equal(versions['1.1.0']?.dist.tarball, address);
      });
    });

    it('have nothing in them that a replica made up', async () => {
      const dist = { integrity: 'sha512-x', tarball: 'http://evil.example/x.tgz' };
      const made = { name: 'alpha', version: '9.0.0', dependencies: { evil: '*' }, dist };
      lie(4, '/npm/alpha', { name: 'alpha', versions: { '1.0.0': made, '9.0.0': made } });
      await withProxy(async (world) => {
        const document = await packumentOf(world, 'alpha');
        // 1.1.0 is in no list, but the log itself names it as the latest.
        assert.deepEqual(Object.keys(document.versions), ['1.0.0', '1.1.0']);
        assert.doesNotMatch(JSON.stringify(document), /evil|9\.0\.0/);
      });
    });

    it('have every version although one replica leaves some out', async () => {
      lie(1, '/npm/alpha', { name: 'alpha', versions: {} });
      await withProxy(async (world) => {
        assert.equal(Object.keys((await packumentOf(world, 'alpha')).versions).length, 2);
      });
    });

    it('have every version although one replica makes thousands up', async () => {
      const made = Array.from({ length: 5_000 }, (_, i) => [`9.0.${i}`, {}] as const);
      lie(1, '/npm/alpha', { name: 'alpha', versions: Object.fromEntries(made) });
      await withProxy(async (world) => {
        const { versions } = await packumentOf(world, 'alpha');
        assert.deepEqual(Object.keys(versions), ['1.0.0', '1.1.0']);
      });
    });

    it('tell when versions are in no list', async () => {
      lie(4, '/npm/alpha', { name: 'alpha', versions: {} });
      await withProxy(async (world) => {
        assert.deepEqual(Object.keys((await packumentOf(world, 'alpha')).versions), ['1.1.0']);
        assert.match(world.told.join('\n'), /BP6014 alpha: 1 version is not offered/);
      });
    });

    it('leave withdrawn versions out, and never in silence', async () => {
      await withProxy(async (world) => {
        assert.deepEqual(Object.keys((await packumentOf(world, 'moody')).versions), ['1.1.0']);
        const [found] = world.ledger.diagnostics(true);
        assert.equal(found?.code, 'BP6014');
        assert.deepEqual(
          found.details.map(([version, why]) => `${version} ${why.slice(0, 6)}`),
          ['1.2.0 BP5002', '1.0.0 BP5001'],
        );
      });
    });

    it('leave out what the policy refuses, and tag the newest that is left', async () => {
      // Five batches were logged after 1.1.0, and six after 1.0.0.
      const releaseAgeMinSeconds = 5 * SYNTHETIC_BATCH_SECONDS + SYNTHETIC_BATCH_SECONDS / 2;
      await fake.configure({ rules: [{ packages: ['alpha'], releaseAgeMinSeconds }] });
      await withProxy(async (world) => {
        const { versions, 'dist-tags': tags } = await packumentOf(world, 'alpha');
        assert.deepEqual(Object.keys(versions), ['1.0.0']);
        assert.equal(tags.latest, '1.0.0');
        assert.match(world.told.join('\n'), /BP6014 alpha: 1 version is not offered/);
        const tarball = await fetch(`${world.server.registry}alpha/-/alpha-1.1.0.tgz`);
        assert.equal(tarball.status, 403);
        assert.match(await tarball.text(), /BP6004/);
      });
    });

    it('have their parts by version, and by the tag', async () => {
      await withProxy(async ({ server }) => {
        const parts: readonly (readonly [string, number, string?])[] = [
          ['alpha/latest', 200, '1.1.0'],
          ['alpha/1.0.0', 200, '1.0.0'],
          ['@acme%2fbeta/latest', 200, '2.0.0'],
          ['moody/latest', 200, '1.1.0'],
          ['moody/1.0.0', 404],
          ['alpha/toString', 404],
          ['alpha/', 404],
        ];
        for (const [path, status, version] of parts) {
          const response = await fetch(`${server.registry}${path}`);
          assert.equal(response.status, status, path);
          const document = (await response.json()) as { readonly version?: string };
          assert.equal(document.version, version, path);
        }
      });
    });

    it('come in the short form, and not again to whom has them', async () => {
      await withProxy(async ({ server }) => {
        const address = `${server.registry}alpha`;
        const short = await fetch(address, { headers: { accept: `${ABBREVIATED}; q=1.0, */*` } });
        assert.equal(short.headers.get('content-type'), ABBREVIATED);
        const etag = short.headers.get('etag') ?? '';
        assert.match(etag, /^"[0-9a-f]{32}"$/);
        const headers = { accept: ABBREVIATED, 'if-none-match': `"x", W/${etag}` };
        const again = await fetch(address, { headers });
        assert.equal(again.status, 304);
        assert.equal(await again.text(), '');
        const full = await fetch(address, { headers: { 'if-none-match': etag } });
        assert.equal(full.status, 200, 'the other form is another document');
        assert.equal((await fetch(address, { method: 'HEAD' })).status, 200);
      });
    });

    it('are proven together when many are asked for', async () => {
      await withProxy(async ({ server }) => {
        const names = ['alpha', '@acme%2fbeta', 'moody', 'none-1', 'none-2', 'none-3', 'none-4'];
        await Promise.all(names.map((name) => fetch(`${server.registry}${name}`)));
        const asked = fake.replicas.flatMap(({ requests }) => requests);
        const evidence = asked.filter((line) => line === 'POST /v1/evidence').length;
        assert.ok(evidence >= 1 && evidence < names.length, `${evidence} questions`);
      });
    });
  });

  describe('tarballs', () => {
    const path = 'alpha/-/alpha-1.1.0.tgz';

    it('are the bytes that were signed', async () => {
      await withProxy(async ({ server, ledger }) => {
        const response = await fetch(`${server.registry}${path}`);
        assert.equal(response.status, 200);
        const bytes = new Uint8Array(await response.arrayBuffer());
        assert.deepEqual(bytes, fake.artifacts.get(encodeHex(alpha)));
        assert.deepEqual(
          ledger.subjects(true).map(({ name, version, verdict }) => [name, version, verdict]),
          [['alpha', '1.1.0', 'verified']],
        );
      });
    });

    it('are found under addresses of other registries as well', async () => {
      await withProxy(async ({ server }) => {
        const secret = server.registry.split('/').at(-2) ?? '';
        const places = [`deep/er/${path}`, `${secret}/${path}`, 'x/@acme/beta/-/beta-2.0.0.tgz'];
        for (const place of places) {
          assert.equal((await fetch(`${server.registry}${place}`)).status, 200, place);
        }
      });
    });

    it('are served in no part when every replica has other bytes', async () => {
      const digest = encodeHex(alpha);
      for (const replica of fake.replicas) {
        replica.misbehave = (request, response) => {
          if (request.path !== `/v1/artifacts/${digest}`) return false;
          response.writeHead(200);
          response.end(Buffer.from(EVIL));
          return true;
        };
      }
      await rm(`${fake.home}/.cache`, { recursive: true, force: true });
      await withProxy(async ({ server, ledger, told }) => {
        const response = await fetch(`${server.registry}${path}`);
        assert.equal(response.status, 403);
        assert.match(await response.text(), /^\{"error":"bftpkg BP100[12]: /);
        assert.equal(ledger.subjects(true)[0]?.verdict, 'rejected');
        assert.match(told.join('\n'), /refused BP100[12] alpha@1\.1\.0/);
      });
    });

    const refused: readonly (readonly [string, string, number, RegExp])[] = [
      ['a revoked version', 'moody/-/moody-1.0.0.tgz', 403, /BP5001/],
      ['a version that is not in the log', 'alpha/-/alpha-7.0.0.tgz', 404, /BP5003/],
      ['a package that is not in the log', 'nobody/-/nobody-1.0.0.tgz', 404, /BP5003/],
      ['another package under the name', 'alpha/-/beta-1.1.0.tgz', 404, /not an address/],
      ['a path that leads elsewhere', 'alpha/-/..%2f..%2fx.tgz', 404, /not an address/],
    ];
    for (const [why, target, status, text] of refused) {
      it(`are refused: ${why}`, async () => {
        await withProxy(async ({ server }) => {
          const response = await fetch(`${server.registry}${target}`);
          assert.equal(response.status, status);
          assert.match(await response.text(), text);
        });
      });
    }

    it('of yanked versions go on being served: lockfiles name them', async () => {
      await withProxy(async ({ server }) => {
        assert.equal((await fetch(`${server.registry}moody/-/moody-1.2.0.tgz`)).status, 200);
      });
    });
  });

  describe('the ledger', () => {
    it('counts what is proven to be missing as a failure only when the command failed', async () => {
      await withProxy(async ({ server, ledger }) => {
        await fetch(`${server.registry}nobody`);
        assert.deepEqual(ledger.subjects(true), []);
        assert.equal(ledger.diagnostics(true)[0]?.severity, 'warning');
        assert.equal(ledger.subjects(false)[0]?.verdict, 'rejected');
        assert.deepEqual(ledger.diagnostics(false), []);
      });
    });
  });

  describe('the address', () => {
    it('is of no use without its secret', async () => {
      await withProxy(async ({ server }) => {
        for (const path of ['alpha', '', `${'0'.repeat(32)}/alpha`]) {
          assert.equal((await fetch(`${server.forward}/${path}`)).status, 404, path);
        }
      });
    });

    it('is of no use under another name', async () => {
      await withProxy(async ({ server, ledger }) => {
        const { pathname } = new URL(server.registry);
        const request = `GET ${pathname}alpha HTTP/1.1\r\nHost: rebound.example\r\nConnection: close\r\n\r\n`;
        assert.match(await talk(server.port, request), /^HTTP\/1\.1 403 /);
        assert.equal(ledger.diagnostics(true)[0]?.code, 'BP6015');
      });
    });
  });

  describe('the forward proxy', () => {
    const ways: readonly (readonly [string, string])[] = [
      ['plain HTTP', 'GET http://evil.example/x.tgz HTTP/1.1\r\nHost: evil.example\r\n\r\n'],
      ['plain HTTP with our Host', 'GET http://evil.example/x.tgz HTTP/1.1\r\nHost: OURS\r\n\r\n'],
      ['a user in the address', 'GET http://OURS@evil.example/ HTTP/1.1\r\nHost: OURS\r\n\r\n'],
      ['a tunnel', 'CONNECT evil.example:443 HTTP/1.1\r\nHost: evil.example:443\r\n\r\n'],
      ['a tunnel to another port', 'CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n'],
      ['an upload', 'POST http://evil.example/ HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\n\r\n'],
    ];
    for (const [why, request] of ways) {
      it(`leads nowhere: ${why}`, async () => {
        await withProxy(async ({ server, ledger }) => {
          const ours = `127.0.0.1:${server.port}`;
          const answer = await talk(server.port, request.replaceAll('OURS', ours));
          assert.match(answer, /^HTTP\/1\.1 40[03] /);
          if (answer.includes(' 403 ')) {
            assert.match(answer, /bftpkg BP6015/);
            assert.match(
              ledger.diagnostics(true)[0]?.message ?? '',
              /evil\.example|127\.0\.0\.1:1$/,
            );
          }
        });
      });
    }

    it('leads to the registry of the proxy itself', async () => {
      await withProxy(async ({ server, ledger }) => {
        const { pathname, host } = new URL(server.registry);
        const end = `Host: ${host}\r\nConnection: close\r\n\r\n`;
        const whole = `GET ${server.registry}-/ping HTTP/1.1\r\n${end}`;
        assert.match(await talk(server.port, whole), /^HTTP\/1\.1 200 [^]*\{\}/);
        const tunnel = `CONNECT ${host} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;
        const answer = await talk(server.port, tunnel, `GET ${pathname}-/ping HTTP/1.1\r\n${end}`);
        assert.match(answer, /200 Connection Established[^]*HTTP\/1\.1 200 OK[^]*\{\}/);
        assert.deepEqual(ledger.diagnostics(true), []);
      });
    });
  });

  describe('other parts of the protocol', () => {
    const requests: readonly (readonly [string, string, number, RegExp])[] = [
      ['GET', '-/ping', 200, /^\{\}$/],
      ['POST', '-/npm/v1/security/advisories/bulk', 200, /^\{\}$/],
      ['POST', '-/npm/v1/security/audits/quick', 200, /^\{\}$/],
      ['POST', '-/npm/v1/security/audits/quick/more', 404, /error/],
      ['POST', '-/npm/v1/security/', 404, /error/],
      ['GET', '-/npm/v1/keys', 404, /error/],
      ['GET', '-/npm/v1/attestations/alpha@1.0.0', 404, /error/],
      ['GET', '-/whoami', 404, /error/],
      ['GET', '-/v1/search?text=x', 404, /error/],
      ['PUT', 'alpha', 403, /read-only/],
      ['DELETE', 'alpha/-rev/1', 403, /read-only/],
      ['GET', 'alpha/1.0.0/x', 404, /error/],
    ];
    for (const [method, path, status, text] of requests) {
      it(`answers ${method} ${path} with ${status}`, async () => {
        await withProxy(async ({ server }) => {
          const body = method === 'POST' || method === 'PUT' ? '{"alpha":["1.0.0"]}' : null;
          const response = await fetch(`${server.registry}${path}`, { method, body });
          assert.equal(response.status, status);
          assert.match(await response.text(), text);
        });
      });
    }

    // `fetch` would take the dots out by itself. An audit is relayed with the user's token: with these in it,
    // the token would change who may publish a package.
    for (const way of ['../../../', 'audits/quick/../../../../../', '%2e%2e/%2e%2e/%2e%2e/']) {
      it(`relays no audit that leads elsewhere: ${way}`, async () => {
        await withProxy(async ({ server }) => {
          const { host, pathname } = new URL(server.registry);
          const path = `${pathname}-/npm/v1/security/${way}-/package/x/access`;
          const head = `POST ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n`;
          const answer = await talk(server.port, `${head}Content-Length: 2\r\n\r\n{}`);
          assert.match(answer, /^HTTP\/1\.1 404 /);
        });
      });
    }

    it('answers 503 when too few replicas can be reached: nothing is proven then', async () => {
      const small = await FakeLog.start();
      const whole = fake;
      try {
        await small.publish({ name: 'alpha', version: '1.0.0' });
        fake = small;
        await withProxy(async ({ server }) => {
          await Promise.all(small.replicas.slice(0, 2).map((replica) => replica.kill()));
          const response = await fetch(`${server.registry}alpha`);
          assert.equal(response.status, 503);
          assert.match(await response.text(), /BP7001/);
        });
      } finally {
        fake = whole;
        await small.stop();
      }
    });
  });
});
