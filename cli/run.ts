// From arguments to an exit code: flags, the time budget, signals, one report, one exit. Nothing that
// is thrown gets past here, and with --json every exit has its document.
import { resolve } from 'node:path';
import { createInterface } from 'node:readline/promises';

import { CommanderError } from 'commander';

import type { Context, Globals, Invocation, Terminal } from './context.ts';
import type { DiagnosticCode } from './output/codes.ts';
import { EXIT, type ExitCode } from './output/exit-codes.ts';
import type { Report } from './output/report.ts';
import { buildProgram } from './program.ts';

type Environment = Readonly<Record<string, string | undefined>>;
type Action = (invocation: Invocation) => Promise<Report>;

/** What is left for a command to clean up after its time is spent. */
const GRACE_MS = 3_000;

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
  const wantsJson = readsAsJson(argv);
  const usage: string[] = [];
  const all = [program, ...program.commands.flatMap((each) => [each, ...each.commands])];
  for (const each of all) {
    each.exitOverride().configureOutput({
      writeOut: terminal.writeOut,
      // A usage error in JSON is a document on stdout; for people it is commander's own text.
      writeErr: (text) => (wantsJson ? usage.push(text.trim()) : terminal.writeErr(text)),
    });
  }
  const facts = { version, startedAtMs };
  let globals: Globals;
  try {
    program.parse([...argv], { from: 'user' });
    const own =
      program.getOptionValueSource('timeout') === 'default' ? timeoutOf(chosen) : undefined;
    globals = await readGlobals({ ...program.opts(), ...own }, cwd);
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return EXIT.verified;
    if (error instanceof CommanderError && !wantsJson) return EXIT.usage;
    const text = usage.find((line) => line !== '');
    const report = await failed('bftpkg', error, text);
    return await write(report, fallbackGlobals(cwd, wantsJson), { terminal, env, nowMs }, facts);
  }
  if (chosen === undefined) {
    terminal.writeErr(program.helpInformation());
    return EXIT.usage;
  }
  return await execute(chosen, globals, { env, cwd, terminal, nowMs }, facts);
}

function timeoutOf(chosen: Chosen | undefined): { readonly timeout: string } | undefined {
  return chosen?.timeout === undefined ? undefined : { timeout: chosen.timeout };
}

interface Facts {
  readonly version: string;
  readonly startedAtMs: number;
}

type Surroundings = Pick<Context, 'env' | 'cwd' | 'terminal' | 'nowMs'>;

async function execute(
  { command, action }: Chosen,
  globals: Globals,
  surroundings: Surroundings,
  facts: Facts,
): Promise<ExitCode> {
  const budget = new Budget(globals.timeoutMs);
  const { terminal } = surroundings;
  const invocation: Invocation = {
    context: { ...surroundings, signal: budget.signal },
    globals,
    progress: (text) => {
      if (!globals.quiet && globals.format === 'human') terminal.writeErr(`bftpkg: ${text}\n`);
    },
  };
  try {
    let report: Report;
    try {
      report = await budget.bound(action(invocation));
    } catch (error) {
      if (globals.verbose && error instanceof Error) terminal.writeErr(`${error.stack ?? ''}\n`);
      report = await failed(command, error, undefined, budget.isSpent);
    }
    const code = await write(report, globals, surroundings, facts);
    // Interrupted is interrupted, whatever the command still found to say about it.
    return budget.signalExit ?? code;
  } finally {
    budget.end();
  }
}

// One wall clock for everything, and signals, as one AbortSignal.
class Budget {
  readonly #abort = new AbortController();
  readonly #timer: NodeJS.Timeout;
  readonly #onInterrupt = (): void => this.#stop(EXIT.interrupted);
  readonly #onTerminate = (): void => this.#stop(EXIT.terminated);
  isSpent = false;
  signalExit: ExitCode | undefined;

  constructor(timeoutMs: number) {
    this.#timer = setTimeout(() => {
      this.isSpent = true;
      this.#abort.abort();
    }, timeoutMs);
    process.once('SIGINT', this.#onInterrupt);
    process.once('SIGTERM', this.#onTerminate);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  #stop(code: ExitCode): void {
    this.signalExit = code;
    this.#abort.abort();
  }

  /** The result of `work`, or an error shortly after the time is spent even if it hangs. */
  async bound<T>(work: Promise<T>): Promise<T> {
    let grace: NodeJS.Timeout | undefined;
    const late = new Promise<never>((_resolve, reject) => {
      this.signal.addEventListener('abort', () => {
        grace = setTimeout(() => reject(new Error('the time for the command is spent')), GRACE_MS);
      });
    });
    try {
      return await Promise.race([work, late]);
    } finally {
      clearTimeout(grace);
    }
  }

  end(): void {
    clearTimeout(this.#timer);
    process.removeListener('SIGINT', this.#onInterrupt);
    process.removeListener('SIGTERM', this.#onTerminate);
  }
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
): Promise<ExitCode> {
  const run = { ...facts, durationMs: Math.max(0, Math.round(nowMs() - facts.startedAtMs)) };
  if (globals.format === 'json') {
    const { renderJson } = await import('./output/json.ts');
    terminal.writeOut(renderJson(report, run));
    return report.exit.code;
  }
  const [{ renderHuman }, { makeStyle, wantsColor, wantsUnicode }] = await Promise.all([
    import('./output/human.ts'),
    import('./output/color.ts'),
  ]);
  const style = (isTty: boolean): ReturnType<typeof makeStyle> =>
    makeStyle(
      wantsColor({ flag: globals.color, format: globals.format, env, isTty }),
      wantsUnicode(env),
    );
  // Each stream has its own answer to whether it gets colour.
  const out = renderHuman(report, run, style(terminal.outIsTty), globals);
  const err = renderHuman(report, run, style(terminal.errIsTty), globals);
  if (out.stdout !== '') terminal.writeOut(out.stdout);
  if (err.stderr !== '') terminal.writeErr(err.stderr);
  return report.exit.code;
}

async function readGlobals(options: Record<string, unknown>, cwd: string): Promise<Globals> {
  const text = (name: string): string | undefined => {
    const value = options[name];
    return typeof value === 'string' ? value : undefined;
  };
  const { parseDuration } = await import('./commands/duration.ts');
  const config = text('config');
  const color = options['color'];
  return {
    project: resolve(cwd, text('project') ?? '.'),
    config: config === undefined ? undefined : resolve(cwd, config),
    format: options['json'] === true || text('format') === 'json' ? 'json' : 'human',
    timeoutMs: parseDuration(text('timeout') ?? '60s') * 1000,
    quiet: options['quiet'] === true,
    verbose: options['verbose'] === true,
    color: color === false ? 'never' : color === 'always' || color === 'never' ? color : 'auto',
    input: options['input'] !== false,
    offline: options['offline'] === true,
  };
}

function fallbackGlobals(cwd: string, json: boolean): Globals {
  return {
    project: cwd,
    config: undefined,
    format: json ? 'json' : 'human',
    timeoutMs: 1000,
    quiet: false,
    verbose: false,
    color: 'auto',
    input: false,
    offline: false,
  };
}

// Needed before the arguments can be understood, because they may not be understandable.
function readsAsJson(argv: readonly string[]): boolean {
  return argv.some(
    (each, i) =>
      each === '--json' ||
      each === '--format=json' ||
      (each === '--format' && argv[i + 1] === 'json'),
  );
}

function processTerminal(): Terminal {
  const { stdin, stdout, stderr } = process;
  return {
    writeOut: (text) => void stdout.write(text),
    writeErr: (text) => void stderr.write(text),
    outIsTty: stdout.isTTY,
    errIsTty: stderr.isTTY,
    ask: stdin.isTTY && stderr.isTTY ? ask : undefined,
  };
}

async function ask(question: string): Promise<string> {
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    return await lines.question(question);
  } finally {
    lines.close();
  }
}
