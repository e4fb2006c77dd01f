// The faults of a world by name, so that a world can do without some of them. Each kind draws from a
// source of chance of its own: leaving one out does not reshuffle the others.
import type { WorldOptions } from './swarm.ts';

/** Kinds of faults by name, and how a world without them looks. */
const KINDS: { readonly [name: string]: (world: WorldOptions) => Partial<WorldOptions> } = {
  traitors: () => ({ treasons: [] }),
  'lost-disks': () => ({ lostDisks: [] }),
  loss: ({ network }) => ({ network: { ...network, loss: 0 } }),
  duplication: ({ network }) => ({ network: { ...network, duplication: 0 } }),
  'late-messages': ({ network }) => ({ network: { ...network, tail: 0 } }),
  partitions: ({ network }) => ({ network: { ...network, partitionEvery: 0 } }),
  clogs: ({ network }) => ({ network: { ...network, clogEvery: 0 } }),
  phases: ({ network }) => ({ network: { ...network, phaseWindow: 0 } }),
  coding: ({ network, healed }) => ({
    network: { ...network, encoded: false },
    healed: { ...healed, encoded: false },
  }),
  crashes: () => ({ crash: 0 }),
  'power-loss': () => ({ powerLoss: 0 }),
  'disk-failures': () => ({ diskFailure: 0 }),
  stalls: () => ({ stall: 0 }),
  'clock-jumps': () => ({ clockJump: 0 }),
  rosters: () => ({ rosterChanges: 0 }),
  artifacts: () => ({ artifacts: 0 }),
  'late-load': () => ({ loadGoesOn: false }),
  'slow-machines': ({ paces }) => ({
    paces: paces.map(() => ({ diskUnits: 2, applicationUnits: 1, verificationUnits: 0 })),
  }),
};

/** Every name that may be left out of this world, the largest pieces first. */
export function removable(world: WorldOptions): readonly string[] {
  const machines = world.treasons.map(({ node }) => `traitor:r${node}`);
  const behaviours = new Set(world.treasons.flatMap((treason) => treason.behaviours));
  return [
    ...Object.keys(KINDS),
    ...machines,
    ...[...behaviours].map((name) => `behaviour:${name}`),
  ];
}

/**
 * A world without some of its faults.
 *
 * @param names as of `removable`; `ticks:<n>` shortens the time of faults
 * @throws {RangeError} for a name that means nothing
 */
export function without(world: WorldOptions, names: readonly string[]): WorldOptions {
  let left = world;
  for (const name of names) left = { ...left, ...leaveOut(left, name) };
  return left;
}

function leaveOut(world: WorldOptions, name: string): Partial<WorldOptions> {
  const kind = KINDS[name];
  if (kind !== undefined) return kind(world);
  const [what, which = ''] = name.split(':');
  if (what === 'traitor') {
    return { treasons: world.treasons.filter(({ node }) => `r${node}` !== which) };
  }
  if (what === 'behaviour') {
    const treasons = world.treasons.map((treason) => ({
      ...treason,
      behaviours: treason.behaviours.filter((other) => other !== which),
    }));
    return { treasons };
  }
  const ticks = Number(which);
  if (what === 'ticks' && Number.isSafeInteger(ticks) && ticks > 0) return { faultTicks: ticks };
  throw new RangeError(`no fault is called ${name}`);
}

/** Whether a world has something by that name that could be left out. */
export function has(world: WorldOptions, name: string): boolean {
  return JSON.stringify(world) !== JSON.stringify({ ...world, ...leaveOut(world, name) });
}
