// Unix seconds as text, without a clock: the verifier has no Date, and needs none to write one down.

/** The last second of the year 9999: later ones have another form (ISO 8601 "expanded"). */
export const ISO_SECONDS_MAX = 253_402_300_799;

const DAY_SECONDS = 86_400;
const DAYS_PER_ERA = 146_097;
/** From 0000-03-01, where this calendar's eras of 400 years start, to 1970-01-01. */
const EPOCH_DAYS = 719_468;

/**
 * Seconds as ISO 8601 in UTC, as JavaScript's own dates print it: `1970-01-01T00:00:10.000Z`.
 *
 * Years are counted from March, so that the leap day is the last of its year (Hinnant's
 * `civil_from_days`).
 *
 * @param seconds whole Unix seconds, 0 to {@link ISO_SECONDS_MAX}; larger ones are written as the last
 */
export function isoTime(seconds: number): string {
  const bounded = Math.min(seconds, ISO_SECONDS_MAX);
  const days = Math.floor(bounded / DAY_SECONDS) + EPOCH_DAYS;
  const rest = bounded % DAY_SECONDS;
  const era = Math.floor(days / DAYS_PER_ERA);
  const dayOfEra = days % DAYS_PER_ERA;
  const yearOfEra = Math.floor(
    (dayOfEra -
      Math.floor(dayOfEra / 1460) +
      Math.floor(dayOfEra / 36_524) -
      Math.floor(dayOfEra / 146_096)) /
      365,
  );
  const dayOfYear =
    dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100));
  const marchMonth = Math.floor((5 * dayOfYear + 2) / 153);
  const day = dayOfYear - Math.floor((153 * marchMonth + 2) / 5) + 1;
  const month = marchMonth < 10 ? marchMonth + 3 : marchMonth - 9;
  const year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0);
  const date = `${pad(year, 4)}-${pad(month, 2)}-${pad(day, 2)}`;
  const clock = [rest / 3600, (rest % 3600) / 60, rest % 60].map((part) =>
    pad(Math.floor(part), 2),
  );
  return `${date}T${clock.join(':')}.000Z`;
}

function pad(value: number, digits: number): string {
  return String(value).padStart(digits, '0');
}
