// Diagnostic codes: the names under which people search for a message and machines filter reports.
// Append-only: a code is never renamed, reused or removed (codes.test.ts pins the ones given out).
import { EXIT, type ExitCode } from './exit-codes.ts';

/** What `bftpkg explain` says about a code. */
export interface CodeEntry {
  readonly title: string;
  readonly exit: ExitCode;
  /** What happened. */
  readonly happened: string;
  /** Why it matters. */
  readonly matters: string;
  /** Likely innocent causes. */
  readonly innocent: string;
  /** What an attacker could have done. */
  readonly attack: string;
  /** What to do now. */
  readonly action: string;
  /** How to suppress it. */
  readonly suppress: string;
}

/** Every code that was ever given out. */
export type DiagnosticCode =
  | 'BP1001'
  | 'BP1002'
  | 'BP1003'
  | 'BP1004'
  | 'BP1005'
  | 'BP1006'
  | 'BP1007'
  | 'BP1008'
  | 'BP1009'
  | 'BP2001'
  | 'BP2006'
  | 'BP2007'
  | 'BP3001'
  | 'BP3002'
  | 'BP3003'
  | 'BP4001'
  | 'BP4002'
  | 'BP4003'
  | 'BP4004'
  | 'BP4005'
  | 'BP4007'
  | 'BP4008'
  | 'BP4009'
  | 'BP4010'
  | 'BP5001'
  | 'BP5002'
  | 'BP5003'
  | 'BP5004'
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
  | 'BP7001'
  | 'BP7002'
  | 'BP7003'
  | 'BP7004'
  | 'BP7005'
  | 'BP7006'
  | 'BP8001'
  | 'BP8002'
  | 'BP8003'
  | 'BP8004'
  | 'BP8005'
  | 'BP9001'
  | 'BP9002'
  | 'BP9003'
  | 'BP9004'
  | 'BP9005'
  | 'BP9999';

const NEVER = 'Cannot be suppressed.';

/** The table. */
export const CODES: Readonly<Record<DiagnosticCode, CodeEntry>> = {
  BP1001: {
    title: 'digest mismatch',
    exit: EXIT.tampered,
    happened: "The tarball's SHA-512 is not the one in the logged release.",
    matters: 'These are not the bytes that the maintainers signed. Nothing of them was unpacked.',
    innocent: 'A damaged download, a broken cache or a proxy that rewrites content.',
    attack: 'A replica, registry, mirror or proxy serves other bytes than it vouches for.',
    action:
      'Do not install it. Try another network; report the server that is named in the message.',
    suppress: NEVER,
  },
  BP1002: {
    title: 'size mismatch',
    exit: EXIT.tampered,
    happened: 'The tarball has another size than the logged release states.',
    matters: 'These are not the bytes that the maintainers signed.',
    innocent: 'A download that was cut off.',
    attack: 'Bytes appended or removed on the way.',
    action: 'Fetch it again; if it stays, treat it as BP1001.',
    suppress: NEVER,
  },
  BP1003: {
    title: 'lockfile differs from the log',
    exit: EXIT.tampered,
    happened: "The lockfile's integrity value is not the digest in the logged release.",
    matters:
      'The lockfile pins bytes that the maintainers never signed under this name and version.',
    innocent:
      'The lockfile was made against another registry that has a different package of this name.',
    attack: 'Someone changed the lockfile, or the registry served other bytes when it was made.',
    action: 'Look at who changed the lockfile entry; make it again with `bftpkg install`.',
    suppress: NEVER,
  },
  BP1004: {
    title: 'registry serves other bytes',
    exit: EXIT.tampered,
    happened: 'What the npm registry serves for this version is not the artifact in the log.',
    matters:
      'Users who verify will refuse it, and users who do not verify get something that the maintainers never signed.',
    innocent:
      'Somebody published by hand before the release was logged, or the registry packs anew.',
    attack: 'A stolen publishing token, or a registry that serves other bytes.',
    action:
      'Do not announce the release. Ask the registry to remove it, revoke publishing tokens, and publish the logged bytes under a new version.',
    suppress: NEVER,
  },
  BP1005: {
    title: 'unsafe archive',
    exit: EXIT.tampered,
    happened:
      'The tarball breaks a rule for safe archives (links, path tricks, duplicates, bombs).',
    matters: 'Different programs unpack such archives differently, or outside their folder.',
    innocent: 'An unusual packing tool.',
    attack: 'An archive made to be seen as harmless by one reader and harmful by another.',
    action: 'Do not unpack it. Maintainers: pack with `npm pack`.',
    suppress: NEVER,
  },
  BP1006: {
    title: 'manifest confusion',
    exit: EXIT.tampered,
    happened: "The tarball's package.json says something else than the signed manifest.",
    matters: 'What a resolver acts on and what gets installed would differ.',
    innocent: 'A packing tool that rewrites package.json after the statement was made.',
    attack: 'Dependencies or scripts hidden from those who only read the metadata.',
    action: 'Do not install it. Maintainers: prepare the release again from the final tarball.',
    suppress: NEVER,
  },
  BP1007: {
    title: 'lockfile names no bytes',
    exit: EXIT.inconclusive,
    happened:
      'The release is in the log, but the lockfile’s checksum is not one of the tarball (Yarn berry hashes a zip of its own making).',
    matters: 'Nothing ties what the package manager will install to what the maintainers signed.',
    innocent: 'Every lockfile of Yarn berry is like this.',
    attack: 'Other bytes are served when the lockfile is made, and pinned by it from then on.',
    action: 'Install through a verifying registry, or check what lies on disk with --installed.',
    suppress: NEVER,
  },
  BP1008: {
    title: 'installed files differ',
    exit: EXIT.tampered,
    happened: 'What lies in node_modules is not what the verified tarballs and the lockfile say.',
    matters: 'Code runs from node_modules, not from tarballs.',
    innocent:
      'An install script that builds in place, a patch tool, an edit while debugging, or an older install.',
    attack: 'Something with write access changed or added files after they were installed.',
    action: 'Look at the files that are named; remove node_modules and run `bftpkg ci`.',
    suppress: NEVER,
  },
  BP1009: {
    title: 'rebuilt tarball differs',
    exit: EXIT.tampered,
    happened:
      'Your own checkout gives another tarball than the one that you are asked to sign, or the proposal says of the tarball what it is not: another version, size or manifest.',
    matters:
      'Your signature says that these bytes are what the repository gives. Nothing was signed.',
    innocent:
      'Another commit is checked out, files are changed or built differently, or the versions of npm or bftpkg differ.',
    attack:
      'A co-maintainer’s machine adds something that is not in the repository, or a co-maintainer has the true digest signed with other dependencies, which no replica can log.',
    action:
      'Look at what the message names; check out the commit of the release, build it the same way, and sign again.',
    suppress:
      '--expect-digest sha512-… signs a digest that you know from elsewhere, if the tarball is at hand and the proposal says what it is.',
  },
  BP2001: {
    title: 'too few maintainer signatures',
    exit: EXIT.maintainers,
    happened: 'Fewer distinct maintainers signed the release than its maintainer set requires.',
    matters: 'One stolen key or one bad maintainer must not be able to ship a release.',
    innocent: 'A co-maintainer has not signed yet, or signed another build.',
    attack: 'A stolen account or key published alone.',
    action: 'Stay on the last good version; ask the maintainers. Maintainers: collect signatures.',
    suppress: NEVER,
  },
  BP2006: {
    title: 'broken chain of maintainer sets',
    exit: EXIT.maintainers,
    happened: 'A maintainer set does not follow from the one before it.',
    matters: 'The keys that signed may not be those that the package was registered with.',
    innocent: 'None known; a defect in a replica.',
    attack: 'Someone tries to put own keys in the place of the maintainers.',
    action: 'Do not install it; report it to the operators of the log.',
    suppress: NEVER,
  },
  BP2007: {
    title: 'signed another one before',
    exit: EXIT.policy,
    happened: 'You have signed another artifact for this version of this package.',
    matters:
      'Two signed artifacts for one version could both collect signatures; only one of them can ever be logged, and you would not know which.',
    innocent: 'The release was prepared again after something had been changed.',
    attack: 'Somebody tries to get a second, different artifact signed under the same version.',
    action: 'Raise the version and prepare that one; let the first one expire.',
    suppress: NEVER,
  },
  BP3001: {
    title: 'too few repository attestations',
    exit: EXIT.attestations,
    happened: 'The checkpoint is cosigned by fewer replicas than a quorum.',
    matters: 'Below a quorum, faulty replicas alone could have made it.',
    innocent: 'Replicas are down or behind.',
    attack: 'A replica invents a state that the others never saw.',
    action: 'Try again, or ask another replica.',
    suppress: NEVER,
  },
  BP3002: {
    title: 'bad cosignature',
    exit: EXIT.attestations,
    happened: 'A known replica key has an invalid signature line on the checkpoint.',
    matters: 'The note was damaged or forged, so none of it is used.',
    innocent: 'A damaged transfer.',
    attack: 'A forged checkpoint.',
    action: 'Try again, or ask another replica.',
    suppress: NEVER,
  },
  BP3003: {
    title: 'wrong roster',
    exit: EXIT.attestations,
    happened: 'The roster of replicas does not follow from the one that this project pins.',
    matters: 'Whoever chooses the roster chooses who is believed.',
    innocent: 'The pin in bftpkg.json belongs to another log, or a replica serves another log.',
    attack: 'A whole false log with its own replicas.',
    action: 'Compare the pin with the one that the operators publish, over another channel.',
    suppress: NEVER,
  },
  BP4001: {
    title: 'stale checkpoint',
    exit: EXIT.stale,
    happened: 'The newest checkpoint is older than the configured maximum age.',
    matters: 'An old view can hide a revocation. What matches it is not accepted as verified.',
    innocent: 'The log stands still, or this machine has a wrong clock.',
    attack: 'Someone between you and the replicas freezes your view.',
    action: 'Check the clock, try another network, ask the operators.',
    suppress: 'Raise checkpointAgeMaxSeconds in bftpkg.json, or --max-checkpoint-age for one run.',
  },
  BP4002: {
    title: 'rollback',
    exit: EXIT.stale,
    happened: 'The replica served an older log than this machine has already accepted.',
    matters: 'Going back would undo revocations and releases that were seen.',
    innocent: 'A replica that is behind.',
    attack: 'A replica or a network that hides newer entries.',
    action: 'Try again; ask another replica.',
    suppress: NEVER,
  },
  BP4003: {
    title: 'split view',
    exit: EXIT.fork,
    happened: 'Two different logs were signed by quorums at the same size.',
    matters:
      'More replicas are faulty than the log tolerates; some users are shown something else.',
    innocent: 'None. Two valid signatures of one key on two different roots are proof.',
    attack: 'Operators or thieves of their keys show different logs to different people.',
    action: 'Keep the evidence file, publish it, and stop installing from this log.',
    suppress: NEVER,
  },
  BP4004: {
    title: 'bad inclusion proof',
    exit: EXIT.proof,
    happened: 'An entry is not proven to be in the log under the checkpoint.',
    matters: 'Without the proof, the entry is merely something that a server said.',
    innocent: 'A damaged transfer or a defect in a replica.',
    attack: 'A replica shows an entry that is in no log.',
    action: 'Ask another replica; report the one that is named.',
    suppress: NEVER,
  },
  BP4005: {
    title: 'bad consistency proof',
    exit: EXIT.proof,
    happened: 'The new checkpoint is not proven to extend the one accepted before.',
    matters: 'History may have been rewritten.',
    innocent: 'A damaged transfer or a defect in a replica.',
    attack: 'A rewritten log.',
    action: 'Ask another replica; if all answer so, keep the trust state file as evidence.',
    suppress: NEVER,
  },
  BP4007: {
    title: 'checkpoint from the future',
    exit: EXIT.stale,
    happened: 'The checkpoint is certified for a time ahead of this clock.',
    matters: 'Ages cannot be judged with a wrong clock.',
    innocent: 'The clock of this machine is behind.',
    attack: 'A changed clock, to make old views look fresh later.',
    action: 'Set the clock.',
    suppress: NEVER,
  },
  BP4008: {
    title: 'malformed evidence',
    exit: EXIT.proof,
    happened: 'The evidence is not in the one form that is allowed.',
    matters: 'Bytes that can be read in two ways can be shown as two things.',
    innocent: 'A damaged file or transfer, a defect in a replica.',
    attack: 'An attempt to confuse the reader.',
    action: 'Ask another replica, or get the file again.',
    suppress: NEVER,
  },
  BP4009: {
    title: 'bad map proof',
    exit: EXIT.proof,
    happened: 'The status of a package or release is not proven by the map of the log.',
    matters: 'Whether something exists or was withdrawn has to be proven, not asserted.',
    innocent: 'A damaged transfer or a defect in a replica.',
    attack: 'A replica hides a withdrawal or a release.',
    action: 'Ask another replica; report the one that is named.',
    suppress: NEVER,
  },
  BP4010: {
    title: 'illegal batch',
    exit: EXIT.proof,
    happened:
      'The log holds a batch that breaks its own rules, or says another outcome than it has.',
    matters: 'No correct replica votes for such a batch: more of them are faulty than may be.',
    innocent: 'A defect in the replicas, or an older version of this program.',
    attack: 'A quorum of replicas that conspire, to publish what maintainers never signed.',
    action: 'Keep the log, publish the finding, and stop installing from this log.',
    suppress: NEVER,
  },
  BP5001: {
    title: 'revoked',
    exit: EXIT.withdrawn,
    happened: 'The maintainers revoked this release.',
    matters: 'Revocation is a hard stop for security reasons, and is for ever.',
    innocent: 'None: f+1 maintainers signed the revocation.',
    attack: 'The release itself may be the attack.',
    action: 'Move to another version. If it was ever installed, assume that its code ran.',
    suppress: NEVER,
  },
  BP5002: {
    title: 'yanked',
    exit: EXIT.withdrawn,
    happened: 'The maintainers ask not to choose this release any more.',
    matters: 'Existing lockfiles may go on; new installs should not take it up.',
    innocent: 'A packaging mistake or a defect.',
    attack: 'None by itself.',
    action: 'Move to another version when you can.',
    suppress: 'It is a warning for packages that the lockfile already has; else an exception.',
  },
  BP5003: {
    title: 'not in the log',
    exit: EXIT.notLogged,
    happened: 'The map of the log proves that this package or version is not in it.',
    matters: 'Nobody vouches for these bytes: no maintainers, no replicas.',
    innocent: 'Its maintainers do not take part yet, or the release is not published yet.',
    attack: 'A package that exists only in a registry that was taken over.',
    action: 'Check the spelling; ask the maintainers to publish through the log.',
    suppress: 'An exception or a baseline: `bftpkg policy except add`, `policy baseline create`.',
  },
  BP5004: {
    title: 'already bound to something else',
    exit: EXIT.policy,
    happened: 'The name or the version is in the log already, with other content.',
    matters: 'A name and version mean one artifact for ever.',
    innocent: 'The version was not raised, or a colleague was first.',
    attack: 'An attempt to replace a published release.',
    action: 'Raise the version, or compare your build with the one in the log.',
    suppress: NEVER,
  },
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
    action: 'Depend on a released version; make the entry again with `bftpkg install`.',
    suppress: 'An exception or a baseline: `bftpkg policy except add`, `policy baseline create`.',
  },
  BP6007: {
    title: 'dependency that no manifest asks for',
    exit: EXIT.policy,
    happened:
      'The lockfile has a package, an alias or a version that neither the project nor a verified package asks for in this place.',
    matters: 'Package managers install what the lockfile says, whoever wrote it there.',
    innocent:
      'A leftover of an older install; a hook or an extension of the package manager that changes manifests.',
    attack: 'An entry smuggled into a large lockfile change: real, signed, and never asked for.',
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
  BP7001: {
    title: 'quorum unreachable',
    exit: EXIT.inconclusive,
    happened: 'Too few replicas answered. Nothing was proven wrong and nothing was verified.',
    matters: 'With fewer than a quorum, a view cannot be told from one that hides something.',
    innocent: 'Replicas or the network are down.',
    attack: 'Someone cuts you off from the replicas.',
    action: 'Try again; try another network; or verify a saved bundle with --bundle.',
    suppress: NEVER,
  },
  BP7002: {
    title: 'answer too large',
    exit: EXIT.inconclusive,
    happened: 'A server sent more than is ever needed; the transfer was stopped.',
    matters: 'Endless answers are a way to exhaust memory and time.',
    innocent: 'A wrong URL.',
    attack: 'A faulty replica.',
    action: 'Check the replica URLs in bftpkg.json.',
    suppress: NEVER,
  },
  BP7003: {
    title: 'time spent',
    exit: EXIT.inconclusive,
    happened: 'The time for the whole command ran out.',
    matters: 'Nothing was proven wrong, and nothing is verified.',
    innocent: 'A slow network, a log that stands still.',
    attack: 'Replicas that answer as slowly as they can.',
    action: 'Try again, with a longer --timeout if need be.',
    suppress: NEVER,
  },
  BP7004: {
    title: 'package manager failed',
    exit: EXIT.inconclusive,
    happened: 'npm ended with an error; the project is as it was before.',
    matters: 'Everything was verified, but it is not installed.',
    innocent: 'package.json and the lockfile disagree, no space, an unsupported platform.',
    attack: 'None by itself.',
    action: "Read npm's own message above.",
    suppress: NEVER,
  },
  BP7005: {
    title: 'not covered by the bundle',
    exit: EXIT.inconclusive,
    happened: 'The saved evidence does not show what is needed to judge this subject.',
    matters: 'It was not checked, so it is neither good nor bad.',
    innocent: 'The bundle was made for other subjects.',
    attack: 'A bundle from which something was taken out.',
    action: 'Make the bundle again for these subjects, or verify online.',
    suppress: NEVER,
  },
  BP7006: {
    title: 'release before it not shown',
    exit: EXIT.inconclusive,
    happened:
      'A rule compares a release with the one before it, and that one could not be determined.',
    matters: 'It was not checked, so it is neither good nor bad.',
    innocent: 'Replicas are down; a bundle that was made without this rule.',
    attack: 'A replica that hides the release before.',
    action: 'Try again online, or make the bundle again with this policy.',
    suppress: NEVER,
  },
  BP8001: {
    title: 'unusable key file',
    exit: EXIT.usage,
    happened: 'The key file is missing, malformed, or others on this machine can read it.',
    matters: 'A key that others can read is not yours alone.',
    innocent: 'A copied file that lost its permissions.',
    attack: 'Another user of this machine reads or replaces keys.',
    action: '`chmod 600` the file and `chmod 700` its folder; make a new key if it was exposed.',
    suppress: NEVER,
  },
  BP8002: {
    title: 'confirmation needed',
    exit: EXIT.locked,
    happened: 'Signing needs a confirmation, and --no-input or a missing terminal forbids asking.',
    matters: 'A signature is given to exactly one digest; a blind one helps an attacker.',
    innocent: 'A build machine.',
    attack: 'Another artifact slipped in between building and signing.',
    action:
      'Pass --expect-digest sha512-… with the value from a build that you trust; where the tarball is not at hand, the hash of the statement.',
    suppress: NEVER,
  },
  BP8003: {
    title: 'key locked',
    exit: EXIT.locked,
    happened: 'A key is encrypted, and its passphrase was not given or is another one.',
    matters: 'A stolen key file is worth nothing without it; that is what it is for.',
    innocent: 'A typing mistake; a build machine, where nobody can be asked.',
    attack: 'Somebody who has the file guesses.',
    action:
      'Type it, or name a file or pipe that holds it: --passphrase-file. If it is lost, recover the key from its backup (bftpkg key recover) or let the other maintainers replace it.',
    suppress: NEVER,
  },
  BP8004: {
    title: 'ssh-agent did not sign',
    exit: EXIT.locked,
    happened:
      'The agent that SSH_AUTH_SOCK names cannot be reached, lacks the key, refused, or gave something that is no valid signature.',
    matters: 'Nothing was signed.',
    innocent: 'An agent that was not started, is locked, or waits for its owner to say yes.',
    attack: 'A forwarded agent on a machine that somebody else controls.',
    action: '`ssh-add -l` shows what the agent holds; `ssh-add <file>` gives it a key.',
    suppress: NEVER,
  },
  BP8005: {
    title: 'key not recovered',
    exit: EXIT.rejected,
    happened:
      'The shares are too few, too many of them are wrong, they are of different backups, or the key that they make is not the one that they name.',
    matters: 'A wrong key signs nothing that counts; it is not written.',
    innocent: 'Damaged copies; shares of an older backup among them.',
    attack: 'Holders of shares who hand in others than they were given.',
    action:
      'Get more shares: of m given ones with threshold t, (m - t) / 2 may be wrong for sure, and more if the choices of t are few enough to try. --backup <id> picks one of several backups.',
    suppress: NEVER,
  },
  BP9001: {
    title: 'nothing to verify',
    exit: EXIT.nothing,
    happened: 'There is no subject to verify.',
    matters: 'An empty set is not a success: the lockfile may be the wrong one.',
    innocent: 'A project without dependencies.',
    attack: 'A lockfile emptied so that the check passes.',
    action: 'Check the folder and the lockfile.',
    suppress: NEVER,
  },
  BP9002: {
    title: 'unknown format version',
    exit: EXIT.inconclusive,
    happened: 'A file or an answer is in a format that this version of bftpkg does not know.',
    matters: 'It was not checked, so it is neither good nor bad.',
    innocent: 'A newer bftpkg wrote it.',
    attack: 'None by itself.',
    action: 'Upgrade bftpkg.',
    suppress: NEVER,
  },
  BP9003: {
    title: 'wrong usage',
    exit: EXIT.usage,
    happened: 'The command line cannot be understood.',
    matters: 'Nothing was done.',
    innocent: 'A typing mistake.',
    attack: 'None.',
    action: 'See `bftpkg --help`.',
    suppress: NEVER,
  },
  BP9004: {
    title: 'wrong configuration',
    exit: EXIT.usage,
    happened: 'bftpkg.json or another file that bftpkg needs is missing or malformed.',
    matters: 'Nothing was done.',
    innocent: 'A typing mistake, a wrong folder.',
    attack: 'None by itself.',
    action: 'Correct the file that is named.',
    suppress: NEVER,
  },
  BP9005: {
    title: 'unsupported lockfile',
    exit: EXIT.usage,
    happened: 'The lockfile is in a format that this version of bftpkg cannot check.',
    matters: 'It was not checked: it is never silently taken as fine.',
    innocent: 'A lockfile of npm 6, or of another package manager.',
    attack: 'None by itself.',
    action: 'Use package-lock.json or npm-shrinkwrap.json of npm 7 or later.',
    suppress: NEVER,
  },
  BP9999: {
    title: 'internal error',
    exit: EXIT.internal,
    happened: 'bftpkg has a bug.',
    matters: 'Nothing that this run said is a verdict.',
    innocent: 'A bug.',
    attack: 'Input made to trigger one.',
    action: 'Report it with the details that --verbose prints.',
    suppress: NEVER,
  },
};

/** Whether a text is one of our codes. */
export function isDiagnosticCode(text: string): text is DiagnosticCode {
  return Object.hasOwn(CODES, text);
}

/** The entry of a code. */
export function codeEntry(code: DiagnosticCode): CodeEntry {
  return CODES[code];
}
