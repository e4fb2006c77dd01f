// Durations on the command line.
import { usageError } from '../errors.ts';

const UNITS: ReadonlyMap<string, number> = new Map([
  ['', 1],
  ['s', 1],
  ['m', 60],
  ['h', 3600],
  ['d', 86_400],
]);
/** Ten years. */
const SECONDS_MAX = 3650 * 86_400;

/**
 * Reads `90`, `90s`, `10m`, `2h` or `7d`.
 *
 * @returns seconds, 1 to ten years
 * @throws {CliError} BP9003
 */
export function parseDuration(text: string): number {
  const match = /^([1-9][0-9]{0,8})([smhd]?)$/.exec(text);
  const unit = UNITS.get(match?.[2] ?? '?');
  const seconds = match?.[1] === undefined || unit === undefined ? 0 : Number(match[1]) * unit;
  if (seconds < 1 || seconds > SECONDS_MAX) {
    throw usageError(`not a duration like 90s, 10m, 2h or 7d: ${text}`);
  }
  return seconds;
}
