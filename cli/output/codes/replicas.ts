// Codes BP3xxx, about replicas: too few of them, or others than are believed.
import { EXIT } from '../exit-codes.ts';
import { NEVER, type CodeEntry } from './entry.ts';

type Code = 'BP3001' | 'BP3002' | 'BP3003';

/** What is explained about each of them. */
export const REPLICAS_CODES: Readonly<Record<Code, CodeEntry>> = {
  BP3001: {
    title: 'too few repository attestations',
    exit: EXIT.attestations,
    happened: 'The checkpoint is cosigned by fewer replicas than a quorum.',
    matters: 'Below a quorum, faulty replicas alone could have made it.',
    innocent: 'Replicas are down or behind.',
    attack: 'A replica invents a state that the others never saw.',
    action: 'Try again, or ask another replica.',
    suppress: NEVER,
  },
  BP3002: {
    title: 'bad cosignature',
    exit: EXIT.attestations,
    happened: 'A known replica key has an invalid signature line on the checkpoint.',
    matters: 'The note was damaged or forged, so none of it is used.',
    innocent: 'A damaged transfer.',
    attack: 'A forged checkpoint.',
    action: 'Try again, or ask another replica.',
    suppress: NEVER,
  },
  BP3003: {
    title: 'wrong roster',
    exit: EXIT.attestations,
    happened: 'The roster of replicas does not follow from the one that this project pins.',
    matters: 'Whoever chooses the roster chooses who is believed.',
    innocent: 'The pin in bftpkg.json belongs to another log, or a replica serves another log.',
    attack: 'A whole false log with its own replicas.',
    action: 'Compare the pin with the one that the operators publish, over another channel.',
    suppress: NEVER,
  },
};
