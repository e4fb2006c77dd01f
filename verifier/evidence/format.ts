// Evidence: one document that holds everything a client needs to judge any number of subjects
// (DESIGN section 4.7). It is what replicas answer and what an offline bundle is. Nothing in it is
// trusted: verify.ts checks it against a pin and a clock.
import { utf8 } from '../bytes.ts';
import { envelopeJson, readEnvelope, type Envelope } from '../dsse.ts';
import { encodeBase64 } from '../encoding.ts';
import { ENTRY_BYTES_MAX } from '../entry.ts';
import { VerifyError, assert } from '../errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson, type JsonValue } from '../json.ts';
import { PRUNED_MAP_BYTES_MAX } from '../map/pruned-map.ts';
import { HASH_LENGTH, TREE_SIZE_MAX, type Hash } from '../merkle/hash.ts';
import { NOTE_LENGTH_MAX } from '../note.ts';
import { readingAs } from '../refusals.ts';
import { ROSTER_CHAIN_MAX } from '../roster.ts';
import { decodeUtf8 } from '../text.ts';
import { cutEntries, type CutDocument } from './entry-slices.ts';
import { requireBoundedShape } from './json-shape.ts';

// Who asks for evidence needs both.
export type { Subject } from './subject.ts';

const EVIDENCE_FORMAT = 'bftpkg-evidence/v1';

/** The largest document read: 10,000 subjects of 4 KB each are 40 MB. */
export const EVIDENCE_BYTES_MAX: number = 64 * 1024 * 1024;

/** Most entries: for each of 10,000 subjects its release and a chain of 19 maintainer sets. */
export const EVIDENCE_ENTRIES_MAX = 200_000;

/** Values of the document: three an entry, up to 200 a roster with its signatures; below 700,000. */
const VALUES_MAX = 1_000_000;

/** One hash a level of a tree of 2^53 leaves, and the node to start from (merkle/consistency.ts). */
const CONSISTENCY_HASHES_MAX = 54;

/** A leaf that is shown whole. */
export interface ShownEntry {
  /** Leaf index, 0 to size - 1. */
  readonly index: number;
  /** The leaf's data: the entry's JSON text. */
  readonly data: string;
}

/** Why the tree of the checkpoint contains an older tree. */
export interface ConsistencyProof {
  /** Number of leaves of the older tree. */
  readonly size: number;
  /** RFC 6962 section 2.1.4. */
  readonly hashes: readonly Hash[];
}

/** The document, well formed and otherwise unchecked. */
export interface Evidence {
  /** From the roster that the client pinned to the one of the checkpoint. */
  readonly rosters: readonly Envelope[];
  /** The checkpoint with its cosignatures, as a signed note. */
  readonly checkpoint: string;
  /** From the checkpoint that the client knew; `null` when there was none to connect. */
  readonly consistency: ConsistencyProof | null;
  /** By index, without repetition; the last one is the commit entry of the checkpoint. */
  readonly entries: readonly ShownEntry[];
  /** What is missing of the log's tree, in the order of merkle/pruned-tree.ts. */
  readonly log: readonly Hash[];
  /** The packed map of map/pruned-map.ts. */
  readonly map: Uint8Array;
}

/**
 * Reads evidence.
 *
 * @throws {VerifyError} `EVIDENCE_MALFORMED`; `FORMAT_UNSUPPORTED`
 */
export function parseEvidence(source: Uint8Array | string): Evidence {
  return readingAs('EVIDENCE_MALFORMED', 'evidence', () => {
    if (source.length > EVIDENCE_BYTES_MAX) throw malformed(`longer than ${EVIDENCE_BYTES_MAX}`);
    const cut = cutEntries(source, EVIDENCE_ENTRIES_MAX);
    const frame = cut?.frame ?? (typeof source === 'string' ? source : decodeUtf8(source));
    // Each value takes two characters at least, its own first and what parts it from the next.
    if (frame.length > 2 * VALUES_MAX) requireBoundedShape(frame, VALUES_MAX);
    const reader = new ObjectReader(parseCanonicalJson(frame, EVIDENCE_BYTES_MAX), '');
    reader.format('format', EVIDENCE_FORMAT);
    const evidence = {
      rosters: reader.array('rosters', ROSTER_CHAIN_MAX, readEnvelope),
      checkpoint: reader.string('checkpoint', NOTE_LENGTH_MAX),
      consistency: readConsistency(reader),
      entries: entriesOf(reader, cut),
      log: splitHashes(reader.base64('log', EVIDENCE_BYTES_MAX), 'log'),
      map: reader.base64('map', PRUNED_MAP_BYTES_MAX),
    };
    reader.end();
    requireAscending(evidence.entries);
    return evidence;
  });
}

/** Everything of the document but its entries. */
export type EvidenceFrame = Omit<Evidence, 'entries'>;

/** The document's bytes. */
export function formatEvidence(evidence: Evidence): Uint8Array {
  const { head, tail } = formatFrame(evidence);
  return utf8(`${head}${evidence.entries.map(formatShownEntry).join(',')}${tail}`);
}

/**
 * The document's text around its entries: for whoever has their texts already (`formatShownEntry`), which stand
 * in between with commas.
 */
export function formatFrame({ checkpoint, consistency, log, map, rosters }: EvidenceFrame): {
  readonly head: string;
  readonly tail: string;
} {
  const proof =
    consistency === null
      ? null
      : { size: consistency.size, hashes: encodeBase64(joinHashes(consistency.hashes)) };
  // The members in canonical order, of which `entries` is the third.
  const before = canonicalJson({ checkpoint, consistency: proof });
  const after = canonicalJson({
    format: EVIDENCE_FORMAT,
    log: encodeBase64(joinHashes(log)),
    map: encodeBase64(map),
    rosters: rosters.map(envelopeJson),
  });
  return { head: `${before.slice(0, -1)},"entries":[`, tail: `],${after.slice(1)}` };
}

/** An entry's text in the document. The same for ever: entries of a log never change. */
export function formatShownEntry({ index, data }: ShownEntry): string {
  return canonicalJson({ index, data });
}

function readConsistency(reader: ObjectReader): ConsistencyProof | null {
  if (reader.required('consistency') === null) return null;
  const proof = reader.object('consistency');
  const size = proof.integer('size', 0, TREE_SIZE_MAX);
  const bytes = proof.base64('hashes', CONSISTENCY_HASHES_MAX * HASH_LENGTH);
  proof.end();
  return { size, hashes: splitHashes(bytes, 'consistency.hashes') };
}

// Those that were cut stood in the document's own list: the frame has no other place where it may be, and there
// it is empty.
function entriesOf(reader: ObjectReader, cut: CutDocument | undefined): readonly ShownEntry[] {
  const countMax = cut === undefined ? EVIDENCE_ENTRIES_MAX : 0;
  const read = reader.array('entries', countMax, readShownEntry);
  return cut?.entries ?? read;
}

function readShownEntry(value: JsonValue, path: string): ShownEntry {
  const reader = new ObjectReader(value, path);
  const entry = {
    index: reader.integer('index', 0, TREE_SIZE_MAX - 1),
    data: reader.string('data', ENTRY_BYTES_MAX),
  };
  reader.end();
  return entry;
}

function requireAscending(entries: readonly ShownEntry[]): void {
  let before = -1;
  for (const [i, { index }] of entries.entries()) {
    if (index <= before) throw malformed(`entries[${i}] does not come after the one before it`);
    before = index;
  }
}

function splitHashes(bytes: Uint8Array, path: string): Hash[] {
  if (bytes.length % HASH_LENGTH !== 0) throw malformed(`${path} is not a row of hashes`);
  return Array.from({ length: bytes.length / HASH_LENGTH }, (_, i) =>
    bytes.subarray(i * HASH_LENGTH, (i + 1) * HASH_LENGTH),
  );
}

function joinHashes(hashes: readonly Hash[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * HASH_LENGTH);
  for (const [i, hash] of hashes.entries()) {
    assert(hash.length === HASH_LENGTH, 'a hash has 32 bytes');
    bytes.set(hash, i * HASH_LENGTH);
  }
  return bytes;
}

function malformed(detail: string): VerifyError {
  return new VerifyError('EVIDENCE_MALFORMED', `malformed evidence: ${detail}`);
}
