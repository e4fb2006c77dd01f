// What a client may keep of a verified release, so that evidence need not show it again.
//
// Entries of a log never change, so that once read and verified they need not be read twice. What is kept is
// tied to their leaf hashes: it says "these entries hold this release with valid signatures", which is true
// or false of bytes alone, whatever log they are in and whatever happened since. All that can change is shown
// and proven each time: that the entries are in the log under the present checkpoint (by their hashes), that
// the map names just this statement and these maintainer sets, and that nothing was withdrawn.
//
// The digest of the artifact, its size and manifest are not believed even so: the statement is kept whole, and
// the map has its hash. Somebody who can write what is kept can make a signature count that nobody made; he
// can't make another artifact pass for one that a quorum has logged.
import { equalBytes } from '../bytes.ts';
import type { StatementEntry } from '../entry.ts';
import { assert } from '../errors.ts';
import { packageKey } from '../map/keys.ts';
import { parsePackageRecord, type PackageRecord, type ReleaseRecord } from '../map/records.ts';
import type { Hash } from '../merkle/hash.ts';
import { parsePurl } from '../npm/purl.ts';
import { sha256Hex } from '../sha256.ts';
import { parseRelease, type Release } from '../statements/release.ts';
import type { ShownLog, ShownSet } from './shown-log.ts';
import type { Signer, VerifiedRelease } from './subject.ts';

/** A leaf of the log. */
export interface KnownLeaf {
  readonly index: number;
  readonly leaf: Hash;
}

/** A package of a remembered statement, with its whole chain. */
export interface RememberedPackage {
  readonly name: string;
  /** Its maintainer sets from sequence 0 on, all of them valid. */
  readonly sets: readonly KnownLeaf[];
}

/** A release that was verified, and the entries that showed it. */
export interface RememberedRelease extends KnownLeaf {
  readonly purl: string;
  /** Of the log when it was verified: entries from there on were not looked at. */
  readonly size: number;
  /** The release statement. */
  readonly payload: Uint8Array;
  /** Agreed time of the release's entry, Unix seconds. */
  readonly loggedAt: number;
  readonly signers: readonly Signer[];
  readonly required: number;
  /** Every package of the statement: a release is worth no more than all of their chains. */
  readonly packages: readonly RememberedPackage[];
}

/** By purl. */
export type Remembered = ReadonlyMap<string, RememberedRelease>;

// With the release, where nobody sees it who compares or prints one: what it says is the same whether or not anybody
// keeps it. A WeakMap of thousands of releases would have the collector go through all of it again and again.
const BASIS = Symbol('basis');

interface WithBasis {
  readonly [BASIS]?: RememberedRelease;
}

function setBasis(release: VerifiedRelease, value: RememberedRelease): void {
  Object.defineProperty(release, BASIS, { value });
}

/** What to keep of a release that was just verified. */
export function rememberRelease(release: VerifiedRelease): RememberedRelease {
  const basis = (release as VerifiedRelease & WithBasis)[BASIS];
  assert(basis !== undefined, 'a release that evidence has proven');
  return basis;
}

/** Notes what a release rests on, so that it can be asked for. */
export function noteBasis(
  release: VerifiedRelease,
  log: ShownLog,
  entry: StatementEntry,
  packages: ReadonlyMap<string, { readonly sets: readonly ShownSet[] }>,
): void {
  const leafAt = (index: number): KnownLeaf => ({ index, leaf: log.leafAt(index) });
  setBasis(release, {
    ...leafAt(release.index),
    purl: release.purl,
    size: log.size,
    payload: entry.envelope.payload,
    loggedAt: release.loggedAt,
    signers: release.signers,
    required: release.required,
    packages: [...packages].map(([purl, { sets }]) => ({
      name: parsePurl(purl).name,
      sets: sets.map(({ index }) => leafAt(index)),
    })),
  });
}

/** The leaves that are remembered about some subjects, by index. */
export function rememberedLeaves(remembered: Iterable<RememberedRelease>): Map<number, Hash> {
  const leaves = new Map<number, Hash>();
  for (const { index, leaf, packages } of remembered) {
    leaves.set(index, leaf);
    for (const { sets } of packages) for (const set of sets) leaves.set(set.index, set.leaf);
  }
  return leaves;
}

/** A remembered release that still stands under a log's checkpoint. */
export interface Recalled {
  readonly known: RememberedRelease;
  readonly statement: Release;
  /** The present record of the package of the given name. */
  readonly packageOf: (name: string) => PackageRecord;
}

/**
 * Recalls a release under the present checkpoint.
 *
 * @param record what the map says about it
 * @returns `undefined` when what is remembered is not what the log has now: its entries have to be shown
 * @throws {VerifyError} `MAP_PROOF_INVALID`, `MAP_MALFORMED`
 */
export function recallRelease(
  log: ShownLog,
  record: ReleaseRecord,
  known: RememberedRelease,
): Recalled | undefined {
  if (known.index !== record.index || sha256Hex(known.payload) !== record.statement)
    return undefined;
  if (!isAt(log, known)) return undefined;
  const records = new Map<string, PackageRecord>();
  for (const { name, sets } of known.packages) {
    const found = log.map.get(packageKey(name));
    if (found.kind === 'absent') return undefined;
    const now = parsePackageRecord(found.value);
    // As many sets as there are now, the last of them in force: none is missing in between.
    if (now.sequence + 1 !== sets.length || now.maintainers !== sets.at(-1)?.index)
      return undefined;
    if (!sets.every((set) => isAt(log, set))) return undefined;
    records.set(name, now);
  }
  const statement = parseRelease(known.payload);
  const isWhole = statement.subjects.every((subject) => {
    return records.has(parsePurl(subject.package).name);
  });
  if (!isWhole) return undefined;
  return {
    known,
    statement,
    packageOf: (name) => {
      const found = records.get(name);
      assert(found !== undefined, 'each package of the statement has a record');
      return found;
    },
  };
}

function isAt(log: ShownLog, { index, leaf }: KnownLeaf): boolean {
  return log.hasLeaf(index) && equalBytes(log.leafAt(index), leaf);
}

/** Notes that a recalled release still stands, now under a log of that size. */
export function noteRecalled(
  release: VerifiedRelease,
  known: RememberedRelease,
  size: number,
): void {
  setBasis(release, { ...known, size });
}
