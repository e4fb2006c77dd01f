// What the core asks of the ledger: build a batch, check one, admit requests, serve old batches. Each
// waits in the lane behind the writes before it; fetching artifacts happens outside the lane, so that a
// slow peer never holds up a vote.
import { VerifyError } from '../../verifier/errors.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { isOverloaded } from '../../verifier/node/signature-pool.ts';
import { sha256Hex } from '../../verifier/sha256.ts';
import { collectBatches } from '../consensus/catch-up.ts';
import type {
  AdmitRequest,
  BuildRequest,
  CheckRequest,
  CheckResult,
  CommittedRecord,
  Input,
  LookAheadRequest,
  Message,
  PeerId,
  Request,
  ServeRequest,
} from '../consensus/types.ts';
import type {
  Admission,
  Application,
  Asker,
  BatchLimits,
  BuiltBatch,
  Refusal,
} from '../ledger/application.ts';
import { refusalOf } from '../ledger/ledger-application.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import { LruMap } from '../lru.ts';
import type { ArtifactFetcher, Holder } from './artifact-fetcher.ts';
import { HolderTurns } from '../http/holder-turns.ts';
import type { Lane } from './lane.ts';

/** Bytes of batches in one answer: half of the largest message. */
const SERVE_BYTES_MAX: number = 4 * 1024 * 1024;

/**
 * How often a voter goes on waiting for the rest of a batch's artifacts after some have come. With a second
 * of patience each, that is the longest view timer.
 */
const FETCH_ROUNDS_MAX = 128;

/**
 * Pause after an answer, in times of what making it took: one peer gets a fourth of this thread at most.
 * One that really is behind needs longer to execute what it got.
 */
const SERVE_PAUSE_FACTOR = 3;

/** Admissions that run at one time: their signatures are checked together by the pool. */
const ADMISSIONS_AT_ONCE = 64;

/** Judgements remembered, each a hash: as many as all lanes of a pool hold in a small log. */
const JUDGED_MAX = 8192;

/** What became of a request; `unjudged` says nothing about it. */
type Verdict =
  | { readonly kind: 'accepted' | 'unjudged' }
  | { readonly kind: 'refused'; readonly refusal: Refusal | undefined };

const ACCEPTED: Verdict = { kind: 'accepted' };
const UNJUDGED: Verdict = { kind: 'unjudged' };

/** Requests that are looked at ahead in one go: what is to be voted on has its turn after so many. */
const AHEAD_AT_ONCE = 32;

interface Judged {
  /** Of the state that it was judged on, at least. */
  readonly height: number;
  readonly verdict: Promise<Verdict>;
}

/**
 * What says nothing about a request but that its turn has not come. Everything else leaves the pool, also
 * what an hour may heal: at the head of its lane it would be executed again with every batch, and a
 * package above its rate would fill lanes with what nobody may take. Its publisher sends it again.
 */
const FOR_THE_NEXT_BATCH: ReadonlySet<Refusal['code']> = new Set<Refusal['code']>([
  'ROSTER_NOT_ALONE',
  'STATE_MOVED',
]);

/** What the work is done with. */
export interface LedgerWorkParts {
  readonly application: Application;
  readonly store: {
    batches(fromHeight: number, bytesMax: number): Promise<readonly CommittedRecord[]>;
  };
  readonly lane: Lane;
  readonly fetcher: ArtifactFetcher;
  /** Everybody who may hold an artifact, the given peers first. */
  readonly holders: (first: readonly PeerId[]) => readonly Holder[];
  readonly limits: BatchLimits;
  readonly wallMs: () => number;
  /** Of the last durable batch. */
  readonly height: () => number;
  /** How long a voter waits without getting any missing artifact before it gives the proposal up. */
  readonly artifactPatienceMs: number;
  /** A request left the pool because it breaks a rule now. */
  readonly refused: (id: string, refusal: Refusal) => void;
  readonly failed: (error: unknown) => void;
  readonly log: Log;
}

type Answer = (input: Input) => void;

/** Does the core's errands at the ledger. */
export class LedgerWork {
  readonly #parts: LedgerWorkParts;
  /** Peers whose question for batches is being answered, or was a moment ago. */
  readonly #serving = new Set<PeerId>();
  /** What is to be looked at ahead; no more than a batch. */
  #ahead: { readonly envelope: Uint8Array; readonly from: PeerId }[] = [];
  #isLookingAhead = false;
  readonly #judged = new LruMap<string, Judged>(JUDGED_MAX);
  // Of each peer as much waits as the core has it admit at one time: what its lane in the pool takes. Of clients as
  // many as have a place in admission (http/admissions.ts); however many they are, peers' turns are others.
  readonly #turns = { peer: new HolderTurns(), client: new HolderTurns() };

  constructor(parts: LedgerWorkParts) {
    this.#parts = parts;
  }

  /** Builds a batch and answers `built`. */
  build(request: BuildRequest, answer: Answer): void {
    this.#do(async () => {
      const { application, lane, limits, wallMs, refused } = this.#parts;
      const timeMs = Math.max(wallMs(), request.parentTimestampMs + 1);
      const built = await lane
        .run(() => application.build(request.requests, timeMs, limits))
        .catch(nothingWhenOverloaded);
      const dropped = built.refused.filter(({ refusal }) => !FOR_THE_NEXT_BATCH.has(refusal.code));
      for (const { id, refusal } of dropped) refused(id, refusal);
      answer({
        kind: 'built',
        token: request.token,
        result: { proposal: built.proposal, refused: dropped.map(({ id }) => id) },
      });
    });
  }

  /** Checks a body and answers `checked`; missing artifacts are fetched first, within a bound. */
  check(request: CheckRequest, answer: Answer): void {
    this.#do(async () => {
      const result = await this.#validate(request);
      answer({ kind: 'checked', token: request.token, result });
    });
  }

  async #validate(request: CheckRequest): Promise<CheckResult> {
    const { application, lane, limits } = this.#parts;
    const { header, body, decided } = request;
    const artifacts = decided ? 'skip' : 'held';
    const validate = (): ReturnType<Application['validate']> =>
      lane.run(() => application.validate(header, body, limits, { artifacts }));
    try {
      return await this.#validateHolding(validate, request);
    } catch (error) {
      // Signatures that could not be checked are no reason to end, nor to call the batch invalid: whoever
      // manages to fill the queue would end every replica with it.
      if (isOverloaded(error)) return { kind: 'unavailable', reason: describeError(error) };
      throw error;
    }
  }

  async #validateHolding(
    validate: () => ReturnType<Application['validate']>,
    request: CheckRequest,
  ): Promise<CheckResult> {
    const { fetcher, holders, artifactPatienceMs } = this.#parts;
    let validation = await validate();
    let missingBefore = Number.POSITIVE_INFINITY;
    for (let round = 0; round < FETCH_ROUNDS_MAX && !validation.ok; round++) {
      const { missingArtifacts } = validation;
      // As long as they keep coming, giving up would only make the next leader propose what can't be voted
      // for either. Whoever lets them trickle in is stopped by the view timer, which doubles.
      if (missingArtifacts.length === 0 || missingArtifacts.length >= missingBefore) break;
      missingBefore = missingArtifacts.length;
      await fetcher.fetch(missingArtifacts, holders(request.holders), artifactPatienceMs);
      validation = await validate();
    }
    if (validation.ok) {
      const { ids, nextRoster } = validation;
      return { kind: 'valid', ids, nextRoster };
    }
    const { code, reason, missingArtifacts } = validation;
    // Missing bytes say nothing about the proposal: another replica may have them.
    const kind = missingArtifacts.length > 0 ? 'unavailable' : 'invalid';
    return { kind, reason: `${code}: ${reason}` };
  }

  /** Judges requests that a peer handed on (or pooled ones again) and answers `admitted`. */
  admit(request: AdmitRequest, answer: Answer): void {
    this.#do(async () => {
      const { lane, recheck, requests } = request;
      const accepted: Request[] = [];
      const refused: string[] = [];
      for (let start = 0; start < requests.length; start += ADMISSIONS_AT_ONCE) {
        const part = requests.slice(start, start + ADMISSIONS_AT_ONCE);
        const asker: Asker | undefined = recheck ? undefined : { kind: 'peer', name: lane };
        const verdicts = await Promise.all(part.map((one) => this.#admitOne(one, lane, asker)));
        for (const [i, verdict] of verdicts.entries()) {
          const one = part[i];
          if (one === undefined) continue;
          if (verdict?.kind === 'accepted') accepted.push(one);
          // A pooled one that nobody has judged stays in the pool; a new one is sent again by its owner.
          else if (verdict?.kind === 'refused' || !recheck) refused.push(one.id);
          // Only what leaves this pool: a statement's id says nothing of its signatures, and a peer that sends
          // it with bad ones would have us tell its publisher that it is refused, while it is being committed.
          if (recheck && verdict?.kind === 'refused') this.#tell(one.id, verdict.refusal);
        }
      }
      answer({ kind: 'admitted', answer: { lane, recheck, accepted, refused } });
    });
  }

  /** Judges a request once at each height, however many peers hand it in: they relay what waits. */
  #admitOne(request: Request, from: PeerId, asker: Asker | undefined): Promise<Verdict> {
    const name = `${request.id}/${sha256Hex(request.bytes)}`;
    const height = this.#parts.height();
    const known = this.#judged.get(name);
    if (known?.height === height) {
      // A flood that costs one peer its turn must not cost another one the same request.
      return known.verdict.then((verdict) =>
        verdict.kind === 'unjudged' ? this.#judge(request, from, asker) : verdict,
      );
    }
    const verdict = this.#judge(request, from, asker);
    const judged = { height, verdict };
    this.#judged.set(name, judged);
    // Only what was accepted is remembered: a refusal may be over in a moment.
    const forget = (): void => {
      if (this.#judged.get(name) === judged) this.#judged.delete(name);
    };
    verdict.then(({ kind }) => (kind === 'accepted' ? undefined : forget()), forget);
    return verdict;
  }

  #tell(id: string, refusal: Refusal | undefined): void {
    if (refusal !== undefined) this.#parts.refused(id, refusal);
  }

  async #judge(request: Request, from: PeerId, asker: Asker | undefined): Promise<Verdict> {
    try {
      const admission = await this.admitEnvelope(request.bytes, [from], asker);
      // The id is the peer's word until it is computed.
      const isIt = admission.kind === 'accepted' && admission.request.id === request.id;
      return isIt ? ACCEPTED : { kind: 'refused', refusal: undefined };
    } catch (error) {
      if (isOverloaded(error)) return UNJUDGED;
      if (!(error instanceof LedgerError || error instanceof VerifyError)) throw error;
      // Also what is only refused for now: a pool must hold nothing that a leader may rightly leave
      // out, or an honest leader would be suspected of censoring it. Its publisher sends it again.
      this.#parts.log.debug('entry_refused', { id: request.id, reason: describeError(error) });
      return { kind: 'refused', refusal: refusalOf(error) };
    }
  }

  /**
   * Admits a submission; artifacts that it names and that other replicas have are fetched first.
   *
   * @param first peers that probably have them
   * @param asker whose turn it is to have signatures checked; this replica's own when absent
   * @throws {LedgerError} a rule is broken
   * @throws {VerifyError} malformed or badly signed
   * @throws {SignaturePoolError} `POOL_OVERLOADED`: not judged
   */
  async admitEnvelope(
    envelope: Uint8Array,
    first: readonly PeerId[],
    asker?: Asker,
  ): Promise<Admission> {
    const { lane, fetcher, holders, artifactPatienceMs } = this.#parts;
    await lane.idle();
    try {
      return await this.#admitInTurn(envelope, asker);
    } catch (error) {
      const isMissing = error instanceof LedgerError && error.code === 'ARTIFACT_MISSING';
      if (!isMissing || error.artifacts.length === 0) throw error;
      const wait = artifactPatienceMs;
      const held = await fetcher.fetch(error.artifacts, holders(first), wait, 'submission');
      if (!held) throw error;
      return this.#admitInTurn(envelope, asker);
    }
  }

  #admitInTurn(envelope: Uint8Array, asker: Asker | undefined): Promise<Admission> {
    const { application } = this.#parts;
    const admit = (): Promise<Admission> => application.admit(envelope, asker);
    if (asker === undefined) return admit();
    return this.#turns[asker.kind].run(asker.name, envelope.length, admit);
  }

  /**
   * Reads committed batches for a peer that is behind: one answer at a time for each, and then a pause
   * in which it gets none. Not in the lane, where 4 MiB for each question of a few bytes would let one
   * faulty peer hold every vote of this replica up. A question that is dropped is asked again (S1).
   */
  serve(request: ServeRequest, send: (message: Message) => void): void {
    const { to, fromHeight } = request;
    if (this.#serving.has(to)) return;
    this.#serving.add(to);
    this.#do(async () => {
      const { lane, store } = this.#parts;
      // What is committed now is readable once the writes before this question are durable.
      await lane.idle();
      const startMs = performance.now();
      const found = await store.batches(fromHeight, SERVE_BYTES_MAX);
      const message = collectBatches(found);
      if (message !== undefined) send(message);
      const pauseMs = (performance.now() - startMs) * SERVE_PAUSE_FACTOR;
      setTimeout(() => this.#serving.delete(to), pauseMs).unref();
    });
  }

  /**
   * Checks the signatures of what a leader will probably propose, and fetches its artifacts: the batch is
   * then checked faster, and no vote waits for them. A few at a time, and what is more than a batch is
   * dropped: whatever a leader sends, what others wait for goes on beside it. Nothing of it counts. The next
   * ones are not looked at before the artifacts of these are here, or no longer waited for: a leader who has
   * whoever holds them stall must not fill the fetcher with one batch's names after another.
   */
  lookAhead({ from, requests }: LookAheadRequest): void {
    const room = Math.max(0, this.#parts.limits.entriesMax - this.#ahead.length);
    this.#ahead.push(...requests.slice(0, room).map(({ bytes }) => ({ envelope: bytes, from })));
    if (this.#isLookingAhead) return;
    this.#isLookingAhead = true;
    this.#do(async () => {
      while (this.#ahead.length > 0) {
        const part = this.#ahead.splice(0, AHEAD_AT_ONCE);
        await Promise.all(part.map(({ envelope, from: peer }) => this.#lookAt(envelope, peer)));
      }
      this.#isLookingAhead = false;
    });
  }

  async #lookAt(envelope: Uint8Array, from: PeerId): Promise<void> {
    const { application, fetcher, holders, artifactPatienceMs } = this.#parts;
    try {
      await application.admit(envelope, { kind: 'peer', name: from });
    } catch (error) {
      if (error instanceof VerifyError || isOverloaded(error)) return;
      if (!(error instanceof LedgerError)) throw error;
      if (error.code !== 'ARTIFACT_MISSING' || error.artifacts.length === 0) return;
      // As submissions are: of the places and of what waits for one, what strangers name has a share, and the
      // rest is kept for votes.
      const wait = artifactPatienceMs;
      await fetcher.fetch(error.artifacts, holders([from]), wait, 'submission');
    }
  }

  #do(task: () => Promise<void>): void {
    task().catch((error: unknown) => this.#parts.failed(error));
  }
}

/** Nothing is proposed of what could not be checked; it is drawn again. @throws any other error */
function nothingWhenOverloaded(error: unknown): BuiltBatch {
  if (isOverloaded(error)) return { proposal: undefined, refused: [] };
  throw error;
}
