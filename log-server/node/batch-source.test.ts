import assert from 'node:assert/strict';
import { createServer, type RequestListener, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, it } from 'node:test';

import { certificateFor } from '../../fixtures/test-storage.ts';
import { TEST_ORIGIN, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { encodeMessage } from '../../verifier/replication/encode-message.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import { parseRoster } from '../../verifier/roster.ts';
import type { CommittedRecord } from '../consensus/types.ts';
import { silentLog, type Log } from '../log.ts';
import { RemoteBatches } from './batch-source.ts';
import type { Source } from './follower.ts';

// Nobody listens at its replicas' addresses: they stand for those that are down.
const ROSTER = { ...parseRoster(rosterEnvelope(4).payload), replicas: [] };
const HEADER = { ...genesisHeader(TEST_ORIGIN), height: 1, prevSize: 0, size: 1 };
const RECORD: CommittedRecord = {
  header: HEADER,
  body: [Uint8Array.of(9)],
  certificate: certificateFor(HEADER),
};
const GOOD = encodeMessage({ kind: 'batches', batches: [RECORD] });

const good: RequestListener = (_, response) => response.writeHead(200).end(GOOD);

describe('RemoteBatches', () => {
  // [why, what the first replica does, what is told of it]
  const bad: readonly (readonly [string, RequestListener, RegExp])[] = [
    ['fails', (_, response) => response.writeHead(500).end(), /status 500/],
    ['has nothing', (_, response) => response.writeHead(404).end(), /status 404/],
    ['hangs up', (request) => request.socket.destroy(), /other side closed|ECONNRESET/],
    ['answers something else', (_, response) => response.end('hello'), /MESSAGE_MALFORMED/],
    [
      'drips',
      (_, response) => {
        response.writeHead(200);
        response.write(GOOD.subarray(0, 1));
      },
      /too slowly/,
    ],
  ];
  for (const [why, listener, told] of bad) {
    it(`asks a replica that ${why} once, and then whoever answered`, async () => {
      const asked: string[] = [];
      const warnings: string[] = [];
      const log: Log = {
        ...silentLog,
        warn: (event, fields) =>
          warnings.push(`${event} ${String(fields?.['peer'])} ${String(fields?.['error'])}`),
      };
      const servers: Server[] = [];
      const sources: Source[] = [];
      for (const [i, answer] of [listener, good].entries()) {
        const server = createServer((request, response) => {
          asked.push(`r${i}`);
          answer(request, response);
        });
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        servers.push(server);
        const { port } = server.address() as AddressInfo;
        sources.push({ name: `r${i}`, url: `http://127.0.0.1:${port}` });
      }
      // Within the grace a machine that is busy answers too.
      const batches = new RemoteBatches('own', sources, log, { bytesPerSecond: 1, graceMs: 2000 });
      try {
        for (let chunk = 0; chunk < 4; chunk++) {
          for await (const records of batches.answers(1, ROSTER)) {
            assert.equal(records.length, 1);
            break;
          }
        }
      } finally {
        await batches.close();
        for (const server of servers) {
          server.closeAllConnections();
          await new Promise((resolve) => server.close(resolve));
        }
      }
      assert.deepEqual(asked, ['r0', 'r1', 'r1', 'r1', 'r1']);
      assert.equal(warnings.length, 1);
      assert.match(warnings[0] ?? '', told);
    });
  }
});
