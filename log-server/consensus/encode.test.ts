import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { describe, it } from 'node:test';

import { sampleMessages } from '../../fixtures/transcripts/samples.ts';
import { ORIGIN, makeBatch, request, testRoster } from '../../fixtures/transcripts/world.ts';
import { concat } from '../../verifier/bytes.ts';
import { VerifyError } from '../../verifier/errors.ts';
import {
  BODY_ENTRIES_MAX,
  DOMAINS,
  ZERO_DIGEST,
  bodyHash,
  decodeBody,
  decodeCertificate,
  decodeHeader,
  encodeBody,
  encodeCertificate,
  encodeHeader,
  genesisHeader,
  headerDigest,
  newViewDigest,
  voteBytes,
} from '../../verifier/replication/encode.ts';
import {
  MESSAGE_BYTES_MAX,
  decodeMessage,
  encodeMessage,
} from '../../verifier/replication/encode-message.ts';
import type { Header, Message } from './types.ts';

const ROSTER = testRoster([1, 1, 1, 1]);
const SAMPLES = sampleMessages(ROSTER);

const MALFORMED = (error: unknown): boolean =>
  error instanceof VerifyError && error.code === 'MESSAGE_MALFORMED';

function nameOf(message: Message): string {
  if (message.kind !== 'pre-prepare' || message.body !== undefined) return message.kind;
  return `pre-prepare without ${message.tail === undefined ? 'a body' : 'what was sent ahead'}`;
}

describe('decodeMessage', () => {
  it('knows every kind', () => {
    assert.equal(new Set(SAMPLES.map(({ kind }) => kind)).size, 14);
  });

  for (const message of SAMPLES) {
    const bytes = encodeMessage(message);
    const name = nameOf(message);

    it(`reads back ${name}`, () => {
      assert.deepEqual(decodeMessage(bytes), message);
    });

    it(`refuses ${name} cut at every byte and with one byte more`, () => {
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodeMessage(bytes.subarray(0, length)), MALFORMED, `at ${length}`);
      }
      assert.throws(() => decodeMessage(concat(bytes, Uint8Array.of(0))), MALFORMED);
    });

    it(`has one spelling: whatever is flipped in ${name} is refused or is another message`, () => {
      for (let at = 0; at < bytes.length; at++) {
        for (const bit of [1, 0x80]) {
          const flipped = Uint8Array.from(bytes);
          flipped[at] = (flipped[at] ?? 0) ^ bit;
          let decoded: Message;
          try {
            decoded = decodeMessage(flipped);
          } catch (error) {
            assert.ok(MALFORMED(error), `byte ${at}: ${String(error)}`);
            continue;
          }
          assert.deepEqual(encodeMessage(decoded), flipped, `byte ${at}`);
        }
      }
    });
  }

  const status = SAMPLES.find(({ kind }) => kind === 'status');
  const batches = SAMPLES.find(({ kind }) => kind === 'batches');
  const refusals: readonly (readonly [string, Uint8Array])[] = [
    ['nothing', new Uint8Array(0)],
    ['an unknown kind', Uint8Array.of(14)],
    ['a proof inside of a proof', proofOf(1)],
    // A stack has room for some ten thousand calls.
    ['proofs nested as deep as a message may be long', proofOf(100_000)],
    ['a message above the limit', new Uint8Array(MESSAGE_BYTES_MAX + 1)],
    ['members that are not ascending', mutated(status, 'status', { prepares: [2, 0] })],
    ['a member twice', mutated(status, 'status', { commits: [1, 1] })],
    ['a count of requests beyond the limit', Uint8Array.of(5, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff)],
    ['a number above 2^53 - 1', Uint8Array.of(8, 0, 0x20, 0, 0, 0, 0, 0, 0)],
  ];
  for (const [why, bytes] of refusals) {
    it(`refuses ${why}`, () => assert.throws(() => decodeMessage(bytes), MALFORMED));
  }

  it('refuses a certificate that counts a signer twice', () => {
    assert.ok(batches?.kind === 'batches');
    const [first] = batches.batches;
    assert.ok(first !== undefined);
    const { certificate } = first;
    const [vote] = certificate.signatures;
    assert.ok(vote !== undefined);
    const twice = { ...certificate, signatures: [vote, vote] };
    assert.throws(() => decodeCertificate(encodeCertificate(twice)), MALFORMED);
  });
});

/** EVIDENCE of nothing but EVIDENCE, so many times. */
function proofOf(depth: number): Uint8Array {
  // Kind, rule, accused, epoch, one message, its length.
  const head = 1 + 1 + 32 + 8 + 1 + 4;
  const bytes = new Uint8Array(head * depth + 1);
  for (let i = 0; i < depth; i++) {
    bytes[i * head] = 12;
    bytes[i * head + 42] = 1;
    new DataView(bytes.buffer).setUint32(i * head + 43, bytes.length - (i + 1) * head);
  }
  return bytes;
}

function mutated(message: Message | undefined, kind: 'status', change: object): Uint8Array {
  assert.ok(message?.kind === kind);
  return encodeMessage({ ...message, ...change });
}

describe('decodeHeader', () => {
  const { header } = makeBatch(genesisHeader(ORIGIN), 0, [request('a')], 5);
  const cases: readonly (readonly [string, Partial<Header>])[] = [
    ['an empty origin', { origin: '' }],
    ['an origin with a line break', { origin: 'a\nb' }],
    ['a header of height 0 with leaves', { height: 0 }],
  ];
  for (const [why, change] of cases) {
    it(`refuses ${why}`, () => {
      assert.throws(() => decodeHeader(encodeHeader({ ...header, ...change })), MALFORMED);
    });
  }

  it('reads the genesis header back', () => {
    assert.deepEqual(decodeHeader(encodeHeader(genesisHeader(ORIGIN))), genesisHeader(ORIGIN));
  });
});

describe('decodeBody', () => {
  it('refuses an empty entry', () => {
    assert.throws(() => decodeBody(Uint8Array.of(0, 0, 0, 1, 0, 0)), MALFORMED);
  });

  it('refuses more entries than the limit before making any', () => {
    const bytes = encodeBody(Array.from({ length: BODY_ENTRIES_MAX + 1 }, () => Uint8Array.of(1)));
    assert.throws(() => decodeBody(bytes), MALFORMED);
  });
});

describe('headerDigest', () => {
  const { header } = makeBatch(genesisHeader(ORIGIN), 0, [request('a')], 5);

  it('depends on every field', () => {
    const changes: readonly Partial<Header>[] = [
      { origin: 'log.test/other' },
      { epoch: 1 },
      { height: 2 },
      { parent: '11'.repeat(32) },
      { prevSize: 1 },
      { size: 9 },
      { root: '22'.repeat(32) },
      { entriesHash: '33'.repeat(32) },
      { timestampMs: 6 },
      { nextRoster: '44'.repeat(32) },
    ];
    const digests = [header, ...changes.map((change) => ({ ...header, ...change }))].map(
      headerDigest,
    );
    assert.equal(new Set(digests).size, changes.length + 1);
  });

  it('is zero at height 0', () => {
    assert.equal(headerDigest(genesisHeader(ORIGIN)), ZERO_DIGEST);
  });

  // Pins the layout: another digest here would fork a log that replicas of two versions run.
  it('stays what it is', () => {
    assert.equal(
      headerDigest({ ...genesisHeader('example.org/log'), height: 1, size: 1 }),
      createHash('sha256')
        .update('bftpkg/v1/header\n\x0fexample.org/log')
        .update(Buffer.from(`00000000000000000000000000000001${'00'.repeat(32)}`, 'hex'))
        .update(Buffer.from('00000000000000000000000000000001', 'hex'))
        .update(createHash('sha256').digest())
        .update(Buffer.alloc(32 + 8 + 1))
        .digest('hex'),
    );
  });
});

describe('bodyHash', () => {
  it('gives the same with a native hash', () => {
    const { body } = makeBatch(genesisHeader(ORIGIN), 0, [request('a')], 5);
    assert.equal(
      bodyHash(body, () => createHash('sha256')),
      bodyHash(body),
    );
  });

  it('tells apart where entries end', () => {
    const split = (texts: readonly string[]): string =>
      bodyHash(texts.map((text) => new TextEncoder().encode(text)));
    assert.notEqual(split(['ab', 'c']), split(['a', 'bc']));
    assert.notEqual(split(['ab']), split(['a', 'b']));
  });
});

describe('signed bytes', () => {
  it('start with a domain of their own', () => {
    const domains = Object.values(DOMAINS);
    assert.equal(new Set(domains).size, 6);
    for (const domain of domains) assert.match(domain, /^bftpkg\/v1\/[A-Za-z-]+\n$/);
  });

  it('differ between phases, logs, views and view openings', () => {
    const vote = { epoch: 0, view: 1, nv: ZERO_DIGEST, height: 1, digest: '55'.repeat(32) };
    const variants = [
      voteBytes('prepare', ORIGIN, vote),
      voteBytes('commit', ORIGIN, vote),
      voteBytes('prepare', 'log.test/other', vote),
      voteBytes('prepare', ORIGIN, { ...vote, view: 2 }),
      voteBytes('prepare', ORIGIN, { ...vote, epoch: 1 }),
      voteBytes('prepare', ORIGIN, { ...vote, nv: '66'.repeat(32) }),
    ].map((bytes) => Buffer.from(bytes).toString('hex'));
    assert.equal(new Set(variants).size, variants.length);
  });

  it('name a NEW-VIEW by its content, not by its signature', () => {
    const message = SAMPLES.find(({ kind }) => kind === 'new-view');
    assert.ok(message?.kind === 'new-view');
    const { content } = message.newView;
    const fewer = { ...content, viewChanges: content.viewChanges.slice(1) };
    assert.notEqual(newViewDigest(ORIGIN, content), newViewDigest(ORIGIN, fewer));
  });
});
