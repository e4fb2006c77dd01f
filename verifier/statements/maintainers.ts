// Maintainer sets: whose signatures make a release of a package (DESIGN 4.4). The sets of a package
// form a chain from sequence 0; each is signed by enough of the one before it.
import { planSigners, type Envelope } from '../dsse.ts';
import { keyId, publicKeyHex, type PublicKey } from '../ed25519.ts';
import { VerifyError, quote } from '../errors.ts';
import { ObjectReader } from '../json.ts';
import { readPublicKey } from '../key-fields.ts';
import type { Admission } from '../roster.ts';
import type { SignaturePlan } from '../signatures.ts';
import { requirePrintable } from './labels.ts';
import { observedJson, readObserved, type Observed } from './observed.ts';
import {
  formatStatement,
  malformed,
  openStatement,
  type OpenedStatement,
  readPackage,
  readStatement,
} from './payload.ts';

/** DSSE payload type of a maintainer set. */
export const MAINTAINERS_PAYLOAD_TYPE = 'application/vnd.bftpkg.maintainers+json';

const MAINTAINERS_FORMAT = 'bftpkg-maintainers/v1';

/** Most maintainers of a package: an envelope has at most as many signatures (`dsse.ts`). */
export const MAINTAINER_COUNT_MAX = 64;

/** Longest label of a maintainer, in UTF-16 units. */
export const MAINTAINER_NAME_LENGTH_MAX = 100;

/** Somebody who may sign for a package. */
export interface Maintainer {
  /** A label for people, unique in the set. Nothing is ever decided by it. */
  readonly name: string;
  /** The identity: unique in the set. */
  readonly key: PublicKey;
}

/** Who the maintainers of a package are, from some place in the log on. */
export interface MaintainerSet {
  /** purl without version. */
  readonly package: string;
  /** 0 for the first; each successor has the next number. */
  readonly sequence: number;
  /** Hash of the predecessor's payload, hex; `null` exactly at sequence 0. */
  readonly previous: string | null;
  /** f: how many of them may be bad or have lost their key, 0 <= f < number of maintainers. */
  readonly faulty: number;
  /** 1 to `MAINTAINER_COUNT_MAX`. */
  readonly maintainers: readonly Maintainer[];
  readonly observed: Observed;
}

/** A maintainer set whose signatures were checked. */
export interface VerifiedMaintainerSet {
  readonly set: MaintainerSet;
  /** Hex SHA-256 of the payload. */
  readonly hash: string;
  /** The distinct keys, of this set and the one before, that signed it. */
  readonly signers: readonly PublicKey[];
}

/** How many distinct maintainers have to sign: f + 1, so that one of them is good. At least 1. */
export function maintainerThreshold(set: MaintainerSet): number {
  return set.faulty + 1;
}

/** The keys of a set, in its order. */
export function maintainerKeys(set: MaintainerSet): readonly PublicKey[] {
  return set.maintainers.map(({ key }) => key);
}

/**
 * What its authors should know about a valid set, as sentences; empty when there is nothing.
 */
export function maintainerSetWarnings(set: MaintainerSet): readonly string[] {
  const needed = 2 * set.faulty + 1;
  const count = set.maintainers.length;
  const warnings: string[] = [];
  if (count < needed) {
    warnings.push(
      `${count} maintainers with faulty ${set.faulty}: if ${set.faulty} of them are absent, the ` +
        `others can't release; ${needed} would be enough`,
    );
  }
  if (set.faulty === 0) {
    warnings.push('faulty is 0: any one stolen key can release');
  }
  return warnings;
}

/**
 * Reads a maintainer set's payload.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED`, `PACKAGE_NAME_INVALID`, `VERSION_INVALID`,
 *         `FORMAT_UNSUPPORTED`
 */
export function parseMaintainerSet(payload: Uint8Array): MaintainerSet {
  return readStatement(payload, (reader) => {
    reader.format('format', MAINTAINERS_FORMAT);
    const purl = readPackage(reader, 'package');
    const sequence = reader.integer('sequence', 0);
    const previous = readPrevious(reader, sequence);
    const faulty = reader.integer('faulty', 0, MAINTAINER_COUNT_MAX - 1);
    const maintainers = reader.array('maintainers', MAINTAINER_COUNT_MAX, (value, path) =>
      readMaintainer(new ObjectReader(value, path)),
    );
    const observed = readObserved(reader.required('observed'), 'observed');
    // Also refuses the empty set: its threshold would be above its size.
    if (maintainers.length < faulty + 1) {
      throw malformed(`${maintainers.length} maintainers can't give ${faulty + 1} signatures`);
    }
    requireDistinct(maintainers);
    return { package: purl, sequence, previous, faulty, maintainers, observed };
  });
}

function readPrevious(reader: ObjectReader, sequence: number): string | null {
  const isNull = reader.required('previous') === null;
  if (isNull !== (sequence === 0)) throw malformed('previous is null exactly at sequence 0');
  if (isNull) return null;
  reader.hex('previous', 32);
  return reader.string('previous', 64);
}

function readMaintainer(reader: ObjectReader): Maintainer {
  const name = reader.string('name', MAINTAINER_NAME_LENGTH_MAX);
  if (name === '') throw malformed(`${reader.pathOf('name')} is empty`);
  requirePrintable(name, reader.pathOf('name'));
  const key = readPublicKey(reader.required('key'), reader.pathOf('key'));
  reader.end();
  return { name, key };
}

function requireDistinct(maintainers: readonly Maintainer[]): void {
  // One key under two names would be one thief with two votes.
  const keys = new Set<string>();
  const names = new Set<string>();
  for (const { name, key } of maintainers) {
    keys.add(publicKeyHex(key));
    names.add(name);
  }
  if (keys.size !== maintainers.length) throw malformed('two maintainers have the same key');
  if (names.size !== maintainers.length) throw malformed('two maintainers have the same name');
}

/**
 * The payload that says these things.
 *
 * @throws {VerifyError} as `parseMaintainerSet`, for a set that no reader would accept
 */
export function formatMaintainerSet(set: MaintainerSet): Uint8Array {
  return formatStatement(
    {
      format: MAINTAINERS_FORMAT,
      package: set.package,
      sequence: set.sequence,
      previous: set.previous,
      faulty: set.faulty,
      maintainers: set.maintainers.map(({ name, key }) => ({ name, key: publicKeyHex(key) })),
      observed: observedJson(set.observed),
    },
    parseMaintainerSet,
  );
}

/**
 * Reads the maintainer set in an envelope. No signature is checked yet.
 *
 * @throws {VerifyError} `STATEMENT_MALFORMED` for another payload type, and what `parseMaintainerSet`
 *         throws
 */
export function openMaintainerSet(
  source: Envelope | OpenedStatement<MaintainerSet>,
): OpenedStatement<MaintainerSet> {
  return openStatement(source, MAINTAINERS_PAYLOAD_TYPE, parseMaintainerSet);
}

/**
 * Plans the check of a maintainer set.
 *
 * Sequence 0 has to be signed by every key in it, and by f + 1 registrars where admission says so.
 * Sequence k + 1 has to be signed by f + 1 of set k (with set k's f) and by every key that is new in
 * it: each of those shows that somebody holds it.
 *
 * @param previous the set before it with its hash; `undefined` for sequence 0
 * @param admission who may claim a name, for sequence 0. Absent where that was already decided: by
 *        the quorum that logged the entry, under the roster of that time
 * @throws {VerifyError} (already when planning) what `parseMaintainerSet` throws,
 *         `MAINTAINER_CHAIN_BROKEN`; when finishing `MAINTAINER_SIGNATURES_MISSING`
 */
export function planMaintainerSet(
  source: Envelope | OpenedStatement<MaintainerSet>,
  previous: { readonly set: MaintainerSet; readonly hash: string } | undefined,
  admission?: Admission,
): SignaturePlan<VerifiedMaintainerSet> {
  const opened = openMaintainerSet(source);
  const { envelope, statement: set, hash } = opened;
  requireFollows(set, previous);
  const members = [...(previous === undefined ? [] : maintainerKeys(previous.set))];
  members.push(...maintainerKeys(set));
  // Only a new name needs registrars; they have no say in a package that exists.
  const registrars =
    previous === undefined && admission?.mode === 'registrars' ? admission : undefined;
  const plan = planSigners(envelope, [...members, ...(registrars?.keys ?? [])]);
  return {
    jobs: plan.jobs,
    finish: (valid) => {
      const signed = new Set(plan.finish(valid).map(publicKeyHex));
      if (previous !== undefined) {
        requireSigners(`maintainers of sequence ${previous.set.sequence}`, set, {
          found: countSigned(maintainerKeys(previous.set), signed),
          needed: maintainerThreshold(previous.set),
        });
      }
      if (registrars !== undefined) {
        requireSigners('registrars', set, {
          found: countSigned(registrars.keys, signed),
          needed: registrars.faulty + 1,
        });
      }
      requireNewKeysSigned(set, previous?.set, signed);
      return {
        set,
        hash,
        signers: distinct(members).filter((key) => signed.has(publicKeyHex(key))),
      };
    },
  };
}

function requireFollows(
  set: MaintainerSet,
  previous: { readonly set: MaintainerSet; readonly hash: string } | undefined,
): void {
  const expected = previous === undefined ? 0 : previous.set.sequence + 1;
  if (set.sequence !== expected) {
    throw broken(`${set.package}: sequence ${set.sequence} instead of ${expected}`);
  }
  if (previous === undefined) return;
  if (set.package !== previous.set.package) {
    throw broken(`${set.package} can't follow a set of ${previous.set.package}`);
  }
  if (set.previous !== previous.hash) {
    throw broken(`${set.package}: sequence ${set.sequence} follows another set`);
  }
}

function requireNewKeysSigned(
  set: MaintainerSet,
  before: MaintainerSet | undefined,
  signed: ReadonlySet<string>,
): void {
  const known = new Set((before?.maintainers ?? []).map(({ key }) => publicKeyHex(key)));
  for (const { name, key } of set.maintainers) {
    const hex = publicKeyHex(key);
    if (known.has(hex) || signed.has(hex)) continue;
    throw new VerifyError(
      'MAINTAINER_SIGNATURES_MISSING',
      `${set.package}: the new maintainer ${quote(name)} did not sign sequence ${set.sequence}`,
      { hint: `ask the holder of key ${keyId(key).slice(0, 16)}… to sign` },
    );
  }
}

function requireSigners(
  whose: string,
  set: MaintainerSet,
  { found, needed }: { readonly found: number; readonly needed: number },
): void {
  if (found >= needed) return;
  throw new VerifyError(
    'MAINTAINER_SIGNATURES_MISSING',
    `${set.package}: sequence ${set.sequence} is signed by ${found} of ${needed} ${whose}`,
    { found: `${found} signatures`, expected: `${needed} signatures` },
  );
}

/** How many of some distinct keys signed. */
function countSigned(keys: readonly PublicKey[], signed: ReadonlySet<string>): number {
  return distinct(keys).filter((key) => signed.has(publicKeyHex(key))).length;
}

function distinct(keys: readonly PublicKey[]): readonly PublicKey[] {
  const byText = new Map<string, PublicKey>();
  for (const key of keys) byText.set(publicKeyHex(key), key);
  return [...byText.values()];
}

function broken(detail: string): VerifyError {
  return new VerifyError('MAINTAINER_CHAIN_BROKEN', detail);
}
