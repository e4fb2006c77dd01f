import assert from 'node:assert/strict';
import { describe, it } from 'node:test';

import { packageKey, releaseKey } from '../../verifier/map/keys.ts';
import {
  formatPackageRecord,
  formatReleaseRecord,
  type PackageRecord,
  type ReleaseRecord,
} from '../../verifier/map/records.ts';
import { EMPTY_MAP_ROOT, type MapNode } from '../../verifier/map/node.ts';
import { updateMap } from '../../verifier/map/trie.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { DamagedStoreError } from './damage.ts';
import { PackageReads, type PackageReadBounds } from './package-reads.ts';
import type { PackageRow, VersionRow } from './store.ts';

const SMALL: PackageReadBounds = { versionsMax: 5, stepCount: 2, pageCount: 3, attemptsMax: 2 };

/** Rows of one package and the map that says the same. */
class World {
  readonly rows = new Map<string, ReleaseRecord>();
  record: PackageRecord | undefined;
  root: Hash = EMPTY_MAP_ROOT;
  readonly #nodes = new Map<string, MapNode>();
  readonly reads: PackageReads;

  constructor(bounds: PackageReadBounds = SMALL) {
    const state = {
      packageRecord: () => this.record,
      releaseRecord: (_: string, version: string) => this.rows.get(version),
      releasesAfter: (_: string, after: string, countMax: number): readonly VersionRow[] =>
        [...this.rows]
          .filter(([version]) => version > after)
          .sort(([a], [b]) => (a < b ? -1 : 1))
          .slice(0, countMax)
          .map(([version, record]) => ({ version, record })),
    };
    const nodes = { get: (hash: Hash) => this.#nodes.get(encodeHex(hash)) };
    this.reads = new PackageReads(state, nodes, () => this.root, bounds);
  }

  /** A batch with one version. */
  put(version: string, index: number, status: ReleaseRecord['status'] = 'active'): void {
    const record = { index, statement: '00'.repeat(32), status, withdrawal: null };
    this.rows.set(version, record);
    this.record = { maintainers: 0, sequence: 0, releases: this.rows.size, latest: version };
    this.#set(releaseKey('p', version), formatReleaseRecord(record));
    this.#set(packageKey('p'), formatPackageRecord(this.record));
  }

  #set(key: Uint8Array, value: Uint8Array): void {
    const nodes = { get: (hash: Hash) => this.#nodes.get(encodeHex(hash)) };
    const update = updateMap(nodes, this.root, [{ key, value }]);
    for (const node of update.added) this.#nodes.set(encodeHex(node.hash), node);
    this.root = update.root;
  }

  /** @param between called between two steps */
  read(between: (turn: number) => void = () => undefined): { row?: PackageRow; turns: number } {
    const steps = this.reads.read('p');
    for (let turns = 0; ; turns++) {
      const step = steps.next();
      if (step.done === true)
        return step.value === undefined ? { turns } : { row: step.value, turns };
      between(turns);
    }
  }
}

function versionsOf(row: PackageRow | undefined): readonly string[] {
  return (row?.versions ?? []).map(({ version }) => version);
}

describe('PackageReads', () => {
  it('reads a package of few versions at once, in the order of their texts', () => {
    const world = new World();
    world.put('1.10.0', 3);
    world.put('1.9.0', 1);
    const { row, turns } = world.read();
    assert.deepEqual(versionsOf(row), ['1.10.0', '1.9.0']);
    assert.equal(row?.record.releases, 2);
    assert.equal(turns, 0);
    assert.deepEqual(new World().read(), { turns: 0 });
  });

  it('gives others their turn, and of too many versions those that were released last', () => {
    const world = new World();
    // The higher the version, the older.
    for (let i = 0; i < 40; i++) world.put(`1.0.${10 + i}`, 100 - i);
    const { row, turns } = world.read();
    const last = ['1.0.10', '1.0.11', '1.0.12', '1.0.13', '1.0.14'];
    assert.deepEqual(versionsOf(row), last);
    assert.equal(turns, 13 + 2, 'thirteen full pages, and between three steps');
  });

  it('keeps all versions of a statement, or none', () => {
    const world = new World();
    for (let i = 0; i < 20; i++) world.put(`1.0.${10 + i}`, Math.floor(i / 4));
    assert.equal(world.read().row?.versions.length, 8);
  });

  it('reads each version as it is when its turn comes', () => {
    const world = new World();
    for (let i = 0; i < 5; i++) world.put(`1.0.${i}`, i);
    const { row } = world.read((turn) => {
      // After the rows have been looked through, before the last one is compared.
      if (turn === 2) world.put('1.0.4', 4, 'yanked');
    });
    assert.deepEqual(
      row?.versions.map(({ record }) => record.status),
      ['active', 'active', 'active', 'active', 'yanked'],
    );
  });

  it('begins again when the package has changed, and not for ever', () => {
    const world = new World();
    for (let i = 0; i < 4; i++) world.put(`1.0.${i}`, i);
    const once = world.read((turn) => {
      if (turn === 0) world.put('1.0.9', 9);
    });
    assert.equal(once.row?.record.latest, '1.0.9');
    assert.ok(versionsOf(once.row).includes('1.0.9'), 'what it says is there');
    let index = 10;
    const always = world.read(() => world.put(`2.0.${index}`, index++));
    assert.ok(versionsOf(always.row).includes(always.row?.record.latest ?? ''), 'also then');
  });

  const damages: readonly (readonly [why: string, damage: (world: World) => void])[] = [
    [
      'a status was changed',
      ({ rows }) => {
        const row = rows.get('1.0.1');
        if (row !== undefined) rows.set('1.0.1', { ...row, status: 'revoked' });
      },
    ],
    [
      'a version was added',
      ({ rows }) => {
        const row = rows.get('1.0.1');
        if (row !== undefined) rows.set('1.0.7', row);
      },
    ],
    [
      'the record was changed',
      (world) => {
        if (world.record !== undefined) world.record = { ...world.record, releases: 9 };
      },
    ],
    [
      'the record is gone',
      (world) => {
        world.record = undefined;
      },
    ],
    [
      'the map is another one',
      (world) => {
        world.root = EMPTY_MAP_ROOT;
      },
    ],
  ];
  for (const [why, damage] of damages) {
    it(`finds that ${why}`, () => {
      const world = new World();
      for (let i = 0; i < 4; i++) world.put(`1.0.${i}`, i);
      damage(world);
      assert.throws(() => world.read(), DamagedStoreError, why);
    });
  }
});
