// `bftpkg policy except add|list|prune`: permissions with a reason and a last day, kept in the project's
// configuration where reviewers see them.
import { readFile } from 'node:fs/promises';

import type { Invocation } from '../context.ts';
import { configError, usageError } from '../errors.ts';
import { doneReport, type Report } from '../output/report.ts';
import { parseConfigText, parsePackageJsonConfig, type ConfigFile } from '../policy/config-file.ts';
import { configRoot, diffLines, editJson } from '../policy/edit.ts';
import { covers, dayOf, exceptionTarget, type Exception } from '../policy/policy.ts';
import { parseExceptionTarget, readDay, readExceptableCode } from '../policy/read-policy.ts';
import { findNeeds, type NeedsOptions } from '../session/policy-needs.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { loadConfig, readConfigFiles } from '../trust/config.ts';
import { parseDuration } from './duration.ts';

/** Flags of `policy except add`. */
export interface ExceptAddOptions {
  readonly code: string;
  readonly reason: string;
  /** A day, or a duration from today. */
  readonly expires: string;
  readonly dryRun?: boolean;
}

/** `policy except add <name[@version]>`: adds an exception, or renews the same one. */
export async function exceptAdd(
  invocation: Invocation,
  target: string,
  options: ExceptAddOptions,
): Promise<Report> {
  const { project, text } = await readProject(invocation);
  const exception = readException(target, options, invocation.context.nowMs());
  const same = project.exceptions.findIndex(
    (each) => exceptionTarget(each) === target && each.code === exception.code,
  );
  const path = [...configRoot(project.path), 'exceptions', same];
  const after = editJson(text, path, exceptionJson(exception));
  return await write('policy except add', project.path, text, after, options);
}

/** `policy except list`: all exceptions, of the project and of the user. */
export async function exceptList({ context, globals }: Invocation): Promise<Report> {
  const { policy } = await loadConfig(context, globals);
  const today = dayOf(context.nowMs());
  const all = policy.layers.flatMap((layer) =>
    layer.exceptions.map((each) => ({
      ...exceptionJson(each),
      isExpired: each.expires < today,
      source: layer.source,
    })),
  );
  const lines = all.map(
    (each) =>
      `${each.package}  ${each.code}  ${each.isExpired ? 'EXPIRED' : 'until'} ${each.expires}  ` +
      `${each.reason}   (${each.source})`,
  );
  const none = lines.length === 0 ? ['no exceptions'] : lines;
  return doneReport('policy except list', { data: { exceptions: all }, lines: none });
}

/** `policy except prune`: removes what has expired and what the lockfile does not need any more. */
export async function exceptPrune(
  invocation: Invocation,
  options: NeedsOptions & { readonly dryRun?: boolean },
): Promise<Report> {
  const { project, text } = await readProject(invocation);
  const { needs } = await findNeeds(invocation, options, 'exceptions and baseline');
  const today = dayOf(invocation.context.nowMs());
  const isNeeded = (exception: Exception): boolean =>
    exception.expires >= today &&
    needs.some(({ name, version, codes }) =>
      codes.some((code) => covers(exception, name, version, code)),
    );
  const { exceptions } = project;
  const list = [...configRoot(project.path), 'exceptions'];
  const unneeded = exceptions.flatMap((exception, i) => (isNeeded(exception) ? [] : [i]));
  // An empty list would be left for people to wonder about. What was empty before is theirs.
  const isAll = unneeded.length > 0 && unneeded.length === exceptions.length;
  // From the end, so that the places of the others stay.
  const places = isAll ? [list] : unneeded.toReversed().map((i) => [...list, i]);
  let after = text;
  for (const place of places) after = editJson(after, place, undefined);
  return await write('policy except prune', project.path, text, after, options);
}

async function readProject({
  context,
  globals,
}: Invocation): Promise<{ readonly project: ConfigFile; readonly text: string }> {
  const { project } = await readConfigFiles(context, globals);
  if (project === undefined) {
    throw configError(`no bftpkg.json in ${globals.project} or above it`, 'bftpkg init');
  }
  return { project, text: await readFile(project.path, 'utf8') };
}

function readException(target: string, options: ExceptAddOptions, nowMs: number): Exception {
  const parsed = parseExceptionTarget(target);
  if (parsed === undefined) {
    throw usageError(`no name, pattern like @acme/*, or name@1.2.3: ${target}`);
  }
  if (options.reason.trim() === '') throw usageError('--reason is empty');
  try {
    const code = readExceptableCode(options.code, '--code');
    const expires = readExpires(options.expires, nowMs);
    return { ...parsed, code, reason: options.reason, expires };
  } catch (error) {
    throw usageError(error instanceof Error ? error.message : String(error));
  }
}

function readExpires(text: string, nowMs: number): string {
  if (/^[0-9]+[smhd]$/.test(text)) return dayOf(nowMs + parseDuration(text) * 1000);
  const day = readDay(text, '--expires');
  if (day < dayOf(nowMs)) throw new Error(`--expires: ${day} has passed`);
  return day;
}

function exceptionJson(exception: Exception): {
  readonly package: string;
  readonly code: string;
  readonly reason: string;
  readonly expires: string;
} {
  const { code, reason, expires } = exception;
  return { package: exceptionTarget(exception), code, reason, expires };
}

async function write(
  command: string,
  path: string,
  before: string,
  after: string,
  { dryRun = false }: { readonly dryRun?: boolean },
): Promise<Report> {
  const lines = diffLines(path, before, after);
  // Never written unless it can be read again.
  const parse = configRoot(path).length > 0 ? parsePackageJsonConfig : parseProject;
  parse(after, path);
  const isWritten = lines.length > 0 && !dryRun;
  if (isWritten) await replaceFile(path, after, 0o644);
  const shown =
    lines.length === 0
      ? ['nothing to change']
      : [...lines, isWritten ? `${path} written` : 'nothing was written'];
  return doneReport(command, {
    data: { file: path, written: isWritten, diff: lines },
    lines: shown,
  });
}

function parseProject(text: string, path: string): ConfigFile {
  return parseConfigText(text, path, 'project');
}
