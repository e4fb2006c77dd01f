// One command's dealings with the log: configuration, trust state, replicas, and the way from subjects
// to verified answers (DESIGN 7). Everything that can be believed goes through `verify`.
import type { Evidence } from '../../verifier/evidence/format.ts';
import type { Remembered } from '../../verifier/evidence/remembered.ts';
import { subjectId, type Subject } from '../../verifier/evidence/subject.ts';
import { ForkError, type TrustState } from '../../verifier/evidence/trust.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import { statementHash } from '../../verifier/dsse.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { assert, VerifyError } from '../../verifier/errors.ts';
import { collectGarbage } from '../../verifier/node/garbage.ts';
import { threadedVerifier } from '../../verifier/node/threaded-verifier.ts';
import type { Roster } from '../../verifier/roster.ts';
import type { SignedNote } from '../../verifier/note.ts';
import { HttpClient } from '../client/http.ts';
import { isNotReady, ReplicaClient, type EvidenceQuery } from '../client/replica.ts';
import type { Invocation } from '../context.ts';
import { tuneForLargeDocuments } from '../engine.ts';
import { CliError, UnreachableError, type ReplicaFailure } from '../errors.ts';
import { diagnoseFailures, EMPTY_LOG_HINT } from '../output/diagnose.ts';
import { loadConfig, type Config } from '../trust/config.ts';
import { stateFolder } from '../trust/folders.ts';
import { requireKnownRoster } from '../trust/known-roster.ts';
import { RememberedReleases } from '../trust/remembered-releases.ts';
import { RememberedSignatures } from '../trust/remembered-signatures.ts';
import { TrustStore } from '../trust/trust-store.ts';
import { askForRoster } from './ask-roster.ts';
import { askForView, AskedWrongError, type CheckedEvidence, type View } from './ask-view.ts';
import { describeClock, judgeClock } from './clock.ts';
import { verifyInParts } from './in-parts.ts';
import { unreachableMessage, type ReachRule } from './reach.ts';

// Clocks that are kept by NTP agree within a second; replicas vote within tighter bounds.
const CLOCK_SKEW_MAX_SECONDS = 60;
// A replica that is well answers in milliseconds, on another continent in 300.
const READY_WAIT_MS = 1_000;
/** Evidence for some thousand packages. */
const LARGE_DOCUMENT_BYTES = 3_000_000;

// Another process of the same user may advance the trust state meanwhile; four in a row have to be
// faster than us to get here.
const ADVANCE_ATTEMPTS_MAX = 4;

/** The log says of itself that it has no entry and no checkpoint yet. */
export class EmptyLogError extends CliError {
  constructor() {
    super('BP7001', 'could not check: the log has no checkpoint yet', {
      hints: [EMPTY_LOG_HINT],
    });
  }
}

/** What was verified, and how it was come by. */
export interface Verified {
  readonly evidence: VerifiedEvidence;
  /** The document, to be kept as an offline bundle. */
  readonly source: Uint8Array;
  /** How many documents it took; `source` is the first of them. */
  readonly documents: number;
  /** Size of the tree that was accepted before; `null` at the first contact. */
  readonly consistentWith: number | null;
  readonly ageSeconds: number;
  /** Whether it came from a file, which may simply not cover a subject. */
  readonly isBundle: boolean;
  /** Replicas that failed or answered badly meanwhile. */
  readonly failures: readonly ReplicaFailure[];
}

/** What a command asks for beyond the configuration. */
export interface SessionOptions {
  readonly checkpointAgeMaxSeconds?: number | undefined;
  /** How many replicas have to answer; a quorum unless told otherwise. */
  readonly reach?: ReachRule;
  /**
   * Whether evidence may leave out what this project has verified before. Not where the document itself is
   * wanted: it is complete only if nothing is left out.
   */
  readonly remember?: boolean;
  /**
   * Begun when the question is on its way: loads what the command needs for the answer. Which can still fail when
   * it is needed, and is told then.
   */
  readonly meanwhile?: () => Promise<unknown>;
}

/** The connection of one command to the log that its project pins. */
export class LogSession {
  readonly config: Config;
  readonly http: HttpClient;
  readonly #invocation: Invocation;
  readonly #trust: TrustStore;
  readonly #signatures: RememberedSignatures;
  readonly #releases: RememberedReleases | undefined;
  readonly #meanwhile: () => Promise<unknown>;
  readonly #clients = new Map<string, ReplicaClient>();
  /** Addresses of the configuration, the one to ask first in front. */
  #order: readonly string[];
  #isReadinessKnown = false;
  /** How far this clock is ahead of each replica's, seconds. */
  readonly #clocks = new Map<string, number>();

  /** Replicas that were waited for in vain. */
  readonly #wasteful = new Set<string>();
  readonly #reach: ReachRule;
  /** Whether releases had changed since they were remembered. */
  #wasAskedWrong = false;

  private constructor(invocation: Invocation, config: Config, options: SessionOptions) {
    this.#invocation = invocation;
    this.config = config;
    this.http = new HttpClient(invocation.globals);
    this.#reach = options.reach ?? 'quorum';
    this.#meanwhile = options.meanwhile ?? (() => Promise.resolve());
    this.#order = config.replicas;
    const state = stateFolder(invocation.context.env);
    this.#trust = new TrustStore(state, config.pin);
    this.#signatures = new RememberedSignatures(state, threadedVerifier);
    const { project } = invocation.globals;
    this.#releases =
      options.remember === true ? new RememberedReleases(state, config.pin, project) : undefined;
  }

  /** @throws {CliError} BP9004 */
  static async open(invocation: Invocation, options: SessionOptions = {}): Promise<LogSession> {
    const config = await loadConfig(invocation.context, invocation.globals);
    const age = options.checkpointAgeMaxSeconds ?? config.checkpointAgeMaxSeconds;
    return new LogSession(invocation, { ...config, checkpointAgeMaxSeconds: age }, options);
  }

  /** The replicas of the configuration; in its order until some turned out to be better. */
  get replicas(): readonly ReplicaClient[] {
    return this.#order.map((url) => this.replica(url));
  }

  /**
   * The replicas of the configuration, those first that answered just now. For work of many requests:
   * one that hangs should not cost every single one of them its delay.
   */
  async readyFirst(): Promise<readonly ReplicaClient[]> {
    if (this.#isReadinessKnown) return this.replicas;
    const stop = new AbortController();
    const signal = AbortSignal.any([
      this.#invocation.context.signal,
      stop.signal,
      AbortSignal.timeout(READY_WAIT_MS),
    ]);
    const ready = new Set<string>();
    const all = this.replicas.map(async (replica) => {
      try {
        await replica.checkpoint(signal);
        ready.add(replica.url);
      } catch (error) {
        if (isNotReady(error)) ready.add(replica.url);
      }
      // The rest may be silent, and that must not cost anything.
      if (ready.size >= mostOf(this.replicas.length)) stop.abort();
    });
    await Promise.all(all);
    stop.abort();
    const rank = (url: string): number => (ready.has(url) ? 0 : 1);
    this.#order = this.#order.toSorted((a, b) => rank(a) - rank(b));
    this.#isReadinessKnown = true;
    return this.replicas;
  }

  /** The replica at an address. */
  replica(url: string): ReplicaClient {
    const known = this.#clients.get(url);
    if (known !== undefined) return known;
    const client = new ReplicaClient(url, this.http);
    this.#clients.set(url, client);
    return client;
  }

  /**
   * Verifies subjects online and moves the trust state forward.
   *
   * @param subjects 1 to 100,000, distinct
   * @throws {CliError} BP7001 below a quorum, BP4003 with a file of evidence for a fork
   * @throws {VerifyError} when a quorum of replicas answered and none gave acceptable evidence
   */
  async verify(subjects: readonly Subject[]): Promise<Verified> {
    if (this.#invocation.globals.offline) {
      throw new CliError('BP7001', 'could not check: --offline forbids asking replicas', {
        hints: ['only verify can do without: bftpkg verify --offline --bundle <file>'],
      });
    }
    return await verifyInParts(subjects, (part) => this.#verifyPart(part));
  }

  async #verifyPart(subjects: readonly Subject[]): Promise<Verified> {
    try {
      for (let attempt = 0; attempt < ADVANCE_ATTEMPTS_MAX; attempt++) {
        const trusted = await this.#trust.read();
        const verified = await this.#verifyAgainst(subjects, trusted);
        if (verified === undefined) continue;
        // Advanced also when a subject is refused: having seen a revocation, this machine must
        // not be shown the time before it again.
        const outcome = await this.#trust.advance(trusted, verified.evidence.trust);
        if (outcome.kind === 'stored') {
          await this.#keep(verified.evidence);
          return verified;
        }
      }
    } catch (error) {
      if (!(error instanceof ForkError)) throw error;
      throw await this.#keepFork(error);
    }
    throw new CliError('BP9004', `${this.#trust.path}: other processes keep changing it`);
  }

  // What was learned saves the next run time; the trust state is stored already.
  async #keep({ subjects }: VerifiedEvidence): Promise<void> {
    await this.#signatures.keep();
    if (this.#releases === undefined) return;
    const { rememberRelease } = await import('../../verifier/evidence/remembered.ts');
    await this.#releases.keep(
      subjects.flatMap((each) => (each.kind === 'verified' ? [rememberRelease(each.release)] : [])),
    );
  }

  // `undefined` when less has to be left out than was: the question is to be asked again.
  async #verifyAgainst(
    subjects: readonly Subject[],
    trusted: TrustState | undefined,
  ): Promise<Verified | undefined> {
    try {
      const view = await this.#askView(subjects, trusted);
      return {
        evidence: view.verified,
        source: view.source,
        documents: 1,
        consistentWith: trusted?.size ?? null,
        ageSeconds: this.#nowSeconds() - view.verified.checkpoint.certifiedTime,
        isBundle: false,
        failures: view.failures,
      };
    } catch (error) {
      if (error instanceof AskedWrongError) return undefined;
      if (!(error instanceof UnreachableError)) throw error;
      throw this.#allFailed(error.failures);
    }
  }

  async #askView(subjects: readonly Subject[], trusted: TrustState | undefined): Promise<View> {
    const whole = {
      pin: this.config.pin,
      since: trusted?.size ?? 0,
      subjects: subjects.map(subjectId),
    };
    const remembered = await this.#releases?.read();
    const known = whole.subjects.map((purl) => remembered?.get(purl)?.size ?? 0);
    const short = known.some((size) => size > 0) ? { ...whole, known } : undefined;
    // Whatever is wrong with an answer that leaves something out, the next one is to leave nothing out, and is
    // checked without what is remembered: it could be that which is wrong, for all replicas alike.
    let query: EvidenceQuery = short ?? whole;
    const leavingOut = new WeakSet<Uint8Array>();
    let isDoubted = false;
    const ask = async (url: string, signal: AbortSignal): Promise<Uint8Array> => {
      const asked = query;
      try {
        const source = await this.replica(url).evidence(asked, signal);
        if (asked === short) leavingOut.add(source);
        return source;
      } catch (error) {
        query = whole;
        throw error;
      }
    };
    const check = async (source: Uint8Array): Promise<CheckedEvidence> => {
      const isShort = leavingOut.has(source);
      const doubt = (): void => {
        query = whole;
        isDoubted ||= isShort;
      };
      try {
        const known = isShort ? remembered : undefined;
        const checked = await this.#checkDocument(source, subjects, trusted, known);
        if (checked.verified.subjects.some(({ kind }) => kind === 'refused')) doubt();
        return checked;
      } catch (error) {
        doubt();
        throw error;
      } finally {
        // The next one may be as large.
        giveBackMemory(source);
      }
    };
    const asking = askForView({
      urls: this.config.replicas,
      note: (url, signal) => this.#glance(url, signal),
      rosters: (url, signal) => this.replica(url).rosters(signal),
      evidence: ask,
      check,
      subjects: subjects.length,
      sizeMin: trusted?.size ?? 0,
      rule: this.#reach,
      verifier: threadedVerifier,
      signal: this.#invocation.context.signal,
      wasteful: this.#wasteful,
    });
    // Half of the program's files are for what comes back.
    void Promise.allSettled([loadReader(), loadVerifier(), this.#meanwhile()]);
    const view = await asking.catch(async (error: unknown) => {
      if (!isDoubted || !(error instanceof UnreachableError)) throw error;
      // Slow ones may all have been asked before the first of them answered.
      await this.#releases?.forget(whole.subjects);
      throw new AskedWrongError('nobody gave a good answer that leaves something out');
    });
    // What turned out to be right takes its place.
    if (isDoubted && !leavingOut.has(view.source)) await this.#releases?.forget(whole.subjects);
    this.#order = [view.url, ...this.#order.filter((url) => url !== view.url)];
    return view;
  }

  async #checkDocument(
    source: Uint8Array,
    subjects: readonly Subject[],
    trusted: TrustState | undefined,
    remembered: Remembered | undefined,
  ): Promise<CheckedEvidence> {
    const checked = await this.#check(source, subjects, trusted, remembered);
    const { outdated } = checked.verified;
    if (outdated.length === 0) return checked;
    // Once by name, which costs least. Again and again, a liar could show one old state after the other.
    await this.#releases?.forget(this.#wasAskedWrong ? subjects.map(subjectId) : outdated);
    this.#wasAskedWrong = true;
    throw new AskedWrongError(`${outdated.length} releases have changed`);
  }

  async #glance(url: string, signal: AbortSignal): Promise<SignedNote> {
    const { note, dateSeconds } = await this.replica(url).glance(signal);
    if (dateSeconds !== undefined) this.#clocks.set(url, this.#nowSeconds() - dateSeconds);
    return note;
  }

  async #check(
    source: Uint8Array,
    subjects: readonly Subject[],
    trusted: TrustState | undefined,
    remembered?: Remembered,
  ): Promise<CheckedEvidence> {
    if (source.length > LARGE_DOCUMENT_BYTES) tuneForLargeDocuments();
    const [{ parseEvidence }, { verifyEvidence }] = await Promise.all([
      loadReader(),
      loadVerifier(),
    ]);
    let shown: CheckedEvidence['evidence'] | undefined;
    // Its entries have been read then, and must not stay until everything is over.
    const read = (): Evidence => {
      const evidence = parseEvidence(source);
      const { checkpoint, rosters } = evidence;
      shown = { checkpoint, rosters };
      return evidence;
    };
    const verified = await verifyEvidence(
      {
        evidence: read,
        pin: this.config.pin,
        subjects,
        nowSeconds: this.#nowSeconds(),
        checkpointAgeMaxSeconds: this.config.checkpointAgeMaxSeconds,
        clockSkewMaxSeconds: CLOCK_SKEW_MAX_SECONDS,
        ...(trusted === undefined ? {} : { trusted }),
        ...(remembered === undefined ? {} : { remembered }),
      },
      threadedVerifier,
      this.#signatures,
    );
    assert(shown !== undefined, 'what was verified was read');
    return { evidence: shown, verified };
  }

  #allFailed(failures: readonly ReplicaFailure[]): CliError {
    // Without verified evidence there is no roster to weigh answers by, so they are counted.
    const total = this.config.replicas.length;
    const needed = mostOf(total);
    if (failures.filter(({ error }) => isNotReady(error)).length >= needed) {
      return new EmptyLogError();
    }
    const answered = failures.filter(({ error }) => error instanceof VerifyError).length;
    const message = unreachableMessage(answered, total, `${needed} needed`);
    const found = diagnoseFailures(message, failures, answered >= needed);
    const isAboutTime = found.code === 'BP4001' || found.code === 'BP4007';
    const clock = describeClock(judgeClock([...this.#clocks.values()], total));
    return new CliError(found.code, found.message, {
      details: isAboutTime ? [['clock', clock], ...found.details] : found.details,
      hints: isAboutTime ? [...found.hints, 'bftpkg doctor'] : found.hints,
    });
  }

  /**
   * The roster in force, from the pin on, as far as replicas show it: it says whom to ask and whom to count, never
   * what is in the log.
   *
   * @throws {CliError} BP7001
   */
  async roster(): Promise<Roster> {
    const { pin, replicas } = this.config;
    const trusted = await this.#trust.read();
    try {
      return await askForRoster({
        replicas: this.replicas,
        pin,
        trusted,
        enough: mostOf(replicas.length),
        verifier: threadedVerifier,
        signal: this.#invocation.context.signal,
      });
    } catch (error) {
      if (!(error instanceof UnreachableError)) throw error;
      throw this.#allFailed(error.failures);
    }
  }

  /**
   * Verifies subjects from a saved document, without asking anybody. The trust state is compared but
   * not advanced: a bundle cannot prove that it continues whatever this machine has seen since.
   *
   * @throws {VerifyError} as `verifyEvidence`; `CHECKPOINT_ROLLBACK` for a bundle that is older than
   *         what this machine has accepted
   * @throws {CliError} BP4003
   */
  async verifyBundle(source: Uint8Array, subjects: readonly Subject[]): Promise<Verified> {
    const { evidence, verified } = await this.#check(source, subjects, undefined).catch(ofBundle);
    giveBackMemory(source);
    const trusted = await this.#trust.read();
    const { size, root, origin } = verified.checkpoint.checkpoint;
    if (trusted !== undefined) {
      const shown = evidence.rosters.map(({ payload }) => statementHash(payload));
      requireKnownRoster(
        shown,
        verified.roster,
        trusted,
        'make a new bundle: bftpkg verify --save-bundle <file>',
      );
    }
    if (trusted !== undefined && size < trusted.size) {
      throw new VerifyError(
        'CHECKPOINT_ROLLBACK',
        `the bundle is of size ${size}, this machine has accepted size ${trusted.size}`,
        { hint: 'make a new bundle: bftpkg verify --save-bundle <file>' },
      );
    }
    if (trusted !== undefined && size === trusted.size && !equalBytes(root, trusted.root)) {
      const { rosters, checkpoint: second } = evidence;
      const fork = { origin, size, rosters, first: trusted.note, second };
      throw await this.#keepFork(new ForkError(fork, encodeHex(root), encodeHex(trusted.root)));
    }
    await this.#signatures.keep();
    return {
      evidence: verified,
      source,
      documents: 1,
      consistentWith: trusted !== undefined && size === trusted.size ? size : null,
      ageSeconds: this.#nowSeconds() - verified.checkpoint.certifiedTime,
      isBundle: true,
      failures: [],
    };
  }

  async #keepFork(error: ForkError): Promise<CliError> {
    const { keepForkEvidence } = await import('./fork-file.ts');
    return await keepForkEvidence(error, this.#invocation.context.cwd);
  }

  #nowSeconds(): number {
    return Math.floor(this.#invocation.context.nowMs() / 1000);
  }

  /** Ends all connections. */
  async close(): Promise<void> {
    await this.http.close();
  }
}

const loadReader = (): Promise<typeof import('../../verifier/evidence/format.ts')> =>
  import('../../verifier/evidence/format.ts');
const loadVerifier = (): Promise<typeof import('../../verifier/evidence/verify.ts')> =>
  import('../../verifier/evidence/verify.ts');

// Several times as much as a document was made of it, for good or in vain. What comes after it, another document or
// the report, would be put beside that.
function giveBackMemory(source: Uint8Array): void {
  if (source.length > LARGE_DOCUMENT_BYTES) collectGarbage();
}

// More than two thirds: a quorum of n = 3f + 1 equal replicas.
function mostOf(total: number): number {
  return Math.floor((2 * total) / 3) + 1;
}

/** Runs `work` with a session and closes it whatever happens. */
export async function withSession<T>(
  invocation: Invocation,
  overrides: SessionOptions,
  work: (session: LogSession) => Promise<T>,
): Promise<T> {
  const session = await LogSession.open(invocation, overrides);
  try {
    return await work(session);
  } finally {
    await session.close();
  }
}

// Nobody freezes a file: it is as old as it is, and the user says how old that may be.
function ofBundle(error: unknown): never {
  if (!(error instanceof VerifyError) || error.code !== 'CHECKPOINT_STALE') throw error;
  const { found = '', expected = '' } = error;
  throw new VerifyError(error.code, error.message, {
    found,
    expected,
    hint: 'say how old a bundle may be: --max-checkpoint-age 30d; or make a new one: bftpkg bundle create',
  });
}
