// Message 12: a traitor that shows its two faces to one correct member alone must not be able to count on
// its silence. In the end every correct member holds what any of them has come by in the present epoch.
import { type Disk, proofName } from './disk.ts';
import { nameOf } from './monitor.ts';
import type { Misbehaviour } from '../consensus/types.ts';
import type { World } from './world.ts';

/** A proof that one correct member keeps and another one lacks, in words. */
export function lackedProof(world: World): string | undefined {
  const members = world.correctMembers.filter(({ isUp, hasFailed }) => isUp && !hasFailed);
  const proofs = new Map<string, Misbehaviour>();
  for (const { disk } of members) {
    for (const report of handedOn(disk, world.roster.epoch)) proofs.set(proofName(report), report);
  }
  for (const report of proofs.values()) {
    const without = members.find(({ disk }) => !disk.hasProof(report));
    if (without === undefined) continue;
    return `${without.node.name} lacks the proof ${report.rule} against ${nameOf(report.accused)}`;
  }
  return undefined;
}

/** Not X8: whoever has to vote on an invalid proposal finds that out by itself. */
function handedOn(disk: Disk, epoch: number): readonly Misbehaviour[] {
  return disk.proofs.filter((report) => report.epoch === epoch && report.rule !== 'X8');
}
