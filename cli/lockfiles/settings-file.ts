// The files in which a project tells package managers what to do. Whoever can open a pull request can change
// them, and each can be spelled in ways that a search for a word does not see.
import { quote } from '../../verifier/errors.ts';
import { CliError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';

/** No such file is longer than some kilobytes. */
const SETTINGS_BYTES_MAX = 256 * 1024;

/** A settings file's text; `undefined` when there is none. @throws {CliError} BP9004 */
export async function readSettingsFile(path: string): Promise<string | undefined> {
  return await readTextIfThere(path, SETTINGS_BYTES_MAX);
}

/** A setting at the left edge of a YAML file. */
export interface TopLevelSetting {
  readonly key: string;
  /** From 1. */
  readonly line: number;
  /** What stands behind the key on its line, without a remark: for comparing, not for use. */
  readonly text: string;
}

const NO_SETTING = /^[ \t]*(?:#|$)/;
const START = /^---[ \t]*$/;
const INSIDE = /^(?:[ \t]|-(?: |$))/;
const SETTING =
  /^(?:"([^"\\]*)"|'([^']*)'|([A-Za-z_@][^:#"'{}[\]&*!|>%]*?))[ \t]*:(?:[ \t]+(.*))?$/;

/**
 * The settings of a YAML table in block style. Only what stands at the left edge matters, and of that whatever
 * could be a key in disguise is refused.
 *
 * @throws {CliError} BP6003 for a line that could set anything, BP9004 for a file that can't be read
 */
export async function topLevelSettings(path: string): Promise<readonly TopLevelSetting[]> {
  const found: TopLevelSetting[] = [];
  const text = (await readSettingsFile(path)) ?? '';
  for (const [at, line] of text.split(/\r\n|\r|\n/).entries()) {
    if (NO_SETTING.test(line)) continue;
    // A table that is indented as a whole has its left edge further in, as has one in braces there.
    if (found.length > 0 ? INSIDE.test(line) : START.test(line)) continue;
    const [, double, single, plain, value = ''] = SETTING.exec(line) ?? [];
    const key = double ?? single ?? plain;
    if (key === undefined) {
      throw new CliError('BP6003', `${path}:${at + 1}: cannot tell what it sets: ${quote(line)}`, {
        hints: ['write it as plain lines, key: value'],
      });
    }
    found.push({ key, line: at + 1, text: value.replace(/(?:^|[ \t])#.*$/, '').trim() });
  }
  return found;
}

/** The same, as keys with their lines. */
export async function topLevelKeys(path: string): Promise<ReadonlyMap<string, number>> {
  return new Map((await topLevelSettings(path)).map(({ key, line }) => [key, line]));
}

/** A line of Yarn Classic's `.yarnrc`. */
export interface ClassicLine {
  /** From 1. */
  readonly line: number;
  /** All words but the last one: what it may set. */
  readonly names: readonly string[];
}

// As Yarn splits them: a word goes on up to a blank, a comma or a colon, whatever else is in it.
const CLASSIC_WORD = /"(?:[^"\\]|\\.)*"|#.*|[^\s,:"#][^\s,:]*/g;

/**
 * Reads a `.yarnrc`. A line may set several names to one value (`a, --b true`), and names may be written with
 * escapes, in quotes; Yarn obeys all of it (tried).
 */
export function readClassicLines(text: string): readonly ClassicLine[] {
  return text.split(/\r\n|\r|\n/).map((line, at) => {
    const words = (line.match(CLASSIC_WORD) ?? []).filter((word) => !word.startsWith('#'));
    return { line: at + 1, names: words.slice(0, -1).map(plainWord) };
  });
}

function plainWord(word: string): string {
  if (!word.startsWith('"')) return word.replace(/^\uFEFF/, '');
  try {
    return String(JSON.parse(word));
  } catch {
    return word;
  }
}
