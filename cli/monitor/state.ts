// Where a monitor got to and what it has not told yet, in one file that is replaced as a whole: a crash
// at any point repeats a notice at worst, and never loses one.
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { encodeHex } from '../../verifier/encoding.ts';
import {
  canonicalJson,
  ObjectReader,
  parseCanonicalJson,
  readString,
  type JsonValue,
} from '../../verifier/json.ts';
import { formatNote, NOTE_LENGTH_MAX, parseNote } from '../../verifier/note.ts';
import type { EarlierCheck } from '../audit/entry-check.ts';
import type { FsckResult } from '../audit/fsck.ts';
import type { LogView } from '../audit/log-view.ts';
import { loadAudit, saveAudit } from '../audit/saved-audit.ts';
import { configError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import type { Head } from './heads.ts';
import { moreNotice, noticeJson, readNotice, type Notice } from './notices.ts';

const STATE_FORMAT = 'bftpkg-monitor-state/v1';
const STATE_NAME = 'monitor.json';
const STATE_LENGTH_MAX = 64 * 1024 * 1024;
/** Notices that wait for a webhook that is down. What comes beyond is counted, and told as one notice. */
export const PENDING_MAX = 10_000;
/** Happenings that were told and may go on. */
const SEEN_MAX = 10_000;
const ID_LENGTH = 64;
const URL_LENGTH_MAX = 4_096;

/** The state. */
export interface MonitorState {
  /** File of the audit that the next one goes on from; `null` before the first. */
  readonly audit: string | null;
  /** Not delivered yet. */
  readonly pending: readonly Notice[];
  /** Ids of security notices that were told, the newest last: going on is no news. */
  readonly seen: readonly string[];
  /** What was out of order the last time: by id, what it was. */
  readonly troubles: ReadonlyMap<string, string>;
  /** Cosigned heads beyond what was checked, which the log still has to go through. */
  readonly heads: readonly Head[];
}

/** The folder in which one monitor keeps its state. */
export class MonitorStore {
  readonly #folder: string;
  readonly #pin: string;

  constructor(folder: string, pin: string) {
    this.#folder = folder;
    this.#pin = pin;
  }

  get path(): string {
    return join(this.#folder, STATE_NAME);
  }

  /** @throws {CliError} BP9004 for a damaged file: starting anew would skip what is in it */
  async read(): Promise<MonitorState> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') {
        return { audit: null, pending: [], seen: [], troubles: new Map(), heads: [] };
      }
      throw configError(`${this.path}: ${systemReason(error, 'cannot be read')}`);
    }
    try {
      return parseState(text, this.#pin);
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw configError(
        `${this.path}: damaged: ${detail}`,
        'restore it, or remove the folder to begin anew without what was pending',
        error,
      );
    }
  }

  async write(state: MonitorState): Promise<void> {
    try {
      await mkdir(this.#folder, { recursive: true, mode: 0o700 });
      await replaceFile(this.path, `${canonicalJson(stateJson(state, this.#pin))}\n`);
    } catch (error) {
      throw configError(`${this.path}: ${systemReason(error, 'cannot be written')}`);
    }
  }

  /** The audit to go on from. */
  async earlier({ audit }: MonitorState): Promise<EarlierCheck | undefined> {
    return audit === null ? undefined : await loadAudit(this.#folder, audit, this.#pin);
  }

  /**
   * Writes an audit under a name of its own. It counts once a state names it: until then a crash
   * leaves the old state with the old audit.
   */
  async saveAudit(view: LogView, result: FsckResult): Promise<string> {
    await mkdir(this.#folder, { recursive: true, mode: 0o700 });
    const name = `audit-${result.leaves.size}.json`;
    await saveAudit(this.#folder, name, this.#pin, view, result);
    return name;
  }

  /** Removes audits that no state names any more. */
  async removeOthers(audit: string | null): Promise<void> {
    for (const name of await readdir(this.#folder)) {
      if (/^audit-[0-9]+\.json$/.test(name) && name !== audit) {
        await rm(join(this.#folder, name), { force: true });
      }
    }
  }
}

/** The state with further notices, of which those that were told before are left out. */
export function withNotices(state: MonitorState, found: readonly Notice[]): MonitorState {
  const known = new Set([...state.seen, ...state.pending.map(({ id }) => id)]);
  const fresh = found.filter(({ id, category }) => category === 'availability' || !known.has(id));
  const pending = withinBound([...state.pending, ...fresh]);
  const kept = new Set(pending);
  // What was left out has not been told.
  const told = fresh.filter((each) => each.category === 'security' && kept.has(each));
  return { ...state, pending, seen: [...state.seen, ...told.map(({ id }) => id)].slice(-SEEN_MAX) };
}

// Security first to stay: it is the reason to have a monitor. A flood must not hide in silence what came
// after it, so that something was left out is itself a notice.
function withinBound(notices: readonly Notice[]): readonly Notice[] {
  if (notices.length <= PENDING_MAX) return notices;
  const sorted = notices.toSorted(bySecurity);
  const out = sorted.slice(PENDING_MAX - 1).filter(({ category }) => category === 'security');
  const [first] = out;
  if (first === undefined) return sorted.slice(0, PENDING_MAX);
  return [...sorted.slice(0, PENDING_MAX - 1), moreNotice(out.length, first)];
}

function bySecurity(a: Notice, b: Notice): number {
  return Number(a.category !== 'security') - Number(b.category !== 'security');
}

function stateJson(
  { audit, pending, seen, troubles, heads }: MonitorState,
  pin: string,
): ReturnType<typeof noticeJson> {
  return {
    format: STATE_FORMAT,
    pin,
    audit,
    pending: pending.map(noticeJson),
    seen: [...seen],
    troubles: [...troubles].map(([id, text]) => ({ id, text })),
    heads: heads.map(({ url, note }) => ({ url, note: formatNote(note) })),
  };
}

function parseState(text: string, pin: string): MonitorState {
  const reader = new ObjectReader(
    parseCanonicalJson(text.replace(/\n$/, ''), STATE_LENGTH_MAX),
    '',
  );
  reader.format('format', STATE_FORMAT);
  if (encodeHex(reader.hex('pin', 32)) !== pin) throw new Error('it is of another log or pin');
  const audit = reader.required('audit') === null ? null : reader.string('audit', 64);
  if (audit !== null && !/^audit-[0-9]{1,16}\.json$/.test(audit))
    throw new Error('audit is no file');
  const pending = reader.array('pending', PENDING_MAX, readNotice);
  const seen = reader.array('seen', SEEN_MAX, (each, path) => readString(each, path, ID_LENGTH));
  const troubles = reader.array('troubles', PENDING_MAX, (each, path) => {
    const trouble = new ObjectReader(each, path);
    const pair = [trouble.string('id', 4_096), trouble.string('text', 8_192)] as const;
    trouble.end();
    return pair;
  });
  // States of before have none.
  const heads =
    reader.optional('heads') === undefined ? [] : reader.array('heads', PENDING_MAX, readHead);
  reader.end();
  return { audit, pending, seen, troubles: new Map(troubles), heads };
}

function readHead(value: JsonValue, path: string): Head {
  const reader = new ObjectReader(value, path);
  const head = {
    url: reader.string('url', URL_LENGTH_MAX),
    note: parseNote(reader.string('note', NOTE_LENGTH_MAX)),
  };
  reader.end();
  return head;
}
