// The last step of `install` and `ci`: install scripts of those packages whose scripts are allowed.
import { join } from 'node:path';

import type { Invocation } from '../context.ts';
import type { BundleListing } from '../npm/bundled.ts';
import { exists, type Lockfile } from '../npm/lockfile.ts';
import {
  runScripts,
  scriptedPackages,
  scriptedText,
  type ScriptedPackage,
} from '../npm/scripts.ts';
import type { ProvenEntries } from '../npm/staged-lock.ts';
import type { Verification } from '../output/report.ts';
import { mayRunScripts } from '../policy/scripts.ts';
import type { LogSession } from '../session/log-session.ts';

/** Whose scripts ran, and whose did not. */
export type ScriptReport = NonNullable<Verification['installed']>['scripts'];

/** What was installed, and how scripts are started. */
export interface ScriptScene {
  readonly proven: ProvenEntries;
  readonly bundles: ReadonlyMap<string, BundleListing>;
  /** A private folder. */
  readonly scratch: string;
  /** How to start npm, where scripts are to have no network. */
  readonly through?: readonly string[];
}

/**
 * Runs what is allowed, and says what isn't.
 *
 * @param wanted `true` for all, `false` for none; left out, those that the lists allow
 * @throws {CliError} BP7007 when the scripts of a required package fail
 */
export async function runAllowedScripts(
  invocation: Invocation,
  session: LogSession,
  lockfile: Lockfile,
  project: string,
  scene: ScriptScene,
  wanted: boolean | undefined,
): Promise<ScriptReport> {
  const mode = wanted === undefined ? 'listed' : wanted ? 'all' : 'none';
  const { layers } = session.config.policy;
  const present: ScriptedPackage[] = [];
  for (const each of scriptedPackages(lockfile, scene.proven, scene.bundles)) {
    // What npm left out for its platform or by a setting has no scripts to run.
    if (await exists(join(project, each.key, 'package.json'))) present.push(each);
  }
  // A bundled package has no signature of its own; a list that names it means the one that has.
  const isAllowed = (each: ScriptedPackage): boolean =>
    each.isBundled
      ? mode === 'all' && mayRunScripts(layers, mode, ownerOf(each, lockfile))
      : mayRunScripts(layers, mode, each);
  const allowed = present.filter(isAllowed);
  const skipped = present.filter((each) => !allowed.includes(each)).map(scriptedText);
  const dropped = await runScripts(allowed, {
    project,
    scratch: scene.scratch,
    context: invocation.context,
    onStart: (what) => invocation.progress(`running ${what}`),
    ...(scene.through === undefined ? {} : { through: scene.through }),
  });
  const failed = dropped.map(scriptedText);
  if (failed.length > 0) {
    invocation.notice(`left out, since their install scripts failed: ${failed.join(', ')}`);
  }
  if (skipped.length > 0) {
    invocation.notice(`install scripts not run: ${brief(skipped)} (see: bftpkg explain scripts)`);
  }
  const ran = allowed.map(scriptedText).filter((text) => !failed.includes(text));
  return { ran, skipped, failed };
}

function ownerOf(
  { key }: ScriptedPackage,
  { entries }: Lockfile,
): { readonly name: string; readonly version: string } {
  const entry = entries.find((each) => each.key === key);
  const owner = entry?.kind === 'bundled' ? entry.owner : key;
  const found = entries.find((each) => each.key === owner);
  return { name: found?.name ?? '', version: found?.version ?? '' };
}

const NAMED_MAX = 5;

function brief(names: readonly string[]): string {
  const more = names.length > NAMED_MAX ? ` and ${names.length - NAMED_MAX} more` : '';
  return `${names.slice(0, NAMED_MAX).join(', ')}${more}`;
}
