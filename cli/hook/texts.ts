// The files that a project with the hook has: plain JavaScript that any Node of the last years runs, with
// no dependency, so that they work in a fresh clone where nothing is installed yet. They decide nothing:
// they find bftpkg and hand over. Written as text because they belong to the project, not to this program.

/**
 * `.bftpkg/hook.cjs`: finds bftpkg outside of the project, and runs `bftpkg hook run`.
 *
 * @param version of bftpkg that the project was set up with, and that is needed at least
 */
export function runnerText(version: string): string {
  return `'use strict';
// Written by \`bftpkg hook install\`; \`bftpkg hook check\` compares it. It finds bftpkg and hands over.
// bftpkg has to be installed on the machine, outside of this project: what a project brings along in
// node_modules is what is to be verified, and can't do it.
const { spawnSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const NEEDED = ${JSON.stringify(version)};
const ROOT = path.resolve(__dirname, '..');
const INSTALL = 'npm install --global --ignore-scripts --omit=optional bftpkg@' + NEEDED;

// Package managers put node_modules/.bin in front of PATH, where any dependency could leave a "bftpkg",
// or a "node" for the real one to be started with.
function isOutside(folder) {
  if (!path.isAbsolute(folder)) return false;
  const full = path.resolve(folder);
  if (full.split(path.sep).includes('node_modules')) return false;
  return full !== ROOT && !full.startsWith(ROOT + path.sep);
}

function folders() {
  const name = Object.keys(process.env).find((key) => key.toUpperCase() === 'PATH');
  return (name === undefined ? '' : process.env[name] || '').split(path.delimiter).filter(isOutside);
}

// The program's own file, so that no shell is needed to start it.
function find() {
  const named = process.env.BFTPKG_BIN;
  if (named !== undefined && path.isAbsolute(named)) return named;
  const places = process.platform === 'win32' ? ['node_modules/bftpkg/dist/cli/main.js'] : ['bftpkg'];
  for (const folder of folders()) {
    for (const place of places) {
      const file = path.join(folder, place);
      try {
        if (fs.statSync(file).isFile()) return fs.realpathSync(file);
      } catch (error) {
        continue;
      }
    }
  }
  return undefined;
}

// bun takes variables that are not set from the project's .env files, Yarn 1 any from its .yarnrc. With them a
// project could say which bftpkg is asked, by whose policy, and what Node loads before it.
const MATTERS = /(?:^|[\\s"'\`;])((?:BFTPKG|XDG)_[A-Za-z0-9_]*|HOME|USERPROFILE|(?:LOCAL)?APPDATA|PATH|TMPDIR|TE?MP|NODE_EXTRA_CA_CERTS|[A-Za-z]+_PROXY)\\s*[=:]/i;
// Under bun these alone go on; the names of what could do harm are looked for in the files.
const KEPT = /^(?:BFTPKG_.*|XDG_.*|HOME|USERPROFILE|APPDATA|LOCALAPPDATA|TMPDIR|TEMP|TMP|SystemRoot|NODE_EXTRA_CA_CERTS|[A-Za-z]+_PROXY|LANG|LC_[A-Z]+|TERM|CI|NO_COLOR|FORCE_COLOR)$/i;
// Names may share a line with others (\`a, env:\`, \`b 1env:\`) and be written with escapes, which Windows' paths do
// without as well. What is no remark for sure counts.
const SETS_ENV = /^(?![ \\t]*#).*(?:\\\\|env["']?\\s*[,:])/m;
const FILE_BYTES_MAX = 1024 * 1024;

function textOf(file) {
  const facts = fs.statSync(file);
  if (!facts.isFile() || facts.size > FILE_BYTES_MAX) throw new Error(file + ': not a file of variables');
  return fs.readFileSync(file, 'utf8');
}

// By the system's own record: HOME is among what Yarn may have been told.
function homeOfUser() {
  try {
    return fs.realpathSync(os.userInfo().homedir);
  } catch (error) {
    return undefined;
  }
}

// What in the project sets variables that matter; undefined when nothing does.
function variablesFromProject() {
  if (process.versions.bun !== undefined) {
    for (const folder of new Set([ROOT, process.cwd()])) {
      for (const name of fs.readdirSync(folder)) {
        if (name !== '.env' && !name.startsWith('.env.')) continue;
        const match = MATTERS.exec(textOf(path.join(folder, name)));
        if (match !== null) return path.join(folder, name) + ' sets ' + match[1];
      }
    }
  }
  // Yarn 1 reads those of all folders above, too; the user's own is what the user says.
  const home = homeOfUser();
  for (let folder = ROOT; ; folder = path.dirname(folder)) {
    const classic = path.join(folder, '.yarnrc');
    if ((folder === ROOT || folder !== home) && fs.existsSync(classic) && SETS_ENV.test(textOf(classic))) {
      return classic + ' sets env, or has an escape that could';
    }
    if (path.dirname(folder) === folder) break;
  }
  return undefined;
}

function environment() {
  const env = {};
  for (const key of Object.keys(process.env)) {
    if (key.toUpperCase() === 'PATH') continue;
    if (process.versions.bun === undefined || KEPT.test(key)) env[key] = process.env[key];
  }
  env.PATH = folders().join(path.delimiter);
  return env;
}

function run(event, words, extra) {
  let found;
  try {
    found = variablesFromProject();
  } catch (error) {
    found = String(error.message);
  }
  if (found !== undefined) {
    process.stderr.write(
      'bftpkg: ' + found + ', which the hook would believe; nothing was verified and nothing may be installed.\\n' +
        'bftpkg: take it out of the project, or install with bftpkg itself.\\n',
    );
    return 2;
  }
  const program = find();
  if (program === undefined) {
    process.stderr.write(
      'bftpkg: not found outside of this project, so nothing was verified and nothing may be installed.\\n' +
        'bftpkg: install it once on this machine:  ' + INSTALL + '\\n',
    );
    return 2;
  }
  const isScript = /\\.[cm]?js$/.test(program);
  const args = ['hook', 'run', '--event', event, '--needed', NEEDED, ...(extra || []), '--', ...words];
  // Not process.execPath: under bun that is bun.
  const command = isScript ? 'node' : program;
  const options = { cwd: ROOT, env: environment(), stdio: ['ignore', 'inherit', 'inherit'] };
  const result = spawnSync(command, isScript ? [program, ...args] : args, options);
  if (result.error !== undefined) {
    process.stderr.write('bftpkg: ' + String(result.error.message) + '\\n');
    return 2;
  }
  return typeof result.status === 'number' ? result.status : 2;
}

// What was typed, as far as the package manager tells its scripts.
function typedWords() {
  const { npm_config_argv: classic, npm_command: command } = process.env;
  try {
    if (classic !== undefined) return JSON.parse(classic).original.map(String);
  } catch (error) {
    return ['update'];
  }
  return command === undefined ? [] : [command];
}

function refused(code) {
  return new Error('bftpkg refused this install (exit ' + code + '); nothing was fetched');
}

exports.run = run;
exports.refused = refused;

if (require.main === module) {
  if (process.argv[2] === '--where') {
    process.stdout.write((find() || '') + '\\n');
  } else {
    process.exitCode = run(String(process.argv[2] || ''), typedWords());
  }
}
`;
}

/** `.bftpkg/yarn-plugin.cjs`. */
export function pluginText(): string {
  return `'use strict';
// Written by \`bftpkg hook install\`. Yarn asks it before it resolves or fetches anything.
module.exports = {
  name: 'bftpkg-hook',
  factory: () => {
    const hook = require('./hook.cjs');
    return {
      hooks: {
        validateProject() {
          const code = hook.run('validateProject', process.argv.slice(2), ['--manager', 'yarn-berry']);
          if (code !== 0) throw hook.refused(code);
        },
      },
    };
  },
};
`;
}

/** `.bftpkg/bun-scanner.mjs`. */
export function scannerText(): string {
  return `// Written by \`bftpkg hook install\`. bun asks it before it fetches anything, and tells it what it is about to
// install: all of that has to be in the lockfile that is verified.
import { createRequire } from 'node:module';

const hook = createRequire(import.meta.url)('./hook.cjs');

export const scanner = {
  version: '1',
  async scan({ packages }) {
    const chosen = packages.map(({ name, version }) => name + '@' + version);
    process.env.BFTPKG_HOOK_PACKAGES = JSON.stringify(chosen);
    const code = hook.run('scan', [], ['--manager', 'bun']);
    delete process.env.BFTPKG_HOOK_PACKAGES;
    if (code !== 0) throw hook.refused(code);
    return [];
  },
};
`;
}
