// Codes BP7xxx, about what could not be checked.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code = 'BP7001' | 'BP7002' | 'BP7003' | 'BP7004' | 'BP7005' | 'BP7006' | 'BP7007';

/** What is explained about each of them. */
export const REACH_CODES: Readonly<Record<Code, CodeEntry>> = {
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
  BP7007: {
    title: 'install script failed',
    exit: EXIT.inconclusive,
    happened:
      'Everything was verified and installed. Then the install script of a package ended with an error; those after it did not run.',
    matters: 'The package is there as it was signed, but may not work.',
    innocent:
      'A compiler or a library is missing; the script needs a network that --isolate keeps from it.',
    attack: 'None by itself: scripts run only where you allow them.',
    action:
      "Read the script's own message above, mend what it names, and run bftpkg ci again; or leave its script out (allowScripts, --no-scripts).",
    suppress: NEVER,
  },
};
