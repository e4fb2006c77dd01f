// The maintainer sets of a package from sequence 0 on, with who signed each.
import { parseEntry, type StatementEntry } from '../../verifier/entry.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { packagePurl } from '../../verifier/npm/purl.ts';
import { runPlan } from '../../verifier/signatures.ts';
import {
  parseMaintainerSet,
  planMaintainerSet,
  type VerifiedMaintainerSet,
} from '../../verifier/statements/maintainers.ts';
import type { Verified } from '../session/log-session.ts';

/** One set of the chain. */
export interface HistoryStep extends VerifiedMaintainerSet {
  /** Leaf index of its entry. */
  readonly index: number;
  /** When it was logged, Unix seconds. */
  readonly time: number;
}

/**
 * The chain that verified evidence holds. That it is complete was proven by the map when the evidence
 * was verified; here it is walked again, for its signers.
 *
 * @param verified evidence whose answer about the package was `package`
 */
export async function historyOf(verified: Verified, name: string): Promise<readonly HistoryStep[]> {
  const purl = packagePurl(name);
  const steps: HistoryStep[] = [];
  for (const { index, data } of parseEvidence(verified.source).entries) {
    const entry = parseEntry(data);
    if (entry.kind !== 'maintainers' || !isOf(entry, purl)) continue;
    const before = steps.at(-1);
    const verifiedSet = await runPlan(nativeVerifier, planMaintainerSet(entry.envelope, before));
    steps.push({ ...verifiedSet, index, time: entry.time });
  }
  return steps;
}

function isOf({ envelope }: StatementEntry, purl: string): boolean {
  return parseMaintainerSet(envelope.payload).package === purl;
}
