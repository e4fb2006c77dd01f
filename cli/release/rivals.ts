// Proposals of which only one can ever be logged, because they speak of the same versions otherwise.
import { equalBytes } from '../../verifier/bytes.ts';
import type { Proposal } from './proposals.ts';
import { sayTheSame } from './stated.ts';

/** A proposal of which only one can ever be logged, this or the other. */
export interface Rival {
  readonly proposal: Proposal;
  /** Whether one of these versions has other bytes there; otherwise the words about them are others. */
  readonly hasOtherBytes: boolean;
}

/** Other proposals that give one of these versions other bytes, or say something else about the same ones. */
export function rivalsOf({ id, release }: Proposal, others: readonly Proposal[]): readonly Rival[] {
  const own = new Map(release.subjects.map((subject) => [subject.purl, subject]));
  return others.flatMap((proposal): Rival[] => {
    if (proposal.id === id) return [];
    const different = proposal.release.subjects.flatMap((theirs) => {
      const ours = own.get(theirs.purl);
      return ours === undefined || sayTheSame(ours, theirs) ? [] : [{ ours, theirs }];
    });
    if (different.length === 0) return [];
    const hasOtherBytes = different.some(
      ({ ours, theirs }) => !equalBytes(ours.sha512, theirs.sha512),
    );
    return [{ proposal, hasOtherBytes }];
  });
}

/** A rival, as a warning for people. */
export function rivalLine({ proposal: { id }, hasOtherBytes }: Rival): string {
  const what = hasOtherBytes
    ? 'gives this version other bytes'
    : 'says something else about the same bytes';
  return `proposal ${id.slice(0, 16)} ${what}: only one can be logged`;
}
