// Batches from other replicas' public addresses, for a replica that rebuilds its database and so has no
// core and no connections to peers yet. Nothing of it is checked here.
import { decodeMessage } from '../../verifier/replication/encode-message.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { CommittedRecord } from '../consensus/types.ts';
import type { PaceLimits } from '../http/pace.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import type { BatchSource } from '../store/rebuild.ts';
import { othersOf, type Source } from './follower.ts';
import { PublicReader } from './public-reader.ts';

/** Asks replicas in turn, the one that answered last first, those that failed last. */
export class RemoteBatches implements BatchSource {
  readonly #own: string;
  readonly #log: Log;
  readonly #reader: PublicReader;
  #sources: readonly Source[];

  /**
   * @param own name of the replica that asks
   * @param pace what a replica has to keep; for tests another one
   */
  constructor(own: string, sources: readonly Source[], log: Log, pace?: PaceLimits) {
    this.#own = own;
    this.#reader = new PublicReader(pace);
    this.#sources = sources;
    this.#log = log;
  }

  async *answers(
    fromHeight: number,
    { replicas }: Roster,
  ): AsyncGenerator<readonly CommittedRecord[]> {
    this.#sources = othersOf(this.#own, [...this.#sources, ...replicas]);
    for (const source of this.#sources) {
      const answer = await this.#ask(source, fromHeight);
      if (answer !== undefined) yield answer;
      // No answer; or asked for another one: this one was no good, or not enough. Either way it comes last
      // from now on: a replica that stalls would take its time off us for every chunk of the log.
      this.#sources = [...this.#sources.filter((other) => other !== source), source];
    }
  }

  async close(): Promise<void> {
    await this.#reader.close();
  }

  async #ask(
    { name, url }: Source,
    fromHeight: number,
  ): Promise<readonly CommittedRecord[] | undefined> {
    try {
      const { status, body } = await this.#reader.get(`${url}/v1/batches/${fromHeight}`);
      if (status !== 200) throw new Error(`status ${status}`);
      const message = decodeMessage(body);
      if (message.kind !== 'batches') throw new Error(`a ${message.kind} instead of batches`);
      return message.batches;
    } catch (error) {
      // Down, behind, damaged itself or lying: there are others.
      this.#log.warn('follow_failed', { peer: name, error: describeError(error) });
      return undefined;
    }
  }
}
