// A ledger without npm: entries are requests as they are, a batch ends in a commit entry that names its
// height and time, the root is RFC 6962's. Fast enough for thousands of messages a second.
import { createHash } from 'node:crypto';
import { utf8 } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { CompactRange } from '../../verifier/merkle/compact-range.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import type { Roster } from '../../verifier/roster.ts';
import { bodyHash } from '../../verifier/replication/encode.ts';
import type {
  Batch,
  Body,
  BuildRequest,
  BuildResult,
  CommittedRecord,
  Digest,
  Header,
  Request,
} from '../consensus/types.ts';
import type { AdmitOutcome, BatchBounds, SimLedger, Validity } from './ledger.ts';
import { type RequestRegister, type SimRequest, requestId } from './requests.ts';

/** The toy application of one replica. */
export class ToyLedger implements SimLedger {
  readonly #register: RequestRegister;
  readonly #committed: Set<Digest>;
  #roster: Roster;
  #range: CompactRange;
  #height: number;

  constructor(register: RequestRegister, roster: Roster) {
    this.#register = register;
    this.#roster = roster;
    this.#committed = new Set();
    this.#range = CompactRange.EMPTY;
    this.#height = 0;
  }

  readonly entryOf = ({ bytes }: Request): Uint8Array => bytes;

  get height(): number {
    return this.#height;
  }

  get size(): number {
    return this.#range.size;
  }

  isCommitted(id: Digest): boolean {
    return this.#committed.has(id);
  }

  admit(request: Request): AdmitOutcome {
    return this.#stateOf(request) === 'invalid' ? 'refused' : 'accepted';
  }

  /** `later` is for a roster whose turn has not come: it stays in the pool. */
  #stateOf({ id, bytes }: Request): 'valid' | 'invalid' | 'later' {
    const request = this.#register.find(id);
    if (request === undefined || requestId(bytes) !== id || this.#committed.has(id)) {
      return 'invalid';
    }
    if (request.roster === undefined) return 'valid';
    if (request.roster.epoch > this.#roster.epoch + 1) return 'later';
    return request.roster.previous === this.#roster.hash ? 'valid' : 'invalid';
  }

  build(request: BuildRequest, timeMs: number, limits: BatchBounds): BuildResult {
    const refused: Digest[] = [];
    const chosen: SimRequest[] = [];
    let bytes = COMMIT_ENTRY_BYTES_MAX;
    for (const candidate of request.requests) {
      const state = this.#stateOf(candidate);
      if (state === 'invalid') refused.push(candidate.id);
      const known = this.#register.find(candidate.id);
      if (state !== 'valid' || known === undefined) continue;
      const isFull =
        chosen.length >= limits.batchRequestsMax ||
        bytes + known.bytes.length > limits.batchBytesMax;
      // A roster stands alone in its batch (E1).
      const mixes = chosen.length > 0 && known.roster !== chosen[0]?.roster;
      if (isFull || mixes || chosen[0]?.roster !== undefined) continue;
      chosen.push(known);
      bytes += known.bytes.length;
    }
    if (chosen.length === 0) return { proposal: undefined, refused };
    const timestampMs = Math.max(timeMs, request.parentTimestampMs + 1);
    const { height, epoch, parent } = request;
    const nextRoster = chosen[0]?.roster;
    const body = [...chosen.map((chosenOne) => chosenOne.bytes), commitEntry(height, timestampMs)];
    const header: Header = {
      origin: this.#roster.origin,
      epoch,
      height,
      parent,
      prevSize: this.size,
      size: this.size + body.length,
      root: encodeHex(extend(this.#range, body).root()),
      entriesHash: fastBodyHash(body),
      timestampMs,
      nextRoster: nextRoster?.hash,
    };
    return { proposal: { header, body, ids: chosen.map(({ id }) => id), nextRoster }, refused };
  }

  check({ header, body }: Batch, limits: BatchBounds): Validity {
    const requests: SimRequest[] = [];
    let bytes = 0;
    for (const entry of body) bytes += entry.length;
    if (bytes > limits.batchBytesMax) return invalid('too many bytes');
    if (body.length - 1 > limits.batchRequestsMax) return invalid('too many requests');
    if (body.length < 2) return invalid('no requests');
    if (header.height !== this.#height + 1) return invalid('height');
    if (header.prevSize !== this.size || header.size !== this.size + body.length) {
      return invalid('size');
    }
    const last = body.at(-1);
    const expected = commitEntry(header.height, header.timestampMs);
    if (last === undefined || Buffer.compare(last, expected) !== 0) return invalid('commit entry');
    const seen = new Set<Digest>();
    for (const entry of body.slice(0, -1)) {
      const request = this.#register.ofEntry(entry);
      if (request === undefined) return invalid('an entry that nobody signed');
      if (seen.has(request.id)) return invalid('a request that comes twice');
      seen.add(request.id);
      if (this.#stateOf(request) !== 'valid') return invalid('a request that is not valid now');
      if (request.roster !== undefined && body.length !== 2) return invalid('a roster in company');
      requests.push(request);
    }
    const nextRoster = requests[0]?.roster;
    if (header.nextRoster !== nextRoster?.hash) return invalid('next roster');
    if (header.entriesHash !== fastBodyHash(body)) return invalid('entries hash');
    if (header.root !== encodeHex(extend(this.#range, body).root())) return invalid('root');
    return {
      kind: 'valid',
      ids: requests.map(({ id }) => id),
      nextRoster,
      artifacts: requests.filter(({ artifact }) => artifact).map(({ id }) => id),
    };
  }

  apply({ header, body }: CommittedRecord, nextRoster: Roster | undefined): void {
    this.#range = extend(this.#range, body);
    this.#height = header.height;
    for (const entry of body.slice(0, -1)) this.#committed.add(requestId(entry));
    if (nextRoster !== undefined) this.#roster = nextRoster;
  }

  copy(): ToyLedger {
    const copy = new ToyLedger(this.#register, this.#roster);
    for (const id of this.#committed) copy.#committed.add(id);
    copy.#range = this.#range;
    copy.#height = this.#height;
    return copy;
  }
}

const COMMIT_ENTRY_BYTES_MAX = 64;

/** The entry that ends a batch. */
function commitEntry(height: number, timestampMs: number): Uint8Array {
  return utf8(`commit ${height} at ${timestampMs}`);
}

function extend(range: CompactRange, body: Body): CompactRange {
  let result = range;
  for (const entry of body) result = result.append(fastLeafHash(entry));
  return result;
}

/** RFC 6962 leaf hash by the native SHA-256. */
function fastLeafHash(entry: Uint8Array): Hash {
  return Uint8Array.from(createHash('sha256').update(LEAF_PREFIX).update(entry).digest());
}

const LEAF_PREFIX = Uint8Array.of(0);

function fastBodyHash(body: Body): Digest {
  return bodyHash(body, () => createHash('sha256'));
}

function invalid(reason: string): Validity {
  return { kind: 'invalid', reason };
}
