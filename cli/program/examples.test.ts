// Examples in the help can be typed: each is parsed by the program, and means the command that it stands at.
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import type { Command } from 'commander';

import { runCli } from '../run.ts';
import { EXAMPLES } from './examples.ts';
import { buildProgram } from './program.ts';

/** Commands that shells and hooks start, and nobody types. */
const NOT_TYPED: ReadonlySet<string> = new Set(['hook run']);

/** Words of a line, as a shell makes them of it; of quotes only the double ones. */
function wordsOf(line: string): readonly string[] {
  return [...line.matchAll(/"([^"]*)"|[^\s"]+/g)].map(([word, quoted]) => quoted ?? word);
}

function pathOf(command: Command): string {
  const { parent } = command;
  return parent === null || parent.parent === null
    ? command.name()
    : `${pathOf(parent)} ${command.name()}`;
}

function leaves(command: Command): readonly Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

/** The command that a line starts, by the program's own reading; what it complains about instead. */
function commandOf(line: string): string {
  let chosen = '';
  const program = buildProgram('0.0.0-test', () => undefined);
  const each = (command: Command): void => {
    command.exitOverride().configureOutput({ writeErr: (text) => (chosen ||= text) });
    command.commands.forEach(each);
  };
  each(program);
  program.hook('preAction', (_program, command) => {
    chosen ||= pathOf(command);
  });
  try {
    program.parse([...wordsOf(line)], { from: 'user' });
  } catch (error) {
    return chosen === '' ? String(error) : chosen;
  }
  return chosen;
}

describe('examples in the help', () => {
  for (const [name, examples] of Object.entries(EXAMPLES)) {
    it(`of ${name} can be typed`, () => {
      for (const [line] of examples) assert.equal(commandOf(line), name, line);
    });
  }

  it('are there for every command', () => {
    const program = buildProgram('0.0.0-test', () => undefined);
    const names = leaves(program).map(pathOf);
    assert.ok(names.length > 50, `${names.length} commands`);
    const without = names.filter((name) => !NOT_TYPED.has(name) && !(name in EXAMPLES));
    assert.deepEqual(without, []);
  });

  it('notice a flag that does not exist', () => {
    assert.match(commandOf('verify --nope'), /unknown option/);
  });

  for (const argv of [
    ['help', 'verify'],
    ['verify', '--help'],
    ['verify', '-h'],
  ]) {
    it(`are shown by bftpkg ${argv.join(' ')}`, async () => {
      const out: string[] = [];
      const terminal = {
        writeOut: (text: string) => void out.push(text),
        writeErr: (text: string) => void out.push(text),
        outIsTty: false,
        errIsTty: false,
        ask: undefined,
      };
      const code = await runCli(argv, '0.0.0-test', { env: {}, terminal });
      assert.equal(code, 0);
      assert.match(out.join(''), /Examples:\n {2}bftpkg verify\n {6}every package/);
    });
  }
});
