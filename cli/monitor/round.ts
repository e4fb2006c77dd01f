// One round of a monitor: what do all servers show, is it one log, was every new step of it legal, and is
// there anything that somebody asked to be told about?
import { tmpdir } from 'node:os';

import { VerifyError } from '../../verifier/errors.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import type { LedgerView } from '../../verifier/ledger/view.ts';
import { TemporaryPages } from '../../verifier/node/temporary-pages.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import {
  describeParted,
  forkAmong,
  isQuorum,
  openViews,
  partedRosters,
  sizeOf,
  type PartedRosters,
  type Views,
} from '../audit/compare-views.ts';
import type { Finding } from '../audit/entry-check.ts';
import { checkLog, type FsckResult } from '../audit/fsck.ts';
import type { LogView } from '../audit/log-view.ts';
import { TileClient } from '../audit/tile-client.ts';
import type { HttpClient } from '../client/http.ts';
import { ReplicaClient } from '../client/replica.ts';
import { TransportError } from '../errors.ts';
import { keepForkEvidence } from '../session/fork-file.ts';
import type { MonitorConfig } from './config.ts';
import { compareHeads, headsOf, sourceHeads } from './heads.ts';
import { entryNotices, moreNotice, notice, type Notice } from './notices.ts';
import { troublesOf, withTroubles } from './troubles.ts';
import { PENDING_MAX, withNotices, type MonitorState, type MonitorStore } from './state.ts';

/** What a round needs. */
export interface RoundRequest {
  readonly config: MonitorConfig;
  readonly store: MonitorStore;
  readonly http: HttpClient;
  readonly verifier: SignatureVerifier;
  readonly signal: AbortSignal;
  readonly nowSeconds: number;
  /** Where files with proof of a fork are written. */
  readonly folder: string;
  /** Whether the entries that are there at the first round are told about, too. */
  readonly fromStart: boolean;
  readonly progress: (text: string) => void;
}

/** How a round ended. */
export interface Round {
  /** With everything that was found in it as pending; written already. */
  readonly state: MonitorState;
  /** All that was found, told before or not. */
  readonly found: readonly Notice[];
  /** Size of the log that was checked to its end; `undefined` when none was. */
  readonly size: number | undefined;
  /** Certified time of the newest checkpoint that was shown, Unix seconds. */
  readonly certifiedTime: number | undefined;
  /** Addresses of replicas that showed no valid one. */
  readonly failed: readonly string[];
}

/** Makes one round and writes the new state. */
export async function makeRound(request: RoundRequest, before: MonitorState): Promise<Round> {
  const pages = new TemporaryPages(tmpdir());
  try {
    return await makeRoundIn(pages, request, before);
  } finally {
    pages.close();
  }
}

async function makeRoundIn(
  pages: TemporaryPages,
  request: RoundRequest,
  before: MonitorState,
): Promise<Round> {
  const { config, store, http, verifier, signal } = request;
  const replicas = config.replicas.map((url) => new ReplicaClient(url, http));
  const views = await openViews(replicas, config.pin, verifier, signal);
  const found: Notice[] = [];
  const fork = forkAmong(views.views);
  if (fork !== undefined) found.push(await forkNotice(fork, request.folder));
  const parted = partedRosters(views.views);
  if (parted !== undefined) found.push(partedNotice(parted));

  const checked = await checkNewest(pages, request, views, before);
  found.push(...checked.found);
  const shown = [...headsOf(views), ...(await sourceHeads(request, views))];
  const compared = compareHeads([...before.heads, ...shown], views, checked.ledger);
  for (const each of compared.forks) found.push(await forkNotice(each, request.folder));
  found.push(...compared.notices);
  const { withheld, isUnchecked } = checked;
  const { nowSeconds } = request;
  const troubles = troublesOf({ config, nowSeconds, views, withheld, isUnchecked });
  const { state, notices, ongoing } = withTroubles(before, troubles, nowSeconds);
  const audit = checked.audit ?? before.audit;
  const next = withNotices({ ...state, audit, heads: compared.open }, [...found, ...notices]);
  // The cursor and what was found on the way to it become durable in one step.
  await store.write(next);
  if (audit !== before.audit) await store.removeOthers(audit);
  return {
    state: next,
    found: [...found, ...ongoing],
    size: checked.size,
    certifiedTime: views.newest?.checkpoint.certifiedTime,
    failed: views.failures.map(({ url }) => url),
  };
}

async function forkNotice(error: ForkError, folder: string): Promise<Notice> {
  const { origin, size } = error.fork;
  const roots = [error.found ?? '', error.expected ?? ''].toSorted();
  return notice('fork', await describeFork(error, folder), [origin, size, ...roots]);
}

async function describeFork(error: ForkError, folder: string): Promise<string> {
  try {
    const { diagnostic, evidence } = await keepForkEvidence(error, folder);
    return `${diagnostic.message}; ${diagnostic.details.map((pair) => pair.join(' ')).join('; ')}; ${evidence.join(' ')}`;
  } catch (cause) {
    if (!(cause instanceof VerifyError)) throw cause;
    // The notes are of rosters that are not in one chain. Whoever forks a log must not end who watches it.
    const { first, second } = error.fork;
    return `${error.message}; no file proves it, the rosters of the two are not of one chain; ${first}; ${second}`;
  }
}

function partedNotice(parted: PartedRosters): Notice {
  const { origin, epoch, sides } = parted;
  const hashes = sides.map(({ hash }) => hash).toSorted();
  return notice('fork', describeParted(parted), [origin, epoch, ...hashes]);
}

interface Checked {
  readonly found: readonly Notice[];
  /** File of the new audit, if the log was checked further than before. */
  readonly audit?: string;
  readonly size?: number;
  /** The log that was checked, as far as that. */
  readonly ledger?: LedgerView;
  /** Who showed a checkpoint and not what is below it. */
  readonly withheld: ReadonlyMap<string, Error>;
  readonly isUnchecked: boolean;
}

// The newest tree first. A bad copy is told about, and whoever shows a large tree and keeps back what is in
// it has only put off its own view: the next server is asked, for a smaller one if there is no other.
async function checkNewest(
  pages: TemporaryPages,
  request: RoundRequest,
  views: Views,
  before: MonitorState,
): Promise<Checked> {
  const found: Notice[] = [];
  const withheld = new Map<string, Error>();
  const isNewer = (a: LogView, b: LogView): number => sizeOf(b) - sizeOf(a);
  for (const [i, view] of views.views.toSorted(isNewer).entries()) {
    // Read anew for each, because a check moves it on.
    const earlier = await request.store.earlier(before);
    if (earlier !== undefined && sizeOf(view) < earlier.leaves.size) {
      if (i > 0) break;
      return { found: rollback(views, earlier.leaves.size), withheld, isUnchecked: false };
    }
    const told: Notice[] = [];
    let left = 0;
    let first: Notice | undefined;
    try {
      const result = await checkLog({
        view,
        tiles: new TileClient(view.url, request.http),
        pin: request.config.pin,
        verifier: request.verifier,
        signal: request.signal,
        trusted: undefined,
        pages,
        earlier,
        progress: request.progress,
        onEntry: async (index, data, ledger) => {
          if (earlier === undefined && !request.fromStart) return;
          const some = await noticesOf(request, index, data, ledger);
          if (told.length < PENDING_MAX) told.push(...some);
          else {
            left += some.length;
            first ??= some[0];
          }
        },
      });
      const bad = result.findings.map((finding) => findingNotice(finding, view.url));
      if (result.findings.some(({ kind }) => kind !== 'batch')) {
        found.push(...bad);
        continue;
      }
      if (first !== undefined) told.unshift(moreNotice(left, first));
      found.push(...told, ...bad);
      const { ledger } = result;
      const checked = { found, ledger, withheld, isUnchecked: false };
      // An illegal batch is told once; the cursor stays before it, so that it is never taken as fine.
      if (bad.length > 0) return checked;
      return {
        ...checked,
        size: result.leaves.size,
        ...(await save(request, view, result, before)),
      };
    } catch (error) {
      if (error instanceof ForkError) found.push(await forkNotice(error, request.folder));
      else if (error instanceof VerifyError) found.push(badCopy(view.url, error));
      // A server that went away in the middle; another one may answer.
      else if (error instanceof TransportError) withheld.set(view.url, error);
      else throw error;
    }
  }
  return { found, withheld, isUnchecked: views.views.length > 0 };
}

async function save(
  request: RoundRequest,
  view: LogView,
  result: FsckResult,
  before: MonitorState,
): Promise<{ readonly audit?: string }> {
  if (before.audit === `audit-${result.leaves.size}.json`) return {};
  return { audit: await request.store.saveAudit(view, result) };
}

async function noticesOf(
  { config }: RoundRequest,
  index: number,
  data: Uint8Array,
  ledger: LedgerView,
): Promise<readonly Notice[]> {
  return await entryNotices(index, data, {
    watches: config.watches,
    keys: config.keys,
    setBefore: (name) => ledger.maintainerSet(name)?.set,
  });
}

// One replica may simply be behind. A quorum that shows less than it has shown before has forgotten.
function rollback(views: Views, size: number): readonly Notice[] {
  if (!isQuorum(views) || views.newest === undefined) return [];
  const now = sizeOf(views.newest);
  const message = `a quorum of replicas shows size ${now} only; size ${size} was checked before`;
  return [notice('rollback', message, [now, size])];
}

function findingNotice(finding: Finding, url: string): Notice {
  if (finding.kind !== 'batch') {
    return notice('bad-copy', `${url}: ${finding.message}`, [url, finding.message]);
  }
  const { error } = finding;
  const message = `${error.message} (rule ${error.refusal.code}); a quorum cosigned it`;
  return notice('illegal', message, [error.height, error.refusal.code], error.start);
}

function badCopy(url: string, error: VerifyError): Notice {
  return notice('bad-copy', `${url}: ${error.message}`, [url, error.code, error.message]);
}
