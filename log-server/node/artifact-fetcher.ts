// Gets artifacts that a batch names from the replicas that have them: by digest, so that it does not
// matter who is asked, and only over the public address that the roster names.
import { Agent, errors, request } from 'undici';
import type { Dispatcher } from 'undici';

import { VerifyError } from '../../verifier/errors.ts';
import { ARTIFACT_BYTES_MAX, ARTIFACT_TIMEOUT_MS } from '../http/limits.ts';
import { ARTIFACT_PACE, keepingPace, within } from '../http/pace.ts';
import type { PaceLimits } from '../http/pace.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import {
  FETCHED_AT_ONCE,
  type ArtifactPurpose,
  type ArtifactStore,
} from '../store/artifact-store.ts';
import { FetchSlots, type Urgency } from './fetch-slots.ts';
import { BESIDE_MS, Hunt, Transfer, anyOf } from './hunt.ts';
import { ParcelFetcher, type ParcelOutcome } from './parcel-fetcher.ts';
import { HolderError, SlowHolders, type Holder } from './slow-holders.ts';

/** One replica has half of them: with twelve the one that proposed a batch is asked fast enough. */
const FETCHES_AT_ONCE: number = FETCHED_AT_ONCE;

/** Of them, those that nobody waits for. */
const REPAIRS_AT_ONCE = 2;

/** And those that submissions wait for: strangers can name as many artifacts as they like. */
const SUBMISSIONS_AT_ONCE = 12;

/**
 * Artifacts that are fetched or wait for it, when one more is asked for. A batch of the largest kind names a
 * few hundred; whatever is over is asked for again when the batch is checked again. Strangers name what
 * submissions need, and one replica can answer none of it: they get half, so that a vote never finds the
 * table full of that. Repairs, of which 256 are asked for at a time (artifact-repair.ts), are not kept out by
 * them either, and leave a fourth to votes alone.
 */
const FETCHES_WAITING_MAX: Readonly<Record<Urgency, number>> = {
  batch: 4096,
  repair: 3072,
  submission: 2048,
};

// Who asks for artifacts says whom to ask.
export type { Holder } from './slow-holders.ts';

/** For tests. */
export interface FetcherOptions {
  /** Instead of `ARTIFACT_PACE`. */
  readonly pace?: PaceLimits;
  /** Instead of `BESIDE_MS`. */
  readonly besideMs?: number;
}

/** A fetch under way, or one that waits for its place. */
interface Running {
  /** As it was asked for first, or hurried. */
  readonly urgency: Urgency;
  readonly held: Promise<boolean>;
  readonly hunt: Hunt;
}

/** Fetches artifacts into the store. */
export class ArtifactFetcher {
  readonly #artifacts: ArtifactStore;
  readonly #log: Log;
  readonly #agent: Agent;
  readonly #running = new Map<string, Running>();
  readonly #closed = new AbortController();
  readonly #pace: PaceLimits;
  readonly #besideMs: number;
  readonly #slow = new SlowHolders(() => performance.now());
  readonly #parcels: ParcelFetcher;
  readonly #slots = new FetchSlots<Holder>(
    FETCHES_AT_ONCE,
    SUBMISSIONS_AT_ONCE,
    REPAIRS_AT_ONCE,
    (name) => this.#slow.has(name),
  );

  constructor(artifacts: ArtifactStore, log: Log, options: FetcherOptions = {}) {
    this.#pace = options.pace ?? ARTIFACT_PACE;
    this.#besideMs = options.besideMs ?? BESIDE_MS;
    this.#artifacts = artifacts;
    this.#log = log;
    this.#agent = new Agent({
      connect: { timeout: 3000 },
      headersTimeout: 5000,
      bodyTimeout: 10_000,
      maxResponseSize: ARTIFACT_BYTES_MAX,
      maxHeaderSize: 8192,
    });
    this.#parcels = new ParcelFetcher({
      artifacts,
      agent: this.#agent,
      pace: this.#pace,
      closed: this.#closed.signal,
      failed: (holder, error) => this.#noteFailure(holder, error, {}),
    });
  }

  /**
   * Gets artifacts.
   *
   * @param digests SHA-512, lower-case hex
   * @param holders who is asked, in order; the next one when one has not got it or lies
   * @param patienceMs the answer comes by then, whatever happens; a fetch under way goes on
   * @param urgency who waits for them; for a vote the store has room that nobody else can fill
   * @returns whether all of them are held now
   */
  async fetch(
    digests: readonly string[],
    holders: readonly Holder[],
    patienceMs: number,
    urgency: Urgency = 'batch',
  ): Promise<boolean> {
    const work = Promise.all(digests.map((digest) => this.#fetchOnce(digest, holders, urgency)));
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<readonly boolean[]>((resolve) => {
      timer = setTimeout(() => resolve([false]), patienceMs);
    });
    const results = await Promise.race([work, late]);
    clearTimeout(timer);
    return results.every((held) => held);
  }

  async close(): Promise<void> {
    this.#closed.abort();
    await Promise.allSettled([...this.#running.values()].map(({ held }) => held));
    await this.#agent.destroy();
  }

  /** Asks once for each digest, however many batches name it. */
  #fetchOnce(digest: string, holders: readonly Holder[], urgency: Urgency): Promise<boolean> {
    const running = this.#running.get(digest);
    if (running !== undefined) {
      if (urgency !== 'batch' || running.urgency === 'batch') return running.held;
      // Behind what submissions name, one replica that stalls would hold it up for a minute.
      running.hunt.hurry(holders);
      this.#parcels.hurry(digest);
      this.#slots.hurry(digest);
      // When it has begun already, the store may refuse it for lack of a room that a vote has.
      const held = running.held.then((is) => is || this.#fetchOnce(digest, holders, urgency));
      this.#running.set(digest, { ...running, urgency, held });
      return held;
    }
    const isFull = this.#running.size >= FETCHES_WAITING_MAX[urgency];
    if (isFull || this.#closed.signal.aborted) return Promise.resolve(false);
    const hunt = new Hunt(digest, holders, urgency, this.#besideMs);
    // Entered before anything is awaited: otherwise everybody who asks in one turn would fetch.
    const held = this.#fetchIfMissing(hunt).finally(() => {
      this.#running.delete(digest);
      hunt.end();
    });
    this.#running.set(digest, { urgency, held, hunt });
    return held;
  }

  /** In parcels from one replica after the other, then alone from those that may have it. */
  async #fetchIfMissing(hunt: Hunt): Promise<boolean> {
    const { digest } = hunt;
    if ((await this.#artifacts.facts(digest)) !== undefined) return true;
    let left: readonly Holder[] = [];
    /** Answers that a vote waits for no longer, and that may come yet. */
    const late: Promise<boolean>[] = [];
    while (!this.#closed.signal.aborted) {
      const holder = hunt.next((name) => this.#slow.has(name));
      // Whoever has it, and whoever did not say: nobody is believed to have what he then does not give.
      let alone = left;
      if (holder !== undefined) {
        const asked = this.#parcels.ask(digest, holder, hunt.urgency, hunt.over);
        const outcome = await hunt.unlessLate(asked, () => true);
        if (outcome === 'stored') return true;
        if (outcome === 'late') late.push(this.#afterParcel(hunt, holder, asked));
        if (outcome === 'failed') left = [...left, holder];
        if (outcome !== 'alone') continue;
        alone = [holder];
      }
      if (alone.length === 0) break;
      const { asked, isHeld } = await this.#fetchAlone(hunt, alone, late);
      if (isHeld) return true;
      left = left.filter((one) => one !== asked);
    }
    return anyOf(late);
  }

  /** What becomes of an answer that is late: not asked for once more before it has come. */
  async #afterParcel(hunt: Hunt, holder: Holder, asked: Promise<ParcelOutcome>): Promise<boolean> {
    const outcome = await asked;
    if (outcome === 'stored' || outcome === 'absent') return outcome === 'stored';
    const late: Promise<boolean>[] = [];
    const { isHeld } = await this.#fetchAlone(hunt, [holder], late);
    return isHeld || anyOf(late);
  }

  /**
   * Asks one of them for it alone.
   *
   * @param late gets the answer when it is late
   */
  async #fetchAlone(
    hunt: Hunt,
    holders: readonly Holder[],
    late: Promise<boolean>[],
  ): Promise<{ readonly asked: Holder | undefined; readonly isHeld: boolean }> {
    const transfer = new Transfer();
    const asking = { digest: hunt.digest, urgency: hunt.urgency, holders };
    const attempt = this.#slots.run(asking, (holder, final) => {
      transfer.begin(holder);
      return this.#fetchFrom(hunt, transfer, holder, final === 'batch' ? 'vote' : 'offer');
    });
    const outcome = await hunt.unlessLate(attempt, () => transfer.isCrawling());
    if (outcome === 'late') late.push(attempt);
    return { asked: transfer.holder, isHeld: outcome === true };
  }

  async #fetchFrom(
    hunt: Hunt,
    transfer: Transfer,
    holder: Holder,
    purpose: ArtifactPurpose,
  ): Promise<boolean> {
    const { digest } = hunt;
    if (this.#closed.signal.aborted || hunt.over.aborted) return false;
    try {
      const isHeld = await this.#ask(hunt, transfer, holder, purpose);
      if (isHeld) this.#log.info('artifact_fetched', { sha512: digest, peer: holder.name });
      return isHeld;
    } catch (error) {
      // Somebody who was asked later had sent it by now.
      if (hunt.over.aborted) this.#slow.note(holder.name);
      this.#noteFailure(holder, error, { sha512: digest });
      return false;
    }
  }

  #noteFailure(holder: Holder, error: unknown, fields: { readonly sha512?: string }): void {
    if (isItsFault(error) && !this.#closed.signal.aborted) this.#slow.note(holder.name);
    // Wrong bytes are its fault, a dead connection may be anybody's; either way the next is asked.
    const level = error instanceof VerifyError ? 'warn' : 'debug';
    this.#log[level]('artifact_unavailable', {
      ...fields,
      peer: holder.name,
      error: describeError(error),
    });
  }

  /** @returns false when the replica says that it has not got it */
  async #ask(
    { digest, over }: Hunt,
    transfer: Transfer,
    holder: Holder,
    purpose: ArtifactPurpose,
  ): Promise<boolean> {
    const left = new AbortController();
    const timeout = AbortSignal.timeout(ARTIFACT_TIMEOUT_MS);
    const tooSlow = (): Error => new HolderError('the answer came too slowly');
    try {
      const answer: Dispatcher.ResponseData = await request(
        `${holder.url}/v1/artifacts/${digest}`,
        {
          dispatcher: this.#agent,
          signal: AbortSignal.any([this.#closed.signal, timeout, left.signal, over]),
          headers: { 'accept-encoding': 'identity' },
        },
      );
      if (answer.statusCode !== 200) {
        await within(answer.body.dump({ limit: 4096 }), this.#pace.graceMs, tooSlow);
        return false;
      }
      // Cutting it off makes the stream fail once more, when nobody reads it any longer.
      answer.body.on('error', () => undefined);
      const chunks = answer.body as AsyncIterable<Uint8Array>;
      const coming = transfer.counted(keepingPace(chunks, this.#pace, tooSlow));
      await this.#artifacts.put(digest, coming, purpose);
      return true;
    } finally {
      // Whoever sends on after we have stopped reading must not keep the connection.
      left.abort();
    }
  }
}

/** Whether it is due to the replica or the way to it, and not to ourselves or the artifact. */
function isItsFault(error: unknown): boolean {
  if (error instanceof VerifyError) return error.code === 'ARTIFACT_DIGEST_MISMATCH';
  if (error instanceof HolderError || error instanceof errors.UndiciError) return true;
  // Refused and broken connections come as the system reports them; so does the artifact's time limit.
  if (!(error instanceof Error)) return false;
  const code = 'code' in error ? error.code : undefined;
  return error.name === 'TimeoutError' || code === 'ECONNREFUSED' || code === 'ECONNRESET';
}
