// The policy's judgement of one release that the log has proven. Pure: facts in, refusals out.
//
// Each refusal names who insists on it. An exception of the project may lift what bftpkg itself or the
// project refuses, but never what the user's own file refuses: a repository can be changed by a pull
// request, the user's file cannot.
import type { VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { parseVersion } from '../../verifier/npm/version.ts';
import type { DiagnosticCode } from '../output/codes.ts';
import { formatAge } from '../output/human.ts';
import { diagnostic, type Diagnostic } from '../output/report.ts';
import { rulesFor, type OwnedRule, type Origin, type Policy, type Rule } from './policy.ts';

/** Who wants a refusal: bftpkg itself, or a file. */
export type Insister = 'builtin' | Origin;

/** Something that the policy refuses, and for whom. */
export interface Refusal {
  readonly diagnostic: Diagnostic;
  /** At least one. */
  readonly insisters: readonly Insister[];
}

/** The release before one, in the order of versions. */
export type Predecessor =
  | { readonly kind: 'release'; readonly release: VerifiedRelease }
  /** It is the first one. */
  | { readonly kind: 'none' }
  | { readonly kind: 'unknown'; readonly reason: string };

/** What is judged. */
export interface ReleaseFacts {
  readonly release: VerifiedRelease;
  /** Certified time of the view of the log, Unix seconds. */
  readonly certifiedTime: number;
  /** Asked for only where a rule compares. */
  readonly predecessor: Predecessor;
  /** Whether it is about to be added to a lockfile that does not have it. */
  readonly isNew: boolean;
}

/** Everything that the policy has against a release; empty when it may be used. */
export function judgeRelease(policy: Policy, facts: ReleaseFacts): readonly Refusal[] {
  const rules = rulesFor(policy, facts.release.name);
  const found = [
    judgeAge(rules, facts),
    judgeSigners(rules, facts),
    judgePinnedKeys(rules, facts),
    judgeYanked(rules, facts),
    judgeInstallScript(rules, facts),
    judgeSuccession(rules, facts),
  ];
  return found.filter((refusal) => refusal !== undefined);
}

/** The files whose rules insist that this package be in the log. */
export function insistersOnLog(policy: Policy, name: string): readonly Insister[] {
  const insisting = rulesFor(policy, name).filter(({ rule }) => rule.unlogged !== undefined);
  return ['builtin', ...origins(insisting)];
}

function judgeAge(
  rules: readonly OwnedRule[],
  { release, certifiedTime }: ReleaseFacts,
): Refusal | undefined {
  const age = certifiedTime - release.loggedAt;
  const needed = (rule: Rule): number => rule.releaseAgeMinSeconds ?? 0;
  const broken = rules.filter(({ rule }) => age < needed(rule));
  const most = Math.max(0, ...broken.map(({ rule }) => needed(rule)));
  return refuse(
    'BP6004',
    broken,
    `${specOf(release)}: in the log for ${formatAge(age)}, ${formatAge(most)} needed`,
    [`wait until ${new Date((release.loggedAt + most) * 1000).toISOString().slice(0, 16)}Z`],
  );
}

function judgeSigners(rules: readonly OwnedRule[], { release }: ReleaseFacts): Refusal | undefined {
  const signed = signerCount(release);
  const needed = (rule: Rule): number => rule.signersMin ?? 0;
  const broken = rules.filter(({ rule }) => signed < needed(rule));
  const most = Math.max(0, ...broken.map(({ rule }) => needed(rule)));
  return refuse(
    'BP6008',
    broken,
    `${specOf(release)}: signed by ${signed}, the policy wants ${most}`,
  );
}

function judgePinnedKeys(
  rules: readonly OwnedRule[],
  { release }: ReleaseFacts,
): Refusal | undefined {
  const signers = new Set(release.signers.map(({ keyId }) => keyId));
  const pinnedSigners = (keys: readonly string[]): number =>
    keys.filter((key) => signers.has(key)).length;
  // A policy that pins fewer keys than a release needs wants all of them.
  const broken = rules.filter(({ rule: { maintainerKeys: keys } }) => {
    return keys !== undefined && pinnedSigners(keys) < Math.min(release.required, keys.length);
  });
  const fewest = Math.min(...broken.map(({ rule }) => pinnedSigners(rule.maintainerKeys ?? [])));
  return refuse(
    'BP6009',
    broken,
    `${specOf(release)}: signed by ${fewest} of the maintainers that the policy pins, ` +
      `${release.required} needed`,
    ['find out whether its maintainers changed: bftpkg package history'],
  );
}

function judgeYanked(rules: readonly OwnedRule[], facts: ReleaseFacts): Refusal | undefined {
  const { release, isNew } = facts;
  if (release.status !== 'yanked') return undefined;
  const broken = rules.filter(({ rule }) => rule.yanked !== undefined);
  const insisters = [...(isNew ? (['builtin'] as const) : []), ...origins(broken)];
  if (insisters.length === 0) return undefined;
  const why = isNew ? 'not to be chosen for new installs' : 'refused by the policy';
  const found = diagnostic('BP5002', `${specOf(release)}: yanked by its maintainers, ${why}`, {
    details: sources(broken),
    hints: release.latest === null ? [] : [`the latest version is ${release.latest}`],
  });
  return { diagnostic: found, insisters };
}

function judgeInstallScript(
  rules: readonly OwnedRule[],
  { release, predecessor }: ReleaseFacts,
): Refusal | undefined {
  if (!hasInstallScript(release)) return undefined;
  const spec = specOf(release);
  const never = rules.filter(({ rule }) => rule.installScripts === 'refuse');
  if (never.length > 0) return refuse('BP6012', never, `${spec}: runs a script on install`);
  const compared = rules.filter(({ rule }) => rule.installScripts === 'no-new-in-patch');
  switch (predecessor.kind) {
    case 'none':
      return undefined;
    case 'unknown':
      return refuse('BP7006', compared, `${spec}: ${predecessor.reason}`);
    case 'release': {
      const before = predecessor.release;
      if (!isPatchOf(release.version, before.version) || hasInstallScript(before)) return undefined;
      const message = `${spec}: runs a script on install, ${before.version} did not`;
      return refuse('BP6012', compared, message, [
        `stay on ${before.version}, or look at what it runs`,
      ]);
    }
  }
}

function judgeSuccession(
  rules: readonly OwnedRule[],
  { release, predecessor }: ReleaseFacts,
): Refusal | undefined {
  const compared = rules.filter(({ rule }) => rule.signersNotFewer === true);
  const spec = specOf(release);
  switch (predecessor.kind) {
    case 'none':
      return undefined;
    case 'unknown':
      return refuse('BP7006', compared, `${spec}: ${predecessor.reason}`);
    case 'release': {
      const before = predecessor.release;
      const [now, then] = [signerCount(release), signerCount(before)];
      if (now >= then) return undefined;
      const who = (of: VerifiedRelease): string => of.signers.map(({ name }) => name).join(' + ');
      return refuse(
        'BP6001',
        compared,
        `${spec}: signed by ${now}, ${before.version} was signed by ${then}`,
        [`stay on ${before.version}, and ask the maintainers why`],
        [
          [release.version, who(release)],
          [before.version, who(before)],
        ],
      );
    }
  }
}

function refuse(
  code: DiagnosticCode,
  broken: readonly OwnedRule[],
  message: string,
  hints: readonly string[] = [],
  details: Diagnostic['details'] = [],
): Refusal | undefined {
  if (broken.length === 0) return undefined;
  const found = diagnostic(code, message, { details: [...details, ...sources(broken)], hints });
  return { diagnostic: found, insisters: origins(broken) };
}

function origins(rules: readonly OwnedRule[]): readonly Origin[] {
  return [...new Set(rules.map(({ layer }) => layer.origin))];
}

function sources(rules: readonly OwnedRule[]): Diagnostic['details'] {
  return [...new Set(rules.map(({ layer }) => layer.source))].map((file) => ['policy', file]);
}

function specOf({ name, version }: VerifiedRelease): string {
  return `${name}@${version}`;
}

// Authorities, not lines: one key under two labels is one signer.
function signerCount({ signers }: VerifiedRelease): number {
  return new Set(signers.map(({ keyId }) => keyId)).size;
}

function hasInstallScript({ manifest }: VerifiedRelease): boolean {
  return manifest['hasInstallScript'] === true;
}

// A prerelease of the same patch counts too: 1.2.3 after 1.2.3-rc.1 is no new minor version.
function isPatchOf(version: string, before: string): boolean {
  const [a, b] = [parseVersion(version), parseVersion(before)];
  return a.major === b.major && a.minor === b.minor;
}
