// The public HTTP interface of one replica. What comes back is parsed but not believed.
import { utf8 } from '../../verifier/bytes.ts';
import { parseForeignJson } from '../../verifier/foreign-json.ts';
import { canonicalJson, ObjectReader, parseCanonicalJson, readArray } from '../../verifier/json.ts';
import { readEnvelope, type Envelope } from '../../verifier/dsse.ts';
import { quote } from '../../verifier/errors.ts';
import { parseNote, type SignedNote } from '../../verifier/note.ts';
import { REPORT_BYTES_MAX } from '../../verifier/replication/report-limits.ts';
import { ROSTER_CHAIN_MAX } from '../../verifier/roster.ts';
import {
  PARCEL_RESULTS_BYTES_MAX,
  formatSubmissionParcel,
  type ParcelArtifact,
} from '../../verifier/submission-parcel.ts';
import { decodeUtf8 } from '../../verifier/text.ts';
import { TransportError } from '../errors.ts';
import type { HttpClient } from './http.ts';

const MEBIBYTE = 1024 * 1024;
/** As large as evidence may be; the parser has the same bound. */
const EVIDENCE_BYTES_MAX = 64 * MEBIBYTE;
// So that one subject can't cost what ten thousand may: a chain of rosters of the longest length and
// packages with thousands of maintainer sets, and for each subject an entry of the largest size.
const EVIDENCE_BASE_BYTES = 24 * MEBIBYTE;
const EVIDENCE_SUBJECT_BYTES = MEBIBYTE / 16;
/** A note has at most 64 lines of at most some hundred bytes. */
const CHECKPOINT_BYTES_MAX = 64 * 1024;
const STATUS_BYTES_MAX = 16 * 1024;
/** Code and text of a refusal, characters: as much as alone. */
const REFUSAL_LENGTH_MAX = 16 * 1024;
/** What says of POST /v1/submissions: older, or behind a proxy that passes small requests only. */
const NO_PARCELS: readonly number[] = [404, 405, 413];
/** A chain of the longest length with rosters of a usual size. */
const ROSTERS_BYTES_MAX = 16 * MEBIBYTE;
/** As large as an artifact may be (rule of the log). */
export const ARTIFACT_BYTES_MAX: number = 256 * MEBIBYTE;

/** A mailbox has a share for each of at most 64 maintainers, of envelopes of at most 64 KiB. */
const PROPOSALS_MAX = 64;
const PROPOSALS_BYTES_MAX = 5 * MEBIBYTE;
/** A list of the most reports that a replica keeps, and one of them. */
const REPORTS_BYTES_MAX = MEBIBYTE;
const REPORTS_MAX = 1_000;
/** Names of contradicted heads: of statements and of notes. */
const CONTRADICTION_ID_PATTERN = /^(?:s-(?:0|[1-9][0-9]{0,15})|n-[0-9a-f]{64})-[0-9a-f]{64}$/;
const REPORT_ID_PATTERN = /^(?:0|[1-9][0-9]{0,15})-X[1-8]-[0-9a-f]{64}$/;

const SMALL_TIMEOUT_MS = 8_000;
const EVIDENCE_TIMEOUT_MS = 40_000;
// 256 MiB at 1.5 MB/s.
const ARTIFACT_TIMEOUT_MS = 180_000;

/** Where a submission stands, as a replica says. */
export type SubmissionStatus =
  | { readonly kind: 'committed'; readonly id: string; readonly index: number }
  | { readonly kind: 'pending'; readonly id: string };

/** What a replica makes of a checkpoint that it is shown. */
export type HeadStatus =
  /** It contradicts the replica's log, and is kept under that name. */
  { readonly kind: 'kept'; readonly id: string } | { readonly kind: 'consistent' };

/** What evidence is asked for. */
export interface EvidenceQuery {
  /** Hash of the roster that the client knows, hex. */
  readonly pin: string;
  /** Size of the tree that the client has accepted, 0 for none. */
  readonly since: number;
  /** Purls. */
  readonly subjects: readonly string[];
  /** For each of them the size of the log below which its entries need not be shown. */
  readonly known?: readonly number[];
}

/** One replica as a server. */
export class ReplicaClient {
  readonly url: string;
  readonly #http: HttpClient;

  /** @param url base address without a final slash */
  constructor(url: string, http: HttpClient) {
    this.url = url;
    this.#http = http;
  }

  /** The newest checkpoint note that it has. */
  async checkpoint(signal: AbortSignal): Promise<SignedNote> {
    return (await this.glance(signal)).note;
  }

  /** The newest checkpoint note that it has, and what its clock says, Unix seconds. */
  async glance(
    signal: AbortSignal,
  ): Promise<{ readonly note: SignedNote; readonly dateSeconds: number | undefined }> {
    const { body, dateSeconds } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/checkpoint`,
      bytesMax: CHECKPOINT_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    return { note: parseNote(decodeUtf8(body)), dateSeconds };
  }

  /** All rosters from epoch 0 on. */
  async rosters(signal: AbortSignal): Promise<readonly Envelope[]> {
    const { body } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/rosters`,
      bytesMax: ROSTERS_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    const document = parseCanonicalJson(body, ROSTERS_BYTES_MAX);
    return readArray(document, 'rosters', ROSTER_CHAIN_MAX, readEnvelope);
  }

  /** The document with evidence for the subjects. It is *not* read here. */
  async evidence(query: EvidenceQuery, signal: AbortSignal): Promise<Uint8Array> {
    const { body } = await this.#http.exchange({
      method: 'POST',
      url: `${this.url}/v1/evidence`,
      contentType: 'application/json',
      body: canonicalJson({
        roster: query.pin,
        since: query.since,
        subjects: query.subjects,
        ...(query.known === undefined ? {} : { known: query.known }),
      }),
      bytesMax: Math.min(
        EVIDENCE_BYTES_MAX,
        EVIDENCE_BASE_BYTES + query.subjects.length * EVIDENCE_SUBJECT_BYTES,
      ),
      timeoutMs: EVIDENCE_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    return body;
  }

  /**
   * Submits a statement.
   *
   * @param envelope   canonical JSON of the signed envelope
   * @param waitSeconds how long the replica may hold the answer until the entry is committed, 0 to 30
   * @throws {TransportError} `STATUS` 409 (bound to something else), 422 (refused), 429, 5xx
   */
  async submit(
    envelope: string,
    waitSeconds: number,
    signal: AbortSignal,
  ): Promise<SubmissionStatus> {
    const { body } = await this.#http.exchange({
      method: 'POST',
      url: `${this.url}/v1/entries?wait=${waitSeconds}`,
      contentType: 'application/json',
      body: envelope,
      bytesMax: STATUS_BYTES_MAX,
      timeoutMs: (waitSeconds + 10) * 1000,
      statuses: [200, 202],
      signal,
    });
    return readStatus(body);
  }

  /**
   * Submits a statement together with small artifacts that it names, in one request.
   *
   * @param artifacts at most 64, each at most `PARCEL_ARTIFACT_BYTES_MAX`
   * @returns `undefined` from a replica that takes no such requests; nothing has happened then
   * @throws {TransportError} as `submit`, also when an artifact was refused
   */
  async submitWith(
    artifacts: readonly ParcelArtifact[],
    envelope: string,
    waitSeconds: number,
    signal: AbortSignal,
  ): Promise<SubmissionStatus | undefined> {
    const { status, body } = await this.#http.exchange({
      method: 'POST',
      url: `${this.url}/v1/submissions?wait=${waitSeconds}`,
      contentType: 'application/octet-stream',
      body: formatSubmissionParcel([{ artifacts, envelope: utf8(envelope) }]),
      bytesMax: PARCEL_RESULTS_BYTES_MAX,
      timeoutMs: ARTIFACT_TIMEOUT_MS,
      statuses: [200, ...NO_PARCELS],
      signal,
    });
    return status === 200 ? readResult(body) : undefined;
  }

  /**
   * Hands a signed release to co-maintainers.
   *
   * @param envelope canonical JSON
   * @returns how many maintainers' signatures it has there now; unchecked
   * @throws {TransportError} `STATUS` 409 or 422 (could never be logged), 429, 503
   */
  async postProposal(envelope: string, signal: AbortSignal): Promise<number> {
    const { body } = await this.#http.exchange({
      method: 'POST',
      url: `${this.url}/v1/proposals`,
      contentType: 'application/json',
      body: envelope,
      bytesMax: STATUS_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    const { value } = parseForeignJson(body, { lengthMax: STATUS_BYTES_MAX });
    return new ObjectReader(value, '').integer('signatures', 0);
  }

  /** Releases of a package that wait for signatures. Nothing about them is checked here. */
  async proposals(name: string, signal: AbortSignal): Promise<readonly Envelope[]> {
    return await this.#envelopes(`/v1/proposals?package=${encodeURIComponent(name)}`, signal);
  }

  /** One of them, by the hash of its payload; `undefined` when it is not there. */
  async proposal(id: string, signal: AbortSignal): Promise<Envelope | undefined> {
    try {
      const [found] = await this.#envelopes(`/v1/proposals/${id}`, signal);
      return found;
    } catch (error) {
      if (error instanceof TransportError && error.status === 404) return undefined;
      throw error;
    }
  }

  async #envelopes(path: string, signal: AbortSignal): Promise<readonly Envelope[]> {
    const { body } = await this.#http.exchange({
      method: 'GET',
      url: this.url + path,
      bytesMax: PROPOSALS_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    const document = parseCanonicalJson(body, PROPOSALS_BYTES_MAX);
    return readArray(document, 'proposals', PROPOSALS_MAX, readEnvelope);
  }

  /** Ids of the proofs of misbehaviour that it keeps. */
  async misbehaviour(signal: AbortSignal): Promise<readonly string[]> {
    const { body } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/v1/misbehaviour`,
      bytesMax: REPORTS_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    return readIds(body, 'reports', REPORT_ID_PATTERN);
  }

  /** One of these proofs. It is *not* checked here. */
  async misbehaviourDocument(id: string, signal: AbortSignal): Promise<Uint8Array> {
    const { body } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/v1/misbehaviour/${id}`,
      bytesMax: REPORT_BYTES_MAX,
      timeoutMs: EVIDENCE_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    return body;
  }

  /** Ids of the heads that its log never had and that somebody was shown. */
  async contradictions(signal: AbortSignal): Promise<readonly string[]> {
    const { status, body } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/v1/contradictions`,
      bytesMax: REPORTS_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200, 404],
      signal,
    });
    // A replica that does not keep any yet.
    if (status === 404) return [];
    return readIds(body, 'contradictions', CONTRADICTION_ID_PATTERN);
  }

  /**
   * Hands it a checkpoint note that somebody was shown.
   *
   * @throws {TransportError} `STATUS` 422 when none of the log's replicas signed it, 429, 503 (its log is not
   *         that long yet, or it keeps enough of this kind)
   */
  async reportHead(note: string, signal: AbortSignal): Promise<HeadStatus> {
    const { body } = await this.#http.exchange({
      method: 'POST',
      url: `${this.url}/v1/contradictions`,
      contentType: 'text/plain',
      body: note,
      bytesMax: STATUS_BYTES_MAX,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    const { value } = parseForeignJson(body, { lengthMax: STATUS_BYTES_MAX });
    const reader = new ObjectReader(value, '');
    const kind = reader.oneOf('status', ['kept', 'consistent'] as const);
    if (kind === 'consistent') return { kind };
    const id = reader.string('id', 200);
    if (CONTRADICTION_ID_PATTERN.test(id)) return { kind, id };
    throw new TransportError('PROTOCOL', `${quote(id)} is no name of a contradiction`);
  }

  /** The proof about one of them. It is *not* checked here. */
  async contradictionDocument(id: string, signal: AbortSignal): Promise<Uint8Array> {
    const { body } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/v1/contradictions/${id}`,
      bytesMax: REPORT_BYTES_MAX,
      timeoutMs: EVIDENCE_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    return body;
  }

  /** Whether it has the artifact. */
  async hasArtifact(sha512Hex: string, signal: AbortSignal): Promise<boolean> {
    const { status } = await this.#http.exchange({
      method: 'HEAD',
      url: `${this.url}/v1/artifacts/${sha512Hex}`,
      bytesMax: 0,
      timeoutMs: SMALL_TIMEOUT_MS,
      statuses: [200, 404],
      signal,
    });
    return status === 200;
  }

  /** Uploads an artifact. */
  async putArtifact(sha512Hex: string, bytes: Uint8Array, signal: AbortSignal): Promise<void> {
    await this.#http.exchange({
      method: 'PUT',
      url: `${this.url}/v1/artifacts/${sha512Hex}`,
      contentType: 'application/octet-stream',
      body: bytes,
      bytesMax: STATUS_BYTES_MAX,
      timeoutMs: ARTIFACT_TIMEOUT_MS,
      statuses: [200, 201, 204],
      signal,
    });
  }

  /**
   * Fetches the bytes that it has under a digest. They are *not* checked here.
   *
   * @param bytesMax the size that the signed statement gives: more is never read
   */
  async artifact(sha512Hex: string, bytesMax: number, signal: AbortSignal): Promise<Uint8Array> {
    const { body } = await this.#http.exchange({
      method: 'GET',
      url: `${this.url}/v1/artifacts/${sha512Hex}`,
      bytesMax: Math.min(bytesMax, ARTIFACT_BYTES_MAX),
      timeoutMs: ARTIFACT_TIMEOUT_MS,
      statuses: [200],
      signal,
    });
    return body;
  }
}

function readStatus(body: Uint8Array): SubmissionStatus {
  // Diagnostic and unsigned, so it need not be canonical.
  const { value } = parseForeignJson(body, { lengthMax: STATUS_BYTES_MAX });
  return statusIn(new ObjectReader(value, ''));
}

/** The one result of a request with one submission. */
function readResult(body: Uint8Array): SubmissionStatus {
  const { value } = parseForeignJson(body, { lengthMax: PARCEL_RESULTS_BYTES_MAX });
  const reader = new ObjectReader(value, '');
  const [result] = reader.array('results', 1, (each, path) => new ObjectReader(each, path));
  if (result === undefined) throw new TransportError('PROTOCOL', 'answered nothing');
  const status = result.integer('http', 100, 599);
  if (status === 200 || status === 202) return statusIn(result);
  const error = new ObjectReader(result.required('error'), 'error');
  const remote = {
    code: error.string('code', REFUSAL_LENGTH_MAX),
    message: error.string('message', REFUSAL_LENGTH_MAX),
  };
  throw new TransportError('STATUS', `answered ${status}`, { status, remote });
}

function statusIn(reader: ObjectReader): SubmissionStatus {
  const id = reader.string('id', 64);
  const status = reader.oneOf('status', ['committed', 'pending'] as const);
  if (status === 'pending') return { kind: 'pending', id };
  return { kind: 'committed', id, index: reader.integer('index', 0) };
}

// The list is unsigned, so it need not be canonical; ids become paths, so they have one form.
function readIds(body: Uint8Array, field: string, pattern: RegExp): readonly string[] {
  const { value } = parseForeignJson(body, { lengthMax: REPORTS_BYTES_MAX });
  const reader = new ObjectReader(value, '');
  return reader.array(field, REPORTS_MAX, (each, path) => {
    const id = new ObjectReader(each, path).string('id', 200);
    if (!pattern.test(id)) {
      throw new TransportError('PROTOCOL', `${path}: ${quote(id)} is no name of a report`);
    }
    return id;
  });
}

/** Whether a replica says that its log has no checkpoint yet. */
export function isNotReady(error: unknown): boolean {
  return error instanceof TransportError && error.remote?.code === 'NOT_READY';
}

/** Whether a refusal is the log's decision, so that asking another replica is of no use. */
export function isRuling(error: unknown): error is TransportError {
  return error instanceof TransportError && (error.status === 409 || error.status === 422);
}
