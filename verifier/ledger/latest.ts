// Which version of a package is "latest": the greatest that may be installed, a stable one if there is
// any. The log says it, so that no registry can move people back to an old vulnerable version.
import { comparePrecedence, isPrerelease, parseVersion } from '../npm/version.ts';

/** The latest version after `version` became installable. */
export function latestWith(latest: string | null, version: string): string {
  return latest === null || isBetter(version, latest) ? version : latest;
}

/** The latest of some installable versions; `null` when there are none. */
export function latestOf(versions: Iterable<string>): string | null {
  let latest: string | null = null;
  for (const version of versions) latest = latestWith(latest, version);
  return latest;
}

function isBetter(version: string, than: string): boolean {
  const [a, b] = [parseVersion(version), parseVersion(than)];
  if (isPrerelease(a) !== isPrerelease(b)) return isPrerelease(b);
  return comparePrecedence(a, b) > 0;
}
