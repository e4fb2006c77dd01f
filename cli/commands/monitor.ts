// `bftpkg monitor`: follows a log like an auditor, and tells people what they asked to be told.
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { threadedVerifier } from '../../verifier/node/threaded-verifier.ts';
import { HttpClient } from '../client/http.ts';
import type { Invocation } from '../context.ts';
import { usageError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { loadMonitorConfig, type MonitorConfig } from '../monitor/config.ts';
import { postNotices } from '../monitor/deliver.ts';
import { formatMetrics, writeMetrics } from '../monitor/metrics.ts';
import { noticeJson, type Notice, type NoticeKind } from '../monitor/notices.ts';
import { makeRound, type Round } from '../monitor/round.ts';
import { MonitorStore, type MonitorState } from '../monitor/state.ts';
import type { DiagnosticCode } from '../output/codes.ts';
import { diagnostic, doneReport, failureReport, type Report } from '../output/report.ts';
import { printable } from '../output/sanitize.ts';
import { stateFolder } from '../trust/folders.ts';
import { parseDuration } from './duration.ts';

// A round over a log of millions of entries takes minutes the first time.
const ROUND_TIMEOUT_MS = 30 * 60_000;

// What decides the exit code of a single round. What is legal in a log is news, not an error.
const CODES: ReadonlyMap<NoticeKind, DiagnosticCode> = new Map([
  ['fork', 'BP4003'],
  ['rollback', 'BP4002'],
  ['illegal', 'BP4010'],
  ['bad-copy', 'BP4004'],
  ['quorum', 'BP7001'],
  ['unchecked', 'BP7001'],
  ['stale', 'BP4001'],
]);

/** Options of `monitor run`. */
export interface MonitorOptions {
  readonly once?: boolean;
  readonly interval: string;
  /** Folder of the state. */
  readonly state?: string;
  readonly webhook?: string;
  /** File for metrics, written after each round. */
  readonly metrics?: string;
  readonly fromStart?: boolean;
}

/** `monitor check-config`. */
export async function monitorCheckConfig(invocation: Invocation): Promise<Report> {
  const config = await readConfig(invocation);
  return doneReport('monitor check-config', {
    data: { config: config.path, pin: config.pin, replicas: [...config.replicas] },
    lines: [
      `${config.path} is in order`,
      `pin       ${config.pin}`,
      `replicas  ${config.replicas.length}, other sources ${config.sources.length}, keys ${config.keys.length}`,
    ],
  });
}

async function readConfig({ globals }: Invocation): Promise<MonitorConfig> {
  if (globals.config === undefined) {
    throw usageError('say what to watch: --config <monitor.json>');
  }
  return await loadMonitorConfig(globals.config);
}

/** `monitor run`: for ever, or one round with --once. */
export async function monitorRun(invocation: Invocation, options: MonitorOptions): Promise<Report> {
  const { context } = invocation;
  if (invocation.globals.offline) throw usageError('a monitor asks servers: not with --offline');
  const config = await readConfig(invocation);
  const intervalMs = parseDuration(options.interval) * 1000;
  if (options.webhook !== undefined && !/^https?:\/\//.test(options.webhook)) {
    throw usageError('--webhook is an http(s) address');
  }
  const folder =
    options.state === undefined
      ? join(stateFolder(context.env), `monitor-${config.pin}`)
      : resolve(context.cwd, options.state);
  const http = new HttpClient(invocation.globals);
  try {
    const monitor = new Monitor(invocation, config, options, folder, http);
    for (;;) {
      const { round, told } = await monitor.round();
      if (options.once === true || context.signal.aborted) return reportOf(round, told);
      await sleep(intervalMs, undefined, { signal: context.signal }).catch(() => undefined);
      if (context.signal.aborted) return reportOf(round, []);
    }
  } finally {
    await http.close();
  }
}

class Monitor {
  readonly #invocation: Invocation;
  readonly #config: MonitorConfig;
  readonly #options: MonitorOptions;
  readonly #store: MonitorStore;
  readonly #http: HttpClient;
  // Written to stdout by this process, and still on their way to the webhook.
  readonly #written = new Set<string>();
  #state: MonitorState | undefined;

  constructor(
    invocation: Invocation,
    config: MonitorConfig,
    options: MonitorOptions,
    folder: string,
    http: HttpClient,
  ) {
    this.#invocation = invocation;
    this.#config = config;
    this.#options = options;
    this.#store = new MonitorStore(folder, config.pin);
    this.#http = http;
  }

  async round(): Promise<{ readonly round: Round; readonly told: readonly Notice[] }> {
    const { context } = this.#invocation;
    const before = this.#state ?? (await this.#store.read());
    const round = await makeRound(
      {
        config: this.#config,
        store: this.#store,
        http: this.#http,
        verifier: threadedVerifier,
        signal: AbortSignal.any([context.signal, AbortSignal.timeout(ROUND_TIMEOUT_MS)]),
        nowSeconds: Math.floor(context.nowMs() / 1000),
        folder: context.cwd,
        fromStart: this.#options.fromStart === true,
        progress: this.#invocation.progress,
      },
      before,
    );
    const told = round.state.pending;
    this.#state = await this.#deliver(round.state);
    await this.#measure({ ...round, state: this.#state });
    return { round, told };
  }

  // A full disk must not stop the watching: whoever reads the file sees that its time stands still.
  async #measure(round: Round): Promise<void> {
    const { metrics } = this.#options;
    if (metrics === undefined) return;
    const { context, notice } = this.#invocation;
    const nowSeconds = Math.floor(context.nowMs() / 1000);
    try {
      const text = formatMetrics(round, this.#config.replicas, nowSeconds);
      await writeMetrics(resolve(context.cwd, metrics), text);
    } catch (error) {
      notice(`${metrics}: the metrics cannot be written: ${systemReason(error)}`);
    }
  }

  // From here on a crash tells something twice, never not at all.
  async #deliver(state: MonitorState): Promise<MonitorState> {
    if (state.pending.length === 0) return state;
    if (this.#options.once !== true) this.#write(state.pending);
    const delivered = new Set(await this.#post(state.pending));
    const pending = state.pending.filter(({ id }) => !delivered.has(id));
    for (const id of delivered) this.#written.delete(id);
    const next = { ...state, pending };
    await this.#store.write(next);
    return next;
  }

  #write(notices: readonly Notice[]): void {
    const { context, globals } = this.#invocation;
    const isHuman = globals.format === 'human' || globals.format === 'concise';
    for (const notice of notices) {
      if (this.#written.has(notice.id)) continue;
      this.#written.add(notice.id);
      const line = isHuman ? lineOf(notice) : JSON.stringify(noticeJson(notice));
      context.terminal.writeOut(`${isHuman ? printable(line, line.length) : line}\n`);
    }
  }

  async #post(notices: readonly Notice[]): Promise<readonly string[]> {
    const { webhook } = this.#options;
    if (webhook === undefined) return notices.map(({ id }) => id);
    const { signal } = this.#invocation.context;
    const { delivered, failure } = await postNotices(this.#http, webhook, notices, signal);
    if (failure !== undefined) {
      const left = notices.length - delivered.length;
      this.#invocation.notice(`the webhook did not take ${left} notices, they stay: ${failure}`);
    }
    return delivered.map(({ id }) => id);
  }
}

function lineOf({ category, kind, message }: Notice): string {
  return `${category.padEnd(12)}  ${kind.padEnd(11)}  ${message}`;
}

function reportOf(round: Round, told: readonly Notice[]): Report {
  const command = 'monitor run';
  const result = {
    data: { size: round.size ?? null, notices: told.map(noticeJson) },
    lines: [
      ...told.map(lineOf),
      round.size === undefined
        ? 'the log was not checked to its end this time'
        : `checked up to size ${round.size}, every step was legal`,
    ],
  };
  const found = round.found.flatMap(({ kind, message }) => {
    const code = CODES.get(kind);
    return code === undefined ? [] : [diagnostic(code, message)];
  });
  // What was out of order before and still is, too: one round that finds it again is no better.
  if (found.length === 0) return doneReport(command, result);
  return { ...failureReport(command, found), result };
}
