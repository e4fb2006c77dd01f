// What a maintainer has to know before making a statement: the log's head, and what it says about a
// package. Everything is proven; only the head of an empty log needs no proof.
import type { Subject, VerifiedPackage, VerifiedRelease } from '../../verifier/evidence/subject.ts';
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
  const { head, found } = await lookUpPackages(session, [name]);
  return { head, found: found.get(name) };
}

/** Several packages under one head; those that the log has. */
export interface PackagesLookUp {
  readonly head: SeenHead;
  readonly found: ReadonlyMap<string, VerifiedPackage>;
}

/**
 * Looks packages up, all of them in one question.
 *
 * @param names at least one
 * @throws as {@link lookUpPackage}
 */
export async function lookUpPackages(
  session: LogSession,
  names: Iterable<string>,
): Promise<PackagesLookUp> {
  const subjects = [...new Set(names)].map((name) => ({ kind: 'package', name }) as const);
  const verified = await verifyUnlessEmpty(session, subjects);
  if (verified === undefined) return { head: await emptyHead(session), found: new Map() };
  const found = new Map<string, VerifiedPackage>();
  for (const [i, result] of verified.evidence.subjects.entries()) {
    if (result.kind === 'refused') throw result.error;
    const name = subjects[i]?.name;
    if (result.kind === 'package' && name !== undefined) found.set(name, result.package);
  }
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
  const verified = await verifyUnlessEmpty(session, [
    { kind: 'package', name },
    { kind: 'release', name, version },
  ]);
  if (verified === undefined) {
    return { head: await emptyHead(session), found: undefined, release: undefined };
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

async function verifyUnlessEmpty(
  session: LogSession,
  subjects: readonly Subject[],
): Promise<Verified | undefined> {
  try {
    return await session.verify(subjects);
  } catch (error) {
    if (error instanceof EmptyLogError) return undefined;
    throw error;
  }
}

// Every log begins with the empty tree, so this head is right whoever says that it is empty.
async function emptyHead(session: LogSession): Promise<SeenHead> {
  const { origin } = await session.roster();
  return { origin, size: 0, root: EMPTY_ROOT };
}

function headOf(verified: Verified): SeenHead {
  const { origin, size, root } = verified.evidence.checkpoint.checkpoint;
  return { origin, size, root };
}
