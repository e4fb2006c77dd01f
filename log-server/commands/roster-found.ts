// `bftpkg-log roster found` and `roster join`: the first roster of a log whose replicas belong to several operators. Each
// makes the keys on a machine of its own (`genkey`), and only public keys and this file travel: whoever has the keys of a
// first roster's quorum can sign another second one, for ever. The file is the rosters.json of all when all have signed.
import {
  formatEnvelope,
  planSigners,
  preAuthenticationEncoding,
  statementHash,
  type Envelope,
} from '../../verifier/dsse.ts';
import { keyId, publicKeyHex } from '../../verifier/ed25519.ts';
import { VerifyError, quote } from '../../verifier/errors.ts';
import { createFile, replaceOwnFile } from '../../verifier/node/durable-file.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { isOrigin } from '../../verifier/origin.ts';
import {
  ROSTER_PAYLOAD_TYPE,
  formatRoster,
  parseRoster,
  type Roster,
  type RosterFields,
} from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import { formatVerifierKey } from '../../verifier/vkey.ts';
import { ConfigError } from '../config.ts';
import { loadKeyFile, type ReplicaKeys } from '../key-file.ts';
import { parseAddition, parseAdmission } from '../roster-change.ts';
import { parseDraft, print, readDraftText } from './roster-files.ts';

/** Options of `roster found`. */
export interface FoundOptions {
  readonly key: string;
  readonly origin: string;
  readonly out: string;
  readonly add?: readonly string[];
  readonly faulty?: number;
  readonly admission?: string;
}

/** Writes the first roster, with the signature of one of its replicas. */
export async function foundRoster(options: FoundOptions): Promise<void> {
  if (!isOrigin(options.origin)) {
    const found = `${quote(options.origin)} can’t name a log`;
    throw new ConfigError('--origin', [`${found}: a name without spaces, like example.org/log`]);
  }
  const keys = await loadKeyFile(options.key);
  const replicas = (options.add ?? []).map(parseAddition);
  const total = replicas.reduce((sum, { weight }) => sum + weight, 0);
  const payload = payloadOf({
    origin: options.origin,
    epoch: 0,
    previous: null,
    faultyWeight: options.faulty ?? Math.max(0, Math.floor((total - 1) / 3)),
    replicas,
    admission:
      options.admission === undefined ? { mode: 'open' } : parseAdmission(options.admission),
  });
  const unsigned = { payloadType: ROSTER_PAYLOAD_TYPE, payload, signatures: [] };
  const roster = parseRoster(payload);
  const envelope = signWith(options.key, keys, unsigned, roster);
  await createFile(options.out, fileOf(envelope), 0o644);
  await report(options.out, envelope, roster);
}

/** Adds a signature to the first roster. */
export async function joinRoster(file: string, { key }: { readonly key: string }): Promise<void> {
  const keys = await loadKeyFile(key);
  const text = await readDraftText(file);
  const [, inner] = /^\[(.*)\]\n?$/s.exec(text) ?? [];
  if (inner === undefined) throw new ConfigError(file, ['is not what `roster found` wrote']);
  const { envelope, roster } = parseDraft(file, inner);
  if (roster.epoch !== 0) {
    throw new ConfigError(file, ['is not the first roster of a log: bftpkg-log roster sign']);
  }
  const signed = signWith(key, keys, envelope, roster);
  await replaceOwnFile(file, fileOf(signed), 0o644);
  await report(file, signed, roster);
}

function payloadOf(fields: RosterFields): Uint8Array {
  try {
    return formatRoster(fields);
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ConfigError('roster', [error.message]);
  }
}

function signWith(file: string, keys: ReplicaKeys, envelope: Envelope, roster: Roster): Envelope {
  const { vote } = keys;
  const own = roster.replicas.find(({ name }) => name === keys.name);
  const isSame =
    own !== undefined &&
    publicKeyHex(own.voteKey) === publicKeyHex(vote.publicKey) &&
    formatVerifierKey(own.cosignKey) === formatVerifierKey(keys.cosignKey);
  if (!isSame) {
    const why = own === undefined ? 'is not in the roster' : 'has other keys in the roster';
    throw new ConfigError(file, [`${quote(keys.name)} ${why}`]);
  }
  const keyid = keyId(vote.publicKey);
  const message = preAuthenticationEncoding(envelope.payloadType, envelope.payload);
  const others = envelope.signatures.filter((line) => line.keyid !== keyid);
  return { ...envelope, signatures: [...others, { keyid, signature: vote.sign(message) }] };
}

// One envelope in an array: canonical JSON of the chain from epoch 0 on, as replicas read it.
function fileOf(envelope: Envelope): string {
  return `[${formatEnvelope(envelope)}]\n`;
}

async function report(file: string, envelope: Envelope, roster: Roster): Promise<void> {
  const { replicas, origin, thresholds } = roster;
  const plan = planSigners(
    envelope,
    replicas.map(({ voteKey }) => voteKey),
  );
  const signers = new Set((await runPlan(nativeVerifier, plan)).map(publicKeyHex));
  const missing = replicas
    .filter(({ voteKey }) => !signers.has(publicKeyHex(voteKey)))
    .map(({ name }) => name);
  const pin = statementHash(envelope.payload);
  print({
    pin,
    origin,
    faulty: thresholds.faulty,
    quorum: thresholds.quorum,
    replicas: replicas.map(({ name, weight, url, voteKey }) => ({
      name,
      weight,
      url,
      voteKey: publicKeyHex(voteKey),
    })),
    missing,
    complete: missing.length === 0,
  });
  const next =
    missing.length > 0
      ? `bftpkg-log roster join ${file} --key <its replica-key.json>, by ${missing.join(', ')}, each after comparing the pin`
      : `every operator: this file beside the keys, the pin in config.json, then bftpkg-log run --config <config.json>`;
  process.stderr.write(`bftpkg-log: next  ${next}\n`);
}
