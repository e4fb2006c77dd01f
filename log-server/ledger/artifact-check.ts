// Rule 4 of DESIGN 5: a replica votes for a release only when it holds the artifact and its package.json
// is what the statement says. So what is attested can be had, and "manifest confusion" can't be logged.
import { quote } from '../../verifier/errors.ts';
import type { ArtifactClaim } from '../../verifier/ledger/effect.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { describeManifestDifference } from '../../verifier/npm/manifest.ts';
import type { ArtifactFacts } from '../store/artifact-store.ts';

/** What is known about held artifacts, at once: they were checked when they came in. */
export interface ArtifactIndex {
  factsNow(sha512: string): ArtifactFacts | undefined;
}

/**
 * Compares what statements say about artifacts with the artifacts.
 *
 * @returns the refusal: `ARTIFACT_MISMATCH` when one is held and is something else (final, and the
 *          same on every replica), else `ARTIFACT_MISSING` naming all that are not held; `undefined`
 *          when all are held and equal
 */
export function artifactRefusal(
  claims: readonly ArtifactClaim[],
  index: ArtifactIndex,
): LedgerError | undefined {
  const missing: string[] = [];
  for (const claim of claims) {
    const facts = index.factsNow(claim.sha512);
    if (facts === undefined) {
      missing.push(claim.sha512);
      continue;
    }
    const difference = differenceOf(claim, facts);
    if (difference === undefined) continue;
    return new LedgerError(
      'ARTIFACT_MISMATCH',
      `${quote(`${claim.name}@${claim.version}`)}: the statement's ${difference} is not the artifact's`,
      { artifacts: [claim.sha512] },
    );
  }
  if (missing.length === 0) return undefined;
  return new LedgerError('ARTIFACT_MISSING', `${missing.length} artifacts are not held here`, {
    artifacts: missing,
    hint: 'upload them first',
  });
}

function differenceOf(claim: ArtifactClaim, facts: ArtifactFacts): string | undefined {
  if (claim.size !== facts.size) return 'size';
  if (claim.name !== facts.name) return 'name';
  if (claim.version !== facts.version) return 'version';
  const place = describeManifestDifference(claim.manifest, facts.manifest);
  return place === undefined ? undefined : `manifest (${quote(place)})`;
}
