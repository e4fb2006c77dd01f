// Four replicas in one process, with real sockets, real keys and real databases.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { freePorts } from '../fixtures/free-ports.ts';
import { Publisher, submissionId, submit, submitOnce, upload } from '../fixtures/publisher.ts';
import { parseEvidence } from '../verifier/evidence/format.ts';
import { verifyEvidence } from '../verifier/evidence/verify.ts';
import type { VerifiedEvidence } from '../verifier/evidence/verify.ts';
import { parseSubject } from '../verifier/evidence/subject.ts';
import { nativeVerifier } from '../verifier/node/ed25519.ts';
import { createCluster } from './cluster.ts';
import type { Cluster } from './cluster.ts';
import { silentLog } from './log.ts';
import { startNode } from './node.ts';
import type { ReplicaNode } from './node.ts';
import { loadSetup, type Setup } from './setup.ts';

const HOST = '127.0.0.1';
const ORIGIN = 'log.example';

const nodes: (ReplicaNode | undefined)[] = [];
const setups: (Setup | undefined)[] = [];
const failures: unknown[] = [];
let folder = '';
let cluster: Cluster;

async function start(i: number): Promise<void> {
  // As a process that starts its replica again: what it loaded at first is old by then.
  const setup = (setups[i] ??= await loadSetup(cluster.replicas[i]?.configFile ?? '', {}));
  nodes[i] = await startNode({
    setup,
    log: silentLog,
    clocks: { monotonicMs: () => performance.now(), wallMs: () => Date.now() },
    failed: (error) => failures.push(error),
  });
}

async function stop(i: number): Promise<void> {
  const node = nodes[i];
  nodes[i] = undefined;
  await node?.close();
}

const url = (i: number): string => cluster.replicas[i]?.url ?? '';

before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bftpkg-node-'));
  const ports = await freePorts(8);
  cluster = await createCluster({
    origin: ORIGIN,
    folder,
    host: HOST,
    ports: [0, 1, 2, 3].map((i) => ({ publicPort: ports[i] ?? 0, peerPort: ports[i + 4] ?? 0 })),
    settings: { viewTimeoutMs: 1000, drainSeconds: 0, recosignSeconds: 1 },
  });
  await Promise.all([0, 1, 2, 3].map(start));
});
after(async () => {
  await Promise.all([0, 1, 2, 3].map(stop));
  await rm(folder, { recursive: true, force: true });
});

/** Evidence of one replica, verified as a client does. */
async function verified(i: number, subjects: readonly string[]): Promise<VerifiedEvidence> {
  const answer = await fetch(`${url(i)}/v1/evidence`, {
    method: 'POST',
    body: JSON.stringify({ roster: cluster.pin, since: 0, subjects }),
  });
  assert.equal(answer.status, 200);
  return verifyEvidence(
    {
      evidence: parseEvidence(await answer.text()),
      pin: cluster.pin,
      subjects: subjects.map(parseSubject),
      nowSeconds: Math.floor(Date.now() / 1000),
      checkpointAgeMaxSeconds: 600,
      clockSkewMaxSeconds: 5,
    },
    nativeVerifier,
  );
}

async function eventually<T>(what: string, ask: () => Promise<T | undefined>): Promise<T> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (answer !== undefined) return answer;
    assert.ok(Date.now() < deadline, `never: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

describe('four replicas', () => {
  const publisher = new Publisher(ORIGIN);

  it('say that they are ready once a quorum is in reach', async () => {
    for (let i = 0; i < 4; i++) {
      await eventually(`replica ${i} ready`, async () =>
        (await fetch(`${url(i)}/readyz`)).ok ? true : undefined,
      );
    }
  });

  it('commit a claim and a release, and every replica proves them', async () => {
    const claim = publisher.claim('left-pad', await publisher.observe(url(0)));
    assert.equal((await submit(url(0), claim)).status, 200);
    const release = publisher.release('left-pad', '1.3.0', await publisher.observe(url(0)));
    assert.equal(await upload(url(1), release), 201);
    const answer = await submit(url(1), release.envelope);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));

    for (let i = 0; i < 4; i++) {
      const result = await eventually(`replica ${i} has it`, async () => {
        const found = await verified(i, ['pkg:npm/left-pad@1.3.0', 'pkg:npm/nothing@1.0.0']);
        return found.subjects[0]?.kind === 'verified' ? found : undefined;
      });
      const [found, nothing] = result.subjects;
      assert.equal(found?.kind, 'verified');
      assert.equal(nothing?.kind, 'absent');
      assert.ok(
        found?.kind === 'verified' && Buffer.compare(found.release.sha512, release.sha512) === 0,
      );
      // Attested means retrievable: each replica fetched the bytes before it voted, or does so now.
      const sha512 = Buffer.from(release.sha512).toString('hex');
      await eventually(`replica ${i} has the artifact`, async () => {
        const got = await fetch(`${url(i)}/v1/artifacts/${sha512}`);
        const body = new Uint8Array(await got.arrayBuffer());
        return got.ok && Buffer.compare(body, release.tarball) === 0 ? true : undefined;
      });
    }
  });

  it('answer the same submission again with the same place', async () => {
    const claim = publisher.claim('again', await publisher.observe(url(0)));
    const first = await submit(url(0), claim);
    const second = await submit(url(3), claim);
    assert.equal(second.status, 200);
    assert.equal(second.body.index, first.body.index);
    const index = await eventually('replica 2 has it', async () => {
      const asked = await fetch(`${url(2)}/v1/entries/${submissionId(claim)}`);
      return ((await asked.json()) as { index?: number }).index;
    });
    assert.equal(index, first.body.index);
  });

  const refusals: readonly [
    string,
    () => Promise<{ status: number; body: { error?: { code: string } } }>,
    number,
    string,
  ][] = [
    [
      'a release with one signature of two',
      async () => {
        const release = publisher.release('left-pad', '2.0.0', await publisher.observe(url(0)), 1);
        await upload(url(0), release);
        return submit(url(0), release.envelope);
      },
      422,
      'MAINTAINER_SIGNATURES_MISSING',
    ],
    [
      'a release of a package that nobody has claimed',
      async () => {
        const release = publisher.release('unclaimed', '1.0.0', await publisher.observe(url(0)));
        return submit(url(0), release.envelope);
      },
      422,
      'PACKAGE_UNCLAIMED',
    ],
    [
      'a release whose artifact nobody has',
      async () => {
        const release = publisher.release('left-pad', '3.0.0', await publisher.observe(url(0)));
        return submit(url(0), release.envelope);
      },
      422,
      'ARTIFACT_MISSING',
    ],
    [
      'a second claim of a name',
      async () =>
        new Publisher(ORIGIN)
          .observe(url(0))
          .then((observed) => submit(url(0), new Publisher(ORIGIN).claim('left-pad', observed))),
      409,
      'SEQUENCE_WRONG',
    ],
  ];
  for (const [why, attempt, status, code] of refusals) {
    it(`refuse ${why}`, async () => {
      const answer = await attempt();
      assert.equal(answer.body.error?.code, code);
      assert.equal(answer.status, status);
    });
  }

  it('serve the package to npm as the log has it', async () => {
    const answer = await fetch(`${url(2)}/npm/left-pad`);
    const document = (await answer.json()) as {
      'dist-tags': Record<string, string>;
      versions: Record<string, { dist: { integrity: string; tarball: string } }>;
    };
    assert.equal(document['dist-tags']['latest'], '1.3.0');
    const dist = document.versions['1.3.0']?.dist;
    const tarball = await fetch(dist?.tarball ?? '');
    assert.equal(tarball.status, 200);
    const bytes = new Uint8Array(await tarball.arrayBuffer());
    assert.equal(
      dist?.integrity,
      `sha512-${Buffer.from(await crypto.subtle.digest('SHA-512', bytes)).toString('base64')}`,
    );
    const etag = answer.headers.get('etag') ?? '';
    const again = await fetch(`${url(2)}/npm/left-pad`, { headers: { 'if-none-match': etag } });
    assert.equal(again.status, 304);
  });

  it('sign the newest checkpoint again, so that it stays fresh', async () => {
    const before = await (await fetch(`${url(0)}/checkpoint`)).text();
    await eventually('another note', async () => {
      const now = await (await fetch(`${url(0)}/checkpoint`)).text();
      return now === before ? undefined : now;
    });
  });

  it('go on when the leader is gone, and bring it up to date when it is back', async () => {
    await stop(0);
    const claim = publisher.claim('without-leader', await publisher.observe(url(1)));
    const answer = await submit(url(1), claim);
    assert.equal(answer.status, 200, JSON.stringify(answer.body));
    await start(0);
    await eventually('replica 0 caught up', async () => {
      const asked = await fetch(`${url(0)}/v1/entries/${submissionId(claim)}`);
      return asked.status === 200 ? true : undefined;
    });
  });

  it('commit nothing without a quorum, and what waited once it is back', async () => {
    await stop(2);
    await stop(3);
    const claim = publisher.claim('no-quorum', await publisher.observe(url(1)));
    const answer = await submitOnce(url(1), claim, 2);
    assert.equal(answer.status, 202);
    const asked = await fetch(`${url(1)}/v1/entries/${submissionId(claim)}`);
    assert.equal(asked.status, 202);
    await eventually('no quorum is in reach', async () =>
      (await fetch(`${url(1)}/readyz`)).status === 503 ? true : undefined,
    );
    await Promise.all([start(2), start(3)]);
    await eventually('the claim is committed', async () => {
      const now = await fetch(`${url(1)}/v1/entries/${submissionId(claim)}`);
      return now.status === 200 ? true : undefined;
    });
  });

  it('only follow the log after losing the database', async () => {
    await stop(3);
    await rm(join(folder, 'r3', 'data'), { recursive: true });
    await start(3);
    const size = ((await (await fetch(`${url(0)}/v1/status`)).json()) as { size: number }).size;
    const status = await eventually('replica 3 follows', async () => {
      const now = (await (await fetch(`${url(3)}/v1/status`)).json()) as Record<string, unknown>;
      return Number(now['size']) >= size ? now : undefined;
    });
    assert.equal(status['mode'], 'observer');
    const ready = await fetch(`${url(3)}/readyz`);
    assert.equal(ready.status, 503);
    assert.match(await ready.text(), /database that these keys have voted with is gone/);
    const claim = publisher.claim('three-left', await publisher.observe(url(0)));
    assert.equal((await submit(url(3), claim)).status, 503);
    assert.equal((await submit(url(0), claim)).status, 200);
    // The note of four replicas has no line of the one that lost its memory.
    const note = await (await fetch(`${url(0)}/checkpoint`)).text();
    assert.doesNotMatch(note, /— r3 /);
  });

  it('met nothing that must not happen', () => assert.deepEqual(failures, []));
});
