// Traitors that send ahead (PREFETCH) what they are not going to propose.
import type { Message, PrePrepareMessage, Request } from '../consensus/types.ts';
import { junkRequest } from './behaviours-traffic.ts';
import type { Behaviour, Puppet } from './puppet.ts';

/**
 * Sends something else ahead than it proposes, to some; shortens its proposals as if all had got the same;
 * and sends more of it than anybody can use.
 */
export const misleader: Behaviour = {
  name: 'misleader',
  outbound(puppet, to, message) {
    if (message.kind === 'prefetch') {
      const requests = puppet.isFirstHalf(to, message.height)
        ? message.requests
        : message.requests.map((request) => other(puppet, request));
      return [{ ...message, requests }];
    }
    if (message.kind !== 'pre-prepare' || message.body === undefined) return [message];
    return [shortened(puppet, message)];
  },
  act(puppet) {
    const { summary, roster, random } = puppet;
    const to = random.pick(puppet.others);
    if (to === undefined || summary === undefined || !random.chance(0.3)) return;
    const flood: Message = {
      kind: 'prefetch',
      epoch: roster.epoch,
      view: summary.view + random.below(2),
      height: summary.height + random.below(5),
      start: random.below(3),
      requests: Array.from({ length: random.between(1, 8) }, () => junkRequest(random.uint32())),
    };
    puppet.emit(to, flood);
    if (random.chance(0.5)) puppet.emit(to, { ...flood, start: flood.requests.length });
  },
};

/** Another one, or the same with other bytes under its name. */
function other({ random, stage }: Puppet, { id }: Request): Request {
  if (random.chance(0.3)) return stage.ownRequest(true);
  const { bytes } = junkRequest(random.uint32());
  return random.chance(0.5) ? junkRequest(random.uint32()) : { id, bytes };
}

function shortened(puppet: Puppet, message: PrePrepareMessage): Message {
  const { body } = message;
  const sent = puppet.sentAhead(message.view, message.header.height).length;
  const prefetched = puppet.random.chance(0.8) ? sent : sent + 1;
  if (body === undefined || sent === 0 || prefetched >= body.length) return message;
  return { ...message, body: undefined, tail: { prefetched, entries: body.slice(prefetched) } };
}
