// What a signer should see: everything that the statement says, and what the tarball changes compared with
// the last release, which everybody uses today.
import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { ReleaseSubject } from '../../verifier/statements/release.ts';
import type { Invocation } from '../context.ts';
import { CliError, UnreachableError } from '../errors.ts';
import type { LogSession } from '../session/log-session.ts';
import { describeArtifact, type Artifact } from './artifact.ts';
import { compareFiles, compareManifests, fileLine } from './compare.ts';
import { describeDraft, observedLines } from './draft.ts';
import { fetchListings } from './fetch.ts';
import { signersOf, tallyLines, type Proposal } from './proposals.ts';
import { rivalLine, rivalsOf } from './rivals.ts';

/** Files named for people; `bftpkg diff` shows all. */
const FILES_SHOWN_MAX = 40;

/** What is different from the release before. */
export interface Changes {
  /** `name@version` of it; `null` for the first release of a package. */
  readonly previous: string | null;
  readonly files: { readonly added: number; readonly removed: number; readonly changed: number };
  readonly newDependencies: readonly string[];
  readonly newInstallScripts: readonly string[];
}

/** A review, for people and machines. */
export interface Review {
  readonly lines: readonly string[];
  readonly changes: readonly Changes[];
}

/**
 * Reviews a release.
 *
 * @param artifacts the tarballs, in the order of the subjects; `undefined` for one that is not at hand
 * @param others    what else waits for signatures
 */
export async function review(
  invocation: Invocation,
  session: LogSession,
  proposal: Proposal,
  artifacts: readonly (Artifact | undefined)[],
  others: readonly Proposal[],
): Promise<Review> {
  const { draft, release } = proposal;
  const lines = [...describeDraft(draft)];
  const changes: Changes[] = [];
  lines.push(...observedLines(release.observed));
  for (const [i, subject] of release.subjects.entries()) {
    const artifact = artifacts[i];
    if (artifact === undefined) {
      lines.push(
        `  note      the tarball of ${subject.name} is not at hand: only its digest is known`,
      );
      continue;
    }
    lines.push(...describeArtifact(artifact));
    const change = await compareWithPrevious(invocation, session, proposal, subject, artifact);
    lines.push(...change.lines);
    changes.push(change.changes);
  }
  lines.push(...tallyLines(proposal));
  for (const rival of rivalsOf(proposal, others)) {
    const who = signersOf(rival.proposal).join(', ');
    lines.push(`  WARNING   ${rivalLine(rival)}; that one is signed by ${who}`);
  }
  return { lines, changes };
}

interface Compared {
  readonly lines: readonly string[];
  readonly changes: Changes;
}

async function compareWithPrevious(
  invocation: Invocation,
  session: LogSession,
  { packages }: Proposal,
  { name }: ReleaseSubject,
  artifact: Artifact,
): Promise<Compared> {
  const none = { added: 0, removed: 0, changed: 0 };
  const latest = packages.get(name)?.latest ?? null;
  if (latest === null) {
    return {
      lines: ['  previous  none: the first release, or all before it are withdrawn'],
      changes: { previous: null, files: none, newDependencies: [], newInstallScripts: [] },
    };
  }
  const before = await verifiedRelease(session, name, latest);
  const label = `${name}@${latest}`;
  const said = `  previous  ${label} (entry ${before.index}, ${formatSri(before.sha512)})`;
  const manifest = manifestChanges(before.manifest, artifact.checked.manifest);
  let listing: ArchiveListing | undefined;
  try {
    listing = (await fetchListings(invocation, session, [before])).get(label);
  } catch (error) {
    const isAway = error instanceof UnreachableError || error instanceof CliError;
    if (!isAway) throw error;
  }
  if (listing === undefined) {
    return {
      lines: [
        said,
        '  note      its tarball could not be fetched: files are not compared',
        ...manifest.lines,
      ],
      changes: { previous: label, files: none, ...manifest.changes },
    };
  }
  const files = compareFiles(listing, artifact.checked);
  const shown = files.slice(0, FILES_SHOWN_MAX).map((file) => `    ${fileLine(file)}`);
  const more = files.length - shown.length;
  const count = (kind: string): number => files.filter((file) => file.kind === kind).length;
  const counts = {
    added: count('added'),
    removed: count('removed'),
    changed: count('changed'),
  };
  return {
    lines: [
      said,
      `  files     ${counts.added} added, ${counts.removed} removed, ${counts.changed} changed`,
      ...shown,
      ...(more > 0 ? [`    … and ${more} more: bftpkg diff ${label} ${artifact.path}`] : []),
      ...manifest.lines,
    ],
    changes: { previous: label, files: counts, ...manifest.changes },
  };
}

async function verifiedRelease(
  session: LogSession,
  name: string,
  version: string,
): Promise<VerifiedRelease> {
  const verified = await session.verify([{ kind: 'release', name, version }]);
  const [result] = verified.evidence.subjects;
  if (result?.kind === 'refused') throw result.error;
  if (result?.kind === 'verified') return result.release;
  throw new CliError('BP5003', `${name}@${version}: not in the log`);
}

const INSTALL_SCRIPT = /^scripts\.(?:pre|post)?install$/;
const DEPENDENCY = /^(?:optional|peer)?[dD]ependencies\./;

function manifestChanges(
  before: JsonObject,
  after: JsonObject,
): {
  readonly lines: readonly string[];
  readonly changes: Pick<Changes, 'newDependencies' | 'newInstallScripts'>;
} {
  const all = compareManifests(before, after);
  const newDependencies = all.flatMap(({ field, before: old, after: now }) =>
    DEPENDENCY.test(field) && old === null && now !== null
      ? [`${field.replace(DEPENDENCY, '')} ${now}`]
      : [],
  );
  const newInstallScripts = all.flatMap(({ field, after: now }) =>
    INSTALL_SCRIPT.test(field) && now !== null ? [`${field.replace('scripts.', '')}: ${now}`] : [],
  );
  return {
    lines: [
      ...newDependencies.map((text) => `  WARNING   new dependency: ${text}`),
      ...newInstallScripts.map((text) => `  WARNING   new or changed install script: ${text}`),
      ...all.flatMap(({ field, before: old, after: now }) => [
        ...(old === null ? [] : [`    - ${field}: ${old}`]),
        ...(now === null ? [] : [`    + ${field}: ${now}`]),
      ]),
    ],
    changes: { newDependencies, newInstallScripts },
  };
}
