// Traitors and proofs of guilt: two faces shown to one member alone, and correct members slandered.
import type { Message, Misbehaviour, PeerId } from '../consensus/types.ts';
import { anyDigest, someOf } from './behaviours-voting.ts';
import type { Behaviour, Puppet } from './puppet.ts';

/**
 * Contradicts itself towards one correct member and nobody else: if that one kept the proof to itself,
 * the others would go on trusting (message 12).
 */
export const whisperer: Behaviour = {
  name: 'whisperer',
  act(puppet) {
    const { summary, index, adversary } = puppet;
    const to = puppet.others.find((peer) => !adversary.isTraitor(peer));
    if (to === undefined || summary === undefined || index === undefined) return;
    for (const phase of ['prepare', 'commit'] as const) {
      const own = adversary
        .votesAt(phase, puppet.roster.epoch, summary.height + 1)
        .find(({ signatures }) => signatures.has(index));
      if (own === undefined || !puppet.once(`${phase}/${own.vote.epoch}/${own.vote.height}`))
        continue;
      const vote = { ...own.vote, digest: anyDigest(puppet) };
      puppet.emit(to, adversary.voteMessage(puppet.node, index, phase, vote));
    }
  },
};

/** Accuses correct members of what they did not do, with their own signatures where that helps. */
export const slanderer: Behaviour = {
  name: 'slanderer',
  act(puppet) {
    if (!puppet.random.chance(0.3)) return;
    const report = slander(puppet);
    if (report === undefined) return;
    for (const to of someOf(puppet)) puppet.emit(to, { kind: 'evidence', report });
  },
};

function slander(puppet: Puppet): Misbehaviour | undefined {
  const { adversary, random, roster, peers } = puppet;
  const accused = random.pick(puppet.others.filter((peer) => !adversary.isTraitor(peer)));
  if (accused === undefined) return undefined;
  const signer = peers.indexOf(accused);
  const phase = random.chance(0.5) ? 'prepare' : 'commit';
  const said = [...adversary.votes.values()].flatMap(
    ({ vote, signatures, ...known }): Message[] => {
      const signature = signatures.get(signer);
      const isUsable = known.phase === phase && vote.epoch === roster.epoch;
      return isUsable && signature !== undefined ? [{ kind: phase, vote, signer, signature }] : [];
    },
  );
  const [first, second] = [random.pick(said), random.pick(said)];
  const rule = phase === 'prepare' ? 'X1' : 'X2';
  switch (random.below(4)) {
    case 0:
      // Both are its own; they only do not contradict each other.
      return reportOf(puppet, rule, accused, [first, second]);
    case 1: {
      // They do, but it did not say the second.
      if (first === undefined || !('vote' in first)) return undefined;
      const vote = { ...first.vote, digest: anyDigest(puppet) };
      return reportOf(puppet, rule, accused, [first, { ...first, vote }]);
    }
    case 2: {
      // A proposal that it made, and that is called invalid.
      const proposal = adversary.museum.find(
        ({ from, message }) =>
          from === accused && message.kind === 'pre-prepare' && message.body !== undefined,
      );
      return reportOf(puppet, 'X8', accused, [proposal?.message]);
    }
    default:
      return reportOf(puppet, random.chance(0.5) ? 'X3' : 'X7', accused, [first, second]);
  }
}

function reportOf(
  { roster }: Puppet,
  rule: Misbehaviour['rule'],
  accused: PeerId,
  messages: readonly (Message | undefined)[],
): Misbehaviour | undefined {
  const found = messages.filter((message) => message !== undefined);
  if (found.length < messages.length) return undefined;
  return { rule, accused, epoch: roster.epoch, messages: found };
}
