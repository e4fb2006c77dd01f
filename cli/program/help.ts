// Help as people look for it: what there is to type before the flags that all of it has.
import { Help, type Command } from 'commander';

import { reviewHelp } from '../../verifier/node/command-words.ts';
import { addExamples } from './examples.ts';

const OPTIONS_HEADING = 'Options:';

const COMMON = '\nFlags of every command (--report, --quiet, --timeout, …): bftpkg help';

/** Makes the program's help. It has more to say than a run needs to load. */
export function prepareHelp(program: Command): void {
  addExamples(program);
  program.addHelpText('beforeAll', ({ command, error }) => {
    reviewHelp(command, error);
    return '';
  });
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
