import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import * as fc from 'fast-check';

import { naiveRoot, testLeaves } from '../../fixtures/naive-tree.ts';
import { concat, utf8 } from '../bytes.ts';
import { CompactRange } from './compact-range.ts';
import { EMPTY_ROOT, type Hash } from './hash.ts';
import { rangeRoot } from './ranges.ts';
import {
  type Tile,
  formatBundle,
  formatTilePath,
  newTiles,
  nodeFromTile,
  parseBundle,
  parseTilePath,
  sliceOfNode,
  tileLevelCount,
} from './tile.ts';

const refusal = { code: 'TILE_MALFORMED' };

describe('parseTilePath and formatTilePath', () => {
  // C2SP tlog-tiles: 1234067 is x001/x234/067.
  const rows: readonly [string, Tile][] = [
    ['tile/0/000', { level: 0, index: 0, width: 256 }],
    ['tile/0/x001/x234/067', { level: 0, index: 1_234_067, width: 256 }],
    ['tile/0/x001/234.p/8', { level: 0, index: 1234, width: 8 }],
    ['tile/1/000.p/255', { level: 1, index: 0, width: 255 }],
    ['tile/6/000.p/31', { level: 6, index: 0, width: 31 }],
    ['tile/entries/x001/000', { level: 'entries', index: 1000, width: 256 }],
    ['tile/entries/999.p/1', { level: 'entries', index: 999, width: 1 }],
    ['tile/0/x035/x184/x372/x088/831', { level: 0, index: 35_184_372_088_831, width: 256 }],
  ];
  for (const [path, tile] of rows) {
    it(`read and write ${path}`, () => {
      assert.deepEqual(parseTilePath(path), tile);
      assert.equal(formatTilePath(tile), path);
    });
  }

  const refused: readonly [string, string][] = [
    ['nothing', ''],
    ['a slash in front', '/tile/0/000'],
    ['a slash behind', 'tile/0/000/'],
    ['another folder', 'tiles/0/000'],
    ['a parent folder', 'tile/0/../000'],
    ['an escaped parent folder', 'tile/0/%2e%2e/000'],
    ['a level with a leading zero', 'tile/00/000'],
    ['a level that no tree has', 'tile/7/000'],
    ['no level', 'tile/000'],
    ['a short group', 'tile/0/00'],
    ['a long group', 'tile/0/0000'],
    ['a first group that is too much', 'tile/0/x000/000'],
    ['a group without its x', 'tile/0/001/234'],
    ['an x on the last group', 'tile/0/x001/x234'],
    ['a capital X', 'tile/0/X001/234'],
    ['an index beyond any tree', 'tile/0/x035/x184/x372/x088/832'],
    ['an index beyond 2^53', 'tile/0/x999/x999/x999/x999/x999/x999/999'],
    ['a partial tile without width', 'tile/0/000.p/'],
    ['a partial tile of width 0', 'tile/0/000.p/0'],
    ['a full tile as a partial one', 'tile/0/000.p/256'],
    ['a width with a leading zero', 'tile/0/000.p/08'],
    ['a width with a sign', 'tile/0/000.p/+8'],
    ['a line end', 'tile/0/000\n'],
    ['digits of another script', 'tile/0/٠٠٠'],
    ['far too much', `tile/0/${'x001/'.repeat(100_000)}000`],
  ];
  for (const [why, path] of refused) {
    it(`refuse ${why}`, () => assert.throws(() => parseTilePath(path), refusal));
  }

  it('have one path per tile', () => {
    const index = fc.nat(2 ** 31 - 1);
    const level = fc.constantFrom<Tile['level']>('entries', 0, 1, 2, 3, 4, 5, 6);
    fc.assert(
      fc.property(level, index, fc.integer({ min: 1, max: 256 }), (level, index, width) => {
        assert.deepEqual(parseTilePath(formatTilePath({ level, index, width })), {
          level,
          index,
          width,
        });
      }),
    );
  });
});

describe('tileLevelCount', () => {
  const rows: readonly [number, number, number][] = [
    [0, 0, 0],
    [1, 0, 1],
    [255, 1, 0],
    [256, 1, 1],
    [70_000, 0, 70_000],
    [70_000, 1, 273],
    [70_000, 2, 1],
    [70_000, 3, 0],
    [2 ** 53 - 1, 6, 31],
    [2 ** 53 - 1, 7, 0],
  ];
  for (const [size, level, count] of rows) {
    it(`of ${size} leaves at level ${level} is ${count}`, () => {
      assert.equal(tileLevelCount(size, level), count);
    });
  }
});

describe('newTiles', () => {
  const rows: readonly [number, number, string][] = [
    [0, 0, ''],
    [5, 5, ''],
    [0, 1, 'tile/entries/000.p/1 tile/0/000.p/1'],
    [1, 3, 'tile/entries/000.p/3 tile/0/000.p/3'],
    [255, 256, 'tile/entries/000 tile/0/000 tile/1/000.p/1'],
    [255, 257, 'tile/entries/000 tile/entries/001.p/1 tile/0/000 tile/0/001.p/1 tile/1/000.p/1'],
    [256, 257, 'tile/entries/001.p/1 tile/0/001.p/1'],
    [511, 513, 'tile/entries/001 tile/entries/002.p/1 tile/0/001 tile/0/002.p/1 tile/1/000.p/2'],
    [65_535, 65_536, 'tile/entries/255 tile/0/255 tile/1/000 tile/2/000.p/1'],
  ];
  for (const [before, after, paths] of rows) {
    it(`from ${before} to ${after} leaves are: ${paths}`, () => {
      assert.equal(newTiles(before, after).map(formatTilePath).join(' '), paths);
    });
  }

  it('take a shrunken log for a bug', () => {
    assert.throws(() => newTiles(2, 1), { name: 'AssertionError' });
  });
});

describe('nodeFromTile', () => {
  it('finds every perfect node of a tree in its tiles', () => {
    const size = 700;
    const leaves = testLeaves(size);
    // The tiles as a server would write them, from the nodes that appending completes.
    const levels: Hash[][] = [];
    const nodes = new Map<string, Hash>();
    let range = CompactRange.EMPTY;
    for (const leaf of leaves) {
      range = range.append(leaf, (level, index, hash) => {
        nodes.set(`${level} ${index}`, hash);
        if (level % 8 === 0) (levels[level / 8] ??= []).push(hash);
      });
    }
    const tile = (level: number, index: number): Uint8Array =>
      concat(...(levels[level] ?? []).slice(256 * index, 256 * (index + 1)));
    assert.equal(levels[0]?.length, tileLevelCount(size, 0));
    assert.equal(levels[1]?.length, tileLevelCount(size, 1));
    const read = (level: number, index: number): Hash => {
      const slice = sliceOfNode(level, index);
      return nodeFromTile(slice, tile(slice.level, slice.index));
    };
    for (const [id, hash] of nodes) {
      const [level = 0, index = 0] = id.split(' ').map(Number);
      assert.deepEqual(read(level, index), hash, `node ${id}`);
    }
    for (const part of [1, 255, 256, 257, 511, 512, 699, 700]) {
      assert.deepEqual(rangeRoot(0, part, read), naiveRoot(leaves.slice(0, part), EMPTY_ROOT));
    }
  });

  const tile = concat(...testLeaves(5));
  for (const [why, bytes] of [
    ['a tile that is too short', tile.subarray(0, 96)],
    ['a tile that ends in half a hash', tile.subarray(0, 144)],
    ['an empty tile', new Uint8Array(0)],
  ] as const) {
    it(`refuses ${why}`, () => {
      assert.throws(() => nodeFromTile(sliceOfNode(2, 0), bytes), refusal);
    });
  }
});

describe('parseBundle and formatBundle', () => {
  const entries = [utf8('one'), new Uint8Array(0), utf8('three'), new Uint8Array(65_535).fill(7)];
  const bundle = formatBundle(entries);

  it('write lengths as u16, most significant first', () => {
    assert.deepEqual(formatBundle([utf8('ab')]), Uint8Array.of(0, 2, 97, 98));
    assert.deepEqual(bundle.subarray(0, 5), Uint8Array.of(0, 3, 111, 110, 101));
    assert.equal(bundle.length, 4 * 2 + 3 + 5 + 65_535);
  });

  it('bring the entries back', () => assert.deepEqual(parseBundle(bundle, 4), entries));

  it('refuse a bundle that is cut off anywhere', () => {
    const short = formatBundle(entries.slice(0, 3));
    for (let end = 0; end < short.length; end++) {
      assert.throws(() => parseBundle(short.subarray(0, end), 3), refusal, `${end} bytes`);
    }
  });

  const refused: readonly [string, Uint8Array, number][] = [
    ['an entry too few', bundle, 5],
    ['an entry too many', bundle, 3],
    ['nothing', new Uint8Array(0), 1],
    ['a byte behind it', concat(formatBundle([utf8('ab')]), Uint8Array.of(0)), 1],
    ['a length beyond the end', Uint8Array.of(255, 255, 1), 1],
    ['a million empty entries', new Uint8Array(2_000_000), 256],
  ];
  for (const [why, bytes, width] of refused) {
    it(`refuse ${why}`, () => assert.throws(() => parseBundle(bytes, width), refusal));
  }

  for (const [why, list] of [
    ['no entries', []],
    ['257 entries', Array.from({ length: 257 }, () => utf8(''))],
    ['an entry of 65,536 bytes', [new Uint8Array(65_536)]],
  ] as const) {
    it(`take ${why} for a bug`, () => {
      assert.throws(() => formatBundle(list), { name: 'AssertionError' });
    });
  }
});
