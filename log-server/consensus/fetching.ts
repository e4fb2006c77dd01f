// Getting the batches of the next height here and checked: whatever is proposed, prepared, mandated or
// decided needs its body (N11) and an answer of the application (N4).
import type { Check, Core } from './core.ts';
import { headerDigest } from '../../verifier/replication/encode.ts';
import type {
  Batch,
  BodyMessage,
  Digest,
  GetBodyMessage,
  PeerId,
} from '../../verifier/replication/messages.ts';
import type { CheckResult, IgnoreReason } from './types.ts';
import { wishFor } from './wishing.ts';

/** Keeps a batch for the next height in memory; the least useful one makes room. */
export function holdBatch(core: Core, digest: Digest, batch: Batch): void {
  core.fetches.delete(digest);
  if (core.bodies.has(digest)) return;
  core.bodies.set(digest, batch);
  if (core.bodies.size <= core.config.limits.bodiesMax) return;
  const needed = neededDigests(core);
  for (const held of core.bodies.keys()) {
    if (held === digest || needed.has(held)) continue;
    core.bodies.delete(held);
    core.checks.delete(held);
    if (core.durableBodies.delete(held)) core.write({ kind: 'drop-body', digest: held });
    return;
  }
}

/** Makes a batch durable with the vote for it (P1). */
export function keepBody(core: Core, digest: Digest): void {
  const batch = core.bodies.get(digest);
  if (batch === undefined || core.durableBodies.has(digest)) return;
  if (core.mutant('body-not-persisted')) return;
  core.durableBodies.add(digest);
  core.write({ kind: 'body', digest, header: batch.header, body: batch.body });
}

function neededDigests(core: Core): ReadonlySet<Digest> {
  const { vote, prepared, active } = core.voter;
  return new Set(
    [
      vote?.digest,
      prepared?.certificate.vote.digest,
      active?.mandate,
      core.proposal?.digest,
      core.decision?.digest,
    ].filter((digest) => digest !== undefined),
  );
}

/**
 * Pushes a digest one step towards being checked, whichever step is next: ask for the body, ask the
 * application, or nothing while an answer is outstanding.
 */
export function obtain(core: Core, digest: Digest): Check | undefined {
  const batch = core.bodies.get(digest);
  if (batch === undefined) {
    requestBody(core, digest);
    return undefined;
  }
  const known = core.checks.get(digest);
  const decided = core.decision?.digest === digest;
  const again =
    known === undefined ||
    (known.kind === 'unavailable' &&
      ((decided && !known.decided) || core.tick - known.tick >= core.config.timing.fetchTicks));
  if (!again) return known;
  if (core.mutant('body-unchecked') && !decided) {
    const assumed: Check = { kind: 'valid', ids: [], nextRoster: undefined };
    core.checks.set(digest, assumed);
    return assumed;
  }
  const token = core.nextToken();
  core.checks.set(digest, { kind: 'pending', token, decided });
  core.check({ token, digest, ...batch, decided, holders: holdersOf(core, digest) });
  return undefined;
}

/** Those who voted for it have it (P1); then the leader; then everybody. */
function holdersOf(core: Core, digest: Digest): readonly PeerId[] {
  const voters = core.votes
    .current('prepare')
    .filter(({ vote }) => vote.digest === digest)
    .map(({ signer }) => core.members.peers[signer])
    .filter((peer) => peer !== undefined && peer !== core.config.self);
  const rest = [core.leaderPeer, ...core.members.others];
  const peers = new Set<PeerId>();
  for (const peer of [...voters, ...rest]) {
    if (peer !== undefined && peer !== core.config.self) peers.add(peer);
  }
  return [...peers];
}

/** N11: one question at a time per digest, to another holder each time. */
function requestBody(core: Core, digest: Digest): void {
  if (core.mutant('bodies-not-fetched')) return;
  const fetch = core.fetches.get(digest);
  if (fetch !== undefined && core.tick - fetch.tick < core.config.timing.fetchTicks) return;
  const holders = holdersOf(core, digest);
  const tries = fetch?.tries ?? 0;
  const peer = holders[tries % Math.max(holders.length, 1)];
  if (peer === undefined) return;
  if (fetch === undefined && core.fetches.size >= core.config.limits.bodiesMax) {
    for (const oldest of core.fetches.keys()) {
      core.fetches.delete(oldest);
      break;
    }
  }
  core.fetches.set(digest, { tick: core.tick, tries: tries + 1 });
  core.send([peer], { kind: 'get-body', digest });
}

/** S5: one answer per peer and tick, or a question of 33 bytes would cost us megabytes at any rate. */
export function wantsGetBody(
  core: Core,
  from: PeerId,
  message: GetBodyMessage,
): IgnoreReason | undefined {
  if (!core.bodies.has(message.digest)) return 'not-held';
  return core.peer(from).bodyTick === core.tick ? 'too-often' : undefined;
}

/** Answers a GET. */
export function onGetBody(core: Core, from: PeerId, message: GetBodyMessage): void {
  const batch = core.bodies.get(message.digest);
  if (batch === undefined) return;
  core.peer(from).bodyTick = core.tick;
  core.send([from], { kind: 'body', batch });
}

/** Only what was asked for. */
export function wantsBody(core: Core, message: BodyMessage): IgnoreReason | undefined {
  return core.fetches.has(headerDigest(message.batch.header)) ? undefined : 'not-asked';
}

/** The body matches its header (verify-message.ts), and the header is the one asked for. */
export function onBody(core: Core, message: BodyMessage): void {
  holdBatch(core, headerDigest(message.batch.header), message.batch);
}

/** Takes the application's answer. */
export function onChecked(core: Core, token: number, result: CheckResult): void {
  const found = [...core.checks].find(
    ([, check]) => check.kind === 'pending' && check.token === token,
  );
  const [digest, check] = found ?? [];
  if (digest === undefined || check?.kind !== 'pending') {
    core.ignore('stale-token');
    return;
  }
  switch (result.kind) {
    case 'valid':
      onValid(core, digest, result);
      return;
    case 'invalid':
      core.checks.set(digest, { kind: 'invalid', reason: result.reason });
      onInvalid(core, digest, result.reason);
      return;
    case 'unavailable':
      if (core.mutant('artifact-check-skipped')) {
        core.checks.set(digest, { kind: 'valid', ids: [], nextRoster: undefined });
        return;
      }
      core.checks.set(digest, { kind: 'unavailable', tick: core.tick, decided: check.decided });
      // The leader should have known; another one may do better. This one's proposal stays welcome.
      if (core.proposal?.digest === digest) wishFor(core, core.voter.view + 1, 'unavailable');
  }
}

function onValid(
  core: Core,
  digest: Digest,
  result: Extract<CheckResult, { kind: 'valid' }>,
): void {
  const header = core.bodies.get(digest)?.header;
  if (result.nextRoster?.hash !== header?.nextRoster) {
    core.halt('the application and the header disagree about the next roster');
    return;
  }
  core.checks.set(digest, result);
}

/** N6: provably bad; N12 when a quorum has committed it all the same. */
function onInvalid(core: Core, digest: Digest, reason: string): void {
  if (core.decision?.digest === digest) {
    core.halt(`a decided batch is invalid here: ${reason}`);
    return;
  }
  if (core.proposal?.digest !== digest) return;
  core.event({ event: 'proposal-refused', height: core.nextHeight, reason });
  const { message } = core.proposal;
  const body = core.bodies.get(digest)?.body;
  if (message !== undefined && body !== undefined) {
    core.accuse('X8', core.members.leader(message.view), [{ ...message, body }]);
  }
  wishFor(core, core.voter.view + 1, 'bad-proposal');
}
