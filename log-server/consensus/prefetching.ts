// PREFETCH (CONSENSUS.md 2.3, 4.4): while one batch is voted on, its leader sends the requests ahead that
// will probably make the next one. Followers check their signatures and fetch their artifacts meanwhile, so
// that no vote has to wait for that, and the proposal only says what it adds to them.
//
// A cache and nothing else: not durable, no promise, and no vote depends on it. A body that is put together
// from it counts only if it has the hash that the leader's signed header names.
import { equalBytes } from '../../verifier/bytes.ts';
import { bodyHash } from '../../verifier/replication/encode.ts';
import type {
  Body,
  Header,
  PeerId,
  PrefetchMessage,
  PrePrepareMessage,
  Request,
} from '../../verifier/replication/messages.ts';
import { batchShapeProblem } from '../../verifier/replication/validate.ts';
import type { Ahead, Core } from './core.ts';
import type { IgnoreReason } from './types.ts';

/** How far above the next height: whoever is a batch behind must not miss what comes after the next. */
const HEIGHTS_AHEAD_MAX = 2;

// ---- the leader

/**
 * Sends ahead what waits and is not in the proposal that is out, in parts as it comes in: at once, and then
 * once a tick, so that many small requests do not become as many messages.
 */
export function sendAhead(core: Core): void {
  const { proposal, voter, members } = core;
  if (!core.isLeader || core.own.prePrepare === undefined || proposal === undefined) return;
  const check = core.checks.get(proposal.digest);
  if (check?.kind !== 'valid') return;
  const height = core.nextHeight + 1;
  const isBegun = core.sentAhead?.view === voter.view && core.sentAhead.height === height;
  if (isBegun && core.aheadTick === core.tick) return;
  core.aheadTick = core.tick;
  const sent = isBegun ? (core.sentAhead?.requests ?? []) : [];
  const all = core.pool.draw(sent, new Set(check.ids));
  core.sentAhead = { view: voter.view, height, requests: all };
  const requests = all.slice(sent.length);
  if (requests.length === 0) return;
  core.prefetched.sent += requests.length;
  const { epoch } = members;
  const start = sent.length;
  core.send(members.others, {
    kind: 'prefetch',
    epoch,
    view: voter.view,
    height,
    start,
    requests,
  });
}

/** What was sent ahead for the next height, as far as it still waits, and whatever else has its turn. */
export function drawBatch(core: Core): readonly Request[] {
  const sent = of(core.sentAhead, core.voter.view, core.nextHeight);
  return core.pool.draw(sent.filter(({ id }) => core.pool.has(id)));
}

/** A proposal's body as it is sent: without the entries that followers can make of what they have. */
export function shortened(
  core: Core,
  view: number,
  { height, timestampMs }: Header,
  body: Body,
): Pick<PrePrepareMessage, 'body' | 'tail'> {
  const { entryOf } = core.config;
  let prefetched = 0;
  for (const request of of(core.sentAhead, view, height)) {
    const [expected, entry] = [entryOf?.(request, timestampMs), body[prefetched]];
    if (expected === undefined || entry === undefined || !equalBytes(expected, entry)) break;
    prefetched += 1;
  }
  if (prefetched === 0) return { body };
  return { body: undefined, tail: { prefetched, entries: body.slice(prefetched) } };
}

function of(ahead: Ahead | undefined, view: number, height: number): readonly Request[] {
  return ahead?.view === view && ahead.height === height ? ahead.requests : [];
}

// ---- followers

/**
 * R1, R2 for PREFETCH: of the present leader, for heights that come next, no more than a batch holds, each
 * part once. Whatever a faulty leader sends, it costs no more than its proposals could. Not yet in order: of
 * parts that arrive together each is asked about before the first is taken in.
 */
export function wantsPrefetch(
  core: Core,
  from: PeerId,
  message: PrefetchMessage,
): IgnoreReason | undefined {
  const { members, voter, received } = core;
  const { view, height, start } = message;
  if (message.epoch !== members.epoch) return 'other-epoch';
  if (members.self === undefined) return 'not-member';
  if (members.indexOf(from) !== members.leader(view)) return 'not-leader';
  if (view < voter.view) return 'old-view';
  if (height < core.nextHeight) return 'old-height';
  if (view > voter.view || height > core.nextHeight + HEIGHTS_AHEAD_MAX) return 'far-height';
  if (received?.view === view && received.height > height) return 'old-height';
  const before = of(received, view, height);
  if (start < before.length) return 'duplicate';
  return fitsIntoBatch(core, [...before, ...message.requests]) ? undefined : 'lane-full';
}

function fitsIntoBatch({ config }: Core, requests: readonly Request[]): boolean {
  const { batchRequestsMax, batchBytesMax } = config.limits;
  const bytes = requests.reduce((sum, request) => sum + request.bytes.length, 0);
  return requests.length <= batchRequestsMax && bytes <= batchBytesMax;
}

/** Keeps the next part, and has the application look at what it has not seen yet. */
export function onPrefetch(core: Core, from: PeerId, message: PrefetchMessage): void {
  const { view, height, start } = message;
  const before = of(core.received, view, height);
  if (start !== before.length) {
    core.ignore('slot-taken');
    return;
  }
  const requests = [...before, ...message.requests];
  core.received = { view, height, requests };
  core.prefetched.taken += message.requests.length;
  const unknown = message.requests.filter(({ id }) => !core.pool.has(id));
  if (unknown.length > 0) core.lookAhead({ from, requests: unknown });
}

/** A proposal with its body, if the part that it leaves out is here; otherwise it is asked for (N11). */
export function completed(core: Core, message: PrePrepareMessage): PrePrepareMessage {
  const { tail, ...rest } = message;
  if (tail === undefined) return message;
  const { header, view } = message;
  const { entryOf, createHash } = core.config;
  const sent = of(core.received, view, header.height).slice(0, tail.prefetched);
  if (sent.length < tail.prefetched) return rest;
  const entries = sent.flatMap((request) => entryOf?.(request, header.timestampMs) ?? []);
  const body = [...entries, ...tail.entries];
  if (!fitsIntoBytes(core, body)) return rest;
  if (!isBodyOf(header, body, createHash) && !core.mutant('prefetch-unhashed')) return rest;
  core.prefetched.used += entries.length;
  return { ...rest, body };
}

/**
 * What was sent ahead and what was sent now are a message each: together they could be longer than any batch
 * may be, and than any message in which somebody could be given the body (N11).
 */
function fitsIntoBytes({ config }: Core, body: Body): boolean {
  return body.reduce((sum, entry) => sum + entry.length, 0) <= config.limits.batchBytesMax;
}

function isBodyOf(header: Header, body: Body, createHash: Core['config']['createHash']): boolean {
  if (batchShapeProblem({ header, body }) !== undefined) return false;
  return bodyHash(body, createHash) === header.entriesHash;
}

/** Nothing of a view that is over, or of a height that is decided, is of use. */
export function forgetAhead(core: Core): void {
  const isOver = (ahead: Ahead | undefined): boolean =>
    ahead !== undefined && (ahead.view !== core.voter.view || ahead.height < core.nextHeight);
  if (isOver(core.sentAhead)) core.sentAhead = undefined;
  if (isOver(core.received)) core.received = undefined;
}
