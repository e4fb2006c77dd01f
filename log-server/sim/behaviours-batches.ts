// Traitors with batches: invalid ones, huge ones, ones of the future, private decisions, wrong history.
import { createHash } from 'node:crypto';
import { utf8 } from '../../verifier/bytes.ts';
import { bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import type {
  Batch,
  Body,
  CommittedRecord,
  Header,
  Message,
  PeerId,
  StatusMessage,
} from '../consensus/types.ts';
import { repeatSigner } from './behaviours-view-change.ts';
import { someOf } from './behaviours-voting.ts';
import { simRoster } from './nodes.ts';
import type { Behaviour, Puppet } from './puppet.ts';

/** Proposes what no correct replica may vote for; properly signed. */
export const badBatches: Behaviour = {
  name: 'bad-batches',
  outbound(puppet, _to, message) {
    if (message.kind !== 'pre-prepare' || message.body === undefined) return [message];
    const { header, body } = message;
    const bad = spoiled(puppet, { header, body });
    return [puppet.adversary.proposal(puppet.node, message, bad)];
  },
};

function spoiled(puppet: Puppet, { header, body }: Batch): Batch {
  // One lie per height: everybody gets the same, so that it could be decided.
  switch (header.height % 8) {
    case 0:
      return { header: { ...header, root: `00${header.root.slice(2)}` }, body };
    case 1:
      return sealed(header, [utf8('an entry that nobody signed'), ...body]);
    case 2:
      return sealed(header, [body[0] ?? utf8('?'), ...body]);
    case 3:
      return { header: { ...header, parent: headerDigest(header) }, body };
    case 4:
      return { header: { ...header, prevSize: header.prevSize + 1, size: header.size + 1 }, body };
    case 5:
      // Committed before.
      return sealed(header, [...(puppet.process.disk.batchAt(1)?.body.slice(0, 1) ?? []), ...body]);
    case 6:
      return { header: { ...header, timestampMs: 1 }, body };
    default:
      return { header: { ...header, height: header.height + 1 }, body };
  }
}

/** A header that at least counts and names its body. */
function sealed(header: Header, body: Body): Batch {
  const size = header.prevSize + body.length;
  return { header: { ...header, size, entriesHash: hashOf(body) }, body };
}

function hashOf(body: Body): string {
  return bodyHash(body, () => createHash('sha256'));
}

/** Thousands of entries, or megabytes. */
export const hugeBatches: Behaviour = {
  name: 'huge-batches',
  outbound(puppet, _to, message) {
    if (message.kind !== 'pre-prepare' || message.body === undefined) return [message];
    if (message.header.height % 2 === 0) return [message];
    const filler = utf8('.'.repeat(2000));
    const body = [...Array.from({ length: 200 }, () => filler), ...message.body];
    const batch = sealed(message.header, body);
    return [puppet.adversary.proposal(puppet.node, message, batch)];
  },
};

/** Proposes valid batches of the future. */
export const timeLiar: Behaviour = {
  name: 'time-liar',
  outbound(puppet, _to, message) {
    if (message.kind !== 'pre-prepare' || message.body === undefined) return [message];
    const future = puppet.alternatives.at(-1);
    if (future?.header.height !== message.header.height) return [message];
    return [puppet.adversary.proposal(puppet.node, message, future)];
  },
};

/** Proposes to put a roster in force that nobody agreed to. */
export const rosterLiar: Behaviour = {
  name: 'roster-liar',
  outbound(puppet, _to, message) {
    if (message.kind !== 'pre-prepare' || message.body === undefined) return [message];
    const coup = simRoster([{ node: puppet.node.index, weight: 1 }], 0, puppet.roster);
    const header = { ...message.header, nextRoster: coup.hash };
    return [puppet.adversary.proposal(puppet.node, message, { header, body: message.body })];
  },
};

/** Shows decisions to one replica alone, put together from everybody's votes (private knowledge). */
export const assembler: Behaviour = {
  name: 'assembler',
  outbound(puppet, to, message) {
    if (message.kind === 'status') return [boast(message, 1)];
    if (message.kind !== 'batches') return [message];
    // Says something only to those for whom it has something private.
    return puppet.isFirstHalf(to, 0) ? [message] : [];
  },
  act(puppet) {
    const { summary, adversary, roster } = puppet;
    if (summary === undefined) return;
    const height = summary.height + 1;
    for (const { vote } of adversary.votesAt('commit', roster.epoch, height)) {
      const batch = adversary.batches.get(vote.digest);
      if (batch === undefined) continue;
      const certificate = adversary.assemble(roster, 'commit', vote);
      if (!adversary.isQuorum(roster, certificate)) continue;
      const record: CommittedRecord = { ...batch, certificate };
      for (const to of someOf(puppet)) puppet.emit(to, { kind: 'batches', batches: [record] });
    }
  },
};

/** Certificates in which somebody signs more than once. */
export const duplicateSigners: Behaviour = {
  name: 'duplicate-signers',
  outbound(puppet, to, message) {
    if (message.kind === 'status') return [boast(message, 1)];
    if (message.kind !== 'view-change') return [message];
    return [...inflated(puppet, to), message];
  },
  act(puppet) {
    for (const to of puppet.others) {
      for (const message of inflated(puppet, to)) puppet.emit(to, message);
    }
  },
};

/** A batch with too few COMMITs, filled up with repetitions. */
function inflated(puppet: Puppet, to: PeerId): Message[] {
  const { summary, adversary, roster, random } = puppet;
  if (summary === undefined || !random.chance(0.3)) return [];
  const known = [...adversary.batches.values()].filter(
    ({ header }) => header.height === summary.height + 1 && header.epoch === roster.epoch,
  );
  const batch = random.pick(known);
  if (batch === undefined) return [];
  const vote = {
    epoch: roster.epoch,
    view: summary.view,
    nv:
      adversary.votesAt('prepare', roster.epoch, batch.header.height)[0]?.vote.nv ?? '0'.repeat(64),
    height: batch.header.height,
    digest: headerDigest(batch.header),
  };
  const certificate = repeatSigner(adversary.assemble(roster, 'commit', vote));
  return puppet.others.includes(to)
    ? [{ kind: 'batches', batches: [{ ...batch, certificate }] }]
    : [];
}

/** Lies to whoever catches up: heights that are not, other bodies, forged or missing certificates. */
export const lyingPeer: Behaviour = {
  name: 'lying-peer',
  outbound(puppet, _to, message) {
    if (message.kind === 'status') {
      const by = puppet.random.chance(0.2) ? 1_000_000 : puppet.random.between(1, 4);
      return [boast(message, puppet.random.chance(0.2) ? -1 : by)];
    }
    if (message.kind === 'body') {
      return [{ kind: 'body', batch: { ...message.batch, body: [utf8('another')] } }];
    }
    if (message.kind !== 'batches' || puppet.random.chance(0.3)) return [message];
    return [{ kind: 'batches', batches: message.batches.map((batch) => falsified(puppet, batch)) }];
  },
  act(puppet) {
    // Answers that nobody asked for, and some that somebody did.
    const { summary, random, process } = puppet;
    const to = random.pick(puppet.others);
    if (to === undefined || summary === undefined || !random.chance(0.3)) return;
    const record = process.disk.batchAt(summary.height - random.below(3));
    if (record === undefined) return;
    puppet.emit(to, { kind: 'batches', batches: [falsified(puppet, record)] });
  },
};

function falsified(puppet: Puppet, record: CommittedRecord): CommittedRecord {
  const { header, body, certificate } = record;
  switch (puppet.random.below(4)) {
    case 0:
      return { header, body: body.slice(1), certificate };
    case 1:
      return { header: { ...header, root: header.parent }, body, certificate };
    case 2:
      return { header, body, certificate: { ...certificate, phase: 'prepare' } };
    default:
      return {
        header,
        body,
        certificate: { ...certificate, signatures: certificate.signatures.slice(1) },
      };
  }
}

function boast(status: StatusMessage, by: number): StatusMessage {
  return { ...status, height: Math.max(0, status.height + by) };
}
