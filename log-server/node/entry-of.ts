// The entry that a request becomes, without reading it: for proposals that leave out what was sent ahead
// (consensus/prefetching.ts). Whoever puts a body together compares its hash, so a request that is not
// what it seems only costs the transfer that would have been saved.
import { entryAround, statementKindOf } from '../../verifier/entry.ts';
import type { Request } from '../consensus/types.ts';

// Between the two in a canonical envelope; base64 has no quotes.
const BEFORE_TYPE = '","payloadType":"';

/** The entry of a request in a batch of this time; undefined for what is no envelope of a statement. */
export function entryOf({ bytes }: Request, timestampMs: number): Uint8Array | undefined {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const found = text.indexOf(BEFORE_TYPE);
  if (found < 0) return undefined;
  const start = found + BEFORE_TYPE.length;
  const end = text.indexOf('"', start);
  if (end < 0) return undefined;
  const kind = statementKindOf(text.toString('latin1', start, end));
  return kind && entryAround(bytes, kind, Math.floor(timestampMs / 1000));
}
