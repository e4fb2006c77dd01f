// What is asked about, and the possible answers. An answer other than `refused` exists only where
// every proof that it needs was checked (promises P1, P6 and P7).
import type { VerifyError } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import type { ReleaseStatus } from '../map/records.ts';
import { packagePurl, parsePurl, releasePurl } from '../npm/purl.ts';
import type { MaintainerSet } from '../statements/maintainers.ts';

/** A package, or one release of it. */
export type Subject =
  | { readonly kind: 'package'; readonly name: string }
  | {
      readonly kind: 'release';
      readonly name: string;
      readonly version: string;
      /** The SHA-512 that a lockfile demands, 64 bytes. Without it the log's is reported. */
      readonly sha512?: Uint8Array;
    };

/** The subject's purl. @throws {VerifyError} `PACKAGE_NAME_INVALID`, `VERSION_INVALID` */
export function subjectId(subject: Subject): string {
  return subject.kind === 'package'
    ? packagePurl(subject.name)
    : releasePurl(subject.name, subject.version);
}

/** The subject of a purl. @throws {VerifyError} `PACKAGE_NAME_INVALID`, `VERSION_INVALID` */
export function parseSubject(purl: string): Subject {
  return parsePurl(purl);
}

/** A maintainer whose signature on a release counted. */
export interface Signer {
  /** The label in the maintainer set; nothing vouches for it. */
  readonly name: string;
  /** Hex SHA-256 of the public key. */
  readonly keyId: string;
}

/** A release for which promise P1 holds as of the checkpoint. */
export interface VerifiedRelease {
  readonly name: string;
  readonly version: string;
  readonly purl: string;
  /** Digest that the tarball must have, 64 bytes. */
  readonly sha512: Uint8Array;
  /** Bytes of the tarball. */
  readonly size: number;
  /** What its package.json tells a resolver and an installer. */
  readonly manifest: JsonObject;
  /** Leaf index of its entry. */
  readonly index: number;
  /** Hex SHA-256 of the release statement. */
  readonly statement: string;
  /** Agreed time at which it was logged, Unix seconds. */
  readonly loggedAt: number;
  /** Never `revoked`: that is a refusal. What to do with `yanked` is for a policy to say. */
  readonly status: Exclude<ReleaseStatus, 'revoked'>;
  /** At least `required` distinct maintainers of the set in force. */
  readonly signers: readonly Signer[];
  /** f + 1 of the set in force. */
  readonly required: number;
  /** The package's latest version now; `null` when all of them are withdrawn. */
  readonly latest: string | null;
}

/** A package and its maintainers as of the checkpoint. */
export interface VerifiedPackage {
  /** The set in force. */
  readonly set: MaintainerSet;
  /** Hex SHA-256 of that set's payload: what a next set names as its predecessor. */
  readonly setHash: string;
  readonly sequence: number;
  /** How many releases the log holds. */
  readonly releases: number;
  readonly latest: string | null;
  /** Leaf index of the set's entry. */
  readonly index: number;
}

/** The answer for one subject. `absent` is proven, like the others. */
export type SubjectResult =
  | { readonly kind: 'verified'; readonly subject: Subject; readonly release: VerifiedRelease }
  | { readonly kind: 'package'; readonly subject: Subject; readonly package: VerifiedPackage }
  | { readonly kind: 'absent'; readonly subject: Subject }
  | { readonly kind: 'refused'; readonly subject: Subject; readonly error: VerifyError };
