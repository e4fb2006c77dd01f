// Predicates on what others say, one per rule: pure, without signatures. Each returns what is wrong,
// or undefined. Names follow QBFT's formal specification where it has one.
import { certificateProblem } from './certificates.ts';
import { headerDigest, sameHeader } from './encode.ts';
import type { Members } from './members.ts';
import type {
  Batch,
  CertifiedHeader,
  Digest,
  Header,
  LastCommitted,
  NewViewContent,
  ViewChangeContent,
} from './messages.ts';
import type { MutantName } from './mutants.ts';

/** What makes a replica's view of an epoch: its members and where it started. */
export interface EpochContext {
  readonly members: Members;
  readonly epochStart: Header;
  readonly mutants: ReadonlySet<MutantName>;
}

/** What a NEW-VIEW fixes for its view (V6). */
export interface Opening {
  /** Highest committed height that it shows; nobody votes at or below (V9). */
  readonly base: number;
  /** The batch that has to be proposed at base + 1. */
  readonly mandate: CertifiedHeader | undefined;
  /** Proof of `base`. */
  readonly last: LastCommitted;
}

/** Whether a header fits its body in number; the hash is checked where the body is received. */
export function batchShapeProblem({ header, body }: Batch): string | undefined {
  if (header.height < 1) return 'a batch of height 0';
  if (body.length < 1) return 'a batch without entries';
  if (header.size !== header.prevSize + body.length) return 'size does not count the entries';
  return undefined;
}

/** Whether a header can follow `parent` (N3, N5's lower bound, and the sizes of N4). */
export function successorProblem(
  header: Header,
  parent: Header,
  parentDigest: Digest,
  epoch: number,
  mutants: ReadonlySet<MutantName>,
): string | undefined {
  if (header.origin !== parent.origin) return 'header of another log';
  if (header.epoch !== epoch) return 'header of another epoch';
  if (header.height !== parent.height + 1) return 'header of another height';
  if (mutants.has('parent-unchecked')) return undefined;
  if (header.parent !== parentDigest) return 'header on another parent';
  if (header.prevSize !== parent.size) return 'header of another size';
  if (header.size <= header.prevSize) return 'header without entries';
  if (header.timestampMs <= parent.timestampMs) return 'time does not advance';
  return undefined;
}

/** V3: whether a VIEW-CHANGE may count. An invalid one is discarded whole and alone. */
export function viewChangeProblem(
  context: EpochContext,
  content: ViewChangeContent,
): string | undefined {
  const { members } = context;
  if (content.epoch !== members.epoch) return 'view change of another epoch';
  if (content.view < 1) return 'view change into view 0';
  if (content.signer >= members.count) return 'view change by nobody';
  if (context.mutants.has('view-change-certificate-unchecked')) return undefined;
  return (
    lastCommittedProblem(context, content.last) ??
    preparedProblem(context, content.prepared, content)
  );
}

function lastCommittedProblem(context: EpochContext, last: LastCommitted): string | undefined {
  const { header, certificate } = last;
  if (certificate === undefined) {
    // Every member knows where its epoch started, so that header needs no proof and nothing else can
    // do without.
    return sameHeader(header, context.epochStart) ? undefined : 'last header without a certificate';
  }
  const { epoch } = context.members;
  if (header.epoch !== epoch || header.height <= context.epochStart.height) {
    return 'last header is not of this epoch';
  }
  const expected = { epoch, height: header.height, digest: headerDigest(header) };
  return certificateProblem(context.members, certificate, 'commit', expected, context.mutants);
}

function preparedProblem(
  context: EpochContext,
  prepared: CertifiedHeader | undefined,
  { view, last }: ViewChangeContent,
): string | undefined {
  if (prepared === undefined) return undefined;
  const { header, certificate } = prepared;
  const { epoch } = context.members;
  if (certificate.vote.view >= view) return 'prepared in a view that is not older';
  const problem = successorProblem(
    header,
    last.header,
    headerDigest(last.header),
    epoch,
    context.mutants,
  );
  if (problem !== undefined) return `prepared: ${problem}`;
  const expected = { epoch, height: header.height, digest: headerDigest(header) };
  return certificateProblem(context.members, certificate, 'prepare', expected, context.mutants);
}

/** V5, without the leader's own signature. */
export function newViewProblem(context: EpochContext, content: NewViewContent): string | undefined {
  const { members, mutants } = context;
  if (content.epoch !== members.epoch) return 'new view of another epoch';
  if (content.view < 1) return 'new view 0';
  const signers = content.viewChanges.map((viewChange) => viewChange.content.signer);
  let previous = -1;
  for (const viewChange of content.viewChanges) {
    if (viewChange.content.view !== content.view) return 'view change into another view';
    if (viewChange.content.signer <= previous) return 'view changes not in order';
    previous = viewChange.content.signer;
    const problem = viewChangeProblem(context, viewChange.content);
    if (problem !== undefined) return problem;
  }
  const enough = mutants.has('new-view-weak-quorum')
    ? members.isWeakQuorum(signers)
    : members.isQuorum(signers);
  return enough ? undefined : 'new view without a quorum';
}

/**
 * V6: what a valid NEW-VIEW means. Everybody computes it from the VIEW-CHANGEs; the leader's opinion
 * is not asked.
 */
export function openingOf(
  { viewChanges }: NewViewContent,
  mutants: ReadonlySet<MutantName>,
): Opening | undefined {
  let last: LastCommitted | undefined;
  for (const { content } of viewChanges) {
    if (last === undefined || content.last.header.height > last.header.height) last = content.last;
  }
  if (last === undefined) return undefined;
  const base = last.header.height;
  const candidates = viewChanges.flatMap(({ content: { prepared } }) =>
    prepared !== undefined && prepared.header.height === base + 1 ? [prepared] : [],
  );
  return { base, mandate: chooseMandate(candidates, mutants), last };
}

/** The candidate prepared in the highest view: it alone can have been decided, or nothing was. */
function chooseMandate(
  candidates: readonly CertifiedHeader[],
  mutants: ReadonlySet<MutantName>,
): CertifiedHeader | undefined {
  if (mutants.has('no-mandate')) return undefined;
  if (mutants.has('any-prepared-wins')) return candidates[0];
  const sign = mutants.has('lowest-prepared-wins') ? -1 : 1;
  let chosen: CertifiedHeader | undefined;
  for (const candidate of candidates) {
    const difference =
      chosen === undefined
        ? 1
        : sign * (candidate.certificate.vote.view - chosen.certificate.vote.view);
    if (difference > 0) chosen = candidate;
  }
  return chosen;
}
