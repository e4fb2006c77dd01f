// The settings of the files that people write, for `bftpkg explain config`, `explain monitor` and the
// reference. The parsers decide; settings.test.ts has each of these read by its parser, and asks each
// parser for those that are missing here.

/** A member of a configuration file. */
export interface FileSetting {
  readonly name: string;
  /** What it may be, in words; ranges are inclusive. */
  readonly value: string;
  readonly meaning: string;
}

const FORMAT = (name: string): FileSetting => ({
  name: 'format',
  value: `"${name}"`,
  meaning: 'which kind of file it is; needed',
});

const PIN: FileSetting = {
  name: 'pin',
  value: '64 hexadecimal digits, lower case',
  meaning: 'hash of the roster of replicas that is believed, as the operators publish it',
};

const REPLICAS: FileSetting = {
  name: 'replicas',
  value: '1 to 100 addresses',
  meaning: 'where to reach them; name all of them, a quorum has to answer',
};

const AGE: FileSetting = {
  name: 'checkpointAgeMaxSeconds',
  value: '1 to 2678400, 600 if left out',
  meaning: 'how old the view of the log may be',
};

/** Members of `bftpkg.json`, and of a `bftpkg` member of package.json. */
export const CONFIG_SETTINGS: readonly FileSetting[] = [
  FORMAT('bftpkg-config/v1'),
  PIN,
  REPLICAS,
  AGE,
  {
    name: 'rules',
    value: 'a list',
    meaning: 'what is demanded beyond proof; each that matches applies',
  },
  {
    name: 'exceptions',
    value: 'a list',
    meaning: 'what is allowed in spite of a refusal, until a day',
  },
  {
    name: 'allowScripts',
    value: 'names, patterns like @acme/*, or name@1.2.3',
    meaning: 'packages whose install scripts may run',
  },
  {
    name: 'baseline',
    value: 'name of a file beside this one',
    meaning: 'what the project had when it began; bftpkg policy baseline create writes it',
  },
];

/** Members that only the user's own `config.json` has; it has no baseline. */
export const USER_SETTINGS: readonly FileSetting[] = [
  {
    name: 'pins',
    value: 'hashes of rosters',
    meaning: 'the logs that a project may pin, besides your own pin; any, if you name neither',
  },
  {
    name: 'trustedProjects',
    value: 'absolute paths of folders',
    meaning: 'projects whose exceptions count against your own rules',
  },
];

/** Members of a rule. */
export const RULE_SETTINGS: readonly FileSetting[] = [
  {
    name: 'packages',
    value: 'names, or patterns like * and @acme/*',
    meaning: 'what it is about; at least one',
  },
  {
    name: 'releaseAgeMinSeconds',
    value: '1 to 31622400',
    meaning: 'how long a release must have been in the log (BP6004)',
  },
  {
    name: 'signersMin',
    value: '1 to 64',
    meaning: 'how many maintainers must have signed, beside the package’s own threshold (BP6008)',
  },
  {
    name: 'signersNotFewer',
    value: 'true',
    meaning: 'at least as many signers as the release before it (BP6001)',
  },
  {
    name: 'maintainerKeys',
    value: 'key ids, 64 hexadecimal digits each',
    meaning:
      'of these as many must have signed as a release needs (BP6009); bftpkg inspect shows them',
  },
  {
    name: 'installScripts',
    value: '"no-new-in-patch" or "refuse"',
    meaning: 'no script where the release before it had none, or none at all (BP6012)',
  },
  { name: 'yanked', value: '"refuse"', meaning: 'also where the lockfile has it already (BP5002)' },
  {
    name: 'unlogged',
    value: '"refuse"',
    meaning: 'what is not in the log is refused anyway; here this file insists on it (BP5003)',
  },
];

/** Members of an exception. */
export const EXCEPTION_SETTINGS: readonly FileSetting[] = [
  { name: 'package', value: 'name, @scope/*, or name@version', meaning: 'what is allowed' },
  { name: 'code', value: 'like BP5003', meaning: 'what it would be refused for' },
  { name: 'reason', value: 'text', meaning: 'why, for whoever reads it later' },
  { name: 'expires', value: 'a day, 2027-01-31', meaning: 'the last day on which it holds, UTC' },
];

/** Members of a monitor's configuration. */
export const MONITOR_SETTINGS: readonly FileSetting[] = [
  FORMAT('bftpkg-monitor/v1'),
  { ...PIN, meaning: `${PIN.meaning}; needed` },
  { ...REPLICAS, meaning: `${REPLICAS.meaning}; needed` },
  {
    name: 'sources',
    value: 'at most 20 addresses',
    meaning: 'other servers with a /checkpoint of the same log (mirrors), to be compared',
  },
  {
    name: 'packages',
    value: 'names, or patterns like * and @acme/*',
    meaning: 'tell of their releases, withdrawals and changes of maintainers',
  },
  {
    name: 'keys',
    value: 'public keys, 64 hexadecimal digits each',
    meaning: 'tell of whatever they sign, in any package',
  },
  { ...AGE, value: 'from 1, 600 if left out', meaning: 'tell when the log is older than that' },
];

/** One setting a line. */
export function describeSettings(settings: readonly FileSetting[]): readonly string[] {
  return settings.map(({ name, value, meaning }) => `${name} (${value}): ${meaning}.`);
}
