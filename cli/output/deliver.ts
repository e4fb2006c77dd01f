// A report goes out: the files of --report first, because one that can't be written changes the exit;
// then the document or the text on stdout.
import { appendFile, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';

import type { Context, Globals } from '../context.ts';
import { systemReason } from '../system-reasons.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { makeStyle, wantsColor, wantsUnicode } from './color.ts';
import type { ExitCode } from './exit-codes.ts';
import type { RunFacts } from './json.ts';
import { FILE_OPTIONS, render, type RenderOptions } from './render.ts';
import {
  diagnostic,
  simplifyExit,
  withDiagnostics,
  type Diagnostic,
  type Report,
} from './report.ts';

type Surroundings = Pick<Context, 'terminal' | 'env'>;

/**
 * Writes a report to its files and to the terminal.
 *
 * @param isStarted for `ndjson`: whether the first line is out already
 * @returns the exit code
 */
export async function deliver(
  made: Report,
  globals: Globals,
  { terminal, env }: Surroundings,
  run: RunFacts,
  isStarted: boolean,
): Promise<ExitCode> {
  const facts: RunFacts = {
    ...run,
    reproducible: globals.reproducible,
    folder: await repositoryFolder(made.verification?.folder ?? globals.project, env),
  };
  let report = globals.simpleExit ? simplifyExit(made) : made;
  report = withDiagnostics(report, await writeFiles(report, globals, facts));
  if (globals.format === 'github') {
    report = withDiagnostics(report, await tellGitHub(report, globals, facts, env));
  }
  const options = (isTty: boolean, columns: number | undefined): RenderOptions => ({
    style: makeStyle(
      wantsColor({ flag: globals.color, format: globals.format, env, isTty }),
      !globals.ascii && wantsUnicode(env),
    ),
    verbose: globals.verbose,
    quiet: globals.quiet,
    width: isTty ? columns : undefined,
  });
  // Each stream has its own answer to whether it gets colour.
  const forOut = options(terminal.outIsTty, terminal.outColumns?.());
  const out = await render(globals.format, report, facts, forOut, isStarted);
  // Documents are data, whose bytes are not ours to change.
  const isText = globals.format === 'human' || globals.format === 'concise';
  const shown = globals.ascii && isText ? toAscii(out.stdout) : out.stdout;
  if (shown !== '') terminal.writeOut(shown);
  if (globals.format === 'human') {
    const forErr = options(terminal.errIsTty, terminal.errColumns?.());
    const { stderr } = await render('human', report, facts, forErr);
    if (stderr !== '') terminal.writeErr(globals.ascii ? toAscii(stderr) : stderr);
  }
  return report.exit.code;
}

// Our own punctuation outside ASCII; names and messages of others are left as they are.
const ASCII: readonly (readonly [string, string])[] = [
  ['…', '...'],
  ['·', '|'],
  ['≥', '>='],
  ['≤', '<='],
  ['–', '-'],
  ['’', "'"],
  ['→', '->'],
];

function toAscii(text: string): string {
  return ASCII.reduce((result, [from, to]) => result.replaceAll(from, to), text);
}

async function writeFiles(
  report: Report,
  { reports }: Globals,
  facts: RunFacts,
): Promise<readonly Diagnostic[]> {
  const problems: Diagnostic[] = [];
  for (const { format, path } of reports) {
    const { stdout, stderr } = await render(format, report, facts, FILE_OPTIONS);
    try {
      // What people get on two streams is one text in a file.
      await replaceFile(path, stdout + stderr, 0o644);
    } catch (error) {
      problems.push(notWritten(path, error));
    }
  }
  return problems;
}

function notWritten(path: string, error: unknown): Diagnostic {
  return diagnostic('BP9004', `${path}: the report cannot be written: ${systemReason(error, '')}`);
}

// The files that a runner of GitHub Actions names: the summary of the step, and its outputs.
async function tellGitHub(
  report: Report,
  { reports }: Globals,
  facts: RunFacts,
  env: Context['env'],
): Promise<readonly Diagnostic[]> {
  const summary = env['GITHUB_STEP_SUMMARY'] ?? '';
  const outputs = env['GITHUB_OUTPUT'] ?? '';
  const problems: Diagnostic[] = [];
  const append = async (path: string, text: () => Promise<string>): Promise<void> => {
    if (path === '') return;
    try {
      await appendFile(path, await text());
    } catch (error) {
      problems.push(notWritten(path, error));
    }
  };
  await append(summary, async () => (await render('markdown', report, facts, FILE_OPTIONS)).stdout);
  const files = reports.map(({ path }) => path);
  await append(outputs, async () => {
    const { githubOutputs } = await import('./github.ts');
    return githubOutputs(report, files);
  });
  return problems;
}

// Build servers want paths from the root of the repository; the checkout's folder is known to GitHub.
async function repositoryFolder(project: string, env: Context['env']): Promise<string> {
  const workspace = env['GITHUB_WORKSPACE'] ?? '';
  const root =
    workspace !== '' && isInside(project, workspace) ? workspace : await gitRoot(project);
  return root === undefined ? '' : relative(root, project).split(sep).join('/');
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`);
}

async function gitRoot(start: string): Promise<string | undefined> {
  // As many steps as a path can have parts: ends at the root of the file system at the latest.
  for (let folder = start; ; folder = dirname(folder)) {
    const isRoot = await stat(join(folder, '.git')).then(
      () => true,
      () => false,
    );
    if (isRoot) return folder;
    if (dirname(folder) === folder) return undefined;
  }
}
