// A lockfile against the log: every entry gets a row, none is skipped, and what the signed manifests ask
// for is compared with what the lockfile has.
import { dirname } from 'node:path';

import { encodeHex } from '../../verifier/encoding.ts';
import type { Subject, VerifiedRelease } from '../../verifier/evidence/subject.ts';
import { CliError } from '../errors.ts';
import type { EdgeCheck } from '../lockfiles/edges.ts';
import { isForPlatform, type LockEntry, type Lockfile } from '../lockfiles/lockfile.ts';
import { readProjectWishes, type ProjectWishes } from '../lockfiles/project.ts';
import {
  leftOut,
  projectNodes,
  SELECT_ALL,
  type LeftOut,
  type Selection,
} from '../lockfiles/select.ts';
import { Ways } from '../lockfiles/ways.ts';
import { diagnostic, type SubjectReport, type Verification } from '../output/report.ts';
import type { LogSession, Verified } from './log-session.ts';
import { blankSubject, reportRelease, reportVerification } from './report-subject.ts';

/** A verified lockfile: the report, and what the log proved for each entry that is to be fetched. */
export interface LockfileVerification {
  readonly verification: Verification;
  /** By key of the lockfile's entry. */
  readonly releases: ReadonlyMap<string, VerifiedRelease>;
  readonly verified: Verified | undefined;
  /** Names under which entries are asked for, by key. */
  readonly folders: EdgeCheck['folders'];
  /**
   * What somebody asks for and the lockfile does not have, whoever is asked about: a package manager that may change
   * the lockfile chooses a version of it, which nobody has verified.
   */
  readonly missing: readonly string[];
}

/** How subjects are verified: online, or from a bundle. */
export type VerifySubjects = (subjects: readonly Subject[]) => Promise<Verified>;

/**
 * Verifies the entries of a lockfile.
 *
 * @throws what `verify` throws; {CliError} BP9003 for more packages than one run can check, BP9004
 *         without a package.json
 */
export async function verifyLockfile(
  session: LogSession,
  lockfile: Lockfile,
  verify: VerifySubjects,
  selection: Selection = SELECT_ALL,
): Promise<LockfileVerification> {
  const wishes = await readProjectWishes(lockfile);
  requireWishes(lockfile, wishes);
  const omitted = await leftOut(lockfile, wishes, selection);
  const { subjects, positions } = collectSubjects(lockfile, omitted);
  const verified = subjects.length === 0 ? undefined : await verify(subjects);
  const [{ walkEdges }, { missingFromLockfile }] = await Promise.all([
    import('../lockfiles/edges.ts'),
    import('../lockfiles/missing.ts'),
  ]);
  const resultOf = (key: string): ReturnType<typeof resultAt> => resultAt(verified, positions, key);
  const releases = new Map<string, VerifiedRelease>();
  for (const { key } of lockfile.entries) {
    const result = resultOf(key);
    if (result?.kind === 'verified') releases.set(key, result.release);
  }

  const edges = walkEdges(
    lockfile,
    wishes,
    (key) => releases.get(key)?.manifest,
    selection.omit,
    projectNodes(wishes, selection.workspaces),
  );
  const ways = new Ways(lockfile, edges.walked);
  const reports = lockfile.entries.map((entry): SubjectReport => {
    const left = omitted.get(entry.key);
    const report =
      left === undefined
        ? reportEntry(entry, lockfile.file, resultOf(entry.key), verified?.isBundle)
        : reportOmitted(entry, lockfile.file, left, edges);
    const problem = left === undefined ? edges.problems.get(entry.key) : undefined;
    const release = releases.get(entry.key);
    const bound = withShrinkwrap(report, entry, lockfile, release);
    const way = ways.to(entry.key);
    const placed = withOrigin(
      problem === undefined ? bound : withProblem(bound, entry, lockfile.file, problem),
      entry,
      edges,
    );
    return way === undefined ? placed : { ...placed, paths: [way] };
  });
  const source = `${lockfile.file} (${lockfile.label})`;
  const verification =
    verified === undefined
      ? withoutLog(source, reports)
      : reportVerification(session, verified, source, reports);
  const folder = dirname(lockfile.path);
  const missing = missingFromLockfile(
    lockfile,
    wishes,
    (key) => releases.get(key)?.manifest,
    selection.omit,
  );
  const { folders } = edges;
  return { verification: { ...verification, folder }, releases, verified, folders, missing };
}

// Yarn classic's lockfile does not say what the project asks for. Without a package.json, nothing would
// tell what belongs in it: that must not end as "verified".
function requireWishes({ path, file, entries }: Lockfile, wishes: ProjectWishes): void {
  const isEmpty = [...wishes.edges.values()].every((edges) => edges.length === 0);
  if (!wishes.isIncomplete || !isEmpty || entries.length === 0) return;
  throw new CliError('BP9004', `${path}: no package.json beside it`, {
    hints: [`put package.json beside ${file}: it says what the project asks for`],
  });
}

function resultAt(
  verified: Verified | undefined,
  positions: ReadonlyMap<string, number>,
  key: string,
): Verified['evidence']['subjects'][number] | undefined {
  const position = positions.get(key);
  return position === undefined ? undefined : verified?.evidence.subjects[position];
}

// One question for each distinct release, however often the tree has it.
function collectSubjects(
  lockfile: Lockfile,
  omitted: ReadonlyMap<string, LeftOut>,
): { subjects: readonly Subject[]; positions: ReadonlyMap<string, number> } {
  const subjects: Subject[] = [];
  const positions = new Map<string, number>();
  const known = new Map<string, number>();
  for (const entry of lockfile.entries) {
    if ((entry.kind !== 'registry' && entry.kind !== 'unbound') || omitted.has(entry.key)) continue;
    const { name, version } = entry;
    const digest = entry.kind === 'registry' ? { sha512: entry.sha512 } : {};
    const hex = entry.kind === 'registry' ? encodeHex(entry.sha512) : '';
    const identity = `${name}@${version} ${hex}`;
    const at = known.get(identity) ?? subjects.length;
    if (at === subjects.length) {
      subjects.push({ kind: 'release', name, version, ...digest });
      known.set(identity, at);
    }
    positions.set(entry.key, at);
  }
  return { subjects, positions };
}

function placeOf(entry: LockEntry, file: string): SubjectReport['location'] {
  return { file, line: entry.line };
}

function reportEntry(
  entry: LockEntry,
  file: string,
  result: ReturnType<typeof resultAt>,
  isBundle: boolean | undefined,
): SubjectReport {
  const location = placeOf(entry, file);
  const blank = blankSubject(entry.name, entry.version, location);
  switch (entry.kind) {
    case 'local':
      return { ...blank, verdict: 'local' };
    case 'bundled':
      return { ...blank, verdict: 'bundled' };
    case 'registry': {
      const { name, version, sha512 } = entry;
      return reportRelease({ name, version, sha512, location }, result, isBundle);
    }
    case 'unbound': {
      const { name, version } = entry;
      const report = reportRelease(
        { name, version, sha512: undefined, location },
        result,
        isBundle,
      );
      if (report.verdict !== 'verified') return report;
      const problem = diagnostic('BP1007', `${name}@${version}: in the log, but ${entry.reason}`, {
        details: [['in', describePlace(entry, file)]],
        hints: ['install it, then compare what lies on disk: bftpkg verify --installed'],
      });
      return {
        ...report,
        verdict: 'inconclusive',
        diagnostics: [...report.diagnostics, problem],
      };
    }
    case 'refused': {
      const problem = diagnostic(
        entry.isUnloggable ? 'BP5003' : 'BP6006',
        `${entry.name}: ${entry.reason}`,
        { details: [['in', describePlace(entry, file)]] },
      );
      return { ...blank, verdict: 'rejected', diagnostics: [problem] };
    }
  }
}

function reportOmitted(
  entry: LockEntry,
  file: string,
  { reason, isUnneeded }: LeftOut,
  { reached }: EdgeCheck,
): SubjectReport {
  const blank = blankSubject(entry.name, entry.version, placeOf(entry, file));
  const origin = { kind: entry.kind, notes: [reason] };
  // A verified package may need what was left out as only needed for development.
  if (!isUnneeded || !reached.has(entry.key)) return { ...blank, origin, verdict: 'omitted' };
  const message = `${entry.name}: left out (${reason}), but a verified package needs it`;
  const problem = diagnostic('BP6007', message, {
    details: [['in', describePlace(entry, file)]],
    hints: ['make the lockfile again, or verify without --omit'],
  });
  return { ...blank, origin, verdict: 'rejected', diagnostics: [problem] };
}

function withProblem(
  report: SubjectReport,
  entry: LockEntry,
  file: string,
  reason: string,
): SubjectReport {
  const spec = entry.version === null ? entry.name : `${entry.name}@${entry.version}`;
  const problem = diagnostic('BP6007', `${spec}: ${reason}`, {
    details: [['in', describePlace(entry, file)]],
    hints: ['look at who added it; then make the lockfile again from package.json'],
  });
  return { ...report, verdict: 'rejected', diagnostics: [...report.diagnostics, problem] };
}

// npm then fetches what that file says, with or without digests and whatever the project's lockfile has
// (tried). None of it is among the entries here, so nobody would have looked at it.
function withShrinkwrap(
  report: SubjectReport,
  entry: LockEntry,
  { file, graph }: Lockfile,
  release: VerifiedRelease | undefined,
): SubjectReport {
  const isObeyed = graph.obeysShrinkwrap?.(entry.key) === true;
  if (!isObeyed || release?.manifest['hasShrinkwrap'] !== true) return report;
  const message = `${release.name}@${release.version}: brings a lockfile along, and npm installs what that one says`;
  const problem = diagnostic('BP6006', message, {
    details: [['in', describePlace(entry, file)]],
    hints: ['install it with bftpkg ci, which installs only what is verified here'],
  });
  return { ...report, verdict: 'rejected', diagnostics: [...report.diagnostics, problem] };
}

function describePlace({ line, key }: LockEntry, file: string): string {
  return `${file}${line === null ? '' : `:${line}`}  ${key}`;
}

function withOrigin(report: SubjectReport, entry: LockEntry, edges: EdgeCheck): SubjectReport {
  const notes = [...(report.origin?.notes ?? []), ...entry.notes];
  for (const folder of edges.folders.get(entry.key) ?? []) {
    const note = `alias ${folder}`;
    if (folder !== entry.name && !notes.includes(note)) notes.push(note);
  }
  if (edges.overridden.has(entry.key)) notes.push('overridden by the project');
  if (entry.kind === 'registry' && !isForPlatform(entry, process.platform, process.arch)) {
    notes.push('not for this platform');
  }
  return { ...report, origin: { kind: originKind(entry), notes } };
}

function originKind(entry: LockEntry): string {
  if (entry.kind === 'refused') return entry.source;
  return entry.kind === 'unbound' ? 'registry' : entry.kind;
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
