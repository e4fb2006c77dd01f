// Codes BP5xxx, about releases: withdrawn, or not there.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code = 'BP5001' | 'BP5002' | 'BP5003' | 'BP5004';

/** What is explained about each of them. */
export const RELEASES_CODES: Readonly<Record<Code, CodeEntry>> = {
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
};
