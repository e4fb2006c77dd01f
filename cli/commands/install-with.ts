// `bftpkg install --with pnpm|yarn|bun`: the manager runs in a private folder, through the verifying proxy,
// without scripts and without anything of the project's that runs code. Its result is verified again, and
// only then moved into the project, by the same renames as npm's.
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, relative, sep } from 'node:path';

import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { readText, readTextIfThere } from '../read-file.ts';
import { asStrings, asTable, type Table } from '../lockfiles/classify.ts';
import { isThere } from '../lockfiles/load.ts';
import { requirePlainLockfile } from '../lockfiles/lock-settings.ts';
import { parseLockfile } from '../lockfiles/parse.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import { findWorkspaces, requirePlainWorkspaces } from '../lockfiles/workspaces.ts';
import { requireInstalled } from '../managers/complete.ts';
import { fromProxy, toProxy } from '../managers/lock-addresses.ts';
import {
  findManager,
  wordsFor,
  type Manager,
  type ManagerName,
  type ManagerTask,
} from '../managers/manager.ts';
import { forgetRegistry } from '../managers/memory.ts';
import { stagedSettings } from '../managers/settings.ts';
import { runChild, type ChildResult } from '../npm/child.ts';
import { parsePackageJson } from '../npm/npm.ts';
import { parseInstallSpec } from '../npm/resolve.ts';
import { readRegistries } from '../npm/registries.ts';
import { Staging, withoutScripts } from '../npm/staging.ts';
import { editJson } from '../policy/edit.ts';
import {
  diagnostic,
  failureReport,
  verificationReport,
  withDiagnostics,
  type Diagnostic,
  type Report,
} from '../output/report.ts';
import { isSaidAlready } from '../proxy/ledger.ts';
import { managerVariables } from '../proxy/manager-environment.ts';
import { isAllowed } from '../proxy/offering.ts';
import { checkProjectSettings } from '../proxy/project-settings.ts';
import { openProxy, type Proxy } from '../proxy/proxy.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { reportVerification } from '../session/report-subject.ts';
import { stateFolder } from '../trust/folders.ts';
import type { InstallOptions } from './install-verified.ts';
import { isNewSince, judgeThroughProxy } from './install-with-judge.ts';
import { recoverProject } from './install.ts';

/** Lines of a manager's output that are shown when it fails. */
const FAILURE_LINES_MAX = 12;
const DEPENDENCY_FIELDS = [
  'dependencies',
  'devDependencies',
  'optionalDependencies',
  'peerDependencies',
] as const;

interface Job {
  readonly invocation: Invocation;
  readonly session: LogSession;
  readonly manager: Manager;
  readonly task: ManagerTask;
  readonly project: string;
  readonly packageJson: string;
  /** Text of the project's lockfile. */
  readonly lockText: string | undefined;
}

/** Installs with another manager than npm. */
export async function installWith(
  invocation: Invocation,
  name: ManagerName,
  specs: readonly string[],
  options: InstallOptions,
): Promise<Report> {
  const { project } = invocation.globals;
  if (options.scripts === true) throw usageError('--scripts is for npm only', `${name} rebuild`);
  if (options.isolate === true) {
    // Without a network it could not reach the proxy; nothing else answers it there, and no script runs.
    throw usageError(
      '--isolate is for npm only',
      'other managers reach the proxy alone, and run no script',
    );
  }
  for (const spec of specs) requireSpec(spec);
  const manager = await findManager(invocation.context, name);
  await recoverProject(invocation, project);
  const { notes } = await checkProjectSettings(project, 'left out');
  for (const note of notes) invocation.notice(note);
  // The next plain run of the manager would not read what is written here.
  await requirePlainLockfile(manager.kind, project);
  const packageJson = await readText(join(project, 'package.json'));
  const lockText = await readTextIfThere(join(project, manager.lockfile));
  const task: ManagerTask =
    specs.length > 0
      ? { kind: 'add', specs }
      : { kind: lockText === undefined ? 'resolve' : 'frozen' };
  return await withSession(invocation, {}, async (session) => {
    const job = { invocation, session, manager, task, project, packageJson, lockText };
    const before =
      lockText === undefined
        ? undefined
        : parseLockfile(Buffer.from(lockText), join(project, manager.lockfile));
    if (task.kind !== 'frozen' || before === undefined) return await install(job, before);
    // First of all what is asked for: a lockfile that is refused starts nobody.
    const report = await judgeThroughProxy(job, before, undefined);
    return report.exit.code === 0 ? await install(job, before) : report;
  });
}

function requireSpec(text: string): void {
  const { name, range } = parseInstallSpec(text);
  if (!name.startsWith('-') && (range === undefined || !/\s/.test(range))) return;
  throw new CliError('BP9003', `not a package name with an optional version range: ${text}`);
}

async function install(job: Job, before: Lockfile | undefined): Promise<Report> {
  const { invocation, session, manager, project } = job;
  const staging = await Staging.create(project);
  // Caches and stores: not below the folder from which things are moved.
  const stores = await mkdtemp(join(tmpdir(), 'bftpkg-stores-'));
  const proxy = await openProxy(invocation, session, { tell: () => undefined });
  try {
    const { rcName, own } = await prepare(job, before, staging, proxy.server.registry);
    invocation.progress(`installing with ${manager.name}, through the proxy`);
    const result = await runManager(job, staging.folder, proxy, { stores, rcName });
    if (result.code !== 0) return await explain(job, proxy, result);
    return await takeOver({ ...job, own }, before, staging, proxy);
  } finally {
    await proxy.server.close();
    await staging.remove();
    await rm(stores, { recursive: true, force: true, maxRetries: 3 });
  }
}

interface Prepared {
  /** What Yarn Berry's settings file is called. */
  readonly rcName: string;
  /** Folders of the user's own packages, relative; `''` is the root. */
  readonly own: readonly string[];
}

// The folders that a lockfile means. Yarn Classic's does not name them: without them it would install nothing of what
// they need, and end well.
async function ownFolders(
  { kind }: Manager,
  project: string,
  document: Table,
  before: Lockfile | undefined,
): Promise<readonly string[]> {
  if (before === undefined) return [''];
  if (kind !== 'yarn-classic') return before.graph.projects.map(({ folder }) => folder);
  const field = document['workspaces'];
  if (asStrings(asTable(field)?.['packages'] ?? field).some((each) => each.startsWith('!'))) {
    throw new CliError('BP9005', 'workspaces that leave folders out: which ones are meant?', {
      hints: ['name the folders, or bftpkg proxy -- yarn install'],
    });
  }
  const found = [''];
  for (const folder of await findWorkspaces(project, document)) {
    if (await isThere(join(project, folder, 'package.json'))) found.push(folder);
  }
  return found;
}

// What the private folder has: what decides about the tree, and nothing that runs.
async function prepare(
  { manager, project, packageJson, lockText }: Job,
  before: Lockfile | undefined,
  staging: Staging,
  registry: string,
): Promise<Prepared> {
  const settings = await stagedSettings(manager, project);
  const files = new Map(settings.files);
  // A folder that is its own only member is what it is without that.
  const members = files.get('pnpm-workspace.yaml')?.split(/^["']?packages["']?:/m)[1] ?? '';
  const hasWorkspaces = /^[ \t]*- *(?!["']?\.["']?[ \t]*$)\S/m.test(
    members.split(/^[^\s#-]/m)[0] ?? '',
  );
  const document = asTable(parsePackageJson(packageJson).value) ?? {};
  requirePlainWorkspaces(document['workspaces'], join(project, 'package.json'));
  if (before === undefined && (hasWorkspaces || document['workspaces'] !== undefined)) {
    throw new CliError('BP9005', 'workspaces without a lockfile: which folders are meant?', {
      hints: [`make the lockfile first: bftpkg proxy -- ${manager.name} install`],
    });
  }
  // Patterns such as `.*` mean the private folder too, which is nobody's package.
  const all = await ownFolders(manager, project, document, before);
  const [privateName] = relative(project, staging.folder).split(sep);
  const locals = all.filter((folder) => folder.split('/')[0] !== privateName);
  await staging.mirrorLocals(
    project,
    locals.filter((folder) => folder !== ''),
  );
  // Berry asks each member for workspaces of its own.
  for (const folder of locals) {
    const text = await readTextIfThere(join(staging.folder, folder, 'package.json'));
    const member = asTable(text === undefined ? undefined : parsePackageJson(text).value);
    requirePlainWorkspaces(member?.['workspaces'], join(project, folder, 'package.json'));
  }
  files.set('package.json', withoutScripts(packageJson));
  if (lockText !== undefined) {
    files.set(manager.lockfile, toProxy(manager.kind, lockText, registry));
  } else if (manager.name === 'yarn') {
    // Without one it would take a folder above for the project.
    files.set(manager.lockfile, '');
  }
  for (const [name, text] of files) {
    await mkdir(dirname(join(staging.folder, name)), { recursive: true });
    await writeFile(join(staging.folder, name), text);
  }
  return { rcName: settings.rcName, own: locals };
}

async function runManager(
  { invocation: { context }, manager, task }: Job,
  folder: string,
  { server }: Proxy,
  { stores, rcName }: { readonly stores: string; readonly rcName: string },
): Promise<ChildResult> {
  const variables = await managerVariables(server, stores);
  const home = join(stores, 'home');
  await mkdir(home);
  return await runChild(manager.name, wordsFor(manager, task), {
    cwd: folder,
    context,
    // CI: managers ask nothing then.
    env: { ...variables, HOME: home, CI: '1', YARN_RC_FILENAME: rcName },
  });
}

// The lockfile that came out is a wish like any other: its names and digests are verified before anything
// of it is moved.
async function takeOver(
  job: Job & Pick<Prepared, 'own'>,
  before: Lockfile | undefined,
  staging: Staging,
  proxy: Proxy,
): Promise<Report> {
  const { manager, project, task, packageJson, lockText } = job;
  const { registry } = proxy.server;
  const notes = proxy.ledger.diagnostics(true);
  const written = await readFile(join(staging.folder, manager.lockfile), 'utf8').catch(() => '');
  const files = new Map<string, string>();
  let lockfile = before;
  if (task.kind !== 'frozen') {
    const home = await registryHome(job, lockText);
    const text = fromProxy(manager.kind, written, lockText, { registry, home });
    if (text.includes(registry)) throw new Error('a lockfile still names the proxy');
    files.set(manager.lockfile, text);
    lockfile = parseLockfile(Buffer.from(text), join(staging.folder, manager.lockfile));
    if (task.kind === 'add') {
      const staged = await readFile(join(staging.folder, 'package.json'), 'utf8');
      files.set('package.json', withDependencies(packageJson, staged));
    }
  }
  if (lockfile === undefined) throw new Error('an installation has a lockfile');
  const report = await judgeThroughProxy(job, lockfile, proxy, isNewSince(before));
  // What was noted decides as well, and before anything is changed.
  const noted = withDiagnostics(report, notes);
  if (noted.exit.code !== 0) return noted;
  await requireInstalled(manager.name, staging.folder, job.own, lockfile);
  await forgetRegistry(staging.folder, registry);
  await staging.commit(project, files, stateFolder(job.invocation.context.env));
  const installed = {
    packages: proxy.ledger.subjects(true).length,
    allowed: proxy.ledger.subjects(true).filter(isAllowed).length,
    folder: join(project, 'node_modules'),
    scripts: { ran: [], skipped: [], failed: [] },
  };
  const { verification } = report;
  if (verification === null) return noted;
  const done = verificationReport('install', { ...verification, folder: project, installed });
  return withDiagnostics(done, [...report.diagnostics, ...notes]);
}

// Where new entries of a Yarn Classic lockfile say that they come from.
async function registryHome(
  { invocation, manager, project }: Job,
  lockText: string | undefined,
): Promise<string> {
  if (manager.kind !== 'yarn-classic') return '';
  const [, first] = /^ {2}resolved "(https?:\/\/[^/"\s]+\/)/m.exec(lockText ?? '') ?? [];
  if (first !== undefined) return first;
  return (await readRegistries(invocation.context, project, undefined)).registryOf('');
}

// The project's own package.json with the dependencies of the staged one: everything else stays as it is
// written, scripts above all.
function withDependencies(packageJson: string, staged: string): string {
  const [own, made] = [packageJson, staged].map(
    (text) => parsePackageJson(text).value as Readonly<Record<string, unknown>>,
  );
  let text = packageJson;
  for (const field of DEPENDENCY_FIELDS) {
    const [then, now] = [own?.[field], made?.[field]];
    if (JSON.stringify(then) !== JSON.stringify(now)) text = editJson(text, [field], now);
  }
  return text;
}

async function explain(
  { session, manager }: Job,
  { ledger, registry }: Proxy,
  result: ChildResult,
): Promise<Report> {
  const refused = ledger.subjects(false).filter(({ verdict }) => verdict !== 'verified');
  const own = ledger.diagnostics(false);
  const said = [...own, ...refused.flatMap(({ diagnostics }) => diagnostics)];
  const failure = failed(manager, result);
  const problems = isSaidAlready(failure, said) ? own : [...own, failure];
  const { latest } = registry.verdicts;
  if (latest === undefined || refused.length === 0) return failureReport('install', problems);
  const verification = reportVerification(session, latest, `${manager.name} install`, refused);
  return withDiagnostics(verificationReport('install', verification), problems);
}

function failed({ name }: Manager, { code, stdout, stderr }: ChildResult): Diagnostic {
  const lines = `${stdout}\n${stderr}`.split('\n').filter((line) => line.trim() !== '');
  const marked = lines.filter((line) => /err|fail|refus|YN00\d\d: .*✖|➤ YN/i.test(line));
  const shown = (marked.length > 0 ? marked : lines).slice(0, FAILURE_LINES_MAX);
  const how = code === null ? 'was killed' : `ended with ${code}`;
  return diagnostic('BP7004', `${name} ${how}`, {
    details: shown.map((line) => [name, line.trim()] as const),
  });
}
