// `bftpkg why`: the ways on which a package came into the lockfile. They are the lockfile's own claims;
// `verify` is what compares them with the signed manifests.
import { resolve } from 'node:path';

import { isPackageName } from '../../verifier/npm/name.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { Edge, Lockfile } from '../lockfiles/lockfile.ts';
import { readProjectWishes } from '../lockfiles/project.ts';
import { entrySpec, nodeLabel } from '../lockfiles/ways.ts';
import { doneReport, type Report } from '../output/report.ts';

/** Ways shown for one package; a popular one has thousands. */
export const PATHS_MAX = 10;
// Steps taken back from a package in search of ways: a dense graph has more of them than atoms.
const STEPS_MAX = 20_000;

/** One step of a way: who asks, for which name and range. */
interface Step {
  readonly from: string;
  readonly edge: Edge;
}

/** Who asks for each node, and how far from a project each is. */
interface Graph {
  readonly askers: ReadonlyMap<string, readonly Step[]>;
  readonly distance: ReadonlyMap<string, number>;
}

/** `why <name[@version]>`. */
export async function why(
  { context, globals }: Invocation,
  target: string,
  options: { readonly lockfile?: string },
): Promise<Report> {
  const { name, version } = parseTarget(target);
  const named = options.lockfile === undefined ? undefined : resolve(context.cwd, options.lockfile);
  const lockfile = await loadLockfile(globals.project, named);
  const entries = new Map(lockfile.entries.map((entry) => [entry.key, entry]));
  const wishes = await readProjectWishes(lockfile);
  const graph = walk(lockfile, (node) => wishes.edges.get(node) ?? lockfile.graph.stated(node));
  const wanted = lockfile.entries.filter(
    (entry) => entry.name === name && (version === undefined || entry.version === version),
  );
  if (wanted.length === 0) {
    throw new CliError('BP9001', `${target}: not in ${lockfile.path}`, {
      hints: versionsHint(lockfile, name),
    });
  }
  const found = wanted.map((entry) => {
    const nodes = [...graph.distance.keys()].filter(
      (node) => lockfile.graph.entryOf(node) === entry.key,
    );
    const ways = nodes.flatMap((node) => waysTo(node, graph)).slice(0, PATHS_MAX);
    return {
      entry,
      ways: ways.map((way) => way.map((node) => nodeLabel(lockfile, entries, node))),
    };
  });
  return doneReport('why', {
    data: {
      lockfile: lockfile.path,
      packages: found.map(({ entry, ways }) => ({
        name: entry.name,
        version: entry.version,
        key: entry.key,
        line: entry.line,
        paths: ways.map((way) => [...way]),
      })),
    },
    lines: found.flatMap(({ entry, ways }) => [
      `${entrySpec(entry)}   ${lockfile.file}${entry.line === null ? '' : `:${entry.line}`}  ${entry.key}`,
      ...(ways.length === 0 ? ['  nobody asks for it'] : []),
      ...ways.map((way) => `  ${way.join(' → ')}`),
    ]),
  });
}

function parseTarget(target: string): { readonly name: string; readonly version?: string } {
  if (isPackageName(target)) return { name: target };
  const at = target.lastIndexOf('@');
  const [name, version] = [target.slice(0, Math.max(0, at)), target.slice(at + 1)];
  if (isPackageName(name) && isVersion(version)) return { name, version };
  throw usageError(`neither name nor name@version: ${target}`);
}

function versionsHint(lockfile: Lockfile, name: string): readonly string[] {
  const versions = lockfile.entries.flatMap((each) =>
    each.name === name ? (each.version ?? []) : [],
  );
  return versions.length === 0
    ? []
    : [`it has ${name} in version ${[...new Set(versions)].join(', ')}`];
}

// Breadth first, so that the first way to each node is a shortest one. Each node is visited once.
function walk(lockfile: Lockfile, edgesOf: (node: string) => readonly Edge[]): Graph {
  const askers = new Map<string, Step[]>();
  const distance = new Map<string, number>();
  const waiting: string[] = [];
  for (const { node } of lockfile.graph.projects) {
    distance.set(node, 0);
    waiting.push(node);
  }
  // Grows while it is walked.
  for (const from of waiting) {
    const away = (distance.get(from) ?? 0) + 1;
    for (const edge of edgesOf(from)) {
      const to = lockfile.graph.resolve(from, edge);
      if (to === undefined) continue;
      const steps = askers.get(to) ?? [];
      askers.set(to, steps);
      steps.push({ from, edge });
      if (distance.has(to)) continue;
      distance.set(to, away);
      waiting.push(to);
    }
  }
  return { askers, distance };
}

// Ways from a project to a node, short ones first, none through a node twice.
function waysTo(node: string, { askers, distance }: Graph): readonly (readonly string[])[] {
  const ways: (readonly string[])[] = [];
  let steps = 0;
  const back = (way: readonly string[]): void => {
    const [first] = way;
    if (first === undefined || ways.length >= PATHS_MAX || ++steps > STEPS_MAX) return;
    if (distance.get(first) === 0) {
      ways.push(way);
      return;
    }
    const from = [...new Set((askers.get(first) ?? []).map((step) => step.from))];
    const near = from.toSorted((a, b) => (distance.get(a) ?? 0) - (distance.get(b) ?? 0));
    for (const each of near) if (!way.includes(each)) back([each, ...way]);
  };
  back([node]);
  return ways;
}
