// Four machines with equal weights that need no time for anything, on a network without faults: the stage
// on which scripts and twins are played message by message.
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { CALM } from './network.ts';
import { type WorldOptions, drawWorld } from './swarm.ts';
import type { Treason } from './traitors.ts';

const INSTANT = { diskUnits: 0, applicationUnits: 0, verificationUnits: 0 };

/** The world; at most one of the four is faulty. */
export function smallWorld(
  treasons: readonly Treason[],
  mutants: readonly MutantName[],
): WorldOptions {
  return {
    ...drawWorld({ seed: 1, family: 'calm', members: 4, mutants: new Set(mutants) }),
    members: [0, 1, 2, 3].map((node) => ({ node, weight: 1 })),
    faultyWeight: 1,
    treasons,
    network: CALM,
    // Of a machine that runs twice, both.
    paces: Array.from({ length: 4 + treasons.length }, () => INSTANT),
    timing: {
      statusTicks: 2,
      viewTicks: 8,
      viewDoublingsMax: 3,
      batchTicks: 0,
      relayTicks: 20,
      fetchTicks: 3,
      cosignTicks: 1_000,
    },
  };
}
