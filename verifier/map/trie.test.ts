import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

import { sha256 } from '@noble/hashes/sha2.js';
import * as fc from 'fast-check';

import { concat, utf8 } from '../bytes.ts';
import { decodeHex, encodeHex } from '../encoding.ts';
import { AssertionError, VerifyError } from '../errors.ts';
import type { Hash } from '../merkle/hash.ts';
import {
  EMPTY_MAP_ROOT,
  bitAt,
  firstDifferentBit,
  formatMapNode,
  mapInnerHash,
  mapLeafHash,
  parseMapNode,
  type MapNode,
} from './node.ts';
import { checkMapAbsence, checkMapPresence, proveMap } from './proof.ts';
import { lookupMap, updateMap, type MapChange, type MapNodes } from './trie.ts';

// A node store that counts reads and checks what a store owes: asked for hashes it has only.
class MemoryNodes implements MapNodes {
  readonly nodes = new Map<string, MapNode>();
  reads = 0;

  get(hash: Hash): MapNode | undefined {
    this.reads += 1;
    return this.nodes.get(encodeHex(hash));
  }

  apply(root: Hash, changes: readonly MapChange[]): Hash {
    const update = updateMap(this, root, changes);
    for (const node of update.added) this.nodes.set(encodeHex(node.hash), node);
    return update.root;
  }

  reachable(root: Hash): Set<string> {
    const found = new Set<string>();
    const visit = (hash: Hash): void => {
      const node = this.nodes.get(encodeHex(hash));
      assert.ok(node, 'a reachable node is in the store');
      found.add(encodeHex(hash));
      if (node.kind === 'inner') [node.left, node.right].forEach(visit);
    };
    if (encodeHex(root) !== encodeHex(EMPTY_MAP_ROOT)) visit(root);
    return found;
  }
}

// The dumb oracle: the root of a set of pairs by splitting the whole set at each differing bit.
function naiveRoot(pairs: ReadonlyMap<string, Uint8Array>): Hash {
  const entries = [...pairs].map(([key, value]) => ({ key: decodeHex(key), value }));
  const rootOf = (set: readonly { key: Uint8Array; value: Uint8Array }[], from: number): Hash => {
    const [first] = set;
    if (first === undefined) return EMPTY_MAP_ROOT;
    if (set.length === 1) return mapLeafHash(first.key, first.value);
    const left = set.filter(({ key }) => bitAt(key, from) === 0);
    const right = set.filter(({ key }) => bitAt(key, from) === 1);
    if (left.length === 0 || right.length === 0) return rootOf(set, from + 1);
    return mapInnerHash(from, rootOf(left, from + 1), rootOf(right, from + 1));
  };
  return rootOf(entries, 0);
}

const hash = (text: string): Hash => decodeHex(text, 32);
const numberedKey = (i: number): Uint8Array => sha256(utf8(`key ${i}`));
const refusedAs =
  (...codes: readonly string[]) =>
  (error: unknown): boolean =>
    error instanceof VerifyError && codes.includes(error.code);

// Keys that differ in few bits, at any depth, so that splits happen everywhere.
const closeKey = fc
  .tuple(fc.constantFrom(0x00, 0x80, 0xff), fc.array(fc.nat(255), { maxLength: 3 }))
  .map(([fill, flips]) => {
    const key = new Uint8Array(32).fill(fill);
    for (const bit of flips) key[bit >> 3] = (key[bit >> 3] ?? 0) ^ (0x80 >> (bit & 7));
    return key;
  });
const change = fc.record({ key: closeKey, value: fc.uint8Array({ maxLength: 4 }) });

describe('fixtures/vectors/mpt.txt', () => {
  const lines = readFileSync(new URL('../../fixtures/vectors/mpt.txt', import.meta.url), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.split(' ').map((word) => (word === "''" ? '' : word)));

  const roots: { pairs: [string, string][]; root: string }[] = [];
  const lookups: { [word: string]: string }[] = [];
  let pairs: [string, string][] = [];
  let lookup: { [word: string]: string } = {};
  for (const [word = '', a = '', b = ''] of lines) {
    if (word === 'kv') pairs.push([a, b]);
    else if (word === 'hash') {
      roots.push({ pairs, root: a });
      pairs = [];
    } else {
      lookup[word] = a;
      if (word === 'verify') {
        lookups.push(lookup);
        lookup = {};
      }
    }
  }

  it('has the vectors', () => {
    assert.equal(roots.length, 9);
    assert.equal(lookups.length, 9);
  });

  for (const { pairs, root } of roots) {
    it(`computes the root of ${pairs.length} pairs, ${root.slice(0, 8)}`, () => {
      const [only] = pairs;
      // Two vectors have shorter keys than ours, alone: then the root is the leaf's hash.
      if (only !== undefined && only[0].length < 64) {
        assert.equal(encodeHex(mapLeafHash(decodeHex(only[0]), decodeHex(only[1]))), root);
        return;
      }
      const changes = pairs.map(([key, value]) => ({
        key: decodeHex(key),
        value: decodeHex(value),
      }));
      assert.equal(encodeHex(new MemoryNodes().apply(EMPTY_MAP_ROOT, changes)), root);
      assert.equal(encodeHex(new MemoryNodes().apply(EMPTY_MAP_ROOT, changes.reverse())), root);
    });
  }

  for (const [i, { snap = '', key = '', val = '', proof = '', verify }] of lookups.entries()) {
    it(`look-up ${i} verifies: ${verify}`, () => {
      const check = (): void =>
        val === '-'
          ? checkMapAbsence(hash(snap), decodeHex(key), decodeHex(proof))
          : checkMapPresence(hash(snap), decodeHex(key), decodeHex(val), decodeHex(proof));
      if (verify === 'true') check();
      else assert.throws(check, refusedAs('MAP_PROOF_INVALID', 'MAP_MALFORMED'));
    });
  }
});

describe('firstDifferentBit', () => {
  const cases: readonly (readonly [string, string, number | undefined])[] = [
    ['00', '80', 0],
    ['00', '01', 7],
    ['ff00', 'ff10', 11],
    ['abcd', 'abcd', undefined],
  ];
  for (const [a, b, bit] of cases) {
    it(`${a} ${b}: ${bit}`, () => assert.equal(firstDifferentBit(decodeHex(a), decodeHex(b)), bit));
  }
});

describe('updateMap', () => {
  it('has the naive root after any updates in any grouping, and the old root stays readable', () => {
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 6 }), { maxLength: 6 }), (batches) => {
        const nodes = new MemoryNodes();
        const expected = new Map<string, Uint8Array>();
        const history: { root: Hash; pairs: Map<string, Uint8Array> }[] = [];
        let root = EMPTY_MAP_ROOT;
        for (const batch of batches) {
          root = nodes.apply(root, batch);
          for (const { key, value } of batch) expected.set(encodeHex(key), value);
          assert.deepEqual(root, naiveRoot(expected));
          history.push({ root, pairs: new Map(expected) });
        }
        for (const { root, pairs } of history) {
          for (const [key, value] of pairs) {
            assert.deepEqual(lookupMap(nodes, root, decodeHex(key)), value);
          }
        }
      }),
      { seed: 1, numRuns: 300 },
    );
  });

  it('does not depend on the order of the keys', () => {
    const pairs = fc.uniqueArray(change, { selector: ({ key }) => encodeHex(key), maxLength: 12 });
    fc.assert(
      fc.property(
        pairs.chain((set) =>
          fc.tuple(fc.constant(set), fc.shuffledSubarray(set, { minLength: set.length })),
        ),
        ([set, shuffled]) => {
          const one = new MemoryNodes().apply(EMPTY_MAP_ROOT, set);
          const store = new MemoryNodes();
          const other = shuffled.reduce((root, c) => store.apply(root, [c]), EMPTY_MAP_ROOT);
          assert.deepEqual(other, one);
        },
      ),
      { seed: 2, numRuns: 200 },
    );
  });

  it('names exactly the nodes that come and go', () => {
    fc.assert(
      fc.property(fc.array(fc.array(change, { maxLength: 5 }), { maxLength: 5 }), (batches) => {
        const nodes = new MemoryNodes();
        let root = EMPTY_MAP_ROOT;
        for (const batch of batches) {
          const before = nodes.reachable(root);
          const update = updateMap(nodes, root, batch);
          for (const node of update.added) {
            // Children first: a store that stops in between has no dangling parent.
            if (node.kind === 'inner') {
              for (const child of [node.left, node.right]) {
                assert.ok(
                  nodes.nodes.has(encodeHex(child)),
                  'a child is written before its parent',
                );
              }
            }
            nodes.nodes.set(encodeHex(node.hash), node);
          }
          const after = nodes.reachable(update.root);
          const added = update.added.map((node) => encodeHex(node.hash)).sort();
          const removed = update.removed.map((gone) => encodeHex(gone)).sort();
          assert.deepEqual(added, [...after].filter((h) => !before.has(h)).sort());
          assert.deepEqual(removed, [...before].filter((h) => !after.has(h)).sort());
          root = update.root;
        }
      }),
      { seed: 3, numRuns: 200 },
    );
  });

  it('takes the last of several values for a key', () => {
    const key = numberedKey(1);
    const nodes = new MemoryNodes();
    const root = nodes.apply(EMPTY_MAP_ROOT, [
      { key, value: Uint8Array.of(1) },
      { key, value: Uint8Array.of(2) },
    ]);
    assert.deepEqual(root, mapLeafHash(key, Uint8Array.of(2)));
    assert.equal(nodes.nodes.size, 1);
  });

  it('adds and removes nothing when a value stays the same', () => {
    const nodes = new MemoryNodes();
    const changes = [1, 2, 3].map((i) => ({ key: numberedKey(i), value: Uint8Array.of(i) }));
    const root = nodes.apply(EMPTY_MAP_ROOT, changes);
    assert.deepEqual(updateMap(nodes, root, changes), { root, added: [], removed: [] });
  });

  it('reads and makes O(log N) nodes for one key of ten thousand', () => {
    const nodes = new MemoryNodes();
    const changes = Array.from({ length: 10_000 }, (_, i) => ({
      key: numberedKey(i),
      value: Uint8Array.of(0),
    }));
    const root = nodes.apply(EMPTY_MAP_ROOT, changes);
    // log2 10,000 is 13.3; a random trie's longest path is below twice that and some.
    for (const i of [0, 77, 9_999, 10_000, 123_456]) {
      nodes.reads = 0;
      const update = updateMap(nodes, root, [{ key: numberedKey(i), value: Uint8Array.of(1) }]);
      assert.ok(nodes.reads > 5 && nodes.reads <= 32, `key ${i}: ${nodes.reads} reads`);
      assert.ok(update.added.length <= 33, `key ${i}: ${update.added.length} new nodes`);
    }
  });

  it('refuses keys of another length and values that are too long, as bugs', () => {
    const nodes = new MemoryNodes();
    const wrong = [
      { key: new Uint8Array(31), value: new Uint8Array(0) },
      { key: new Uint8Array(32), value: new Uint8Array(1025) },
    ];
    for (const one of wrong) {
      assert.throws(() => updateMap(nodes, EMPTY_MAP_ROOT, [one]), AssertionError);
    }
  });

  it('stops when the store has lost a node', () => {
    const nodes = new MemoryNodes();
    const root = nodes.apply(EMPTY_MAP_ROOT, [{ key: numberedKey(1), value: new Uint8Array(0) }]);
    nodes.nodes.clear();
    assert.throws(() => lookupMap(nodes, root, numberedKey(1)), AssertionError);
  });
});

describe('proveMap', () => {
  it('proves presence and absence, and nothing else with the same proof', () => {
    fc.assert(
      fc.property(
        fc.array(change, { maxLength: 10 }),
        closeKey,
        closeKey,
        (changes, key, other) => {
          const nodes = new MemoryNodes();
          const root = nodes.apply(EMPTY_MAP_ROOT, changes);
          const { value, proof } = proveMap(nodes, root, key);
          assert.deepEqual(value, lookupMap(nodes, root, key));
          const refused = refusedAs('MAP_PROOF_INVALID', 'MAP_MALFORMED');
          if (value === undefined) {
            checkMapAbsence(root, key, proof);
            assert.throws(() => checkMapPresence(root, key, Uint8Array.of(1), proof), refused);
          } else {
            checkMapPresence(root, key, value, proof);
            assert.throws(() => checkMapAbsence(root, key, proof), refused);
            assert.throws(
              () => checkMapPresence(root, key, Uint8Array.of(9, ...value), proof),
              refused,
            );
          }
          // Whatever proof there is for another key: it can't contradict the look-up of that key.
          const truth = lookupMap(nodes, root, other);
          if (truth !== undefined)
            assert.throws(() => checkMapAbsence(root, other, proof), refused);
        },
      ),
      { seed: 4, numRuns: 300 },
    );
  });

  it('refuses a proof with any bit flipped or any byte missing', () => {
    const nodes = new MemoryNodes();
    const changes = Array.from({ length: 20 }, (_, i) => ({
      key: numberedKey(i),
      value: Uint8Array.of(i),
    }));
    const root = nodes.apply(EMPTY_MAP_ROOT, changes);
    const refused = refusedAs('MAP_PROOF_INVALID', 'MAP_MALFORMED');
    const present = proveMap(nodes, root, numberedKey(3));
    const absent = proveMap(nodes, root, numberedKey(99));
    const checks: readonly (readonly [Uint8Array, (proof: Uint8Array) => void])[] = [
      [present.proof, (proof) => checkMapPresence(root, numberedKey(3), Uint8Array.of(3), proof)],
      [absent.proof, (proof) => checkMapAbsence(root, numberedKey(99), proof)],
    ];
    for (const [proof, check] of checks) {
      check(proof);
      for (let bit = 0; bit < 8 * proof.length; bit++) {
        const flipped = Uint8Array.from(proof);
        flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
        assert.throws(() => check(flipped), refused, `bit ${bit}`);
      }
      for (let end = 0; end < proof.length; end++) {
        assert.throws(() => check(proof.subarray(0, end)), refused, `cut at ${end}`);
      }
    }
  });
});

describe('checkMapPresence and checkMapAbsence', () => {
  // Tries that no set of pairs has, each with a path that really leads to its root.
  const empty = new Uint8Array(0);
  const low = new Uint8Array(32);
  const high = new Uint8Array(32).fill(0xff);
  const sibling = mapLeafHash(numberedKey(1), empty);
  const step = (bit: number): Uint8Array => concat(Uint8Array.of(bit), sibling);
  const leaf = mapLeafHash(low, empty);

  it('refuse bits that do not fall on the way to the root', () => {
    const right = mapInnerHash(0, mapInnerHash(8, leaf, sibling), sibling);
    checkMapPresence(right, low, empty, concat(step(8), step(0)));
    const wrong = mapInnerHash(8, mapInnerHash(0, leaf, sibling), sibling);
    const twice = mapInnerHash(8, mapInnerHash(8, leaf, sibling), sibling);
    const refused = refusedAs('MAP_PROOF_INVALID');
    assert.throws(() => checkMapPresence(wrong, low, empty, concat(step(0), step(8))), refused);
    assert.throws(() => checkMapPresence(twice, low, empty, concat(step(8), step(8))), refused);
  });

  it('refuse another leaf that is on the side of the key, but not of its own', () => {
    const root = mapInnerHash(0, mapLeafHash(high, empty), sibling);
    const other = concat(Uint8Array.of(32), high, Uint8Array.of(0));
    const proof = concat(other, step(0));
    assert.throws(() => checkMapAbsence(root, low, proof), refusedAs('MAP_PROOF_INVALID'));
  });
});

describe('mapLeafHash and mapInnerHash', () => {
  // Put together here with arrays alone, however long the numbers are.
  const uvarint = (value: number): number[] =>
    value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...uvarint(value >> 7)];
  const bytes = fc.uint8Array({ minLength: 32, maxLength: 32 });

  it('hash what DESIGN section 4.6 says, whatever was hashed before', () => {
    const value = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(new Uint8Array(1024).fill(1), new Uint8Array(20_000).fill(2)),
    );
    fc.assert(
      fc.property(fc.nat(255), bytes, bytes, value, (bit, left, right, data) => {
        const inner = sha256(Uint8Array.of(1, ...uvarint(bit), ...left, ...right));
        const leaf = sha256(Uint8Array.of(0, 32, ...left, ...uvarint(data.length), ...data));
        assert.equal(encodeHex(mapInnerHash(bit, left, right)), encodeHex(inner));
        assert.equal(encodeHex(mapLeafHash(left, data)), encodeHex(leaf));
      }),
    );
  });

  it('refuse what is no hash and no bit of a key, as bugs', () => {
    const good = new Uint8Array(32);
    assert.throws(() => mapInnerHash(256, good, good), AssertionError, 'bit 256');
    assert.throws(() => mapInnerHash(1, good.subarray(1), good), AssertionError, '31 bytes');
    assert.throws(() => mapInnerHash(1, good, new Uint8Array(33)), AssertionError, '33 bytes');
  });
});

describe('parseMapNode', () => {
  const leaf = `0020${'ab'.repeat(32)}01ff`;
  const inner = `0103${'11'.repeat(32)}${'22'.repeat(32)}`;

  for (const text of [leaf, inner]) {
    it(`round-trips ${text.slice(0, 4)}… and names the node by the hash of its bytes`, () => {
      const node = parseMapNode(decodeHex(text));
      assert.equal(encodeHex(formatMapNode(node)), text);
      assert.deepEqual(node.hash, sha256(decodeHex(text)));
    });
    it(`refuses ${text.slice(0, 4)}… cut at every byte`, () => {
      for (let end = 0; end < text.length; end += 2) {
        assert.throws(
          () => parseMapNode(decodeHex(text.slice(0, end))),
          refusedAs('MAP_MALFORMED'),
          `cut at ${end / 2}`,
        );
      }
    });
  }

  const refusals: readonly (readonly [why: string, bytes: string])[] = [
    ['another kind', `02${'11'.repeat(32)}`],
    ['a byte after a leaf', `${leaf}00`],
    ['a byte after an inner node', `${inner}00`],
    ['a key of 31 bytes', `001f${'ab'.repeat(31)}01ff`],
    ['a key of 33 bytes', `0021${'ab'.repeat(33)}01ff`],
    ['a length in two bytes where one is enough', `0020${'ab'.repeat(32)}8100ff`],
    ['a value above 1024 bytes', `0020${'ab'.repeat(32)}8108${'ff'.repeat(1025)}`],
    ['bit 256', `018002${'11'.repeat(64)}`],
    ['a number without end', `01ffffffffff${'11'.repeat(64)}`],
  ];
  for (const [why, bytes] of refusals) {
    it(`refuses ${why}`, () =>
      assert.throws(() => parseMapNode(decodeHex(bytes)), refusedAs('MAP_MALFORMED')));
  }
});
