import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';

import { testKey } from '../../fixtures/documents.ts';
import { ByzantinePeer } from '../../fixtures/e2e/byzantine-peer.ts';
import { freePorts } from '../../fixtures/free-ports.ts';
import { bytesOf, idOf } from '../../fixtures/test-ledger.ts';
import { withFolder } from '../../fixtures/test-storage.ts';
import { ENVELOPE_SIGNATURES_MAX } from '../../verifier/dsse.ts';
import { keyId } from '../../verifier/ed25519.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import { packagePurl } from '../../verifier/npm/purl.ts';
import { encodeMessage } from '../../verifier/replication/encode-message.ts';
import { parseRoster } from '../../verifier/roster.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  formatMaintainerSet,
} from '../../verifier/statements/maintainers.ts';
import { createCluster } from '../cluster.ts';
import type { Request } from '../consensus/types.ts';
import { silentLog } from '../log.ts';
import { startNode } from '../node.ts';
import { loadSetup } from '../setup.ts';

const ORIGIN = 'log.example';
const HOST = '127.0.0.1';

/** A claim with as many lines as there may be, all of them bad and each to be checked. */
function costly(n: number): Request {
  const keys = Array.from({ length: ENVELOPE_SIGNATURES_MAX }, (_, i) => testKey(500 + i));
  const payload = formatMaintainerSet({
    package: packagePurl(`costly-${n}`),
    sequence: 0,
    previous: null,
    faulty: 1,
    maintainers: keys.map(({ publicKey }, i) => ({ name: `m${i}`, key: publicKey })),
    observed: new Map([[ORIGIN, { size: 0, root: EMPTY_ROOT }]]),
  });
  const signatures = keys.map(({ publicKey }) => ({
    keyid: keyId(publicKey),
    signature: new Uint8Array(64).fill(1),
  }));
  const envelope = { payloadType: MAINTAINERS_PAYLOAD_TYPE, payload, signatures };
  return { id: idOf(envelope), bytes: bytesOf(envelope) };
}

describe('a replica that is stopped', () => {
  it('ends in order while a peer floods it with signatures', async () => {
    await withFolder(async (folder) => {
      const ports = await freePorts(8);
      const cluster = await createCluster({
        origin: ORIGIN,
        folder,
        host: HOST,
        ports: [0, 1, 2, 3].map((i) => ({
          publicPort: ports[i] ?? 0,
          peerPort: ports[i + 4] ?? 0,
        })),
        settings: { drainSeconds: 0 },
      });
      const setup = await loadSetup(cluster.replicas[0]?.configFile ?? '', {});
      const failures: unknown[] = [];
      const node = await startNode({
        setup,
        log: silentLog,
        clocks: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
        failed: (error) => failures.push(error),
      });
      const [genesis] = setup.rosterEnvelopes;
      assert.ok(genesis, 'a cluster has a roster');
      const liar = await ByzantinePeer.replacing(join(folder, 'r3'), parseRoster(genesis.payload));
      try {
        const requests = Array.from({ length: 100 }, (_, n) => costly(n));
        const forward = encodeMessage({ kind: 'forward', epoch: 0, requests });
        const said = await liar.victims[0]?.say([forward]);
        assert.equal(said?.isTaken, true);
      } finally {
        await node.close();
        await liar.close();
      }
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve));
      assert.deepEqual(failures, []);
    });
  });
});
