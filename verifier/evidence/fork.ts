// Fork evidence as a document (DESIGN P4): two checkpoints of one size with different roots. Whoever
// wants to know needs a pin of the log and nothing else.
import { encodeBase64, encodeHex } from '../encoding.ts';
import { equalBytes } from '../bytes.ts';
import { planCheckpoint, type VerifiedCheckpoint } from '../cosignature.ts';
import { envelopeJson, readEnvelope } from '../dsse.ts';
import { VerifyError, assert } from '../errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../json.ts';
import { TREE_SIZE_MAX } from '../merkle/hash.ts';
import { NOTE_LENGTH_MAX, parseNote } from '../note.ts';
import { readingAs } from '../refusals.ts';
import { ROSTER_CHAIN_MAX, type Roster } from '../roster.ts';
import { runPlan, type SignatureVerifier } from '../signatures.ts';
import { requireBoundedShape } from './json-shape.ts';
import { planLinkedRosters } from './linked-rosters.ts';
import type { ForkEvidence } from './trust.ts';

/** The name of the document's format. */
export const FORK_FORMAT = 'bftpkg-fork-evidence/v1';

/** Two notes of 64 KB, and a chain of rosters of a usual size. */
export const FORK_BYTES_MAX: number = 16 * 1024 * 1024;

/** Values of the document: up to 200 a roster with its signatures. */
const VALUES_MAX = 100_000;

const ORIGIN_LENGTH_MAX = 256;

/** A replica that signed both sides of a fork. */
export interface ForkSigner {
  /** Its name in the roster of the second note. */
  readonly name: string;
  /** Its cosigning key, hex: what identifies it. */
  readonly key: string;
}

/** What fork evidence proves. */
export interface ForkProof {
  readonly origin: string;
  readonly size: number;
  /** Roots of the two logs, base64 as in the notes. */
  readonly roots: readonly [string, string];
  /**
   * Those that signed both: faulty beyond doubt. Empty only where the two notes were cosigned under
   * rosters without a common member, which proves the fork but not whose.
   */
  readonly signers: readonly ForkSigner[];
}

/** The document's text. */
export function formatForkEvidence(fork: ForkEvidence): string {
  return canonicalJson({
    format: FORK_FORMAT,
    origin: fork.origin,
    size: fork.size,
    rosters: fork.rosters.map(envelopeJson),
    first: fork.first,
    second: fork.second,
  });
}

/** @throws {VerifyError} `EVIDENCE_MALFORMED`, `FORMAT_UNSUPPORTED` */
export function parseForkEvidence(source: string): ForkEvidence {
  return readingAs('EVIDENCE_MALFORMED', 'fork evidence', () => {
    if (source.length > FORK_BYTES_MAX) {
      throw new VerifyError('EVIDENCE_MALFORMED', `fork evidence longer than ${FORK_BYTES_MAX}`);
    }
    requireBoundedShape(source, VALUES_MAX);
    const reader = new ObjectReader(parseCanonicalJson(source, FORK_BYTES_MAX), '');
    reader.format('format', FORK_FORMAT);
    const fork = {
      origin: reader.string('origin', ORIGIN_LENGTH_MAX),
      size: reader.integer('size', 0, TREE_SIZE_MAX),
      rosters: reader.array('rosters', ROSTER_CHAIN_MAX, readEnvelope),
      first: reader.string('first', NOTE_LENGTH_MAX),
      second: reader.string('second', NOTE_LENGTH_MAX),
    };
    reader.end();
    return fork;
  });
}

/**
 * Checks fork evidence against a pin.
 *
 * @throws {VerifyError} `ROSTER_NOT_PINNED`, `ROSTER_CHAIN_BROKEN`, `QUORUM_NOT_REACHED`,
 *         `NOTE_SIGNATURE_INVALID`, …; `EVIDENCE_MALFORMED` when the notes contradict the document or
 *         not each other
 */
export async function verifyForkEvidence(
  fork: ForkEvidence,
  pin: string,
  verifier: SignatureVerifier,
): Promise<ForkProof> {
  const rosters = await runPlan(verifier, planLinkedRosters(pin, fork.rosters));
  const first = await cosigned(fork.first, rosters, verifier);
  const second = await cosigned(fork.second, rosters, verifier);
  for (const { checkpoint } of [first, second]) {
    if (checkpoint.origin !== fork.origin || checkpoint.size !== fork.size) {
      throw refused('a note is about another log or size than the document says');
    }
  }
  if (equalBytes(first.checkpoint.root, second.checkpoint.root)) {
    throw refused('both notes have the same root: that is no fork');
  }
  const firstKeys = new Set(first.signers.map(({ key }) => key));
  return {
    origin: fork.origin,
    size: fork.size,
    roots: [encodeBase64(first.checkpoint.root), encodeBase64(second.checkpoint.root)],
    signers: second.signers.filter(({ key }) => firstKeys.has(key)),
  };
}

interface CosignedNote extends VerifiedCheckpoint {
  readonly signers: readonly ForkSigner[];
}

// Which roster was in force at that size is what the log says, and here are two logs: a quorum of any
// roster of the chain is a quorum that clients believed.
async function cosigned(
  source: string,
  rosters: readonly Roster[],
  verifier: SignatureVerifier,
): Promise<CosignedNote> {
  const note = parseNote(source);
  let refusal: VerifyError | undefined;
  for (const roster of rosters.toReversed()) {
    try {
      const verified = await runPlan(verifier, planCheckpoint(note, roster));
      const signers = verified.cosignatures.map(({ replica }) => signerOf(roster, replica));
      return { ...verified, signers };
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      refusal ??= error;
    }
  }
  assert(refusal !== undefined, 'a verified chain has a roster');
  throw refusal;
}

function signerOf(roster: Roster, index: number): ForkSigner {
  const replica = roster.replicas[index];
  assert(replica !== undefined, 'a cosigner is a member of the roster');
  return { name: replica.name, key: encodeHex(replica.cosignKey.publicKey) };
}

function refused(problem: string): VerifyError {
  return new VerifyError('EVIDENCE_MALFORMED', `fork evidence refused: ${problem}`);
}
