// Completion for shells. The scripts are thin and alike: they hand the words of the command line to
// `bftpkg __complete` and offer the lines that come back, so that what is offered is decided and tested
// in one place. Names from the repository are among them, and shells act on many characters: only plain
// ones pass.
import type { Command, Option } from 'commander';

/** What only a look at the machine can tell. Each gives few answers, quickly, and never throws. */
export interface CompletionSources {
  readonly keyNames: () => Promise<readonly string[]>;
  /** `name@version` of the project's lockfile. */
  readonly packages: () => Promise<readonly string[]>;
  readonly explainable: () => Promise<readonly string[]>;
}

/** What a shell offers. */
export interface Completion {
  readonly words: readonly string[];
  /** Whether names of files fit here as well. */
  readonly files: boolean;
}

// No quote, space, dollar, backtick, bracket or tilde; a dash in front for our own flags only, because a
// name like that would become one.
const SAFE_NAME = /^[A-Za-z0-9@][A-Za-z0-9@._/=+-]*$/;
const SAFE_FLAG = /^--[a-z][A-Za-z0-9@._/=+-]*$/;
const WORDS_MAX = 2_000;
const NOTHING: Completion = { words: [], files: false };
const FILES: Completion = { words: [], files: true };

/**
 * What fits in the place of the last word.
 *
 * @param words of the command line without the program's name; the last one may be empty
 */
export async function complete(
  program: Command,
  words: readonly string[],
  sources: CompletionSources,
): Promise<Completion> {
  const current = words.at(-1) ?? '';
  const { command, pending, isPositional } = walk(program, words.slice(0, -1));
  const found = await candidates(command, pending, current, isPositional, sources);
  const isFlag = pending === undefined && !isPositional && current.startsWith('-');
  const safe = isFlag ? SAFE_FLAG : SAFE_NAME;
  const fitting = found.words.filter((word) => word.startsWith(current) && safe.test(word));
  return { words: [...new Set(fitting)].slice(0, WORDS_MAX), files: found.files };
}

interface Place {
  readonly command: Command;
  /** The option whose value comes next. */
  readonly pending: Option | undefined;
  /** After `--`, nothing is a flag. */
  readonly isPositional: boolean;
}

function walk(program: Command, words: readonly string[]): Place {
  let command = program;
  let pending: Option | undefined;
  let isPositional = false;
  for (const word of words) {
    if (pending !== undefined) pending = undefined;
    else if (isPositional) continue;
    else if (word === '--') isPositional = true;
    else if (word.startsWith('-')) {
      const option = optionsOf(command).find(({ long, short }) => long === word || short === word);
      // `--format=json` has its value with it.
      if (option?.required === true) pending = option;
    } else {
      const named = word;
      command =
        command.commands.find((each) => each.name() === named || each.aliases().includes(named)) ??
        command;
    }
  }
  return { command, pending, isPositional };
}

function optionsOf(command: Command): readonly Option[] {
  const own = command.options;
  return command.parent === null ? own : [...own, ...optionsOf(command.parent)];
}

async function candidates(
  command: Command,
  pending: Option | undefined,
  current: string,
  isPositional: boolean,
  sources: CompletionSources,
): Promise<Completion> {
  if (pending !== undefined) return await valuesOf(pending, sources);
  if (!isPositional && current.startsWith('-')) {
    const [flag = '', value] = current.split('=', 2);
    const options = optionsOf(command);
    const option = options.find(({ long }) => long === flag);
    if (value === undefined || option === undefined) {
      return { words: options.flatMap(({ long }) => long ?? []), files: false };
    }
    const { words, files } = await valuesOf(option, sources);
    return { words: words.map((word) => `${flag}=${word}`), files };
  }
  if (command.commands.length > 0) {
    const shown = command.createHelp().visibleCommands(command);
    return { words: shown.map((each) => each.name()), files: false };
  }
  return await argumentsOf(command, sources);
}

async function valuesOf(option: Option, sources: CompletionSources): Promise<Completion> {
  if (option.argChoices !== undefined) return { words: option.argChoices, files: false };
  if (/<key>/.test(option.flags)) return { words: await sources.keyNames(), files: true };
  if (option.long === '--omit') return { words: ['dev', 'optional', 'peer'], files: false };
  if (/<(?:file|folder|dir|format=file)>/.test(option.flags)) return FILES;
  return NOTHING;
}

async function argumentsOf(command: Command, sources: CompletionSources): Promise<Completion> {
  const [argument] = command.registeredArguments;
  if (argument === undefined) return NOTHING;
  switch (argument.name()) {
    case 'code':
      return { words: await sources.explainable(), files: false };
    case 'shell':
      return { words: argument.argChoices ?? [], files: false };
    case 'key':
      return { words: await sources.keyNames(), files: true };
    case 'subjects':
    case 'spec':
    case 'name@version':
    case 'a':
    case 'b':
      return { words: await sources.packages(), files: true };
    case 'file':
    case 'targets':
    case 'files':
      return FILES;
    default:
      return argument.argChoices === undefined
        ? NOTHING
        : { words: argument.argChoices, files: false };
  }
}

/** The lines that the scripts read: a word each, and a last one that says whether files fit. */
export function formatCompletion({ words, files }: Completion): string {
  return [...words, files ? ':files' : ':none', ''].join('\n');
}
