// Packages that are not in the log, and that a policy allows all the same: by an exception, or by a line of
// the baseline, which is tied to the digest. They come from their registry, are checked as far as that goes
// (digest, safe archive, name and version), and are never called verified.
import { checkTarball, type ArchiveListing } from '../../verifier/archive/tarball.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri, parseSri } from '../../verifier/npm/integrity.ts';
import { manifestOf } from '../../verifier/npm/manifest.ts';
import { ABBREVIATED_TYPE, type LoggedRelease } from '../../verifier/npm/packument.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import { ARTIFACT_BYTES_MAX } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { TransportError } from '../errors.ts';
import { asTable, type Table } from '../lockfiles/classify.ts';
import { hasDigest } from '../npm/artifact-store.ts';
import { inflateInTurn } from '../npm/inflation.ts';
import { readRegistries, type Registries } from '../npm/registries.ts';
import { diagnoseRefusal, diagnoseThrown } from '../output/diagnose.ts';
import type { Diagnostic, SubjectReport } from '../output/report.ts';
import { applyPolicy } from '../policy/apply.ts';
import { covers, type Policy } from '../policy/policy.ts';
import { NOBODY_ASKED } from '../policy/predecessor.ts';
import { sha512 } from '../../verifier/node/sha512.ts';
import { reportRelease } from '../session/report-subject.ts';
import { askUpstream } from './upstream-client.ts';

/** The abbreviated document of a package with ten thousand versions. */
const PACKUMENT_BYTES_MAX = 32 * 1024 * 1024;
const PACKUMENT_TIMEOUT_MS = 30_000;
/** As for replicas: 256 MiB at 1.5 MB/s. */
const TARBALL_TIMEOUT_MS = 180_000;
/** Documents kept: each may have megabytes, and few packages are allowed without the log. */
const DOCUMENTS_MAX = 64;

/** Advisories for a whole tree. */
const AUDIT_BYTES_MAX = 16 * 1024 * 1024;

const UNLOGGED = 'BP5003';

/** A version as its registry describes it. */
export interface UpstreamVersion {
  readonly name: string;
  readonly version: string;
  readonly sha512: Uint8Array;
  readonly manifest: JsonObject;
  readonly tarball: string;
}

/** What comes from registries because a policy allows it. */
export class PermittedPackages {
  readonly #invocation: Invocation;
  readonly #policy: Policy;
  readonly #upstream: string | undefined;
  #registries: Promise<Registries> | undefined;
  readonly #documents = new Map<string, Promise<ReadonlyMap<string, UpstreamVersion>>>();

  /** @param upstream the default registry, where the user names one */
  constructor(invocation: Invocation, policy: Policy, upstream: string | undefined) {
    this.#invocation = invocation;
    this.#policy = policy;
    this.#upstream = upstream;
  }

  /** Whether anything of this name might be allowed: nobody is asked about other names. */
  mayHave(name: string): boolean {
    const { layers, baseline } = this.#policy;
    const exceptions = layers.flatMap((layer) => layer.exceptions);
    return (
      exceptions.some((each) => covers(each, name, each.version, UNLOGGED)) ||
      (baseline?.packages ?? []).some((line) => line.name === name && line.codes.includes(UNLOGGED))
    );
  }

  /**
   * The versions that the registry of a package has, by version; of each it is for {@link judge} to say
   * whether it is allowed.
   *
   * @throws {TransportError}
   */
  async versions(name: string): Promise<ReadonlyMap<string, UpstreamVersion>> {
    const known = this.#documents.get(name);
    if (known !== undefined) return await known;
    const asked = this.#ask(name);
    if (this.#documents.size >= DOCUMENTS_MAX) this.#documents.clear();
    this.#documents.set(name, asked);
    asked.catch(() => this.#documents.delete(name));
    return await asked;
  }

  /** The policy's word on a version that is proven not to be in the log. */
  judge({ name, version, sha512 }: UpstreamVersion): SubjectReport {
    const subject = { kind: 'release', name, version } as const;
    const asked = { name, version, sha512, location: null };
    const report = reportRelease(asked, { kind: 'absent', subject });
    const { subjects } = applyPolicy({
      policy: this.#policy,
      subjects: [report],
      evidence: undefined,
      known: NOBODY_ASKED,
      lockText: undefined,
      isNew: () => true,
      nowMs: this.#invocation.context.nowMs(),
      isWhole: false,
    });
    return subjects[0] ?? report;
  }

  /**
   * Fetches and checks the tarball of an allowed version.
   *
   * @returns the bytes, or the report that says why not
   */
  async fetch(
    version: UpstreamVersion,
    report: SubjectReport,
  ): Promise<{ readonly bytes: Uint8Array } | { readonly refused: SubjectReport }> {
    try {
      const bytes = await this.download(version);
      await this.check(version, bytes, () => undefined);
      return { bytes };
    } catch (error) {
      const isProof = error instanceof VerifyError;
      const [problem] = isProof ? [diagnoseAllowed(error)] : diagnoseThrown(error);
      const verdict = isProof ? 'rejected' : 'inconclusive';
      const { decision: _decision, ...rest } = report;
      return { refused: { ...rest, verdict, diagnostics: problem === undefined ? [] : [problem] } };
    }
  }

  /** The bytes that the registry has, unchecked. @throws {TransportError} */
  async download({ tarball }: UpstreamVersion): Promise<Uint8Array> {
    const bytes = await askUpstream(await this.#settings(), {
      url: tarball,
      accept: 'application/octet-stream',
      bytesMax: ARTIFACT_BYTES_MAX,
      timeoutMs: TARBALL_TIMEOUT_MS,
      signal: this.#invocation.context.signal,
      offline: this.#invocation.globals.offline,
    });
    if (bytes === undefined) throw new TransportError('STATUS', 'answered 404');
    return bytes;
  }

  /**
   * Checks bytes as far as that goes without a signature: digest, safe archive, name and version.
   *
   * @param read gets what is in them; what it returns must not hold the archive
   * @throws {VerifyError}
   */
  async check<T>(
    wanted: UpstreamVersion,
    bytes: Uint8Array,
    read: (listing: ArchiveListing) => T,
  ): Promise<T> {
    requireDigest(wanted, bytes);
    return await inflateInTurn(bytes, async (inflate) => {
      const listing = await checkTarball(bytes, inflate);
      requireSame(wanted, listing.name, listing.version);
      return read(listing);
    });
  }

  /**
   * What the named registry has to say about a tree's known faults, as it is; `undefined` when none is named:
   * which packages a project has is nothing to tell somebody whom the user has not named.
   *
   * @throws {TransportError}
   */
  async audit(path: string, json: string): Promise<Uint8Array | undefined> {
    if (this.#upstream === undefined) return undefined;
    const registries = await this.#settings();
    return await askUpstream(registries, {
      url: `${registries.registryOf('')}${path}`,
      accept: 'application/json',
      bytesMax: AUDIT_BYTES_MAX,
      timeoutMs: PACKUMENT_TIMEOUT_MS,
      signal: this.#invocation.context.signal,
      offline: this.#invocation.globals.offline,
      json,
    });
  }

  async #ask(name: string): Promise<ReadonlyMap<string, UpstreamVersion>> {
    const registries = await this.#settings();
    const base = registries.registryOf(name);
    const body = await askUpstream(registries, {
      url: `${base}${name.replace('/', '%2f')}`,
      accept: `${ABBREVIATED_TYPE}; q=1.0, application/json; q=0.8`,
      bytesMax: PACKUMENT_BYTES_MAX,
      timeoutMs: PACKUMENT_TIMEOUT_MS,
      signal: this.#invocation.context.signal,
      offline: this.#invocation.globals.offline,
    });
    if (body === undefined) return new Map();
    const { value } = parseForeignJson(body, { lengthMax: PACKUMENT_BYTES_MAX });
    return readVersions(name, asTable(asTable(value)?.['versions']) ?? {});
  }

  #settings(): Promise<Registries> {
    const { context, globals } = this.#invocation;
    return (this.#registries ??= readRegistries(context, globals.project, this.#upstream));
  }
}

/**
 * An allowed version as packuments list it. Nobody vouches for when it appeared, so it is as old as can be:
 * managers that quarantine young releases have no say here, a policy has had.
 */
export function listPermitted(version: UpstreamVersion): LoggedRelease {
  return { subject: version, loggedAt: 0 };
}

// What npm would not understand, or what has no strong digest, is as if it were not there.
function readVersions(name: string, versions: Table): ReadonlyMap<string, UpstreamVersion> {
  const found = new Map<string, UpstreamVersion>();
  for (const [version, value] of Object.entries(versions)) {
    const table = asTable(value);
    const dist = asTable(table?.['dist']);
    const [integrity, tarball] = [dist?.['integrity'], dist?.['tarball']];
    if (table === undefined || !isVersion(version)) continue;
    if (typeof integrity !== 'string' || typeof tarball !== 'string') continue;
    if (!/^https?:\/\//.test(tarball) || !URL.canParse(tarball)) continue;
    try {
      const manifest = manifestOf(
        { ...table, name, version },
        false,
        table['_hasShrinkwrap'] === true,
      );
      found.set(version, { name, version, sha512: parseSri(integrity), manifest, tarball });
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
    }
  }
  return found;
}

function requireDigest(wanted: UpstreamVersion, bytes: Uint8Array): void {
  if (hasDigest(bytes, wanted.sha512)) return;
  const { name, version, tarball } = wanted;
  const from = URL.canParse(tarball) ? ` from ${new URL(tarball).origin}` : '';
  throw new VerifyError(
    'ARTIFACT_DIGEST_MISMATCH',
    `${name}@${version}: the tarball of its registry is not the one that is allowed`,
    {
      expected: formatSri(wanted.sha512),
      found: `${formatSri(sha512(bytes))}${from}`,
      hint: 'nothing of it was unpacked; report the registry that is named',
    },
  );
}

/** A refusal of what a policy allows: its bytes are held against what is allowed, since nothing is logged. */
export function diagnoseAllowed(error: VerifyError): Diagnostic {
  const found = diagnoseRefusal(error);
  const details = found.details.map(
    ([label, text]) => [label === 'logged' ? 'allowed' : label, text] as const,
  );
  return { ...found, details };
}

function requireSame({ name, version }: UpstreamVersion, foundName: string, found: string): void {
  if (name === foundName && version === found) return;
  throw new VerifyError(
    'MANIFEST_MISMATCH',
    `${name}@${version}: the tarball says that it is another package`,
    { expected: `${name}@${version}`, found: `${foundName}@${found}` },
  );
}
