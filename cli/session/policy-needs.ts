// What a project would need permissions for: the lockfile under the policy without the project's own
// exceptions and baseline. From this a baseline is made, and what is not needed any more is found.
import { resolve } from 'node:path';

import type { Invocation } from '../context.ts';
import { readBundle } from '../bundle/file.ts';
import { loadLockfile } from '../lockfiles/load.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import type { SubjectReport } from '../output/report.ts';
import { bindingsOf } from '../policy/baseline.ts';
import { EXCEPTABLE, type Baseline, type BaselinePackage, type Policy } from '../policy/policy.ts';
import { withSession } from './log-session.ts';
import { PolicyRun } from './policy-run.ts';
import { verifyLockfile } from './verify-lockfile.ts';

/** Which lockfile, and how it is verified. */
export interface NeedsOptions {
  readonly lockfile?: string;
  readonly bundle?: string;
}

/**
 * Whose permissions are looked away from: the baseline's, or the project's exceptions as well. Exceptions
 * go first, so a baseline need not have what one of them covers.
 */
export type Without = 'baseline' | 'exceptions and baseline';

/** What the verification of a lockfile left to a policy. */
export interface ProjectNeeds {
  readonly lockfile: Lockfile;
  readonly policy: Policy;
  /** Refused for nothing but what can be permitted, tied to their bytes or words. */
  readonly needs: readonly BaselinePackage[];
  /** Subjects that are verified, whatever a policy says. */
  readonly verified: number;
  /** All subjects with a baseline in force. */
  readonly withBaseline: (baseline: Baseline) => readonly SubjectReport[];
}

/** Verifies the project's lockfile and says what would need permission. */
export async function findNeeds(
  invocation: Invocation,
  { lockfile: named, bundle }: NeedsOptions,
  without: Without,
): Promise<ProjectNeeds> {
  const { context, globals } = invocation;
  const path = named === undefined ? undefined : resolve(context.cwd, named);
  const lockfile = await loadLockfile(globals.project, path);
  const source = bundle === undefined ? undefined : await readBundle(context, bundle);
  return await withSession(invocation, {}, async (session) => {
    const run = new PolicyRun(invocation, session);
    const ask = source === undefined ? run.ask : run.askBundle(source);
    const { verification, releases } = await verifyLockfile(session, lockfile, ask);
    const scope = { lockText: lockfile.text, bundles: { lockfile, releases }, isWhole: false };
    const { policy } = session.config;
    const strict = withoutPermissions(policy, without);
    const bare = run.judge(verification.subjects, scope, strict).subjects;
    const owners = needsOf(bare, lockfile.text);
    // What is called bundled in them needs a line of its own, and is refused only once they are not.
    const allowed = { ...strict, baseline: { path: '', packages: owners } };
    const inside = run.judge(verification.subjects, scope, allowed).subjects;
    const judge = (baseline: Baseline): readonly SubjectReport[] =>
      run.judge(verification.subjects, scope, { ...policy, baseline }).subjects;
    return {
      lockfile,
      policy,
      needs: [...owners, ...needsOf(inside, lockfile.text)],
      verified: bare.filter(({ verdict }) => verdict === 'verified').length,
      withBaseline: judge,
    };
  });
}

// The user's own exceptions hold whatever the project says, so nobody else has to permit the same.
function withoutPermissions(policy: Policy, without: Without): Policy {
  if (without === 'baseline') return { ...policy, baseline: undefined };
  const layers = policy.layers.map((layer) =>
    layer.origin === 'project' ? { ...layer, exceptions: [] } : layer,
  );
  return { ...policy, layers, baseline: undefined };
}

function needsOf(subjects: readonly SubjectReport[], lockText: string): readonly BaselinePackage[] {
  const bindingOf = bindingsOf(
    lockText,
    subjects.map(({ location }) => location?.line ?? null),
  );
  const found = new Map<string, BaselinePackage>();
  for (const subject of subjects) {
    if (subject.verdict !== 'rejected') continue;
    const problems = subject.diagnostics.filter(({ severity }) => severity !== 'warning');
    const codes = [...new Set(problems.map(({ code }) => code))];
    const binding = bindingOf(subject);
    if (binding === undefined || !codes.every((code) => EXCEPTABLE.has(code))) continue;
    const { name, version } = subject;
    // One package in two places of the tree is one line; with other bytes it is two.
    found.set(JSON.stringify([name, version, binding]), { name, version, binding, codes });
  }
  return [...found.values()];
}
