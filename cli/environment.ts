// Every flag can be set by a variable: `--max-checkpoint-age 1h` is BFTPKG_MAX_CHECKPOINT_AGE=1h. The
// command line wins. A variable that is set to nothing is not set.
import type { Command, Option } from 'commander';

type Environment = Readonly<Record<string, string | undefined>>;

const PREFIX = 'BFTPKG_';
// Those are for bftpkg-log.
const SERVER_PREFIX = 'BFTPKG_SERVER_';
// They make a command do something else and end with 0: a variable that somebody planted would turn each
// `bftpkg verify` into one that verifies nothing.
const NOT_SETTINGS: ReadonlySet<string> = new Set(['--help', '--version', '--json-schema']);
// Of the hook: its own files read them.
const OF_THE_HOOK: ReadonlySet<string> = new Set(['BFTPKG_BIN', 'BFTPKG_HOOK_PACKAGES']);
const YES: ReadonlySet<string> = new Set(['1', 'true', 'yes', 'on']);
const NO: ReadonlySet<string> = new Set(['0', 'false', 'no', 'off']);

/** A flag, and the variable that stands for it. */
export interface Setting {
  readonly variable: string;
  readonly flag: string;
  readonly option: Option;
  /** The commands that have it, in the order of the help. */
  readonly commands: readonly Command[];
}

/** The variable of a flag like `--max-checkpoint-age`. */
export function variableOf(flag: string): string {
  return PREFIX + flag.replace(/^--/, '').replaceAll('-', '_').toUpperCase();
}

/** A command and all below it. */
export function commandTree(command: Command): readonly Command[] {
  return [command, ...command.commands.flatMap(commandTree)];
}

function settingsOf(command: Command): readonly { flag: string; option: Option }[] {
  return command.options.flatMap((option) => {
    const flag = option.long ?? '';
    return flag === '' || NOT_SETTINGS.has(flag) ? [] : [{ flag, option }];
  });
}

/** All flags of a program, each once. */
export function allSettings(program: Command): readonly Setting[] {
  const found = new Map<string, Setting>();
  for (const command of commandTree(program)) {
    for (const { flag, option } of settingsOf(command)) {
      const variable = variableOf(flag);
      const known = found.get(variable);
      const commands = [...(known?.commands ?? []), command];
      found.set(variable, { variable, flag, option, ...known, commands });
    }
  }
  return [...found.values()];
}

/** Variables with our prefix that no flag has: most likely a typing mistake. */
export function unknownVariables(program: Command, env: Environment): readonly string[] {
  const named = Object.keys(env).filter(
    (name) => name.startsWith(PREFIX) && !name.startsWith(SERVER_PREFIX) && !OF_THE_HOOK.has(name),
  );
  if (named.length === 0) return [];
  const known = new Set(allSettings(program).map(({ variable }) => variable));
  return named.filter((name) => !known.has(name));
}

/**
 * Sets the flags that the command line left open, for a command and all above it.
 *
 * @throws {CommanderError} for a value that the flag would not take either
 */
export function applyEnvironment(command: Command, env: Environment): void {
  for (let at: Command | null = command; at !== null; at = at.parent) {
    for (const { flag, option } of settingsOf(at)) applyVariable(at, flag, option, env);
  }
}

function applyVariable(command: Command, flag: string, option: Option, env: Environment): void {
  const variable = variableOf(flag);
  const text = env[variable];
  if (text === undefined || text === '') return;
  const name = option.attributeName();
  const source = command.getOptionValueSource(name);
  // `--color` and `--no-color` are one value: the first of them that is set counts.
  if (source !== undefined && source !== 'default') return;
  try {
    const value = readVariable(option, text);
    if (value !== undefined) command.setOptionValueWithSource(name, value, 'env');
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    command.error(`error: ${variable}=${JSON.stringify(text)}: ${detail}`, { exitCode: 2 });
  }
}

function readVariable(option: Option, text: string): unknown {
  if (option.required || option.optional) {
    const previous: unknown = option.defaultValue;
    const parse = option.parseArg;
    if (parse === undefined) return text;
    if (!Array.isArray(previous)) return parse(text, undefined);
    // Repeatable: a list, with commas.
    const empty: unknown[] = [];
    return text.split(',').reduce<unknown>((before, each) => parse(each, before), empty);
  }
  const word = text.toLowerCase();
  if (YES.has(word)) return !option.negate;
  if (NO.has(word)) return option.negate ? undefined : false;
  throw new Error('neither 1 nor 0');
}
