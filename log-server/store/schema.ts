// The tables. All of them are filled by `write` of sqlite-store.ts in one transaction per call; hashes
// are blobs of 32 (SHA-256) or 64 (SHA-512) bytes.

/** Makes an empty database. */
export const SCHEMA = `
-- Single values: identity of the database, the newest checkpoint note.
CREATE TABLE meta (
  key TEXT PRIMARY KEY,
  value ANY NOT NULL
) STRICT, WITHOUT ROWID;

-- Consensus (CONSENSUS 2.2). Values are opaque to the store.
CREATE TABLE records (
  name TEXT PRIMARY KEY,
  value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE bodies (
  digest BLOB PRIMARY KEY,
  batch BLOB NOT NULL
) STRICT;
CREATE TABLE transcripts (
  epoch INTEGER NOT NULL,
  view INTEGER NOT NULL,
  message BLOB NOT NULL,
  PRIMARY KEY (epoch, view)
) STRICT;
CREATE TABLE rosters (
  epoch INTEGER PRIMARY KEY,
  envelope TEXT NOT NULL
) STRICT;

-- Batches and the log. A batch's leaves are first_leaf to size - 1.
CREATE TABLE batches (
  height INTEGER PRIMARY KEY,
  first_leaf INTEGER NOT NULL,
  size INTEGER NOT NULL UNIQUE,
  digest BLOB NOT NULL,
  header BLOB NOT NULL,
  certificate BLOB NOT NULL,
  map_root BLOB NOT NULL,
  commit_leaf BLOB NOT NULL
) STRICT;
CREATE TABLE entries (
  leaf_index INTEGER PRIMARY KEY,
  data BLOB NOT NULL
) STRICT;
-- Hash tiles as C2SP tlog-tiles has them: up to 256 hashes of tree level 8 * level.
CREATE TABLE tiles (
  level INTEGER NOT NULL,
  number INTEGER NOT NULL,
  hashes BLOB NOT NULL,
  PRIMARY KEY (level, number)
) STRICT;

-- What the last batches changed of the map: nodes that they made and hashes of those that they replaced
-- (packed-nodes.ts). Brought into the next table for many batches together.
CREATE TABLE map_changes (
  height INTEGER PRIMARY KEY,
  added BLOB NOT NULL,
  removed BLOB NOT NULL
) STRICT;
-- The map's nodes by hash. Those that the map no longer uses stay until no checkpoint that is still
-- served needs them: obsolete says from which height on, of batches that are not in map_changes any more.
CREATE TABLE map_nodes (
  hash BLOB PRIMARY KEY,
  node BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE obsolete_map_nodes (
  hash BLOB PRIMARY KEY,
  height INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX obsolete_map_nodes_by_height ON obsolete_map_nodes (height);

-- The ledger's state: what the entries of the log add up to.
CREATE TABLE packages (
  name TEXT PRIMARY KEY,
  folded TEXT NOT NULL UNIQUE,
  maintainers INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  releases INTEGER NOT NULL,
  latest TEXT,
  rate_window INTEGER NOT NULL,
  rate_entries INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE maintainer_sets (
  name TEXT NOT NULL,
  sequence INTEGER NOT NULL,
  leaf_index INTEGER NOT NULL,
  hash BLOB NOT NULL,
  PRIMARY KEY (name, sequence)
) STRICT, WITHOUT ROWID;
CREATE TABLE releases (
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  leaf_index INTEGER NOT NULL,
  statement BLOB NOT NULL,
  status TEXT NOT NULL,
  withdrawal INTEGER,
  PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;
CREATE TABLE statements (
  hash BLOB PRIMARY KEY,
  leaf_index INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Artifacts: those held, with what their package.json says; of them those that no release in the log names, with
-- the room that they take (artifact-tables.ts);
-- and those that releases name and that are not held.
CREATE TABLE artifacts (
  id INTEGER PRIMARY KEY,
  sha512 BLOB NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  manifest TEXT NOT NULL,
  received_seconds INTEGER NOT NULL,
  bytes_id INTEGER
) STRICT;
CREATE TABLE unwanted_artifacts (
  received_seconds INTEGER NOT NULL,
  sha512 BLOB NOT NULL,
  size INTEGER NOT NULL,
  PRIMARY KEY (received_seconds, sha512)
) STRICT, WITHOUT ROWID;
CREATE TABLE missing_artifacts (
  sha512 BLOB PRIMARY KEY
) STRICT, WITHOUT ROWID;
-- Bytes of small artifacts: bytes_id says which. NULL is a file in the folder of artifacts.
CREATE TABLE artifact_bytes (
  id INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;
`;
