// What the three kinds of statements have in common: how their payloads are read, and where they
// name a package.
import { utf8 } from '../bytes.ts';
import { statementHash, type Envelope } from '../dsse.ts';
import { VerifyError, quote } from '../errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson, type JsonObject } from '../json.ts';
import { parsePurl } from '../npm/purl.ts';
import { readingAs } from '../refusals.ts';

/**
 * Most bytes of a statement. In base64 and with signatures it has to fit into an entry of 65,535
 * bytes, so that 48 KiB is already more than can be logged.
 */
export const STATEMENT_BYTES_MAX: number = 48 * 1024;

/** Longest purl that is read at all, before npm's own and tighter limits. */
const PURL_LENGTH_MAX = 512;

/**
 * Reads a payload with `read`, which asks for every field.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED` for a wrong shape, and what `read` throws otherwise
 */
export function readStatement<T>(payload: Uint8Array, read: (reader: ObjectReader) => T): T {
  return readingAs('STATEMENT_MALFORMED', 'statement', () => {
    const reader = new ObjectReader(parseCanonicalJson(payload, STATEMENT_BYTES_MAX), '');
    const statement = read(reader);
    reader.end();
    return statement;
  });
}

/**
 * The payload for a document, after it has been read back: what can't be read is never signed.
 *
 * @throws {VerifyError} what `parse` throws
 */
export function formatStatement(
  json: JsonObject,
  parse: (payload: Uint8Array) => unknown,
): Uint8Array {
  const payload = readingAs('STATEMENT_MALFORMED', 'statement', () => utf8(canonicalJson(json)));
  parse(payload);
  return payload;
}

/**
 * An envelope with its statement read and hashed. Whoever needs the statement before its signatures are
 * planned hands this on, so that nothing is parsed or hashed twice.
 */
export interface OpenedStatement<T> {
  readonly envelope: Envelope;
  /** What the payload of `envelope` says. */
  readonly statement: T;
  /** `statementHash` of that payload. */
  readonly hash: string;
}

/**
 * Reads an envelope's payload as one kind of statement; what was opened already is returned as it is.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED` for another payload type, and what `parse` throws
 */
export function openStatement<T>(
  source: Envelope | OpenedStatement<T>,
  payloadType: string,
  parse: (payload: Uint8Array) => T,
): OpenedStatement<T> {
  const envelope = 'envelope' in source ? source.envelope : source;
  // The type is signed with the payload: without this check a statement of one kind could be read
  // as another.
  if (envelope.payloadType !== payloadType) {
    throw malformed(`payload type ${quote(envelope.payloadType)} instead of ${payloadType}`);
  }
  if ('envelope' in source) return source;
  return { envelope, statement: parse(envelope.payload), hash: statementHash(envelope.payload) };
}

/**
 * The field that names a package, a purl without version.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `PACKAGE_NAME_INVALID`, `VERSION_INVALID`
 */
export function readPackage(reader: ObjectReader, name: string): string {
  const purl = reader.string(name, PURL_LENGTH_MAX);
  if (parsePurl(purl).kind !== 'package') {
    throw malformed(`${reader.pathOf(name)} ${quote(purl)} names a version`);
  }
  return purl;
}

/** A refusal of a statement's shape. */
export function malformed(detail: string): VerifyError {
  return new VerifyError('STATEMENT_MALFORMED', `malformed statement: ${detail}`);
}
