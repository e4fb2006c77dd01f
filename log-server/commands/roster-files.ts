// What the roster commands share: the draft in its file, the present chain, and the report on both.
import { formatEnvelope, parseEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { VerifyError } from '../../verifier/errors.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { ROSTER_PAYLOAD_TYPE, parseRoster, type Roster } from '../../verifier/roster.ts';
import { runPlan } from '../../verifier/signatures.ts';
import { ConfigError } from '../config.ts';
import { replaceOwnFile } from '../../verifier/node/durable-file.ts';
import { readSmallFile } from '../files.ts';
import { describeChange, planSigningState, type SigningState } from '../roster-change.ts';
import { fetchRosterChain, type RosterChain } from '../roster-source.ts';
import type { Setup } from '../setup.ts';

/** An envelope that fits into an entry, with its newline. */
const DRAFT_LENGTH_MAX: number = 64 * 1024;

/** A roster that is being signed. */
export interface Draft {
  readonly envelope: Envelope;
  readonly roster: Roster;
}

/** Reads a draft. @throws {ConfigError} not a signed roster */
export async function readDraft(file: string): Promise<Draft> {
  return parseDraft(file, await readDraftText(file));
}

/** The text of a draft's file. @throws {ConfigError} */
export async function readDraftText(file: string): Promise<string> {
  return await readSmallFile(file, DRAFT_LENGTH_MAX);
}

/** As {@link readDraft}, on the text. */
export function parseDraft(file: string, text: string): Draft {
  try {
    const envelope = parseEnvelope(text.replace(/\n$/, ''));
    if (envelope.payloadType !== ROSTER_PAYLOAD_TYPE) {
      throw new ConfigError(file, ['its payload is not a roster']);
    }
    return { envelope, roster: parseRoster(envelope.payload) };
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ConfigError(file, [`${error.code}: ${error.message}`]);
  }
}

/** Replaces a draft's file. It holds nothing secret. */
export async function writeDraft(file: string, envelope: Envelope): Promise<void> {
  await replaceOwnFile(file, `${formatEnvelope(envelope)}\n`, 0o644);
}

/**
 * The chain of rosters as far as it is known.
 *
 * @param url a replica to ask, and no other; all known ones unless told
 */
export async function presentChain(setup: Setup, url: string | undefined): Promise<RosterChain> {
  const { config, rosters, rosterEnvelopes } = setup;
  const onFile = rosters.at(-1);
  if (onFile === undefined) throw new ConfigError(config.rostersFile, ['has no roster']);
  const urls = url === undefined ? onFile.replicas.map((replica) => replica.url) : [url];
  const found = await fetchRosterChain(config.pin, urls);
  if (found !== undefined && found.rosters.length >= rosters.length) return found;
  if (url !== undefined) throw new ConfigError('--url', [`${url} shows no good chain of rosters`]);
  // Alone with the file: whether there are newer rosters can't be known, and the log will say.
  process.stderr.write('bftpkg-log: warning: no replica answers; using the rosters on file\n');
  return { envelopes: rosterEnvelopes, rosters, present: onFile };
}

/** Requires a draft to follow the present roster. @throws {ConfigError} */
export function requireNext(file: string, { roster }: Draft, { present }: RosterChain): void {
  const follows =
    roster.origin === present.origin &&
    roster.epoch === present.epoch + 1 &&
    roster.previous === present.hash;
  if (follows) return;
  throw new ConfigError(file, [`does not follow the present roster, of epoch ${present.epoch}`]);
}

/** A draft, what it changes, and who has signed it. */
export async function reportOn(
  { envelope, roster }: Draft,
  present: Roster,
): Promise<{ readonly json: JsonObject; readonly state: SigningState }> {
  const state = await runPlan(nativeVerifier, planSigningState(envelope, present, roster));
  const json = {
    epoch: roster.epoch,
    roster: roster.hash,
    changes: [...describeChange(present, roster)],
    signed: [...state.signed],
    weight: state.weight,
    quorum: state.quorum,
    missing: [...state.missing],
    complete: state.isComplete,
  };
  return { json, state };
}

/** Prints one JSON object. */
export function print(value: JsonObject): void {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}
