// What links and programs in node_modules lead to.
import { join, normalize, sep } from 'node:path';

import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import { readShim } from '../installed/shim.ts';
import { isInside, type InstalledThing } from '../installed/tree.ts';
import { asTable, asTexts } from '../lockfiles/classify.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { parsePackageJson } from '../npm/npm.ts';
import { diagnostic } from '../output/report.ts';
import { readTextIfThere } from '../read-file.ts';
import type { Findings } from './installed-findings.ts';

/** What the comparisons left for the judgement of everything around them. */
export interface Compared {
  /** Paths of package folders that came inside of other packages' tarballs. */
  readonly bundled: Set<string>;
  /** `name path` of each program that a compared package declares, with its path in the project. */
  readonly programs: Set<string>;
  /** Paths of package folders that were compared. */
  readonly paths: Set<string>;
}

/** Every link and program has to lead to something that was compared, or to the user's own packages. */
export async function judgeLinks(
  root: string,
  lockfile: Lockfile,
  things: readonly InstalledThing[],
  { programs, paths, bundled }: Compared,
  findings: Findings,
): Promise<void> {
  const { format } = lockfile;
  const own = await OwnPackages.of(root, lockfile);
  // Everybody else makes links, so that a file would have been planted: it is run by its name.
  const hasShims = format === 'pnpm' || process.platform === 'win32';
  for (const thing of things) {
    switch (thing.kind) {
      case 'package':
        break;
      case 'stray':
        if (thing.isKnown) break;
        findings.extra(thing.path, diagnostic('BP1008', `${thing.path}: belongs to no package`));
        break;
      case 'link': {
        const problem = judgeLink(thing, own, paths, bundled);
        if (problem === undefined) break;
        findings.extra(thing.folder, diagnostic('BP1008', `${thing.path}: a link that ${problem}`));
        break;
      }
      case 'program': {
        let { target } = thing;
        if (target === null && !hasShims) {
          const message = `${thing.path}: a file, where package managers make links`;
          findings.extra(thing.name, diagnostic('BP1008', message));
          break;
        }
        if (target === null) {
          const shim = await readShim(root, thing.path);
          if (shim.kind === 'unknown') {
            findings.shims.push(thing.path);
            break;
          }
          ({ target } = shim);
        }
        const isDeclared = target !== undefined && programs.has(`${thing.name} ${target}`);
        if (isDeclared || own.hasProgram(thing.name, target) || isBelow(target, bundled)) break;
        const where = target ?? 'nowhere';
        const message = `${thing.path}: a program that no verified package declares; it leads to ${where}`;
        findings.extra(thing.name, diagnostic('BP1008', message));
        break;
      }
    }
  }
}

function judgeLink(
  { path, target }: Extract<InstalledThing, { kind: 'link' }>,
  own: OwnPackages,
  paths: ReadonlySet<string>,
  bundled: ReadonlySet<string>,
): string | undefined {
  if (target === undefined) return 'leads nowhere';
  if (!isInside(target)) return `leads out of the project, to ${target}`;
  // To a package of the same tree, which has been compared, or to one of the user's own.
  if (paths.has(target) || bundled.has(target)) return undefined;
  return own.mayBeAt(path, target) ? undefined : `leads to ${target}, no package of the lockfile`;
}

// A program of a package that came in another one's tarball: its bytes have been compared.
function isBelow(target: string | undefined, folders: ReadonlySet<string>): boolean {
  for (
    let at = target?.lastIndexOf('/') ?? -1;
    at > 0;
    at = target?.lastIndexOf('/', at - 1) ?? -1
  ) {
    if (folders.has(target?.slice(0, at) ?? '')) return true;
  }
  return false;
}

// The user's own packages, which the lockfile says may be linked to. Any other folder of the project may hold
// what somebody else put there: what a build made, a download, a clone.
class OwnPackages {
  readonly #lockfile: Lockfile;
  readonly #folders: ReadonlySet<string>;
  /** `name path` of the programs that they declare. */
  readonly #programs: ReadonlySet<string>;

  private constructor(lockfile: Lockfile, folders: ReadonlySet<string>, programs: Set<string>) {
    this.#lockfile = lockfile;
    this.#folders = folders;
    this.#programs = programs;
  }

  static async of(root: string, lockfile: Lockfile): Promise<OwnPackages> {
    const folders = new Set(
      lockfile.graph.projects.map(({ folder }) => (folder === '.' ? '' : folder)),
    );
    const programs = new Set<string>();
    for (const folder of folders) {
      const manifest = await readManifest(join(root, folder, 'package.json'));
      for (const [name, target] of programsOf(manifest)) {
        programs.add(`${name} ${normalize(join(folder, target)).split(sep).join('/')}`);
      }
    }
    return new OwnPackages(lockfile, folders, programs);
  }

  /** Whether a link to a folder is meant. npm's lockfile says where each link is, too. */
  mayBeAt(path: string, target: string): boolean {
    if (target === '' || !this.#folders.has(target)) return false;
    const { format, entries } = this.#lockfile;
    return format !== 'npm' || entries.some(({ key, kind }) => key === path && kind === 'local');
  }

  hasProgram(name: string, target: string | undefined): boolean {
    return this.#programs.has(`${name} ${target ?? ''}`);
  }
}

async function readManifest(path: string): Promise<ReturnType<typeof asTable>> {
  try {
    const text = await readTextIfThere(path, PACKAGE_JSON_BYTES_MAX);
    return text === undefined ? undefined : asTable(parsePackageJson(text).value);
  } catch {
    // One that can't be read declares nothing.
    return undefined;
  }
}

// The `directories` of package.json are left out: nobody's lockfile says them, and few have them.
function programsOf(manifest: ReturnType<typeof asTable>): readonly (readonly [string, string])[] {
  const bin = manifest?.['bin'];
  const name = manifest?.['name'];
  if (typeof bin !== 'string') return [...asTexts(bin)];
  return typeof name === 'string' ? [[name.replace(/^@[^/]*\//, ''), bin]] : [];
}
