// Executing a batch (DESIGN 5): the same function builds a leader's proposal, checks it on every
// replica, and replays the log for an auditor. It is pure: the base stays as it is, and the result says
// everything that has to be written.
import type { Envelope } from '../dsse.ts';
import { formatEntry } from '../entry.ts';
import { VerifyError, assert } from '../errors.ts';
import { packageKey, releaseKey } from '../map/keys.ts';
import { formatPackageRecord, formatReleaseRecord } from '../map/records.ts';
import { updateMap, type MapChange, type MapUpdate } from '../map/trie.ts';
import type { CompactRange } from '../merkle/compact-range.ts';
import { leafHash, type Hash } from '../merkle/hash.ts';
import { runPlan, runPlans, type SignaturePlan, type SignatureVerifier } from '../signatures.ts';
import type { ArtifactClaim, CheckedSubmission } from './effect.ts';
import { LedgerError } from './errors.ts';
import { Scratch, type LedgerChanges } from './scratch.ts';
import { statementEntry } from './statement-entry.ts';
import { checkSubmission } from './judge.ts';
import { readSubmission } from './submission.ts';
import type { BatchBase } from './view.ts';

/** What to execute. */
export interface BatchInput {
  /** Height of the batch: the base's plus one. */
  readonly height: number;
  /** Agreed time of the batch, Unix seconds; not before the base's. */
  readonly timeSeconds: number;
  /** Statements in the order in which they become entries. */
  readonly envelopes: readonly Envelope[];
  /**
   * The entries of `envelopes`, when they exist already and were read with `parseEntry`: canonical, of
   * this time and of the kind of their payload type. Absent, they are made.
   */
  readonly entries?: readonly Uint8Array[];
  /** The canonical texts that `envelopes` were read from, when they are at hand: entries are made of them. */
  readonly texts?: readonly Uint8Array[];
}

/** How much may go into a batch. */
export interface BatchBounds {
  /** Statement entries. */
  readonly entriesMax: number;
  /** Bytes of all entries, the commit entry included. */
  readonly bytesMax: number;
}

/** A commit entry has about 330 bytes; reserved for it before the first statement is taken. */
export const COMMIT_ENTRY_BYTES_MAX = 512;

/** Why one of a batch's statements was refused. */
export interface Refused {
  /** Position in `BatchInput.envelopes`. */
  readonly position: number;
  readonly error: LedgerError | VerifyError;
}

/** A perfect subtree of the log: 2^level leaves from leaf `index` * 2^level on. */
export interface TreeNode {
  readonly level: number;
  readonly index: number;
  readonly hash: Hash;
}

/** A batch that has been executed, and what it did. */
export interface BatchExecution {
  readonly epoch: number;
  readonly height: number;
  readonly timeSeconds: number;
  readonly prevSize: number;
  /** The statement entries in order, then the commit entry. */
  readonly entries: readonly Uint8Array[];
  /** Positions in `BatchInput.envelopes` of the statement entries. */
  readonly included: readonly number[];
  /** Leaf hash of the commit entry: what the next one names as `previous`. */
  readonly commitLeaf: Hash;
  /** Every node of the log's tree that the batch completes, leaves included, children first. */
  readonly nodes: readonly TreeNode[];
  /** The log's right edge afterwards. */
  readonly range: CompactRange;
  readonly root: Hash;
  readonly map: MapUpdate;
  readonly changes: LedgerChanges;
  /** What has to be held before voting for the batch. */
  readonly artifacts: readonly ArtifactClaim[];
}

/** A built batch. */
export interface BuildResult {
  /** `undefined` when no statement is valid. */
  readonly execution: BatchExecution | undefined;
  /** Refused for what they are. Those that merely did not fit are in neither list. */
  readonly refused: readonly Refused[];
}

/**
 * Builds a batch of the statements that are valid, in the given order; invalid ones are left out and
 * reported.
 *
 * @param mayTake asked last about each statement that breaks no rule; a reason leaves it out
 * @throws {LedgerError} `STATE_MOVED` when the base changed while signatures were being verified
 */
export async function buildBatch(
  base: BatchBase,
  input: BatchInput,
  bounds: BatchBounds,
  verifier: SignatureVerifier,
  mayTake: (checked: CheckedSubmission) => LedgerError | undefined = () => undefined,
): Promise<BuildResult> {
  const optimistic = new Draft(base, input, bounds, mayTake);
  for (const position of input.envelopes.keys()) optimistic.take(position);
  const outcomes = await runPlans(verifier, optimistic.plans);
  requireUnmoved(base, input);
  if (outcomes.every(({ kind }) => kind === 'ok')) return optimistic.finish();
  // Somebody got a badly signed statement this far. What came after it was judged on a state that does
  // not exist: begin again, one by one. Most signatures are known by now to a verifier that remembers.
  const careful = new Draft(base, input, bounds, mayTake);
  for (const position of input.envelopes.keys()) {
    await careful.takeSigned(position, verifier);
    requireUnmoved(base, input);
  }
  return careful.finish();
}

/**
 * Executes a batch in which every statement has to be valid.
 *
 * @throws {LedgerError | VerifyError} the refusal of the first invalid statement; `BATCH_MALFORMED`
 *         when there is none at all or they exceed the bounds; `STATE_MOVED` when the base changed
 *         while signatures were being verified
 */
export async function executeBatch(
  base: BatchBase,
  input: BatchInput,
  bounds: BatchBounds,
  verifier: SignatureVerifier,
): Promise<BatchExecution> {
  const draft = new Draft(base, input, bounds, () => undefined);
  for (const position of input.envelopes.keys()) draft.take(position);
  // Executing while workers verify; thrown away if a signature turns out to be bad.
  const verification = runPlans(verifier, draft.plans);
  const { execution, refused } = draft.finish();
  const outcomes = await verification;
  requireUnmoved(base, input);
  // The state is real up to the first refusal, so the first one is the batch's own fault.
  const refusals = new Map(refused.map(({ position, error }) => [position, error]));
  const plans = new Map(draft.included.map((position, plan) => [position, plan]));
  for (const position of input.envelopes.keys()) {
    const refusal = refusals.get(position);
    if (refusal !== undefined) throw refusal;
    const outcome = outcomes[plans.get(position) ?? -1];
    if (outcome === undefined) throw malformed('more statements than a batch may hold');
    if (outcome.kind === 'refused') throw outcome.error;
  }
  if (execution === undefined) throw malformed('a batch without statements');
  return execution;
}

function requireUnmoved(base: BatchBase, { height }: BatchInput): void {
  if (base.tip.height === height - 1) return;
  throw new LedgerError('STATE_MOVED', `the log is at height ${base.tip.height} already`);
}

function malformed(detail: string): LedgerError {
  return new LedgerError('BATCH_MALFORMED', `malformed batch: ${detail}`);
}

/** A batch in the making. Everything here is synchronous and sees one moment of the base. */
class Draft {
  readonly #base: BatchBase;
  readonly #input: BatchInput;
  readonly #bounds: BatchBounds;
  readonly #mayTake: (checked: CheckedSubmission) => LedgerError | undefined;
  readonly #scratch: Scratch;
  readonly #entries: Uint8Array[] = [];
  readonly #artifacts: ArtifactClaim[] = [];
  readonly #refused: Refused[] = [];
  #bytes = COMMIT_ENTRY_BYTES_MAX;
  #full = false;
  #hasRoster = false;
  readonly included: number[] = [];
  /** Signatures of the included statements, in order. */
  readonly plans: SignaturePlan<unknown>[] = [];

  constructor(
    base: BatchBase,
    input: BatchInput,
    bounds: BatchBounds,
    mayTake: (checked: CheckedSubmission) => LedgerError | undefined,
  ) {
    assert(input.height === base.tip.height + 1, 'a batch follows its base');
    if (input.timeSeconds < base.tip.timeSeconds) {
      throw new LedgerError(
        'TIME_WRONG',
        'the time of a batch is before that of the one before it',
      );
    }
    this.#base = base;
    this.#input = input;
    this.#bounds = bounds;
    this.#mayTake = mayTake;
    this.#scratch = new Scratch(base, input.timeSeconds);
  }

  /** Takes a statement as if its signatures were good; `plans` has them. */
  take(position: number): void {
    const judged = this.#judge(position);
    if (judged === undefined) return;
    this.plans.push(judged.checked.plan);
    this.#include(position, judged);
  }

  /** Takes a statement if its signatures are good. */
  async takeSigned(position: number, verifier: SignatureVerifier): Promise<void> {
    const judged = this.#judge(position);
    if (judged === undefined) return;
    try {
      await runPlan(verifier, judged.checked.plan);
    } catch (error) {
      this.#refuse(position, error);
      return;
    }
    this.#include(position, judged);
  }

  #judge(position: number): Judged | undefined {
    const envelope = this.#input.envelopes[position];
    assert(envelope !== undefined, 'a position is one of an envelope');
    if (this.#full) return undefined;
    if (this.included.length >= this.#bounds.entriesMax) {
      this.#full = true;
      return undefined;
    }
    try {
      return this.#judgeEnvelope(envelope, position);
    } catch (error) {
      this.#refuse(position, error);
      return undefined;
    }
  }

  #judgeEnvelope(envelope: Envelope, position: number): Judged | undefined {
    const submission = readSubmission(envelope);
    this.#requireAlone(submission.kind === 'roster');
    const checked = checkSubmission(this.#scratch, submission, this.#input.timeSeconds);
    const { entries, texts, timeSeconds } = this.#input;
    const entry = entries?.[position] ?? statementEntry(submission, timeSeconds, texts?.[position]);
    if (this.#bytes + entry.length > this.#bounds.bytesMax) {
      // Nothing smaller is looked for behind it: the order of arrival is part of fairness (Q4).
      this.#full = true;
      return undefined;
    }
    const reason = this.#mayTake(checked);
    if (reason !== undefined) throw reason;
    return { id: submission.id, checked, entry };
  }

  // A roster ends its epoch with its batch: nothing else is decided by two rosters at once.
  #requireAlone(isRoster: boolean): void {
    if (!this.#hasRoster && (!isRoster || this.included.length === 0)) return;
    throw new LedgerError('ROSTER_NOT_ALONE', 'a roster is alone in its batch');
  }

  #include(position: number, { id, checked, entry }: Judged): void {
    const index = this.#base.tip.size + this.included.length;
    this.#scratch.apply(checked.effect, id, index);
    this.#hasRoster ||= checked.effect.kind === 'roster';
    this.included.push(position);
    this.#entries.push(entry);
    this.#bytes += entry.length;
    this.#artifacts.push(...checked.artifacts);
  }

  #refuse(position: number, error: unknown): void {
    // Anything else is a bug and must not be reported as somebody's bad statement.
    if (!(error instanceof LedgerError || error instanceof VerifyError)) throw error;
    this.#refused.push({ position, error });
  }

  /** Ends the batch with its commit entry. */
  finish(): BuildResult {
    const refused = this.#refused;
    if (this.included.length === 0) return { execution: undefined, refused };
    const { tip } = this.#base;
    const { height, timeSeconds } = this.#input;
    const changes = this.#scratch.changes();
    const map = updateMap(this.#base.mapNodes, tip.map, mapChanges(changes));
    const commit = formatEntry({
      kind: 'commit',
      time: timeSeconds,
      epoch: tip.epoch,
      height,
      entries: this.included.length,
      map: map.root,
      previous: tip.commitLeaf,
    });
    assert(commit.length <= COMMIT_ENTRY_BYTES_MAX, 'a commit entry is small');
    const entries = [...this.#entries, commit];
    const nodes: TreeNode[] = [];
    let { range } = this.#base;
    assert(range.size === tip.size, 'the range is that of the tip');
    for (const entry of entries) {
      range = range.append(leafHash(entry), (level, index, hash) => {
        nodes.push({ level, index, hash });
      });
    }
    const execution: BatchExecution = {
      epoch: tip.epoch,
      height,
      timeSeconds,
      prevSize: tip.size,
      entries,
      included: this.included,
      commitLeaf: leafHash(commit),
      nodes,
      range,
      root: range.root(),
      map,
      changes,
      artifacts: this.#artifacts,
    };
    return { execution, refused };
  }
}

interface Judged {
  readonly id: string;
  readonly checked: CheckedSubmission;
  readonly entry: Uint8Array;
}

/** What records mean for the map: one pair for each. */
export function mapChanges({
  packages,
  releases,
}: Pick<LedgerChanges, 'packages' | 'releases'>): readonly MapChange[] {
  const changes: MapChange[] = [];
  for (const [name, { record }] of packages) {
    changes.push({ key: packageKey(name), value: formatPackageRecord(record) });
  }
  for (const { name, version, record } of releases) {
    changes.push({ key: releaseKey(name, version), value: formatReleaseRecord(record) });
  }
  return changes;
}
