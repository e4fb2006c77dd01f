// `bftpkg proxy`: a registry of verified packages on loopback, for any package manager; for one command,
// or until it is stopped.
import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { cannotStart } from '../system-reasons.ts';
import { fromProxy } from '../managers/lock-addresses.ts';
import { forgetRegistry } from '../managers/memory.ts';
import type { ManagerKind } from '../managers/manager.ts';
import { requireTriedPlatform } from '../npm/platforms.ts';
import { readRegistries } from '../npm/registries.ts';
import {
  diagnostic,
  doneReport,
  verificationReport,
  withDiagnostics,
  type Diagnostic,
  type Report,
} from '../output/report.ts';
import { describeFailure } from '../output/diagnose.ts';
import { printable } from '../output/sanitize.ts';
import { applyPolicy } from '../policy/apply.ts';
import { NOBODY_ASKED } from '../policy/predecessor.ts';
import { keptVariables, managerVariables } from '../proxy/manager-environment.ts';
import { findLocalArchives, reportArchives, type LocalArchive } from '../proxy/local-archives.ts';
import { checkProjectSettings } from '../proxy/project-settings.ts';
import { openProxy, type Proxy } from '../proxy/proxy.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { reportVerification } from '../session/report-subject.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';

const PORT_MAX = 65_535;

/** Options of `proxy`. */
export interface ProxyOptions {
  readonly port?: string;
  readonly printEnv?: boolean;
  /** Default registry for what a policy allows without the log. */
  readonly upstream?: string;
  /** Folder for caches and stores, which is kept. */
  readonly stores?: string;
}

/** Runs one command inside, or serves until it is told to stop. */
export async function proxy(
  invocation: Invocation,
  command: readonly string[],
  options: ProxyOptions,
): Promise<Report> {
  requireTriedPlatform('bftpkg proxy');
  const port = readPort(options.port);
  const { upstream } = options;
  const { project } = invocation.globals;
  const settings = await checkProjectSettings(project);
  for (const note of settings.notes) invocation.notice(note);
  const { stores } = options;
  const folder =
    stores === undefined
      ? await mkdtemp(join(tmpdir(), 'bftpkg-proxy-'))
      : resolve(invocation.context.cwd, stores);
  try {
    return await withSession(invocation, {}, async (session) => {
      requireNoArchives(invocation, session, await findLocalArchives(project, command));
      const proxy = await openProxy(invocation, session, { port, upstream });
      try {
        const variables = await managerVariables(proxy.server, folder, settings.scopes, command[0]);
        if (command.length > 0) {
          const locks = await readLocks(invocation.globals.project);
          const ended = await runInside(invocation, command, variables);
          await restoreAddresses(invocation, proxy, locks, upstream);
          await forgetRegistry(invocation.globals.project, proxy.server.registry);
          return reportOn(proxy, command, ended);
        }
        announce(invocation, proxy, variables, options.printEnv === true);
        await stopped(invocation.context.signal);
        return reportOn(proxy, [], { code: 0, signal: null });
      } finally {
        await proxy.server.close();
      }
    });
  } finally {
    if (stores === undefined) await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

// Unless a policy lets them pass: an exception, or the baseline, for BP6006.
function requireNoArchives(
  { context }: Invocation,
  session: LogSession,
  found: readonly LocalArchive[],
): void {
  const { subjects } = applyPolicy({
    policy: session.config.policy,
    subjects: reportArchives(found),
    evidence: undefined,
    known: NOBODY_ASKED,
    lockText: undefined,
    isNew: () => true,
    nowMs: context.nowMs(),
    isWhole: false,
  });
  const refused = subjects.find(({ verdict }) => verdict === 'rejected');
  const [problem] = refused?.diagnostics ?? [];
  if (problem === undefined) return;
  throw new CliError(problem.code, problem.message, {
    details: problem.details,
    hints: [
      'package managers unpack it without asking the proxy; depend on a released version, or allow it by name: bftpkg policy except add',
    ],
  });
}

function readPort(text: string | undefined): number {
  if (text === undefined) return 0;
  const port = /^(?:0|[1-9][0-9]{0,4})$/.test(text) ? Number(text) : Number.NaN;
  if (port <= PORT_MAX) return port;
  throw usageError(`--port: not a port: ${text}`);
}

function announce(
  invocation: Invocation,
  { server }: Proxy,
  variables: Readonly<Record<string, string>>,
  isWithVariables: boolean,
): void {
  if (isWithVariables) {
    for (const [name, value] of Object.entries(variables)) {
      invocation.context.terminal.writeOut(`export ${name}='${value}'\n`);
    }
  }
  invocation.notice(`registry of verified packages: ${server.registry}`);
  invocation.notice(`anything else is refused by the proxy: ${server.forward}`);
}

async function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return;
  await new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * Runs the command with its input and output. What it writes to stdout goes to stderr: stdout is for the
 * report alone, so that `--json` stays a document.
 */
async function runInside(
  { context, globals }: Invocation,
  command: readonly string[],
  variables: Readonly<Record<string, string>>,
): Promise<Ended> {
  const [program = '', ...args] = command;
  return await new Promise((resolve, reject) => {
    const isShown = context.terminal.errIsTty;
    const child = spawn(program, args, {
      cwd: globals.project,
      env: { ...keptVariables(context.env), ...variables },
      // A terminal is handed on as it is, for colours and questions.
      stdio: isShown ? ['inherit', 2, 2] : ['ignore', 'pipe', 'pipe'],
      // Package managers are scripts on Windows and can only be started through its shell there.
      shell: process.platform === 'win32',
    });
    child.stdout?.setEncoding('utf8').on('data', context.terminal.writeErr);
    child.stderr?.setEncoding('utf8').on('data', context.terminal.writeErr);
    const stop = (): void => void child.kill('SIGTERM');
    if (context.signal.aborted) stop();
    context.signal.addEventListener('abort', stop, { once: true });
    child.on('error', (error) => {
      context.signal.removeEventListener('abort', stop);
      reject(cannotStart(program, error));
    });
    child.on('close', (code, signal) => {
      context.signal.removeEventListener('abort', stop);
      resolve({ code, signal });
    });
  });
}

/**
 * Lockfiles, and whose. Yarn Classic and bun always write where they fetched from, the others when a flag of
 * the command says so.
 */
const LOCKS: ReadonlyMap<string, ManagerKind> = new Map([
  ['yarn.lock', 'yarn-classic'],
  ['bun.lock', 'bun'],
  ['pnpm-lock.yaml', 'pnpm'],
  ['package-lock.json', 'pnpm'],
  ['npm-shrinkwrap.json', 'pnpm'],
]);

async function readLocks(project: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  for (const name of LOCKS.keys()) {
    const text = await readTextIfThere(join(project, name));
    if (text !== undefined) found.set(name, text);
  }
  return found;
}

// An address of this proxy is worth nothing tomorrow, and has a secret in it.
async function restoreAddresses(
  { context, globals: { project } }: Invocation,
  { server: { registry } }: Proxy,
  before: ReadonlyMap<string, string>,
  upstream: string | undefined,
): Promise<void> {
  const now = await readLocks(project);
  for (const [name, kind] of LOCKS) {
    const text = now.get(name);
    if (text?.includes(registry) !== true) continue;
    const home = (await readRegistries(context, project, upstream)).registryOf('');
    const path = join(project, name);
    const { mode } = await stat(path);
    const restored = fromProxy(kind, text, before.get(name), { registry, home });
    await replaceFile(path, restored.replaceAll(registry, home), mode & 0o777);
  }
}

function reportOn(proxy: Proxy, command: readonly string[], ended: Ended): Report {
  const { ledger, registry, session } = proxy;
  const hasSucceeded = ended.code === 0;
  const diagnostics = ledger.diagnostics(hasSucceeded);
  const subjects = ledger.subjects(hasSucceeded);
  const { latest } = registry.verdicts;
  const failed = hasSucceeded ? [] : [commandFailed(command, ended)];
  if (latest === undefined || subjects.length === 0) {
    const line = 'nothing was fetched';
    const done = doneReport('proxy', { data: { fetched: 0 }, lines: [line] });
    const unseen = hasSucceeded && isInstallation(command) ? [nothingSeen(command)] : [];
    return withDiagnostics(done, [...diagnostics, ...failed, ...unseen]);
  }
  const source = command.length === 0 ? 'proxy' : `proxy -- ${printable(command.join(' '), 80)}`;
  const verification = reportVerification(session, latest, source, subjects);
  const liars = registry.failures.map(({ url, error }) => {
    return { url, problem: describeFailure(error) };
  });
  const replicas = [...verification.replicas, ...liars];
  const report = verificationReport('proxy', { ...verification, replicas }, { diagnostics });
  return withDiagnostics(report, failed);
}

const MANAGERS: ReadonlySet<string> = new Set(['npm', 'pnpm', 'yarn', 'bun']);
const INSTALLING: ReadonlySet<string> = new Set([
  'install',
  'i',
  'ci',
  'add',
  'update',
  'up',
  'upgrade',
  'clean-install',
  'install-test',
]);

// Yarn without a word installs as well.
function isInstallation([program = '', ...words]: readonly string[]): boolean {
  const name = basename(program).replace(/\.(?:cmd|exe)$/i, '');
  const verb = words.find((word) => !word.startsWith('-'));
  const isBare = name === 'yarn' && words.length === 0;
  return MANAGERS.has(name) && (isBare || (verb !== undefined && INSTALLING.has(verb)));
}

// node_modules that a repository brings along is taken by managers for what they have installed themselves.
function nothingSeen([program = '']: readonly string[]): Diagnostic {
  return diagnostic('BP6016', `${basename(program)} asked the proxy for nothing`, {
    severity: 'warning',
    hints: ['what is in node_modules was there before: bftpkg verify --installed'],
  });
}

function commandFailed(command: readonly string[], { code, signal }: Ended): Diagnostic {
  const [program = ''] = command;
  const how = code === null ? `was ended by ${signal ?? 'a signal'}` : `ended with ${code}`;
  return diagnostic('BP7004', `${program} ${how}`);
}
