// What makes a database of an older version one of this version. A replica's votes are in it, and its keys
// know it by its name: it can't be replaced by an empty one.

/** Version of the schema (schema.ts). A database of a newer one is refused; upgrades go up only. */
export const SCHEMA_VERSION = 3;

/**
 * By the version that they start from, to the next one. Each in one transaction with the new version's number,
 * so that a crash leaves the old database or the new one.
 *
 * 2: nodes of the map were marked one by one, and artifacts found by their digest alone, in a tree that had
 * their manifests in it, with a second one of those that the log names.
 */
export const UPGRADES: ReadonlyMap<number, string> = new Map([
  [
    2,
    `
CREATE TABLE map_changes (
  height INTEGER PRIMARY KEY,
  added BLOB NOT NULL,
  removed BLOB NOT NULL
) STRICT;
DROP INDEX unwanted_artifacts;
ALTER TABLE artifacts RENAME TO old_artifacts;
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
INSERT INTO artifacts (sha512, size, name, version, manifest, received_seconds, bytes_id)
  SELECT sha512, size, name, version, manifest, received_seconds, bytes_id FROM old_artifacts;
CREATE TABLE unwanted_artifacts (
  received_seconds INTEGER NOT NULL,
  sha512 BLOB NOT NULL,
  size INTEGER NOT NULL,
  PRIMARY KEY (received_seconds, sha512)
) STRICT, WITHOUT ROWID;
INSERT INTO unwanted_artifacts (received_seconds, sha512, size)
  SELECT received_seconds, sha512, size FROM old_artifacts WHERE wanted = 0;
DROP TABLE old_artifacts;
DROP TABLE wanted_artifacts;
`,
  ],
]);
