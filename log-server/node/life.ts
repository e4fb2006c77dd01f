// What a replica remembers beside its database of how far it had come, so that an old copy of the
// database does not pass for the present one: the copy has the right name (amnesia.ts), but does not know
// the votes that were given since it was made (CONSENSUS C5, M4).
//
// Kept beside the keys, away from the data folder that backups are made of. After an orderly stop the
// database has to be, in all that votes depend on, the very one that was stopped. After a crash it has to
// be at least as far as was noted last, the last votes included: what only a vote changed is noted within
// one interval, also when the log rests after it.
//
// What slips through: after a crash, a copy of whatever age that is as far as the last note and lacks only
// what was signed since, so at most what was signed in the last NOTE_INTERVAL_MS before the crash (longer
// only while notes fail, which is logged). A replica that is started on such a copy can vote twice, which
// is evidence against it. And a machine that is rolled back whole, keys and all. A note before each vote
// would close the first; it would be two more fsyncs for each.
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';

import { VerifyError } from '../../verifier/errors.ts';
import { ObjectReader, canonicalJson, parseCanonicalJson } from '../../verifier/json.ts';
import { decodeAll, headerDigest, readCertifiedHeader } from '../../verifier/replication/encode.ts';
import { ConfigError } from '../config.ts';
import { decodeKeptNewView, decodePromise } from '../consensus/records.ts';
import type { DurableState } from '../consensus/types.ts';
import { replaceOwnFile } from '../../verifier/node/durable-file.ts';
import { readSmallFile } from '../files.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import type { Suffrage } from './amnesia.ts';

const FORMAT = 'bftpkg-replica-life/v1';
const LENGTH_MAX = 1024;
const HEX_LENGTH_MAX = 64;
const MODE = 0o600;

/** How often a running replica notes how far it is, milliseconds; only when it has moved. */
export const NOTE_INTERVAL_MS = 30_000;

/**
 * How far a replica is, in what its votes depend on. A vote changes neither its view nor its height, so
 * the last ones have a part of their own: a copy from before them would let it vote again.
 */
export interface Position {
  readonly epoch: number;
  /** View that it has promised, in that epoch. */
  readonly view: number;
  /** Of the last committed batch. */
  readonly height: number;
  /** That view, when a NEW-VIEW has opened it: its leader signs one, once. `null` before, and in view 0. */
  readonly opened: number | null;
  /** View of the last PREPARE for the next height; `null` before the first. */
  readonly voted: number | null;
  /** View of the last COMMIT for the next height; `null` before the first. */
  readonly prepared: number | null;
}

interface Remembered extends Position {
  /** Name of the database. */
  readonly generation: string;
  /** Hash of everything that votes depend on, after an orderly stop; `null` while it runs. */
  readonly seal: string | null;
}

/** What is remembered beside the keys in `keyFile`. */
export class LifeFile {
  readonly #path: string;
  readonly #generation: string;

  /** @param generation name of the database that was opened */
  constructor(keyFile: string, generation: string) {
    this.#path = `${keyFile}.life`;
    this.#generation = generation;
  }

  /**
   * Compares the database with what is remembered.
   *
   * @param isEmpty whether the database has neither batches nor votes in it
   * @returns why it is not the one that was used last; `undefined` when nothing speaks against it
   * @throws {ConfigError} the file can't be read, or is gone while the database has been used
   */
  async objection(durable: DurableState, isEmpty: boolean): Promise<string | undefined> {
    if (!existsSync(this.#path)) {
      if (isEmpty) return undefined;
      // Nothing to follow the log with: whoever moved the keys and forgot this file brings it, and the
      // vote is as it was. Disowned, the right database would be lost for good.
      throw new ConfigError(this.#path, [
        'is gone, and says whether the database beside these keys is the newest one: ' +
          'bring it back from where the keys were, or make new keys',
      ]);
    }
    const life = parseLife(await readSmallFile(this.#path, LENGTH_MAX), this.#path);
    if (life.generation !== this.#generation) return 'the database is not the one used last';
    const found = positionOf(durable);
    if (life.seal !== null) {
      return life.seal === sealOf(durable) ? undefined : 'the database is not as it was stopped';
    }
    if (!isBehind(found, life)) return undefined;
    return `the database is an old copy: ${describePosition(found)}; it was ${describePosition(life)}`;
  }

  /** The replica runs, and is at least here. Durable when it returns; before the first vote. */
  async note(position: Position): Promise<void> {
    await this.#write({ ...position, generation: this.#generation, seal: null });
  }

  /** The replica has stopped in order, and signs nothing more. */
  async seal(durable: DurableState): Promise<void> {
    const seal = sealOf(durable);
    await this.#write({ ...positionOf(durable), generation: this.#generation, seal });
  }

  async #write(life: Remembered): Promise<void> {
    await replaceOwnFile(this.#path, `${canonicalJson({ format: FORMAT, ...life })}\n`, MODE);
  }
}

/** What a running replica notes with. */
export interface LifeParts {
  readonly file: LifeFile;
  readonly store: { consensusState(): Promise<DurableState>; readonly halted: Error | undefined };
  readonly log: Log;
  /** For tests. */
  readonly intervalMs?: number;
}

/**
 * Decides whether a voter may go on with the database, and if so notes that it does.
 *
 * An old copy is disowned before it follows the log: in an hour it is as far as was noted, and would pass
 * at its second start. What is remembered stays, so that the right database still gets its vote back.
 *
 * @param disown sees to it, durably, that nobody ever votes with this database
 * @returns an observer's suffrage when the database is an old copy
 */
export async function goOnLiving(
  suffrage: Suffrage,
  file: LifeFile,
  durable: DurableState,
  isEmpty: boolean,
  disown: () => Promise<void>,
): Promise<Suffrage> {
  if (suffrage.kind === 'observer') return suffrage;
  const reason = await file.objection(durable, isEmpty);
  if (reason !== undefined) {
    await disown();
    return { kind: 'observer', keys: suffrage.keys, reason };
  }
  await file.note(positionOf(durable));
  return suffrage;
}

/** Notes now and then how far a running voter is, and at the end where it stopped. */
export class Life {
  readonly #parts: LifeParts;
  readonly #timer: NodeJS.Timeout;
  #noted: Position | undefined;
  #noting: Promise<void> | undefined;

  constructor(parts: LifeParts) {
    this.#parts = parts;
    this.#timer = setInterval(() => {
      this.#noting ??= this.#note().finally(() => {
        this.#noting = undefined;
      });
    }, parts.intervalMs ?? NOTE_INTERVAL_MS);
  }

  /** The replica signs nothing more, and its last write is done. */
  async end(): Promise<void> {
    clearInterval(this.#timer);
    await this.#noting;
    const { file, store } = this.#parts;
    // What is on the disk after a failure nobody knows: then it has only to be as far as noted.
    if (store.halted !== undefined) return;
    await file.seal(await store.consensusState());
  }

  // From the database, never from memory: what is noted and not on the disk after a crash would take the
  // vote from a good replica.
  async #note(): Promise<void> {
    const { file, store, log } = this.#parts;
    try {
      if (store.halted !== undefined) return;
      const position = positionOf(await store.consensusState());
      if (this.#noted !== undefined && isSame(position, this.#noted)) return;
      await file.note(position);
      this.#noted = position;
    } catch (error) {
      log.warn('life_unnoted', { error: describeError(error) });
    }
  }
}

/**
 * How far a database is.
 *
 * @throws {VerifyError} `MESSAGE_MALFORMED` for damaged records
 */
export function positionOf({ roster, committed, records }: DurableState): Position {
  const { epoch } = roster;
  const { height } = committed.header;
  const bytes = records.get('promise');
  const stored = bytes === undefined ? undefined : decodePromise(bytes);
  // Records of an epoch that is over say nothing; nor do votes for what is decided. A COMMIT can be there
  // without any promise, as in `restoreVoter`.
  const { view, vote } = stored?.epoch === epoch ? stored : { view: 0, vote: undefined };
  const newView = records.get('new-view');
  const kept = newView && decodeKeptNewView(newView).content;
  const certified = records.get('prepared');
  const prepared = certified && decodeAll(certified, readCertifiedHeader).certificate.vote;
  return {
    epoch,
    view,
    height,
    opened: kept?.epoch === epoch && kept.view === view ? view : null,
    voted: vote?.height === height + 1 ? vote.view : null,
    prepared: prepared?.epoch === epoch && prepared.height === height + 1 ? prepared.view : null,
  };
}

/** Whether a database that was at `last` can't be at `found` any more. */
function isBehind(found: Position, last: Position): boolean {
  if (found.height < last.height || found.epoch < last.epoch) return true;
  // Views start again with each epoch.
  if (found.epoch > last.epoch) return false;
  if (found.view < last.view) return true;
  if (found.view === last.view && isBefore(found.opened, last.opened)) return true;
  // The votes at a height count until it is committed. In each, views only grow.
  if (found.height > last.height) return false;
  return isBefore(found.voted, last.voted) || isBefore(found.prepared, last.prepared);
}

function isBefore(found: number | null, last: number | null): boolean {
  return last !== null && (found === null || found < last);
}

function isSame(a: Position, b: Position): boolean {
  return (
    a.epoch === b.epoch &&
    a.view === b.view &&
    a.height === b.height &&
    a.opened === b.opened &&
    a.voted === b.voted &&
    a.prepared === b.prepared
  );
}

function describePosition({ epoch, view, height, opened, voted, prepared }: Position): string {
  const last = `opened ${opened ?? '-'}, voted in ${voted ?? '-'}, committed in ${prepared ?? '-'}`;
  return `at batch ${height} of epoch ${epoch}, view ${view} (${last})`;
}

function sealOf({ committed, records }: DurableState): string {
  const hash = createHash('sha256').update(headerDigest(committed.header));
  for (const [name, value] of [...records].sort(([a], [b]) => (a < b ? -1 : 1))) {
    hash.update(`\n${name} ${value.length} `).update(value);
  }
  return hash.digest('hex');
}

function parseLife(text: string, path: string): Remembered {
  try {
    const reader = new ObjectReader(parseCanonicalJson(text.replace(/\n$/, ''), LENGTH_MAX), '');
    reader.format('format', FORMAT);
    const life = {
      epoch: reader.integer('epoch', 0),
      view: reader.integer('view', 0),
      height: reader.integer('height', 0),
      opened: readView(reader, 'opened'),
      voted: readView(reader, 'voted'),
      prepared: readView(reader, 'prepared'),
      generation: reader.string('generation', HEX_LENGTH_MAX),
      seal: reader.required('seal') === null ? null : reader.string('seal', HEX_LENGTH_MAX),
    };
    reader.end();
    return life;
  } catch (error) {
    if (!(error instanceof VerifyError)) throw error;
    throw new ConfigError(path, [`${error.code}: ${error.message}`]);
  }
}

function readView(reader: ObjectReader, name: string): number | null {
  return reader.required(name) === null ? null : reader.integer(name, 0);
}
