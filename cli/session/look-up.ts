// What a maintainer has to know before making a statement: the log's head, and what it says about a
// package. Everything is proven; only the head of an empty log needs no proof.
import type { VerifiedPackage, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import type { LogHead } from '../../verifier/statements/observed.ts';
import { EmptyLogError, type LogSession, type Verified } from './log-session.ts';

/** The log as a signer sees it. */
export interface SeenHead extends LogHead {
  readonly origin: string;
}

/** A package, if there is one, and the head under which that was proven. */
export interface PackageLookUp {
  readonly head: SeenHead;
  readonly found: VerifiedPackage | undefined;
}

/**
 * Looks a package up.
 *
 * @throws {VerifyError} when what the log says about it doesn't verify; {CliError} BP7001
 */
export async function lookUpPackage(session: LogSession, name: string): Promise<PackageLookUp> {
  let verified: Verified;
  try {
    verified = await session.verify([{ kind: 'package', name }]);
  } catch (error) {
    if (!(error instanceof EmptyLogError)) throw error;
    // Every log begins with the empty tree, so this head is right whoever says that it is empty.
    const { origin } = await session.roster();
    return { head: { origin, size: 0, root: EMPTY_ROOT }, found: undefined };
  }
  const [result] = verified.evidence.subjects;
  if (result?.kind === 'refused') throw result.error;
  const found = result?.kind === 'package' ? result.package : undefined;
  return { head: headOf(verified), found };
}

/** A package and a release of it, under one head. */
export interface ReleaseLookUp extends PackageLookUp {
  readonly release: VerifiedRelease | undefined;
}

/** Looks a package and one of its releases up. @throws as {@link lookUpPackage} */
export async function lookUpRelease(
  session: LogSession,
  name: string,
  version: string,
): Promise<ReleaseLookUp> {
  let verified: Verified;
  try {
    verified = await session.verify([
      { kind: 'package', name },
      { kind: 'release', name, version },
    ]);
  } catch (error) {
    if (!(error instanceof EmptyLogError)) throw error;
    return { ...(await lookUpPackage(session, name)), release: undefined };
  }
  const refused = verified.evidence.subjects.find((result) => result.kind === 'refused');
  if (refused !== undefined) throw refused.error;
  const [first, second] = verified.evidence.subjects;
  return {
    head: headOf(verified),
    found: first?.kind === 'package' ? first.package : undefined,
    release: second?.kind === 'verified' ? second.release : undefined,
  };
}

function headOf(verified: Verified): SeenHead {
  const { origin, size, root } = verified.evidence.checkpoint.checkpoint;
  return { origin, size, root };
}
