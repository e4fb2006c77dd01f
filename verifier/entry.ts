// Entries: the content of the log's leaves (DESIGN 4.5). A batch is its statement entries and then one
// commit entry, so the last leaf under a checkpoint always says the root of the map.
import { concat, utf8 } from './bytes.ts';
import {
  envelopeJson,
  readEnvelope,
  readEnvelopeText,
  textOfEnvelope,
  type Envelope,
} from './dsse.ts';
import { encodeHex } from './encoding.ts';
import { VerifyError, quote } from './errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson, type JsonObject } from './json.ts';
import { HASH_LENGTH, type Hash } from './merkle/hash.ts';
import { readingAs } from './refusals.ts';
import { ROSTER_PAYLOAD_TYPE } from './roster.ts';
import { decodeUtf8 } from './text.ts';
import { MAINTAINERS_PAYLOAD_TYPE } from './statements/maintainers.ts';
import { RELEASE_PAYLOAD_TYPE } from './statements/release.ts';
import { WITHDRAWAL_PAYLOAD_TYPE } from './statements/withdrawal.ts';

const ENTRY_FORMAT = 'bftpkg-entry/v1';

/** Most bytes of an entry: its length is 16 bits in an entry bundle (C2SP tlog-tiles). */
export const ENTRY_BYTES_MAX = 65_535;

/**
 * Latest time of an entry, in Unix seconds: the end of the year 9999, the last that ISO 8601 can
 * write with four digits.
 */
export const ENTRY_TIME_MAX = 253_402_300_799;

/** The kinds of entries that hold a signed statement. */
export type StatementKind = 'maintainers' | 'release' | 'withdrawal' | 'roster';

const STATEMENT_KINDS: readonly StatementKind[] = [
  'maintainers',
  'release',
  'withdrawal',
  'roster',
];

/** The payload type of the statement in each kind of entry. */
export const STATEMENT_PAYLOAD_TYPES: Readonly<Record<StatementKind, string>> = {
  maintainers: MAINTAINERS_PAYLOAD_TYPE,
  release: RELEASE_PAYLOAD_TYPE,
  withdrawal: WITHDRAWAL_PAYLOAD_TYPE,
  roster: ROSTER_PAYLOAD_TYPE,
};

/** An entry that carries a statement somebody signed. Reading it checks neither. */
export interface StatementEntry {
  readonly kind: StatementKind;
  /** Agreed time of the batch, Unix seconds, 0 to `ENTRY_TIME_MAX`. */
  readonly time: number;
  /** Its payload type is the one of `kind`. */
  readonly envelope: Envelope;
}

/** The last entry of a batch: what the batch was and the map's root after it. */
export interface CommitEntry {
  readonly kind: 'commit';
  /** Agreed time of the batch, Unix seconds, 0 to `ENTRY_TIME_MAX`. */
  readonly time: number;
  /** Epoch of the roster that committed the batch. */
  readonly epoch: number;
  /** Place of the batch in the order, from 1. */
  readonly height: number;
  /** Number of statement entries before this one in the batch. */
  readonly entries: number;
  /** Root of the map after the batch. */
  readonly map: Hash;
  /** Leaf hash of the commit entry before; `null` exactly at height 1. */
  readonly previous: Hash | null;
}

/** What a leaf of the log holds. */
export type Entry = StatementEntry | CommitEntry;

/** The kind of statement entry for a payload type, `undefined` when there is none. */
export function statementKindOf(payloadType: string): StatementKind | undefined {
  return STATEMENT_KINDS.find((kind) => STATEMENT_PAYLOAD_TYPES[kind] === payloadType);
}

/**
 * Reads an entry.
 *
 * @param data the leaf's bytes, or their text
 * @throws {VerifyError} `ENTRY_MALFORMED`; `FORMAT_UNSUPPORTED`
 */
export function parseEntry(data: Uint8Array | string): Entry {
  return readingAs('ENTRY_MALFORMED', 'entry', () => {
    // Every field is ASCII, so that a text is as long as its bytes.
    const isBounded = data.length <= ENTRY_BYTES_MAX;
    const text = typeof data === 'string' || !isBounded ? data : decodeUtf8(data);
    const found = typeof text === 'string' && isBounded ? readByForm(text) : undefined;
    if (found !== undefined) return found;
    const reader = new ObjectReader(parseCanonicalJson(text, ENTRY_BYTES_MAX), '');
    reader.format('format', ENTRY_FORMAT);
    const kind = reader.oneOf('kind', [...STATEMENT_KINDS, 'commit']);
    const time = reader.integer('time', 0, ENTRY_TIME_MAX);
    const entry = kind === 'commit' ? readCommit(reader, time) : readStatement(reader, kind, time);
    reader.end();
    return entry;
  });
}

// Nine tenths of a log's bytes are envelopes: having them parsed, written back and compared with the entry around them
// is most of what reading it costs. What is read here is exactly what `entryAround` makes of a canonical envelope; anything
// else is left to the reader of every entry, which says what is wrong with it.
function readByForm(text: string): StatementEntry | undefined {
  const middle = text.lastIndexOf(BEFORE_FORMAT);
  if (middle < 0 || !text.startsWith(HEAD_TEXT)) return undefined;
  const tail = TAIL_PATTERN.exec(text.slice(middle));
  const kind = STATEMENT_KINDS.find((one) => one === tail?.[1]);
  const time = Number(tail?.[2]);
  if (kind === undefined || !isEntryTime(time)) return undefined;
  const envelope = readEnvelopeText(text.slice(HEAD_TEXT.length, middle));
  // The constant instead of a piece of the text, which would keep all of it.
  const payloadType = STATEMENT_PAYLOAD_TYPES[kind];
  if (envelope?.payloadType !== payloadType) return undefined;
  return { kind, time, envelope: { ...envelope, payloadType } };
}

function readStatement(reader: ObjectReader, kind: StatementKind, time: number): StatementEntry {
  const envelope = readEnvelope(reader.required('envelope'), 'envelope');
  requireKind(kind, envelope);
  return { kind, time, envelope };
}

// Otherwise a withdrawal could be logged as something that no client looks for.
function requireKind(kind: StatementKind, { payloadType }: Envelope): void {
  if (payloadType === STATEMENT_PAYLOAD_TYPES[kind]) return;
  throw malformed(`a ${kind} entry with the payload type ${quote(payloadType)}`);
}

function readCommit(reader: ObjectReader, time: number): CommitEntry {
  const epoch = reader.integer('epoch', 0);
  const height = reader.integer('height', 1);
  const entries = reader.integer('entries', 0);
  const map = reader.hex('map', HASH_LENGTH);
  const previous =
    reader.required('previous') === null ? null : reader.hex('previous', HASH_LENGTH);
  if ((previous === null) !== (height === 1)) {
    throw malformed('previous is null exactly at height 1');
  }
  return { kind: 'commit', time, epoch, height, entries, map, previous };
}

/**
 * The entry's bytes: the leaf's data.
 *
 * @throws {VerifyError} `ENTRY_MALFORMED` for an entry that no reader would accept, such as one with
 *         so many signatures that it exceeds `ENTRY_BYTES_MAX`
 */
export function formatEntry(entry: Entry): Uint8Array {
  if (entry.kind !== 'commit') {
    const text = textOfEnvelope(entry.envelope);
    if (text !== undefined) return formatRead(entry, text);
  }
  const data = readingAs('ENTRY_MALFORMED', 'entry', () => utf8(canonicalJson(entryJson(entry))));
  parseEntry(data);
  return data;
}

/** Where the envelope is in the bytes of a statement entry. */
export interface EnvelopePlace {
  readonly kind: StatementKind;
  /** What should be the envelope's canonical text: a view into the entry's bytes, not read yet. */
  readonly text: Uint8Array;
}

/**
 * Finds the envelopes in entries of one time without reading either: for whoever has read these envelopes
 * already, by their bytes.
 *
 * When `text` is a canonical envelope whose payload type is that of `kind`, the bytes are exactly the entry
 * that `formatEntry` makes of it, and so what `parseEntry` accepts.
 *
 * @param time of all these entries, Unix seconds
 * @returns for an entry's bytes the place; `undefined` for what does not look like such an entry, of which
 *          `parseEntry` says why
 */
export function envelopeFinder(time: number): (data: Uint8Array) => EnvelopePlace | undefined {
  if (!isEntryTime(time)) return () => undefined;
  const tails = STATEMENT_KINDS.map((kind) => ({ kind, tail: utf8(tailOf(kind, time)) }));
  return (data) => {
    if (data.length > ENTRY_BYTES_MAX || !isAt(data, ENTRY_HEAD, 0)) return undefined;
    for (const { kind, tail } of tails) {
      const end = data.length - tail.length;
      if (end < ENTRY_HEAD.length || !isAt(data, tail, end)) continue;
      return { kind, text: data.subarray(ENTRY_HEAD.length, end) };
    }
    return undefined;
  };
}

/**
 * Puts a canonical envelope's text into an entry, unread: the other way round of `envelopeFinder`. Of any
 * other text it makes bytes that `parseEntry` refuses.
 *
 * @param time Unix seconds
 * @returns undefined when the time is none of an entry's
 */
export function entryAround(
  text: Uint8Array,
  kind: StatementKind,
  time: number,
): Uint8Array | undefined {
  return isEntryTime(time) ? concat(ENTRY_HEAD, text, utf8(tailOf(kind, time))) : undefined;
}

/** Bytes of what `entryAround` makes of a text of so many bytes. */
export function entryLengthAround(
  textLength: number,
  kind: StatementKind,
  time: number,
): number | undefined {
  // All of it is ASCII.
  return isEntryTime(time) ? HEAD_TEXT.length + textLength + tailOf(kind, time).length : undefined;
}

const HEAD_TEXT = '{"envelope":';
const ENTRY_HEAD: Uint8Array = utf8(HEAD_TEXT);

const BEFORE_FORMAT = `,"format":`;
// The time of an entry has twelve digits at most.
const TAIL_PATTERN = new RegExp(
  `^${BEFORE_FORMAT}"${ENTRY_FORMAT}","kind":"([a-z]+)","time":(0|[1-9][0-9]{0,11})\\}$`,
);

function tailOf(kind: StatementKind, time: number): string {
  return `,"format":"${ENTRY_FORMAT}","kind":"${kind}","time":${time}}`;
}

function isEntryTime(time: number): boolean {
  return Number.isSafeInteger(time) && time >= 0 && time <= ENTRY_TIME_MAX;
}

function isAt(data: Uint8Array, part: Uint8Array, start: number): boolean {
  for (let i = 0; i < part.length; i++) if (data[start + i] !== part[i]) return false;
  return true;
}

// Of an envelope that was read: around its text there is nothing that could be wrong but this.
function formatRead({ kind, time, envelope }: StatementEntry, text: string): Uint8Array {
  if (!isEntryTime(time)) {
    throw malformed(`time is not an integer from 0 to ${ENTRY_TIME_MAX}`);
  }
  requireKind(kind, envelope);
  const data = utf8(`${HEAD_TEXT}${text}${tailOf(kind, time)}`);
  if (data.length > ENTRY_BYTES_MAX) throw malformed(`longer than ${ENTRY_BYTES_MAX}`);
  return data;
}

function entryJson(entry: Entry): JsonObject {
  const { kind, time } = entry;
  if (entry.kind !== 'commit') {
    return { format: ENTRY_FORMAT, kind, time, envelope: envelopeJson(entry.envelope) };
  }
  return {
    format: ENTRY_FORMAT,
    kind,
    time,
    epoch: entry.epoch,
    height: entry.height,
    entries: entry.entries,
    map: encodeHex(entry.map),
    previous: entry.previous === null ? null : encodeHex(entry.previous),
  };
}

function malformed(detail: string): VerifyError {
  return new VerifyError('ENTRY_MALFORMED', `malformed entry: ${detail}`);
}
