// Several submissions with their small artifacts in one request (verifier/submission-parcel.ts). Each of them
// is answered for itself, and each passes what it would pass alone: the pace of its sender, the share of what
// nobody has released, a place in admission. What the request itself adds is bounded here: it is read no
// faster than artifacts are stored.
import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';

import { ownBytes } from '../../verifier/bytes.ts';
import { VerifyError } from '../../verifier/errors.ts';
import {
  PARCEL_BODY_BYTES_MAX,
  PARCEL_SUBMISSIONS_MAX,
  SubmissionParcelReader,
} from '../../verifier/submission-parcel.ts';
import type { ArtifactPut } from '../store/artifact-store.ts';
import { answerSubmission, goneSignal, readWait } from './admissions.ts';
import { isAnnouncedWithin, parcelBody } from './body.ts';
import { HttpError, refusalOf, type ErrorAnswer } from './errors.ts';
import {
  SMALL_PARCEL_BYTES_MAX,
  SUBMISSION_PARCELS_MAX,
  SUBMISSION_PARCELS_PER_ADDRESS_MAX,
  SUBMISSION_PARCEL_HELD_MAX,
} from './limits.ts';
import type { PublicApp, RouteContext } from './routes.ts';
import { askerOf, incomingOf, json } from './routes.ts';
import { YieldingGate } from './yielding-gate.ts';

/** What is said of one submission. `http` is the status that it would have alone. */
type Result = { readonly http: number; readonly retryAfter?: number } & object;

/** What is done with what comes. */
interface ParcelWork {
  /** Throws when the sender has written too much lately. @throws {HttpError} */
  readonly allow: () => void;
  readonly store: (sha512: string, bytes: Uint8Array) => Promise<ArtifactPut>;
  readonly submit: (envelope: Uint8Array) => Promise<Result>;
  /** What is said of a submission that was refused. */
  readonly refused: (thrown: unknown) => Result;
}

/** Adds POST /v1/submissions. */
export function submissionRoutes(
  app: PublicApp,
  { uploads, admissions, log, allowWrite }: RouteContext,
): void {
  const parcels = new YieldingGate({
    max: SUBMISSION_PARCELS_MAX,
    perHolder: SUBMISSION_PARCELS_PER_ADDRESS_MAX,
    takesOnly: false,
  });

  app.post('/v1/submissions', async (c) => {
    const incoming = incomingOf(c);
    // Also of a request in which nothing can be read.
    allowWrite(incoming);
    const waitSeconds = readWait(c.req.query('wait'));
    const network = askerOf(c);
    const gone = goneSignal(c);
    // Each of them listens: a number of listeners, and no leak.
    setMaxListeners(PARCEL_SUBMISSIONS_MAX, gone);
    let isPaid = true;
    const isSmall = isAnnouncedWithin(incoming, SMALL_PARCEL_BYTES_MAX);
    const reading = new ParcelReading(isSmall ? 1 : SUBMISSION_PARCEL_HELD_MAX, {
      allow: () => {
        // The first frame's was taken above.
        if (!isPaid) allowWrite(incoming);
        isPaid = false;
      },
      store: (sha512, bytes) => uploads.takeRead(network, sha512, bytes),
      submit: async (envelope) => {
        const state = await admissions.submit(envelope, waitSeconds, gone, network);
        const said = answerSubmission(state);
        return said.kind === 'taken' ? { http: said.status, ...said.body } : resultOf(said.answer);
      },
      refused: (thrown) => resultOf(refusalOf(thrown, log)),
    });
    const gate = isSmall ? uploads.small : parcels;
    const done = await gate.run(network, (taken) => reading.read(incoming, taken));
    if (done === undefined) {
      throw new HttpError(503, 'BUSY', 'too many requests with several submissions', 1);
    }
    const results = await Promise.all(reading.results);
    const { value: end } = done;
    if (end !== undefined && results.length === 0) throw end;
    const error = end === undefined ? {} : { error: resultOf(refusalOf(end, log)) };
    return json({ results, ...error }, 200, { 'cache-control': 'no-store' });
  });
}

function resultOf({ status, headers, body }: ErrorAnswer): Result {
  const retryAfter = headers['retry-after'];
  return {
    http: status,
    ...(retryAfter === undefined ? {} : { retryAfter: Number(retryAfter) }),
    ...(JSON.parse(body) as object),
  };
}

/** One request, as it is read. */
class ParcelReading {
  /** Of the submissions that came whole, in order. None of them is rejected. */
  readonly results: Promise<Result>[] = [];
  readonly #heldMax: number;
  readonly #work: ParcelWork;
  readonly #reader = new SubmissionParcelReader();
  /** Artifacts of the submission whose envelope has not come. */
  #stored: Promise<unknown>[] = [];
  /** Frames that are held. */
  #held = 0;
  #wake: () => void = () => undefined;

  /** @param heldMax frames that it may hold */
  constructor(heldMax: number, work: ParcelWork) {
    this.#heldMax = heldMax;
    this.#work = work;
  }

  /**
   * Reads a request, and begins what it asks for.
   *
   * @returns when its artifacts are stored or refused: why it could not be read to its end, if so. What came
   *          before that counts
   */
  async read(incoming: IncomingMessage, taken: AbortSignal): Promise<HttpError | undefined> {
    try {
      return await this.#readAll(incoming, taken);
    } finally {
      // However it ended: whoever hung up would give its place back, and fill it anew, while these are stored.
      while (this.#held > 0) await this.#left();
    }
  }

  async #readAll(incoming: IncomingMessage, taken: AbortSignal): Promise<HttpError | undefined> {
    try {
      for await (const chunk of parcelBody(incoming, PARCEL_BODY_BYTES_MAX, taken)) {
        for (const frame of this.#reader.push(chunk)) {
          while (this.#held >= this.#heldMax) await this.#left();
          if (frame.kind === 'artifact') this.#store(frame.sha512, frame.bytes);
          // Its own bytes: the pool keeps them, and would keep everything that came with them.
          else this.#submit(ownBytes(frame.bytes));
        }
      }
      this.#reader.end();
      return undefined;
    } catch (error) {
      if (error instanceof HttpError) return error;
      if (!(error instanceof VerifyError)) throw error;
      return new HttpError(400, 'REQUEST_MALFORMED', error.message);
    }
  }

  #store(sha512: string, bytes: Uint8Array): void {
    const stored = this.#holding(async () => {
      this.#work.allow();
      await this.#work.store(sha512, bytes);
    });
    // Looked at when the envelope has come, which may be never.
    stored.catch(() => undefined);
    this.#stored.push(stored);
  }

  #submit(envelope: Uint8Array): void {
    const stored = this.#stored;
    this.#stored = [];
    const ready = this.#holding(async () => {
      this.#work.allow();
      // As alone: who could not upload an artifact does not submit.
      await Promise.all(stored);
    });
    const result = ready.then(() => this.#work.submit(envelope));
    this.results.push(result.catch((error: unknown) => this.#work.refused(error)));
  }

  async #holding(work: () => Promise<void>): Promise<void> {
    this.#held += 1;
    try {
      await work();
    } finally {
      this.#held -= 1;
      this.#wake();
    }
  }

  /** Waits until a frame is held no more. */
  #left(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }
}
