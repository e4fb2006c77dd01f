// Rule 5 of DESIGN 5: no one package can fill the log. Counted in windows of agreed time, so that the
// count is a function of the entries alone and a quiet log does not hold anybody back.
import { quote } from '../errors.ts';
import { LedgerError } from './errors.ts';
import type { LedgerView, PackageActivity } from './view.ts';

/** Length of a window, seconds: an hour, so that whoever runs into the limit knows when to go on. */
export const RATE_WINDOW_SECONDS = 3600;

/**
 * Entries of one package in one window. The busiest packages publish some dozens of versions a day; a
 * thousand in an hour is a mistake or an attack, and still only seconds of the log's capacity.
 */
export const RATE_ENTRIES_MAX = 1000;

/** The activity after one more entry at that time. */
export function activityAfter(
  before: PackageActivity | undefined,
  timeSeconds: number,
): PackageActivity {
  const window = Math.floor(timeSeconds / RATE_WINDOW_SECONDS);
  const entries = before?.window === window ? before.entries : 0;
  return { window, entries: entries + 1 };
}

/**
 * Refuses an entry above the limit.
 *
 * @throws {LedgerError} `RATE_LIMITED`
 */
export function requireRate(view: LedgerView, name: string, timeSeconds: number): void {
  const { entries } = activityAfter(view.activity(name), timeSeconds);
  if (entries <= RATE_ENTRIES_MAX) return;
  throw new LedgerError(
    'RATE_LIMITED',
    `${quote(name)} has had ${RATE_ENTRIES_MAX} entries within ${RATE_WINDOW_SECONDS} seconds`,
    { hint: 'send it again in the next hour' },
  );
}
