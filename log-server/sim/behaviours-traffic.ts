// Traitors with the traffic: too late, too much, too old, or not for you.
import type { Message, Request } from '../consensus/types.ts';
import { someExhibits } from './behaviours-voting.ts';
import type { Behaviour } from './puppet.ts';
import { requestId } from './requests.ts';
import { TICK_UNITS } from './process.ts';
import { utf8 } from '../../verifier/bytes.ts';

/** Delays everything that it leads to just under the time-out. */
export const slowLeader: Behaviour = {
  name: 'slow-leader',
  outbound(puppet, to, message) {
    if (message.kind !== 'pre-prepare') return [message];
    const delay = TICK_UNITS * puppet.random.between(4, 12);
    puppet.stage.after(delay, () => puppet.emit(to, message));
    return [];
  },
};

/** As a leader, holds each proposal for nine tenths of the view timer: with quick wires it never runs out. */
export const almostLateLeader: Behaviour = {
  name: 'almost-late-leader',
  outbound(puppet, to, message) {
    if (message.kind !== 'pre-prepare') return [message];
    const delay = Math.floor(TICK_UNITS * puppet.stage.timing.viewTicks * 0.9);
    puppet.stage.after(delay, () => puppet.emit(to, message));
    return [];
  },
};

/** As a leader, serves some gateways only. */
export const censor: Behaviour = {
  name: 'censor',
  censored: (_puppet, requests) => requests.filter(({ id }) => '02468ace'.includes(id.slice(0, 1))),
  outbound: (_puppet, _to, message) => (message.kind === 'forward' ? [] : [message]),
};

/** As a leader, leaves out a request in sixteen: the log goes on, and no timer ever runs out. */
export const narrowCensor: Behaviour = {
  name: 'narrow-censor',
  // Never lets them into its pool: there they would be in the way of the others.
  inbound: (_puppet, _from, message) =>
    message.kind !== 'forward' || !message.requests.some(({ id }) => id.startsWith('0')),
};

/** Sends messages of earlier times, views and epochs again. */
export const replayer: Behaviour = {
  name: 'replayer',
  act(puppet) {
    for (const { message } of someExhibits(puppet, 3)) {
      const to = puppet.random.pick(puppet.others);
      if (to !== undefined) puppet.emit(to, message);
    }
  },
};

/** As many messages as it can make: junk requests, wishes, questions, votes of far views. */
export const flooder: Behaviour = {
  name: 'flooder',
  act(puppet) {
    const { random, summary, index } = puppet;
    if (summary === undefined || index === undefined) return;
    const { epoch, view, height, digest } = summary;
    for (const to of puppet.others) {
      const junk: readonly Message[] = [
        {
          kind: 'forward',
          epoch,
          requests: [junkRequest(random.uint32()), puppet.stage.ownRequest()],
        },
        {
          kind: 'status',
          epoch,
          view: view + random.below(3),
          active: false,
          wish: random.chance(0.3) ? 1_000_000_000 : view + 5,
          height: height + random.below(50),
          digest,
          prepares: [],
          commits: [],
          proposed: false,
          cosigners: [],
          proofs: [],
        },
        { kind: 'get-batches', fromHeight: random.between(1, height + 1) },
        { kind: 'get-body', digest: summary.vote?.digest ?? digest },
        puppet.adversary.voteMessage(puppet.node, index, 'prepare', {
          epoch,
          view: view + random.below(1000),
          nv: digest,
          height: height + random.below(10),
          digest,
        }),
      ];
      const message = random.pick(junk);
      if (message !== undefined) puppet.emit(to, message);
    }
  },
};

/** What no ledger takes. */
export function junkRequest(serial: number): Request {
  const bytes = utf8(`junk ${serial}`);
  return { id: requestId(bytes), bytes };
}

/**
 * Orders releases whose artifacts it shows to some only: who can't get one must not vote for it, and
 * the log must go on all the same (N4).
 */
export const withholder: Behaviour = {
  name: 'withholder',
  act(puppet) {
    if (!puppet.random.chance(0.1)) return;
    void puppet.process.submit(puppet.stage.ownRequest(true));
  },
};

/** Forgets: loses its disk, or gets an old copy of it back, and votes on with its key (M4). */
export const amnesiac: Behaviour = {
  name: 'amnesiac',
  act(puppet) {
    if (!puppet.random.chance(0.01)) return;
    puppet.stage.restartWith(puppet.process, puppet.random.chance(0.5) ? 'empty' : 'backup');
  },
};
