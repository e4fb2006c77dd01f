// The leader's side of the normal case: drawing a batch from the lanes, or proposing what the view's
// NEW-VIEW demands (N1, N2, V10).
import { assert } from '../../verifier/errors.ts';
import type { Core } from './core.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import { isFullBatch } from './exposure.ts';
import { forgetRequests } from './fairness.ts';
import { holdBatch } from './fetching.ts';
import { drawBatch } from './prefetching.ts';
import type { BuildResult } from './types.ts';
import { batchShapeProblem, successorProblem } from '../../verifier/replication/validate.ts';

/**
 * Each build executes a batch, and whoever owns packages can submit any number of statements of which only
 * the first is valid. After that many the rest of them has to wait for the next height.
 */
const REBUILDS_MAX = 4;

/** N1: proposes, or asks the application to build, when it is this replica's turn and time. */
export function proposeIfDue(core: Core): boolean {
  if (!isTurn(core)) return false;
  const mandate = mandateHere(core);
  if (mandate !== undefined) {
    core.proposal = { digest: headerDigest(mandate), header: mandate, message: undefined };
    return true;
  }
  if (core.building !== undefined || !isDue(core)) return false;
  const requests = drawBatch(core);
  if (requests.length === 0) return false;
  const { header } = core.voter.committed;
  const token = core.nextToken();
  core.building = { token, view: core.voter.view };
  core.batchTick = undefined;
  core.build({
    token,
    epoch: core.members.epoch,
    height: core.nextHeight,
    parent: core.voter.committedDigest,
    parentTimestampMs: header.timestampMs,
    requests,
  });
  return false;
}

/** Leader of an open view, at its live height, with nothing proposed there yet. */
function isTurn(core: Core): boolean {
  const { vote, view } = core.voter;
  return (
    core.isLeader &&
    core.isActive &&
    core.proposal === undefined &&
    core.decision === undefined &&
    core.nextHeight > core.base &&
    !(vote !== undefined && vote.view === view && vote.height === core.nextHeight)
  );
}

/** The header that has to be proposed now, if the NEW-VIEW names one. */
function mandateHere(core: Core): Parameters<typeof headerDigest>[0] | undefined {
  const header = core.opening?.mandate?.header;
  return header !== undefined && header.height === core.nextHeight ? header : undefined;
}

/** A batch is worth proposing when it is full, or when its oldest request has waited long enough. */
function isDue(core: Core): boolean {
  if (core.pool.size === 0) {
    core.batchTick = undefined;
    return false;
  }
  core.batchTick ??= core.tick;
  if (core.tick < core.batchTick) return false;
  return core.pool.fillsBatch || core.tick - core.batchTick >= core.config.timing.batchTicks;
}

/** Takes the batch that the application has built. */
export function onBuilt(core: Core, token: number, result: BuildResult): void {
  if (core.building?.token !== token) {
    core.ignore('stale-token');
    return;
  }
  const { view } = core.building;
  core.building = undefined;
  forgetRequests(core, result.refused);
  const { proposal } = result;
  // Nothing can be built of what waits here: not again before the next tick.
  if (proposal === undefined) core.batchTick = core.tick + 1;
  // The world may have moved on while it was being built.
  if (proposal === undefined || view !== core.voter.view || !isTurn(core)) return;
  const { header, body, ids, nextRoster } = proposal;
  if (header.height !== core.nextHeight || isBuiltAgain(core, result)) return;
  const { committed, committedDigest, epoch } = core.voter;
  const problem =
    batchShapeProblem(proposal) ??
    successorProblem(header, committed.header, committedDigest, epoch, core.mutants);
  assert(problem === undefined, `the application builds proper headers: ${problem}`);
  assert(nextRoster?.hash === header.nextRoster, 'the header names the next roster');
  const digest = headerDigest(header);
  holdBatch(core, digest, { header, body });
  core.checks.set(digest, { kind: 'valid', ids, nextRoster });
  core.proposal = { digest, header, message: undefined };
}

/**
 * Requests that broke a rule have taken places in the batch while valid ones wait: followers would see
 * room that nobody was given, and suspect this leader of starving them (Q5). Without the refused ones the
 * next draw is a better one.
 */
function isBuiltAgain(core: Core, { proposal, refused }: BuildResult): boolean {
  if (proposal === undefined || refused.length === 0) return false;
  if (core.rebuilds >= REBUILDS_MAX || core.pool.size <= proposal.ids.length) return false;
  // A roster is alone in its batch, by rule.
  if (proposal.nextRoster !== undefined) return false;
  const bytes = proposal.body.reduce((sum, entry) => sum + entry.length, 0);
  if (isFullBatch(core.config.limits, proposal.ids.length, bytes)) return false;
  core.rebuilds += 1;
  return true;
}
