// After a fork: whether what correct replicas have kept anyway proves the guilt of more weight than may
// be faulty (I11, second half). Nothing that only the simulator knows is used but who is correct.
import { createHash } from 'node:crypto';

import { VerifyError } from '../../verifier/errors.ts';
import { blame, type Testimony } from '../../verifier/replication/blame.ts';
import { decodeEvidence, encodeEvidence } from '../../verifier/replication/encode-message.ts';
import { planEvidence } from '../../verifier/replication/judge.ts';
import { newViewBytes } from '../../verifier/replication/encode.ts';
import { Members, NO_MUTANTS } from '../../verifier/replication/members.ts';
import type { EpochContext } from '../../verifier/replication/validate.ts';
import type { Misbehaviour, NewView } from '../consensus/types.ts';
import { decodeKeptNewView } from '../consensus/records.ts';
import { nameOf } from './monitor.ts';
import { ORIGIN } from './nodes.ts';
import type { Process } from './process.ts';
import { Violation } from './violation.ts';
import type { World } from './world.ts';

/** What came out. */
export interface Verdict {
  /** The height that was committed twice. */
  readonly height: number;
  /** Names of those found guilty. */
  readonly accused: readonly string[];
  /** The rules that they broke. */
  readonly rules: readonly Misbehaviour['rule'][];
}

/**
 * Judges a forked world.
 *
 * @returns undefined when there are no two branches
 * @throws {Violation} I11: too few are proven guilty, or somebody correct
 */
export function judgeFork(world: World): Verdict | undefined {
  const height = forkedHeight(world.correct);
  const [first] = world.correct;
  if (height === undefined || first === undefined) return undefined;
  const members = new Members(world.roster, '');
  const testimonies = world.correct.map((process) => testimonyOf(world, process, height, members));
  const { epochStart } = first.disk.durableState();
  const context: EpochContext = { members, epochStart, mutants: NO_MUTANTS };
  const proven = blame(members, testimonies).filter((report) => isProven(world, report, context));
  const wronged = proven.find(({ accused }) => !world.adversary.isTraitor(accused));
  if (wronged !== undefined) {
    throw new Violation('I11', `${wronged.rule} accuses a correct replica after a fork`);
  }
  const accused = new Set(proven.map((report) => report.accused));
  const oracle = world.monitor.oracle(members.epoch);
  if (oracle.weightOfAll(accused) <= oracle.faulty) {
    throw new Violation(
      'I11',
      `a fork at height ${height}, and only ${[...accused].map(nameOf).join(' ') || 'nobody'} is proven guilty`,
    );
  }
  return {
    height,
    accused: [...accused].map(nameOf).sort(),
    rules: [...new Set(proven.map(({ rule }) => rule))].sort(),
  };
}

/** Whether the proof stands by itself, over the wire, as anybody would get it. */
function isProven(world: World, report: Misbehaviour, context: EpochContext): boolean {
  const copy = decodeEvidence(encodeEvidence(report));
  try {
    const plan = planEvidence(copy, context, () => createHash('sha256'));
    plan.finish(plan.jobs.map((job) => world.signatures.verify(job)));
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}

/** The lowest height at which two machines hold different batches. */
function forkedHeight(processes: readonly Process[]): number | undefined {
  const heightMax = Math.max(0, ...processes.map(({ disk }) => disk.height));
  for (let height = 1; height <= heightMax; height++) {
    const digests = new Set(processes.map(({ disk }) => disk.digestAt(height)));
    digests.delete(undefined);
    if (digests.size > 1) return height;
  }
  return undefined;
}

/** What one machine has on its disk about the disputed height. */
function testimonyOf(
  world: World,
  { disk, node }: Process,
  height: number,
  members: Members,
): Testimony {
  const batch = disk.batchAt(height);
  const newViews = disk.transcripts.flatMap((bytes): NewView[] => {
    const { content, signature } = decodeKeptNewView(bytes);
    if (signature !== undefined) return [{ content, signature }];
    // Its own, which is kept before it is signed; it signs the same again (C1).
    if (members.peers[members.leader(content.view)] !== node.peer) return [];
    const own = world.signatures.sign(node.voteKey, newViewBytes(ORIGIN, content));
    return [{ content, signature: own }];
  });
  return { certificates: batch === undefined ? [] : [batch.certificate], newViews, cosigns: [] };
}
