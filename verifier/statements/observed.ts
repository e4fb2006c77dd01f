// What signers saw when they signed: the heads of logs (DESIGN 4.4). A replica compares the head of
// its own log with its tree, so every statement carries a check against forks into the log.
import { encodeHex } from '../encoding.ts';
import { VerifyError, quote } from '../errors.ts';
import { ObjectReader, type JsonObject, type JsonValue } from '../json.ts';
import { HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import { isOrigin } from '../origin.ts';

/** Most logs in one statement: its own, and room for a federation. */
export const OBSERVED_ORIGINS_MAX = 16;

/** The head of a log, as somebody saw it. */
export interface LogHead {
  /** Number of leaves, 0 or more. */
  readonly size: number;
  /** Root of the tree of that size, 32 bytes. */
  readonly root: Hash;
}

/** Heads by the origin of their log, 1 to `OBSERVED_ORIGINS_MAX` of them. */
export type Observed = ReadonlyMap<string, LogHead>;

/**
 * Reads the field `observed` of a statement.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `JSON_MALFORMED`
 */
export function readObserved(value: JsonValue, path: string): Observed {
  const reader = new ObjectReader(value, path);
  const origins = reader.keys();
  if (origins.length === 0) throw malformed(`${path} is empty`);
  if (origins.length > OBSERVED_ORIGINS_MAX) {
    throw malformed(`${path} has more than ${OBSERVED_ORIGINS_MAX} logs`);
  }
  const observed = new Map<string, LogHead>();
  for (const origin of origins) {
    if (!isOrigin(origin)) throw malformed(`${quote(origin)} can't name a log`);
    const head = reader.object(origin);
    const size = head.integer('size', 0);
    const root = head.hex('root', HASH_LENGTH);
    head.end();
    observed.set(origin, { size, root });
  }
  return observed;
}

/** The field as a JSON value. */
export function observedJson(observed: Observed): JsonObject {
  return Object.fromEntries(
    [...observed].map(([origin, { size, root }]) => [origin, { size, root: encodeHex(root) }]),
  );
}

function malformed(detail: string): VerifyError {
  return new VerifyError('STATEMENT_MALFORMED', `malformed statement: ${detail}`);
}
