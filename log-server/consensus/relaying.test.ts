import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster, type ClusterOptions, type Packet } from '../../fixtures/transcripts/cluster.ts';
import { request, testRoster } from '../../fixtures/transcripts/world.ts';

import { REMINDED_AFTER } from './exposure.ts';

const FOUR = testRoster([1, 1, 1, 1]);

/** Ticks between two batches of a slow log, and after which a request has waited for long. */
const BATCH_TICKS = 5;
const RELAY_TICKS = 8;

/** Ids of what goes from a replica to others than the leader of view 0. */
const relayed = (packets: readonly Packet[]): readonly string[] =>
  packets.flatMap(({ to, message }) =>
    to !== 0 && message.kind === 'forward' ? message.requests.map(({ id }) => id) : [],
  );

/** A log on which each batch takes its time, and nobody suspects anybody. */
class SlowLog {
  readonly cluster: Cluster;
  readonly packets: Packet[] = [];
  readonly #loses: (packet: Packet) => boolean;
  #commits: Packet[] = [];

  constructor(
    options: ClusterOptions,
    loses: (packet: Packet) => boolean = () => false,
    relayTicks: number = RELAY_TICKS,
  ) {
    const timing = { relayTicks, viewTicks: 10_000, statusTicks: 10_000 };
    this.cluster = new Cluster(FOUR, { ...options, timing });
    this.#loses = loses;
  }

  /** Until the next batch is committed, if there is anything to commit. */
  batch(): void {
    for (let i = 0; i < BATCH_TICKS; i++) this.cluster.run(1, (packet) => this.#passes(packet));
    const released = new Set(this.#commits.splice(0));
    this.cluster.packets.push(...released);
    this.cluster.settle((packet) => released.has(packet) || this.#passes(packet));
  }

  #passes(packet: Packet): boolean {
    this.packets.push(packet);
    if (this.#loses(packet)) return false;
    if (packet.message.kind !== 'commit') return true;
    this.#commits.push(packet);
    return false;
  }

  committed(name: string): boolean {
    return this.cluster.node(3).ledger.committedIds.has(request(name).id);
  }
}

/** What replica 2 tells the leader does not come there. */
const cutOff = ({ from, to, message }: Packet): boolean =>
  from === 2 && to === 0 && message.kind === 'forward';

describe('requests that wait for long', () => {
  it('stay where they are as long as the log moves on, however slowly: load is no reason for more', () => {
    const log = new SlowLog({ limits: { batchRequestsMax: 2 } });
    const names = Array.from({ length: 12 }, (_, i) => `request ${i}`);
    for (const [i, name] of names.entries()) log.cluster.submit(1 + (i % 3), name);
    for (let i = 0; i < 13; i++) log.batch();
    assert.ok(names.every((name) => log.committed(name)));
    assert.deepEqual(relayed(log.packets), []);
  });

  it('go to everybody when nothing is committed any more', () => {
    const log = new SlowLog({}, ({ message }) => message.kind === 'prepare');
    log.cluster.submit(2, 'a');
    for (let i = 0; i < 3; i++) log.batch();
    assert.equal(log.cluster.heights()[0], 0);
    assert.deepEqual(relayed(log.packets), [request('a').id, request('a').id]);
  });

  it('go to everybody when batches with room pass them by, and so get into the log', () => {
    const log = new SlowLog({}, cutOff);
    log.cluster.submit(2, 'hidden');
    let batches = 0;
    while (relayed(log.packets).length === 0) {
      assert.ok(++batches < 20, 'it is not relayed');
      log.cluster.submit(1, `other ${batches}`);
      log.batch();
    }
    // Far sooner than by the bound for full ones, which is ten here.
    assert.ok(batches > REMINDED_AFTER && batches < 9, `after ${batches} batches`);
    for (let i = 0; i < 4; i++) log.batch();
    assert.ok(log.committed('hidden'), 'others have forwarded it');
  });

  it('go to everybody when more full batches pass them by than fair turns take', () => {
    const log = new SlowLog({ limits: { batchRequestsMax: 2, laneRequestsMax: 2 } }, cutOff);
    log.cluster.submit(2, 'hidden');
    let batches = 0;
    while (relayed(log.packets).length === 0) {
      assert.ok(++batches < 40, 'it is not relayed');
      for (const name of ['x', 'y', 'z']) log.cluster.submit(0, `${name} ${batches}`);
      log.batch();
    }
    // Four lanes of two and a batch more each, two at a time; the first batch of all had room.
    const [height = 0] = log.cluster.heights();
    assert.ok(height > 9, `at height ${height}`);
    const sizes = log.cluster.node(0).disk.batches.map(({ body }) => body.length - 1);
    assert.ok(sizes.filter((size) => size < 2).length < REMINDED_AFTER, `sizes ${sizes.join()}`);
  });

  it('go to everybody from a replica that stays behind, which no batch tells anything', () => {
    // Replica 2 reads batches alone, and late: it commits more often than a request may wait, and lags.
    const late: Packet[] = [];
    const held = new Set<Packet>();
    const reads = (packet: Packet): boolean => {
      if (packet.to !== 2 || held.has(packet)) return cutOff(packet);
      const { kind } = packet.message;
      if (kind === 'batches') late.push(packet);
      return ['batches', 'pre-prepare', 'prepare', 'commit', 'prefetch', 'body'].includes(kind);
    };
    const log = new SlowLog({}, reads, 12 * BATCH_TICKS);
    let committed = 0;
    for (let batches = 0; relayed(log.packets).length === 0; batches++) {
      assert.ok(batches < 60, `it is not relayed, at heights ${log.cluster.heights().join()}`);
      log.cluster.submit(1, `other ${batches}`);
      log.batch();
      if (batches === 30) log.cluster.submit(2, 'hidden');
      if (batches % 10 !== 9) continue;
      for (const packet of late.splice(0)) {
        held.add(packet);
        log.cluster.packets.push(packet);
      }
      const [height = 0, , behind = 0] = log.cluster.heights();
      committed = behind;
      assert.ok(height - behind >= 8, `heights ${height} and ${behind}`);
    }
    assert.ok(committed > 0, 'replica 2 moves on');
    for (let i = 0; i < 4; i++) log.batch();
    assert.ok(log.committed('hidden'), 'others have forwarded it');
  });
});
