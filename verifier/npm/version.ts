// Versions: semver 2.0.0 without build metadata, in its one spelling. npm drops build metadata when
// it publishes, so `1.0.0+a` and `1.0.0+b` would be two names for what npm serves as one release.
import { VerifyError, quote } from '../errors.ts';

/** npm's limit, in characters. */
export const VERSION_LENGTH_MAX = 256;

const NUMBER = '(?:0|[1-9][0-9]*)';
const IDENTIFIER = `(?:${NUMBER}|[0-9]*[A-Za-z-][0-9A-Za-z-]*)`;
const VERSION_PATTERN = new RegExp(
  `^(?<major>${NUMBER})\\.(?<minor>${NUMBER})\\.(?<patch>${NUMBER})` +
    `(?:-(?<prerelease>${IDENTIFIER}(?:\\.${IDENTIFIER})*))?$`,
);
const DIGITS_PATTERN = /^[0-9]+$/;

/** The parts of a version. Numbers are safe integers. */
export interface Version {
  readonly major: number;
  readonly minor: number;
  readonly patch: number;
  /** Empty for a full release. Identifiers of digits are numbers (semver 2.0.0, clause 9). */
  readonly prerelease: readonly (number | string)[];
}

function invalid(text: string, detail: string): VerifyError {
  return new VerifyError('VERSION_INVALID', `version ${quote(text)} ${detail}`);
}

/**
 * Reads a version. No `v`, no `=`, no white space, no build metadata, no partial version.
 *
 * Numbers above 2^53 - 1 are refused everywhere, also in a prerelease, where semver allows them:
 * npm compares those as floating point, so two of them could be one version to it and two to us.
 *
 * @throws {VerifyError} `VERSION_INVALID`
 */
export function parseVersion(text: string): Version {
  if (text.length > VERSION_LENGTH_MAX) {
    throw invalid(text, `is longer than ${VERSION_LENGTH_MAX} characters`);
  }
  const groups = VERSION_PATTERN.exec(text)?.groups;
  if (groups === undefined) {
    throw invalid(text, 'is not semver 2.0.0 without build metadata (like 1.2.3 or 1.2.3-rc.1)');
  }
  const number = (digits: string | undefined): number => {
    const value = Number(digits);
    if (!Number.isSafeInteger(value)) throw invalid(text, 'has a number above 2^53 - 1');
    return value;
  };
  const identifiers = groups['prerelease']?.split('.') ?? [];
  return {
    major: number(groups['major']),
    minor: number(groups['minor']),
    patch: number(groups['patch']),
    prerelease: identifiers.map((id) => (DIGITS_PATTERN.test(id) ? number(id) : id)),
  };
}

/** Whether `parseVersion` accepts the text. */
export function isVersion(text: string): boolean {
  try {
    parseVersion(text);
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

/** Whether the version is a prerelease, which never is anybody's "latest" unless nothing else is. */
export function isPrerelease(version: Version): boolean {
  return version.prerelease.length > 0;
}

/**
 * Order by precedence: negative when `a` comes first. Distinct versions never compare as equal.
 *
 * @throws {VerifyError} `VERSION_INVALID` for text that is no version
 * @see semver 2.0.0, clause 11
 */
export function compareVersions(a: string, b: string): number {
  return comparePrecedence(parseVersion(a), parseVersion(b));
}

/** The same of versions that were read. */
export function comparePrecedence(left: Version, right: Version): number {
  return (
    left.major - right.major ||
    left.minor - right.minor ||
    left.patch - right.patch ||
    comparePrereleases(left.prerelease, right.prerelease)
  );
}

function comparePrereleases(
  a: readonly (number | string)[],
  b: readonly (number | string)[],
): number {
  // A prerelease comes before its release, so having none counts as more than having any.
  if (a.length === 0 || b.length === 0) return b.length - a.length;
  for (let i = 0; ; i++) {
    const left = a[i];
    const right = b[i];
    if (left === undefined || right === undefined) return a.length - b.length;
    if (left === right) continue;
    if (typeof left === 'number' && typeof right === 'number') return left - right;
    if (typeof left === 'number') return -1;
    if (typeof right === 'number') return 1;
    // UTF-16 order is ASCII order here: the grammar holds nothing else.
    return left < right ? -1 : 1;
  }
}
