// One question to an SSH agent, one answer, one connection.
import { connect } from 'node:net';

import { CliError } from '../../errors.ts';
import { systemReason } from '../../system-reasons.ts';
import { AgentAnswerError, encodeFrame, frameLength } from './wire.ts';

const LENGTH_BYTES = 4;

/** Which agent, and how long to wait for it. */
export interface AgentAccess {
  /** `SSH_AUTH_SOCK`. */
  readonly socket: string | undefined;
  readonly signal: AbortSignal;
  /** For an answer that needs nobody: milliseconds. */
  readonly listMsMax: number;
  /** For a signature: `ssh-add -c` and keys in hardware wait for their owner. Milliseconds. */
  readonly signMsMax: number;
}

/** Waits of the program; tests have shorter ones. */
export const AGENT_WAITS = { listMsMax: 10_000, signMsMax: 60_000 } as const;

/** What is said when an agent does not do what is asked. */
export function agentError(problem: string, hints: readonly string[] = []): CliError {
  return new CliError('BP8004', `ssh-agent: ${problem}`, { hints });
}

/**
 * Sends a request and reads the answer.
 *
 * @param request content of a frame
 * @returns content of the answer's frame
 * @throws {CliError} BP8004 when there is no agent, no answer in time, or an answer out of bounds
 */
export async function exchange(
  { socket, signal }: Pick<AgentAccess, 'socket' | 'signal'>,
  request: Uint8Array,
  msMax: number,
): Promise<Uint8Array> {
  if (socket === undefined || socket === '') {
    throw agentError('SSH_AUTH_SOCK names no agent', ['eval "$(ssh-agent)" && ssh-add']);
  }
  const connection = connect({ path: socket });
  let timer: NodeJS.Timeout | undefined;
  let stop = (): void => undefined;
  try {
    return await new Promise<Uint8Array>((resolve, reject) => {
      timer = setTimeout(() => reject(agentError(`no answer within ${msMax / 1000} s`)), msMax);
      stop = () => reject(agentError('interrupted'));
      if (signal.aborted) stop();
      signal.addEventListener('abort', stop);
      const collect = answerCollector();
      connection.on('data', (chunk: Buffer) => {
        try {
          const answer = collect(chunk);
          if (answer !== undefined) resolve(answer);
        } catch (error) {
          reject(asAgentError(error));
        }
      });
      connection.once('end', () => reject(agentError('closed the connection without an answer')));
      connection.once('error', (error) => {
        reject(agentError(`${socket}: ${systemReason(error, 'cannot be reached')}`));
      });
      connection.write(encodeFrame(request));
    });
  } finally {
    clearTimeout(timer);
    signal.removeEventListener('abort', stop);
    connection.destroy();
  }
}

// Puts chunks together until the frame is whole. More than one frame answers no question of ours.
function answerCollector(): (chunk: Uint8Array) => Uint8Array | undefined {
  let received = Buffer.alloc(0);
  return (chunk) => {
    received = Buffer.concat([received, chunk]);
    const length = frameLength(received);
    if (length === undefined || received.length < LENGTH_BYTES + length) return undefined;
    if (received.length > LENGTH_BYTES + length) {
      throw new AgentAnswerError('bytes after the answer');
    }
    return new Uint8Array(received.subarray(LENGTH_BYTES));
  };
}

/** What the protocol's reader refused, as an error for people; everything else as it is. */
export function asAgentError(error: unknown): unknown {
  return error instanceof AgentAnswerError ? agentError(`answered ${error.message}`) : error;
}
