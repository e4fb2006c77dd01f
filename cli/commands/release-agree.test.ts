// Maintainers with checkouts of their own, who meet in the mailboxes only: what each is shown, what they
// sign, and what replicas, co-maintainers and files that lie can make them sign (nothing).
import assert from 'node:assert/strict';
import { cp, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, beforeEach, describe, it } from 'node:test';

import { CoMaintainers, yes, type Person } from '../../fixtures/co-maintainers.ts';
import type { FakeLog } from '../../fixtures/fake-log.ts';
import { statementHash } from '../../verifier/dsse.ts';
import { canonicalJson, type JsonObject } from '../../verifier/json.ts';
import {
  formatRelease,
  parseRelease,
  PROPOSAL_PACKAGES_MAX,
} from '../../verifier/statements/release.ts';
import { EXIT } from '../output/exit-codes.ts';

describe('agreement on a release', () => {
  let people: CoMaintainers;
  let fake: FakeLog;
  const versionOf = (): string => people.version;
  const folderOf = (person: Person): string => people.folderOf(person);
  const as: CoMaintainers['as'] = (...how) => people.as(...how);
  const edit: CoMaintainers['edit'] = (...what) => people.edit(...what);
  const prepare = (person: Person): Promise<string> => people.prepare(person);
  const mailboxes = (): CoMaintainers['mailboxes'] => people.mailboxes;
  const lines = (id: string): number => people.lines(id);

  before(async () => {
    people = await CoMaintainers.start();
    ({ fake } = people);
  });
  after(() => fake.stop());
  beforeEach(() => people.nextVersion());

  it('goes from one checkout to the other and into the log, without a file between them', async () => {
    const id = await prepare('alice');
    for (const proposals of mailboxes()) assert.equal(proposals.get(id)?.signatures.length, 1);
    const seen = await as('bob', ['release', 'status']);
    assert.match(seen.stdout, /1 of 2 signatures\n +signed +alice\n +not signed +bob/);
    const signed = await as('bob', ['release', 'sign', '--key', 'bob'], yes);
    assert.equal(signed.code, EXIT.verified, signed.stdout + signed.stderr);
    assert.equal(lines(id), 2);
    // Anybody may bring it in, also who has no key: the tarball comes from where alice has put it.
    const done = await as('mallory', ['release', 'submit', `left-pad@${versionOf()}`]);
    assert.equal(done.code, EXIT.verified, done.stdout + done.stderr);
    assert.equal((await as('carol', ['release', 'wait', `left-pad@${versionOf()}`])).code, 0);
    assert.equal((await as('carol', ['verify', `left-pad@${versionOf()}`])).code, 0);
  });

  it('shows a signer what changes, before anything is signed', async () => {
    for (const person of ['alice', 'bob'] as const) {
      await edit(person, 'index.js', `${'grown '.repeat(50)}\n`);
      await edit(person, 'extra.js', 'new\n');
      const manifest = {
        name: 'left-pad',
        version: versionOf(),
        files: ['*.js'],
        dependencies: { 'event-stream': '^3.3.6' },
        scripts: { postinstall: 'node extra.js' },
      };
      await edit(person, 'package.json', JSON.stringify(manifest));
    }
    const id = await prepare('alice');
    let shown = '';
    const signed = await as('bob', ['release', 'sign', '--key', 'bob'], () => 'no');
    shown = signed.stderr;
    assert.equal(signed.code, EXIT.locked, 'not confirmed');
    for (const expected of [
      /previous  left-pad@1\.[0-9]+\.0 \(entry [0-9]+, sha512-/,
      /1 added, 0 removed, 2 changed/,
      /added    extra\.js  4 bytes/,
      /changed  index\.js  [0-9]+ → 301 bytes/,
      /WARNING   new dependency: event-stream \^3\.3\.6/,
      /WARNING   new or changed install script: postinstall: node extra\.js/,
      /observed  .*: size [0-9]+, root [0-9a-f]{16}/,
      /signed +alice/,
    ]) {
      assert.match(shown, expected);
    }
    assert.equal(lines(id), 1);
  });

  it('signs nothing that the own checkout does not give, and names the files', async () => {
    await edit('alice', 'index.js', 'exports.version = "and a backdoor";\n');
    const id = await prepare('alice');
    const refused = await as('bob', ['release', 'sign', '--key', 'bob'], yes);
    assert.equal(refused.code, EXIT.tampered);
    assert.match(refused.stderr, /BP1009/);
    assert.match(refused.stderr, /changed  index\.js  [0-9]+ → [0-9]+ bytes/);
    assert.equal(lines(id), 1);
    // Nor when the digest is said to be right and the checkout is there as well.
    const seen = await as('bob', ['release', 'status']);
    const digest = /digest +(sha512-\S+)/.exec(seen.stdout)?.[1] ?? '';
    const both = ['release', 'sign', '--key', 'bob', '--from', '.', '--expect-digest', digest];
    assert.equal((await as('bob', both)).code, EXIT.tampered);
    // A digest that is known from elsewhere is somebody's word, and enough.
    const named = ['release', 'sign', '--key', 'bob', '--no-input', '--expect-digest', digest];
    const done = await as('bob', named);
    assert.equal(done.code, EXIT.verified, done.stderr);
  });

  const blind: readonly (readonly [string, readonly string[]])[] = [
    ['release sign', ['release', 'sign', '--key', 'bob', '--no-input']],
    ['release prepare', ['release', 'prepare', '--key', 'bob', '--no-input']],
    ['release publish', ['release', 'publish', '--key', 'bob', '--no-input', '--no-npm']],
  ];
  for (const [command, argv] of blind) {
    it(`${command} --no-input needs --expect-digest`, async () => {
      const id = await prepare('alice');
      const refused = await as('bob', argv, yes);
      assert.equal(refused.code, EXIT.locked, refused.stderr);
      assert.match(refused.stderr, /--expect-digest sha512-/);
      const other = await as('bob', [...argv, '--expect-digest', `sha512-${'A'.repeat(86)}==`]);
      assert.equal(other.code, EXIT.tampered, other.stderr);
      assert.equal(lines(id), 1);
    });
  }

  it('shows both of two proposals for one version, and nobody signs two', async () => {
    const first = await prepare('alice');
    await edit('carol', 'index.js', 'exports.version = "carol\'s";\n');
    const second = await prepare('carol');
    assert.notEqual(first, second);
    const seen = await as('bob', ['release', 'status']);
    assert.match(
      seen.stdout,
      new RegExp(`proposal ${second.slice(0, 16)} gives this version other`),
    );
    assert.match(
      seen.stdout,
      new RegExp(`proposal ${first.slice(0, 16)} gives this version other`),
    );
    const vague = await as('bob', ['release', 'sign', '--key', 'bob'], yes);
    assert.equal(vague.code, EXIT.usage, 'which one?');
    const signed = await as('bob', ['release', 'sign', first.slice(0, 16), '--key', 'bob'], yes);
    assert.equal(signed.code, EXIT.verified, signed.stderr);
    assert.match(signed.stdout, /WARNING   proposal [0-9a-f]{16} gives this version other bytes/);
    // Whatever bob's checkout says later, and whatever digest is named.
    await edit('bob', 'index.js', 'exports.version = "carol\'s";\n');
    for (const how of [[], ['--from', '.']]) {
      const twice = ['release', 'sign', second.slice(0, 16), '--key', 'bob', ...how];
      const refused = await as('bob', twice, yes);
      assert.equal(refused.code, EXIT.policy, refused.stderr);
      assert.match(refused.stderr, /BP2007/);
    }
    assert.equal(lines(second), 1);
    const publish = ['release', 'publish', '--key', 'bob', '--no-npm'];
    assert.equal((await as('bob', publish, yes)).code, EXIT.policy);
    assert.equal((await as('carol', ['release', 'submit', second])).code, EXIT.maintainers);
    assert.equal((await as('carol', ['release', 'submit', first])).code, EXIT.verified);
    assert.equal(
      (await as('carol', ['release', 'submit', second])).code,
      EXIT.maintainers,
      'too late',
    );
  });

  it('does not carry signatures over to a proposal that was changed afterwards', async () => {
    const id = await prepare('alice');
    const path = join(folderOf('alice'), 'release.json');
    const draft = JSON.parse(await readFile(path, 'utf8')) as Record<string, string>;
    const payload = Buffer.from(draft['payload'] ?? '', 'base64').toString('utf8');
    const changed = payload.replace(/"size":[0-9]+/, '"size":4711');
    assert.notEqual(changed, payload);
    const forged = { ...draft, payload: Buffer.from(changed).toString('base64') };
    await writeFile(path, `${canonicalJson(forged)}\n`);
    const submitted = await as('alice', ['release', 'submit', 'release.json']);
    assert.equal(submitted.code, EXIT.maintainers, submitted.stderr);
    assert.match(submitted.stderr, /0 valid maintainer signature\(s\), 2 required/);
    // Handed to the mailbox as it is, it is nobody's proposal.
    const envelope = mailboxes()[0]?.get(id);
    assert.ok(envelope !== undefined, 'alice has posted it');
    const moved = { ...envelope, payload: new TextEncoder().encode(changed) };
    for (const proposals of mailboxes()) {
      proposals.clear();
      proposals.set(statementHash(moved.payload), moved);
    }
    const seen = await as('bob', ['release', 'status']);
    assert.match(seen.stdout, /nothing waits for signatures/);
    const lost = await as('bob', ['release', 'sign', 'nope.json']);
    assert.match(lost.stderr, /no such file, and nothing waits for signatures: nope\.json/);
  });

  it('takes a faulty replica’s word for nothing', async () => {
    const id = await prepare('alice');
    const [liar] = fake.replicas;
    const good = liar?.proposals.get(id);
    assert.ok(liar !== undefined && good !== undefined, 'it was posted');
    const [line] = good.signatures;
    assert.ok(line !== undefined, 'it is signed');
    // Bad lines in alice's name behind her own, and a proposal that nobody has made.
    const bad = { keyid: line.keyid, signature: new Uint8Array(64).fill(7) };
    liar.proposals.set(id, { ...good, signatures: [line, bad, bad] });
    const text = new TextDecoder().decode(good.payload).replace(/"size":[0-9]+/, '"size":1');
    const payload = new TextEncoder().encode(text);
    liar.proposals.set(statementHash(payload), { ...good, payload });
    const seen = await as('bob', ['release', 'status', '--json']);
    const { result } = JSON.parse(seen.stdout) as {
      result: { proposals: readonly { statement: string; packages: readonly JsonObject[] }[] };
    };
    assert.deepEqual(
      result.proposals.map(({ statement }) => statement),
      [id],
    );
    assert.deepEqual(result.proposals[0]?.packages[0]?.['signed'], ['alice']);
    // Another one hides it: the others have it.
    fake.replicas[1]?.proposals.clear();
    const signed = await as('bob', ['release', 'sign', '--key', 'bob'], yes);
    assert.equal(signed.code, EXIT.verified, signed.stderr);
    const done = await as('bob', ['release', 'submit', id]);
    assert.equal(done.code, EXIT.verified, done.stderr);
    assert.equal((await as('carol', ['verify', `left-pad@${versionOf()}`])).code, EXIT.verified);
  });

  it('asks the log about nothing that only a replica says, however much that is', async () => {
    const names = Array.from({ length: PROPOSAL_PACKAGES_MAX - 1 }, (_, i) => `neighbour-${i}`);
    for (const name of names) {
      if (!fake.log.packages.has(name))
        fake.log.maintain(name, { maintainers: ['alice', 'bob'], faulty: 1 });
    }
    fake.log.commit();
    const id = await prepare('alice');
    const [liar] = fake.replicas;
    const good = liar?.proposals.get(id);
    assert.ok(liar !== undefined && good !== undefined, 'it was posted');
    const { subjects, observed } = parseRelease(good.payload);
    const [subject] = subjects;
    assert.ok(subject !== undefined, 'it has a subject');
    for (let i = 0; i < 63; i++) {
      // Alternately small enough for a mailbox, and as large as a statement can be.
      const others = i % 2 === 0 ? names : Array.from({ length: 63 }, (_, n) => `far-${i}-${n}`);
      const made = [
        { ...subject, purl: `pkg:npm/left-pad@9.${i}.0` },
        ...others.map((name) => ({ ...subject, purl: `pkg:npm/${name}@9.${i}.0` })),
      ];
      const payload = formatRelease({ subjects: made, observed });
      liar.proposals.set(statementHash(payload), { ...good, payload });
    }
    for (const replica of fake.replicas) replica.requests.length = 0;
    const seen = await as('bob', ['release', 'status']);
    assert.equal(seen.code, EXIT.verified, seen.stderr);
    assert.match(seen.stdout, /1 of 2 signatures/);
    const asked = fake.replicas.map(({ requests }) => requests.length);
    assert.ok(Math.max(...asked) < 10, `requests to each replica: ${asked.join(' ')}`);
  });

  it('is not sure of what waits below a quorum of mailboxes', async () => {
    await prepare('alice');
    for (const replica of fake.replicas.slice(0, 2)) {
      replica.misbehave = ({ path }, response) => {
        if (!path.startsWith('/v1/proposals')) return false;
        response.destroy();
        return true;
      };
    }
    const seen = await as('bob', ['release', 'status']);
    assert.equal(seen.code, EXIT.inconclusive);
    assert.match(seen.stderr, /could not reach the mailboxes: 2 of 4/);
  });

  it('keeps a signature in the file when no mailbox takes it', async () => {
    const source = folderOf('alice');
    const drafted = await as('alice', ['release', 'prepare', '--key', 'alice', '--no-post'], yes);
    assert.equal(drafted.code, EXIT.verified, drafted.stderr);
    for (const proposals of mailboxes()) assert.equal(proposals.size, 0);
    // By mail: the draft alone, without the tarball. Bob rebuilds.
    await cp(join(source, 'release.json'), join(folderOf('bob'), 'release.json'));
    for (const replica of fake.replicas.slice(0, 3)) {
      replica.misbehave = ({ method, path }, response) => {
        if (method !== 'POST' || !path.startsWith('/v1/proposals')) return false;
        response.writeHead(503);
        response.end('{"error":{"code":"BUSY","message":"full"}}');
        return true;
      };
    }
    const failed = await as('bob', ['release', 'sign', 'release.json', '--key', 'bob'], yes);
    assert.equal(failed.code, EXIT.inconclusive, failed.stdout);
    const kept = await readFile(join(folderOf('bob'), 'release.json'), 'utf8');
    assert.equal((JSON.parse(kept) as { signatures: unknown[] }).signatures.length, 2);
    for (const replica of fake.replicas) replica.misbehave = undefined;
    // And back: alice collects from the file.
    const from = join(folderOf('bob'), 'release.json');
    const collected = await as('alice', ['release', 'collect', 'release.json', from]);
    assert.match(collected.stdout, /2 of 2 signatures/);
    assert.equal((await as('alice', ['release', 'submit', 'release.json'])).code, EXIT.verified);
  });

  it('says that a key which is no maintainer’s counts for nothing', async () => {
    const id = await prepare('alice');
    const signed = await as('mallory', ['release', 'sign', '--key', 'mallory'], yes);
    assert.match(signed.stderr + signed.stdout, /mallory is no maintainer/);
    assert.notEqual(signed.code, EXIT.verified);
    assert.equal(lines(id), 1);
  });

  /** A draft of alice's, in bob's checkout, with another word about the log than the program's. */
  async function forge(file: string, edit: (observed: string) => string): Promise<void> {
    const text = await readFile(join(folderOf('alice'), file), 'utf8');
    const draft = JSON.parse(text) as Record<string, string>;
    const payload = Buffer.from(draft['payload'] ?? '', 'base64').toString('utf8');
    const at = payload.indexOf('"observed"');
    const changed = payload.slice(0, at) + payload.slice(at).replace(HEAD, edit);
    assert.notEqual(changed, payload);
    const forged = { ...draft, payload: Buffer.from(changed).toString('base64') };
    await writeFile(join(folderOf('bob'), file), `${canonicalJson(forged)}\n`);
  }
  const HEAD = /"root":"[0-9a-f]{64}","size":[0-9]+\}/;
  const FALSE_ROOT = '5'.repeat(64);
  const older = (root: string, size: number) => (): string => `"root":"${root}","size":${size}}`;

  const heads: readonly (readonly [string, (head: string) => string, number, RegExp])[] = [
    [
      'of a fork',
      (head) => head.replace(/[0-9a-f]{64}/, FALSE_ROOT),
      EXIT.proof,
      /another log of size/,
    ],
    ['of a fork of long ago', older(FALSE_ROOT, 1), EXIT.proof, /another log of size 1/],
    ['of a log that began otherwise', older(FALSE_ROOT, 0), EXIT.proof, /another log of size 0/],
    [
      'beyond the log',
      (head) => head.replace(/[0-9]+\}$/, '99999}'),
      EXIT.inconclusive,
      /size 99999 of the log/,
    ],
    [
      'of another log',
      (head) => `${head},"zoo.example/log":{"root":"${FALSE_ROOT}","size":1}`,
      EXIT.policy,
      /zoo\.example\/log, which cannot be checked here/,
    ],
  ];
  const NEXT = ['propose-change', 'left-pad', '--remove', 'carol', '--out', 'next.json'];
  const FIRST = ['register', 'new-pad', '--maintainer', 'alice', '--out', 'first.json'];
  // What alice makes, and what bob is to sign it with.
  const drafts: readonly (readonly [string, readonly string[], readonly string[]])[] = [
    ['release.json', ['release', 'prepare'], ['release', 'sign']],
    ['next.json', ['package', ...NEXT], ['package', 'approve']],
    ['first.json', ['package', ...FIRST], ['package', 'sign']],
    // The first release of this file, by the first test.
    ['yank.json', ['yank', 'left-pad@1.1.0', '--out', 'yank.json'], ['release', 'sign']],
  ];
  for (const [file, make, sign] of drafts) {
    for (const [why, edit, code, expected] of heads) {
      it(`does not say to have seen a head ${why}: ${file}`, async () => {
        const made = await as('alice', make);
        assert.equal(made.code, EXIT.verified, made.stderr);
        await forge(file, edit);
        const before = await readFile(join(folderOf('bob'), file), 'utf8');
        const refused = await as('bob', [...sign, file, '--key', 'bob'], yes);
        assert.equal(refused.code, code, refused.stdout + refused.stderr);
        assert.match(refused.stderr, expected);
        assert.equal(await readFile(join(folderOf('bob'), file), 'utf8'), before);
      });
    }

    it(`says to have seen an older head that is proven, and no other: ${file}`, async () => {
      assert.equal((await as('alice', make)).code, EXIT.verified);
      const size = 1;
      await forge(file, older(Buffer.from(fake.log.root(size)).toString('hex'), size));
      for (const replica of fake.replicas) {
        // Whoever holds the tiles back must not get a signature for it.
        replica.misbehave = ({ path }, response) => {
          if (!path.startsWith('/tile/')) return false;
          response.writeHead(404).end();
          return true;
        };
      }
      const unproven = await as('bob', [...sign, file, '--key', 'bob'], yes);
      assert.equal(unproven.code, EXIT.inconclusive, unproven.stdout);
      assert.match(unproven.stderr, /could not check that the log ever had the head of size 1/);
      // One honest replica is enough.
      const [, , , honest] = fake.replicas;
      assert.ok(honest !== undefined, 'there are four replicas');
      honest.misbehave = undefined;
      const signed = await as('bob', [...sign, file, '--key', 'bob'], yes);
      assert.equal(signed.code, EXIT.verified, signed.stdout + signed.stderr);
      assert.match(signed.stdout, /observed  .*: size 1, root [0-9a-f]{16}…/);
    });
  }

  it('finishes what others have signed, without a key of one’s own', async () => {
    const id = await prepare('alice');
    const early = await as('carol', ['release', 'publish', '--no-npm']);
    assert.equal(early.code, EXIT.maintainers, early.stderr);
    assert.match(early.stderr, /1 valid maintainer signature\(s\), 2 required/);
    assert.equal((await as('bob', ['release', 'sign', '--key', 'bob'], yes)).code, 0);
    const done = await as('carol', ['release', 'publish', '--no-npm']);
    assert.equal(done.code, EXIT.verified, done.stderr);
    assert.ok(done.stdout.includes(id), 'it is what alice has proposed');
  });

  it('shows what publish would sign, and does nothing, with --dry-run', async () => {
    const shown = await as('alice', ['release', 'publish', '--key', 'alice', '--dry-run']);
    assert.equal(shown.code, EXIT.verified, shown.stderr);
    assert.match(shown.stdout, /nothing was signed/);
    for (const proposals of mailboxes()) assert.equal(proposals.size, 0);
  });

  it('refuses a draft that was made for maintainers who have changed', async () => {
    // Last: the set changes.
    await prepare('alice');
    const draft = await readFile(join(folderOf('alice'), 'release.json'), 'utf8');
    const change = ['package', 'propose-change', 'left-pad', '--remove', 'carol', '--faulty', '0'];
    const set = join(fake.home, 'next.json');
    assert.equal((await as('alice', [...change, '--out', set])).code, 0);
    for (const person of ['alice', 'bob'] as const) {
      const approved = await as(person, ['package', 'approve', set, '--key', person], yes);
      assert.equal(approved.code, 0, approved.stderr);
    }
    assert.equal((await as('alice', ['package', 'submit', set])).code, 0);
    await edit('bob', 'release.json', draft);
    const late = await as('bob', ['release', 'sign', 'release.json', '--key', 'bob'], yes);
    assert.equal(late.code, EXIT.policy, late.stderr);
    assert.match(late.stderr, /made for maintainer set 0, in force is 1/);
    const seen = await as('bob', ['release', 'status']);
    assert.match(seen.stdout, /nothing waits for signatures/);
  });
});
