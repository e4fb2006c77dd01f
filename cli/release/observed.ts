// What a statement says its signers have seen of the log, checked before somebody signs that they have.
// Attack: a co-maintainer writes a head into a draft that the log never had. Replicas keep such a statement
// as evidence against everybody who signed it, so the others would testify against themselves.
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { EMPTY_ROOT, type Hash } from '../../verifier/merkle/hash.ts';
import type { Observed } from '../../verifier/statements/observed.ts';
import { provenRoot } from '../audit/inclusion.ts';
import { TileClient } from '../audit/tile-client.ts';
import { askUntilGood } from '../client/hedge.ts';
import { CliError, UnreachableError } from '../errors.ts';
import { describeFailure } from '../output/diagnose.ts';
import { printable } from '../output/sanitize.ts';
import type { LogSession } from '../session/log-session.ts';
import type { SeenHead } from '../session/look-up.ts';

/**
 * Requires that what a statement says its signers have seen is the log that this signer sees: the root of
 * this log at that size, proven from the verified head, and no word about any other log.
 *
 * @param head verified by this session
 * @throws {CliError} BP4005 for a root that the log never had; BP5004 when it names another log or not this
 *         one; BP7001 for a longer log than is seen here, and when nobody proves the root
 */
export async function requireObserved(
  session: LogSession,
  observed: Observed,
  head: SeenHead,
  signal: AbortSignal,
): Promise<void> {
  // Nothing here can tell whether another log ever had that head, and one lie of it is evidence there.
  for (const origin of observed.keys()) {
    if (origin === head.origin) continue;
    throw new CliError(
      'BP5004',
      `the statement says that its signers have seen another log than ${head.origin}: ` +
        `${printable(origin)}, which cannot be checked here. Nothing was signed`,
      { hints: ['make it anew, with bftpkg'] },
    );
  }
  const seen = observed.get(head.origin);
  if (seen === undefined) {
    throw new CliError('BP5004', `the proposal does not say which head of ${head.origin} was seen`);
  }
  if (seen.size > head.size) {
    throw new CliError(
      'BP7001',
      `the proposal was made at size ${seen.size} of the log, and size ${head.size} is what is seen here`,
      { hints: ['try again in a moment'] },
    );
  }
  const root = await rootAt(session, seen.size, head, signal);
  if (equalBytes(seen.root, root)) return;
  throw new CliError(
    'BP4005',
    `the proposal names another log of size ${seen.size} than is seen here`,
    {
      details: [
        ['proposal', encodeHex(seen.root)],
        ['seen here', encodeHex(root)],
      ],
      hints: ['keep the proposal: it may prove a fork (bftpkg evidence list)'],
    },
  );
}

async function rootAt(
  session: LogSession,
  size: number,
  head: SeenHead,
  signal: AbortSignal,
): Promise<Hash> {
  if (size === 0) return EMPTY_ROOT;
  if (size === head.size) return head.root;
  try {
    const { value } = await askUntilGood(
      session.replicas,
      ({ url }, stop) => provenRoot(new TileClient(url, session.http), size, head, stop),
      { signal },
    );
    return value;
  } catch (error) {
    if (!(error instanceof UnreachableError)) throw error;
    // Not a pass: whoever can keep the replicas from answering could have anything signed.
    throw new CliError(
      'BP7001',
      `could not check that the log ever had the head of size ${size} that the statement names: ` +
        'nobody proved its root. Nothing was signed',
      {
        details: error.failures.map((each) => [each.url, describeFailure(each.error)] as const),
        hints: ['try again in a moment'],
      },
    );
  }
}
