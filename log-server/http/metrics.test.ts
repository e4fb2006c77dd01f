import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { RequestCounts, formatMetrics, gauge } from './metrics.ts';

describe('formatMetrics', () => {
  it('writes what Prometheus reads', () => {
    const text = formatMetrics([
      gauge('tree_size', 'Leaves in the log.', 7),
      {
        name: 'peer_connected',
        help: 'Whether\nit \\ is.',
        kind: 'gauge',
        samples: [
          { labels: { peer: 'r1' }, value: 1 },
          { labels: { peer: 'a"b\\c\nd', other: 'x' }, value: 0 },
        ],
      },
      { name: 'empty_total', help: 'Nothing yet.', kind: 'counter', samples: [] },
    ]);
    assert.equal(
      text,
      [
        '# HELP bftpkg_tree_size Leaves in the log.',
        '# TYPE bftpkg_tree_size gauge',
        'bftpkg_tree_size 7',
        '# HELP bftpkg_peer_connected Whether\\nit \\\\ is.',
        '# TYPE bftpkg_peer_connected gauge',
        'bftpkg_peer_connected{peer="r1"} 1',
        'bftpkg_peer_connected{peer="a\\"b\\\\c\\nd",other="x"} 0',
        '',
      ].join('\n'),
    );
  });
});

describe('RequestCounts', () => {
  it('counts by route, and all that strangers make up together', () => {
    const counts = new RequestCounts();
    counts.count('/v1/entries/abc', 200);
    counts.count('/v1/entries', 202);
    counts.count('/v1/entries', 422);
    counts.count('/checkpoint', 304);
    for (let i = 0; i < 1000; i++) counts.count(`/made-up-${i}`, 404);
    counts.count('/checkpointed', 404);
    const { samples } = counts.metric();
    assert.deepEqual(
      samples.map(({ labels, value }) => [labels?.['route'], labels?.['code'], value]),
      [
        ['/v1/entries', '2xx', 2],
        ['/v1/entries', '4xx', 1],
        ['/checkpoint', '3xx', 1],
        ['other', '4xx', 1001],
      ],
    );
  });
});
