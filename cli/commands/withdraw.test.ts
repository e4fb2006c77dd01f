import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { takeSubmissions } from '../../fixtures/fake-gateway.ts';
import { FakeLog, type Outcome } from '../../fixtures/fake-log.ts';
import { integrityOf, makeTarball } from '../../fixtures/tarballs/generator.ts';

interface Json {
  readonly exit: { readonly code: number; readonly reason: string | null };
  readonly result: {
    readonly status?: string;
    readonly index?: number;
    readonly statement?: string;
    readonly refused?: readonly { readonly code: string }[];
  } | null;
  readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
  readonly subjects?: readonly {
    readonly verdict: string;
    readonly diagnostics: readonly { readonly code: string; readonly message: string }[];
  }[];
}

function json(outcome: Outcome): Json {
  return JSON.parse(outcome.stdout) as Json;
}

/** A package with the keys alice, bob and carol, of whom two have to sign, made with the program. */
async function publisher(): Promise<FakeLog> {
  const fake = await FakeLog.start(4);
  takeSubmissions(fake);
  for (const name of ['alice', 'bob', 'carol', 'mallory']) {
    assert.equal((await fake.run(['key', 'generate', name, '--no-passphrase'])).code, 0);
  }
  const keys = ['alice', 'bob', 'carol'].flatMap((name) => ['--key', name]);
  const registered = await fake.run(['package', 'register', 'left-pad', '--faulty', '1', ...keys]);
  assert.equal(registered.code, 0, registered.stderr);
  return fake;
}

let release = 0;
/** The next release of left-pad, signed by alice and bob. @returns its spec, and its tarball's digest */
async function publish(fake: FakeLog): Promise<readonly [spec: string, digest: string]> {
  const version = `1.${release++}.0`;
  const file = join(fake.home, `left-pad-${version}.tgz`);
  const bytes = makeTarball({ name: 'left-pad', version });
  await writeFile(file, bytes);
  const keys = ['--key', 'alice', '--key', 'bob'];
  const how = ['--expect-digest', integrityOf(bytes), '--no-npm'];
  const published = await fake.run(['release', 'publish', file, ...keys, ...how]);
  assert.equal(published.code, 0, published.stderr);
  return [`left-pad@${version}`, integrityOf(bytes)];
}

const BOTH = ['--key', 'alice', '--key', 'carol'];

describe('revoke, yank, unyank', () => {
  let fake: FakeLog;
  let spec: string;
  let digest: string;
  /** Says as well which release is meant, where a withdrawal is signed. */
  const run = async (...argv: readonly string[]): Promise<Outcome> => {
    const isSigned = argv.includes('--key') && /^(?:revoke|yank|unyank)$/.test(argv[0] ?? '');
    const isSaid = argv.includes('--expect-digest');
    const which = isSigned && !isSaid ? ['--expect-digest', digest] : [];
    return await fake.run([...argv, ...which, '--json']);
  };
  const exitOf = async (...argv: readonly string[]): Promise<readonly unknown[]> => {
    const { exit } = json(await run(...argv));
    return [exit.code, exit.reason];
  };

  before(async () => {
    fake = await publisher();
  });
  after(async () => fake.stop());
  beforeEach(async () => {
    [spec, digest] = await publish(fake);
  });

  it('revokes for ever: every client refuses the release with exit 15', async () => {
    assert.deepEqual(await exitOf('verify', spec), [0, null]);
    const why = ['--reason', 'malicious-code', '--text', 'published from a stolen laptop'];
    const revoked = json(await run('revoke', spec, ...why, ...BOTH));
    assert.deepEqual([revoked.exit.code, revoked.result?.status], [0, 'revoked']);
    const refused = json(await run('verify', spec));
    assert.deepEqual([refused.exit.code, refused.exit.reason], [15, 'BP5001']);
    const [subject] = refused.subjects ?? [];
    assert.equal(subject?.verdict, 'rejected');
    assert.match(subject.diagnostics[0]?.message ?? '', /malicious-code.*stolen laptop/);
    assert.deepEqual(await exitOf('unyank', spec, ...BOTH), [15, 'BP5001']);
    assert.deepEqual(await exitOf('revoke', spec, '--reason', 'other', ...BOTH), [15, 'BP5001']);
  });

  it('yanks with a warning, and takes it back', async () => {
    const yanked = json(await run('yank', spec, '--reason', 'broken', ...BOTH));
    assert.deepEqual([yanked.exit.code, yanked.result?.status], [0, 'yanked']);
    const warned = json(await run('verify', spec));
    assert.equal(warned.exit.code, 0);
    assert.deepEqual(
      warned.subjects?.map(({ verdict, diagnostics }) => [verdict, diagnostics[0]?.code]),
      [['verified', 'BP5002']],
    );
    assert.deepEqual(await exitOf('yank', spec, ...BOTH), [18, 'BP5004']);
    const back = json(await run('unyank', spec, ...BOTH));
    assert.deepEqual([back.exit.code, back.result?.status], [0, 'active']);
    assert.deepEqual(json(await run('verify', spec)).subjects?.[0]?.diagnostics, []);
    assert.deepEqual(await exitOf('unyank', spec, ...BOTH), [18, 'BP5004']);
  });

  it('passes a draft from one maintainer to the next', async () => {
    const draft = ['--out', 'yank.json'];
    const made = json(await run('yank', spec, '--key', 'alice', ...draft));
    assert.equal(made.exit.code, 0);
    const lone = await run('release', 'submit', 'yank.json');
    assert.deepEqual([lone.code, json(lone).exit.reason], [11, 'BP2001']);
    assert.match(lone.stdout, /bftpkg release sign yank\.json --key/, 'the draft that there is');
    // Nobody is here to ask, so the digest says what is meant.
    const asked = await run('release', 'sign', 'yank.json', '--key', 'bob');
    assert.deepEqual([asked.code, json(asked).exit.reason], [4, 'BP8002']);
    assert.match(asked.stderr, /: yanked\n/, 'what would be signed is shown, not its digest alone');
    const statement = made.result?.statement ?? '';
    const sign = ['release', 'sign', 'yank.json', '--key', 'bob', '--expect-digest', statement];
    assert.deepEqual(await exitOf(...sign), [0, null]);
    const submitted = json(await run('release', 'submit', 'yank.json'));
    assert.deepEqual([submitted.exit.code, submitted.result?.status], [0, 'yanked']);
    // Again: it is in the log, which is success.
    const again = json(await run('release', 'submit', 'yank.json'));
    assert.deepEqual([again.exit.code, again.result?.index], [0, submitted.result?.index]);
    const text = await readFile(join(fake.project, 'yank.json'), 'utf8');
    assert.match(text, /bftpkg-draft\/v1/);
  });

  it('finds a statement that was taken back since, when it is submitted again', async () => {
    const made = json(await run('yank', spec, ...BOTH, '--out', 'old.json'));
    assert.equal(made.exit.code, 0);
    const first = json(await run('release', 'submit', 'old.json'));
    assert.deepEqual(await exitOf('unyank', spec, ...BOTH), [0, null]);
    const { size } = fake.log;
    const again = json(await run('release', 'submit', 'old.json'));
    assert.deepEqual([again.exit.code, again.result?.index], [0, first.result?.index]);
    assert.equal(again.result?.status, 'active');
    assert.equal(fake.log.size, size);
  });

  it('does not say that a release is verified which every client refuses', async () => {
    const version = `1.${release++}.0`;
    const bytes = makeTarball({ name: 'left-pad', version });
    const file = join(fake.home, `left-pad-${version}.tgz`);
    await writeFile(file, bytes);
    const how = ['--expect-digest', integrityOf(bytes), '--no-post', '--out', 'release.json'];
    const made = await run('release', 'prepare', file, '--key', 'alice', '--key', 'bob', ...how);
    assert.equal(made.code, 0, made.stdout);
    const first = json(await run('release', 'submit', 'release.json'));
    assert.deepEqual([first.exit.code, first.result?.refused], [0, []]);
    const why = ['--reason', 'malicious-code', '--text', 'stolen'];
    const other = [`left-pad@${version}`, '--expect-digest', integrityOf(bytes)];
    assert.deepEqual(await exitOf('revoke', ...other, ...why, ...BOTH), [0, null]);
    // It is in the log for ever, and that is all that there is to say for it.
    const again = json(await run('release', 'submit', 'release.json'));
    assert.deepEqual([again.exit.code, again.result?.index], [0, first.result?.index]);
    assert.deepEqual(
      again.result?.refused?.map(({ code }) => code),
      ['BP5001'],
    );
    assert.deepEqual(
      again.diagnostics.map(({ code }) => code),
      ['BP5001'],
    );
    const shown = await fake.run(['release', 'submit', 'release.json']);
    assert.match(
      shown.stdout,
      /was in the log already: entry [0-9]+, .*\nclients refuse it all the same: .*malicious-code/,
    );
  });

  it('shows the whole statement before it is signed', async () => {
    const why = ['--reason', 'key-compromise', '--text', 'see the advisory'];
    const made = json(await run('revoke', spec, ...why, '--out', 'x.json'));
    const statement = made.result?.statement ?? '';
    const sign = ['release', 'sign', 'x.json', '--key', 'bob', '--expect-digest', statement];
    const shown = (await fake.run(sign)).stdout;
    for (const line of ['revoked', 'for ever', 'key-compromise', 'see the advisory', statement]) {
      assert.ok(shown.includes(line), `${line} in ${shown}`);
    }
  });

  it('shows it once to who reads it, and in full to a file', async () => {
    const why = ['--reason', 'key-compromise', '--text', 'see the advisory'];
    await run('revoke', spec, ...why, '--out', 'x.json');
    for (const outIsTty of [true, false]) {
      const ask = async (question: string): Promise<string> =>
        await Promise.resolve(/type "([^"]+)"/.exec(question)?.[1] ?? '');
      const sign = ['release', 'sign', 'x.json', '--key', 'bob'];
      const { code, stdout, stderr } = await fake.run(sign, { ask, outIsTty });
      assert.equal(code, 0, stderr);
      assert.match(stderr, /see the advisory/);
      assert.equal(stdout.includes('see the advisory'), !outIsTty, stdout);
      assert.match(stdout, /1 signature\(s\) in /);
    }
  });

  // A passphrase alone was enough, and a file with it is what a script has.
  it('signs nothing that nobody said yes to, and shows what it would be', async () => {
    const { size } = fake.log;
    const yank = ['yank', spec, '--reason', 'broken', '--text', 'see #7', ...BOTH];
    const asked = await fake.run(yank);
    assert.equal(asked.code, 4, asked.stdout);
    const said = [
      `${spec}: yanked`,
      'reason    broken',
      'text      see #7',
      fake.log.origin,
      digest,
    ];
    for (const each of said) assert.ok(asked.stderr.includes(each), `${each} in ${asked.stderr}`);
    assert.ok(asked.stderr.includes(`--expect-digest ${digest}`), asked.stderr);
    const another = [
      ...yank,
      '--expect-digest',
      integrityOf(makeTarball({ name: 'a', version: '1.0.0' })),
    ];
    assert.deepEqual(await exitOf(...another), [10, 'BP1001']);
    const drafted = await fake.run([...yank, '--out', 'unsure.json']);
    assert.equal(drafted.code, 4, drafted.stdout);
    await assert.rejects(readFile(join(fake.project, 'unsure.json')), { code: 'ENOENT' });
    assert.equal(fake.log.size, size);
  });

  it('asks whoever is there, for the version', async () => {
    const { size } = fake.log;
    const questions: string[] = [];
    const yank = async (answer: string): Promise<Outcome> => {
      const ask = async (question: string): Promise<string> => {
        questions.push(question);
        return await Promise.resolve(answer);
      };
      return await fake.run(['yank', spec, '--reason', 'broken', ...BOTH], { ask, outIsTty: true });
    };
    assert.equal((await yank('y')).code, 4);
    assert.equal(fake.log.size, size);
    const version = spec.slice('left-pad@'.length);
    const { code, stdout, stderr } = await yank(version);
    assert.equal(code, 0, stderr);
    assert.deepEqual(questions, Array(2).fill(`type "${version}" to sign: `));
    assert.match(stderr, /: yanked\n {2}reason {4}broken\n/);
    assert.ok(!stdout.includes('reason    broken'), stdout);
  });

  const refused: readonly (readonly [
    why: string,
    argv: (spec: string) => readonly string[],
    expected: readonly unknown[],
  ])[] = [
    ['one signature', (s) => ['yank', s, '--key', 'alice'], [11, 'BP2001']],
    ['no signature', (s) => ['yank', s], [11, 'BP2001']],
    [
      'the signature of a stranger',
      (s) => ['yank', s, '--key', 'alice', '--key', 'mallory'],
      [11, 'BP2001'],
    ],
    ['a revocation without a reason', (s) => ['revoke', s, ...BOTH], [2, 'BP9003']],
    ['an unknown reason', (s) => ['yank', s, '--reason', 'mood', ...BOTH], [2, 'BP9003']],
    [
      'a text of 501 characters',
      (s) => ['yank', s, '--text', 'x'.repeat(501), ...BOTH],
      [2, 'BP9003'],
    ],
    [
      'a text that would act on a terminal',
      (s) => ['yank', s, '--text', '\u001b[2J', ...BOTH],
      [2, 'BP9003'],
    ],
    ['a range', () => ['yank', 'left-pad@^1.0.0', ...BOTH], [2, 'BP9003']],
    ['a package without version', () => ['yank', 'left-pad', ...BOTH], [2, 'BP9003']],
    ['a release that never was', () => ['yank', 'left-pad@9.9.9', ...BOTH], [16, 'BP5003']],
  ];
  for (const [why, argv, expected] of refused) {
    it(`refuses ${why}, and nothing is logged`, async () => {
      const { size } = fake.log;
      assert.deepEqual(await exitOf(...argv(spec)), expected);
      assert.equal(fake.log.size, size);
    });
  }

  it('lets the log decide: a draft that was overtaken is refused by the replicas', async () => {
    await run('yank', spec, ...BOTH, '--out', 'late.json');
    assert.deepEqual(await exitOf('yank', spec, '--text', 'first', ...BOTH), [0, null]);
    assert.deepEqual(await exitOf('release', 'submit', 'late.json'), [18, 'BP6005']);
  });

  it('leaves a log that an auditor finds legal', async () => {
    assert.deepEqual(await exitOf('log', 'fsck'), [0, null]);
  });
});
