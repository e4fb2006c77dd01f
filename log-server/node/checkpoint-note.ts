// The note that clients get: the checkpoint with its cosignatures.
import { formatCheckpoint } from '../../verifier/checkpoint.ts';
import { makeCosignature, planCheckpoint } from '../../verifier/cosignature.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { assert } from '../../verifier/errors.ts';
import { formatNote, parseNote } from '../../verifier/note.ts';
import type { Roster } from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import type { CosignedCheckpoint } from '../consensus/types.ts';

/** A note that clients accept. */
export interface CheckpointNote {
  readonly note: string;
  /** Unix seconds. */
  readonly certifiedTime: number;
}

/**
 * Assembles the note.
 *
 * A client refuses a note with one bad line, so a single wrong cosignature would blind everybody who
 * asks here. The core collects verified ones only; the whole note is checked once more, exactly as a
 * client does, before it is served. That costs a few signatures per checkpoint.
 *
 * The time that it certifies is a client's (DESIGN 7.3), not the oldest in it: each signer writes the
 * time that it likes, and a faulty one that wrote 1970 would make every replica look stale.
 *
 * @throws {VerifyError} when a client would refuse it
 */
export async function makeCheckpointNote(
  cosigned: CosignedCheckpoint,
  roster: Roster,
  verifier: SignatureVerifier,
): Promise<CheckpointNote> {
  const { size, root } = cosigned;
  const text = formatCheckpoint({ origin: roster.origin, size, root: decodeHex(root, 32) });
  const signatures = [...cosigned.cosignatures]
    .sort((a, b) => a.signer - b.signer)
    .map(({ signer, time, signature }) => {
      const replica = roster.replicas[signer];
      assert(replica !== undefined, 'a cosignature is by a member of the roster');
      return makeCosignature(replica.cosignKey, time, signature);
    });
  const note = formatNote({ text, signatures });
  const { certifiedTime } = await runPlan(verifier, planCheckpoint(parseNote(note), roster));
  return { note, certifiedTime };
}
