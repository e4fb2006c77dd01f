// Small artifacts: their bytes go into the database with the row that names them, in one transaction for
// many of them. A file each would cost three fsyncs and a dozen system calls, which is most of what
// publishing a release took.
import { createHash } from 'node:crypto';

import { VerifyError } from '../../verifier/errors.ts';
import { concat } from '../../verifier/bytes.ts';

/**
 * Up to this size an artifact's bytes are kept in the database. Most packages are smaller; SQLite is
 * faster than files up to about 100 KiB, and groups of them stay short enough for votes.
 */
export const SMALL_BYTES_MAX: number = 64 * 1024;

/** A source read up to a bound. */
export type Head =
  | { readonly kind: 'whole'; readonly bytes: Uint8Array }
  | { readonly kind: 'more'; readonly source: AsyncIterable<Uint8Array> };

/**
 * Reads a source to its end, if that comes within `bytesMax`.
 *
 * @returns all of it, or a source that gives all of it from the beginning
 */
export async function readHead(source: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Head> {
  if (bytesMax === 0) return { kind: 'more', source };
  const chunks: Uint8Array[] = [];
  const iterator = source[Symbol.asyncIterator]();
  let length = 0;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) {
      const [only] = chunks;
      const bytes = only !== undefined && chunks.length === 1 ? only : concat(...chunks);
      return { kind: 'whole', bytes };
    }
    chunks.push(next.value);
    length += next.value.length;
    if (length > bytesMax) return { kind: 'more', source: resumed(chunks, iterator) };
  }
}

async function* resumed(
  chunks: readonly Uint8Array[],
  iterator: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  try {
    yield* chunks;
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      yield next.value;
    }
  } finally {
    // Whoever stops reading in the middle lets the sender go.
    await iterator.return?.();
  }
}

/** Bytes as a source. */
export async function* sourceOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** Whether these are the bytes of that digest. */
export function hasDigest(bytes: Uint8Array, sha512: string): boolean {
  return createHash('sha512').update(bytes).digest('hex') === sha512;
}

/** @throws {VerifyError} `ARTIFACT_DIGEST_MISMATCH` */
export function requireDigest(found: string, expected: string): void {
  if (found === expected) return;
  throw new VerifyError('ARTIFACT_DIGEST_MISMATCH', 'the bytes do not have the digest', {
    found,
    expected,
  });
}
