// The ledger as the consensus driver sees it: submissions are admitted, batches built and checked, all
// on the state after the last durable batch. Committing is the store's.
import { createHash } from 'node:crypto';

import { ownBytes } from '../../verifier/bytes.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { buildBatch, executeBatch, type BatchExecution } from '../../verifier/ledger/batch.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { requireEntryFits } from '../../verifier/ledger/statement-entry.ts';
import { checkSubmission, loggedIndex } from '../../verifier/ledger/judge.ts';
import { readSubmission } from '../../verifier/ledger/submission.ts';
import { ROSTER_PAYLOAD_TYPE } from '../../verifier/roster.ts';
import { runPlan, type SignatureVerifier } from '../../verifier/signatures.ts';
import { bodyHash, headerDigest } from '../../verifier/replication/encode.ts';
import type { Body, Digest, Header } from '../consensus/types.ts';
import type { LedgerState } from '../store/ledger-state.ts';
import type {
  Admission,
  Application,
  Asker,
  BatchContent,
  BatchLimits,
  BuiltBatch,
  LedgerRequest,
  Refusal,
  Tip,
  Validation,
} from './application.ts';
import { artifactRefusal, type ArtifactIndex } from './artifact-check.ts';
import { openBody, requireHeader, requireOutcome } from './batch-check.ts';
import { EnvelopeCache } from './envelope-cache.ts';
import type { Executions } from './executions.ts';
import { CachingVerifier } from './signature-cache.ts';

/** What the application works with. */
export interface ApplicationParts {
  /** Of this replica's log. */
  readonly state: LedgerState;
  readonly artifacts: ArtifactIndex;
  readonly executions: Executions;
  readonly verifier: SignatureVerifier;
  /** For what somebody hands in; `verifier` unless given. */
  readonly verifierOf?: ((asker: Asker) => SignatureVerifier) | undefined;
  /** Wall clock, Unix milliseconds: only for judging rates when a submission comes in. */
  readonly nowMs: () => number;
}

/** The deterministic ledger over a replica's state. */
export class LedgerApplication implements Application {
  readonly #state: LedgerState;
  readonly #artifacts: ArtifactIndex;
  readonly #executions: Executions;
  readonly #verifier: CachingVerifier;
  readonly #verifierOf: (asker: Asker) => SignatureVerifier;
  readonly #nowMs: () => number;
  readonly #envelopes = new EnvelopeCache();

  constructor(parts: ApplicationParts) {
    const { state, artifacts, executions, verifier, verifierOf, nowMs } = parts;
    this.#state = state;
    this.#artifacts = artifacts;
    this.#executions = executions;
    this.#verifier = new CachingVerifier(verifier);
    this.#verifierOf = verifierOf ?? ((): SignatureVerifier => verifier);
    this.#nowMs = nowMs;
  }

  /** Forgets what came in: it would have to be read and verified again. */
  rest(): void {
    this.#envelopes.clear();
    this.#verifier.clear();
  }

  async tip(): Promise<Tip> {
    const { tip, header } = this.#state;
    return {
      epoch: tip.epoch,
      height: tip.height,
      size: tip.size,
      root: tip.root,
      headerDigest: headerDigest(header),
      timeMs: header.timestampMs,
      map: tip.map,
      commitLeaf: tip.commitLeaf,
    };
  }

  async admit(envelopeBytes: Uint8Array, asker?: Asker): Promise<Admission> {
    const envelope = this.#envelopes.read(envelopeBytes);
    const submission = readSubmission(envelope);
    const { id } = submission;
    const index = loggedIndex(this.#state, submission);
    if (index !== undefined) return { kind: 'committed', id, index };
    const timeSeconds = Math.max(this.#state.tip.timeSeconds, Math.floor(this.#nowMs() / 1000));
    const checked = checkSubmission(this.#state, submission, timeSeconds);
    // Whatever fits into an entry now fits later: a time has ten digits until the year 2286.
    requireEntryFits(submission, envelopeBytes, timeSeconds);
    // Before the artifacts: only somebody who may publish learns what is held, and is asked to upload.
    const verifier =
      asker === undefined ? this.#verifier : this.#verifier.asking(this.#verifierOf(asker));
    await runPlan(verifier, checked.plan);
    const refusal = artifactRefusal(checked.artifacts, this.#artifacts);
    if (refusal !== undefined) throw refusal;
    // It waits in the pool: not with all that came in one packet, or in one slab of Node's, with it.
    return { kind: 'accepted', request: { id, bytes: ownBytes(envelopeBytes) } };
  }

  async build(
    requests: readonly LedgerRequest[],
    timeMs: number,
    limits: BatchLimits,
  ): Promise<BuiltBatch> {
    const parent = this.#state.header;
    const timestampMs = Math.max(timeMs, parent.timestampMs + 1);
    const refused: { id: Digest; refusal: Refusal }[] = [];
    const rosters: Readable[] = [];
    const others: Readable[] = [];
    for (const { id, bytes } of requests) {
      try {
        const envelope = this.#envelopes.read(bytes);
        const isRoster = envelope.payloadType === ROSTER_PAYLOAD_TYPE;
        (isRoster ? rosters : others).push({ id, envelope, bytes });
      } catch (error) {
        refused.push({ id, refusal: refusalOf(error) });
      }
    }
    // A roster is alone in its batch, so behind a steady stream of others it would never get in. Only a
    // quorum can make a valid one, so nobody can use this to hold others up.
    const readable = [...rosters, ...others];
    const built = await buildBatch(
      this.#state,
      {
        height: parent.height + 1,
        timeSeconds: Math.floor(timestampMs / 1000),
        envelopes: readable.map(({ envelope }) => envelope),
        texts: readable.map(({ bytes }) => bytes),
      },
      limits,
      this.#verifier,
      ({ artifacts }) => artifactRefusal(artifacts, this.#artifacts),
    );
    for (const { position, error } of built.refused) {
      const request = readable[position];
      if (request !== undefined) refused.push({ id: request.id, refusal: refusalOf(error) });
    }
    const { execution } = built;
    if (execution === undefined) return { proposal: undefined, refused };
    const header = headerOf(execution, parent, timestampMs, this.#state.roster.origin);
    this.#executions.put(headerDigest(header), execution);
    // From here on its artifacts are promised. One that went while others were judged is not there to vote
    // for; what names it stays in the pool, and is refused for the next batch.
    if (artifactRefusal(execution.artifacts, this.#artifacts) !== undefined) {
      return { proposal: undefined, refused };
    }
    return { proposal: { header, body: execution.entries, ...contentOf(execution) }, refused };
  }

  async validate(
    header: Header,
    body: Body,
    limits: BatchLimits,
    options: { readonly artifacts: 'held' | 'skip' } = { artifacts: 'held' },
  ): Promise<Validation> {
    try {
      const execution = await this.#execute(header, body, limits);
      const refusal =
        options.artifacts === 'held'
          ? artifactRefusal(execution.artifacts, this.#artifacts)
          : undefined;
      if (refusal !== undefined) throw refusal;
      return { ok: true, ...contentOf(execution) };
    } catch (error) {
      const { code, message, artifacts } = refusalOf(error);
      const missingArtifacts = code === 'ARTIFACT_MISSING' ? artifacts : [];
      return { ok: false, code, reason: message, missingArtifacts };
    }
  }

  async #execute(header: Header, body: Body, limits: BatchLimits): Promise<BatchExecution> {
    requireHeader(header, body, this.#state);
    const digest = headerDigest(header);
    const known = this.#executions.get(digest);
    // The digest covers the body's hash, which was just compared: the same batch.
    if (known !== undefined) return known;
    const input = openBody(header, body, (bytes) => this.#envelopes.read(bytes));
    const execution = await executeBatch(this.#state, input, limits, this.#verifier);
    requireOutcome(header, body, execution);
    this.#executions.put(digest, execution);
    return execution;
  }
}

interface Readable {
  readonly id: Digest;
  readonly envelope: Envelope;
  /** What it was read from. */
  readonly bytes: Uint8Array;
}

function headerOf(
  execution: BatchExecution,
  parent: Header,
  timestampMs: number,
  origin: string,
): Header {
  return {
    origin,
    epoch: execution.epoch,
    height: execution.height,
    parent: headerDigest(parent),
    prevSize: execution.prevSize,
    size: execution.range.size,
    root: encodeHex(execution.root),
    entriesHash: bodyHash(execution.entries, () => createHash('sha256')),
    timestampMs,
    nextRoster: execution.changes.roster?.roster.hash,
  };
}

function contentOf({ changes }: BatchExecution): BatchContent {
  return { ids: changes.statements.map(({ id }) => id), nextRoster: changes.roster?.roster };
}

/** A refusal as data. @throws whatever is no refusal: a bug, or a database that fails */
export function refusalOf(error: unknown): Refusal {
  if (error instanceof LedgerError) {
    const { code, message, hint, index, artifacts, temporary } = error;
    return {
      code,
      message,
      artifacts,
      temporary,
      ...(hint === undefined ? {} : { hint }),
      ...(index === undefined ? {} : { index }),
    };
  }
  if (error instanceof VerifyError) {
    const { code, message, hint } = error;
    return {
      code,
      message,
      artifacts: [],
      temporary: false,
      ...(hint === undefined ? {} : { hint }),
    };
  }
  throw error;
}
