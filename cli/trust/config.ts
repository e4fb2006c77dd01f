// Which log a run believes, where its replicas are, and by which policy it judges: the project's
// `bftpkg.json` and the user's own file together. Plain data, never code: a verifier must not run what
// is in the repository that it checks.
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';

import type { Context, Globals } from '../context.ts';
import { CliError, configError } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { BASELINE_BYTES_MAX, parseBaseline } from '../policy/baseline.ts';
import {
  CONFIG_FORMAT,
  parseConfigText,
  parsePackageJsonConfig,
  type ConfigFile,
} from '../policy/config-file.ts';
import type { Baseline, Layer, Origin, Policy } from '../policy/policy.ts';
import { configFolder } from './folders.ts';
import { requireOwnAbove } from './owners.ts';

/** Name of the project's file. */
export const CONFIG_NAME = 'bftpkg.json';
const USER_CONFIG_NAME = 'config.json';

/** Ten minutes: replicas sign anew every minute, and a revocation should reach users within minutes. */
export const CHECKPOINT_AGE_MAX_SECONDS = 600;

/** What applies to a run. */
export interface Config {
  /** The file that names the log. */
  readonly path: string;
  /** Hash of the roster that is believed, hex. */
  readonly pin: string;
  /** Base addresses of replicas, at least one, distinct. */
  readonly replicas: readonly string[];
  readonly checkpointAgeMaxSeconds: number;
  readonly policy: Policy;
}

/** The files that were found, as they are. */
export interface ConfigFiles {
  readonly project: ConfigFile | undefined;
  readonly user: ConfigFile | undefined;
  readonly baseline: Baseline | undefined;
}

/**
 * Finds and reads the configuration: `--config`, else `BFTPKG_CONFIG`, else the nearest
 * `bftpkg.json` (or package.json with a `bftpkg` member) in the project's folder or above it, up to
 * the root of its repository; and `bftpkg/config.json` of the user, which also serves where no project
 * has a file.
 *
 * @throws {CliError} BP9004; BP6011 for a log that the user's file does not admit
 */
export async function loadConfig(context: Context, globals: Globals): Promise<Config> {
  const files = await readConfigFiles(context, globals);
  const config = combineConfig(files);
  if (config !== undefined) return config;
  throw configError(
    `no ${CONFIG_NAME} in ${globals.project} or above it`,
    'make one: bftpkg init --pin <roster hash> --replica https://…',
  );
}

/** Reads the files without combining them. @throws {CliError} BP9004 */
export async function readConfigFiles(context: Context, globals: Globals): Promise<ConfigFiles> {
  const [project, user] = await Promise.all([
    readProjectFile(context, globals),
    readUserFile(context),
  ]);
  return { project, user, baseline: await readBaseline(project) };
}

/** Path of the user's own file, whether it exists or not. */
export function userConfigPath(env: Context['env']): string {
  return join(configFolder(env), USER_CONFIG_NAME);
}

async function readProjectFile(
  context: Context,
  globals: Globals,
): Promise<ConfigFile | undefined> {
  const named = globals.config ?? fromEnvironment(context);
  if (named !== undefined) {
    const text = await readTextIfThere(named);
    if (text === undefined) throw configError(`${named}: no such file`);
    return parseConfigText(text, named, 'project');
  }
  // As many steps as a path can have parts: ends at the root of the file system at the latest.
  for (let folder = globals.project; ; folder = dirname(folder)) {
    const found = await readFolder(folder);
    if (found !== undefined) {
      if (folder !== globals.project) {
        await requireOwnAbove(found.path, globals.project, '--config');
      }
      return found;
    }
    // Above the repository is nothing of the project's.
    if (dirname(folder) === folder || (await exists(join(folder, '.git')))) return undefined;
  }
}

async function readFolder(folder: string): Promise<ConfigFile | undefined> {
  const path = join(folder, CONFIG_NAME);
  const text = await readTextIfThere(path);
  if (text !== undefined) return parseConfigText(text, path, 'project');
  const manifest = join(folder, 'package.json');
  const source = await readTextIfThere(manifest);
  // Most have none, and what is wrong with those is for others to say.
  if (source === undefined || !source.includes('"bftpkg"')) return undefined;
  return parsePackageJsonConfig(source, manifest);
}

function fromEnvironment(context: Context): string | undefined {
  const named = context.env['BFTPKG_CONFIG'];
  return named === undefined || named === '' ? undefined : resolve(context.cwd, named);
}

/** The user's own file; `undefined` when there is none. @throws {CliError} BP9004 */
export async function readUserFile({ env }: Context): Promise<ConfigFile | undefined> {
  const path = userConfigPath(env);
  const text = await readTextIfThere(path);
  return text === undefined ? undefined : parseConfigText(text, path, 'user');
}

async function readBaseline(project: ConfigFile | undefined): Promise<Baseline | undefined> {
  if (project?.baseline === undefined) return undefined;
  const path = join(dirname(project.path), project.baseline);
  const text = await readTextIfThere(path, BASELINE_BYTES_MAX);
  // A baseline that is not there permits nothing.
  if (text === undefined) return { path, packages: [] };
  try {
    return parseBaseline(text, path);
  } catch (error) {
    const detail = error instanceof Error ? error.message : String(error);
    throw configError(`${path}: ${detail}`, undefined, error);
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * What the files say together. A project's file can only tighten the user's: all rules of both apply,
 * the smaller age counts, and the log must be one that the user admits.
 *
 * @returns `undefined` when no file names a log
 * @throws {CliError} BP6011; BP9004 for a project's file without a log
 */
export function combineConfig({ project, user, baseline }: ConfigFiles): Config | undefined {
  const naming = project ?? user;
  if (naming === undefined) return undefined;
  const { pin, replicas, path } = naming;
  if (pin === undefined || replicas === undefined) {
    if (project === undefined) return undefined;
    throw configError(`${path}: ${pin === undefined ? 'pin' : 'replicas'} is missing`);
  }
  if (project !== undefined && user !== undefined && !isAdmitted(pin, user)) {
    throw new CliError('BP6011', `${path}: pins a log that is not one of yours`, {
      details: [
        ['pinned', pin],
        ['yours', user.path],
      ],
      hints: ['compare it with what the operators publish, then add it to pins in your own file'],
    });
  }
  const ages = [project, user].flatMap((file) => file?.checkpointAgeMaxSeconds ?? []);
  return {
    path,
    pin,
    replicas,
    checkpointAgeMaxSeconds: ages.length === 0 ? CHECKPOINT_AGE_MAX_SECONDS : Math.min(...ages),
    policy: combinePolicy({ project, user, baseline }),
  };
}

// A user who names a log in whichever way has said whom to believe. Were `pin` a default only, a pull request
// could replace the log by one of its author's.
function isAdmitted(pin: string, user: ConfigFile): boolean {
  const named = [...(user.pins ?? []), ...(user.pin === undefined ? [] : [user.pin])];
  return (user.pins === undefined && named.length === 0) || named.includes(pin);
}

function combinePolicy({ project, user, baseline }: ConfigFiles): Policy {
  const folder = project === undefined ? undefined : dirname(project.path);
  return {
    layers: [...layersOf('user', user), ...layersOf('project', project)],
    baseline,
    trustsProject:
      folder !== undefined &&
      user !== undefined &&
      user.trustedProjects.some((trusted) => resolve(trusted) === folder),
  };
}

function layersOf(origin: Origin, file: ConfigFile | undefined): readonly Layer[] {
  if (file === undefined) return [];
  const { path: source, checkpointAgeMaxSeconds, rules, exceptions, allowScripts } = file;
  const layer = { origin, source, checkpointAgeMaxSeconds, rules, exceptions };
  return [allowScripts === undefined ? layer : { ...layer, allowScripts }];
}

/**
 * Reads the text of a project's configuration.
 *
 * @param path for messages
 * @throws {CliError} BP9004
 */
export function parseConfig(text: string, path: string): Config {
  const project = parseConfigText(text, path, 'project');
  const config = combineConfig({ project, user: undefined, baseline: undefined });
  if (config !== undefined) return config;
  throw configError(`${path}: it names no log (${CONFIG_FORMAT})`);
}
