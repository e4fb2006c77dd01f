// The rules for withdrawals (DESIGN 4.4): revoked is for ever, yanked can be taken back.
import { assert, quote } from '../errors.ts';
import type { ReleaseStatus } from '../map/records.ts';
import { parsePurl } from '../npm/purl.ts';
import { planWithdrawal, type Withdrawal } from '../statements/withdrawal.ts';
import type { CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import { requireRate } from './limits.ts';
import { requireObserved } from './observed.ts';
import type { Submission } from './submission.ts';
import type { LedgerView } from './view.ts';

type WithdrawalSubmission = Extract<Submission, { kind: 'withdrawal' }>;

/** What each kind makes of a release; a status that is not listed can't be changed that way. */
const TRANSITIONS: Readonly<
  Record<Withdrawal['kind'], Readonly<Partial<Record<ReleaseStatus, ReleaseStatus>>>>
> = {
  revoked: { active: 'revoked', yanked: 'revoked' },
  yanked: { active: 'yanked' },
  unyanked: { yanked: 'active' },
};

/**
 * Judges a withdrawal.
 *
 * @throws {LedgerError} `RELEASE_UNKNOWN`, `RELEASE_CONFLICT`, `RELEASE_REVOKED`,
 *         `STATUS_UNCHANGED`, `RATE_LIMITED`, `OBSERVED_…`
 * @throws {VerifyError} what planning its signatures finds wrong
 */
export function checkWithdrawal(
  view: LedgerView,
  { envelope, withdrawal, id }: WithdrawalSubmission,
  timeSeconds: number,
): CheckedSubmission {
  const { name } = parsePurl(withdrawal.package);
  const status = statusAfter(view, name, withdrawal);
  requireObserved(view, withdrawal.observed);
  requireRate(view, name, timeSeconds);
  const inForce = view.maintainerSet(name);
  assert(inForce !== undefined, 'a package that has releases has a maintainer set');
  return {
    plan: planWithdrawal({ envelope, statement: withdrawal, hash: id }, inForce.set),
    effect: { kind: 'withdrawal', name, version: withdrawal.version, status },
    artifacts: [],
  };
}

function statusAfter(
  view: LedgerView,
  name: string,
  { version, kind, release }: Withdrawal,
): ReleaseStatus {
  const what = quote(`${name}@${version}`);
  const record = view.releaseRecord(name, version);
  if (record === undefined) throw new LedgerError('RELEASE_UNKNOWN', `${what} is not in the log`);
  // The signers name the bytes they withdraw: a statement made for another log's release of the same
  // name and version must not work here.
  if (record.statement !== release) {
    throw new LedgerError('RELEASE_CONFLICT', `${what} is bound to another statement`, {
      index: record.index,
    });
  }
  if (record.status === 'revoked') {
    throw new LedgerError('RELEASE_REVOKED', `${what} is revoked, which is for ever`, {
      index: record.withdrawal ?? record.index,
    });
  }
  const after = TRANSITIONS[kind][record.status];
  if (after === undefined) {
    throw new LedgerError('STATUS_UNCHANGED', `${what} is ${record.status}, it can't be ${kind}`, {
      index: record.withdrawal ?? record.index,
    });
  }
  return after;
}
