// The topics of `bftpkg explain`: what a user needs to know when nothing else is at hand. Plain text, one
// paragraph a line.

import {
  CONFIG_SETTINGS,
  describeSettings,
  EXCEPTION_SETTINGS,
  MONITOR_SETTINGS,
  RULE_SETTINGS,
  USER_SETTINGS,
} from './settings.ts';

/** A topic. */
export interface Topic {
  readonly name: string;
  readonly title: string;
  readonly paragraphs: readonly string[];
}

/** Every topic, but for the tables that are made elsewhere (`exit-codes`, `env`). */
export const TOPICS: readonly Topic[] = [
  {
    name: 'json',
    title: 'reports for programs',
    paragraphs: [
      '--format json prints one document for every exit, 2 and 5 included. `bftpkg verify --json-schema` prints its schema.',
      'Its name has a major version. Fields are only ever added under it: ignore those that you do not know.',
      'Branch on exit.code, or on verdict; a subject is verified only where its own verdict says "verified".',
      'ndjson is the same, one object a line: start, progress, subject, diagnostic, end. Without the end line the output was cut off.',
      '--report FORMAT=FILE writes a report to a file in the same run, any number of times: sarif for code scanning, junit for build servers, markdown for a summary.',
      '--reproducible leaves times and ages out, so that equal outcomes give equal bytes.',
      'Messages hold text that strangers wrote. It is made printable in every format: control and direction characters are spelled out.',
    ],
  },
  {
    name: 'policy',
    title: 'what a project asks for beyond proof',
    paragraphs: [
      'The file bftpkg.json names the log that a project believes (pin, replicas) and its rules. It is data, never code.',
      'A rule can only ask for more than the log proves. A project can tighten what the user’s own file says, never loosen it.',
      'An exception has a reason and a last day: an expired one fails, one that nothing needs warns.',
      'A baseline lists what an existing project already had when it began; it is allowed, not verified, and everything new is held to the rules.',
      'What a policy allows has its own rows in every report and never counts as verified.',
      'What can be written into the files: bftpkg explain config.',
    ],
  },
  {
    name: 'config',
    title: 'what can be written into bftpkg.json',
    paragraphs: [
      'JSON with comments. Whatever is unknown is refused, since a rule that is misspelled would be a rule that is missing.',
      ...describeSettings(CONFIG_SETTINGS),
      'A rule:',
      ...describeSettings(RULE_SETTINGS),
      'An exception:',
      ...describeSettings(EXCEPTION_SETTINGS),
      'Your own file, ~/.config/bftpkg/config.json, has the same members but for the baseline, and two more:',
      ...describeSettings(USER_SETTINGS),
    ],
  },
  {
    name: 'monitor',
    title: 'what a monitor watches: monitor.json',
    paragraphs: [
      'bftpkg monitor run --config monitor.json follows the log, checks each step of it, and writes a line for each thing that it was asked to tell. --webhook <url> posts them as well, --metrics <file> writes figures for Prometheus.',
      ...describeSettings(MONITOR_SETTINGS),
      'It keeps how far it got in your state folder (--state names another one), tells each thing once, and starts where it stopped. Exit codes of --once are those of all commands.',
    ],
  },
  {
    name: 'scripts',
    title: 'whose install scripts run',
    paragraphs: [
      'Install scripts run with your rights before anybody has looked at the code. bftpkg install and bftpkg ci run none, unless you say so.',
      'allowScripts in bftpkg.json lists packages whose scripts may run: names, patterns like @acme/*, or name@1.2.3. A list in your own file bounds that of every project.',
      '--scripts runs those of all packages, also of bundled ones; --no-scripts runs none. Both stay within the list of your own file, if it has one.',
      'Scripts are those of the signed manifest, and the build that npm starts for a binding.gyp. They run after everything was verified and put into place, for each package in its own folder.',
      'A script may fetch what nobody has signed. --isolate leaves it without a network.',
    ],
  },
  {
    name: 'freeze',
    title: 'an old view of the log',
    paragraphs: [
      'Whoever controls the network can hide what is new: a revocation, for example. What they cannot do is make an old view look new.',
      'Replicas sign the newest tree again every minute. The time of a view is the latest one that more replicas than can be faulty have signed at or after, so at least one correct replica stands for it.',
      'A view that is older than checkpointAgeMaxSeconds is refused (BP4001), even if everything in it matches.',
      'A view that is older than one that this machine has accepted is refused too (BP4002), whatever its age.',
      'If it happens: check the clock, then another network, then ask the operators. A log that stands still looks the same.',
    ],
  },
  {
    name: 'split-view',
    title: 'two logs where there must be one',
    paragraphs: [
      'Every checkpoint needs the signatures of a quorum, and two quorums share more replicas than may be faulty. Two different trees of one size with a quorum each prove that those replicas signed both (BP4003).',
      'The two signed notes are written to a file. Anybody can check it offline, with no trust in whoever shows it: bftpkg evidence verify <file>.',
      'Nothing is installed and the saved trust state stays where it was. Keep the file, publish it, and stop using the log until its operators have explained it.',
    ],
  },
  {
    name: 'quorum',
    title: 'how many of whom',
    paragraphs: [
      'Of n replicas, f may be faulty in any way. A quorum is more than half of all and of the faulty together: floor((n + f) / 2) + 1, which is 2f + 1 of n = 3f + 1.',
      'Two quorums have a correct replica in common, so they cannot say opposite things. And without the f faulty ones a quorum is still there, so they cannot stop the log.',
      'f + 1 have at least one correct among them. That is enough for what proves itself: signatures of maintainers on a release, a checkpoint that is still the newest.',
      'Keys are counted, never signature lines: a key counts once, under whatever name and however often it signs.',
      'Replicas can have weights; then weights are counted in the same way.',
    ],
  },
  {
    name: 'keys',
    title: 'where the keys that sign are, and how not to lose them',
    paragraphs: [
      'A key file is encrypted with a passphrase (age, scrypt). It is refused if others can read it, if it is a link, or if it holds the key of another name.',
      'A passphrase is typed, or comes from a file or pipe: --passphrase-file <(pass show npm). It is never taken from the command line.',
      'A key of the ssh-agent signs after --key agent:<which>, where which is its fingerprint, its comment, or nothing if there is one. bftpkg key import --agent <which> --name <name> gives it a name of its own. Ed25519 only: security keys (sk-) sign something else.',
      'bftpkg key backup splits a key into n shares for n people. Any t of them make the key, t - 1 say nothing about it. Of m that are handed in, (m - t) / 2 may be wrong and are named; with more wrong ones, t right ones are looked for by trying, since the shares name the public key.',
      'With f bad holders t <= n - 2f has to hold, so that their shares can be corrected, and f < t, so that they do not have the key: 5 shares and threshold 3 for one, 7 and 3 for two.',
      'bftpkg key rotate makes a new key and drafts the change of maintainers for each package. The old key counts until the log has the change.',
      'A lost key is replaced by the other maintainers: f + 1 of them sign package propose-change --remove. So is a stolen one, at once; releases that it helped to sign can be revoked.',
    ],
  },
  {
    name: 'files',
    title: 'files that bftpkg reads and writes',
    paragraphs: [
      'bftpkg.json: the project’s configuration; the nearest one upwards, to the root of the repository. --config or BFTPKG_CONFIG names another.',
      '$XDG_CONFIG_HOME/bftpkg (~/.config/bftpkg): your keys, encrypted and readable by you alone, and your own configuration.',
      '$XDG_STATE_HOME/bftpkg (~/.local/state/bftpkg): the newest checkpoint that was accepted, for each log. Without it going back cannot be noticed once; back it up rather than delete it.',
      '$XDG_CACHE_HOME/bftpkg (~/.cache/bftpkg): verified tarballs. Can be removed at any time.',
      'bftpkg-evidence-….json in the current folder: proof that replicas misbehaved. Keep it.',
    ],
  },
];
