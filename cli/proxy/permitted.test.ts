// What a policy allows without the log: from which registry it comes, with which token, and how far it is
// checked all the same.
import assert from 'node:assert/strict';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import type { Context } from '../context.ts';
import { readRegistries } from '../npm/registries.ts';
import { EXIT } from '../output/exit-codes.ts';
import { sha512 } from '../../verifier/node/sha512.ts';

type Words = Readonly<Record<string, string>>;

function contextOf(cwd: string): Omit<Context, 'env'> {
  return {
    cwd,
    terminal: {
      writeOut: () => undefined,
      writeErr: () => undefined,
      outIsTty: false,
      errIsTty: false,
      ask: undefined,
    },
    nowMs: Date.now,
    signal: new AbortController().signal,
  };
}

/** What a visitor asked for, and the token that came along. */
interface Visit {
  readonly path: string;
  readonly authorization: string | undefined;
}

class FakeRegistry {
  readonly visits: Visit[] = [];
  readonly url: string;
  readonly #server: Server;
  readonly #answers = new Map<string, (response: ServerResponse) => void>();

  private constructor(server: Server) {
    this.#server = server;
    this.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const path = request.url ?? '';
      this.visits.push({ path, authorization: request.headers.authorization });
      const answer = this.#answers.get(path);
      if (answer !== undefined) return answer(response);
      response.writeHead(404);
      response.end('{}');
    });
  }

  static async start(): Promise<FakeRegistry> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeRegistry(server);
  }

  /** Offers versions of a package; the bytes that are served may be others than those announced. */
  offer(
    name: string,
    versions: Readonly<Record<string, Uint8Array>>,
    options: { readonly served?: Uint8Array; readonly tarballs?: string } = {},
  ): void {
    const entries = Object.entries(versions).map(([version, bytes]) => {
      const path = `/${name}/-/${version}.tgz`;
      this.#answers.set(path, (response) => response.end(Buffer.from(options.served ?? bytes)));
      const tarball = `${options.tarballs ?? this.url}${path}`;
      return [version, { name, version, dist: { integrity: formatSri(sha512(bytes)), tarball } }];
    });
    const document = { name, versions: Object.fromEntries(entries) as JsonObject };
    const text = JSON.stringify(document);
    this.#answers.set(`/${name.replace('/', '%2f')}`, (response) => response.end(text));
  }

  answer(path: string, text: string): void {
    this.#answers.set(path, (response) => response.end(text));
  }

  redirect(path: string, to: string): void {
    this.#answers.set(path, (response) => {
      response.writeHead(302, { location: to });
      response.end();
    });
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

describe('packages that a policy allows without the log', () => {
  let fake: FakeLog;
  let registry: FakeRegistry;
  let elsewhere: FakeRegistry;
  const made = (name: string, version: string): Uint8Array => makeTarball({ name, version });
  const one = made('@acme/secret', '1.0.0');
  const two = made('@acme/secret', '2.0.0');

  before(async () => {
    fake = await FakeLog.start();
    await fake.publish({ name: 'logged', version: '1.0.0' });
    await fake.publish({ name: 'logged', version: '1.1.0' });
    fake.log.withdraw('logged', '1.1.0', 'revoked');
    fake.log.commit();
  });
  after(async () => {
    await fake.stop();
  });
  beforeEach(async () => {
    registry = await FakeRegistry.start();
    elsewhere = await FakeRegistry.start();
    await rm(join(fake.home, '.npmrc'), { force: true });
    await rm(join(fake.project, '.npmrc'), { force: true });
    await rm(join(fake.project, 'bftpkg-baseline.json'), { force: true });
    await fake.configure({ exceptions: [EXCEPTION] });
  });
  const stopped = async (): Promise<void> => {
    await Promise.all([registry.stop(), elsewhere.stop()]);
  };

  const EXCEPTION = {
    package: '@acme/*',
    code: 'BP5003',
    reason: 'internal',
    expires: '2099-12-31',
  };

  /** Fetches paths of the proxy in a child, which prints status and text of each. */
  async function get(...paths: readonly string[]): Promise<Outcome> {
    const script = `
      (async () => {
        for (const path of ${JSON.stringify(paths)}) {
          const answer = await fetch(process.env.npm_config_registry + path);
          const text = path.endsWith('.tgz')
            ? (answer.ok ? (await answer.arrayBuffer()).byteLength + ' bytes' : await answer.text())
            : await answer.text();
          console.log('GET', path, answer.status, text);
        }
      })();
    `;
    try {
      const argv = ['proxy', '--upstream', registry.url, '--', process.execPath, '-e', script];
      return await fake.run(argv);
    } finally {
      await stopped();
    }
  }

  it('come from their registry, and are called allowed, not verified', async () => {
    registry.offer('@acme/secret', { '1.0.0': one, '2.0.0': two });
    const { code, stdout, stderr } = await get('@acme%2fsecret', '@acme/secret/-/secret-2.0.0.tgz');
    assert.equal(code, EXIT.verified, stdout + stderr);
    assert.match(stderr, new RegExp(`tgz 200 ${two.length} bytes`));
    assert.match(stderr, /"latest":"2\.0\.0"/);
    assert.match(stdout, /excepted/);
    assert.doesNotMatch(stdout, /verified, 0 problems/);
  });

  it('are asked for by name only where the policy says so', async () => {
    registry.offer('other', { '1.0.0': made('other', '1.0.0') });
    const { code, stderr } = await get('other', 'other/-/other-1.0.0.tgz');
    assert.equal(code, EXIT.notLogged, stderr);
    assert.deepEqual(registry.visits, []);
  });

  it('never are versions that the log has withdrawn', async () => {
    await fake.configure({ exceptions: [{ ...EXCEPTION, package: 'logged' }] });
    const evil = made('logged', '1.1.0');
    registry.offer('logged', { '1.1.0': evil, '1.2.0': made('logged', '1.2.0') });
    const { code, stderr } = await get('logged', 'logged/-/logged-1.1.0.tgz');
    assert.equal(code, EXIT.withdrawn, stderr);
    assert.match(stderr, /tgz 403/);
    assert.match(stderr, /"1\.0\.0":.*"1\.2\.0":/);
    assert.doesNotMatch(stderr, /"1\.1\.0":/);
  });

  it('are refused when other bytes come than were announced', async () => {
    // By name and version it is the one that is asked for.
    const served = makeTarball({ name: '@acme/secret', version: '1.0.0', files: { x: 'evil' } });
    registry.offer('@acme/secret', { '1.0.0': one }, { served });
    const { code, stderr } = await get('@acme/secret/-/secret-1.0.0.tgz');
    assert.equal(code, EXIT.tampered, stderr);
    assert.match(stderr, /tgz 403 .*BP1001/);
  });

  it('are refused when they say that they are another package', async () => {
    registry.offer('@acme/secret', { '1.0.0': two });
    const { code, stderr } = await get('@acme/secret/-/secret-1.0.0.tgz');
    assert.equal(code, EXIT.tampered, stderr);
    assert.match(stderr, /refused BP1006/);
  });

  it('are not in the log and nowhere else, or could not be looked for', async () => {
    const nowhere = await get('@acme/secret/-/secret-1.0.0.tgz');
    assert.equal(nowhere.code, EXIT.notLogged, nowhere.stdout + nowhere.stderr);
    assert.match(nowhere.stderr, /tgz 404/);
    // Nobody listens there any more.
    const { code, stderr } = await get('@acme/secret/-/secret-1.0.0.tgz');
    assert.equal(code, EXIT.inconclusive, stderr);
    assert.match(stderr, /tgz 503/);
  });

  it('are audited by the registry that is named, also when npm packs the question', async () => {
    const advisories = { alpha: [{ id: 1 }] };
    registry.answer('/-/npm/v1/security/advisories/bulk', JSON.stringify(advisories));
    const script = `
      const body = require('node:zlib').gzipSync('{"alpha":["1.0.0"]}');
      const headers = { 'content-encoding': 'gzip', 'content-type': 'application/json' };
      const url = process.env.npm_config_registry + '-/npm/v1/security/advisories/bulk';
      fetch(url, { method: 'POST', body, headers }).then(async (r) => console.log(await r.text()));
    `;
    const argv = ['proxy', '--upstream', registry.url, '--', process.execPath, '-e', script];
    const { stderr } = await fake.run(argv);
    await stopped();
    assert.match(stderr, /\{"alpha":\[\{"id":1\}\]\}/);
  });

  it('of the baseline are the very bytes that were there', async () => {
    await fake.configure({ baseline: 'bftpkg-baseline.json' });
    const integrity = formatSri(sha512(one));
    const line = { name: '@acme/secret', version: '1.0.0', integrity, codes: ['BP5003'] };
    const baseline = { format: 'bftpkg-baseline/v1', packages: [line] };
    await writeFile(join(fake.project, 'bftpkg-baseline.json'), JSON.stringify(baseline));
    registry.offer('@acme/secret', { '1.0.0': one, '2.0.0': two });
    const good = await get('@acme%2fsecret', '@acme/secret/-/secret-1.0.0.tgz');
    assert.equal(good.code, EXIT.verified, good.stdout + good.stderr);
    assert.match(good.stdout, /baseline/);
    assert.doesNotMatch(good.stderr, /"2\.0\.0":/);
    registry = await FakeRegistry.start();
    elsewhere = await FakeRegistry.start();
    const changed = makeTarball({ name: '@acme/secret', version: '1.0.0', files: { x: 'evil' } });
    registry.offer('@acme/secret', { '1.0.0': changed });
    const bad = await get('@acme/secret/-/secret-1.0.0.tgz');
    assert.equal(bad.code, EXIT.notLogged, bad.stdout + bad.stderr);
  });

  describe('tokens', () => {
    const host = (of: FakeRegistry): string => of.url.replace('http:', '');

    it('go to the host that they are for, and not along with a redirect', async () => {
      const text = `${host(registry)}/:_authToken=for-registry\n`;
      await writeFile(join(fake.home, '.npmrc'), text);
      registry.offer('@acme/secret', { '1.0.0': one });
      elsewhere.offer('@acme/secret', { '1.0.0': one });
      const path = '/@acme/secret/-/1.0.0.tgz';
      registry.redirect(path, `${elsewhere.url}${path}`);
      const { code, stdout, stderr } = await get('@acme/secret/-/secret-1.0.0.tgz');
      assert.equal(code, EXIT.verified, stdout + stderr);
      assert.deepEqual(
        registry.visits.map(({ authorization }) => authorization),
        ['Bearer for-registry', 'Bearer for-registry'],
      );
      assert.deepEqual(elsewhere.visits, [{ path, authorization: undefined }]);
    });

    it('may come from a variable in the file of the user', async () => {
      const text = `${host(registry)}/:_authToken=\${MY_TOKEN}\n`;
      await writeFile(join(fake.home, '.npmrc'), text);
      registry.offer('@acme/secret', { '1.0.0': one });
      const script = "fetch(process.env.npm_config_registry + '@acme%2fsecret')";
      const argv = ['proxy', '--upstream', registry.url, '--', process.execPath, '-e', script];
      await fake.run(argv, { env: { MY_TOKEN: 'from-variable' } });
      await stopped();
      assert.equal(registry.visits[0]?.authorization, 'Bearer from-variable');
    });

    it('are never taken from a project, nor sent to where it points', async () => {
      await writeFile(join(fake.home, '.npmrc'), `${host(registry)}/:_authToken=for-registry\n`);
      const lines = [
        `@acme:registry=${elsewhere.url}/`,
        `${host(elsewhere)}/:_authToken=\${MY_TOKEN}`,
      ];
      await writeFile(join(fake.project, '.npmrc'), lines.join('\n'));
      elsewhere.offer('@acme/secret', { '1.0.0': one });
      const { code, stderr } = await get('@acme/secret/-/secret-1.0.0.tgz');
      assert.equal(code, EXIT.verified, stderr);
      assert.equal(elsewhere.visits.length, 2, 'the project may say where a scope lives');
      for (const { authorization } of elsewhere.visits) assert.equal(authorization, undefined);
    });

    it('and packages stay where the user says that a scope lives, whatever the project says', async () => {
      await writeFile(join(fake.home, '.npmrc'), `@acme:registry=${registry.url}/\n`);
      await writeFile(join(fake.project, '.npmrc'), `@acme:registry=${elsewhere.url}/\n`);
      for (const each of [registry, elsewhere]) each.offer('@acme/secret', { '1.0.0': one });
      const { code, stderr } = await get('@acme/secret/-/secret-1.0.0.tgz');
      assert.equal(code, EXIT.verified, stderr);
      assert.equal(registry.visits.length, 2, 'the registry of the user is asked');
      assert.deepEqual(elsewhere.visits, []);
    });

    // In npm the project's word would go before the file for the whole machine.
    const words: readonly (readonly [string, (home: string, url: string) => Promise<Words>])[] = [
      [
        'environment',
        async (_home, url) => await Promise.resolve({ 'npm_config_@acme:registry': url }),
      ],
      [
        'file for the whole machine',
        async (home, url) => {
          await writeFile(join(home, 'global.npmrc'), `@acme:registry=${url}/\n`);
          return { npm_config_globalconfig: join(home, 'global.npmrc') };
        },
      ],
      [
        'file for the whole machine, below the prefix',
        async (home, url) => {
          await mkdir(join(home, 'prefix', 'etc'), { recursive: true });
          await writeFile(join(home, 'prefix', 'etc', 'npmrc'), `@acme:registry=${url}/\n`);
          return { NPM_CONFIG_PREFIX: join(home, 'prefix') };
        },
      ],
    ];
    for (const [what, say] of words) {
      it(`and packages stay where the user's ${what} says`, async () => {
        await writeFile(join(fake.project, '.npmrc'), `@acme:registry=${elsewhere.url}/\n`);
        for (const each of [registry, elsewhere]) each.offer('@acme/secret', { '1.0.0': one });
        const env = await say(fake.home, registry.url);
        const script = "fetch(process.env.npm_config_registry + '@acme%2fsecret')";
        const argv = ['proxy', '--upstream', elsewhere.url, '--', process.execPath, '-e', script];
        const { code, stderr } = await fake.run(argv, { env });
        await stopped();
        assert.equal(code, EXIT.verified, stderr);
        assert.equal(registry.visits.length, 1, 'the registry of the user is asked');
        assert.deepEqual(elsewhere.visits, []);
      });
    }

    it('of the default registry: the environment, then the user, then the machine, then the project', async () => {
      const file = (name: string, who: string): Promise<void> =>
        writeFile(join(fake.home, name), `registry=https://${who}.example/\n`);
      await stopped();
      await writeFile(join(fake.project, '.npmrc'), 'registry=https://project.example/\n');
      const { PATH } = process.env;
      const env: Record<string, string | undefined> = { PATH, HOME: fake.home };
      const registryFor = async (): Promise<string> => {
        const context = { ...contextOf(fake.home), env };
        return (await readRegistries(context, fake.project, undefined)).registryOf('a');
      };
      assert.equal(await registryFor(), 'https://project.example/');
      await file('global.npmrc', 'machine');
      env['npm_config_globalconfig'] = join(fake.home, 'global.npmrc');
      assert.equal(await registryFor(), 'https://machine.example/');
      await file('.npmrc', 'user');
      assert.equal(await registryFor(), 'https://user.example/');
      env['NPM_CONFIG_REGISTRY'] = 'https://environment.example';
      assert.equal(await registryFor(), 'https://environment.example/');
    });

    const places: readonly (readonly [string, string])[] = [
      ['another path of the host', '/private/'],
      ['a host that begins alike', '.evil.example/'],
    ];
    for (const [why, tail] of places) {
      it(`stay at home for ${why}`, async () => {
        await writeFile(join(fake.home, '.npmrc'), `${host(registry)}${tail}:_authToken=x\n`);
        registry.offer('@acme/secret', { '1.0.0': one });
        await get('@acme%2fsecret');
        assert.equal(registry.visits[0]?.authorization, undefined);
      });
    }
  });
});
