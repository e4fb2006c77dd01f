// Step 6, maintainers: the chain of a package's maintainer sets from sequence 0 to the one in force,
// complete, in order, and each signed as DESIGN section 4.4 demands.
import { VerifyError } from '../errors.ts';
import type { PackageRecord } from '../map/records.ts';
import type { SignaturePlan } from '../signatures.ts';
import {
  planMaintainerSet,
  type MaintainerSet,
  type VerifiedMaintainerSet,
} from '../statements/maintainers.ts';
import type { ShownLog, ShownSet } from './shown-log.ts';
import { planAll } from './signature-round.ts';

/**
 * The sets of a package, exactly as many as its record in the map says. The map is what makes the
 * chain complete: without it, evidence could hide the set that removed a maintainer.
 *
 * @returns by sequence, which is also by leaf index
 * @throws {VerifyError} `MAINTAINER_CHAIN_BROKEN`
 */
export function completeChain(
  log: ShownLog,
  packagePurl: string,
  record: PackageRecord,
): readonly ShownSet[] {
  const sets = log.setsOf(packagePurl);
  // Their order is for planChain to check: each follows the one before it.
  if (sets.length !== record.sequence + 1) {
    throw new VerifyError(
      'MAINTAINER_CHAIN_BROKEN',
      `${packagePurl}: the maintainer sets shown are not those of sequence 0 to ${record.sequence}`,
      { found: `${sets.length} sets`, expected: `${record.sequence + 1} sets` },
    );
  }
  const last = sets.at(-1);
  if (last?.index !== record.maintainers) {
    throw new VerifyError(
      'MAINTAINER_CHAIN_BROKEN',
      `${packagePurl}: the set in force is not the entry that the map names`,
      { found: `entry ${last?.index ?? 'none'}`, expected: `entry ${record.maintainers}` },
    );
  }
  return sets;
}

/**
 * The set that was in force when an entry was logged: the last one before it. Later ones don't
 * count, neither for the release (new maintainers can't have made it) nor against it.
 *
 * @param sets by leaf index
 * @throws {VerifyError} `MAINTAINER_CHAIN_BROKEN` when the package did not exist yet
 */
export function setInForceAt(sets: readonly ShownSet[], index: number): MaintainerSet {
  const shown = sets.findLast((one) => one.index < index);
  if (shown === undefined) {
    throw new VerifyError(
      'MAINTAINER_CHAIN_BROKEN',
      `entry ${index} is older than the first maintainer set of its package`,
    );
  }
  return shown.opened.statement;
}

/**
 * Plans the signature checks of a whole chain. Who may claim a name (the roster's admission) is not
 * asked again here: that was for the quorum to decide under the roster of that time.
 *
 * @throws {VerifyError} `MAINTAINER_CHAIN_BROKEN`; the plan's `finish` throws
 *         `MAINTAINER_SIGNATURES_MISSING`
 */
export function planChain(
  sets: readonly ShownSet[],
): SignaturePlan<readonly VerifiedMaintainerSet[]> {
  return planAll(
    sets.map(({ opened }, i) => {
      const before = sets[i - 1]?.opened;
      return planMaintainerSet(opened, before && { set: before.statement, hash: before.hash });
    }),
  );
}
