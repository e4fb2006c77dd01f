// Codes BP9xxx, about the command line, files, and bugs of ours.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code = 'BP9001' | 'BP9002' | 'BP9003' | 'BP9004' | 'BP9005' | 'BP9999';

/** What is explained about each of them. */
export const USAGE_CODES: Readonly<Record<Code, CodeEntry>> = {
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
    happened:
      'The lockfile is in a format that this version of bftpkg cannot check, or two parts of it say different things.',
    matters: 'It was not checked: it is never silently taken as fine.',
    innocent:
      'A lockfile of npm 6, a binary one of bun, one of a newer version, or two of different package managers.',
    attack:
      'A damaged or second lockfile, put there so that another one is looked at than is installed from.',
    action:
      'It reads package-lock.json and npm-shrinkwrap.json (2, 3), pnpm-lock.yaml (6, 9), yarn.lock (1 and later) and bun.lock. npm 6: `npm install --package-lock-only` with npm 7 or later. bun.lockb: `bun install --save-text-lockfile`. Two of them: remove the one that is not used, or name the other with --lockfile. Two parts that differ: look at who changed it, and let npm write it anew. A newer format: upgrade bftpkg. Damaged: get it back from git.',
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
