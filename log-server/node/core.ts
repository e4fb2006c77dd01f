// Makes the consensus core from what is durable.
import type { Config as CoreConfig, DurableState } from '../consensus/types.ts';
import { Replica } from '../consensus/replica.ts';
import type { ConsensusCore } from './core-port.ts';

/** The embedded ordering engine; another one would be made here instead (DESIGN 9). */
export function makeCore(config: CoreConfig, durable: DurableState): ConsensusCore {
  return new Replica(config, durable);
}
