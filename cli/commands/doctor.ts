// `bftpkg doctor`: everything that commonly goes wrong, looked at in one go; each finding says what to do.
import { constants } from 'node:fs';
import { access as checkAccess, lstat, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

import {
  describeParted,
  forkAmong,
  isQuorum,
  openViews,
  partedRosters,
  sizeOf,
  type Views,
} from '../audit/compare-views.ts';
import { withAccess, type Access } from '../audit/access.ts';
import { isNotReady, ReplicaClient } from '../client/replica.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { Invocation } from '../context.ts';
import { CliError, systemCode } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { systemReason } from '../system-reasons.ts';
import { keysFolder } from '../keys/folder.ts';
import { listKeys } from '../keys/key-file.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { DiagnosticCode } from '../output/codes.ts';
import { wantsColor, wantsUnicode } from '../output/color.ts';
import { describeFailure, EMPTY_LOG_HINT, isOtherLog, OTHER_LOG_HINT } from '../output/diagnose.ts';
import { formatAge } from '../output/human.ts';
import { diagnostic, doneReport, failureReport, type Report } from '../output/report.ts';
import {
  CLOCK_AGREES_SECONDS,
  describeClock,
  describeDifference,
  judgeClock,
  type ClockVerdict,
} from '../session/clock.ts';
import { keepForkEvidence } from '../session/fork-file.ts';
import { loadConfig, type Config } from '../trust/config.ts';
import { cacheFolder, stateFolder } from '../trust/folders.ts';
import { TrustStore } from '../trust/trust-store.ts';

/** One thing that was looked at. */
export interface Check {
  readonly name: string;
  readonly status: 'pass' | 'warn' | 'fail';
  readonly text: string;
  /** What to do about it. */
  readonly fix?: string;
  /** Decides the exit code of a failure. */
  readonly code?: DiagnosticCode;
}

const NODE_MIN = [20, 19] as const;
// End of life of each line of Node, from its release schedule.
const NODE_END: ReadonlyMap<number, string> = new Map([
  [20, '2026-04-30'],
  [22, '2027-04-30'],
  [24, '2028-04-30'],
]);
// Slower than this, other replicas are asked as well.
const SLOW_MS = 1_500;
const OTHERS = 0o077;
const WORLD_WRITABLE = 0o002;
const NPMRC_BYTES_MAX = 1024 * 1024;
const KEY_FILES_MAX = 1_000;

/** `doctor`. Exit 0 with warnings; the worst failure decides otherwise. */
export async function doctor(invocation: Invocation): Promise<Report> {
  const checks: Check[] = [checkNode(invocation)];
  const config = await checkConfig(invocation, checks);
  checks.push(
    ...(await Promise.all([
      checkFolder('cache folder', cacheFolder(invocation.context.env)),
      checkFolder('state folder', stateFolder(invocation.context.env)),
      checkLockfile(invocation),
    ])),
    ...(await checkKeys(invocation)),
    ...(await checkNpmSettings(invocation)),
    ...checkProxy(invocation),
    checkTerminal(invocation),
  );
  if (config !== undefined) {
    checks.push(await checkTrust(invocation, config));
    if (!invocation.globals.offline) {
      checks.push(
        ...(await withAccess(invocation, undefined, {}, (access) => checkLog(invocation, access))),
      );
    }
  }
  return reportOf(checks);
}

function reportOf(checks: readonly Check[]): Report {
  const marks = { pass: '✔', warn: '!', fail: '✖' } as const;
  const width = Math.max(...checks.map(({ name }) => name.length));
  const result = {
    data: { checks: checks.map((check) => ({ ...check })) },
    lines: checks.flatMap(({ name, status, text, fix }) => [
      `${marks[status]} ${name.padEnd(width)}  ${text}`,
      ...(fix === undefined || status === 'pass' ? [] : [`  ${' '.repeat(width)}  → ${fix}`]),
    ]),
  };
  const failed = checks.filter(({ status }) => status === 'fail');
  if (failed.length === 0) return doneReport('doctor', result);
  const found = failed.map(({ name, text, fix, code }) =>
    diagnostic(code ?? 'BP9004', `${name}: ${text}`, { hints: fix === undefined ? [] : [fix] }),
  );
  return { ...failureReport('doctor', found), result };
}

function checkNode({ context }: Invocation): Check {
  const name = 'Node.js';
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [majorMin, minorMin] = NODE_MIN;
  if (major < majorMin || (major === majorMin && minor < minorMin)) {
    const text = `${process.versions.node}, ${majorMin}.${minorMin} or later is needed`;
    return { name, status: 'fail', text, fix: 'install a newer Node.js' };
  }
  const end = NODE_END.get(major);
  if (end !== undefined && context.nowMs() > Date.parse(end)) {
    const text = `${process.versions.node}, without security fixes since ${end}`;
    return { name, status: 'warn', text, fix: 'install a newer Node.js' };
  }
  return { name, status: 'pass', text: process.versions.node };
}

async function checkConfig(
  { context, globals }: Invocation,
  checks: Check[],
): Promise<Config | undefined> {
  const name = 'configuration';
  try {
    const config = await loadConfig(context, globals);
    const text = `${config.path}, pin ${config.pin.slice(0, 16)}…`;
    checks.push({ name, status: 'pass', text });
    return config;
  } catch (error) {
    checks.push(failed(name, error));
    return undefined;
  }
}

function failed(name: string, error: unknown): Check {
  if (!(error instanceof CliError)) throw error;
  const { code, message, hints } = error.diagnostic;
  const [fix] = hints;
  return { name, status: 'fail', text: message, code, ...(fix === undefined ? {} : { fix }) };
}

async function checkTrust(invocation: Invocation, { pin }: Config): Promise<Check> {
  const name = 'trust state';
  try {
    const state = await new TrustStore(stateFolder(invocation.context.env), pin).read();
    if (state === undefined) {
      return { name, status: 'pass', text: 'none yet: the next contact is the first one' };
    }
    return { name, status: 'pass', text: `size ${state.size}, epoch ${state.epoch}` };
  } catch (error) {
    return failed(name, error);
  }
}

async function checkFolder(name: string, path: string): Promise<Check> {
  try {
    const facts = await lstat(path);
    if ((facts.mode & WORLD_WRITABLE) !== 0) {
      const text = `${path}: everybody can write to it`;
      return { name, status: 'fail', text, fix: `chmod 700 ${path}` };
    }
    await checkAccess(path, constants.W_OK);
    return { name, status: 'pass', text: path };
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT') return { name, status: 'pass', text: `${path}, not made yet` };
    const text = `${path}: ${code ?? 'cannot be used'}`;
    return { name, status: 'fail', text, fix: 'make it writable for you' };
  }
}

async function checkKeys({ context }: Invocation): Promise<readonly Check[]> {
  const name = 'signing keys';
  const folder = keysFolder(context);
  let files: readonly string[];
  try {
    files = (await readdir(folder)).slice(0, KEY_FILES_MAX);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    const text = `${folder}: ${systemReason(error, 'cannot be read')}`;
    return [{ name, status: 'fail', text, code: 'BP8001' }];
  }
  const open: string[] = [];
  for (const file of files) {
    const facts = await lstat(join(folder, file));
    if (facts.isFile() && (facts.mode & OTHERS) !== 0) open.push(file);
  }
  if (open.length === 0) return [await checkLocks(name, folder)];
  const text = `others can read ${open.join(', ')} in ${folder}`;
  const fix = `chmod 600 ${folder}/*; if others use this machine, make new keys`;
  return [{ name, status: 'fail', text, fix, code: 'BP8001' }];
}

// Permissions protect a key from other users of this machine, not from whoever gets a copy of the disk.
async function checkLocks(name: string, folder: string): Promise<Check> {
  try {
    const keys = await listKeys(folder);
    const bare = keys.filter(({ secret }) => secret.kind === 'plain').map((key) => key.name);
    if (bare.length === 0) return { name, status: 'pass', text: `${keys.length} in ${folder}` };
    const text = `without a passphrase: ${bare.join(', ')} in ${folder}`;
    return { name, status: 'warn', text, fix: `bftpkg key passwd ${bare[0] ?? '<key>'}` };
  } catch (error) {
    return failed(name, error);
  }
}

const WEAK_SETTINGS: readonly (readonly [RegExp, string])[] = [
  [/^\s*strict-ssl\s*=\s*false/m, 'strict-ssl=false lets anybody on the way answer for a registry'],
  [/^\s*ignore-scripts\s*=\s*false/m, 'ignore-scripts=false runs scripts of packages on install'],
  [/^\s*registry\s*=\s*http:/m, 'registry=http:// sends everything in the clear'],
];

async function checkNpmSettings({ context, globals }: Invocation): Promise<readonly Check[]> {
  const home = context.env['HOME'] || homedir();
  const checks: Check[] = [];
  for (const path of new Set([join(globals.project, '.npmrc'), join(home, '.npmrc')])) {
    const text = await readSmall(path);
    for (const [pattern, what] of WEAK_SETTINGS) {
      if (!pattern.test(text)) continue;
      const fix = `remove it from ${path}`;
      checks.push({ name: 'npm settings', status: 'warn', text: `${path}: ${what}`, fix });
    }
  }
  return checks.length > 0
    ? checks
    : [{ name: 'npm settings', status: 'pass', text: 'nothing weak' }];
}

async function readSmall(path: string): Promise<string> {
  try {
    return (await readTextIfThere(path, NPMRC_BYTES_MAX)) ?? '';
  } catch {
    // None, or not ours to read: nothing to say about it.
    return '';
  }
}

function checkProxy({ context }: Invocation): readonly Check[] {
  const set = ['HTTPS_PROXY', 'HTTP_PROXY', 'https_proxy', 'http_proxy'].filter(
    (name) => (context.env[name] ?? '') !== '',
  );
  if (set.length === 0) return [];
  const text = `${set.join(', ')} is set, and bftpkg connects to replicas directly`;
  return [{ name: 'proxy', status: 'warn', text, fix: 'let the replicas’ addresses through' }];
}

function checkTerminal({ context, globals }: Invocation): Check {
  const { env, terminal } = context;
  const isTty = terminal.outIsTty;
  const color = wantsColor({ flag: globals.color, format: globals.format, env, isTty });
  const text = `${isTty ? 'a terminal' : 'no terminal'}, ${color ? 'colour' : 'no colour'}, ${
    wantsUnicode(env) ? 'UTF-8' : 'ASCII'
  }`;
  return { name: 'output', status: 'pass', text };
}

async function checkLockfile({ globals }: Invocation): Promise<Check> {
  const name = 'lockfile';
  try {
    const lockfile = await loadLockfile(globals.project);
    const text = `${lockfile.path} (${lockfile.label}), ${lockfile.entries.length} packages`;
    return { name, status: 'pass', text };
  } catch (error) {
    // A folder without one is no mistake: releases can be verified by name.
    return { ...failed(name, error), status: 'warn' };
  }
}

interface Glance {
  readonly latencyMs: number;
  /** How far this clock is ahead of the replica's, seconds. */
  readonly aheadSeconds: number | undefined;
}

async function checkLog(invocation: Invocation, access: Access): Promise<readonly Check[]> {
  const { context } = invocation;
  const nowSeconds = Math.floor(context.nowMs() / 1000);
  const glances = new Map<string, Glance>();
  await Promise.all(
    access.replicas.map(async (replica) => {
      const start = performance.now();
      try {
        const { dateSeconds } = await replica.glance(context.signal);
        glances.set(replica.url, {
          latencyMs: Math.round(performance.now() - start),
          aheadSeconds: dateSeconds === undefined ? undefined : nowSeconds - dateSeconds,
        });
      } catch {
        // What is wrong with it is said when its view is opened.
        return;
      }
    }),
  );
  const { replicas, pin, verifier, http } = access;
  // As verifying does.
  const member = (url: string): ReplicaClient => new ReplicaClient(url, http);
  const views = await openViews(replicas, pin, verifier, context.signal, member);
  const fork = forkAmong(views.views);
  if (fork !== undefined) throw await keepForkEvidence(fork, context.cwd);
  const parted = partedRosters(views.views);
  if (parted !== undefined) throw new CliError('BP4003', describeParted(parted));
  if (views.views.length === 0 && views.failures.every(({ error }) => isNotReady(error))) {
    return [emptyLogCheck(access)];
  }
  const ahead = [...glances.values()].flatMap(({ aheadSeconds }) => aheadSeconds ?? []);
  const clock = judgeClock(ahead, access.replicas.length);
  return [
    ...replicaChecks(access, views, glances),
    quorumCheck(views),
    clockCheck(clock, access.checkpointAgeMaxSeconds),
    ...freshnessChecks(views, clock, access.checkpointAgeMaxSeconds, nowSeconds),
  ];
}

// A log shows its first checkpoint with its first entry. That is no fault of anybody's connection.
function emptyLogCheck({ replicas }: Access): Check {
  const text = `${replicas.length} of ${replicas.length} replicas answer; the log has no entry yet`;
  return { name: 'log', status: 'warn', text, fix: EMPTY_LOG_HINT };
}

function replicaChecks(
  access: Access,
  { views, failures, newest }: Views,
  glances: ReadonlyMap<string, Glance>,
): readonly Check[] {
  return access.replicas.map(({ url }): Check => {
    const name = `replica ${url}`;
    const view = views.find((each) => each.url === url);
    const left = newest === undefined ? undefined : whoLeft(url, newest.roster, access);
    if (view === undefined || newest === undefined) {
      const failure = failures.find((each) => each.url === url);
      const text = failure === undefined ? 'no answer' : describeFailure(failure.error);
      const isOther = failure !== undefined && isOtherLog(failure.error);
      const otherwise = isOther ? OTHER_LOG_HINT : 'the others are enough while a quorum answers';
      const fix = left?.fix ?? otherwise;
      return { name, status: 'warn', text: `${text}${left?.text ?? ''}`, fix };
    }
    const latencyMs = glances.get(url)?.latencyMs ?? 0;
    const behind = sizeOf(newest) - sizeOf(view);
    const lag = behind === 0 ? '' : `, ${behind} entries behind`;
    const text = `${latencyMs} ms, size ${sizeOf(view)}${lag}, epoch ${view.roster.epoch}`;
    if (left !== undefined) {
      return { name, status: 'warn', text: `${text}${left.text}`, fix: left.fix };
    }
    return { name, status: latencyMs > SLOW_MS ? 'warn' : 'pass', text };
  });
}

// A replica that has left may go on serving the log for a while. Who names no other one loses it with the last of them.
function whoLeft(
  url: string,
  { epoch, replicas }: Roster,
  access: Access,
): { readonly text: string; readonly fix: string } | undefined {
  const members = replicas.map((replica) => replica.url);
  if (members.includes(url)) return undefined;
  const named = new Set(access.replicas.map((replica) => replica.url));
  const others = members.filter((each) => !named.has(each));
  const fix =
    others.length === 0
      ? 'take it out of the configuration'
      : `name replicas that are in it: ${others.join(' ')}`;
  return { text: `, not in the roster of epoch ${epoch}`, fix };
}

function quorumCheck(views: Views): Check {
  const name = 'quorum';
  const { newest } = views;
  const count = `${views.views.length} replicas gave a valid view`;
  if (newest !== undefined && isQuorum(views)) {
    const { origin } = newest.checkpoint.checkpoint;
    return { name, status: 'pass', text: `${count} of ${origin}` };
  }
  const { failures } = views;
  const isOther = failures.length > 0 && failures.every(({ error }) => isOtherLog(error));
  const fix = isOther
    ? OTHER_LOG_HINT
    : 'try another network, or use bundles: bftpkg verify --bundle <file>';
  return { name, status: 'fail', text: `only ${count}`, fix, code: 'BP7001' };
}

function clockCheck(clock: ClockVerdict, ageMaxSeconds: number): Check {
  const name = 'clock';
  switch (clock.kind) {
    case 'unknown':
      return { name, status: 'warn', text: 'too few replicas answered to compare it with' };
    case 'agrees':
      return {
        name,
        status: 'pass',
        text: `within ${CLOCK_AGREES_SECONDS}s of ${clock.clocks} replicas`,
      };
    case 'differs': {
      const isFatal = Math.abs(clock.aheadSeconds) > ageMaxSeconds;
      const text = describeDifference(clock);
      const fix = 'set the clock, and let NTP keep it';
      return { name, status: isFatal ? 'fail' : 'warn', text, fix, code: 'BP4007' };
    }
  }
}

function freshnessChecks(
  { newest }: Views,
  clock: ClockVerdict,
  ageMaxSeconds: number,
  nowSeconds: number,
): readonly Check[] {
  if (newest === undefined) return [];
  const age = nowSeconds - newest.checkpoint.certifiedTime;
  const name = 'freshness';
  const text = `the newest checkpoint is ${formatAge(age)} old, limit ${formatAge(ageMaxSeconds)}`;
  if (age <= ageMaxSeconds) return [{ name, status: 'pass', text }];
  return [{ name, status: 'fail', text, fix: describeClock(clock), code: 'BP4001' }];
}
