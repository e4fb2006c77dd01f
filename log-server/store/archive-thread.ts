// Checking tarballs beside the event loop. Anybody may upload, and less than a megabyte inflates to two
// hundred thousand entries that take seconds to judge: in the main thread every such upload would make
// a replica deaf to its peers, and a few a second would stop the log.
import type { Worker } from 'node:worker_threads';

import type { Gunzip } from '../../verifier/archive/gzip.ts';
import { checkTarball } from '../../verifier/archive/tarball.ts';
import { ENTRY_BYTES_MAX } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { canonicalJson, parseCanonicalJson, type JsonObject } from '../../verifier/json.ts';
import { claimedLength } from '../../verifier/node/gunzip.ts';
import { startWorkerBeside } from '../../verifier/node/worker-beside.ts';
import { READY, type ArchiveAnswer } from './archive-answer.ts';

/** Archives up to this size are checked at once: most packages, and some tens of milliseconds at worst. */
export const INLINE_BYTES_MAX: number = 256 * 1024;

/** What a checked archive says about itself. */
export interface CheckedArchive {
  readonly name: string;
  readonly version: string;
  readonly manifest: JsonObject;
}

/**
 * Checks a small tarball in this thread.
 *
 * @returns `undefined` for one that is not small once it is inflated
 * @throws {VerifyError} as `checkTarball`; `MANIFEST_MALFORMED` when no entry could hold its manifest
 */
export async function checkSmallTarball(
  bytes: Uint8Array,
  gunzip: Gunzip,
): Promise<CheckedArchive | undefined> {
  if (bytes.length > INLINE_BYTES_MAX || claimedLength(bytes) > INLINE_BYTES_MAX) return undefined;
  // The length that it gives may be a lie, and is wrong then: refused without inflating any further.
  const bounded: Gunzip = (input, outputMax) =>
    gunzip(input, Math.min(outputMax, INLINE_BYTES_MAX));
  const { name, version, manifest } = await checkTarball(bytes, bounded);
  requireLoggable(canonicalJson(manifest));
  return { name, version, manifest };
}

// A statement repeats the manifest and has to fit into an entry. One that can't is of no use to anybody,
// and would be parsed again for whoever asks about the artifact.
function requireLoggable(manifest: string): void {
  if (manifest.length <= ENTRY_BYTES_MAX) return;
  throw new VerifyError(
    'MANIFEST_MALFORMED',
    `the manifest has ${manifest.length} characters: no statement can hold it`,
  );
}

/** One thread that checks one tarball at a time. It starts when it is first needed. */
export class ArchiveThread {
  #worker: Worker | undefined;
  #pending: Pending | undefined;

  /**
   * Checks the tarball in a file. Ask again only after the answer.
   *
   * @throws {VerifyError} as `checkTarball`; `MANIFEST_MALFORMED` when no entry could hold its manifest
   * @throws {Error} it could not be checked
   */
  async check(path: string): Promise<CheckedArchive> {
    const answer = await this.#ask(path);
    switch (answer.kind) {
      case 'checked': {
        const { name, version, manifest } = answer;
        requireLoggable(manifest);
        // Written by our own worker from an object.
        const parsed = parseCanonicalJson(manifest, ENTRY_BYTES_MAX) as JsonObject;
        return { name, version, manifest: parsed };
      }
      case 'refused':
        throw new VerifyError(answer.code, answer.message);
      case 'failed':
        break;
    }
    throw new Error(`an archive could not be checked: ${answer.message}`);
  }

  /** Ends the thread if it has nothing to do. */
  async rest(): Promise<void> {
    const worker = this.#worker;
    if (worker === undefined || this.#pending !== undefined) return;
    this.#worker = undefined;
    await worker.terminate();
  }

  #ask(path: string): Promise<ArchiveAnswer> {
    const worker = (this.#worker ??= this.#start());
    // While it works the process stays for the answer; idle it keeps nobody.
    worker.ref();
    return new Promise((resolve, reject) => {
      this.#pending = { resolve, reject };
      worker.postMessage(path, []);
    });
  }

  #start(): Worker {
    const worker = startWorkerBeside(import.meta.url, 'archive-worker');
    worker.on('message', (message: ArchiveAnswer | typeof READY) => {
      if (message === READY) return;
      worker.unref();
      this.#settle()?.resolve(message);
    });
    // A thread that dies (out of memory) says nothing about the archive. The next one starts anew.
    const lose = (error: unknown): void => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#settle()?.reject(error);
    };
    worker.on('error', lose);
    worker.on('exit', () => lose(new Error('the thread that checks archives ended')));
    return worker;
  }

  #settle(): Pending | undefined {
    const pending = this.#pending;
    this.#pending = undefined;
    return pending;
  }
}

interface Pending {
  readonly resolve: (answer: ArchiveAnswer) => void;
  readonly reject: (error: unknown) => void;
}
