// `bftpkg diff`: two releases, or a release and a tarball, side by side: who signed, what runs, what is
// asked for, and which files differ. Releases are verified first; a tarball at hand is only checked to be
// safe to look at, and is marked as what it is.
import { resolve } from 'node:path';

import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import type { Subject, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { doneReport, type Report } from '../output/report.ts';
import { readArtifact } from '../release/artifact.ts';
import { compareFiles, compareManifests, fileLine } from '../release/compare.ts';
import { fetchListings } from '../release/fetch.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { parseSpec } from './spec.ts';

// Files named for people; JSON has all.
const FILES_SHOWN_MAX = 50;

interface Side {
  readonly label: string;
  readonly integrity: string;
  readonly size: number;
  readonly listing: ArchiveListing;
  /** What the log says; `undefined` for a tarball at hand. */
  readonly release: VerifiedRelease | undefined;
}

/** `diff <from> <to>`; each is name@version or a tarball. */
export async function diff(invocation: Invocation, from: string, to: string): Promise<Report> {
  const isFile = (target: string): boolean => /\.(?:tgz|tar\.gz)$/.test(target);
  const specs = [from, to].filter((target) => !isFile(target)).map(parseSpec);
  const releases = await readReleases(invocation, specs);
  const open = async (target: string): Promise<Side> => {
    const known = releases.get(target);
    if (known !== undefined) return known;
    const file = await readArtifact(resolve(invocation.context.cwd, target));
    const { bytes, sha512, checked } = file;
    return {
      label: `${target} (not verified)`,
      integrity: formatSri(sha512),
      size: bytes.length,
      listing: checked,
      release: undefined,
    };
  };
  return compare(await open(from), await open(to));
}

async function readReleases(
  invocation: Invocation,
  specs: readonly { readonly name: string; readonly version: string }[],
): Promise<ReadonlyMap<string, Side>> {
  if (specs.length === 0) return new Map();
  return await withSession(invocation, { reach: 'current' }, async (session) => {
    const distinct = new Map(specs.map((spec) => [`${spec.name}@${spec.version}`, spec]));
    const subjects = [...distinct.values()].map((spec): Subject => ({ kind: 'release', ...spec }));
    const verified = await session.verify(subjects);
    const releases = verified.evidence.subjects.map((result, i) => {
      const label = [...distinct.keys()][i] ?? '';
      if (result.kind === 'refused') throw result.error;
      if (result.kind === 'verified') return result.release;
      throw new CliError('BP5003', `${label}: not in the log`);
    });
    return await fetchSides(invocation, session, releases);
  });
}

async function fetchSides(
  invocation: Invocation,
  session: LogSession,
  releases: readonly VerifiedRelease[],
): Promise<ReadonlyMap<string, Side>> {
  const listings = await fetchListings(invocation, session, releases);
  return new Map(
    releases.flatMap((release) => {
      const label = `${release.name}@${release.version}`;
      const listing = listings.get(label);
      if (listing === undefined) return [];
      const integrity = formatSri(release.sha512);
      return [[label, { label, integrity, size: release.size, listing, release }] as const];
    }),
  );
}

function compare(from: Side, to: Side): Report {
  const files = compareFiles(from.listing, to.listing);
  const manifest = compareManifests(from.listing.manifest, to.listing.manifest);
  const facts = [
    ['digest', from.integrity, to.integrity],
    ['bytes', String(from.size), String(to.size)],
    ['files', String(from.listing.files.length), String(to.listing.files.length)],
    ['signed by', signersOf(from), signersOf(to)],
    ['needed', requiredOf(from), requiredOf(to)],
  ] as const;
  const shown = files.slice(0, FILES_SHOWN_MAX).map((file) => `  ${fileLine(file)}`);
  const more = files.length - shown.length;
  const isEqual = from.integrity === to.integrity;
  return doneReport('diff', {
    data: {
      from: sideData(from),
      to: sideData(to),
      equal: isEqual,
      files: files.map((file) => ({ ...file })),
      manifest: manifest.map((change) => ({ ...change })),
    },
    lines: [
      `${from.label} → ${to.label}`,
      ...(isEqual ? ['the same bytes'] : []),
      ...facts.flatMap(([name, a, b]) =>
        a === b ? [`  ${name}: ${a}`] : [`- ${name}: ${a}`, `+ ${name}: ${b}`],
      ),
      ...manifest.flatMap(({ field, before, after }) => [
        ...(before === null ? [] : [`- ${field}: ${before}`]),
        ...(after === null ? [] : [`+ ${field}: ${after}`]),
      ]),
      ...shown,
      ...(more > 0 ? [`  … and ${more} more files (--json)`] : []),
    ],
  });
}

function sideData({ label, integrity, size, release }: Side): JsonObject {
  return {
    label,
    integrity,
    size,
    verified: release !== undefined,
    signers: release?.signers.map(({ name, keyId }) => ({ name, keyId })) ?? [],
    required: release?.required ?? null,
  };
}

function signersOf({ release }: Side): string {
  if (release === undefined) return 'unknown';
  // Names are labels that anybody can choose; the keys are who it was.
  return release.signers.map(({ name, keyId }) => `${name} (${keyId.slice(0, 8)})`).join(', ');
}

function requiredOf({ release }: Side): string {
  return release === undefined ? 'unknown' : `${release.required} signatures`;
}
