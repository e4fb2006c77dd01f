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
import type { ServedCheckpoint } from './served-checkpoint.ts';

/** What the note is judged with and where it goes. */
export interface AdoptionParts {
  readonly application: { tip(): Promise<Tip> };
  readonly served: Pick<ServedCheckpoint, 'facts' | 'put'>;
  readonly lane: Lane;
  readonly verifier: SignatureVerifier;
  /** The present roster. */
  readonly roster: Roster;
  /** Keeps a note of another tree than this one: it proves a fork. */
  readonly contradicted: (note: string) => void;
  readonly log: Log;
}

/**
 * Stores the note as the newest checkpoint when it is one of exactly the tree that is here.
 *
 * A note of another size, or one that is not newer, changes nothing.
 *
 * @throws {VerifyError} malformed, badly signed, or without a quorum of the present roster
 */
export async function adoptNote(
  text: string,
  { application, served, lane, verifier, roster, contradicted, log }: AdoptionParts,
): Promise<void> {
  const plan = planCheckpoint(parseNote(text), roster);
  const { checkpoint, certifiedTime }: VerifiedCheckpoint = await runPlan(verifier, plan);
  const { size, root } = checkpoint;
  await lane.run(async () => {
    const tip = await application.tip();
    const known = served.facts;
    const isKnown = known?.size === size && certifiedTime <= known.timeSeconds;
    if (size !== tip.size || isKnown) return;
    if (!equalBytes(root, tip.root)) {
      // A quorum signed another tree than the one that commit certificates led to: somebody forked it.
      log.error('misbehaviour', { rule: 'X7', size, root: encodeHex(root), note: text });
      contradicted(text);
      return;
    }
    await served.put(text, { epoch: roster.epoch, size, timeSeconds: certifiedTime });
  });
}
