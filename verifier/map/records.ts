// The values of the map (DESIGN section 4.6): what the log says now about a package or a release.
import { utf8 } from '../bytes.ts';
import { VerifyError } from '../errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson, type JsonObject } from '../json.ts';
import { MAP_VALUE_BYTES_MAX } from './node.ts';

const HASH_HEX_LENGTH = 64;
const VERSION_LENGTH_MAX = 256;
const HASH_HEX = /^[0-9a-f]{64}$/;

/** The present state of a package. */
export interface PackageRecord {
  /** Leaf index of the maintainer set in force. */
  readonly maintainers: number;
  /** Sequence number of that set, from 0. */
  readonly sequence: number;
  /** How many releases the log holds, withdrawn ones included. */
  readonly releases: number;
  /** The version that `latest` stands for; `null` before the first release. */
  readonly latest: string | null;
}

const STATUSES = ['active', 'yanked', 'revoked'] as const;

/** Yanked: not for new installs, can be taken back. Revoked: a hard stop for ever. */
export type ReleaseStatus = (typeof STATUSES)[number];

/** The present state of a release. */
export interface ReleaseRecord {
  /** Leaf index of the release's entry. */
  readonly index: number;
  /** Hex SHA-256 of the release statement's payload. */
  readonly statement: string;
  readonly status: ReleaseStatus;
  /** Leaf index of the last withdrawal (or taking back of one); `null` when there was none. */
  readonly withdrawal: number | null;
}

/** The canonical bytes of a package's record. */
export function formatPackageRecord(record: PackageRecord): Uint8Array {
  const { maintainers, sequence, releases, latest } = record;
  const isPlain =
    isPlainNumber(maintainers) &&
    isPlainNumber(sequence) &&
    isPlainNumber(releases) &&
    (latest === null || PLAIN_PATTERN.test(latest));
  return formatOrdered({ latest, maintainers, releases, sequence }, isPlain);
}

/** The canonical bytes of a release's record. */
export function formatReleaseRecord(record: ReleaseRecord): Uint8Array {
  const { index, statement, status, withdrawal } = record;
  const isPlain =
    isPlainNumber(index) &&
    PLAIN_PATTERN.test(statement) &&
    (withdrawal === null || isPlainNumber(withdrawal));
  return formatOrdered({ index, statement, status, withdrawal }, isPlain);
}

const PLAIN_PATTERN = /^[ -~]*$/;

function isPlainNumber(value: number): boolean {
  return Number.isSafeInteger(value) && !Object.is(value, -0);
}

// Canonical bytes of an object whose keys are in order. The engine's own writer is several times as fast,
// and writes plain texts and plain integers just as RFC 8785 does; a batch has hundreds of records.
function formatOrdered(fields: JsonObject, isPlain: boolean): Uint8Array {
  return utf8(isPlain ? JSON.stringify(fields) : canonicalJson(fields));
}

/**
 * Reads a package's record.
 *
 * @throws {VerifyError} `MAP_MALFORMED`
 */
export function parsePackageRecord(bytes: Uint8Array): PackageRecord {
  const found = matchPlain(bytes, PLAIN_PACKAGE);
  if (found !== undefined) {
    const [, latest, maintainers, releases, sequence] = found;
    return {
      maintainers: Number(maintainers),
      sequence: Number(sequence),
      releases: Number(releases),
      latest: latest ?? null,
    };
  }
  return parseRecord(bytes, 'package record', (reader) => {
    const latest = reader.required('latest');
    return {
      maintainers: reader.integer('maintainers', 0),
      sequence: reader.integer('sequence', 0),
      releases: reader.integer('releases', 0),
      latest: latest === null ? null : reader.string('latest', VERSION_LENGTH_MAX),
    };
  });
}

/**
 * Reads a release's record.
 *
 * @throws {VerifyError} `MAP_MALFORMED`
 */
export function parseReleaseRecord(bytes: Uint8Array): ReleaseRecord {
  const found = matchPlain(bytes, PLAIN_RELEASE);
  if (found !== undefined) {
    const [, index, statement = ''] = found;
    return { index: Number(index), statement, status: 'active', withdrawal: null };
  }
  return parseRecord(bytes, 'release record', (reader) => {
    const statement = reader.string('statement', HASH_HEX_LENGTH);
    if (!HASH_HEX.test(statement)) throw malformed('release record: statement is not a hash');
    const status = reader.oneOf('status', STATUSES);
    const withdrawal =
      reader.required('withdrawal') === null ? null : reader.integer('withdrawal', 0);
    // A status without the entry that made it so could not be explained to anybody.
    if (status !== 'active' && withdrawal === null) {
      throw malformed(`release record: ${status} without a withdrawal`);
    }
    return { index: reader.integer('index', 0), statement, status, withdrawal };
  });
}

// The form that most records have, in their only spelling; a number of fifteen digits is a safe one. Whatever else
// there is, records of what was withdrawn among it, is read the long way, which says what is wrong.
const PLAIN_NUMBER = '(0|[1-9][0-9]{0,14})';
const PLAIN_PACKAGE = new RegExp(
  `^\\{"latest":(?:null|"([0-9A-Za-z.-]{0,${VERSION_LENGTH_MAX}})"),"maintainers":${PLAIN_NUMBER},` +
    `"releases":${PLAIN_NUMBER},"sequence":${PLAIN_NUMBER}\\}$`,
);
const PLAIN_RELEASE = new RegExp(
  `^\\{"index":${PLAIN_NUMBER},"statement":"([0-9a-f]{64})","status":"active","withdrawal":null\\}$`,
);

function matchPlain(bytes: Uint8Array, pattern: RegExp): RegExpExecArray | undefined {
  // Bytes that are no text are refused the long way, under their own code.
  if (bytes.length > MAP_VALUE_BYTES_MAX) return undefined;
  return pattern.exec(latin1(bytes)) ?? undefined;
}

// A character a byte, which for ASCII is its text; anything else does not match.
function latin1(bytes: Uint8Array): string {
  return String.fromCharCode.apply(undefined, bytes as unknown as number[]);
}

function parseRecord<T>(bytes: Uint8Array, what: string, read: (reader: ObjectReader) => T): T {
  try {
    const reader = new ObjectReader(parseCanonicalJson(bytes, MAP_VALUE_BYTES_MAX), what);
    const record = read(reader);
    reader.end();
    return record;
  } catch (cause) {
    if (!(cause instanceof VerifyError) || cause.code === 'MAP_MALFORMED') throw cause;
    throw malformed(cause.message, cause);
  }
}

function malformed(detail: string, cause?: unknown): VerifyError {
  return new VerifyError('MAP_MALFORMED', `malformed map value: ${detail}`, { cause });
}
