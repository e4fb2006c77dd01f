// From arguments to an exit code: flags, the time budget, signals, one report, one exit. Nothing that
// is thrown gets past here, and with --json every exit has its document.
import { CommanderError, type Command } from 'commander';

import { requireVersionAlone } from '../verifier/node/command-words.ts';
import { Budget } from './budget.ts';
import type { Context, Globals, Invocation, Terminal } from './context.ts';
import { applyEnvironment, commandTree, unknownVariables } from './environment.ts';
import { fallbackGlobals, guessFormat, readGlobals } from './globals.ts';
import type { DiagnosticCode } from './output/codes.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';
import type { Report } from './output/report.ts';
import { printable } from './output/sanitize.ts';
import { behindProgress, chooseProgress, Progress } from './output/progress.ts';
import { buildProgram } from './program/program.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Action = (invocation: Invocation) => Promise<Report>;

/** Words with which somebody may ask for help: it has more to say than a run needs to load. */
const HELP_WORD = /^(?:help|--help|-[A-Za-z]*h[A-Za-z]*)$/;

interface Chosen {
  readonly command: string;
  readonly action: Action;
  /** Instead of the default of --timeout. */
  readonly timeout: string | undefined;
}

/** What may be replaced in tests. */
export interface RunOptions {
  readonly env?: Environment;
  readonly cwd?: string;
  readonly terminal?: Terminal;
  readonly nowMs?: () => number;
  readonly keyWorkFactorLog2?: number;
}

/**
 * Runs the program once.
 *
 * @param argv arguments without node and script
 * @returns the exit code
 */
export async function runCli(
  argv: readonly string[],
  version: string,
  options: RunOptions = {},
): Promise<ExitCode> {
  const env = options.env ?? process.env;
  const cwd = options.cwd ?? process.cwd();
  const terminal = options.terminal ?? processTerminal();
  const nowMs = options.nowMs ?? Date.now;
  const startedAtMs = nowMs();
  let chosen: Chosen | undefined;
  const program = buildProgram(version, (command, action, timeout) => {
    chosen = { command, action, timeout };
  });
  // Not a command of the tree: its words are somebody's unfinished command line, not ours to parse.
  if (argv[0] === '__complete') {
    const { completeWords } = await import('./commands/completion.ts');
    terminal.writeOut(await completeWords(program, argv.slice(1), { cwd, env }));
    return EXIT.verified;
  }
  if (argv.length === 0 || argv.some((word) => HELP_WORD.test(word))) {
    const { prepareHelp } = await import('./program/help.ts');
    prepareHelp(program);
  }
  program.on('option:version', () => {
    requireVersionAlone(program, argv);
    terminal.writeOut(`${version}\n`);
    throw new CommanderError(0, 'commander.version', version);
  });
  const format = guessFormat(argv, env);
  // A usage error is a document on stdout for programs; for people it is commander's own text.
  const isForPeople = format === 'human' || format === 'concise';
  const usage: string[] = [];
  for (const each of commandTree(program)) {
    // After what is wrong, where it is said how it is right.
    each.showHelpAfterError(`  next  ${helpOf(each)}`);
    each.exitOverride().configureOutput({
      writeOut: terminal.writeOut,
      writeErr: (text) => (isForPeople ? terminal.writeErr(text) : usage.push(text.trim())),
    });
  }
  program.hook('preAction', (_program, command) => applyEnvironment(command, env));
  const facts = { version, startedAtMs };
  let globals: Globals;
  try {
    program.parse([...argv], { from: 'user' });
    globals = await readGlobals(program, cwd, timeoutOf(chosen));
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.verified;
    if (error instanceof CommanderError && isForPeople) return EXIT.usage;
    const text = usage.find((line) => line !== '');
    const report = await failed('bftpkg', error, text);
    return await write(report, fallbackGlobals(cwd, format), { terminal, env, nowMs }, facts);
  }
  if (chosen === undefined) {
    terminal.writeErr(program.helpInformation());
    return EXIT.usage;
  }
  const { keyWorkFactorLog2 } = options;
  // A flag that is misspelt is refused. A variable may be for another version, but must not seem to work: with
  // BFTPKG_ALOW_UNLOGGED=never a policy allows what it was not to.
  for (const name of globals.quiet ? [] : unknownVariables(program, env)) {
    terminal.writeErr(
      `bftpkg: ${printable(name)} has no effect: there is no such flag (bftpkg env)\n`,
    );
  }
  return await execute(chosen, globals, { env, cwd, terminal, nowMs, keyWorkFactorLog2 }, facts);
}

// Where it was thrown. The report has the message, printable; in front of the stack it is as strangers wrote it.
function framesOf({ name, stack = '' }: Error): string {
  const frames = stack.split('\n').filter((line) => /^ {4}at /.test(line));
  return [name, ...frames].map((line) => `${printable(line)}\n`).join('');
}

function helpOf(command: Command): string {
  const names: string[] = [];
  for (let at = command; at.parent !== null; at = at.parent) names.unshift(at.name());
  return ['bftpkg', 'help', ...names].join(' ');
}

function timeoutOf(chosen: Chosen | undefined): string | undefined {
  return chosen?.timeout;
}

interface Facts {
  readonly version: string;
  readonly startedAtMs: number;
}

type Surroundings = Pick<Context, 'env' | 'cwd' | 'terminal' | 'nowMs' | 'keyWorkFactorLog2'>;

async function execute(
  { command, action }: Chosen,
  globals: Globals,
  surroundings: Surroundings,
  facts: Facts,
): Promise<ExitCode> {
  const budget = new Budget(globals.timeoutMs);
  const { env, nowMs } = surroundings;
  const isTty = surroundings.terminal.errIsTty;
  const mode = chooseProgress({ flag: globals.progress, quiet: globals.quiet, isTty, env });
  const progress = new Progress(mode, surroundings.terminal);
  const terminal = budget.askingFreely(behindProgress(surroundings.terminal, progress));
  const stream =
    globals.format === 'ndjson'
      ? await openStream(command, globals, terminal, facts, nowMs)
      : undefined;
  const invocation: Invocation = {
    context: { ...surroundings, terminal, signal: budget.signal },
    globals,
    progress: (text, count) => {
      progress.update(text, count);
      stream?.(text, count);
    },
    notice: (text) => {
      if (!globals.quiet) terminal.writeErr(`bftpkg: ${printable(text)}\n`);
    },
  };
  try {
    let report: Report;
    try {
      report = await budget.bound(action(invocation));
    } catch (error) {
      if (globals.verbose && error instanceof Error) terminal.writeErr(framesOf(error));
      report = await failed(command, error, undefined, budget.isSpent);
    }
    progress.stop();
    const code = await write(report, globals, surroundings, facts, stream !== undefined);
    // Interrupted is interrupted, whatever the command still found to say about it.
    return budget.signalExit ?? code;
  } finally {
    progress.stop();
    budget.end();
  }
}

/** Programs read how far we are, not each single step. */
const STREAM_INTERVAL_MS = 1_000;

// The first line of a stream, and a function that adds lines about the progress.
async function openStream(
  command: string,
  { reproducible }: Globals,
  { writeOut }: Terminal,
  { version, startedAtMs }: Facts,
  nowMs: () => number,
): Promise<Invocation['progress']> {
  const { ndjsonProgress, ndjsonStart } = await import('./output/ndjson.ts');
  writeOut(ndjsonStart(command, version, reproducible ? null : startedAtMs));
  let lastMs = startedAtMs;
  return (text, count) => {
    // How often that is said depends on how fast it went.
    if (reproducible || nowMs() - lastMs < STREAM_INTERVAL_MS) return;
    lastMs = nowMs();
    writeOut(ndjsonProgress(text, count));
  };
}

async function failed(
  command: string,
  thrown: unknown,
  usageText?: string,
  isSpent = false,
): Promise<Report> {
  const [{ diagnoseThrown }, { diagnostic, failureReport }, { CliError }, { ForkError }] =
    await Promise.all([
      import('./output/diagnose.ts'),
      import('./output/report.ts'),
      import('./errors.ts'),
      import('../verifier/evidence/trust.ts'),
    ]);
  if (thrown instanceof CommanderError) {
    return failureReport(command, [diagnostic('BP9003', usageText ?? thrown.message)]);
  }
  const found = diagnoseThrown(thrown);
  const vague: readonly DiagnosticCode[] = ['BP7001', 'BP7003', 'BP9999'];
  // When time is spent, unfinished work fails in all sorts of ways; what had been *proven* stands.
  if (
    isSpent &&
    found.every(({ code }) => vague.includes(code)) &&
    !(thrown instanceof ForkError)
  ) {
    const [first] = found;
    const said = first?.code === 'BP7001' ? first : undefined;
    const message = 'could not check: the time for the whole command is spent (--timeout)';
    return failureReport(command, [
      said ?? diagnostic('BP7003', message, { hints: ['try again, perhaps with --timeout 5m'] }),
    ]);
  }
  return failureReport(command, found, thrown instanceof CliError ? thrown.evidence : []);
}

async function write(
  report: Report,
  globals: Globals,
  { terminal, env, nowMs }: Pick<Context, 'terminal' | 'env' | 'nowMs'>,
  facts: Facts,
  isStarted: boolean = false,
): Promise<ExitCode> {
  const durationMs = Math.max(0, Math.round(nowMs() - facts.startedAtMs));
  const { deliver } = await import('./output/deliver.ts');
  return await deliver(report, globals, { terminal, env }, { ...facts, durationMs }, isStarted);
}

function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  return {
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    outIsTty: stdout.isTTY,
    errIsTty: stderr.isTTY,
    outColumns: () => stdout.columns,
    errColumns: () => stderr.columns,
    ...(stdin.isTTY && stderr.isTTY
      ? {
          ask: async (question, signal) => (await import('./ask.ts')).askLine(question, { signal }),
          askSecret: async (question, signal) =>
            (await import('./ask.ts')).askSecret(question, { signal }),
        }
      : { ask: undefined }),
  };
}
