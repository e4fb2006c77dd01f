// The rules for releases (DESIGN 5, rules 1 to 4): each name@version is bound once and for ever.
import { encodeHex } from '../encoding.ts';
import { quote } from '../errors.ts';
import { parsePurl } from '../npm/purl.ts';
import type { SignaturePlan } from '../signatures.ts';
import type { MaintainerSet } from '../statements/maintainers.ts';
import { planRelease, type ReleaseSubject } from '../statements/release.ts';
import type { CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import { requireRate } from './limits.ts';
import { requireObserved } from './observed.ts';
import type { Submission } from './submission.ts';
import type { LedgerView } from './view.ts';

type ReleaseSubmission = Extract<Submission, { kind: 'release' }>;

/**
 * Judges a release of one package or several. One subject that breaks a rule refuses the whole
 * statement: its signers signed all of it or nothing.
 *
 * @throws {LedgerError} `PACKAGE_UNCLAIMED`, `RELEASE_CONFLICT`, `SEQUENCE_WRONG`, `RATE_LIMITED`,
 *         `OBSERVED_…`
 * @throws {VerifyError} what planning its signatures finds wrong
 */
export function checkRelease(
  view: LedgerView,
  submission: ReleaseSubmission,
  timeSeconds: number,
): CheckedSubmission {
  const { subjects, observed } = submission.release;
  const known = judgements.get(submission);
  for (const subject of subjects) requireFree(view, subject);
  requireObserved(view, observed);
  const names = known?.names ?? [...new Set(subjects.map(({ name }) => name))];
  for (const name of names) requireRate(view, name, timeSeconds);
  const sets = names.map((name) => view.maintainerSet(name)?.set);
  if (known?.sets.every((set, i) => set === sets[i]) === true) return known.checked;
  const checked = planned(submission, new Map(names.map((name, i) => [name, sets[i]])));
  judgements.set(submission, { names, sets, checked });
  return checked;
}

// What follows from a statement and the sets in force alone. A release is judged when it comes in and again
// in its batch, mostly under the very same sets: then nothing of this comes out differently.
interface Judgement {
  /** Its packages, and the set of each. */
  readonly names: readonly string[];
  readonly sets: readonly (MaintainerSet | undefined)[];
  readonly checked: CheckedSubmission;
}
const judgements = new WeakMap<ReleaseSubmission, Judgement>();

function planned(
  { envelope, release, id }: ReleaseSubmission,
  setOf: ReadonlyMap<string, MaintainerSet | undefined>,
): CheckedSubmission {
  const { subjects } = release;
  const opened = { envelope, statement: release, hash: id };
  return {
    plan: finishedOnce(planRelease(opened, (purl) => setOf.get(parsePurl(purl).name))),
    effect: {
      kind: 'release',
      statement: id,
      releases: subjects.map(({ name, version }) => ({ name, version })),
    },
    artifacts: subjects.map(({ sha512, size, name, version, manifest }) => ({
      sha512: encodeHex(sha512),
      size,
      name,
      version,
      manifest,
    })),
  };
}

// The same answers lead to the same value: where all signatures are good, it is worked out once.
function finishedOnce<T>(plan: SignaturePlan<T>): SignaturePlan<T> {
  const { jobs } = plan;
  let whole: { readonly value: T } | undefined;
  return {
    jobs,
    finish: (valid) => {
      const isWhole = valid.length === jobs.length && valid.every((isValid) => isValid);
      if (!isWhole) return plan.finish(valid);
      whole ??= { value: plan.finish(valid) };
      return whole.value;
    },
  };
}

/** Requires that a release could be bound now: claimed, under the set in force, and free. @throws {LedgerError} */
export function requireFree(
  view: Pick<LedgerView, 'maintainerSet' | 'releaseRecord'>,
  { name, version, maintainers }: Pick<ReleaseSubject, 'name' | 'version' | 'maintainers'>,
): void {
  const inForce = view.maintainerSet(name);
  if (inForce === undefined) {
    throw new LedgerError('PACKAGE_UNCLAIMED', `${quote(name)} has no maintainer set in the log`, {
      hint: 'submit its maintainer set first',
    });
  }
  // A release signed under an older set would count keys that have since been removed.
  if (maintainers !== inForce.set.sequence) {
    throw new LedgerError(
      'SEQUENCE_WRONG',
      `${quote(name)}: signed under maintainer set ${maintainers}, in force is ${inForce.set.sequence}`,
      { index: inForce.index },
    );
  }
  const bound = view.releaseRecord(name, version);
  // Also when it was withdrawn: the name@version never gets other bytes (promise P2).
  if (bound !== undefined) {
    throw new LedgerError(
      'RELEASE_CONFLICT',
      `${quote(`${name}@${version}`)} is bound by entry ${bound.index} to another statement`,
      { index: bound.index, hint: 'publish the change under a new version' },
    );
  }
}
