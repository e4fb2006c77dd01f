// One round of a monitor: what do all servers show, is it one log, was every new step of it legal, and is
// there anything that somebody asked to be told about?
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { ForkError } from '../../verifier/evidence/trust.ts';
import type { MemoryLedger } from '../../verifier/ledger/memory-ledger.ts';
import { formatNote } from '../../verifier/note.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { forkAmong, isQuorum, openViews, sizeOf, type Views } from '../audit/compare-views.ts';
import type { Finding } from '../audit/entry-check.ts';
import { checkLog, type FsckResult } from '../audit/fsck.ts';
import { cosignedBy, type LogView } from '../audit/log-view.ts';
import { TileClient } from '../audit/tile-client.ts';
import { asError } from '../client/hedge.ts';
import type { HttpClient } from '../client/http.ts';
import { isNotReady, ReplicaClient } from '../client/replica.ts';
import { TransportError } from '../errors.ts';
import { describeFailure } from '../output/diagnose.ts';
import { formatAge } from '../output/human.ts';
import { keepForkEvidence } from '../session/fork-file.ts';
import type { MonitorConfig } from './config.ts';
import { entryNotices, notice, type Notice } from './notices.ts';
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
  const { config, store, http, verifier, signal } = request;
  const replicas = config.replicas.map((url) => new ReplicaClient(url, http));
  const views = await openViews(replicas, config.pin, verifier, signal);
  const found: Notice[] = [...(await sourceNotices(request, views))];
  const fork = forkAmong(views.views);
  if (fork !== undefined) found.push(await forkNotice(fork, request.folder));

  const checked = await checkNewest(request, views, before);
  found.push(...checked.found);
  const troubles = troublesOf(request, views);
  const { state, notices, ongoing } = withTroubles(before, troubles, request.nowSeconds);
  const audit = checked.audit ?? before.audit;
  const next = withNotices({ ...state, audit }, [...found, ...notices]);
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
  const { diagnostic, evidence } = await keepForkEvidence(error, folder);
  const { origin, size } = error.fork;
  const message = `${diagnostic.message}; ${diagnostic.details.map((pair) => pair.join(' ')).join('; ')}; ${evidence.join(' ')}`;
  const roots = [error.found ?? '', error.expected ?? ''].toSorted();
  return notice('fork', message, [origin, size, ...roots]);
}

// Gossip: what others are shown has to be the same log.
async function sourceNotices(request: RoundRequest, { newest }: Views): Promise<readonly Notice[]> {
  const { config, http, verifier, signal } = request;
  if (newest === undefined) return [];
  const found: Notice[] = [];
  await Promise.all(
    config.sources.map(async (url) => {
      try {
        const note = await new ReplicaClient(url, http).checkpoint(signal);
        const { checkpoint } = await cosignedBy(note, newest.rosters, verifier);
        const { origin, size, root } = checkpoint.checkpoint;
        const ours = newest.checkpoint.checkpoint;
        if (size !== ours.size || equalBytes(root, ours.root)) return;
        const fork = {
          origin,
          size,
          rosters: newest.envelopes,
          first: formatNote(newest.note),
          second: formatNote(note),
        };
        const error = new ForkError(fork, encodeHex(root), encodeHex(ours.root));
        found.push(await forkNotice(error, request.folder));
      } catch (error) {
        // A source that is down or shows nonsense proves nothing.
        if (error instanceof TransportError || error instanceof VerifyError) return;
        throw error;
      }
    }),
  );
  return found;
}

interface Checked {
  readonly found: readonly Notice[];
  /** File of the new audit, if the log was checked further than before. */
  readonly audit?: string;
  readonly size?: number;
}

// Any server with the newest tree will do: a bad copy on one of them is told about, and the next is asked.
async function checkNewest(
  request: RoundRequest,
  views: Views,
  before: MonitorState,
): Promise<Checked> {
  const { newest } = views;
  if (newest === undefined) return { found: [] };
  const found: Notice[] = [];
  for (const view of views.views.filter((each) => sizeOf(each) === sizeOf(newest))) {
    // Read anew for each, because a check moves it on.
    const earlier = await request.store.earlier(before);
    if (earlier !== undefined && sizeOf(view) < earlier.leaves.size) {
      return { found: rollback(views, earlier.leaves.size) };
    }
    const told: Notice[] = [];
    try {
      const result = await checkLog({
        view,
        tiles: new TileClient(view.url, request.http),
        pin: request.config.pin,
        verifier: request.verifier,
        signal: request.signal,
        trusted: undefined,
        earlier,
        progress: request.progress,
        onEntry: async (index, data, ledger) => {
          if (earlier === undefined && !request.fromStart) return;
          if (told.length >= PENDING_MAX) return;
          told.push(...(await noticesOf(request, index, data, ledger)));
        },
      });
      const bad = result.findings.map((finding) => findingNotice(finding, view.url));
      if (result.findings.some(({ kind }) => kind !== 'batch')) {
        found.push(...bad);
        continue;
      }
      found.push(...told, ...bad, ...laggards(views, result));
      // An illegal batch is told once; the cursor stays before it, so that it is never taken as fine.
      if (bad.length > 0) return { found };
      return { found, size: result.leaves.size, ...(await save(request, view, result, before)) };
    } catch (error) {
      if (error instanceof ForkError) found.push(await forkNotice(error, request.folder));
      else if (error instanceof VerifyError) found.push(badCopy(view.url, error));
      // A server that went away in the middle; another one may answer.
      else if (!(error instanceof TransportError)) throw error;
    }
  }
  return { found };
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
  ledger: MemoryLedger,
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

// What the other replicas show of an earlier size has to be the beginning of what was just checked.
function laggards({ views }: Views, { ledger }: FsckResult): readonly Notice[] {
  return views.flatMap((view) => {
    const { size, root, origin } = view.checkpoint.checkpoint;
    const known = ledger.rootAt(size);
    if (known === undefined || equalBytes(known, root)) return [];
    const message =
      `${view.url} shows a log ${origin} of size ${size} that is not the beginning of the one that ` +
      `others show; a quorum cosigned both. ${formatNote(view.note)}`;
    return [notice('fork', message, [origin, size, encodeHex(root)])];
  });
}

// A monitor that was told of too few replicas never has a quorum, however well they are.
function unnamed({ newest }: Views, named: number): string {
  const all = newest?.roster.replicas.length ?? 0;
  return named >= all ? '' : `; the log has ${all}: name all of them in the configuration`;
}

// What is out of order now: by id, what it is.
function troublesOf(
  { config, nowSeconds }: RoundRequest,
  views: Views,
): ReadonlyMap<string, readonly [kind: 'replica' | 'quorum' | 'stale', text: string]> {
  const troubles = new Map<string, readonly ['replica' | 'quorum' | 'stale', string]>();
  // Before the first entry there is nothing to show, and nothing wrong.
  const isEmpty =
    views.failures.length > 0 && views.failures.every(({ error }) => isNotReady(error));
  if (isEmpty && views.views.length === 0) return troubles;
  for (const { url, error } of views.failures) {
    troubles.set(`replica ${url}`, ['replica', `${url}: ${describeFailure(asError(error))}`]);
  }
  if (!isQuorum(views)) {
    const named = config.replicas.length;
    const text = `no quorum: ${views.views.length} of ${named} replicas answered${unnamed(views, named)}`;
    troubles.set('quorum', ['quorum', text]);
  }
  const { newest } = views;
  if (newest === undefined) return troubles;
  const age = nowSeconds - newest.checkpoint.certifiedTime;
  if (age > config.checkpointAgeMaxSeconds) {
    const text = `the newest checkpoint is ${formatAge(age)} old: the log stands still, or is hidden`;
    troubles.set('stale', ['stale', text]);
  }
  return troubles;
}

// Told when it begins and when it ends, not in every round in between.
function withTroubles(
  before: MonitorState,
  now: ReturnType<typeof troublesOf>,
  nowSeconds: number,
): {
  readonly state: MonitorState;
  readonly notices: readonly Notice[];
  readonly ongoing: readonly Notice[];
} {
  const began = [...now].filter(([id]) => !before.troubles.has(id));
  const ended = [...before.troubles].filter(([id]) => !now.has(id));
  const troubles = new Map([...now].map(([id, [, text]]) => [id, text]));
  return {
    state: { ...before, troubles },
    // The next time that the same thing fails is another happening.
    notices: [
      ...began.map(([id, [kind, text]]) => notice(kind, text, [id, nowSeconds])),
      ...ended.map(([id]) => notice('recovered', `${id}: in order again`, [id, nowSeconds])),
    ],
    ongoing: [...now].map(([id, [kind, text]]) => notice(kind, text, [id])),
  };
}
