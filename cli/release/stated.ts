// What a release statement says about a tarball, beside the tarball itself. A digest alone binds bytes:
// name, version, size and manifest are the proposer's words, and installers act on them.
import { equalBytes } from '../../verifier/bytes.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { describeManifestDifference, manifestsEqual } from '../../verifier/npm/manifest.ts';
import type { ReleaseSubject } from '../../verifier/statements/release.ts';
import { CliError } from '../errors.ts';
import { printable } from '../output/sanitize.ts';
import type { Artifact } from './artifact.ts';

/**
 * Requires that a statement says about a tarball what the tarball says about itself.
 *
 * A co-maintainer's proposal with the right digest and another manifest (other dependencies, no install
 * script) would otherwise collect signatures of people who have rebuilt the very tarball, and no replica
 * could ever log it.
 *
 * @throws {CliError} BP1009 with everything that differs
 */
export function requireStated(subject: ReleaseSubject, { bytes, sha512, checked }: Artifact): void {
  const rows: (readonly [string, string, string])[] = [
    ['name', subject.name, checked.name],
    ['version', subject.version, checked.version],
    ['digest', formatSri(subject.sha512), formatSri(sha512)],
    ['size', `${subject.size}`, `${bytes.length}`],
  ];
  const details = rows.flatMap(([what, stated, own]): (readonly [string, string])[] =>
    stated === own ? [] : [[what, `stated ${stated}, the tarball has ${own}`]],
  );
  const field = describeManifestDifference(subject.manifest, checked.manifest);
  if (field !== undefined) {
    details.push(['manifest', `stated otherwise than in the tarball: ${printable(field)}`]);
  }
  if (details.length === 0) return;
  throw new CliError(
    'BP1009',
    `${subject.name}@${subject.version}: the proposal does not say about the tarball what the tarball says itself`,
    {
      details,
      hints: ['ask whoever proposed it; make an own one: bftpkg release prepare'],
    },
  );
}

/** Whether two statements say the same about one release, whatever head of the log they saw. */
export function sayTheSame(a: ReleaseSubject, b: ReleaseSubject): boolean {
  return (
    a.purl === b.purl &&
    equalBytes(a.sha512, b.sha512) &&
    a.size === b.size &&
    a.maintainers === b.maintainers &&
    manifestsEqual(a.manifest, b.manifest)
  );
}
