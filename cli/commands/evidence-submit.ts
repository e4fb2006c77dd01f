// `bftpkg evidence submit <file>`: hands a fork to the replicas, so that whoever asks them hears of it. Each
// compares the checkpoints with its own log and keeps the one that contradicts it; nothing is believed on
// either side. The file stays the proof.
import { resolve } from 'node:path';

import {
  CONTRADICTION_FORMAT,
  parseContradiction,
  verifyContradiction,
} from '../../verifier/evidence/contradiction.ts';
import {
  FORK_FORMAT,
  parseForkEvidence,
  verifyForkEvidence,
} from '../../verifier/evidence/fork.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { REPORT_FORMAT } from '../../verifier/replication/report.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { withAccess, type AccessOptions } from '../audit/access.ts';
import { asError } from '../client/hedge.ts';
import type { HeadStatus, ReplicaClient } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { UnreachableError, usageError, type ReplicaFailure } from '../errors.ts';
import { describeFailure } from '../output/diagnose.ts';
import { diagnostic, doneReport, type Report } from '../output/report.ts';
import { readDocument } from './evidence.ts';

/** What a replica said to the notes. */
interface Told {
  readonly url: string;
  readonly statuses: readonly HeadStatus[];
}

/**
 * `evidence submit <file> [url]`.
 *
 * @throws {VerifyError} when the file proves nothing: replicas are not bothered with it
 * @throws {CliError} BP9003 for evidence that replicas find by themselves; {UnreachableError} when nobody
 *         took it
 */
export async function evidenceSubmit(
  invocation: Invocation,
  file: string,
  url: string | undefined,
  options: AccessOptions,
): Promise<Report> {
  const { context } = invocation;
  const source = await readDocument(resolve(context.cwd, file));
  return await withAccess(invocation, url, options, async ({ replicas, pin, verifier }) => {
    const notes = await provenNotes(decodeUtf8(source).replace(/\n$/, ''), pin, verifier);
    const told: Told[] = [];
    const failures: ReplicaFailure[] = [];
    await Promise.all(
      replicas.map(async (replica) => {
        try {
          told.push({ url: replica.url, statuses: await tell(replica, notes, context.signal) });
        } catch (error) {
          failures.push({ url: replica.url, error: asError(error) });
        }
      }),
    );
    if (told.length === 0)
      throw new UnreachableError('could not submit: no replica took it', failures);
    told.sort((a, b) => (a.url < b.url ? -1 : 1));
    return doneReport(
      'evidence submit',
      {
        data: {
          replicas: told.map((each) => ({
            url: each.url,
            kept: each.statuses.flatMap((status) => (status.kind === 'kept' ? [status.id] : [])),
          })),
        },
        lines: [
          ...told.map((each) => `${each.url}  ${describe(each)}`),
          'keep the file all the same, and show it to others: it is the proof',
        ],
      },
      failures.map(({ url: at, error }) =>
        diagnostic('BP7001', `${at}: ${describeFailure(error)}`, { severity: 'warning' }),
      ),
    );
  });
}

// The checkpoints in a document, after it was found to prove what it says.
async function provenNotes(
  text: string,
  pin: string,
  verifier: SignatureVerifier,
): Promise<readonly string[]> {
  if (text.includes(`"format":"${FORK_FORMAT}"`)) {
    const fork = parseForkEvidence(text);
    await verifyForkEvidence(fork, pin, verifier);
    return [fork.first, fork.second];
  }
  if (text.includes(`"format":"${CONTRADICTION_FORMAT}"`)) {
    const found = parseContradiction(text);
    await verifyContradiction(found, pin, verifier);
    if (found.claim.kind === 'note') return [found.claim.note];
    throw usageError('a statement that names a false head is kept by the replica that refused it');
  }
  if (text.includes(`"format":"${REPORT_FORMAT}"`)) {
    throw usageError(
      'what a replica signed for other replicas is found and kept by these themselves',
      'bftpkg evidence list',
    );
  }
  throw new VerifyError('FORMAT_UNSUPPORTED', 'it is no evidence of a fork that I know of');
}

async function tell(
  replica: ReplicaClient,
  notes: readonly string[],
  signal: AbortSignal,
): Promise<readonly HeadStatus[]> {
  const statuses: HeadStatus[] = [];
  for (const note of notes) statuses.push(await replica.reportHead(note, signal));
  return statuses;
}

function describe({ statuses }: Told): string {
  const kept = statuses.flatMap((status) => (status.kind === 'kept' ? [status.id] : []));
  return kept.length === 0
    ? 'finds nothing in it that contradicts its log'
    : `keeps ${kept.join(' and ')}`;
}
