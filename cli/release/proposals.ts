// Releases that wait for signatures, as somebody sees them who has the proof of who may sign: which there
// are, who has signed which, and which one somebody means.
import { stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';

import { parseForeignJson } from '../../verifier/foreign-json.ts';
import type { VerifiedPackage } from '../../verifier/evidence/subject.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import {
  maintainerKeys,
  maintainerThreshold,
  type Maintainer,
} from '../../verifier/statements/maintainers.ts';
import { PROPOSAL_PACKAGES_MAX, type Release } from '../../verifier/statements/release.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError, type ReplicaFailure } from '../errors.ts';
import { readIfThere } from '../read-file.ts';
import { printable } from '../output/sanitize.ts';
import { lookUpPackages, type PackagesLookUp, type SeenHead } from '../session/look-up.ts';
import type { LogSession } from '../session/log-session.ts';
import {
  draftId,
  loadDraft,
  mergeDrafts,
  onlySignedBy,
  signersAmong,
  type Draft,
} from './draft.ts';
import { fetchProposal, fetchProposals } from './mailbox.ts';

const PACKAGE_JSON_BYTES_MAX: number = 4 * 1024 * 1024;
const ID = /^[0-9a-f]{64}$/;
/** Enough that nobody makes a second one that begins the same while people read it out. */
const ID_PREFIX = /^[0-9a-f]{16,64}$/;

/** Who signed for one package, and who has not. */
export interface Tally {
  readonly name: string;
  readonly needed: number;
  readonly signed: readonly Maintainer[];
  readonly missing: readonly Maintainer[];
}

/** A release that could still be logged, as its package's maintainers see it. */
export interface Proposal {
  /** With good signatures of maintainers only. */
  readonly draft: Draft;
  readonly id: string;
  readonly release: Release;
  /** One for each package, in the order of the statement. */
  readonly tallies: readonly Tally[];
  /** The proven packages. */
  readonly packages: ReadonlyMap<string, VerifiedPackage>;
  readonly head: SeenHead;
  /** The draft's file, when it came from one. */
  readonly file: string | undefined;
}

/** Whether every package has enough signatures. */
export function isComplete({ tallies }: Pick<Proposal, 'tallies'>): boolean {
  return tallies.every(({ needed, signed }) => signed.length >= needed);
}

/** `name@version, name@version` */
export function namesOf({ release }: Pick<Proposal, 'release'>): string {
  return release.subjects.map(({ name, version }) => `${name}@${version}`).join(', ');
}

/**
 * Looks at a draft with the maintainer sets that the log proves.
 *
 * @throws {CliError} BP5003 for an unknown package; BP5004 when a set has been replaced since
 */
export async function openProposal(
  session: LogSession,
  draft: Draft,
  file?: string,
): Promise<Proposal> {
  if (draft.statement.kind !== 'release') {
    throw usageError(`${file ?? 'the draft'} is not a release`, 'bftpkg package sign');
  }
  const { release } = draft.statement;
  const seen = await lookUpPackages(session, packagesOf(release));
  return judgeProposal(draft, release, seen, file);
}

function packagesOf({ subjects }: Release): ReadonlySet<string> {
  return new Set(subjects.map(({ name }) => name));
}

function judgeProposal(
  draft: Draft,
  release: Release,
  { head, found: all }: PackagesLookUp,
  file?: string,
): Proposal {
  const packages = new Map<string, VerifiedPackage>();
  for (const { name, version, maintainers } of release.subjects) {
    const found = all.get(name);
    if (found === undefined) {
      throw new CliError('BP5003', `${name}: not registered in the log`, {
        hints: [`bftpkg package register ${name} --maintainer <name>=<key>`],
      });
    }
    packages.set(name, found);
    const { sequence } = found;
    if (sequence === maintainers) continue;
    throw new CliError(
      'BP5004',
      `${name}@${version}: made for maintainer set ${maintainers}, in force is ${sequence}`,
      { hints: ['bftpkg release prepare: make it anew'] },
    );
  }
  const keys = [...packages.values()].flatMap(({ set }) => maintainerKeys(set));
  const good = onlySignedBy(draft, keys);
  const tallies = [...packages].map(([name, found]) => tallyOf(name, found, good));
  return { draft: good, id: draftId(good), release, tallies, packages, head, file };
}

function tallyOf(name: string, { set }: VerifiedPackage, draft: Draft): Tally {
  const signers = signersAmong(draft, maintainerKeys(set));
  return {
    name,
    needed: maintainerThreshold(set),
    signed: set.maintainers.filter(({ key }) => signers.includes(key)),
    missing: set.maintainers.filter(({ key }) => !signers.includes(key)),
  };
}

/** What waits for a package. */
export interface OpenProposals {
  /** Each signed by at least one of its maintainers of today. */
  readonly proposals: readonly Proposal[];
  readonly failures: readonly ReplicaFailure[];
}

/**
 * The releases of some packages that their maintainers could sign now.
 *
 * @param names at least one
 * @throws {CliError} BP7001 below a quorum
 */
export async function openProposals(
  session: LogSession,
  names: Iterable<string>,
  signal: AbortSignal,
): Promise<OpenProposals> {
  const wanted = [...new Set(names)];
  const drafts = new Map<string, Draft>();
  const failures = new Map<string, ReplicaFailure>();
  for (const name of wanted) {
    const waiting = await fetchProposals(session, name, signal);
    for (const draft of waiting.drafts) drafts.set(draftId(draft), draft);
    for (const failure of waiting.failures) failures.set(failure.url, failure);
  }
  const proposals = drafts.size === 0 ? [] : await genuine(session, wanted, [...drafts.values()]);
  return { proposals, failures: [...failures.values()] };
}

// A replica may make up anything, and as much as an answer holds: 64 drafts about 64 packages each. What no
// maintainer of the packages in question has signed is dropped before the log is asked about anything else
// in it, and the rest is asked about at once: a question for each would take all of a command's time.
async function genuine(
  session: LogSession,
  wanted: readonly string[],
  drafts: readonly Draft[],
): Promise<readonly Proposal[]> {
  const own = await lookUpPackages(session, wanted);
  const signed = drafts.flatMap((draft) => {
    if (draft.statement.kind !== 'release') return [];
    const { release } = draft.statement;
    if (packagesOf(release).size > PROPOSAL_PACKAGES_MAX) return [];
    const isSigned = release.subjects.some(({ name }) => {
      const found = own.found.get(name);
      return found !== undefined && signersAmong(draft, maintainerKeys(found.set)).length > 0;
    });
    return isSigned ? [{ draft, release }] : [];
  });
  const all = new Set([...wanted, ...signed.flatMap(({ release }) => [...packagesOf(release)])]);
  const seen = all.size === wanted.length ? own : await lookUpPackages(session, all);
  return signed.flatMap(({ draft, release }) => {
    try {
      const proposal = judgeProposal(draft, release, seen);
      const isOpen = proposal.tallies.some(
        ({ name, signed: who }) => wanted.includes(name) && who.length > 0,
      );
      return isOpen ? [proposal] : [];
    } catch (error) {
      // Its replica is behind: the log has other maintainers by now.
      if (error instanceof CliError && /^BP500[34]$/.test(error.diagnostic.code)) return [];
      throw error;
    }
  });
}

/** What somebody may name: nothing (the package in this folder), a package, one version of it. */
export interface Wanted {
  readonly name: string;
  readonly version: string | undefined;
}

/**
 * Reads a package, or one version of it; by default that of this folder's package.json.
 *
 * @throws {CliError} BP9003
 */
export async function wantedOf(invocation: Invocation, what: string | undefined): Promise<Wanted> {
  if (what !== undefined) {
    const at = what.lastIndexOf('@');
    return at > 0
      ? { name: what.slice(0, at), version: what.slice(at + 1) }
      : { name: what, version: undefined };
  }
  const path = join(invocation.context.cwd, 'package.json');
  const name = await packageNameIn(path);
  if (name !== undefined) return { name, version: undefined };
  throw usageError(`which release? ${path} names no package`, 'bftpkg release status <name>');
}

async function packageNameIn(path: string): Promise<string | undefined> {
  try {
    const text = await readIfThere(path, PACKAGE_JSON_BYTES_MAX);
    if (text === undefined) return undefined;
    const { value } = parseForeignJson(text, { lengthMax: PACKAGE_JSON_BYTES_MAX });
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined;
    const { name } = value as JsonObject;
    return typeof name === 'string' ? name : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The one release that somebody means: a draft's file, an id or its beginning, `name@version`, a name, or
 * nothing for the package of this folder. Signatures that the mailboxes have are added.
 *
 * @throws {CliError} BP9003 when it is none or not only one, BP7001 below a quorum
 */
export async function findProposal(
  invocation: Invocation,
  session: LogSession,
  what: string | undefined,
): Promise<Proposal> {
  const { cwd, signal } = invocation.context;
  const path = what === undefined ? undefined : resolve(cwd, what);
  if (path !== undefined && (await isFile(path))) {
    const draft = await loadDraft(path);
    if (draft.statement.kind !== 'release') return await openProposal(session, draft, what);
    const posted = await fetchProposal(session, draftId(draft), signal);
    const merged = posted === undefined ? draft : mergeDrafts(draft, posted);
    return await openProposal(session, merged, path);
  }
  if (what !== undefined && ID.test(what)) {
    const draft = await fetchProposal(session, what, signal);
    if (draft === undefined) throw usageError(`no mailbox has a proposal ${what}`, STATUS_HINT);
    return await openProposal(session, draft);
  }
  const isPrefix = what !== undefined && ID_PREFIX.test(what);
  const { name, version } = await wantedOf(invocation, isPrefix ? undefined : what);
  const { proposals } = await openProposals(session, [name], signal);
  const fitting = proposals.filter(
    ({ id, release }) =>
      (!isPrefix || id.startsWith(what)) &&
      (version === undefined ||
        release.subjects.some((each) => each.name === name && each.version === version)),
  );
  const [only] = fitting;
  if (only === undefined) {
    const wanted = isPrefix
      ? `${name}, ${what}`
      : version === undefined
        ? name
        : `${name}@${version}`;
    // A file that is there is read before; one that is not looks like a name.
    const file = what?.endsWith('.json') === true ? 'no such file, and ' : '';
    throw usageError(`${file}nothing waits for signatures: ${printable(wanted)}`, STATUS_HINT);
  }
  if (fitting.length === 1) return only;
  throw new CliError('BP9003', `${fitting.length} proposals wait for signatures: say which`, {
    details: fitting.map(
      (each) =>
        [
          each.id.slice(0, 16),
          `${namesOf(each)} ${each.release.subjects.map(({ sha512 }) => formatSri(sha512)).join(' ')} signed by ` +
            signersOf(each).join(', '),
        ] as const,
    ),
    hints: ['name its id instead of the package'],
  });
}

const STATUS_HINT = 'bftpkg release status';

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
}

/** Names of all who have signed, each once. */
export function signersOf({ tallies }: Proposal): readonly string[] {
  return [...new Set(tallies.flatMap(({ signed }) => signed.map(({ name }) => name)))];
}

/** Who has signed and who has not, as lines for people. */
export function tallyLines({ tallies, release }: Proposal): readonly string[] {
  const versions = (name: string): string =>
    release.subjects.find((subject) => subject.name === name)?.version ?? '';
  return tallies.flatMap(({ name, needed, signed, missing }) => [
    `  ${name}@${versions(name)}: ${signed.length} of ${needed} signatures`,
    ...signed.map((maintainer) => `    signed      ${maintainer.name}`),
    ...missing.map((maintainer) => `    not signed  ${maintainer.name}`),
  ]);
}
