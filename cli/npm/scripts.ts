// Install scripts of what was verified, for those packages whose scripts are allowed. They are run one by
// one in the folder of the entry that was verified: `npm rebuild <name>` goes by names, and a bundled
// package or an alias can have any name (tried). Which scripts there are is read from the signed
// manifest, that of a bundled package from its owner's verified tarball; npm's own rules differ from
// version to version (10 and 11 run everything, 12 nothing).
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';

import type { JsonObject } from '../../verifier/json.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import { asTable } from '../lockfiles/classify.ts';
import type { BundleListing } from './bundled.ts';
import type { LockEntry, Lockfile } from './lockfile.ts';
import { npmFailed, runNpm } from './npm.ts';
import type { ProvenEntries } from './staged-lock.ts';

/** In the order in which npm runs them: each for all packages before the next one. */
const EVENTS = ['preinstall', 'install', 'postinstall'] as const;
type Event = (typeof EVENTS)[number];

/** What npm runs for a `binding.gyp` that no script speaks of. */
const GYP_SCRIPT = 'node-gyp rebuild';

/** A package that has install scripts. */
export interface ScriptedPackage {
  /** Key of its entry: its folder. */
  readonly key: string;
  readonly name: string;
  readonly version: string;
  /** Inside of another package's tarball: signed with it, but under no name of its own. */
  readonly isBundled: boolean;
  /** Whether the project does without it when its scripts fail. */
  readonly isOptional: boolean;
  readonly events: ReadonlyMap<Event, string>;
}

/** `name@version` for people. */
export function scriptedText({ name, version, isBundled }: ScriptedPackage): string {
  return `${name}@${version}${isBundled ? ' (bundled)' : ''}`;
}

/** Lists the installed packages of a lockfile that have install scripts, in the order of npm. */
export function scriptedPackages(
  lockfile: Lockfile,
  proven: ProvenEntries,
  bundles: ReadonlyMap<string, BundleListing>,
): readonly ScriptedPackage[] {
  const found = lockfile.entries.flatMap((entry) => {
    const manifest = manifestOf(entry, proven);
    const scripts = asTable(manifest?.['scripts']) ?? {};
    const events = new Map<Event, string>();
    for (const event of EVENTS) {
      const script = scripts[event];
      if (typeof script === 'string' && script !== '') events.set(event, script);
    }
    if (entry.kind === 'bundled' && isBuiltImplicitly(entry, events, bundles)) {
      events.set('install', GYP_SCRIPT);
    }
    if (events.size === 0) return [];
    const { key, name, version } = entry;
    const isBundled = entry.kind === 'bundled';
    const isOptional = entry.kind === 'registry' && entry.optional;
    return [{ key, name, version: version ?? '?', isBundled, isOptional, events }];
  });
  const depth = ({ key }: ScriptedPackage): number => key.split('/').length;
  return found.toSorted((a, b) => depth(a) - depth(b) || (a.key < b.key ? -1 : 1));
}

function manifestOf(
  entry: LockEntry,
  { releases, bundled }: ProvenEntries,
): JsonObject | undefined {
  return releases.get(entry.key)?.manifest ?? bundled.get(entry.key);
}

function isBuiltImplicitly(
  entry: LockEntry & { readonly kind: 'bundled' },
  events: ReadonlyMap<Event, string>,
  bundles: ReadonlyMap<string, BundleListing>,
): boolean {
  if (events.has('preinstall') || events.has('install')) return false;
  const folder = entry.key.slice(entry.owner.length + 1);
  return bundles.get(entry.owner)?.get(folder)?.isBuiltByGyp === true;
}

/** Where and how scripts run. */
export interface ScriptRun {
  readonly project: string;
  /** A private folder, for npm's cache. */
  readonly scratch: string;
  readonly context: Context;
  readonly onStart: (what: string) => void;
  /** How to start npm, where scripts are to have no network. */
  readonly through?: readonly string[];
}

// What a shell takes literally between double quotes. Names of the log are made of these; only the name
// of an alias, which is the lockfile's, could hold more.
const PLAIN_FOLDER = /^[A-Za-z0-9@._~/+-]+$/;

/**
 * Runs scripts.
 *
 * @returns packages that the project does without, because their scripts failed: their folders are gone
 * @throws {CliError} BP7007 when the scripts of a required package fail
 */
export async function runScripts(
  packages: readonly ScriptedPackage[],
  run: ScriptRun,
): Promise<readonly ScriptedPackage[]> {
  const dropped = new Set<ScriptedPackage>();
  for (const event of EVENTS) {
    for (const each of packages) {
      const script = each.events.get(event);
      if (script === undefined || dropped.has(each)) continue;
      run.onStart(`${event} of ${scriptedText(each)}`);
      const result = await runOne(each, event, script, run);
      if (result.code === 0) continue;
      if (!each.isOptional) {
        throw npmFailed(`${event} of ${scriptedText(each)}`, result, 'BP7007');
      }
      await rm(join(run.project, each.key), { recursive: true, force: true });
      dropped.add(each);
    }
  }
  return [...dropped];
}

async function runOne(
  { key }: ScriptedPackage,
  event: Event,
  script: string,
  run: ScriptRun,
): ReturnType<typeof runNpm> {
  const folder = join(run.project, key);
  const cache = join(run.scratch, '.cache');
  // `--ignore-scripts` keeps npm from running what else is called pre… and post… of the event.
  // `--force`, because a package may ask for another package manager for its own development (devEngines).
  const args = ['run', '--ignore-scripts=true', '--force', event];
  const through = run.through === undefined ? {} : { through: run.through };
  const shared = { context: run.context, cache, scripts: true, ...through } as const;
  if (script !== GYP_SCRIPT) return await runNpm({ ...shared, cwd: folder, args });
  // It may stand in no package.json, so npm is given one that says it.
  if (!PLAIN_FOLDER.test(key)) throw new CliError('BP9005', `${key}: not built in such a folder`);
  const place = join(run.scratch, 'gyp');
  await mkdir(place, { recursive: true });
  const command = `${GYP_SCRIPT} --directory="${relative(place, folder)}"`;
  const document = { name: 'gyp', version: '0.0.0', scripts: { [event]: command } };
  await writeFile(join(place, 'package.json'), JSON.stringify(document));
  return await runNpm({ ...shared, cwd: place, args });
}
