// The consensus core as the driver sees it (CONSENSUS 2.17): a pure state machine.
import type { Input, Message, PeerId, Ready, Usefulness } from '../consensus/types.ts';
import type { StateSummary } from '../consensus/summary.ts';
import type { EpochContext } from '../../verifier/replication/validate.ts';

/** One replica's state machine. Only the driver touches it, one call at a time. */
export interface ConsensusCore {
  step(input: Input): Ready;
  /** Whether a message could change anything: asked before any signature is checked (R2). */
  wants(from: PeerId, message: Message): Usefulness;
  /** What messages are judged by at present. */
  readonly context: EpochContext;
  readonly halted: string | undefined;
  /** For the status page. */
  readonly summary: StateSummary;
  /** Whether a submission of this many bytes would find room in the own lane (Q1). */
  hasRoomFor(bytes: number): boolean;
}
