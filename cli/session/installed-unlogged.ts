// Packages on disk that the log does not have, and a policy may allow all the same: the lockfile's digest says
// what they have to be.
import { join } from 'node:path';

import { checkTarball } from '../../verifier/archive/tarball.ts';
import type { Invocation } from '../context.ts';
import { comparePackage } from '../installed/compare.ts';
import type { InstalledThing } from '../installed/tree.ts';
import { asTexts } from '../lockfiles/classify.ts';
import type { LockEntry } from '../lockfiles/lockfile.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { inflateInTurn } from '../npm/inflation.ts';
import { diagnostic, type Diagnostic } from '../output/report.ts';
import { cacheFolder } from '../trust/folders.ts';
import { LISTED_MAX, type Findings } from './installed-findings.ts';
import type { Compared } from './installed-links.ts';

/**
 * Compares them with the tarballs of the cache, where an installation that the policy allowed has left them. What
 * is not there is not fetched: no replica has it, and the registry's word was no part of what was allowed.
 */
export async function compareUnlogged(
  { context }: Invocation,
  root: string,
  others: readonly {
    readonly at: Extract<InstalledThing, { kind: 'package' }>;
    readonly entry: LockEntry | undefined;
  }[],
  { bundled, programs, paths }: Compared,
  findings: Findings,
): Promise<void> {
  const store = new ArtifactStore(join(cacheFolder(context.env), 'artifacts'));
  for (const { at, entry } of others) {
    if (entry === undefined || bundled.has(at.path)) continue;
    if (entry.kind !== 'registry' && entry.kind !== 'refused') continue;
    const { sha512, key } = entry;
    const bytes = sha512 === undefined ? undefined : await store.read(sha512);
    if (bytes === undefined) {
      findings.add(key, notCompared(entry, at.path));
      continue;
    }
    await inflateInTurn(bytes, async (inflate) => {
      const listing = await checkTarball(bytes, inflate);
      const comparison = await comparePackage(join(root, at.path), listing);
      paths.add(at.path);
      for (const inner of comparison.bundled) bundled.add(`${at.path}/${inner}`);
      for (const [name, target] of asTexts(listing.manifest['bin'])) {
        programs.add(`${name} ${at.path}/${target}`);
      }
      const { differences } = comparison;
      if (differences.length === 0) return;
      const details = differences
        .slice(0, LISTED_MAX)
        .map(({ kind, path }) => [kind, `${at.path}/${path}`] as const);
      const count = differences.length === 1 ? '1 file' : `${differences.length} files`;
      const message = `${entry.name}@${entry.version ?? '?'}: ${count} in ${at.path} not as in the tarball of the lockfile`;
      const hints = ['look at these files; then remove node_modules and run: bftpkg ci'];
      findings.add(key, diagnostic('BP1008', message, { details, hints }));
    });
  }
}

function notCompared({ name, version }: LockEntry, path: string): Diagnostic {
  const message = `${name}@${version ?? ''}: not verified, and ${path} was not compared either: its tarball is not in the cache`;
  return diagnostic('BP1008', message, { severity: 'warning' });
}
