// `bftpkg verify`: a lockfile, releases by name, or tarballs, against the log.
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { Subject } from '../../verifier/evidence/subject.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import { isVersion } from '../../verifier/npm/version.ts';
import type { Invocation } from '../context.ts';
import { usageError } from '../errors.ts';
import { isThere } from '../lockfiles/load.ts';
import type { Report } from '../output/report.ts';
import { wholeDocument } from '../session/in-parts.ts';
import { withSession, type LogSession, type SessionOptions } from '../session/log-session.ts';
import { PolicyRun, refusingUnlogged, withSigners } from '../session/policy-run.ts';
import { reportRelease, reportVerification, type AskedRelease } from '../session/report-subject.ts';
import type { VerifySubjects } from '../session/verify-lockfile.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { parseDuration } from './duration.ts';
import { verifyProject, type ProjectOptions } from './verify-project.ts';

/** Options of `verify`. */
export interface VerifyOptions extends ProjectOptions {
  readonly bundle?: string;
  readonly saveBundle?: string;
  /** A duration like `10m`. */
  readonly maxCheckpointAge?: string;
  /** Signers that every release needs, whatever its own threshold. */
  readonly requireMaintainers?: string;
}

/** `verify [spec or tarball…]`; without any, the project's lockfile. */
export async function verify(
  invocation: Invocation,
  targets: readonly string[],
  options: VerifyOptions,
): Promise<Report> {
  const { context } = invocation;
  const age = options.maxCheckpointAge;
  const overrides: SessionOptions = {
    checkpointAgeMaxSeconds: age === undefined ? undefined : parseDuration(age),
    reach: 'current',
    // What is saved has to be complete.
    remember: options.saveBundle === undefined,
    meanwhile: () =>
      Promise.all([
        ...(targets.length === 0 ? [import('../lockfiles/edges.ts')] : []),
        import('../output/deliver.ts'),
      ]),
  };
  const signersMin = readSignersMin(options.requireMaintainers);
  const bundle = await readBundleFile(context, options.bundle);
  invocation.progress('verifying against the log');
  return await withSession(invocation, overrides, async (session) => {
    const files = session.config.policy;
    const strict = options.allowUnlogged === 'never' ? refusingUnlogged(files) : files;
    const demanded = signersMin === undefined ? strict : withSigners(strict, signersMin);
    const policy = new PolicyRun(invocation, session, demanded);
    const ask = bundle === undefined ? policy.ask : policy.askBundle(bundle);
    const folder = await readFolder(invocation, targets);
    const report =
      targets.length === 0 || folder !== undefined
        ? await verifyProject(invocation, session, options, ask, policy, folder)
        : await verifyTargets(invocation, session, targets, ask, policy);
    const { verified } = policy;
    if (options.saveBundle !== undefined && verified !== undefined) {
      await replaceFile(resolve(context.cwd, options.saveBundle), wholeDocument(verified), 0o644);
      invocation.notice(`bundle written to ${options.saveBundle}`);
    }
    return report;
  });
}

// A folder stands for the lockfile in it. The configuration stays that of the project: a folder that came
// from elsewhere must not choose the log by which it is judged.
async function readFolder(
  { context }: Invocation,
  targets: readonly string[],
): Promise<string | undefined> {
  const [target, second] = targets;
  if (target === undefined || isSpec(target)) return undefined;
  const path = resolve(context.cwd, target);
  const facts = await stat(path).catch(() => undefined);
  if (facts?.isDirectory() !== true) return undefined;
  if (second === undefined) return path;
  throw usageError(`${target}: a folder is verified by itself, without other subjects`);
}

function isSpec(target: string): boolean {
  const at = target.lastIndexOf('@');
  return at > 0 && isPackageName(target.slice(0, at)) && isVersion(target.slice(at + 1));
}

async function readBundleFile(
  context: Invocation['context'],
  file: string | undefined,
): Promise<Uint8Array | undefined> {
  if (file === undefined) return undefined;
  const { readBundle } = await import('../bundle/file.ts');
  return await readBundle(context, file);
}

// More than a statement can have signatures would refuse everything.
const SIGNERS_LIMIT = 64;

function readSignersMin(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const number = /^[1-9][0-9]?$/.test(text) ? Number(text) : 0;
  if (number >= 1 && number <= SIGNERS_LIMIT) return number;
  throw usageError(`--require-maintainers takes 1 to ${SIGNERS_LIMIT}, not ${text}`);
}

async function verifyTargets(
  invocation: Invocation,
  session: LogSession,
  targets: readonly string[],
  ask: VerifySubjects,
  policy: PolicyRun,
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
  // Tarballs are reported as they were typed.
  const folder = invocation.context.cwd;
  const verification = { ...reportVerification(session, verified, source, reports), folder };
  return policy.report('verify', verification, { lockText: undefined, isWhole: false });
}

async function readTarget(invocation: Invocation, target: string): Promise<AskedRelease> {
  const path = resolve(invocation.context.cwd, target);
  if (/\.(?:tgz|tar\.gz)$/.test(target) || (/[/\\]/.test(target) && (await isThere(path)))) {
    const { readArtifact } = await import('../release/artifact.ts');
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
    throw usageError(
      `neither name@version nor a tarball: ${target}`,
      'bftpkg verify name@1.2.3; bftpkg inspect name tells which versions there are',
    );
  }
  return { name, version, sha512: undefined, location: null };
}
