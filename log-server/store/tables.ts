// All tables of one database, as they are handed around together.
import type { ArtifactTables } from './artifact-tables.ts';
import type { BatchTables } from './batch-tables.ts';
import type { LogTables } from './log-tables.ts';
import type { MapTables } from './map-tables.ts';
import type { StateTables } from './state-tables.ts';

/** The tables of a replica. */
export interface Tables {
  readonly artifacts: ArtifactTables;
  readonly batches: BatchTables;
  readonly log: LogTables;
  readonly map: MapTables;
  readonly state: StateTables;
}
