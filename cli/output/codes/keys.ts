// Codes BP8xxx, about keys and signing.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code = 'BP8001' | 'BP8002' | 'BP8003' | 'BP8004' | 'BP8005';

/** What is explained about each of them. */
export const KEYS_CODES: Readonly<Record<Code, CodeEntry>> = {
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
};
