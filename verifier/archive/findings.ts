// What somebody who reviews or signs a package should look at: things that are allowed, but run or
// steer something without being asked.
import { quote } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { unsafeArchive } from './header.ts';
import { foldPath } from './paths.ts';
import type { ArchiveFile } from './tar.ts';

/** One thing to look at. */
export type Finding =
  /** Code runs when the package is installed. `detail` is the script. */
  | { readonly kind: 'install-script'; readonly name: string; readonly detail: string }
  /** A native build is described; programs that ignore `gypfile: false` run it. */
  | { readonly kind: 'native-build'; readonly path: string }
  /** Another package's files are inside, with no identity or signature of their own. */
  | { readonly kind: 'bundled-package'; readonly name: string; readonly listed: boolean }
  /** Settings of npm, which count when somebody works in the package's folder. */
  | { readonly kind: 'npm-settings'; readonly path: string }
  /** npm installs the dependencies that this file says, from where it says. */
  | { readonly kind: 'shrinkwrap'; readonly path: string };

const DESCRIPTIONS: {
  readonly [K in Finding['kind']]: (finding: Extract<Finding, { readonly kind: K }>) => string;
} = {
  'bundled-package': ({ name, listed }) =>
    `bundled package ${quote(name)}${listed ? '' : ', not itself in bundleDependencies'}`,
  'install-script': ({ name, detail }) => `runs when installed: ${name}: ${quote(detail)}`,
  'native-build': ({ path }) => `native build: ${quote(path)}`,
  'npm-settings': ({ path }) => `settings of npm: ${quote(path)}`,
  shrinkwrap: ({ path }) => `pins the dependencies of whoever installs it: ${quote(path)}`,
};

/** One line about a finding. Names and scripts in it are a stranger's, so they come quoted. */
export function describeFinding(finding: Finding): string {
  const describe = DESCRIPTIONS[finding.kind] as (finding: Finding) => string;
  return describe(finding);
}

/** More is not read by anybody; the rest is still in the archive's listing. */
const FINDINGS_MAX = 1000;
const INSTALL_SCRIPTS: readonly string[] = ['install', 'postinstall', 'preinstall'];

/**
 * Collects the findings.
 *
 * @throws {VerifyError} `ARCHIVE_UNSAFE` for installed packages in a package that bundles none:
 *         Node would prefer them to the ones that a lockfile names
 */
export function findingsOf(
  files: readonly ArchiveFile[],
  manifest: JsonObject,
): readonly Finding[] {
  const bundled = bundledPackages(files);
  const listed = new Set((manifest['bundleDependencies'] ?? []) as readonly string[]);
  for (const [name, path] of bundled) {
    if (listed.size > 0) continue;
    throw unsafeArchive(
      `the package ${quote(name)} is inside, but bundleDependencies is empty`,
      path,
    );
  }

  const findings: Finding[] = [...bundled.keys()].sort().map((name) => ({
    kind: 'bundled-package',
    name,
    // What a listed one needs is bundled with it, and stands in no list.
    listed: listed.has(name),
  }));
  const scripts = (manifest['scripts'] ?? {}) as Readonly<Record<string, string>>;
  for (const name of INSTALL_SCRIPTS) {
    const detail = scripts[name];
    if (detail !== undefined) findings.push({ kind: 'install-script', name, detail });
  }
  findings.push(...findFiles(files, 'native-build', /^[^/]*\.gyp$/));
  findings.push(...findFiles(files, 'npm-settings', /(?:^|\/)\.npmrc$/));
  findings.push(...findFiles(files, 'shrinkwrap', /(?:^|\/)npm-shrinkwrap\.json$/));
  return findings.slice(0, FINDINGS_MAX);
}

function findFiles(
  files: readonly ArchiveFile[],
  kind: 'native-build' | 'npm-settings' | 'shrinkwrap',
  pattern: RegExp,
): Finding[] {
  return files
    .filter(({ path }) => pattern.test(foldPath(path)))
    .map(({ path }) => ({ kind, path }));
}

/** Names of the packages in the root's `node_modules`, each with the path of one of its files. */
function bundledPackages(files: readonly ArchiveFile[]): Map<string, string> {
  const packages = new Map<string, string>();
  for (const { path } of files) {
    const [folder, first = '', second = ''] = path.split('/', 3);
    if (folder === undefined || foldPath(folder) !== 'node_modules') continue;
    packages.set(first.startsWith('@') ? `${first}/${second}` : first, path);
  }
  return packages;
}
