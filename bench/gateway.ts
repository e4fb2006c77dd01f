// Publishing and reading at real replicas with as little as possible on this side: connections are kept,
// statements and tarballs are made beforehand.
import { setTimeout as sleep } from 'node:timers/promises';

import { Agent, errors, request, type Dispatcher } from 'undici';

import { utf8 } from '../verifier/bytes.ts';
import { formatEnvelope } from '../verifier/dsse.ts';
import { encodeHex } from '../verifier/encoding.ts';
import { EMPTY_ROOT } from '../verifier/merkle/hash.ts';
import { SigningKey } from '../verifier/node/signing-key.ts';
import type { Observed } from '../verifier/statements/observed.ts';
import { formatSubmissionParcel } from '../verifier/submission-parcel.ts';
import { Publisher, type PreparedRelease } from '../fixtures/publisher.ts';

/** Uploads at one time: fewer than a replica takes from one address. */
const UPLOADS_PER_GATEWAY = 16;

/** Pause before what a busy gateway put off is sent again. */
const RETRY_PAUSE_MS = 20;

/** How long a submission waits for its checkpoint, seconds. */
const WAIT_SECONDS = 20;

/** An answer later than this is a broken benchmark. */
const TIMEOUT_MS = 60_000;

/** Later, or too slow: a generator that has no processor for ten seconds is no broken benchmark. */
const RETRIED: readonly number[] = [202, 408, 429, 503];

/** A release ready for the wire. */
export interface WireRelease {
  readonly name: string;
  readonly version: string;
  readonly sha512: Uint8Array;
  readonly tarball: Uint8Array;
  readonly envelope: string;
}

/** Maintainers with their statements, signed. */
export class Press {
  /** Signatures of each release: f + 1. */
  readonly signers: number;
  readonly #publisher: Publisher;
  readonly #observed: Observed;

  /** @param faulty the f of its packages, which 2f + 1 maintainers each have */
  constructor(origin: string, faulty = 1) {
    const keys = Array.from({ length: 2 * faulty + 1 }, () => SigningKey.generate());
    this.#publisher = new Publisher(origin, keys);
    this.signers = faulty + 1;
    // The empty log is a head that every log has gone through: no replica has to be asked.
    this.#observed = new Map([[origin, { size: 0, root: EMPTY_ROOT }]]);
  }

  claim(name: string): string {
    return formatEnvelope(this.#publisher.claim(name, this.#observed));
  }

  release(name: string, version: string): WireRelease {
    const made: PreparedRelease = this.#publisher.release(name, version, this.#observed);
    const { tarball, sha512 } = made;
    return { name, version, sha512, tarball, envelope: formatEnvelope(made.envelope) };
  }
}

/** Connections to all replicas. */
export class Gateways {
  readonly urls: readonly string[];
  /** How often a gateway said "later" of a request or of one release in it, by the HTTP status it said it with. */
  readonly putOff = new Map<number, number>();
  readonly #agent: Agent;
  #acknowledged = 0;

  constructor(urls: readonly string[], connections = 128) {
    this.urls = urls;
    this.#agent = new Agent({ connections, headersTimeout: TIMEOUT_MS, bodyTimeout: TIMEOUT_MS });
  }

  async close(): Promise<void> {
    await this.#agent.close();
  }

  /** Releases that are under a checkpoint so far. */
  get acknowledged(): number {
    return this.#acknowledged;
  }

  #isPutOff(status: number): boolean {
    if (!RETRIED.includes(status)) return false;
    this.putOff.set(status, (this.putOff.get(status) ?? 0) + 1);
    return true;
  }

  /** @returns the body; anything but 2xx is a broken benchmark, but for what says "later" */
  async exchange(
    method: 'GET' | 'POST' | 'PUT',
    url: string,
    body?: string | Uint8Array,
  ): Promise<Uint8Array> {
    for (;;) {
      const answer = await this.#ask(method, url, body);
      if (answer === undefined) continue;
      const bytes = await answer.body.bytes();
      if (this.#isPutOff(answer.statusCode)) {
        await sleep(RETRY_PAUSE_MS);
        continue;
      }
      if (answer.statusCode >= 300) {
        throw new Error(`${url}: ${answer.statusCode} ${Buffer.from(bytes).toString()}`);
      }
      return bytes;
    }
  }

  /** @returns `undefined` when the replica closed a connection that it had kept for long enough */
  async #ask(
    method: 'GET' | 'POST' | 'PUT',
    url: string,
    body: string | Uint8Array | undefined,
  ): Promise<Dispatcher.ResponseData | undefined> {
    try {
      return await request(url, { method, body: body ?? null, dispatcher: this.#agent });
    } catch (error) {
      if (error instanceof errors.SocketError || isReset(error)) return undefined;
      throw error;
    }
  }

  /** Submits a statement and waits until it is under a checkpoint. */
  async submit(turn: number, envelope: string): Promise<void> {
    await this.exchange('POST', `${this.#url(turn)}/v1/entries?wait=${WAIT_SECONDS}`, envelope);
  }

  /**
   * Publishes artifacts and statements as fast as the replicas take them, in their order.
   *
   * @param underWay submissions that wait for their checkpoint at one time
   * @param lastMs how long new ones are begun; those under way are waited for
   * @returns how long each submission took from upload to checkpoint, milliseconds; one for each published
   */
  async publishAll(
    releases: readonly WireRelease[],
    underWay: number,
    lastMs: number = Number.POSITIVE_INFINITY,
  ): Promise<readonly number[]> {
    const latencies: number[] = [];
    const until = performance.now() + lastMs;
    const places = new Places(underWay);
    let next = 0;
    const lane = async (gateway: number): Promise<void> => {
      for (;;) {
        await places.take();
        const started = performance.now();
        const release = started < until ? releases[next++] : undefined;
        if (release === undefined) {
          // The other lanes have to come to their end as well.
          places.give();
          return;
        }
        await this.#upload(gateway, release);
        submitted.push(
          this.submit(gateway, release.envelope).then(() => {
            latencies.push(performance.now() - started);
            this.#acknowledged += 1;
            places.give();
          }),
        );
      }
    };
    const submitted: Promise<void>[] = [];
    const lanes = this.urls.flatMap((_, i) => Array.from({ length: UPLOADS_PER_GATEWAY }, () => i));
    await Promise.all(lanes.map(lane));
    await Promise.all(submitted);
    return latencies;
  }

  /**
   * Publishes several releases with one request, as `release submit` does for a monorepo.
   *
   * @param perRequest releases in one request
   * @param underWay as in `publishAll`
   * @returns as `publishAll`
   */
  async publishTogether(
    releases: readonly WireRelease[],
    perRequest: number,
    underWay: number,
    lastMs: number = Number.POSITIVE_INFINITY,
  ): Promise<readonly number[]> {
    const latencies: number[] = [];
    const until = performance.now() + lastMs;
    let next = 0;
    const lane = async (turn: number): Promise<void> => {
      while (performance.now() < until) {
        const group = releases.slice(next, next + perRequest);
        if (group.length === 0) return;
        next += group.length;
        const started = performance.now();
        await this.#submitAll(turn, group);
        const took = performance.now() - started;
        for (let i = 0; i < group.length; i++) latencies.push(took);
      }
    };
    const lanes = Math.max(this.urls.length, Math.floor(underWay / perRequest));
    await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
    return latencies;
  }

  /** Submits releases until all of them are under a checkpoint. */
  async #submitAll(turn: number, releases: readonly WireRelease[]): Promise<void> {
    const url = `${this.#url(turn)}/v1/submissions?wait=${WAIT_SECONDS}`;
    let left = releases.map(({ sha512, tarball, envelope }) => ({
      artifacts: [{ sha512, bytes: tarball }],
      envelope: utf8(envelope),
    }));
    while (left.length > 0) {
      const answer = await this.exchange('POST', url, formatSubmissionParcel(left));
      const { results, error } = JSON.parse(Buffer.from(answer).toString()) as ParcelAnswer;
      if (error !== undefined || results.length !== left.length) {
        throw new Error(`${url}: ${JSON.stringify(error)}`);
      }
      const bad = results.find(({ http }) => http >= 300 && !RETRIED.includes(http));
      if (bad !== undefined) throw new Error(`${url}: ${JSON.stringify(bad)}`);
      const before = left.length;
      left = left.filter((_, i) => this.#isPutOff(results[i]?.http ?? 0));
      this.#acknowledged += before - left.length;
      if (left.length > 0) await sleep(RETRY_PAUSE_MS);
    }
  }

  /** Publishes at an even pace. @returns latencies, milliseconds */
  async publishPaced(
    releases: readonly WireRelease[],
    perSecond: number,
  ): Promise<readonly number[]> {
    const started = performance.now();
    return Promise.all(
      releases.map(async (release, i) => {
        await sleep((i * 1000) / perSecond);
        const due = started + (i * 1000) / perSecond;
        await this.#submitAll(i, [release]);
        // From when it was due: a generator that lags must not hide what a publisher would wait.
        return performance.now() - due;
      }),
    );
  }

  async #upload(turn: number, { sha512, tarball }: WireRelease): Promise<void> {
    await this.exchange('PUT', `${this.#url(turn)}/v1/artifacts/${encodeHex(sha512)}`, tarball);
  }

  #url(turn: number): string {
    return this.urls[turn % this.urls.length] ?? '';
  }
}

interface ParcelAnswer {
  readonly results: readonly { readonly http: number }[];
  readonly error?: unknown;
}

/** A number of places. Racing the promises of all that are under way cost more than what was measured. */
class Places {
  #free: number;
  readonly #waiting: (() => void)[] = [];

  constructor(count: number) {
    this.#free = count;
  }

  async take(): Promise<void> {
    if (this.#free > 0) {
      this.#free -= 1;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  give(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#free += 1;
    else next();
  }
}

function isReset(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ECONNRESET';
}
