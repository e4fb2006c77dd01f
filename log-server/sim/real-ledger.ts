// The real rules of the ledger (DESIGN 5) under the real core: statements, maintainers' signatures, the
// log's tree and the map, executed by every replica. Slower than the toy, so for fewer worlds.
import { createHash } from 'node:crypto';
import { utf8 } from '../../verifier/bytes.ts';
import {
  type Envelope,
  formatEnvelope,
  parseEnvelope,
  preAuthenticationEncoding,
  statementHash,
} from '../../verifier/dsse.ts';
import { keyId } from '../../verifier/ed25519.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { type BatchExecution, buildBatch, executeBatch } from '../../verifier/ledger/batch.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { checkSubmission } from '../../verifier/ledger/judge.ts';
import { MemoryLedger } from '../../verifier/ledger/memory-ledger.ts';
import { readSubmission } from '../../verifier/ledger/submission.ts';
import { EMPTY_ROOT } from '../../verifier/merkle/hash.ts';
import type { SigningKey } from '../../verifier/node/signing-key.ts';
import { manifestOf } from '../../verifier/npm/manifest.ts';
import { packagePurl, releasePurl } from '../../verifier/npm/purl.ts';
import { ROSTER_PAYLOAD_TYPE, type Roster, formatRoster } from '../../verifier/roster.ts';
import { type SignatureVerifier, runPlan } from '../../verifier/signatures.ts';
import {
  MAINTAINERS_PAYLOAD_TYPE,
  formatMaintainerSet,
} from '../../verifier/statements/maintainers.ts';
import { RELEASE_PAYLOAD_TYPE, formatRelease } from '../../verifier/statements/release.ts';
import { bodyHash } from '../../verifier/replication/encode.ts';
import type {
  Batch,
  BuildRequest,
  BuildResult,
  CommittedRecord,
  Digest,
  Header,
  Request,
} from '../consensus/types.ts';
import { openBody, requireOutcome } from '../ledger/batch-check.ts';
import { entryOf } from '../node/entry-of.ts';
import type { AdmitOutcome, BatchBounds, SimLedger, Validity } from './ledger.ts';
import { NODES_MAX, ORIGIN, simNode } from './nodes.ts';
import type { RequestFormat, RequestKind, RequestRegister } from './requests.ts';
import { type Signatures, namedKey } from './signatures.ts';

/** Every so many requests claims a package name; the others release one of them. */
const CLAIM_EVERY = 4;

const OBSERVED = new Map([[ORIGIN, { size: 0, root: EMPTY_ROOT }]]);

/** Requests that are statements: claims of names, releases, rosters. */
export function statementFormat(signatures: Signatures): RequestFormat {
  const maintainers = [0, 1, 2].map((i) => namedKey(`maintainer ${i}`));
  const sign = (payloadType: string, payload: Uint8Array, keys: readonly SigningKey[]): Envelope =>
    signed(signatures, payloadType, payload, keys);
  return {
    make(serial: number, { roster, foreign }: RequestKind): { id: Digest; bytes: Uint8Array } {
      const first = foreign === true ? serial : Math.floor((serial - 1) / CLAIM_EVERY);
      const family = `package-${first}`;
      let envelope: Envelope;
      if (roster !== undefined) {
        envelope = sign(ROSTER_PAYLOAD_TYPE, formatRoster(roster), everybody());
      } else if (foreign === true || (serial - 1) % CLAIM_EVERY === 0) {
        envelope = sign(MAINTAINERS_PAYLOAD_TYPE, claim(family, maintainers), maintainers);
      } else {
        const payload = release(family, `1.0.${serial}`);
        envelope = sign(RELEASE_PAYLOAD_TYPE, payload, maintainers.slice(0, 2));
      }
      return { id: statementHash(envelope.payload), bytes: utf8(formatEnvelope(envelope)) };
    },
    idOf(entry: Uint8Array): Digest | undefined {
      try {
        const parsed = parseEntry(entry);
        return parsed.kind === 'commit' ? undefined : statementHash(parsed.envelope.payload);
      } catch (error) {
        if (error instanceof VerifyError) return undefined;
        throw error;
      }
    },
  };
}

function signed(
  signatures: Signatures,
  payloadType: string,
  payload: Uint8Array,
  keys: readonly SigningKey[],
): Envelope {
  const message = preAuthenticationEncoding(payloadType, payload);
  return {
    payloadType,
    payload,
    signatures: keys.map((key) => ({
      keyid: keyId(key.publicKey),
      signature: signatures.sign(key, message),
    })),
  };
}

/** A roster is signed by a quorum of the one before and by all who are new; the first by all. */
function everybody(): readonly SigningKey[] {
  return Array.from({ length: NODES_MAX }, (_, i) => simNode(i).voteKey);
}

function claim(name: string, maintainers: readonly SigningKey[]): Uint8Array {
  return formatMaintainerSet({
    package: packagePurl(name),
    sequence: 0,
    previous: null,
    faulty: 1,
    maintainers: maintainers.map(({ publicKey }, i) => ({ name: `m${i}`, key: publicKey })),
    observed: OBSERVED,
  });
}

function release(name: string, version: string): Uint8Array {
  const sha512 = Uint8Array.from(createHash('sha512').update(`${name}@${version}`).digest());
  const purl = releasePurl(name, version);
  const subject = {
    purl,
    sha512,
    size: 1000,
    maintainers: 0,
    manifest: manifestOf({ name, version }),
  };
  return formatRelease({ subjects: [subject], observed: OBSERVED });
}

/** The real ledger of one replica. */
export class RealLedger implements SimLedger {
  readonly #genesis: Roster;
  readonly #register: RequestRegister;
  readonly #signatures: Signatures;
  readonly #verifier: SignatureVerifier;
  readonly #ledger: MemoryLedger;
  readonly #executions: BatchExecution[] = [];

  constructor(genesis: Roster, register: RequestRegister, signatures: Signatures) {
    this.#genesis = genesis;
    this.#register = register;
    this.#signatures = signatures;
    this.#verifier = {
      verifyMany: (jobs) => Promise.resolve(jobs.map((job) => signatures.verify(job))),
    };
    const payload = formatRoster(genesis);
    this.#ledger = new MemoryLedger(signed(signatures, ROSTER_PAYLOAD_TYPE, payload, everybody()));
  }

  readonly entryOf: SimLedger['entryOf'] = entryOf;

  get height(): number {
    return this.#ledger.tip.height;
  }

  get size(): number {
    return this.#ledger.tip.size;
  }

  isCommitted(id: Digest): boolean {
    return this.#ledger.statementIndex(id) !== undefined;
  }

  async admit(request: Request): Promise<AdmitOutcome> {
    try {
      const envelope = parseEnvelope(request.bytes);
      const submission = readSubmission(envelope);
      if (submission.id !== request.id || this.isCommitted(submission.id)) return 'refused';
      const { timeSeconds } = this.#ledger.tip;
      await runPlan(this.#verifier, checkSubmission(this.#ledger, submission, timeSeconds).plan);
      return 'accepted';
    } catch (error) {
      return refusal(error) === undefined ? 'accepted' : 'refused';
    }
  }

  async build(asked: BuildRequest, timeMs: number, limits: BatchBounds): Promise<BuildResult> {
    const { epoch, height, parent, requests } = asked;
    const timestampMs = Math.max(timeMs, asked.parentTimestampMs + 1);
    try {
      const { execution, refused } = await buildBatch(
        this.#ledger,
        {
          height,
          timeSeconds: Math.floor(timestampMs / 1000),
          envelopes: requests.map(({ bytes }) => parseEnvelope(bytes)),
        },
        boundsOf(limits),
        this.#verifier,
      );
      // A roster that met others in this batch has its turn later.
      const gone = refused.filter(({ error }) => refusal(error) !== 'ROSTER_NOT_ALONE');
      const ids = gone.flatMap(({ position }) => requests[position]?.id ?? []);
      if (execution === undefined) return { proposal: undefined, refused: ids };
      const { entries: body, root, included, changes } = execution;
      const nextRoster = changes.roster?.roster;
      const header: Header = {
        origin: ORIGIN,
        epoch,
        height,
        parent,
        prevSize: this.size,
        size: this.size + body.length,
        root: encodeHex(root),
        entriesHash: bodyHash(body, () => createHash('sha256')),
        timestampMs,
        nextRoster: nextRoster?.hash,
      };
      const taken = included.flatMap((position) => requests[position]?.id ?? []);
      return { proposal: { header, body, ids: taken, nextRoster }, refused: ids };
    } catch (error) {
      refusal(error);
      return { proposal: undefined, refused: [] };
    }
  }

  async check({ header, body }: Batch, limits: BatchBounds): Promise<Validity> {
    try {
      if (header.prevSize !== this.size || header.size !== this.size + body.length) {
        return { kind: 'invalid', reason: 'size' };
      }
      if (header.entriesHash !== bodyHash(body, () => createHash('sha256'))) {
        return { kind: 'invalid', reason: 'entries hash' };
      }
      const execution = await this.#execute({ header, body }, limits);
      const requests = body.slice(0, -1).map((entry) => this.#register.ofEntry(entry));
      const ids = requests.flatMap((request) => request?.id ?? []);
      if (ids.length !== requests.length) return { kind: 'invalid', reason: 'nobody signed it' };
      const artifacts = requests.filter((request) => request?.artifact === true);
      return {
        kind: 'valid',
        ids,
        nextRoster: execution.changes.roster?.roster,
        artifacts: artifacts.flatMap((request) => request?.id ?? []),
      };
    } catch (error) {
      return { kind: 'invalid', reason: refusal(error) ?? '' };
    }
  }

  async #execute({ header, body }: Batch, limits: BatchBounds): Promise<BatchExecution> {
    const input = openBody(header, body);
    if (input.height !== this.height + 1) throw new LedgerError('STATE_MOVED', 'another height');
    const execution = await executeBatch(this.#ledger, input, boundsOf(limits), this.#verifier);
    requireOutcome(header, body, execution);
    return execution;
  }

  async apply({ header, body }: CommittedRecord): Promise<void> {
    const execution = await this.#execute({ header, body }, UNBOUNDED);
    this.#ledger.advance(execution);
    this.#executions.push(execution);
  }

  copy(): RealLedger {
    const copy = new RealLedger(this.#genesis, this.#register, this.#signatures);
    for (const execution of this.#executions) {
      copy.#ledger.advance(execution);
      copy.#executions.push(execution);
    }
    return copy;
  }
}

/** What is committed was within the bounds. */
const UNBOUNDED: BatchBounds = { batchRequestsMax: 4096, batchBytesMax: 8_000_000 };

function boundsOf({ batchRequestsMax, batchBytesMax }: BatchBounds): {
  entriesMax: number;
  bytesMax: number;
} {
  return { entriesMax: batchRequestsMax, bytesMax: batchBytesMax };
}

/** The code of a refusal; what is no refusal is a bug. */
function refusal(error: unknown): string | undefined {
  if (error instanceof LedgerError || error instanceof VerifyError) return error.code;
  throw error;
}
