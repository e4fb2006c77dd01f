// A lockfile against the log: every entry gets a verdict, none is skipped.
import type { Subject, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { CliError } from '../errors.ts';
import type { LockEntry, Lockfile } from '../npm/lockfile.ts';
import { diagnostic, type SubjectReport, type Verification } from '../output/report.ts';
import { SUBJECTS_MAX, type LogSession, type Verified } from './log-session.ts';
import { blankSubject, reportRelease, reportVerification } from './report-subject.ts';

/** A verified lockfile: the report, and what the log proved for each entry that is to be fetched. */
export interface LockfileVerification {
  readonly verification: Verification;
  /** By key of the lockfile's entry. */
  readonly releases: ReadonlyMap<string, VerifiedRelease>;
  readonly verified: Verified | undefined;
}

/** How subjects are verified: online, or from a bundle. */
export type VerifySubjects = (subjects: readonly Subject[]) => Promise<Verified>;

/**
 * Verifies all entries of a lockfile.
 *
 * @throws what `verify` throws; {CliError} BP9003 for more packages than one run can check
 */
export async function verifyLockfile(
  session: LogSession,
  lockfile: Lockfile,
  verify: VerifySubjects,
): Promise<LockfileVerification> {
  const { subjects, positions } = collectSubjects(lockfile);
  if (subjects.length > SUBJECTS_MAX) {
    throw new CliError('BP9003', `${lockfile.path}: more than ${SUBJECTS_MAX} different packages`);
  }
  const verified = subjects.length === 0 ? undefined : await verify(subjects);
  const releases = new Map<string, VerifiedRelease>();
  const reports = lockfile.entries.map((entry): SubjectReport => {
    if (entry.kind !== 'registry') return reportUnverifiable(entry, lockfile.file);
    const position = positions.get(entry.key);
    const result = position === undefined ? undefined : verified?.evidence.subjects[position];
    if (result?.kind === 'verified') releases.set(entry.key, result.release);
    const { name, version, sha512 } = entry;
    const asked = { name, version, sha512, location: placeOf(entry, lockfile.file) };
    return reportRelease(asked, result, verified?.isBundle);
  });
  const source = `${lockfile.file} (npm v${lockfile.version})`;
  const verification =
    verified === undefined
      ? withoutLog(source, reports)
      : reportVerification(session, verified, source, reports);
  return { verification, releases, verified };
}

// The same package in many places of the tree is one question; with two digests it is two.
function collectSubjects(lockfile: Lockfile): {
  readonly subjects: readonly Subject[];
  readonly positions: ReadonlyMap<string, number>;
} {
  const subjects: Subject[] = [];
  const positions = new Map<string, number>();
  const known = new Map<string, number>();
  for (const entry of lockfile.entries) {
    if (entry.kind !== 'registry') continue;
    const identity = `${entry.name}@${entry.version} ${encodeHex(entry.sha512)}`;
    const at = known.get(identity) ?? subjects.length;
    if (at === subjects.length) {
      const { name, version, sha512 } = entry;
      subjects.push({ kind: 'release', name, version, sha512 });
      known.set(identity, at);
    }
    positions.set(entry.key, at);
  }
  return { subjects, positions };
}

function placeOf(entry: LockEntry, file: string): SubjectReport['location'] {
  return { file, line: entry.line };
}

function reportUnverifiable(entry: LockEntry, file: string): SubjectReport {
  const blank = blankSubject(entry.name, entry.version, placeOf(entry, file));
  switch (entry.kind) {
    case 'local':
      return { ...blank, verdict: 'local' };
    case 'bundled':
      return { ...blank, verdict: 'bundled' };
    case 'registry':
    case 'refused': {
      const reason = entry.kind === 'refused' ? entry.reason : 'it was not checked';
      const line = entry.line === null ? '' : `:${entry.line}`;
      const code = entry.kind === 'refused' && entry.isUnloggable ? 'BP5003' : 'BP6006';
      const problem = diagnostic(code, `${entry.name}: ${reason}`, {
        details: [['in', `${file}${line}  ${entry.key}`]],
      });
      return { ...blank, verdict: 'rejected', diagnostics: [problem] };
    }
  }
}

function withoutLog(source: string, subjects: readonly SubjectReport[]): Verification {
  return {
    source,
    policy: null,
    checkpoint: null,
    subjects,
    replicas: [],
    bytesFetched: 0,
    installed: null,
  };
}
