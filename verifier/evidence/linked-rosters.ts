// A roster chain as documents about the past show it: it need not begin at the reader's pin, but it has
// to contain it.
import { statementHash, type Envelope } from '../dsse.ts';
import { VerifyError } from '../errors.ts';
import { planRosterChain, type Roster } from '../roster.ts';
import type { SignaturePlan } from '../signatures.ts';

/**
 * Plans the check of a chain that the pinned roster is part of. Rosters after it are vouched for by
 * signatures, those before it by hashes: each names the one before it, so the pin leaves no choice.
 *
 * @param pin hash of a roster that the reader trusts, hex
 * @throws {VerifyError} `ROSTER_NOT_PINNED`, and as `planRosterChain`
 */
export function planLinkedRosters(
  pin: string,
  envelopes: readonly Envelope[],
): SignaturePlan<readonly Roster[]> {
  const hashes = envelopes.map(({ payload }) => statementHash(payload));
  const [first] = hashes;
  if (first === undefined || !hashes.includes(pin)) {
    throw new VerifyError('ROSTER_NOT_PINNED', 'the pinned roster is not among those shown', {
      ...(first === undefined ? {} : { found: first }),
      expected: pin,
      hint: 'it is about another log, or about a part of the chain that does not reach the pin',
    });
  }
  return planRosterChain(first, envelopes);
}
