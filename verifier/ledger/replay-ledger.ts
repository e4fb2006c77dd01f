// A ledger that a log is replayed on. There are two: one that holds everything in memory
// (memory-ledger.ts), for tests and simulators and for what a saved audit goes on from, and one that holds
// a part of it (paged-ledger.ts), for logs of any length.
import type { BatchExecution } from './batch.ts';
import type { PackageChange, ReleaseChange } from './scratch.ts';
import type { BatchBase } from './view.ts';

/** A statement's place. */
export interface StatementRow {
  /** Hash of its payload, hex. */
  readonly id: string;
  readonly index: number;
}

/** A package's state. */
export interface PackageRow {
  readonly name: string;
  readonly change: PackageChange;
}

/** How many rows there are of each kind. */
export interface RowCounts {
  readonly packages: number;
  readonly releases: number;
  readonly statements: number;
}

/** The state as tables, each in no order that means anything. Nothing may be advanced while one is read. */
export interface LedgerRows {
  readonly counts: RowCounts;
  statements(): Iterable<StatementRow>;
  /** Each has a maintainer set in force. */
  packages(): Iterable<PackageRow>;
  releases(): Iterable<ReleaseChange>;
}

/** State after the last batch that was replayed. */
export interface ReplayLedger extends BatchBase {
  /** Moves on to a batch that was executed on the present state. */
  advance(execution: BatchExecution): void;
  readonly rows: LedgerRows;
}
