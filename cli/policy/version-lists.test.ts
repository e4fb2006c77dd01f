// Lists of versions from servers that may be anything. A bad list costs its server its say, nothing else.
import assert from 'node:assert/strict';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, beforeEach, describe, it } from 'node:test';

import { HttpClient } from '../client/http.ts';
import { candidatesBefore, WHOLE_LIST_MAX, type VersionLists } from './predecessor.ts';
import { askVersionLists } from './version-lists.ts';

type Behaviour = (response: ServerResponse) => void;

const COUNT = 4;
const servers: Server[] = [];
const urls: string[] = [];
let behaviours: Behaviour[] = [];
let asked: string[] = [];
let http: HttpClient;

before(async () => {
  http = new HttpClient({ offline: false });
  for (let i = 0; i < COUNT; i++) {
    const server = createServer((request, response) => {
      asked.push(`${i} ${request.url ?? ''}`);
      (behaviours[i] ?? good)(response);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    servers.push(server);
    urls.push(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  }
});
after(async () => {
  await http.close();
  for (const server of servers) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});
beforeEach(() => {
  behaviours = [];
  asked = [];
});

const text =
  (body: string, status = 200): Behaviour =>
  (response) =>
    response.writeHead(status).end(body);
const good: Behaviour = text('{"name":"a","versions":{"1.0.0":{},"1.1.0":{}}}');

async function ask(
  name = 'a',
  signal = AbortSignal.timeout(60_000),
): Promise<VersionLists | undefined> {
  return (await askVersionLists({ http, urls, signal }, [name])).get(name);
}

describe('askVersionLists', () => {
  it('asks f + 1 replicas, by the address that npm uses', async () => {
    assert.deepEqual(await ask('@acme/a'), [
      ['1.0.0', '1.1.0'],
      ['1.0.0', '1.1.0'],
    ]);
    assert.deepEqual(asked.toSorted(), ['0 /npm/@acme%2fa', '1 /npm/@acme%2fa']);
  });

  const bad: readonly (readonly [string, Behaviour])[] = [
    ['an error', text('{}', 500)],
    ['a redirect', (response) => response.writeHead(302, { location: urls[3] }).end()],
    ['nothing', text('')],
    ['no JSON', text('{"versions":')],
    ['no table', text('[]')],
    ['no versions', text('{"name":"a"}')],
    ['a list of versions', text('{"versions":["1.0.0"]}')],
    ['a key twice', text('{"versions":{"1.0.0":{}},"versions":{}}')],
    ['a prototype', text('{"versions":{"__proto__":{}}}')],
    ['deep nesting', text('['.repeat(100_000))],
    ['a flood', (response) => flood(response)],
    ['a closed connection', (response) => void response.destroy()],
    [
      'half an answer',
      (response) => {
        response.writeHead(200, { 'content-length': '1000' }).write('{"versions"');
        setTimeout(() => response.destroy(), 10);
      },
    ],
  ];
  for (const [why, behaviour] of bad) {
    it(`asks another one instead of one that answers with ${why}`, async () => {
      behaviours = [behaviour];
      assert.equal((await ask())?.length, 2);
      assert.equal(asked.length, 3);
    });
  }

  it('says so when too few can be asked', async () => {
    const broken = text('', 500);
    behaviours = [broken, broken, broken, good];
    assert.equal(await ask(), 'too-few');
    assert.equal(asked.length, COUNT);
  });

  it('takes "no such package" as a list, and drops what is no version', async () => {
    behaviours = [text('{}', 404), text('{"versions":{"1.0.0":{},"v2":{},"latest":{},"1.0":{}}}')];
    assert.deepEqual(await ask(), [[], ['1.0.0']]);
  });

  it('ends when the time is spent', async () => {
    behaviours = [() => undefined];
    await assert.rejects(ask('a', AbortSignal.timeout(200)));
  });
});

// More than is ever read.
function flood(response: ServerResponse): void {
  const chunk = Buffer.alloc(1024 * 1024, ' ');
  const write = (): void => {
    while (!response.destroyed && response.write(chunk));
    if (!response.destroyed) response.once('drain', write);
  };
  write();
}

describe('candidatesBefore', () => {
  const cases: readonly (readonly [
    string,
    string,
    readonly (readonly string[])[],
    readonly string[],
  ])[] = [
    ['the nearest lower one', '1.10.0', [['1.9.0', '1.2.0', '1.10.0', '2.0.0']], ['1.9.0']],
    ['one of each list', '2.0.0', [['1.0.0'], ['1.0.0', '1.5.0'], []], ['1.0.0', '1.5.0']],
    ['each once', '2.0.0', [['1.0.0'], ['1.0.0']], ['1.0.0']],
    ['a prerelease of the same version', '1.0.0', [['1.0.0-rc.1', '0.9.0']], ['1.0.0-rc.1']],
    [
      'all others where none is lower',
      '1.0.0',
      [['1.0.0', '2.0.0'], ['1.1.0']],
      ['2.0.0', '1.1.0'],
    ],
    ['none where there is none', '1.0.0', [['1.0.0'], []], []],
    [
      'none of very many higher ones',
      '0.0.1',
      [Array.from({ length: WHOLE_LIST_MAX + 1 }, (_, i) => `1.0.${i}`)],
      [],
    ],
  ];
  for (const [why, version, lists, expected] of cases) {
    it(`names ${why}`, () => assert.deepEqual(candidatesBefore(version, lists), expected));
  }
});
