// How JavaScript is run, for a program that runs for months beside others like it.
import { setFlagsFromString } from 'node:v8';

/**
 * V8 collects the young generation on as many threads as there are cores. What is left alive there is a few
 * megabytes: the threads wait for each other, busily, longer than they work, and where cores are shared (other
 * replicas, the signature workers) they wait for a core as well. One thread took 11 % of a replica's CPU away.
 */
const FLAGS: readonly string[] = ['--no-parallel-scavenge'];

/** Versions whose V8 has the flags. An unknown one would be complained about on stderr. */
const NODE_MAJORS: readonly string[] = ['20', '22', '24'];

/** Sets V8 up for a replica; counts for all threads of the process, from the next collection on. */
export function tuneForReplicas(nodeVersion: string = process.versions.node): void {
  const [major = ''] = nodeVersion.split('.');
  if (!NODE_MAJORS.includes(major)) return;
  for (const flag of FLAGS) setFlagsFromString(flag);
}

/** Versions whose V8 lets the young generation stay as large as it is when it is to grow by a factor of one. */
const HOLDING_MAJORS: readonly string[] = ['20', '22'];

/**
 * Keeps V8's young generation from growing, or lets it grow to twice its size with what lives in it, as it does
 * unless it is told. Left alone, that of an idle replica is back at its 16 MB half a minute after it was
 * made small; as small as it is, a replica under load would collect it all the time.
 */
export function holdYoungGeneration(
  isHeld: boolean,
  nodeVersion: string = process.versions.node,
): void {
  const [major = ''] = nodeVersion.split('.');
  if (!HOLDING_MAJORS.includes(major)) return;
  setFlagsFromString(`--semi-space-growth-factor=${isHeld ? 1 : 2}`);
}
