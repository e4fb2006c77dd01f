// `bftpkg init`: writes bftpkg.json, and a baseline where today's lockfile needs one. What is to be
// written is tried first in a folder of its own and shown as a diff; then it is written.
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { statementHash } from '../../verifier/dsse.ts';
import type { Roster } from '../../verifier/roster.ts';
import { HttpClient } from '../client/http.ts';
import { ReplicaClient } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { CliError, UnreachableError, usageError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { findLockfile } from '../lockfiles/load.ts';
import { doneReport, type Report } from '../output/report.ts';
import { BASELINE_NAME, formatBaseline, parseBaseline } from '../policy/baseline.ts';
import { CONFIG_FORMAT, readReplicaUrl, type ConfigFile } from '../policy/config-file.ts';
import { diffLines, shorten } from '../policy/edit.ts';
import { withSession } from '../session/log-session.ts';
import { findNeeds } from '../session/policy-needs.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { CONFIG_NAME, readUserFile } from '../trust/config.ts';
import { planPipeline, type PlannedFile } from './init-pipeline.ts';

/** Flags; each question has one. */
export interface InitOptions {
  readonly pin?: string;
  readonly replica: readonly string[];
  readonly template?: string;
  readonly ci?: string;
  readonly dryRun?: boolean;
  readonly yes?: boolean;
  readonly force?: boolean;
}

// What a project should begin with: neither costs an honest package anything.
const RULES = [
  { packages: ['*'], signersNotFewer: true, installScripts: 'no-new-in-patch' },
] as const;

/** `init`. */
export async function init(
  invocation: Invocation,
  options: InitOptions,
  version: string,
): Promise<Report> {
  const { globals } = invocation;
  const path = join(globals.project, CONFIG_NAME);
  const before = await readTextIfThere(path);
  if (before !== undefined && options.force !== true) {
    throw new CliError('BP9003', `${path}: there is one already`, {
      hints: ['bftpkg policy show', 'or, to write a new one: --force'],
    });
  }
  const user = await readUserFile(invocation.context);
  const asked = readReplicas(options, user);
  const pin = await choosePin(invocation, options, user, asked);
  const trial = await mkdtemp(join(tmpdir(), 'bftpkg-init-'));
  try {
    const trying = { ...invocation, globals: { ...globals, config: join(trial, CONFIG_NAME) } };
    // The roster names all replicas, so one address is enough to begin with.
    await replaceFile(trying.globals.config, configText(pin, asked, undefined));
    const roster = await withSession(trying, {}, async (session) => await session.roster());
    const replicas = roster.replicas.map(({ url }) => url.replace(/\/$/, ''));
    await replaceFile(trying.globals.config, configText(pin, replicas, undefined));
    const lockfile = await findLockfileIfAny(globals.project);
    const today = lockfile === undefined ? undefined : await lookAtToday(trying, lockfile);

    const needsBaseline = today !== undefined && today.baseline.count > 0;
    const template = options.template ?? (needsBaseline ? 'baseline' : 'strict');
    const withBaseline = template === 'baseline' && today !== undefined;
    const files: PlannedFile[] = [
      { path, before, after: configText(pin, replicas, withBaseline ? BASELINE_NAME : undefined) },
    ];
    if (withBaseline) {
      const baseline = join(globals.project, BASELINE_NAME);
      // In front: a configuration must not name what isn't there yet.
      files.unshift({
        path: baseline,
        before: await readTextIfThere(baseline),
        after: today.baseline.text,
      });
    }
    const pipeline = await planPipeline(globals.project, options.ci, version, readTextIfThere);
    files.push(...pipeline.files);
    const lines = [
      ...describeLog(pin, roster),
      ...describeToday(today, template),
      ...files.flatMap((file) => shorten(diffLines(file.path, file.before, file.after))),
    ];
    const isWritten = await write(invocation, options, files, lines);
    const outcome = isWritten
      ? [
          ...files.map((file) => `${file.path} written`),
          ...pipeline.next.map((step) => `next: ${step}`),
          `next: ${lockfile === undefined ? 'bftpkg install, which makes a lockfile' : 'bftpkg verify'}`,
        ]
      : ['nothing was written'];
    return doneReport('init', {
      data: {
        files: files.map((file) => file.path),
        written: isWritten,
        pin,
        origin: roster.origin,
        replicas,
        template,
        verified: today?.verified ?? null,
        baseline: withBaseline ? today.baseline.count : null,
        refused: today === undefined ? null : today.refused(withBaseline),
      },
      lines: [...lines, ...outcome],
    });
  } finally {
    await rm(trial, { recursive: true, force: true });
  }
}

function readReplicas({ replica }: InitOptions, user: ConfigFile | undefined): readonly string[] {
  const given = replica.length > 0 ? replica : (user?.replicas ?? []);
  if (given.length === 0) {
    throw usageError('no replica to ask', 'bftpkg init --replica https://… --pin <roster hash>');
  }
  try {
    return [...new Set(given.map((url) => readReplicaUrl(url, '--replica')))];
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error));
  }
}

// The one decision that everything rests on. Never taken from a server without a person's word.
async function choosePin(
  invocation: Invocation,
  { pin }: InitOptions,
  user: ConfigFile | undefined,
  replicas: readonly string[],
): Promise<string> {
  const given = pin ?? user?.pin;
  if (given !== undefined) {
    if (/^[0-9a-f]{64}$/.test(given)) return given;
    throw usageError('--pin is not the hash of a roster: 64 characters of lower-case hexadecimal');
  }
  const claimed = await askFirstRoster(invocation, replicas);
  const { terminal } = invocation.context;
  const hint = `compare it with what the operators publish, then: bftpkg init --pin ${claimed}`;
  if (!invocation.globals.input || terminal.ask === undefined) {
    throw new CliError('BP8002', `the replicas say that their first roster is ${claimed}`, {
      hints: [hint],
    });
  }
  terminal.writeErr(
    `The replicas say that their first roster is\n\n  ${claimed}\n\n` +
      'Compare it with what the operators publish elsewhere. Whoever chooses it chooses whom you believe.\n',
  );
  const answer = await terminal.ask('Type its first eight characters to believe it: ');
  if (answer.trim() === claimed.slice(0, 8)) return claimed;
  throw new CliError('BP8002', 'the roster was not confirmed', { hints: [hint] });
}

async function askFirstRoster(
  { context, globals }: Invocation,
  replicas: readonly string[],
): Promise<string> {
  const http = new HttpClient(globals);
  try {
    const answers = await Promise.allSettled(
      replicas.map(async (url) => {
        const [first] = await new ReplicaClient(url, http).rosters(context.signal);
        if (first === undefined) throw new Error('it has no roster');
        return statementHash(first.payload);
      }),
    );
    const claims = new Set<string>();
    const failures: { url: string; error: Error }[] = [];
    for (const [i, answer] of answers.entries()) {
      if (answer.status === 'fulfilled') claims.add(answer.value);
      else {
        const error = answer.reason instanceof Error ? answer.reason : new Error('it failed');
        failures.push({ url: replicas[i] ?? '', error });
      }
    }
    const [claim, other] = claims;
    if (claim === undefined) throw new UnreachableError('could not reach a replica', failures);
    if (other === undefined) return claim;
    throw new CliError('BP3003', 'the replicas name different first rosters', {
      details: [...claims].map((hash) => ['roster', hash] as const),
      hints: ['they are of different logs, or one of them lies: choose with --pin'],
    });
  } finally {
    await http.close();
  }
}

function configText(
  pin: string,
  replicas: readonly string[],
  baseline: string | undefined,
): string {
  const config = {
    format: CONFIG_FORMAT,
    pin,
    replicas,
    rules: RULES,
    ...(baseline === undefined ? {} : { baseline }),
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}

interface Today {
  readonly lockfile: string;
  readonly verified: number;
  readonly baseline: { readonly text: string; readonly count: number };
  /** How many subjects stay refused or unchecked. */
  readonly refused: (withBaseline: boolean) => number;
}

async function lookAtToday(invocation: Invocation, lockfile: string): Promise<Today> {
  const found = await findNeeds(invocation, { lockfile }, 'baseline');
  const text = formatBaseline(found.needs);
  const countWith = (baseline: string): number =>
    found
      .withBaseline(parseBaseline(baseline, BASELINE_NAME))
      .filter(({ verdict }) => verdict === 'rejected' || verdict === 'inconclusive').length;
  return {
    lockfile: `${found.lockfile.file} (${found.lockfile.label})`,
    verified: found.verified,
    baseline: { text, count: found.needs.length },
    refused: (withBaseline) => countWith(withBaseline ? text : formatBaseline([])),
  };
}

function describeLog(pin: string, roster: Roster): readonly string[] {
  const { total, faulty, quorum } = roster.thresholds;
  return [
    `log      ${roster.origin}, epoch ${roster.epoch}`,
    `pin      ${pin}`,
    `replicas ${roster.replicas.map(({ name }) => name).join(' ')}`,
    `         ${quorum} of ${total} attest, ${faulty} may be faulty`,
  ];
}

function describeToday(today: Today | undefined, template: string): readonly string[] {
  if (today === undefined) return ['lockfile none yet'];
  const refused = today.refused(template === 'baseline');
  const baseline = template === 'baseline' ? `, ${today.baseline.count} in the baseline` : '';
  return [
    `lockfile ${today.lockfile}: ${today.verified} verified${baseline}, ${refused} refused`,
    ...(refused > 0 ? ['         see why: bftpkg verify'] : []),
  ];
}

async function write(
  { context, globals }: Invocation,
  { dryRun = false, yes = false }: InitOptions,
  files: readonly PlannedFile[],
  lines: readonly string[],
): Promise<boolean> {
  if (dryRun) return false;
  const { ask, writeErr } = context.terminal;
  if (!yes && globals.input && ask !== undefined) {
    writeErr(`${lines.join('\n')}\n`);
    const answer = await ask('Write these files? [y/N] ');
    if (!/^y(?:es)?$/i.test(answer.trim())) return false;
  }
  for (const { path, after } of files) {
    await mkdir(dirname(path), { recursive: true });
    await replaceFile(path, after, 0o644);
  }
  return true;
}

async function findLockfileIfAny(project: string): Promise<string | undefined> {
  try {
    return await findLockfile(project);
  } catch (error) {
    if (error instanceof CliError && error.diagnostic.code === 'BP9004') return undefined;
    throw error;
  }
}
