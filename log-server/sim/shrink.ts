// Making a failing world smaller: faults are left out one after the other as long as the same invariant
// still breaks. What remains is what it takes.
import { has, removable, without } from './faults.ts';
import { runWorld } from './run.ts';
import { type Wishes, drawWorld } from './swarm.ts';
import type { InvariantName } from './violation.ts';

/** Shortest time of faults that is tried, in ticks. */
const TICKS_MIN = 20;

/** A smaller world in which the same goes wrong. */
export interface Shrunk {
  readonly invariant: InvariantName;
  /** What it does without, for `--without`. */
  readonly without: readonly string[];
  readonly runs: number;
}

/**
 * Leaves out as much as possible.
 *
 * @param note told what was tried
 * @returns undefined when nothing goes wrong in the world itself
 */
export async function shrink(
  wishes: Wishes,
  note: (line: string) => void = () => undefined,
): Promise<Shrunk | undefined> {
  const world = drawWorld(wishes);
  const { violation } = await runWorld(without(world, wishes.without ?? []));
  if (violation === undefined) return undefined;
  const { invariant } = violation;
  let names: readonly string[] = wishes.without ?? [];
  let runs = 1;
  const fails = async (candidate: readonly string[]): Promise<boolean> => {
    runs += 1;
    const result = await runWorld(without(world, candidate));
    return result.violation?.invariant === invariant;
  };
  for (const name of removable(world)) {
    if (!has(without(world, names), name)) continue;
    const goes = await fails([...names, name]);
    note(`${goes ? 'without' : 'needs'} ${name}`);
    if (goes) names = [...names, name];
  }
  for (let ticks = world.faultTicks >>> 1; ticks >= TICKS_MIN; ticks >>>= 1) {
    const candidate = [...names.filter((name) => !name.startsWith('ticks:')), `ticks:${ticks}`];
    const goes = await fails(candidate);
    note(`${goes ? 'within' : 'not within'} ${ticks} ticks`);
    if (!goes) break;
    names = candidate;
  }
  return { invariant, without: names, runs };
}
