import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { sha256 } from '@noble/hashes/sha2.js';
import * as fc from 'fast-check';

import { concat, utf8 } from '../bytes.ts';
import { decodeHex, encodeHex } from '../encoding.ts';
import { VerifyError } from '../errors.ts';
import type { Hash } from '../merkle/hash.ts';
import { EMPTY_MAP_ROOT, bitAt, mapInnerHash, mapLeafHash, type MapNode } from './node.ts';
import { mergePrunedMaps, openPrunedMap, prunedMap } from './pruned-map.ts';
import { updateMap, type MapNodes } from './trie.ts';

const key = (i: number): Uint8Array => sha256(utf8(`key ${i}`));
const value = (i: number): Uint8Array => utf8(`value ${i}`);

function mapOf(count: number): { nodes: MapNodes; root: Hash } {
  const store = new Map<string, MapNode>();
  const nodes: MapNodes = { get: (hash) => store.get(encodeHex(hash)) };
  const changes = Array.from({ length: count }, (_, i) => ({ key: key(i), value: value(i) }));
  const update = updateMap(nodes, EMPTY_MAP_ROOT, changes);
  for (const node of update.added) store.set(encodeHex(node.hash), node);
  return { nodes, root: update.root };
}

const refusedAs =
  (...codes: readonly string[]) =>
  (error: unknown): boolean =>
    error instanceof VerifyError && codes.includes(error.code);
const refused = refusedAs('MAP_MALFORMED', 'MAP_PROOF_INVALID');

describe('prunedMap', () => {
  it('answers exactly for the wanted keys, whatever they are', () => {
    fc.assert(
      fc.property(
        fc.nat(40),
        fc.array(fc.nat(60), { minLength: 1, maxLength: 8 }),
        (count, wanted) => {
          const { nodes, root } = mapOf(count);
          const map = openPrunedMap(prunedMap(nodes, root, wanted.map(key)), root);
          for (const i of wanted) {
            const found = map.get(key(i));
            assert.deepEqual(
              found,
              i < count ? { kind: 'present', value: value(i) } : { kind: 'absent' },
              `key ${i} of ${count}`,
            );
          }
          // For all others: the truth or a refusal, never a lie.
          for (let i = 0; i < 60; i++) {
            let found;
            try {
              found = map.get(key(i));
            } catch (error) {
              assert.ok(refusedAs('MAP_PROOF_INVALID')(error), `key ${i}`);
              continue;
            }
            assert.equal(found.kind, i < count ? 'present' : 'absent', `key ${i} of ${count}`);
          }
        },
      ),
      { seed: 1, numRuns: 200 },
    );
  });

  it('takes the keys of ten thousand subjects in a large map: more parts than a call takes arguments', () => {
    const { nodes, root } = mapOf(60_000);
    const wanted = Array.from({ length: 20_000 }, (_, i) => key(3 * i));
    const map = openPrunedMap(prunedMap(nodes, root, wanted), root);
    assert.deepEqual(map.get(key(3)), { kind: 'present', value: value(3) });
  });

  it('holds shared nodes once: a thousand keys cost less than a thousand proofs', () => {
    const { nodes, root } = mapOf(4096);
    const wanted = Array.from({ length: 1000 }, (_, i) => key(i));
    const together = prunedMap(nodes, root, wanted).length;
    const alone = wanted.reduce((sum, one) => sum + prunedMap(nodes, root, [one]).length, 0);
    assert.ok(3 * together < alone, `${together} against ${alone}`);
  });

  it('says nothing about a name when a stub hides it', () => {
    const { nodes, root } = mapOf(50);
    const map = openPrunedMap(prunedMap(nodes, root, [key(1)]), root);
    const hidden = Array.from({ length: 50 }, (_, i) => i).find(
      (i) => bitAt(key(i), 0) !== bitAt(key(1), 0),
    );
    assert.ok(hidden !== undefined);
    assert.throws(() => map.get(key(hidden)), refusedAs('MAP_PROOF_INVALID'));
  });
});

describe('openPrunedMap', () => {
  const { nodes, root } = mapOf(30);
  const packed = prunedMap(nodes, root, [key(1), key(2), key(99)]);

  it('refuses the map under another root', () => {
    assert.throws(() => openPrunedMap(packed, mapOf(31).root), refusedAs('MAP_PROOF_INVALID'));
  });

  it('refuses every single flipped bit', () => {
    for (let bit = 0; bit < 8 * packed.length; bit++) {
      const flipped = Uint8Array.from(packed);
      flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      assert.throws(() => openPrunedMap(flipped, root), refused, `bit ${bit}`);
    }
  });

  it('refuses the map cut at every byte', () => {
    for (let end = 0; end < packed.length; end++) {
      assert.throws(
        () => openPrunedMap(packed.subarray(0, end), root),
        refusedAs('MAP_MALFORMED'),
        `cut at ${end}`,
      );
    }
  });

  // Maps built by hand, each with the root that its bytes really have: only the shape is wrong.
  const low = new Uint8Array(32);
  const high = new Uint8Array(32).fill(0xff);
  const key80 = Uint8Array.of(0x80, ...new Uint8Array(31));
  const key0080 = Uint8Array.of(0, 0x80, ...new Uint8Array(30));
  const leaf = (k: Uint8Array): Uint8Array => concat(Uint8Array.of(0, 32), k, Uint8Array.of(0));
  const leafHash = (k: Uint8Array): Hash => mapLeafHash(k, new Uint8Array(0));
  const inner = (bit: number): Uint8Array => Uint8Array.of(1, bit);
  const stub = (hash: Hash): Uint8Array => concat(Uint8Array.of(2), hash);
  const both = mapInnerHash(0, leafHash(low), leafHash(high));
  const malformed: readonly (readonly [why: string, bytes: Uint8Array, root: Hash])[] = [
    ['no bytes', new Uint8Array(0), EMPTY_MAP_ROOT],
    ['a byte after the end', Uint8Array.of(3, 3), EMPTY_MAP_ROOT],
    ['an unknown kind', Uint8Array.of(4), EMPTY_MAP_ROOT],
    [
      'an empty subtree',
      concat(inner(0), leaf(low), Uint8Array.of(3)),
      mapInnerHash(0, leafHash(low), EMPTY_MAP_ROOT),
    ],
    [
      'a leaf on the wrong side, which would hide it from its own look-up',
      concat(inner(0), leaf(high), leaf(low)),
      mapInnerHash(0, leafHash(high), leafHash(low)),
    ],
    [
      'bits that do not grow downwards, every leaf being on its side',
      concat(inner(8), inner(0), leaf(low), leaf(key80), leaf(key0080)),
      mapInnerHash(8, mapInnerHash(0, leafHash(low), leafHash(key80)), leafHash(key0080)),
    ],
    [
      'the same bit twice',
      concat(inner(0), leaf(low), inner(0), stub(leafHash(low)), leaf(high)),
      mapInnerHash(0, leafHash(low), mapInnerHash(0, leafHash(low), leafHash(high))),
    ],
    [
      'an inner node with stubs only',
      concat(inner(0), stub(leafHash(low)), stub(leafHash(high))),
      both,
    ],
    [
      'a bit number in two bytes where one is enough',
      concat(Uint8Array.of(1, 0x80, 0), leaf(low), leaf(high)),
      both,
    ],
  ];
  it('reads the same map when the shape is right', () => {
    const map = openPrunedMap(concat(inner(0), leaf(low), stub(leafHash(high))), both);
    assert.equal(map.get(low).kind, 'present');
    assert.throws(() => map.get(high), refusedAs('MAP_PROOF_INVALID'));
    assert.equal(openPrunedMap(Uint8Array.of(3), EMPTY_MAP_ROOT).get(low).kind, 'absent');
  });
  for (const [why, bytes, root] of malformed) {
    it(`refuses ${why}`, () =>
      assert.throws(() => openPrunedMap(bytes, root), refusedAs('MAP_MALFORMED')));
  }

  it('refuses nesting that never ends without using up the stack', () => {
    const deep = concat(...Array.from({ length: 300 }, (_, i) => Uint8Array.of(1, i & 0x7f)));
    assert.throws(() => openPrunedMap(deep, root), refusedAs('MAP_MALFORMED'));
    const longest = concat(
      ...Array.from({ length: 128 }, (_, i) => Uint8Array.of(1, i)),
      decodeHex('02'),
    );
    assert.throws(() => openPrunedMap(longest, root), refusedAs('MAP_MALFORMED'));
  });
});

describe('mergePrunedMaps', () => {
  it('gives the map that answers for the keys of both', () => {
    const keys = fc.array(fc.nat(60), { minLength: 1, maxLength: 8 });
    fc.assert(
      fc.property(fc.nat(40), keys, keys, (count, a, b) => {
        const { nodes, root } = mapOf(count);
        const [first, second] = [a, b].map((wanted) => prunedMap(nodes, root, wanted.map(key)));
        assert.ok(first !== undefined && second !== undefined);
        const both = prunedMap(nodes, root, [...a, ...b].map(key));
        assert.deepEqual(mergePrunedMaps(first, second, root), both);
        assert.deepEqual(mergePrunedMaps(second, first, root), both);
      }),
    );
  });

  it('refuses a map of another root, in either place', () => {
    const [one, other] = [mapOf(9), mapOf(10)];
    const [a, b] = [one, other].map(({ nodes, root }) => prunedMap(nodes, root, [key(1)]));
    assert.ok(a !== undefined && b !== undefined);
    assert.throws(() => mergePrunedMaps(a, b, one.root), refusedAs('MAP_PROOF_INVALID'));
    assert.throws(() => mergePrunedMaps(b, a, one.root), refusedAs('MAP_PROOF_INVALID'));
  });
});
