// What the next roster is to be, from what an operator asks for, and what two rosters differ in. Pure:
// where rosters come from and who signs them is the commands' matter.
import { planSigners, type Envelope } from '../verifier/dsse.ts';
import { parsePublicKey, publicKeyHex, type PublicKey } from '../verifier/ed25519.ts';
import { decodeHex, parseUint } from '../verifier/encoding.ts';
import { VerifyError, quote } from '../verifier/errors.ts';
import { hasQuorum, weightOf } from '../verifier/quorum.ts';
import {
  rosterWeights,
  type Admission,
  type Replica,
  type Roster,
  type RosterFields,
} from '../verifier/roster.ts';
import type { SignaturePlan } from '../verifier/signatures.ts';
import { formatVerifierKey, parseVerifierKey } from '../verifier/vkey.ts';
import { ConfigError } from './config.ts';

/** A change to a roster. What is not mentioned stays. */
export interface RosterChange {
  readonly add: readonly Replica[];
  /** Names. */
  readonly remove: readonly string[];
  readonly weights: ReadonlyMap<string, number>;
  /** New addresses by name. */
  readonly moves: ReadonlyMap<string, { readonly url: string; readonly peerUrl: string }>;
  /** B; the most that the weights allow unless told otherwise. */
  readonly faultyWeight?: number;
  readonly admission?: Admission;
}

const ADDITION_FORM = 'name=cosignKey,voteKey,url,peerUrl,weight';

/** Reads `name=cosignKey,voteKey,url,peerUrl,weight`. @throws {ConfigError} */
export function parseAddition(text: string): Replica {
  const { name, value } = splitName('--add', text);
  const [cosignKey, voteKey, url, peerUrl, weight, ...rest] = value.split(',');
  if (
    cosignKey === undefined ||
    voteKey === undefined ||
    url === undefined ||
    peerUrl === undefined ||
    weight === undefined ||
    rest.length > 0
  ) {
    throw new ConfigError('--add', [`must have the form ${ADDITION_FORM}`]);
  }
  return reading('--add', () => ({
    name,
    cosignKey: parseVerifierKey(cosignKey),
    voteKey: parsePublicKey(decodeHex(voteKey, 32)),
    url,
    peerUrl,
    weight: parseUint(weight),
  }));
}

/** Reads `name=weight`. @throws {ConfigError} */
export function parseWeight(text: string): readonly [name: string, weight: number] {
  const { name, value } = splitName('--weight', text);
  return [name, reading('--weight', () => parseUint(value))];
}

/** Reads `name=url,peerUrl`. @throws {ConfigError} */
export function parseMove(
  text: string,
): readonly [name: string, addresses: { readonly url: string; readonly peerUrl: string }] {
  const { name, value } = splitName('--move', text);
  const [url, peerUrl, ...rest] = value.split(',');
  if (url === undefined || peerUrl === undefined || rest.length > 0) {
    throw new ConfigError('--move', ['must have the form name=url,peerUrl']);
  }
  return [name, { url, peerUrl }];
}

/** Reads `open` or `faulty:key,key,…`. @throws {ConfigError} */
export function parseAdmission(text: string): Admission {
  if (text === 'open') return { mode: 'open' };
  const [faulty, keys, ...rest] = text.split(':');
  if (faulty === undefined || keys === undefined || rest.length > 0) {
    throw new ConfigError('--admission', ['must be open or have the form faulty:key,key,…']);
  }
  return reading('--admission', () => ({
    mode: 'registrars',
    faulty: parseUint(faulty),
    keys: keys.split(',').map((key) => parsePublicKey(decodeHex(key, 32))),
  }));
}

function splitName(option: string, text: string): { name: string; value: string } {
  const at = text.indexOf('=');
  if (at <= 0) throw new ConfigError(option, [`${quote(text)} does not begin with name=`]);
  return { name: text.slice(0, at), value: text.slice(at + 1) };
}

function reading<T>(option: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ConfigError(option, [error.message]);
  }
}

/**
 * The roster that follows `present` with a change made.
 *
 * @throws {ConfigError} a name that is not there, or there already, or nothing that changes
 */
export function nextRoster(present: Roster, change: RosterChange): RosterFields {
  const problems: string[] = [];
  const names = new Set(present.replicas.map(({ name }) => name));
  const mentioned = [...change.remove, ...change.weights.keys(), ...change.moves.keys()];
  for (const name of mentioned) {
    if (!names.has(name)) problems.push(`${quote(name)} is not in the roster`);
  }
  for (const { name } of change.add) {
    // Also when the old one leaves: lines in notes are found by name, and one name is one replica.
    if (names.has(name)) problems.push(`${quote(name)} is in the roster: new keys need a new name`);
  }
  const kept = present.replicas.filter(({ name }) => !change.remove.includes(name));
  const replicas = [
    ...kept.map((replica) => ({
      ...replica,
      ...change.moves.get(replica.name),
      weight: change.weights.get(replica.name) ?? replica.weight,
    })),
    ...change.add,
  ];
  const total = replicas.reduce((sum, { weight }) => sum + weight, 0);
  const fields: RosterFields = {
    origin: present.origin,
    epoch: present.epoch + 1,
    previous: present.hash,
    faultyWeight: change.faultyWeight ?? Math.max(0, Math.floor((total - 1) / 3)),
    replicas,
    admission: change.admission ?? present.admission,
  };
  if (problems.length === 0 && describeChange(present, fields).length === 0) {
    problems.push('it would be the same as the present one');
  }
  if (problems.length > 0) throw new ConfigError('roster', problems);
  return fields;
}

/** What changes from one roster to the next, in plain words, for whoever is about to sign it. */
export function describeChange(before: RosterFields, after: RosterFields): readonly string[] {
  const lines: string[] = [];
  const old = new Map(before.replicas.map((replica) => [replica.name, replica]));
  for (const { name } of before.replicas) {
    if (!after.replicas.some((other) => other.name === name)) lines.push(`${name} leaves`);
  }
  for (const replica of after.replicas) {
    const { name, weight, url, peerUrl, voteKey } = replica;
    const known = old.get(name);
    if (known === undefined) {
      lines.push(`${name} enters: weight ${weight}, ${url}, vote key ${publicKeyHex(voteKey)}`);
      continue;
    }
    const keysOf = (one: Replica): string =>
      `${publicKeyHex(one.voteKey)} ${formatVerifierKey(one.cosignKey)}`;
    if (keysOf(known) !== keysOf(replica)) lines.push(`${name} gets other keys`);
    if (known.weight !== weight) lines.push(`${name}: weight ${known.weight} -> ${weight}`);
    if (known.url !== url) lines.push(`${name}: address ${known.url} -> ${url}`);
    if (known.peerUrl !== peerUrl) lines.push(`${name}: peers’ address -> ${peerUrl}`);
  }
  if (before.faultyWeight !== after.faultyWeight) {
    lines.push(`weight that may be faulty: ${before.faultyWeight} -> ${after.faultyWeight}`);
  }
  const [was, is] = [before.admission, after.admission].map(describeAdmission);
  if (was !== is) lines.push(`claims of names: ${was} -> ${is}`);
  return lines;
}

function describeAdmission(admission: Admission): string {
  if (admission.mode === 'open') return 'open to everybody';
  const { faulty, keys } = admission;
  return `${faulty + 1} of the registrars ${keys.map(publicKeyHex).join(', ')}`;
}

/** How far the signing of a next roster has come. */
export interface SigningState {
  /** Names of those that have signed and whose signature counts. */
  readonly signed: readonly string[];
  /** Weight of the present roster's replicas among them. */
  readonly weight: number;
  /** Weight that is needed. */
  readonly quorum: number;
  /** New replicas that have not signed yet; each has to. */
  readonly missing: readonly string[];
  readonly isComplete: boolean;
}

/** Plans the count of a next roster's signatures. */
export function planSigningState(
  envelope: Envelope,
  present: Roster,
  next: Roster,
): SignaturePlan<SigningState> {
  const names = new Map<string, string>();
  const keys: PublicKey[] = [];
  for (const { name, voteKey } of [...present.replicas, ...next.replicas]) {
    names.set(publicKeyHex(voteKey), name);
    keys.push(voteKey);
  }
  const plan = planSigners(envelope, keys);
  return {
    jobs: plan.jobs,
    finish: (valid) => {
      const signers = new Set(plan.finish(valid).map(publicKeyHex));
      const has = ({ voteKey }: Replica): boolean => signers.has(publicKeyHex(voteKey));
      const members = present.replicas.flatMap((replica, i) => (has(replica) ? [i] : []));
      const weights = rosterWeights(present);
      const old = new Set(present.replicas.map(({ voteKey }) => publicKeyHex(voteKey)));
      const missing = next.replicas
        .filter((replica) => !old.has(publicKeyHex(replica.voteKey)) && !has(replica))
        .map(({ name }) => name);
      return {
        signed: [...names].filter(([key]) => signers.has(key)).map(([, name]) => name),
        weight: weightOf(members, weights),
        quorum: present.thresholds.quorum,
        missing,
        isComplete: missing.length === 0 && hasQuorum(members, weights, present.thresholds),
      };
    },
  };
}
