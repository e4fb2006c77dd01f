// Proof of a fork, kept as a file that anybody can check without us.
import { createHash } from 'node:crypto';
import { join } from 'node:path';

import { envelopeJson } from '../../verifier/dsse.ts';
import type { ForkError, ForkEvidence } from '../../verifier/evidence/trust.ts';
import { canonicalJson } from '../../verifier/json.ts';
import { parseNote } from '../../verifier/note.ts';
import { CliError, systemCode } from '../errors.ts';
import { createFile } from '../trust/atomic-file.ts';

const FORK_FORMAT = 'bftpkg-fork-evidence/v1';

/** The replicas with a line in both notes: provably faulty, both notes being verified. */
export function signersOfBoth(fork: ForkEvidence): readonly string[] {
  const first = new Set(parseNote(fork.first).signatures.map(({ name }) => name));
  return parseNote(fork.second).signatures.flatMap(({ name }) => (first.has(name) ? [name] : []));
}

/** The evidence as canonical JSON. */
export function formatForkEvidence(fork: ForkEvidence): string {
  return canonicalJson({
    format: FORK_FORMAT,
    origin: fork.origin,
    size: fork.size,
    rosters: fork.rosters.map(envelopeJson),
    first: fork.first,
    second: fork.second,
  });
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
  try {
    await createFile(path, `${formatForkEvidence(fork)}\n`, 0o644);
  } catch (cause) {
    if (systemCode(cause) !== 'EEXIST') {
      kept = `could not be written to ${path}: ${systemCode(cause) ?? String(cause)}`;
    }
  }
  const both = signersOfBoth(fork);
  return new CliError(
    'BP4003',
    `log ${fork.origin}: SPLIT VIEW - two different logs were signed at size ${fork.size}`,
    {
      details: [
        ['root A', error.expected ?? ''],
        ['root B', error.found ?? ''],
        ['signed both', `${both.join(' ')}   (provably faulty)`],
        ['evidence', kept],
      ],
      hints: [
        'Nothing was installed and the saved trust state was not advanced.',
        'keep the file, publish it, and send it to the operators and auditors of the log',
      ],
      evidence: [path],
      cause: error,
    },
  );
}
