// `verify --installed`: what lies in node_modules against the verified tarballs. The lockfile has been
// verified already; here every package folder must be one of its entries, with the tarball's files and no
// others, and every link and program must lead to something that was compared.
import { realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { PACKAGE_JSON_BYTES_MAX } from '../../verifier/npm/package-json.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { comparePackage, type PackageComparison } from '../installed/compare.ts';
import { scanInstalled, type InstalledThing } from '../installed/tree.ts';
import { asTable, asTexts } from '../lockfiles/classify.ts';
import { isThere } from '../lockfiles/load.ts';
import {
  isForPlatform,
  PATCHED_NOTE,
  type LockEntry,
  type Lockfile,
} from '../lockfiles/lockfile.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { fetchArtifacts, type FetchOutcome } from '../npm/fetch.ts';
import { diagnoseFailures, diagnoseRefusal } from '../output/diagnose.ts';
import { diagnostic, type Diagnostic, type Verification } from '../output/report.ts';
import { cacheFolder } from '../trust/folders.ts';
import { readIfThere } from '../read-file.ts';
import type { LogSession } from './log-session.ts';
import { compareUnlogged } from './installed-unlogged.ts';
import { Findings, LISTED_MAX } from './installed-findings.ts';
import { judgeLinks, type Compared } from './installed-links.ts';
import type { LockfileVerification } from './verify-lockfile.ts';

type Package = Extract<InstalledThing, { kind: 'package' }>;

/**
 * Compares the project's node_modules with what was verified.
 *
 * @returns the lockfile's verification, with a finding at each entry that differs, and a row for
 *          everything on disk that is no entry
 * @throws {CliError} BP9004 without a node_modules that the packages are run from
 */
export async function verifyInstalled(
  invocation: Invocation,
  session: LogSession,
  lockfile: Lockfile,
  checked: LockfileVerification,
): Promise<Verification> {
  const root = await realpath(dirname(lockfile.path));
  if (!(await isThere(join(root, 'node_modules')))) {
    throw new CliError('BP9004', `${root}: there is no node_modules`);
  }
  await requireNoPlugAndPlay(root);
  const projects = lockfile.graph.projects.map(({ folder }) => folder);
  const things = await scanInstalled(root, [...new Set(['', ...projects])]);
  const inventory = await matchPackages(root, lockfile, checked, things);
  requireSomething(root, lockfile, checked, inventory);
  const findings = new Findings(lockfile);
  const compared = await compareAll(invocation, session, root, lockfile, inventory, findings);
  // What is left out or was not asked about is no business of this run.
  const { subjects } = checked.verification;
  const refused = new Set(
    lockfile.entries.flatMap(({ key }, i) => {
      const verdict = subjects[i]?.verdict;
      return verdict === 'rejected' || verdict === 'inconclusive' ? [key] : [];
    }),
  );
  const unlogged = inventory.others.filter(({ entry }) => refused.has(entry?.key ?? ''));
  await compareUnlogged(invocation, root, unlogged, compared, findings);
  judgeRest(root, lockfile, inventory, compared, findings);
  judgeMissing(lockfile, checked, inventory, findings);
  await judgeLinks(root, lockfile, things, compared, findings);
  return findings.applyTo(checked.verification, session.http.bytesReceived);
}

// What is run is in archives then, wherever Yarn has them; node_modules is for the caches of tools.
async function requireNoPlugAndPlay(root: string): Promise<void> {
  for (const file of ['.pnp.cjs', '.pnp.js']) {
    if (!(await isThere(join(root, file)))) continue;
    throw new CliError('BP9004', `${join(root, file)}: packages are not run from node_modules`, {
      hints: ['install with nodeLinker: node-modules, or verify without --installed'],
    });
  }
}

// That some packages are missing is no danger. Where all are, they are elsewhere, and nothing was compared.
function requireSomething(
  root: string,
  { entries }: Lockfile,
  { releases }: LockfileVerification,
  { found }: Inventory,
): void {
  const expected = entries.filter((entry) => releases.has(entry.key) && !mayBeMissing(entry));
  if (expected.length === 0 || found.size > 0) return;
  const message = `${join(root, 'node_modules')}: has none of the ${expected.length} packages that were verified`;
  throw new CliError('BP9004', message, { hints: ['install them first: bftpkg ci'] });
}

/** Optional packages, and those of other platforms. */
function mayBeMissing(entry: LockEntry): boolean {
  return (
    entry.kind === 'registry' &&
    (entry.optional || !isForPlatform(entry, process.platform, process.arch))
  );
}

/** What is on disk, by what it claims to be. */
interface Inventory {
  /** Folders of each release that is to be compared, by purl. */
  readonly folders: ReadonlyMap<string, readonly { readonly at: Package; readonly key: string }[]>;
  readonly releases: ReadonlyMap<string, VerifiedRelease>;
  /** Folders that are no verified entry, with what is known about them. */
  readonly others: readonly { readonly at: Package; readonly entry: LockEntry | undefined }[];
  /** Keys of entries that were found. */
  readonly found: ReadonlySet<string>;
}

async function matchPackages(
  root: string,
  lockfile: Lockfile,
  { releases, folders: asked }: LockfileVerification,
  things: readonly InstalledThing[],
): Promise<Inventory> {
  const byKey = new Map(lockfile.entries.map((entry) => [entry.key, entry]));
  const byName = new Map<string, LockEntry>();
  for (const entry of lockfile.entries) {
    for (const folder of [entry.name, ...(asked.get(entry.key) ?? [])]) {
      const id = `${folder} ${entry.name}@${entry.version ?? ''}`;
      if (!byName.has(id) || releases.has(entry.key)) byName.set(id, entry);
    }
  }
  const folders = new Map<string, { at: Package; key: string }[]>();
  const known = new Map<string, VerifiedRelease>();
  const others: { at: Package; entry: LockEntry | undefined }[] = [];
  const found = new Set<string>();
  for (const at of things) {
    if (at.kind !== 'package') continue;
    // npm's keys are paths. Elsewhere the folder's own package.json says what it is: a claim, until its
    // files have been compared.
    const entry =
      lockfile.format === 'npm'
        ? byKey.get(at.path)
        : byName.get(`${at.folder} ${await claimedIdentity(join(root, at.path))}`);
    if (entry !== undefined) found.add(entry.key);
    const release = entry === undefined ? undefined : releases.get(entry.key);
    if (entry === undefined || release === undefined) {
      others.push({ at, entry });
      continue;
    }
    known.set(release.purl, release);
    const same = folders.get(release.purl) ?? [];
    same.push({ at, key: entry.key });
    folders.set(release.purl, same);
  }
  return { folders, releases: known, others, found };
}

async function claimedIdentity(folder: string): Promise<string> {
  const path = join(folder, 'package.json');
  try {
    const bytes = await readIfThere(path, PACKAGE_JSON_BYTES_MAX);
    if (bytes === undefined) return '';
    const { value } = parseForeignJson(bytes, { lengthMax: PACKAGE_JSON_BYTES_MAX });
    const { name, version } = asTable(value) ?? {};
    return typeof name === 'string' && typeof version === 'string' ? `${name}@${version}` : '';
  } catch {
    // Says nothing about itself, so it is no entry of the lockfile.
    return '';
  }
}

async function compareAll(
  { context, progress }: Invocation,
  session: LogSession,
  root: string,
  lockfile: Lockfile,
  { folders, releases }: Inventory,
  findings: Findings,
): Promise<Compared> {
  const bundled = new Set<string>();
  const programs = new Set<string>();
  const paths = new Set<string>();
  const patched = new Set(
    lockfile.entries
      .filter(({ notes }) => notes.includes(PATCHED_NOTE))
      .map(({ name, version }) => `${name}@${version ?? ''}`),
  );
  progress(`comparing ${releases.size} packages on disk`);
  const take = async (outcome: FetchOutcome): Promise<void> => {
    const { release } = outcome;
    const places = folders.get(release.purl) ?? [];
    if (outcome.kind !== 'checked') {
      for (const { key } of places) findings.add(key, explainNotFetched(outcome));
      return;
    }
    for (const { at, key } of places) {
      const comparison = await comparePackage(join(root, at.path), outcome.listing);
      findings.compared(key);
      paths.add(at.path);
      for (const inner of comparison.bundled) bundled.add(`${at.path}/${inner}`);
      for (const [name, target] of asTexts(release.manifest['bin'])) {
        programs.add(`${name} ${at.path}/${target}`);
      }
      const problem = patched.has(`${release.name}@${release.version}`)
        ? describePatched(release, at.path, comparison)
        : describeDifferences(release, at.path, comparison);
      if (problem !== undefined) findings.add(key, problem);
    }
  };
  await fetchArtifacts(
    [...releases.values()],
    {
      replicas: await session.readyFirst(),
      missed: new Map(),
      store: new ArtifactStore(join(cacheFolder(context.env), 'artifacts')),
      signal: context.signal,
      onFailure: (failure) => findings.liars.push(failure),
    },
    take,
  );
  return { bundled, programs, paths };
}

function explainNotFetched(outcome: Exclude<FetchOutcome, { kind: 'checked' }>): Diagnostic {
  if (outcome.kind === 'refused') return diagnoseRefusal(outcome.error);
  const spec = `${outcome.release.name}@${outcome.release.version}`;
  const what = `${spec}: no replica could be reached for its tarball, so its files were not compared`;
  return diagnoseFailures(what, outcome.failures, false);
}

function describeDifferences(
  release: VerifiedRelease,
  path: string,
  { differences }: PackageComparison,
): Diagnostic | undefined {
  if (differences.length === 0) return undefined;
  const spec = `${release.name}@${release.version}`;
  const listed = differences.slice(0, LISTED_MAX).map(({ kind, path: file }) => {
    return [kind, `${path}/${file}`] as const;
  });
  const rest = differences.length - listed.length;
  const details = rest === 0 ? listed : [...listed, ['and', `${rest} more`] as const];
  // A script that builds something leaves files; it has no business in changing those of the tarball.
  const isBuilt = release.manifest['hasInstallScript'] === true;
  if (isBuilt && differences.every(({ kind }) => kind === 'extra')) {
    const message = `${spec}: ${differences.length} files that are not in its tarball, as its install script may make them; they are not verified`;
    return diagnostic('BP1008', message, { severity: 'warning', details });
  }
  const count = differences.length === 1 ? '1 file' : `${differences.length} files`;
  return diagnostic('BP1008', `${spec}: ${count} in ${path} not as in the verified tarball`, {
    details,
    hints: ['look at these files; then remove node_modules and run: bftpkg ci'],
  });
}

// What a patch changes was signed by nobody, and is not known to be wrong either.
function describePatched(
  { name, version }: VerifiedRelease,
  path: string,
  { differences }: PackageComparison,
): Diagnostic | undefined {
  if (differences.length === 0) return undefined;
  const message = `${name}@${version}: patched, so ${differences.length} of its files in ${path} could not be checked`;
  const details = differences.slice(0, LISTED_MAX).map(({ kind, path: file }) => {
    return [kind, `${path}/${file}`] as const;
  });
  return diagnostic('BP1007', message, { details, hints: ['review the patch in your project'] });
}

// Folders that were not compared: bundled ones, entries without a verdict, and what nobody asked for.
function judgeRest(
  root: string,
  { file, format }: Lockfile,
  { others }: Inventory,
  { bundled }: Compared,
  findings: Findings,
): void {
  for (const { at, entry } of others) {
    if (bundled.has(at.path) || entry?.kind === 'refused') continue;
    // npm links to the user's own packages: a folder in the place of the link is somebody else's. Others have
    // copies that they patched.
    if (entry?.kind === 'local' && format !== 'npm') continue;
    // Was left out, refused by the log, or couldn't be asked about: its own row says so.
    if (entry?.kind === 'registry' || entry?.kind === 'unbound') continue;
    findings.extra(
      at.folder,
      diagnostic(
        'BP1008',
        `${at.path}: installed, but ${file} has ${entry === undefined ? 'no such package' : 'a link'} there`,
        {
          details: [['in', `${root}/${at.path}`]],
          hints: ['remove node_modules and run: bftpkg ci'],
        },
      ),
    );
  }
}

function judgeMissing(
  lockfile: Lockfile,
  { releases }: LockfileVerification,
  { found }: Inventory,
  findings: Findings,
): void {
  // Where keys are not paths, several entries can share one folder.
  const present = new Set(
    lockfile.entries.filter(({ key }) => found.has(key)).map((e) => `${e.name}@${e.version ?? ''}`),
  );
  for (const entry of lockfile.entries) {
    if (entry.kind !== 'registry' && entry.kind !== 'unbound') continue;
    const spec = `${entry.name}@${entry.version}`;
    const isPresent = lockfile.format === 'npm' ? found.has(entry.key) : present.has(spec);
    if (isPresent || !releases.has(entry.key)) continue;
    // Not there is not dangerous: nothing runs. Optional ones and those of other platforms never are.
    if (mayBeMissing(entry)) findings.compared(entry.key);
    else {
      const message = `${spec}: not installed`;
      findings.add(entry.key, diagnostic('BP1008', message, { severity: 'warning' }));
    }
  }
}
