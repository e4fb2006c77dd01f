// From what the verifier proved about a subject to what is reported about it.
import { encodeBase64 } from '../../verifier/encoding.ts';
import type { VerifyError, VerifyErrorCode } from '../../verifier/errors.ts';
import type { SubjectResult, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { formatSri } from '../../verifier/npm/integrity.ts';
import { describeFailure, diagnoseRefusal } from '../output/diagnose.ts';
import {
  diagnostic,
  type CheckpointReport,
  type Diagnostic,
  type PolicyReport,
  type SubjectReport,
  type Verification,
} from '../output/report.ts';
import type { LogSession, Verified } from './log-session.ts';

/** What was asked about a release, and where. */
export interface AskedRelease {
  readonly name: string;
  readonly version: string;
  /** The digest that the lockfile or the file at hand has; 64 bytes. */
  readonly sha512: Uint8Array | undefined;
  readonly location: SubjectReport['location'];
}

/** An empty report about a subject, to be filled by the verdict. */
export function blankSubject(
  name: string,
  version: string | null,
  location: SubjectReport['location'],
): Omit<SubjectReport, 'verdict'> {
  return {
    name,
    version,
    location,
    digest: { logged: null, found: null },
    entry: null,
    loggedAt: null,
    maintainers: null,
    diagnostics: [],
  };
}

// What a replica was asked to show and didn't is a bad answer. A file was asked for nothing.
const NOT_COVERED: ReadonlySet<VerifyErrorCode> = new Set<VerifyErrorCode>([
  'MAP_PROOF_INVALID',
  'INCLUSION_PROOF_INVALID',
]);

/**
 * Reports one release.
 *
 * @param result the verifier's; `undefined` never means success
 */
export function reportRelease(
  asked: AskedRelease,
  result: SubjectResult | undefined,
  isBundle: boolean = false,
): SubjectReport {
  const blank = blankSubject(asked.name, asked.version, asked.location);
  const found = asked.sha512 === undefined ? null : formatSri(asked.sha512);
  const spec = `${asked.name}@${asked.version}`;
  const refused = (problem: Diagnostic): SubjectReport => ({
    ...blank,
    digest: { logged: null, found },
    verdict: problem.severity === 'inconclusive' ? 'inconclusive' : 'rejected',
    diagnostics: [withPlace(problem, asked)],
  });
  switch (result?.kind) {
    case 'verified':
      return reportVerified(blank, found, result.release);
    case 'absent':
      return refused(
        diagnostic('BP5003', `${spec}: not in the log`, {
          hints: ['check the spelling; ask its maintainers to publish through the log'],
        }),
      );
    case 'refused':
      if (isBundle && NOT_COVERED.has(result.error.code)) {
        const detail = `${spec}: not covered by the bundle (${result.error.message})`;
        return refused(diagnostic('BP7005', detail));
      }
      if (result.error.code === 'INTEGRITY_MISMATCH') {
        return reportOtherBytes(blank, asked, found, result.error);
      }
      return refused(prefixed(diagnoseRefusal(result.error), spec));
    case 'package':
    case undefined:
      return refused(diagnostic('BP9999', `${spec}: the verifier gave no answer`));
  }
}

// Both artefacts are named: what the maintainers signed, and what stands here instead.
function reportOtherBytes(
  blank: Omit<SubjectReport, 'verdict'>,
  { name, version, location }: AskedRelease,
  found: string | null,
  error: VerifyError,
): SubjectReport {
  const logged = error.expected ?? null;
  const line = location?.line === null || location === null ? '' : `:${location.line}`;
  const place = location === null ? '' : `   ${location.file}${line}`;
  const problem = diagnostic(
    'BP1003',
    `${name}@${version}: not the artifact that its maintainers released`,
    {
      details: [
        ['logged', logged ?? ''],
        ['found', `${found ?? ''}${place}`],
      ],
      hints: [error.hint ?? 'do not install it', 'bftpkg explain BP1003'],
    },
  );
  return { ...blank, digest: { logged, found }, verdict: 'rejected', diagnostics: [problem] };
}

function reportVerified(
  blank: Omit<SubjectReport, 'verdict'>,
  found: string | null,
  release: VerifiedRelease,
): SubjectReport {
  const yanked =
    release.status === 'yanked'
      ? [
          diagnostic('BP5002', `${release.name}@${release.version}: yanked by its maintainers`, {
            severity: 'warning',
            hints: release.latest === null ? [] : [`the latest version is ${release.latest}`],
          }),
        ]
      : [];
  return {
    ...blank,
    verdict: 'verified',
    digest: { logged: formatSri(release.sha512), found },
    entry: release.index,
    loggedAt: release.loggedAt,
    maintainers: {
      required: release.required,
      signers: release.signers.map(({ name, keyId }) => ({ label: name, keyId })),
    },
    diagnostics: yanked,
  };
}

// Messages of the verifier name the subject or not; a report line always does.
function prefixed(problem: Diagnostic, spec: string): Diagnostic {
  if (problem.message.includes(spec)) return problem;
  return { ...problem, message: `${spec}: ${problem.message}` };
}

function withPlace(problem: Diagnostic, { location }: AskedRelease): Diagnostic {
  if (location === null) return problem;
  const line = location.line === null ? '' : `:${location.line}`;
  return { ...problem, details: [...problem.details, ['in', `${location.file}${line}`]] };
}

/** The checkpoint of what was verified, as it is reported. */
export function reportCheckpoint(verified: Verified): CheckpointReport {
  const { roster, checkpoint } = verified.evidence;
  return {
    origin: checkpoint.checkpoint.origin,
    size: checkpoint.checkpoint.size,
    root: encodeBase64(checkpoint.checkpoint.root),
    certifiedTime: checkpoint.certifiedTime,
    ageSeconds: verified.ageSeconds,
    epoch: roster.epoch,
    signers: checkpoint.cosignatures.map(({ replica }) => roster.replicas[replica]?.name ?? '?'),
    consistentWith: verified.consistentWith,
  };
}

/** The rules that applied. */
export function reportPolicy(session: LogSession, verified: Verified): PolicyReport {
  const { quorum, total, faulty } = verified.evidence.roster.thresholds;
  return {
    source: session.config.path,
    attestations: quorum,
    total,
    faulty,
    maxCheckpointAgeSeconds: session.config.checkpointAgeMaxSeconds,
  };
}

/** A verification with everything but its subjects. */
export function reportVerification(
  session: LogSession,
  verified: Verified,
  source: string,
  subjects: readonly SubjectReport[],
): Verification {
  return {
    source,
    policy: reportPolicy(session, verified),
    checkpoint: reportCheckpoint(verified),
    subjects,
    replicas: verified.failures.map(({ url, error }) => ({ url, problem: describeFailure(error) })),
    bytesFetched: session.http.bytesReceived,
    installed: null,
  };
}
