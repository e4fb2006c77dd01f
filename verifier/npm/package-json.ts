// Reading package.json: shapes that npm understands, refusals for what it would guess about.
import { VerifyError } from '../errors.ts';
import { parseForeignJson } from '../foreign-json.ts';
import type { JsonObject, JsonValue } from '../json.ts';

/** Bytes of package.json. The largest real ones have some hundred thousand. */
export const PACKAGE_JSON_BYTES_MAX: number = 4 * 1024 * 1024;

/** Items of one list. The longest real ones name a few dozen platforms or bundled packages. */
const ITEMS_MAX = 10_000;

/** package.json, with what identifies the package read out. */
export interface PackageJson {
  readonly name: string;
  readonly version: string;
  /** The whole document; fields other than the two above are unchecked. */
  readonly document: JsonObject;
}

/**
 * Parses package.json. Name and version are not checked further than being text: the caller
 * compares them with those that it expects.
 *
 * @throws {VerifyError} `MANIFEST_MALFORMED`, `JSON_MALFORMED`, `ENCODING_MALFORMED`
 */
export function parsePackageJson(source: Uint8Array | string): PackageJson {
  const { value } = parseForeignJson(source, { lengthMax: PACKAGE_JSON_BYTES_MAX });
  const document = readTable(value, 'the document');
  const { name, version } = document;
  if (typeof name !== 'string' || typeof version !== 'string') {
    throw malformed('name and version are not both there');
  }
  return { name, version, document };
}

/** A refusal of the document, for `throw`. */
export function malformed(detail: string): VerifyError {
  return new VerifyError('MANIFEST_MALFORMED', `package.json: ${detail}`);
}

/**
 * Whether npm would take the field for missing: `null`, `false`, an empty text and an empty list
 * all stand in real packages where a table or list was meant.
 */
export function isAbsent(
  value: JsonValue | undefined,
): value is undefined | null | false | '' | readonly [] {
  return !value || (Array.isArray(value) && value.length === 0);
}

/** An object. @throws {VerifyError} `MANIFEST_MALFORMED` */
export function readTable(value: JsonValue, field: string): JsonObject {
  if (value === null || typeof value !== 'object' || Array.isArray(value)) {
    throw malformed(`${field} is not an object`);
  }
  return value as JsonObject;
}

/** A list of texts. @throws {VerifyError} `MANIFEST_MALFORMED` */
export function readStrings(value: JsonValue, field: string, lengthMax: number): readonly string[] {
  if (!Array.isArray(value) || value.length > ITEMS_MAX) {
    throw malformed(`${field} is not a list of at most ${ITEMS_MAX}`);
  }
  return (value as readonly JsonValue[]).map((item) => {
    if (typeof item !== 'string' || item.length > lengthMax) {
      throw malformed(`${field} has an item that is not a short text`);
    }
    return item;
  });
}
