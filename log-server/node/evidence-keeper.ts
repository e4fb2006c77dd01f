// Keeps proofs of misbehaviour as files: who runs the other replicas can be convinced with them, and
// nobody has to believe this one (CONSENSUS 2.13). Each file is a whole document: an operator can copy
// it and check it with `bftpkg evidence verify`.
import { mkdir, readFile, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import type { Envelope } from '../../verifier/dsse.ts';
import { VerifyError } from '../../verifier/errors.ts';
import {
  type MisbehaviourDocument,
  REPORT_BYTES_MAX,
  formatMisbehaviour,
  parseMisbehaviour,
} from '../../verifier/replication/report.ts';
import type { Certificate, CertifiedHeader, Header, Misbehaviour } from '../consensus/types.ts';
import { replaceOwnFile } from '../../verifier/node/durable-file.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';

/** Files kept. One proof per rule, member and epoch is all there is to say; this many mean war. */
const FILES_MAX = 1000;

/** Names of the files: nothing else is ever read, so no name that a stranger sends leads elsewhere. */
const ID_PATTERN = /^(0|[1-9][0-9]{0,15})-(X[1-8])-([0-9a-f]{64})$/;
const ENDING = '.json';

/** What is kept about one misdeed. */
export interface KeptReport {
  /** Name of the document at the public API. */
  readonly id: string;
  readonly epoch: number;
  /** Rule of CONSENSUS 2.13 that was broken. */
  readonly rule: string;
  /** Vote key of the accused, hex. */
  readonly key: string;
}

/** What a document needs of the log. */
export interface ChainSource {
  /** All roster envelopes from epoch 0. */
  rosterEnvelopes(): Promise<readonly Envelope[]>;
  header(height: number): Promise<{ header: Header; certificate: Certificate } | undefined>;
}

/** Writes proofs into a folder, and reads them for whoever asks. */
export class EvidenceKeeper {
  readonly #folder: string;
  readonly #chain: ChainSource;
  readonly #log: Log;

  constructor(folder: string, chain: ChainSource, log: Log) {
    this.#folder = folder;
    this.#chain = chain;
    this.#log = log;
  }

  /**
   * Reports a proof in the log and keeps it. Never fails: losing a proof is bad, stopping for it worse.
   *
   * @param name the accused replica's name in the roster
   * @param startHeight height of the batch that the report's epoch started from, if it is known
   * @returns `kept` when a proof of this kind is on the disk now; `full` when no more are taken
   */
  async keep(
    report: Misbehaviour,
    name: string,
    startHeight: number | undefined,
  ): Promise<'kept' | 'full' | 'failed'> {
    const { rule, accused, epoch } = report;
    const id = `${epoch}-${rule}-${accused}`;
    const file = join(this.#folder, id + ENDING);
    this.#log.error('misbehaviour', { rule, accused: name, key: accused, epoch, file });
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      const kept = await this.list();
      // The same proof may have been kept before a restart: the first one stays.
      if (kept.some((each) => each.id === id)) return 'kept';
      if (kept.length >= FILES_MAX) return 'full';
      const rosters = await this.#chain.rosterEnvelopes();
      const epochStart = await this.#epochStart(epoch, startHeight);
      await replaceOwnFile(file, formatMisbehaviour({ rosters, epochStart, report }), 0o644);
      return 'kept';
    } catch (error) {
      this.#log.warn('misbehaviour', { file, error: describeError(error) });
      return 'failed';
    }
  }

  async #epochStart(epoch: number, height: number | undefined): Promise<CertifiedHeader | null> {
    if (epoch === 0) return null;
    const found = height === undefined ? undefined : await this.#chain.header(height);
    if (found === undefined) throw new Error(`the batch that started epoch ${epoch} is not there`);
    return found;
  }

  /** What is kept, by epoch and rule. Unreadable folders hold nothing. */
  async list(): Promise<readonly KeptReport[]> {
    const names = await readdir(this.#folder).catch(() => []);
    return names
      .flatMap((name) => readId(name.endsWith(ENDING) ? name.slice(0, -ENDING.length) : ''))
      .sort((a, b) => a.epoch - b.epoch || (a.id < b.id ? -1 : 1));
  }

  /** The proofs about an epoch, as they were written; whoever uses them checks them again. */
  async reports(epoch: number): Promise<readonly Misbehaviour[]> {
    const kept = (await this.list()).filter((each) => each.epoch === epoch);
    const reports: Misbehaviour[] = [];
    for (const { id } of kept) {
      const document = await this.#read(id);
      if (document !== undefined) reports.push(document.report);
    }
    return reports;
  }

  /**
   * A document, with the roster chain as it is now: a reader may have pinned a roster that is newer
   * than the misdeed.
   */
  async document(id: string): Promise<string | undefined> {
    if (readId(id).length === 0) return undefined;
    const kept = await this.#read(id);
    if (kept === undefined) return undefined;
    return formatMisbehaviour({ ...kept, rosters: await this.#chain.rosterEnvelopes() });
  }

  async #read(id: string): Promise<MisbehaviourDocument | undefined> {
    const file = join(this.#folder, id + ENDING);
    try {
      if ((await stat(file)).size > REPORT_BYTES_MAX) return undefined;
      return parseMisbehaviour(await readFile(file, 'utf8'));
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      if (!(error instanceof VerifyError)) throw error;
      this.#log.warn('misbehaviour', { file, error: describeError(error) });
      return undefined;
    }
  }
}

/** The parts of an id; empty for anything else. */
function readId(id: string): readonly KeptReport[] {
  const [, epoch, rule, key] = ID_PATTERN.exec(id) ?? [];
  if (epoch === undefined || rule === undefined || key === undefined) return [];
  return [{ id, epoch: Number(epoch), rule, key }];
}
