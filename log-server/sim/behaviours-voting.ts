// Traitors at the vote: proposals and votes that contradict each other, or nothing at all.
import { ZERO_DIGEST, headerDigest, newViewDigest } from '../../verifier/replication/encode.ts';
import type { Batch, Digest, Message, PeerId, Vote } from '../consensus/types.ts';
import { ORIGIN } from './nodes.ts';
import type { Behaviour, Puppet } from './puppet.ts';

/** Two batches to two halves, and votes for both. */
export const equivocatingLeader: Behaviour = {
  name: 'equivocating-leader',
  outbound(puppet, to, message) {
    if (message.kind !== 'pre-prepare' || message.body === undefined) return [message];
    const other = alternative(puppet, message.header.height);
    if (other === undefined || puppet.isFirstHalf(to, message.header.height)) return [message];
    return [puppet.adversary.proposal(puppet.node, message, other)];
  },
  act(puppet) {
    // Again and again, now this one, now that one: somebody may have forgotten what it voted for.
    const { summary, index, random } = puppet;
    if (summary === undefined || index === undefined || !random.chance(0.5)) return;
    const votes = puppet.adversary.votesAt('prepare', summary.epoch, summary.height + 1);
    const vote = votes.findLast((known) => leaderOf(puppet, known.vote) === index)?.vote;
    if (vote === undefined) return;
    const other = random.pick(batchesAt(puppet, vote.epoch, vote.height));
    if (other === undefined) return;
    const message = puppet.adversary.proposal(puppet.node, vote, other);
    for (const to of someOf(puppet)) puppet.emit(to, message);
  },
};

/** As the leader of a view with a mandate, proposes something else. */
export const mandateBreaker: Behaviour = {
  name: 'mandate-breaker',
  outbound(puppet, to, message) {
    if (message.kind !== 'pre-prepare' || message.view === 0) return [message];
    const { epoch, height } = message.header;
    const digest = headerDigest(message.header);
    const other = batchesAt(puppet, epoch, height).find(
      ({ header }) => headerDigest(header) !== digest,
    );
    if (other === undefined || puppet.isFirstHalf(to, message.view + 1)) return [message];
    return [puppet.adversary.proposal(puppet.node, message, other)];
  },
};

/**
 * As the leader of a view, asks those that lag for votes at heights that its NEW-VIEW shows to be decided
 * (V9): together with them it could decide them once more.
 */
export const staleLeader: Behaviour = {
  name: 'stale-leader',
  act(puppet) {
    const { adversary, index, roster, random } = puppet;
    const opened = adversary.newestNewView?.content;
    if (opened === undefined || opened.epoch !== roster.epoch) return;
    if (leaderOf(puppet, { epoch: opened.epoch, view: opened.view }) !== index) return;
    const base = Math.max(...opened.viewChanges.map(({ content }) => content.last.header.height));
    const batch = random.pick(batchesAt(puppet, roster.epoch, base - random.below(2)));
    if (batch === undefined) return;
    const nv = newViewDigest(ORIGIN, opened);
    const message = adversary.proposal(puppet.node, { ...opened, nv }, batch);
    for (const to of someOf(puppet)) puppet.emit(to, message);
  },
};

function leaderOf(puppet: Puppet, { epoch, view }: Pick<Vote, 'epoch' | 'view'>): number {
  return (epoch + view) % puppet.roster.replicas.length;
}

/** Everything that anybody proposed or could have proposed at a height. */
function batchesAt(puppet: Puppet, epoch: number, height: number): readonly Batch[] {
  return [...puppet.adversary.batches.values(), ...puppet.alternatives].filter(
    ({ header }) => header.epoch === epoch && header.height === height,
  );
}

/** Votes for everything that anybody votes for, in every view. */
export const doubleVoter: Behaviour = {
  name: 'double-voter',
  act(puppet) {
    const { summary, index } = puppet;
    if (summary === undefined || index === undefined) return;
    const recent = [...puppet.adversary.votes.values()].slice(-12);
    for (const { vote } of recent) {
      if (vote.epoch !== puppet.roster.epoch) continue;
      for (const phase of ['prepare', 'commit'] as const) {
        const name = `${phase}/${vote.view}/${vote.nv}/${vote.height}/${vote.digest}`;
        if (!puppet.once(name)) continue;
        const message = puppet.adversary.voteMessage(puppet.node, index, phase, vote);
        const receivers = puppet.random.chance(0.5) ? puppet.others : someOf(puppet);
        for (const to of receivers) puppet.emit(to, message);
      }
    }
  },
};

/** Votes for digests that nobody has seen. */
export const wrongDigest: Behaviour = {
  name: 'wrong-digest',
  outbound(puppet, _to, message) {
    if (message.kind !== 'prepare' && message.kind !== 'commit') return [message];
    if (puppet.random.chance(0.3)) return [message];
    const vote = { ...message.vote, digest: anyDigest(puppet) };
    return [puppet.adversary.voteMessage(puppet.node, message.signer, message.kind, vote)];
  },
};

/** Another root for the same size, to one half; and times that jump. */
export const equivocatingCosigner: Behaviour = {
  name: 'equivocating-cosigner',
  outbound(puppet, to, message) {
    if (message.kind !== 'cosign') return [message];
    const { epoch, height, size, root, time, signer } = message;
    const lie = puppet.isFirstHalf(to, height)
      ? { epoch, height, size, root: anyDigest(puppet), time, signer }
      : { epoch, height, size, root, time: time + puppet.random.below(100_000), signer };
    return [message, puppet.adversary.cosign(puppet.node, lie)];
  },
};

/** Signatures that are not: bits flipped, other signers' names, other signers' signatures. */
export const forger: Behaviour = {
  name: 'forger',
  outbound(puppet, _to, message) {
    if (!('signature' in message) || puppet.random.chance(0.6)) return [message];
    const signature = Uint8Array.from(message.signature);
    const at = puppet.random.below(signature.length);
    signature[at] = (signature[at] ?? 0) ^ (1 << puppet.random.below(8));
    // The false one first: it must not occupy the place of the good one (R3).
    return [{ ...message, signature }, message];
  },
  act(puppet) {
    const [exhibit] = someExhibits(puppet, 1);
    const { index } = puppet;
    if (exhibit === undefined || index === undefined) return;
    const { message } = exhibit;
    if (message.kind !== 'prepare' && message.kind !== 'commit') return;
    const to = puppet.random.pick(puppet.others);
    if (to === undefined) return;
    const vote = { ...message.vote, digest: anyDigest(puppet) };
    puppet.emit(to, { ...message, signer: index });
    puppet.emit(to, { ...message, vote });
    puppet.emit(to, { ...message, signer: puppet.roster.replicas.length });
  },
};

/** Votes of other epochs: the one before, the one to come. */
export const epochForger: Behaviour = {
  name: 'epoch-forger',
  outbound(puppet, _to, message) {
    if (message.kind !== 'prepare' && message.kind !== 'commit') return [message];
    const epoch = message.vote.epoch + (puppet.random.chance(0.5) ? 1 : -1);
    if (epoch < 0) return [message];
    const vote: Vote = { ...message.vote, epoch };
    const lie = puppet.adversary.voteMessage(puppet.node, message.signer, message.kind, vote);
    return puppet.random.chance(0.5) ? [lie, message] : [lie];
  },
};

/** Says nothing from some moment on. */
export const silent: Behaviour = {
  name: 'silent',
  outbound: (puppet, _to, message) => (puppet.stage.now > puppet.node.index * 300 ? [] : [message]),
};

/** Says nothing to some, or nothing of some kinds. */
export const selectivelySilent: Behaviour = {
  name: 'selectively-silent',
  outbound(puppet, to, message) {
    // Another choice every now and then.
    const season = Math.floor(puppet.stage.now / 500);
    const rank = puppet.peers.indexOf(to) * 7 + message.kind.length * 3 + season;
    return rank % 5 < 2 ? [] : [message];
  },
};

function alternative(puppet: Puppet, height: number): Batch | undefined {
  return puppet.alternatives.find(
    ({ header }) => header.height === height && headerDigest(header) !== ZERO_DIGEST,
  );
}

/** A digest that is another one's, or nobody's. */
export function anyDigest(puppet: Puppet): Digest {
  const known = puppet.random.pick([...puppet.adversary.batches.keys()]);
  if (known !== undefined && puppet.random.chance(0.5)) return known;
  return puppet.random.uint32().toString(16).padStart(8, '0').repeat(8);
}

/** Some of the others. */
export function someOf(puppet: Puppet): readonly PeerId[] {
  return puppet.random.some(puppet.others);
}

/** Messages out of the museum. */
export function someExhibits(
  puppet: Puppet,
  count: number,
): readonly { readonly from: PeerId; readonly message: Message }[] {
  const found = [];
  for (let i = 0; i < count; i++) {
    const exhibit = puppet.random.pick(puppet.adversary.museum);
    if (exhibit !== undefined) found.push(exhibit);
  }
  return found;
}
