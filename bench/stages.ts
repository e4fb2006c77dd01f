// Where a release's time goes inside a replica: each stage of the way from upload to checkpoint, on a real
// store (synced to disk), in one process and warmed up. CPU time of the process with all its threads.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';

import { certificateFor, noteFor } from '../fixtures/test-storage.ts';
import { rosterEnvelope } from '../fixtures/test-ledger.ts';
import { DEFAULT_LIMITS } from '../log-server/consensus/defaults.ts';
import type { Write } from '../log-server/consensus/types.ts';
import { CoalescingVerifier } from '../log-server/node/coalescing-verifier.ts';
import { openStorage, type Storage } from '../log-server/store/storage.ts';
import { sourceOf } from '../log-server/store/small-artifact.ts';
import { utf8 } from '../verifier/bytes.ts';
import { encodeHex } from '../verifier/encoding.ts';
import { gunzipNow } from '../verifier/node/gunzip.ts';
import { SignaturePool } from '../verifier/node/signature-pool.ts';
import { headerDigest } from '../verifier/replication/encode.ts';
import { parseRoster } from '../verifier/roster.ts';
import { Press, type WireRelease } from './gateway.ts';
import { median, once } from './measure.ts';
import type { Figure, Section } from './report.ts';

const LIMITS = {
  entriesMax: DEFAULT_LIMITS.batchRequestsMax,
  bytesMax: DEFAULT_LIMITS.batchBytesMax,
};

/** Sizes of the benchmark. */
export interface StageBenchOptions {
  /** Where everything is made: an empty folder. */
  readonly directory: string;
  /** Releases in a batch, each of its own package; at most what a batch holds. */
  readonly batch: number;
  /** Batches; the first ones warm up. */
  readonly batches: number;
  /** What the promise asks for, microseconds: f + 1 native verifications. */
  readonly floorUs: number;
}

/** Runs whole batches through the stages. */
export async function benchStages(options: StageBenchOptions): Promise<Section> {
  const { directory, batch, batches, floorUs } = options;
  const pool = new SignaturePool();
  const [leader, follower] = await Promise.all(
    [0, 1].map(async (i) => openReplica(join(directory, `stages-${i}`), i, pool)),
  );
  if (leader === undefined || follower === undefined) throw new Error('two replicas');
  try {
    const run = new StageRun(leader, follower, new Press(originOf()));
    await run.claim(batch);
    for (let i = 0; i < batches; i++) await run.publish(batch, i);
    return { name: 'stages', about: ABOUT, figures: figuresOf(run.times, floorUs) };
  } finally {
    await Promise.all([leader.store.close(), follower.store.close()]);
    await pool.close();
  }
}

const ABOUT =
  'CPU time of each stage per release, in one process, on a store that syncs to disk; medians of the second ' +
  'half of the batches. A leader does the first five of them, a follower the others, and admits what its own ' +
  'clients send; signatures are verified in the first of admission and validation.';

const STAGES: readonly (readonly [key: string, what: string])[] = [
  ['put', 'artifact: digest, archive rules, durable row'],
  ['admit', 'admission: statement, rules, signatures'],
  ['again', 'admission of what is known, as when a peer relays it'],
  ['build', 'building a batch'],
  ['validate', 'validating a batch of new statements: rules, signatures, execution'],
  ['body', 'durable vote with the batch'],
  ['commit', 'durable commit: entries, tree, map, state'],
  ['checkpoint', 'durable checkpoint note, dropping old nodes of the map'],
];

function figuresOf(times: ReadonlyMap<string, readonly number[]>, floorUs: number): Figure[] {
  return STAGES.map(([key, what]) => {
    const all = times.get(key) ?? [];
    const value = median(all.slice(Math.floor(all.length / 2)));
    const hasSignatures = key === 'admit' || key === 'validate';
    return { what, value, unit: 'µs CPU', ...(hasSignatures ? { floor: floorUs } : {}) };
  });
}

class StageRun {
  readonly times = new Map<string, number[]>();
  readonly #leader: Storage;
  readonly #follower: Storage;
  readonly #press: Press;

  constructor(leader: Storage, follower: Storage, press: Press) {
    this.#leader = leader;
    this.#follower = follower;
    this.#press = press;
  }

  async claim(count: number): Promise<void> {
    const claims = Array.from({ length: count }, (_, i) => utf8(this.#press.claim(nameOf(i))));
    await this.#commit(claims);
    // Only releases count.
    this.times.clear();
  }

  async publish(count: number, round: number): Promise<void> {
    const releases = Array.from({ length: count }, (_, i) =>
      this.#press.release(nameOf(i), `1.0.${round}`),
    );
    await this.#stage('put', count, () => putAll(this.#leader, releases));
    await this.#stage('put', count, () => putAll(this.#follower, releases));
    await this.#commit(releases.map(({ envelope }) => utf8(envelope)));
  }

  async #commit(envelopes: readonly Uint8Array[]): Promise<void> {
    const count = envelopes.length;
    const { application } = this.#leader;
    const admitAll = async (): Promise<unknown> =>
      Promise.all(envelopes.map(async (bytes) => application.admit(bytes)));
    await this.#stage('admit', count, admitAll);
    await this.#stage('again', count, admitAll);
    const admissions = await Promise.all(envelopes.map(async (one) => application.admit(one)));
    const requests = admissions.flatMap((one) => (one.kind === 'accepted' ? one.request : []));
    const { proposal } = await this.#stage('build', count, () =>
      application.build(requests, Date.now(), LIMITS),
    );
    if (proposal?.ids.length !== count) throw new Error('not every statement was taken');
    const { header, body } = proposal;
    const validation = await this.#stage('validate', count, () =>
      this.#follower.application.validate(header, body, LIMITS),
    );
    if (!validation.ok) throw new Error(validation.reason);
    const digest = headerDigest(header);
    const certificate = certificateFor(header);
    const commit: Write = {
      kind: 'commit',
      digest,
      header,
      body,
      certificate,
      nextRoster: undefined,
    };
    const { store } = this.#follower;
    await this.#stage('body', count, () => store.write([{ kind: 'body', digest, header, body }]));
    await this.#stage('commit', count, () => store.write([commit]));
    const note = noteFor(header);
    await this.#stage('checkpoint', count, () => store.putCheckpoint(note, header.size));
    await this.#leader.store.write([commit]);
    await this.#leader.store.putCheckpoint(note, header.size);
  }

  async #stage<T>(key: string, count: number, work: () => Promise<T>): Promise<T> {
    const { value, cost } = await once(work);
    const times = this.times.get(key) ?? [];
    this.times.set(key, times);
    times.push((1000 * cost.cpuMs) / count);
    return value;
  }
}

async function putAll({ artifacts }: Storage, releases: readonly WireRelease[]): Promise<void> {
  await Promise.all(
    releases.map(async ({ sha512, tarball }) =>
      artifacts.put(encodeHex(sha512), sourceOf(tarball)),
    ),
  );
}

async function openReplica(folder: string, i: number, pool: SignaturePool): Promise<Storage> {
  mkdirSync(folder);
  return openStorage({
    folder,
    genesis: rosterEnvelope(4),
    replica: `replica-${i}`,
    limits: LIMITS,
    verifier: new CoalescingVerifier(pool),
    gunzip: gunzipNow,
    nowMs: () => Date.now(),
  });
}

function originOf(): string {
  return parseRoster(rosterEnvelope(4).payload).origin;
}

function nameOf(i: number): string {
  return `bench-${i}`;
}
