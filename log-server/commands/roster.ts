// The roster commands' options. What they do is loaded only when they are used.
import { Command, InvalidArgumentError, Option } from 'commander';

import { parseUint } from '../../verifier/encoding.ts';
import { ConfigError } from '../config.ts';
import type { FoundOptions } from './roster-found.ts';
import type { ProposeOptions, SignOptions } from './roster-propose.ts';
import type { SubmitOptions } from './roster-submit.ts';

const CONFIG = ['--config <file>', 'configuration of a replica'] as const;
const KEY = ['--key <file>', 'key file of a replica, as genkey made it'] as const;
const ADDITION = '--add <name=cosignKey,voteKey,url,peerUrl,weight>';
const URL_HELP = 'replica to ask for the present rosters; all known ones unless told';

/** Makes `bftpkg-log roster …`. */
export function rosterCommand(): Command {
  const roster = new Command('roster').description('change who the replicas are');
  roster.addCommand(foundCommand());
  roster
    .command('join')
    .description('sign the first roster of a new log, in which this replica is')
    .argument('<file>', 'the first roster')
    .requiredOption(...KEY)
    .action(async (file: string, options: { key: string }) => {
      const { joinRoster } = await import('./roster-found.ts');
      await joinRoster(file, options);
    });
  roster.addCommand(proposeCommand());
  roster
    .command('sign')
    .description('show what a proposed roster changes, and sign it')
    .argument('<file>', 'the proposal')
    .requiredOption(...CONFIG)
    .option('--url <address>', URL_HELP)
    .action(async (file: string, options: SignOptions) => {
      const { signRoster } = await import('./roster-propose.ts');
      await signRoster(file, options);
    });
  roster
    .command('submit')
    .description('hand a signed roster to the log')
    .argument('<files...>', 'the proposal, or copies of it with different signatures')
    .requiredOption('--url <address>', 'a running replica')
    .option('--force', 'even if too few of its replicas are running', false)
    .action(async (files: readonly string[], options: SubmitOptions) => {
      const { submitRoster } = await import('./roster-submit.ts');
      await submitRoster(files, options);
    });
  roster
    .command('show')
    .description('print the present roster, verified from the pin')
    .addOption(new Option(...CONFIG).conflicts('pin'))
    .option('--pin <hash>', 'hash of the roster that the chain begins with')
    .option('--url <address>', 'replica to ask')
    .action(async (options: { config?: string; pin?: string; url?: string }) => {
      const { showRoster } = await import('./roster-show.ts');
      const { config, pin, url } = options;
      if (config !== undefined)
        return showRoster({ config, ...(url === undefined ? {} : { url }) });
      if (pin !== undefined && url !== undefined) return showRoster({ pin, url });
      throw new ConfigError('roster show', ['needs --config, or --pin and --url']);
    });
  return roster;
}

// No empty list as default, which help would show.
const several = (what: string): readonly [string, (one: string, all?: string[]) => string[]] => [
  what,
  (one, all = []) => [...all, one],
];

function foundCommand(): Command {
  return new Command('found')
    .description('write the first roster of a log of several operators, and sign it')
    .requiredOption('--origin <name>', 'name of the log, such as log.example.org')
    .requiredOption(ADDITION, ...several('a replica, as genkey prints it; repeatable'))
    .requiredOption(...KEY)
    .requiredOption('--out <file>', 'a new file: the rosters.json of all when all have signed')
    .option('--faulty <weight>', 'weight that may be faulty; the most possible unless told', uint)
    .option('--admission <rule>', 'who may claim names: open, or faulty:key,key,…')
    .action(async (options: FoundOptions) => {
      const { foundRoster } = await import('./roster-found.ts');
      await foundRoster(options);
    });
}

function proposeCommand(): Command {
  return new Command('propose')
    .description('write the next roster into a file and sign it')
    .requiredOption(...CONFIG)
    .requiredOption('--out <file>', 'a new file')
    .option('--url <address>', URL_HELP)
    .option(ADDITION, ...several('a new replica; may be repeated'))
    .option('--remove <name>', ...several('a replica that leaves; may be repeated'))
    .option('--weight <name=weight>', ...several('another weight; may be repeated'))
    .option('--move <name=url,peerUrl>', ...several('other addresses; may be repeated'))
    .option('--faulty <weight>', 'weight that may be faulty; the most possible unless told', uint)
    .option('--admission <rule>', 'who may claim names: open, or faulty:key,key,…')
    .action(async (options: ProposeOptions) => {
      const { proposeRoster } = await import('./roster-propose.ts');
      await proposeRoster(options);
    });
}

function uint(text: string): number {
  try {
    return parseUint(text);
  } catch {
    throw new InvalidArgumentError('not a number');
  }
}
