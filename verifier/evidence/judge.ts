// Step 6 (DESIGN section 7): one subject after the other. Planning collects what has to be signed;
// judging, after the round of signatures, gives each subject its own answer.
import { equalBytes } from '../bytes.ts';
import { keyId } from '../ed25519.ts';
import type { StatementEntry } from '../entry.ts';
import { VerifyError, assert, quote } from '../errors.ts';
import { packageKey, releaseKey } from '../map/keys.ts';
import {
  parsePackageRecord,
  parseReleaseRecord,
  type PackageRecord,
  type ReleaseRecord,
} from '../map/records.ts';
import { formatSri } from '../npm/integrity.ts';
import { packagePurl, parsePurl } from '../npm/purl.ts';
import {
  maintainerThreshold,
  type MaintainerSet,
  type VerifiedMaintainerSet,
} from '../statements/maintainers.ts';
import {
  planRelease,
  type Release,
  type ReleaseSubject,
  type VerifiedReleaseStatement,
} from '../statements/release.ts';
import { parseWithdrawal } from '../statements/withdrawal.ts';
import { completeChain, planChain, setInForceAt } from './chain.ts';
import {
  noteBasis,
  noteRecalled,
  recallRelease,
  type Recalled,
  type Remembered,
} from './remembered.ts';
import type { ShownLog, ShownSet } from './shown-log.ts';
import type { Answer, SignatureRound } from './signature-round.ts';
import {
  subjectId,
  type Signer,
  type Subject,
  type SubjectResult,
  type VerifiedPackage,
  type VerifiedRelease,
} from './subject.ts';

/** A package of which the map has a record, its chain on the way to being checked. */
interface PlannedPackage {
  readonly record: PackageRecord;
  readonly sets: readonly ShownSet[];
  /** The sets with their signatures checked. */
  readonly chain: Answer<readonly VerifiedMaintainerSet[]>;
}

interface PlannedRelease {
  readonly entry: StatementEntry;
  /** The packages of the statement, by purl: the release is worth no more than their chains. */
  readonly packages: ReadonlyMap<string, PlannedPackage>;
  readonly statement: Answer<VerifiedReleaseStatement>;
}

/** The answer for a subject, once its round has run. */
export type Verdict = () => SubjectResult;

type ReleaseOf = Extract<Subject, { readonly kind: 'release' }>;

/** Judges subjects by one log. Packages and entries that several subjects share are checked once. */
export class Judge {
  readonly #log: ShownLog;
  readonly #remembered: Remembered;
  readonly #packages = new Map<string, Answer<PlannedPackage | undefined>>();
  readonly #releases = new Map<number, PlannedRelease>();
  /** Purls of which something else is remembered than the log has now. */
  readonly outdated: string[] = [];

  constructor(log: ShownLog, remembered: Remembered = new Map()) {
    this.#log = log;
    this.#remembered = remembered;
  }

  /**
   * Adds a subject to a round that has not run yet. What it shares with subjects of earlier rounds is not
   * asked again, so these have to have run before the verdict is asked for.
   *
   * @returns its verdict, to be asked for after the round
   */
  plan(subject: Subject, round: SignatureRound): Verdict {
    const verdict = attempt(() =>
      subject.kind === 'package'
        ? this.#planPackage(subject, round)
        : this.#planRelease(subject, round),
    );
    return () => {
      try {
        return verdict()();
      } catch (error) {
        // A refusal is about this subject alone; a bug must stop everything.
        if (!(error instanceof VerifyError)) throw error;
        return { kind: 'refused', subject, error };
      }
    };
  }

  #planPackage(
    subject: Extract<Subject, { kind: 'package' }>,
    round: SignatureRound,
  ): Answer<SubjectResult> {
    const planned = this.#package(packagePurl(subject.name), subject.name, round);
    if (planned === undefined) return () => ({ kind: 'absent', subject });
    return () => ({ kind: 'package', subject, package: judgePackage(planned) });
  }

  #planRelease(subject: ReleaseOf, round: SignatureRound): Answer<SubjectResult> {
    // Refuses names and versions that npm does not have, before they become keys of the map.
    const purl = subjectId(subject);
    const found = this.#log.map.get(releaseKey(subject.name, subject.version));
    if (found.kind === 'absent') return () => ({ kind: 'absent', subject });
    const record = parseReleaseRecord(found.value);
    // Before anything else: no proof makes a revoked release good again.
    if (record.status === 'revoked') throw this.#revoked(purl, record);
    const recalled = this.#recall(purl, record);
    if (recalled !== undefined) {
      const release = judgeRecalled(subject, purl, record, recalled);
      noteRecalled(release, recalled.known, this.#log.size);
      return () => ({ kind: 'verified', subject, release });
    }
    const planned = this.#release(record.index, round);
    return () => {
      const release = judgeRelease(subject, purl, record, planned);
      noteBasis(release, this.#log, planned.entry, planned.packages);
      return { kind: 'verified', subject, release };
    };
  }

  // What is remembered of a release, if the evidence leaves it out and it still stands.
  #recall(purl: string, record: ReleaseRecord): Recalled | undefined {
    const known = this.#remembered.get(purl);
    if (known === undefined || this.#log.shows(record.index)) return undefined;
    const recalled = recallRelease(this.#log, record, known);
    if (recalled === undefined) this.outdated.push(purl);
    return recalled;
  }

  // The package of a name; `undefined` when the map proves that there is none.
  #package(purl: string, name: string, round: SignatureRound): PlannedPackage | undefined {
    let planned = this.#packages.get(purl);
    if (planned === undefined) {
      planned = attempt(() => {
        const found = this.#log.map.get(packageKey(name));
        if (found.kind === 'absent') return undefined;
        const record = parsePackageRecord(found.value);
        const sets = completeChain(this.#log, purl, record);
        return { record, sets, chain: round.ask(() => planChain(sets)) };
      });
      this.#packages.set(purl, planned);
    }
    return planned();
  }

  // The release statement at a leaf index, whoever of its subjects is asked about.
  #release(index: number, round: SignatureRound): PlannedRelease {
    const known = this.#releases.get(index);
    if (known !== undefined) return known;
    const entry = this.#log.statementAt(index);
    if (entry.kind !== 'release') {
      throw new VerifyError('ENTRY_MISMATCH', `entry ${index} is not a release but ${entry.kind}`);
    }
    const packages = new Map<string, PlannedPackage>();
    const setAt = (purl: string): MaintainerSet | undefined => {
      const planned = this.#package(purl, parsePurl(purl).name, round);
      if (planned === undefined) return undefined;
      packages.set(purl, planned);
      return setInForceAt(planned.sets, index);
    };
    const statement = round.ask(() => planRelease(entry.envelope, setAt));
    const planned = { entry, packages, statement };
    this.#releases.set(index, planned);
    return planned;
  }

  #revoked(purl: string, record: ReleaseRecord): VerifyError {
    return new VerifyError(
      'RELEASE_REVOKED',
      `${purl} was revoked by its maintainers${this.#reasonOf(record)}`,
      { hint: 'move to another version; a revocation is for ever' },
    );
  }

  // The reason is a courtesy: the map alone decides that the release is revoked, so nothing about
  // the withdrawal's entry may turn the refusal into another one.
  #reasonOf({ statement, withdrawal }: ReleaseRecord): string {
    if (withdrawal === null || !this.#log.shows(withdrawal)) return '';
    try {
      const { envelope } = this.#log.statementAt(withdrawal);
      const { reason, text, release } = parseWithdrawal(envelope.payload);
      if (release !== statement) return '';
      return `: ${reason}${text === '' ? '' : `, ${quote(text)}`}`;
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      return '';
    }
  }
}

function judgePackage(planned: PlannedPackage): VerifiedPackage {
  const { record } = planned;
  const last = planned.chain().at(-1);
  assert(last !== undefined, 'a complete chain has a set');
  return {
    set: last.set,
    setHash: last.hash,
    sequence: record.sequence,
    releases: record.releases,
    latest: record.latest,
    index: record.maintainers,
  };
}

function judgeRelease(
  subject: ReleaseOf,
  purl: string,
  record: ReleaseRecord,
  { entry, packages, statement }: PlannedRelease,
): VerifiedRelease {
  const verified = statement();
  const { release, hash } = verified;
  // The statement's signatures were counted against these sets: now that they are known to be the
  // maintainers' own, the count means something.
  for (const planned of packages.values()) planned.chain();
  if (hash !== record.statement) {
    throw new VerifyError(
      'ENTRY_MISMATCH',
      `${purl}: entry ${record.index} holds another statement than the map says`,
      { found: hash, expected: record.statement },
    );
  }
  const found = requireStated(subject, purl, record, release);
  const planned = packages.get(found.package);
  assert(planned !== undefined, 'planRelease asked for the set of each package');
  const set = setInForceAt(planned.sets, record.index);
  return verifiedRelease(subject, record, found, {
    loggedAt: entry.time,
    signers: namesOf(set, verified.signersOf(found.package).map(keyId)),
    required: maintainerThreshold(set),
    latest: planned.record.latest,
  });
}

function judgeRecalled(
  subject: ReleaseOf,
  purl: string,
  record: ReleaseRecord,
  { known, statement, packageOf }: Recalled,
): VerifiedRelease {
  const { loggedAt, signers, required } = known;
  const { latest } = packageOf(subject.name);
  const found = requireStated(subject, purl, record, statement);
  return verifiedRelease(subject, record, found, { loggedAt, signers, required, latest });
}

// What a statement says about a release, which has to be what was asked for.
function requireStated(
  subject: ReleaseOf,
  purl: string,
  record: ReleaseRecord,
  statement: Release,
): ReleaseSubject {
  const found = statement.subjects.find((one) => one.purl === purl);
  if (found === undefined) {
    throw new VerifyError('ENTRY_MISMATCH', `entry ${record.index} says nothing about ${purl}`);
  }
  requireIntegrity(subject, purl, found);
  return found;
}

// The caller has seen that the statement is the one that the map names.
function verifiedRelease(
  { name, version }: ReleaseOf,
  { index, statement, status }: ReleaseRecord,
  { purl, sha512, size, manifest }: ReleaseSubject,
  basis: Pick<VerifiedRelease, 'loggedAt' | 'signers' | 'required' | 'latest'>,
): VerifiedRelease {
  assert(status !== 'revoked', 'a revoked release was refused before');
  return { name, version, purl, sha512, size, manifest, index, statement, status, ...basis };
}

function requireIntegrity(subject: ReleaseOf, purl: string, logged: ReleaseSubject): void {
  if (subject.sha512 === undefined || equalBytes(subject.sha512, logged.sha512)) return;
  const found = formatSri(subject.sha512);
  const expected = formatSri(logged.sha512);
  throw new VerifyError(
    'INTEGRITY_MISMATCH',
    `${purl}: asked for ${found}, its maintainers released ${expected}`,
    { found, expected, hint: 'do not install it; find out where the other artifact came from' },
  );
}

function namesOf(set: MaintainerSet, keyIds: readonly string[]): readonly Signer[] {
  const signed = new Set(keyIds);
  return set.maintainers
    .map(({ name, key }) => ({ name, keyId: keyId(key) }))
    .filter((signer) => signed.has(signer.keyId));
}

// Runs something now and gives its value, or its refusal, whenever asked.
function attempt<T>(run: () => T): Answer<T> {
  try {
    const value = run();
    return () => value;
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    return () => {
      throw error;
    };
  }
}
