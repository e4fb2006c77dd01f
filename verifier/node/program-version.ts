// Which version of the package this is, for both programs.
import { readFileSync } from 'node:fs';

// From the sources, and from the compiled files, which lie one folder deeper.
const PLACES = ['../../package.json', '../../../package.json'] as const;

/** The version in the package's own package.json. */
export function readProgramVersion(): string {
  for (const place of PLACES) {
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
