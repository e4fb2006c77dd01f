// How the auditor's commands get at a log: by the project's configuration, or by an address and a pin,
// so that an audit needs no project.
import { decodeHex } from '../../verifier/encoding.ts';
import { isBaseUrl } from '../../verifier/base-url.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { threadedVerifier } from '../../verifier/node/threaded-verifier.ts';
import type { SignatureVerifier } from '../../verifier/signatures.ts';
import { HttpClient } from '../client/http.ts';
import { ReplicaClient } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { usageError } from '../errors.ts';
import { CHECKPOINT_AGE_MAX_SECONDS, loadConfig } from '../trust/config.ts';

/** Options of every command that reads a log as an auditor. */
export interface AccessOptions {
  /** Hash of a roster; instead of the configuration's. */
  readonly pin?: string;
}

/** What a command needs to read a log. */
export interface Access {
  readonly pin: string;
  readonly replicas: readonly ReplicaClient[];
  readonly checkpointAgeMaxSeconds: number;
  readonly http: HttpClient;
  readonly verifier: SignatureVerifier;
}

/**
 * Runs `work` with access to a log and ends connections and threads whatever happens.
 *
 * @param url one server to read from; without it, the configuration's
 * @throws {CliError} BP9003, BP9004
 */
export async function withAccess<T>(
  invocation: Invocation,
  url: string | undefined,
  options: AccessOptions,
  work: (access: Access) => Promise<T>,
): Promise<T> {
  const settings = await readSettings(invocation, url, options);
  const http = new HttpClient(invocation.globals);
  try {
    const replicas = settings.urls.map((each) => new ReplicaClient(each, http));
    return await work({ ...settings, replicas, http, verifier: threadedVerifier });
  } finally {
    await http.close();
  }
}

interface Settings {
  readonly pin: string;
  readonly urls: readonly string[];
  readonly checkpointAgeMaxSeconds: number;
}

async function readSettings(
  { context, globals }: Invocation,
  url: string | undefined,
  { pin }: AccessOptions,
): Promise<Settings> {
  if (globals.offline) throw usageError('an audit reads from a server: not with --offline');
  const named = url?.replace(/\/$/, '');
  if (named !== undefined && !isBaseUrl(named)) {
    throw usageError(`${named} is not a plain http(s) address`);
  }
  if (pin !== undefined && !isHash(pin)) {
    throw usageError('--pin is the hash of a roster: 64 hexadecimal digits');
  }
  if (pin !== undefined && named !== undefined) {
    return { pin, urls: [named], checkpointAgeMaxSeconds: CHECKPOINT_AGE_MAX_SECONDS };
  }
  const config = await loadConfig(context, globals);
  return {
    pin: pin ?? config.pin,
    urls: named === undefined ? config.replicas : [named],
    checkpointAgeMaxSeconds: config.checkpointAgeMaxSeconds,
  };
}

function isHash(text: string): boolean {
  try {
    decodeHex(text, 32);
    return true;
  } catch (error) {
    if (error instanceof VerifyError) return false;
    throw error;
  }
}
