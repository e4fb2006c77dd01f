// Codes BP2xxx, about maintainers: too few of them, or others than they were.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code = 'BP2001' | 'BP2006' | 'BP2007';

/** What is explained about each of them. */
export const SIGNERS_CODES: Readonly<Record<Code, CodeEntry>> = {
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
};
