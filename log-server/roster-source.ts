// Where a command gets the chain of rosters from: the replicas' public addresses. Any of them may lie
// or be behind; the chain proves itself from the pin, and the longest one wins.
import { Agent, request } from 'undici';

import { readEnvelope, type Envelope } from '../verifier/dsse.ts';
import { VerifyError } from '../verifier/errors.ts';
import { parseCanonicalJson, readArray } from '../verifier/json.ts';
import { nativeVerifier } from '../verifier/node/ed25519.ts';
import { ROSTER_CHAIN_MAX, planRosterChain, type Roster } from '../verifier/roster.ts';
import { runPlan } from '../verifier/signatures.ts';

/** A chain of rosters is small: each is at most 48 KiB and there is rarely more than one. */
export const ROSTERS_LENGTH_MAX: number = 8 * 1024 * 1024;

/** A replica that does not answer within this is not waited for: another one does. */
const TIMEOUT_MS = 5000;

/** A verified chain. */
export interface RosterChain {
  readonly envelopes: readonly Envelope[];
  /** The same, read. The one in force last. */
  readonly rosters: readonly Roster[];
  /** The one in force. */
  readonly present: Roster;
}

/**
 * Reads and verifies a chain as `GET /rosters` and the rosters file have it.
 *
 * @param pin hash of its first roster
 * @throws {VerifyError} malformed, or not a chain from that pin
 */
export async function readRosterChain(pin: string, text: string): Promise<RosterChain> {
  const value = parseCanonicalJson(text.replace(/\n$/, ''), ROSTERS_LENGTH_MAX);
  const envelopes = readArray(value, 'rosters', ROSTER_CHAIN_MAX, readEnvelope);
  const rosters = await runPlan(nativeVerifier, planRosterChain(pin, envelopes));
  const present = rosters.at(-1);
  if (present === undefined) throw new VerifyError('ROSTER_NOT_PINNED', 'there is no roster');
  return { envelopes, rosters, present };
}

/**
 * Asks replicas for the chain from `pin` and returns the longest that verifies.
 *
 * @returns `undefined` when none of them gave a good one
 */
export async function fetchRosterChain(
  pin: string,
  urls: readonly string[],
): Promise<RosterChain | undefined> {
  const agent = new Agent({
    connect: { timeout: TIMEOUT_MS },
    maxResponseSize: ROSTERS_LENGTH_MAX,
  });
  try {
    const chains = await Promise.all(urls.map((url) => ask(agent, pin, url)));
    let longest: RosterChain | undefined;
    for (const chain of chains) {
      if (chain === undefined) continue;
      if (chain.rosters.length > (longest?.rosters.length ?? 0)) longest = chain;
    }
    return longest;
  } finally {
    await agent.destroy();
  }
}

async function ask(agent: Agent, pin: string, url: string): Promise<RosterChain | undefined> {
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await request(`${url}/rosters`, { dispatcher: agent, signal });
    if (answer.statusCode !== 200) {
      await answer.body.dump({ limit: 4096 });
      return undefined;
    }
    return await readRosterChain(pin, await answer.body.text());
  } catch {
    // Dead, slow or lying: it makes no difference to who asks.
    return undefined;
  }
}
