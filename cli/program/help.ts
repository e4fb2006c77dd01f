// Help as people look for it: what there is to type before the flags that all of it has, and `help` with as many
// words as a command has.
import { Help, type Command } from 'commander';

import { addExamples } from './examples.ts';

const OPTIONS_HEADING = 'Options:';

const COMMON = '\nFlags of every command (--report, --quiet, --timeout, …): bftpkg help';

/** Makes the program's help. It has more to say than a run needs to load. */
export function prepareHelp(program: Command): void {
  addExamples(program);
  program.configureHelp({ formatHelp: commandsFirst });
  const walk = (command: Command): void => {
    for (const each of command.commands) {
      each.addHelpText('after', COMMON);
      walk(each);
    }
  };
  walk(program);
}

// Somebody who types the name alone wants to know what it can do; thirty lines of flags stood in front of that.
function commandsFirst(command: Command, helper: Help): string {
  const text = new Help().formatHelp(command, helper);
  const sections = text.trimEnd().split('\n\n');
  const isOptions = (section: string): boolean => section.startsWith(`${OPTIONS_HEADING}\n`);
  const [options, others] = [sections.filter(isOptions), sections.filter((s) => !isOptions(s))];
  return `${[...others, ...options].join('\n\n')}\n`;
}

/**
 * `help key generate` as `key generate --help`: commander's own `help` knows one word, and shows the whole list for a
 * word that is no command.
 *
 * @returns the arguments to parse; for an unknown command those that make commander say so
 */
export function helpArguments(program: Command, argv: readonly string[]): readonly string[] {
  const [first, ...words] = argv;
  if (first !== 'help' || words.length === 0) return argv;
  let command = program;
  for (const [i, word] of words.entries()) {
    const next = command.commands.find(
      (each) => each.name() === word || each.aliases().includes(word),
    );
    if (next === undefined && command.commands.length > 0) {
      return word.startsWith('-') || word === 'help' ? argv : words.slice(0, i + 1);
    }
    if (next === undefined) return [...words.slice(0, i), '--help'];
    command = next;
  }
  return [...words, '--help'];
}
