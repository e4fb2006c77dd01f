// Batches from other replicas' public addresses, for a replica that rebuilds its database and so has no
// core and no connections to peers yet. Nothing of it is checked here.
import { Agent, request } from 'undici';
import type { Dispatcher } from 'undici';

import { MESSAGE_BYTES_MAX, decodeMessage } from '../../verifier/replication/encode-message.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { CommittedRecord } from '../consensus/types.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import type { BatchSource } from '../store/rebuild.ts';
import { othersOf, type Source } from './follower.ts';

/** How long one answer may take: 4 MiB over a slow line. */
const ANSWER_TIMEOUT_MS = 20_000;

/** Asks replicas in turn, the one that answered last first. */
export class RemoteBatches implements BatchSource {
  readonly #own: string;
  readonly #log: Log;
  readonly #agent: Agent = new Agent({
    connect: { timeout: 3000 },
    headersTimeout: 10_000,
    bodyTimeout: 10_000,
    maxResponseSize: MESSAGE_BYTES_MAX,
    maxHeaderSize: 8192,
  });
  #sources: readonly Source[];

  /** @param own name of the replica that asks */
  constructor(own: string, sources: readonly Source[], log: Log) {
    this.#own = own;
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
      if (answer === undefined) continue;
      yield answer;
      // Asked for another one: this one was no good, or not enough.
      this.#sources = [...this.#sources.filter((other) => other !== source), source];
    }
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  async #ask(
    { name, url }: Source,
    fromHeight: number,
  ): Promise<readonly CommittedRecord[] | undefined> {
    try {
      const answer: Dispatcher.ResponseData = await request(`${url}/v1/batches/${fromHeight}`, {
        dispatcher: this.#agent,
        signal: AbortSignal.timeout(ANSWER_TIMEOUT_MS),
      });
      if (answer.statusCode !== 200) {
        await answer.body.dump({ limit: 4096 });
        throw new Error(`status ${answer.statusCode}`);
      }
      const message = decodeMessage(new Uint8Array(await answer.body.arrayBuffer()));
      if (message.kind !== 'batches') throw new Error(`a ${message.kind} instead of batches`);
      return message.batches;
    } catch (error) {
      // Down, behind, damaged itself or lying: there are others.
      this.#log.warn('follow_failed', { peer: name, error: describeError(error) });
      return undefined;
    }
  }
}
