// The state of a log at the end of an audit, so that the next one needs only what came after. It is the
// auditor's own record, like the trust state. When it is read again, its leaves have to lead to the
// checkpoint that it was made at, and its tables to the map root in that checkpoint's last entry: a
// damaged or edited file is noticed, not audited on.
import { readFile, stat } from 'node:fs/promises';
import { resolve } from 'node:path';

import { equalBytes, utf8 } from '../../verifier/bytes.ts';
import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import { envelopeJson, readEnvelope, statementHash } from '../../verifier/dsse.ts';
import { encodeBase64, encodeHex } from '../../verifier/encoding.ts';
import {
  ENTRY_BYTES_MAX,
  formatEntry,
  parseEntry,
  type CommitEntry,
} from '../../verifier/entry.ts';
import {
  canonicalJson,
  ObjectReader,
  parseCanonicalJson,
  type JsonObject,
  type JsonValue,
} from '../../verifier/json.ts';
import { MemoryLedger, type LedgerContents } from '../../verifier/ledger/memory-ledger.ts';
import type { PackageChange } from '../../verifier/ledger/scratch.ts';
import type { SetInForce } from '../../verifier/ledger/view.ts';
import { parsePackageRecord, parseReleaseRecord } from '../../verifier/map/records.ts';
import type { ReleaseRecord } from '../../verifier/map/records.ts';
import { HASH_LENGTH, leafHash, type Hash } from '../../verifier/merkle/hash.ts';
import { TILE_WIDTH } from '../../verifier/merkle/tile.ts';
import { NOTE_LENGTH_MAX, formatNote, parseNote } from '../../verifier/note.ts';
import { foldName } from '../../verifier/npm/name.ts';
import { formatMaintainerSet, parseMaintainerSet } from '../../verifier/statements/maintainers.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { configError, type CliError } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import type { EarlierCheck } from './entry-check.ts';
import type { FsckResult } from './fsck.ts';
import { Leaves } from './leaves.ts';
import type { LogView } from './log-view.ts';

const AUDIT_FORMAT = 'bftpkg-audit/v1';
/** Longest state, in characters: about half of the longest string that Node can hold. */
const AUDIT_LENGTH_MAX = 256 * 1024 * 1024;
const NAME_LENGTH_MAX = 256;
const ITEMS_MAX = 2 ** 24;

/**
 * Writes the state of a check that found nothing.
 *
 * @returns the path
 * @throws {CliError} BP9004
 */
export async function saveAudit(
  folder: string,
  file: string,
  pin: string,
  view: LogView,
  result: FsckResult,
): Promise<string> {
  const path = resolve(folder, file);
  if (lengthAtLeast(result) > AUDIT_LENGTH_MAX) throw tooLarge();
  const text = `${canonicalJson(auditJson(pin, view, result))}\n`;
  if (text.length > AUDIT_LENGTH_MAX) throw tooLarge();
  try {
    await replaceFile(path, text);
  } catch (error) {
    throw configError(`${path}: ${systemReason(error, 'cannot be written')}`, undefined, error);
  }
  return path;
}

function tooLarge(): CliError {
  return configError('the log is too large for a state file', 'check it without --save');
}

// Before the rows are put together, all of them in memory: it would end there. What each takes at least, with
// names, versions and numbers of one character.
function lengthAtLeast({ ledger, leaves }: FsckResult): number {
  const { statements, packages, releases } = ledger.rows.counts;
  return Math.floor(leaves.size * 42.6 + statements * 84 + packages * 350 + releases * 150);
}

function auditJson(
  pin: string,
  view: LogView,
  { ledger, leaves, lastCommit }: FsckResult,
): JsonObject {
  const { rosterEnvelope, rows } = ledger;
  return {
    format: AUDIT_FORMAT,
    pin,
    note: formatNote(view.note),
    commit: lastCommit === undefined ? null : decodeUtf8(formatEntry(lastCommit)),
    roster: envelopeJson(rosterEnvelope),
    leaves: encodeBase64(leaves.toBytes()),
    statements: [...rows.statements()].map(({ id, index }) => ({ id, index })),
    packages: [...rows.packages()].map(({ name, change: { record, activity } }) => ({
      name,
      record: { ...record },
      activity: { ...activity },
      set: setText(ledger.maintainerSet(name)),
    })),
    releases: [...rows.releases()].map(({ name, version, record }) => ({
      name,
      version,
      record: { ...record },
    })),
  };
}

function setText(inForce: SetInForce | undefined): string {
  return inForce === undefined ? '' : decodeUtf8(formatMaintainerSet(inForce.set));
}

/**
 * Reads a state.
 *
 * @param pin hash of the roster that is believed now; a state of another pin is refused
 * @throws {CliError} BP9004 for a file that can't be read or does not fit together
 */
export async function loadAudit(folder: string, file: string, pin: string): Promise<EarlierCheck> {
  const path = resolve(folder, file);
  try {
    if ((await stat(path)).size > AUDIT_LENGTH_MAX) throw new Error('too large');
    const text = (await readFile(path, 'utf8')).replace(/\n$/, '');
    return parseAudit(text, pin);
  } catch (error) {
    const detail = systemReason(error);
    throw configError(`${path}: ${detail}`, 'check the whole log again, without --from', error);
  }
}

/** Reads the text of a state, and checks it. @throws {Error} */
export function parseAudit(text: string, pin: string): EarlierCheck {
  const reader = new ObjectReader(parseCanonicalJson(text, AUDIT_LENGTH_MAX), '');
  reader.format('format', AUDIT_FORMAT);
  if (encodeHex(reader.hex('pin', 32)) !== pin) throw new Error('it is of another log or pin');
  const note = reader.string('note', NOTE_LENGTH_MAX);
  const lastCommit = readCommit(reader);
  const rosterEnvelope = readEnvelope(reader.required('roster'), 'roster');
  const leaves = readLeaves(reader);
  const statements = new Map(reader.array('statements', ITEMS_MAX, readStatement));
  const packages = new Map<string, PackageChange>();
  const sets = new Map<string, SetInForce>();
  for (const { name, change, set } of reader.array('packages', ITEMS_MAX, readPackage)) {
    packages.set(name, change);
    sets.set(name, set);
  }
  const releases = groupReleases(reader.array('releases', ITEMS_MAX, readRelease));
  reader.end();
  const tip = {
    height: lastCommit.height,
    timeSeconds: lastCommit.time,
    map: lastCommit.map,
    commitLeaf: leafHash(formatEntry(lastCommit)),
  };
  const contents = { tip, rosterEnvelope, statements, packages, sets, releases };
  return check({ contents, leaves, note, lastCommit });
}

interface Read {
  readonly contents: LedgerContents;
  readonly leaves: Leaves;
  readonly note: string;
  readonly lastCommit: CommitEntry;
}

function check({ contents, leaves, note, lastCommit }: Read): EarlierCheck {
  const { ledger, mapRoot } = MemoryLedger.restore(contents, eachLeaf(leaves));
  const { size, root } = parseCheckpoint(parseNote(note).text);
  const { tip } = ledger;
  if (size !== tip.size || !equalBytes(root, tip.root)) {
    throw new Error('damaged: its leaves do not lead to its checkpoint');
  }
  if (size === 0 || !equalBytes(leaves.at(size - 1), tip.commitLeaf ?? new Uint8Array(0))) {
    throw new Error('damaged: its commit entry is not the last leaf');
  }
  if (!equalBytes(mapRoot, tip.map)) {
    throw new Error('damaged: its records do not lead to the root of the map');
  }
  for (const [name, { index, hash }] of contents.sets) {
    if (contents.statements.get(hash) === index) continue;
    throw new Error(`damaged: the maintainers of ${name} are not those that were logged`);
  }
  return { ledger, leaves, note, lastCommit };
}

function* eachLeaf(leaves: Leaves): Generator<Hash> {
  for (let index = 0; index < leaves.size; index++) yield leaves.at(index);
}

function readCommit(reader: ObjectReader): CommitEntry {
  const entry = parseEntry(reader.string('commit', ENTRY_BYTES_MAX));
  if (entry.kind !== 'commit') throw new Error('damaged: no commit entry');
  return entry;
}

function readLeaves(reader: ObjectReader): Leaves {
  const bytes = reader.base64('leaves', ITEMS_MAX * HASH_LENGTH);
  if (bytes.length % HASH_LENGTH !== 0) throw new Error('damaged: a leaf is cut off');
  const leaves = new Leaves();
  const step = TILE_WIDTH * HASH_LENGTH;
  for (let at = 0; at < bytes.length; at += step) leaves.append(bytes.subarray(at, at + step));
  return leaves;
}

function readStatement(value: JsonValue, path: string): [id: string, index: number] {
  const reader = new ObjectReader(value, path);
  const id = encodeHex(reader.hex('id', 32));
  const index = reader.integer('index', 0);
  reader.end();
  return [id, index];
}

function readPackage(
  value: JsonValue,
  path: string,
): { readonly name: string; readonly change: PackageChange; readonly set: SetInForce } {
  const reader = new ObjectReader(value, path);
  const name = reader.string('name', NAME_LENGTH_MAX);
  const record = parsePackageRecord(recordBytes(reader));
  const activity = reader.object('activity');
  const window = activity.integer('window', 0);
  const entries = activity.integer('entries', 0);
  activity.end();
  const payload = utf8(reader.string('set', ENTRY_BYTES_MAX));
  reader.end();
  const set = parseMaintainerSet(payload);
  return {
    name,
    change: { record, activity: { window, entries }, folded: foldName(name) },
    set: { set, hash: statementHash(payload), index: record.maintainers },
  };
}

interface NamedRelease {
  readonly name: string;
  readonly version: string;
  readonly record: ReleaseRecord;
}

function readRelease(value: JsonValue, path: string): NamedRelease {
  const reader = new ObjectReader(value, path);
  const name = reader.string('name', NAME_LENGTH_MAX);
  const version = reader.string('version', NAME_LENGTH_MAX);
  const record = parseReleaseRecord(recordBytes(reader));
  reader.end();
  return { name, version, record };
}

function recordBytes(reader: ObjectReader): Uint8Array {
  return utf8(canonicalJson(reader.required('record')));
}

function groupReleases(releases: readonly NamedRelease[]): Map<string, Map<string, ReleaseRecord>> {
  const groups = new Map<string, Map<string, ReleaseRecord>>();
  for (const { name, version, record } of releases) {
    const group = groups.get(name) ?? new Map<string, ReleaseRecord>();
    group.set(version, record);
    groups.set(name, group);
  }
  return groups;
}
