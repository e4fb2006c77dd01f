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

/** Where the numbers of the traitors' requests begin. */
const FOREIGN_SERIALS = 1_000_000;

/** What a new request is about. */
export interface RequestKind {
  readonly artifact?: boolean;
  readonly roster?: Roster;
  /** By a client of the traitors, who need not go on with what it began. */
  readonly foreign?: boolean;
  /** Pads the request, so that some are larger. */
  readonly bytesMin?: number;
}

/** What requests look like: as the ledger in use wants them. */
export interface RequestFormat {
  make(serial: number, kind: RequestKind): { readonly id: Digest; readonly bytes: Uint8Array };
  /** The request that an entry carries; undefined for what is none. */
  idOf(entry: Uint8Array): Digest | undefined;
}

/** Requests of the toy ledger: a line of text each. */
export const textFormat: RequestFormat = {
  make(serial, { artifact = false, roster, bytesMin = 0 }) {
    const text = `request ${serial}${artifact ? ' artifact' : ''}${roster ? ` roster ${roster.hash}` : ''}`;
    const bytes = utf8(text.padEnd(bytesMin, '.'));
    return { id: requestId(bytes), bytes };
  },
  idOf: requestId,
};

/** All requests that somebody with the right to do so has signed. */
export class RequestRegister {
  readonly #requests = new Map<Digest, SimRequest>();
  readonly #format: RequestFormat;
  #serial = 0;
  #foreign = 0;

  constructor(format: RequestFormat) {
    this.#format = format;
  }

  get count(): number {
    return this.#serial;
  }

  /** Signs a new request. */
  issue(kind: RequestKind = {}): SimRequest {
    const { artifact = false, roster, foreign = false } = kind;
    const apart = foreign || roster !== undefined;
    const serial = apart ? ++this.#foreign + FOREIGN_SERIALS : ++this.#serial;
    const { id, bytes } = this.#format.make(serial, kind);
    const request = { id, bytes, serial, artifact, roster };
    this.#requests.set(id, request);
    return request;
  }

  /** Undefined for what nobody signed. */
  find(id: Digest): SimRequest | undefined {
    return this.#requests.get(id);
  }

  /** The request that an entry is; undefined for a forged one. */
  ofEntry(entry: Uint8Array): SimRequest | undefined {
    const id = this.#format.idOf(entry);
    return id === undefined ? undefined : this.#requests.get(id);
  }
}

/** Identity of a request: the hash of its bytes, which here are the entry too. */
export function requestId(bytes: Uint8Array): Digest {
  return createHash('sha256').update(bytes).digest('hex');
}
