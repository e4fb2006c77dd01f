// The rules for maintainer sets: claiming a name, and passing it on (DESIGN 4.3, 4.4).
import { foldName } from '../npm/name.ts';
import { parsePurl } from '../npm/purl.ts';
import { assert, quote } from '../errors.ts';
import { planMaintainerSet, type MaintainerSet } from '../statements/maintainers.ts';
import type { CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import { requireRate } from './limits.ts';
import { requireObserved } from './observed.ts';
import type { Submission } from './submission.ts';
import type { LedgerView } from './view.ts';

type SetSubmission = Extract<Submission, { kind: 'maintainers' }>;

/**
 * Judges a maintainer set.
 *
 * @throws {LedgerError} `SEQUENCE_WRONG`, `NAME_LOOKALIKE`, `RATE_LIMITED`, `OBSERVED_…`
 * @throws {VerifyError} what planning its signatures finds wrong
 */
export function checkMaintainers(
  view: LedgerView,
  { envelope, set, id }: SetSubmission,
  timeSeconds: number,
): CheckedSubmission {
  const { name } = parsePurl(set.package);
  const before = view.maintainerSet(name);
  requireNext(set, before?.set.sequence, before?.hash, name);
  if (before === undefined) requireNoLookalike(view, name);
  requireObserved(view, set.observed);
  requireRate(view, name, timeSeconds);
  const plan = planMaintainerSet(
    { envelope, statement: set, hash: id },
    before === undefined ? undefined : { set: before.set, hash: before.hash },
    view.roster.admission,
  );
  return { plan, effect: { kind: 'maintainers', name, set, hash: id }, artifacts: [] };
}

// Two co-maintainers who each publish a next set at the same time: the log takes the first, and the
// second has to be signed again on top of it. Otherwise the last one would silently win.
function requireNext(
  set: MaintainerSet,
  sequence: number | undefined,
  hash: string | undefined,
  name: string,
): void {
  const next = sequence === undefined ? 0 : sequence + 1;
  if (set.sequence !== next) {
    throw new LedgerError(
      'SEQUENCE_WRONG',
      `${quote(name)}: maintainer set ${set.sequence} can't follow, the next one is ${next}`,
    );
  }
  if (set.previous !== (hash ?? null)) {
    throw new LedgerError(
      'SEQUENCE_WRONG',
      `${quote(name)}: maintainer set ${set.sequence} does not follow the set in force`,
    );
  }
}

// Typosquatting by spelling: `lodash-es` and `lodash.es` would be told apart by machines only. Refused
// at the claim, where nobody depends on the name yet.
function requireNoLookalike(view: LedgerView, name: string): void {
  const other = view.nameLike(foldName(name));
  if (other === undefined) return;
  assert(other !== name, 'a claimed name has a maintainer set');
  throw new LedgerError(
    'NAME_LOOKALIKE',
    `${quote(name)} is too easily taken for ${quote(other)}, which is claimed`,
    { hint: 'choose a name that differs in more than case and punctuation, or use a scope' },
  );
}
