// Taking over a checkpoint note that another replica serves: for a replica that only follows the log and
// so gets no cosignatures itself.
import { equalBytes } from '../../verifier/bytes.ts';
import { planCheckpoint } from '../../verifier/cosignature.ts';
import type { VerifiedCheckpoint } from '../../verifier/cosignature.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseNote } from '../../verifier/note.ts';
import type { Roster } from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { Tip } from '../ledger/application.ts';
import type { Log } from '../log.ts';
import type { Lane } from './lane.ts';

/** What the note is judged with and where it goes. */
export interface AdoptionParts {
  readonly application: { tip(): Promise<Tip> };
  readonly store: { putCheckpoint(note: string, size: number): Promise<void> };
  readonly lane: Lane;
  readonly verifier: SignatureVerifier;
  /** The present roster. */
  readonly roster: Roster;
  /** Keeps a note of another tree than this one: it proves a fork. */
  readonly contradicted: (note: string) => void;
  readonly log: Log;
}

/** What was adopted. */
export interface AdoptedNote {
  readonly size: number;
  /** Unix seconds. */
  readonly certifiedTime: number;
}

/**
 * Stores the note as the newest checkpoint when it is one of exactly the tree that is here.
 *
 * @param knownTime certified time of the present checkpoint, Unix seconds
 * @returns `undefined` when it is about another size, or not newer
 * @throws {VerifyError} malformed, badly signed, or without a quorum of the present roster
 */
export async function adoptNote(
  text: string,
  knownTime: number,
  { application, store, lane, verifier, roster, contradicted, log }: AdoptionParts,
): Promise<AdoptedNote | undefined> {
  const plan = planCheckpoint(parseNote(text), roster);
  const { checkpoint, certifiedTime }: VerifiedCheckpoint = await runPlan(verifier, plan);
  const { size, root } = checkpoint;
  return lane.run(async () => {
    const tip = await application.tip();
    if (size !== tip.size || certifiedTime <= knownTime) return undefined;
    if (!equalBytes(root, tip.root)) {
      // A quorum signed another tree than the one that commit certificates led to: somebody forked it.
      log.error('misbehaviour', { rule: 'X7', size, root: encodeHex(root), note: text });
      contradicted(text);
      return undefined;
    }
    await store.putCheckpoint(text, size);
    return { size, certifiedTime };
  });
}
