// Traitors at the change of views: VIEW-CHANGEs that hide or invent, NEW-VIEWs that are two or
// too thin, certificates that count somebody twice.
import { headerDigest, newViewDigest } from '../../verifier/replication/encode.ts';
import type {
  Certificate,
  CertifiedHeader,
  NewViewContent,
  PeerId,
  ViewChange,
  ViewChangeContent,
} from '../consensus/types.ts';
import { someOf } from './behaviours-voting.ts';
import { ORIGIN } from './nodes.ts';
import type { Behaviour, Puppet } from './puppet.ts';

/** Changes what the own VIEW-CHANGE says, another way each time. */
export const lyingViewChange: Behaviour = {
  name: 'lying-view-change',
  outbound(puppet, _to, message) {
    if (message.kind !== 'view-change') return [message];
    const lie = lieAbout(puppet, message.viewChange.content);
    const viewChange = puppet.adversary.viewChange(puppet.node, lie);
    const lies = [{ kind: 'view-change', viewChange } as const];
    return puppet.random.chance(0.3) ? [...lies, message] : lies;
  },
};

/** One of the lies that a VIEW-CHANGE can tell. */
export function lieAbout(puppet: Puppet, content: ViewChangeContent): ViewChangeContent {
  const { random } = puppet;
  switch (random.below(6)) {
    case 0:
    case 1:
      return { ...content, prepared: undefined };
    case 2:
      return withPrepared(puppet, content, (certificate) => certificate);
    case 3:
      // Short of a quorum, filled up with somebody who is there already.
      return withPrepared(puppet, content, repeatSigner);
    case 4: {
      // An older state of the log, perhaps with what was prepared there.
      const older = puppet.process.disk.batchAt(content.last.header.height - 1);
      if (older?.header.epoch !== content.epoch) return { ...content, prepared: undefined };
      const { header, certificate } = older;
      return { ...content, last: { header, certificate }, prepared: undefined };
    }
    default:
      return { ...content, last: { header: content.last.header, certificate: undefined } };
  }
}

/** With a prepare certificate made of all that is known about some batch at the next height. */
function withPrepared(
  puppet: Puppet,
  content: ViewChangeContent,
  change: (certificate: Certificate) => Certificate,
): ViewChangeContent {
  const height = content.last.header.height + 1;
  const candidates = puppet.adversary
    .votesAt('prepare', content.epoch, height)
    .filter(({ vote }) => vote.view < content.view);
  const chosen = puppet.random.pick(candidates);
  const batch = chosen && puppet.adversary.batches.get(chosen.vote.digest);
  if (chosen === undefined || batch === undefined) return { ...content, prepared: undefined };
  const certificate = change(puppet.adversary.assemble(puppet.roster, 'prepare', chosen.vote));
  const prepared: CertifiedHeader = { header: batch.header, certificate };
  return { ...content, prepared };
}

/** Lets signers count several times. */
export function repeatSigner(certificate: Certificate): Certificate {
  const [first] = certificate.signatures;
  if (first === undefined) return certificate;
  const signatures = [first, first, ...certificate.signatures];
  return { ...certificate, signatures };
}

/** As a leader: NEW-VIEWs that differ, to two halves, each with a proposal of its own. */
export const twoNewViews: Behaviour = {
  name: 'two-new-views',
  outbound: (_puppet, _to, message) => (message.kind === 'new-view' ? [] : [message]),
  act(puppet) {
    const led = ledView(puppet);
    if (led === undefined || !puppet.once(`new-views/${led.epoch}/${led.view}`)) return;
    const [one, two] = [
      newViewOf(puppet, led, (honest, own) => [...honest, own]),
      newViewOf(puppet, led, (honest, own) => [own, ...honest.toReversed()]),
    ];
    for (const to of puppet.others) {
      const content = puppet.isFirstHalf(to, led.view) ? one : two;
      if (content === undefined) continue;
      puppet.emit(to, {
        kind: 'new-view',
        newView: puppet.adversary.newView(puppet.node, content),
      });
      proposeIn(puppet, to, content);
    }
  },
};

/** As a leader: a NEW-VIEW that rests on too little, or on something invalid. */
export const thinNewView: Behaviour = {
  name: 'thin-new-view',
  act(puppet) {
    const led = ledView(puppet);
    const { index, random } = puppet;
    if (led === undefined || index === undefined || !puppet.once(`thin/${led.epoch}/${led.view}`))
      return;
    const known = [...viewChangesInto(puppet, led).values()].filter(
      ({ content }) => content.signer !== index,
    );
    const own = ownViewChange(puppet, led);
    if (own === undefined) return;
    const few = random.shuffled(known).slice(0, Math.max(1, Math.floor(known.length / 2)));
    const choices: readonly (readonly ViewChange[])[] = [
      sorted([own, ...few]),
      [own, own, ...few],
      sorted([...known, own]).toReversed(),
    ];
    const viewChanges = random.pick(choices) ?? [];
    const content: NewViewContent = { ...led, viewChanges };
    const newView = puppet.adversary.newView(puppet.node, content);
    for (const to of random.chance(0.5) ? puppet.others : someOf(puppet)) {
      puppet.emit(to, { kind: 'new-view', newView });
      proposeIn(puppet, to, content);
    }
  },
};

/** The newest view into which VIEW-CHANGEs are known and that this traitor leads. */
function ledView(puppet: Puppet): { epoch: number; view: number } | undefined {
  const { roster, index } = puppet;
  if (index === undefined) return undefined;
  for (const name of [...puppet.adversary.viewChanges.keys()].toReversed()) {
    const [epoch = -1, view = 0] = name.split('/').map(Number);
    if (epoch !== roster.epoch || (epoch + view) % roster.replicas.length !== index) continue;
    const enough = weightOf(puppet, viewChangesInto(puppet, { epoch, view }).values());
    if (enough > roster.faultyWeight) return { epoch, view };
  }
  return undefined;
}

function viewChangesInto(
  puppet: Puppet,
  { epoch, view }: { readonly epoch: number; readonly view: number },
): ReadonlyMap<number, ViewChange> {
  return puppet.adversary.viewChanges.get(`${epoch}/${view}`) ?? new Map<number, ViewChange>();
}

function weightOf(puppet: Puppet, viewChanges: Iterable<ViewChange>): number {
  let weight = 0;
  for (const { content } of viewChanges) {
    weight += puppet.roster.replicas[content.signer]?.weight ?? 0;
  }
  return weight;
}

function ownViewChange(
  puppet: Puppet,
  led: { readonly epoch: number; readonly view: number },
): ViewChange | undefined {
  const { index } = puppet;
  const [example] = viewChangesInto(puppet, led).values();
  if (index === undefined || example === undefined) return undefined;
  const content = { ...example.content, signer: index, prepared: undefined };
  const lie = puppet.random.chance(0.5) ? lieAbout(puppet, content) : content;
  return puppet.adversary.viewChange(puppet.node, lie);
}

/** As few VIEW-CHANGEs as make a quorum, in the order of preference. */
function newViewOf(
  puppet: Puppet,
  led: { readonly epoch: number; readonly view: number },
  prefer: (honest: readonly ViewChange[], own: ViewChange) => readonly ViewChange[],
): NewViewContent | undefined {
  const own = ownViewChange(puppet, led);
  if (own === undefined) return undefined;
  const { index, roster } = puppet;
  const honest = [...viewChangesInto(puppet, led).values()].filter(
    ({ content }) => content.signer !== index,
  );
  const chosen: ViewChange[] = [];
  for (const viewChange of prefer(honest, own)) {
    if (weightOf(puppet, chosen) >= roster.thresholds.quorum) break;
    chosen.push(viewChange);
  }
  if (weightOf(puppet, chosen) < roster.thresholds.quorum) return undefined;
  return { ...led, viewChanges: sorted(chosen) };
}

function sorted(viewChanges: readonly ViewChange[]): ViewChange[] {
  return viewChanges.toSorted((a, b) => a.content.signer - b.content.signer);
}

/** Proposes something at the next height of a view of one's own making. */
function proposeIn(puppet: Puppet, to: PeerId, { epoch, view, ...rest }: NewViewContent): void {
  const nv = newViewDigest(ORIGIN, { epoch, view, ...rest });
  const { summary } = puppet;
  if (summary === undefined) return;
  const known = [...puppet.adversary.batches.values()].filter(
    ({ header }) => header.epoch === epoch && header.height >= summary.height,
  );
  const batch = puppet.random.pick(known);
  if (batch === undefined) return;
  puppet.emit(to, puppet.adversary.proposal(puppet.node, { epoch, view, nv }, batch));
  const { index } = puppet;
  if (index === undefined) return;
  const vote = { epoch, view, nv, height: batch.header.height, digest: headerDigest(batch.header) };
  puppet.emit(to, puppet.adversary.voteMessage(puppet.node, index, 'commit', vote));
}
