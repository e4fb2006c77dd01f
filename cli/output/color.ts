// Whether a stream gets colour: a pure function of flags, environment and stream, evaluated for each
// stream by itself. First match wins. NO_COLOR beats FORCE_COLOR (Node's own order is the reverse).

/** What the decision depends on. */
export interface ColorInput {
  readonly flag: 'always' | 'never' | 'auto';
  readonly format: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly isTty: boolean;
}

const FORCED_ON = new Set(['', '1', '2', '3', 'true']);
const FORCED_OFF = new Set(['0', 'false']);

/** Whether to write colour to a stream. */
export function wantsColor(input: ColorInput): boolean {
  const { env } = input;
  if (input.flag === 'always') return true;
  if (input.flag === 'never') return false;
  if (input.format !== 'human' && input.format !== 'concise') return false;
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  const force = env['FORCE_COLOR'];
  const cliForce = env['CLICOLOR_FORCE'];
  if (force !== undefined && FORCED_ON.has(force)) return true;
  if (cliForce !== undefined && cliForce !== '' && cliForce !== '0') return true;
  if (force !== undefined && FORCED_OFF.has(force)) return false;
  if ((env['NODE_DISABLE_COLORS'] ?? '') !== '') return false;
  if (env['CLICOLOR'] === '0' || env['TERM'] === 'dumb') return false;
  if (input.isTty) return true;
  return ['GITHUB_ACTIONS', 'GITLAB_CI', 'BUILDKITE'].some((name) => (env[name] ?? '') !== '');
}

/** The few styles that reports use. Colour is never the only signal: each has a mark beside it. */
export interface Style {
  readonly good: (text: string) => string;
  readonly bad: (text: string) => string;
  readonly warn: (text: string) => string;
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  readonly marks: Marks;
}

/** Marks before a line: verified, refused, could not check, skipped, warning. */
export interface Marks {
  readonly ok: string;
  readonly fail: string;
  readonly unknown: string;
  readonly skip: string;
  readonly warn: string;
}

const UNICODE_MARKS: Marks = { ok: '✔', fail: '✖', unknown: '?', skip: '–', warn: '!' };
const ASCII_MARKS: Marks = { ok: 'OK', fail: 'FAIL', unknown: '????', skip: 'SKIP', warn: '!' };

/** Whether the environment's locale can show marks outside ASCII. */
export function wantsUnicode(env: Readonly<Record<string, string | undefined>>): boolean {
  const locale = env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || '';
  // No locale at all is what most containers and build machines have, and their logs are UTF-8.
  return locale === '' || /utf-?8/i.test(locale);
}

/** Makes the styles for one stream. */
export function makeStyle(color: boolean, unicode: boolean): Style {
  const sgr =
    (open: number, close: number) =>
    (text: string): string =>
      color ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return {
    good: sgr(32, 39),
    bad: sgr(31, 39),
    warn: sgr(33, 39),
    dim: sgr(2, 22),
    bold: sgr(1, 22),
    marks: unicode ? UNICODE_MARKS : ASCII_MARKS,
  };
}
