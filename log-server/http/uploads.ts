// Taking artifacts from strangers, one by one or many in one request: the same bounds for both.
import type { Log } from '../log.ts';
import type { ArtifactPut } from '../store/artifact-store.ts';
import { sourceOf } from '../store/small-artifact.ts';
import { HttpError } from './errors.ts';
import type { PublicFace } from './face.ts';
import {
  SMALL_UPLOADS_MAX,
  SMALL_UPLOADS_PER_ADDRESS_MAX,
  UPLOADS_MAX,
  UPLOADS_PER_ADDRESS_MAX,
} from './limits.ts';
import { UndecidedShares } from './undecided-shares.ts';
import { YieldingGate } from './yielding-gate.ts';

/** What is uploaded to this replica. */
export class Uploads {
  readonly #face: PublicFace;
  readonly #log: Log;
  readonly #shares: UndecidedShares;
  /** Places of requests that bring a small artifact. */
  readonly small: YieldingGate = new YieldingGate({
    max: SMALL_UPLOADS_MAX,
    perHolder: SMALL_UPLOADS_PER_ADDRESS_MAX,
    takesOnly: true,
  });
  readonly #large = new YieldingGate({
    max: UPLOADS_MAX,
    perHolder: UPLOADS_PER_ADDRESS_MAX,
    takesOnly: false,
  });

  /** @param nowMs a monotonic clock */
  constructor(face: PublicFace, log: Log, nowMs: () => number) {
    this.#face = face;
    this.#log = log;
    this.#shares = new UndecidedShares(nowMs, (sha512) => face.isReleased(sha512));
  }

  /**
   * Takes an artifact that has a request of its own.
   *
   * @param sender see `networkOf`
   * @param receive reads and stores it; see `YieldingGate.run`
   * @throws {HttpError} 503; what `receive` throws
   */
  async take(
    sender: string,
    sha512: string,
    size: 'small' | 'large',
    receive: (taken: AbortSignal) => Promise<ArtifactPut>,
  ): Promise<ArtifactPut> {
    this.#requireShare(sender);
    const gate = size === 'small' ? this.small : this.#large;
    const done = await gate.run(sender, receive);
    if (done === undefined) throw new HttpError(503, 'BUSY', 'too many uploads at one time', 2);
    return this.#taken(sender, sha512, done.value);
  }

  /**
   * Takes a small artifact out of a request with submissions, which bounds how many there are at one time.
   *
   * @throws {HttpError} 503; what the store throws
   */
  async takeRead(sender: string, sha512: string, bytes: Uint8Array): Promise<ArtifactPut> {
    this.#requireShare(sender);
    return this.#taken(sender, sha512, await this.#face.artifacts.put(sha512, sourceOf(bytes)));
  }

  #requireShare(sender: string): void {
    if (this.#shares.allows(sender)) return;
    const message = 'too much of what this address uploaded is in no release yet';
    throw new HttpError(503, 'BUSY', message, 60);
  }

  #taken(sender: string, sha512: string, put: ArtifactPut): ArtifactPut {
    const { kind, facts } = put;
    if (kind === 'created') {
      this.#shares.add(sender, sha512, facts.size);
      this.#log.info('artifact_stored', { sha512, size: facts.size, name: facts.name });
    }
    return put;
  }
}
