// What a benchmark says: tables of figures, each beside its floor where it has one.

/** One line of a table. */
export interface Figure {
  readonly what: string;
  readonly value: number;
  readonly unit: string;
  /** The least (or, for rates, the most) that this machine could do, measured in the same run. */
  readonly floor?: number;
  /** How the floor was got, or what else a reader has to know. */
  readonly note?: string;
}

/** The figures of one benchmark. */
export interface Section {
  readonly name: string;
  /** What was done, in a sentence or two. */
  readonly about: string;
  readonly figures: readonly Figure[];
}

/** Where and when the figures were taken. */
export interface Circumstances {
  readonly date: string;
  readonly machine: string;
  readonly versions: string;
  /** Whether the figures are those of the full benchmark or of hasty ones. */
  readonly sizes: string;
  /** Average number of busy processes in the minute before, and how many cores there are. */
  readonly load: number;
  readonly cores: number;
}

/** Four significant digits: more would be noise. */
export function round(value: number): string {
  if (!Number.isFinite(value)) return '–';
  if (Math.abs(value) >= 1000) return String(Math.round(value));
  return String(Number(value.toPrecision(3)));
}

/** The results as a Markdown document. */
export function renderMarkdown(
  sections: readonly Section[],
  { date, machine, versions, sizes, load, cores }: Circumstances,
): string {
  // More busy processes than cores before anything was started: wall times are somebody else's.
  const isShared = load > 0.5 * cores;
  const lines = [
    '# Results of `npm run bench`',
    '',
    'Made by one command, never edited. Floors are measured in the same run on the same machine; the',
    'ratio is value to floor.',
    '',
    `- date: ${date}`,
    `- machine: ${machine}`,
    `- versions: ${versions}`,
    `- sizes: ${sizes}`,
    `- load before the run: ${round(load)} on ${cores} cores${
      isShared
        ? ': **a shared, busy machine**. CPU times and ratios count; wall times and rates are too bad.'
        : ''
    }`,
  ];
  for (const { name, about, figures } of sections) {
    lines.push('', `## ${name}`, '', about, '');
    lines.push('| what | value | floor | ratio | note |', '|---|--:|--:|--:|---|');
    for (const { what, value, unit, floor, note } of figures) {
      const beside =
        floor === undefined ? ['', ''] : [`${round(floor)} ${unit}`, round(value / floor)];
      const shown = `${round(value)} ${unit}`.trimEnd();
      lines.push(`| ${[what, shown, ...beside, note ?? ''].join(' | ')} |`);
    }
  }
  return `${lines.join('\n')}\n`;
}
