// Tarballs that were verified before, kept by digest. Whatever is read from here is hashed again: other
// programs of the user can write to this folder.
import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';

/** A folder of tarballs by SHA-512. */
export class ArtifactStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** The bytes of a digest; `undefined` when absent or damaged. */
  async read(sha512: Uint8Array): Promise<Uint8Array | undefined> {
    try {
      const bytes = new Uint8Array(await readFile(this.#pathOf(sha512)));
      return hasDigest(bytes, sha512) ? bytes : undefined;
    } catch {
      // Unreadable is the same as absent: the replicas have it.
      return undefined;
    }
  }

  /** Keeps bytes that the caller has checked; where that can't be, the next run fetches them again. */
  async keep(sha512: Uint8Array, bytes: Uint8Array): Promise<void> {
    const path = this.#pathOf(sha512);
    try {
      await mkdir(dirname(path), { recursive: true, mode: 0o700 });
      await replaceFile(path, bytes);
    } catch {
      // Full or read-only: a cache is never a reason to refuse what was verified.
    }
  }

  #pathOf(sha512: Uint8Array): string {
    return join(this.#folder, contentPath(sha512));
  }
}

/** `aa/bb/rest` of the digest in hex, the layout of npm's cache too. */
export function contentPath(sha512: Uint8Array): string {
  const hex = encodeHex(sha512);
  return join(hex.slice(0, 2), hex.slice(2, 4), hex.slice(4));
}

/** Whether bytes have a SHA-512. */
export function hasDigest(bytes: Uint8Array, sha512: Uint8Array): boolean {
  return equalBytes(new Uint8Array(createHash('sha512').update(bytes).digest()), sha512);
}
