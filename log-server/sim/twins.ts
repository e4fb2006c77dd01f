// Twins, all of them in small (CONSENSUS.md 3.2): four members, one of which runs twice with one key. In
// each round the five machines are dealt into two camps that hear only STATUS of each other; every way of
// dealing them in every round is one play, so that nothing is left to chance.
import type { MutantName } from '../../verifier/replication/mutants.ts';
import { TICK_UNITS, type Process } from './process.ts';
import type { SimRequest } from './requests.ts';
import { smallWorld } from './small-world.ts';
import { Violation } from './violation.ts';
import { World } from './world.ts';

/** Rounds of a play. Longer than a view, so that most rounds have a leader of their own. */
export const ROUNDS = 3;
const ROUND_TICKS = 11;

/** Ways to deal five machines into two camps without names. */
const DEALS = 16;

/** Who runs twice: the leader of the first view, of the second, or of neither. */
const TWINS: readonly number[] = [0, 1, 3];

/** How many plays there are. */
export const PLAYS: number = TWINS.length * DEALS ** ROUNDS;

/** Ticks after the last round until all has to be settled; the view timer has doubled by then. */
const SETTLE_TICKS = 400;

/** What a play is. */
export interface Play {
  readonly twin: number;
  /** One for each round: bit i is the camp of machine i, the last machine is in camp 0. */
  readonly deals: readonly number[];
}

/** The play with a number from 0 to `PLAYS` - 1. */
export function playAt(number: number): Play {
  const deals = Array.from(
    { length: ROUNDS },
    (_, round) => Math.floor(number / DEALS ** round) % DEALS,
  );
  return { twin: TWINS[Math.floor(number / DEALS ** ROUNDS)] ?? 0, deals };
}

/** What came out. */
export interface PlayResult {
  readonly violation: Violation | undefined;
  readonly height: number;
  readonly view: number;
  readonly messages: number;
  /** Accusations by correct members. */
  readonly evidence: number;
}

/** Plays. The same play always gives the same result. */
export async function play(
  { twin, deals }: Play,
  mutants: readonly MutantName[] = [],
): Promise<PlayResult> {
  const treason = { node: twin, behaviours: [], twins: true };
  const world = new World({ ...smallWorld([treason], mutants), twinsMeetAll: true });
  let violation: Violation | undefined;
  try {
    for (const process of world.processes) process.start();
    for (const deal of deals) await round(world, deal);
    await settle(world);
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    violation = error;
  }
  const { log, counters } = world.monitor;
  return {
    violation,
    height: log.height,
    view: counters.viewChanges,
    messages: world.messages,
    evidence: counters.evidence,
  };
}

async function round(world: World, deal: number): Promise<void> {
  const camp = (process: Process): number => (deal >>> world.processes.indexOf(process)) & 1;
  world.interceptor = ({ from, to, message }) =>
    message.kind !== 'status' && camp(from) !== camp(to);
  for (const process of world.processes) await process.submit(world.register.issue());
  await world.run(world.now + ROUND_TICKS * TICK_UNITS);
}

/** One of the twins is switched off; what is left are four members that hear each other. */
async function settle(world: World): Promise<void> {
  const second = world.processes.at(-1);
  second?.crash(0);
  world.interceptor = ({ from, to }) => from === second || to === second;
  const awaited: SimRequest[] = [];
  for (const process of world.correct) {
    const request = world.register.issue();
    if (await process.submit(request)) awaited.push(request);
  }
  const isDone = (): boolean =>
    awaited.length > 0 &&
    awaited.every(({ id }) => world.correct.every(({ disk }) => disk.ledger.isCommitted(id)));
  await world.run(world.now + SETTLE_TICKS * TICK_UNITS, isDone);
  if (!isDone()) throw new Violation('I13', 'four members come to no end');
}
