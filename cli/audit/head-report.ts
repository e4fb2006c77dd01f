// A checkpoint as it is reported by the auditor's commands.
import { encodeBase64 } from '../../verifier/encoding.ts';
import type { JsonObject } from '../../verifier/json.ts';
import type { Invocation } from '../context.ts';
import { formatAge } from '../output/human.ts';
import { diagnostic, type Diagnostic } from '../output/report.ts';
import type { Access } from './access.ts';
import type { LogView } from './log-view.ts';

/** Seconds since at least one correct replica said that this was the newest checkpoint. */
function ageSeconds(view: LogView, { context }: Invocation): number {
  return Math.floor(context.nowMs() / 1000) - view.checkpoint.certifiedTime;
}

/** The same, for people. */
export function ageOf(view: LogView, invocation: Invocation): string {
  return formatAge(ageSeconds(view, invocation));
}

/** The names of the replicas that cosigned. */
function signersOf({ roster, checkpoint }: LogView): readonly string[] {
  return checkpoint.cosignatures.map(({ replica }) => roster.replicas[replica]?.name ?? '?');
}

/** The checkpoint for machines. */
export function headData(view: LogView, invocation: Invocation): JsonObject {
  const { origin, size, root } = view.checkpoint.checkpoint;
  return {
    origin,
    size,
    root: encodeBase64(root),
    ageSeconds: ageSeconds(view, invocation),
    certifiedTime: view.checkpoint.certifiedTime,
    epoch: view.roster.epoch,
    signers: [...signersOf(view)],
  };
}

/** The checkpoint for people. */
export function headLines(view: LogView, invocation: Invocation): readonly string[] {
  const { origin, size, root } = view.checkpoint.checkpoint;
  const { quorum, total } = view.roster.thresholds;
  return [
    `log ${origin}`,
    `checkpoint ${size} · ${ageOf(view, invocation)} old · epoch ${view.roster.epoch} · signed by ` +
      `${signersOf(view).join(' ')} (weight ${view.checkpoint.weight} of ${total}, ${quorum} needed)`,
    `root ${encodeBase64(root)}`,
  ];
}

/** Old views are reported, not refused: an audit of a stopped log is an audit too. */
export function ageWarnings(
  view: LogView,
  { checkpointAgeMaxSeconds }: Pick<Access, 'checkpointAgeMaxSeconds'>,
  invocation: Invocation,
): readonly Diagnostic[] {
  if (ageSeconds(view, invocation) <= checkpointAgeMaxSeconds) return [];
  const message = `the newest checkpoint shown is ${ageOf(view, invocation)} old`;
  return [
    diagnostic('BP4001', message, {
      severity: 'warning',
      hints: ['ask another replica: a newer part of the log may be hidden from you'],
    }),
  ];
}
