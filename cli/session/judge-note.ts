// What a replica's note says beside a view. Most hold under the roster of the view. After a change of the roster
// there are two more that say something: of a replica that is late, from before the change; and of one that is
// further than the view, which today's members cosigned. The second matters most: who has left the log has keys
// still, and f bad members of one epoch and f of another together may be f+1 of a roster that is over, enough to
// certify old entries anew and to agree about them. Whoever shows that the roster has changed ends that.
import { planCheckpoint } from '../../verifier/cosignature.ts';
import { statementHash, type Envelope } from '../../verifier/dsse.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { SignedNote } from '../../verifier/note.ts';
import { parseRoster, planRosterChain, type Roster } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { cosignedBy } from '../trust/cosigned-by.ts';

/**
 * A replica may be late by so many changes of the roster and counts as alive. Each is tried with up to 64
 * signatures, and who slept through more than these has not answered minutes ago.
 */
const LATE_EPOCHS_MAX = 3;

/** What notes are held against. */
export interface NoteStandard {
  /** The roster of the view. */
  readonly roster: Roster;
  /** Leaves in the tree of the view. */
  readonly size: number;
  /** The verified chain of rosters that the view came with, its own last. */
  readonly rosters: readonly Envelope[];
  readonly verifier: SignatureVerifier;
}

/** The checkpoint of a note that a quorum of one of the log's rosters cosigned. */
export interface JudgedNote {
  /** Of the roster that cosigned. */
  readonly epoch: number;
  readonly size: number;
  readonly root: Uint8Array;
}

/**
 * Judges a note.
 *
 * @param askRosters all rosters that its replica shows, from epoch 0 on; asked only where the note holds under none
 *        that is known
 * @throws {VerifyError} what is wrong with it under the roster of the view
 */
export async function judgeNote(
  note: SignedNote,
  standard: NoteStandard,
  askRosters: () => Promise<readonly Envelope[]>,
): Promise<JudgedNote> {
  try {
    return await judgeBy(standard.roster, note, standard.verifier);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    const late = await ofLate(note, standard);
    // A replica that says no more than its note is as bad as its note.
    const judged = late ?? (await ofLater(note, standard, await askRosters().catch(() => [])));
    if (judged === undefined) throw error;
    return judged;
  }
}

async function judgeBy(
  roster: Roster,
  note: SignedNote,
  verifier: SignatureVerifier,
): Promise<JudgedNote> {
  const { checkpoint } = await runPlan(verifier, planCheckpoint(note, roster));
  return { epoch: roster.epoch, size: checkpoint.size, root: checkpoint.root };
}

async function judgeByNewest(
  rosters: readonly Roster[],
  note: SignedNote,
  verifier: SignatureVerifier,
): Promise<JudgedNote | undefined> {
  try {
    const { roster, checkpoint } = await cosignedBy(note, rosters, verifier);
    const { size, root } = checkpoint.checkpoint;
    return { epoch: roster.epoch, size, root };
  } catch (error) {
    return passOver(error);
  }
}

// Of smaller trees only: who has left can sign larger ones as well, and other ones of the same size.
async function ofLate(note: SignedNote, standard: NoteStandard): Promise<JudgedNote | undefined> {
  const before = standard.rosters.slice(0, -1).slice(-LATE_EPOCHS_MAX);
  const rosters = before.map(({ payload }) => parseRoster(payload));
  const judged = await judgeByNewest(rosters, note, standard.verifier);
  return judged !== undefined && judged.size < standard.size ? judged : undefined;
}

// A roster may be signed and never logged: it counts from the first checkpoint that its own quorum cosigned.
async function ofLater(
  note: SignedNote,
  { roster, rosters, verifier }: NoteStandard,
  shown: readonly Envelope[],
): Promise<JudgedNote | undefined> {
  const start = shown.findIndex(({ payload }) => statementHash(payload) === roster.hash);
  let from = rosters.at(-1);
  if (start < 0 || from === undefined) return undefined;
  const later: Roster[] = [];
  try {
    // One after the other: a liar must not have thousands of signatures verified of which the first is bad.
    for (const envelope of shown.slice(start + 1)) {
      const plan = planRosterChain(statementHash(from.payload), [from, envelope]);
      later.push(...(await runPlan(verifier, plan)).slice(1));
      from = envelope;
    }
  } catch (error) {
    // What was shown up to there holds.
    passOver(error);
  }
  return await judgeByNewest(later, note, verifier);
}

// The note is refused for what is wrong with it under the roster of the view.
function passOver(error: unknown): undefined {
  if (!(error instanceof VerifyError)) throw error;
}
