// Rosters: who the replicas of an epoch are, and who may claim new package names (DESIGN 4.3).
// A client pins one roster by its hash and walks the chain of successors from there.
import { isBaseUrl } from './base-url.ts';
import { utf8 } from './bytes.ts';
import { planSigners, statementHash, type Envelope } from './dsse.ts';
import { publicKeyHex, type PublicKey } from './ed25519.ts';
import { VerifyError, quote } from './errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson, type JsonObject } from './json.ts';
import { readKeys, readPublicKey } from './key-fields.ts';
import { isOrigin } from './origin.ts';
import { hasQuorum, thresholds, weightOf, type Thresholds } from './quorum.ts';
import { readingAs } from './refusals.ts';
import type { SignaturePlan } from './signatures.ts';
import {
  KEY_TYPE_COSIGNATURE,
  formatVerifierKey,
  parseVerifierKey,
  type VerifierKey,
} from './vkey.ts';

/** DSSE payload type of a roster. */
export const ROSTER_PAYLOAD_TYPE = 'application/vnd.bftpkg.roster+json';

const ROSTER_FORMAT = 'bftpkg-roster/v1';

/** Most bytes of a roster. With its signatures it has to fit into an entry of 65,535 bytes. */
export const ROSTER_BYTES_MAX: number = 48 * 1024;

/**
 * Most replicas. A checkpoint note has at most 64 signature lines (C2SP signed-note, DESIGN 4.2) and
 * an envelope as many: with more replicas there could be quorums that no note can show.
 */
export const REPLICA_COUNT_MAX = 64;

/** Most registrars. */
export const REGISTRAR_COUNT_MAX = 64;

/**
 * Most rosters in a chain from a pin to the present. A new one a day for a year; who is further
 * behind pins a newer one.
 */
export const ROSTER_CHAIN_MAX = 400;

/** Longest name of a replica, in characters. */
const REPLICA_NAME_LENGTH_MAX = 100;
const VERIFIER_KEY_LENGTH_MAX = REPLICA_NAME_LENGTH_MAX + 64;

/** One log server of an epoch. Its index in the roster is its identity everywhere. */
export interface Replica {
  /** Unique within the roster; the name of its cosigning key and of its lines in notes. */
  readonly name: string;
  /** Signs checkpoints (type 0x04). */
  readonly cosignKey: VerifierKey;
  /** Signs messages of the consensus protocol and successors of the roster. */
  readonly voteKey: PublicKey;
  /** At least 1. */
  readonly weight: number;
  /** Public HTTP address, without a final slash. */
  readonly url: string;
  /** Address of the listener for other replicas, without a final slash. */
  readonly peerUrl: string;
}

/** Who may claim a package name that is not taken: anyone, or `faulty + 1` of some registrars. */
export type Admission =
  | { readonly mode: 'open' }
  | { readonly mode: 'registrars'; readonly faulty: number; readonly keys: readonly PublicKey[] };

/** What a roster says. */
export interface RosterFields {
  readonly origin: string;
  /** 0 for the first; each successor has the next number. */
  readonly epoch: number;
  /** Hash of the predecessor; `null` exactly at epoch 0. */
  readonly previous: string | null;
  /** B, the most weight that may be faulty: 3B + 1 <= W. 0 is for experiments with few replicas. */
  readonly faultyWeight: number;
  /** 1 to `REPLICA_COUNT_MAX`. */
  readonly replicas: readonly Replica[];
  readonly admission: Admission;
}

/** A well-formed roster. Whether it is *the* roster is what `planRosterChain` finds out. */
export interface Roster extends RosterFields {
  /** Hex SHA-256 of the payload: what clients pin. */
  readonly hash: string;
  readonly thresholds: Thresholds;
}

/** The replicas' weights by index, as `quorum.ts` wants them. */
export function rosterWeights(roster: RosterFields): readonly number[] {
  return roster.replicas.map(({ weight }) => weight);
}

/**
 * Reads a roster's payload.
 *
 * @throws {VerifyError} `ROSTER_MALFORMED`; `FORMAT_UNSUPPORTED`
 */
export function parseRoster(payload: Uint8Array): Roster {
  return readingAs('ROSTER_MALFORMED', 'roster', () => {
    const reader = new ObjectReader(parseCanonicalJson(payload, ROSTER_BYTES_MAX), '');
    reader.format('format', ROSTER_FORMAT);
    const origin = reader.string('origin', 256);
    if (!isOrigin(origin)) throw malformed(`origin ${quote(origin)} can't name a log`);
    const epoch = reader.integer('epoch', 0);
    const previous = readPrevious(reader, epoch);
    const faultyWeight = reader.integer('faultyWeight', 0);
    const replicas = reader.array('replicas', REPLICA_COUNT_MAX, (value, path) =>
      readReplica(new ObjectReader(value, path)),
    );
    const admission = readAdmission(reader.object('admission'));
    reader.end();
    requireDistinct(replicas);
    return {
      origin,
      epoch,
      previous,
      faultyWeight,
      replicas,
      admission,
      hash: statementHash(payload),
      thresholds: thresholds(
        replicas.map(({ weight }) => weight),
        faultyWeight,
      ),
    };
  });
}

function readPrevious(reader: ObjectReader, epoch: number): string | null {
  if (reader.required('previous') === null) {
    if (epoch !== 0) throw malformed('previous is null in an epoch that is not 0');
    return null;
  }
  reader.hex('previous', 32);
  if (epoch === 0) throw malformed('previous is not null in epoch 0');
  return reader.string('previous', 64);
}

function readReplica(reader: ObjectReader): Replica {
  const name = reader.string('name', REPLICA_NAME_LENGTH_MAX);
  // ASCII, like an origin: which characters are invisible depends on a runtime's Unicode version, and
  // replicas must not disagree about a roster.
  if (!isOrigin(name)) throw malformed(`${reader.pathOf('name')} is not a plain name`);
  const cosignKey = parseVerifierKey(reader.string('cosignKey', VERIFIER_KEY_LENGTH_MAX));
  if (cosignKey.type !== KEY_TYPE_COSIGNATURE)
    throw malformed(`${reader.pathOf('cosignKey')} is not of type 0x04`);
  // A line in a note is found by the key's name: another name here would make two of one replica.
  if (cosignKey.name !== name) throw malformed(`${reader.pathOf('cosignKey')} has another name`);
  const voteKey = readPublicKey(reader.required('voteKey'), reader.pathOf('voteKey'));
  const weight = reader.integer('weight', 1);
  const [url, peerUrl] = [readBaseUrl(reader, 'url'), readBaseUrl(reader, 'peerUrl')];
  reader.end();
  return { name, cosignKey, voteKey, weight, url, peerUrl };
}

function readBaseUrl(reader: ObjectReader, name: string): string {
  const url = reader.string(name, 256);
  if (isBaseUrl(url)) return url;
  throw malformed(`${reader.pathOf(name)} ${quote(url)} is not a plain http(s) address`);
}

function readAdmission(reader: ObjectReader): Admission {
  const mode = reader.oneOf('mode', ['open', 'registrars']);
  if (mode === 'open') {
    reader.end();
    return { mode };
  }
  const faulty = reader.integer('faulty', 0, REGISTRAR_COUNT_MAX - 1);
  const keys = readKeys(reader, 'keys', REGISTRAR_COUNT_MAX);
  reader.end();
  if (keys.length < faulty + 1) throw malformed(`fewer than ${faulty + 1} registrars`);
  return { mode, faulty, keys };
}

/** One authority must not be able to count as two, under whatever field it repeats itself. */
function requireDistinct(replicas: readonly Replica[]): void {
  const fields: readonly (readonly [string, readonly string[]])[] = [
    ['name', replicas.map(({ name }) => name)],
    // Both kinds together: a cosignature must never be usable as a vote or the other way round.
    [
      'key',
      replicas.flatMap(({ cosignKey, voteKey }) =>
        [cosignKey.publicKey, voteKey].map(publicKeyHex),
      ),
    ],
    ['url', replicas.map(({ url }) => url)],
    ['peerUrl', replicas.map(({ peerUrl }) => peerUrl)],
  ];
  for (const [what, values] of fields) {
    const seen = new Set<string>();
    for (const value of values) {
      if (seen.has(value)) throw malformed(`two replicas have the ${what} ${quote(value)}`);
      seen.add(value);
    }
  }
}

/**
 * The payload that says these things.
 *
 * @throws {VerifyError} `ROSTER_MALFORMED` for a roster that no reader would accept
 */
export function formatRoster(fields: RosterFields): Uint8Array {
  const json: JsonObject = {
    format: ROSTER_FORMAT,
    origin: fields.origin,
    epoch: fields.epoch,
    previous: fields.previous,
    faultyWeight: fields.faultyWeight,
    replicas: fields.replicas.map(({ name, cosignKey, voteKey, weight, url, peerUrl }) => ({
      name,
      cosignKey: formatVerifierKey(cosignKey),
      voteKey: publicKeyHex(voteKey),
      weight,
      url,
      peerUrl,
    })),
    admission:
      fields.admission.mode === 'open'
        ? { mode: 'open' }
        : {
            mode: 'registrars',
            faulty: fields.admission.faulty,
            keys: fields.admission.keys.map(publicKeyHex),
          },
  };
  const payload = utf8(canonicalJson(json));
  parseRoster(payload);
  return payload;
}

/**
 * Plans the check of a chain of rosters.
 *
 * The first has to be the pinned one; that is why it is trusted. If its epoch is 0, all of its
 * replicas must have signed it (each shows that it holds its key); if it is a later one, only the
 * pin speaks for it, since its predecessor is not here. Each further one must be signed by a quorum
 * of the one before it and by every vote key that is new in it.
 *
 * @param pin hash of a roster, hex
 * @param envelopes the pinned roster and all that follow it, in order
 * @returns a plan whose result is the rosters, the one in force last
 * @throws {VerifyError} (already when planning) `ROSTER_NOT_PINNED`, `ROSTER_CHAIN_BROKEN`,
 *         `ROSTER_MALFORMED`, `FORMAT_UNSUPPORTED`; when finishing `ROSTER_CHAIN_BROKEN` or
 *         `QUORUM_NOT_REACHED`
 */
export function planRosterChain(
  pin: string,
  envelopes: readonly Envelope[],
): SignaturePlan<readonly Roster[]> {
  if (envelopes.length > ROSTER_CHAIN_MAX) {
    throw broken(`${envelopes.length} rosters, more than ${ROSTER_CHAIN_MAX}`);
  }
  const links: Link[] = [];
  for (const envelope of envelopes) links.push(planLink(envelope, links.at(-1)?.roster, pin));
  if (links.length === 0) throw new VerifyError('ROSTER_NOT_PINNED', 'there is no roster');
  return {
    jobs: links.flatMap(({ signers }) => signers.jobs),
    finish: (valid) => {
      let start = 0;
      return links.map((link, i) => {
        const end = start + link.signers.jobs.length;
        const signers = link.signers.finish(valid.slice(start, end));
        start = end;
        requireSigned(link.roster, links[i - 1]?.roster, signers);
        return link.roster;
      });
    },
  };
}

interface Link {
  readonly roster: Roster;
  readonly signers: SignaturePlan<readonly PublicKey[]>;
}

function planLink(envelope: Envelope, before: Roster | undefined, pin: string): Link {
  if (envelope.payloadType !== ROSTER_PAYLOAD_TYPE) {
    throw malformed(`payload type ${quote(envelope.payloadType)}`);
  }
  // Before parsing: of a roster that is not the pinned one nothing is believed, not even its format.
  const hash = statementHash(envelope.payload);
  if (before === undefined && hash !== pin) {
    throw new VerifyError('ROSTER_NOT_PINNED', 'the first roster is not the pinned one', {
      found: hash,
      expected: pin,
    });
  }
  const roster = parseRoster(envelope.payload);
  if (before !== undefined) {
    if (roster.previous !== before.hash || roster.epoch !== before.epoch + 1) {
      throw broken(`the roster after epoch ${before.epoch} does not follow it`);
    }
    if (roster.origin !== before.origin) {
      throw broken(`epoch ${roster.epoch} is of the log ${quote(roster.origin)}`);
    }
  }
  const keys = [...(before?.replicas ?? []), ...roster.replicas].map(({ voteKey }) => voteKey);
  return { roster, signers: planSigners(envelope, keys) };
}

function requireSigned(
  roster: Roster,
  before: Roster | undefined,
  signers: readonly PublicKey[],
): void {
  const signed = new Set(signers.map(publicKeyHex));
  if (before !== undefined) {
    const members = before.replicas.flatMap(({ voteKey }, i) =>
      signed.has(publicKeyHex(voteKey)) ? [i] : [],
    );
    const weights = rosterWeights(before);
    if (!hasQuorum(members, weights, before.thresholds)) {
      throw new VerifyError(
        'QUORUM_NOT_REACHED',
        `the roster of epoch ${roster.epoch} is not signed by a quorum of epoch ${before.epoch}`,
        {
          found: `weight ${weightOf(members, weights)}`,
          expected: `weight ${before.thresholds.quorum}`,
        },
      );
    }
  } else if (roster.epoch !== 0) {
    return;
  }
  // Proof of possession: without it somebody could enter another's key under their own name.
  const known = new Set((before?.replicas ?? []).map(({ voteKey }) => publicKeyHex(voteKey)));
  for (const { name, voteKey } of roster.replicas) {
    const hex = publicKeyHex(voteKey);
    if (known.has(hex) || signed.has(hex)) continue;
    throw broken(`the new replica ${quote(name)} did not sign the roster of epoch ${roster.epoch}`);
  }
}

function malformed(detail: string): VerifyError {
  return new VerifyError('ROSTER_MALFORMED', `malformed roster: ${detail}`);
}

function broken(detail: string): VerifyError {
  return new VerifyError('ROSTER_CHAIN_BROKEN', `roster chain: ${detail}`);
}
