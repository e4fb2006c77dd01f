// Changes to files that people write and review: in place, so that their comments and order stay, and
// shown as a diff before anything is written.
import { applyEdits, findNodeAtLocation, modify, parseTree, type JSONPath } from 'jsonc-parser';

/** Lines of the file shown around a change. */
const CONTEXT_LINES = 2;

/**
 * Sets one member of a JSON document with comments.
 *
 * @param path  from the document's root; -1 appends to an array
 * @param value `undefined` removes it
 */
export function editJson(text: string, path: JSONPath, value: unknown): string {
  if (value === undefined) {
    const removed = withoutLastItem(text, path);
    if (removed !== undefined) return removed;
  }
  const isAppended = path.at(-1) === -1;
  const edits = modify(text, path, value, {
    formattingOptions: { insertSpaces: true, tabSize: 2, eol: '\n' },
    ...(isAppended ? { isArrayInsertion: true } : {}),
  });
  return applyEdits(text, edits);
}

// The library takes the last item off up to one character before the end of its list: the end of a line, it believes.
// Of a list on one line the item's own `}` stayed, and nothing could be removed any more.
function withoutLastItem(text: string, path: JSONPath): string | undefined {
  const root = parseTree(text);
  const item = root === undefined ? undefined : findNodeAtLocation(root, path);
  const items = item?.parent?.type === 'array' ? (item.parent.children ?? []) : [];
  const before = items.at(-2);
  if (item === undefined || before === undefined || items.at(-1) !== item) return undefined;
  return text.slice(0, before.offset + before.length) + text.slice(item.offset + item.length);
}

/** Where the configuration stands in its file: at the root, or in package.json. */
export function configRoot(path: string): readonly string[] {
  return /(?:^|[\\/])package\.json$/.test(path) ? ['bftpkg'] : [];
}

/**
 * The change of a file as lines for people: the one place where the two texts differ, with a little of
 * what is around. Empty when they are equal.
 *
 * @param before `undefined` for a new file
 */
export function diffLines(name: string, before: string | undefined, after: string): string[] {
  if (before === after) return [];
  const [old, now] = [linesOf(before ?? ''), linesOf(after)];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start++;
  let end = 0;
  const rest = Math.min(old.length, now.length) - start;
  while (end < rest && old.at(-1 - end) === now.at(-1 - end)) end++;
  const lead = now.slice(Math.max(0, start - CONTEXT_LINES), start);
  const tail = now.slice(now.length - end, now.length - end + CONTEXT_LINES);
  return [
    `--- ${before === undefined ? '(new file)' : name}`,
    `+++ ${name}`,
    `@@ line ${start + 1} @@`,
    ...lead.map((line) => `  ${line}`),
    ...old.slice(start, old.length - end).map((line) => `- ${line}`),
    ...now.slice(start, now.length - end).map((line) => `+ ${line}`),
    ...tail.map((line) => `  ${line}`),
  ];
}

// A diff of a thousand packages is for the version control system to show.
const DIFF_LINES_MAX = 60;

/** The first lines of a diff. */
export function shorten(
  lines: readonly string[],
  linesMax: number = DIFF_LINES_MAX,
): readonly string[] {
  if (lines.length <= linesMax) return lines;
  return [...lines.slice(0, linesMax), `… and ${lines.length - linesMax} more lines`];
}

function linesOf(text: string): readonly string[] {
  return text === '' ? [] : text.replace(/\n$/, '').split('\n');
}
