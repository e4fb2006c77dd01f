// The benchmarks run and say what they should; how fast anything is, no test asks.
import assert from 'node:assert/strict';
import { once as event } from 'node:events';
import { createServer } from 'node:http';
import { describe, it } from 'node:test';

import { parseEnvelope } from '../verifier/dsse.ts';
import { parseMaintainerSet } from '../verifier/statements/maintainers.ts';
import { Gateways, Press } from './gateway.ts';
import { compareSizes } from './larger-logs.ts';
import { courseOf, type Sample } from './load.ts';
import { median, once, quantile } from './measure.ts';
import { renderMarkdown, round, type Section } from './report.ts';
import { benchVerify } from './verify.ts';

const CIRCUMSTANCES = {
  date: '2027-01-15',
  machine: 'a machine',
  versions: 'node 20',
  sizes: 'full',
  load: 0,
  cores: 2,
};

describe('bench', () => {
  it('verifies evidence of tiny logs, each figure beside its floor', async () => {
    const { name, figures } = await benchVerify({
      counts: [1, 3],
      budgetMs: 1,
      modules: 'sources',
    });
    assert.equal(name, 'verify');
    for (const { what, value } of figures) {
      // A difference of two times can be less than nothing on a busy machine.
      const isMeasured = value >= 0 || what.startsWith('per release added');
      assert.ok(Number.isFinite(value) && isMeasured, what);
    }
    const beside = figures.find(({ what }) => what === '3 releases: N x (f+1) floor');
    assert.ok(beside?.floor !== undefined && beside.floor > 0);
    // Whatever the machine does, a verification takes longer than a part of it.
    assert.match(beside.note ?? '', /^6 native verifications/);
  });

  it('measures one run', async () => {
    const { value, cost } = await once(() => 7);
    assert.equal(value, 7);
    assert.ok(cost.cpuMs >= 0 && cost.wallMs >= 0);
  });

  const loads: readonly (readonly [why: string, lastMs: number | undefined, expected: number])[] = [
    ['publishes all there is when nobody says for how long', undefined, 5],
    ['begins nothing when the time is over', 0, 0],
  ];
  for (const [why, lastMs, expected] of loads) {
    it(why, async () => {
      let requests = 0;
      const server = createServer((request, response) => {
        requests += 1;
        request.resume().on('end', () => response.end('{}'));
      }).listen(0, '127.0.0.1');
      await event(server, 'listening');
      const address = server.address();
      const port = typeof address === 'object' ? address?.port : undefined;
      const gateways = new Gateways([`http://127.0.0.1:${port}`]);
      const press = new Press('bench.example/log');
      const releases = Array.from({ length: 5 }, (_, i) => press.release('a', `1.0.${i}`));
      try {
        // Fewer places than lanes: each lane has to come to its end.
        const latencies = await gateways.publishAll(releases, 2, lastMs);
        // An upload and a statement each.
        assert.deepEqual([latencies.length, requests], [expected, 2 * expected]);
      } finally {
        await gateways.close();
        server.close();
      }
    });
  }

  it('publishes several with one request, and what was put off again', async () => {
    const answers: readonly (readonly number[])[] = [
      [200, 429, 503],
      [202, 200],
      [200],
      [200, 200],
    ];
    let requests = 0;
    const server = createServer((request, response) => {
      const results = (answers[requests] ?? []).map((http) => ({ http }));
      requests += 1;
      request.resume().on('end', () => response.end(JSON.stringify({ results })));
    }).listen(0, '127.0.0.1');
    await event(server, 'listening');
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    const gateways = new Gateways([`http://127.0.0.1:${port}`]);
    const press = new Press('bench.example/log');
    const releases = Array.from({ length: 5 }, (_, i) => press.release('a', `1.0.${i}`));
    try {
      const latencies = await gateways.publishTogether(releases, 3, 3);
      assert.deepEqual([latencies.length, requests], [5, 4]);
      assert.equal(gateways.acknowledged, 5);
      assert.deepEqual(Object.fromEntries(gateways.putOff), { 202: 1, 429: 1, 503: 1 });
    } finally {
      await gateways.close();
      server.close();
    }
  });

  for (const faulty of [1, 2, 3]) {
    it(`has releases signed by f + 1 of 2f + 1 maintainers, f = ${faulty}`, () => {
      const press = new Press('bench.example/log', faulty);
      const { payload } = parseEnvelope(press.claim('a'));
      const set = parseMaintainerSet(payload);
      assert.deepEqual([set.faulty, set.maintainers.length], [faulty, 2 * faulty + 1]);
      const { envelope } = press.release('a', '1.0.0');
      assert.equal(parseEnvelope(envelope).signatures.length, faulty + 1);
      assert.equal(press.signers, faulty + 1);
    });
  }

  const steps = (...costs: readonly number[]): readonly Sample[] => {
    const samples: Sample[] = [{ acknowledged: 100, cpuMs: 5_000 }];
    for (const [i, cost] of costs.entries()) {
      const cpuMs = (samples.at(-1)?.cpuMs ?? 0) + cost;
      samples.push({ acknowledged: 100 + 10 * (i + 1), cpuMs });
    }
    return samples;
  };
  type Course = ReturnType<typeof courseOf>;
  const courses: readonly (readonly [string, readonly Sample[], Course])[] = [
    ['an even load', steps(20, 20, 20, 20), { first: 1000, last: 1000 }],
    ['a log that gets slower', steps(20, 20, 30, 80), { first: 1000, last: 4000 }],
    ['quarters that end within a batch', steps(20, 20, 20, 20, 40), { first: 1000, last: 1500 }],
    ['two batches', steps(20, 40), { first: 1000, last: 2000 }],
    ['all at once', steps(20), undefined],
    ['nothing published', steps(), undefined],
    ['nothing looked at', [], undefined],
  ];
  for (const [why, samples, expected] of courses) {
    it(`compares the last quarter with the first: ${why}`, () => {
      assert.deepEqual(courseOf(samples, 2), expected);
    });
  }

  it('sets each size beside the smallest', () => {
    const { figures } = compareSizes([
      { replicas: 4, signers: 2, ofRate: 0.2, ofCpu: 0.25 },
      { replicas: 7, signers: 3, ofRate: 0.3, ofCpu: 0.35 },
      { replicas: 7, signers: 2, ofRate: 0.1, ofCpu: 0.15 },
    ]);
    assert.deepEqual(
      figures.map(({ what, value, floor }) => [what.split(':')[0], value, floor]),
      [
        ['n = 4, 2 signatures', 0.2, undefined],
        ['n = 7, 3 signatures', 0.3, 0.2],
        ['n = 7, 2 signatures', 0.1, 0.2],
        ['n = 4, 2 signatures', 0.25, undefined],
        ['n = 7, 3 signatures', 0.35, 0.25],
        ['n = 7, 2 signatures', 0.15, 0.25],
      ],
    );
  });

  const quantiles: readonly (readonly [q: number, expected: number])[] = [
    [0, 1],
    [0.5, 3],
    [0.99, 4],
    [1, 4],
  ];
  for (const [q, expected] of quantiles) {
    it(`takes the quantile ${q}`, () => assert.equal(quantile([4, 2, 3, 1], q), expected));
  }

  it('has no median of nothing', () => assert.throws(() => median([])));

  const rounded: readonly (readonly [number, string])[] = [
    [0.012345, '0.0123'],
    [12.345, '12.3'],
    [1234.5, '1235'],
    [Number.NaN, '–'],
  ];
  for (const [value, text] of rounded) {
    it(`writes ${value} as ${text}`, () => assert.equal(round(value), text));
  }

  it('writes a table, and says when the machine was not its own', () => {
    const section: Section = {
      name: 'x',
      about: 'About.',
      figures: [
        { what: 'a', value: 3, unit: 'ms', floor: 2, note: 'why' },
        { what: 'b', value: 1, unit: 'kB' },
      ],
    };
    const alone = renderMarkdown([section], CIRCUMSTANCES);
    assert.match(
      alone,
      /\n\| a \| 3 ms \| 2 ms \| 1\.5 \| why \|\n\| b \| 1 kB \| {2}\| {2}\| {2}\|\n$/,
    );
    assert.doesNotMatch(alone, /shared/);
    assert.match(renderMarkdown([section], { ...CIRCUMSTANCES, load: 5 }), /shared, busy machine/);
  });
});
