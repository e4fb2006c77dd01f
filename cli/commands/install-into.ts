// `bftpkg install <name>@<version> --into <folder>`: one verified package, unpacked, without any package
// manager and without running anything. For tools, and for images that are built from nothing.
import { join, resolve } from 'node:path';

import type { ArchiveListing } from '../../verifier/archive/tarball.ts';
import type { Subject, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { isPackageName } from '../../verifier/npm/name.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError, type ReplicaFailure } from '../errors.ts';
import { asTable } from '../lockfiles/classify.ts';
import { ArtifactStore } from '../npm/artifact-store.ts';
import { fetchArtifact, type FetchOutcome } from '../npm/fetch.ts';
import { requireFreePlace, unpackInto } from '../npm/unpack.ts';
import { describeFailure } from '../output/diagnose.ts';
import { verificationReport, type Report } from '../output/report.ts';
import { withSession, type LogSession } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { withFetchOutcome } from '../session/report-fetch.ts';
import { reportRelease, reportVerification } from '../session/report-subject.ts';
import { cacheFolder } from '../trust/folders.ts';
import { parseSpec, type Spec } from './spec.ts';

/** Dependencies that are named one by one in a notice. */
const NAMED_MAX = 5;

/** Verifies, fetches and unpacks one package. */
export async function installInto(
  invocation: Invocation,
  specs: readonly string[],
  into: string,
): Promise<Report> {
  const [spec] = specs;
  if (spec === undefined || specs.length > 1) {
    throw usageError('--into takes one package', 'bftpkg install name@1.2.3 --into <folder>');
  }
  const target = resolve(invocation.context.cwd, into);
  // Before anything is asked for; again, when it is to be made.
  await requireFreePlace(target);
  return await withSession(invocation, {}, async (session) => {
    const { name, version } = isPackageName(spec) ? await latestOf(session, spec) : parseSpec(spec);
    const run = new PolicyRun(invocation, session);
    const verified = await run.ask([{ kind: 'release', name, version }]);
    const [result] = verified.evidence.subjects;
    const asked = { name, version, sha512: undefined, location: null };
    const blank = reportVerification(session, verified, `${name}@${version}`, [
      reportRelease(asked, result),
    ]);
    const scope = { lockText: undefined, isWhole: false, isNew: () => true };
    const judged = run.report('install', blank, scope);
    if (judged.exit.code !== 0 || judged.verification === null) return judged;
    // A policy can allow what is not in the log; bytes that somebody signed it can't make up.
    if (result?.kind !== 'verified') {
      throw new CliError('BP9005', `${name}@${version}: allowed by your policy, but not verified`);
    }
    const failures: ReplicaFailure[] = [];
    const outcome = await fetchOne(invocation, session, result.release, failures);
    const { subjects, replicas } = judged.verification;
    const verification = {
      ...judged.verification,
      subjects: subjects.map((subject) => withFetchOutcome(subject, outcome)),
      replicas: [
        ...replicas,
        ...failures.map(({ url, error }) => ({ url, problem: describeFailure(error) })),
      ],
      bytesFetched: session.http.bytesReceived,
    };
    if (outcome.kind !== 'checked') return verificationReport('install', verification);
    await unpackInto(outcome.listing, target);
    noticeWhatIsMissing(invocation, outcome.listing);
    const scripts = { ran: [], skipped: scriptsOf(outcome.release), failed: [] };
    const installed = { packages: 1, allowed: 0, folder: target, scripts };
    return verificationReport('install', { ...verification, installed });
  });
}

async function latestOf(session: LogSession, name: string): Promise<Spec> {
  const subject: Subject = { kind: 'package', name };
  const { evidence } = await session.verify([subject]);
  const [result] = evidence.subjects;
  if (result?.kind === 'refused') throw result.error;
  if (result?.kind !== 'package') {
    throw new CliError('BP5003', `${name}: not in the log`, { hints: ['check the spelling'] });
  }
  const { latest } = result.package;
  if (latest !== null) return { name, version: latest };
  throw new CliError('BP5003', `${name}: has no release that is not withdrawn`);
}

async function fetchOne(
  { context }: Invocation,
  session: LogSession,
  release: VerifiedRelease,
  failures: ReplicaFailure[],
): Promise<FetchOutcome> {
  const sources = {
    replicas: await session.readyFirst(),
    missed: new Map(),
    store: new ArtifactStore(join(cacheFolder(context.env), 'artifacts')),
    signal: context.signal,
    onFailure: (failure: ReplicaFailure) => failures.push(failure),
  };
  return await fetchArtifact(release, sources, (outcome) => outcome);
}

function noticeWhatIsMissing({ notice }: Invocation, { manifest, files }: ArchiveListing): void {
  const needed = Object.keys(asTable(manifest['dependencies'] ?? null) ?? {});
  const missing = needed.filter((name) => {
    return !files.some(({ path }) => path === `node_modules/${name}/package.json`);
  });
  if (missing.length === 0) return;
  const named = missing.slice(0, NAMED_MAX).join(', ');
  const more = missing.length > NAMED_MAX ? ` and ${missing.length - NAMED_MAX} more` : '';
  notice(`without its dependencies: ${named}${more}; with them: bftpkg install in a project`);
}

function scriptsOf({ name, version, manifest }: VerifiedRelease): readonly string[] {
  return manifest['hasInstallScript'] === true ? [`${name}@${version}`] : [];
}
