import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { utf8 } from './bytes.ts';
import { encodeBase64 } from './encoding.ts';
import { VerifyError } from './errors.ts';
import { SigningKey } from './node/signing-key.ts';
import { nativeVerifier } from './node/ed25519.ts';
import { type NoteSignature, type SignedNote, formatNote, parseNote, planNote } from './note.ts';
import { portableVerifier } from './portable.ts';
import { runPlan } from './signatures.ts';
import { type VerifierKey, makeVerifierKey, parseVerifierKey } from './vkey.ts';

// C2SP signed-note and golang.org/x/mod/sumdb/note.
const EXAMPLE_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const EXAMPLE =
  'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n';
// A real log's checkpoint; the key's name differs from the origin.
const REAL_KEY = 'sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8';
const REAL =
  'go.sum database tree\n35225469\nvt5T6GaLCXvyHFl9VUvvItR43XZxfLgftEcTyO3eJCQ=\n\n— sum.golang.org Az3grpukl5AXaVfYkLiDGORx/DN2nlcS5kZHR5uYOBV2KA2HgXpD+gu9HHONebHLAyaKbbTM75QTtPydhKCExixSfwQ=\n';

const TEXT = 'hello\nworld\n';
const alice = signer('alice', 1);
const bob = signer('bob', 2);
// Another person of the same name, and the same key under another name.
const alice2 = signer('alice', 3);
const alias = signer('alias', 1);

interface Signer {
  readonly key: VerifierKey;
  sign(text: string): NoteSignature;
}

function signer(name: string, seed: number): Signer {
  const secret = SigningKey.fromSeed(new Uint8Array(32).fill(seed));
  const key = makeVerifierKey(name, 0x01, secret.publicKey);
  return {
    key,
    sign: (text) => ({ name, keyHash: key.keyHash, signature: secret.sign(utf8(text)) }),
  };
}

const note = (...signatures: readonly NoteSignature[]): SignedNote => ({ text: TEXT, signatures });

function openNote(source: SignedNote, ...keys: readonly Signer[]): Promise<string> {
  return openWith(
    source,
    keys.map(({ key }) => key),
  );
}

/** The names of the verified signers. */
async function openWith(source: SignedNote, keys: readonly VerifierKey[]): Promise<string> {
  const verified = await runPlan(nativeVerifier, planNote(source, keys));
  assert.equal(verified.text, source.text);
  return verified.signers.map(({ name }) => name).join(' ');
}

describe('parseNote', () => {
  for (const [name, source] of [
    ['the example of C2SP', EXAMPLE],
    ['a real checkpoint', REAL],
    ['a text with empty lines', `a\n\n\nb\n\n— x AAAAAAA=\n`],
    ['a text of one empty line', `\n\n— x AAAAAAA=\n`],
    ['a name beyond ASCII', 'a\n\n— büro.example AAAAAAA=\n'],
    ['64 lines', `a\n\n${'— x AAAAAAA=\n'.repeat(64)}`],
  ] as const) {
    it(`reads ${name}, and writes it back`, () =>
      assert.equal(formatNote(parseNote(source)), source));
  }

  it('takes the last empty line for the divider', () => {
    const inner = 'a\n\n— x AAAAAAA=\n';
    assert.equal(parseNote(`${inner}\n— y AAAAAAA=\n`).text, inner);
  });

  const line = '— x AAAAAAA=\n';
  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['a text without signatures', 'a\n'],
    ['an empty signature block', 'a\n\n'],
    ['no empty line before the signatures', `a\n${line}`],
    ['no text', line],
    ['an empty text', `\n${line}`],
    ['no final newline', `a\n\n${line.slice(0, -1)}`],
    ['two final newlines', `a\n\n${line}\n`],
    ['a carriage return', `a\r\n\r\n${line}`],
    ['a tab', `a\tb\n\n${line}`],
    ['a NUL', `a\0\n\n${line}`],
    ['an escape character', `a\u001b[2J\n\n${line}`],
    ['a lone surrogate', `a\ud800\n\n${line}`],
    ['a hyphen for the dash', `a\n\n- x AAAAAAA=\n`],
    ['an en dash for the dash', `a\n\n– x AAAAAAA=\n`],
    ['no space after the dash', 'a\n\n—x AAAAAAA=\n'],
    ['two spaces', 'a\n\n— x  AAAAAAA=\n'],
    ['a trailing space', 'a\n\n— x AAAAAAA= \n'],
    ['a name with a plus sign', 'a\n\n— x+y AAAAAAA=\n'],
    ['no name', 'a\n\n—  AAAAAAA=\n'],
    ['no signature', 'a\n\n— x \n'],
    ['a signature of the four hash bytes only', 'a\n\n— x AAAAAA==\n'],
    ['base64 without padding', 'a\n\n— x AAAAAAA\n'],
    ['base64 with spare bits', 'a\n\n— x AAAAAAB=\n'],
    ['base64 in the URL alphabet', 'a\n\n— x AAAA-AA=\n'],
    ['a signature over 512 bytes', `a\n\n— x ${encodeBase64(new Uint8Array(517))}\n`],
    ['65 lines', `a\n\n${line.repeat(65)}`],
    ['a signature line that is none, among good ones', `a\n\n${line}x\n${line}`],
    ['more than 65,536 characters', `${'a\n'.repeat(32_768)}\n${line}`],
  ];
  for (const [why, source] of refused) {
    it(`refuses ${why}`, () => assert.throws(() => parseNote(source), { code: 'NOTE_MALFORMED' }));
  }
});

describe('planNote', () => {
  for (const [name, source, vkey] of [
    ['the example of C2SP', EXAMPLE, EXAMPLE_KEY],
    ['a real checkpoint', REAL, REAL_KEY],
  ] as const) {
    it(`opens ${name} on both back ends`, async () => {
      const key = parseVerifierKey(vkey);
      for (const verifier of [nativeVerifier, portableVerifier]) {
        const verified = await runPlan(verifier, planNote(parseNote(source), [key]));
        assert.equal(verified.text, source.slice(0, source.lastIndexOf('\n\n') + 1));
        assert.deepEqual(verified.signers, [key]);
      }
    });
  }

  it('opens nothing when a single bit of a note is flipped, or it is cut off', async () => {
    const key = parseVerifierKey(REAL_KEY);
    const bytes = utf8(REAL);
    const variants: Uint8Array[] = [];
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const flipped = Uint8Array.from(bytes);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      variants.push(flipped);
    }
    for (let end = 0; end < bytes.length; end++) variants.push(bytes.subarray(0, end));
    assert.ok(variants.length > 1500);
    for (const [i, variant] of variants.entries()) {
      let source;
      try {
        source = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(variant);
      } catch {
        continue;
      }
      await assert.rejects(
        async () => runPlan(nativeVerifier, planNote(parseNote(source), [key])),
        { name: 'VerifyError' },
        `variant ${i}`,
      );
    }
  });

  it('tells who signed', async () => {
    const source = note(bob.sign(TEXT), alice.sign(TEXT));
    assert.equal(await openNote(source, alice, bob), 'bob alice');
    assert.equal(await openNote(source, alice), 'alice');
  });

  it('ignores lines of unknown keys, whatever they hold', async () => {
    const junk = { name: 'mallory', keyHash: 1, signature: new Uint8Array(7) };
    const namesake = { ...bob.sign(TEXT), name: 'alice' };
    const source = note(junk, junk, namesake, alice.sign(TEXT));
    assert.equal(await openNote(source, alice, bob), 'alice');
  });

  it('tells namesakes apart by their key hash', async () => {
    const source = note(alice.sign(TEXT), alice2.sign(TEXT));
    assert.equal(await openNote(source, alice, alice2), 'alice alice');
    assert.equal(await openNote(note(alice2.sign(TEXT)), alice, alice2), 'alice');
  });

  it('counts a key once, under however many names', async () => {
    const source = note(alice.sign(TEXT), alias.sign(TEXT));
    assert.equal(await openNote(source, alice, alias), 'alice');
  });

  const refused: readonly [string, SignedNote, readonly Signer[]][] = [
    ['no line of a known key', note(alice.sign(TEXT)), [bob]],
    ['no keys', note(alice.sign(TEXT)), []],
    ['a signature of another text', note(alice.sign('hello\n')), [alice]],
    ['one bad line beside a good one', note(alice.sign('x\n'), bob.sign(TEXT)), [alice, bob]],
    ['the same line twice', note(alice.sign(TEXT), alice.sign(TEXT)), [alice]],
    ['a bad second line of a key', note(alice.sign(TEXT), alice.sign('x\n')), [alice]],
    [
      "somebody else's signature under a known name and hash",
      note({ ...bob.sign(TEXT), name: 'alice', keyHash: alice.key.keyHash }),
      [alice],
    ],
    [
      'a signature with a byte more',
      note({ ...alice.sign(TEXT), signature: Uint8Array.of(...alice.sign(TEXT).signature, 0) }),
      [alice],
    ],
  ];
  for (const [why, source, keys] of refused) {
    it(`refuses ${why}`, async () => {
      await assert.rejects(async () => openNote(source, ...keys), {
        code: 'NOTE_SIGNATURE_INVALID',
      });
    });
  }

  it('refuses two trusted keys that no line can tell apart', () => {
    const twin = { ...bob.key, name: alice.key.name, keyHash: alice.key.keyHash };
    assert.throws(
      () => planNote(note(alice.sign(TEXT)), [alice.key, twin]),
      (error) => error instanceof VerifyError && error.code === 'KEY_MALFORMED',
    );
  });

  it('is not for cosigning keys, which sign other bytes', () => {
    const key = makeVerifierKey('alice', 0x04, alice.key.publicKey);
    assert.throws(() => planNote(note(alice.sign(TEXT)), [key]), { name: 'AssertionError' });
  });
});
