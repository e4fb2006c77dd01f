import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { canonicalJson } from '../../verifier/json.ts';
import { SigningKey } from '../../verifier/node/signing-key.ts';
import {
  formatMaintainerSet,
  MAINTAINERS_PAYLOAD_TYPE,
} from '../../verifier/statements/maintainers.ts';
import { CliError } from '../errors.ts';
import { memorySigner, type Signer } from '../keys/signer.ts';
import {
  draftId,
  envelopeOf,
  formatDraft,
  makeDraft,
  parseDraft,
  signDraft,
  signersAmong,
  type Draft,
} from './draft.ts';

function key(name: string, seed: number): Signer {
  return memorySigner(name, SigningKey.fromSeed(new Uint8Array(32).fill(seed)));
}

const ALICE = key('alice', 1);
const BOB = key('bob', 2);
const MALLORY = key('mallory', 3);
const EVERYBODY = [ALICE, BOB, MALLORY].map(({ publicKey }) => publicKey);

function draft(name: string = 'left-pad'): Draft {
  const payload = formatMaintainerSet({
    package: `pkg:npm/${name}`,
    sequence: 0,
    previous: null,
    faulty: 1,
    maintainers: [ALICE, BOB].map(({ name: label, publicKey }) => ({
      name: label,
      key: publicKey,
    })),
    observed: new Map([['log.example', { size: 0, root: new Uint8Array(32) }]]),
  });
  return makeDraft(MAINTAINERS_PAYLOAD_TYPE, payload);
}

const SIGNED = await signDraft(draft(), ALICE);

function namesOf(signed: Draft): string {
  const signers = signersAmong(signed, EVERYBODY);
  return [ALICE, BOB, MALLORY]
    .filter(({ publicKey }) => signers.includes(publicKey))
    .map(({ name }) => name)
    .join(' ');
}

describe('signDraft', () => {
  it('collects signatures by different keys', async () => {
    assert.equal(namesOf(draft()), '');
    assert.equal(namesOf(SIGNED), 'alice');
    assert.equal(namesOf(await signDraft(SIGNED, BOB)), 'alice bob');
  });

  it('signs once with one key', async () => {
    assert.equal(await signDraft(SIGNED, ALICE), SIGNED);
  });

  it('does not change what is stated', () => {
    assert.equal(draftId(SIGNED), draftId(draft()));
  });
});

describe('signersAmong', () => {
  const [line] = SIGNED.signatures;
  assert.ok(line !== undefined);
  const cases: readonly (readonly [string, Draft['signatures'], string])[] = [
    ['a line twice counts once', [line, line], 'alice'],
    ['a line under another key id counts for nobody', [{ ...line, keyid: BOB.keyId }], ''],
    [
      'a changed signature counts for nobody',
      [{ ...line, signature: line.signature.toReversed() }],
      '',
    ],
    [
      'a good line counts beside a bad one',
      [{ ...line, signature: new Uint8Array(64) }, line],
      'alice',
    ],
    ['a short signature counts for nobody', [{ ...line, signature: new Uint8Array(5) }], ''],
  ];
  for (const [why, signatures, expected] of cases) {
    it(why, () => assert.equal(namesOf({ ...draft(), signatures }), expected));
  }

  it('does not take signatures from another statement', async () => {
    const { signatures } = await signDraft(draft('other'), ALICE);
    assert.equal(namesOf({ ...draft(), signatures }), '');
  });
});

describe('envelopeOf', () => {
  it('refuses to send what nobody signed', () => {
    assert.throws(() => envelopeOf(draft()), CliError);
  });

  it('sends one line for each key', () => {
    const doubled = { ...SIGNED, signatures: [...SIGNED.signatures, ...SIGNED.signatures] };
    assert.equal(envelopeOf(doubled).envelope.signatures.length, 1);
  });
});

describe('parseDraft', () => {
  const text = formatDraft({ ...SIGNED, artifacts: ['/w/a.tgz'] }, '/w').trimEnd();

  it('reads what was written, artifacts relative to its folder', () => {
    const read = parseDraft(text, '/elsewhere');
    assert.equal(namesOf(read), 'alice');
    assert.deepEqual(read.artifacts, ['/elsewhere/a.tgz']);
    assert.equal(formatDraft(read, '/elsewhere').trimEnd(), text);
  });

  it('refuses every beginning of it', () => {
    for (let i = 0; i < text.length; i++) {
      assert.throws(() => parseDraft(text.slice(0, i), '/'), `cut at ${i}`);
    }
  });

  const fields = JSON.parse(text) as Record<string, never>;
  const refused: readonly (readonly [string, Record<string, unknown>])[] = [
    ['another version', { format: 'bftpkg-draft/v2' }],
    ['an unknown statement', { payloadType: 'text/plain' }],
    ['a payload that is none', { payload: 'AAAA' }],
    ['a payload of another type', { payloadType: 'application/vnd.in-toto+json' }],
    ['an unknown field', { extra: 1 }],
    [
      'too many signatures',
      { signatures: Array.from({ length: 65 }, () => ({ keyid: '', sig: '' })) },
    ],
  ];
  for (const [why, change] of refused) {
    it(`refuses ${why}`, () => {
      assert.throws(() => parseDraft(canonicalJson({ ...fields, ...(change as object) }), '/'));
    });
  }
});
