// Bringing a signed statement into the log. A gateway may be slow, faulty or lie in either direction,
// so neither its "committed" nor its refusal is taken at its word: success is evidence that verifies,
// and a refusal counts when more replicas than may be faulty give it.
import { setTimeout as sleep } from 'node:timers/promises';

import { statementHash } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { parseEntry } from '../../verifier/entry.ts';
import { VerifyError } from '../../verifier/errors.ts';
import { parseEvidence } from '../../verifier/evidence/format.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { nativeVerifier } from '../../verifier/node/ed25519.ts';
import { parsePurl } from '../../verifier/npm/purl.ts';
import { PARCEL_ARTIFACT_BYTES_MAX } from '../../verifier/submission-parcel.ts';
import { rosterWeights, type Roster } from '../../verifier/roster.ts';
import { weightOf } from '../../verifier/quorum.ts';
import { fetchEntry } from '../audit/inclusion.ts';
import { openView } from '../audit/log-view.ts';
import { TileClient } from '../audit/tile-client.ts';
import { asError } from '../client/hedge.ts';
import {
  ARTIFACT_BYTES_MAX,
  isRuling,
  type ReplicaClient,
  type SubmissionStatus,
} from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { CliError, type ReplicaFailure, type TransportError } from '../errors.ts';
import { readIfThere } from '../read-file.ts';
import { hasDigest } from '../npm/artifact-store.ts';
import { describeFailure } from '../output/diagnose.ts';
import { EmptyLogError, type LogSession, type Verified } from '../session/log-session.ts';
import { draftId, envelopeOf, type Draft } from './draft.ts';
import { fetchProposed } from './fetch.ts';

// A healthy log commits in well under a second. After this long with one gateway, another one is asked
// as well (a leader cannot ignore what more than f replicas relay, CONSENSUS Q7).
const GATEWAY_WAIT_SECONDS = 5;
// Between rounds over all gateways; the time for the whole command ends them.
const ROUND_PAUSE_MS = 500;
const ROUNDS_MAX = 200;

/** A statement that is in the log. */
export interface Submitted {
  /** Leaf index of its entry, proven. */
  readonly index: number;
  readonly statement: string;
  readonly verified: Verified;
  /** Whether it was in the log before. */
  readonly already: boolean;
  /** Gateways that failed meanwhile. */
  readonly failures: readonly ReplicaFailure[];
}

/**
 * Submits a statement and waits until its evidence verifies. Doing it again is success again.
 *
 * @throws {CliError} BP7001 below a quorum or when time is spent, BP5004 or BP6005 when the log refuses
 */
export async function submitDraft(
  session: LogSession,
  draft: Draft,
  invocation: Invocation,
): Promise<Submitted> {
  const { text } = envelopeOf(draft);
  const artifacts = await readArtifacts(session, draft, invocation.context.signal);
  const before = await findInLog(session, draft);
  if (before !== undefined) return { ...before, already: true, failures: [] };
  const roster = await session.roster();
  const run = new Submission(session, roster, draft, text, artifacts, invocation);
  return await run.untilLogged();
}

interface NamedBytes {
  readonly sha512: Uint8Array;
  readonly sha512Hex: string;
  readonly bytes: Uint8Array;
}

// Read again at the time of sending: the file may have been built anew since it was signed.
async function readArtifacts(
  session: LogSession,
  draft: Draft,
  signal: AbortSignal,
): Promise<readonly NamedBytes[]> {
  if (draft.statement.kind !== 'release') return [];
  const { subjects } = draft.statement.release;
  return await Promise.all(
    subjects.map(async (subject, i) => {
      const path = draft.artifacts[i];
      const local = path === undefined ? undefined : await readIfThere(path, ARTIFACT_BYTES_MAX);
      // Whoever submits what others have prepared gets the tarball from where they put it.
      const bytes = local ?? (await fetchProposed(session, subject, signal));
      if (bytes === undefined) {
        throw new CliError(
          'BP9004',
          `the tarball of ${subject.name} is not here and no replica has it`,
          {
            hints: ['submit it where it was packed, or bftpkg release publish <folder>'],
          },
        );
      }
      if (!hasDigest(bytes, subject.sha512)) {
        throw new CliError('BP1001', `${path}: not the tarball that was signed`, {
          hints: ['prepare and sign the release again, from the tarball that is meant'],
        });
      }
      const { sha512 } = subject;
      return { sha512, sha512Hex: encodeHex(sha512), bytes };
    }),
  );
}

/** The subjects whose evidence shows that a draft's statement is in the log, and what clients make of it. */
function subjectsOf({ statement }: Draft): readonly Subject[] {
  if (statement.kind === 'maintainers') {
    return [{ kind: 'package', name: parsePurl(statement.set.package).name }];
  }
  if (statement.kind === 'withdrawal') {
    const { withdrawal } = statement;
    const { name } = parsePurl(withdrawal.package);
    return [{ kind: 'release', name, version: withdrawal.version }];
  }
  const { subjects } = statement.release;
  if (subjects.length === 0) throw new CliError('BP9004', 'the draft has no subject');
  return subjects.map(({ name, version }) => ({ kind: 'release', name, version }));
}

/** Whether the statement is in the log, by evidence. */
export async function findInLog(
  session: LogSession,
  draft: Draft,
): Promise<Pick<Submitted, 'index' | 'statement' | 'verified'> | undefined> {
  const statement = draftId(draft);
  let verified: Verified;
  try {
    verified = await session.verify(subjectsOf(draft));
  } catch (error) {
    if (error instanceof EmptyLogError) return undefined;
    throw error;
  }
  if (draft.statement.kind === 'withdrawal') {
    const index = indexInEvidence(verified, statement);
    return index === undefined ? undefined : { index, statement, verified };
  }
  for (const result of verified.evidence.subjects) {
    if (result.kind === 'verified' && result.release.statement === statement) {
      return { index: result.release.index, statement, verified };
    }
    if (result.kind === 'package' && result.package.setHash === statement) {
      return { index: result.package.index, statement, verified };
    }
  }
  return undefined;
}

// Evidence about a release brings its last withdrawal along, and every entry that it shows was proven to
// be in the log.
function indexInEvidence({ source }: Verified, statement: string): number | undefined {
  return parseEvidence(source).entries.find(({ data }) => {
    const entry = parseEntry(data);
    return entry.kind === 'withdrawal' && statementHash(entry.envelope.payload) === statement;
  })?.index;
}

function isSmall({ bytes }: NamedBytes): boolean {
  return bytes.length <= PARCEL_ARTIFACT_BYTES_MAX;
}

class Submission {
  readonly #session: LogSession;
  readonly #roster: Roster;
  readonly #draft: Draft;
  readonly #envelope: string;
  readonly #artifacts: readonly NamedBytes[];
  readonly #invocation: Invocation;
  /** Gateways that were sent everything in one request. */
  readonly #offered = new Set<string>();
  readonly #failures = new Map<string, Error>();
  readonly #rulings = new Map<number, TransportError>();

  constructor(
    session: LogSession,
    roster: Roster,
    draft: Draft,
    envelope: string,
    artifacts: readonly NamedBytes[],
    invocation: Invocation,
  ) {
    this.#session = session;
    this.#roster = roster;
    this.#draft = draft;
    this.#envelope = envelope;
    this.#artifacts = artifacts;
    this.#invocation = invocation;
  }

  async untilLogged(): Promise<Submitted> {
    const { signal } = this.#invocation.context;
    const gateways = this.#gateways((await this.#session.readyFirst()).map(({ url }) => url));
    for (let round = 0; round < ROUNDS_MAX && !signal.aborted; round++) {
      let taken = 0;
      for (const [index, gateway] of gateways) {
        const status = await this.#offer(index, gateway);
        if (status !== undefined) taken++;
        const found = status === undefined ? undefined : await this.#find();
        if (found !== undefined) return found;
        // Evidence from a replica that is behind may not show it yet; after a round it would.
        const old = round > 0 ? await this.#findOld(gateway, status) : undefined;
        if (old !== undefined) return old;
        await this.#throwIfRefused();
        if (signal.aborted) break;
      }
      // Nobody takes it at all: waiting for them would only take longer to say so.
      if (taken === 0) break;
      await sleep(ROUND_PAUSE_MS, undefined, { signal }).catch(() => undefined);
    }
    throw this.#gaveUp();
  }

  // The replicas of the roster, in the order in which they should be asked.
  #gateways(order: readonly string[]): readonly (readonly [number, ReplicaClient])[] {
    const rank = (url: string): number => {
      const at = order.indexOf(url);
      return at < 0 ? order.length : at;
    };
    return [...this.#roster.replicas.entries()]
      .toSorted(([, a], [, b]) => rank(a.url) - rank(b.url))
      .map(([index, { url }]) => [index, this.#session.replica(url)] as const);
  }

  async #offer(index: number, gateway: ReplicaClient): Promise<SubmissionStatus | undefined> {
    try {
      const status = (await this.#offerTogether(gateway)) ?? (await this.#offerOneByOne(gateway));
      this.#failures.delete(gateway.url);
      return status;
    } catch (error) {
      this.#failures.set(gateway.url, asError(error));
      if (isRuling(error)) this.#rulings.set(index, error);
      return undefined;
    }
  }

  // A release of a monorepo with its dozens of small tarballs in one request. Once for each gateway: later
  // it is asked what it has, and sent only what it lacks.
  async #offerTogether(gateway: ReplicaClient): Promise<SubmissionStatus | undefined> {
    const { signal } = this.#invocation.context;
    const small = this.#artifacts.filter(isSmall);
    if (small.length === 0 || this.#offered.has(gateway.url)) return undefined;
    this.#offered.add(gateway.url);
    await this.#upload(
      gateway,
      this.#artifacts.filter((artifact) => !isSmall(artifact)),
    );
    const size = small.reduce((sum, { bytes }) => sum + bytes.length, 0);
    this.#invocation.progress(`uploading ${size} bytes to ${gateway.url}`);
    return await gateway.submitWith(small, this.#envelope, GATEWAY_WAIT_SECONDS, signal);
  }

  async #offerOneByOne(gateway: ReplicaClient): Promise<SubmissionStatus> {
    await this.#upload(gateway, this.#artifacts);
    const { signal } = this.#invocation.context;
    return await gateway.submit(this.#envelope, GATEWAY_WAIT_SECONDS, signal);
  }

  async #upload(gateway: ReplicaClient, artifacts: readonly NamedBytes[]): Promise<void> {
    const { signal } = this.#invocation.context;
    for (const { sha512Hex, bytes } of artifacts) {
      if (await gateway.hasArtifact(sha512Hex, signal)) continue;
      this.#invocation.progress(`uploading ${bytes.length} bytes to ${gateway.url}`);
      await gateway.putArtifact(sha512Hex, bytes, signal);
    }
  }

  async #find(): Promise<Submitted | undefined> {
    const found = await findInLog(this.#session, this.#draft);
    if (found === undefined) return undefined;
    const failures = [...this.#failures].map(([url, error]) => ({ url, error }));
    return { ...found, already: false, failures };
  }

  // What evidence shows no more is still in the log: a yank that was taken back, a maintainer set that
  // was followed by another one. Its entry is then proven by itself.
  async #findOld(
    gateway: ReplicaClient,
    status: SubmissionStatus | undefined,
  ): Promise<Submitted | undefined> {
    if (status?.kind !== 'committed') return undefined;
    const { config, http } = this.#session;
    const { signal } = this.#invocation.context;
    const statement = draftId(this.#draft);
    try {
      const view = await openView(gateway, config.pin, nativeVerifier, signal);
      if (status.index >= view.checkpoint.checkpoint.size) return undefined;
      const tiles = new TileClient(gateway.url, http);
      const { index, data } = await fetchEntry(view, tiles, status.index, signal);
      const entry = parseEntry(data);
      if (entry.kind === 'commit' || statementHash(entry.envelope.payload) !== statement) {
        throw new VerifyError('ENTRY_MISMATCH', `entry ${index} is another statement`);
      }
      const verified = await this.#session.verify(subjectsOf(this.#draft));
      return { index, statement, verified, already: true, failures: [] };
    } catch (error) {
      // A fork, or a quorum out of reach: what the session says is not this gateway's doing.
      if (error instanceof CliError) throw error;
      this.#failures.set(gateway.url, asError(error));
      return undefined;
    }
  }

  // One replica may lie about the rules; of more than may be faulty, one tells the truth.
  async #throwIfRefused(): Promise<void> {
    const weight = weightOf(this.#rulings.keys(), rosterWeights(this.#roster));
    if (weight < this.#roster.thresholds.weak) return;
    const [ruling] = this.#rulings.values();
    if (ruling === undefined) return;
    const code = ruling.status === 409 ? 'BP5004' : 'BP6005';
    throw new CliError(code, ruling.remote?.message ?? ruling.message, {
      details: [['rule', ruling.remote?.code ?? 'not said']],
      hints: [`bftpkg explain ${code}`],
      cause: ruling,
    });
  }

  #gaveUp(): CliError {
    const total = this.#roster.replicas.length;
    const answered = total - this.#failures.size;
    return new CliError(
      'BP7001',
      `could not reach a quorum: ${answered} of ${total} replicas took the statement, and it is not ` +
        'in the log. Nothing is lost: submitting it again is safe.',
      {
        details: [...this.#failures].map(([url, error]) => [url, describeFailure(error)] as const),
        hints: ['try again later with the same file'],
      },
    );
  }
}
