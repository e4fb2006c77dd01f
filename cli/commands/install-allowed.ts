// What a policy allows without the log, for `install` and `ci` with npm: an exception, or a line of the baseline.
// Nobody has signed it, so the project's lockfile is what binds it: the bytes come from the registry of the npm
// configuration and have to have the digest that the lockfile has, in a safe archive of that name and version.
// It is counted apart and never called verified.
import { join } from 'node:path';

import { VerifyError } from '../../verifier/errors.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { bundledIn, type BundleListing } from '../npm/bundled.ts';
import { isNeededHere, type LockEntry, type Lockfile } from '../npm/lockfile.ts';
import type { InstallableRelease } from '../npm/staged-lock.ts';
import type { Staging } from '../npm/staging.ts';
import { diagnoseThrown } from '../output/diagnose.ts';
import { diagnostic, type SubjectReport, type Verification } from '../output/report.ts';
import { isAllowed } from '../proxy/offering.ts';
import { PermittedPackages, diagnoseAllowed, type UpstreamVersion } from '../proxy/permitted.ts';
import type { LogSession } from '../session/log-session.ts';
import { cacheFolder } from '../trust/folders.ts';

/** Each may have 256 MiB, whose size nobody has signed: at most 1 GiB at one time. */
const PARALLEL_MAX = 4;

// What npm gave out before it had its rules of today (`JSONStream`), and nothing that leads elsewhere in an address.
const OLD_NAME = /^(?:@[A-Za-z0-9~-][\w.~-]{0,99}\/)?[A-Za-z0-9~_-][\w.~-]{0,213}$/;

/** Something that is allowed, and bound to bytes by the lockfile. */
interface Allowed {
  readonly key: string;
  readonly release: InstallableRelease;
  readonly isNeeded: boolean;
}

function boundOf(entry: LockEntry): Allowed | undefined {
  const { key, name, version } = entry;
  if (entry.kind === 'registry') {
    const { sha512, os, cpu } = entry;
    // npm is told for whom it is, so that it does not look for it.
    const release = { name, version: entry.version, sha512, manifest: { os, cpu } };
    return { key, release, isNeeded: isNeededHere(entry, process.platform, process.arch) };
  }
  if (entry.kind !== 'refused' || entry.sha512 === undefined || version === null) return undefined;
  if (!OLD_NAME.test(name) || !isVersion(version)) return undefined;
  const release = { name, version, sha512: entry.sha512, manifest: {} };
  return { key, release, isNeeded: true };
}

/** What was fetched. */
export interface AllowedPackages {
  /** By key of the entry. */
  readonly releases: ReadonlyMap<string, InstallableRelease>;
  readonly bundles: ReadonlyMap<string, BundleListing>;
  /** Entries that belong on this platform, by the lockfile's word for it: there is no signed one. */
  readonly needed: readonly LockEntry[];
  /** By key of the entry: why it is not installed after all. */
  readonly refused: ReadonlyMap<string, SubjectReport>;
}

/**
 * Fails for what is allowed and can't be bound to any bytes: git, addresses, entries without one SHA-512.
 *
 * @throws {CliError} BP9005
 */
export function requireBound({ entries }: Lockfile, { subjects }: Verification): void {
  const unbound = subjects.filter((subject, i) => {
    const entry = entries[i];
    return isAllowed(subject) && (entry === undefined || boundOf(entry) === undefined);
  });
  if (unbound.length === 0) return;
  const names = unbound.map(({ name, version }) => `${name}@${version ?? '?'}`);
  const more = names.length > 3 ? ` and ${names.length - 3} more` : '';
  const text = `allowed by your policy, but nothing says which bytes are meant: ${names.slice(0, 3).join(', ')}${more}`;
  throw new CliError('BP9005', text, {
    hints: ['only packages of a registry with one SHA-512 in the lockfile can be installed here'],
  });
}

/** Fetches what is allowed of a lockfile, and hands it to npm's private folder. */
export async function fetchAllowed(
  invocation: Invocation,
  session: LogSession,
  lockfile: Lockfile,
  { subjects }: Verification,
  staging: Staging,
): Promise<AllowedPackages> {
  const releases = new Map<string, InstallableRelease>();
  const bundles = new Map<string, BundleListing>();
  const refused = new Map<string, SubjectReport>();
  const needed: LockEntry[] = [];
  const waiting: { readonly bound: Allowed; readonly report: SubjectReport }[] = [];
  for (const [i, entry] of lockfile.entries.entries()) {
    const report = subjects[i];
    const bound = boundOf(entry);
    if (bound === undefined || report === undefined || !isAllowed(report)) continue;
    if (bound.isNeeded) {
      needed.push(entry);
      waiting.push({ bound, report });
    } else {
      releases.set(bound.key, bound.release);
    }
  }
  const fetcher = new AllowedFetcher(invocation, session);
  const lane = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const { key, release } = next.bound;
      invocation.progress(`fetching ${release.name}, which your policy allows`);
      const found = await fetcher.fetch(release, next.report);
      if ('refused' in found) {
        refused.set(key, found.refused);
        continue;
      }
      await staging.addContent(release.sha512, found.bytes);
      releases.set(key, { ...release, manifest: found.manifest });
      bundles.set(key, found.bundle);
    }
  };
  await Promise.all(Array.from({ length: Math.min(PARALLEL_MAX, waiting.length) }, lane));
  return { releases, bundles, needed, refused };
}

/** The verification with those refused that could not be had. */
export function withRefused(
  verification: Verification,
  { entries }: Lockfile,
  { refused }: AllowedPackages,
): Verification {
  if (refused.size === 0) return verification;
  const subjects = verification.subjects.map((subject, i) => {
    return refused.get(entries[i]?.key ?? '') ?? subject;
  });
  return { ...verification, subjects };
}

/** Bytes that are what the lockfile says, and what is in them. */
interface FetchedPackage {
  readonly bytes: Uint8Array;
  readonly manifest: JsonObject;
  readonly bundle: BundleListing;
}

class AllowedFetcher {
  readonly #permitted: PermittedPackages;
  readonly #store: ArtifactStore;

  constructor(invocation: Invocation, { config }: LogSession) {
    this.#permitted = new PermittedPackages(invocation, config.policy, undefined);
    this.#store = new ArtifactStore(join(cacheFolder(invocation.context.env), 'artifacts'));
  }

  async fetch(
    release: InstallableRelease,
    report: SubjectReport,
  ): Promise<FetchedPackage | { readonly refused: SubjectReport }> {
    const { name, version, sha512 } = release;
    try {
      const kept = await this.#store.read(sha512);
      const bound = { name, version, sha512, manifest: {}, tarball: '' };
      const wanted = kept === undefined ? await this.#find(bound) : bound;
      const bytes = kept ?? (await this.#permitted.download(wanted));
      const checked = await this.#permitted.check(wanted, bytes, ({ manifest, ...listing }) => ({
        bytes,
        manifest,
        bundle: bundledIn({ manifest, ...listing }),
      }));
      if (kept === undefined) await this.#store.keep(sha512, bytes);
      return checked;
    } catch (error) {
      return { refused: refusedFor(report, error) };
    }
  }

  // Where its registry has it. What the registry says about it besides counts for nothing.
  async #find(wanted: UpstreamVersion): Promise<UpstreamVersion> {
    const { name, version } = wanted;
    const found = (await this.#permitted.versions(name)).get(version);
    if (found === undefined) {
      throw new CliError(
        'BP5003',
        `${name}@${version}: allowed by your policy, but its registry has no such version`,
      );
    }
    return { ...wanted, tarball: found.tarball };
  }
}

/** The report about something that was allowed and could not be had, or is something else. */
export function refusedFor(report: SubjectReport, error: unknown): SubjectReport {
  const problems = error instanceof VerifyError ? [diagnoseAllowed(error)] : diagnoseThrown(error);
  const [problem = diagnostic('BP9999', 'refused without a reason')] = problems;
  const isProven = error instanceof VerifyError || problem.severity === 'error';
  const { decision: _decision, ...rest } = report;
  return { ...rest, verdict: isProven ? 'rejected' : 'inconclusive', diagnostics: [problem] };
}
