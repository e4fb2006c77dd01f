// A log's static files (c2sp.org/tlog-tiles) over HTTP. Any server or cache may serve them; what comes
// back is only known to have the right shape.
import { setTimeout as sleep } from 'node:timers/promises';

import { VerifyError } from '../../verifier/errors.ts';
import { HASH_LENGTH } from '../../verifier/merkle/hash.ts';
import {
  TILE_ENTRY_BYTES_MAX,
  TILE_WIDTH,
  formatTilePath,
  parseBundle,
  type Tile,
} from '../../verifier/merkle/tile.ts';
import type { HttpClient } from '../client/http.ts';
import { TransportError } from '../errors.ts';

// 16 MiB of the largest entries at 300 kB/s.
const TILE_TIMEOUT_MS = 60_000;
// Thousands of requests in a row meet a restart or a busy moment now and then.
const ATTEMPTS_MAX = 3;
const RETRY_PAUSE_MS = 400;

/** Reads the tiles of one server. */
export class TileClient {
  readonly url: string;
  readonly #http: HttpClient;

  /** @param url base address without a final slash */
  constructor(url: string, http: HttpClient) {
    this.url = url;
    this.#http = http;
  }

  /**
   * The hashes of a tile, `tile.width` of them.
   *
   * @throws {TransportError} when the server has no such tile or can't be reached
   * @throws {VerifyError} `TILE_MALFORMED` for another length
   */
  async hashes(tile: Tile, signal: AbortSignal): Promise<Uint8Array> {
    const { bytes, width } = await this.#fetch(tile, HASH_LENGTH, signal);
    if (bytes.length !== HASH_LENGTH * width) {
      throw new VerifyError(
        'TILE_MALFORMED',
        `${formatTilePath(tile)}: ${bytes.length} bytes instead of ${HASH_LENGTH * width}`,
      );
    }
    return bytes.subarray(0, HASH_LENGTH * tile.width);
  }

  /**
   * The entries of a bundle, `width` of them.
   *
   * @throws {TransportError | VerifyError} as `hashes`
   */
  async entries(index: number, width: number, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const tile: Tile = { level: 'entries', index, width };
    const fetched = await this.#fetch(tile, 2 + TILE_ENTRY_BYTES_MAX, signal);
    try {
      return parseBundle(fetched.bytes, fetched.width).slice(0, width);
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error;
      throw new VerifyError(error.code, `${formatTilePath(tile)}: ${error.message}`, {
        cause: error,
      });
    }
  }

  async #fetch(
    tile: Tile,
    itemBytesMax: number,
    signal: AbortSignal,
  ): Promise<{ readonly bytes: Uint8Array; readonly width: number }> {
    try {
      const bytes = await this.#get(tile, itemBytesMax, signal);
      return { bytes, width: tile.width };
    } catch (error) {
      // A partial tile may be gone once the full one exists, and the log grows while we read.
      const isGone = error instanceof TransportError && error.status === 404;
      if (!isGone || tile.width === TILE_WIDTH) throw error;
      const full = { ...tile, width: TILE_WIDTH };
      const bytes = await this.#get(full, itemBytesMax, signal).catch(() => undefined);
      if (bytes === undefined) throw error;
      return { bytes, width: TILE_WIDTH };
    }
  }

  async #get(tile: Tile, itemBytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
    const path = formatTilePath(tile);
    for (let attempt = 1; ; attempt++) {
      try {
        const { body } = await this.#http.exchange({
          method: 'GET',
          url: `${this.url}/${path}`,
          bytesMax: itemBytesMax * tile.width,
          timeoutMs: TILE_TIMEOUT_MS,
          statuses: [200],
          signal,
        });
        return body;
      } catch (error) {
        if (!(error instanceof TransportError)) throw error;
        if (attempt === ATTEMPTS_MAX || !isPassing(error)) throw naming(error, path);
        await sleep(attempt * RETRY_PAUSE_MS, undefined, { signal }).catch(() => undefined);
      }
    }
  }
}

function isPassing({ code, status }: TransportError): boolean {
  if (code === 'STATUS') return status === 429 || (status ?? 0) >= 500;
  return code === 'UNREACHABLE' || code === 'TIMEOUT';
}

function naming(error: TransportError, path: string): TransportError {
  return new TransportError(error.code, `${path}: ${error.message}`, {
    ...(error.status === undefined ? {} : { status: error.status }),
    ...(error.remote === undefined ? {} : { remote: error.remote }),
    cause: error,
  });
}

/**
 * Fetches `count` things in order, some of them ahead of time.
 *
 * @param ahead how many at one time, at least 1: bounds memory as well as connections
 * @param fetch its signal is aborted when nobody wants the rest any more
 */
export async function* fetchedInOrder<T>(
  count: number,
  ahead: number,
  signal: AbortSignal,
  fetch: (position: number, signal: AbortSignal) => Promise<T>,
): AsyncGenerator<T> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const running: Promise<T>[] = [];
  let started = 0;
  try {
    for (let position = 0; position < count; position++) {
      while (started < count && started < position + ahead) {
        const promise = fetch(started, both);
        // Its failure is thrown when its turn comes; until then nobody listens.
        promise.catch(() => undefined);
        running.push(promise);
        started++;
      }
      const next = running.shift();
      if (next === undefined) return;
      yield await next;
    }
  } finally {
    stop.abort();
  }
}
