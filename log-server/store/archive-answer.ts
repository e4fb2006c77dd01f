// What passes between ArchiveThread and its worker.
import type { VerifyErrorCode } from '../../verifier/errors.ts';

/** The worker's first message: it has loaded. */
export const READY = 'ready';

/** What became of one tarball. */
export type ArchiveAnswer =
  | {
      readonly kind: 'checked';
      readonly name: string;
      readonly version: string;
      /** Canonical JSON. */
      readonly manifest: string;
    }
  | { readonly kind: 'refused'; readonly code: VerifyErrorCode; readonly message: string }
  /** Says nothing about the tarball: the file could not be read, or memory ran out. */
  | { readonly kind: 'failed'; readonly message: string };
