// A project with one bad package, and everything that can be said around it: each variable of each flag, with
// values that mean something, and each file that an attacker may leave in the checkout. No run ends with 0 but
// where the user left the package out in a way that the report names; those ways are listed here, one by one.
import assert from 'node:assert/strict';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { FakeLog } from '../../fixtures/fake-log.ts';
import { makeTarball } from '../../fixtures/tarballs/generator.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { allSettings, type Setting } from '../environment.ts';
import { EXIT } from '../output/exit-codes.ts';
import { buildProgram } from '../program/program.ts';

const SETTINGS = allSettings(buildProgram('1.2.3', () => undefined));

const BAD: readonly (readonly [why: string, name: string, code: number])[] = [
  ['has other bytes than the log', 'swapped', EXIT.tampered],
  ['is not in the log', 'unlogged', EXIT.notLogged],
  ['was revoked', 'revoked', EXIT.withdrawn],
  ['was signed by too few', 'lonely', EXIT.maintainers],
];

/** What may end with 0: the package was left out, or the question was about something else. */
const LEAVES_OUT: readonly (readonly [variable: string, value: string, note: RegExp])[] = [
  ['BFTPKG_ONLY', 'alpha', /does not match alpha/],
  ['BFTPKG_OMIT', 'dev', /only needed for dev/],
  ['BFTPKG_LOCKFILE', 'good/package-lock.json', /^$/],
  ['BFTPKG_PROJECT', 'good', /^$/],
];

/** Values that a flag may be given, by what it takes. */
function valuesOf({ option }: Setting): readonly string[] {
  if (!option.required && !option.optional) return ['1', '0'];
  if (option.argChoices !== undefined) return option.argChoices;
  const paths = ['good', 'good/package-lock.json', 'good/bftpkg.json', 'good/bundle.json'];
  return ['1', '3650d', 'alpha', 'dev', ...paths];
}

describe('a project with one bad package', () => {
  let fake: FakeLog;
  let trusted = '';
  const digests = new Map<string, Uint8Array>();

  before(async () => {
    fake = await FakeLog.start();
    const publish = async (name: string, signers?: readonly string[]): Promise<void> => {
      digests.set(name, await fake.publish({ name, version: '1.0.0' }, signers));
    };
    await publish('alpha');
    await publish('swapped');
    await publish('revoked');
    await publish('lonely', ['alice']);
    fake.log.withdraw('revoked', '1.0.0', 'revoked', 'stolen laptop');
    await publish('last');
    digests.set('swapped', new Uint8Array(64).fill(7));
    digests.set('unlogged', new Uint8Array(64).fill(8));
    trusted = join(fake.home, 'trusted/bftpkg.json');
    await mkdir(dirname(trusted));
    await writeFile(trusted, config());
  });
  after(async () => {
    await fake.stop();
  });
  beforeEach(async () => {
    await rm(join(fake.home, '.local'), { recursive: true, force: true });
    for (const name of await readdir(fake.project)) {
      await rm(join(fake.project, name), { recursive: true });
    }
    await fake.configure();
    for (const replica of fake.replicas) replica.misbehave = undefined;
  });

  function config(fields: object = {}): string {
    const replicas = fake.replicas.map(({ url }) => url);
    return JSON.stringify({ format: 'bftpkg-config/v1', pin: fake.log.pin, replicas, ...fields });
  }

  async function write(name: string, content: string | object): Promise<void> {
    const path = join(fake.project, name);
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content));
  }

  /** A project in a folder: alpha, and for development another one. */
  async function project(folder: string, other: string): Promise<void> {
    const root = {
      name: 'app',
      dependencies: { alpha: '1.0.0' },
      devDependencies: { [other]: '1.0.0' },
    };
    const entryOf = (name: string): object => ({
      version: '1.0.0',
      integrity: formatSri(digests.get(name) ?? new Uint8Array(64)),
    });
    const packages = {
      '': root,
      'node_modules/alpha': entryOf('alpha'),
      [`node_modules/${other}`]: entryOf(other),
    };
    await write(join(folder, 'package.json'), root);
    await write(join(folder, 'package-lock.json'), { lockfileVersion: 3, packages });
  }

  interface Document {
    readonly exit: { readonly code: number };
    readonly subjects: readonly {
      readonly id: string;
      readonly verdict: string;
      readonly origin: { readonly notes: readonly string[] } | null;
    }[];
  }

  for (const [why, bad, code] of BAD) {
    it(`ends with ${code} where one ${why}`, async () => {
      await project('.', bad);
      assert.equal((await fake.run(['verify'])).code, code);
    });

    // The one that no policy can allow, and the one that a policy can.
    if (bad !== 'swapped' && bad !== 'unlogged') continue;
    it(`is called good by no variable of any flag where one ${why}`, async () => {
      await project('.', bad);
      await project('good', 'last');
      await write('good/bftpkg.json', config());
      const saved = await fake.run(['verify', 'good', '--save-bundle', 'good/bundle.json']);
      assert.equal(saved.code, EXIT.verified, saved.stdout);
      const applies = ({ commands }: Setting): boolean =>
        commands.some((each) => ['verify', 'bftpkg'].includes(each.name()));
      // Of other commands' flags none is read, whatever it is set to.
      const others = SETTINGS.filter((setting) => !applies(setting));
      const env = Object.fromEntries(others.map(({ variable }) => [variable, '1']));
      assert.equal((await fake.run(['verify'], { env })).code, code);
      const yes: string[] = [];
      for (const setting of SETTINGS.filter(applies)) {
        for (const value of valuesOf(setting)) {
          const said = await fake.run(['verify'], { env: { [setting.variable]: value } });
          if (said.code === EXIT.verified) yes.push(`${setting.variable}=${value}`);
        }
      }
      const expected = LEAVES_OUT.map(([variable, value]) => `${variable}=${value}`);
      assert.deepEqual(yes.toSorted(), expected.toSorted());
    });
  }

  for (const [variable, value, note] of LEAVES_OUT) {
    it(`says what ${variable}=${value} leaves out`, async () => {
      await project('.', 'swapped');
      await project('good', 'last');
      await write('good/bftpkg.json', config());
      const { stdout } = await fake.run(['verify', '--json'], { env: { [variable]: value } });
      const { subjects, exit } = JSON.parse(stdout) as Document;
      assert.equal(exit.code, EXIT.verified, stdout);
      const row = subjects.find(({ id }) => id === 'npm:swapped@1.0.0');
      assert.equal(row?.verdict ?? 'omitted', 'omitted');
      assert.match(row?.origin?.notes.join() ?? '', note);
      if (row === undefined) return;
      for (const format of ['human', 'concise', 'github', 'markdown', 'junit']) {
        const env = { [variable]: value, BFTPKG_FORMAT: format };
        const said = await fake.run(['verify', '--quiet'], { env });
        assert.match(said.stdout, note, format);
      }
    });
  }

  const allowing = {
    exceptions: ['*', '@*/*', 'unlogged'].flatMap((pattern) =>
      ['BP5003', 'BP6006'].map((code) => {
        return { package: pattern, code, reason: 'fine', expires: '2099-12-31' };
      }),
    ),
    baseline: 'base.json',
  };
  const files: readonly (readonly [string, () => Promise<void>])[] = [
    ['a bftpkg.json that allows everything', () => write('bftpkg.json', config(allowing))],
    [
      'a bftpkg.json that has another log',
      () =>
        write('bftpkg.json', config({ pin: 'ab'.repeat(32), replicas: ['http://127.0.0.1:9'] })),
    ],
    ['one in a folder above', () => write('../bftpkg.json', config(allowing))],
    [
      'its own word in package.json',
      async () => {
        const { dependencies, devDependencies } = {
          dependencies: { alpha: '1.0.0' },
          devDependencies: { unlogged: '1.0.0' },
        };
        const bftpkg: unknown = JSON.parse(config(allowing));
        await write('package.json', { name: 'app', dependencies, devDependencies, bftpkg });
      },
    ],
    ['variables in a file', () => write('.env', 'BFTPKG_ONLY=alpha\nBFTPKG_OMIT=dev\n')],
    ['settings for npm', () => write('.npmrc', 'omit=dev\nbftpkg-only=alpha\nonly=prod\n')],
    ['folders of its own for state', () => write('.config/bftpkg/config.json', config(allowing))],
  ];
  for (const [why, prepare] of files) {
    it(`is called good by nothing in the checkout, with a configuration from elsewhere: ${why}`, async () => {
      await project('.', 'unlogged');
      await prepare();
      for (const how of [{ argv: ['--config', trusted] }, { env: { BFTPKG_CONFIG: trusted } }]) {
        const { argv = [], env = {} } = { argv: undefined, env: undefined, ...how };
        const { code, stdout } = await fake.run(['verify', ...argv], { env });
        assert.equal(code, EXIT.notLogged, stdout);
      }
      await rm(join(fake.home, 'bftpkg.json'), { force: true });
    });
  }

  const answers: readonly (readonly [string, () => void])[] = [
    ['nobody can be reached', () => fake.replicas.forEach((r) => (r.misbehave = hang))],
    ['all say nothing', () => fake.replicas.forEach((r) => (r.misbehave = answer('')))],
    ['all say an empty document', () => fake.replicas.forEach((r) => (r.misbehave = answer('{}')))],
  ];
  for (const [why, prepare] of answers) {
    it(`is called good by nobody’s silence: ${why}`, async () => {
      await project('.', 'last');
      prepare();
      const { code, stdout } = await fake.run(['verify', '--timeout', '1s']);
      assert.notEqual(code, EXIT.verified, stdout);
    });
  }

  for (const folder of ['nowhere', 'package.json']) {
    it(`is not taken for ${folder}, which is no folder and has the lockfile above it`, async () => {
      await project('.', 'last');
      assert.equal((await fake.run(['verify'])).code, EXIT.verified);
      assert.equal((await fake.run(['verify', '-C', folder])).code, EXIT.usage);
    });
  }

  it('is called good by no name of a tarball', async () => {
    const bytes = makeTarball({ name: 'unlogged', version: '1.0.0' });
    await writeFile(join(fake.project, 'alpha-1.0.0.tgz'), bytes);
    assert.equal((await fake.run(['verify', 'alpha-1.0.0.tgz'])).code, EXIT.notLogged);
  });
});

type Misbehave = NonNullable<FakeLog['replicas'][number]['misbehave']>;

const hang: Misbehave = async () => await new Promise<boolean>(() => undefined);

function answer(text: string): Misbehave {
  return (_request, response) => {
    response.end(text);
    return true;
  };
}
