// Pages in a file without a name: it is taken out of its folder as soon as it is open, so that nobody else
// opens it, and however this process ends, its room is free again.
import { randomBytes } from 'node:crypto';
import { closeSync, constants, openSync, readSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';

import type { Envelope } from '../dsse.ts';
import { PagedLedger } from '../ledger/paged-ledger.ts';
import { PAGE_BYTES, PagePool, type PageFile } from '../paging/pages.ts';

/** Bytes of pages in memory: what fits into that, some sixty thousand releases, never gets to the disk. */
const MEMORY_BYTES: number = 64 * 1024 * 1024;

const SALT_BYTES = 16;

/** The disk is full, or does not give back what was written. */
export class TemporaryFileError extends Error {
  override readonly name = 'TemporaryFileError';
  /** The system's: `ENOSPC`; `EIO` where the disk gave back something else. */
  readonly code: string;
  /** Of the folder: the file has no name. */
  readonly path: string;
  readonly syscall: string;

  constructor(syscall: string, path: string, reason: string, cause?: unknown) {
    super(`temporary file in ${path}: ${reason}`, { cause });
    this.syscall = syscall;
    this.path = path;
    this.code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'EIO';
  }
}

/** A pool of pages whose file is made when it is needed. */
export class TemporaryPages {
  readonly pool: PagePool;
  readonly #file: TemporaryFile;

  /** @param folder for the file; on a disk, not in memory */
  constructor(folder: string, memoryBytes: number = MEMORY_BYTES) {
    this.#file = new TemporaryFile(folder);
    this.pool = new PagePool(Math.floor(memoryBytes / PAGE_BYTES), this.#file);
  }

  /**
   * A new ledger in these pages.
   *
   * @param genesis the signed roster of epoch 0, whose signatures have been checked
   */
  ledger(genesis: Envelope): PagedLedger {
    return new PagedLedger(genesis, this.pool, randomBytes(SALT_BYTES));
  }

  /** Gives the room back. The pool can't be used any more. */
  close(): void {
    this.#file.close();
  }
}

class TemporaryFile implements PageFile {
  readonly #folder: string;
  #descriptor: number | undefined;
  #isClosed = false;
  /** By slot. A disk that gives back something else than was written must not decide what a log said. */
  #sums = new Uint32Array(1024);

  constructor(folder: string) {
    this.#folder = folder;
  }

  read(slot: number, target: Uint8Array): void {
    const length = this.#attempt('read', (descriptor) =>
      readSync(descriptor, target, 0, PAGE_BYTES, slot * PAGE_BYTES),
    );
    if (length === PAGE_BYTES && crc32(target) === this.#sums[slot]) return;
    throw new TemporaryFileError('read', this.#folder, 'it does not hold what was written');
  }

  write(slot: number, page: Uint8Array): void {
    for (let done = 0; done < PAGE_BYTES;) {
      const from = done;
      // A disk that is nearly full takes a part.
      done += this.#attempt('write', (descriptor) =>
        writeSync(descriptor, page, from, PAGE_BYTES - from, slot * PAGE_BYTES + from),
      );
    }
    if (slot >= this.#sums.length) {
      const sums = new Uint32Array(2 * slot);
      sums.set(this.#sums);
      this.#sums = sums;
    }
    this.#sums[slot] = crc32(page);
  }

  close(): void {
    this.#isClosed = true;
    if (this.#descriptor !== undefined) closeSync(this.#descriptor);
    this.#descriptor = undefined;
  }

  #attempt<T>(call: 'read' | 'write', run: (descriptor: number) => T): T {
    try {
      return run((this.#descriptor ??= this.#open()));
    } catch (cause) {
      if (cause instanceof TemporaryFileError) throw cause;
      const reason = cause instanceof Error ? cause.message : String(cause);
      throw new TemporaryFileError(call, this.#folder, reason, cause);
    }
  }

  #open(): number {
    if (this.#isClosed) throw new TemporaryFileError('open', this.#folder, 'it is closed');
    const path = join(this.#folder, `.bftpkg-${randomBytes(12).toString('hex')}.pages`);
    // Nothing may be there, no link either: the folder may be one that all users write to.
    const { O_CREAT, O_EXCL, O_RDWR } = constants;
    const descriptor = openSync(path, O_CREAT | O_EXCL | O_RDWR, 0o600);
    try {
      unlinkSync(path);
    } catch (error) {
      closeSync(descriptor);
      throw error;
    }
    return descriptor;
  }
}
