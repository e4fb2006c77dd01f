// Names of the report formats, and what `--report FORMAT=FILE` says.
import { usageError } from '../errors.ts';

/** Every format; the first two are for people. */
export const FORMATS = [
  'human',
  'concise',
  'json',
  'ndjson',
  'sarif',
  'junit',
  'github',
  'markdown',
] as const;

export type Format = (typeof FORMATS)[number];

/** A report to be written to a file. */
export interface ReportTarget {
  readonly format: Format;
  /** As it was typed. */
  readonly file: string;
}

// A run makes one report of each kind, at most; more is a mistake in a build script.
const TARGETS_MAX = 16;

/** Whether a text is the name of a format. */
export function isFormat(text: string): text is Format {
  return FORMATS.some((format) => format === text);
}

/**
 * Reads all `--report FORMAT=FILE`.
 *
 * @throws {CliError} BP9003: unknown format, no file, one file twice
 */
export function parseReportTargets(texts: readonly string[]): readonly ReportTarget[] {
  const targets = texts.map(parseReportTarget);
  if (targets.length > TARGETS_MAX) throw usageError(`more than ${TARGETS_MAX} --report`);
  const files = new Set(targets.map(({ file }) => file));
  if (files.size !== targets.length) throw usageError('--report: one file is named twice');
  return targets;
}

function parseReportTarget(text: string): ReportTarget {
  const at = text.indexOf('=');
  const [format, file] = [text.slice(0, Math.max(0, at)), text.slice(at + 1)];
  // `-` would be a file of that name; stdout has --format.
  if (at > 0 && isFormat(format) && file !== '' && file !== '-') return { format, file };
  throw usageError(
    `--report ${text}: not FORMAT=FILE`,
    `for example --report sarif=bftpkg.sarif; formats: ${FORMATS.join(', ')}`,
  );
}
