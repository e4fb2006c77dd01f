// Is it this clock, or the log? A view that is too old looks the same when somebody freezes the log and
// when this machine's clock is ahead. The replicas' own clocks (the Date of their answers) tell the two
// apart. They are hints for people and never change a verdict: nobody has signed them.
import { formatAge } from '../output/human.ts';

/** What is allowed between two clocks that are kept by NTP: a Date header has whole seconds. */
export const CLOCK_AGREES_SECONDS = 5;

/** What the replicas' clocks say about this one. */
export type ClockVerdict =
  /** Too few clocks to know: up to a third of them may lie. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'agrees'; readonly clocks: number; readonly withinSeconds: number }
  /** `aheadSeconds` is negative for a clock that is behind. */
  | { readonly kind: 'differs'; readonly clocks: number; readonly aheadSeconds: number };

/**
 * Judges this clock by others.
 *
 * @param aheadSeconds for each replica that answered, how far this clock is ahead of it
 * @param total        replicas that were asked
 */
export function judgeClock(aheadSeconds: readonly number[], total: number): ClockVerdict {
  // With 2f+1 clocks, of which f may say anything, the median lies between two honest ones.
  const faulty = Math.floor((total - 1) / 3);
  const clocks = aheadSeconds.length;
  const middle = aheadSeconds.toSorted((a, b) => a - b)[Math.floor(clocks / 2)];
  if (middle === undefined || clocks < 2 * faulty + 1) return { kind: 'unknown' };
  if (Math.abs(middle) > CLOCK_AGREES_SECONDS) {
    return { kind: 'differs', clocks, aheadSeconds: middle };
  }
  const near = aheadSeconds.filter((each) => Math.abs(each) <= CLOCK_AGREES_SECONDS);
  const withinSeconds = Math.max(...near.map(Math.abs));
  return { kind: 'agrees', clocks: near.length, withinSeconds };
}

/** The verdict for people: what it means for a view that is too old, or from the future. */
export function describeClock(verdict: ClockVerdict): string {
  switch (verdict.kind) {
    case 'unknown':
      return 'too few replicas answered to say whether it is the clock of this machine';
    case 'agrees':
      return (
        `your clock is within ${verdict.withinSeconds}s of ${verdict.clocks} replicas, so this is not ` +
        'your clock: the log stands still, or someone hides its newer part from you'
      );
    case 'differs':
      return `your clock is ${describeDifference(verdict)}: set it, then try again`;
  }
}

/** `3h 2m ahead of 3 replicas` */
export function describeDifference({
  aheadSeconds,
  clocks,
}: Extract<ClockVerdict, { kind: 'differs' }>): string {
  const side = aheadSeconds > 0 ? 'ahead of' : 'behind';
  return `${formatAge(Math.abs(aheadSeconds))} ${side} ${clocks} replicas`;
}
