// What one step asks of the driver, and what still waits for a disk.
//
// Persist before sign (C1) is enforced here, once: every signature request and every piece of news is
// held back until the driver says that the writes of its step, and all before, are durable.
import { assert } from '../../verifier/errors.ts';
import type { CosignMessage, Message, PeerId } from '../../verifier/replication/messages.ts';
import type {
  AdmitRequest,
  BuildRequest,
  CheckRequest,
  CommittedBatch,
  CoreEvent,
  CosignedCheckpoint,
  IgnoreReason,
  LookAheadRequest,
  Misbehaviour,
  Outbound,
  Ready,
  ServeRequest,
  SignRequest,
  Write,
} from './types.ts';

/** Effects that wait for the records of their step to be durable. */
interface Held {
  readonly token: number;
  readonly sign: readonly SignRequest[];
  readonly committed: readonly CommittedBatch[];
  readonly contradicted: readonly CosignMessage[];
}

/** Effects that may leave at once. */
interface Basket {
  readonly sign: SignRequest[];
  readonly send: Outbound[];
  build: BuildRequest | undefined;
  readonly check: CheckRequest[];
  readonly admit: AdmitRequest[];
  readonly serve: ServeRequest[];
  readonly lookAhead: LookAheadRequest[];
  readonly committed: CommittedBatch[];
  readonly contradicted: CosignMessage[];
  cosigned: CosignedCheckpoint | undefined;
  readonly evidence: Misbehaviour[];
  readonly events: CoreEvent[];
  ignored: IgnoreReason | undefined;
}

function emptyBasket(): Basket {
  return {
    sign: [],
    send: [],
    build: undefined,
    check: [],
    admit: [],
    serve: [],
    lookAhead: [],
    committed: [],
    contradicted: [],
    cosigned: undefined,
    evidence: [],
    events: [],
    ignored: undefined,
  };
}

/** The effects of the step in progress and of those before that are not durable yet. */
export class Effects {
  #basket = emptyBasket();
  // These wait for the writes of the step.
  #writes: Write[] = [];
  #sign: SignRequest[] = [];
  #committed: CommittedBatch[] = [];
  #contradicted: CosignMessage[] = [];

  #tokens = 0;
  #durableToken = 0;
  // As long as the driver's disk is behind; at most a few batches, for a height needs its records.
  #held: Held[] = [];

  nextToken(): number {
    this.#tokens += 1;
    return this.#tokens;
  }

  write(...writes: readonly Write[]): void {
    this.#writes.push(...writes);
  }

  /** Leaves once everything written so far is durable. */
  sign(request: SignRequest): void {
    this.#sign.push(request);
  }

  /** Told once everything written so far is durable (P6). */
  announce(batch: CommittedBatch): void {
    this.#committed.push(batch);
  }

  /** Told once everything written so far is durable: until then the log may not be known to go so far. */
  contradict(message: CosignMessage): void {
    this.#contradicted.push(message);
  }

  send(to: readonly PeerId[], message: Message): void {
    if (to.length > 0) this.#basket.send.push({ to, message });
  }

  build(request: BuildRequest): void {
    assert(this.#basket.build === undefined, 'one batch is built at a time');
    this.#basket.build = request;
  }

  check(request: CheckRequest): void {
    this.#basket.check.push(request);
  }

  admit(request: AdmitRequest): void {
    this.#basket.admit.push(request);
  }

  serve(request: ServeRequest): void {
    this.#basket.serve.push(request);
  }

  lookAhead(request: LookAheadRequest): void {
    this.#basket.lookAhead.push(request);
  }

  cosigned(checkpoint: CosignedCheckpoint): void {
    this.#basket.cosigned = checkpoint;
  }

  report(evidence: Misbehaviour): void {
    this.#basket.evidence.push(evidence);
  }

  event(event: CoreEvent): void {
    this.#basket.events.push(event);
  }

  ignore(reason: IgnoreReason): void {
    this.#basket.ignored = reason;
  }

  /**
   * All writes up to this token are durable.
   *
   * @param stillStands asked again for each signature, for the world may have moved on meanwhile
   */
  protected release(token: number, stillStands: (request: SignRequest) => boolean): void {
    assert(token > this.#durableToken, 'each token is durable once, in order');
    this.#durableToken = token;
    const count = this.#held.filter((held) => held.token <= token).length;
    for (const { sign, committed, contradicted } of this.#held.splice(0, count)) {
      this.#basket.sign.push(...sign.filter(stillStands));
      this.#basket.committed.push(...committed);
      this.#basket.contradicted.push(...contradicted);
    }
  }

  /**
   * The end of a step: its writes as one request, and everything that may leave now.
   *
   * @param mustWait false only for a mutant
   */
  protected collect(stillStands: (request: SignRequest) => boolean, mustWait: boolean): Ready {
    const writes = this.#writes;
    const persist = writes.length > 0 ? { token: this.nextToken(), writes } : undefined;
    const waitsFor = persist?.token ?? this.#held.at(-1)?.token ?? this.#durableToken;
    const [sign, committed, contradicted] = [this.#sign, this.#committed, this.#contradicted];
    if (mustWait && waitsFor > this.#durableToken) {
      // Also with nothing to sign: a later step without writes of its own waits for this one.
      if (persist !== undefined || sign.length + committed.length + contradicted.length > 0) {
        this.#held.push({ token: waitsFor, sign, committed, contradicted });
      }
    } else {
      this.#basket.sign.push(...sign.filter(stillStands));
      this.#basket.committed.push(...committed);
      this.#basket.contradicted.push(...contradicted);
    }
    const ready: Ready = { persist, ...this.#basket };
    this.clearEffects();
    return ready;
  }

  /**
   * The end of a step that has halted the replica: news only. Nothing is written, because a step that
   * broke off in the middle may have forgotten promises in memory that the disk still keeps (N12).
   */
  protected collectHalted(): Ready {
    const { events, evidence, ignored } = this.#basket;
    const ready: Ready = { persist: undefined, ...emptyBasket(), events, evidence, ignored };
    this.clearEffects();
    return ready;
  }

  /** Forgets the effects of the step in progress. */
  clearEffects(): void {
    this.#basket = emptyBasket();
    this.#writes = [];
    this.#sign = [];
    this.#committed = [];
    this.#contradicted = [];
  }
}
