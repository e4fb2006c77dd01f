// Who broke the log, out of what correct replicas have kept anyway: commit certificates and the NEW-VIEWs
// of the views in between (CONSENSUS.md 2.13). Two commit certificates for one height blame at least
// F+1 of weight: in one view their common signers voted twice (X2); in two views each common signer hid
// its vote at the view change (X3) or voted against what the NEW-VIEW demanded (X6).
import { equalBytes } from '../bytes.ts';
import { newViewBytes, newViewDigest, viewChangeBytes } from './encode.ts';
import type { SignedVote } from './certificates.ts';
import { NO_MUTANTS, type Members } from './members.ts';
import type {
  Certificate,
  CosignMessage,
  Message,
  NewView,
  ReplicaIndex,
  ViewChange,
  Vote,
} from './messages.ts';
import {
  hidesCommit,
  isAgainstOpening,
  isDoubleCosign,
  isDoubleVote,
  type Misbehaviour,
} from './misbehaviour.ts';
import { openingOf } from './validate.ts';

/** What a correct replica has kept of one epoch. All signatures in it have been verified. */
export interface Testimony {
  readonly certificates: readonly Certificate[];
  /** Of the views that it was in. */
  readonly newViews: readonly NewView[];
  readonly cosigns: readonly CosignMessage[];
}

type Accuse = (
  rule: Misbehaviour['rule'],
  signer: ReplicaIndex,
  messages: readonly Message[],
) => void;

/**
 * Every proof of guilt that the testimonies hold together, one for each rule and member. Each can be
 * checked without the others (`planEvidence`). Looks at all pairs: for some dozens of certificates, not
 * for whole logs; leave out heights that nobody disputes.
 */
export function blame(members: Members, testimonies: readonly Testimony[]): Misbehaviour[] {
  const found = new Map<string, Misbehaviour>();
  const accuse: Accuse = (rule, signer, messages) => {
    const accused = members.peers[signer];
    const name = `${rule}/${signer}`;
    if (accused === undefined || found.has(name)) return;
    found.set(name, { rule, accused, epoch: members.epoch, messages });
  };
  const newViews = testimonies
    .flatMap((testimony) => testimony.newViews)
    .filter(({ content }) => content.epoch === members.epoch);
  const viewChanges = newViews.flatMap(({ content }) => content.viewChanges);
  const certificates = [
    ...testimonies.flatMap((testimony) => testimony.certificates),
    ...viewChanges.flatMap(nestedCertificates),
  ].filter(({ vote }) => vote.epoch === members.epoch);
  const [prepares, commits] = (['prepare', 'commit'] as const).map((phase) =>
    votesOf(certificates.filter((certificate) => certificate.phase === phase)),
  );
  blameDoubleVotes('X1', 'prepare', prepares ?? [], accuse);
  blameDoubleVotes('X2', 'commit', commits ?? [], accuse);
  blameHiddenCommits(commits ?? [], viewChanges, accuse);
  blameSecondViewChanges(members, viewChanges, accuse);
  blameSecondNewViews(members, newViews, accuse);
  blameVotesAgainstOpenings(members, newViews, prepares ?? [], accuse);
  blameDoubleCosigns(
    testimonies.flatMap((testimony) => testimony.cosigns),
    accuse,
  );
  return [...found.values()];
}

function nestedCertificates({ content: { last, prepared } }: ViewChange): Certificate[] {
  return [last.certificate, prepared?.certificate].filter((one) => one !== undefined);
}

function votesOf(certificates: readonly Certificate[]): readonly SignedVote[] {
  return certificates.flatMap(({ vote, signatures }) =>
    signatures.map(({ signer, signature }) => ({ vote, signer, signature })),
  );
}

function blameDoubleVotes(
  rule: 'X1' | 'X2',
  kind: 'prepare' | 'commit',
  votes: readonly SignedVote[],
  accuse: Accuse,
): void {
  const known = new Map<string, SignedVote>();
  for (const signed of votes) {
    const { vote, signer } = signed;
    const name = `${vote.view}/${vote.height}/${signer}`;
    const other = known.get(name);
    if (other === undefined) known.set(name, signed);
    else if (isDoubleVote(other.vote, vote)) {
      accuse(rule, signer, [
        { kind, ...other },
        { kind, ...signed },
      ]);
    }
  }
}

function blameHiddenCommits(
  commits: readonly SignedVote[],
  viewChanges: readonly ViewChange[],
  accuse: Accuse,
): void {
  for (const signed of commits) {
    for (const viewChange of viewChanges) {
      const { content } = viewChange;
      if (content.signer !== signed.signer || !hidesCommit(signed.vote, content)) continue;
      accuse('X3', signed.signer, [
        { kind: 'commit', ...signed },
        { kind: 'view-change', viewChange },
      ]);
    }
  }
}

function blameSecondViewChanges(
  { roster: { origin } }: Members,
  viewChanges: readonly ViewChange[],
  accuse: Accuse,
): void {
  const known = new Map<string, ViewChange>();
  for (const viewChange of viewChanges) {
    const { content } = viewChange;
    const name = `${content.view}/${content.signer}`;
    const other = known.get(name);
    if (other === undefined) known.set(name, viewChange);
    else if (
      !equalBytes(viewChangeBytes(origin, other.content), viewChangeBytes(origin, content))
    ) {
      accuse('X4', content.signer, [
        { kind: 'view-change', viewChange: other },
        { kind: 'view-change', viewChange },
      ]);
    }
  }
}

function blameSecondNewViews(members: Members, newViews: readonly NewView[], accuse: Accuse): void {
  const { origin } = members.roster;
  const known = new Map<number, NewView>();
  for (const newView of newViews) {
    const { content } = newView;
    const other = known.get(content.view);
    if (other === undefined) known.set(content.view, newView);
    else if (!equalBytes(newViewBytes(origin, other.content), newViewBytes(origin, content))) {
      accuse('X5', members.leader(content.view), [
        { kind: 'new-view', newView: other },
        { kind: 'new-view', newView },
      ]);
    }
  }
}

function blameVotesAgainstOpenings(
  members: Members,
  newViews: readonly NewView[],
  prepares: readonly SignedVote[],
  accuse: Accuse,
): void {
  for (const newView of newViews) {
    const { content } = newView;
    const opening = openingOf(content, NO_MUTANTS);
    if (opening === undefined) continue;
    const nv = newViewDigest(members.roster.origin, content);
    const isForbidden = ({ view, nv: of, height, ...rest }: Vote): boolean =>
      view === content.view &&
      of === nv &&
      isAgainstOpening({ ...rest, view, nv, height }, opening);
    for (const signed of prepares.filter(({ vote }) => isForbidden(vote))) {
      accuse('X6', signed.signer, [
        { kind: 'new-view', newView },
        { kind: 'prepare', ...signed },
      ]);
    }
  }
}

function blameDoubleCosigns(cosigns: readonly CosignMessage[], accuse: Accuse): void {
  const known = new Map<string, CosignMessage>();
  for (const cosign of cosigns) {
    const name = `${cosign.signer}/${cosign.size}`;
    const other = known.get(name);
    if (other === undefined) known.set(name, cosign);
    else if (isDoubleCosign(other, cosign)) accuse('X7', cosign.signer, [other, cosign]);
  }
}
