// The flags that every command has, read once.
import { stat } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';

import type { Command } from 'commander';

import type { Globals } from './context.ts';
import { isFormat, type Format } from './output/formats.ts';

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Reads the flags of every command.
 *
 * @param timeout the chosen command's own, where none is set
 * @throws {CliError} BP9003, BP9004: a report's folder that is not there is said before the work starts
 */
export async function readGlobals(
  program: Command,
  cwd: string,
  timeout: string | undefined,
): Promise<Globals> {
  const options = program.opts<Record<string, unknown>>();
  const text = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === 'string' ? value : undefined;
  };
  const [{ parseDuration }, { parseReportTargets }] = await Promise.all([
    import('./commands/duration.ts'),
    import('./output/report-targets.ts'),
  ]);
  const own = program.getOptionValueSource('timeout') === 'default' ? timeout : undefined;
  const config = text('config');
  const passphraseFile = text('passphraseFile');
  const color = options['color'];
  const progress = options['progress'];
  const reports = parseReportTargets(readTexts(options['report'])).map(({ format, file }) => ({
    format,
    file,
    path: resolve(cwd, file),
  }));
  for (const { path } of reports) await requireFolder(dirname(path), '--report');
  const project = text('project');
  // A lockfile is looked for in folders above as well: a misspelt one would stand for another project.
  if (project !== undefined) await requireFolder(resolve(cwd, project), '--project');
  return {
    project: resolve(cwd, project ?? '.'),
    config: config === undefined ? undefined : resolve(cwd, config),
    format: readFormat(program),
    reports,
    timeoutMs: parseDuration(own ?? text('timeout') ?? '60s') * 1000,
    quiet: options['quiet'] === true,
    verbose: options['verbose'] === true,
    color: color === false ? 'never' : color === 'always' || color === 'never' ? color : 'auto',
    progress: progress === 'bar' || progress === 'lines' || progress === 'none' ? progress : 'auto',
    ascii: options['ascii'] === true,
    reproducible: options['reproducible'] === true,
    simpleExit: options['exitCode'] === 'simple',
    input: options['input'] !== false,
    passphraseFile: passphraseFile === undefined ? undefined : resolve(cwd, passphraseFile),
    offline: options['offline'] === true,
  };
}

// `--json` is `--format json`, unless it comes from the environment and the command line says a format.
function readFormat(program: Command): Format {
  const { json, format } = program.opts<{ json?: boolean; format?: string }>();
  const isTyped = program.getOptionValueSource('format') === 'cli';
  if (json === true && !(isTyped && program.getOptionValueSource('json') !== 'cli')) return 'json';
  return format !== undefined && isFormat(format) ? format : 'human';
}

function readTexts(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.filter((each) => typeof each === 'string') : [];
}

async function requireFolder(folder: string, flag: string): Promise<void> {
  const isFolder = await stat(folder).then(
    (found) => found.isDirectory(),
    () => false,
  );
  if (isFolder) return;
  const { configError } = await import('./errors.ts');
  throw configError(`${flag}: there is no folder ${folder}`);
}

/** The flags of a run whose arguments can't be understood. */
export function fallbackGlobals(cwd: string, format: Format): Globals {
  return {
    project: cwd,
    config: undefined,
    format,
    reports: [],
    timeoutMs: 1000,
    quiet: false,
    verbose: false,
    color: 'auto',
    progress: 'none',
    ascii: false,
    reproducible: false,
    simpleExit: false,
    input: false,
    passphraseFile: undefined,
    offline: false,
  };
}

/**
 * The format that seems to be wanted. Needed before the arguments can be understood, because they may
 * not be understandable, and then a program still gets its document.
 */
export function guessFormat(argv: readonly string[], env: Environment): Format {
  let found: string | undefined;
  for (const [i, each] of argv.entries()) {
    if (each === '--') break;
    if (each === '--json') return 'json';
    if (each === '--format') found = argv[i + 1];
    else if (each.startsWith('--format=')) found = each.slice('--format='.length);
  }
  const isJson = ['1', 'true', 'yes', 'on'].includes((env['BFTPKG_JSON'] ?? '').toLowerCase());
  const format = found ?? (isJson ? 'json' : env['BFTPKG_FORMAT']);
  return format !== undefined && isFormat(format) ? format : 'human';
}
