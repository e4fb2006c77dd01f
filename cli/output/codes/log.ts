// Codes BP4xxx, about the log: its age, its forks, and what it does not prove.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code =
  | 'BP4001'
  | 'BP4002'
  | 'BP4003'
  | 'BP4004'
  | 'BP4005'
  | 'BP4007'
  | 'BP4008'
  | 'BP4009'
  | 'BP4010';

/** What is explained about each of them. */
export const LOG_CODES: Readonly<Record<Code, CodeEntry>> = {
  BP4001: {
    title: 'stale checkpoint',
    exit: EXIT.stale,
    happened: 'The newest checkpoint is older than the configured maximum age.',
    matters: 'An old view can hide a revocation. What matches it is not accepted as verified.',
    innocent: 'The log stands still, or this machine has a wrong clock.',
    attack: 'Someone between you and the replicas freezes your view.',
    action: 'Check the clock, try another network, ask the operators.',
    suppress: 'Raise checkpointAgeMaxSeconds in bftpkg.json, or --max-checkpoint-age for one run.',
  },
  BP4002: {
    title: 'rollback',
    exit: EXIT.stale,
    happened: 'The replica served an older log than this machine has already accepted.',
    matters: 'Going back would undo revocations and releases that were seen.',
    innocent: 'A replica that is behind.',
    attack: 'A replica or a network that hides newer entries.',
    action: 'Try again; ask another replica.',
    suppress: NEVER,
  },
  BP4003: {
    title: 'split view',
    exit: EXIT.fork,
    happened: 'Two different logs were signed by quorums at the same size.',
    matters:
      'More replicas are faulty than the log tolerates; some users are shown something else.',
    innocent: 'None. Two valid signatures of one key on two different roots are proof.',
    attack: 'Operators or thieves of their keys show different logs to different people.',
    action: 'Keep the evidence file, publish it, and stop installing from this log.',
    suppress: NEVER,
  },
  BP4004: {
    title: 'bad inclusion proof',
    exit: EXIT.proof,
    happened: 'An entry is not proven to be in the log under the checkpoint.',
    matters: 'Without the proof, the entry is merely something that a server said.',
    innocent: 'A damaged transfer or a defect in a replica.',
    attack: 'A replica shows an entry that is in no log.',
    action: 'Ask another replica; report the one that is named.',
    suppress: NEVER,
  },
  BP4005: {
    title: 'bad consistency proof',
    exit: EXIT.proof,
    happened: 'The new checkpoint is not proven to extend the one accepted before.',
    matters: 'History may have been rewritten.',
    innocent: 'A damaged transfer or a defect in a replica.',
    attack: 'A rewritten log.',
    action: 'Ask another replica; if all answer so, keep the trust state file as evidence.',
    suppress: NEVER,
  },
  BP4007: {
    title: 'checkpoint from the future',
    exit: EXIT.stale,
    happened: 'The checkpoint is certified for a time ahead of this clock.',
    matters: 'Ages cannot be judged with a wrong clock.',
    innocent: 'The clock of this machine is behind.',
    attack: 'A changed clock, to make old views look fresh later.',
    action: 'Set the clock.',
    suppress: NEVER,
  },
  BP4008: {
    title: 'malformed evidence',
    exit: EXIT.proof,
    happened: 'The evidence is not in the one form that is allowed.',
    matters: 'Bytes that can be read in two ways can be shown as two things.',
    innocent: 'A damaged file or transfer, a defect in a replica.',
    attack: 'An attempt to confuse the reader.',
    action: 'Ask another replica, or get the file again.',
    suppress: NEVER,
  },
  BP4009: {
    title: 'bad map proof',
    exit: EXIT.proof,
    happened: 'The status of a package or release is not proven by the map of the log.',
    matters: 'Whether something exists or was withdrawn has to be proven, not asserted.',
    innocent: 'A damaged transfer or a defect in a replica.',
    attack: 'A replica hides a withdrawal or a release.',
    action: 'Ask another replica; report the one that is named.',
    suppress: NEVER,
  },
  BP4010: {
    title: 'illegal batch',
    exit: EXIT.proof,
    happened:
      'The log holds a batch that breaks its own rules, or says another outcome than it has.',
    matters: 'No correct replica votes for such a batch: more of them are faulty than may be.',
    innocent: 'A defect in the replicas, or an older version of this program.',
    attack: 'A quorum of replicas that conspire, to publish what maintainers never signed.',
    action: 'Keep the log, publish the finding, and stop installing from this log.',
    suppress: NEVER,
  },
};
