// The release before a release. The log's map has no list of versions, so replicas are asked for one and
// nothing in it is believed: what is used as predecessor is proven like every other release. A liar can
// only leave versions out; one correct replica among those asked undoes that, and where the map's count
// of releases is met, the list is proven to be whole.
import type { SubjectResult, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { compareVersions } from '../../verifier/npm/version.ts';
import type { Predecessor } from './judge.ts';

/**
 * What replicas named as versions of a package: lists of so many that one of them is correct; `too-few`
 * when not as many answered; `bundle` when nobody may be asked.
 */
export type VersionLists = readonly (readonly string[])[] | 'too-few' | 'bundle';

/** The answers, by name of the package. */
export interface KnownVersions {
  readonly listsOf: (name: string) => VersionLists;
}

/** Nobody is asked: the evidence is a saved one. */
export const NOBODY_ASKED: KnownVersions = { listsOf: () => 'bundle' };

/**
 * More versions than that are not asked for only to prove that there is none before: the lists of a weak
 * quorum then stand alone.
 */
export const WHOLE_LIST_MAX = 32;

/**
 * Versions of which evidence has to be asked for, so that the one before `version` can be proven: the
 * nearest lower one of each list (of a correct replica's list it is the right one), or, where no list
 * has any, all versions of a short list, so that it is proven to be whole.
 */
export function candidatesBefore(
  version: string,
  lists: readonly (readonly string[])[],
): readonly string[] {
  const nearest = lists.flatMap((list) => {
    const lower = list.filter((each) => compareVersions(each, version) < 0);
    const [first] = lower.toSorted((a, b) => compareVersions(b, a));
    return first === undefined ? [] : [first];
  });
  if (nearest.length > 0) return [...new Set(nearest)];
  const all = [...new Set(lists.flat())].filter((each) => each !== version);
  return all.length <= WHOLE_LIST_MAX ? all : [];
}

/**
 * The release before one: the highest lower version that is proven. Revoked ones don't count: what they
 * look like is no standard for others.
 *
 * @param own everything that the evidence answered about this package, its record among it
 */
export function predecessorOf(
  release: VerifiedRelease,
  own: readonly SubjectResult[],
  known: KnownVersions,
): Predecessor {
  const { name, version } = release;
  const lower = own
    .flatMap((result) => (result.kind === 'verified' ? [result.release] : []))
    .filter((each) => compareVersions(each.version, version) < 0)
    .toSorted((a, b) => compareVersions(b.version, a.version));
  const [first] = lower;
  const lists = known.listsOf(name);
  if (lists === 'too-few') return UNKNOWN;
  if (lists === 'bundle') {
    // A bundle: it holds what was asked for when it was made, and is as good as the policy of that day.
    if (first !== undefined) return { kind: 'release', release: first };
    return isWhole(own) ? { kind: 'none' } : UNKNOWN;
  }
  // The nearest version of every list was asked for. One that is absent or revoked is not the one
  // before; one whose proof was bad might be.
  const above = candidatesBefore(version, lists).filter(
    (each) =>
      compareVersions(each, version) < 0 &&
      (first === undefined || compareVersions(each, first.version) > 0),
  );
  if (!above.every((each) => isRuledOut(each, own))) return UNKNOWN;
  return first === undefined ? { kind: 'none' } : { kind: 'release', release: first };
}

const UNKNOWN: Predecessor = {
  kind: 'unknown',
  reason: 'the release before it could not be determined',
};

function isRuledOut(version: string, own: readonly SubjectResult[]): boolean {
  return own.some(
    (result) =>
      result.subject.kind === 'release' &&
      result.subject.version === version &&
      (result.kind === 'absent' || isRevoked(result)),
  );
}

// The map says how many releases there are: as many proven ones are all of them.
function isWhole(own: readonly SubjectResult[]): boolean {
  const record = own.find((result) => result.kind === 'package');
  if (record?.kind !== 'package') return false;
  const present = new Set(
    own.flatMap((result) =>
      result.subject.kind === 'release' && (result.kind === 'verified' || isRevoked(result))
        ? [result.subject.version]
        : [],
    ),
  );
  return present.size === record.package.releases;
}

function isRevoked(result: SubjectResult): boolean {
  return result.kind === 'refused' && result.error.code === 'RELEASE_REVOKED';
}
