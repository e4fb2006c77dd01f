// `bftpkg-log fsck`: the full check of a stopped replica. Prints one JSON object; exit code 4 when
// something is damaged and stays so.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import type { JsonObject } from '../../verifier/json.ts';
import { gunzip } from '../../verifier/node/gunzip.ts';
import { SignaturePool } from '../../verifier/node/signature-pool.ts';
import { TemporaryPages } from '../../verifier/node/temporary-pages.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { ConfigError } from '../config.ts';
import { EXIT } from '../exit-codes.ts';
import { createLog } from '../log.ts';
import { ArtifactFetcher, type Holder } from '../node/artifact-fetcher.ts';
import { clearMark } from '../node/damage-mark.ts';
import { loadSetup, type Setup } from '../setup.ts';
import type { ArtifactTables } from '../store/artifact-tables.ts';
import { DamagedStoreError } from '../store/damage.ts';
import { openDatabase } from '../store/database.ts';
import { finishRebuild } from '../store/rebuild.ts';
import { FolderArtifacts } from '../store/folder-artifacts.ts';
import { checkDatabase } from '../store/fsck.ts';
import { openIdentity } from '../store/identity.ts';
import { SCHEMA } from '../store/schema.ts';
import { ARTIFACTS_FOLDER, DATABASE_FILE, openTables } from '../store/storage.ts';

/** Artifacts looked at, or fetched, in one go. */
const ARTIFACTS_AT_ONCE = 256;

/** How long the other replicas get for one go, milliseconds. */
const FETCH_PATIENCE_MS = 300_000;

/** Damaged artifacts that are named in the report. */
const NAMED_MAX = 100;

const FIRST_DIGEST: string = '00'.repeat(64);

/** Checks a replica's database and artifacts. */
export async function fsck(configFile: string, repairFromPeers: boolean): Promise<void> {
  const setup = await loadSetup(configFile, process.env);
  const { dataDir } = setup.config;
  const path = join(dataDir, DATABASE_FILE);
  // Where a crash interrupted a rebuilding that was done but for the last step, that one is checked.
  await finishRebuild(dataDir);
  if (!existsSync(path))
    throw new ConfigError(path, ['there is no database: this replica has not run yet']);
  const report = await check(setup, path, repairFromPeers);
  const isDatabaseGood = (report['problems'] as readonly string[]).length === 0;
  if (isDatabaseGood) clearMark(dataDir);
  const isGood = isDatabaseGood && report['missingArtifacts'] === 0;
  process.stdout.write(`${JSON.stringify({ ok: isGood, ...report })}\n`);
  if (!isGood) process.exitCode = EXIT.damaged;
}

async function check(setup: Setup, path: string, repair: boolean): Promise<JsonObject> {
  const [genesis] = setup.rosterEnvelopes;
  if (genesis === undefined) throw new ConfigError(setup.config.rostersFile, ['has no roster']);
  const database = openDatabase(path, SCHEMA);
  const verifier = new SignaturePool();
  // Where the database has room: the state takes less than half of what that does.
  const pages = new TemporaryPages(setup.config.dataDir);
  try {
    const tables = openTables(database);
    openIdentity(database, genesis, setup.config.replica, () => {
      throw new DamagedStoreError('the database does not know whose it is');
    });
    const found = await checkDatabase(database, tables, pages.ledger(genesis), verifier);
    const artifacts = await FolderArtifacts.open({
      folder: join(setup.config.dataDir, ARTIFACTS_FOLDER),
      tables: tables.artifacts,
      gunzip,
      nowSeconds: () => Math.floor(Date.now() / 1000),
    });
    const damaged = await checkArtifacts(tables.artifacts, artifacts);
    const rosters = tables.batches.rosters().map(({ payload }) => parseRoster(payload));
    const holders = (rosters.at(-1)?.replicas ?? []).filter(
      ({ name }) => name !== setup.config.replica,
    );
    const repaired = repair ? await fetchMissing(tables.artifacts, artifacts, holders) : 0;
    const { wanted, missing } = tables.artifacts.counts();
    const { problems, ...counts } = found;
    return {
      problems: [...problems],
      ...counts,
      wantedArtifacts: wanted,
      damagedArtifacts: damaged.slice(0, NAMED_MAX),
      repairedArtifacts: repaired,
      missingArtifacts: missing,
    };
  } finally {
    pages.close();
    await verifier.close();
    database.close();
  }
}

/** Reads every artifact; what is damaged counts as missing from then on. @returns their digests */
async function checkArtifacts(
  tables: ArtifactTables,
  artifacts: FolderArtifacts,
): Promise<string[]> {
  const damaged: string[] = [];
  let after = FIRST_DIGEST;
  for (;;) {
    const digests = tables.held(after, ARTIFACTS_AT_ONCE);
    for (const sha512 of digests) {
      if ((await artifacts.read(sha512)) === undefined) damaged.push(sha512);
    }
    const last = digests.at(-1);
    if (last === undefined) return damaged;
    after = last;
  }
}

/** @returns how many were fetched */
async function fetchMissing(
  tables: ArtifactTables,
  artifacts: FolderArtifacts,
  holders: readonly Holder[],
): Promise<number> {
  const log = createLog('fsck', 'warn', {
    write: (line) => process.stderr.write(line),
    nowMs: () => Date.now(),
  });
  const fetcher = new ArtifactFetcher(artifacts, log);
  try {
    let before = tables.counts().missing;
    const atFirst = before;
    while (before > 0) {
      await fetcher.fetch(tables.missing(ARTIFACTS_AT_ONCE), holders, FETCH_PATIENCE_MS);
      const { missing } = tables.counts();
      // Those that nobody has stay in front: without progress there is nothing more to be had.
      if (missing === before) break;
      before = missing;
    }
    return atFirst - before;
  } finally {
    await fetcher.close();
  }
}
