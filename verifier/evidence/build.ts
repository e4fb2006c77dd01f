// Makes evidence: the counterpart of verify.ts, used by replicas, for offline bundles and in tests.
import { statementHash, type Envelope } from '../dsse.ts';
import { parseEntry } from '../entry.ts';
import { VerifyError, assert } from '../errors.ts';
import { packageKey, releaseKey } from '../map/keys.ts';
import { prunedMap } from '../map/pruned-map.ts';
import { parseReleaseRecord } from '../map/records.ts';
import type { MapNode } from '../map/node.ts';
import { lookupMap, type MapNodes } from '../map/trie.ts';
import type { Hash } from '../merkle/hash.ts';
import { prunedRanges } from '../merkle/pruned-tree.ts';
import { consistencyRanges, rangeRoot, type LeafRange } from '../merkle/ranges.ts';
import { parsePurl } from '../npm/purl.ts';
import { parseRelease } from '../statements/release.ts';
import { decodeUtf8 } from '../text.ts';
import {
  EVIDENCE_BYTES_MAX,
  EVIDENCE_ENTRIES_MAX,
  formatFrame,
  formatShownEntry,
  type ConsistencyProof,
  type Evidence,
  type EvidenceFrame,
} from './format.ts';
import type { Subject } from './subject.ts';

/** A log at one checkpoint. All reads must be of the same moment. */
export interface EvidenceSource {
  /** Leaves under the checkpoint, at least 1. */
  readonly size: number;
  /** The note, with cosignatures that were verified: see `planCheckpoint`. */
  readonly checkpointNote: string;
  /** All rosters known, from epoch 0; those that came into force after the checkpoint are left out. */
  readonly rosters: readonly Envelope[];
  /** Root of the map in the checkpoint's commit entry. */
  readonly mapRoot: Hash;
  readonly mapNodes: MapNodes;
  /** The leaf's data, 0 <= index < size. */
  entry(index: number): Uint8Array;
  /**
   * What `formatShownEntry` makes of that entry, and `releasedPackages` says of it if it is a release: for a
   * source that remembers both. Read from the entry when absent.
   */
  shownEntry?(index: number): string;
  packagesOf?(index: number): readonly string[];
  /** Root of the perfect subtree of `2^level` leaves from `index * 2^level`, all below `size`. */
  hash(level: number, index: number): Hash;
  /** Leaf indexes below `size` of a package's maintainer sets, by sequence from 0. */
  maintainerChain(name: string): readonly number[];
}

/** What a client asks for. */
export interface EvidenceQuery {
  /** Hash of the roster that the client has pinned, hex. */
  readonly pin: string;
  /** Size of the tree that the client knows; 0 when it knows none. */
  readonly since: number;
  readonly subjects: readonly Subject[];
  /**
   * For each subject the size of the log below which the client has read every entry that it rests on; those
   * are proven and not shown. Absent: everything is shown.
   */
  readonly known?: readonly number[];
}

/**
 * Collects everything that a client needs to judge the subjects. Those that the log does not know
 * come out as proofs of absence.
 *
 * @throws {VerifyError} `ROSTER_NOT_PINNED` when the pinned roster is none of this log's, or not in
 *         force yet; `EVIDENCE_MALFORMED` when the document would exceed its bounds: ask for fewer
 *         subjects at a time
 */
export function buildEvidence(source: EvidenceSource, query: EvidenceQuery): Evidence {
  const { frame, shown } = lastOf(plan(source, query));
  let bytes = 0;
  const entries = shown.map((index) => {
    const data = source.entry(index);
    bytes += data.length;
    if (bytes > ENTRIES_BYTES_MAX) throw tooLarge();
    return { index, data: decodeUtf8(data) };
  });
  return { ...frame, entries };
}

/** Subjects, or entries, between two places to stop at: some milliseconds. */
const STEP_COUNT = 32;

/**
 * The document's text in pieces, put together by whoever sends it; with places to stop at: ten thousand subjects
 * take seconds, in which a replica would be deaf. The source has to go on showing the same moment until the end.
 *
 * @returns what `formatEvidence` makes of `buildEvidence`
 * @throws {VerifyError} as `buildEvidence`
 */
export function* evidenceInPieces(
  source: EvidenceSource,
  query: EvidenceQuery,
): Generator<undefined, readonly string[], undefined> {
  const { frame, shown } = yield* plan(source, query);
  const { head, tail } = formatFrame(frame);
  yield;
  const pieces = [head];
  let length = head.length + tail.length;
  for (const [i, index] of shown.entries()) {
    const text =
      source.shownEntry?.(index) ??
      formatShownEntry({ index, data: decodeUtf8(source.entry(index)) });
    length += text.length + 1;
    if (length > EVIDENCE_BYTES_MAX) throw tooLarge();
    pieces.push(i === 0 ? '' : ',', text);
    if (i % STEP_COUNT === STEP_COUNT - 1) yield;
  }
  pieces.push(tail);
  return pieces;
}

interface Plan {
  readonly frame: EvidenceFrame;
  /** Leaf indexes of the entries to be shown, ascending. */
  readonly shown: readonly number[];
}

function* plan(
  source: EvidenceSource,
  query: EvidenceQuery,
): Generator<undefined, Plan, undefined> {
  const { size } = source;
  const commit = parseEntry(source.entry(size - 1));
  assert(commit.kind === 'commit', 'the last entry under a checkpoint is a commit entry');
  const nodes = readOnce(source.mapNodes);
  const wanted = new Wanted(source, nodes);
  const ends = endsEpoch(source);
  // The entry that put the checkpoint's roster in force: verify.ts wants to see it.
  if (ends) wanted.addIndex(size - 2, 0);
  const rosters = rostersFrom(source, query.pin, ends ? commit.epoch + 1 : commit.epoch);
  for (const [i, subject] of query.subjects.entries()) {
    wanted.add(subject, query.known?.[i] ?? 0);
    if (i % STEP_COUNT === STEP_COUNT - 1) yield;
  }
  const log = rootsOf(source, prunedRanges(size, wanted.indexes()));
  yield;
  const frame = {
    rosters,
    checkpoint: source.checkpointNote,
    consistency: consistencyFrom(source, query.since),
    log,
    map: prunedMap(nodes, source.mapRoot, wanted.keys()),
  };
  return { frame, shown: wanted.shown() };
}

// The paths of a thousand keys share their upper nodes, which are looked for in the store once: afterwards by
// the very object that their hash is in the node above them, without making a text of it.
function readOnce(nodes: MapNodes): MapNodes {
  const read = new Map<Hash, MapNode>();
  return {
    get: (hash) => {
      const known = read.get(hash);
      if (known !== undefined) return known;
      const node = nodes.get(hash);
      if (node !== undefined) read.set(hash, node);
      return node;
    },
  };
}

function lastOf<T>(steps: Generator<undefined, T, undefined>): T {
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

// A roster is alone in its batch, right before the commit entry. The checkpoint of that batch is already
// cosigned by its replicas: those of the roster before may be gone by then.
function endsEpoch(source: EvidenceSource): boolean {
  return source.size >= 2 && parseEntry(source.entry(source.size - 2)).kind === 'roster';
}

// Entries are JSON inside JSON, so that their quotes take a byte more, and the document holds hashes
// and the map beside them: half of its bound is theirs.
const ENTRIES_BYTES_MAX = EVIDENCE_BYTES_MAX / 2;

// Which leaves and which keys of the map the subjects need.
class Wanted {
  readonly #source: EvidenceSource;
  readonly #nodes: MapNodes;
  /** Leaves in the proof, and whether they are shown. */
  readonly #indexes = new Map<number, boolean>();
  readonly #keys = new Map<string, Uint8Array>();
  /** How far the entries of a package are known to whoever knows the least of it. */
  readonly #packages = new Map<string, number>();

  constructor(source: EvidenceSource, nodes: MapNodes) {
    this.#source = source;
    this.#nodes = nodes;
    this.addIndex(source.size - 1, 0);
  }

  /** @param known entries below this size need not be shown */
  add(subject: Subject, known: number): void {
    this.#addPackage(subject.name, known);
    if (subject.kind === 'release') this.#addRelease(subject.name, subject.version, known);
  }

  /** Ascending. */
  indexes(): readonly number[] {
    return [...this.#indexes.keys()].sort((a, b) => a - b);
  }

  keys(): readonly Uint8Array[] {
    return [...this.#keys.values()];
  }

  /** Ascending. */
  shown(): readonly number[] {
    return this.indexes().filter((index) => this.#indexes.get(index) === true);
  }

  #addPackage(name: string, known: number): void {
    const before = this.#packages.get(name);
    if (before !== undefined && before <= known) return;
    this.#packages.set(name, known);
    this.#keys.set(`package ${name}`, packageKey(name));
    for (const index of this.#source.maintainerChain(name)) this.addIndex(index, known);
  }

  #addRelease(name: string, version: string, known: number): void {
    const id = `release ${name}@${version}`;
    const key = this.#keys.get(id) ?? releaseKey(name, version);
    this.#keys.set(id, key);
    const value = lookupMap(this.#nodes, this.#source.mapRoot, key);
    if (value === undefined) return;
    const { index, withdrawal } = parseReleaseRecord(value);
    this.addIndex(index, known);
    // Not needed for the verdict, but a revocation without its reason helps nobody.
    if (withdrawal !== null) this.addIndex(withdrawal, 0);
    const packages =
      this.#source.packagesOf?.(index) ?? releasedPackages(this.#source.entry(index));
    for (const one of packages) this.#addPackage(one, known);
  }

  /** An entry that is part of the proof, and shown unless it is known. */
  addIndex(index: number, known: number): void {
    this.#indexes.set(index, index >= known || this.#indexes.get(index) === true);
    if (this.#indexes.size > EVIDENCE_ENTRIES_MAX) throw tooLarge();
  }
}

/**
 * Names of the packages that a release entry is about: its statement is checked against the maintainers of all
 * of them.
 *
 * @param data of an entry that the map names as a release's
 */
export function releasedPackages(data: Uint8Array): readonly string[] {
  const entry = parseEntry(data);
  assert(entry.kind === 'release', 'a release record points to a release entry');
  const { subjects } = parseRelease(entry.envelope.payload);
  return subjects.map((subject) => parsePurl(subject.package).name);
}

function rostersFrom(source: EvidenceSource, pin: string, epoch: number): readonly Envelope[] {
  // The tables may know rosters that came into force after the checkpoint.
  const inForce = source.rosters.slice(0, epoch + 1);
  const start = inForce.findIndex(({ payload }) => statementHash(payload) === pin);
  if (start < 0) {
    throw new VerifyError('ROSTER_NOT_PINNED', 'the pinned roster is none of this log', {
      expected: pin,
    });
  }
  return inForce.slice(start);
}

function consistencyFrom(source: EvidenceSource, since: number): ConsistencyProof | null {
  // A client that knows more than this log can't be helped with a proof; it will see that itself.
  if (since === 0 || since >= source.size) return null;
  return { size: since, hashes: rootsOf(source, consistencyRanges(since, source.size)) };
}

function rootsOf(source: EvidenceSource, ranges: readonly LeafRange[]): readonly Hash[] {
  return ranges.map(({ start, end }) =>
    rangeRoot(start, end, (level, index) => source.hash(level, index)),
  );
}

function tooLarge(): VerifyError {
  return new VerifyError(
    'EVIDENCE_MALFORMED',
    'evidence for so many subjects is larger than its format allows',
    { hint: 'ask for fewer subjects at a time' },
  );
}
