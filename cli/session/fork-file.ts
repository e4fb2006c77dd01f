// Proof of a fork, kept as a file that anybody can check without us.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { statementHash } from '../../verifier/dsse.ts';
import { assert } from '../../verifier/errors.ts';
import { formatForkEvidence, verifyForkEvidence } from '../../verifier/evidence/fork.ts';
import type { ForkError, ForkEvidence } from '../../verifier/evidence/trust.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { CliError, systemCode } from '../errors.ts';
import { createFile } from '../trust/atomic-file.ts';

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

/**
 * Writes the evidence into a folder and makes the refusal that names it and the faulty replicas. The
 * name depends on the content, so the same fork seen twice is one file.
 */
export async function keepForkEvidence(error: ForkError, folder: string): Promise<CliError> {
  const { fork } = error;
  const short = (note: string): string =>
    createHash('sha256').update(note).digest('hex').slice(0, 8);
  const name = `bftpkg-evidence-${fork.size}-${short(fork.first)}-${short(fork.second)}.json`;
  const path = join(folder, name);
  let kept = `./${name}`;
  let isKept = true;
  try {
    await createFile(path, `${formatForkEvidence(fork)}\n`, 0o644);
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') {
      isKept = false;
      kept = `could not be written to ${path}: ${systemCode(cause) ?? String(cause)}`;
    }
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
        ...(isKept ? [`anybody can check it: bftpkg evidence verify ${kept}`] : []),
        'keep the file, publish it, and send it to the operators and auditors of the log',
      ],
      evidence: [path],
      cause: error,
    },
  );
}
