// Release statements: in-toto Statements v1 with a predicate of our own (DESIGN 4.4). One statement
// may release several packages; each needs enough signatures of *its* maintainers.
// See https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
import { TARBALL_BYTES_MAX } from '../archive/limits.ts';
import { planSigners, type Envelope } from '../dsse.ts';
import { publicKeyHex, type PublicKey } from '../ed25519.ts';
import { encodeHex } from '../encoding.ts';
import { VerifyError, assert, quote } from '../errors.ts';
import { ObjectReader, type JsonObject, type JsonValue } from '../json.ts';
import { packagePurl, parsePurl } from '../npm/purl.ts';
import type { SignaturePlan } from '../signatures.ts';
import { maintainerKeys, maintainerThreshold, type MaintainerSet } from './maintainers.ts';
import { observedJson, readObserved, type Observed } from './observed.ts';
import {
  formatStatement,
  malformed,
  openStatement,
  readStatement,
  type OpenedStatement,
} from './payload.ts';

/** DSSE payload type of a release statement. */
export const RELEASE_PAYLOAD_TYPE = 'application/vnd.in-toto+json';

/** Type of the in-toto statement. */
export const IN_TOTO_STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';

/** Type of the predicate. */
export const RELEASE_PREDICATE_TYPE = 'urn:bftpkg:release:v1';

/** Most releases in one statement: a large monorepo, published at once. */
export const RELEASE_SUBJECTS_MAX = 64;

/**
 * Most packages in one proposal that replicas keep for its co-maintainers. Each one's whole list is judged
 * anew when it comes in, and that keeps votes waiting. A larger workspace signs a file, or several statements.
 */
export const PROPOSAL_PACKAGES_MAX = 8;

/** Largest artifact, in bytes: what replicas keep and clients download (256 MiB). */
export const RELEASE_BYTES_MAX: number = TARBALL_BYTES_MAX;

const SHA512_LENGTH = 64;

/** One release in a statement. */
export interface ReleaseSubject {
  /** purl with version. Unique in the statement. */
  readonly purl: string;
  /** purl without version. */
  readonly package: string;
  readonly name: string;
  readonly version: string;
  /** Of the artifact's bytes; 64 bytes. */
  readonly sha512: Uint8Array;
  /** Of the artifact, in bytes, 1 to `RELEASE_BYTES_MAX`. */
  readonly size: number;
  /** Sequence number of the maintainer set that signs. */
  readonly maintainers: number;
  /** What installers act on. Its content is the business of `npm/manifest.ts`. */
  readonly manifest: JsonObject;
}

/** What a release statement says. */
export interface Release {
  /** 1 to `RELEASE_SUBJECTS_MAX`, in the order of the statement. */
  readonly subjects: readonly ReleaseSubject[];
  readonly observed: Observed;
}

/** A release statement whose signatures suffice for every subject. */
export interface VerifiedReleaseStatement {
  readonly release: Release;
  /** Hex SHA-256 of the payload. */
  readonly hash: string;
  /**
   * The distinct maintainers of a package that signed, at least f + 1, in the order of their set.
   *
   * @param packagePurl package of one of the subjects
   */
  signersOf(packagePurl: string): readonly PublicKey[];
}

/**
 * Reads a release statement's payload.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `PACKAGE_NAME_INVALID`, `VERSION_INVALID`,
 *         `FORMAT_UNSUPPORTED` for another predicate or in-toto version
 */
export function parseRelease(payload: Uint8Array): Release {
  return readStatement(payload, (reader) => {
    reader.format('_type', IN_TOTO_STATEMENT_TYPE);
    reader.format('predicateType', RELEASE_PREDICATE_TYPE);
    const digests = reader.array('subject', RELEASE_SUBJECTS_MAX, readDigest);
    const predicate = reader.object('predicate');
    const observed = readObserved(predicate.required('observed'), 'predicate.observed');
    const packages = predicate.object('packages');
    predicate.end();
    if (digests.length === 0) throw malformed('subject is empty');
    const seen = new Set<string>();
    const subjects = digests.map((digest) => {
      // Two digests for one name@version would be two artifacts that both verify.
      if (seen.has(digest.purl)) throw malformed(`${digest.purl} is there twice`);
      seen.add(digest.purl);
      return readSubject(packages, digest);
    });
    packages.end();
    return { subjects, observed };
  });
}

interface SubjectDigest {
  readonly purl: string;
  readonly name: string;
  readonly version: string;
  readonly sha512: Uint8Array;
}

function readDigest(value: JsonValue, path: string): SubjectDigest {
  const reader = new ObjectReader(value, path);
  const purl = reader.string('name', 512);
  const parsed = parsePurl(purl);
  if (parsed.kind !== 'release') throw malformed(`${quote(purl)} names no version`);
  const digest = reader.object('digest');
  const sha512 = digest.hex('sha512', SHA512_LENGTH);
  // A second, weaker digest would be one that somebody checks instead.
  digest.end();
  reader.end();
  return { purl, name: parsed.name, version: parsed.version, sha512 };
}

function readSubject(
  packages: ObjectReader,
  { purl, name, version, sha512 }: SubjectDigest,
): ReleaseSubject {
  const reader = packages.object(purl);
  const size = reader.integer('size', 1, RELEASE_BYTES_MAX);
  const maintainers = reader.integer('maintainers', 0);
  const manifest = readJsonObject(reader.required('manifest'), reader.pathOf('manifest'));
  reader.end();
  return { purl, package: packagePurl(name), name, version, sha512, size, maintainers, manifest };
}

function readJsonObject(value: JsonValue, path: string): JsonObject {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw malformed(`${path} is not an object`);
  }
  return value as JsonObject;
}

/** What `formatRelease` needs of a subject; the rest of `ReleaseSubject` follows from the purl. */
export type ReleaseSubjectFields = Pick<
  ReleaseSubject,
  'purl' | 'sha512' | 'size' | 'maintainers' | 'manifest'
>;

/**
 * The payload that says these things.
 *
 * @throws {VerifyError} as `parseRelease`, for a release that no reader would accept
 */
export function formatRelease(release: {
  readonly subjects: readonly ReleaseSubjectFields[];
  readonly observed: Observed;
}): Uint8Array {
  return formatStatement(
    {
      _type: IN_TOTO_STATEMENT_TYPE,
      predicateType: RELEASE_PREDICATE_TYPE,
      subject: release.subjects.map(({ purl, sha512 }) => ({
        name: purl,
        digest: { sha512: encodeHex(sha512) },
      })),
      predicate: {
        observed: observedJson(release.observed),
        packages: Object.fromEntries(
          release.subjects.map(({ purl, size, maintainers, manifest }) => [
            purl,
            { size, maintainers, manifest },
          ]),
        ),
      },
    },
    parseRelease,
  );
}

/**
 * Plans the check of a release statement. All subjects or none: a statement that lacks signatures
 * for one of its packages releases nothing.
 *
 * @param sets the maintainer set in force (or, for a client, the one that the statement names) of a
 *        package, by purl; asked once for each package
 * @throws {VerifyError} (already when planning) what `parseRelease` throws,
 *         `MAINTAINER_CHAIN_BROKEN` when there is no set or it has another sequence number than the
 *         statement says; when finishing `MAINTAINER_SIGNATURES_MISSING`
 */
export function planRelease(
  source: Envelope | OpenedStatement<Release>,
  sets: (packagePurl: string) => MaintainerSet | undefined,
): SignaturePlan<VerifiedReleaseStatement> {
  const opened = openStatement(source, RELEASE_PAYLOAD_TYPE, parseRelease);
  const { envelope, statement: release, hash } = opened;
  const setOf = new Map<string, MaintainerSet>();
  for (const subject of release.subjects) {
    const set = setOf.get(subject.package) ?? findSet(subject.package, sets);
    if (subject.maintainers !== set.sequence) {
      throw new VerifyError(
        'MAINTAINER_CHAIN_BROKEN',
        `${subject.purl}: signed for the maintainers of sequence ${subject.maintainers}, ` +
          `not ${set.sequence}`,
        { found: String(subject.maintainers), expected: String(set.sequence) },
      );
    }
    setOf.set(subject.package, set);
  }
  const plan = planSigners(envelope, [...setOf.values()].flatMap(maintainerKeys));
  return {
    jobs: plan.jobs,
    finish: (valid) => {
      const signed = new Set(plan.finish(valid).map(publicKeyHex));
      const signers = new Map(
        [...setOf].map(([purl, set]) => [purl, requireSigners(purl, set, signed)]),
      );
      return {
        release,
        hash,
        signersOf: (packagePurl) => {
          const found = signers.get(packagePurl);
          assert(found !== undefined, 'signersOf is asked for a package of the statement');
          return found;
        },
      };
    },
  };
}

function findSet(
  purl: string,
  sets: (packagePurl: string) => MaintainerSet | undefined,
): MaintainerSet {
  const set = sets(purl);
  if (set === undefined) {
    throw new VerifyError('MAINTAINER_CHAIN_BROKEN', `${purl} has no maintainer set`);
  }
  if (set.package !== purl) {
    throw new VerifyError('MAINTAINER_CHAIN_BROKEN', `${set.package} has no say about ${purl}`);
  }
  return set;
}

/** The keys *of this set* that signed: a maintainer of another subject has no say here. */
function requireSigners(
  purl: string,
  set: MaintainerSet,
  signed: ReadonlySet<string>,
): readonly PublicKey[] {
  const signers = maintainerKeys(set).filter((key) => signed.has(publicKeyHex(key)));
  const needed = maintainerThreshold(set);
  if (signers.length < needed) {
    throw new VerifyError(
      'MAINTAINER_SIGNATURES_MISSING',
      `${purl}: signed by ${signers.length} of the ${needed} maintainers that have to`,
      { found: `${signers.length} signatures`, expected: `${needed} signatures` },
    );
  }
  return signers;
}
