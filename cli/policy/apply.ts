// A policy applied to what was verified: proven releases are judged, refusals that an exception or the
// baseline allows are taken back. Nothing here can turn a refusal that is not exceptable into anything
// else, and nothing that is only allowed is ever called verified.
import type { SubjectResult, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import type { VerifiedEvidence } from '../../verifier/evidence/verify.ts';
import {
  diagnostic,
  type Diagnostic,
  type PolicyDecision,
  type SubjectReport,
} from '../output/report.ts';
import { bindingsOf, sameBinding, type BindingOf } from './baseline.ts';
import { insistersOnLog, judgeRelease, type Insister, type Refusal } from './judge.ts';
import {
  covers,
  dayOf,
  EXCEPTABLE,
  exceptionTarget,
  needsPredecessor,
  type BaselinePackage,
  type Exception,
  type Layer,
  type Policy,
} from './policy.ts';
import { predecessorOf, type KnownVersions } from './predecessor.ts';

/** What a policy is applied to. */
export interface PolicyCase {
  readonly policy: Policy;
  readonly subjects: readonly SubjectReport[];
  /** What was proven, and when it was so; `undefined` when nothing was asked. */
  readonly evidence:
    | (Pick<VerifiedEvidence, 'subjects'> & {
        readonly checkpoint: Pick<VerifiedEvidence['checkpoint'], 'certifiedTime'>;
      })
    | undefined;
  readonly known: KnownVersions;
  /** The lockfile's text; `undefined` for subjects from elsewhere. */
  readonly lockText: string | undefined;
  readonly isNew: (name: string, version: string) => boolean;
  /** This machine's clock, for the last days of exceptions. */
  readonly nowMs: number;
  /** Whether all subjects of the project are here, so that what matches none is not needed. */
  readonly isWhole: boolean;
}

/** The outcome. */
export interface PolicyOutcome {
  readonly subjects: readonly SubjectReport[];
  /** Warnings about the policy itself. */
  readonly warnings: readonly Diagnostic[];
}

/** Applies a policy. */
export function applyPolicy(input: PolicyCase): PolicyOutcome {
  const judge = new PolicyJudge(input);
  const subjects = input.subjects.map((subject) => judge.decide(subject));
  return { subjects, warnings: input.isWhole ? judge.unused() : [] };
}

/** What the policy allows all the same, and who says so. */
interface Permission {
  readonly kind: PolicyDecision['kind'];
  readonly reason: string;
  readonly expires: string | null;
  readonly source: string;
}

class PolicyJudge {
  readonly #input: PolicyCase;
  readonly #today: string;
  readonly #bindingOf: BindingOf;
  readonly #releases: ReadonlyMap<string, VerifiedRelease>;
  readonly #results: ReadonlyMap<string, readonly SubjectResult[]>;
  readonly #baseline: ReadonlyMap<string, readonly BaselinePackage[]>;
  readonly #usedExceptions = new Set<Exception>();
  readonly #usedBaseline = new Set<BaselinePackage>();

  constructor(input: PolicyCase) {
    this.#input = input;
    this.#today = dayOf(input.nowMs);
    const lines = input.subjects.map(({ location }) => location?.line ?? null);
    this.#bindingOf = bindingsOf(input.lockText, lines);
    const results = input.evidence?.subjects ?? [];
    this.#releases = new Map(
      results.flatMap((result) => {
        const release = releaseOf(result);
        return release === undefined ? [] : [[`${release.name}@${release.version}`, release]];
      }),
    );
    this.#results = groupBy(results, ({ subject }) => subject.name);
    this.#baseline = groupBy(input.policy.baseline?.packages ?? [], ({ name }) => name);
  }

  decide(subject: SubjectReport): SubjectReport {
    switch (subject.verdict) {
      case 'verified':
        return this.#decideVerified(subject);
      case 'rejected':
      case 'inconclusive':
        return this.#decideRefused(subject);
      case 'local':
      case 'bundled':
      case 'omitted':
      case 'excepted':
      case 'baseline':
        return subject;
    }
  }

  /** Exceptions and lines of the baseline that nothing needed. */
  unused(): readonly Diagnostic[] {
    const { policy } = this.#input;
    const project = policy.layers.filter(({ origin }) => origin === 'project');
    const exceptions = project.flatMap((layer) =>
      layer.exceptions
        .filter((exception) => !this.#usedExceptions.has(exception))
        .map((exception) => unusedException(exception, layer, exception.expires < this.#today)),
    );
    const lines = policy.baseline?.packages.filter((line) => !this.#usedBaseline.has(line)) ?? [];
    if (policy.baseline === undefined || lines.length === 0) return exceptions;
    const text = `${lines.length} of ${policy.baseline.packages.length} lines of the baseline are not needed any more`;
    return [
      ...exceptions,
      diagnostic('BP6010', text, {
        severity: 'warning',
        details: [['in', policy.baseline.path]],
        hints: ['bftpkg policy baseline prune'],
      }),
    ];
  }

  #decideVerified(subject: SubjectReport): SubjectReport {
    const { policy, evidence, known, isNew } = this.#input;
    const release = this.#releases.get(`${subject.name}@${subject.version ?? ''}`);
    if (release === undefined || evidence === undefined) {
      // Verified without a proof at hand would be a bug; the policy can't be applied, so it refuses.
      const problem = diagnostic('BP9999', `${subject.name}: verified without a release`);
      return { ...subject, verdict: 'rejected', diagnostics: [...subject.diagnostics, problem] };
    }
    const predecessor = needsPredecessor(policy, release.name)
      ? predecessorOf(release, this.#results.get(release.name) ?? [], known)
      : ({ kind: 'none' } as const);
    const refusals = judgeRelease(policy, {
      release,
      certifiedTime: evidence.checkpoint.certifiedTime,
      predecessor,
      isNew: isNew(release.name, release.version),
    });
    if (refusals.length === 0) return subject;
    const problems = refusals.map((refusal) => refusal.diagnostic);
    const permission = this.#permit(subject, refusals);
    if (permission !== undefined) {
      // It stays verified: the proof is there, and only the project's own wish was waived.
      return { ...subject, decision: { ...permission, suppressed: problems } };
    }
    this.#lifted(subject, refusals);
    const diagnostics = [
      ...withoutWarnings(subject.diagnostics, problems),
      ...problems,
      ...this.#expired(subject, refusals),
    ];
    const isCertain = problems.some(({ severity }) => severity === 'error');
    return { ...subject, verdict: isCertain ? 'rejected' : 'inconclusive', diagnostics };
  }

  #decideRefused(subject: SubjectReport): SubjectReport {
    const insisters = insistersOnLog(this.#input.policy, subject.name);
    const refusals = subject.diagnostics
      .filter(({ severity }) => severity !== 'warning')
      .map((problem): Refusal => ({ diagnostic: problem, insisters }));
    const permission = this.#permit(subject, refusals);
    if (permission === undefined) {
      const expired = this.#expired(subject, refusals);
      const lifted = this.#liftedBesideErrors(subject, refusals);
      if (expired.length === 0 && lifted.size === 0) return subject;
      const rest = subject.diagnostics.filter((problem) => !lifted.has(problem));
      return { ...subject, diagnostics: [...rest, ...expired] };
    }
    const suppressed = refusals.map((refusal) => refusal.diagnostic);
    const diagnostics = subject.diagnostics.filter(({ severity }) => severity === 'warning');
    const decision: PolicyDecision = { ...permission, suppressed };
    return { ...subject, verdict: permission.kind, diagnostics, decision };
  }

  // What is allowed of a subject that is refused for something else. It stays refused, but the permission is not
  // unneeded: whoever took it out of the baseline had one more problem.
  #lifted(subject: SubjectReport, refusals: readonly Refusal[]): readonly Refusal[] {
    return refusals.filter((refusal) => this.#permit(subject, [refusal]) !== undefined);
  }

  // Those that are no news beside an error that nobody allowed.
  #liftedBesideErrors(
    subject: SubjectReport,
    refusals: readonly Refusal[],
  ): ReadonlySet<Diagnostic> {
    const lifted = this.#lifted(subject, refusals);
    const isCertain = refusals.some(
      (refusal) => refusal.diagnostic.severity === 'error' && !lifted.includes(refusal),
    );
    return new Set(isCertain ? lifted.map((refusal) => refusal.diagnostic) : []);
  }

  // All refusals have to be allowed, each by everybody who insists on it.
  #permit(subject: SubjectReport, refusals: readonly Refusal[]): Permission | undefined {
    let found: Permission | undefined;
    const used: (() => void)[] = [];
    for (const { diagnostic: problem, insisters } of refusals) {
      if (!EXCEPTABLE.has(problem.code)) return undefined;
      for (const insister of insisters) {
        const permission = this.#permitFor(subject, problem, insister, used);
        if (permission === undefined) return undefined;
        found ??= permission;
      }
    }
    for (const mark of used) mark();
    return found;
  }

  #permitFor(
    subject: SubjectReport,
    { code }: Diagnostic,
    insister: Insister,
    used: (() => void)[],
  ): Permission | undefined {
    for (const layer of this.#mayLift(insister)) {
      const exception = layer.exceptions.find(
        (each) => covers(each, subject.name, subject.version, code) && each.expires >= this.#today,
      );
      if (exception === undefined) continue;
      used.push(() => this.#usedExceptions.add(exception));
      const { reason, expires } = exception;
      return { kind: 'excepted', reason, expires, source: layer.source };
    }
    const { baseline } = this.#input.policy;
    if (baseline === undefined || !this.#projectMayLift(insister)) return undefined;
    const binding = this.#bindingOf(subject);
    const line = this.#baseline
      .get(subject.name)
      ?.find(
        (each) =>
          each.version === subject.version &&
          each.codes.includes(code) &&
          sameBinding(each.binding, binding),
      );
    if (line === undefined) return undefined;
    used.push(() => this.#usedBaseline.add(line));
    const reason = 'was there when the project adopted bftpkg';
    return { kind: 'baseline', reason, expires: null, source: baseline.path };
  }

  #mayLift(insister: Insister): readonly Layer[] {
    return this.#input.policy.layers.filter(({ origin }) => {
      if (origin === 'project') return this.#projectMayLift(insister);
      return origin === 'user' && (insister === 'builtin' || insister === 'user');
    });
  }

  #projectMayLift(insister: Insister): boolean {
    if (insister === 'user') return this.#input.policy.trustsProject;
    return insister === 'builtin' || insister === 'project';
  }

  // An exception that would have helped until some day is said, not passed over: somebody relied on it.
  #expired(subject: SubjectReport, refusals: readonly Refusal[]): readonly Diagnostic[] {
    const { layers } = this.#input.policy;
    const found = refusals.flatMap(({ diagnostic: { code } }) =>
      layers.flatMap((layer) =>
        layer.exceptions
          .filter((each) => each.expires < this.#today)
          .filter((each) => covers(each, subject.name, subject.version, code))
          .map((exception) => ({ exception, layer })),
      ),
    );
    return found.map(({ exception, layer }) => {
      this.#usedExceptions.add(exception);
      const text = `${subject.name}: its exception for ${exception.code} expired on ${exception.expires}`;
      return diagnostic('BP6002', text, {
        details: [
          ['reason', exception.reason],
          ['in', layer.source],
        ],
        hints: [
          `bftpkg policy except add ${exceptionTarget(exception)} --code ${exception.code} --reason … --expires 30d`,
        ],
      });
    });
  }
}

function releaseOf(result: SubjectResult): VerifiedRelease | undefined {
  return result.kind === 'verified' ? result.release : undefined;
}

function groupBy<T>(items: readonly T[], nameOf: (item: T) => string): Map<string, readonly T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(nameOf(item));
    if (group === undefined) groups.set(nameOf(item), [item]);
    else group.push(item);
  }
  return groups;
}

// A refusal makes the warning of the same code redundant.
function withoutWarnings(
  before: readonly Diagnostic[],
  problems: readonly Diagnostic[],
): readonly Diagnostic[] {
  return before.filter(
    ({ code, severity }) =>
      severity !== 'warning' || !problems.some((problem) => problem.code === code),
  );
}

function unusedException(exception: Exception, layer: Layer, isExpired: boolean): Diagnostic {
  const target = exceptionTarget(exception);
  const text = isExpired
    ? `the exception of ${target} for ${exception.code} is not needed, and expired on ${exception.expires}`
    : `the exception of ${target} for ${exception.code} is not needed any more`;
  return diagnostic('BP6010', text, {
    severity: 'warning',
    details: [['in', layer.source]],
    hints: ['bftpkg policy except prune'],
  });
}
