// The syntax of .npmrc, as npm reads it.

/** A setting: its line from 1, its key in lower case, and its value as it is written. */
export interface NpmrcLine {
  readonly line: number;
  readonly key: string;
  readonly value: string;
}

/** The settings of a text, read as npm reads them, but for variables, which stay as they are. */
export function readNpmrcLines(text: string): readonly NpmrcLine[] {
  const found: NpmrcLine[] = [];
  for (const [at, raw] of text.split(/\r\n|\r|\n/).entries()) {
    const plain = raw.trim();
    if (plain === '' || plain.startsWith('#') || plain.startsWith(';')) continue;
    found.push({ line: at + 1, ...splitLine(plain) });
  }
  return found;
}

// As the ini reader of npm: a comment may follow, `[]` marks lists, a key alone is true.
function splitLine(line: string): { readonly key: string; readonly value: string } {
  const at = line.indexOf('=');
  const key = unquote(at < 0 ? line : line.slice(0, at))
    .replace(/\[\]$/, '')
    .toLowerCase();
  return { key, value: at < 0 ? 'true' : unquote(line.slice(at + 1)) };
}

// Keys are read like values: `"gi\u0074"`, `git;x` and `'"git"'` are all `git` to npm.
function unquote(text: string): string {
  const plain = text.trim();
  const isQuoted = /^(?:".*"|'.*')$/s.test(plain) || plain === '"' || plain === "'";
  if (!isQuoted) return withoutComment(plain);
  const inner = plain.startsWith("'") ? plain.slice(1, -1) : plain;
  try {
    return String(JSON.parse(inner)).trim();
  } catch {
    return inner;
  }
}

function withoutComment(text: string): string {
  const [before = ''] = /^(?:\\.|[^\\;#])*\\?/s.exec(text) ?? [];
  return before.replace(/\\([\\;#])/g, '$1').trim();
}
