#!/usr/bin/env node
// The `bftpkg` program: streams, signals and the exit code. What is decided is decided elsewhere.
import { readFileSync } from 'node:fs';

import { tuneForShortRuns } from './engine.ts';
import { runCli } from './run.ts';

// Beside the sources, or one folder further up from the compiled files.
function readVersion(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(new URL(place, import.meta.url), 'utf8');
      const { name, version } = JSON.parse(text) as {
        readonly name?: string;
        readonly version?: string;
      };
      if (name === 'bftpkg' && version !== undefined) return version;
    } catch {
      continue;
    }
  }
  return '0.0.0-unknown';
}

// A reader that goes away (`bftpkg verify | head`) must not turn into a stack trace. The exit code
// stays the verdict's.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => undefined);

tuneForShortRuns();
process.exitCode = await runCli(process.argv.slice(2), readVersion());
