// `bftpkg verify`: a lockfile, releases by name, or tarballs, against the log.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import { EVIDENCE_BYTES_MAX } from '../../verifier/evidence/format.ts';
import type { Subject } from '../../verifier/evidence/subject.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { Invocation } from '../context.ts';
import { CliError, systemCode, usageError } from '../errors.ts';
import { isThere } from '../lockfiles/load.ts';
import { verificationReport, type Report } from '../output/report.ts';
import { readArtifact } from '../release/artifact.ts';
import { withSession, type LogSession, type Verified } from '../session/log-session.ts';
import { reportRelease, reportVerification, type AskedRelease } from '../session/report-subject.ts';
import type { VerifySubjects } from '../session/verify-lockfile.ts';
import { replaceFile } from '../trust/atomic-file.ts';
import { parseDuration } from './duration.ts';
import { verifyProject, type ProjectOptions } from './verify-project.ts';

/** Options of `verify`. */
export interface VerifyOptions extends ProjectOptions {
  readonly bundle?: string;
  readonly saveBundle?: string;
  /** A duration like `10m`. */
  readonly maxCheckpointAge?: string;
}

/** `verify [spec or tarball…]`; without any, the project's lockfile. */
export async function verify(
  invocation: Invocation,
  targets: readonly string[],
  options: VerifyOptions,
): Promise<Report> {
  const { context } = invocation;
  const age = options.maxCheckpointAge;
  const overrides = { checkpointAgeMaxSeconds: age === undefined ? undefined : parseDuration(age) };
  return await withSession(invocation, overrides, async (session) => {
    let last: Verified | undefined;
    const ask: VerifySubjects = async (subjects) => {
      last =
        options.bundle === undefined
          ? await session.verify(subjects)
          : await session.verifyBundle(await readBundle(invocation, options.bundle), subjects);
      return last;
    };
    const report =
      targets.length === 0
        ? await verifyProject(invocation, session, options, ask)
        : await verifyTargets(invocation, session, targets, ask);
    if (options.saveBundle !== undefined && last !== undefined) {
      await replaceFile(resolve(context.cwd, options.saveBundle), last.source, 0o644);
      invocation.progress(`bundle written to ${options.saveBundle}`);
    }
    return report;
  });
}

async function verifyTargets(
  invocation: Invocation,
  session: LogSession,
  targets: readonly string[],
  ask: VerifySubjects,
): Promise<Report> {
  const asked: AskedRelease[] = [];
  for (const target of targets) asked.push(await readTarget(invocation, target));
  const subjects = asked.map(({ name, version, sha512 }): Subject => ({
    kind: 'release',
    name,
    version,
    ...(sha512 === undefined ? {} : { sha512 }),
  }));
  const verified = await ask(subjects);
  const reports = asked.map((each, i) =>
    reportRelease(each, verified.evidence.subjects[i], verified.isBundle),
  );
  const source = targets.length === 1 ? (targets[0] ?? '') : `${targets.length} releases`;
  return verificationReport('verify', reportVerification(session, verified, source, reports));
}

async function readTarget(invocation: Invocation, target: string): Promise<AskedRelease> {
  const path = resolve(invocation.context.cwd, target);
  if (/\.(?:tgz|tar\.gz)$/.test(target) || (/[/\\]/.test(target) && (await isThere(path)))) {
    const { checked, sha512 } = await readArtifact(path);
    const { name, version } = checked;
    if (!isPackageName(name) || !isVersion(version)) {
      throw usageError(`${target}: its package.json has no name and version that a log can hold`);
    }
    return { name, version, sha512, location: { file: target, line: null } };
  }
  const at = target.lastIndexOf('@');
  const [name, version] = [target.slice(0, at), target.slice(at + 1)];
  if (at <= 0 || !isPackageName(name) || !isVersion(version)) {
    throw usageError(`neither name@version nor a tarball: ${target}`, 'bftpkg verify name@1.2.3');
  }
  return { name, version, sha512: undefined, location: null };
}

async function readBundle({ context }: Invocation, file: string): Promise<Uint8Array> {
  const path = resolve(context.cwd, file);
  try {
    const bytes = await readFile(path);
    if (bytes.length > EVIDENCE_BYTES_MAX) throw new CliError('BP9004', `${path}: too large`);
    return new Uint8Array(bytes);
  } catch (error) {
    if (error instanceof CliError) throw error;
    throw new CliError('BP9004', `${path}: ${systemCode(error) ?? 'cannot be read'}`);
  }
}
