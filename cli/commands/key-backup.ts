// `bftpkg key backup|recover`: a key in shares for several people, and back.
import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { publicKeyHex } from '../../verifier/ed25519.ts';
import { correctable } from '../../verifier/secret-sharing/decode.ts';
import {
  faultyMax,
  parameterProblem,
  type Parameters,
} from '../../verifier/secret-sharing/shamir.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { makeBackup, recoverKey, type GivenShare } from '../keys/backup.ts';
import { describeKey, storeKey } from '../keys/key-file.ts';
import { openKeyFile, unlocked } from '../keys/open-key.ts';
import { readPrivateFile, TooLargeError } from '../keys/private-file.ts';
import {
  formatShare,
  parseShare,
  SHARE_FILE_BYTES_MAX,
  type KeyShare,
} from '../keys/share-file.ts';
import { diagnostic, doneReport, type Report } from '../output/report.ts';
import { createWholeFile, syncFolder } from '../../verifier/node/durable-file.ts';
import { keyLines, newKeyPath, newLock } from './key.ts';

/** Options of `key backup`. */
export interface BackupOptions {
  readonly shares: string;
  readonly threshold: string;
  readonly faulty?: string;
  readonly out?: string;
}

/** Files beyond this are no shares of one backup any more. */
const FILES_MAX = 256;
const FOLDER_MODE = 0o700;
const FILE_MODE = 0o600;

/** `key backup <key>`: a new folder with one file for each holder. */
export async function keyBackup(
  invocation: Invocation,
  what: string,
  options: BackupOptions,
): Promise<Report> {
  const parameters = readParameters(options);
  const file = await openKeyFile(invocation, what);
  const shares = makeBackup(file.name, await unlocked(invocation, file), parameters);
  const [first] = shares;
  if (first === undefined) throw usageError('no shares');
  const { backup } = first.header;
  const folder = resolve(
    invocation.context.cwd,
    options.out ?? `${file.name}-backup-${backup.slice(0, 8)}`,
  );
  requireReadable(shares);
  const files = await writeShares(folder, file.name, shares);
  return doneReport('key backup', {
    data: {
      name: file.name,
      publicKey: publicKeyHex(file.publicKey),
      backup,
      ...parameters,
      folder,
      files: [...files],
    },
    lines: [
      `${files.length} shares of ${file.name} in ${folder}, backup ${backup}`,
      ...explain(parameters),
      `give each file to somebody else, then remove the folder`,
      `back    bftpkg key recover <file> <file> …`,
    ],
  });
}

/** `key recover <files…>`: the key, checked against the public key in the shares, in a new key file. */
export async function keyRecover(
  invocation: Invocation,
  files: readonly string[],
  options: {
    readonly name?: string;
    readonly out?: string;
    readonly backup?: string;
    readonly expectKey?: string;
    readonly passphrase: boolean;
  },
): Promise<Report> {
  if (files.length > FILES_MAX) throw usageError(`more than ${FILES_MAX} files`);
  const given: GivenShare[] = [];
  for (const each of files) given.push(await readShare(invocation, each));
  const wanted = { backup: options.backup, publicKey: options.expectKey };
  const { header, key, given: count, wrong } = recoverKey(given, wanted);
  const name = options.name ?? header.name;
  const path = newKeyPath(invocation, name, options.out);
  const stored = await storeKey(
    path,
    name,
    key,
    await newLock(invocation, name, options.passphrase),
  );
  const warnings = wrong.map(({ file, reason }) =>
    diagnostic('BP8005', `${file}: ${reason}`, { severity: 'warning' }),
  );
  return doneReport(
    'key recover',
    {
      data: {
        ...describeKey(stored),
        backup: header.backup,
        given: count,
        wrong: wrong.map(({ file, reason }) => ({ file, reason })),
      },
      lines: [
        ...keyLines(stored),
        `made of ${count} shares of backup ${header.backup}; it is the key that they name`,
        'compare it with the one in the log: bftpkg package history <name>',
      ],
    },
    warnings,
  );
}

function readParameters({ shares, threshold, faulty }: BackupOptions): Parameters {
  const n = readNumber('--shares', shares);
  const t = readNumber('--threshold', threshold);
  const parameters = {
    shares: n,
    threshold: t,
    faulty: faulty === undefined ? Math.max(0, faultyMax(n, t)) : readNumber('--faulty', faulty),
  };
  const problem = parameterProblem(parameters);
  if (problem === undefined) return parameters;
  throw usageError(
    problem,
    'for f bad holders at least --shares 3f+1 --threshold f+1: 4 and 2 for one, 7 and 3 for two',
  );
}

function readNumber(flag: string, text: string): number {
  if (/^[0-9]{1,3}$/.test(text)) return Number(text);
  throw usageError(`${flag} ${text}: not a number`);
}

/** What the parameters mean, for whoever chose them. */
function explain({ shares, threshold, faulty }: Parameters): readonly string[] {
  const most = correctable(shares, threshold);
  return [
    `any ${threshold} of them make the key; fewer say nothing about it; ${shares - threshold} may be lost`,
    most === 0
      ? `no wrong share can be found out: that takes at least ${threshold + 2} shares`
      : `with all ${shares} given, ${most} may be wrong, by accident or malice, and are named`,
    `so ${faulty} of the holders may be bad in any way (t <= n - 2f: ${threshold} <= ${shares - 2 * faulty}; f < t)`,
  ];
}

// Read back before anything is handed out: a backup that can't be read is found out too late.
function requireReadable(shares: readonly KeyShare[]): void {
  const given = shares.map((share) => ({
    file: String(share.share.index),
    content: parseShare(formatShare(share)),
  }));
  recoverKey(given, {});
  recoverKey(given.slice(-(shares[0]?.header.threshold ?? 0)), {});
}

// In a folder beside, renamed when all of them are on disk: half a backup must not look like one.
async function writeShares(
  folder: string,
  name: string,
  shares: readonly KeyShare[],
): Promise<readonly string[]> {
  const staging = `${folder}.${randomBytes(6).toString('hex')}.tmp`;
  const names = shares.map(
    ({ header, share }) => `${name}.share-${share.index}-of-${header.shares}.json`,
  );
  try {
    await mkdir(staging, { mode: FOLDER_MODE });
    for (const [i, share] of shares.entries()) {
      await createWholeFile(join(staging, names[i] ?? ''), formatShare(share), FILE_MODE);
    }
    await rename(staging, folder);
    await syncFolder(resolve(folder, '..'));
  } catch (error) {
    await rm(staging, { recursive: true, force: true });
    const reason = systemReason(error, 'cannot be written');
    const isTaken = ['EEXIST', 'ENOTEMPTY', 'ENOTDIR'].includes(reason);
    throw new CliError('BP8001', `${folder}: ${isTaken ? 'exists already' : reason}`, {
      hints: ['--out <folder>'],
    });
  }
  return names.map((each) => join(folder, each));
}

// One bad file must not keep the others from being used; it is named in the end.
async function readShare({ context }: Invocation, file: string): Promise<GivenShare> {
  let bytes: Buffer;
  try {
    bytes = await readPrivateFile(resolve(context.cwd, file), SHARE_FILE_BYTES_MAX);
  } catch (error) {
    if (error instanceof TooLargeError) return { file, content: undefined };
    throw error;
  }
  try {
    return { file, content: parseShare(bytes.toString('utf8')) };
  } catch {
    return { file, content: undefined };
  } finally {
    bytes.fill(0);
  }
}
