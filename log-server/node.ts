// Starting a replica: keys, storage that is sound, the right to vote, the core; then the node around them.
import { createHash } from 'node:crypto';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';

import { publicKeyHex } from '../verifier/ed25519.ts';
import { assert } from '../verifier/errors.ts';
import { gunzipNow } from '../verifier/node/gunzip.ts';
import { SignaturePool } from '../verifier/node/signature-pool.ts';
import { NO_MUTANTS } from '../verifier/replication/members.ts';
import { ConfigError } from './config.ts';
import { DEFAULT_LIMITS } from './consensus/defaults.ts';
import { loadKeyFile, type ReplicaKeys } from './key-file.ts';
import { Mailbox } from './mailbox/mailbox.ts';
import { MAILBOX_FILE, ProposalTables, openMailboxDatabase } from './mailbox/tables.ts';
import { claimSuffrage } from './node/amnesia.ts';
import { CoalescingVerifier } from './node/coalescing-verifier.ts';
import { makeCore } from './node/core.ts';
import { entryOf } from './node/entry-of.ts';
import { FairVerifier, fairLimits } from './node/fair-verifier.ts';
import { othersOf } from './node/follower.ts';
import { LifeFile, goOnLiving } from './node/life.ts';
import { countEvents } from './node/replica-metrics.ts';
import { BATCH_LIMITS, ReplicaNode, type NodeOptions } from './node/replica-node.ts';
import { SharingVerifier } from './node/sharing-verifier.ts';
import { openSound } from './node/sound-storage.ts';
import { timingOf } from './node/timing.ts';
import type { Setup } from './setup.ts';

export type { NodeOptions, ReplicaNode } from './node/replica-node.ts';

/** Starts a replica. */
export async function startNode(options: NodeOptions): Promise<ReplicaNode> {
  const { setup, clocks } = options;
  const { log, counts } = countEvents(options.log);
  const [genesis] = setup.rosterEnvelopes;
  assert(genesis !== undefined, 'a checked setup has a roster');
  // As they are now: a replica's first start binds them to its database, and this may be its second one
  // in this process.
  const keys = await loadKeyFile(setup.config.keyFile);
  requireSameKeys(setup, keys);
  const pool = new SignaturePool();
  const verifier = new SharingVerifier(pool);
  const limits = fairLimits(availableParallelism());
  // Two queues: a flood of clients leaves those of other replicas alone, who hand on what is needed.
  const askers = {
    client: new FairVerifier(verifier, limits),
    peer: new FairVerifier(verifier, limits),
  };
  try {
    const { storage, durable } = await openSound({
      folder: setup.config.dataDir,
      genesis,
      replica: setup.config.replica,
      limits: BATCH_LIMITS,
      verifier: new CoalescingVerifier(verifier),
      verifierOf: ({ kind, name }) => askers[kind].of(name),
      gunzip: gunzipNow,
      nowMs: clocks.wallMs,
      generation: keys.databaseGeneration,
      sources: othersOf(setup.config.replica, setup.rosters.at(-1)?.replicas ?? []),
      log,
    });
    const { keyFile } = setup.config;
    const { generation } = storage.store.identity;
    const isEmpty = durable.committed.header.height === 0 && durable.records.size === 0;
    const claimed = await claimSuffrage(keyFile, keys, { generation, isEmpty });
    const lifeFile = new LifeFile(keyFile, generation);
    const suffrage = await goOnLiving(claimed, lifeFile, durable, isEmpty, () =>
      storage.store.disown(),
    );
    const core = makeCore(
      {
        // An observer is a member of no roster: the core then follows the log and signs nothing.
        self: suffrage.kind === 'voter' ? publicKeyHex(suffrage.keys.vote.publicKey) : 'observer',
        limits: DEFAULT_LIMITS,
        timing: timingOf(setup.config),
        entryOf,
        createHash: () => createHash('sha256'),
        mutants: NO_MUTANTS,
      },
      durable,
    );
    const checkpoint = await storage.store.checkpoint();
    const mailbox = new Mailbox({
      tables: new ProposalTables(
        openMailboxDatabase(join(setup.config.dataDir, MAILBOX_FILE), options.log),
      ),
      view: storage.view,
      claimIndex: storage.claimIndex,
      verifier: askers.client.of('proposals'),
      nowSeconds: () => Math.floor(clocks.wallMs() / 1000),
      nowMs: clocks.monotonicMs,
    });
    const node = new ReplicaNode({
      ...options,
      log,
      events: counts,
      storage,
      mailbox,
      suffrage,
      lifeFile,
      core,
      pool,
      verifier,
      headVerifier: askers.client.of('heads'),
      coveredSize: checkpoint?.size ?? 0,
    });
    try {
      await node.start();
    } catch (error) {
      // A port that is taken, say. Whatever does listen or run already would keep the process alive,
      // deaf, and no supervisor would start it again.
      await node.close();
      throw error;
    }
    return node;
  } catch (error) {
    await pool.close();
    throw error;
  }
}

function requireSameKeys({ config, keys: before }: Setup, keys: ReplicaKeys): void {
  const publicKeys = ({ vote, cosign }: ReplicaKeys): string =>
    publicKeyHex(vote.publicKey) + publicKeyHex(cosign.publicKey);
  if (publicKeys(keys) === publicKeys(before)) return;
  throw new ConfigError(config.keyFile, [
    'other keys than those that the process was started with',
  ]);
}
