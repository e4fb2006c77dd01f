// Everything that a replica needs before it starts, loaded and checked: configuration, keys, rosters.
import type { Envelope } from '../verifier/dsse.ts';
import { equalBytes } from '../verifier/bytes.ts';
import { VerifyError } from '../verifier/errors.ts';
import type { Roster } from '../verifier/roster.ts';
import { formatVerifierKey } from '../verifier/vkey.ts';
import { dirname, resolve } from 'node:path';

import { CONFIG_LENGTH_MAX, ConfigError, parseConfig } from './config.ts';
import type { Config } from './config.ts';
import { readSmallFile } from './files.ts';
import { loadKeyFile } from './key-file.ts';
import type { ReplicaKeys } from './key-file.ts';
import { ROSTERS_LENGTH_MAX, readRosterChain } from './roster-source.ts';

/** A replica's checked beginnings. */
export interface Setup {
  readonly config: Config;
  readonly keys: ReplicaKeys;
  /** Envelopes from epoch 0 on, as in the file. The log may know newer ones. */
  readonly rosterEnvelopes: readonly Envelope[];
  /** The same, read and verified. At least one. */
  readonly rosters: readonly Roster[];
}

/**
 * Loads a replica's setup.
 *
 * @param configFile path of the configuration
 * @throws {ConfigError} with everything that is wrong in the first file that is wrong
 */
export async function loadSetup(
  configFile: string,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<Setup> {
  const path = resolve(configFile);
  const text = await readSmallFile(path, CONFIG_LENGTH_MAX);
  const config = parseConfig(text, path, dirname(path), environment);
  const keys = await loadKeyFile(config.keyFile);
  const { rosterEnvelopes, rosters } = await loadRosters(config);
  const problems = membershipProblems(config, keys, rosters);
  if (problems.length > 0) throw new ConfigError(path, problems);
  return { config, keys, rosterEnvelopes, rosters };
}

async function loadRosters(
  config: Config,
): Promise<{ rosterEnvelopes: readonly Envelope[]; rosters: readonly Roster[] }> {
  const text = await readSmallFile(
    config.rostersFile,
    ROSTERS_LENGTH_MAX,
    'copy it from any replica; the pin says whether it is good',
  );
  try {
    const { envelopes, rosters } = await readRosterChain(config.pin, text);
    return { rosterEnvelopes: envelopes, rosters };
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ConfigError(config.rostersFile, [`${error.code}: ${error.message}`]);
  }
}

/** What contradicts itself between configuration, keys and rosters. */
function membershipProblems(
  config: Config,
  keys: ReplicaKeys,
  rosters: readonly Roster[],
): readonly string[] {
  const problems: string[] = [];
  if (keys.name !== config.replica) {
    problems.push(`replica: the key file is that of ${JSON.stringify(keys.name)}`);
  }
  const [genesis] = rosters;
  if (genesis !== undefined && genesis.epoch !== 0) {
    problems.push('pin: must be the roster of epoch 0, where the log begins');
  }
  const entries = rosters.flatMap(({ replicas }) =>
    replicas.filter(({ name }) => name === config.replica),
  );
  // Not being in any roster is fine: an observer keeps a copy and serves it.
  for (const entry of entries) {
    if (!equalBytes(entry.voteKey, keys.vote.publicKey)) {
      problems.push('keyFile: its vote key is not the one that the roster names for this replica');
    }
    if (formatVerifierKey(entry.cosignKey) !== formatVerifierKey(keys.cosignKey)) {
      problems.push(
        'keyFile: its cosign key is not the one that the roster names for this replica',
      );
    }
  }
  return problems;
}
