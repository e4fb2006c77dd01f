import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { takeSubmissions } from '../../fixtures/fake-gateway.ts';
import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { integrityOf, makeTarball } from '../../fixtures/tarballs/generator.ts';

interface Json {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: {
    readonly statement?: string;
    readonly missing?: readonly string[];
    readonly publicKey?: string;
    readonly sets?: readonly {
      readonly sequence: number;
      readonly faulty: number;
      readonly maintainers: readonly { readonly name: string; readonly keyId: string }[];
      readonly signers: readonly string[];
    }[];
  } | null;
  readonly diagnostics: readonly { readonly code: string; readonly severity: string }[];
}

function json(outcome: Outcome): Json {
  return JSON.parse(outcome.stdout) as Json;
}

// The base point of the curve: a good key, whoever holds it.
const TAKEN = `58${'66'.repeat(31)}`;

const PEOPLE = ['alice', 'bob', 'carol', 'dan', 'mallory'] as const;

/** A log on which alice, bob and carol hold left-pad, two of whom have to sign. */
class World {
  readonly fake: FakeLog;
  #files = 0;

  constructor(fake: FakeLog) {
    this.fake = fake;
  }

  static async start(): Promise<World> {
    const world = new World(await FakeLog.start(4));
    takeSubmissions(world.fake);
    for (const name of PEOPLE)
      assert.deepEqual(await world.exitOf('key', 'generate', name, '--no-passphrase'), [0, null]);
    const keys = ['alice', 'bob', 'carol'].flatMap((name) => ['--key', name]);
    const register = ['package', 'register', 'left-pad', '--faulty', '1', ...keys];
    assert.deepEqual(await world.exitOf(...register), [0, null]);
    return world;
  }

  async run(...argv: readonly string[]): Promise<Json> {
    return json(await this.fake.run([...argv, '--json']));
  }

  async exitOf(...argv: readonly string[]): Promise<readonly unknown[]> {
    const { exit } = await this.run(...argv);
    return [exit.code, exit.reason];
  }

  /** A draft of a change, not signed. @returns the file and the statement's hash */
  async propose(
    ...options: readonly string[]
  ): Promise<readonly [file: string, statement: string]> {
    const file = `set-${this.#files++}.json`;
    const made = await this.run('package', 'propose-change', 'left-pad', ...options, '--out', file);
    assert.deepEqual([made.exit.code, made.exit.reason], [0, null]);
    return [file, made.result?.statement ?? ''];
  }

  async approve(file: string, statement: string, ...names: readonly string[]): Promise<Json> {
    const keys = names.flatMap((name) => ['--key', name]);
    return await this.run('package', 'approve', file, ...keys, '--expect-digest', statement);
  }

  async publish(version: string, ...names: readonly string[]): Promise<readonly unknown[]> {
    const file = join(this.fake.home, `left-pad-${version}.tgz`);
    const bytes = makeTarball({ name: 'left-pad', version });
    await writeFile(file, bytes);
    const how = ['--expect-digest', integrityOf(bytes), '--no-npm'];
    const keys = names.flatMap((name) => ['--key', name]);
    return await this.exitOf('release', 'publish', file, ...keys, ...how);
  }
}

describe('a change of maintainers', () => {
  let world: World;

  before(async () => {
    world = await World.start();
  });
  after(async () => world.fake.stop());

  it('needs f+1 of the old set and the new key, and is then in force', async () => {
    assert.deepEqual(await world.publish('1.0.0', 'alice', 'bob'), [0, null]);
    const dan = (await world.run('key', 'show', 'dan')).result?.publicKey ?? '';
    const [file, statement] = await world.propose('--add', `dan=${dan}`, '--remove', 'bob');

    const first = await world.approve(file, statement, 'alice');
    assert.equal(first.result?.missing?.length, 2);
    assert.deepEqual(await world.exitOf('package', 'submit', file), [11, 'BP2001']);
    const second = await world.approve(file, statement, 'bob');
    assert.equal(second.result?.missing?.length, 1);
    assert.deepEqual(await world.exitOf('package', 'submit', file), [11, 'BP2001']);
    const third = await world.approve(file, statement, 'dan');
    assert.deepEqual(third.result?.missing, []);
    assert.deepEqual(await world.exitOf('package', 'submit', file), [0, null]);
    assert.deepEqual(await world.exitOf('package', 'submit', file), [0, null]);

    // A removed key counts no more, a new one does, and the old release stays good.
    assert.deepEqual(await world.publish('1.1.0', 'alice', 'bob'), [11, 'BP2001']);
    assert.deepEqual(await world.publish('1.1.0', 'alice', 'dan'), [0, null]);
    assert.deepEqual(await world.exitOf('verify', 'left-pad@1.0.0', 'left-pad@1.1.0'), [0, null]);
  });

  it('is shown in full before it is signed', async () => {
    const [file, statement] = await world.propose('--remove', 'carol', '--faulty', '1');
    const sign = ['package', 'approve', file, '--key', 'alice', '--expect-digest', statement];
    const { stdout } = await world.fake.run(sign);
    const carol = (await world.run('key', 'show', 'carol')).result?.publicKey ?? 'none';
    for (const part of ['sequence 1 to 2', `- carol  ${carol}`, '2 of 2 signatures', statement]) {
      assert.ok(stdout.includes(part), `${part} in ${stdout}`);
    }
  });

  it('tells its history, with who signed what', async () => {
    const { result } = await world.run('package', 'history', 'left-pad');
    const names = result?.sets?.map(({ maintainers }) => maintainers.map(({ name }) => name));
    assert.deepEqual(names, [
      ['alice', 'bob', 'carol'],
      ['alice', 'carol', 'dan'],
    ]);
    const [first, second] = result?.sets ?? [];
    const known = [...(first?.maintainers ?? []), ...(second?.maintainers ?? [])];
    const nameOf = (id: string): string => known.find(({ keyId }) => keyId === id)?.name ?? id;
    assert.deepEqual(first?.signers.map(nameOf), ['alice', 'bob', 'carol']);
    assert.deepEqual(second?.signers.map(nameOf).toSorted(), ['alice', 'bob', 'dan']);
    const human = (await world.fake.run(['package', 'history', 'left-pad'])).stdout;
    assert.match(human, /- bob/);
    assert.match(human, /\+ dan/);
    assert.match(human, /complete: proven/);
  });

  it('can move the threshold, under the old one', async () => {
    const [file, statement] = await world.propose('--faulty', '0');
    assert.equal((await world.approve(file, statement, 'alice')).result?.missing?.length, 1);
    assert.deepEqual(await world.exitOf('package', 'submit', file), [11, 'BP2001']);
    const done = await world.approve(file, statement, 'carol');
    // Any one stolen key can release from now on: allowed, and said.
    assert.deepEqual(
      done.diagnostics.map(({ code, severity }) => [code, severity]),
      [['BP2001', 'warning']],
    );
    assert.deepEqual(await world.exitOf('package', 'submit', file), [0, null]);
    assert.deepEqual(await world.publish('1.2.0', 'dan'), [0, null]);
  });

  it('is refused when another change came first', async () => {
    const [late, statement] = await world.propose('--faulty', '1');
    const [file, first] = await world.propose('--remove', 'carol');
    await world.approve(late, statement, 'alice');
    await world.approve(file, first, 'alice');
    assert.deepEqual(await world.exitOf('package', 'submit', file), [0, null]);
    assert.deepEqual(await world.exitOf('package', 'submit', late), [18, 'BP5004']);
    const again = await world.approve(late, statement, 'dan');
    assert.deepEqual([again.exit.code, again.exit.reason], [18, 'BP5004']);
  });

  const refused: readonly (readonly [
    why: string,
    options: readonly string[],
    expected: readonly unknown[],
  ])[] = [
    ['no change', [], [2, 'BP9003']],
    ['removing a stranger', ['--remove', 'mallory'], [2, 'BP9003']],
    ['removing everybody', ['--remove', 'alice', '--remove', 'dan'], [2, 'BP9003']],
    ['more signatures than maintainers', ['--faulty', '2'], [2, 'BP9003']],
    ['a key that is none', ['--add', 'x=abc'], [2, 'BP9003']],
    ['a key of small order', ['--add', `x=01${'00'.repeat(31)}`], [2, 'BP9003']],
    ['a label that is taken', ['--add', `alice=${TAKEN}`], [2, 'BP9003']],
    ['a key that nobody has', ['--add', 'nobody'], [2, 'BP8001']],
  ];
  for (const [why, options, expected] of refused) {
    it(`refuses ${why}`, async () => {
      const propose = ['package', 'propose-change', 'left-pad', ...options];
      const [code, reason] = await world.exitOf(...propose);
      assert.equal(reason, expected[1]);
      if (expected[1] === 'BP9003') assert.equal(code, 2);
      else assert.notEqual(code, 0);
    });
  }

  it('refuses packages that nobody registered, and drafts of something else', async () => {
    assert.deepEqual(
      await world.exitOf('package', 'propose-change', 'right-pad', '--faulty', '0'),
      [16, 'BP5003'],
    );
    assert.deepEqual(await world.exitOf('package', 'history', 'right-pad'), [16, 'BP5003']);
    await world.run('yank', 'left-pad@1.0.0', '--out', 'yank.json');
    assert.deepEqual(await world.exitOf('package', 'approve', 'yank.json', '--key', 'alice'), [
      2,
      'BP9003',
    ]);
    assert.deepEqual(await world.exitOf('package', 'submit', 'yank.json'), [2, 'BP9003']);
  });

  it('leaves a log that an auditor finds legal', async () => {
    assert.deepEqual(await world.exitOf('log', 'fsck'), [0, null]);
  });
});
