// What a maintainer says about a tarball against the tarball: the right digest with other words around it.
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { CoMaintainers, yes, type Person } from '../../fixtures/co-maintainers.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import {
  formatRelease,
  type ReleaseSubject,
  type ReleaseSubjectFields,
} from '../../verifier/statements/release.ts';
import { loadKey } from '../keys/key-file.ts';
import { memorySigner } from '../keys/signer.ts';
import { EXIT } from '../output/exit-codes.ts';
import {
  draftId,
  envelopeOf,
  loadDraft,
  makeDraft,
  saveDraft,
  signDraft,
} from '../release/draft.ts';

const MANIFEST = {
  dependencies: { safe: '^1.0.0' },
  scripts: { postinstall: 'node index.js' },
};
const OTHER_BYTES = `sha512-${'A'.repeat(86)}==`;

describe('a statement that says of a tarball what it is not', () => {
  let people: CoMaintainers;
  before(async () => {
    people = await CoMaintainers.start();
  });
  after(() => people.fake.stop());
  beforeEach(async () => {
    await people.nextVersion();
    await people.checkOut(MANIFEST);
  });

  /** Alice's proposal with her word about the tarball changed, signed by her, in all mailboxes. */
  async function propose(
    change: (subject: ReleaseSubject) => Partial<ReleaseSubjectFields>,
  ): Promise<{ readonly id: string; readonly digest: string }> {
    const file = join(people.folderOf('alice'), 'draft.json');
    const made = await people.as('alice', ['release', 'prepare', '--out', file, '--no-post']);
    assert.equal(made.code, EXIT.verified, made.stderr);
    const honest = await loadDraft(file);
    assert.ok(honest.statement.kind === 'release', 'it is a release');
    const { subjects, observed } = honest.statement.release;
    const payload = formatRelease({
      subjects: subjects.map((subject) => ({ ...subject, ...change(subject) })),
      observed,
    });
    const keys = join(people.fake.home, 'people', 'alice', '.config', 'bftpkg', 'keys');
    const { secret } = await loadKey(join(keys, 'alice.key.json'));
    assert.ok(secret.kind === 'plain', 'the key has no passphrase');
    const signer = memorySigner('alice', secret.key);
    const draft = await signDraft(makeDraft(honest.payloadType, payload), signer);
    const id = draftId(draft);
    for (const proposals of people.mailboxes) proposals.set(id, envelopeOf(draft).envelope);
    await saveDraft({ ...draft, artifacts: honest.artifacts }, file);
    return { id, digest: formatSri(subjects[0]?.sha512 ?? new Uint8Array()) };
  }

  async function signedBy(
    person: Person,
    ...argv: readonly string[]
  ): ReturnType<CoMaintainers['as']> {
    return await people.as(person, ['release', 'sign', '--key', person, ...argv], yes);
  }

  const lies: readonly (readonly [
    string,
    (subject: ReleaseSubject) => Partial<ReleaseSubjectFields>,
    RegExp,
  ])[] = [
    [
      'another dependency',
      ({ manifest }) => ({ manifest: { ...manifest, dependencies: { evil: '^6.6.6' } } }),
      /manifest +stated otherwise than in the tarball: dependencies\.(?:evil|safe)/,
    ],
    [
      'no install script',
      ({ manifest: { dependencies = {} } }) => ({ manifest: { dependencies } }),
      /manifest +stated otherwise than in the tarball: (?:hasInstallScript|scripts)/,
    ],
    [
      'another size',
      ({ size }) => ({ size: size + 1 }),
      /size +stated [0-9]+, the tarball has [0-9]+/,
    ],
  ];
  for (const [why, change, expected] of lies) {
    it(`signs no manifest but the tarball’s: ${why}`, async () => {
      const { id, digest } = await propose(change);
      const rebuilt = await signedBy('bob');
      assert.equal(rebuilt.code, EXIT.tampered, rebuilt.stdout + rebuilt.stderr);
      assert.match(rebuilt.stderr, /BP1009/);
      assert.match(rebuilt.stderr, expected);
      // Nor when the digest is named and the tarball comes with the draft.
      const file = join(people.folderOf('alice'), 'draft.json');
      const named = await signedBy('bob', file, '--expect-digest', digest);
      assert.equal(named.code, EXIT.tampered, named.stdout + named.stderr);
      assert.match(named.stderr, expected);
      // Nor by the statement's own hash: who names it may not have looked either.
      const blind = await signedBy('bob', file, '--expect-digest', id);
      assert.equal(blind.code, EXIT.tampered, blind.stdout + blind.stderr);
      assert.equal(people.lines(id), 1);
    });

    it(`does not join a proposal that says something else about the same bytes: ${why}`, async () => {
      const { id } = await propose(change);
      const own = await people.prepare('carol');
      assert.notEqual(own, id);
      assert.equal(people.lines(id), 1);
      const seen = await people.as('bob', ['release', 'status']);
      assert.match(
        seen.stdout,
        new RegExp(`proposal ${id.slice(0, 16)} says something else about`),
      );
      // The true one goes on without alice.
      const signed = await signedBy('bob', own.slice(0, 16));
      assert.equal(signed.code, EXIT.verified, signed.stdout + signed.stderr);
      const done = await people.as('carol', ['release', 'submit', own]);
      assert.equal(done.code, EXIT.verified, done.stdout + done.stderr);
    });
  }

  it('takes the digest of a tarball for no other version', async () => {
    const { id, digest } = await propose(({ package: purl }) => ({ purl: `${purl}@9.0.0` }));
    const named = ['--no-input', '--expect-digest', digest];
    // Nobody has the tarball: its digest does not say that it is 9.0.0.
    const away = await signedBy('bob', id, ...named);
    assert.equal(away.code, EXIT.locked, away.stdout + away.stderr);
    assert.match(away.stderr, new RegExp(`--expect-digest ${id}`));
    const file = join(people.folderOf('alice'), 'draft.json');
    const atHand = await signedBy('bob', file, ...named);
    assert.equal(atHand.code, EXIT.tampered, atHand.stdout + atHand.stderr);
    assert.match(atHand.stderr, /version +stated 9\.0\.0, the tarball has 1\./);
    assert.equal(people.lines(id), 1);
    // Nothing was noted, so that the true 1.x is still to be signed, by its digest alone.
    const [liar] = people.mailboxes;
    for (const proposals of people.mailboxes) proposals.clear();
    assert.equal(liar?.size, 0);
    const own = await people.prepare('carol');
    const done = await signedBy('bob', own.slice(0, 16), ...named);
    assert.equal(done.code, EXIT.verified, done.stdout + done.stderr);
    const other = await signedBy('bob', own.slice(0, 16), '--expect-digest', OTHER_BYTES);
    assert.equal(other.code, EXIT.verified, 'has signed already');
  });

  it('shows all of a long manifest before it is signed', async () => {
    const dependencies = Object.fromEntries(
      Array.from({ length: 400 }, (_, i) => [`package-with-a-name-${i}`, '^1.0.0']),
    );
    const long = `node index.js ${'x'.repeat(5_000)} && node evil.js`;
    await people.checkOut({ dependencies, scripts: { postinstall: long } });
    await people.prepare('alice');
    const asked = await people.as('bob', ['release', 'sign', '--key', 'bob'], () => 'no');
    assert.equal(asked.code, EXIT.locked, asked.stderr);
    for (const name of Object.keys(dependencies)) {
      assert.ok(asked.stderr.includes(`dependencies.${name}: ^1.0.0\n`), `${name} is shown`);
    }
    assert.match(asked.stderr, /scripts\.postinstall: node index\.js x/);
    assert.match(asked.stderr, /&& node evil\.js\n/);
  });
});
