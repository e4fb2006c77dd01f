// `bftpkg policy baseline create|prune|list`: what an old project had before, so that its first day is
// green and everything new is judged strictly.
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import type { Invocation } from '../context.ts';
import { CliError, configError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { doneReport, type Report, type SubjectReport } from '../output/report.ts';
import {
  BASELINE_BYTES_MAX,
  BASELINE_NAME,
  formatBaseline,
  parseBaseline,
  sameBinding,
} from '../policy/baseline.ts';
import type { ConfigFile } from '../policy/config-file.ts';
import { configRoot, diffLines, editJson, shorten } from '../policy/edit.ts';
import type { Baseline, BaselinePackage } from '../policy/policy.ts';
import { findNeeds, type NeedsOptions, type ProjectNeeds } from '../session/policy-needs.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { readConfigFiles } from '../trust/config.ts';

/** Flags of `policy baseline create` and `prune`. */
export interface BaselineOptions extends NeedsOptions {
  readonly dryRun?: boolean;
  /** Replaces a baseline that is there: everything since then would become allowed. */
  readonly force?: boolean;
}

// Names that a report lists; the rest is counted.
const LISTED_MAX = 20;

/** `policy baseline create`. */
export async function baselineCreate(
  invocation: Invocation,
  options: BaselineOptions,
): Promise<Report> {
  const project = await readProject(invocation);
  const path = join(dirname(project.path), project.baseline ?? BASELINE_NAME);
  const before = await readTextIfThere(path, BASELINE_BYTES_MAX);
  if (before !== undefined && options.force !== true) {
    throw new CliError(
      'BP9003',
      `${path}: there is one already; a new one would allow all of today`,
      {
        hints: ['bftpkg policy baseline prune', 'or, if that is meant: --force'],
      },
    );
  }
  const needs = await findNeeds(invocation, options, 'baseline');
  const { files, left } = await planBaseline(project, path, before, needs);
  return await finish('policy baseline create', { files, left, needs }, options);
}

/** A file to be written. */
export interface PlannedFile {
  readonly path: string;
  readonly before: string | undefined;
  readonly after: string;
}

interface Planned {
  readonly files: readonly PlannedFile[];
  /** Subjects that stay refused or unchecked. */
  readonly left: readonly SubjectReport[];
}

/** The files that a new baseline changes. */
async function planBaseline(
  project: ConfigFile,
  path: string,
  before: string | undefined,
  needs: ProjectNeeds,
): Promise<Planned> {
  const after = formatBaseline(needs.needs);
  const baseline: Baseline = parseBaseline(after, path);
  const left = needs
    .withBaseline(baseline)
    .filter(({ verdict }) => verdict === 'rejected' || verdict === 'inconclusive');
  const files: PlannedFile[] = [{ path, before, after }];
  if (project.baseline === undefined) {
    const text = await readFile(project.path, 'utf8');
    const key = [...configRoot(project.path), 'baseline'];
    files.push({ path: project.path, before: text, after: editJson(text, key, BASELINE_NAME) });
  }
  return { files, left };
}

/** `policy baseline prune`: drops what the lockfile does not need any more; never adds. */
export async function baselinePrune(
  invocation: Invocation,
  options: BaselineOptions,
): Promise<Report> {
  const { baseline } = await readConfigFiles(invocation.context, invocation.globals);
  if (baseline === undefined) throw configError('the project has no baseline');
  const before = await readFile(baseline.path, 'utf8');
  const needs = await findNeeds(invocation, options, 'baseline');
  const kept = baseline.packages.flatMap((line) => stillNeeded(line, needs.needs));
  const files = [{ path: baseline.path, before, after: formatBaseline(kept) }];
  const left = needs
    .withBaseline({ ...baseline, packages: kept })
    .filter(({ verdict }) => verdict === 'rejected' || verdict === 'inconclusive');
  return await finish('policy baseline prune', { files, left, needs }, options);
}

function stillNeeded(
  line: BaselinePackage,
  needs: readonly BaselinePackage[],
): readonly BaselinePackage[] {
  const need = needs.find(
    ({ name, version, binding }) =>
      name === line.name && version === line.version && sameBinding(line.binding, binding),
  );
  const codes = line.codes.filter((code) => need?.codes.includes(code) === true);
  return codes.length === 0 ? [] : [{ ...line, codes }];
}

/** `policy baseline list`. */
export async function baselineList({ context, globals }: Invocation): Promise<Report> {
  const { baseline } = await readConfigFiles(context, globals);
  if (baseline === undefined) throw configError('the project has no baseline');
  const { path, packages } = baseline;
  const data = {
    path,
    packages: packages.map(({ name, version, codes }) => ({ name, version, codes })),
  };
  const lines = packages.map(({ name, version, codes }) => {
    return `${name}${version === null ? '' : `@${version}`}  ${codes.join(' ')}`;
  });
  const shown = lines.length === 0 ? ['no packages: everything has to be verified'] : lines;
  return doneReport('policy baseline list', { data, lines: [...shown, path] });
}

async function finish(
  command: string,
  { files, left, needs }: Planned & { readonly needs: ProjectNeeds },
  { dryRun = false }: BaselineOptions,
): Promise<Report> {
  const changed = files.filter(({ before, after }) => before !== after);
  if (!dryRun) {
    // The baseline first: a configuration that names a file which is not there refuses everything.
    for (const { path, after } of changed) await replaceFile(path, after, 0o644);
  }
  const [file] = files;
  const count = file === undefined ? 0 : parseBaseline(file.after, file.path).packages.length;
  const names = left.map(({ name, version }) => (version === null ? name : `${name}@${version}`));
  const lines = [
    ...changed.flatMap(({ path, before, after }) => shorten(diffLines(path, before, after))),
    `${needs.verified} verified, ${count} in the baseline, ${left.length} still refused`,
    ...names.slice(0, LISTED_MAX).map((name) => `  refused: ${name}`),
    ...(names.length > 0 ? ['see why: bftpkg verify'] : []),
    ...(dryRun ? ['nothing was written'] : changed.map(({ path }) => `${path} written`)),
  ];
  const data = {
    files: changed.map(({ path }) => path),
    written: !dryRun && changed.length > 0,
    verified: needs.verified,
    baseline: count,
    refused: names,
  };
  return doneReport(command, { data, lines });
}

async function readProject({ context, globals }: Invocation): Promise<ConfigFile> {
  const { project } = await readConfigFiles(context, globals);
  if (project !== undefined) return project;
  throw configError(`no bftpkg.json in ${globals.project} or above it`, 'bftpkg init');
}
