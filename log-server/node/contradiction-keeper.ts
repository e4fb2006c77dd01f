// Keeps what proves that somebody was shown another log (DESIGN 4.4): statements with a head that this
// log never had, signed by maintainers whose word counts, and notes of such heads, cosigned by replicas.
// Only the claim is kept; the log's side of the proof is made when somebody asks, under the newest
// checkpoint and with the rosters of that day. So a file is small, and a document always checkable.
import { mkdir, readFile, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

import { equalBytes, utf8 } from '../../verifier/bytes.ts';
import { formatCheckpoint, parseCheckpoint } from '../../verifier/checkpoint.ts';
import { makeCosignature, planCosigners } from '../../verifier/cosignature.ts';
import { formatEnvelope, parseEnvelope, planSigners } from '../../verifier/dsse.ts';
import type { Envelope } from '../../verifier/dsse.ts';
import { publicKeyHex } from '../../verifier/ed25519.ts';
import { decodeHex, encodeHex } from '../../verifier/encoding.ts';
import { VerifyError, assert } from '../../verifier/errors.ts';
import {
  formatContradiction,
  observedHead,
  packagesOf,
  type HeadClaim,
} from '../../verifier/evidence/contradiction.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import { LedgerError } from '../../verifier/ledger/errors.ts';
import { readSubmission } from '../../verifier/ledger/submission.ts';
import type { LedgerView } from '../../verifier/ledger/view.ts';
import type { Hash } from '../../verifier/merkle/hash.ts';
import {
  formatNote,
  NOTE_LENGTH_MAX,
  NOTE_SIGNATURES_MAX,
  parseNote,
  type NoteSignature,
  type SignedNote,
} from '../../verifier/note.ts';
import { parseRoster } from '../../verifier/roster.ts';
import { sha256 } from '../../verifier/sha256.ts';
import { runPlan, runPlans, type SignatureVerifier } from '../../verifier/signatures.ts';
import { maintainerKeys, maintainerThreshold } from '../../verifier/statements/maintainers.ts';
import type { LogHead } from '../../verifier/statements/observed.ts';
import type { VerifierKey } from '../../verifier/vkey.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { replaceOwnFile } from '../../verifier/node/durable-file.ts';
import type { CosignMessage } from '../consensus/types.ts';
import type { ContradictionSummary, HeadReport } from '../http/face.ts';
import type { Log } from '../log.ts';
import { describeError } from '../log.ts';
import type { Store } from '../store/store.ts';

/** Statements kept: 16 MiB of the largest. */
const STATEMENTS_MAX = 256;

/** Of them, of one package: anybody may claim a package and sign heads that never were. */
const PER_PACKAGE_MAX = 4;

/** Notes kept: 16 MiB of the largest. Each has the signature of a replica. */
const NOTES_MAX = 256;

/** Of them, held against one replica: one is proof enough, and it can sign any number. */
const PER_REPLICA_MAX = 4;

/** Claims judged at one time; whoever comes then is told to come again. */
const JUDGED_MAX = 4;

// Names of the files: nothing else is ever read, so no name that a stranger sends leads elsewhere.
const STATEMENT_ID = /^s-(0|[1-9][0-9]{0,15})-[0-9a-f]{64}$/;
const NOTE_ID = /^n-([0-9a-f]{64})-[0-9a-f]{64}$/;
const ENDING = '.json';

/** What claims are judged with. */
export interface ContradictionParts {
  readonly folder: string;
  readonly store: Pick<Store, 'rosterEnvelopes' | 'rootAt' | 'evidence' | 'checkpoint'>;
  readonly view: Pick<LedgerView, 'maintainerSet' | 'roster' | 'tip'>;
  /** Leaf index of a package's first maintainer set: its age. */
  readonly claimIndex: (name: string) => number | undefined;
  /** Hash of the roster of epoch 0. */
  readonly genesis: string;
  readonly verifier: SignatureVerifier;
  readonly log: Log;
}

/** Keeps claims as files, and makes documents of them. */
export class ContradictionKeeper {
  readonly #parts: ContradictionParts;
  /** One write after the other: what is counted must not change in between. */
  #turn: Promise<unknown> = Promise.resolve();
  #judged = 0;
  /** Claims passed over since that was last told. */
  #unjudged = 0;

  constructor(parts: ContradictionParts) {
    this.#parts = parts;
  }

  /**
   * Keeps a statement that was refused for its head, if maintainers of one of its packages signed it:
   * from strangers it would prove nothing, and they can make any number.
   *
   * @returns its id; `undefined` when it was not kept
   */
  async keepStatement(bytes: Uint8Array): Promise<string | undefined> {
    return this.#judge(async () => {
      const statement = parseEnvelope(bytes);
      const submission = readSubmission(statement);
      const head = observedHead(submission, this.#parts.view.roster.origin);
      if (head === undefined || !(await this.#isContradicted(head))) return undefined;
      for (const name of packagesOf(submission)) {
        if (!(await this.#isSigned(statement, name))) continue;
        return this.#inTurn(() => this.#putStatement(submission.id, name, statement));
      }
      return undefined;
    });
  }

  /**
   * What a submitter is told: a refusal for the head that the signers saw says where it is kept.
   *
   * @param bytes the canonical envelope that was refused
   */
  async explain(bytes: Uint8Array, error: unknown): Promise<unknown> {
    if (!(error instanceof LedgerError) || error.code !== 'OBSERVED_HEAD_UNKNOWN') return error;
    const id = await this.keepStatement(bytes);
    if (id === undefined) return error;
    return new LedgerError(error.code, error.message, {
      hint:
        `your signers were shown another log: the proof is kept at /v1/contradictions/${id}; ` +
        'check it with `bftpkg evidence verify`, and post the checkpoint note that they saw there',
      cause: error,
    });
  }

  /**
   * Keeps a checkpoint note that somebody was shown, if it contradicts this log and a replica of any of
   * its rosters signed it.
   *
   * @throws {VerifyError} malformed, of another log, or signed by nobody who is known
   */
  async keepNote(source: string): Promise<HeadReport> {
    const outcome = await this.#judge(() => this.#keepNote(source, this.#parts.verifier));
    return outcome ?? { kind: 'full' };
  }

  /**
   * The same with a cosignature that a member has sent to this replica as its vote for a checkpoint. Not in
   * line behind what strangers post, and not given up for want of room: no two of them may come.
   */
  async keepCosignature(message: CosignMessage): Promise<HeadReport> {
    const { epoch, signer, size, root, time, signature } = message;
    const rosters = (await this.#parts.store.rosterEnvelopes()).map((one) =>
      parseRoster(one.payload),
    );
    const roster = rosters.find((one) => one.epoch === epoch);
    const replica = roster?.replicas[signer];
    assert(roster !== undefined && replica !== undefined, 'a cosignature is by a member');
    const text = formatCheckpoint({ origin: roster.origin, size, root: decodeHex(root, 32) });
    const line = makeCosignature(replica.cosignKey, time, signature);
    return this.#keepNote(formatNote({ text, signatures: [line] }), nativeVerifier);
  }

  /** @param verifier what signatures are checked with */
  async #keepNote(source: string, verifier: SignatureVerifier): Promise<HeadReport> {
    const { view, store } = this.#parts;
    const note = parseNote(source);
    const head = parseCheckpoint(note.text);
    const { origin } = view.roster;
    if (head.origin !== origin) {
      throw new VerifyError('ORIGIN_MISMATCH', 'the note is about another log', {
        expected: origin,
      });
    }
    if (head.size > view.tip.size) return { kind: 'ahead' };
    if (!(await this.#isContradicted(head))) return { kind: 'consistent' };
    const rosters = await store.rosterEnvelopes();
    const replicas = rosters.flatMap(({ payload }) => parseRoster(payload).replicas);
    const byKey = new Map(
      replicas.map(({ cosignKey }) => [publicKeyHex(cosignKey.publicKey), cosignKey]),
    );
    const keys = [...byKey.values()];
    const lines = await this.#verifiedLines(note, keys, verifier);
    if (lines.size === 0) {
      throw new VerifyError('NOTE_SIGNATURE_INVALID', 'no replica of this log signed the note');
    }
    return this.#inTurn(() => this.#putNote(note.text, lines, keys, verifier));
  }

  /** The good lines by their keys, one of each: what strangers write below a note takes room of others. */
  async #verifiedLines(
    { text, signatures }: SignedNote,
    keys: readonly VerifierKey[],
    verifier: SignatureVerifier,
  ): Promise<ReadonlyMap<string, NoteSignature>> {
    const plans = signatures.map((line) => planCosigners({ text, signatures: [line] }, keys));
    const outcomes = await runPlans(verifier, plans);
    const lines = new Map<string, NoteSignature>();
    for (const [i, line] of signatures.entries()) {
      const outcome = outcomes[i];
      const [key] = outcome?.kind === 'ok' ? outcome.value : [];
      if (key === undefined) continue;
      const name = publicKeyHex(key.publicKey);
      if (!lines.has(name)) lines.set(name, line);
    }
    return lines;
  }

  /** What is kept, oldest packages first, then notes. Unreadable folders hold nothing. */
  async list(): Promise<readonly ContradictionSummary[]> {
    const names = await readdir(this.#parts.folder).catch(() => []);
    return names
      .filter((name) => name.endsWith(ENDING))
      .map((name) => name.slice(0, -ENDING.length))
      .flatMap((id): ContradictionSummary[] => {
        if (STATEMENT_ID.test(id)) return [{ id, kind: 'statement' }];
        return NOTE_ID.test(id) ? [{ id, kind: 'note' }] : [];
      })
      .sort((a, b) => ageOf(a.id) - ageOf(b.id) || (a.id < b.id ? -1 : 1));
  }

  /** A document that anybody can check; `undefined` for an unknown id, or before it can be proven. */
  async document(id: string): Promise<string | undefined> {
    const claim = await this.#read(id);
    if (claim === undefined) return undefined;
    const { store, genesis, view } = this.#parts;
    const head =
      claim.kind === 'note'
        ? parseCheckpoint(parseNote(claim.note).text)
        : observedHead(readSubmission(claim.statement), view.roster.origin);
    assert(head !== undefined, 'a claim that was kept names a head');
    const checkpoint = await store.checkpoint();
    const root = await store.rootAt(head.size);
    // Committed, and cosigned a moment later.
    if (root === undefined || checkpoint === undefined || checkpoint.size < head.size)
      return undefined;
    const subjects =
      claim.kind === 'note' ? [] : [{ kind: 'package' as const, name: claim.package }];
    const evidence = await store.evidence({ pin: genesis, since: head.size, subjects });
    if (evidence === undefined) return undefined;
    return formatContradiction({ claim, root, evidence: parseEvidence(evidence.join('')) });
  }

  async #judge<T>(work: () => Promise<T>): Promise<T | undefined> {
    if (this.#judged >= JUDGED_MAX) {
      this.#unjudged += 1;
      return undefined;
    }
    this.#judged += 1;
    try {
      return await work();
    } finally {
      this.#judged -= 1;
      this.#tellUnjudged();
    }
  }

  // A flood of claims can keep a true one from being judged: whoever looks after the replica has to know.
  // Told after a judgement, so that the flood does not fill the operator's log with a line each.
  #tellUnjudged(): void {
    if (this.#unjudged === 0) return;
    this.#parts.log.warn('head_unjudged', { count: this.#unjudged, atOneTime: JUDGED_MAX });
    this.#unjudged = 0;
  }

  async #isContradicted({ size, root }: LogHead): Promise<boolean> {
    const own: Hash | undefined = await this.#parts.store.rootAt(size);
    return own !== undefined && !equalBytes(own, root);
  }

  async #isSigned(statement: Envelope, name: string): Promise<boolean> {
    const { view, verifier } = this.#parts;
    const inForce = view.maintainerSet(name);
    if (inForce === undefined) return false;
    const plan = planSigners(statement, maintainerKeys(inForce.set));
    return (await runPlan(verifier, plan)).length >= maintainerThreshold(inForce.set);
  }

  async #putStatement(
    hash: string,
    name: string,
    statement: Envelope,
  ): Promise<string | undefined> {
    const age = this.#parts.claimIndex(name);
    if (age === undefined) return undefined;
    const id = `s-${age}-${hash}`;
    const kept = (await this.list()).filter(({ kind }) => kind === 'statement');
    if (kept.some((one) => one.id === id)) return id;
    if (kept.filter((one) => ageOf(one.id) === age).length >= PER_PACKAGE_MAX) return undefined;
    if (kept.length >= STATEMENTS_MAX) {
      // The youngest package's goes: whoever claims packages in order to fill the room gets none of the
      // room of those that were there before.
      const youngest = kept.at(-1);
      if (youngest === undefined || ageOf(youngest.id) <= age) return undefined;
      await rm(this.#path(youngest.id), { force: true });
    }
    const text = JSON.stringify({ package: name, statement: formatEnvelope(statement) });
    return (await this.#write(id, text)) ? id : undefined;
  }

  async #putNote(
    text: string,
    lines: ReadonlyMap<string, NoteSignature>,
    keys: readonly VerifierKey[],
    verifier: SignatureVerifier,
  ): Promise<HeadReport> {
    const hash = encodeHex(sha256(utf8(text)));
    const kept = (await this.list()).filter(({ kind }) => kind === 'note');
    const known = kept.find(({ id }) => id.endsWith(hash));
    if (known !== undefined) {
      // Whoever posts a note first chooses its lines. With one alone, of a replica that signed nothing
      // else, the forkers would have kept out all postings with their own.
      const old = await this.#keptLines(known.id, text, keys, verifier);
      const all = [...new Map([...old, ...lines, ...old])].slice(0, NOTE_SIGNATURES_MAX);
      if (all.length === old.size) return { kind: 'kept', id: known.id };
      return this.#writeNote(known.id, text, new Map(all));
    }
    const key = [...lines.keys()].find(
      (one) => kept.filter(({ id }) => NOTE_ID.exec(id)?.[1] === one).length < PER_REPLICA_MAX,
    );
    if (key === undefined || kept.length >= NOTES_MAX) return FULL;
    return this.#writeNote(`n-${key}-${hash}`, text, lines);
  }

  // A damaged file has none, and is written anew.
  async #keptLines(
    id: string,
    text: string,
    keys: readonly VerifierKey[],
    verifier: SignatureVerifier,
  ): Promise<ReadonlyMap<string, NoteSignature>> {
    const claim = await this.#read(id);
    if (claim?.kind !== 'note') return new Map();
    try {
      const note = parseNote(claim.note);
      return note.text === text ? await this.#verifiedLines(note, keys, verifier) : new Map();
    } catch (error) {
      if (error instanceof VerifyError) return new Map();
      throw error;
    }
  }

  async #writeNote(
    id: string,
    text: string,
    lines: ReadonlyMap<string, NoteSignature>,
  ): Promise<HeadReport> {
    const note = formatNote({ text, signatures: [...lines.values()] });
    return (await this.#write(id, JSON.stringify({ note }))) ? { kind: 'kept', id } : FULL;
  }

  // Never fails: losing a proof is bad, stopping for it worse.
  async #write(id: string, text: string): Promise<boolean> {
    const { folder, log } = this.#parts;
    const file = this.#path(id);
    try {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await replaceOwnFile(file, text, 0o644);
      log.error('head_contradicted', { id, file });
      return true;
    } catch (error) {
      log.warn('head_contradicted', { id, file, error: describeError(error) });
      return false;
    }
  }

  async #read(id: string): Promise<HeadClaim | undefined> {
    if (!STATEMENT_ID.test(id) && !NOTE_ID.test(id)) return undefined;
    try {
      const fields = JSON.parse(await readFile(this.#path(id), 'utf8')) as Record<string, unknown>;
      const { note, package: name, statement } = fields;
      if (typeof note === 'string' && note.length <= NOTE_LENGTH_MAX) return { kind: 'note', note };
      if (typeof name !== 'string' || typeof statement !== 'string') return undefined;
      return { kind: 'statement', package: name, statement: parseEnvelope(statement) };
    } catch (error) {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      // Bit rot: the file is ours, and small enough to be lost.
      if (!(error instanceof VerifyError || error instanceof SyntaxError)) throw error;
      this.#parts.log.warn('head_contradicted', { id, error: describeError(error) });
      return undefined;
    }
  }

  async #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(task);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  #path(id: string): string {
    return join(this.#parts.folder, id + ENDING);
  }
}

const FULL: HeadReport = { kind: 'full' };

/** The age of a statement's package; notes come after all packages. */
function ageOf(id: string): number {
  const [, age] = STATEMENT_ID.exec(id) ?? [];
  return age === undefined ? Number.MAX_SAFE_INTEGER : Number(age);
}
