// What clients submit in a simulation, and who really submitted it: the register stands for the
// maintainers' signatures, so an entry that nobody submitted is a forged one (I4).
import { createHash } from 'node:crypto';
import { utf8 } from '../../verifier/bytes.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { Digest, Request } from '../consensus/types.ts';

/** A submission. */
export interface SimRequest extends Request {
  readonly serial: number;
  /** Names an artifact that has to be held before a vote (N4). */
  readonly artifact: boolean;
  /** The roster that it puts in force. */
  readonly roster: Roster | undefined;
}

/** All requests that somebody with the right to do so has signed. */
export class RequestRegister {
  readonly #requests = new Map<Digest, SimRequest>();
  #serial = 0;

  get count(): number {
    return this.#serial;
  }

  /**
   * Signs a new request.
   *
   * @param bytesMin pads the request, for batches that are limited by bytes
   */
  issue(kind: { artifact?: boolean; roster?: Roster; bytesMin?: number } = {}): SimRequest {
    this.#serial += 1;
    const { artifact = false, roster, bytesMin = 0 } = kind;
    const text = `request ${this.#serial}${artifact ? ' artifact' : ''}${roster ? ` roster ${roster.hash}` : ''}`;
    const bytes = utf8(text.padEnd(bytesMin, '.'));
    const request = { id: requestId(bytes), bytes, serial: this.#serial, artifact, roster };
    this.#requests.set(request.id, request);
    return request;
  }

  /** Undefined for what nobody signed. */
  find(id: Digest): SimRequest | undefined {
    return this.#requests.get(id);
  }

  /** The request that an entry is; undefined for a forged one. */
  ofEntry(entry: Uint8Array): SimRequest | undefined {
    return this.#requests.get(requestId(entry));
  }
}

/** Identity of a request: the hash of its bytes, which here are the entry too. */
export function requestId(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex');
}
