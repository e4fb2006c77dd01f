// Evidence that somebody was shown another log (DESIGN 4.4, "observed heads"): a head that names this
// log, and this log's own proof that its tree of that size has another root. The head comes either in
// a statement that maintainers signed, who by that say what they were shown, or in a checkpoint note
// that replicas cosigned. Of those only who cosigned the log's side too is proven faulty: when more than f
// lie, a correct replica cosigns whichever branch was committed at it, and the liars could post that
// branch's note with nobody's line but his. Whoever checks it needs a pin only.
import { equalBytes } from '../bytes.ts';
import { parseCheckpoint } from '../checkpoint.ts';
import { planCosigners, type VerifiedCheckpoint } from '../cosignature.ts';
import { envelopeJson, planSigners, readEnvelope, statementHash, type Envelope } from '../dsse.ts';
import { keyId, publicKeyHex } from '../ed25519.ts';
import { encodeHex } from '../encoding.ts';
import { VerifyError, assert } from '../errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../json.ts';
import { readSubmission, type Submission } from '../ledger/submission.ts';
import { checkConsistency } from '../merkle/consistency.ts';
import { EMPTY_ROOT, HASH_LENGTH, type Hash } from '../merkle/hash.ts';
import { NOTE_LENGTH_MAX, parseNote } from '../note.ts';
import { packagePurl, parsePurl } from '../npm/purl.ts';
import { readingAs } from '../refusals.ts';
import type { Roster } from '../roster.ts';
import { runPlan, type SignatureVerifier } from '../signatures.ts';
import { maintainerKeys, maintainerThreshold } from '../statements/maintainers.ts';
import type { LogHead } from '../statements/observed.ts';
import { decodeUtf8 } from '../text.ts';
import { EVIDENCE_BYTES_MAX, formatEvidence, parseEvidence, type Evidence } from './format.ts';
import { Judge } from './judge.ts';
import { requireBoundedShape } from './json-shape.ts';
import { planLinkedRosters } from './linked-rosters.ts';
import { SignatureRound } from './signature-round.ts';
import type { Signer } from './subject.ts';
import { verifyLog, type VerifiedLog } from './verify.ts';

/** The name of the document's format. */
export const CONTRADICTION_FORMAT = 'bftpkg-contradiction/v1';

/**
 * Evidence about one package or none, whose text grows a little as a string in a document, and one
 * claim of 64 KB. A package's whole chain of maintainers has to fit; most have one set.
 */
export const CONTRADICTION_BYTES_MAX: number = 32 * 1024 * 1024;

/** Values of the document: the evidence is one of them, a statement has up to 200. */
const VALUES_MAX = 1000;

const PACKAGE_NAME_LENGTH_MAX = 214;

/** Who says that the log had another head. */
export type HeadClaim =
  | {
      readonly kind: 'statement';
      readonly statement: Envelope;
      /** The package whose maintainers are counted: one of those that the statement is about. */
      readonly package: string;
    }
  /** A checkpoint note, with lines of at least one replica. */
  | { readonly kind: 'note'; readonly note: string };

/** The document, well formed and otherwise unchecked. */
export interface Contradiction {
  readonly claim: HeadClaim;
  /** Root of this log's tree at the size that the claim names. */
  readonly root: Hash;
  /** This log under a newer checkpoint, consistent with `root`; about the claim's package, if any. */
  readonly evidence: Evidence;
}

/** What a contradiction proves. */
export interface ProvenContradiction {
  readonly origin: string;
  readonly size: number;
  /** Root that the claim names, hex. */
  readonly claimed: string;
  /** Root that the log has at that size, under a quorum's checkpoint, hex. */
  readonly logged: string;
  /** Size of the checkpoint that proves it. */
  readonly checkpointSize: number;
  /** Hex SHA-256 of the statement and who signed it; `null` for a note. */
  readonly witness: {
    readonly statement: string;
    readonly package: string;
    /** Of the set whose maintainers are counted. */
    readonly sequence: number;
    /** At least f + 1 of that set. */
    readonly signers: readonly Signer[];
  } | null;
  /**
   * Replicas that cosigned the claimed head and the checkpoint that contradicts it: no correct one does.
   * Empty for a statement.
   */
  readonly faulty: readonly HeadSigner[];
  /**
   * Replicas that cosigned the claimed head, and not the checkpoint shown: they signed the other branch.
   * They lie, or the log forked, which takes more than f others. Empty for a statement.
   */
  readonly signedOther: readonly HeadSigner[];
}

/** A replica, by its verified signature. */
export interface HeadSigner {
  readonly name: string;
  /** Hex. */
  readonly key: string;
}

/** The head of a log that a statement names; `undefined` for kinds that name none. */
export function observedHead(submission: Submission, origin: string): LogHead | undefined {
  switch (submission.kind) {
    case 'maintainers':
      return submission.set.observed.get(origin);
    case 'release':
      return submission.release.observed.get(origin);
    case 'withdrawal':
      return submission.withdrawal.observed.get(origin);
    case 'roster':
      return undefined;
  }
}

/** Names of the packages that a statement is about, each once. */
export function packagesOf(submission: Submission): readonly string[] {
  switch (submission.kind) {
    case 'maintainers':
      return [parsePurl(submission.set.package).name];
    case 'release':
      return [...new Set(submission.release.subjects.map(({ name }) => name))];
    case 'withdrawal':
      return [parsePurl(submission.withdrawal.package).name];
    case 'roster':
      return [];
  }
}

/** The document's text. */
export function formatContradiction({ claim, root, evidence }: Contradiction): string {
  return canonicalJson({
    format: CONTRADICTION_FORMAT,
    evidence: decodeUtf8(formatEvidence(evidence)),
    note: claim.kind === 'note' ? claim.note : null,
    package: claim.kind === 'statement' ? claim.package : null,
    root: encodeHex(root),
    statement: claim.kind === 'statement' ? envelopeJson(claim.statement) : null,
  });
}

/** @throws {VerifyError} `EVIDENCE_MALFORMED`, `FORMAT_UNSUPPORTED` */
export function parseContradiction(source: string): Contradiction {
  return readingAs('EVIDENCE_MALFORMED', 'contradiction', () => {
    if (source.length > CONTRADICTION_BYTES_MAX) {
      throw new VerifyError(
        'EVIDENCE_MALFORMED',
        `contradiction longer than ${CONTRADICTION_BYTES_MAX}`,
      );
    }
    requireBoundedShape(source, VALUES_MAX);
    const reader = new ObjectReader(parseCanonicalJson(source, CONTRADICTION_BYTES_MAX), '');
    reader.format('format', CONTRADICTION_FORMAT);
    const evidence = parseEvidence(reader.string('evidence', EVIDENCE_BYTES_MAX));
    const root = reader.hex('root', HASH_LENGTH);
    const claim = readClaim(reader);
    reader.end();
    return { claim, root, evidence };
  });
}

function readClaim(reader: ObjectReader): HeadClaim {
  const statement = reader.required('statement');
  if (statement === null) {
    if (reader.required('package') !== null) throw refused('a package without a statement');
    return { kind: 'note', note: reader.string('note', NOTE_LENGTH_MAX) };
  }
  if (reader.required('note') !== null) throw refused('both a statement and a note');
  return {
    kind: 'statement',
    statement: readEnvelope(statement, 'statement'),
    package: reader.string('package', PACKAGE_NAME_LENGTH_MAX),
  };
}

/**
 * Checks a contradiction against a pin.
 *
 * @throws {VerifyError} `ROSTER_NOT_PINNED`, `QUORUM_NOT_REACHED`, `CONSISTENCY_PROOF_INVALID`, … when
 *         the log's side does not hold; `EVIDENCE_MALFORMED` when nothing is contradicted, or nobody
 *         whose word counts made the claim
 */
export async function verifyContradiction(
  { claim, root, evidence }: Contradiction,
  pin: string,
  verifier: SignatureVerifier,
): Promise<ProvenContradiction> {
  await runPlan(verifier, planLinkedRosters(pin, evidence.rosters));
  const [first] = evidence.rosters;
  assert(first !== undefined, 'a linked chain has a roster');
  // The chain leads to the reader's pin, checked above, wherever it begins.
  const shown = await verifyLog(evidence, statementHash(first.payload), verifier);
  const { origin, size: checkpointSize } = shown.checkpoint.checkpoint;
  const { head, witness, faulty, signedOther } =
    claim.kind === 'note'
      ? await noteSide(claim.note, origin, shown, verifier)
      : await statementSide(claim, origin, shown, verifier);
  requireLogged(head.size, root, shown, evidence);
  if (equalBytes(head.root, root))
    throw refused('the head is one of this log: nothing contradicts');
  return {
    origin,
    size: head.size,
    claimed: encodeHex(head.root),
    logged: encodeHex(root),
    checkpointSize,
    witness,
    faulty,
    signedOther,
  };
}

interface ClaimSide {
  readonly head: LogHead;
  readonly witness: ProvenContradiction['witness'];
  readonly faulty: readonly HeadSigner[];
  readonly signedOther: readonly HeadSigner[];
}

async function noteSide(
  source: string,
  origin: string,
  { rosters, checkpoint }: VerifiedLog,
  verifier: SignatureVerifier,
): Promise<ClaimSide> {
  const note = parseNote(source);
  const head = parseCheckpoint(note.text);
  if (head.origin !== origin) throw refused('the note is about another log');
  // By key: a replica has the same one in every epoch that it is a member of.
  const keys = new Map(
    rosters.flatMap(({ replicas }) =>
      replicas.map(({ cosignKey }) => [publicKeyHex(cosignKey.publicKey), cosignKey] as const),
    ),
  );
  const signers = await runPlan(verifier, planCosigners(note, [...keys.values()]));
  if (signers.length === 0) throw refused('no replica signed the note');
  const named = signers.map(({ name, publicKey }) => ({ name, key: publicKeyHex(publicKey) }));
  // The checkpoint is no older than the claim and has the other root in its past (`requireLogged`).
  const logged = cosignerKeys(checkpoint, rosters.at(-1));
  return {
    head,
    witness: null,
    faulty: named.filter(({ key }) => logged.has(key)),
    signedOther: named.filter(({ key }) => !logged.has(key)),
  };
}

function cosignerKeys(
  { cosignatures }: VerifiedCheckpoint,
  roster: Roster | undefined,
): ReadonlySet<string> {
  assert(roster !== undefined, 'a verified chain has a roster');
  return new Set(
    cosignatures.map(({ replica: index }) => {
      const replica = roster.replicas[index];
      assert(replica !== undefined, 'a cosigner is a member of the roster');
      return publicKeyHex(replica.cosignKey.publicKey);
    }),
  );
}

// Counted under any set that the package ever had: the statement was refused before anybody could say
// under which one it would have been logged.
async function statementSide(
  { statement, package: name }: Extract<HeadClaim, { kind: 'statement' }>,
  origin: string,
  { log }: VerifiedLog,
  verifier: SignatureVerifier,
): Promise<ClaimSide> {
  const submission = readClaimed(statement);
  const head = observedHead(submission, origin);
  if (head === undefined) throw refused('the statement names no head of this log');
  if (!packagesOf(submission).includes(name))
    throw refused('the statement is about other packages');
  const round = new SignatureRound();
  const verdict = new Judge(log).plan({ kind: 'package', name }, round);
  await round.run(verifier);
  const found = verdict();
  if (found.kind === 'refused') throw found.error;
  if (found.kind !== 'package') throw refused('the log knows no maintainers of that package');
  for (const { opened } of log.setsOf(packagePurl(name)).toReversed()) {
    const { statement: set } = opened;
    const keys = await runPlan(verifier, planSigners(statement, maintainerKeys(set)));
    if (keys.length < maintainerThreshold(set)) continue;
    const ids = new Set(keys.map(keyId));
    const signers = set.maintainers
      .map((one) => ({ name: one.name, keyId: keyId(one.key) }))
      .filter((one) => ids.has(one.keyId));
    const witness = { statement: submission.id, package: name, sequence: set.sequence, signers };
    return { head, witness, faulty: [], signedOther: [] };
  }
  throw refused('not enough maintainers of any set of the package signed the statement');
}

// A kind of statement that this log does not take is no VerifyError where submissions are read.
function readClaimed(statement: Envelope): Submission {
  try {
    return readSubmission(statement);
  } catch (cause) {
    if (cause instanceof VerifyError) throw cause;
    throw new VerifyError('EVIDENCE_MALFORMED', 'contradiction refused: an unknown statement', {
      cause,
    });
  }
}

function requireLogged(
  size: number,
  root: Hash,
  { checkpoint: { checkpoint } }: VerifiedLog,
  { consistency }: Evidence,
): void {
  if (size > checkpoint.size) throw refused('the claim is newer than the checkpoint shown');
  if (size === 0) {
    // Every log begins with it, so there is no proof to show.
    if (!equalBytes(root, EMPTY_ROOT)) throw refused('the empty log has another root');
    return;
  }
  const hashes = size === checkpoint.size ? [] : consistency?.hashes;
  if (hashes === undefined) throw refused('no proof that the log had that root');
  checkConsistency(size, root, checkpoint.size, checkpoint.root, hashes);
}

function refused(problem: string): VerifyError {
  return new VerifyError('EVIDENCE_MALFORMED', `contradiction refused: ${problem}`);
}
