// `bftpkg-log status`: what a replica says about itself. Nothing of it is proven.
import { Agent, request } from 'undici';

import { EXIT } from '../exit-codes.ts';
import { describeError } from '../log.ts';
import { readAddress } from './address.ts';

const TIMEOUT_MS = 5000;
const ANSWER_BYTES_MAX: number = 1024 * 1024;

/** Asks and prints the answer as it came. */
export async function status(address: string): Promise<void> {
  const url = readAddress(address);
  const dispatcher = new Agent({
    maxResponseSize: ANSWER_BYTES_MAX,
    connect: { timeout: TIMEOUT_MS },
  });
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const answer = await request(`${url}/v1/status`, { dispatcher, signal });
    const value: unknown = await answer.body.json();
    process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
  } catch (error) {
    process.stderr.write(`bftpkg-log: error: ${url} does not answer: ${describeError(error)}\n`);
    process.exitCode = EXIT.unavailable;
  } finally {
    await dispatcher.close();
  }
}
