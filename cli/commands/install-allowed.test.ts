// Packages that a policy allows without the log, through `ci` and `install` with npm.
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { startZooRegistry, type ZooRegistry } from '../../fixtures/e2e/zoo/registry.ts';
import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { integrityOf, makeTarball, type TarballSpec } from '../../fixtures/tarballs/generator.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { EXIT } from '../output/exit-codes.ts';

describe('what a policy allows without the log', () => {
  let fake: FakeLog;
  let registry: ZooRegistry;
  let alpha: Uint8Array;

  before(async () => {
    [fake, registry] = await Promise.all([FakeLog.start(), startZooRegistry()]);
    alpha = await fake.publish({ name: 'alpha', version: '1.0.0' });
    await writeFile(join(fake.home, '.npmrc'), `registry=${registry.url}/main/\n`);
  });
  after(async () => {
    await registry.stop();
    await fake.stop();
  });
  beforeEach(async () => {
    registry.requests.length = 0;
    await rm(join(fake.home, '.cache'), { recursive: true, force: true });
    await rm(fake.project, { recursive: true, force: true });
    await mkdir(fake.project);
  });

  /** A project that asks for alpha and for these, and allows BP5003 for what `allows` names. */
  async function project(
    specs: readonly TarballSpec[],
    allows: string = 'secret',
    more: Readonly<Record<string, JsonObject>> = {},
  ): Promise<void> {
    const about = { package: allows, code: 'BP5003', reason: 'ours', expires: '2099-12-31' };
    await fake.configure({ exceptions: [about] });
    const entries = specs.map((spec) => {
      const { dependencies = {}, bundleDependencies } = (spec.packageJson ?? {}) as JsonObject;
      return [
        `node_modules/${spec.name}`,
        {
          version: spec.version,
          integrity: registry.add(spec).integrity,
          dependencies,
          ...(bundleDependencies === undefined ? {} : { bundleDependencies }),
        },
      ] as const;
    });
    const asked = specs.map(({ name, version }) => [name, version] as const);
    const root = {
      name: 'app',
      version: '1.0.0',
      dependencies: { alpha: '1.0.0', ...Object.fromEntries(asked) },
    };
    const packages = {
      '': root,
      'node_modules/alpha': { version: '1.0.0', integrity: formatSri(alpha) },
      ...Object.fromEntries(entries),
      ...more,
    };
    const lock = { name: 'app', version: '1.0.0', lockfileVersion: 3, requires: true, packages };
    await writeFile(join(fake.project, 'package.json'), JSON.stringify(root));
    await writeFile(join(fake.project, 'package-lock.json'), JSON.stringify(lock, null, 2));
  }

  const SECRET: TarballSpec = { name: 'secret', version: '1.0.0' };
  const mainOf = async (name: string): Promise<string> =>
    await readFile(join(fake.project, 'node_modules', name, 'index.js'), 'utf8');

  async function requireUntouched(outcome: Outcome, code: number, text: RegExp): Promise<void> {
    assert.equal(outcome.code, code, outcome.stdout + outcome.stderr);
    assert.match(outcome.stdout + outcome.stderr, text);
    assert.equal(existsSync(join(fake.project, 'node_modules')), false);
    const left = (await readdir(fake.project)).filter((name) => name.startsWith('.bftpkg-'));
    assert.deepEqual(left, []);
  }

  it('is installed, counted, and not called verified', async () => {
    await project([SECRET]);
    const { code, stdout, stderr } = await fake.run(['--json', 'ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    const report = JSON.parse(stdout) as {
      readonly verdict: string;
      readonly installed: { readonly packages: number; readonly allowed: number };
      readonly summary: { readonly verified: number; readonly excepted: number };
    };
    assert.equal(report.verdict, 'allowed');
    assert.equal(report.installed.packages, 2);
    assert.equal(report.installed.allowed, 1);
    assert.equal(report.summary.verified, 1);
    assert.equal(report.summary.excepted, 1);
    assert.match(await mainOf('secret'), /secret@1\.0\.0/);
    assert.match(await mainOf('alpha'), /alpha@1\.0\.0/);
    const human = await fake.run(['ci']);
    assert.match(
      human.stdout,
      /1 verified, 2 packages installed \(1 of them not verified\), 1 allowed/,
    );
  });

  it('is fetched once: what was checked is kept, and hashed again', async () => {
    await project([SECRET]);
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    assert.equal(registry.requests.filter((path) => path.endsWith('.tgz')).length, 1);
    assert.equal((await fake.run(['ci'])).code, EXIT.verified);
    assert.equal(registry.requests.length, 2, registry.requests.join(' '));
  });

  it('is installed by name as well', async () => {
    await project([SECRET]);
    await writeFile(join(fake.project, 'package.json'), '{"name":"app","version":"1.0.0"}\n');
    await rm(join(fake.project, 'package-lock.json'));
    const { code, stdout, stderr } = await fake.run(['install', 'secret', 'alpha']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await mainOf('secret'), /secret@1\.0\.0/);
    assert.match(stdout, /1 of them not verified/);
  });

  it('is installed by a line of the baseline, which binds the digest', async () => {
    await project([SECRET], 'somebody-else');
    const made = await fake.run(['policy', 'baseline', 'create']);
    assert.equal(made.code, EXIT.verified, made.stdout + made.stderr);
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await mainOf('secret'), /secret@1\.0\.0/);
  });

  // `JSONStream`: no log takes such a name, and half of the trees of today have one.
  it('may have a name that npm gives to nobody any more', async () => {
    await project([{ name: 'OldName', version: '1.0.0' }], 'OldName');
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(await mainOf('OldName'), /OldName@1\.0\.0/);
  });

  it('runs no script unless it is named for that', async () => {
    const ran = join(fake.project, 'node_modules/secret/ran');
    await project([{ ...SECRET, packageJson: { scripts: { postinstall: 'touch ran' } } }]);
    const { code, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stderr);
    assert.match(stderr, /install scripts not run: secret@1\.0\.0/);
    assert.equal(existsSync(ran), false);
  });

  it('may bundle, and what it bundles is compared with its bytes', async () => {
    const inner = JSON.stringify({ name: 'inner', version: '1.0.0' });
    const spec = {
      ...SECRET,
      packageJson: { dependencies: { inner: '1.0.0' }, bundleDependencies: ['inner'] },
      files: { 'node_modules/inner/package.json': inner },
    };
    const key = 'node_modules/secret/node_modules';
    await project([spec], 'secret', { [`${key}/inner`]: { version: '1.0.0', inBundle: true } });
    const { code, stdout, stderr } = await fake.run(['ci']);
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.ok(existsSync(join(fake.project, key, 'inner/package.json')), 'it came along');
    await rm(join(fake.project, 'node_modules'), { recursive: true });
    // What the lockfile calls bundled, and is not in there: npm would fetch it by name.
    const next = { ...spec, version: '1.0.1' };
    await project([next], 'secret', {
      'node_modules/secret': {
        version: '1.0.1',
        integrity: integrityOf(makeTarball(next)),
        bundleDependencies: ['inner', 'evil'],
        dependencies: { inner: '1.0.0', evil: '1.0.0' },
      },
      [`${key}/evil`]: { version: '1.0.0', inBundle: true },
    });
    const smuggled = await fake.run(['ci']);
    await requireUntouched(smuggled, EXIT.policy, /evil@1\.0\.0: .*no such folder/);
  });

  it('is refused when its registry has other bytes than the lockfile means', async () => {
    await project([SECRET]);
    registry.add(SECRET, makeTarball({ ...SECRET, files: { 'index.js': 'evil()' } }));
    const outcome = await fake.run(['ci']);
    await requireUntouched(outcome, EXIT.tampered, /BP1001.*secret@1\.0\.0/);
    // Nothing of it is in the log, and whoever is to be told about it has a name.
    assert.match(outcome.stdout, /allowed +sha512-\S+\n +served +sha512-\S+ from http:\/\/127/);
    assert.doesNotMatch(outcome.stdout, /logged/);
  });

  it('is refused when it says that it is another package', async () => {
    await project([SECRET]);
    const other = makeTarball({ name: 'other', version: '1.0.0' });
    const { integrity } = registry.add(SECRET, other);
    const path = join(fake.project, 'package-lock.json');
    const text = await readFile(path, 'utf8');
    const [, before = ''] = /node_modules\/secret"[^}]*"integrity": "([^"]+)"/.exec(text) ?? [];
    await writeFile(path, text.replace(before, integrity));
    await requireUntouched(
      await fake.run(['ci']),
      EXIT.tampered,
      /secret@1\.0\.0: .*another package/,
    );
  });

  it('is refused where its registry has no such version, and unclear where none answers', async () => {
    await project([SECRET]);
    const path = join(fake.project, 'package-lock.json');
    const manifest = join(fake.project, 'package.json');
    for (const file of [path, manifest]) {
      const text = await readFile(file, 'utf8');
      await writeFile(
        file,
        text.replaceAll(
          /("secret": ?"|node_modules\/secret": \{\s*"version": ")1\.0\.0/g,
          '$19.9.9',
        ),
      );
    }
    await requireUntouched(
      await fake.run(['ci']),
      EXIT.notLogged,
      /its registry has no such version/,
    );
    await project([SECRET]);
    await writeFile(join(fake.home, '.npmrc'), 'registry=http://127.0.0.1:9/\n');
    try {
      await requireUntouched(await fake.run(['ci']), EXIT.inconclusive, /could not be reached/);
    } finally {
      await writeFile(join(fake.home, '.npmrc'), `registry=${registry.url}/main/\n`);
    }
  });

  it('is not installed where nothing says which bytes are meant', async () => {
    const about = { package: 'secret', code: 'BP6006', reason: 'ours', expires: '2099-12-31' };
    await project([SECRET]);
    await fake.configure({ exceptions: [about] });
    const path = join(fake.project, 'package-lock.json');
    const text = await readFile(path, 'utf8');
    const [, digest = ''] = /node_modules\/secret"[^}]*("integrity": "[^"]+")/.exec(text) ?? [];
    await writeFile(path, text.replace(digest, '"resolved": "git+ssh://git@a.example/b.git#c"'));
    await requireUntouched(
      await fake.run(['ci']),
      EXIT.usage,
      /BP9005.*which bytes are meant: secret/,
    );
  });
});
