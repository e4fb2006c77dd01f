// Backup of a key by shares, and its way back. Whoever keeps a share may lose it, damage it, or lie about it: every
// file that is handed in is judged by the others and by the public key, and those that are wrong are named.
import { randomBytes } from 'node:crypto';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import { correctable } from '../../verifier/secret-sharing/decode.ts';
import { choices, CHOICES_MAX, searchSecret } from '../../verifier/secret-sharing/search.ts';
import {
  recoverSecret,
  splitSecret,
  type Parameters,
  type Share,
} from '../../verifier/secret-sharing/shamir.ts';
import { CliError } from '../errors.ts';
import { BACKUP_ID_LENGTH, headerText, type BackupHeader, type KeyShare } from './share-file.ts';

/** Splits a key. @param parameters checked by `parameterProblem` */
export function makeBackup(
  name: string,
  key: SigningKey,
  parameters: Parameters,
): readonly KeyShare[] {
  const header: BackupHeader = {
    backup: encodeHex(randomBytes(BACKUP_ID_LENGTH)),
    name,
    publicKey: key.publicKey,
    shares: parameters.shares,
    threshold: parameters.threshold,
  };
  const seed = key.seed;
  const shares = splitSecret(seed, parameters, (length) => new Uint8Array(randomBytes(length)));
  seed.fill(0);
  return shares.map((share) => ({ header, share }));
}

/** A file that was handed in as a share. */
export interface GivenShare {
  readonly file: string;
  /** `undefined` for a file that is none. */
  readonly content: KeyShare | undefined;
}

/** Which backup is meant, where it is not plain. */
export interface Wanted {
  /** First digits of a backup's identity. */
  readonly backup?: string | undefined;
  /** The public key that must come out, in hex. */
  readonly publicKey?: string | undefined;
}

/** A file that was of no use, and why. */
export interface WrongShare {
  readonly file: string;
  readonly reason: string;
}

/** A key that came out of shares. */
export interface RecoveredKey {
  readonly header: BackupHeader;
  readonly key: SigningKey;
  /** How many different shares of the backup were handed in. */
  readonly given: number;
  readonly wrong: readonly WrongShare[];
}

/**
 * Makes the key from shares of one backup, of which some may be wrong.
 *
 * @throws {CliError} BP8005
 */
export function recoverKey(files: readonly GivenShare[], wanted: Wanted): RecoveredKey {
  const group = chooseBackup(files, wanted);
  const [first] = group;
  if (first === undefined) {
    throw unrecoverable('none of the files is a share that is asked for', notOf([], files));
  }
  const { header } = first.content;
  const others = notOf(group, files);
  const found = recoverNamed(
    group.map(({ content }) => content.share),
    header,
  );
  const given = distinct(group);
  if (found === undefined) throw unrecoverable(tooWrong(given, header.threshold), others);
  const wrong = group.flatMap(({ file }, i) =>
    found.right[i] === true ? [] : [{ file, reason: found.isSure ? NOT_FITTING : CONTRADICTING }],
  );
  return { header, key: found.key, given, wrong: [...wrong, ...others] };
}

const NOT_FITTING = 'not the value that belongs to the other shares';
const CONTRADICTING = 'contradicts others; which of them are wrong cannot be told from these';

interface Named {
  readonly key: SigningKey;
  readonly right: readonly boolean[];
  /** Whether all that are not right are wrong. */
  readonly isSure: boolean;
}

// Decoding needs no key to compare with and takes any number of shares; where it ends, the public key that all of
// them name tells whether some t of them are right. Nobody can make shares of another key that pass this.
function recoverNamed(shares: readonly Share[], header: BackupHeader): Named | undefined {
  const isNamed = (secret: Uint8Array): boolean =>
    publicKeyHex(SigningKey.fromSeed(secret).publicKey) === publicKeyHex(header.publicKey);
  const decoded = recoverSecret(shares, header.threshold);
  const recovery =
    decoded.kind === 'recovered' && isNamed(decoded.secret)
      ? { ...decoded, isSure: true }
      : searchSecret(shares, header.threshold, isNamed);
  if (recovery.kind === 'unrecoverable') return undefined;
  const key = SigningKey.fromSeed(recovery.secret);
  recovery.secret.fill(0);
  return { key, right: recovery.right, isSure: recovery.isSure };
}

type ReadShare = GivenShare & { readonly content: KeyShare };

function isRead(share: GivenShare): share is ReadShare {
  return share.content !== undefined;
}

// With at most (m - t) / 2 wrong files of m, the right ones are more than the wrong ones, so the largest group is
// theirs, whatever the others claim to be. Equal groups are a question for whoever knows which one is meant.
function chooseBackup(files: readonly GivenShare[], wanted: Wanted): readonly ReadShare[] {
  const groups = new Map<string, ReadShare[]>();
  for (const file of files.filter(isRead)) {
    const { backup, publicKey } = file.content.header;
    if (wanted.backup !== undefined && !backup.startsWith(wanted.backup)) continue;
    if (wanted.publicKey !== undefined && publicKeyHex(publicKey) !== wanted.publicKey) continue;
    const header = headerText(file.content.header);
    groups.set(header, [...(groups.get(header) ?? []), file]);
  }
  // A file that is handed in twice is no second voice.
  const bySize = [...groups.values()].sort((a, b) => distinct(b) - distinct(a));
  const [largest = [], second = []] = bySize;
  if (distinct(second) < distinct(largest) || largest.length === 0) return largest;
  throw new CliError('BP8005', 'shares of different backups, and as many of one as of another', {
    details: bySize.flatMap(([share]) =>
      share === undefined ? [] : [describeHeader(share.content.header)],
    ),
    hints: ['--backup <id> picks one'],
  });
}

/** How many different shares there are among some of one backup. */
function distinct(group: readonly ReadShare[]): number {
  return new Set(group.map(({ content: { share } }) => `${share.index} ${share.value}`)).size;
}

function describeHeader(header: BackupHeader): readonly [string, string] {
  const { backup, name, publicKey, shares, threshold } = header;
  return [backup, `${name} ${publicKeyHex(publicKey)}, ${threshold} of ${shares}`];
}

function notOf(group: readonly GivenShare[], files: readonly GivenShare[]): readonly WrongShare[] {
  return files
    .filter((file) => !group.includes(file))
    .map(({ file, content }) => ({
      file,
      reason:
        content === undefined
          ? 'not a share, or a damaged one'
          : `of another backup: ${content.header.backup}`,
    }));
}

function tooWrong(given: number, threshold: number): string {
  if (given < threshold) return `${given} shares are given, ${threshold} are needed`;
  if (choices(given, threshold) <= CHOICES_MAX) {
    return `no ${threshold} of the ${given} shares make the key that they name`;
  }
  const most = correctable(given, threshold);
  return `more than ${most} of the ${given} shares are wrong, and there are too many choices of ${threshold} to try`;
}

function unrecoverable(message: string, wrong: readonly WrongShare[]): CliError {
  return new CliError('BP8005', message, {
    details: wrong.map(({ file, reason }) => [file, reason] as const),
    hints: ['give more shares; nothing was written'],
  });
}
