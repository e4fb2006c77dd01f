// The present state of the ledger over the tables: what the rules read (verifier/ledger/view.ts), and
// the few values that change with every batch, which are kept in memory.
import { equalBytes } from '../../verifier/bytes.ts';
import { statementHash, type Envelope } from '../../verifier/dsse.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { assert } from '../../verifier/errors.ts';
import type { BatchExecution } from '../../verifier/ledger/batch.ts';
import type {
  BatchBase,
  LedgerTip,
  PackageActivity,
  SetInForce,
  VersionStatus,
} from '../../verifier/ledger/view.ts';
import { EMPTY_MAP_ROOT } from '../../verifier/map/node.ts';
import type { PackageRecord, ReleaseRecord } from '../../verifier/map/records.ts';
import type { MapNodes } from '../../verifier/map/trie.ts';
import type { CompactRange } from '../../verifier/merkle/compact-range.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import { packagePurl } from '../../verifier/npm/purl.ts';
import { parseRoster, type Roster } from '../../verifier/roster.ts';
import { parseMaintainerSet } from '../../verifier/statements/maintainers.ts';
import { genesisHeader } from '../../verifier/replication/encode.ts';
import type { Header } from '../consensus/types.ts';
import { DamagedStoreError, intact } from './damage.ts';
import { LruMap } from '../lru.ts';
import type { Tables } from './tables.ts';
import { checkTail } from './tail-check.ts';

/** Parsed maintainer sets kept in memory, some kilobytes each. */
const SET_CACHE_MAX = 4096;

/** Roots of the past kept in memory. Most statements of a time name one of the last few heads. */
const ROOT_CACHE_MAX = 1024;

interface Position {
  readonly header: Header;
  readonly tip: LedgerTip;
  readonly range: CompactRange;
  readonly roster: Roster;
  readonly rosterEnvelope: Envelope;
}

/** State after the last durable batch. Changes only through `advance`, after the commit. */
export class LedgerState implements BatchBase {
  readonly #tables: Tables;
  readonly #sets = new LruMap<number, SetInForce>(SET_CACHE_MAX);
  readonly #roots = new LruMap<number, Hash>(ROOT_CACHE_MAX);
  #position: Position;

  /** @throws {DamagedStoreError} when log, batches and rosters in the tables don't fit together */
  constructor(tables: Tables) {
    this.#tables = tables;
    this.#position = loadPosition(tables);
  }

  get tip(): LedgerTip {
    return this.#position.tip;
  }

  /** The last header; the genesis header before the first batch. */
  get header(): Header {
    return this.#position.header;
  }

  get range(): CompactRange {
    return this.#position.range;
  }

  get roster(): Roster {
    return this.#position.roster;
  }

  get rosterEnvelope(): Envelope {
    return this.#position.rosterEnvelope;
  }

  get mapNodes(): MapNodes {
    return this.#tables.map;
  }

  /** Moves on to a batch that is durable now. */
  advance(header: Header, execution: BatchExecution): void {
    const next = execution.changes.roster;
    const roster = next?.roster ?? this.roster;
    this.#tables.log.trust(execution.range);
    this.#position = {
      header,
      tip: {
        epoch: roster.epoch,
        height: execution.height,
        size: execution.range.size,
        root: execution.root,
        timeSeconds: execution.timeSeconds,
        map: execution.map.root,
        commitLeaf: execution.commitLeaf,
      },
      range: execution.range,
      roster,
      rosterEnvelope: next?.envelope ?? this.rosterEnvelope,
    };
  }

  statementIndex(hash: string): number | undefined {
    return this.#tables.state.statementIndex(hash);
  }

  packageRecord(name: string): PackageRecord | undefined {
    return this.#tables.state.packageRecord(name);
  }

  releaseRecord(name: string, version: string): ReleaseRecord | undefined {
    return this.#tables.state.releaseRecord(name, version);
  }

  maintainerSet(name: string): SetInForce | undefined {
    const row = this.#tables.state.setInForce(name);
    if (row === undefined) return undefined;
    // By leaf: an entry never changes, so what was read from it doesn't either.
    const known = this.#sets.get(row.index);
    if (known !== undefined) return known;
    const data = this.#tables.log.entry(row.index);
    assert(data !== undefined, 'the entry of a maintainer set is in the log');
    // The entry is right: it has its hash in the tree. The row that names it may not be.
    const inForce = intact(`the maintainer set of ${name}`, () => {
      const entry = parseEntry(data);
      assert(entry.kind === 'maintainers', 'the entry of a maintainer set holds one');
      const { payload } = entry.envelope;
      const set = parseMaintainerSet(payload);
      const hash = statementHash(payload);
      assert(hash === row.hash && set.package === packagePurl(name), 'it is the set of that row');
      return { set, hash, index: row.index };
    });
    this.#sets.set(row.index, inForce);
    return inForce;
  }

  versions(name: string): readonly VersionStatus[] {
    return this.#tables.state.versions(name);
  }

  nameLike(folded: string): string | undefined {
    return this.#tables.state.nameLike(folded);
  }

  activity(name: string): PackageActivity | undefined {
    return this.#tables.state.activity(name);
  }

  rootAt(size: number): Hash | undefined {
    if (size > this.tip.size) return undefined;
    const known = this.#roots.get(size);
    if (known !== undefined) return known;
    const root = this.#tables.log.rootAt(size);
    this.#roots.set(size, root);
    return root;
  }
}

function loadPosition(tables: Tables): Position {
  const { batches, log } = tables;
  const rosterEnvelope = intact('the table of rosters', () => batches.rosters()).at(-1);
  if (rosterEnvelope === undefined) throw new DamagedStoreError('the database has no roster');
  const roster = intact('the roster', () => parseRoster(rosterEnvelope.payload));
  const last = intact('the last batch', () => batches.lastBatch());
  const size = last?.size ?? 0;
  if (log.size() !== size) {
    throw new DamagedStoreError(`${log.size()} entries, but the last batch ends at ${size}`);
  }
  const range = intact('the right edge of the tree', () => log.rangeAt(size));
  const header = last?.header ?? genesisHeader(roster.origin);
  // A database that was put together from two backups, or lost pages, is found here.
  if (!equalBytes(range.root(), decodeHex(header.root))) {
    throw new DamagedStoreError(`the tree of size ${size} does not have the root of its header`);
  }
  log.trust(range);
  checkTail(tables, roster.origin);
  return {
    header,
    tip: {
      epoch: roster.epoch,
      height: header.height,
      size,
      root: range.root(),
      timeSeconds: Math.floor(header.timestampMs / 1000),
      map: last?.mapRoot ?? EMPTY_MAP_ROOT,
      commitLeaf: last?.commitLeaf ?? null,
    },
    range,
    roster,
    rosterEnvelope,
  };
}
