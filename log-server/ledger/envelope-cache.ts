// Envelopes that were read a moment ago, by their bytes. A submission is read when it comes in, when a peer
// relays it, and when a batch is built of it; reading is most of what that costs beside its signatures.
import { parseEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { sha256Hex } from '../../verifier/sha256.ts';
import { LruMap } from '../lru.ts';

/**
 * Envelopes remembered: two full batches at least. With what they say and how it is judged, about 13 kB each, most
 * of them less; all of it goes with them.
 */
const ENVELOPE_COUNT_MAX = 2048;

/** Longer ones (bytes) are read each time: a release of one package has two or three thousand. */
const CACHED_BYTES_MAX: number = 8 * 1024;

/** Reads envelopes, the same one once. */
export class EnvelopeCache {
  readonly #known = new LruMap<string, Envelope>(ENVELOPE_COUNT_MAX);

  /**
   * Reads an envelope. Nobody may change what is returned.
   *
   * @throws {VerifyError} `ENVELOPE_MALFORMED`
   */
  read(bytes: Uint8Array): Envelope {
    if (bytes.length > CACHED_BYTES_MAX) return parseEnvelope(bytes);
    // By a hash that nobody can make collide: other bytes are never taken for these.
    const key = sha256Hex(bytes);
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const envelope = parseEnvelope(bytes);
    this.#known.set(key, envelope);
    return envelope;
  }

  /** Forgets all of them: nothing has come in for a while. */
  clear(): void {
    this.#known.clear();
  }
}
