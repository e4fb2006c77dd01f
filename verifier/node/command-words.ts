// Lines that ask for help or for a version, for both programs. Commander prints what it has and ends with 0 whatever
// else is in the line: `verify -V` in a pipeline, meant as -v, was green for ever and verified nothing.

/** A command of commander's tree, as far as it is needed here. */
export interface CommandWords {
  readonly commands: readonly CommandWords[];
  /** What its line had behind its name: words and unknown flags, or all of it if one of its commands was named. */
  readonly args: readonly string[];
  readonly parent: CommandWords | null;
  readonly name: () => string;
  readonly aliases: () => readonly string[];
  readonly parse: (words: readonly string[], how: { readonly from: 'user' }) => unknown;
  readonly error: (message: string) => never;
  readonly help: () => never;
}

const HELP_FLAGS: ReadonlySet<string> = new Set(['-h', '--help']);
const HELP = 'help';

/**
 * Stands in front of every help that commander prints: lets it pass, has another command's printed, or refuses the
 * line.
 *
 * @param shown   whose help commander would print
 * @param isError whether it is printed because the line was no command
 * @throws what commander throws for an unknown command or option, or after a help was printed
 */
export function reviewHelp(shown: CommandWords, isError: boolean): void {
  // Commander prints an error's help for the group itself, also where `help help` or `help verfy` was the line.
  const groups = isError ? [shown] : ancestorsOf(shown);
  const asked = groups.find(({ commands, args }) => commands.length > 0 && args[0] === HELP);
  if (asked !== undefined) {
    // `help key generate`: it looks at the first word alone.
    const meant = commandOf(asked, asked.args.slice(1));
    if (meant !== shown || isError) meant.help();
    return;
  }
  if (isError) return;
  for (const word of shown.args) {
    if (word === '--') return;
    if (HELP_FLAGS.has(word)) continue;
    if (isFlag(word)) shown.error(`error: unknown option '${word}'`);
    if (shown.commands.length === 0) continue;
    if (childOf(shown, word) === undefined) refuse(shown, word);
    return;
  }
}

/**
 * Requires that a line with `--version` has nothing else to do.
 *
 * @param argv without node and script
 * @throws what commander throws for an error in a line
 */
export function requireVersionAlone(program: CommandWords, argv: readonly string[]): void {
  const other = argv.find((word) => !isFlag(word));
  if (other === undefined) return;
  program.error(`error: --version goes alone: nothing would be done of '${other}'`);
}

function commandOf(group: CommandWords, words: readonly string[]): CommandWords {
  let command = group;
  for (const word of words) {
    // Behind a flag may be its value.
    if (isFlag(word) || command.commands.length === 0) break;
    if (word === HELP) continue;
    command = childOf(command, word) ?? refuse(command, word);
  }
  return command;
}

function childOf(group: CommandWords, word: string): CommandWords | undefined {
  return group.commands.find((each) => each.name() === word || each.aliases().includes(word));
}

// Commander itself says it, with the command that may have been meant. A group alone does nothing, so nothing can run.
function refuse(group: CommandWords, word: string): never {
  group.parse([word], { from: 'user' });
  return group.error(`error: unknown command '${word}'`);
}

function ancestorsOf(command: CommandWords): readonly CommandWords[] {
  return command.parent === null ? [command] : [command, ...ancestorsOf(command.parent)];
}

function isFlag(word: string): boolean {
  return word.startsWith('-') && word !== '-';
}
