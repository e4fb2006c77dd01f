// Hashes as keys of maps in memory: a text of one character for each byte. Half as long as hex, made by one
// call, and in the same order.

/** The key of a hash. */
export function keyOfHash(hash: Uint8Array): string {
  return Buffer.from(hash.buffer, hash.byteOffset, hash.length).toString('latin1');
}

/** The hash of a key. */
export function hashOfKey(key: string): Uint8Array {
  return Buffer.from(key, 'latin1');
}

/** Hashes of `length` bytes that lie one after the other, as keys. */
export function keysIn(packed: Uint8Array, length: number): readonly string[] {
  const bytes = Buffer.from(packed.buffer, packed.byteOffset, packed.length);
  return Array.from({ length: packed.length / length }, (_, i) =>
    bytes.toString('latin1', i * length, (i + 1) * length),
  );
}
