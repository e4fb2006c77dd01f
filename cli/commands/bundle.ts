// `bftpkg bundle create|verify|inspect|merge`: evidence as files, for machines without a network.
import { resolve } from 'node:path';

import { parseCheckpoint } from '../../verifier/checkpoint.ts';
import { equalBytes } from '../../verifier/bytes.ts';
import { encodeHex } from '../../verifier/encoding.ts';
import { formatEvidence, type Evidence } from '../../verifier/evidence/format.ts';
import { subjectId } from '../../verifier/evidence/subject.ts';
import { parseNote } from '../../verifier/note.ts';
import { shownSubjects } from '../bundle/contents.ts';
import { parseBundle, readBundle } from '../bundle/file.ts';
import { mergeEvidence } from '../bundle/merge.ts';
import type { Invocation } from '../context.ts';
import { CliError, usageError } from '../errors.ts';
import { doneReport, type Report } from '../output/report.ts';
import { verifyInParts } from '../session/in-parts.ts';
import { withSession, type LogSession, type Verified } from '../session/log-session.ts';
import { PolicyRun } from '../session/policy-run.ts';
import { reportRelease, reportVerification } from '../session/report-subject.ts';
import { replaceFile } from '../../verifier/node/durable-file.ts';
import { parseDuration } from './duration.ts';
import { verify, type VerifyOptions } from './verify.ts';

/** Name that `bundle create` and `bundle merge` write to unless told otherwise. */
export const BUNDLE_NAME = 'bftpkg-bundle.json';

/** Flags of the commands that verify. */
export interface BundleOptions {
  readonly maxCheckpointAge?: string;
}

/**
 * `bundle create [spec…]`: verifies online and keeps the evidence. A subject that is refused is in the
 * file too: whoever verifies it later comes to the same verdict.
 */
export async function bundleCreate(
  invocation: Invocation,
  targets: readonly string[],
  options: Omit<VerifyOptions, 'bundle' | 'saveBundle'> & { readonly out: string },
): Promise<Report> {
  const { out, ...rest } = options;
  return await verify(invocation, targets, { ...rest, saveBundle: out });
}

/** `bundle verify <file>`: every release that the file shows, without asking anybody. */
export async function bundleVerify(
  invocation: Invocation,
  file: string,
  options: BundleOptions,
): Promise<Report> {
  const source = await readBundle(invocation.context, file);
  const releases = shownSubjects(parseBundle(source, file)).flatMap((subject) =>
    subject.kind === 'release' ? [subject] : [],
  );
  if (releases.length === 0) {
    throw new CliError('BP9001', `${file}: it shows no release`, {
      hints: [`bftpkg bundle inspect ${file}`],
    });
  }
  return await withSession(invocation, sessionOptions(options), async (session) => {
    const run = new PolicyRun(invocation, session);
    const verified = await run.askBundle(source)(releases);
    const reports = releases.map(({ name, version }, i) => {
      const asked = { name, version, sha512: undefined, location: null };
      return reportRelease(asked, verified.evidence.subjects[i], true);
    });
    const verification = reportVerification(session, verified, file, reports);
    return run.report('verify', verification, { lockText: undefined, isWhole: false });
  });
}

/** `bundle inspect <file>`: what the file claims to be. Nothing of it is verified. */
export async function bundleInspect({ context }: Invocation, file: string): Promise<Report> {
  const source = await readBundle(context, file);
  const evidence = parseBundle(source, file);
  const note = parseNote(evidence.checkpoint);
  const { origin, size, root } = parseCheckpoint(note.text);
  const subjects = shownSubjects(evidence);
  const ids = subjects.map(subjectId);
  const data = {
    file,
    bytes: source.length,
    verified: false,
    origin,
    size,
    root: encodeHex(root),
    cosigners: note.signatures.map(({ name }) => name),
    rosters: evidence.rosters.length,
    entries: evidence.entries.length,
    subjects: ids,
  };
  const releases = subjects.filter(({ kind }) => kind === 'release').length;
  const lines = [
    `${file}: ${source.length} bytes, NOT verified (bftpkg bundle verify ${file})`,
    `log      ${origin}, size ${size}, root ${encodeHex(root)}`,
    `signed   ${data.cosigners.join(' ')}`,
    `entries  ${evidence.entries.length}, rosters ${evidence.rosters.length}`,
    `shows    ${subjects.length - releases} packages, ${releases} releases`,
    ...ids.map((id) => `  ${id}`),
  ];
  return doneReport('bundle inspect', { data, lines });
}

/** `bundle merge <file> <file>…`: one file for all that they show; they have to be of one checkpoint. */
export async function bundleMerge(
  invocation: Invocation,
  files: readonly string[],
  options: BundleOptions & { readonly out: string },
): Promise<Report> {
  const { context, progress } = invocation;
  if (files.length < 2) throw usageError('bundle merge takes two files or more');
  return await withSession(invocation, sessionOptions(options), async (session) => {
    let merged: Checked | undefined;
    for (const file of files) {
      const next = await check(session, await readBundle(context, file), file);
      merged = merged === undefined ? next : await mergeTwo(session, merged, next);
    }
    if (merged === undefined) throw usageError('bundle merge takes two files or more');
    await replaceFile(resolve(context.cwd, options.out), merged.source, 0o644);
    progress(`bundle written to ${options.out}`);
    const subjects = shownSubjects(merged.evidence);
    const { size } = merged.verified.evidence.checkpoint.checkpoint;
    return doneReport('bundle merge', {
      data: { file: options.out, bytes: merged.source.length, size, subjects: subjects.length },
      lines: [`${options.out}: ${subjects.length} subjects at size ${size}, verified`],
    });
  });
}

interface Checked {
  readonly file: string;
  readonly source: Uint8Array;
  readonly evidence: Evidence;
  readonly verified: Verified;
}

// Verified before and after: a merge of something false would only fail later, and nobody would know why.
async function check(session: LogSession, source: Uint8Array, file: string): Promise<Checked> {
  const evidence = parseBundle(source, file);
  const subjects = shownSubjects(evidence);
  if (subjects.length === 0) throw new CliError('BP9001', `${file}: it shows nothing`);
  const verified = await verifyInParts(subjects, (part) => session.verifyBundle(source, part));
  return { file, source, evidence, verified };
}

async function mergeTwo(session: LogSession, a: Checked, b: Checked): Promise<Checked> {
  const [first, second] = [a, b].map(({ verified }) => verified.evidence.checkpoint);
  if (first === undefined || second === undefined) throw usageError('two bundles are needed');
  const { size, root } = first.checkpoint;
  if (size !== second.checkpoint.size || !equalBytes(root, second.checkpoint.root)) {
    throw new CliError(
      'BP9003',
      `${a.file} is of size ${size}, ${b.file} of size ${second.checkpoint.size}: not one checkpoint`,
      { hints: ['make one bundle for all: bftpkg bundle create name@version …'] },
    );
  }
  // The note that is certified for longer keeps the result usable for longer.
  const [newer, older] = first.certifiedTime >= second.certifiedTime ? [a, b] : [b, a];
  const point = { size, mapRoot: newer.verified.evidence.commit.map };
  const merged = formatEvidence(mergeEvidence(newer.evidence, older.evidence, point));
  return await check(session, merged, `${a.file} + ${b.file}`);
}

function sessionOptions({ maxCheckpointAge }: BundleOptions): {
  readonly checkpointAgeMaxSeconds: number | undefined;
} {
  return {
    checkpointAgeMaxSeconds:
      maxCheckpointAge === undefined ? undefined : parseDuration(maxCheckpointAge),
  };
}
