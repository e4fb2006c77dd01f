// Makes all the files of a new log: a folder per replica with its keys and configuration, and the
// roster of epoch 0, signed by every replica's vote key. For trying things out and for tests; in earnest
// each operator makes the keys on their own machine (`genkey`) and only public keys travel.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { formatEnvelope, preAuthenticationEncoding, statementHash } from '../verifier/dsse.ts';
import type { Envelope } from '../verifier/dsse.ts';
import { keyId } from '../verifier/ed25519.ts';
import { ROSTER_PAYLOAD_TYPE, formatRoster } from '../verifier/roster.ts';
import type { Replica } from '../verifier/roster.ts';
import { CONFIG_FORMAT } from './config.ts';
import { createFile } from '../verifier/node/durable-file.ts';
import { createKeyFile, generateKeys } from './key-file.ts';
import type { ReplicaKeys } from './key-file.ts';

/** What a new log is to be. */
export interface ClusterPlan {
  readonly origin: string;
  /** A folder that does not exist yet or is empty. */
  readonly folder: string;
  readonly host: string;
  /** One pair per replica. */
  readonly ports: readonly { readonly publicPort: number; readonly peerPort: number }[];
  /** Extra fields for each replica's configuration. */
  readonly settings?: Readonly<Record<string, string | number>>;
}

/** What was made. */
export interface Cluster {
  /** Hash of the roster of epoch 0: what clients pin. */
  readonly pin: string;
  readonly replicas: readonly {
    readonly name: string;
    readonly url: string;
    readonly peerUrl: string;
    readonly configFile: string;
  }[];
}

/** Makes the files. @throws {Error} `EEXIST` rather than overwrite anything */
export async function createCluster(plan: ClusterPlan): Promise<Cluster> {
  const members = plan.ports.map(({ publicPort, peerPort }, i) => {
    const keys = generateKeys(`r${i}`);
    return {
      keys,
      publicPort,
      peerPort,
      replica: replicaOf(keys, plan.host, publicPort, peerPort),
    };
  });
  const envelope = signedRoster(
    plan.origin,
    members.map(({ replica }) => replica),
    members.map(({ keys }) => keys),
  );
  const pin = statementHash(envelope.payload);
  // One envelope in an array: canonical JSON of the chain from epoch 0 on.
  const rosters = `[${formatEnvelope(envelope)}]\n`;
  await mkdir(plan.folder, { recursive: true });
  for (const { keys, publicPort, peerPort } of members) {
    const folder = join(plan.folder, keys.name);
    await mkdir(folder, { mode: 0o700 });
    await createKeyFile(join(folder, 'replica-key.json'), keys);
    await createFile(join(folder, 'rosters.json'), rosters, 0o644);
    const config = {
      format: CONFIG_FORMAT,
      replica: keys.name,
      pin,
      publicHost: plan.host,
      publicPort,
      peerHost: plan.host,
      peerPort,
      ...plan.settings,
    };
    await createFile(join(folder, 'config.json'), `${JSON.stringify(config, null, 2)}\n`, 0o644);
  }
  await createFile(join(plan.folder, 'rosters.json'), rosters, 0o644);
  return {
    pin,
    replicas: members.map(({ replica: { name, url, peerUrl } }) => ({
      name,
      url,
      peerUrl,
      configFile: join(plan.folder, name, 'config.json'),
    })),
  };
}

function replicaOf(keys: ReplicaKeys, host: string, publicPort: number, peerPort: number): Replica {
  return {
    name: keys.name,
    cosignKey: keys.cosignKey,
    voteKey: keys.vote.publicKey,
    weight: 1,
    url: `http://${host}:${publicPort}`,
    peerUrl: `http://${host}:${peerPort}`,
  };
}

/** The roster of epoch 0. Every member signs it: each shows that it holds its key. */
export function signedRoster(
  origin: string,
  replicas: readonly Replica[],
  signers: readonly ReplicaKeys[],
): Envelope {
  const payload = formatRoster({
    origin,
    epoch: 0,
    previous: null,
    // The most that n replicas of weight 1 can bear.
    faultyWeight: Math.floor((replicas.length - 1) / 3),
    replicas,
    admission: { mode: 'open' },
  });
  const message = preAuthenticationEncoding(ROSTER_PAYLOAD_TYPE, payload);
  return {
    payloadType: ROSTER_PAYLOAD_TYPE,
    payload,
    signatures: signers.map(({ vote }) => ({
      keyid: keyId(vote.publicKey),
      signature: vote.sign(message),
    })),
  };
}
