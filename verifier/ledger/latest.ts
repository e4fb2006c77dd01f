// Which version of a package is "latest": the greatest that may be installed, a stable one if there is
// any. The log says it, so that no registry can move people back to an old vulnerable version.
import { comparePrecedence, isPrerelease, parseVersion, type Version } from '../npm/version.ts';

/** The latest version after `version` became installable. */
export function latestWith(latest: string | null, version: string): string {
  if (latest === null) return version;
  return isBetter(parseVersion(version), parseVersion(latest)) ? version : latest;
}

/**
 * The installable versions of a package, to find the latest in again and again. A batch may take back the latest
 * hundreds of times, of a package with as many versions as its maintainers like: looking through all of them each time
 * kept every replica busy for ten seconds with ten thousand versions, and no batch would have been decided.
 */
export class RankedVersions {
  /** A heap: none is better than the one at half of its place. */
  readonly #heap: Ranked[] = [];

  constructor(versions: Iterable<string>) {
    for (const version of versions) this.add(version);
  }

  /** A version became installable. */
  add(version: string): void {
    const heap = this.#heap;
    const added = { text: version, version: parseVersion(version) };
    let at = heap.push(added) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBetter(added.version, parent.version)) break;
      heap[at] = parent;
      at = above;
    }
    heap[at] = added;
  }

  /**
   * The best one that still is installable; `null` when there is none. Those that are not are dropped.
   *
   * @param isInstallable asked about the best ones, until it says so
   */
  latest(isInstallable: (version: string) => boolean): string | null {
    for (;;) {
      const [best] = this.#heap;
      if (best === undefined) return null;
      if (isInstallable(best.text)) return best.text;
      this.#dropBest();
    }
  }

  #dropBest(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      let below = 2 * at + 1;
      let child = heap[below];
      const right = heap[below + 1];
      if (child !== undefined && right !== undefined && isBetter(right.version, child.version)) {
        child = right;
        below += 1;
      }
      if (child === undefined || !isBetter(child.version, last.version)) break;
      heap[at] = child;
      at = below;
    }
    heap[at] = last;
  }
}

interface Ranked {
  readonly text: string;
  readonly version: Version;
}

function isBetter(a: Version, b: Version): boolean {
  if (isPrerelease(a) !== isPrerelease(b)) return isPrerelease(b);
  return comparePrecedence(a, b) > 0;
}
