// A registry of verified releases: what there is of a package, and its tarballs. Replicas are asked for
// lists of versions and believed in nothing: each version is proven before it is offered, and what is
// said about it is what its maintainers signed.
import { join } from 'node:path';

import { VerifyError } from '../../verifier/errors.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { PackageReleases } from '../../verifier/npm/packument.ts';
import { compareVersions } from '../../verifier/npm/version.ts';
import { ARTIFACT_BYTES_MAX } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { CliError, type ReplicaFailure } from '../errors.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { fetchArtifact, withoutContents, type FetchOutcome } from '../npm/fetch.ts';
import { WeightedGate } from '../npm/weighted-gate.ts';
import { diagnoseRefusal, diagnoseThrown } from '../output/diagnose.ts';
import { diagnostic, type Diagnostic, type SubjectReport } from '../output/report.ts';
import { askVersionLists } from '../policy/version-lists.ts';
import type { LogSession } from '../session/log-session.ts';
import { withFetchOutcome } from '../session/report-fetch.ts';
import { blankSubject, reportRelease } from '../session/report-subject.ts';
import { cacheFolder } from '../trust/folders.ts';
import type { ProxyLedger } from './ledger.ts';
import { isAllowed, notInLog, sortVersions, unlisted } from './offering.ts';
import { listPermitted, type PermittedPackages, type UpstreamVersion } from './permitted.ts';
import { Verdicts, type Judged } from './verdicts.ts';

/**
 * Versions of one package that are proven and offered, newest first. The largest packages have some
 * thousands; resolvers choose the newest that fits, and a lockfile's older ones are served all the same.
 */
export const VERSIONS_OFFERED_MAX = 2_000;

/** Bytes of tarballs that are held at one time: two of the largest, or some hundreds of usual ones. */
const BYTES_HELD_MAX = 512 * 1024 * 1024;

/** Packages that are looked up at one time; each may mean some megabytes of evidence. */
const LOOKUPS_MAX = 8;

/** How long a listing is good, milliseconds: within one installation nothing is proven twice. */
const LISTING_FRESH_MS = 60_000;

/** Versions in listings that are kept: some hundred megabytes at most, and more than most trees have. */
const VERSIONS_KEPT_MAX = 50_000;

/** Bad answers of replicas that are remembered for the report; one row for each replica comes of them. */
const FAILURES_MAX = 1_000;

/** Why something is not served. */
export class ProxyRefusal extends Error {
  override readonly name = 'ProxyRefusal';
  readonly diagnostic: Diagnostic;

  constructor(found: Diagnostic) {
    super(found.message);
    this.diagnostic = found;
  }
}

interface Listing {
  readonly at: number;
  readonly offered: Promise<PackageReleases>;
  /** 1 while it is not known. */
  versions: number;
}

/** Verified packages and tarballs. */
export class VerifiedRegistry {
  readonly verdicts: Verdicts;
  readonly permitted: PermittedPackages;
  readonly failures: ReplicaFailure[] = [];
  readonly #invocation: Invocation;
  readonly #session: LogSession;
  readonly #ledger: ProxyLedger;
  readonly #store: ArtifactStore;
  readonly #listings = new Map<string, Listing>();
  readonly #held = new WeightedGate(BYTES_HELD_MAX);
  readonly #lookups = new WeightedGate(LOOKUPS_MAX);
  readonly #missed = new Map<string, number>();

  constructor(
    invocation: Invocation,
    session: LogSession,
    ledger: ProxyLedger,
    permitted: PermittedPackages,
  ) {
    this.permitted = permitted;
    this.#invocation = invocation;
    this.#session = session;
    this.#ledger = ledger;
    this.verdicts = new Verdicts(invocation, session);
    this.#store = new ArtifactStore(join(cacheFolder(invocation.context.env), 'artifacts'));
  }

  /**
   * What is offered of a package: at least one release.
   *
   * @throws {ProxyRefusal} nothing is, or nothing could be proven
   */
  async listing(name: string): Promise<PackageReleases> {
    const now = this.#invocation.context.nowMs();
    const known = this.#listings.get(name);
    if (known !== undefined && now - known.at < LISTING_FRESH_MS) return await known.offered;
    const offered = this.#lookups.run(1, () => this.#list(name));
    const listing: Listing = { at: now, offered, versions: 1 };
    this.#listings.delete(name);
    this.#listings.set(name, listing);
    try {
      const made = await offered;
      listing.versions = made.releases.length;
      this.#dropOldest();
      return made;
    } catch (error) {
      // A failure is not for keeping: the next one to ask may be luckier.
      if (this.#listings.get(name) === listing) this.#listings.delete(name);
      throw error;
    }
  }

  #dropOldest(): void {
    let kept = 0;
    for (const { versions } of this.#listings.values()) kept += versions;
    for (const [name, { versions }] of this.#listings) {
      if (kept <= VERSIONS_KEPT_MAX) return;
      this.#listings.delete(name);
      kept -= versions;
    }
  }

  async #list(name: string): Promise<PackageReleases> {
    const [logged, elsewhere] = await Promise.all([this.#versionsOf(name), this.#elsewhere(name)]);
    const allowed = [...elsewhere.keys()].sort(compareVersions).slice(-VERSIONS_OFFERED_MAX);
    const newest = [...new Set([...logged, ...allowed])];
    const [record, ...answers] = await this.#judge(
      [
        { kind: 'package', name } as const,
        ...newest.map((version) => ({ kind: 'release', name, version }) as const),
      ],
      true,
    );
    if (record?.result.kind === 'refused') {
      throw this.#missing(name, diagnoseRefusal(record.result.error));
    }
    const isLogged = record?.result.kind === 'package';
    const { latest, releases } = isLogged ? record.result.package : { latest: null, releases: 0 };
    // Every list may be a liar's; the map's own record names the latest.
    if (latest !== null && !newest.includes(latest)) {
      answers.push(...(await this.#judge([{ kind: 'release', name, version: latest }], true)));
    }
    const { offered, hidden, present } = sortVersions(answers, (version) => {
      const found = elsewhere.get(version);
      return found === undefined
        ? undefined
        : { release: listPermitted(found), report: this.permitted.judge(found) };
    });
    const unseen = releases - present;
    const left = unseen <= 0 ? [] : [unlisted(name, unseen)];
    this.#ledger.hidden(name, [...left, ...hidden]);
    if (offered.length === 0) {
      const [why] = hidden.toReversed();
      const none = diagnostic('BP5003', `${name}: it is registered, but has no release`);
      throw this.#missing(name, why?.reason ?? (isLogged ? none : notInLog(name)));
    }
    return { name, latest, releases: offered };
  }

  async #versionsOf(name: string): Promise<readonly string[]> {
    const urls = (await this.#session.readyFirst()).map(({ url }) => url);
    const source = { http: this.#session.http, urls, signal: this.#invocation.context.signal };
    const lists = (await askVersionLists(source, [name])).get(name);
    if (lists === undefined || lists === 'too-few' || lists === 'bundle') {
      const message = `${name}: too few replicas say which versions there are`;
      throw this.#unproven(diagnostic('BP7001', message, { hints: ['try again'] }));
    }
    // Each list has its share: a liar who makes thousands of versions up must not push the others' out.
    const share = Math.ceil(VERSIONS_OFFERED_MAX / Math.max(1, lists.length));
    const newest = lists.flatMap((list) => list.toSorted(compareVersions).slice(-share));
    return [...new Set(newest)];
  }

  /** What the registry of a package has, where a policy may allow something of it without the log. */
  async #elsewhere(name: string): Promise<ReadonlyMap<string, UpstreamVersion>> {
    if (!this.permitted.mayHave(name)) return new Map();
    try {
      return await this.permitted.versions(name);
    } catch (error) {
      const [problem] = diagnoseThrown(error);
      if (problem === undefined) throw error;
      const message = `${name}: allowed without the log, but its registry: ${problem.message}`;
      throw this.#unproven({ ...problem, message });
    }
  }

  async #judge(...asked: Parameters<Verdicts['ask']>): Promise<Judged[]> {
    try {
      return [...(await this.verdicts.ask(...asked))];
    } catch (error) {
      if (error instanceof CliError) throw this.#unproven(error.diagnostic);
      if (error instanceof VerifyError) throw this.#unproven(diagnoseRefusal(error));
      throw error;
    }
  }

  // Also where the whole view of the log was refused: nothing is known about this package then.
  #unproven(problem: Diagnostic): ProxyRefusal {
    this.#ledger.unproven(problem);
    return new ProxyRefusal(problem);
  }

  #missing(name: string, problem: Diagnostic): ProxyRefusal {
    const blank = blankSubject(name, null, null);
    const verdict = problem.severity === 'inconclusive' ? 'inconclusive' : 'rejected';
    this.#ledger.missing({ ...blank, verdict, diagnostics: [problem] });
    return new ProxyRefusal(problem);
  }

  /**
   * Hands a verified tarball to `use`, whole. How many are held at one time is bounded, so `use` is to end
   * when the bytes are not needed any more.
   *
   * @throws {ProxyRefusal}
   */
  async tarball(
    name: string,
    version: string,
    use: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const [judged] = await this.#judge([{ kind: 'release', name, version }], false);
    const { result, report } = judged ?? {};
    if (result === undefined || report === undefined) throw new Error('a release has a verdict');
    if (result.kind === 'absent' && this.permitted.mayHave(name)) {
      return await this.#permittedTarball(name, version, use);
    }
    if (report.verdict !== 'verified' || result.kind !== 'verified') throw this.#refused(report);
    const { release } = result;
    await this.#held.run(release.size, async () => {
      const outcome = await this.#fetch(release);
      const final = withFetchOutcome(report, outcome);
      if (outcome.kind !== 'checked') throw this.#refused(final);
      this.#ledger.tarball(final);
      await use(outcome.bytes);
    });
  }

  // Proven not to be in the log.
  async #permittedTarball(
    name: string,
    version: string,
    use: (bytes: Uint8Array) => Promise<void>,
  ): Promise<void> {
    const found = (await this.#elsewhere(name)).get(version);
    if (found === undefined) {
      // Without the policy's word: an exception allows what is there, and this is nowhere.
      const subject = { kind: 'release', name, version } as const;
      const asked = { name, version, sha512: undefined, location: null };
      throw this.#refused(reportRelease(asked, { kind: 'absent', subject }));
    }
    const report = this.permitted.judge(found);
    if (!isAllowed(report)) throw this.#refused(report);
    // Nobody has signed how large it is.
    await this.#held.run(ARTIFACT_BYTES_MAX, async () => {
      const fetched = await this.permitted.fetch(found, report);
      if ('refused' in fetched) throw this.#refused(fetched.refused);
      this.#ledger.tarball(report);
      await use(fetched.bytes);
    });
  }

  /** What is wrong, whatever was thrown; anything unforeseen goes into the run's report as well. */
  refusalOf(error: unknown): Diagnostic {
    if (error instanceof ProxyRefusal) return error.diagnostic;
    const [found = diagnostic('BP9999', 'refused without a reason')] = diagnoseThrown(error);
    this.#ledger.unproven(found);
    return found;
  }

  async #fetch(release: VerifiedRelease): Promise<FetchOutcome> {
    const sources = {
      replicas: await this.#session.readyFirst(),
      store: this.#store,
      signal: this.#invocation.context.signal,
      missed: this.#missed,
      onFailure: (failure: ReplicaFailure) => {
        if (this.failures.length < FAILURES_MAX) this.failures.push(failure);
      },
    };
    // Only the tarball is served: the unpacked archive must not stay while a slow client reads it.
    return await fetchArtifact(release, sources, (outcome) => withoutContents(outcome));
  }

  #refused(report: SubjectReport): ProxyRefusal {
    this.#ledger.tarball(report);
    const problem = report.diagnostics.find(({ severity }) => severity !== 'warning');
    const { name, version } = report;
    const nameless = diagnostic('BP9999', `${name}@${version ?? ''}: refused without a reason`);
    return new ProxyRefusal(problem ?? nameless);
  }
}
