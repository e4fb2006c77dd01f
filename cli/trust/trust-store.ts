// What this user's machine has accepted of a log: the file that makes going back impossible. Moves
// forward only, and only from the very state that the new evidence was checked against.
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

import { encodeHex } from '../../verifier/encoding.ts';
import type { TrustState } from '../../verifier/evidence/trust.ts';
import { canonicalJson, ObjectReader, parseCanonicalJson } from '../../verifier/json.ts';
import { CliError, systemCode } from '../errors.ts';
import { systemReason } from '../system-reasons.ts';
import { makePrivateFolder, replaceFile } from '../../verifier/node/durable-file.ts';
import { withFileLock } from './file-lock.ts';

const TRUST_FORMAT = 'bftpkg-trust/v1';
const TRUST_LENGTH_MAX = 256 * 1024;
const NOTE_LENGTH_MAX = 64 * 1024;

/** The outcome of an attempt to move on. */
export type AdvanceOutcome =
  | { readonly kind: 'stored' }
  /** Another process was faster: the evidence has to be checked against its state. */
  | { readonly kind: 'moved'; readonly current: TrustState | undefined };

/** The state file of one pinned log. The pin is the hash of a roster, which names the origin. */
export class TrustStore {
  readonly path: string;
  readonly #folder: string;
  readonly #pin: string;

  /** @param pin lower-case hex, checked by the configuration's parser: safe as a file name */
  constructor(folder: string, pin: string) {
    this.#folder = folder;
    this.#pin = pin;
    this.path = join(folder, `${pin}.json`);
  }

  /**
   * What was accepted last; `undefined` at the first contact.
   *
   * @throws {CliError} BP9004 for a damaged file: taking it as a first contact would forget what it
   *         protects from
   */
  async read(): Promise<TrustState | undefined> {
    let text: string;
    try {
      text = await readFile(this.path, 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw new CliError('BP9004', `${this.path}: ${systemReason(error, 'cannot be read')}`);
    }
    try {
      const state = parseTrustState(text);
      if (state.pin !== this.#pin) throw new Error('it is of another log');
      return state;
    } catch (cause) {
      const detail = cause instanceof Error ? cause.message : String(cause);
      throw new CliError('BP9004', `${this.path}: damaged trust state: ${detail}`, {
        hints: ['restore it from a backup; removing it forgets what this machine has accepted'],
        cause,
      });
    }
  }

  /**
   * Replaces the state if it is still the one that `next` was checked against (compare and swap).
   *
   * @param checkedAgainst what `read` gave before the evidence was verified
   */
  async advance(checkedAgainst: TrustState | undefined, next: TrustState): Promise<AdvanceOutcome> {
    await makePrivateFolder(this.#folder);
    return await withFileLock(`${this.path}.lock`, async () => {
      const current = await this.read();
      if (!sameState(current, checkedAgainst)) return { kind: 'moved', current };
      // The same tree certified at an earlier time is no progress.
      const older = current !== undefined && !isForward(current, next);
      if (!older) await replaceFile(this.path, formatTrustState(next));
      return { kind: 'stored' };
    });
  }
}

function sameState(a: TrustState | undefined, b: TrustState | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return formatTrustState(a) === formatTrustState(b);
}

function isForward(from: TrustState, to: TrustState): boolean {
  if (to.size !== from.size) return to.size > from.size;
  return to.epoch > from.epoch || to.certifiedTime > from.certifiedTime;
}

/** The state as text: canonical JSON and a newline. */
export function formatTrustState(state: TrustState): string {
  return `${canonicalJson({
    format: TRUST_FORMAT,
    pin: state.pin,
    rosterHash: state.rosterHash,
    epoch: state.epoch,
    origin: state.origin,
    size: state.size,
    root: encodeHex(state.root),
    note: state.note,
    certifiedTime: state.certifiedTime,
  })}\n`;
}

/** Reads the text of a state. @throws {VerifyError} `JSON_MALFORMED`, `FORMAT_UNSUPPORTED` */
export function parseTrustState(text: string): TrustState {
  const line = text.endsWith('\n') ? text.slice(0, -1) : text;
  const reader = new ObjectReader(parseCanonicalJson(line, TRUST_LENGTH_MAX), '');
  reader.format('format', TRUST_FORMAT);
  const state: TrustState = {
    pin: encodeHex(reader.hex('pin', 32)),
    rosterHash: encodeHex(reader.hex('rosterHash', 32)),
    epoch: reader.integer('epoch', 0),
    origin: reader.string('origin', 256),
    size: reader.integer('size', 0),
    root: reader.hex('root', 32),
    note: reader.string('note', NOTE_LENGTH_MAX),
    certifiedTime: reader.integer('certifiedTime', 0),
  };
  reader.end();
  return state;
}
