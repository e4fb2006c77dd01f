// Names of report formats and shells. Loaded at every start, so there is nothing else in this file.
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

/** Whether a text is the name of a format. */
export function isFormat(text: string): text is Format {
  return FORMATS.some((format) => format === text);
}

/** Shells that there is a completion script for. */
export const SHELLS = ['bash', 'zsh', 'fish', 'pwsh'] as const;

export type Shell = (typeof SHELLS)[number];
