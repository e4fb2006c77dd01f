// `bftpkg-log roster submit`: hands the signed next roster to the log. A roster whose new quorum is not
// running would stop the log for good, so that is looked at first (CONSENSUS E4).
import { setTimeout as sleep } from 'node:timers/promises';

import { Agent, request } from 'undici';

import { formatEnvelope, type Envelope } from '../../verifier/dsse.ts';
import type { JsonObject } from '../../verifier/json.ts';
import { hasQuorum, weightOf } from '../../verifier/quorum.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import { ConfigError } from '../config.ts';
import { EXIT } from '../exit-codes.ts';
import { describeError } from '../log.ts';
import { readAddress } from './address.ts';
import { print, readDraft } from './roster-files.ts';

const ANSWER_BYTES_MAX: number = 1024 * 1024;
const STATUS_TIMEOUT_MS = 5000;

/** One question waits this long at the replica; asked again until `SUBMIT_TIMEOUT_MS` is over. */
const WAIT_SECONDS = 10;
const SUBMIT_TIMEOUT_MS = 60_000;

/** Batches that a replica of the new roster may be behind: seconds of catching up. */
const LAG_MAX = 16;

/** Options of `roster submit`. */
export interface SubmitOptions {
  readonly url: string;
  /** Don't look at the new replicas first. */
  readonly force: boolean;
}

/** Submits one draft, or several copies of one with the signatures of each. */
export async function submitRoster(
  files: readonly string[],
  options: SubmitOptions,
): Promise<void> {
  const url = readAddress(options.url);
  const drafts = await Promise.all(files.map(readDraft));
  const [first] = drafts;
  if (first === undefined) throw new ConfigError('roster submit', ['no file']);
  if (drafts.some(({ roster }) => roster.hash !== first.roster.hash)) {
    throw new ConfigError('roster submit', ['the files are of different rosters']);
  }
  const envelope = merge(
    drafts.map((draft) => draft.envelope),
    first.envelope,
  );
  const agent = new Agent({ maxResponseSize: ANSWER_BYTES_MAX, connect: { timeout: 3000 } });
  try {
    if (!options.force) await requireRunning(agent, first.roster);
    await submit(agent, url, envelope);
  } finally {
    await agent.destroy();
  }
}

function merge(envelopes: readonly Envelope[], first: Envelope): Envelope {
  const lines = new Map(
    envelopes.flatMap(({ signatures }) => signatures.map((line) => [line.keyid, line] as const)),
  );
  return { ...first, signatures: [...lines.values()] };
}

/** @throws {ConfigError} when the new roster would have no quorum to go on with */
async function requireRunning(agent: Agent, next: Roster): Promise<void> {
  const heights = await Promise.all(next.replicas.map(({ url }) => heightOf(agent, url)));
  const newest = Math.max(...heights.map((height) => height ?? 0));
  const up = heights.flatMap((height, i) =>
    height !== undefined && newest - height <= LAG_MAX ? [i] : [],
  );
  const weights = rosterWeights(next);
  if (hasQuorum(up, weights, next.thresholds)) return;
  const absent = next.replicas.filter((_, i) => !up.includes(i)).map(({ name }) => name);
  throw new ConfigError('roster submit', [
    `only weight ${weightOf(up, weights)} of the new roster is running and up to date, ` +
      `${next.thresholds.quorum} is needed, or the log stops: wait for ${absent.join(', ')}`,
    'with --force it is submitted all the same',
  ]);
}

async function heightOf(agent: Agent, url: string): Promise<number | undefined> {
  try {
    const signal = AbortSignal.timeout(STATUS_TIMEOUT_MS);
    const answer = await request(`${url}/v1/status`, { dispatcher: agent, signal });
    const { height } = (await answer.body.json()) as { readonly height?: unknown };
    return typeof height === 'number' && Number.isSafeInteger(height) ? height : undefined;
  } catch {
    return undefined;
  }
}

async function ask(
  agent: Agent,
  url: string,
  envelope: Envelope,
): Promise<{ readonly statusCode: number; readonly body: JsonObject } | Error> {
  try {
    const { statusCode, body } = await request(`${url}/v1/entries?wait=${WAIT_SECONDS}`, {
      method: 'POST',
      body: formatEnvelope(envelope),
      dispatcher: agent,
      signal: AbortSignal.timeout(2000 * WAIT_SECONDS),
    });
    return { statusCode, body: (await body.json()) as JsonObject };
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

async function submit(agent: Agent, url: string, envelope: Envelope): Promise<void> {
  const deadline = performance.now() + SUBMIT_TIMEOUT_MS;
  for (;;) {
    const answer = await ask(agent, url, envelope);
    if (answer instanceof Error) {
      process.stderr.write(
        `bftpkg-log: error: ${url} does not answer: ${describeError(answer)}\n` +
          'bftpkg-log: next  the same again, or with --url of another replica: it counts once\n',
      );
      process.exitCode = EXIT.unavailable;
      return undefined;
    }
    const { body } = answer;
    if (answer.statusCode === 200) return print(body);
    // The same payload again is the same submission: it costs nothing and loses nothing.
    const isPending = answer.statusCode === 202 || answer.statusCode === 503;
    if (!isPending || performance.now() > deadline) {
      process.stderr.write(`bftpkg-log: error: status ${answer.statusCode}\n`);
      print(body);
      process.exitCode = isPending ? EXIT.unavailable : EXIT.usage;
      return undefined;
    }
    await sleep(answer.statusCode === 503 ? 1000 : 0);
  }
}
