// The jobs of `init --ci`, run as a build server would, by the npm of this machine, in checkouts that say yes for
// themselves.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';
import { promisify } from 'node:util';

import { startNpmRegistry, type NpmRegistry } from '../../fixtures/npm-registry.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { planPipeline } from './init-pipeline.ts';

const VERSION = '7.1.0';

/** A bftpkg that says who it is, and what it was asked. */
function says(who: string): string {
  return `#!/usr/bin/env node\nconsole.log(JSON.stringify([${JSON.stringify(who)}, ...process.argv.slice(2)]));\n`;
}

async function serving(who: string): Promise<NpmRegistry> {
  const registry = await startNpmRegistry();
  const manifest = { name: 'bftpkg', version: VERSION, bin: { bftpkg: 'main.js' } };
  const bytes = makeTarball({
    ...manifest,
    files: { 'main.js': says(who) },
    packageJson: { bin: manifest.bin },
  });
  const [, token = ''] = /_authToken=(.*)/.exec(registry.npmrc) ?? [];
  const response = await fetch(`${registry.url}bftpkg`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${token}` },
    body: JSON.stringify({
      name: 'bftpkg',
      'dist-tags': { latest: VERSION },
      versions: { [VERSION]: { ...manifest, dist: {} } },
      _attachments: { x: { data: Buffer.from(bytes).toString('base64') } },
    }),
  });
  assert.equal(response.status, 201, 'the test has a registry');
  return registry;
}

describe('the job of init --ci', { skip: process.platform === 'win32' }, () => {
  let genuine: NpmRegistry;
  let planted: NpmRegistry;
  let folder = '';
  let checkout = '';

  before(async () => {
    [genuine, planted] = await Promise.all([serving('genuine'), serving('planted')]);
  });
  after(async () => {
    await Promise.all([genuine.stop(), planted.stop()]);
  });
  beforeEach(async () => {
    folder = await realpath(await mkdtemp(join(tmpdir(), 'bftpkg-ci-')));
    checkout = join(folder, 'checkout');
    for (const name of ['checkout', 'temp', 'home']) await mkdir(join(folder, name));
    await writeFile(join(folder, 'home/.npmrc'), `registry=${genuine.url}\nfetch-retries=0\n`);
  });

  async function write(name: string, text: string): Promise<void> {
    await mkdir(dirname(join(checkout, name)), { recursive: true });
    await writeFile(join(checkout, name), text, { mode: 0o755 });
  }

  /** What the job of a build server prints. */
  async function run(host: 'github' | 'gitlab'): Promise<readonly string[]> {
    const { files } = await planPipeline(checkout, host, VERSION, async () => undefined);
    const job = files[0]?.after ?? '';
    const lines = [...job.matchAll(/^ +- (?:run: )?((?:cd|npx) .*)$/gm)].map(([, line]) => line);
    assert.ok(lines.length > 0, job);
    const isInTemp = /^ +working-directory: \$\{\{ runner\.temp \}\}$/m.test(job);
    const { stdout } = await promisify(execFile)('sh', ['-e', '-c', lines.join('\n')], {
      cwd: isInTemp ? join(folder, 'temp') : checkout,
      env: {
        PATH: process.env['PATH'],
        HOME: join(folder, 'home'),
        TMPDIR: join(folder, 'temp'),
        GITHUB_WORKSPACE: checkout,
        CI_PROJECT_DIR: checkout,
        npm_config_update_notifier: 'false',
      },
    });
    await rm(folder, { recursive: true });
    return JSON.parse(stdout) as readonly string[];
  }

  const attacks: readonly (readonly [string, () => Promise<void>])[] = [
    ['is plain', async () => undefined],
    [
      'has a bftpkg in its node_modules',
      async () => {
        const bin = { bftpkg: 'main.js' };
        const manifest = JSON.stringify({ name: 'bftpkg', version: VERSION, bin });
        await write('node_modules/bftpkg/package.json', manifest);
        await write('node_modules/bftpkg/main.js', says('planted'));
        await mkdir(join(checkout, 'node_modules/.bin'));
        await symlink('../bftpkg/main.js', join(checkout, 'node_modules/.bin/bftpkg'));
        await write('package.json', JSON.stringify({ dependencies: { bftpkg: VERSION } }));
      },
    ],
    [
      'has an .npmrc with a registry of its own',
      async () => {
        await write('.npmrc', `registry=${planted.url}\n`);
        await write('package.json', '{}');
      },
    ],
    [
      'has a package of that name itself',
      async () => {
        const bin = { bftpkg: 'main.js' };
        await write('package.json', JSON.stringify({ name: 'bftpkg', version: VERSION, bin }));
        await write('main.js', says('planted'));
      },
    ],
  ];
  for (const host of ['github', 'gitlab'] as const) {
    for (const [why, prepare] of attacks) {
      it(`starts its own bftpkg for ${host} where a checkout ${why}`, async () => {
        await prepare();
        const [who, ...words] = await run(host);
        assert.equal(who, 'genuine');
        assert.deepEqual(words.slice(0, 3), ['-C', checkout, 'verify']);
      });
    }
  }
});
