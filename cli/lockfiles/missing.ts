// What a lockfile does not say although somebody asks for it. Whoever installs exactly the lockfile refuses
// that; `npm install`, `pnpm install` and others go and choose a version, which nobody has verified.
import { quote } from '../../verifier/errors.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { resolveEdge } from './edges.ts';
import type { Lockfile } from './lockfile.ts';
import { statedEdges } from './npm-lock.ts';
import type { ProjectWishes } from './project.ts';

/** More are not read by anybody. */
const MISSING_MAX = 100;

/**
 * Lists what is asked for and missing, like `"left-pad@^1.0.0", asked for by package.json`.
 *
 * @param manifests the signed manifest of an entry; an entry without one asks for nothing here
 */
export function missingFromLockfile(
  lockfile: Lockfile,
  wishes: ProjectWishes,
  manifests: (key: string) => JsonObject | undefined,
): readonly string[] {
  const { graph } = lockfile;
  const kinds = new Map(lockfile.entries.map(({ key, kind }) => [key, kind]));
  const missing: string[] = [];
  const queue = [...wishes.edges.keys()];
  const seen = new Set(queue);
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    const own = wishes.edges.get(node);
    const from = own === undefined ? graph.entryOf(node) : undefined;
    // What is bundled is complete in its tarball, or not for us to complete.
    if (from !== undefined && kinds.get(from) === 'bundled') continue;
    const manifest = from === undefined ? undefined : manifests(from);
    const edges = own ?? (manifest === undefined ? [] : statedEdges(manifest, false));
    for (const edge of edges) {
      const target = resolveEdge(lockfile, wishes, node, edge);
      if (target !== undefined) {
        if (seen.has(target)) continue;
        seen.add(target);
        queue.push(target);
        continue;
      }
      if (edge.kind !== 'required' && edge.kind !== 'dev') continue;
      // pnpm's way to say that a dependency is to be left out.
      if (wishes.overrides.get(edge.name)?.includes('-') === true) continue;
      if (missing.length >= MISSING_MAX) return missing;
      const by = from === undefined ? 'package.json' : quote(from);
      missing.push(`${quote(`${edge.name}@${edge.range ?? '*'}`)}, asked for by ${by}`);
    }
  }
  return missing;
}
