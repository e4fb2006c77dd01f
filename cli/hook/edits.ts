// What `bftpkg hook install` writes into files of the project, and how it is taken out again. Pure: texts
// in, texts out. Each change is made once however often it is asked for, and removing gives back what was
// there before.
import { parse } from 'jsonc-parser';

import { CliError } from '../errors.ts';
import { asTable } from '../lockfiles/classify.ts';
import { editJson } from '../policy/edit.ts';
import type { JsonValue } from '../../verifier/json.ts';

/** Folder of everything that belongs to the hook. */
export const HOOK_FOLDER = '.bftpkg';
export const RUNNER_PATH: string = `${HOOK_FOLDER}/hook.cjs`;
export const PLUGIN_PATH: string = `${HOOK_FOLDER}/yarn-plugin.cjs`;
export const SCANNER_PATH: string = `${HOOK_FOLDER}/bun-scanner.mjs`;

/** A change of one file. */
export interface Edit {
  /** Relative to the project. */
  readonly path: string;
  /** The text with the change. @throws {CliError} BP9004 when the file must be changed by hand */
  readonly apply: (text: string | undefined) => string;
  /** The text without it; `undefined` when nothing is left. */
  readonly remove: (text: string) => string | undefined;
}

/** A file that is the hook's own. */
export function ownFile(path: string, content: string): Edit {
  return { path, apply: () => content, remove: () => undefined };
}

/** A script of package.json, in front of what it does already. */
export function scriptEdit(name: string): Edit {
  const call = `node ${RUNNER_PATH} ${name}`;
  return {
    path: 'package.json',
    apply: (text = '{}\n') => {
      const before = scriptOf(text, name);
      if (before?.startsWith(call) === true) return text;
      return editJson(
        text,
        ['scripts', name],
        before === undefined ? call : `${call} && ${before}`,
      );
    },
    remove: (text) => {
      const before = scriptOf(text, name);
      if (before?.startsWith(call) !== true) return text;
      const rest = before.slice(call.length).replace(/^ && /, '');
      if (rest !== '') return editJson(text, ['scripts', name], rest);
      const without = editJson(text, ['scripts', name], undefined);
      const scripts = asTable((parse(without) as { scripts?: JsonValue }).scripts) ?? {};
      return Object.keys(scripts).length > 0 ? without : editJson(without, ['scripts'], undefined);
    },
  };
}

function scriptOf(text: string, name: string): string | undefined {
  const document = parse(text) as { scripts?: JsonValue } | undefined;
  const script = asTable(document?.scripts)?.[name];
  return typeof script === 'string' ? script : undefined;
}

const BLOCK_START = 'bftpkg hook: begin (bftpkg hook remove takes it out)';
const BLOCK_END = 'bftpkg hook: end';

/** Lines at the end of a file, between two marks. */
function blockEdit(path: string, comment: string, lines: readonly string[]): Edit {
  const block = [`${comment} ${BLOCK_START}`, ...lines, `${comment} ${BLOCK_END}`].join('\n');
  return {
    path,
    apply: (text = '') => {
      const plain = removeBlock(text, comment);
      // A line of its own, also behind a file that does not end with a line.
      const gap = plain === '' || plain.endsWith('\n') ? '' : '\n';
      return `${plain}${gap}${block}\n`;
    },
    remove: (text) => {
      const plain = removeBlock(text, comment);
      return plain === '' ? undefined : plain;
    },
  };
}

function removeBlock(text: string, comment: string): string {
  const start = text.indexOf(`${comment} ${BLOCK_START}`);
  const endMark = `${comment} ${BLOCK_END}`;
  const end = start < 0 ? -1 : text.indexOf(endMark, start);
  if (end < 0) return text;
  return text.slice(0, start) + text.slice(end + endMark.length).replace(/^\r?\n/, '');
}

/** npm's settings against programs that a dependency from git could make it start. */
export function npmrcEdit(): Edit {
  return blockEdit('.npmrc', '#', ['allow-git=none']);
}

/** bun's scanner, which it asks before it fetches anything. */
export function bunfigEdit(): Edit {
  const lines = ['[install.security]', `scanner = "./${SCANNER_PATH}"`];
  const edit = blockEdit('bunfig.toml', '#', lines);
  return {
    ...edit,
    apply: (text = '') => {
      const plain = removeBlock(text, '#');
      if (/^\s*\[\s*install\s*\.\s*security\s*\]|^\s*security\s*=|^\s*security\s*\./m.test(plain)) {
        throw byHand(
          'bunfig.toml',
          `[install.security] has a scanner; put ${lines[1] ?? ''} there`,
        );
      }
      return edit.apply(text);
    },
  };
}

const PLUGIN_LINE = `- path: ./${PLUGIN_PATH}`;

/** Yarn's plugin, which it asks before it fetches anything. */
export function yarnrcEdit(): Edit {
  return {
    path: '.yarnrc.yml',
    apply: (text = '') => {
      if (text.includes(PLUGIN_LINE)) return text;
      const lines = text.split('\n');
      const at = lines.findIndex((line) => /^plugins\s*:/.test(line));
      if (at < 0) {
        const gap = text === '' || text.endsWith('\n') ? '' : '\n';
        return `${text}${gap}plugins:\n  ${PLUGIN_LINE}\n`;
      }
      if (!/^plugins:\s*$/.test(lines[at] ?? '')) {
        throw byHand('.yarnrc.yml', `plugins is not a plain list; add ${PLUGIN_LINE} to it`);
      }
      // As far in as the items that are there.
      const indent = /^(\s*)-/.exec(lines[at + 1] ?? '')?.[1] ?? '  ';
      lines.splice(at + 1, 0, `${indent}${PLUGIN_LINE}`);
      return lines.join('\n');
    },
    remove: (text) => {
      const lines = text.split('\n');
      const at = lines.findIndex((line) => line.trim() === PLUGIN_LINE);
      if (at < 0) return text;
      lines.splice(at, 1);
      // The list that only we were in.
      const isAlone = /^plugins:\s*$/.test(lines[at - 1] ?? '') && !/^\s*-/.test(lines[at] ?? '');
      if (isAlone) lines.splice(at - 1, 1);
      const rest = lines.join('\n');
      return rest.trim() === '' ? undefined : rest;
    },
  };
}

/** The versions of npm that can be guarded by a hook, which older ones since 10.9 check before all else. */
export function devEnginesEdit(): Edit {
  const wanted = { name: 'npm', version: '>=12.0.0', onFail: 'error' };
  const path = ['devEngines', 'packageManager'];
  const present = (text: string): JsonValue | undefined =>
    asTable((parse(text) as { devEngines?: JsonValue } | undefined)?.devEngines)?.[
      'packageManager'
    ];
  return {
    path: 'package.json',
    apply: (text = '{}\n') => {
      const before = present(text);
      if (before === undefined) return editJson(text, path, wanted);
      if (JSON.stringify(before) === JSON.stringify(wanted)) return text;
      throw byHand('package.json', 'devEngines.packageManager says something else already');
    },
    remove: (text) => {
      if (JSON.stringify(present(text)) !== JSON.stringify(wanted)) return text;
      const without = editJson(text, path, undefined);
      const rest = asTable((parse(without) as { devEngines?: JsonValue }).devEngines) ?? {};
      return Object.keys(rest).length > 0 ? without : editJson(without, ['devEngines'], undefined);
    },
  };
}

function byHand(path: string, why: string): CliError {
  return new CliError('BP9004', `${path}: ${why}`, { hints: ['then bftpkg hook check'] });
}
