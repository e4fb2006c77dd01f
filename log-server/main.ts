#!/usr/bin/env node
// `bftpkg-log`: runs a replica of the log, and makes the files that one needs. What goes wrong becomes one
// message and an exit code here.
import { CommanderError } from 'commander';

import { readProgramVersion } from '../verifier/node/program-version.ts';
import { ConfigError } from './config.ts';
import { EXIT } from './exit-codes.ts';
import { describeError } from './log.ts';
import { buildProgram } from './program.ts';

/** System errors about files and ports that a person has to see to. */
const SETUP_TROUBLES: ReadonlySet<string> = new Set([
  'EEXIST',
  'ENOENT',
  'EACCES',
  'EADDRINUSE',
  'EADDRNOTAVAIL',
]);

const argv = process.argv.slice(2);
try {
  await buildProgram(readProgramVersion(), argv).parseAsync(argv, { from: 'user' });
} catch (error) {
  process.exitCode = report(error);
}

/** Says what went wrong on stderr. @returns the exit code */
function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
  if (error instanceof ConfigError) {
    process.stderr.write(`bftpkg-log: error: ${error.message}\n`);
    return EXIT.usage;
  }
  // By name: the module that knows these classes loads the database, which most commands don't need.
  const name = error instanceof Error ? error.name : '';
  if (name === 'DatabaseError' || name === 'DamagedStoreError' || name === 'TemporaryFileError') {
    process.stderr.write(`bftpkg-log: error: ${describeError(error)}\n`);
    return name === 'DamagedStoreError' ? EXIT.damaged : EXIT.usage;
  }
  const code = error instanceof Error && 'code' in error ? error.code : undefined;
  if (isMissingDatabase(error, code)) {
    process.stderr.write(`bftpkg-log: error: better-sqlite3 is not installed or was not built\n`);
    // `npm rebuild` does nothing where npm left it out, which it does in silence when it could not be built.
    process.stderr.write(
      'bftpkg-log: hint: a replica needs it, and its install script: ' +
        'npm install --global --allow-scripts=better-sqlite3 bftpkg (in a checkout: npm rebuild better-sqlite3)\n',
    );
    return EXIT.usage;
  }
  const isSetupTrouble = typeof code === 'string' && SETUP_TROUBLES.has(code);
  const detail = error instanceof Error && !isSetupTrouble ? error.stack : undefined;
  process.stderr.write(`bftpkg-log: error: ${detail ?? describeError(error)}\n`);
  return isSetupTrouble ? EXIT.usage : EXIT.internal;
}

// It is an optional dependency with an install script: clients do without it, and many people turn
// install scripts off.
function isMissingDatabase(error: unknown, code: unknown): boolean {
  if (!(error instanceof Error)) return false;
  if (code === 'ERR_MODULE_NOT_FOUND') return error.message.includes("'better-sqlite3'");
  return error.message.startsWith('Could not locate the bindings file');
}
