import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { formatMetrics } from '../http/metrics.ts';
import { createLog } from '../log.ts';
import { countEvents, replicaMetrics, type MetricSources } from './replica-metrics.ts';

const SOURCES: MetricSources = {
  epoch: 2,
  view: 7,
  isLeader: true,
  height: 11,
  size: 40,
  checkpoint: { size: 38, timeSeconds: 1_800_000_000 },
  vitals: {
    deafMs: 10,
    storeHalted: undefined,
    coreHalted: undefined,
    observerReason: undefined,
    isDraining: false,
    reachableWeight: 3,
    quorum: 3,
    checkpointAgeSeconds: 5,
    checkpointAgeMaxSeconds: 60,
    clockSkewSeconds: -0.5,
  },
  checks: [
    { name: 'peers', ok: true, detail: '' },
    { name: 'clock', ok: false, detail: '' },
  ],
  peers: [
    { name: 'r1', isConnected: true },
    { name: 'r2', isConnected: false },
  ],
  refusedMessages: new Map([['r2', 4]]),
  ignored: new Map([['duplicate', 9]]),
  prefetched: { sent: 6, taken: 5, used: 4 },
  waitingSubmissions: 3,
  misbehaviourReports: 1,
  contradictions: 2,
  artifacts: { wanted: 8, missing: 1 },
  events: new Map([['view_entered', 5]]),
  dataDir: '.',
};

async function linesOf(changes: Partial<MetricSources> = {}): Promise<readonly string[]> {
  const text = formatMetrics(await replicaMetrics({ ...SOURCES, ...changes }));
  return text.split('\n').filter((line) => !line.startsWith('#'));
}

describe('replicaMetrics', () => {
  it('shows what an alert would be made of', async () => {
    const lines = await linesOf();
    for (const line of [
      'bftpkg_epoch 2',
      'bftpkg_view 7',
      'bftpkg_leader 1',
      'bftpkg_height 11',
      'bftpkg_tree_size 40',
      'bftpkg_checkpoint_timestamp_seconds 1800000000',
      'bftpkg_voting 1',
      'bftpkg_clock_skew_seconds -0.5',
      'bftpkg_check_ok{check="clock"} 0',
      'bftpkg_peer_connected{peer="r1"} 1',
      'bftpkg_peer_connected{peer="r2"} 0',
      'bftpkg_refused_messages_total{peer="r2"} 4',
      'bftpkg_prefetched_requests_total{what="used"} 4',
      'bftpkg_misbehaviour_reports 1',
      'bftpkg_contradictions 2',
      'bftpkg_artifacts_missing 1',
      'bftpkg_events_total{event="view_entered"} 5',
    ]) {
      assert.ok(lines.includes(line), line);
    }
    assert.ok(
      lines.some((line) => /^bftpkg_disk_free_bytes [1-9]/.test(line)),
      'free disk',
    );
  });

  it('leaves out what is not known, and says when it does not vote', async () => {
    const { vitals } = SOURCES;
    const lines = await linesOf({
      checkpoint: undefined,
      vitals: { ...vitals, clockSkewSeconds: undefined, observerReason: 'lost' },
      dataDir: './there is no such folder',
    });
    assert.ok(!lines.some((line) => /checkpoint|skew|disk/.test(line)), lines.join('\n'));
    assert.ok(lines.includes('bftpkg_voting 0'), 'it does not vote');
  });
});

describe('countEvents', () => {
  it('counts what the level drops, and passes on the rest', () => {
    const written: string[] = [];
    const sink = { write: (line: string) => void written.push(line), nowMs: () => 0 };
    const { log, counts } = countEvents(createLog('r0', 'warn', sink));
    log.info('view_entered', { view: 1 });
    log.warn('view_wished', { view: 2 });
    log.warn('view_wished', { view: 3 });
    assert.deepEqual(
      [...counts],
      [
        ['view_entered', 1],
        ['view_wished', 2],
      ],
    );
    assert.equal(written.length, 2);
    assert.match(written[1] ?? '', /"view":3/);
  });
});
