// Proof of a fork, kept as a file that anybody can check without us.
import { createHash } from 'node:crypto';
import { open } from 'node:fs/promises';
import { join } from 'node:path';

import { statementHash } from '../../verifier/dsse.ts';
import { VerifyError, assert } from '../../verifier/errors.ts';
import {
  FORK_BYTES_MAX,
  formatForkEvidence,
  parseForkEvidence,
  verifyForkEvidence,
} from '../../verifier/evidence/fork.ts';
import type { ForkError, ForkEvidence } from '../../verifier/evidence/trust.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { createWholeFile } from '../../verifier/node/durable-file.ts';

/**
 * The replicas that signed both notes: provably faulty. By their verified signatures and never by the
 * names in the notes: anybody can add a line with somebody's name and a key that nobody knows.
 */
async function signersOfBoth(fork: ForkEvidence): Promise<readonly string[]> {
  const [first] = fork.rosters;
  assert(first !== undefined, 'a fork was found under verified rosters');
  // The chain was verified from the user's pin before; here it vouches for itself.
  const proof = await verifyForkEvidence(fork, statementHash(first.payload), nativeVerifier);
  return proof.signers.map(({ name }) => name);
}

/** A file is in the way that is not this evidence: so many other names are tried. */
const NAMES_MAX = 10;

/**
 * Writes the document under the first name that is free, or that has this very fork in it already. A
 * file that is cut off, or was put there by somebody, must not pass for the proof.
 *
 * @returns the file's name
 * @throws {Error} the system's refusal
 */
async function writeEvidence(fork: ForkEvidence, folder: string, base: string): Promise<string> {
  for (let i = 1; ; i++) {
    const name = i === 1 ? `${base}.json` : `${base}-${i}.json`;
    try {
      await createWholeFile(join(folder, name), `${formatForkEvidence(fork)}\n`, 0o644);
      return name;
    } catch (cause) {
      if (systemCode(cause) !== 'EEXIST') throw cause;
      if (await holds(join(folder, name), fork)) return name;
      if (i === NAMES_MAX) throw cause;
    }
  }
}

/** Whether a file proves the fork. Its chain of rosters may be longer or shorter than ours. */
async function holds(path: string, fork: ForkEvidence): Promise<boolean> {
  try {
    const file = await open(path, 'r');
    try {
      if ((await file.stat()).size > FORK_BYTES_MAX) return false;
      const found = parseForkEvidence((await file.readFile('utf8')).replace(/\n$/, ''));
      if (found.first !== fork.first || found.second !== fork.second) return false;
      await signersOfBoth(found);
      return true;
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof VerifyError || systemCode(error) !== undefined) return false;
    throw error;
  }
}

/**
 * Writes the evidence into a folder and makes the refusal that names it and the faulty replicas. The
 * name depends on the content, so the same fork seen twice is one file.
 */
export async function keepForkEvidence(error: ForkError, folder: string): Promise<CliError> {
  const { fork } = error;
  const short = (note: string): string =>
    createHash('sha256').update(note).digest('hex').slice(0, 8);
  const base = `bftpkg-evidence-${fork.size}-${short(fork.first)}-${short(fork.second)}`;
  let path = join(folder, `${base}.json`);
  let kept: string;
  let isKept = true;
  try {
    const name = await writeEvidence(fork, folder, base);
    path = join(folder, name);
    kept = `./${name}`;
  } catch (cause) {
    isKept = false;
    kept = `could not be written to ${path}: ${systemReason(cause)}`;
  }
  const both = await signersOfBoth(fork);
  return new CliError(
    'BP4003',
    `log ${fork.origin}: SPLIT VIEW - two different logs were signed at size ${fork.size}`,
    {
      details: [
        ['root A', error.expected ?? ''],
        ['root B', error.found ?? ''],
        ['signed both', `${both.join(' ')}   (provably faulty)`],
        ['evidence', kept],
        ['note', 'nothing was installed and the saved trust state was not advanced'],
      ],
      hints: [
        ...(isKept
          ? [
              `anybody can check it: bftpkg evidence verify ${kept}`,
              `let others hear of it: bftpkg evidence submit ${kept}`,
            ]
          : []),
        'keep the file, publish it, and send it to the operators and auditors of the log',
      ],
      evidence: [path],
      cause: error,
    },
  );
}
