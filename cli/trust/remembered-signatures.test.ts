import assert from 'node:assert/strict';
import { chmod, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';

import { utf8 } from '../../verifier/bytes.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import type { SignatureJob, SignatureVerifier } from '../../verifier/signatures.ts';
import { parseRemembered, RememberedSignatures } from './remembered-signatures.ts';

const key = SigningKey.fromSeed(new Uint8Array(32).fill(1));
const other = SigningKey.fromSeed(new Uint8Array(32).fill(2));

function job(text: string, signer: SigningKey = key): SignatureJob {
  const message = utf8(text);
  return { publicKey: signer.publicKey, message, signature: signer.sign(message) };
}

/** Counts the questions that get through. */
class Counting implements SignatureVerifier {
  asked = 0;

  async verifyMany(jobs: readonly SignatureJob[]): Promise<readonly boolean[]> {
    this.asked += jobs.length;
    return nativeVerifier.verifyMany(jobs);
  }
}

describe('RememberedSignatures', () => {
  let folder: string;
  let file: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'bftpkg-remembered-'));
    file = join(folder, 'state', 'verified-signatures');
  });
  after(() => rm(folder, { recursive: true, force: true }));

  // A new run of the program.
  const open = (inner: SignatureVerifier, countMax?: number): RememberedSignatures =>
    new RememberedSignatures(join(folder, 'state'), inner, countMax);

  const good = [job('one'), job('two'), job('two', other), job('three')];

  async function learn(): Promise<void> {
    await rm(join(folder, 'state'), { recursive: true, force: true });
    const first = open(nativeVerifier);
    assert.deepEqual(await first.verifyMany(good), [true, true, true, true]);
    await first.keep();
  }

  it('asks once in two runs', async () => {
    await learn();
    const inner = new Counting();
    assert.deepEqual(await open(inner).verifyMany(good), [true, true, true, true]);
    assert.equal(inner.asked, 0);
  });

  it('asks again about whatever differs in a byte, and answers in order', async () => {
    await learn();
    const [one, two] = good;
    assert.ok(one !== undefined && two !== undefined, 'there are jobs');
    const flip = (bytes: Uint8Array, at: number): Uint8Array =>
      bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));
    const rows: readonly (readonly [why: string, changed: SignatureJob])[] = [
      ['another message', { ...one, message: flip(one.message, 0) }],
      ['a longer message', { ...one, message: utf8('one ') }],
      ['no message', { ...one, message: new Uint8Array(0) }],
      ['another key', { ...one, publicKey: other.publicKey }],
      ['the first byte of the signature', { ...one, signature: flip(one.signature, 0) }],
      ['the last byte of the signature', { ...one, signature: flip(one.signature, 63) }],
      ['the signature of another message', { ...one, signature: two.signature }],
      ['a byte more', { ...one, signature: Uint8Array.of(...one.signature, 0) }],
      ['a byte less', { ...one, signature: one.signature.subarray(0, 63) }],
      [
        'a byte moved from message to signature',
        {
          ...one,
          signature: Uint8Array.of(...one.signature, one.message[0] ?? 0),
          message: one.message.subarray(1),
        },
      ],
    ];
    for (const [why, changed] of rows) {
      const inner = new Counting();
      assert.deepEqual(await open(inner).verifyMany([two, changed, one]), [true, false, true], why);
      assert.equal(inner.asked, 1, why);
    }
  });

  it('remembers no bad signature, and asks about it each time', async () => {
    const bad = { ...job('bad'), message: utf8('good') };
    const inner = new Counting();
    const first = open(inner);
    for (let i = 0; i < 2; i++) assert.deepEqual(await first.verifyMany([bad]), [false]);
    await first.keep();
    assert.deepEqual(await open(inner).verifyMany([bad]), [false]);
    assert.equal(inner.asked, 3);
  });

  it('writes a file for its owner alone, and only when it has learned something', async () => {
    await learn();
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    const { mtimeMs, ino } = await stat(file);
    const again = open(nativeVerifier);
    await again.verifyMany(good);
    await again.keep();
    assert.deepEqual(await stat(file).then((now) => [now.mtimeMs, now.ino]), [mtimeMs, ino]);
    assert.deepEqual(await readdir(join(folder, 'state')), ['verified-signatures']);
  });

  it('forgets the oldest', async () => {
    await learn();
    const small = open(nativeVerifier, 3);
    await small.verifyMany([job('four')]);
    await small.keep();
    const inner = new Counting();
    await open(inner, 3).verifyMany([job('four'), ...good]);
    // A file that is larger than may be kept is not read: only "four" was known.
    assert.equal(inner.asked, 4);
    const next = open(new Counting(), 3);
    await next.verifyMany(good);
    await next.keep();
    const lines = (await readFile(file, 'utf8')).trim().split('\n');
    assert.equal(lines.length, 1 + 3);
  });

  it('believes no file that others could have written', async () => {
    await learn();
    for (const mode of [0o620, 0o602, 0o666]) {
      await chmod(file, mode);
      const inner = new Counting();
      assert.deepEqual(await open(inner).verifyMany(good), [true, true, true, true]);
      assert.equal(inner.asked, 4, mode.toString(8));
    }
  });

  it('goes without when it can neither read nor write', async () => {
    await rm(join(folder, 'state'), { recursive: true, force: true });
    await writeFile(join(folder, 'state'), 'a file where the folder should be');
    const blocked = open(nativeVerifier);
    assert.deepEqual(await blocked.verifyMany(good), [true, true, true, true]);
    await blocked.keep();
    await rm(join(folder, 'state'));
  });

  it('reads nothing from a file that is not as it was written', async () => {
    await learn();
    const text = await readFile(file, 'utf8');
    assert.equal(parseRemembered(text).length, 4);
    const [header = '', ...lines] = text.trimEnd().split('\n');
    const rows: readonly (readonly [why: string, text: string])[] = [
      ['nothing', ''],
      ['only a header', `${header}\n`],
      ['cut off in a line', text.slice(0, -10)],
      ['cut off before the last line break', text.slice(0, -1)],
      ['another version', text.replace('/v1', '/v2')],
      ['capital letters', `${header}\n${lines.join('\n').toUpperCase()}\n`],
      ['an empty line', `${header}\n\n${lines.join('\n')}\n`],
      ['carriage returns', text.replaceAll('\n', '\r\n')],
      ['something else', '\u0000'.repeat(1000)],
    ];
    for (const [why, changed] of rows) assert.deepEqual(parseRemembered(changed), [], why);
  });
});
