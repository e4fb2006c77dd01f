// Whether enough maintainers have signed a draft. Asked before anything is uploaded: replicas would refuse
// it anyway, later and with less to say.
import { maintainerKeys, maintainerThreshold } from '../../verifier/statements/maintainers.ts';
import { CliError } from '../errors.ts';
import type { LogSession } from '../session/log-session.ts';
import { lookUpPackage } from '../session/look-up.ts';
import { signersAmong, type Draft } from './draft.ts';

/**
 * Requires f + 1 valid signatures of distinct maintainers of the package's set in force.
 *
 * @param hint what to do when some are missing
 * @throws {CliError} BP2001 with who has signed and who has not; BP5003 for an unknown package
 */
export async function requireSigners(
  session: LogSession,
  draft: Draft,
  name: string,
  hint: string,
): Promise<void> {
  const { found } = await lookUpPackage(session, name);
  if (found === undefined) throw new CliError('BP5003', `${name}: not registered in the log`);
  const needed = maintainerThreshold(found.set);
  const signers = signersAmong(draft, maintainerKeys(found.set));
  if (signers.length >= needed) return;
  throw new CliError(
    'BP2001',
    `${name}: ${signers.length} valid maintainer signature(s), ${needed} required`,
    {
      details: found.set.maintainers.map(
        ({ name: label, key }) =>
          [label, signers.includes(key) ? 'has signed' : 'has not signed'] as const,
      ),
      hints: [hint],
    },
  );
}
