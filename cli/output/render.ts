// From a report to the text of a format. Each format's code is loaded when it is asked for, so that
// nobody waits for the others.
import { makeStyle, type Style } from './color.ts';
import type { Format } from './formats.ts';
import type { RunFacts } from './json.ts';
import type { Report } from './report.ts';

/** What goes where: the report to stdout, what people need to know beside it to stderr. */
export interface Rendered {
  readonly stdout: string;
  readonly stderr: string;
}

/** How a report for people is shown. */
export interface RenderOptions {
  readonly style: Style;
  readonly verbose: boolean;
  readonly quiet: boolean;
  readonly width?: number | undefined;
}

/** Files have neither colours nor a width, and are read by whatever reads UTF-8. */
export const FILE_OPTIONS: RenderOptions = {
  style: makeStyle(false, true),
  verbose: true,
  quiet: false,
};

/**
 * Renders a report.
 *
 * @param isStarted for `ndjson`: whether the first line is out already
 */
export async function render(
  format: Format,
  report: Report,
  facts: RunFacts,
  options: RenderOptions,
  isStarted: boolean = false,
): Promise<Rendered> {
  if (format === 'human') {
    const { renderHuman } = await import('./human.ts');
    return renderHuman(report, facts, options.style, options);
  }
  if (report.result?.raw !== undefined) return { stdout: report.result.raw, stderr: '' };
  return { stdout: await renderData(format, report, facts, options, isStarted), stderr: '' };
}

async function renderData(
  format: Exclude<Format, 'human'>,
  report: Report,
  facts: RunFacts,
  options: RenderOptions,
  isStarted: boolean,
): Promise<string> {
  switch (format) {
    case 'concise':
      return (await import('./concise.ts')).renderConcise(report, options.style);
    case 'json':
      return (await import('./json.ts')).renderJson(report, facts);
    case 'ndjson': {
      const { ndjsonStart, renderNdjson } = await import('./ndjson.ts');
      const { reproducible, startedAtMs, version } = facts;
      const start = ndjsonStart(
        report.command,
        version,
        reproducible === true ? null : startedAtMs,
      );
      return (isStarted ? '' : start) + renderNdjson(report, facts);
    }
    case 'sarif':
      return (await import('./sarif.ts')).renderSarif(report, facts);
    case 'junit':
      return (await import('./junit.ts')).renderJUnit(report, facts);
    case 'github':
      return (await import('./github.ts')).renderGitHub(report, facts);
    case 'markdown':
      return (await import('./markdown.ts')).renderMarkdown(report, facts);
  }
}
