import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { Cluster, type Packet } from '../../fixtures/transcripts/cluster.ts';
import { request, testRoster } from '../../fixtures/transcripts/world.ts';
import type { MutantName } from '../../verifier/replication/mutants.ts';

import { LATE_HEIGHTS_MAX, LeaderPace, PATIENCE_DOUBLINGS_MAX } from './leader-pace.ts';

const FOUR = testRoster([1, 1, 1, 1]);
const VIEW_TICKS = 20;
/** Nine tenths of the view timer: each height comes just in time. */
const LATE = 18;

/** Heights of so many ticks until the leader owes too much; undefined: not within a thousand. */
function heightsUntilTooLate(pace: LeaderPace, ticks: number): number | undefined {
  for (let heights = 1; heights <= 1_000; heights++) {
    pace.pass(ticks);
    if (pace.isTooLate) return heights;
  }
  return undefined;
}

describe('LeaderPace', () => {
  const table: readonly (readonly [string, number, number | undefined])[] = [
    ['all of the timer', 100, 8],
    ['far more is the view timer’s matter', 10_000, 8],
    ['nine tenths', 90, 10],
    ['just more than half', 51, 400],
    ['half', 50, undefined],
    ['nothing', 0, undefined],
  ];
  for (const [why, ticks, expected] of table) {
    it(`bears ${expected ?? 'any number of'} heights of ${ticks} in 100 ticks: ${why}`, () => {
      assert.equal(heightsUntilTooLate(new LeaderPace(100), ticks), expected);
    });
  }

  it('takes back what quick heights leave, and no more: nothing is saved up', () => {
    const pace = new LeaderPace(100);
    for (let i = 0; i < 7; i++) pace.pass(100);
    assert.ok(pace.isLate && !pace.isTooLate, 'it owes seven');
    for (let i = 0; i < 7; i++) pace.pass(0);
    assert.ok(!pace.isLate, 'it owes nothing');
    for (let i = 0; i < 100; i++) pace.pass(0);
    assert.equal(heightsUntilTooLate(pace, 100), LATE_HEIGHTS_MAX);
  });

  it('is no way around it to be quick every other time, unless that makes half on average', () => {
    const pace = new LeaderPace(100);
    let heights = 0;
    for (; !pace.isTooLate && heights < 1_000; heights++) pace.pass(heights % 2 === 0 ? 99 : 30);
    assert.ok(heights < 100, `${heights} heights`);
  });

  it('doubles its patience with each leader, to a bound, until heights are quick again', () => {
    const pace = new LeaderPace(100);
    const borne: (number | undefined)[] = [];
    for (let i = 0; i <= PATIENCE_DOUBLINGS_MAX + 1; i++) {
      borne.push(heightsUntilTooLate(pace, 100));
      pace.restart();
    }
    assert.deepEqual(borne, [8, 16, 32, 64, 128, 256, 512, 512]);
    // One quick height may be chance, and in between it is not a row.
    for (let i = 0; i < 30; i++) pace.pass(i % 8 === 7 ? 26 : 25);
    assert.equal(heightsUntilTooLate(pace, 100), 512);
    for (let i = 0; i < 512; i++) pace.pass(0);
    assert.equal(heightsUntilTooLate(pace, 100), 8);
  });
});

/** A log in which some leaders hold each proposal back. */
class LateLog {
  readonly cluster: Cluster;
  readonly forwards: Packet[] = [];
  readonly #held: { readonly due: number; readonly packet: Packet }[] = [];
  readonly #isLate: (leader: number) => boolean;
  #now = 0;
  #serial = 0;

  constructor(isLate: (leader: number) => boolean, mutants: readonly MutantName[] = []) {
    // Nothing is relayed for any other reason.
    const timing = { viewTicks: VIEW_TICKS, relayTicks: 10_000 };
    this.cluster = new Cluster(FOUR, { timing, mutants });
    this.#isLate = isLate;
    this.cluster.run(12);
  }

  get views(): readonly number[] {
    return this.cluster.nodes.map(({ replica }) => replica.summary.view);
  }

  /** Time passes; a client comes to a gateway whenever its last request is in the log. */
  run(ticks: number, gateways: readonly number[]): void {
    const open = new Map<number, string>();
    for (const end = this.#now + ticks; this.#now < end; this.#now++) {
      for (const gateway of gateways) {
        const name = open.get(gateway);
        const { committedIds } = this.cluster.node(gateway).ledger;
        if (name !== undefined && !committedIds.has(request(name).id)) continue;
        const next = `release ${this.#serial++}`;
        open.set(gateway, next);
        this.cluster.submit(gateway, next);
      }
      const due = this.#held.filter((one) => one.due <= this.#now);
      for (const one of due) {
        this.#held.splice(this.#held.indexOf(one), 1);
        this.cluster.deliver(one.packet);
      }
      this.cluster.run(1, (packet) => this.#passes(packet));
    }
  }

  #passes(packet: Packet): boolean {
    const { from, message } = packet;
    if (message.kind === 'forward') this.forwards.push(packet);
    if (message.kind !== 'pre-prepare' || !this.#isLate(from)) return true;
    this.#held.push({ due: this.#now + LATE, packet });
    return false;
  }
}

describe('a leader that holds each proposal for just less than the view timer', () => {
  // Ten heights of nine tenths, one more until the others see it too, and the change of the view.
  const REPLACED_WITHIN = 15 * VIEW_TICKS;
  const rows: readonly (readonly [string, readonly number[]])[] = [
    ['of whatever gateway', [1, 2, 3]],
    ['of one gateway alone', [2]],
  ];
  for (const [why, gateways] of rows) {
    it(`is replaced, and the releases ${why} get in`, () => {
      const log = new LateLog((leader) => leader === 0);
      log.run(5 * VIEW_TICKS, gateways);
      assert.deepEqual(log.views, [0, 0, 0, 0], 'some heights may have a reason');
      log.run(REPLACED_WITHIN - 5 * VIEW_TICKS, gateways);
      assert.deepEqual(log.views, [1, 1, 1, 1]);
      const [before = 0] = log.cluster.heights();
      log.run(2 * VIEW_TICKS, gateways);
      assert.deepEqual(log.views, [1, 1, 1, 1], 'its successor is not suspected');
      // One each two or three ticks.
      const [after = 0] = log.cluster.heights();
      assert.ok(after - before > VIEW_TICKS / 2, `${after - before} heights`);
    });
  }

  it('is not replaced when its one gateway keeps to itself what waits', () => {
    const log = new LateLog((leader) => leader === 0, ['relay-missing']);
    log.run(2 * REPLACED_WITHIN, [2]);
    assert.deepEqual(log.views, [0, 0, 0, 0]);
  });

  it('is not replaced when each commit forgives it', () => {
    const log = new LateLog((leader) => leader === 0, ['delays-forgiven']);
    log.run(4 * REPLACED_WITHIN, [1, 2, 3]);
    assert.deepEqual(log.views, [0, 0, 0, 0]);
  });

  it('makes a gateway show one request per height, not all that wait', () => {
    const log = new LateLog((leader) => leader === 0);
    for (let i = 0; i < 100; i++) log.cluster.submit(2, `many ${i}`);
    log.run(REPLACED_WITHIN, [2]);
    const shown = log.forwards.filter(({ from, to }) => from === 2 && to === 3);
    assert.ok(shown.length > 0 && shown.every(({ message }) => message.kind === 'forward'));
    assert.ok(
      shown.every(({ message }) => message.kind !== 'forward' || message.requests.length === 1),
      'one at a time',
    );
    assert.ok(shown.length <= 15, `${shown.length} of them`);
  });
});

describe('leaders that are not late', () => {
  it('are not suspected, and nobody is shown anything', () => {
    const log = new LateLog(() => false);
    log.run(4 * VIEW_TICKS, [1, 2, 3]);
    assert.deepEqual(log.views, [0, 0, 0, 0]);
    assert.ok(
      log.forwards.every(({ to }) => to === 0),
      'all goes to the leader',
    );
  });

  it('are not suspected because a log has little to do', () => {
    const log = new LateLog(() => false);
    for (let i = 0; i < 20; i++) {
      log.cluster.submit(1, `rare ${i}`);
      log.run(2 * VIEW_TICKS, []);
    }
    assert.deepEqual(log.views, [0, 0, 0, 0]);
    assert.deepEqual(log.cluster.heights(), [20, 20, 20, 20]);
  });

  it('take turns ever more rarely when all of them are: that is the network', () => {
    const log = new LateLog(() => true);
    const heights = (): number => log.cluster.heights()[0] ?? 0;
    const changes: number[] = [];
    while (heights() < 180) {
      log.run(LATE, [1, 2, 3]);
      if ((log.views[0] ?? 0) > changes.length) changes.push(heights());
    }
    // Patience is 10, 20, 40, 80, … heights. Who led has not borne it, and may be less patient once more.
    const spans = changes.map((height, i) => height - (changes[i - 1] ?? 0));
    assert.ok(changes.length >= 3 && changes.length <= 5, spans.join());
    assert.ok(
      spans.every((span, i) => span >= (spans[i - 1] ?? 0) - 2),
      `ever longer: ${spans.join()}`,
    );
    assert.ok((spans.at(-1) ?? 0) >= 30, spans.join());
  });
});
