// A policy over one run: what has to be asked for besides, so that releases can be compared with those
// before them, and the judgement of what came back.
import type { Evidence } from '../../verifier/evidence/format.ts';
import { subjectId, type Subject, type VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { Invocation } from '../context.ts';
import { CliError } from '../errors.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import {
  verificationReport,
  type Report,
  type SubjectReport,
  type Verification,
} from '../output/report.ts';
import { applyPolicy, type PolicyOutcome } from '../policy/apply.ts';
import { needsPredecessor, type Layer, type Policy, type Rule } from '../policy/policy.ts';
import { candidatesBefore, NOBODY_ASKED, type KnownVersions } from '../policy/predecessor.ts';
import { SUBJECTS_TOTAL_MAX, verifyInParts } from './in-parts.ts';
import type { LogSession, Verified } from './log-session.ts';
import { refuseUnprovenBundles } from './unproven-bundles.ts';
import type { VerifySubjects } from './verify-lockfile.ts';

/** What the run knows about its subjects. */
export interface PolicyScope {
  /** The lockfile's text; `undefined` when the subjects come from elsewhere. */
  readonly lockText: string | undefined;
  /** The lockfile that the subjects are of, one for each entry and in its order, and what the log proved. */
  readonly bundles?: {
    readonly lockfile: Lockfile;
    readonly releases: ReadonlyMap<string, VerifiedRelease>;
  };
  /** Whether these are all subjects of the project. */
  readonly isWhole: boolean;
  /** Whether a release is about to be added; none is unless told otherwise. */
  readonly isNew?: (name: string, version: string) => boolean;
}

/** One run under the policy of the session's configuration. */
export class PolicyRun {
  readonly #invocation: Invocation;
  readonly #session: LogSession;
  readonly #policy: Policy;
  #known: KnownVersions = NOBODY_ASKED;
  #verified: Verified | undefined;

  constructor(invocation: Invocation, session: LogSession, policy: Policy = session.config.policy) {
    this.#invocation = invocation;
    this.#session = session;
    this.#policy = policy;
  }

  /** What was verified last. */
  get verified(): Verified | undefined {
    return this.#verified;
  }

  /** Verifies online; also asks for the releases before those that are to be compared. */
  readonly ask: VerifySubjects = async (subjects) => {
    const names = namesOf(subjects).filter((name) => needsPredecessor(this.#policy, name));
    let extra: readonly Subject[] = [];
    if (names.length > 0 && !this.#invocation.globals.offline) {
      const urls = (await this.#session.readyFirst()).map(({ url }) => url);
      const { signal } = this.#invocation.context;
      const { askVersionLists } = await import('../policy/version-lists.ts');
      const lists = await askVersionLists({ http: this.#session.http, urls, signal }, names);
      this.#known = { listsOf: (name) => lists.get(name) ?? 'too-few' };
      extra = this.#comparedWith(subjects, new Set(names));
    }
    return (this.#verified = await this.#session.verify(together(subjects, extra)));
  };

  /** Verifies from a saved document. It is compared with whatever releases that document has. */
  askBundle(source: Uint8Array): VerifySubjects {
    return async (subjects) => {
      const names = new Set(
        namesOf(subjects).filter((name) => needsPredecessor(this.#policy, name)),
      );
      let extra: readonly Subject[] = [];
      if (names.size > 0) {
        const { parseEvidence } = await import('../../verifier/evidence/format.ts');
        extra = await shownOf(parseEvidence(source), names);
      }
      const all = together(subjects, extra);
      // The document itself bounds how many it is about; what it leaves out is refused by name.
      return (this.#verified = await verifyInParts(all, (part) =>
        this.#session.verifyBundle(source, part),
      ));
    };
  }

  /** The verification with the policy's word on each subject, as a report. */
  report(command: string, verification: Verification, scope: PolicyScope): Report {
    const { subjects, warnings } = this.judge(verification.subjects, scope);
    const judged = { ...verification, subjects };
    return verificationReport(command, judged, { diagnostics: warnings });
  }

  /**
   * The policy's word on each subject.
   *
   * @param policy another one than that of the run; it must compare no more packages
   */
  judge(
    subjects: readonly SubjectReport[],
    scope: PolicyScope,
    policy: Policy = this.#policy,
  ): PolicyOutcome {
    const apply = (all: readonly SubjectReport[]): PolicyOutcome => this.#apply(all, scope, policy);
    const outcome = apply(subjects);
    if (scope.bundles === undefined) return outcome;
    const { lockfile, releases } = scope.bundles;
    const refused = refuseUnprovenBundles(lockfile, releases, subjects, outcome.subjects);
    // Once more: what is refused now may have an exception of its own.
    return refused === undefined ? outcome : apply(refused);
  }

  #apply(subjects: readonly SubjectReport[], scope: PolicyScope, policy: Policy): PolicyOutcome {
    return applyPolicy({
      policy,
      subjects,
      evidence: this.#verified?.evidence,
      known: this.#known,
      lockText: scope.lockText,
      isNew: scope.isNew ?? (() => false),
      nowMs: this.#invocation.context.nowMs(),
      isWhole: scope.isWhole,
    });
  }

  #comparedWith(subjects: readonly Subject[], names: ReadonlySet<string>): readonly Subject[] {
    return subjects.flatMap((subject): readonly Subject[] => {
      if (subject.kind !== 'release' || !names.has(subject.name)) return [];
      const { name, version } = subject;
      const lists = this.#known.listsOf(name);
      if (lists === 'too-few' || lists === 'bundle') return [];
      // The package's own record says how many releases there are: an offline look needs it.
      return [
        { kind: 'package', name },
        ...candidatesBefore(version, lists).map((each): Subject => {
          return { kind: 'release', name, version: each };
        }),
      ];
    });
  }
}

/** The policy with a demand of the command line: that many signers for every release. */
export function withSigners(policy: Policy, signersMin: number): Policy {
  return demanding(policy, '--require-maintainers', { packages: ['*'], signersMin });
}

/** The policy with a demand of the command line that no exception and no baseline can lift. */
export function refusingUnlogged(policy: Policy): Policy {
  return demanding(policy, '--allow-unlogged', { packages: ['*'], unlogged: 'refuse' });
}

function demanding(policy: Policy, source: string, rule: Rule): Policy {
  const flags: Layer = {
    origin: 'flags',
    source,
    checkpointAgeMaxSeconds: undefined,
    rules: [rule],
    exceptions: [],
  };
  return { ...policy, layers: [...policy.layers, flags] };
}

function namesOf(subjects: readonly Subject[]): readonly string[] {
  return [...new Set(subjects.map(({ name }) => name))];
}

async function shownOf(
  evidence: Evidence,
  names: ReadonlySet<string>,
): Promise<readonly Subject[]> {
  const { shownSubjects } = await import('../bundle/contents.ts');
  return shownSubjects(evidence).filter(({ name }) => names.has(name));
}

// What was asked for stays in front, in its order: answers are found by position.
function together(subjects: readonly Subject[], extra: readonly Subject[]): readonly Subject[] {
  const known = new Set(subjects.map(subjectId));
  const more = new Map(extra.map((subject) => [subjectId(subject), subject]));
  for (const id of known) more.delete(id);
  const all = [...subjects, ...more.values()];
  if (all.length <= SUBJECTS_TOTAL_MAX) return all;
  const message = `with the releases before them more than ${SUBJECTS_TOTAL_MAX} subjects`;
  throw new CliError('BP9003', message, {
    hints: ['let rules that compare name fewer packages'],
  });
}
