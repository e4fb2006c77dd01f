// What a policy says: rules by package pattern, and exceptions from them. Every rule that matches a
// package applies, and a rule has no value that permits anything: so adding rules, from whichever file,
// can only make a policy stricter. Only exceptions and the baseline loosen, and those say whose rules
// they may loosen (judge.ts).
import type { DiagnosticCode } from '../output/codes.ts';
import { matchesPattern } from './pattern.ts';

/** One rule. What it leaves out it says nothing about. */
export interface Rule {
  /** Patterns; at least one. */
  readonly packages: readonly string[];
  /** How long a release must have been in the log, by the log's certified time, seconds. */
  readonly releaseAgeMinSeconds?: number;
  /** How many maintainers must have signed, beside the package's own threshold. */
  readonly signersMin?: number;
  /** At least as many signers as the release before it. */
  readonly signersNotFewer?: true;
  /** Key ids (hex SHA-256 of the key), of which as many must have signed as a release needs. */
  readonly maintainerKeys?: readonly string[];
  /** `no-new-in-patch`: none where the release before it, of the same minor version, had none. */
  readonly installScripts?: 'no-new-in-patch' | 'refuse';
  /** Also where a lockfile has it already. New installs never take a yanked release. */
  readonly yanked?: 'refuse';
  /** What is not in the log is refused anyway; here it is this file that insists. */
  readonly unlogged?: 'refuse';
}

/** A permission with a reason and an end. */
export interface Exception {
  /** A pattern, with an exact version or for all of them. */
  readonly pattern: string;
  readonly version: string | null;
  readonly code: DiagnosticCode;
  readonly reason: string;
  /** Last day on which it holds, `YYYY-MM-DD`, UTC. */
  readonly expires: string;
}

/** Packages whose install scripts may run: a pattern, with an exact version or for all of them. */
export type ScriptTarget = Pick<Exception, 'pattern' | 'version'>;

/** Who says something: the user's own file, the project's file, or the command line. */
export type Origin = 'user' | 'project' | 'flags';

/** What one file (or the command line) says. */
export interface Layer {
  readonly origin: Origin;
  /** Path of the file, for messages. */
  readonly source: string;
  readonly checkpointAgeMaxSeconds: number | undefined;
  readonly rules: readonly Rule[];
  readonly exceptions: readonly Exception[];
  /** Packages whose install scripts may run (scripts.ts); left out where the file has no list. */
  readonly allowScripts?: readonly ScriptTarget[];
}

/** What a line is tied to: the digest, or the lockfile's words about it. */
export type Binding =
  | { readonly kind: 'integrity'; readonly sri: string }
  | { readonly kind: 'entry'; readonly sha256: string };

/** One package that was there before. */
export interface BaselinePackage {
  readonly name: string;
  readonly version: string | null;
  readonly binding: Binding;
  /** What it is allowed to be refused for. */
  readonly codes: readonly DiagnosticCode[];
}

/** A baseline file. */
export interface Baseline {
  readonly path: string;
  readonly packages: readonly BaselinePackage[];
}

/** Everything that decides about a run. */
export interface Policy {
  readonly layers: readonly Layer[];
  /** The project's. */
  readonly baseline: Baseline | undefined;
  /** Whether the user's file names this project as one whose exceptions count against its own rules. */
  readonly trustsProject: boolean;
}

/** Without any file. */
export const EMPTY_POLICY: Policy = { layers: [], baseline: undefined, trustsProject: false };

/**
 * Codes that can be excepted. None of those that prove tampering, a fork, missing signatures or a
 * revocation: whoever can write an exception must not be able to switch the protection off.
 */
export const EXCEPTABLE: ReadonlySet<DiagnosticCode> = new Set<DiagnosticCode>([
  'BP5002',
  'BP5003',
  'BP6001',
  'BP6004',
  'BP6006',
  'BP6008',
  'BP6009',
  'BP6012',
]);

/** A rule with where it comes from. */
export interface OwnedRule {
  readonly layer: Layer;
  readonly rule: Rule;
}

/** All rules that apply to a package. */
export function rulesFor(policy: Policy, name: string): readonly OwnedRule[] {
  return policy.layers.flatMap((layer) =>
    layer.rules
      .filter(({ packages }) => packages.some((pattern) => matchesPattern(pattern, name)))
      .map((rule) => ({ layer, rule })),
  );
}

/** Whether a rule for the package compares a release with the one before it. */
export function needsPredecessor(policy: Policy, name: string): boolean {
  return rulesFor(policy, name).some(
    ({ rule }) => rule.signersNotFewer === true || rule.installScripts === 'no-new-in-patch',
  );
}

/** Whether an exception is about this. Says nothing about its last day. */
export function covers(
  exception: Exception,
  name: string,
  version: string | null,
  code: DiagnosticCode,
): boolean {
  return (
    exception.code === code &&
    (exception.version === null || exception.version === version) &&
    matchesPattern(exception.pattern, name)
  );
}

/** Today's date in UTC, `YYYY-MM-DD`; such dates compare as text. */
export function dayOf(nowMs: number): string {
  return new Date(nowMs).toISOString().slice(0, 10);
}

/** How an exception is written: `name`, or `name@version`. */
export function exceptionTarget({ pattern, version }: Exception): string {
  return version === null ? pattern : `${pattern}@${version}`;
}
