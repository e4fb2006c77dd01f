// What a lockfile does not say although somebody asks for it. Whoever installs exactly the lockfile refuses
// that; `npm install`, `pnpm install` and others go and choose a version, which nobody has verified.
import { quote } from '../../verifier/errors.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { asStrings } from './classify.ts';
import { resolveEdge, type OmittedKinds } from './edges.ts';
import type { Edge, Lockfile } from './lockfile.ts';
import { statedEdges } from './npm-lock.ts';
import type { ProjectWishes } from './project.ts';
import { parseRange } from './range.ts';

/** More are not read by anybody. */
const MISSING_MAX = 100;

/**
 * Lists what is asked for and missing, like `"left-pad@^1.0.0", asked for by package.json`. Peers are not among it:
 * whether they are installed is a setting of everybody's own.
 *
 * @param manifests the signed manifest of an entry; an entry without one asks for nothing here
 * @param omitted kinds that are left out
 */
export function missingFromLockfile(
  lockfile: Lockfile,
  wishes: ProjectWishes,
  manifests: (key: string) => JsonObject | undefined,
  omitted: OmittedKinds = new Set(),
): readonly string[] {
  const { graph } = lockfile;
  const kinds = new Map(lockfile.entries.map(({ key, kind }) => [key, kind]));
  const missing = [...wishes.unlisted].map((folder) => `${quote(folder)}, a workspace of yours`);
  const queue = [...wishes.edges.keys()];
  const seen = new Set(queue);
  for (let node = queue.pop(); node !== undefined; node = queue.pop()) {
    const own = wishes.edges.get(node);
    const from = own === undefined ? graph.entryOf(node) : undefined;
    // What is bundled is complete in its tarball, or not for us to complete.
    if (from !== undefined && kinds.get(from) === 'bundled') continue;
    const manifest = from === undefined ? undefined : manifests(from);
    const edges = own ?? (manifest === undefined ? [] : edgesOutside(manifest));
    for (const edge of edges) {
      const target = resolveEdge(lockfile, wishes, node, edge);
      if (target !== undefined) {
        if (seen.has(target)) continue;
        seen.add(target);
        queue.push(target);
        continue;
      }
      if (!isNeeded(edge, own !== undefined) || omitted.has(edge.kind)) continue;
      if (isOwn(edge, wishes)) continue;
      // pnpm's way to say that a dependency is to be left out.
      if (wishes.overrides.get(edge.name)?.includes('-') === true) continue;
      if (missing.length >= MISSING_MAX) return missing;
      const by = from === undefined ? 'package.json' : quote(from);
      missing.push(`${quote(`${edge.name}@${edge.range ?? '*'}`)}, asked for by ${by}`);
    }
  }
  return missing;
}

// Optional ones of one's own are in every lockfile; npm is known to lose those of others for other platforms.
function isNeeded({ kind }: Edge, isOwn: boolean): boolean {
  return kind === 'required' || kind === 'dev' || (kind === 'optional' && isOwn);
}

// A workspace, which Yarn Classic's lockfile does not have. One of another version is fetched instead.
function isOwn({ name, range }: Edge, { projects }: ProjectWishes): boolean {
  const wanted = range?.startsWith('workspace:') === true ? '*' : (range ?? '*');
  return [...projects.values()].some(
    (project) =>
      project.name === name &&
      (wanted === '*' || parseRange(wanted)?.test(project.version ?? '') === true),
  );
}

// pnpm's and Yarn's lockfiles do not have what comes in the tarball of whoever asks for it.
function edgesOutside(manifest: JsonObject): readonly Edge[] {
  const bundled = manifest['bundleDependencies'];
  if (bundled === true) return [];
  const inside = new Set(asStrings(bundled));
  return statedEdges(manifest, false).filter(({ name }) => !inside.has(name));
}
