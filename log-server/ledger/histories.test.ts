// The most important question of all: do replicas that saw different things before a batch execute it alike? What
// each remembers (envelopes, statements, plans, good signatures, executions, rows, sets, map nodes) depends on what
// was sent to it, when it rested and when it was started. Here they are held to a ledger that remembers nothing.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import * as fc from 'fast-check';

import { ARTIFACTS, CarelessAuthors, RELEASES } from '../../fixtures/careless-authors.ts';
import { MoodyReplica, describeState } from '../../fixtures/moody-replica.ts';
import { PlainLedger } from '../../fixtures/plain-ledger.ts';
import { TEST_BOUNDS, TEST_TIME, rosterEnvelope } from '../../fixtures/test-ledger.ts';
import { upload, withFolder } from '../../fixtures/test-storage.ts';
import { parseEnvelope, statementHash } from '../../verifier/dsse.ts';
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { ROSTER_PAYLOAD_TYPE } from '../../verifier/roster.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { Body, Header } from '../consensus/types.ts';
import { Random } from '../sim/random.ts';

const REPLICAS = 3;
const RUNS = 8;
const STEPS = { min: 3, max: 10 } as const;
// What a leader looks at; older statements are in the log, or were made on a state that is gone.
const RECENT = 24;

const CREDULOUS: SignatureVerifier = { verifyMany: async (jobs) => jobs.map(() => true) };

interface Batch {
  readonly header: Header;
  readonly body: Body;
}

/** Some replicas and the ledger that they are held to. */
class World {
  readonly #random: Random;
  readonly #plain = new PlainLedger(rosterEnvelope(4), TEST_BOUNDS);
  readonly #authors: CarelessAuthors;
  readonly #replicas: readonly MoodyReplica[];
  readonly #seen: Set<string>;
  #batches = 0;

  /** @param seen is told what happened */
  constructor(random: Random, replicas: readonly MoodyReplica[], seen: Set<string>) {
    this.#random = random;
    this.#authors = new CarelessAuthors(random, this.#plain.state);
    this.#replicas = replicas;
    this.#seen = seen;
  }

  async claim(): Promise<void> {
    const batch = await this.#propose(this.#authors.claims(), nativeVerifier);
    const execution = batch && (await this.#plain.execute(batch.header, batch.body));
    assert.ok(batch && execution !== undefined && typeof execution !== 'string', 'sets are fine');
    await this.#decide(batch, execution);
  }

  async step(): Promise<void> {
    for (let left = this.#random.between(1, 6); left > 0; left--) this.#authors.sign();
    await Promise.all(this.#replicas.map(async (replica) => this.#disturb(replica)));
    const valid: (readonly [Batch, BatchExecution])[] = [];
    for (const batch of await this.#batchesOfAHeight()) {
      const execution = await this.#judge(batch);
      if (execution !== undefined) valid.push([batch, execution]);
    }
    // Else a view ends without it, and what was found out about it must not count.
    const decided = this.#random.chance(0.7) ? this.#random.pick(valid) : undefined;
    if (decided !== undefined) await this.#decide(...decided);
  }

  /** Things happen at one replica that the others don't know of. */
  async #disturb(replica: MoodyReplica): Promise<void> {
    for (let left = this.#random.below(3); left > 0; left--) {
      const what = this.#random.below(8);
      if (what === 0) await replica.rest();
      else if (what === 1) await replica.restart();
      else await Promise.all([this.#admit(replica), this.#admit(replica), this.#admit(replica)]);
    }
  }

  async #admit(replica: MoodyReplica): Promise<void> {
    const text = this.#random.pick(this.#authors.texts);
    if (text === undefined) return;
    const expected = await this.#plain.judge(text, TEST_TIME);
    this.#seen.add(`admission ${expected}`);
    assert.equal(await replica.admit(text), expected);
  }

  /** Some replicas judge a batch, once or twice, while other things come in; some keep it, some are started again. */
  async #judge({ header, body }: Batch): Promise<BatchExecution | undefined> {
    const outcome = await this.#plain.execute(header, body);
    const isValid = typeof outcome !== 'string';
    const expected = isValid ? `valid ${idsOf(outcome).join(' ')}` : outcome;
    this.#seen.add(isValid ? 'batch valid' : `batch ${outcome}`);
    await Promise.all(
      this.#replicas.map(async (replica) => {
        const times = this.#random.below(3);
        for (let left = times; left > 0; left--) {
          const validating = replica.validate(header, body);
          const [validation] = await Promise.all([validating, this.#disturbGently(replica)]);
          assert.equal(validation, expected);
        }
        if (isValid && times > 0 && this.#random.chance(0.3)) {
          await replica.keep(headerDigest(header), header, body);
        }
        if (this.#random.chance(0.1)) await replica.restart();
      }),
    );
    return isValid ? outcome : undefined;
  }

  async #disturbGently(replica: MoodyReplica): Promise<void> {
    if (this.#random.chance(0.2)) await replica.rest();
    for (let left = this.#random.below(3); left > 0; left--) await this.#admit(replica);
  }

  async #decide({ header, body }: Batch, execution: BatchExecution): Promise<void> {
    await Promise.all(this.#replicas.map(async (replica) => replica.commit(header, body)));
    this.#plain.advance(header, execution);
    const expected = describeState(this.#plain.state, RELEASES);
    for (const replica of this.#replicas) assert.equal(replica.stateOf(RELEASES), expected);
  }

  // ---- what is proposed

  async #batchesOfAHeight(): Promise<readonly Batch[]> {
    const kind = this.#random.below(10);
    if (kind < 4) return this.#honest();
    if (kind < 6) return this.#rivals();
    // Some with other lines: the statement is as good as before, and only its signatures tell.
    const texts = (await this.#drawn()).map((text) =>
      this.#random.chance(0.2) ? this.#authors.garbled(text) : text,
    );
    const batch = await this.#propose(texts, CREDULOUS);
    return batch === undefined ? [] : this.#changed(batch);
  }

  async #rivals(): Promise<readonly Batch[]> {
    const batches: Batch[] = [];
    for (const [set, release] of this.#authors.rivals()) {
      const both = await this.#propose([set, release], CREDULOUS);
      if (both === undefined) continue;
      const { header, body } = both;
      // Also where it lacks a signature under this set: whoever looked at the other one first must see that.
      const isThere = body.length === 3;
      batches.push(isThere ? both : this.#plain.withEntry(header, body, release));
    }
    return batches;
  }

  /** What a replica builds of anything, valid or not; an id once, as in a pool. */
  async #honest(): Promise<readonly Batch[]> {
    const byId = new Map((await this.#drawn()).map((bytes) => [idOf(bytes), bytes]));
    const requests = [...byId].map(([id, bytes]) => ({ id, bytes }));
    const timeMs = this.#nextTimeMs();
    const plain = await this.#plain.build([...byId.values()], Math.floor(timeMs / 1000));
    const expected = [
      ...plain.included.map((position) => requests[position]?.id),
      ...plain.refused.map(({ position, code }) => `${requests[position]?.id} ${code}`),
    ].join(', ');
    const leader = this.#random.pick(this.#replicas);
    const built = await leader?.build(requests, timeMs);
    assert.equal(built?.summary, expected);
    return built?.proposal === undefined ? [] : [built.proposal];
  }

  // Mostly such as are good now. Rosters first, as in a leader's batch.
  async #drawn(): Promise<readonly Uint8Array[]> {
    const { texts } = this.#authors;
    const good: Uint8Array[] = [];
    for (const text of texts.slice(-RECENT)) {
      if ((await this.#plain.judge(text, TEST_TIME)) === 'accepted') good.push(text);
    }
    const any = this.#random.shuffled(texts).slice(0, this.#random.below(3));
    const drawn = this.#random.shuffled([...this.#random.some(good), ...any]);
    const isRoster = (text: Uint8Array): boolean =>
      parseEnvelope(text).payloadType === ROSTER_PAYLOAD_TYPE;
    return [...drawn.filter(isRoster), ...drawn.filter((text) => !isRoster(text))];
  }

  async #propose(
    texts: readonly Uint8Array[],
    verifier: SignatureVerifier,
  ): Promise<Batch | undefined> {
    return this.#plain.propose(texts, this.#nextTimeMs(), verifier);
  }

  #nextTimeMs(): number {
    this.#batches += 1;
    return 1000 * (TEST_TIME + this.#batches) + this.#random.below(1000);
  }

  #changed(batch: Batch): readonly Batch[] {
    const { header, body } = batch;
    const text = this.#random.pick(this.#authors.texts);
    const longer = text && this.#plain.withEntry(header, body, text);
    switch (this.#random.below(12)) {
      case 0:
        return [batch, { header, body: [...body].reverse() }];
      case 1:
        return [{ header: { ...header, timestampMs: header.timestampMs + 1000 }, body }, batch];
      case 2:
        return [{ header: { ...header, root: '00'.repeat(32) }, body }, batch];
      case 3:
        return [batch, { header, body: longer?.body ?? [] }];
      case 4:
        return [longer ?? batch, batch];
      default:
        return [batch];
    }
  }
}

function idOf(text: Uint8Array): string {
  return statementHash(parseEnvelope(text).payload);
}

function idsOf({ changes }: BatchExecution): readonly string[] {
  return changes.statements.map(({ id }) => id);
}

async function withReplicas(
  random: Random,
  run: (replicas: readonly MoodyReplica[]) => Promise<void>,
): Promise<void> {
  await withFolder(async (folder) => {
    const replicas: MoodyReplica[] = [];
    try {
      for (let i = 0; i < REPLICAS; i++) {
        const replica = await MoodyReplica.open(join(folder, `r${i}`), random.fork(`r${i}`));
        replicas.push(replica);
        for (const artifact of ARTIFACTS) await upload(replica.storage, artifact);
      }
      await run(replicas);
    } finally {
      for (const replica of replicas) await replica.close();
    }
  });
}

describe('replicas with different pasts', () => {
  it('admit, build, refuse and execute alike, whatever they remember', async () => {
    const seen = new Set<string>();
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer(STEPS), async (seed, steps) => {
        const random = new Random(`histories/${seed}`);
        await withReplicas(random, async (replicas) => {
          const world = new World(random, replicas, seen);
          await world.claim();
          for (let i = 0; i < steps; i++) await world.step();
        });
      }),
      { numRuns: RUNS },
    );
    // Else it would be about nothing.
    const all = [
      'admission accepted',
      'admission committed',
      'admission MAINTAINER_SIGNATURES_MISSING',
      'admission SEQUENCE_WRONG',
      'batch valid',
      'batch MAINTAINER_SIGNATURES_MISSING',
      'batch BATCH_MALFORMED',
    ];
    assert.deepEqual(
      all.filter((what) => !seen.has(what)),
      [],
    );
  });
});
