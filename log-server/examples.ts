// What stands below the options in the help of `bftpkg-log`: lines to type. fixtures/manual.test.ts parses every one
// with the program itself, and asks for one of every command.
import type { Command } from 'commander';

/** By command, without the program's name: the lines as they are typed. */
export const LOG_EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  genkey: ['bftpkg-log genkey --name r4 --dir r4'],
  try: ['bftpkg-log try > bftpkg.json', 'bftpkg-log try --folder my-log'],
  'cluster init': ['bftpkg-log cluster init --n 4 --out cluster --origin log.example.org'],
  run: ['bftpkg-log run --config cluster/r0/config.json'],
  'check-config': ['bftpkg-log check-config --config r4/config.json'],
  'roster found': [
    'bftpkg-log roster found --origin log.example.org --add r0=<cosign key>,<vote key>,<url>,<peer url>,1 --key r0/replica-key.json --out rosters.json',
  ],
  'roster join': ['bftpkg-log roster join rosters.json --key r1/replica-key.json'],
  'roster propose': [
    'bftpkg-log roster propose --config r0/config.json --add r4=<cosign key>,<vote key>,<url>,<peer url>,1 --out next.json',
    'bftpkg-log roster propose --config r0/config.json --remove r2 --out next.json',
    'bftpkg-log roster propose --config r0/config.json --move r1=https://new.example,https://new.example:8701 --out next.json',
  ],
  'roster sign': ['bftpkg-log roster sign next.json --config r1/config.json'],
  'roster submit': ['bftpkg-log roster submit next.json --url https://r0.example'],
  'roster show': ['bftpkg-log roster show --config r0/config.json'],
  fsck: ['bftpkg-log fsck --config r0/config.json --repair-from-peers'],
  status: ['bftpkg-log status --url http://127.0.0.1:8700'],
};

/** Adds them to the help of each command. */
export function addLogExamples(program: Command): void {
  const walk = (command: Command, path: string): void => {
    for (const each of command.commands) {
      const name = path === '' ? each.name() : `${path} ${each.name()}`;
      const lines = LOG_EXAMPLES[name] ?? [];
      const heading = lines.length === 1 ? 'Example:' : 'Examples:';
      const text = ['', heading, ...lines.map((line) => `  ${line}`)].join('\n');
      if (lines.length > 0) each.addHelpText('after', text);
      walk(each, name);
    }
  };
  walk(program, '');
}
