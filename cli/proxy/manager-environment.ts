// The settings that send npm, pnpm, both Yarns and bun through the proxy and nowhere else (measured:
// which variable which of them obeys, and that variables beat a project's files). Their usual caches are
// replaced by empty ones: what lies in a warm cache is used without asking anybody.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import type { Context } from '../context.ts';

/** Where the managers are sent. */
export interface ProxyAddresses {
  readonly registry: string;
  readonly forward: string;
}

/** A host that can't exist (RFC 2606). */
const NOBODY = 'nobody.invalid';

type Variables = Readonly<Record<string, string>>;

// Settings of package managers, of proxies, and of git: what is not set here must not be set at all.
const REPLACED =
  /^(?:npm_config_|npm_package_|pnpm_config_|yarn_|bun_config_|bun_install_cache_dir$|corepack_|git_allow_protocol$|(?:https?|all|no|ftp)_proxy$)/i;

/** A protocol that git does not have: it may then speak none. */
const NO_PROTOCOL = 'none';

/**
 * Makes the private stores and empty configuration files below `folder`.
 *
 * @param scopes scopes for which the project names a registry: they come here as well
 * @param program what is run, where that is known: npm warns of variables that are meant for pnpm
 * @returns variables to add to those of {@link keptVariables}
 */
export async function managerVariables(
  { registry, forward }: ProxyAddresses,
  folder: string,
  scopes: readonly string[] = [],
  program = '',
): Promise<Variables> {
  const store = (name: string): string => join(folder, name);
  await mkdir(folder, { recursive: true, mode: 0o700 });
  // Two files, because npm refuses to load one twice. The user's own has the tokens: they stay here.
  const [user, global] = [store('user.npmrc'), store('global.npmrc')];
  await Promise.all([writeFile(user, ''), writeFile(global, '')]);
  const proxies = [
    'HTTP_PROXY',
    'HTTPS_PROXY',
    'http_proxy',
    'https_proxy',
    'ALL_PROXY',
    'all_proxy',
  ];
  return {
    ...Object.fromEntries(proxies.map((name) => [name, forward])),
    // Said outright, not just left out: bun takes what is not set from the project's `.env`, and
    // `NO_PROXY=*` there would have it fetch round the proxy.
    NO_PROXY: NOBODY,
    no_proxy: NOBODY,
    // Whoever clones does so past every check, over whatever protocol.
    GIT_ALLOW_PROTOCOL: NO_PROTOCOL,
    GIT_TERMINAL_PROMPT: '0',
    ...npmVariables({ registry, forward }, { cache: store('npm'), user, global }),
    ...Object.fromEntries(scopes.map((scope) => [`npm_config_${scope}:registry`, registry])),
    ...(/(?:^|[\\/])np[mx](?:\.cmd)?$/.test(program) ? {} : pnpmVariables(registry, store)),
    ...yarnVariables({ registry, forward }, store),
    BUN_CONFIG_REGISTRY: registry,
    BUN_INSTALL_CACHE_DIR: store('bun'),
    COREPACK_NPM_REGISTRY: registry.replace(/\/$/, ''),
    COREPACK_ENABLE_AUTO_PIN: '0',
  };
}

/** Variables that a command inside of the proxy keeps. */
export function keptVariables(env: Context['env']): Variables {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !REPLACED.test(name)) kept[name] = value;
  }
  return kept;
}

function npmVariables(
  { registry, forward }: ProxyAddresses,
  { cache, user, global }: { cache: string; user: string; global: string },
): Variables {
  return {
    npm_config_registry: registry,
    // Of a lockfile that was made with another registry only names, versions and digests count.
    npm_config_replace_registry_host: 'always',
    npm_config_proxy: forward,
    npm_config_https_proxy: forward,
    // Said outright: a project's own `noproxy` would reopen the way out. Not loopback, where others listen
    // too: the registry is asked through the proxy like everybody.
    npm_config_noproxy: NOBODY,
    npm_config_cache: cache,
    npm_config_userconfig: user,
    npm_config_globalconfig: global,
    npm_config_allow_git: 'none',
    npm_config_allow_remote: 'none',
    npm_config_allow_file: 'none',
    // An address of this proxy is worth nothing tomorrow, so it does not belong into a lockfile.
    npm_config_omit_lockfile_registry_resolved: 'true',
    npm_config_fetch_retries: '0',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  };
}

function pnpmVariables(registry: string, store: (name: string) => string): Variables {
  const settings = {
    registry,
    store_dir: store('pnpm'),
    cache_dir: store('pnpm-cache'),
    state_dir: store('pnpm-state'),
    noproxy: NOBODY,
    manage_package_manager_versions: 'false',
    update_notifier: 'false',
    fetch_retries: '0',
  };
  // Versions before 11 read npm's variables, later ones their own.
  return Object.fromEntries(
    Object.entries(settings).flatMap(([name, value]) => [
      [`npm_config_${name}`, value],
      [`pnpm_config_${name}`, value],
    ]),
  );
}

function yarnVariables(
  { registry, forward }: ProxyAddresses,
  store: (name: string) => string,
): Variables {
  return {
    // A program in the repository that would run instead of the user's own Yarn.
    YARN_IGNORE_PATH: '1',
    // Classic.
    YARN_REGISTRY: registry,
    YARN_CACHE_FOLDER: store('yarn'),
    // Berry.
    YARN_NPM_REGISTRY_SERVER: registry.replace(/\/$/, ''),
    YARN_UNSAFE_HTTP_WHITELIST: '127.0.0.1',
    YARN_HTTP_PROXY: forward,
    YARN_HTTPS_PROXY: forward,
    YARN_HTTP_RETRY: '0',
    YARN_GLOBAL_FOLDER: store('yarn-berry'),
    YARN_ENABLE_GLOBAL_CACHE: '1',
    YARN_ENABLE_MIRROR: '0',
    YARN_ENABLE_TELEMETRY: '0',
  };
}
