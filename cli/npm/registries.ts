// Which registry a package comes from when it does not come from the log, and which token belongs to which
// host: what npm's own configuration says, read here because npm tells nobody its tokens.
//
// A project may name registries. Tokens are the user's alone: in a project's file `${NPM_TOKEN}` behind a
// stranger's host would send the user's token there with the next install.
import { join } from 'node:path';

import type { Context } from '../context.ts';
import { CliError, configError, systemCode } from '../errors.ts';
import { readTextIfThere } from '../read-file.ts';
import { systemReason } from '../system-reasons.ts';
import { runChild } from './child.ts';
import { npmFailed } from './npm.ts';
import { readNpmrcLines } from '../lockfiles/npmrc-lines.ts';
import { inPrivateFolder } from './private-folder.ts';

const NPMRC_BYTES_MAX = 256 * 1024;
const TOKEN_LENGTH_MAX = 4096;

/** Registries and the tokens for them. */
export interface Registries {
  /** Address for a package, with a slash at the end. */
  readonly registryOf: (name: string) => string;
  /** `Authorization` for an address, if the user has one for just that host and path. */
  readonly authorizationFor: (url: string) => string | undefined;
}

/**
 * Reads them.
 *
 * @param named the default registry, where the user says so
 * @throws {CliError} BP9004 for what can't be read, BP9003 for an address that is none
 */
export async function readRegistries(
  context: Context,
  project: string,
  named: string | undefined,
): Promise<Registries> {
  const { env } = context;
  const userPath =
    env['npm_config_userconfig'] ??
    env['NPM_CONFIG_USERCONFIG'] ??
    join(env['HOME'] ?? '', '.npmrc');
  const [user, own] = await Promise.all([
    readLines(userPath, env),
    // Without variables: nothing of the user's environment goes where a project points.
    readLines(join(project, '.npmrc'), {}),
  ]);
  const nearer = new Map([...user, ...registriesIn(env)]);
  const { registry, globalPath } = await askNpm(context, named ?? nearer.get('registry'));
  const global =
    globalPath === undefined ? new Map<string, string>() : await readLines(globalPath, env);
  // The project's word goes last, the other way round than in npm: a project that says where the user's `@acme`
  // lives could have what an exception for `@acme/*` allows come from a stranger.
  const settings = new Map([...own, ...global, ...nearer]);
  const fallback = named ?? settings.get('registry') ?? registry;
  const tokens = [...user].flatMap(([key, value]) => readToken(key, value));
  return {
    registryOf: (name) => {
      const scope = name.startsWith('@') ? name.slice(0, name.indexOf('/')) : undefined;
      const scoped = scope === undefined ? undefined : settings.get(`${scope}:registry`);
      return registryAddress(scoped ?? fallback);
    },
    authorizationFor: (url) => authorizationFor(tokens, url),
  };
}

/** What the environment says of registries, read as npm reads it. */
function registriesIn(env: Context['env']): ReadonlyMap<string, string> {
  const found = new Map<string, string>();
  for (const [name, value] of Object.entries(env)) {
    const [, rest] = /^npm_config_(.+)$/i.exec(name) ?? [];
    if (rest === undefined || value === undefined || value === '') continue;
    const key = rest.toLowerCase().replaceAll(/(?!^)_/g, '-');
    if (/^(?:@[^:]+:)?registry$/.test(key)) found.set(key, value);
  }
  return found;
}

/** Variables that say where npm's file for the whole machine is. */
const GLOBAL_PLACES = /^npm_config_(?:globalconfig|prefix)$/i;

// What npm itself falls back to, and its file for the whole machine, which nobody else knows the place of. It looks
// in the folders above for one that has this folder as a workspace.
async function askNpm(
  context: Context,
  known: string | undefined,
): Promise<{ readonly registry: string; readonly globalPath: string | undefined }> {
  const { HOME = '' } = context.env;
  const places = Object.entries(context.env).flatMap(([name, value]) =>
    GLOBAL_PLACES.test(name) && value !== undefined ? [[name, value] as const] : [],
  );
  const env = { ...Object.fromEntries(places), HOME };
  const args = ['config', 'get', 'registry', 'globalconfig', '--no-workspaces'];
  try {
    const result = await inPrivateFolder(async (cwd) => {
      return await runChild('npm', args, { cwd, context, env });
    });
    if (result.code !== 0) throw npmFailed('npm config get registry', result);
    const [, registry] = /^registry=(.*)$/m.exec(result.stdout) ?? [];
    const [, globalPath] = /^globalconfig=(.*)$/m.exec(result.stdout) ?? [];
    if (registry === undefined) throw npmFailed('npm config get registry', result);
    return { registry: registry.trim(), globalPath: globalPath?.trim() };
  } catch (error) {
    // Who has no npm has no settings of it for the whole machine.
    if (known === undefined || !(error instanceof CliError)) throw error;
    return { registry: known, globalPath: undefined };
  }
}

function registryAddress(text: string): string {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const isPlain = url !== undefined && url.username === '' && url.hash === '' && url.search === '';
  if (!isPlain || !/^https?:$/.test(url.protocol)) {
    throw configError('npm is configured with a registry that is no plain address');
  }
  return url.href.endsWith('/') ? url.href : `${url.href}/`;
}

interface Token {
  /** `//host[:port]/path/`. */
  readonly place: string;
  readonly authorization: string;
}

function readToken(key: string, value: string): readonly Token[] {
  const match = /^(\/\/[^/\s]+\/(?:[^\s]*\/)?):(_authtoken|_auth)$/.exec(key);
  const [, place, kind] = match ?? [];
  // Line breaks would be headers of their own.
  if (place === undefined || value.length > TOKEN_LENGTH_MAX || !/^[\x21-\x7e]+$/.test(value)) {
    return [];
  }
  return [{ place, authorization: `${kind === '_auth' ? 'Basic' : 'Bearer'} ${value}` }];
}

function authorizationFor(tokens: readonly Token[], url: string): string | undefined {
  const { protocol, host, hostname, pathname } = new URL(url);
  // In the clear it would be everybody's on the way.
  const isPrivate = protocol === 'https:' || hostname === '127.0.0.1' || hostname === 'localhost';
  if (!isPrivate) return undefined;
  const asked = `//${host}${pathname}`.toLowerCase();
  const fitting = tokens.filter(({ place }) => asked.startsWith(place));
  return fitting.toSorted((a, b) => b.place.length - a.place.length)[0]?.authorization;
}

async function readLines(path: string, env: Context['env']): Promise<ReadonlyMap<string, string>> {
  try {
    const text = (await readTextIfThere(path, NPMRC_BYTES_MAX)) ?? '';
    const found = new Map<string, string>();
    for (const { key, value } of readNpmrcLines(text)) {
      const known = value.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (whole, name: string) => {
        return env[name] ?? whole;
      });
      found.set(key, known);
    }
    return found;
  } catch (error) {
    if (error instanceof CliError) throw error;
    if (systemCode(error) === 'ENOENT') return new Map();
    throw new CliError('BP9004', `${path}: ${systemReason(error, 'cannot be read')}`);
  }
}
