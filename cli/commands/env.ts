// `bftpkg env`: every variable that sets a flag, what it is now and where that comes from.
import type { Command } from 'commander';

import type { JsonObject } from '../../verifier/json.ts';
import type { Context } from '../context.ts';
import { allSettings, unknownVariables, type Setting } from '../environment.ts';
import { diagnostic, doneReport, type CommandResult, type Report } from '../output/report.ts';
import { closest } from '../policy/read-policy.ts';

type Environment = Context['env'];

/** Variables of other programs' conventions that have an effect here. */
const OTHERS: readonly (readonly [string, string])[] = [
  ['NO_COLOR', 'no colour'],
  ['FORCE_COLOR', 'colour also where nobody seems to look'],
  ['CLICOLOR', '0: no colour'],
  ['CLICOLOR_FORCE', 'as FORCE_COLOR'],
  ['TERM', 'dumb: no colour, no bar'],
  ['CI', 'no bar'],
  ['GITHUB_WORKSPACE', 'root of the repository, for paths in reports'],
  ['GITHUB_STEP_SUMMARY', 'with --format github: the summary goes there'],
  ['GITHUB_OUTPUT', 'with --format github: verdict, exit-code and report-path go there'],
  ['XDG_CONFIG_HOME', 'folder of your keys and your own configuration'],
  ['XDG_STATE_HOME', 'folder of the trust state'],
  ['XDG_CACHE_HOME', 'folder of verified tarballs'],
];

/** `env`. */
export function environmentReport(program: Command, env: Environment): Report {
  const known = allSettings(program).map(({ variable }) => variable);
  const unknown = unknownVariables(program, env).map((name) => {
    const close = closest(name, known);
    return diagnostic('BP9003', `${name} has no effect: there is no such flag`, {
      severity: 'warning',
      hints: close === undefined ? [] : [`did you mean ${close}?`],
    });
  });
  return doneReport('env', environmentResult(program, env), unknown);
}

/** The table, for `env` and `explain env`. */
export function environmentResult(program: Command, env: Environment): CommandResult {
  const rows = allSettings(program).map((setting) => describe(setting, program, env));
  const others = OTHERS.map(([name, effect]) => ({ name, effect, value: env[name] ?? null }));
  const width = Math.max(...rows.map(({ variable }) => variable.length));
  return {
    data: { settings: rows.map((row): JsonObject => ({ ...row })), others },
    lines: [
      'A flag of the command line wins over its variable. Lists have commas; switches are 1 or 0.',
      '',
      ...rows.map(
        ({ variable, flag, value, origin }) =>
          `${variable.padEnd(width)}  ${origin.padEnd(8)}${value === '' ? '' : `${value}  `}(${flag})`,
      ),
      '',
      ...others.map(
        ({ name, effect, value }) =>
          `${name.padEnd(width)}  ${value === null ? 'unset' : `set to ${value}`}  (${effect})`,
      ),
    ],
  };
}

interface Row {
  readonly variable: string;
  readonly flag: string;
  readonly commands: string[];
  readonly value: string;
  /** `flag` for the command line; known only for flags that every command has. */
  readonly origin: 'flag' | 'env' | 'default';
}

function describe(
  { variable, flag, option, commands }: Setting,
  program: Command,
  env: Environment,
): Row {
  const names = commands.map((command) => commandName(command));
  const set = env[variable] ?? '';
  const isTyped =
    commands.includes(program) && program.getOptionValueSource(option.attributeName()) === 'cli';
  if (isTyped) {
    const value = shown(program.getOptionValue(option.attributeName()));
    return { variable, flag, commands: names, value, origin: 'flag' };
  }
  if (set !== '') return { variable, flag, commands: names, value: set, origin: 'env' };
  return { variable, flag, commands: names, value: shown(option.defaultValue), origin: 'default' };
}

function shown(value: unknown): string {
  if (value === undefined || value === null) return '';
  if (Array.isArray(value)) return value.map(String).join(',');
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
    ? String(value)
    : '';
}

function commandName(command: Command): string {
  return command.parent === null
    ? command.name()
    : `${commandName(command.parent)} ${command.name()}`;
}
