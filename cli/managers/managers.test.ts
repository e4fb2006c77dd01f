// What other managers are told, and what of a project they get to see. That it has the effect it should is
// shown with the real ones (fixtures/e2e/managers.test.ts).
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { SILENT } from '../../fixtures/terminal.ts';
import { FakeLog } from '../../fixtures/fake-log.ts';
import type { Context } from '../context.ts';
import { CliError } from '../errors.ts';
import type { JsonValue } from '../../verifier/json.ts';
import { requirePlainWorkspaces } from '../lockfiles/workspaces.ts';
import { keptVariables, managerVariables } from '../proxy/manager-environment.ts';
import { isolation } from '../npm/isolation.ts';
import { findNpm } from '../npm/npm.ts';
import { readRegistries } from '../npm/registries.ts';
import { EXIT } from '../output/exit-codes.ts';
import { fromProxy, toProxy } from './lock-addresses.ts';
import {
  findManager,
  wordsFor,
  type Manager,
  type ManagerKind,
  type ManagerTask,
} from './manager.ts';
import { stagedSettings } from './settings.ts';

const REGISTRY = 'http://127.0.0.1:4873/0123456789abcdef0123456789abcdef/';

function manager(kind: ManagerKind): Manager {
  const name = kind === 'yarn-classic' || kind === 'yarn-berry' ? 'yarn' : kind;
  return { kind, name, version: '1.0.0', lockfile: '' };
}

// The folder for temporary files is everybody's: another user could have put settings there.
describe('questions to package managers', { skip: process.platform === 'win32' }, () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-questions-'));
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  /** A program that notes where it was started and how, and answers. */
  async function context(program: string, answer: string): Promise<Context> {
    const path = join(folder, program);
    const note = `printf '%s\\n' "$PWD" "$HOME" "$YARN_RC_FILENAME" "$*" "$(ls -A)" > ${path}.note`;
    await writeFile(path, `#!/bin/sh\n${note}\necho ${answer}\n`);
    await chmod(path, 0o700);
    return {
      cwd: folder,
      env: { PATH: `${folder}:${process.env['PATH'] ?? ''}`, HOME: folder },
      terminal: SILENT,
      nowMs: Date.now,
      signal: new AbortController().signal,
    };
  }

  async function noted(program: string): Promise<readonly string[]> {
    return (await readFile(join(folder, `${program}.note`), 'utf8')).split('\n');
  }

  it('about their version are asked in a private folder that is gone afterwards', async () => {
    const asked = await context('yarn', '4.1.0');
    const names: (string | undefined)[] = [];
    for (const _ of [1, 2]) {
      assert.equal((await findManager(asked, 'yarn')).kind, 'yarn-berry');
      const [cwd = '', home, rcName, , ...files] = await noted('yarn');
      assert.match(cwd, /\/bftpkg-private-[^/]+$/);
      assert.equal(home, cwd);
      assert.match(rcName ?? '', /^\.[0-9a-f]{32}\.yml$/);
      assert.ok(files.includes('package.json'), files.join(' '));
      assert.equal(existsSync(cwd), false);
      names.push(cwd, rcName);
    }
    assert.equal(new Set(names).size, 4);
  });

  it('about the registry are asked in a private folder that is gone afterwards', async () => {
    const asked = await context('npm', 'registry=https://one.example/');
    const { registryOf } = await readRegistries(asked, folder, undefined);
    assert.equal(registryOf('a'), 'https://one.example/');
    const [cwd = '', , , words, ...files] = await noted('npm');
    assert.match(cwd, /\/bftpkg-private-[^/]+$/);
    assert.match(words ?? '', /--no-workspaces/);
    assert.ok(files.includes('package.json'), files.join(' '));
    assert.equal(existsSync(cwd), false);
  });

  it('about the version of npm are asked in a private folder, which is its home', async () => {
    const asked = await context('npm', '11.19.1');
    assert.equal((await findNpm(asked)).version, '11.19.1');
    const [cwd = '', home, , words, ...files] = await noted('npm');
    assert.match(cwd, /\/bftpkg-private-[^/]+$/);
    assert.equal(home, cwd);
    assert.match(words ?? '', /--version/);
    assert.deepEqual(
      files.filter((name) => name !== ''),
      ['package.json'],
    );
    assert.equal(existsSync(cwd), false);
  });

  it('about isolation are asked in a private folder, too', async () => {
    const asked = await context('unshare', '');
    assert.equal((await isolation(asked, 'linux'))[0], 'unshare');
    const [cwd = ''] = await noted('unshare');
    assert.match(cwd, /\/bftpkg-private-[^/]+$/);
    assert.equal(existsSync(cwd), false);
  });
});

describe('install --with', () => {
  for (const [flag, hint] of [
    ['--scripts', /pnpm rebuild/],
    ['--isolate', /reach the proxy alone/],
  ] as const) {
    it(`says that ${flag} is for npm, before anything is started`, async () => {
      const fake = await FakeLog.start();
      try {
        const { code, stderr } = await fake.run(['install', '--with', 'pnpm', flag], {
          env: { PATH: '' },
        });
        assert.equal(code, EXIT.usage);
        assert.match(stderr, new RegExp(`${flag} is for npm only`));
        assert.match(stderr, hint);
      } finally {
        await fake.stop();
      }
    });
  }
});

describe('wordsFor', () => {
  const KINDS = ['pnpm', 'yarn-classic', 'yarn-berry', 'bun'] as const;
  const TASKS: readonly ManagerTask[] = [
    { kind: 'frozen' },
    { kind: 'resolve' },
    { kind: 'add', specs: ['a@^1.0.0', '@s/b'] },
  ];
  for (const kind of KINDS) {
    it(`never lets ${kind} run scripts`, () => {
      for (const task of TASKS) {
        const words = wordsFor(manager(kind), task);
        const flag = kind === 'yarn-berry' ? '--mode=skip-build' : '--ignore-scripts';
        assert.ok(words.includes(flag), words.join(' '));
      }
    });

    it(`lets ${kind} change a lockfile only where it is to`, () => {
      const frozen = wordsFor(manager(kind), { kind: 'frozen' }).join(' ');
      assert.match(frozen, /--frozen-lockfile|--immutable/);
      for (const task of TASKS.slice(1)) {
        assert.doesNotMatch(wordsFor(manager(kind), task).join(' '), / --frozen| --immutable/);
      }
      const words = wordsFor(manager(kind), { kind: 'add', specs: ['a@^1.0.0', '@s/b'] });
      assert.deepEqual(words.slice(0, 3), ['add', 'a@^1.0.0', '@s/b']);
    });
  }
});

describe('addresses in lockfiles', () => {
  const yarn = [
    '# yarn lockfile v1',
    '',
    '"@s/b@^1.0.0":',
    '  version "1.0.0"',
    '  resolved "https://one.example/deep/@s/b/-/b-1.0.0.tgz#aa"',
    '  integrity sha512-x',
    '',
    'a@^1.0.0:',
    '  version "1.0.0"',
    '  resolved "https://two.example/a/-/a-1.0.0.tgz#bb"',
    '',
  ].join('\n');
  const bun = [
    '{ "packages": {',
    '  "a": ["a@1.0.0", "https://two.example/a/-/a-1.0.0.tgz", {}, "sha512-x"],',
    '  "@s/b": ["@s/b@1.0.0", "", { "dependencies": { "a": "http://x" } }, "sha512-y"],',
    '} }',
  ].join('\n');

  it('lead to the proxy and back, without a trace', () => {
    for (const [kind, text] of [
      ['yarn-classic', yarn],
      ['bun', bun],
    ] as const) {
      const staged = toProxy(kind, text, REGISTRY);
      assert.doesNotMatch(staged, /(?:one|two)\.example/, kind);
      const written =
        kind === 'bun' ? staged.replaceAll('", "", {', `", "${REGISTRY}x", {`) : staged;
      const home = 'https://home.example/';
      assert.equal(fromProxy(kind, written, text, { registry: REGISTRY, home }), text, kind);
    }
  });

  it('of new entries are those of their registry', () => {
    const added = `c@^1.0.0:\n  version "1.0.0"\n  resolved "${REGISTRY}c/-/c-1.0.0.tgz#undefined"\n`;
    const home = 'https://home.example/npm/';
    assert.equal(
      fromProxy('yarn-classic', added, undefined, { registry: REGISTRY, home }),
      `c@^1.0.0:\n  version "1.0.0"\n  resolved "${home}c/-/c-1.0.0.tgz"\n`,
    );
  });

  it('are not taken from a line that only looks like one', () => {
    const odd = `a:\n  version "1.0.0"\n    resolved "https://x.example/a"\n`;
    assert.equal(toProxy('yarn-classic', odd, REGISTRY), odd);
  });
});

function isUnsupported(error: unknown): boolean {
  return error instanceof CliError && error.diagnostic.code === 'BP9005';
}

describe('requirePlainWorkspaces', () => {
  const taken: readonly JsonValue[] = [
    ['packages/*', './apps/**', 'docs/', '!**/test/**', '.', './'],
    { packages: ['{apps,libs}/*', '@(a|b)/*', '@scope/*'], nohoist: ['**/../x'] },
    ['.config', '*'],
    'packages/*',
    [],
    null,
  ];
  for (const field of taken) {
    it(`takes ${JSON.stringify(field)}`, () => requirePlainWorkspaces(field, 'x'));
  }

  const refused: readonly (readonly [string, string])[] = [
    ['folders beside the project', '../../*'],
    ['the folder above', '..'],
    ['a way out further on', 'a/../../x'],
    ['a way out behind ./', './../x'],
    ['a way out behind !', '!../x'],
    ['a way out behind both', '!./!../x'],
    ['the root', '/etc/*'],
    ['the root behind ./', './/etc'],
    ['a drive', 'C:/x'],
    ['a drive without a slash', 'C:x'],
    ['backslashes', '..\\x'],
    ['alternatives of dots', '{.,}./{.,}./*'],
    ['alternatives with a way out', '{../x,a}/*'],
    ['an alternative that leaves the root', '{,a}/etc/*'],
    ['alternatives in alternatives', '{{.,},a}./x'],
    ['classes of dots', '[.][.]/x'],
    ['patterns of dots', '@(.).@(/x)'],
    ['nothing, which is the root once a slash is added', ''],
    ['the same behind !', '!'],
  ];
  for (const [why, pattern] of refused) {
    it(`refuses ${why}: ${pattern}`, () => {
      for (const field of [[pattern], ['a/*', pattern], { packages: [pattern] }, pattern]) {
        assert.throws(() => requirePlainWorkspaces(field, 'x'), isUnsupported);
      }
    });
  }

  it('refuses what is no pattern', () => {
    for (const field of [[['../x']], [{ a: '../x' }], [1], 1]) {
      assert.throws(() => requirePlainWorkspaces(field, 'x'), isUnsupported);
    }
  });
});

describe('stagedSettings', () => {
  let folder = '';
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-settings-'));
  });
  after(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function staged(kind: ManagerKind, name: string, text: string): Promise<string> {
    await writeFile(join(folder, name), text);
    try {
      const { files, rcName } = await stagedSettings(manager(kind), folder);
      const named = [...files].map(([file, content]) => [file === rcName ? 'RC' : file, content]);
      return named.map(([file, content]) => `${file}: ${content}`).join('\n');
    } finally {
      await rm(join(folder, name));
    }
  }

  it('keeps what decides about the tree, and drops what runs', async () => {
    const text = [
      '# ours',
      'packages:',
      '  - packages/*',
      'pnpmfile: ./evil.cjs',
      'overrides:',
      '  a: 1.0.0 # why',
      'configDependencies:',
      '  evil: 1.0.0+sha512-x',
      'nodeLinker: hoisted',
      'storeDir: ./store',
      '',
    ].join('\n');
    const found = await staged('pnpm', 'pnpm-workspace.yaml', text);
    assert.match(
      found,
      /packages:\n {2}- packages\/\*\noverrides:\n {2}a: 1\.0\.0 # why\nnodeLinker/,
    );
    assert.doesNotMatch(found, /evil|store/);
  });

  it('makes a workspace of one where there is none: pnpm looks in folders above', async () => {
    const found = await staged('pnpm', '.npmrc', 'auto-install-peers=false\ngit=x\nstore-dir=y\n');
    assert.match(found, /pnpm-workspace\.yaml: packages:\n {2}- '\.'/);
    assert.match(found, /\.npmrc: auto-install-peers=false\n$/);
  });

  // pnpm would take the folders beside the project for its own.
  for (const text of [
    'packages:\n  - ../../*\n',
    'packages: ["packages/*", "../x"] # ours\n',
    'packages:\n  - packages/*\noverrides: {\npackages: ["../x"]}\n',
    '"packages":\n- \'!../x\' # why\n',
  ]) {
    it(`refuses workspaces outside of the project: ${JSON.stringify(text)}`, async () => {
      await assert.rejects(staged('pnpm', 'pnpm-workspace.yaml', text), isUnsupported);
    });
  }

  it('takes remarks behind values', async () => {
    const text = [
      'packages: # ours',
      "  - 'a/*' # one",
      '  - b # two',
      'overrides:',
      `  'c#': "1" # don't`,
      'catalog: {"d": "1"} # three',
      '',
    ].join('\n');
    assert.ok((await staged('pnpm', 'pnpm-workspace.yaml', text)).includes(text), 'as it is');
  });

  // What looks like a remark may stand in quotes.
  for (const text of [
    `overrides:\n  it's: 'a # b'\npackages: ["../x"]\n`,
    `packages: ["a # b", "../x"]\n`,
  ]) {
    it(`reads on behind quotes: ${JSON.stringify(text)}`, async () => {
      await assert.rejects(staged('pnpm', 'pnpm-workspace.yaml', text), isUnsupported);
    });
  }

  it('gives Yarn Berry a file of its own', async () => {
    const text = 'nodeLinker: node-modules\nyarnPath: ./evil.cjs\nplugins:\n  - ./evil.cjs\n';
    const found = await staged('yarn-berry', '.yarnrc.yml', text);
    assert.equal(found, `RC: nodeLinker: node-modules\nenableScripts: false\n`);
  });

  // Berry loads the plugins that a file of that name has in any folder above: the project's, too.
  it('names that file anew for each run, so that no repository can have one of the name', async () => {
    const fixed = '.bftpkg-yarnrc.yml';
    await writeFile(join(folder, '.yarnrc.yml'), 'nodeLinker: node-modules\n');
    await writeFile(join(folder, fixed), 'plugins:\n  - ./evil.cjs\n');
    try {
      const [one, two] = await Promise.all([
        stagedSettings(manager('yarn-berry'), folder),
        stagedSettings(manager('yarn-berry'), folder),
      ]);
      assert.notEqual(one.rcName, two.rcName);
      for (const { files, rcName } of [one, two]) {
        assert.match(rcName, /^\.[0-9a-f]{32}\.yml$/);
        assert.deepEqual([...files.keys()], [rcName]);
      }
    } finally {
      await rm(join(folder, '.yarnrc.yml'));
      await rm(join(folder, fixed));
    }
  });

  for (const text of ['', 'nodeLinker: pnp\n', 'plugins: []\n']) {
    it(`refuses a program that Yarn writes as an installation: ${JSON.stringify(text)}`, async () => {
      await assert.rejects(staged('yarn-berry', '.yarnrc.yml', text), isUnsupported);
    });
  }
});

describe('variables', () => {
  it('of the user that steer managers, proxies or git are replaced', () => {
    const env = {
      PATH: '/bin',
      HOME: '/home/u',
      npm_config_registry: 'x',
      NPM_CONFIG_CACHE: 'x',
      PNPM_CONFIG_REGISTRY: 'x',
      YARN_RC_FILENAME: 'x',
      BUN_CONFIG_REGISTRY: 'x',
      HTTPS_PROXY: 'x',
      no_proxy: '*',
      GIT_ALLOW_PROTOCOL: 'https',
      COREPACK_NPM_REGISTRY: 'x',
    };
    assert.deepEqual(keptVariables(env), { PATH: '/bin', HOME: '/home/u' });
  });

  it('send everybody to the proxy, and nobody round it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'bftpkg-variables-'));
    try {
      const addresses = { registry: REGISTRY, forward: 'http://127.0.0.1:4873' };
      const variables = await managerVariables(addresses, folder, ['@acme']);
      for (const [name, value] of Object.entries(variables)) {
        if (/_?registry(?:_server)?$/i.test(name) && !name.includes('replace')) {
          assert.equal(value.replace(/\/?$/, '/'), REGISTRY, name);
        }
        if (/no_?proxy/i.test(name)) assert.equal(value, 'nobody.invalid', name);
        if (/cache|store|global_folder$/i.test(name) && !name.includes('ENABLE')) {
          assert.ok(value.startsWith(folder), name);
        }
      }
      assert.equal(variables['npm_config_@acme:registry'], REGISTRY);
      // Where they are not set, a project's `.env` sets them for bun.
      for (const name of ['NO_PROXY', 'no_proxy']) {
        assert.equal(variables[name], 'nobody.invalid', name);
      }
      const forNpm = await managerVariables(addresses, folder, [], '/usr/bin/npm');
      assert.equal(forNpm['npm_config_store_dir'], undefined);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });
});
