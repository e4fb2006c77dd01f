// More subjects than one document of evidence is about: asked in parts, one after the other, so that memory
// stays that of one part.
import type { Subject } from '../../verifier/evidence/subject.ts';
import { assert } from '../../verifier/errors.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import { CliError, type ReplicaFailure } from '../errors.ts';

/** As many as a replica answers at once, and a document of evidence is about. */
export const SUBJECTS_MAX = 10_000;

/** As many as one run asks about: ten times the largest monorepo seen, and some minutes of work. */
export const SUBJECTS_TOTAL_MAX = 100_000;

/** What this has to know of what was verified. */
interface Part {
  readonly evidence: VerifiedEvidence;
  readonly source: Uint8Array;
  readonly documents: number;
  readonly failures: readonly ReplicaFailure[];
}

/**
 * Verifies any number of subjects, at most `partMax` at a time.
 *
 * Between two parts the log may grow. Each part is proven to continue the one before, so what they say
 * holds together; the report is about the first and oldest view, so that nothing is called newer than it
 * is.
 *
 * @param subjects 1 to {@link SUBJECTS_TOTAL_MAX}
 * @throws {CliError} BP9003 for more; what `verify` throws
 */
export async function verifyInParts<T extends Part>(
  subjects: readonly Subject[],
  verify: (part: readonly Subject[]) => Promise<T>,
  partMax: number = SUBJECTS_MAX,
): Promise<T> {
  if (subjects.length > SUBJECTS_TOTAL_MAX) {
    throw new CliError('BP9003', `more than ${SUBJECTS_TOTAL_MAX} different packages`);
  }
  const parts: T[] = [];
  for (let at = 0; at < subjects.length; at += partMax) {
    parts.push(await verify(subjects.slice(at, at + partMax)));
  }
  const [first] = parts;
  const last = parts.at(-1);
  assert(first !== undefined && last !== undefined, 'there is something to verify');
  if (parts.length === 1) return first;
  return {
    ...first,
    evidence: {
      ...first.evidence,
      subjects: parts.flatMap(({ evidence }) => evidence.subjects),
      trust: last.evidence.trust,
    },
    documents: parts.length,
    failures: uniqueFailures(parts),
  };
}

// A replica that is down is down in each part, and reported once.
function uniqueFailures(parts: readonly Part[]): readonly ReplicaFailure[] {
  const failures = parts.flatMap((part) => part.failures);
  return [...new Map(failures.map((failure) => [failure.url, failure])).values()];
}

/**
 * The document of evidence, to be kept.
 *
 * @throws {CliError} BP9003 when there are several: one bundle can't hold them
 */
export function wholeDocument({ source, documents }: Part): Uint8Array {
  if (documents === 1) return source;
  throw new CliError('BP9003', `more than ${SUBJECTS_MAX} packages do not fit into one bundle`, {
    hints: ['make several, one for each workspace: --only'],
  });
}
