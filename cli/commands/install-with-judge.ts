// The verdict on what another manager is about to install, or has installed in its private folder.
import type { Invocation } from '../context.ts';
import type { Lockfile } from '../lockfiles/lockfile.ts';
import type { Manager } from '../managers/manager.ts';
import {
  verificationReport,
  type Report,
  type SubjectReport,
  type Verification,
} from '../output/report.ts';
import type { Proxy } from '../proxy/proxy.ts';
import type { LogSession } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { verifyLockfile } from '../session/verify-lockfile.ts';

/** Whose run it is. */
export interface JudgedRun {
  readonly invocation: Invocation;
  readonly session: LogSession;
  readonly manager: Manager;
}

/**
 * What log and policy say to a lockfile and, once there is a proxy, what came through it.
 *
 * Yarn Berry's lockfiles have no digest of tarballs. Then the name and version are proven here, and the
 * bytes were when the proxy served them.
 */
export async function judgeThroughProxy(
  { invocation, session, manager }: JudgedRun,
  lockfile: Lockfile,
  proxy: Proxy | undefined,
  isNew: (name: string, version: string) => boolean = () => false,
): Promise<Report> {
  const run = new PolicyRun(invocation, session);
  const checked = await verifyLockfile(session, lockfile, run.ask);
  const bound =
    manager.kind === 'yarn-berry' ? boundByProxy(checked.verification) : checked.verification;
  const scope = { lockText: lockfile.text, isWhole: true, isNew };
  const report = run.report('install', bound, scope);
  if (proxy === undefined || report.verification === null) return report;
  const served = proxy.ledger.subjects(true).filter(({ verdict }) => verdict !== 'verified');
  const known = new Map(served.map((subject) => [specOf(subject), subject]));
  const subjects = report.verification.subjects.map((subject) => {
    const other = known.get(specOf(subject));
    // Allowed is allowed on both ways; refused bytes are refused whatever the lockfile says.
    return other === undefined || subject.verdict !== 'verified'
      ? subject
      : { ...subject, verdict: other.verdict, diagnostics: other.diagnostics };
  });
  const listed = new Set(subjects.map(specOf));
  const verification = {
    ...report.verification,
    subjects: [...subjects, ...served.filter((subject) => !listed.has(specOf(subject)))],
  };
  return verificationReport('install', verification, { diagnostics: report.diagnostics });
}

function specOf({ name, version }: SubjectReport): string {
  return `${name}@${version ?? ''}`;
}

function boundByProxy(verification: Verification): Verification {
  const subjects = verification.subjects.map((subject): SubjectReport => {
    const rest = subject.diagnostics.filter(({ code }) => code !== 'BP1007');
    const isUnbound = rest.length < subject.diagnostics.length;
    const isClear = rest.every(({ severity }) => severity === 'warning');
    return isUnbound && isClear && subject.verdict === 'inconclusive'
      ? { ...subject, verdict: 'verified', diagnostics: rest }
      : subject;
  });
  return { ...verification, subjects };
}

/** Whether a release is not in a lockfile. */
export function isNewSince(
  before: Lockfile | undefined,
): (name: string, version: string) => boolean {
  const known = new Set((before?.entries ?? []).map(({ name, version }) => `${name}@${version}`));
  return (name, version) => !known.has(`${name}@${version}`);
}
