#!/usr/bin/env node
// The `bftpkg` program: streams, signals and the exit code. What is decided is decided elsewhere.
import { readProgramVersion } from '../verifier/node/program-version.ts';
import { tuneForShortRuns } from './engine.ts';
import { runCli } from './run.ts';

// A reader that goes away (`bftpkg verify | head`) must not turn into a stack trace. The exit code
// stays the verdict's.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

tuneForShortRuns();
process.exitCode = await runCli(process.argv.slice(2), readProgramVersion());
