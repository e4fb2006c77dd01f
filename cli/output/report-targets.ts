// What `--report FORMAT=FILE` says.
import { usageError } from '../errors.ts';
import { FORMATS, isFormat, type Format } from './formats.ts';

/** A report to be written to a file. */
export interface ReportTarget {
  readonly format: Format;
  /** As it was typed. */
  readonly file: string;
}

// A run makes one report of each kind, at most; more is a mistake in a build script.
const TARGETS_MAX = 16;

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
