// Asks replicas for small artifacts, many in one request. What gathers while a replica is asked goes into
// the next request to it. What it has and does not give is asked for one by one (artifact-fetcher.ts), and
// what it does not answer as well, so nothing depends on it: it only has to come soon, or not at all.
import { request, type Agent } from 'undici';

import { concat } from '../../verifier/bytes.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { PARCEL_ANSWER_BYTES_MAX, parseParcel, type ParcelItem } from '../http/artifact-parcel.ts';
import { keepingPace, within, type PaceLimits } from '../http/pace.ts';
import type { ArtifactPurpose, ArtifactStore } from '../store/artifact-store.ts';
import { sourceOf } from '../store/small-artifact.ts';
import type { Urgency } from './fetch-slots.ts';
import { HolderError, type Holder } from './slow-holders.ts';

/**
 * How long an answer may take to begin, milliseconds. A replica makes one in a few milliseconds; a vote
 * may be waiting, and others can be asked.
 */
const BEGIN_MS = 2000;

/**
 * Artifacts in one request: far fewer than fit. What a vote waits for has to be seen to come, or the voter
 * gives the proposal up (ledger-work.ts); on a machine that is short of everything 256 in one request came
 * too late for that. And one that a vote waits for never waits long behind others.
 */
const ASKED_COUNT_MAX = 64;

/** What it asks with. */
export interface ParcelFetcherParts {
  readonly artifacts: Pick<ArtifactStore, 'put'>;
  readonly agent: Agent;
  readonly pace: PaceLimits;
  /** Ends every request under way. */
  readonly closed: AbortSignal;
  /** A request to this replica failed. */
  readonly failed: (holder: Holder, error: unknown) => void;
}

/**
 * What became of a question: the artifact is stored; the replica has it and is to be asked for it alone; it
 * has not got it; or nothing is known.
 */
export type ParcelOutcome = 'stored' | 'alone' | 'absent' | 'failed';

interface Asked {
  readonly digest: string;
  urgency: Urgency;
  readonly over: AbortSignal;
  readonly done: (outcome: ParcelOutcome) => void;
}

interface Line {
  waiting: Asked[];
  isAsking: boolean;
}

/** Fetches small artifacts in parcels. */
export class ParcelFetcher {
  readonly #parts: ParcelFetcherParts;
  /** Questions by replica; lines without any are forgotten. */
  readonly #lines = new Map<string, Line>();

  constructor(parts: ParcelFetcherParts) {
    this.#parts = parts;
  }

  /**
   * Asks a replica for an artifact, together with others.
   *
   * @param over when aborted, nobody needs it any more: if it still waits, it is not asked for
   * @returns when the answer is stored, or there is none
   */
  async ask(
    digest: string,
    holder: Holder,
    urgency: Urgency,
    over: AbortSignal,
  ): Promise<ParcelOutcome> {
    return new Promise((done) => {
      const line = this.#lines.get(holder.url) ?? { waiting: [], isAsking: false };
      this.#lines.set(holder.url, line);
      line.waiting.push({ digest, urgency, over, done });
      if (line.isAsking) return;
      line.isAsking = true;
      // Whoever asks for hundreds does so in one turn of the event loop.
      setImmediate(() => void this.#run(line, holder));
    });
  }

  /** A vote needs what so far was less urgent: it is in the next request to whoever is to be asked. */
  hurry(digest: string): void {
    for (const { waiting } of this.#lines.values())
      for (const asked of waiting) if (asked.digest === digest) asked.urgency = 'batch';
  }

  async #run(line: Line, holder: Holder): Promise<void> {
    while (line.waiting.length > 0) {
      const asked = takeNext(line);
      if (asked.length === 0) continue;
      const outcomes = this.#parts.closed.aborted ? [] : await this.#exchange(asked, holder);
      for (const [i, { done }] of asked.entries()) done(outcomes[i] ?? 'failed');
    }
    line.isAsking = false;
    this.#lines.delete(holder.url);
  }

  /** @returns outcomes in the order of the questions; fewer when nothing is known of the others */
  async #exchange(asked: readonly Asked[], holder: Holder): Promise<readonly ParcelOutcome[]> {
    const { closed, failed } = this.#parts;
    try {
      const digests = concat(...asked.map(({ digest }) => decodeHex(digest)));
      const answer = await this.#post(digests, holder);
      if (answer === undefined) return [];
      const items = parseParcel(answer, asked.length);
      if (items === undefined) throw new HolderError('not an answer to what was asked');
      return await Promise.all(
        asked.map(async (question, i) => this.#store(question, items[i] ?? 'absent', holder)),
      );
    } catch (error) {
      if (!closed.aborted) failed(holder, error);
      return [];
    }
  }

  async #store(
    { digest, urgency }: Asked,
    item: ParcelItem,
    holder: Holder,
  ): Promise<ParcelOutcome> {
    if (item === 'absent' || item === 'alone') return item;
    const purpose: ArtifactPurpose = urgency === 'batch' ? 'vote' : 'offer';
    try {
      await this.#parts.artifacts.put(digest, sourceOf(item), purpose);
      return 'stored';
    } catch (error) {
      // Wrong bytes are its fault, no room is ours; either way it is found out by asking once more.
      this.#parts.failed(holder, error);
      return 'failed';
    }
  }

  /** @returns `undefined` when it gives no parcels now */
  async #post(body: Uint8Array, { url }: Holder): Promise<Uint8Array | undefined> {
    const { agent, closed, pace } = this.#parts;
    const left = new AbortController();
    const tooSlow = (): Error => new HolderError('the answer came too slowly');
    try {
      const answer = await within(
        request(`${url}/v1/artifacts`, {
          method: 'POST',
          body,
          dispatcher: agent,
          signal: AbortSignal.any([closed, left.signal]),
          headers: {
            'content-type': 'application/octet-stream',
            'accept-encoding': 'identity',
          },
        }),
        BEGIN_MS,
        tooSlow,
      );
      answer.body.on('error', () => undefined);
      if (answer.statusCode !== 200) {
        await within(answer.body.dump({ limit: 4096 }), BEGIN_MS, tooSlow);
        return undefined;
      }
      const chunks: Uint8Array[] = [];
      let length = 0;
      const source = answer.body as AsyncIterable<Uint8Array>;
      for await (const chunk of keepingPace(source, pace, tooSlow)) {
        chunks.push(chunk);
        length += chunk.length;
        if (length > PARCEL_ANSWER_BYTES_MAX) throw new HolderError('the answer is too long');
      }
      return concat(...chunks);
    } finally {
      left.abort();
    }
  }
}

/** The next question: what votes wait for, if there is any, in order of arrival. */
function takeNext(line: Line): readonly Asked[] {
  for (const { over, done } of line.waiting) if (over.aborted) done('failed');
  line.waiting = line.waiting.filter(({ over }) => !over.aborted);
  const urgent = line.waiting.filter(({ urgency }) => urgency === 'batch');
  const next = (urgent.length > 0 ? urgent : line.waiting).slice(0, ASKED_COUNT_MAX);
  const taken = new Set(next);
  line.waiting = line.waiting.filter((asked) => !taken.has(asked));
  return next;
}
