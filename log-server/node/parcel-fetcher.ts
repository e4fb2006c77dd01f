// Asks replicas for small artifacts, many in one request. What gathers while a replica is asked goes into
// the next request to it. What it does not give is asked for one by one (artifact-fetcher.ts), so nothing
// depends on its answer: it only has to come soon, or not at all.
import { request, type Agent } from 'undici';

import { concat } from '../../verifier/bytes.ts';
import { decodeHex } from '../../verifier/encoding.ts';
import { PARCEL_ANSWER_BYTES_MAX, PARCEL_COUNT_MAX, parseParcel } from '../http/artifact-parcel.ts';
import { keepingPace, within, type PaceLimits } from '../http/pace.ts';
import type { ArtifactPurpose, ArtifactStore } from '../store/artifact-store.ts';
import { sourceOf } from '../store/small-artifact.ts';
import type { Holder } from './artifact-fetcher.ts';
import type { Urgency } from './fetch-slots.ts';
import { HolderError } from './slow-holders.ts';

/**
 * How long an answer may take to begin, milliseconds. A replica makes one in a few milliseconds; a vote
 * may be waiting, and others can be asked.
 */
const BEGIN_MS = 2000;

/** Artifacts that nobody's vote waits for in one request, so that one whose does never waits long. */
const PATIENT_COUNT_MAX = 64;

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

interface Asked {
  readonly digest: string;
  readonly urgency: Urgency;
  readonly done: () => void;
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
   * @returns when the answer is stored, or there is none: look whether the artifact is held now
   */
  async ask(digest: string, holder: Holder, urgency: Urgency): Promise<void> {
    return new Promise((done) => {
      const line = this.#lines.get(holder.url) ?? { waiting: [], isAsking: false };
      this.#lines.set(holder.url, line);
      line.waiting.push({ digest, urgency, done });
      if (line.isAsking) return;
      line.isAsking = true;
      // Whoever asks for hundreds does so in one turn of the event loop.
      setImmediate(() => void this.#run(line, holder));
    });
  }

  async #run(line: Line, holder: Holder): Promise<void> {
    while (line.waiting.length > 0) {
      const asked = takeNext(line);
      try {
        if (!this.#parts.closed.aborted) await this.#exchange(asked, holder);
      } catch (error) {
        if (!this.#parts.closed.aborted) this.#parts.failed(holder, error);
      }
      for (const { done } of asked) done();
    }
    line.isAsking = false;
    this.#lines.delete(holder.url);
  }

  async #exchange(asked: readonly Asked[], holder: Holder): Promise<void> {
    const { artifacts } = this.#parts;
    const answer = await this.#post(
      concat(...asked.map(({ digest }) => decodeHex(digest))),
      holder,
    );
    if (answer === undefined) return;
    const found = parseParcel(answer, asked.length);
    if (found === undefined) throw new HolderError('not an answer to what was asked');
    const puts = asked.flatMap(({ digest, urgency }, i) => {
      const bytes = found[i];
      if (bytes === undefined) return [];
      const purpose: ArtifactPurpose = urgency === 'batch' ? 'vote' : 'offer';
      return [artifacts.put(digest, sourceOf(bytes), purpose)];
    });
    const outcomes = await Promise.allSettled(puts);
    // The others are held now; what was wrong with these is found out, and told, by asking once more.
    const failure = outcomes.find(({ status }) => status === 'rejected');
    if (failure?.status === 'rejected') throw failure.reason;
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
  const urgent = line.waiting.filter(({ urgency }) => urgency === 'batch');
  const next =
    urgent.length > 0
      ? urgent.slice(0, PARCEL_COUNT_MAX)
      : line.waiting.slice(0, PATIENT_COUNT_MAX);
  const taken = new Set(next);
  line.waiting = line.waiting.filter((asked) => !taken.has(asked));
  return next;
}
