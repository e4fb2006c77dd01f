// Keeps proofs of misbehaviour as files: who runs the other replicas can be convinced with them, and
// nobody has to believe this one (CONSENSUS 2.13).
import { mkdir, readdir } from 'node:fs/promises';
import { join } from 'node:path';

import { encodeEvidence } from '../consensus/check-evidence.ts';
import type { Misbehaviour } from '../consensus/types.ts';
import { createFile } from '../files.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';

/** Files kept. One proof per rule, member and epoch is all there is to say; this many mean war. */
const FILES_MAX = 1000;

/** Writes proofs into a folder. */
export class EvidenceKeeper {
  readonly #folder: string;
  readonly #log: Log;

  constructor(folder: string, log: Log) {
    this.#folder = folder;
    this.#log = log;
  }

  /**
   * Reports a proof in the log and keeps it. Never fails: losing a proof is bad, stopping for it worse.
   *
   * @param name the accused replica's name in the roster
   */
  async keep(report: Misbehaviour, name: string): Promise<void> {
    const { rule, accused, epoch } = report;
    const file = join(this.#folder, `${epoch}-${rule}-${accused.slice(0, 16)}.evidence`);
    this.#log.error('misbehaviour', { rule, accused: name, key: accused, epoch, file });
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      if ((await readdir(this.#folder)).length >= FILES_MAX) return;
      await createFile(file, encodeEvidence(report), 0o644);
    } catch (error) {
      // The same proof was kept before a restart.
      if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return;
      this.#log.warn('misbehaviour', { file, error: describeError(error) });
    }
  }
}
