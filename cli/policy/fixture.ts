// Made-up releases and what the policy should say about them, from a file that stands beside the policy: rules
// are code, and code without tests does something else than was meant.
import { VerifyError } from '../../verifier/errors.ts';
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { ObjectReader, readInteger, readString, type JsonObject } from '../../verifier/json.ts';
import { parsePackageName } from '../../verifier/npm/name.ts';
import { releasePurl } from '../../verifier/npm/purl.ts';
import { sha256Hex } from '../../verifier/sha256.ts';
import { utf8 } from '../../verifier/bytes.ts';
import { configError } from '../errors.ts';

const FIXTURE_FORMAT = 'bftpkg-policy-test/v1';
const FIXTURE_LENGTH_MAX = 4 * 1024 * 1024;
const CASES_MAX = 10_000;
const RELEASES_MAX = 1_000;
const SIGNERS_MAX = 64;
const TEXT_LENGTH_MAX = 1_000;
/** Ten years: the age of the oldest release worth a test. */
const AGE_HOURS_MAX = 10 * 366 * 24;
const KEY_ID = /^[0-9a-f]{64}$/;

/** What a case may expect. */
export const EXPECTATIONS = ['verified', 'excepted', 'refused', 'unclear'] as const;
export type Expectation = (typeof EXPECTATIONS)[number];

/** One case. */
export interface PolicyTestCase {
  readonly why: string;
  readonly name: string;
  readonly version: string;
  /** `undefined` for a package that is not in the log. */
  readonly release: VerifiedRelease | undefined;
  /** Releases before it. */
  readonly before: readonly VerifiedRelease[];
  /** Whether it is about to be added to the lockfile. */
  readonly isNew: boolean;
  readonly expect: Expectation;
  /** Codes that have to be among those found. */
  readonly codes: readonly string[];
}

/**
 * Reads a file of cases.
 *
 * @param nowSeconds the time at which the releases have the ages that the file gives
 * @throws {CliError} BP9004
 */
export function readFixture(
  text: string,
  path: string,
  nowSeconds: number,
): readonly PolicyTestCase[] {
  try {
    const { value } = parseForeignJson(text, { lengthMax: FIXTURE_LENGTH_MAX });
    const reader = new ObjectReader(value, '');
    reader.format('format', FIXTURE_FORMAT);
    const cases = reader.array('cases', CASES_MAX, (item, place) =>
      readCase(new ObjectReader(item, place), nowSeconds),
    );
    reader.end();
    if (cases.length === 0) throw new Error('it has no cases');
    return cases;
  } catch (error) {
    throw configError(`${path}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

function readCase(reader: ObjectReader, nowSeconds: number): PolicyTestCase {
  const why = reader.string('why', TEXT_LENGTH_MAX);
  const name = reader.string('name', TEXT_LENGTH_MAX);
  const version = reader.string('version', TEXT_LENGTH_MAX);
  // A misspelled name would be tested against no rule, and be "verified".
  parsePackageName(name);
  releasePurl(name, version);
  const isLogged = reader.optional('logged') !== undefined;
  const release = isLogged
    ? readRelease(reader.object('logged'), name, version, nowSeconds)
    : undefined;
  const before =
    reader.optional('before') === undefined
      ? []
      : reader.array('before', RELEASES_MAX, (item, place) => {
          const earlier = new ObjectReader(item, place);
          const at = earlier.string('version', TEXT_LENGTH_MAX);
          releasePurl(name, at);
          return readRelease(earlier, name, at, nowSeconds);
        });
  const isNew = reader.optional('new') === undefined ? false : reader.boolean('new');
  const expect = reader.oneOf('expect', EXPECTATIONS);
  const codes =
    reader.optional('codes') === undefined
      ? []
      : reader.array('codes', 16, (item, place) => readString(item, place, 8));
  reader.end();
  return { why, name, version, release, before, isNew, expect, codes };
}

function readRelease(
  reader: ObjectReader,
  name: string,
  version: string,
  nowSeconds: number,
): VerifiedRelease {
  const hours = reader.integer('ageHours', 0, AGE_HOURS_MAX);
  const signers = reader.array('signers', SIGNERS_MAX, (item, place) => {
    const signer = readString(item, place, TEXT_LENGTH_MAX);
    return { name: signer, keyId: KEY_ID.test(signer) ? signer : sha256Hex(utf8(signer)) };
  });
  const required = reader.optional('required');
  const isYanked = reader.optional('yanked') === undefined ? false : reader.boolean('yanked');
  const manifest = reader.optional('manifest');
  reader.end();
  if (manifest !== undefined && (typeof manifest !== 'object' || Array.isArray(manifest))) {
    throw new VerifyError('JSON_MALFORMED', `${reader.pathOf('manifest')} is not an object`);
  }
  return {
    name,
    version,
    purl: releasePurl(name, version),
    sha512: new Uint8Array(64),
    size: 1,
    manifest: (manifest ?? {}) as JsonObject,
    index: 0,
    statement: '00'.repeat(32),
    loggedAt: nowSeconds - hours * 3600,
    status: isYanked ? 'yanked' : 'active',
    signers,
    required:
      required === undefined
        ? signers.length
        : readInteger(required, reader.pathOf('required'), 1, SIGNERS_MAX),
    latest: version,
  };
}
