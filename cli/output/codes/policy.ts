// Codes BP6xxx, about policy: what a project, its user or bftpkg itself refuses.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code =
  | 'BP6001'
  | 'BP6002'
  | 'BP6003'
  | 'BP6004'
  | 'BP6005'
  | 'BP6006'
  | 'BP6007'
  | 'BP6008'
  | 'BP6009'
  | 'BP6010'
  | 'BP6011'
  | 'BP6012'
  | 'BP6013'
  | 'BP6014'
  | 'BP6015'
  | 'BP6016';

/** What is explained about each of them. */
export const POLICY_CODES: Readonly<Record<Code, CodeEntry>> = {
  BP6001: {
    title: 'trust downgrade',
    exit: EXIT.policy,
    happened: 'The release was signed by fewer maintainers than the release before it.',
    matters: 'A release that suddenly has fewer signers can come from a stolen account.',
    innocent: 'A maintainer was away, or the team changed its rules.',
    attack: 'Somebody with fewer keys than before publishes alone.',
    action: 'Stay on the version before; ask the maintainers.',
    suppress: 'An exception with a reason and a last day: `bftpkg policy except add`.',
  },
  BP6002: {
    title: 'exception expired',
    exit: EXIT.policy,
    happened: 'An exception for this package was allowed until a day that has passed.',
    matters: 'Exceptions end, so that somebody looks again.',
    innocent: 'Nobody looked again.',
    attack: 'None by itself.',
    action: 'Remove the reason for it, or give it a new last day on purpose.',
    suppress: 'Renew it: `bftpkg policy except add`.',
  },
  BP6003: {
    title: 'dangerous project setting',
    exit: EXIT.policy,
    happened: "The project's .npmrc sets something that makes npm run a program or go elsewhere.",
    matters: 'It would take effect outside of what was verified, even with scripts switched off.',
    innocent: 'An old setting that nobody needs any more.',
    attack: 'A pull request that adds a setting which runs code on every install.',
    action: 'Remove the setting that is named, or move it to your own user configuration.',
    suppress: NEVER,
  },
  BP6004: {
    title: 'too new',
    exit: EXIT.policy,
    happened: 'The release was logged more recently than the policy allows.',
    matters: 'Most malicious releases are found within days; who waits is not among the first.',
    innocent: 'An urgent fix.',
    attack: 'A release made to be installed before anybody looks at it.',
    action: 'Wait, or take the version before.',
    suppress: 'An exception with a reason and a last day: `bftpkg policy except add`.',
  },
  BP6005: {
    title: 'refused by the log',
    exit: EXIT.policy,
    happened: 'The replicas refused the statement because it breaks a rule of the log.',
    matters: 'Every correct replica refuses it alike; sending it again changes nothing.',
    innocent: 'A sequence number or head that is out of date, a look-alike name.',
    attack: 'None by itself.',
    action: 'Read the reason; prepare the statement again.',
    suppress: NEVER,
  },
  BP6006: {
    title: 'source that cannot be verified',
    exit: EXIT.policy,
    happened:
      'A lockfile entry comes from git, a URL, a file or has no usable integrity value; or it is called bundled and is not in the tarball; or the package brings a lockfile of its own along (npm-shrinkwrap.json).',
    matters:
      'Only registry packages with exactly one SHA-512 can be bound to a logged release. What a lockfile inside of a tarball names, or what a bundle lacks, npm would fetch from wherever it says.',
    innocent: 'A fork or a local package under development.',
    attack: 'An entry that makes npm fetch or run something that nobody vouches for.',
    action:
      'From git, a URL or a file: depend on a released version instead (`bftpkg install <name>`). Without a SHA-512: let your package manager write the entry again (`npm install --package-lock-only` after removing it). Called bundled, or with a lockfile of its own: `bftpkg ci`, which installs only what it has verified. `bftpkg why <name>` says who asks for it.',
    suppress: 'An exception or a baseline: `bftpkg policy except add`, `policy baseline create`.',
  },
  BP6007: {
    title: 'lockfile is not what manifests ask for',
    exit: EXIT.policy,
    happened:
      'The lockfile has a package, an alias or a version that neither the project nor a verified package asks for in this place; or it does not have what they ask for.',
    matters:
      'Package managers install what the lockfile says, whoever wrote it there; what it does not say, many choose anew, and nobody has verified that.',
    innocent:
      'A leftover of an older install; a hook or an extension of the package manager that changes manifests.',
    attack:
      'An entry smuggled into a large lockfile change: real, signed, and never asked for. Or a dependency that is added to package.json alone, so that verifying the lockfile says nothing about it.',
    action: 'Make the lockfile again from package.json, and look at what changes.',
    suppress: 'Ask for it in package.json (dependencies, or overrides), where reviewers see it.',
  },
  BP6008: {
    title: 'fewer signers than the policy wants',
    exit: EXIT.policy,
    happened: 'Fewer maintainers signed the release than a rule of the policy asks for.',
    matters: 'Their own threshold is met; the policy asks for more.',
    innocent: 'A package of a small team.',
    attack: 'A small team is easier to take over.',
    action: 'Ask the maintainers for more signatures, or use another package.',
    suppress: 'An exception with a reason and a last day: `bftpkg policy except add`.',
  },
  BP6009: {
    title: 'not signed by pinned maintainers',
    exit: EXIT.policy,
    happened:
      'Fewer keys that the policy pins for this package signed the release than a release of it needs.',
    matters: 'A pinned key stays the same person, whatever the maintainer set says today.',
    innocent: 'The maintainers changed keys or handed the package over.',
    attack: 'The package was taken over by people who are now its rightful maintainers.',
    action: 'Find out who the new maintainers are, then change maintainerKeys.',
    suppress: 'An exception with a reason and a last day: `bftpkg policy except add`.',
  },
  BP6010: {
    title: 'unused exception',
    exit: EXIT.policy,
    happened: 'An exception or an entry of the baseline matches nothing any more.',
    matters: 'What nobody needs may one day match something that nobody meant.',
    innocent: 'The package was removed or published through the log.',
    attack: 'None by itself.',
    action: '`bftpkg policy except prune`, `bftpkg policy baseline prune`.',
    suppress: 'It is a warning.',
  },
  BP6011: {
    title: 'log that you do not trust',
    exit: EXIT.policy,
    happened: 'The project pins a log that is not among the pins of your own configuration.',
    matters: 'Whoever chooses the log chooses who is believed.',
    innocent: 'A project of others, or an operator who started a new log.',
    attack: 'A pull request that points bftpkg.json to a log of its author.',
    action:
      'Compare the pin with the one that the operators publish; then add it to pins in your own file.',
    suppress: NEVER,
  },
  BP6012: {
    title: 'install script',
    exit: EXIT.policy,
    happened: 'The release runs a script on install, where the policy forbids that.',
    matters: 'Install scripts run with your rights before anybody has looked at the code.',
    innocent: 'A package that builds native code.',
    attack: 'A patch release that suddenly runs a program on every machine that installs it.',
    action: 'Look at the script (`bftpkg inspect`); stay on the version before.',
    suppress: 'An exception with a reason and a last day: `bftpkg policy except add`.',
  },
  BP6013: {
    title: 'hook cannot vouch for this install',
    exit: EXIT.policy,
    happened:
      'A package manager called the hook of bftpkg too late, or for something that no lockfile says yet.',
    matters:
      'A verification after install scripts have run proves nothing: they may have done anything, to the verifier too.',
    innocent: 'npm before version 12; adding a package with the package manager itself.',
    attack: 'None by itself.',
    action: 'Use what the message names: `bftpkg ci`, `bftpkg install <name>`.',
    suppress: NEVER,
  },
  BP6014: {
    title: 'versions not offered',
    exit: EXIT.policy,
    happened:
      'The proxy left versions of a package out of what it offers to the package manager: withdrawn, refused by the policy, or not proven.',
    matters: 'Another version than the newest may have been chosen; you should know why.',
    innocent: 'A rule about the age of releases, a yanked release, a package with thousands.',
    attack: 'None by itself: what is left out cannot be installed.',
    action: 'Read the reasons. `bftpkg inspect <name>@<version>` shows one version.',
    suppress: 'It is a note and refuses nothing; the reasons have codes of their own.',
  },
  BP6015: {
    title: 'way round the proxy',
    exit: EXIT.policy,
    happened: 'A command that runs inside of the proxy asked for something from another place.',
    matters: 'Only what comes through the proxy is verified.',
    innocent:
      'A dependency by URL, a registry for a scope in the project, a lockfile with addresses, an install script that downloads.',
    attack: 'A dependency that fetches code from a server of its own, past every check.',
    action:
      'Find out who asked: `bftpkg why`. Take packages from the log; let scripts download nothing.',
    suppress: NEVER,
  },
  BP6016: {
    title: 'nothing came through the proxy',
    exit: EXIT.policy,
    happened: 'A package manager installed inside of the proxy, and asked it for nothing.',
    matters: 'What it installed, if anything, was there before, and nobody has verified it.',
    innocent: 'Everything was installed already, or the project has no dependencies.',
    attack: 'A repository that brings node_modules or a store along, with code of its author.',
    action: 'Remove node_modules and run it again, or `bftpkg verify --installed`.',
    suppress: 'It is a warning.',
  },
};
